//! What a group coordinator persists.
//!
//! Owns: the records in the terms of groups. Does not own: their bytes (`record_bytes`), their effect (`shard`).
//!
//! A classic group is written as a whole: when it comes into being, when its leader assigned, when a static member
//! got a new id, when it became empty. What happens between these moments is forgotten by a restart, as in Kafka.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ottla_model::{
    GenerationId, GroupId, GroupInstanceId, LeaderEpoch, MemberId, PartitionIndex, ProtocolName,
    ProtocolType, Timestamp, TopicId, TopicName,
};

use super::consumer::ConsumerRecord;

/// One record of `__consumer_offsets`; without a value it is a tombstone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupRecord {
    Offset { key: OffsetKey, value: Option<Arc<OffsetEntry>> },
    Group { group: GroupId, image: Option<Arc<GroupImage>> },
    Consumer(ConsumerRecord),
}

/// Whose offset it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OffsetKey {
    pub group: GroupId,
    pub topic: TopicName,
    pub partition: PartitionIndex,
}

/// The position a client stored. Kafka keeps any number, also a negative one, and gives it back as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CommittedPosition(pub i64);

/// A committed offset with what was stored beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetEntry {
    pub position: CommittedPosition,
    pub leader_epoch: Option<LeaderEpoch>,
    pub metadata: Box<str>,
    pub committed_at: Timestamp,
    /// When it expires, where the client decided that (OffsetCommit versions 2 to 4).
    pub expires_at: Option<Timestamp>,
    pub topic_id: Option<TopicId>,
}

/// A classic group at one generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupImage {
    /// `None` before the first member.
    pub protocol_type: Option<ProtocolType>,
    pub generation: GenerationId,
    /// `None` without members.
    pub protocol: Option<ProtocolName>,
    pub leader: Option<MemberId>,
    /// Since when the group is in its state; `None` in records of old brokers.
    pub since: Option<Timestamp>,
    pub members: Vec<MemberImage>,
}

/// A member with its assignment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberImage {
    pub member: MemberId,
    pub instance: Option<GroupInstanceId>,
    pub client_id: Arc<str>,
    pub client_host: Arc<str>,
    pub rebalance_timeout: Duration,
    pub session_timeout: Duration,
    /// What the member said about the group's protocol.
    pub subscription: Bytes,
    pub assignment: Bytes,
}
