//! What is different between two images.
//!
//! Owns: the comparison. Does not own: what the receivers do about it (`server`, `replication`, `coordinator`).
//!
//! Parts that two images share are skipped without being looked at, so the cost follows the number of topics and
//! the size of what changed, not the size of the cluster.
//!
//! Invariants
//! - I1 a partition appears at most once; the partitions of a created topic appear with nothing before them;
//! - I2 two equal images have no changes.

use std::collections::BTreeMap;
use std::sync::Arc;

use ottla_model::{BrokerId, PartitionIndex};

use super::{ConfigResource, MetadataImage, Partition, Topic};

/// A partition that is new or not what it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionAt {
    /// The topic as it is now.
    pub topic: Arc<Topic>,
    pub index: PartitionIndex,
    /// `None` for a new partition.
    pub before: Option<Arc<Partition>>,
    pub after: Arc<Partition>,
}

/// The differences of two images, told to everything that follows the metadata.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageChanges {
    pub created: Vec<Arc<Topic>>,
    /// Topics that are gone, as they were. One that was created again under its name is also in `created`.
    pub deleted: Vec<Arc<Topic>>,
    pub partitions: Vec<PartitionAt>,
    /// Brokers that registered, changed or were removed.
    pub brokers: Vec<BrokerId>,
    /// Controllers that registered or changed.
    pub controllers: Vec<BrokerId>,
    /// Resources with other dynamic values than before.
    pub configs: Vec<ConfigResource>,
    pub features: bool,
}

impl ImageChanges {
    /// What has to be told to someone who knows `before` and should know `after`.
    pub fn between(before: &MetadataImage, after: &MetadataImage) -> ImageChanges {
        let mut changes =
            ImageChanges { features: before.features != after.features, ..ImageChanges::default() };
        if !before.topics.is_same(&after.topics) {
            changes.compare_topics(before, after);
        }
        changes.brokers = differing(&before.cluster.brokers, &after.cluster.brokers);
        changes.controllers = differing(&before.cluster.controllers, &after.cluster.controllers);
        changes.configs = differing(&before.configs.by_resource, &after.configs.by_resource);
        changes
    }

    /// Whether nothing changed that anybody could want to know.
    pub fn is_empty(&self) -> bool {
        *self == ImageChanges::default()
    }

    fn compare_topics(&mut self, before: &MetadataImage, after: &MetadataImage) {
        for (old, new) in pairs(before.topics.ordered_by_id(), after.topics.ordered_by_id()) {
            match (old, new) {
                (Some(old), Some(new)) => self.compare_partitions(Some(old), new),
                (None, Some(new)) => {
                    self.created.push(Arc::clone(new));
                    self.compare_partitions(None, new);
                }
                (Some(old), None) => self.deleted.push(Arc::clone(old)),
                (None, None) => {}
            }
        }
    }

    fn compare_partitions(&mut self, old: Option<&Arc<Topic>>, new: &Arc<Topic>) {
        if old.is_some_and(|old| Arc::ptr_eq(old, new)) {
            return;
        }
        for (index, after) in new.partitions() {
            let before = old.and_then(|old| old.partition(index));
            if before.is_none_or(|before| !Arc::ptr_eq(before, after) && before != after) {
                self.partitions.push(PartitionAt {
                    topic: Arc::clone(new),
                    index,
                    before: before.cloned(),
                    after: Arc::clone(after),
                });
            }
        }
    }
}

/// Pairs the topics of two lists that are ordered by id.
fn pairs<'a>(
    old: impl Iterator<Item = &'a Arc<Topic>>,
    new: impl Iterator<Item = &'a Arc<Topic>>,
) -> impl Iterator<Item = (Option<&'a Arc<Topic>>, Option<&'a Arc<Topic>>)> {
    let (mut old, mut new) = (old.peekable(), new.peekable());
    std::iter::from_fn(move || {
        let (left, right) = (old.peek().map(|topic| topic.id), new.peek().map(|topic| topic.id));
        let (take_old, take_new) = match (left, right) {
            (None, None) => return None,
            (Some(left), Some(right)) => (left <= right, right <= left),
            (left, right) => (left.is_some(), right.is_some()),
        };
        Some((old.next_if(|_| take_old), new.next_if(|_| take_new)))
    })
}

/// The keys that are in one map only or whose values differ.
fn differing<K: Ord + Clone, V: PartialEq>(
    old: &Arc<BTreeMap<K, Arc<V>>>,
    new: &Arc<BTreeMap<K, Arc<V>>>,
) -> Vec<K> {
    if Arc::ptr_eq(old, new) {
        return Vec::new();
    }
    let same = |a: &Arc<V>, b: &Arc<V>| Arc::ptr_eq(a, b) || a == b;
    let changed = new.iter().filter(|(key, value)| old.get(key).is_none_or(|before| !same(before, value)));
    let gone = old.keys().filter(|key| !new.contains_key(key));
    let mut keys: Vec<_> = changed.map(|(key, _)| key).chain(gone).cloned().collect();
    keys.sort();
    keys
}
