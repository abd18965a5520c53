//! OffsetFetch (API key 9): how far groups have read.
//!
//! Versions below 8 ask for one group and are answered in its terms; the work is done on the newer form.
//!
//! Source: requirements OFF-03, OFF-04, TRAP-18.

use std::collections::HashMap;

use ottla_coordinator::group::{
    FetchAs, FetchOffsets, FetchedPartition, FetchedTopic, GroupAnswer, GroupCommand, OffsetEntry,
    PartitionsOfTopic, Wanted,
};
use ottla_metadata::image::MetadataImage;
use ottla_model::{GroupId, MemberId, PartitionIndex, TopicId, TopicName, Uuid};
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::offset_fetch_request::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics,
};
use ottla_protocol::messages::offset_fetch_response::{
    OffsetFetchResponse, OffsetFetchResponseGroup, OffsetFetchResponsePartition,
    OffsetFetchResponsePartitions, OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};
use ottla_security::Operation;

use crate::caller::Caller;
use crate::error_code;
use crate::node::Node;

/// First version that asks for several groups.
const FIRST_BATCHED: i16 = 8;
/// First version that names topics by id.
const FIRST_BY_ID: i16 = 10;
/// First version with an error of the group as a whole.
const FIRST_WITH_GROUP_ERROR: i16 = 2;

/// Serves one request.
pub async fn handle(
    node: &Node,
    caller: &Caller,
    version: i16,
    request: OffsetFetchRequest,
) -> OffsetFetchResponse {
    let question = Question { node, caller, by_id: version >= FIRST_BY_ID, stable: request.require_stable };
    if version >= FIRST_BATCHED {
        let mut groups = Vec::with_capacity(request.groups.len());
        for group in request.groups {
            groups.push(question.of_group(group).await);
        }
        return OffsetFetchResponse { groups, ..OffsetFetchResponse::default() };
    }
    let topics = request.topics.map(|topics| {
        let newer = topics.into_iter().map(|topic| OffsetFetchRequestTopics {
            name: topic.name,
            topic_id: Uuid::ZERO,
            partition_indexes: topic.partition_indexes,
        });
        newer.collect::<Vec<_>>()
    });
    let asked = topics.clone().unwrap_or_default();
    let group =
        OffsetFetchRequestGroup { group_id: request.group_id, topics, ..OffsetFetchRequestGroup::default() };
    older_form(version, question.of_group(group).await, asked)
}

struct Question<'a> {
    node: &'a Node,
    caller: &'a Caller,
    by_id: bool,
    stable: bool,
}

impl Question<'_> {
    async fn of_group(&self, group: OffsetFetchRequestGroup) -> OffsetFetchResponseGroup {
        let id = group.group_id;
        if !self.node.access.may_group(self.caller, Operation::Describe, &id) {
            return group_row(id, ErrorCode::GroupAuthorizationFailed, Vec::new());
        }
        let image = self.node.image();
        let wanted = match &group.topics {
            None => Wanted::All,
            Some(topics) => {
                Wanted::Named(topics.iter().filter_map(|topic| self.named(&image, topic)).collect())
            }
        };
        let asker =
            FetchAs { member: group.member_id.as_deref().map(MemberId::new), epoch: group.member_epoch };
        let command = FetchOffsets { group: GroupId::new(&id), wanted, require_stable: self.stable, asker };
        let answer = self.node.groups.ask(GroupCommand::FetchOffsets(command)).await;
        let GroupAnswer::FetchOffsets(fetched) = answer else {
            unreachable!("a fetch of offsets is answered as one");
        };
        match fetched {
            Ok(fetched) => {
                let topics = match group.topics {
                    None => self.all_rows(&image, fetched),
                    Some(asked) => self.named_rows(&image, &asked, fetched),
                };
                group_row(id, ErrorCode::None, topics)
            }
            Err(error) => group_row(id, error_code::of_offset_fetch(&error), Vec::new()),
        }
    }

    /// What to ask the coordinator for; `None` for what is refused or cannot exist.
    fn named(&self, image: &MetadataImage, topic: &OffsetFetchRequestTopics) -> Option<PartitionsOfTopic> {
        let (name, topic_id) = self.resolve(image, topic)?;
        if !self.node.access.may_topic(self.caller, Operation::Describe, name.as_str()) {
            return None;
        }
        let partitions = topic.partition_indexes.iter().filter_map(|index| PartitionIndex::new(*index));
        Some(PartitionsOfTopic { topic: name, topic_id, partitions: partitions.collect() })
    }

    fn resolve(
        &self,
        image: &MetadataImage,
        topic: &OffsetFetchRequestTopics,
    ) -> Option<(TopicName, Option<TopicId>)> {
        if self.by_id {
            let id = TopicId::new(topic.topic_id)?;
            return Some((image.topics.by_id(id)?.name.clone(), Some(id)));
        }
        Some((TopicName::new(&topic.name).ok()?, None))
    }

    /// Everything the group stored, but for topics the caller may not know of.
    fn all_rows(&self, image: &MetadataImage, fetched: Vec<FetchedTopic>) -> Vec<OffsetFetchResponseTopics> {
        let row = |topic: FetchedTopic| {
            let visible = self.node.access.may_topic(self.caller, Operation::Describe, topic.topic.as_str());
            let current = image.topics.by_name(topic.topic.as_str()).map(|known| known.id);
            let id = topic.topic_id.or(current);
            // Whoever speaks in ids cannot be told of a topic that has none.
            if !visible || (self.by_id && id.is_none()) {
                return None;
            }
            let stored = |row: &FetchedPartition| !matches!(row.result, Ok(None));
            Some(OffsetFetchResponseTopics {
                name: topic.topic.to_string(),
                topic_id: id.filter(|_| self.by_id).map_or(Uuid::ZERO, TopicId::uuid),
                partitions: topic.partitions.iter().filter(|row| stored(row)).map(partition_row).collect(),
            })
        };
        fetched.into_iter().filter_map(row).collect()
    }

    /// One row for everything asked for, in the request's order; what is refused stands behind the rest, as in Kafka.
    fn named_rows(
        &self,
        image: &MetadataImage,
        asked: &[OffsetFetchRequestTopics],
        fetched: Vec<FetchedTopic>,
    ) -> Vec<OffsetFetchResponseTopics> {
        let mut found = HashMap::new();
        for topic in &fetched {
            for partition in &topic.partitions {
                found.insert((topic.topic.as_str(), partition.partition.value()), partition);
            }
        }
        let row = |topic: &OffsetFetchRequestTopics| {
            let resolved = self.resolve(image, topic);
            let name = resolved.as_ref().map_or(topic.name.as_str(), |(name, _)| name.as_str());
            let error = if self.by_id && resolved.is_none() {
                Some(ErrorCode::UnknownTopicId)
            } else if !self.node.access.may_topic(self.caller, Operation::Describe, name) {
                Some(ErrorCode::TopicAuthorizationFailed)
            } else {
                None
            };
            let partition = |index: &i32| match (error, found.get(&(name, *index))) {
                (Some(error), _) => missing(*index, error),
                (None, Some(partition)) => partition_row(partition),
                (None, None) => missing(*index, ErrorCode::None),
            };
            let row = OffsetFetchResponseTopics {
                name: topic.name.clone(),
                topic_id: topic.topic_id,
                partitions: topic.partition_indexes.iter().map(partition).collect(),
            };
            (error.is_some(), row)
        };
        let mut rows: Vec<_> = asked.iter().map(row).collect();
        rows.sort_by_key(|(refused, _)| *refused);
        rows.into_iter().map(|(_, row)| row).collect()
    }
}

fn partition_row(partition: &FetchedPartition) -> OffsetFetchResponsePartitions {
    let index = partition.partition.value();
    let stored = |offset: &OffsetEntry| OffsetFetchResponsePartitions {
        partition_index: index,
        committed_offset: offset.position.0,
        committed_leader_epoch: offset.leader_epoch.map_or(-1, ottla_model::LeaderEpoch::value),
        metadata: Some(offset.metadata.to_string()),
        error_code: 0,
    };
    match &partition.result {
        Ok(Some(offset)) => stored(offset),
        Ok(None) => missing(index, ErrorCode::None),
        Err(_) => missing(index, ErrorCode::UnstableOffsetCommit),
    }
}

fn missing(partition_index: i32, error: ErrorCode) -> OffsetFetchResponsePartitions {
    OffsetFetchResponsePartitions {
        partition_index,
        committed_offset: -1,
        committed_leader_epoch: -1,
        metadata: Some(String::new()),
        error_code: error.number(),
    }
}

fn group_row(
    group_id: String,
    error: ErrorCode,
    topics: Vec<OffsetFetchResponseTopics>,
) -> OffsetFetchResponseGroup {
    OffsetFetchResponseGroup { group_id, topics, error_code: error.number() }
}

/// The answer of versions below 8. Version 1 has no place for an error of the group: each partition carries it.
fn older_form(
    version: i16,
    group: OffsetFetchResponseGroup,
    asked: Vec<OffsetFetchRequestTopics>,
) -> OffsetFetchResponse {
    let everywhere = group.error_code != 0 && version < FIRST_WITH_GROUP_ERROR;
    let topics = if everywhere {
        let partition = |index: &i32| OffsetFetchResponsePartitions {
            error_code: group.error_code,
            ..missing(*index, ErrorCode::None)
        };
        let refused = asked.into_iter().map(|topic| OffsetFetchResponseTopics {
            name: topic.name,
            topic_id: Uuid::ZERO,
            partitions: topic.partition_indexes.iter().map(partition).collect(),
        });
        refused.collect()
    } else {
        group.topics
    };
    let older = |topic: OffsetFetchResponseTopics| OffsetFetchResponseTopic {
        name: topic.name,
        partitions: topic
            .partitions
            .into_iter()
            .map(|partition| OffsetFetchResponsePartition {
                partition_index: partition.partition_index,
                committed_offset: partition.committed_offset,
                committed_leader_epoch: partition.committed_leader_epoch,
                metadata: partition.metadata,
                error_code: partition.error_code,
            })
            .collect(),
    };
    OffsetFetchResponse {
        topics: topics.into_iter().map(older).collect(),
        error_code: if version >= FIRST_WITH_GROUP_ERROR { group.error_code } else { 0 },
        ..OffsetFetchResponse::default()
    }
}
