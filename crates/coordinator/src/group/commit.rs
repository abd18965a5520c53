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

/// The tombstones of partitions that are gone, in all groups. What was committed to a later topic of the same name stays.
pub(super) fn forget(offsets: &OffsetStore, gone: &[PartitionsOfTopic]) -> Vec<GroupRecord> {
    let mut records = Vec::new();
    for group in offsets.groups() {
        for topic in gone {
            let keys = topic.partitions.iter().map(|partition| OffsetKey {
                group: group.clone(),
                topic: topic.topic.clone(),
                partition: *partition,
            });
            let of_gone = |key: &OffsetKey| {
                let id = offsets.get(key).and_then(|stored| stored.entry.topic_id);
                id.is_none() || topic.topic_id.is_none() || id == topic.topic_id
            };
            records.extend(keys.filter(of_gone).filter_map(|key| tombstone(offsets, key)));
        }
    }
    records
}

#[cfg(test)]
mod tests {
    use ottla_model::{LeaderEpoch, Timestamp, TopicName, Uuid};

    use super::*;
    use crate::group::{CommittedPosition, FetchAs};

    fn topic_id(byte: u8) -> Option<TopicId> {
        TopicId::new(Uuid::from_bytes([byte; 16]))
    }

    fn store_with(topic_id: Option<TopicId>) -> OffsetStore {
        let entry = OffsetEntry {
            position: CommittedPosition(5),
            leader_epoch: LeaderEpoch::new(1),
            metadata: "".into(),
            committed_at: Timestamp::from_millis(0),
            expires_at: None,
            topic_id,
        };
        let topic = TopicName::new("t").unwrap();
        let key = OffsetKey { group: GroupId::new("g"), topic, partition: PartitionIndex::default() };
        let mut offsets = OffsetStore::default();
        offsets.apply(&key, Some(&Arc::new(entry)), None);
        offsets
    }

    fn is_found(offsets: &OffsetStore, wanted: Option<TopicId>) -> bool {
        let topic = PartitionsOfTopic {
            topic: TopicName::new("t").unwrap(),
            topic_id: wanted,
            partitions: vec![PartitionIndex::default()],
        };
        let wanted = Wanted::Named(vec![topic]);
        let command = FetchOffsets {
            group: GroupId::new("g"),
            wanted,
            require_stable: false,
            asker: FetchAs::default(),
        };
        let fetched = fetch(offsets, &command);
        matches!(fetched[0].partitions[0].result, Ok(Some(_)))
    }

    /// OFF-03
    #[test]
    fn an_offset_of_an_earlier_topic_of_the_same_name_is_not_shown() {
        assert!(is_found(&store_with(topic_id(1)), topic_id(1)));
        assert!(!is_found(&store_with(topic_id(1)), topic_id(2)));
        assert!(is_found(&store_with(topic_id(1)), None));
        assert!(is_found(&store_with(None), topic_id(2)));
    }

    /// OFF-03
    #[test]
    fn all_offsets_come_with_the_topic_id_they_were_stored_with() {
        let command = FetchOffsets {
            group: GroupId::new("g"),
            wanted: Wanted::All,
            require_stable: false,
            asker: FetchAs::default(),
        };
        assert_eq!(fetch(&store_with(topic_id(3)), &command)[0].topic_id, topic_id(3));
    }

    /// OFF-06: the word that a topic is gone may come late, when there is another of its name.
    #[test]
    fn a_topic_that_is_gone_takes_no_offsets_of_its_successor_along() {
        let forgotten = |stored, gone| {
            let gone = PartitionsOfTopic {
                topic: TopicName::new("t").unwrap(),
                topic_id: gone,
                partitions: vec![PartitionIndex::default()],
            };
            forget(&store_with(stored), &[gone]).len()
        };
        assert_eq!(forgotten(topic_id(1), topic_id(1)), 1);
        assert_eq!(forgotten(topic_id(2), topic_id(1)), 0);
        assert_eq!((forgotten(None, topic_id(1)), forgotten(topic_id(2), None)), (1, 1));
    }

    /// OFF-03: an offset that a transaction is about to replace.
    #[test]
    fn an_unstable_offset_is_shown_only_to_those_who_do_not_mind() {
        let mut offsets = store_with(None);
        let topic = TopicName::new("t").unwrap();
        let key = OffsetKey { group: GroupId::new("g"), topic, partition: PartitionIndex::default() };
        let entry = offsets.get(&key).unwrap().entry.clone();
        offsets.apply(&key, Some(&entry), ottla_model::ProducerId::new(7));
        let result = |require_stable| {
            let command = FetchOffsets {
                group: GroupId::new("g"),
                wanted: Wanted::All,
                require_stable,
                asker: FetchAs::default(),
            };
            fetch(&offsets, &command)[0].partitions[0].result.clone()
        };
        assert_eq!(result(true), Err(OffsetUnstable));
        assert_eq!(result(false), Ok(Some(entry)));
    }
}
