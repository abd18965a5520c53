//! ListGroups (API key 16): the groups this broker coordinates.
//!
//! Source: requirement OFF-10, KIP-518, KIP-848.

use ottla_coordinator::group::GroupFilter;
use ottla_protocol::messages::list_groups_request::ListGroupsRequest;
use ottla_protocol::messages::list_groups_response::{ListGroupsResponse, ListedGroup};
use ottla_security::Operation;

use crate::caller::Caller;
use crate::error_code;
use crate::node::Node;

/// Serves one request. Whoever may not describe the cluster sees the groups they may describe.
pub async fn handle(node: &Node, caller: &Caller, request: ListGroupsRequest) -> ListGroupsResponse {
    let filter = GroupFilter { states: request.states_filter, types: request.types_filter };
    let listed = match node.groups.list(filter).await {
        Ok(listed) => listed,
        Err(error) => {
            let error_code = error_code::of_list_groups(&error).number();
            return ListGroupsResponse { error_code, ..ListGroupsResponse::default() };
        }
    };
    let all = node.access.may_cluster(caller, Operation::Describe);
    let visible = |group: &str| all || node.access.may_group(caller, Operation::Describe, group);
    let groups = listed
        .into_iter()
        .filter(|group| visible(group.group.as_str()))
        .map(|group| ListedGroup {
            group_id: group.group.as_str().to_owned(),
            protocol_type: group.protocol_type.map_or_else(String::new, |kind| kind.as_str().to_owned()),
            group_state: group.state.to_string(),
            group_type: group.group_type.to_string(),
        })
        .collect();
    ListGroupsResponse { groups, ..ListGroupsResponse::default() }
}
