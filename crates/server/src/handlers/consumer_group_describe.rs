//! ConsumerGroupDescribe (API key 69): state, epochs and members of consumer groups.
//!
//! Source: requirement CGP-13; KIP-848.

use std::collections::BTreeSet;

use ottla_coordinator::group::{self, DescribeError, GroupAnswer, GroupCommand, NamedPartition};
use ottla_model::GroupId;
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::consumer_group_describe_request::ConsumerGroupDescribeRequest;
use ottla_protocol::messages::consumer_group_describe_response::{
    Assignment, ConsumerGroupDescribeResponse, DescribedGroup, Member, TopicPartitions,
};
use ottla_security::{Operation, ResourceType};

use crate::access::NOT_ASKED;
use crate::caller::Caller;
use crate::error_code;
use crate::node::Node;

/// Numbers of the two protocols a member may speak, from version 1 on.
const CLASSIC: i8 = 0;
const CONSUMER: i8 = 1;

/// What a caller is told who may see the group, but not its topics.
const HIDDEN_TOPICS: &str = "The group has described topic(s) that the client is not authorized to describe.";

/// Serves one request.
pub async fn handle(
    node: &Node,
    caller: &Caller,
    request: ConsumerGroupDescribeRequest,
) -> ConsumerGroupDescribeResponse {
    let mut groups = Vec::with_capacity(request.group_ids.len());
    for id in request.group_ids {
        if !node.serves_consumer_groups() {
            groups.push(refused(id, ErrorCode::UnsupportedVersion, None));
            continue;
        }
        if !node.access.may_group(caller, Operation::Describe, &id) {
            groups.push(refused(id, ErrorCode::GroupAuthorizationFailed, None));
            continue;
        }
        let mut row = describe(node, caller, id).await;
        if request.include_authorized_operations && row.error_code == 0 {
            row.authorized_operations =
                node.access.authorized_operations(caller, ResourceType::Group, &row.group_id);
        }
        groups.push(row);
    }
    ConsumerGroupDescribeResponse { throttle_time_ms: 0, groups }
}

async fn describe(node: &Node, caller: &Caller, id: String) -> DescribedGroup {
    let command = GroupCommand::DescribeConsumers(GroupId::new(&id));
    let GroupAnswer::DescribeConsumers(described) = node.groups.ask(command).await else {
        unreachable!("a description is answered as one");
    };
    let described = match described {
        Ok(described) => described,
        Err(error) => {
            let message = match &error {
                DescribeError::UnknownGroup { .. } | DescribeError::OtherType { .. } => {
                    Some(error.to_string())
                }
                DescribeError::InvalidGroupId | DescribeError::Unavailable(_) => None,
            };
            return refused(id, error_code::of_describe_group(&error), message);
        }
    };
    let shown = described.members.iter().flat_map(|member| member.assignment.iter().chain(&member.target));
    let topics: BTreeSet<&str> = shown.map(|partition| partition.topic.as_str()).collect();
    if !topics.into_iter().all(|topic| node.access.may_topic(caller, Operation::Describe, topic)) {
        return refused(id, ErrorCode::TopicAuthorizationFailed, Some(HIDDEN_TOPICS.to_owned()));
    }
    row(described)
}

fn row(described: group::DescribedConsumerGroup) -> DescribedGroup {
    DescribedGroup {
        error_code: 0,
        error_message: None,
        group_id: described.group.as_str().to_owned(),
        group_state: described.state.to_string(),
        group_epoch: described.epoch.value(),
        assignment_epoch: described.assignment_epoch.value(),
        assignor_name: described.assignor.name().to_owned(),
        members: described.members.into_iter().map(member).collect(),
        authorized_operations: NOT_ASKED,
    }
}

fn member(member: group::DescribedConsumer) -> Member {
    Member {
        member_id: member.member.as_str().to_owned(),
        instance_id: member.instance.map(|instance| instance.as_str().to_owned()),
        rack_id: member.rack.map(|rack| rack.to_string()),
        member_epoch: member.epoch.value(),
        client_id: member.client_id.to_string(),
        client_host: member.client_host.to_string(),
        subscribed_topic_names: member.names.into_iter().collect(),
        subscribed_topic_regex: Some(member.regex.to_string()),
        assignment: assignment(&member.assignment),
        target_assignment: assignment(&member.target),
        member_type: if member.is_classic { CLASSIC } else { CONSUMER },
    }
}

fn assignment(partitions: &[NamedPartition]) -> Assignment {
    let mut topics: Vec<TopicPartitions> = Vec::new();
    for NamedPartition { topic, id } in partitions {
        match topics.last_mut().filter(|last| last.topic_id == id.topic.uuid()) {
            Some(last) => last.partitions.push(id.partition.value()),
            None => topics.push(TopicPartitions {
                topic_id: id.topic.uuid(),
                topic_name: topic.to_string(),
                partitions: vec![id.partition.value()],
            }),
        }
    }
    Assignment { topic_partitions: topics }
}

fn refused(id: String, error: ErrorCode, message: Option<String>) -> DescribedGroup {
    DescribedGroup {
        error_code: error.number(),
        error_message: message,
        group_id: id,
        ..DescribedGroup::default()
    }
}
