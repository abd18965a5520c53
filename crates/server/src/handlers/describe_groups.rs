//! DescribeGroups (API key 15): state and members of classic groups.
//!
//! Source: requirement OFF-09, KIP-1043.

use ottla_coordinator::group::{self, DescribeError, GroupAnswer, GroupCommand};
use ottla_model::GroupId;
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::describe_groups_request::DescribeGroupsRequest;
use ottla_protocol::messages::describe_groups_response::{
    DescribeGroupsResponse, DescribedGroup, DescribedGroupMember,
};
use ottla_security::{Operation, ResourceType};

use crate::access::NOT_ASKED;
use crate::caller::Caller;
use crate::error_code;
use crate::node::Node;

/// First version that tells a missing group from a dead one.
const FIRST_WITH_NOT_FOUND: i16 = 6;

/// Serves one request.
pub async fn handle(
    node: &Node,
    caller: &Caller,
    version: i16,
    request: DescribeGroupsRequest,
) -> DescribeGroupsResponse {
    let mut groups = Vec::with_capacity(request.groups.len());
    for id in request.groups {
        if !node.access.may_group(caller, Operation::Describe, &id) {
            groups.push(refused(id, ErrorCode::GroupAuthorizationFailed));
            continue;
        }
        let mut row = describe(node, version, id).await;
        if request.include_authorized_operations && row.error_code == 0 {
            row.authorized_operations =
                node.access.authorized_operations(caller, ResourceType::Group, &row.group_id);
        }
        groups.push(row);
    }
    DescribeGroupsResponse { throttle_time_ms: 0, groups }
}

async fn describe(node: &Node, version: i16, id: String) -> DescribedGroup {
    let command = GroupCommand::Describe(GroupId::new(&id));
    let GroupAnswer::Describe(described) = node.groups.ask(command).await else {
        unreachable!("a description is answered as one");
    };
    match described {
        Ok(described) => row(described),
        Err(error @ (DescribeError::UnknownGroup { .. } | DescribeError::OtherType { .. })) => {
            let dead = DescribedGroup { group_state: "Dead".to_owned(), ..refused(id, ErrorCode::None) };
            if version < FIRST_WITH_NOT_FOUND {
                return dead;
            }
            let error_code = error_code::of_describe_group(&error).number();
            DescribedGroup { error_code, error_message: Some(error.to_string()), ..dead }
        }
        Err(error @ (DescribeError::Unavailable(_) | DescribeError::InvalidGroupId)) => {
            refused(id, error_code::of_describe_group(&error))
        }
    }
}

fn row(described: group::DescribedGroup) -> DescribedGroup {
    let member = |member: group::DescribedMember| DescribedGroupMember {
        member_id: member.member.as_str().to_owned(),
        group_instance_id: member.instance.map(|instance| instance.as_str().to_owned()),
        client_id: member.client_id.to_string(),
        client_host: member.client_host.to_string(),
        member_metadata: member.metadata,
        member_assignment: member.assignment,
    };
    DescribedGroup {
        error_code: 0,
        error_message: None,
        group_id: described.group.as_str().to_owned(),
        group_state: described.state.to_string(),
        protocol_type: described.protocol_type.map_or_else(String::new, |kind| kind.as_str().to_owned()),
        protocol_data: described.protocol.map_or_else(String::new, |name| name.as_str().to_owned()),
        members: described.members.into_iter().map(member).collect(),
        authorized_operations: NOT_ASKED,
    }
}

fn refused(id: String, error: ErrorCode) -> DescribedGroup {
    DescribedGroup { error_code: error.number(), group_id: id, ..DescribedGroup::default() }
}
