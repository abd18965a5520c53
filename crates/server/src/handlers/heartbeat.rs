//! Heartbeat (API key 12): a member of a classic group says it is alive.
//!
//! Source: requirements GRP-01, GRP-15.

use ottla_coordinator::group::{GroupAnswer, GroupCommand, Heartbeat};
use ottla_model::{GenerationId, GroupId, GroupInstanceId, MemberId};
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::heartbeat_request::HeartbeatRequest;
use ottla_protocol::messages::heartbeat_response::HeartbeatResponse;
use ottla_security::Operation;

use crate::caller::Caller;
use crate::error_code;
use crate::node::Node;

/// Serves one request.
pub async fn handle(node: &Node, caller: &Caller, request: HeartbeatRequest) -> HeartbeatResponse {
    if !node.access.may_group(caller, Operation::Read, &request.group_id) {
        return answered(ErrorCode::GroupAuthorizationFailed);
    }
    let command = Heartbeat {
        group: GroupId::new(&request.group_id),
        generation: GenerationId::new(request.generation_id),
        member: MemberId::new(&request.member_id),
        instance: request.group_instance_id.as_deref().map(GroupInstanceId::new),
    };
    let GroupAnswer::Heartbeat(heard) = node.groups.ask(GroupCommand::Heartbeat(command)).await else {
        unreachable!("a heartbeat is answered as one");
    };
    answered(heard.map_or_else(|error| error_code::of_heartbeat(&error), |()| ErrorCode::None))
}

fn answered(error: ErrorCode) -> HeartbeatResponse {
    HeartbeatResponse { throttle_time_ms: 0, error_code: error.number() }
}
