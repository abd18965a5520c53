//! Topics and their partitions, as the committed metadata has them.
//!
//! Owns: `Topic`, `Partition`, the two ways to find a topic.
//! Does not own: the rules by which a partition changes (`controller`), records (`apply`).
//!
//! Invariants
//! - I1 both maps hold the same topics;
//! - I2 the partitions of a topic are numbered from 0 without a gap.
//!
//! Source: `PartitionRecord`, KIP-631, KIP-858, KIP-966.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use ottla_model::{BrokerId, DirectoryId, LeaderEpoch, PartitionEpoch, PartitionIndex, TopicId, TopicName};
use ottla_protocol::messages::PartitionRecord;

use crate::features::MetadataVersion;
use crate::records::code;

/// Whether a leader still has to repair what an unclean election may have left behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LeaderRecovery {
    #[default]
    Recovered,
    Recovering,
}

/// One copy of a partition: where it lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replica {
    pub broker: BrokerId,
    /// The log directory on that broker, or one of the reserved ids.
    pub directory: DirectoryId,
}

/// The state of one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// All replicas; the first one is the preferred leader.
    pub replicas: Vec<Replica>,
    pub in_sync: Vec<BrokerId>,
    /// Replicas a running reassignment takes away.
    pub removing: Vec<BrokerId>,
    /// Replicas a running reassignment brings.
    pub adding: Vec<BrokerId>,
    pub leader: Option<BrokerId>,
    pub leader_recovery: LeaderRecovery,
    pub leader_epoch: LeaderEpoch,
    pub partition_epoch: PartitionEpoch,
    /// Replicas outside the in-sync set that may lead without loss (KIP-966).
    pub eligible_leaders: Vec<BrokerId>,
    /// Who led last, when nobody does (KIP-966).
    pub last_known_leaders: Vec<BrokerId>,
}

/// One topic. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    pub name: TopicName,
    pub id: TopicId,
    partitions: Vec<Arc<Partition>>,
}

/// All topics, by id and by name. Cheap to clone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Topics {
    by_id: Arc<BTreeMap<TopicId, Arc<Topic>>>,
    by_name: Arc<BTreeMap<TopicName, TopicId>>,
}

impl Partition {
    /// The brokers that hold a replica, the preferred leader first.
    pub fn brokers(&self) -> impl Iterator<Item = BrokerId> {
        self.replicas.iter().map(|replica| replica.broker)
    }

    /// Whether a broker holds a replica.
    pub fn has_replica(&self, broker: BrokerId) -> bool {
        self.brokers().any(|replica| replica == broker)
    }

    /// The directory of a broker's replica.
    pub fn directory(&self, broker: BrokerId) -> Option<DirectoryId> {
        self.replicas.iter().find(|replica| replica.broker == broker).map(|replica| replica.directory)
    }

    /// Whether the first replica leads (ELE-03).
    pub fn has_preferred_leader(&self) -> bool {
        self.leader.is_some() && self.leader == self.brokers().next()
    }

    /// The record that describes the partition as it is.
    pub fn to_record(
        &self,
        topic: TopicId,
        index: PartitionIndex,
        level: MetadataVersion,
    ) -> PartitionRecord {
        // Fields of eligible leaders are tagged: they are written only where they hold something.
        let present = |brokers: &[BrokerId]| (!brokers.is_empty()).then(|| code::of_brokers(brokers));
        let directories = self.replicas.iter().map(|replica| replica.directory.0);
        PartitionRecord {
            partition_id: index.value(),
            topic_id: topic.uuid(),
            replicas: self.brokers().map(BrokerId::value).collect(),
            isr: code::of_brokers(&self.in_sync),
            removing_replicas: code::of_brokers(&self.removing),
            adding_replicas: code::of_brokers(&self.adding),
            leader: code::of_leader(self.leader),
            leader_recovery_state: code::of_leader_recovery(self.leader_recovery),
            leader_epoch: self.leader_epoch.value(),
            partition_epoch: self.partition_epoch.value(),
            directories: if level.has_directories() { directories.collect() } else { Vec::new() },
            eligible_leader_replicas: present(&self.eligible_leaders),
            last_known_elr: present(&self.last_known_leaders),
        }
    }

    /// Whether a reassignment is under way.
    pub fn is_reassigning(&self) -> bool {
        !self.removing.is_empty() || !self.adding.is_empty()
    }
}

impl Topic {
    /// A topic that has no partitions yet.
    pub fn new(name: TopicName, id: TopicId) -> Topic {
        Topic { name, id, partitions: Vec::new() }
    }

    /// The partition with this number.
    pub fn partition(&self, index: PartitionIndex) -> Option<&Arc<Partition>> {
        self.partitions.get(usize::try_from(index.value()).ok()?)
    }

    /// The same by a number that may be none.
    pub fn numbered(&self, number: i32) -> Option<(PartitionIndex, &Arc<Partition>)> {
        let index = PartitionIndex::new(number)?;
        Some((index, self.partition(index)?))
    }

    /// All partitions with their numbers, ascending.
    pub fn partitions(&self) -> impl Iterator<Item = (PartitionIndex, &Arc<Partition>)> {
        (0..).map_while(PartitionIndex::new).zip(&self.partitions)
    }

    /// How many partitions the topic has.
    pub fn partition_count(&self) -> usize {
        self.partitions.len()
    }

    /// How many replicas each partition has, taken from the first one.
    pub fn replication_factor(&self) -> usize {
        self.partitions.first().map_or(0, |partition| partition.replicas.len())
    }

    /// Sets the state of a partition that exists or comes right behind the last one; `false` for a gap.
    #[must_use]
    pub(super) fn put(&mut self, index: PartitionIndex, partition: Partition) -> bool {
        let Ok(at) = usize::try_from(index.value()) else { return false };
        if let Some(slot) = self.partitions.get_mut(at) {
            *slot = Arc::new(partition);
            return true;
        }
        if at == self.partitions.len() {
            self.partitions.push(Arc::new(partition));
            return true;
        }
        false
    }
}

impl Topics {
    /// The topic with this name.
    pub fn by_name(&self, name: &str) -> Option<&Arc<Topic>> {
        self.by_id(*self.by_name.get(name)?)
    }

    /// The topic with this id.
    pub fn by_id(&self, id: TopicId) -> Option<&Arc<Topic>> {
        self.by_id.get(&id)
    }

    /// All topics, ordered by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Topic>> {
        self.by_name.values().filter_map(|id| self.by_id(*id))
    }

    /// All topics from this name on, ordered by name.
    pub fn from_name(&self, name: &str) -> impl Iterator<Item = &Arc<Topic>> {
        let rest = self.by_name.range::<str, _>((Bound::Included(name), Bound::Unbounded));
        rest.filter_map(|(_, id)| self.by_id(*id))
    }

    /// All topics, ordered by id: the order of a snapshot.
    pub fn ordered_by_id(&self) -> impl Iterator<Item = &Arc<Topic>> {
        self.by_id.values()
    }

    /// How many topics there are.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether there is no topic.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// Whether both hold the same topics without looking at them: true only if one was cloned from the other.
    pub(super) fn is_same(&self, other: &Topics) -> bool {
        Arc::ptr_eq(&self.by_id, &other.by_id)
    }

    pub(super) fn create(&mut self, topic: Topic) {
        Arc::make_mut(&mut self.by_name).insert(topic.name.clone(), topic.id);
        Arc::make_mut(&mut self.by_id).insert(topic.id, Arc::new(topic));
    }

    pub(super) fn topic_mut(&mut self, id: TopicId) -> Option<&mut Topic> {
        Arc::make_mut(&mut self.by_id).get_mut(&id).map(Arc::make_mut)
    }

    pub(super) fn remove(&mut self, id: TopicId) -> Option<Arc<Topic>> {
        let topic = Arc::make_mut(&mut self.by_id).remove(&id)?;
        Arc::make_mut(&mut self.by_name).remove(topic.name.as_str());
        Some(topic)
    }
}
