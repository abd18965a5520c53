//! Where a consumer stands in each of its partitions.
//!
//! Owns: the assigned partitions, their positions and how they are found, pauses.
//! Does not own: who assigns (`member`, the user), what is fetched (`fetcher`).
//!
//! Invariants
//! - I1 only a partition with a position is fetched;
//! - I2 whatever moves the position from outside (assignment, seek, reset) begins a new `stay`, so that what was
//!   asked before is known to be stale when its answer comes.
//!
//! ```text
//! Unknown ──committed offset──▶ At(position) ◀──offset found── Resetting
//!    └────no committed offset────────────────────────────────────▲
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use ottla_model::{BrokerId, LeaderEpoch, Offset, TopicPartition};

use crate::admin::CommittedOffset;
use crate::config::OffsetReset;

/// The next record to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    pub offset: Offset,
    /// Epoch of the record before it, where it is known.
    pub leader_epoch: Option<LeaderEpoch>,
}

/// How the position of a partition is being found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The group may have committed an offset.
    Unknown,
    /// An offset is to be asked of the leader.
    Resetting(OffsetReset),
    At(Position),
    /// There is no offset, and the user wants to be told.
    Lost(LostCause),
}

/// Why a partition has no position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LostCause {
    NothingCommitted,
    OutOfRange(Offset),
}

/// What the last Fetch answer said of a partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Watermarks {
    pub high_watermark: Option<Offset>,
    pub last_stable: Option<Offset>,
    pub log_start: Option<Offset>,
}

/// One assigned partition.
#[derive(Clone, Debug)]
pub(crate) struct Assigned {
    /// Which stay with this consumer this is; another one after every move from outside.
    pub stay: u64,
    pub phase: Phase,
    pub paused: bool,
    /// From where to fetch next: behind what is already buffered.
    pub fetch_from: Offset,
    pub watermarks: Watermarks,
    /// A follower nearby that the leader named, and until when to read from it (KIP-392).
    pub preferred_replica: Option<(BrokerId, Instant)>,
    /// Nothing is asked of its leader before this moment.
    pub not_before: Option<Instant>,
    /// A question about its position is open.
    pub asking: bool,
}

/// The partitions of a consumer.
#[derive(Debug)]
pub(crate) struct Positions {
    assigned: BTreeMap<TopicPartition, Assigned>,
    next_stay: u64,
    reset: OffsetReset,
    /// Whether offsets are committed at all.
    has_group: bool,
}

impl Positions {
    pub(crate) fn new(reset: OffsetReset, has_group: bool) -> Positions {
        Positions { assigned: BTreeMap::new(), next_stay: 0, reset, has_group }
    }

    pub(crate) fn partitions(&self) -> impl Iterator<Item = &TopicPartition> {
        self.assigned.keys()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&TopicPartition, &Assigned)> {
        self.assigned.iter()
    }

    pub(crate) fn get(&self, partition: &TopicPartition) -> Option<&Assigned> {
        self.assigned.get(partition)
    }

    pub(crate) fn get_mut(&mut self, partition: &TopicPartition) -> Option<&mut Assigned> {
        self.assigned.get_mut(partition)
    }

    /// Exactly these partitions are assigned from now on; those that were keep their positions.
    pub(crate) fn on_assigned(&mut self, partitions: &BTreeSet<TopicPartition>) {
        self.assigned.retain(|partition, _| partitions.contains(partition));
        for partition in partitions {
            if !self.assigned.contains_key(partition) {
                let fresh = self.fresh();
                self.assigned.insert(partition.clone(), fresh);
            }
        }
    }

    fn fresh(&mut self) -> Assigned {
        self.next_stay += 1;
        Assigned {
            stay: self.next_stay,
            phase: if self.has_group {
                Phase::Unknown
            } else {
                self.phase_of_reset(LostCause::NothingCommitted)
            },
            paused: false,
            fetch_from: Offset::ZERO,
            watermarks: Watermarks::default(),
            preferred_replica: None,
            not_before: None,
            asking: false,
        }
    }

    fn phase_of_reset(&self, cause: LostCause) -> Phase {
        match self.reset {
            OffsetReset::None => Phase::Lost(cause),
            OffsetReset::Earliest | OffsetReset::Latest | OffsetReset::ByDuration(_) => {
                Phase::Resetting(self.reset)
            }
        }
    }

    /// Puts the partition into a phase from outside. Answers whether it is assigned.
    fn enter(&mut self, partition: &TopicPartition, phase: Phase) -> bool {
        self.next_stay += 1;
        let stay = self.next_stay;
        let Some(assigned) = self.assigned.get_mut(partition) else { return false };
        if let Phase::At(position) = &phase {
            assigned.fetch_from = position.offset;
        }
        assigned.phase = phase;
        assigned.stay = stay;
        assigned.asking = false;
        assigned.not_before = None;
        assigned.preferred_replica = None;
        true
    }

    /// The user moves to an offset. Answers whether the partition is assigned.
    pub(crate) fn on_seek(&mut self, partition: &TopicPartition, position: Position) -> bool {
        self.enter(partition, Phase::At(position))
    }

    /// The user moves to an end of the partition. Answers whether the partition is assigned.
    pub(crate) fn on_seek_to(&mut self, partition: &TopicPartition, reset: OffsetReset) -> bool {
        self.enter(partition, Phase::Resetting(reset))
    }

    pub(crate) fn on_paused(&mut self, partition: &TopicPartition, paused: bool) -> bool {
        self.assigned.get_mut(partition).map(|assigned| assigned.paused = paused).is_some()
    }

    /// Partitions for which the group's offsets must be asked for; they count as asked from now on.
    pub(crate) fn poll_unknown(&mut self, now: Instant) -> Vec<TopicPartition> {
        let due = self.assigned.iter_mut().filter(|(_, assigned)| {
            assigned.phase == Phase::Unknown
                && !assigned.asking
                && assigned.not_before.is_none_or(|not_before| not_before <= now)
        });
        due.map(|(partition, assigned)| {
            assigned.asking = true;
            partition.clone()
        })
        .collect()
    }

    /// The group's offset of a partition, or that it has none.
    pub(crate) fn on_committed(&mut self, partition: &TopicPartition, committed: Option<&CommittedOffset>) {
        let lost = self.phase_of_reset(LostCause::NothingCommitted);
        let Some(assigned) = self.assigned.get_mut(partition) else { return };
        if assigned.phase != Phase::Unknown {
            return;
        }
        assigned.asking = false;
        assigned.phase = match committed {
            Some(committed) => {
                assigned.fetch_from = committed.offset;
                Phase::At(Position { offset: committed.offset, leader_epoch: committed.leader_epoch })
            }
            None => lost,
        };
    }

    /// A question about positions failed: ask again later.
    pub(crate) fn on_question_failed(&mut self, partitions: &[TopicPartition], not_before: Instant) {
        for partition in partitions {
            if let Some(assigned) = self.assigned.get_mut(partition) {
                assigned.asking = false;
                assigned.not_before = Some(not_before);
            }
        }
    }

    /// Partitions whose offset must be asked of their leader, with what to ask; they count as asked from now on.
    pub(crate) fn poll_resets(&mut self, now: Instant) -> Vec<(TopicPartition, u64, OffsetReset)> {
        let mut due = Vec::new();
        for (partition, assigned) in &mut self.assigned {
            let Phase::Resetting(reset) = assigned.phase else { continue };
            if !assigned.asking && assigned.not_before.is_none_or(|not_before| not_before <= now) {
                assigned.asking = true;
                due.push((partition.clone(), assigned.stay, reset));
            }
        }
        due
    }

    /// The leader named the offset that was asked for in `stay`.
    pub(crate) fn on_reset(&mut self, partition: &TopicPartition, stay: u64, position: Position) {
        let Some(assigned) = self.assigned.get(partition) else { return };
        if assigned.stay == stay && matches!(assigned.phase, Phase::Resetting(_)) {
            self.enter(partition, Phase::At(position));
        }
    }

    /// The leader does not have the offset that was fetched in `stay`.
    pub(crate) fn on_out_of_range(&mut self, partition: &TopicPartition, stay: u64, offset: Offset) {
        let phase = self.phase_of_reset(LostCause::OutOfRange(offset));
        if self.assigned.get(partition).is_some_and(|assigned| assigned.stay == stay) {
            self.enter(partition, phase);
        }
    }

    /// Records up to `position` went to the user. Answers `false` if the partition has moved meanwhile, so that they
    /// must not be delivered.
    pub(crate) fn on_consumed(&mut self, partition: &TopicPartition, stay: u64, position: Position) -> bool {
        match self.assigned.get_mut(partition) {
            Some(assigned) if assigned.stay == stay => {
                assigned.phase = Phase::At(position);
                true
            }
            Some(_) | None => false,
        }
    }

    /// Where the consumer stands, if that is known.
    pub(crate) fn position(&self, partition: &TopicPartition) -> Option<Position> {
        match self.assigned.get(partition)?.phase {
            Phase::At(position) => Some(position),
            Phase::Unknown | Phase::Resetting(_) | Phase::Lost(_) => None,
        }
    }

    /// All known positions, as they would be committed.
    pub(crate) fn all(&self) -> BTreeMap<TopicPartition, CommittedOffset> {
        let known = self.assigned.iter().filter_map(|(partition, assigned)| match assigned.phase {
            Phase::At(Position { offset, leader_epoch }) => {
                let committed = CommittedOffset { offset, leader_epoch, metadata: String::new() };
                Some((partition.clone(), committed))
            }
            Phase::Unknown | Phase::Resetting(_) | Phase::Lost(_) => None,
        });
        known.collect()
    }

    /// The first partition that has no position and shall get none by itself.
    pub(crate) fn lost(&self) -> Vec<(TopicPartition, LostCause)> {
        let lost = self.assigned.iter().filter_map(|(partition, assigned)| match assigned.phase {
            Phase::Lost(cause) => Some((partition.clone(), cause)),
            Phase::Unknown | Phase::Resetting(_) | Phase::At(_) => None,
        });
        lost.collect()
    }

    /// When a question that failed may be asked again.
    pub(crate) fn deadline(&self, now: Instant) -> Option<Instant> {
        let waiting = self.assigned.values().filter(|assigned| !assigned.asking);
        waiting.filter_map(|assigned| assigned.not_before).filter(|at| *at > now).min()
    }
}

#[cfg(test)]
mod tests {
    use ottla_model::{PartitionIndex, TopicName};

    use super::*;

    fn partition(index: i32) -> TopicPartition {
        TopicPartition::new(TopicName::new("t").unwrap(), PartitionIndex::new(index).unwrap())
    }

    fn at(offset: i64) -> Position {
        Position { offset: Offset::new(offset).unwrap(), leader_epoch: None }
    }

    fn assigned(reset: OffsetReset, has_group: bool, count: i32) -> Positions {
        let mut positions = Positions::new(reset, has_group);
        positions.on_assigned(&(0..count).map(partition).collect());
        positions
    }

    #[test]
    fn a_group_s_offset_comes_before_a_reset() {
        let now = Instant::now();
        let mut positions = assigned(OffsetReset::Earliest, true, 2);
        assert_eq!(positions.poll_resets(now), []);
        assert_eq!(positions.poll_unknown(now), [partition(0), partition(1)]);
        assert_eq!(positions.poll_unknown(now), [], "asked once");
        let committed = CommittedOffset::at(Offset::new(7).unwrap());
        positions.on_committed(&partition(0), Some(&committed));
        positions.on_committed(&partition(1), None);
        assert_eq!(positions.position(&partition(0)), Some(at(7)));
        let resets = positions.poll_resets(now);
        assert_eq!(resets.len(), 1);
        assert_eq!((&resets[0].0, resets[0].2), (&partition(1), OffsetReset::Earliest));
        positions.on_reset(&partition(1), resets[0].1, at(3));
        assert_eq!(positions.position(&partition(1)), Some(at(3)));
    }

    #[test]
    fn an_answer_that_comes_after_a_seek_is_stale() {
        let now = Instant::now();
        let mut positions = assigned(OffsetReset::Latest, false, 1);
        let (_, stay, _) = positions.poll_resets(now)[0].clone();
        assert!(positions.on_seek(&partition(0), at(5)));
        positions.on_reset(&partition(0), stay, at(100));
        assert_eq!(positions.position(&partition(0)), Some(at(5)));
        assert!(!positions.on_consumed(&partition(0), stay, at(101)));
        assert_eq!(positions.position(&partition(0)), Some(at(5)));
    }

    #[test]
    fn without_a_reset_the_user_is_told() {
        let mut positions = assigned(OffsetReset::None, true, 1);
        positions.poll_unknown(Instant::now());
        positions.on_committed(&partition(0), None);
        assert_eq!(positions.lost(), [(partition(0), LostCause::NothingCommitted)]);
        positions.on_seek(&partition(0), at(1));
        assert_eq!(positions.lost(), []);
        let stay = positions.get(&partition(0)).unwrap().stay;
        positions.on_out_of_range(&partition(0), stay, Offset::new(1).unwrap());
        assert_eq!(positions.lost(), [(partition(0), LostCause::OutOfRange(Offset::new(1).unwrap()))]);
    }

    #[test]
    fn a_partition_that_stays_assigned_keeps_its_position_and_its_pause() {
        let mut positions = assigned(OffsetReset::Earliest, false, 2);
        positions.on_seek(&partition(0), at(4));
        positions.on_paused(&partition(0), true);
        positions.on_assigned(&[partition(0), partition(2)].into());
        assert_eq!(positions.position(&partition(0)), Some(at(4)));
        assert!(positions.get(&partition(0)).unwrap().paused);
        assert!(positions.get(&partition(1)).is_none());
        assert!(!positions.on_seek(&partition(1), at(1)));
    }

    #[test]
    fn a_question_that_failed_is_asked_again_after_its_pause() {
        let now = Instant::now();
        let later = now + std::time::Duration::from_millis(100);
        let mut positions = assigned(OffsetReset::Earliest, false, 1);
        positions.poll_resets(now);
        positions.on_question_failed(&[partition(0)], later);
        assert_eq!(positions.poll_resets(now), []);
        assert_eq!(positions.deadline(now), Some(later));
        assert_eq!(positions.poll_resets(later).len(), 1);
    }
}
