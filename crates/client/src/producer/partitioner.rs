//! The partition of a record that names none.
//!
//! Owns: the choice by key, the sticky choice without a key, and dealing in turn.
//! Does not own: the hash (`murmur2`), which partitions exist and how long their queues are (arguments).
//!
//! Invariants
//! - I1 the partition of a key depends on the key and the number of partitions only;
//! - I2 a sticky partition is left once it got the bytes of a batch, so batches fill up.
//!
//! Source: KIP-480, KIP-794.

use ottla_env::random::Random;
use ottla_model::PartitionIndex;

use super::murmur2::partition_of_key;
use crate::config::PartitionerKind;

/// A partition that may be chosen, and how many batches wait for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub partition: PartitionIndex,
    pub queued: u32,
    /// Whether it has a leader that takes data.
    pub available: bool,
}

/// How records of all topics are placed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Placement {
    pub kind: PartitionerKind,
    pub ignore_keys: bool,
    /// Prefer partitions with short queues.
    pub adaptive: bool,
    /// Bytes after which the sticky partition is left.
    pub sticky_bytes: usize,
}

/// What the choice may depend on beside the queues.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts<'a> {
    pub key: Option<&'a [u8]>,
    /// Partitions of the topic.
    pub count: u32,
    /// Drawn from only when a partition is drawn: a draw may cost more than the record.
    pub random: &'a dyn Random,
}

/// What the partitioner remembers of one topic.
#[derive(Debug, Default)]
pub(crate) struct Placer {
    sticky: Option<Sticky>,
    turn: u32,
}

#[derive(Debug)]
struct Sticky {
    partition: PartitionIndex,
    bytes: usize,
}

impl Placer {
    /// The partition of a record. `candidates` lists all partitions of the topic in order (at least one), and
    /// is asked for only when the choice depends on it.
    pub(crate) fn partition_for(
        &mut self,
        facts: Facts<'_>,
        placement: &Placement,
        candidates: impl FnOnce() -> Vec<Candidate>,
    ) -> PartitionIndex {
        let Facts { key, count, random } = facts;
        if placement.kind == PartitionerKind::RoundRobin {
            return self.next_in_turn(&candidates());
        }
        if let (Some(key), false) = (key, placement.ignore_keys) {
            return index(partition_of_key(key, count));
        }
        match &self.sticky {
            Some(sticky) if u32::try_from(sticky.partition.value()).is_ok_and(|at| at < count) => {
                sticky.partition
            }
            _ => {
                let partition = choose(&candidates(), placement.adaptive, random.bits());
                self.sticky = Some(Sticky { partition, bytes: 0 });
                partition
            }
        }
    }

    /// A record of `bytes` went to `partition`.
    pub(crate) fn on_appended(&mut self, partition: PartitionIndex, bytes: usize, placement: &Placement) {
        if let Some(sticky) = &mut self.sticky
            && sticky.partition == partition
        {
            sticky.bytes += bytes;
            if sticky.bytes >= placement.sticky_bytes {
                self.sticky = None;
            }
        }
    }

    fn next_in_turn(&mut self, candidates: &[Candidate]) -> PartitionIndex {
        let turn = self.turn;
        self.turn = turn.wrapping_add(1);
        let available: Vec<&Candidate> = candidates.iter().filter(|one| one.available).collect();
        let pick = |length: usize| usize::try_from(turn).unwrap_or(0) % length.max(1);
        match available.get(pick(available.len())) {
            Some(candidate) => candidate.partition,
            None => candidates.get(pick(candidates.len())).map_or(index(0), |one| one.partition),
        }
    }
}

/// Draws among the available partitions, or among all where none is. A partition with `q` batches in its queue
/// has the weight `longest + 1 − q`, so the longest queue is still drawn, but least often.
fn choose(candidates: &[Candidate], adaptive: bool, random: u64) -> PartitionIndex {
    let mut pool: Vec<&Candidate> = candidates.iter().filter(|one| one.available).collect();
    if pool.is_empty() {
        pool = candidates.iter().collect();
    }
    let longest = pool.iter().map(|one| one.queued).max().unwrap_or(0);
    let weight = |one: &Candidate| if adaptive { u64::from(longest - one.queued) + 1 } else { 1 };
    let total: u64 = pool.iter().map(|one| weight(one)).sum();
    let mut drawn = random % total.max(1);
    for candidate in &pool {
        let weight = weight(candidate);
        if drawn < weight {
            return candidate.partition;
        }
        drawn -= weight;
    }
    index(0)
}

fn index(number: u32) -> PartitionIndex {
    i32::try_from(number).ok().and_then(PartitionIndex::new).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Draws always this.
    #[derive(Debug)]
    struct Drawn(u64);

    impl Random for Drawn {
        fn fill(&self, buffer: &mut [u8]) {
            buffer.copy_from_slice(&self.0.to_le_bytes()[..buffer.len()]);
        }
    }

    const STICKY: Placement =
        Placement { kind: PartitionerKind::Default, ignore_keys: false, adaptive: true, sticky_bytes: 100 };

    fn candidates(queued: &[i64]) -> Vec<Candidate> {
        let of = |(at, queued): (u32, &i64)| Candidate {
            partition: index(at),
            queued: u32::try_from(*queued).unwrap_or(0),
            available: *queued >= 0,
        };
        (0..).zip(queued).map(of).collect()
    }

    fn place(partitioner: &mut Placer, placement: &Placement, random: u64, queued: &[i64]) -> i32 {
        let count = u32::try_from(queued.len()).unwrap();
        partitioner
            .partition_for(Facts { key: None, count, random: &Drawn(random) }, placement, || {
                candidates(queued)
            })
            .value()
    }

    /// KIP-794
    #[test]
    fn a_record_without_key_stays_on_one_partition_until_a_batch_is_full() {
        let mut partitioner = Placer::default();
        assert_eq!(place(&mut partitioner, &STICKY, 1, &[0, 0, 0]), 1);
        partitioner.on_appended(index(1), 99, &STICKY);
        assert_eq!(place(&mut partitioner, &STICKY, 2, &[0, 0, 0]), 1);
        partitioner.on_appended(index(1), 1, &STICKY);
        assert_eq!(place(&mut partitioner, &STICKY, 2, &[0, 0, 0]), 2);
    }

    /// KIP-794
    #[test]
    fn long_queues_are_drawn_less_often_and_partitions_without_leader_never() {
        let drawn = |random| place(&mut Placer::default(), &STICKY, random, &[2, -1, 0]);
        assert_eq!((0..4).map(drawn).collect::<Vec<_>>(), [0, 2, 2, 2]);
        let uniform = Placement { adaptive: false, ..STICKY };
        let drawn = |random| place(&mut Placer::default(), &uniform, random, &[2, -1, 0]);
        assert_eq!((0..4).map(drawn).collect::<Vec<_>>(), [0, 2, 0, 2]);
        assert_eq!(place(&mut Placer::default(), &STICKY, 1, &[-1, -1]), 1);
    }

    #[test]
    fn a_key_decides_unless_keys_are_ignored() {
        let mut partitioner = Placer::default();
        let facts = |count| Facts { key: Some(b"abc"), count, random: &Drawn(1) };
        assert_eq!(partitioner.partition_for(facts(7), &STICKY, Vec::new).value(), 4);
        let ignoring = Placement { ignore_keys: true, ..STICKY };
        assert_eq!(partitioner.partition_for(facts(2), &ignoring, || candidates(&[0, 0])).value(), 1);
    }

    #[test]
    fn partitions_are_dealt_in_turn_when_asked_for() {
        let turn = Placement { kind: PartitionerKind::RoundRobin, ..STICKY };
        let mut partitioner = Placer::default();
        let dealt: Vec<i32> = (0..4).map(|_| place(&mut partitioner, &turn, 0, &[0, -1, 0])).collect();
        assert_eq!(dealt, [0, 2, 0, 2]);
    }
}
