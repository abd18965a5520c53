//! On which brokers new replicas are put.
//!
//! Owns: the choice of brokers. Does not own: directories, the checks around it (`topics`).
//!
//! Replicas of one partition go to different racks as far as there are racks, then to different brokers of a rack.
//! Racks and the brokers of each rack are taken in turn from a random start, which moves on by one with every
//! partition: leaders and followers spread evenly ("striped"). Fenced brokers are taken only where a rack has no
//! other left, and never as the first replica.
//!
//! Invariants
//! - I1 the replicas of a partition are distinct brokers;
//! - I2 the first replica of a partition is an unfenced broker.
//!
//! Source: KIP-36, KIP-631; requirement RCK-01.

use std::collections::BTreeMap;
use std::num::NonZeroU64;

use ottla_env::random::Random;
use ottla_model::BrokerId;

/// A broker that may take replicas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsableBroker {
    pub id: BrokerId,
    pub rack: Option<String>,
    pub fenced: bool,
}

/// Why replicas cannot be placed. The messages are Kafka's, since clients print them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlacementError {
    #[error("All brokers are currently fenced, or have all their log directories cordoned.")]
    NoUnfencedBroker,
    #[error(
        "The target replication factor of {wanted} cannot be reached because only {brokers} broker(s) are registered or some brokers have all their log directories cordoned."
    )]
    TooFewBrokers { wanted: usize, brokers: usize },
}

/// Places `replicas` (> 0) replicas of each of `partitions` partitions.
pub fn place(
    brokers: &[UsableBroker],
    partitions: usize,
    replicas: usize,
    random: &dyn Random,
) -> Result<Vec<Vec<BrokerId>>, PlacementError> {
    if brokers.iter().all(|broker| broker.fenced) {
        return Err(PlacementError::NoUnfencedBroker);
    }
    if replicas > brokers.len() {
        return Err(PlacementError::TooFewBrokers { wanted: replicas, brokers: brokers.len() });
    }
    let mut stripes = Stripes::new(brokers, random);
    Ok((0..partitions).map(|_| stripes.next_partition(replicas, random)).collect())
}

/// Brokers taken in turn. Each partition that takes from the ring starts one further than the one before.
#[derive(Debug, Default)]
struct Ring {
    brokers: Vec<BrokerId>,
    start: usize,
    taken: usize,
    /// Which partition took last.
    partition: usize,
}

#[derive(Debug, Default)]
struct Rack {
    unfenced: Ring,
    fenced: Ring,
}

#[derive(Debug)]
struct Stripes {
    racks: Vec<Rack>,
    first_rack: usize,
    unfenced_brokers: usize,
    /// Partitions placed since the order was last drawn.
    placed: usize,
}

impl Ring {
    fn next(&mut self, partition: usize) -> Option<BrokerId> {
        let count = self.brokers.len();
        if count > 0 && self.partition != partition {
            self.partition = partition;
            self.taken = 0;
            self.start = (self.start + 1) % count;
        }
        if self.taken == count {
            return None;
        }
        let broker = self.brokers[(self.start + self.taken) % count];
        self.taken += 1;
        Some(broker)
    }
}

impl Rack {
    fn next(&mut self, partition: usize) -> Option<BrokerId> {
        self.unfenced.next(partition).or_else(|| self.fenced.next(partition))
    }
}

impl Stripes {
    fn new(brokers: &[UsableBroker], random: &dyn Random) -> Stripes {
        let mut racks: BTreeMap<Option<&str>, Rack> = BTreeMap::new();
        for broker in brokers {
            let rack = racks.entry(broker.rack.as_deref()).or_default();
            let ring = if broker.fenced { &mut rack.fenced } else { &mut rack.unfenced };
            ring.brokers.push(broker.id);
        }
        let mut racks: Vec<Rack> = racks.into_values().collect();
        for ring in racks.iter_mut().flat_map(|rack| [&mut rack.unfenced, &mut rack.fenced]) {
            ring.brokers.sort_unstable();
            ring.start = below(ring.brokers.len(), random);
        }
        let first_rack = below(racks.len(), random);
        let unfenced_brokers = brokers.iter().filter(|broker| !broker.fenced).count();
        Stripes { racks, first_rack, unfenced_brokers, placed: 0 }
    }

    fn next_partition(&mut self, replicas: usize, random: &dyn Random) -> Vec<BrokerId> {
        // After as many partitions as brokers the pattern would repeat itself: draw a new order.
        if self.placed == self.unfenced_brokers && self.unfenced_brokers > 1 {
            self.shuffle(random);
        }
        let (leader_rack, leader) = self.leader();
        let mut chosen = vec![leader];
        // The round begins at the stripe's first rack; the leader's rack sits out its first turn.
        let mut skip = Some(leader_rack);
        let mut rack = self.first_rack;
        while chosen.len() < replicas {
            if skip == Some(rack) {
                skip = None;
            } else {
                chosen.extend(self.racks[rack].next(self.placed));
            }
            rack = (rack + 1) % self.racks.len();
        }
        self.placed += 1;
        self.first_rack = (self.first_rack + 1) % self.racks.len();
        chosen
    }

    /// The first unfenced broker in rack order. There is one: `place` made sure.
    fn leader(&mut self) -> (usize, BrokerId) {
        let (count, partition) = (self.racks.len(), self.placed);
        let mut racks = (0..count).map(|step| (self.first_rack + step) % count);
        racks
            .find_map(|rack| self.racks[rack].unfenced.next(partition).map(|broker| (rack, broker)))
            .expect("an unfenced broker exists")
    }

    fn shuffle(&mut self, random: &dyn Random) {
        self.placed = 0;
        shuffle(&mut self.racks, random);
        for ring in self.racks.iter_mut().flat_map(|rack| [&mut rack.unfenced, &mut rack.fenced]) {
            shuffle(&mut ring.brokers, random);
            ring.taken = 0;
        }
    }
}

fn below(bound: usize, random: &dyn Random) -> usize {
    let bound = u64::try_from(bound).ok().and_then(NonZeroU64::new);
    bound.and_then(|bound| usize::try_from(random.below(bound)).ok()).unwrap_or(0)
}

fn shuffle<T>(items: &mut [T], random: &dyn Random) {
    for last in (1..items.len()).rev() {
        items.swap(last, below(last + 1, random));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Seeded;

    fn broker(text: &str) -> UsableBroker {
        // `1a` is broker 1 on rack a, `2a!` a fenced one, `3` has no rack.
        let fenced = text.ends_with('!');
        let text = text.trim_end_matches('!');
        let (id, rack) = text.split_at(text.find(char::is_alphabetic).unwrap_or(text.len()));
        let rack = (!rack.is_empty()).then(|| rack.to_owned());
        UsableBroker { id: BrokerId::new(id.parse().unwrap()).unwrap(), rack, fenced }
    }

    fn brokers(text: &str) -> Vec<UsableBroker> {
        text.split_whitespace().map(broker).collect()
    }

    fn racks_of(brokers: &[UsableBroker], replicas: &[BrokerId]) -> Vec<Option<String>> {
        let rack = |id: &BrokerId| brokers.iter().find(|broker| broker.id == *id).unwrap().rack.clone();
        let mut racks: Vec<_> = replicas.iter().map(rack).collect();
        racks.sort();
        racks.dedup();
        racks
    }

    /// RCK-01
    #[test]
    fn replicas_of_a_partition_lie_on_distinct_racks_and_brokers() {
        let all = brokers("0a 1a 2b 3b 4c 5c");
        for seed in 0..50 {
            for replicas in place(&all, 20, 3, &Seeded::new(seed)).unwrap() {
                assert_eq!(racks_of(&all, &replicas).len(), 3);
            }
            for replicas in place(&all, 20, 5, &Seeded::new(seed)).unwrap() {
                let mut distinct = replicas.clone();
                distinct.sort();
                distinct.dedup();
                assert_eq!(distinct.len(), 5);
                assert_eq!(racks_of(&all, &replicas).len(), 3);
            }
        }
    }

    /// RCK-01
    #[test]
    fn leaders_spread_evenly_over_brokers() {
        for (text, count) in [("0 1 2 3", 4), ("0a 1a 2b 3b", 4), ("7", 1)] {
            let all = brokers(text);
            let placed = place(&all, count * 3, 1, &Seeded::new(7)).unwrap();
            for broker in &all {
                let led = placed.iter().filter(|replicas| replicas[0] == broker.id).count();
                assert_eq!(led, 3, "{text}: {placed:?}");
            }
        }
    }

    /// RCK-01
    #[test]
    fn fenced_brokers_are_taken_only_when_others_run_out_and_never_lead() {
        let all = brokers("0 1 2! 3!");
        for replicas in place(&all, 10, 2, &Seeded::new(1)).unwrap() {
            assert!(replicas.iter().all(|id| id.value() < 2));
        }
        for replicas in place(&all, 10, 3, &Seeded::new(1)).unwrap() {
            assert!(replicas[0].value() < 2 && replicas[1].value() < 2 && replicas[2].value() >= 2);
        }
    }

    /// TOP-01
    #[test]
    fn placement_fails_without_enough_brokers() {
        let refused =
            |text, replicas| place(&brokers(text), 1, replicas, &Seeded::new(1)).unwrap_err().to_string();
        assert_eq!(
            refused("1", 3),
            "The target replication factor of 3 cannot be reached because only 1 broker(s) are registered or some brokers have all their log directories cordoned."
        );
        let none = "All brokers are currently fenced, or have all their log directories cordoned.";
        assert_eq!([refused("", 1), refused("1! 2!", 1)], [none, none]);
    }
}
