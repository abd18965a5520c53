//! LeaveGroup (API key 13): members leave a classic group, or are removed from it.
//!
//! Source: requirement GRP-03, KIP-345.

use ottla_coordinator::group::{GroupAnswer, GroupCommand, LeaveGroup, LeavingMember, LeftMember};
use ottla_model::{GroupId, GroupInstanceId, MemberId};
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::leave_group_request::LeaveGroupRequest;
use ottla_protocol::messages::leave_group_response::{LeaveGroupResponse, MemberResponse};
use ottla_security::Operation;

use crate::caller::Caller;
use crate::error_code;
use crate::node::Node;

/// First version that names several members, each answered on its own.
const FIRST_BATCHED: i16 = 3;

/// Serves one request.
pub async fn handle(
    node: &Node,
    caller: &Caller,
    version: i16,
    request: LeaveGroupRequest,
) -> LeaveGroupResponse {
    if !node.access.may_group(caller, Operation::Read, &request.group_id) {
        return answered(ErrorCode::GroupAuthorizationFailed, Vec::new());
    }
    let members = if version < FIRST_BATCHED {
        vec![LeavingMember { member: MemberId::new(&request.member_id), instance: None }]
    } else {
        let leaving = request.members.iter().map(|member| LeavingMember {
            member: MemberId::new(&member.member_id),
            instance: member.group_instance_id.as_deref().map(GroupInstanceId::new),
        });
        leaving.collect()
    };
    let command = LeaveGroup { group: GroupId::new(&request.group_id), members };
    let GroupAnswer::Leave(left) = node.groups.ask(GroupCommand::Leave(command)).await else {
        unreachable!("a leave is answered as one");
    };
    match left {
        Ok(left) if version < FIRST_BATCHED => {
            let error = left.first().map_or(ErrorCode::UnknownServerError, error_of);
            answered(error, Vec::new())
        }
        Ok(left) => answered(ErrorCode::None, left.iter().map(row).collect()),
        Err(error) => answered(error_code::of_leave(&error), Vec::new()),
    }
}

fn error_of(left: &LeftMember) -> ErrorCode {
    left.result.as_ref().map_or_else(error_code::of_leave_member, |()| ErrorCode::None)
}

fn row(left: &LeftMember) -> MemberResponse {
    MemberResponse {
        member_id: left.member.as_str().to_owned(),
        group_instance_id: left.instance.as_ref().map(|instance| instance.as_str().to_owned()),
        error_code: error_of(left).number(),
    }
}

fn answered(error: ErrorCode, members: Vec<MemberResponse>) -> LeaveGroupResponse {
    LeaveGroupResponse { throttle_time_ms: 0, error_code: error.number(), members }
}
