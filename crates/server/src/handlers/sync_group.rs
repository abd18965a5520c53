//! SyncGroup (API key 14): the leader hands in the assignment, the others fetch their part.
//!
//! Source: requirements GRP-14, TRAP-27.

use ottla_coordinator::group::{GroupAnswer, GroupCommand, SyncGroup};
use ottla_model::{GenerationId, GroupId, GroupInstanceId, MemberId, ProtocolName, ProtocolType};
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::sync_group_request::SyncGroupRequest;
use ottla_protocol::messages::sync_group_response::SyncGroupResponse;
use ottla_security::Operation;

use crate::caller::Caller;
use crate::error_code;
use crate::node::Node;

/// First version that names the protocol.
const FIRST_WITH_PROTOCOL: i16 = 5;

/// Serves one request.
pub async fn handle(
    node: &Node,
    caller: &Caller,
    version: i16,
    request: SyncGroupRequest,
) -> SyncGroupResponse {
    let named = request.protocol_type.is_some() && request.protocol_name.is_some();
    if version >= FIRST_WITH_PROTOCOL && !named {
        return refused(ErrorCode::InconsistentGroupProtocol);
    }
    if !node.access.may_group(caller, Operation::Read, &request.group_id) {
        return refused(ErrorCode::GroupAuthorizationFailed);
    }
    let GroupAnswer::Sync(synced) = node.groups.ask(GroupCommand::Sync(command_of(request))).await else {
        unreachable!("a sync is answered as one");
    };
    match synced {
        Ok(synced) => SyncGroupResponse {
            throttle_time_ms: 0,
            error_code: 0,
            protocol_type: synced.protocol_type.map(|kind| kind.as_str().to_owned()),
            protocol_name: synced.protocol.map(|protocol| protocol.as_str().to_owned()),
            assignment: synced.assignment,
        },
        Err(error) => refused(error_code::of_sync(&error)),
    }
}

fn command_of(request: SyncGroupRequest) -> SyncGroup {
    let assignments = request.assignments.into_iter();
    SyncGroup {
        group: GroupId::new(&request.group_id),
        generation: GenerationId::new(request.generation_id),
        member: MemberId::new(&request.member_id),
        instance: request.group_instance_id.as_deref().map(GroupInstanceId::new),
        protocol_type: request.protocol_type.as_deref().map(ProtocolType::new),
        protocol: request.protocol_name.as_deref().map(ProtocolName::new),
        assignments: assignments.map(|part| (MemberId::new(&part.member_id), part.assignment)).collect(),
    }
}

fn refused(error: ErrorCode) -> SyncGroupResponse {
    SyncGroupResponse { error_code: error.number(), ..SyncGroupResponse::default() }
}
