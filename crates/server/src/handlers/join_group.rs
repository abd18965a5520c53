//! JoinGroup (API key 11): a member enters a classic group or comes back for a rebalance.
//!
//! Source: requirements GRP-02, GRP-10 to GRP-13, KIP-345, KIP-394, KIP-814.

use std::sync::Arc;
use std::time::Duration;

use ottla_coordinator::group::{GroupAnswer, GroupCommand, JoinGroup, JoinRefused, Joined, Protocol};
use ottla_model::{GroupId, GroupInstanceId, MemberId, ProtocolName, ProtocolType};
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::join_group_request::JoinGroupRequest;
use ottla_protocol::messages::join_group_response::{JoinGroupResponse, JoinGroupResponseMember};
use ottla_security::Operation;

use crate::caller::Caller;
use crate::error_code;
use crate::node::Node;

/// First version in which a new member must come back with the id it is given.
const FIRST_WITH_MEMBER_ID_REQUIRED: i16 = 4;
/// First version in which the chosen protocol may be null.
pub const FIRST_WITH_NULL_PROTOCOL: i16 = 7;
/// First version whose leader knows that it may skip the assignment.
const FIRST_WITH_SKIPPING: i16 = 9;

/// Serves one request.
pub async fn handle(
    node: &Node,
    caller: &Caller,
    version: i16,
    request: JoinGroupRequest,
) -> JoinGroupResponse {
    if !node.access.may_group(caller, Operation::Read, &request.group_id) {
        return refused(version, ErrorCode::GroupAuthorizationFailed, &MemberId::new(""));
    }
    let command = GroupCommand::Join(command_of(node, caller, version, request));
    let GroupAnswer::Join(joined) = node.groups.ask(command).await else {
        unreachable!("a join is answered as one");
    };
    match joined {
        Ok(joined) => accepted(version, joined),
        Err(JoinRefused { member, error }) => refused(version, error_code::of_join(&error), &member),
    }
}

fn command_of(node: &Node, caller: &Caller, version: i16, request: JoinGroupRequest) -> JoinGroup {
    let session_timeout = millis(request.session_timeout_ms);
    let protocols = request.protocols.into_iter();
    JoinGroup {
        group: GroupId::new(&request.group_id),
        member: MemberId::new(&request.member_id),
        instance: request.group_instance_id.as_deref().map(GroupInstanceId::new),
        client_id: Arc::clone(&caller.client_id),
        client_host: Arc::from(caller.host_text()),
        session_timeout,
        rebalance_timeout: if version == 0 { session_timeout } else { millis(request.rebalance_timeout_ms) },
        protocol_type: ProtocolType::new(&request.protocol_type),
        protocols: protocols
            .map(|protocol| Protocol { name: ProtocolName::new(&protocol.name), metadata: protocol.metadata })
            .collect(),
        requires_member_id: version >= FIRST_WITH_MEMBER_ID_REQUIRED,
        understands_skipping: version >= FIRST_WITH_SKIPPING,
        random: node.random.uuid(),
    }
}

fn millis(value: i32) -> Duration {
    Duration::from_millis(u64::try_from(value).unwrap_or(0))
}

fn accepted(version: i16, joined: Joined) -> JoinGroupResponse {
    let text = |protocol: ProtocolName| protocol.as_str().to_owned();
    JoinGroupResponse {
        throttle_time_ms: 0,
        error_code: 0,
        generation_id: joined.generation.value(),
        protocol_type: joined.protocol_type.map(|kind| kind.as_str().to_owned()),
        protocol_name: nullable(version, joined.protocol.map(text)),
        leader: joined.leader.map_or_else(String::new, |leader| leader.as_str().to_owned()),
        skip_assignment: joined.skip_assignment && version >= FIRST_WITH_SKIPPING,
        member_id: joined.member.as_str().to_owned(),
        members: joined
            .members
            .into_iter()
            .map(|member| JoinGroupResponseMember {
                member_id: member.member.as_str().to_owned(),
                group_instance_id: member.instance.map(|instance| instance.as_str().to_owned()),
                metadata: member.metadata,
            })
            .collect(),
    }
}

fn refused(version: i16, error: ErrorCode, member: &MemberId) -> JoinGroupResponse {
    JoinGroupResponse {
        error_code: error.number(),
        generation_id: -1,
        protocol_name: nullable(version, None),
        member_id: member.as_str().to_owned(),
        ..JoinGroupResponse::default()
    }
}

fn nullable(version: i16, protocol: Option<String>) -> Option<String> {
    if version >= FIRST_WITH_NULL_PROTOCOL { protocol } else { Some(protocol.unwrap_or_default()) }
}
