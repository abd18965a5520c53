//! OffsetCommit (API key 8): a group stores how far it has read.
//!
//! Source: requirements OFF-01, OFF-02, GRP-02, TRAP-18.

use std::collections::HashMap;
use std::time::Duration;

use ottla_coordinator::group::{
    CommitOffsets, CommitPartition, CommitTopic, CommittedPosition, GroupAnswer, GroupCommand,
};
use ottla_metadata::image::MetadataImage;
use ottla_model::{GenerationId, GroupId, GroupInstanceId, LeaderEpoch, MemberId, TopicId};
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::offset_commit_request::{OffsetCommitRequest, OffsetCommitRequestTopic};
use ottla_protocol::messages::offset_commit_response::{
    OffsetCommitResponse, OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use ottla_security::Operation;

use crate::caller::Caller;
use crate::error_code;
use crate::node::Node;

/// First version that members of consumer groups may use.
const FIRST_WITH_EPOCHS: i16 = 9;
/// First version that names topics by id.
const FIRST_BY_ID: i16 = 10;
/// Last version in which the client decides how long offsets are kept.
const LAST_WITH_RETENTION: i16 = 4;
/// The retention of a client that leaves it to the broker.
const RETENTION_NOT_ASKED: i64 = -1;

/// Serves one request.
pub async fn handle(
    node: &Node,
    caller: &Caller,
    version: i16,
    request: OffsetCommitRequest,
) -> OffsetCommitResponse {
    if !node.access.may_group(caller, Operation::Read, &request.group_id) {
        return all_refused(&request.topics, ErrorCode::GroupAuthorizationFailed);
    }
    let image = node.image();
    let mut response = OffsetCommitResponse::default();
    let mut topics = Vec::new();
    for topic in &request.topics {
        let (row, commit) = check_topic(node, caller, (version, &image), topic);
        response.topics.extend(row);
        topics.extend(commit);
    }
    refused_first(&mut response.topics);
    if topics.is_empty() {
        return response;
    }
    let command = CommitOffsets {
        group: GroupId::new(&request.group_id),
        generation: GenerationId::new(request.generation_id_or_member_epoch),
        member: MemberId::new(&request.member_id),
        instance: request.group_instance_id.as_deref().map(GroupInstanceId::new),
        speaks_of_epochs: version >= FIRST_WITH_EPOCHS,
        retention: retention(version, request.retention_time_ms),
        transaction: None,
        topics,
    };
    let outcomes = outcomes(node, version, command).await;
    for topic in &mut response.topics {
        let name = topic.name.clone();
        for row in topic.partitions.iter_mut().filter(|row| row.error_code == PENDING) {
            let outcome = outcomes.of(&name, topic.topic_id, row.partition_index);
            row.error_code = outcome.number();
        }
    }
    response
}

/// How long the client wants the offsets kept. -1 leaves it to the broker; a time before now expires at once, as in
/// Kafka.
fn retention(version: i16, millis: i64) -> Option<Duration> {
    let asked = version <= LAST_WITH_RETENTION && millis != RETENTION_NOT_ASKED;
    asked.then(|| Duration::from_millis(u64::try_from(millis).unwrap_or(0)))
}

/// Marks a row whose outcome the coordinator decides. No error code has this number.
const PENDING: i16 = i16::MIN;

/// The order in which Kafka answers: what never reached the coordinator stands before the rest, topic by topic and
/// within a topic.
fn refused_first(topics: &mut [OffsetCommitResponseTopic]) {
    for topic in topics.iter_mut() {
        topic.partitions.sort_by_key(|row| row.error_code == PENDING);
    }
    topics.sort_by_key(|topic| topic.partitions.first().is_some_and(|row| row.error_code == PENDING));
}

/// The answer's row of one topic, with errors for what is not committed, and the rest as a command. A topic that there
/// is, without partitions, is not answered.
fn check_topic(
    node: &Node,
    caller: &Caller,
    (version, image): (i16, &MetadataImage),
    topic: &OffsetCommitRequestTopic,
) -> (Option<OffsetCommitResponseTopic>, Option<CommitTopic>) {
    let by_id = version >= FIRST_BY_ID;
    let known = if by_id {
        TopicId::new(topic.topic_id).and_then(|id| image.topics.by_id(id))
    } else {
        image.topics.by_name(&topic.name)
    };
    let name = if by_id { known.map(|known| known.name.as_str()) } else { Some(topic.name.as_str()) };
    let refused = match name {
        None => Some(ErrorCode::UnknownTopicId),
        Some(name) if !node.access.may_topic(caller, Operation::Read, name) => {
            Some(ErrorCode::TopicAuthorizationFailed)
        }
        Some(_) => None,
    };
    let (mut rows, mut partitions) = (Vec::with_capacity(topic.partitions.len()), Vec::new());
    for partition in &topic.partitions {
        let found = known.and_then(|known| known.numbered(partition.partition_index));
        let error = refused.or_else(|| found.is_none().then_some(ErrorCode::UnknownTopicOrPartition));
        let error_code = error.map_or(PENDING, ErrorCode::number);
        rows.push(OffsetCommitResponsePartition { partition_index: partition.partition_index, error_code });
        if error.is_none()
            && let Some((index, _)) = found
        {
            partitions.push(CommitPartition {
                partition: index,
                position: CommittedPosition(partition.committed_offset),
                leader_epoch: LeaderEpoch::new(partition.committed_leader_epoch),
                metadata: partition.committed_metadata.clone().unwrap_or_default(),
            });
        }
    }
    let row =
        OffsetCommitResponseTopic { name: topic.name.clone(), topic_id: topic.topic_id, partitions: rows };
    let commit = known.filter(|_| !partitions.is_empty()).map(|known| CommitTopic {
        topic: known.name.clone(),
        topic_id: Some(known.id),
        partitions,
    });
    let is_answered = !row.partitions.is_empty() || known.is_none() || refused.is_some();
    (is_answered.then_some(row), commit)
}

/// What the coordinator said, by topic and partition.
enum Outcomes {
    All(ErrorCode),
    Each { by_name: HashMap<(String, i32), ErrorCode>, by_id: HashMap<(TopicId, i32), ErrorCode> },
}

impl Outcomes {
    fn of(&self, name: &str, id: ottla_model::Uuid, partition: i32) -> ErrorCode {
        match self {
            Outcomes::All(error) => *error,
            Outcomes::Each { by_name, by_id } => {
                let named = || by_name.get(&(name.to_owned(), partition)).copied();
                let id = TopicId::new(id).and_then(|id| by_id.get(&(id, partition)).copied());
                id.or_else(named).unwrap_or(ErrorCode::UnknownServerError)
            }
        }
    }
}

async fn outcomes(node: &Node, version: i16, command: CommitOffsets) -> Outcomes {
    let GroupAnswer::CommitOffsets(committed) = node.groups.ask(GroupCommand::CommitOffsets(command)).await
    else {
        unreachable!("a commit is answered as one");
    };
    match committed {
        Err(error) => Outcomes::All(error_code::of_commit(&error, version)),
        Ok(topics) => {
            let (mut by_name, mut by_id) = (HashMap::new(), HashMap::new());
            for topic in topics {
                for partition in topic.partitions {
                    let error = partition.result.as_ref();
                    let error = error.map_or_else(error_code::of_commit_partition, |()| ErrorCode::None);
                    by_name.insert((topic.topic.to_string(), partition.partition.value()), error);
                    if let Some(id) = topic.topic_id {
                        by_id.insert((id, partition.partition.value()), error);
                    }
                }
            }
            Outcomes::Each { by_name, by_id }
        }
    }
}

fn all_refused(topics: &[OffsetCommitRequestTopic], error: ErrorCode) -> OffsetCommitResponse {
    let row = |topic: &OffsetCommitRequestTopic| OffsetCommitResponseTopic {
        name: topic.name.clone(),
        topic_id: topic.topic_id,
        partitions: topic
            .partitions
            .iter()
            .map(|partition| OffsetCommitResponsePartition {
                partition_index: partition.partition_index,
                error_code: error.number(),
            })
            .collect(),
    };
    OffsetCommitResponse { throttle_time_ms: 0, topics: topics.iter().map(row).collect() }
}
