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
    pending: BTreeMap<GroupId, BTreeMap<OffsetKey, BTreeMap<ProducerId, Stored>>>,
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
        self.pending.get(&key.group).is_some_and(|keys| keys.contains_key(key))
    }

    /// Whether a transaction that is not decided yet wrote any offset of the group.
    pub fn has_unstable(&self, group: &GroupId) -> bool {
        self.pending.contains_key(group)
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
        let pending = self.pending.get(group).into_iter().flat_map(|keys| keys.keys().cloned());
        committed.chain(pending).collect()
    }

    /// Groups that have any offset, committed or pending.
    pub fn groups(&self) -> BTreeSet<GroupId> {
        self.committed.keys().chain(self.pending.keys()).cloned().collect()
    }

    /// Topics that any group has an offset of.
    pub fn topics(&self) -> BTreeSet<TopicName> {
        let pending = self.pending.values().flat_map(|keys| keys.keys().map(|key| key.topic.clone()));
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
            let mut writers = self.pending_writers(&key);
            let stored = writers.remove(&producer);
            self.set_pending_writers(&key, writers);
            let newer = |stored: &Stored| self.get(&key).is_none_or(|present| present.order < stored.order);
            match (outcome, stored.filter(newer)) {
                (TransactionOutcome::Committed, Some(stored)) => drop(self.put(&key, stored)),
                (TransactionOutcome::Committed, None) | (TransactionOutcome::Aborted, _) => {}
            }
        }
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
        let keys = self.pending.entry(key.group.clone()).or_default();
        keys.entry(key.clone()).or_default().insert(producer, stored)
    }

    fn take_pending(&mut self, key: &OffsetKey) -> Vec<(ProducerId, Stored)> {
        let writers = self.pending_writers(key);
        self.set_pending_writers(key, BTreeMap::new());
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

    /// Who wrote this offset in a transaction that is not decided yet. To be put back, or left out for good.
    fn pending_writers(&mut self, key: &OffsetKey) -> BTreeMap<ProducerId, Stored> {
        let writers = self.pending.get_mut(&key.group).and_then(|keys| keys.get_mut(key));
        writers.map(std::mem::take).unwrap_or_default()
    }

    fn set_pending_writers(&mut self, key: &OffsetKey, writers: BTreeMap<ProducerId, Stored>) {
        let Some(keys) = self.pending.get_mut(&key.group) else { return };
        if writers.is_empty() {
            keys.remove(key);
        } else {
            keys.insert(key.clone(), writers);
        }
        if keys.is_empty() {
            self.pending.remove(&key.group);
        }
    }
}

#[cfg(test)]
mod tests {
    use ottla_model::Timestamp;

    use super::*;
    use crate::group::CommittedPosition;

    fn key(group: &str) -> OffsetKey {
        let topic = TopicName::new("t").unwrap();
        OffsetKey { group: GroupId::new(group), topic, partition: PartitionIndex::default() }
    }

    fn at(position: i64) -> Arc<OffsetEntry> {
        Arc::new(OffsetEntry {
            position: CommittedPosition(position),
            leader_epoch: None,
            metadata: "".into(),
            committed_at: Timestamp::from_millis(0),
            expires_at: None,
            topic_id: None,
        })
    }

    fn producer(id: i64) -> Option<ProducerId> {
        ProducerId::new(id)
    }

    fn position(store: &OffsetStore) -> Option<i64> {
        store.get(&key("g")).map(|stored| stored.entry.position.0)
    }

    /// COF-02, OFF-03
    #[test]
    fn offsets_of_a_transaction_take_effect_when_it_commits() {
        let mut store = OffsetStore::default();
        store.apply(&key("g"), Some(&at(1)), None);
        store.apply(&key("g"), Some(&at(2)), producer(7));
        assert_eq!(position(&store), Some(1));
        assert!(store.is_unstable(&key("g")) && store.has_unstable(&GroupId::new("g")));
        assert!(!store.has_unstable(&GroupId::new("h")));
        store.on_transaction_marker(producer(7).unwrap(), TransactionOutcome::Committed);
        assert_eq!((position(&store), store.len()), (Some(2), 1));
        assert!(!store.is_unstable(&key("g")) && !store.has_unstable(&GroupId::new("g")));
    }

    /// COF-02
    #[test]
    fn offsets_of_a_transaction_vanish_when_it_aborts() {
        let mut store = OffsetStore::default();
        store.apply(&key("g"), Some(&at(2)), producer(7));
        store.on_transaction_marker(producer(7).unwrap(), TransactionOutcome::Aborted);
        store.on_transaction_marker(producer(8).unwrap(), TransactionOutcome::Committed);
        assert_eq!((position(&store), store.len()), (None, 0));
        assert!(store.groups().is_empty() && store.topics().is_empty());
    }

    /// COF-02: what was written after the transaction's own record is newer, whenever the marker comes.
    #[test]
    fn a_transaction_does_not_replace_what_was_written_after_it() {
        let mut store = OffsetStore::default();
        store.apply(&key("g"), Some(&at(2)), producer(7));
        store.apply(&key("g"), Some(&at(3)), None);
        store.on_transaction_marker(producer(7).unwrap(), TransactionOutcome::Committed);
        assert_eq!(position(&store), Some(3));
    }

    /// COF-02: two transactions on one offset; the deletion of the offset reaches both.
    #[test]
    fn a_tombstone_removes_pending_offsets_too_and_its_undo_brings_them_back() {
        let mut store = OffsetStore::default();
        store.apply(&key("g"), Some(&at(1)), None);
        store.apply(&key("g"), Some(&at(2)), producer(7));
        store.apply(&key("g"), Some(&at(3)), producer(8));
        let undo = store.apply(&key("g"), None, None);
        assert!(store.groups().is_empty());
        store.undo(undo);
        assert_eq!(position(&store), Some(1));
        store.on_transaction_marker(producer(8).unwrap(), TransactionOutcome::Committed);
        store.on_transaction_marker(producer(7).unwrap(), TransactionOutcome::Committed);
        assert_eq!(position(&store), Some(3));
    }

    #[test]
    fn an_undone_record_leaves_what_was_there_before() {
        let mut store = OffsetStore::default();
        let created = store.apply(&key("g"), Some(&at(1)), None);
        let changed = store.apply(&key("g"), Some(&at(2)), None);
        let begun = store.apply(&key("g"), Some(&at(3)), producer(7));
        let repeated = store.apply(&key("g"), Some(&at(4)), producer(7));
        store.undo(repeated);
        assert!(store.is_unstable(&key("g")));
        store.undo(begun);
        assert!(!store.is_unstable(&key("g")));
        store.undo(changed);
        assert_eq!(position(&store), Some(1));
        store.undo(created);
        assert_eq!((position(&store), store.len()), (None, 0));
    }
}
