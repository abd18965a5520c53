//! DeleteGroups (API key 42): removes groups without members, with their offsets.
//!
//! Source: requirement OFF-08.

use ottla_coordinator::group::{GroupAnswer, GroupCommand};
use ottla_model::GroupId;
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::delete_groups_request::DeleteGroupsRequest;
use ottla_protocol::messages::delete_groups_response::{DeletableGroupResult, DeleteGroupsResponse};
use ottla_security::Operation;

use crate::caller::Caller;
use crate::error_code;
use crate::node::Node;

/// Serves one request.
pub async fn handle(node: &Node, caller: &Caller, request: DeleteGroupsRequest) -> DeleteGroupsResponse {
    let mut names = request.groups_names;
    names.sort_unstable();
    names.dedup();
    let mut results = Vec::with_capacity(names.len());
    for group_id in names {
        let error = delete(node, caller, &group_id).await;
        results.push(DeletableGroupResult { group_id, error_code: error.number() });
    }
    DeleteGroupsResponse { throttle_time_ms: 0, results }
}

async fn delete(node: &Node, caller: &Caller, id: &str) -> ErrorCode {
    if !node.access.may_group(caller, Operation::Delete, id) {
        return ErrorCode::GroupAuthorizationFailed;
    }
    // The group without a name can hold offsets (GRP-02), so it can be deleted too.
    let command = GroupCommand::DeleteGroup(GroupId::new(id));
    let GroupAnswer::DeleteGroup(deleted) = node.groups.ask(command).await else {
        unreachable!("a deletion is answered as one");
    };
    deleted.map_or_else(|error| error_code::of_delete_group(&error), |()| ErrorCode::None)
}
