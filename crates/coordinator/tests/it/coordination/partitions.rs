//! Partitions of a small model: what producers write there, and the markers that decide it.
//!
//! Owns: which writes and markers a partition takes, and what became of every transaction in it.
//! Does not own: when they come.
//!
//! Invariants
//! - M1 what lies between two markers of a producer is of one transaction.

use std::collections::{BTreeMap, BTreeSet};

use ottla_coordinator::runtime::TransactionOutcome;
use ottla_coordinator::transaction::ProducerIdentity;
use ottla_model::{ProducerEpoch, ProducerId};

/// Names one transaction, whoever writes it.
pub type Tag = u64;

/// A marker on its way.
#[derive(Clone, Copy, Debug)]
pub struct Marker {
    pub producer: ProducerIdentity,
    pub outcome: TransactionOutcome,
    /// How many coordinators there were before the one that decided.
    pub incarnation: u32,
    /// Whether the epoch is above that of the data.
    pub raised: bool,
}

#[derive(Debug)]
struct Entry {
    epoch: ProducerEpoch,
    incarnation: u32,
    guard: Option<u64>,
    open: BTreeSet<Tag>,
}

#[derive(Debug, Default)]
pub struct Partition {
    producers: BTreeMap<ProducerId, Entry>,
    guards: u64,
    pub decided: Vec<(Tag, TransactionOutcome)>,
}

impl Partition {
    /// Before the coordinator is asked.
    pub fn guard(&mut self, producer: ProducerIdentity) -> u64 {
        self.guards += 1;
        let guards = self.guards;
        self.entry(producer).guard.get_or_insert(guards).to_owned()
    }

    /// A write of a transaction of which the coordinator says that this partition is part of it.
    pub fn write(&mut self, producer: ProducerIdentity, guard: u64, tag: Tag) -> bool {
        let entry = self.entry(producer);
        let is_known = entry.guard == Some(guard) || !entry.open.is_empty();
        if producer.epoch < entry.epoch || !is_known {
            return false;
        }
        entry.epoch = producer.epoch;
        entry.open.insert(tag);
        assert_eq!(entry.open.len(), 1, "transactions {:?} are merged", entry.open);
        true
    }

    /// Whether the marker was taken, now or before.
    pub fn mark(&mut self, marker: &Marker) -> bool {
        let entry = self.entry(marker.producer);
        let epoch = marker.producer.epoch;
        let is_late =
            if marker.raised && !entry.open.is_empty() { epoch <= entry.epoch } else { epoch < entry.epoch };
        if marker.incarnation < entry.incarnation || is_late {
            return false;
        }
        entry.epoch = epoch;
        entry.incarnation = marker.incarnation;
        entry.guard = None;
        let tags = std::mem::take(&mut entry.open);
        self.decided.extend(tags.into_iter().map(|tag| (tag, marker.outcome)));
        true
    }

    /// Transactions without a marker.
    pub fn open(&self) -> BTreeSet<Tag> {
        self.producers.values().flat_map(|entry| entry.open.iter().copied()).collect()
    }

    fn entry(&mut self, producer: ProducerIdentity) -> &mut Entry {
        self.producers.entry(producer.id).or_insert_with(|| Entry {
            epoch: producer.epoch,
            incarnation: 0,
            guard: None,
            open: BTreeSet::new(),
        })
    }
}
