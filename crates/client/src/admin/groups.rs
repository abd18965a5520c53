//! Groups: list, describe, delete.
//!
//! Owns: these operations, for classic groups and groups of the consumer protocol.
//! Does not own: offsets of groups (`group_offsets`), membership (`consumer::group`).
//!
//! Source: Kafka protocol guide, ListGroups, DescribeGroups, ConsumerGroupDescribe, DeleteGroups; KIP-518, KIP-848.

use std::collections::{BTreeMap, BTreeSet};

use ottla_model::{BrokerId, PartitionIndex, TopicName, TopicPartition};
use ottla_protocol::messages::list_groups_response::ListedGroup;
use ottla_protocol::messages::{
    ConsumerGroupDescribeRequest, DeleteGroupsRequest, DescribeGroupsRequest, ListGroupsRequest,
    ListGroupsResponse, consumer_group_describe_response as modern, describe_groups_response as classic,
};

use super::error::operation_error;
use super::spread::NodeAnswer;
use super::{Admin, Attempt, Deadline, Outcomes};
use crate::cluster::{CallOptions, CoordinatorError, Node, Target};
use crate::consumer::group_protocol::read_assignment;
use crate::error::{CallError, ServerError};

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

/// Groups by their ids, or why they are not described.
type Described = BTreeMap<String, Result<GroupDescription, DescribeGroupError>>;

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

    /// Describes groups of consumers: one request for all groups of a coordinator.
    pub async fn describe_groups(&self, ids: &[String]) -> Outcomes<GroupDescription, DescribeGroupError> {
        let mut outcomes = self.describe_modern_groups(ids.to_vec()).await;
        let is_other = |outcome: &Result<GroupDescription, DescribeGroupError>| {
            matches!(
                outcome,
                // Not of the consumer protocol, or the broker does not have that.
                Err(DescribeGroupError::NotFound(_) | DescribeGroupError::Call(CallError::Unsupported { .. }))
            )
        };
        let others = outcomes.iter().filter(|(_, outcome)| is_other(outcome));
        let others: Vec<String> = others.map(|(id, _)| id.clone()).collect();
        if !others.is_empty() {
            outcomes.extend(self.describe_classic_groups(others).await);
        }
        ids.iter().filter_map(|id| Some((id.clone(), outcomes.get(id)?.clone()))).collect()
    }

    async fn describe_modern_groups(&self, ids: Vec<String>) -> Described {
        let ask = |coordinator, group_ids| async move {
            let request = ConsumerGroupDescribeRequest { group_ids, ..Default::default() };
            let target = Target::Broker(coordinator);
            let response = self.shared().call(target, &request, CallOptions::default()).await?;
            Ok(answered(response.groups, |group| {
                (&group.group_id, group.error_code, group.error_message.as_deref())
            }))
        };
        let described = self.ask_coordinators(self.deadline(DESCRIBE), ids, ask).await;
        self.with_coordinators(described, modern_group)
    }

    async fn describe_classic_groups(&self, ids: Vec<String>) -> Described {
        let ask = |coordinator, groups| async move {
            let request = DescribeGroupsRequest { groups, ..Default::default() };
            let target = Target::Broker(coordinator);
            let response = self.shared().call(target, &request, CallOptions::default()).await?;
            Ok(answered(response.groups, |group| {
                (&group.group_id, group.error_code, group.error_message.as_deref())
            }))
        };
        let described = self.ask_coordinators(self.deadline(DESCRIBE), ids, ask).await;
        self.with_coordinators(described, classic_group)
    }

    fn with_coordinators<T>(
        &self,
        answers: BTreeMap<String, Result<(BrokerId, T), GroupCallError>>,
        description: impl Fn(T, Node) -> GroupDescription,
    ) -> Described {
        // Who is named as a coordinator is known from then on.
        let image = self.shared().image();
        let described = answers.into_iter().map(|(id, answer)| {
            let outcome = answer.map_err(DescribeGroupError::from).and_then(|(coordinator, said)| {
                let node = image.nodes.get(&coordinator).map(|node| Node::clone(node));
                let node = node.ok_or(CallError::NoNode { call: DESCRIBE })?;
                Ok(description(said, node))
            });
            (id, outcome)
        });
        described.collect()
    }

    /// Deletes groups that have no members: one request for all groups of a coordinator.
    pub async fn delete_groups(&self, ids: &[String]) -> Outcomes<(), DeleteGroupError> {
        let ask = |coordinator, groups_names| async move {
            let request = DeleteGroupsRequest { groups_names };
            let target = Target::Broker(coordinator);
            let response = self.shared().call(target, &request, CallOptions::default()).await?;
            let said = response.results.into_iter();
            Ok(said.map(|group| (group.group_id, ServerError::check(group.error_code, None))).collect())
        };
        let outcomes = self.ask_coordinators(self.deadline(DELETE), ids.to_vec(), ask).await;
        let outcome = |id: &String| {
            let outcome = outcomes.get(id)?.as_ref().map(|_| ()).map_err(|error| error.clone().into());
            Some((id.clone(), outcome))
        };
        ids.iter().filter_map(outcome).collect()
    }
}

/// What a coordinator says of groups, each with its id, error code and error message.
fn answered<G>(groups: Vec<G>, of: impl Fn(&G) -> (&str, i16, Option<&str>)) -> NodeAnswer<String, G> {
    let said = groups.into_iter().map(|group| {
        let (id, code, message) = of(&group);
        (id.to_owned(), ServerError::check(code, message).map(|()| group))
    });
    said.collect()
}

fn modern_group(group: modern::DescribedGroup, coordinator: Node) -> GroupDescription {
    GroupDescription {
        id: group.group_id,
        group_type: GroupType::Consumer,
        protocol_type: "consumer".to_owned(),
        assignor: group.assignor_name,
        state: group.group_state,
        coordinator,
        members: group.members.into_iter().map(modern_member).collect(),
        epoch: Some(group.group_epoch),
        assignment_epoch: Some(group.assignment_epoch),
    }
}

fn classic_group(group: classic::DescribedGroup, coordinator: Node) -> GroupDescription {
    GroupDescription {
        id: group.group_id,
        group_type: GroupType::Classic,
        protocol_type: group.protocol_type,
        assignor: group.protocol_data,
        state: group.group_state,
        coordinator,
        members: group.members.into_iter().map(classic_member).collect(),
        epoch: None,
        assignment_epoch: None,
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
