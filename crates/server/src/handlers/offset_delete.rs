//! OffsetDelete (API key 47): removes committed offsets of topics a group no longer reads.
//!
//! Source: requirement OFF-07, KIP-496.

use std::collections::{HashMap, HashSet};

use ottla_coordinator::group::{DeleteOffsets, DeletedTopic, GroupAnswer, GroupCommand, PartitionsOfTopic};
use ottla_metadata::image::MetadataImage;
use ottla_model::{GroupId, PartitionIndex};
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::offset_delete_request::{OffsetDeleteRequest, OffsetDeleteRequestTopic};
use ottla_protocol::messages::offset_delete_response::{
    OffsetDeleteResponse, OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};
use ottla_security::Operation;

use crate::caller::Caller;
use crate::error_code;
use crate::node::Node;

/// Serves one request.
pub async fn handle(node: &Node, caller: &Caller, request: OffsetDeleteRequest) -> OffsetDeleteResponse {
    if !node.access.may_group(caller, Operation::Delete, &request.group_id) {
        return refused(ErrorCode::GroupAuthorizationFailed);
    }
    let image = node.image();
    let mut errors = HashMap::new();
    let mut topics = Vec::new();
    for topic in &request.topics {
        topics.extend(check_topic(node, caller, (&image, topic), &mut errors));
    }
    // A topic that there is, without partitions, is not answered.
    let is_refused = |name: &str| {
        image.topics.by_name(name).is_none() || !node.access.may_topic(caller, Operation::Read, name)
    };
    let answered =
        request.topics.iter().filter(|topic| !topic.partitions.is_empty() || is_refused(&topic.name));
    let mut rows: Vec<_> = answered.map(|topic| row(topic, &errors)).collect();
    refused_first(&mut rows);
    let command = DeleteOffsets { group: GroupId::new(&request.group_id), topics };
    let answer = node.groups.ask(GroupCommand::DeleteOffsets(command)).await;
    let GroupAnswer::DeleteOffsets(deleted) = answer else {
        unreachable!("a deletion of offsets is answered as one");
    };
    match deleted {
        Err(error) => return refused(error_code::of_delete_offsets(&error)),
        Ok(deleted) => mark_subscribed(&mut rows, &deleted),
    }
    OffsetDeleteResponse { topics: rows, ..OffsetDeleteResponse::default() }
}

/// What the coordinator refused to delete is still read by the group.
fn mark_subscribed(rows: &mut [OffsetDeleteResponseTopic], deleted: &[DeletedTopic]) {
    let mut refused: HashSet<(&str, i32)> = HashSet::new();
    for topic in deleted {
        let of_topic = topic.partitions.iter().filter(|partition| partition.result.is_err());
        refused.extend(of_topic.map(|partition| (topic.topic.as_str(), partition.partition.value())));
    }
    for row in rows {
        for partition in &mut row.partitions {
            if refused.contains(&(row.name.as_str(), partition.partition_index)) {
                partition.error_code = ErrorCode::GroupSubscribedToTopic.number();
            }
        }
    }
}

/// The order in which Kafka answers: what never reached the coordinator stands before the rest, topic by topic and
/// within a topic.
fn refused_first(topics: &mut [OffsetDeleteResponseTopic]) {
    for topic in topics.iter_mut() {
        topic.partitions.sort_by_key(|row| row.error_code == 0);
    }
    topics.sort_by_key(|topic| topic.partitions.first().is_none_or(|row| row.error_code == 0));
}

/// Notes errors of what cannot be deleted; the rest goes to the coordinator.
fn check_topic(
    node: &Node,
    caller: &Caller,
    (image, topic): (&MetadataImage, &OffsetDeleteRequestTopic),
    errors: &mut HashMap<(String, i32), ErrorCode>,
) -> Option<PartitionsOfTopic> {
    let allowed = node.access.may_topic(caller, Operation::Read, &topic.name);
    let known = image.topics.by_name(&topic.name);
    let mut partitions = Vec::new();
    for partition in &topic.partitions {
        let index = PartitionIndex::new(partition.partition_index);
        let index = index.filter(|index| known.is_some_and(|known| known.partition(*index).is_some()));
        let at = (topic.name.clone(), partition.partition_index);
        match index {
            _ if !allowed => {
                errors.insert(at, ErrorCode::TopicAuthorizationFailed);
            }
            None => {
                errors.insert(at, ErrorCode::UnknownTopicOrPartition);
            }
            Some(index) => partitions.push(index),
        }
    }
    let known = known.filter(|_| !partitions.is_empty())?;
    Some(PartitionsOfTopic { topic: known.name.clone(), topic_id: Some(known.id), partitions })
}

fn row(
    topic: &OffsetDeleteRequestTopic,
    errors: &HashMap<(String, i32), ErrorCode>,
) -> OffsetDeleteResponseTopic {
    let partition = |index: i32| OffsetDeleteResponsePartition {
        partition_index: index,
        error_code: errors.get(&(topic.name.clone(), index)).map_or(0, |error| error.number()),
    };
    OffsetDeleteResponseTopic {
        name: topic.name.clone(),
        partitions: topic.partitions.iter().map(|asked| partition(asked.partition_index)).collect(),
    }
}

fn refused(error: ErrorCode) -> OffsetDeleteResponse {
    OffsetDeleteResponse { error_code: error.number(), ..OffsetDeleteResponse::default() }
}
