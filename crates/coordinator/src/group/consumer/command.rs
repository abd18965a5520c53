//! What the server asks of a consumer group, and what it is answered.
//!
//! Owns: commands, answers and refusals in the terms of groups. Does not own: the wire, permissions, error codes.
//!
//! The messages of refusals are Kafka's, since clients print them.
//!
//! Source: requirements CGP-01…05, CGP-13; KIP-848.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use ottla_model::{GroupId, GroupInstanceId, MemberId, TopicName, Uuid};

use super::super::classic::GroupState;
use super::super::topics::Topics;
use super::assign::Assignor;
use super::record::{IdPartition, MemberEpoch, ResolvedRegex};
use crate::runtime::Unavailable;

/// ConsumerGroupHeartbeat. What is `None` is as the member said last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerHeartbeat {
    pub group: GroupId,
    /// Empty in version 0 before the first answer.
    pub member: MemberId,
    /// 0 joins, −1 leaves, −2 leaves for now.
    pub epoch: i32,
    pub instance: Option<GroupInstanceId>,
    pub rack: Option<String>,
    pub rebalance_timeout: Option<Duration>,
    pub names: Option<BTreeSet<String>>,
    /// Empty: no regular expression any more.
    pub regex: Option<String>,
    pub assignor: Option<String>,
    pub owned: Option<BTreeSet<IdPartition>>,
    pub client_id: Arc<str>,
    /// As tools show it: `/127.0.0.1`.
    pub client_host: Arc<str>,
    /// Whether members make their ids themselves (version 1 on).
    pub names_itself: bool,
    /// Fresh randomness, for the id of a member that has none.
    pub random: Uuid,
}

/// The epoch of a heartbeat that joins.
pub(super) const JOIN: i32 = 0;
/// Of one that leaves.
pub(super) const LEAVE: i32 = -1;
/// Of a static member that leaves for now.
pub(super) const LEAVE_FOR_NOW: i32 = -2;

/// The answer to a heartbeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beaten {
    pub member: MemberId,
    pub epoch: i32,
    /// `None` for who left.
    pub heartbeat_interval: Option<Duration>,
    /// What the member is to have now; `None`: as before.
    pub assignment: Option<BTreeSet<IdPartition>>,
    /// Regular expressions the group wants to be looked up, with the permissions of this member.
    pub look_up: Option<LookUp>,
}

/// Regular expressions whose topics are to be found. The outcome comes back as [`FoundTopics`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LookUp {
    pub group: GroupId,
    pub patterns: BTreeSet<Arc<str>>,
}

/// What [`super::regex::look_up`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundTopics {
    pub group: GroupId,
    pub found: BTreeMap<Arc<str>, Arc<ResolvedRegex>>,
}

/// What the coordinator is told of the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterView {
    pub topics: Arc<Topics>,
    pub settings: Arc<ConsumerSettings>,
}

/// Settings of consumer groups that change while the node runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConsumerSettings {
    /// For groups without one of their own.
    pub common: ConsumerTimes,
    pub of_group: BTreeMap<GroupId, ConsumerTimes>,
}

/// The times of one consumer group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConsumerTimes {
    /// `consumer.session.timeout.ms`
    pub session_timeout: Duration,
    /// `consumer.heartbeat.interval.ms`
    pub heartbeat_interval: Duration,
    /// `consumer.assignment.interval.ms`: least time between two assignments.
    pub assignment_interval: Duration,
}

impl Default for ConsumerTimes {
    /// Kafka's defaults.
    fn default() -> ConsumerTimes {
        ConsumerTimes {
            session_timeout: Duration::from_secs(45),
            heartbeat_interval: Duration::from_secs(5),
            assignment_interval: Duration::from_secs(1),
        }
    }
}

impl ConsumerSettings {
    pub fn of(&self, group: &GroupId) -> ConsumerTimes {
        self.of_group.get(group).copied().unwrap_or(self.common)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConsumerHeartbeatError {
    #[error("{0}")]
    InvalidRequest(&'static str),
    #[error("ServerAssignor {name} is not supported. Supported assignors: {known}.")]
    UnsupportedAssignor { name: String, known: String },
    #[error("SubscribedTopicRegex `{pattern}` is not a valid regular expression: {why}.")]
    InvalidRegex { pattern: String, why: String },
    #[error("Consumer group {group} not found.")]
    UnknownGroup { group: GroupId },
    #[error("Group {group} not found.")]
    NoGroup { group: GroupId },
    #[error("Group {group} is not a consumer group.")]
    NoConsumerGroup { group: GroupId },
    #[error("Cannot upgrade classic group {group} to consumer group because {why}.")]
    CannotUpgrade { group: GroupId, why: CannotUpgrade },
    #[error("Member {member} is not a member of group {group}.")]
    UnknownMember { member: MemberId, group: GroupId },
    #[error("Instance id {0} is unknown.")]
    UnknownInstance(GroupInstanceId),
    #[error(
        "The consumer group member has a greater member epoch ({got}) than the one known by the group coordinator ({known}). The member must abandon all its partitions and rejoin."
    )]
    EpochAhead { got: i32, known: i32 },
    #[error(
        "The consumer group member has a smaller member epoch ({got}) than the one known by the group coordinator ({known}). The member must abandon all its partitions and rejoin."
    )]
    EpochBehind { got: i32, known: i32 },
    #[error(
        "The consumer group member is in a unknown state. The member must abandon all its partitions and rejoin."
    )]
    UnknownState,
    #[error("Static member {member} with instance id {instance} was fenced by member {bearer}.")]
    FencedInstance { member: MemberId, instance: GroupInstanceId, bearer: MemberId },
    #[error(
        "Static member {member} with instance id {instance} cannot join the group because the instance id is owned by {bearer} member."
    )]
    UnreleasedInstance { member: MemberId, instance: GroupInstanceId, bearer: MemberId },
    #[error("The consumer group has reached its maximum capacity of {max} members.")]
    GroupFull { max: usize },
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// Why a classic group with members stays one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CannotUpgrade {
    #[error("online upgrade is disabled")]
    Disabled,
    #[error("the group does not use the consumer embedded protocol")]
    OtherProtocol,
    #[error("the group size exceeds the consumer group maximum size")]
    TooLarge,
    #[error("the embedded consumer protocol is malformed")]
    Malformed,
    #[error(
        "an unsupported custom assignor is in use. Please refer to the documentation or switch to a default assignor before re-attempting the upgrade"
    )]
    CustomAssignor,
}

/// A consumer group as tools see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedConsumerGroup {
    pub group: GroupId,
    pub state: GroupState,
    pub epoch: MemberEpoch,
    pub assignment_epoch: MemberEpoch,
    pub assignor: Assignor,
    pub members: Vec<DescribedConsumer>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedConsumer {
    pub member: MemberId,
    pub instance: Option<GroupInstanceId>,
    pub rack: Option<Arc<str>>,
    pub epoch: MemberEpoch,
    pub client_id: Arc<str>,
    pub client_host: Arc<str>,
    pub names: BTreeSet<String>,
    pub regex: Arc<str>,
    pub assignment: Vec<NamedPartition>,
    pub target: Vec<NamedPartition>,
    pub is_classic: bool,
}

/// A partition with the name of its topic.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NamedPartition {
    pub topic: TopicName,
    pub id: IdPartition,
}
