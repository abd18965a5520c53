//! The partitions of this node, found by name or by topic id without a lock.
//!
//! Owns: the immutable table that requests look at, and its replacement.
//! Does not own: when partitions come and go (`partitions`), what is in them (`partition`).
//!
//! Invariants
//! - T1 a topic is found by its name exactly if it is found by its id.
//!
//! Source: performance design 4.6.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use ottla_model::{PartitionIndex, TopicId, TopicName, TopicPartition};

use crate::partition::Partition;

/// The local partitions of one topic.
#[derive(Clone, Debug)]
pub struct LocalTopic {
    pub name: TopicName,
    pub id: TopicId,
    /// By index; `None` where this node has no replica.
    partitions: Vec<Option<Arc<Partition>>>,
    /// How many there are.
    present: usize,
}

impl LocalTopic {
    pub fn partition(&self, index: i32) -> Option<&Arc<Partition>> {
        self.partitions.get(usize::try_from(index).ok()?)?.as_ref()
    }

    pub fn partitions(&self) -> impl Iterator<Item = &Arc<Partition>> {
        self.partitions.iter().flatten()
    }
}

/// All local topics at one moment.
#[derive(Clone, Debug, Default)]
pub struct Table {
    by_name: HashMap<TopicName, Arc<LocalTopic>>,
    by_id: HashMap<TopicId, Arc<LocalTopic>>,
}

impl Table {
    pub fn topic(&self, name: &str) -> Option<&Arc<LocalTopic>> {
        self.by_name.get(name)
    }

    pub fn topic_by_id(&self, id: TopicId) -> Option<&Arc<LocalTopic>> {
        self.by_id.get(&id)
    }

    pub fn partition(&self, at: &TopicPartition) -> Option<&Arc<Partition>> {
        self.topic(at.topic.as_str())?.partition(at.partition.value())
    }

    /// Every local partition.
    pub fn partitions(&self) -> impl Iterator<Item = &Arc<Partition>> {
        self.by_name.values().flat_map(|topic| topic.partitions())
    }

    /// A topic that an earlier table shares is copied once, however many of its partitions come or go.
    fn insert(&mut self, partition: Arc<Partition>) {
        let name = &partition.id().topic;
        let id = partition.topic_id();
        let Ok(at) = usize::try_from(partition.id().partition.value()) else { return };
        let mut topic = match self.take(name) {
            Some(topic) if topic.id == id => topic,
            Some(_) | None => {
                Arc::new(LocalTopic { name: name.clone(), id, partitions: Vec::new(), present: 0 })
            }
        };
        let LocalTopic { partitions, present, .. } = Arc::make_mut(&mut topic);
        if partitions.len() <= at {
            partitions.resize(at + 1, None);
        }
        if partitions[at].replace(partition).is_none() {
            *present += 1;
        }
        self.put(topic);
    }

    fn remove(&mut self, id: TopicId, index: PartitionIndex) -> Option<Arc<Partition>> {
        let at = usize::try_from(index.value()).ok()?;
        let name = self.by_id.get(&id)?.name.clone();
        let mut topic = self.take(&name)?;
        let LocalTopic { partitions, present, .. } = Arc::make_mut(&mut topic);
        let removed = partitions.get_mut(at).and_then(Option::take);
        *present -= usize::from(removed.is_some());
        if *present > 0 {
            self.put(topic);
        }
        removed
    }

    fn take(&mut self, name: &TopicName) -> Option<Arc<LocalTopic>> {
        let topic = self.by_name.remove(name)?;
        self.by_id.remove(&topic.id);
        Some(topic)
    }

    fn put(&mut self, topic: Arc<LocalTopic>) {
        self.by_name.insert(topic.name.clone(), Arc::clone(&topic));
        self.by_id.insert(topic.id, topic);
    }
}

/// Publishes the table.
#[derive(Debug, Default)]
pub struct PartitionTable {
    current: ArcSwap<Table>,
}

impl PartitionTable {
    /// The table as it is now. Cheap; hold it for one request.
    pub fn load(&self) -> arc_swap::Guard<Arc<Table>> {
        self.current.load()
    }

    /// The table as a value that may be kept.
    pub fn snapshot(&self) -> Arc<Table> {
        self.current.load_full()
    }

    /// Adds partitions in one step. Called by one task only.
    pub fn insert_all(&self, partitions: Vec<Arc<Partition>>) {
        if partitions.is_empty() {
            return;
        }
        let mut table = self.current.load_full().as_ref().clone();
        for partition in partitions {
            table.insert(partition);
        }
        self.current.store(Arc::new(table));
    }

    /// Removes partitions in one step. Called by one task only.
    pub fn remove_all(&self, gone: &[(TopicId, PartitionIndex)]) -> Vec<Arc<Partition>> {
        let mut table = self.current.load_full().as_ref().clone();
        let removed = gone.iter().filter_map(|(id, index)| table.remove(*id, *index)).collect();
        self.current.store(Arc::new(table));
        removed
    }
}

#[cfg(test)]
mod tests {
    use ottla_model::Uuid;

    use super::*;
    use crate::partition::tests::{partition, partition_at};

    fn topic(id: u8) -> TopicId {
        TopicId::new(Uuid::from_bytes([id; 16])).unwrap()
    }

    #[test]
    fn partitions_come_and_go_and_a_reader_keeps_the_table_it_has() {
        let table = PartitionTable::default();
        table.insert_all(vec![partition_at(topic(7), 2), partition_at(topic(7), 0)]);
        let before = table.snapshot();
        table.insert_all(vec![partition_at(topic(7), 1)]);
        let found = |table: &Table| {
            let indexes = table.partitions().map(|partition| partition.id().partition.value());
            indexes.collect::<Vec<_>>()
        };
        assert_eq!((found(&before), found(&table.snapshot())), (vec![0, 2], vec![0, 1, 2]));
        let gone = |index| (topic(7), PartitionIndex::new(index).unwrap());
        assert_eq!(table.remove_all(&[gone(0), gone(0), gone(9)]).len(), 1);
        assert_eq!(found(&table.snapshot()), [1, 2]);
        assert_eq!(table.remove_all(&[gone(1), gone(2)]).len(), 2);
        assert!(table.load().topic("t").is_none() && table.load().topic_by_id(topic(7)).is_none());
        assert_eq!(found(&before), [0, 2]);
    }

    /// T1
    #[test]
    fn a_topic_that_was_made_again_takes_the_place_of_the_one_before() {
        let table = PartitionTable::default();
        table.insert_all(vec![partition(topic(7))]);
        table.insert_all(vec![partition(topic(8))]);
        assert!(table.load().topic_by_id(topic(7)).is_none());
        assert_eq!(table.load().topic("t").map(|topic| topic.id), Some(topic(8)));
        assert_eq!(table.load().partitions().count(), 1);
    }
}
