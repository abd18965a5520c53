//! ConsumerGroupHeartbeat (API key 68): a member of a consumer group joins, stays, leaves.
//!
//! Source: requirements CGP-01 to CGP-05, CGP-10, CGP-11; KIP-848.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use ottla_coordinator::group::{
    Beaten, ConsumerHeartbeat, ConsumerHeartbeatError, GroupAnswer, GroupCommand, IdPartition, LookUp,
    look_up,
};
use ottla_env::task;
use ottla_env::time::wall_now;
use ottla_model::{GroupId, GroupInstanceId, MemberId, PartitionIndex, TopicId};
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::consumer_group_heartbeat_request::{
    ConsumerGroupHeartbeatRequest, TopicPartitions as Owned,
};
use ottla_protocol::messages::consumer_group_heartbeat_response::{
    Assignment, ConsumerGroupHeartbeatResponse, TopicPartitions,
};
use ottla_security::Operation;

use crate::caller::Caller;
use crate::error_code;
use crate::node::Node;

/// First version in which members make their ids.
const FIRST_NAMING_ITSELF: i16 = 1;
/// A time that is not told.
const NOT_TOLD: i32 = -1;

/// Serves one request.
pub async fn handle(
    node: &Arc<Node>,
    caller: &Caller,
    version: i16,
    request: ConsumerGroupHeartbeatRequest,
) -> ConsumerGroupHeartbeatResponse {
    if !node.serves_consumer_groups() {
        return refused(ErrorCode::UnsupportedVersion, None);
    }
    if !node.access.may_group(caller, Operation::Read, &request.group_id) {
        return refused(ErrorCode::GroupAuthorizationFailed, None);
    }
    let named = request.subscribed_topic_names.iter().flatten();
    if !named.into_iter().all(|name| node.access.may_topic(caller, Operation::Describe, name)) {
        return refused(ErrorCode::TopicAuthorizationFailed, None);
    }
    let command = command_of(node, caller, version, request);
    let command = GroupCommand::ConsumerHeartbeat(Box::new(command));
    let GroupAnswer::ConsumerHeartbeat(beaten) = node.groups.ask(command).await else {
        unreachable!("a heartbeat is answered as one");
    };
    match beaten {
        Ok(mut beaten) => {
            if let Some(wanted) = beaten.look_up.take() {
                find(node, caller, wanted);
            }
            accepted(beaten)
        }
        Err(error) => {
            let code = error_code::of_consumer_heartbeat(&error);
            refused(code, Some(message(&error, code)))
        }
    }
}

/// Looks the topics of regular expressions up, with the permissions of the member, and tells the group. Nobody waits.
fn find(node: &Arc<Node>, caller: &Caller, wanted: LookUp) {
    let (node, caller) = (Arc::clone(node), caller.clone());
    drop(task::spawn(async move {
        let view = node.groups.view();
        let may_see = |topic: &str| node.access.may_topic(&caller, Operation::Describe, topic);
        let found = look_up(&wanted, &view.topics, wall_now(), may_see);
        if let GroupAnswer::Noted(Err(why)) = node.groups.ask(GroupCommand::TakeFound(found)).await {
            tracing::debug!(group = %wanted.group, %why, "topics of regular expressions are looked up again later");
        }
    }));
}

fn command_of(
    node: &Node,
    caller: &Caller,
    version: i16,
    request: ConsumerGroupHeartbeatRequest,
) -> ConsumerHeartbeat {
    let told = Some(request.rebalance_timeout_ms).filter(|millis| *millis != NOT_TOLD);
    ConsumerHeartbeat {
        group: GroupId::new(&request.group_id),
        member: MemberId::new(&request.member_id),
        epoch: request.member_epoch,
        instance: request.instance_id.as_deref().map(GroupInstanceId::new),
        rack: request.rack_id,
        rebalance_timeout: told.map(|millis| Duration::from_millis(u64::try_from(millis).unwrap_or(0))),
        names: request.subscribed_topic_names.map(|names| names.into_iter().collect()),
        regex: request.subscribed_topic_regex,
        assignor: request.server_assignor,
        owned: request.topic_partitions.as_deref().map(owned),
        client_id: Arc::clone(&caller.client_id),
        client_host: Arc::from(caller.host_text()),
        names_itself: version >= FIRST_NAMING_ITSELF,
        random: node.random.uuid(),
    }
}

/// What cannot be a partition is nothing that anybody has.
fn owned(topics: &[Owned]) -> BTreeSet<IdPartition> {
    let partitions =
        topics.iter().filter_map(|topic| Some((TopicId::new(topic.topic_id)?, &topic.partitions)));
    let each = partitions.flat_map(|(topic, indexes)| {
        let indexes = indexes.iter().filter_map(|index| PartitionIndex::new(*index));
        indexes.map(move |partition| IdPartition { topic, partition })
    });
    each.collect()
}

fn accepted(beaten: Beaten) -> ConsumerGroupHeartbeatResponse {
    let interval = beaten.heartbeat_interval.map_or(0, |interval| interval.as_millis());
    ConsumerGroupHeartbeatResponse {
        member_id: Some(beaten.member.as_str().to_owned()),
        member_epoch: beaten.epoch,
        heartbeat_interval_ms: i32::try_from(interval).unwrap_or(i32::MAX),
        assignment: beaten.assignment.as_ref().map(assignment),
        ..ConsumerGroupHeartbeatResponse::default()
    }
}

fn assignment(partitions: &BTreeSet<IdPartition>) -> Assignment {
    let mut topics: Vec<TopicPartitions> = Vec::new();
    for IdPartition { topic, partition } in partitions {
        match topics.last_mut().filter(|last| last.topic_id == topic.uuid()) {
            Some(last) => last.partitions.push(partition.value()),
            None => {
                topics.push(TopicPartitions { topic_id: topic.uuid(), partitions: vec![partition.value()] })
            }
        }
    }
    Assignment { topic_partitions: topics }
}

fn message(error: &ConsumerHeartbeatError, code: ErrorCode) -> String {
    // Clients know these by their code; the sentence is the usual one.
    if matches!(error, ConsumerHeartbeatError::Unavailable(_)) {
        return code.message().to_owned();
    }
    error.to_string()
}

fn refused(error: ErrorCode, message: Option<String>) -> ConsumerGroupHeartbeatResponse {
    ConsumerGroupHeartbeatResponse {
        error_code: error.number(),
        error_message: message,
        ..ConsumerGroupHeartbeatResponse::default()
    }
}
