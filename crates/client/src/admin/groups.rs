//! Groups: list, describe, delete.
//!
//! Owns: these operations, for classic groups and groups of the consumer protocol.
//! Does not own: offsets of groups (`group_offsets`), membership (`consumer::group`).
//!
//! Source: Kafka protocol guide, ListGroups, DescribeGroups, ConsumerGroupDescribe, DeleteGroups; KIP-518, KIP-848.

use std::collections::BTreeSet;

use ottla_model::{BrokerId, PartitionIndex, TopicName, TopicPartition};
use ottla_protocol::messages::list_groups_response::ListedGroup;
use ottla_protocol::messages::{
    ConsumerGroupDescribeRequest, DeleteGroupsRequest, DescribeGroupsRequest, ListGroupsRequest,
    ListGroupsResponse, consumer_group_describe_response as modern, describe_groups_response as classic,
};

use super::error::operation_error;
use super::{Admin, Attempt, Deadline, Outcomes};
use crate::cluster::{CoordinatorError, CoordinatorKind, Node};
use crate::consumer::group_protocol::read_assignment;
use crate::error::{CallError, ErrorCode, ServerError};

/// Calls by the names that Java's admin client gives them while it looks for the coordinator.
const DESCRIBE: &str = "describeConsumerGroups(api=FIND_COORDINATOR)";
const DELETE: &str = "deleteConsumerGroups(api=FIND_COORDINATOR)";

operation_error! {
    /// Why a request to a group's coordinator was not answered.
    GroupCallError {}
    /// Why the groups cannot be listed.
    ListGroupsError {}
    /// Why a group cannot be described.
    DescribeGroupError {
        /// There is no such group.
        NotFound = GroupIdNotFound,
    }
    /// Why a group was not deleted.
    DeleteGroupError {
        /// There is no such group.
        NotFound = GroupIdNotFound,
        /// The group has members.
        NotEmpty = NonEmptyGroup,
    }
}

impl From<CoordinatorError> for GroupCallError {
    fn from(error: CoordinatorError) -> GroupCallError {
        match error {
            CoordinatorError::Call(error) => error.into(),
            CoordinatorError::Refused(error) => error.into(),
        }
    }
}

impl GroupCallError {
    /// An attempt that ended so: again after what may pass.
    pub(super) fn attempt<T>(error: GroupCallError) -> Attempt<T, GroupCallError> {
        let again = match &error {
            GroupCallError::Call(error) => error.is_retriable(),
            GroupCallError::Refused(error) => error.is_retriable(),
        };
        if again { Attempt::Again(error) } else { Attempt::Failed(error) }
    }
}

macro_rules! from_group_call {
    ($($name:ident)*) => {$(
        impl From<GroupCallError> for $name {
            fn from(error: GroupCallError) -> $name {
                match error {
                    GroupCallError::Call(error) => error.into(),
                    GroupCallError::Refused(error) => error.into(),
                }
            }
        }
    )*};
}
pub(super) use from_group_call;
from_group_call! { DescribeGroupError DeleteGroupError }

/// A group, as its coordinator lists it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct GroupListing {
    /// Its id.
    pub id: String,
    /// `consumer` for groups of consumers; empty for groups that only keep offsets.
    pub protocol_type: String,
    /// Kafka's name, such as `Stable`; empty from brokers that do not say.
    pub state: String,
    /// `Classic`, `Consumer` …; empty from brokers that do not say.
    pub group_type: String,
}

/// A member of a described group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberDescription {
    /// The id that the coordinator gave it.
    pub id: String,
    /// Its `group.instance.id`, for a static member.
    pub instance_id: Option<String>,
    /// Its `client.id`.
    pub client_id: String,
    /// Where it connects from, as the broker sees it.
    pub host: String,
    /// The partitions it has.
    pub assignment: Vec<TopicPartition>,
    /// What the coordinator wants the member to have; consumer protocol only.
    pub target_assignment: Option<Vec<TopicPartition>>,
    /// Its epoch; consumer protocol only.
    pub epoch: Option<i32>,
    /// Whether the member still speaks the classic protocol in a group of the new one; `None` if unknown.
    pub is_upgraded: Option<bool>,
}

/// A group and its members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupDescription {
    /// Its id.
    pub id: String,
    /// Which protocol its members speak.
    pub group_type: GroupType,
    /// `consumer` for groups of consumers.
    pub protocol_type: String,
    /// How partitions are spread, such as `range`; empty while there are no members.
    pub assignor: String,
    /// Kafka's name, such as `Stable`.
    pub state: String,
    /// The broker that keeps it.
    pub coordinator: Node,
    /// Its members, in the order of the broker.
    pub members: Vec<MemberDescription>,
    /// Epochs of the consumer protocol.
    pub epoch: Option<i32>,
    /// Epoch for which partitions were last spread.
    pub assignment_epoch: Option<i32>,
}

/// Which protocol the members of a group speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupType {
    /// The one of JoinGroup and SyncGroup.
    Classic,
    /// The one of KIP-848.
    Consumer,
}

impl Admin {
    /// All groups of all coordinators, each once, in the order of their answers. Empty filters let everything through.
    pub async fn list_groups(
        &self,
        states: &[String],
        types: &[String],
    ) -> Result<Vec<GroupListing>, ListGroupsError> {
        self.known_cluster(self.deadline("findAllBrokers")).await?;
        let brokers: Vec<BrokerId> = self.shared().image().nodes.keys().copied().collect();
        let request = ListGroupsRequest { states_filter: states.to_vec(), types_filter: types.to_vec() };
        let deadline = self.deadline("listGroups");
        let mut seen = BTreeSet::new();
        let mut groups = Vec::new();
        for broker in brokers {
            let listed = self.groups_of(deadline, broker, &request).await?.groups;
            groups.extend(listed.into_iter().filter(|group| seen.insert(group.group_id.clone())));
        }
        let listing = |group: ListedGroup| GroupListing {
            id: group.group_id,
            protocol_type: group.protocol_type,
            state: group.group_state,
            group_type: group.group_type,
        };
        Ok(groups.into_iter().map(listing).collect())
    }

    /// Asks one broker for its groups, again after a while if it is still loading some.
    async fn groups_of(
        &self,
        deadline: Deadline,
        broker: BrokerId,
        request: &ListGroupsRequest,
    ) -> Result<ListGroupsResponse, ListGroupsError> {
        let mut attempts = self.shared().attempts(deadline);
        loop {
            let attempt = async {
                match self.ask_broker(deadline, broker, request).await {
                    Ok(response) => match ServerError::check(response.error_code, None) {
                        Ok(()) => Attempt::Done(response),
                        Err(error) if error.is_retriable() => Attempt::Again(ListGroupsError::from(error)),
                        Err(error) => Attempt::Failed(error.into()),
                    },
                    Err(error) => Attempt::Failed(error.into()),
                }
            };
            if let Some(end) = attempts.make(attempt).await {
                return end;
            }
        }
    }

    /// Describes groups of consumers.
    pub async fn describe_groups(&self, ids: &[String]) -> Outcomes<GroupDescription, DescribeGroupError> {
        let mut outcomes = Vec::with_capacity(ids.len());
        for id in ids {
            let outcome = match self.describe_modern_group(id).await {
                // Not of the consumer protocol, or the broker does not have that.
                Err(
                    DescribeGroupError::NotFound(_) | DescribeGroupError::Call(CallError::Unsupported { .. }),
                ) => self.describe_classic_group(id).await,
                other => other,
            };
            outcomes.push((id.clone(), outcome));
        }
        outcomes
    }

    async fn describe_modern_group(&self, id: &str) -> Result<GroupDescription, DescribeGroupError> {
        let deadline = self.deadline(DESCRIBE);
        let request = ConsumerGroupDescribeRequest { group_ids: vec![id.to_owned()], ..Default::default() };
        let code_of = |response: &ottla_protocol::messages::ConsumerGroupDescribeResponse| {
            response.groups.first().map_or(0, |group| group.error_code)
        };
        let response = self.ask_coordinator(deadline, (id, &request, i16::MAX), code_of).await?;
        let Some(group) = response.groups.into_iter().next() else {
            return Err(ServerError::from(ErrorCode::UnknownServerError).into());
        };
        ServerError::check(group.error_code, group.error_message.as_deref())?;
        let coordinator = self.coordinator_of(id).await?;
        Ok(GroupDescription {
            id: group.group_id,
            group_type: GroupType::Consumer,
            protocol_type: "consumer".to_owned(),
            assignor: group.assignor_name,
            state: group.group_state,
            coordinator,
            members: group.members.into_iter().map(modern_member).collect(),
            epoch: Some(group.group_epoch),
            assignment_epoch: Some(group.assignment_epoch),
        })
    }

    async fn describe_classic_group(&self, id: &str) -> Result<GroupDescription, DescribeGroupError> {
        let deadline = self.deadline(DESCRIBE);
        let request = DescribeGroupsRequest { groups: vec![id.to_owned()], ..Default::default() };
        let code_of = |response: &ottla_protocol::messages::DescribeGroupsResponse| {
            response.groups.first().map_or(0, |group| group.error_code)
        };
        let response = self.ask_coordinator(deadline, (id, &request, i16::MAX), code_of).await?;
        let Some(group) = response.groups.into_iter().next() else {
            return Err(ServerError::from(ErrorCode::UnknownServerError).into());
        };
        ServerError::check(group.error_code, group.error_message.as_deref())?;
        let coordinator = self.coordinator_of(id).await?;
        Ok(GroupDescription {
            id: group.group_id,
            group_type: GroupType::Classic,
            protocol_type: group.protocol_type,
            assignor: group.protocol_data,
            state: group.group_state,
            coordinator,
            members: group.members.into_iter().map(classic_member).collect(),
            epoch: None,
            assignment_epoch: None,
        })
    }

    /// The broker that coordinates a group.
    async fn coordinator_of(&self, id: &str) -> Result<Node, GroupCallError> {
        let broker = self.shared().find_coordinator(CoordinatorKind::Group, id).await?;
        // Who is named as a coordinator is known from then on.
        let node = self.shared().image().nodes.get(&broker).map(|node| Node::clone(node));
        node.ok_or(CallError::NoNode { call: DESCRIBE }.into())
    }

    /// Deletes groups that have no members.
    pub async fn delete_groups(&self, ids: &[String]) -> Outcomes<(), DeleteGroupError> {
        let mut outcomes = Vec::with_capacity(ids.len());
        for id in ids {
            outcomes.push((id.clone(), self.delete_group(id).await));
        }
        outcomes
    }

    async fn delete_group(&self, id: &str) -> Result<(), DeleteGroupError> {
        let request = DeleteGroupsRequest { groups_names: vec![id.to_owned()] };
        let code_of = |response: &ottla_protocol::messages::DeleteGroupsResponse| {
            response.results.first().map_or(0, |group| group.error_code)
        };
        let deadline = self.deadline(DELETE);
        let response = self.ask_coordinator(deadline, (id, &request, i16::MAX), code_of).await?;
        Ok(ServerError::check(code_of(&response), None)?)
    }
}

fn classic_member(member: classic::DescribedGroupMember) -> MemberDescription {
    MemberDescription {
        id: member.member_id,
        instance_id: member.group_instance_id,
        client_id: member.client_id,
        host: member.client_host,
        // Other kinds of groups (such as Connect's) keep other bytes here; they have no partitions to show.
        assignment: read_assignment(&member.member_assignment).unwrap_or_default(),
        target_assignment: None,
        epoch: None,
        is_upgraded: None,
    }
}

fn modern_member(member: modern::Member) -> MemberDescription {
    MemberDescription {
        id: member.member_id,
        instance_id: member.instance_id,
        client_id: member.client_id,
        host: member.client_host,
        assignment: modern_assignment(&member.assignment),
        target_assignment: Some(modern_assignment(&member.target_assignment)),
        epoch: Some(member.member_epoch),
        // 0: classic, 1: consumer, −1: the broker does not say.
        is_upgraded: (member.member_type >= 0).then_some(member.member_type == 1),
    }
}

fn modern_assignment(said: &modern::Assignment) -> Vec<TopicPartition> {
    let partitions = said.topic_partitions.iter().filter_map(|topic| {
        let name = TopicName::new(&topic.topic_name).ok()?;
        let indexes = topic.partitions.iter().copied().filter_map(PartitionIndex::new);
        Some(indexes.map(move |index| TopicPartition::new(name.clone(), index)))
    });
    partitions.flatten().collect()
}
