//! FindCoordinator (API key 10): which broker coordinates a group or a transactional id.
//!
//! Share groups have no coordinator here yet: the answer for them is one that no client tries again.
//!
//! Source: requirement LSN-04, SEC-36.

use ottla_metadata::image::Endpoint;
use ottla_model::{BrokerId, coordinator_partition};
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::find_coordinator_request::FindCoordinatorRequest;
use ottla_protocol::messages::find_coordinator_response::{Coordinator, FindCoordinatorResponse};
use ottla_security::Operation;

use crate::caller::Caller;
use crate::internal_topics::InternalTopic;
use crate::node::Node;
use crate::topology;

/// What a key names.
const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;
const SHARE: i8 = 2;

/// First version with several keys in one request.
const FIRST_BATCHED: i16 = 4;

/// Serves one request.
pub async fn handle(
    node: &Node,
    caller: &Caller,
    version: i16,
    request: FindCoordinatorRequest,
) -> FindCoordinatorResponse {
    if version >= FIRST_BATCHED {
        let kind = request.key_type;
        let rows = request.coordinator_keys.iter();
        let rows = rows.map(|key| row((kind, key), find(node, caller, kind, key)));
        return FindCoordinatorResponse {
            coordinators: rows.collect(),
            ..FindCoordinatorResponse::default()
        };
    }
    match find(node, caller, request.key_type, &request.key) {
        Ok((id, endpoint)) => FindCoordinatorResponse {
            error_message: Some("NONE".to_owned()),
            node_id: id.value(),
            host: endpoint.host,
            port: i32::from(endpoint.port),
            ..FindCoordinatorResponse::default()
        },
        Err(error) => FindCoordinatorResponse {
            error_code: error.number(),
            error_message: Some(error.message().to_owned()),
            node_id: -1,
            port: -1,
            ..FindCoordinatorResponse::default()
        },
    }
}

/// Only a kind that does not exist comes with a text, as in Kafka.
fn row((kind, key): (i8, &str), found: Result<(BrokerId, Endpoint), ErrorCode>) -> Coordinator {
    let key = key.to_owned();
    let is_known = (GROUP..=SHARE).contains(&kind);
    match found {
        Ok((id, endpoint)) => Coordinator {
            key,
            node_id: id.value(),
            host: endpoint.host,
            port: i32::from(endpoint.port),
            ..Coordinator::default()
        },
        Err(error) => Coordinator {
            key,
            node_id: -1,
            port: -1,
            error_code: error.number(),
            error_message: Some(if is_known { String::new() } else { error.message().to_owned() }),
            ..Coordinator::default()
        },
    }
}

fn find(node: &Node, caller: &Caller, kind: i8, key: &str) -> Result<(BrokerId, Endpoint), ErrorCode> {
    let internal = match kind {
        GROUP if node.access.may_group(caller, Operation::Describe, key) => InternalTopic::ConsumerOffsets,
        GROUP => return Err(ErrorCode::GroupAuthorizationFailed),
        TRANSACTION if node.access.may_transactional_id(caller, Operation::Describe, key) => {
            InternalTopic::TransactionState
        }
        TRANSACTION => return Err(ErrorCode::TransactionalIdAuthorizationFailed),
        SHARE => return Err(ErrorCode::InvalidRequest),
        _ => return Err(ErrorCode::InvalidRequest),
    };
    let image = node.image();
    let Some(topic) = image.topics.by_name(internal.name()) else {
        node.create_internal(internal);
        return Err(ErrorCode::CoordinatorNotAvailable);
    };
    let partitions = u32::try_from(topic.partition_count()).unwrap_or(0);
    let index = coordinator_partition(key, partitions).ok_or(ErrorCode::CoordinatorNotAvailable)?;
    let leader = topic.partition(index).and_then(|partition| partition.leader);
    let leader = leader.ok_or(ErrorCode::CoordinatorNotAvailable)?;
    let endpoint = topology::alive_endpoint(&image, leader, &caller.listener);
    Ok((leader, endpoint.cloned().ok_or(ErrorCode::CoordinatorNotAvailable)?))
}
