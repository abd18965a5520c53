//! Committed offsets of all groups of a shard, and those of transactions that are not decided yet.
//!
//! Owns: the replicated state; only [`OffsetStore::apply`] and transaction markers change it.
//! Does not own: who may commit (`session`), when offsets expire (`expiry`).
//!
//! Invariants
//! - O1 no group and no topic is kept without offsets;
//! - O2 both indexes of pending offsets hold the same keys;
//! - O3 a transaction that commits never replaces an offset that was written after its own.
//!
//! Source: requirements OFF-03, COF-02; KIP-447.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ottla_model::{GroupId, PartitionIndex, ProducerId, TopicName};

use super::record::{OffsetEntry, OffsetKey};
use crate::runtime::TransactionOutcome;

/// An offset and its place in the order of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stored {
    pub entry: Arc<OffsetEntry>,
    order: u64,
}

/// What takes a record back.
#[derive(Debug)]
pub(super) enum OffsetUndo {
    /// `pending` are offsets of open transactions that a tombstone removed with it.
    Committed {
        key: OffsetKey,
        previous: Option<Stored>,
        pending: Vec<(ProducerId, Stored)>,
    },
    Pending {
        key: OffsetKey,
        producer: ProducerId,
        previous: Option<Stored>,
    },
}

#[derive(Default)]
pub(super) struct OffsetStore {
    committed: BTreeMap<GroupId, BTreeMap<TopicName, BTreeMap<PartitionIndex, Stored>>>,
    pending: BTreeMap<OffsetKey, BTreeMap<ProducerId, Stored>>,
    pending_of: BTreeMap<ProducerId, BTreeSet<OffsetKey>>,
    count: usize,
    next_order: u64,
}

impl OffsetStore {
    /// Offsets that are committed, transactions apart.
    pub fn len(&self) -> usize {
        self.count
    }

    /// The offsets of a group, topic by topic.
    pub fn of_group(
        &self,
        group: &GroupId,
    ) -> impl Iterator<Item = (&TopicName, &BTreeMap<PartitionIndex, Stored>)> {
        self.committed.get(group).into_iter().flatten()
    }

    /// The offsets of a group in one topic.
    pub fn of_topic(&self, group: &GroupId, topic: &TopicName) -> Option<&BTreeMap<PartitionIndex, Stored>> {
        self.committed.get(group)?.get(topic)
    }

    pub fn get(&self, key: &OffsetKey) -> Option<&Stored> {
        self.of_topic(&key.group, &key.topic)?.get(&key.partition)
    }

    /// Whether a transaction that is not decided yet wrote this offset.
    pub fn is_unstable(&self, key: &OffsetKey) -> bool {
        self.pending.contains_key(key)
    }

    /// Whether a transaction that is not decided yet wrote any offset of the group.
    pub fn has_unstable(&self, group: &GroupId) -> bool {
        self.unstable_keys(group).next().is_some()
    }

    /// Everything of the group a deletion has to name: committed and pending.
    pub fn all_keys(&self, group: &GroupId) -> BTreeSet<OffsetKey> {
        let committed = self.committed.get(group).into_iter().flatten().flat_map(|(topic, partitions)| {
            let key = |partition: &PartitionIndex| OffsetKey {
                group: group.clone(),
                topic: topic.clone(),
                partition: *partition,
            };
            partitions.keys().map(key).collect::<Vec<_>>()
        });
        committed.chain(self.unstable_keys(group).cloned()).collect()
    }

    /// Groups that have any offset, committed or pending.
    pub fn groups(&self) -> BTreeSet<GroupId> {
        let pending = self.pending.keys().map(|key| key.group.clone());
        self.committed.keys().cloned().chain(pending).collect()
    }

    /// Topics that any group has an offset of.
    pub fn topics(&self) -> BTreeSet<TopicName> {
        let pending = self.pending.keys().map(|key| key.topic.clone());
        self.committed.values().flat_map(|topics| topics.keys().cloned()).chain(pending).collect()
    }

    /// Writes or removes an offset. One written in a transaction waits for its marker.
    pub fn apply(
        &mut self,
        key: &OffsetKey,
        value: Option<&Arc<OffsetEntry>>,
        producer: Option<ProducerId>,
    ) -> OffsetUndo {
        let order = self.next_order;
        self.next_order += 1;
        let stored = value.map(|entry| Stored { entry: entry.clone(), order });
        let key = key.clone();
        match (stored, producer) {
            (Some(stored), Some(producer)) => {
                let previous = self.put_pending(&key, producer, stored);
                OffsetUndo::Pending { key, producer, previous }
            }
            (Some(stored), None) => {
                let previous = self.put(&key, stored);
                OffsetUndo::Committed { key, previous, pending: Vec::new() }
            }
            (None, _) => {
                let previous = self.take(&key);
                let pending = self.take_pending(&key);
                OffsetUndo::Committed { key, previous, pending }
            }
        }
    }

    pub fn undo(&mut self, undo: OffsetUndo) {
        match undo {
            OffsetUndo::Committed { key, previous, pending } => {
                match previous {
                    Some(previous) => drop(self.put(&key, previous)),
                    None => drop(self.take(&key)),
                }
                for (producer, stored) in pending {
                    self.put_pending(&key, producer, stored);
                }
            }
            OffsetUndo::Pending { key, producer, previous } => {
                let mut writers = self.take_pending(&key);
                writers.retain(|(writer, _)| *writer != producer);
                writers.extend(previous.map(|previous| (producer, previous)));
                for (writer, stored) in writers {
                    self.put_pending(&key, writer, stored);
                }
            }
        }
    }

    /// A transaction was decided: its offsets take effect, or vanish.
    pub fn on_transaction_marker(&mut self, producer: ProducerId, outcome: TransactionOutcome) {
        for key in self.pending_of.remove(&producer).unwrap_or_default() {
            let Some(writers) = self.pending.get_mut(&key) else { continue };
            let stored = writers.remove(&producer);
            if writers.is_empty() {
                self.pending.remove(&key);
            }
            let newer = |stored: &Stored| self.get(&key).is_none_or(|present| present.order < stored.order);
            match (outcome, stored.filter(newer)) {
                (TransactionOutcome::Committed, Some(stored)) => drop(self.put(&key, stored)),
                (TransactionOutcome::Committed, None) | (TransactionOutcome::Aborted, _) => {}
            }
        }
    }

    fn unstable_keys(&self, group: &GroupId) -> impl Iterator<Item = &OffsetKey> {
        self.pending.keys().filter(move |key| key.group == *group)
    }

    fn put(&mut self, key: &OffsetKey, stored: Stored) -> Option<Stored> {
        let topics = self.committed.entry(key.group.clone()).or_default();
        let previous = topics.entry(key.topic.clone()).or_default().insert(key.partition, stored);
        self.count += usize::from(previous.is_none());
        previous
    }

    fn take(&mut self, key: &OffsetKey) -> Option<Stored> {
        let topics = self.committed.get_mut(&key.group)?;
        let partitions = topics.get_mut(&key.topic)?;
        let previous = partitions.remove(&key.partition);
        if partitions.is_empty() {
            topics.remove(&key.topic);
        }
        if topics.is_empty() {
            self.committed.remove(&key.group);
        }
        self.count -= usize::from(previous.is_some());
        previous
    }

    fn put_pending(&mut self, key: &OffsetKey, producer: ProducerId, stored: Stored) -> Option<Stored> {
        self.pending_of.entry(producer).or_default().insert(key.clone());
        self.pending.entry(key.clone()).or_default().insert(producer, stored)
    }

    fn take_pending(&mut self, key: &OffsetKey) -> Vec<(ProducerId, Stored)> {
        let writers = self.pending.remove(key).unwrap_or_default();
        for producer in writers.keys() {
            if let Some(keys) = self.pending_of.get_mut(producer) {
                keys.remove(key);
                if keys.is_empty() {
                    self.pending_of.remove(producer);
                }
            }
        }
        writers.into_iter().collect()
    }
}
