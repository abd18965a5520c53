//! What the group coordinator answers, and how it refuses.
//!
//! Owns: one answer and one error enum per operation; each variant is a different reaction of the client.
//! Does not own: the error codes (`server`).
//!
//! Source: requirements GRP-01…18, OFF-01…10.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ottla_model::{
    GenerationId, GroupId, GroupInstanceId, MemberId, PartitionIndex, ProtocolName, ProtocolType, TopicId,
    TopicName,
};

use super::classic::{GroupState, GroupType};
use super::consumer::{Beaten, ConsumerHeartbeatError, DescribedConsumerGroup};
use super::record::OffsetEntry;
use crate::runtime::Unavailable;

/// The answer to one [`super::GroupCommand`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupAnswer {
    Join(Result<Joined, JoinRefused>),
    Sync(Result<Synced, SyncError>),
    Heartbeat(Result<(), HeartbeatError>),
    Leave(Result<Vec<LeftMember>, LeaveError>),
    CommitOffsets(Result<Vec<CommittedTopic>, CommitError>),
    FetchOffsets(Result<Vec<FetchedTopic>, FetchError>),
    DeleteOffsets(Result<Vec<DeletedTopic>, DeleteOffsetsError>),
    DeleteGroup(Result<(), DeleteGroupError>),
    Describe(Result<DescribedGroup, DescribeError>),
    List(Result<Vec<ListedGroup>, ListError>),
    ForgetPartitions(Result<(), Unavailable>),
    ConsumerHeartbeat(Result<Beaten, ConsumerHeartbeatError>),
    DescribeConsumers(Result<DescribedConsumerGroup, DescribeError>),
    /// What was told is known.
    Noted(Result<(), Unavailable>),
}

/// The join phase is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    pub generation: GenerationId,
    pub protocol_type: Option<ProtocolType>,
    pub protocol: Option<ProtocolName>,
    pub leader: Option<MemberId>,
    pub member: MemberId,
    /// All members for the leader, nobody for others.
    pub members: Vec<JoinedMember>,
    /// The leader need not assign: the generation has its assignment already (KIP-814).
    pub skip_assignment: bool,
}

/// A member as the leader sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinedMember {
    pub member: MemberId,
    pub instance: Option<GroupInstanceId>,
    /// What the member said about the chosen protocol.
    pub metadata: Bytes,
}

/// A refused join, with the member id the client is to see.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("member {member:?} cannot join: {error}")]
pub struct JoinRefused {
    pub member: MemberId,
    pub error: JoinError,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JoinError {
    #[error("the group id is empty")]
    InvalidGroupId,
    #[error("session timeout {got:?} lies outside {min:?}..={max:?}")]
    SessionTimeoutOutOfRange { got: Duration, min: Duration, max: Duration },
    #[error("the member is not known")]
    UnknownMember,
    #[error("the instance id belongs to another member by now")]
    FencedInstance,
    #[error("the member must come back with the id it is given")]
    MemberIdRequired,
    #[error("the group has {max} members already")]
    GroupFull { max: usize },
    #[error("the member shares no protocol with the group")]
    InconsistentProtocol,
    /// Another request of the same member took its place.
    #[error("the member joined again")]
    JoinedAgain,
    /// The group changed to the consumer protocol meanwhile.
    #[error("the group rebalances: join again")]
    RebalanceInProgress,
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// The member's part of the assignment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Synced {
    pub protocol_type: Option<ProtocolType>,
    pub protocol: Option<ProtocolName>,
    /// Exactly the leader's bytes, empty where it named none (TRAP-27).
    pub assignment: Bytes,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SyncError {
    #[error("the group id is empty")]
    InvalidGroupId,
    #[error("the member is not known")]
    UnknownMember,
    #[error("the instance id belongs to another member by now")]
    FencedInstance,
    #[error("generation {got:?} is not the current one, {current}")]
    IllegalGeneration { got: Option<GenerationId>, current: GenerationId },
    #[error("the member speaks of another protocol than the group chose")]
    InconsistentProtocol,
    #[error("the group rebalances: join again")]
    RebalanceInProgress,
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeartbeatError {
    #[error("the group id is empty")]
    InvalidGroupId,
    #[error("the member is not known")]
    UnknownMember,
    #[error("the instance id belongs to another member by now")]
    FencedInstance,
    #[error("generation {got:?} is not the current one, {current}")]
    IllegalGeneration { got: Option<GenerationId>, current: GenerationId },
    #[error("the group rebalances: join again")]
    RebalanceInProgress,
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// One member of a LeaveGroup, named as it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftMember {
    pub member: MemberId,
    pub instance: Option<GroupInstanceId>,
    pub result: Result<(), LeaveMemberError>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LeaveMemberError {
    #[error("the member is not known")]
    UnknownMember,
    #[error("the instance id belongs to another member by now")]
    FencedInstance,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LeaveError {
    #[error("the group id is empty")]
    InvalidGroupId,
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommittedTopic {
    pub topic: TopicName,
    pub topic_id: Option<TopicId>,
    pub partitions: Vec<CommittedPartition>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommittedPartition {
    pub partition: PartitionIndex,
    pub result: Result<(), CommitPartitionError>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommitPartitionError {
    #[error("metadata of {got} characters, {max} are allowed")]
    MetadataTooLarge { got: usize, max: usize },
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    /// GROUP_ID_NOT_FOUND from version 9 on, ILLEGAL_GENERATION before.
    #[error("the group is not known, so nobody has a generation in it")]
    UnknownGroup,
    #[error("the member is not known")]
    UnknownMember,
    #[error("the instance id belongs to another member by now")]
    FencedInstance,
    #[error("generation {got:?} is not the current one, {current}")]
    IllegalGeneration { got: Option<GenerationId>, current: GenerationId },
    #[error("the group is about to get its assignment")]
    RebalanceInProgress,
    #[error("the member's epoch is not {got:?} but {current}")]
    StaleEpoch { got: Option<GenerationId>, current: i32 },
    /// A member of a consumer group uses a version that knows nothing of epochs.
    #[error("members of consumer groups commit with version 9 or above")]
    NeedsEpochs,
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchedTopic {
    pub topic: TopicName,
    pub topic_id: Option<TopicId>,
    pub partitions: Vec<FetchedPartition>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchedPartition {
    pub partition: PartitionIndex,
    /// `None`: nothing is committed, which is no error (OFF-03).
    pub result: Result<Option<Arc<OffsetEntry>>, OffsetUnstable>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a pending transaction is about to replace the offset")]
pub struct OffsetUnstable;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    #[error("the member is not known")]
    UnknownMember,
    #[error("the member's epoch is not {got} but {current}")]
    StaleEpoch { got: i32, current: i32 },
    #[error("the member's generation is not {got} but {current}")]
    IllegalGeneration { got: i32, current: i32 },
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeletedTopic {
    pub topic: TopicName,
    pub partitions: Vec<DeletedPartition>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeletedPartition {
    pub partition: PartitionIndex,
    pub result: Result<(), OffsetSubscribed>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the group is subscribed to the topic")]
pub struct OffsetSubscribed;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeleteOffsetsError {
    #[error("the group id is empty")]
    InvalidGroupId,
    #[error("the group is not known")]
    UnknownGroup,
    #[error("the group has members, and they are no consumers")]
    GroupActive,
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeleteGroupError {
    #[error("the group is not known")]
    UnknownGroup,
    #[error("the group has members")]
    GroupActive,
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedGroup {
    pub group: GroupId,
    pub state: GroupState,
    pub protocol_type: Option<ProtocolType>,
    /// Shown only while the group is stable.
    pub protocol: Option<ProtocolName>,
    pub members: Vec<DescribedMember>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedMember {
    pub member: MemberId,
    pub instance: Option<GroupInstanceId>,
    pub client_id: Arc<str>,
    pub client_host: Arc<str>,
    /// Empty unless the group is stable.
    pub metadata: Bytes,
    /// Of the present generation if the group is stable, else of an earlier one, or empty.
    pub assignment: Bytes,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DescribeError {
    #[error("the group id is empty")]
    InvalidGroupId,
    #[error("Group {group} not found.")]
    UnknownGroup { group: GroupId },
    #[error("Group {group} is not a {wanted} group.")]
    OtherType { group: GroupId, wanted: GroupType },
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedGroup {
    pub group: GroupId,
    pub protocol_type: Option<ProtocolType>,
    pub state: GroupState,
    pub group_type: GroupType,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ListError {
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

impl GroupAnswer {
    /// The answer to the same request, had the coordinator not been able to serve it.
    pub(crate) fn unavailable(self, why: Unavailable) -> GroupAnswer {
        match self {
            GroupAnswer::Join(_) => GroupAnswer::Join(Err(JoinRefused::new(&MemberId::new(""), why.into()))),
            GroupAnswer::Sync(_) => GroupAnswer::Sync(Err(why.into())),
            GroupAnswer::Heartbeat(_) => GroupAnswer::Heartbeat(Err(why.into())),
            GroupAnswer::Leave(_) => GroupAnswer::Leave(Err(why.into())),
            GroupAnswer::CommitOffsets(_) => GroupAnswer::CommitOffsets(Err(why.into())),
            GroupAnswer::FetchOffsets(_) => GroupAnswer::FetchOffsets(Err(why.into())),
            GroupAnswer::DeleteOffsets(_) => GroupAnswer::DeleteOffsets(Err(why.into())),
            GroupAnswer::DeleteGroup(_) => GroupAnswer::DeleteGroup(Err(why.into())),
            GroupAnswer::Describe(_) => GroupAnswer::Describe(Err(why.into())),
            GroupAnswer::List(_) => GroupAnswer::List(Err(why.into())),
            GroupAnswer::ForgetPartitions(_) => GroupAnswer::ForgetPartitions(Err(why)),
            GroupAnswer::ConsumerHeartbeat(_) => GroupAnswer::ConsumerHeartbeat(Err(why.into())),
            GroupAnswer::DescribeConsumers(_) => GroupAnswer::DescribeConsumers(Err(why.into())),
            GroupAnswer::Noted(_) => GroupAnswer::Noted(Err(why)),
        }
    }
}

impl JoinRefused {
    pub(crate) fn new(member: &MemberId, error: JoinError) -> JoinRefused {
        JoinRefused { member: member.clone(), error }
    }
}
