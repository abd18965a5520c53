//! What the server asks of the group coordinator.
//!
//! Owns: the commands in the terms of groups; what differs between versions of a request is a field here.
//! Does not own: the wire, permissions, whether a topic exists.
//!
//! An empty [`MemberId`] is a legal value: the client has none yet, or names a static member by its instance.
//!
//! Source: Kafka protocol guide; KIP-345, KIP-394, KIP-800, KIP-814.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ottla_model::{
    GenerationId, GroupId, GroupInstanceId, LeaderEpoch, MemberId, PartitionIndex, ProtocolName,
    ProtocolType, TopicId, TopicName, Uuid,
};

use super::consumer::{ClusterView, ConsumerHeartbeat, FoundTopics};
use super::member::Protocol;
use super::record::CommittedPosition;
use crate::runtime::Author;

/// One request to the group coordinator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupCommand {
    Join(JoinGroup),
    Sync(SyncGroup),
    Heartbeat(Heartbeat),
    Leave(LeaveGroup),
    CommitOffsets(CommitOffsets),
    FetchOffsets(FetchOffsets),
    DeleteOffsets(DeleteOffsets),
    DeleteGroup(GroupId),
    Describe(GroupId),
    List(GroupFilter),
    /// These partitions are gone: their offsets are removed in all groups of the shard (OFF-06).
    ForgetPartitions(Vec<PartitionsOfTopic>),
    ConsumerHeartbeat(Box<ConsumerHeartbeat>),
    DescribeConsumers(GroupId),
    /// Topics of regular expressions were found.
    TakeFound(FoundTopics),
    /// The cluster changed.
    View(Arc<ClusterView>),
}

/// JoinGroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinGroup {
    pub group: GroupId,
    pub member: MemberId,
    pub instance: Option<GroupInstanceId>,
    pub client_id: Arc<str>,
    /// As tools show it: `/127.0.0.1`.
    pub client_host: Arc<str>,
    pub session_timeout: Duration,
    /// Version 0 has none: the session timeout then.
    pub rebalance_timeout: Duration,
    pub protocol_type: ProtocolType,
    /// By preference, the best first; names do not repeat.
    pub protocols: Vec<Protocol>,
    /// Whether a new dynamic member must come back with the id it is given (version 4 on, KIP-394).
    pub requires_member_id: bool,
    /// Whether the client understands that it need not assign (version 9 on, KIP-814).
    pub understands_skipping: bool,
    /// Fresh randomness, for the id of a new member.
    pub random: Uuid,
}

/// SyncGroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncGroup {
    pub group: GroupId,
    pub generation: Option<GenerationId>,
    pub member: MemberId,
    pub instance: Option<GroupInstanceId>,
    /// Told from version 5 on.
    pub protocol_type: Option<ProtocolType>,
    pub protocol: Option<ProtocolName>,
    /// What the leader assigns, empty from all others.
    pub assignments: Vec<(MemberId, Bytes)>,
}

/// Heartbeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    pub group: GroupId,
    pub generation: Option<GenerationId>,
    pub member: MemberId,
    pub instance: Option<GroupInstanceId>,
}

/// LeaveGroup; versions below 3 name one member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaveGroup {
    pub group: GroupId,
    pub members: Vec<LeavingMember>,
}

/// One member that leaves or is removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeavingMember {
    /// Empty when an operator removes a static member.
    pub member: MemberId,
    pub instance: Option<GroupInstanceId>,
}

/// OffsetCommit and TxnOffsetCommit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitOffsets {
    pub group: GroupId,
    /// `None` from clients that are no members.
    pub generation: Option<GenerationId>,
    pub member: MemberId,
    pub instance: Option<GroupInstanceId>,
    /// Whether the client knows that a generation may be the epoch of a consumer group (version 9 on).
    pub speaks_of_epochs: bool,
    /// How long the offsets are kept, where the client decides that itself (versions 2 to 4).
    pub retention: Option<Duration>,
    /// The transaction the offsets take effect with (TxnOffsetCommit).
    pub transaction: Option<Author>,
    pub topics: Vec<CommitTopic>,
}

/// Offsets of one topic that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitTopic {
    pub topic: TopicName,
    pub topic_id: Option<TopicId>,
    pub partitions: Vec<CommitPartition>,
}

/// The offset of one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitPartition {
    pub partition: PartitionIndex,
    pub position: CommittedPosition,
    pub leader_epoch: Option<LeaderEpoch>,
    /// Null on the wire is the empty text (TRAP-18).
    pub metadata: String,
}

/// OffsetFetch of one group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchOffsets {
    pub group: GroupId,
    pub wanted: Wanted,
    /// Offsets that a pending transaction is about to replace are refused (KIP-447).
    pub require_stable: bool,
    pub asker: FetchAs,
}

/// Who fetches offsets; members of consumer groups say so from version 9 on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchAs {
    pub member: Option<MemberId>,
    /// −1 from all others.
    pub epoch: i32,
}

impl Default for FetchAs {
    /// Nobody in particular.
    fn default() -> FetchAs {
        FetchAs { member: None, epoch: -1 }
    }
}

/// Which offsets are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    All,
    Named(Vec<PartitionsOfTopic>),
}

/// Some partitions of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionsOfTopic {
    pub topic: TopicName,
    /// Where it is known, offsets of an earlier topic of that name are not shown.
    pub topic_id: Option<TopicId>,
    pub partitions: Vec<PartitionIndex>,
}

/// OffsetDelete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeleteOffsets {
    pub group: GroupId,
    pub topics: Vec<PartitionsOfTopic>,
}

/// ListGroups. Empty filters let everything pass; texts are compared without regard to case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupFilter {
    pub states: Vec<String>,
    pub types: Vec<String>,
}
