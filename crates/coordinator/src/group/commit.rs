//! Committing, fetching and deleting offsets.
//!
//! Owns: what an accepted request writes or shows, partition by partition.
//! Does not own: whether the group accepts it (`session`), permissions and the existence of topics (`server`).
//!
//! Source: requirements OFF-01, OFF-03, OFF-06, OFF-07, TRAP-18.

use std::collections::BTreeMap;
use std::sync::Arc;

use ottla_model::{GroupId, PartitionIndex, TopicId};

use super::answer::{
    CommitPartitionError, CommittedPartition, CommittedTopic, FetchedPartition, FetchedTopic, OffsetUnstable,
};
use super::command::{CommitOffsets, CommitPartition, CommitTopic, FetchOffsets, PartitionsOfTopic, Wanted};
use super::offsets::{OffsetStore, Stored};
use super::record::{GroupRecord, OffsetEntry, OffsetKey};
use crate::runtime::Now;

/// The records of a commit, and the answer once they are committed. `metadata_max` is in UTF-16 units.
pub(super) fn commit(
    command: &CommitOffsets,
    metadata_max: usize,
    now: Now,
) -> (Vec<GroupRecord>, Vec<CommittedTopic>) {
    let mut records = Vec::new();
    let mut topics = Vec::with_capacity(command.topics.len());
    for topic in &command.topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for partition in &topic.partitions {
            let got = partition.metadata.encode_utf16().count();
            let result = if got > metadata_max {
                Err(CommitPartitionError::MetadataTooLarge { got, max: metadata_max })
            } else {
                records.push(record(command, topic, partition, now));
                Ok(())
            };
            partitions.push(CommittedPartition { partition: partition.partition, result });
        }
        topics.push(CommittedTopic { topic: topic.topic.clone(), topic_id: topic.topic_id, partitions });
    }
    (records, topics)
}

fn record(
    command: &CommitOffsets,
    topic: &CommitTopic,
    partition: &CommitPartition,
    now: Now,
) -> GroupRecord {
    let expires_at = command.retention.map(|retention| {
        let millis = i64::try_from(retention.as_millis()).unwrap_or(i64::MAX);
        now.wall.plus_millis(millis)
    });
    let entry = OffsetEntry {
        position: partition.position,
        leader_epoch: partition.leader_epoch,
        metadata: partition.metadata.as_str().into(),
        committed_at: now.wall,
        expires_at,
        topic_id: topic.topic_id,
    };
    let key = OffsetKey {
        group: command.group.clone(),
        topic: topic.topic.clone(),
        partition: partition.partition,
    };
    GroupRecord::Offset { key, value: Some(Arc::new(entry)) }
}

/// What a group has committed. A group that does not exist has committed nothing, which is no error (OFF-03).
pub(super) fn fetch(offsets: &OffsetStore, command: &FetchOffsets) -> Vec<FetchedTopic> {
    let look = Look { offsets, group: &command.group, require_stable: command.require_stable };
    match &command.wanted {
        Wanted::Named(topics) => topics.iter().map(|topic| look.named(topic)).collect(),
        Wanted::All => look.all(),
    }
}

struct Look<'a> {
    offsets: &'a OffsetStore,
    group: &'a GroupId,
    require_stable: bool,
}

impl Look<'_> {
    fn named(&self, wanted: &PartitionsOfTopic) -> FetchedTopic {
        let known = self.offsets.of_topic(self.group, &wanted.topic);
        let find = |partition: PartitionIndex| {
            let entry = known.and_then(|partitions| partitions.get(&partition))?.entry.clone();
            // An offset of an earlier topic of this name says nothing about the present one.
            let same = |id| wanted.topic_id.is_none_or(|wanted| wanted == id);
            entry.topic_id.is_none_or(same).then_some(entry)
        };
        let partitions = wanted.partitions.iter().map(|partition| {
            let key =
                OffsetKey { group: self.group.clone(), topic: wanted.topic.clone(), partition: *partition };
            self.partition(&key, find(*partition))
        });
        FetchedTopic {
            topic: wanted.topic.clone(),
            topic_id: wanted.topic_id,
            partitions: partitions.collect(),
        }
    }

    fn all(&self) -> Vec<FetchedTopic> {
        let topics = self.offsets.of_group(self.group).map(|(topic, known)| {
            let partitions = known.iter().map(|(partition, stored)| {
                let key =
                    OffsetKey { group: self.group.clone(), topic: topic.clone(), partition: *partition };
                self.partition(&key, Some(stored.entry.clone()))
            });
            FetchedTopic { topic: topic.clone(), topic_id: topic_id(known), partitions: partitions.collect() }
        });
        topics.collect()
    }

    fn partition(&self, key: &OffsetKey, found: Option<Arc<OffsetEntry>>) -> FetchedPartition {
        let unstable = self.require_stable && self.offsets.is_unstable(key);
        FetchedPartition {
            partition: key.partition,
            result: if unstable { Err(OffsetUnstable) } else { Ok(found) },
        }
    }
}

/// The id most recently stored with any partition of a topic.
fn topic_id(partitions: &BTreeMap<PartitionIndex, Stored>) -> Option<TopicId> {
    partitions.values().filter_map(|stored| stored.entry.topic_id).next_back()
}

/// The tombstone of an offset, if there is one to remove.
pub(super) fn tombstone(offsets: &OffsetStore, key: OffsetKey) -> Option<GroupRecord> {
    let exists = offsets.get(&key).is_some() || offsets.is_unstable(&key);
    exists.then_some(GroupRecord::Offset { key, value: None })
}

/// The tombstones of partitions that are gone, in all groups.
pub(super) fn forget(offsets: &OffsetStore, gone: &[PartitionsOfTopic]) -> Vec<GroupRecord> {
    let mut records = Vec::new();
    for group in offsets.groups() {
        for topic in gone {
            let keys = topic.partitions.iter().map(|partition| OffsetKey {
                group: group.clone(),
                topic: topic.topic.clone(),
                partition: *partition,
            });
            records.extend(keys.filter_map(|key| tombstone(offsets, key)));
        }
    }
    records
}
