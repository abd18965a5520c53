//! Removing members from a group.
//!
//! Owns: LeaveGroup on behalf of others. Does not own: leaving as a member (`consumer`).
//!
//! Source: Kafka protocol guide, LeaveGroup 3 and later; KIP-345, KIP-800.

use ottla_protocol::messages::leave_group_request::MemberIdentity;
use ottla_protocol::messages::{LeaveGroupRequest, LeaveGroupResponse};

use super::Admin;
use super::error::operation_error;
use super::groups::{GroupCallError, from_group_call};
use crate::error::{ErrorCode, ServerError};

/// Says in the broker's log who wanted it, in the words of Kafka's client.
const REASON: &str = "member was removed by an admin";

operation_error! {
    /// Why members of a group were not removed.
    RemoveMembersError {}
    /// Why one member was not removed.
    RemoveMemberError {
        /// The group has no such member.
        NotFound = UnknownMemberId,
    }
}
from_group_call! { RemoveMembersError }

/// How a member of a group is named.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum MemberName {
    /// A static member, by its `group.instance.id`.
    Instance(String),
    /// Any member, by the id that the coordinator gave it.
    Id(String),
}

impl Admin {
    /// Removes members from a classic group, which rebalances without them; the answer has the order of `members`. A
    /// member that is still running joins again. `reason` goes to the log of the broker.
    pub async fn remove_members(
        &self,
        group: &str,
        members: &[MemberName],
        reason: Option<&str>,
    ) -> Result<Vec<(MemberName, Result<(), RemoveMemberError>)>, RemoveMembersError> {
        let reason = reason.map_or_else(|| REASON.to_owned(), |reason| format!("{REASON}: {reason}"));
        let identity = |member: &MemberName| {
            let (member_id, group_instance_id) = match member {
                MemberName::Instance(name) => (String::new(), Some(name.clone())),
                MemberName::Id(id) => (id.clone(), None),
            };
            MemberIdentity { member_id, group_instance_id, reason: Some(reason.clone()) }
        };
        let request = LeaveGroupRequest {
            group_id: group.to_owned(),
            members: members.iter().map(identity).collect(),
            ..Default::default()
        };
        let deadline = self.deadline("removeMembers(api=FIND_COORDINATOR)");
        let code_of = |response: &LeaveGroupResponse| response.error_code;
        let response = self.ask_coordinator(deadline, (group, &request, i16::MAX), code_of).await?;
        ServerError::check(response.error_code, None)?;
        let outcome = |member: &MemberName| {
            let said = response.members.iter().find(|said| match member {
                MemberName::Instance(name) => said.group_instance_id.as_ref() == Some(name),
                MemberName::Id(id) => said.member_id == *id,
            });
            let said = said.ok_or_else(|| ServerError::from(ErrorCode::UnknownServerError))?;
            Ok(ServerError::check(said.error_code, None)?)
        };
        Ok(members.iter().map(|member| (member.clone(), outcome(member))).collect())
    }
}
