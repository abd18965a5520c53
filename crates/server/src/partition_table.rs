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

    fn insert(&mut self, partition: Arc<Partition>) {
        let name = partition.id().topic.clone();
        let id = partition.topic_id();
        let known = self.by_name.get(&name).filter(|topic| topic.id == id);
        let mut topic = match known {
            Some(topic) => topic.as_ref().clone(),
            None => LocalTopic { name: name.clone(), id, partitions: Vec::new() },
        };
        let Ok(at) = usize::try_from(partition.id().partition.value()) else { return };
        if topic.partitions.len() <= at {
            topic.partitions.resize(at + 1, None);
        }
        topic.partitions[at] = Some(partition);
        self.put(topic);
    }

    fn put(&mut self, topic: LocalTopic) {
        let topic = Arc::new(topic);
        if let Some(replaced) = self.by_name.insert(topic.name.clone(), Arc::clone(&topic)) {
            self.by_id.remove(&replaced.id);
        }
        self.by_id.insert(topic.id, topic);
    }

    fn remove(&mut self, id: TopicId, index: PartitionIndex) -> Option<Arc<Partition>> {
        let mut topic = self.by_id.get(&id)?.as_ref().clone();
        let place = topic.partitions.get_mut(usize::try_from(index.value()).ok()?)?;
        let removed = place.take();
        if topic.partitions.iter().all(Option::is_none) {
            self.by_name.remove(&topic.name);
            self.by_id.remove(&topic.id);
        } else {
            self.put(topic);
        }
        removed
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
