//! What is persisted of a consumer group.
//!
//! Owns: the records in the terms of groups. Does not own: their bytes (`record_bytes`), their effect (`state`).
//!
//! Every record is one fact under one key; a group is the sum of its facts.
//!
//! Source: `ConsumerGroup*Key/Value` of Kafka 4.3, KIP-848.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ottla_model::{GroupId, GroupInstanceId, MemberId, PartitionIndex, Timestamp, TopicId};

use super::super::member::Protocol;

/// Epoch of a group, or of a member on its way to it. A member that joins has 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberEpoch(i32);

impl MemberEpoch {
    /// The epoch of who has not been part of the group yet.
    pub const ZERO: MemberEpoch = MemberEpoch(0);
    /// What is persisted of a static member that said it will be back.
    pub const AWAY: MemberEpoch = MemberEpoch(-2);

    pub const fn new(value: i32) -> MemberEpoch {
        MemberEpoch(value)
    }

    pub const fn value(self) -> i32 {
        self.0
    }

    #[must_use]
    pub const fn next(self) -> MemberEpoch {
        MemberEpoch(self.0.wrapping_add(1))
    }
}

/// A partition by the id of its topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IdPartition {
    pub topic: TopicId,
    pub partition: PartitionIndex,
}

/// One record of a consumer group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerRecord {
    pub group: GroupId,
    pub change: ConsumerChange,
}

/// The fact a record states; `None` takes it back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConsumerChange {
    Epoch(Option<GroupEpoch>),
    /// Brokers before 4.1 kept the topics' metadata here. It is only ever removed.
    PartitionMetadata(Option<Bytes>),
    Member {
        member: MemberId,
        value: Option<Arc<Subscriber>>,
    },
    TargetEpoch(Option<TargetEpoch>),
    Target {
        member: MemberId,
        value: Option<Arc<BTreeSet<IdPartition>>>,
    },
    Current {
        member: MemberId,
        value: Option<Arc<CurrentAssignment>>,
    },
    Regex {
        pattern: Arc<str>,
        value: Option<Arc<ResolvedRegex>>,
    },
}

/// The epoch of a group, and the hash of its topics' metadata at that epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupEpoch {
    pub epoch: MemberEpoch,
    pub metadata_hash: i64,
}

/// The group epoch for which the target assignment was made, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TargetEpoch {
    pub epoch: MemberEpoch,
    /// `None` in records of brokers before 4.3.
    pub at: Option<Timestamp>,
}

/// What a member said of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscriber {
    pub instance: Option<GroupInstanceId>,
    pub rack: Option<Arc<str>>,
    pub client_id: Arc<str>,
    /// As tools show it: `/127.0.0.1`.
    pub client_host: Arc<str>,
    pub names: BTreeSet<String>,
    /// Empty without a regular expression.
    pub regex: Arc<str>,
    pub rebalance_timeout: Option<Duration>,
    pub assignor: Option<Arc<str>>,
    /// `Some` for a member of the classic protocol.
    pub classic: Option<ClassicSubscriber>,
}

/// What a member of the classic protocol said besides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassicSubscriber {
    pub session_timeout: Duration,
    pub protocols: Vec<Protocol>,
}

/// How far a member has come with its assignment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberState {
    /// It has what it was to get at its epoch.
    Stable,
    /// It has yet to give partitions up.
    UnrevokedPartitions,
    /// It waits for partitions that others have yet to give up.
    UnreleasedPartitions,
    /// A later version of the software put it into this state.
    Unknown(i8),
}

/// What a member has, with the epoch at which it got each partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CurrentAssignment {
    pub epoch: MemberEpoch,
    pub previous_epoch: MemberEpoch,
    pub state: MemberState,
    pub assigned: BTreeMap<IdPartition, MemberEpoch>,
    /// What it was told to give up and still has.
    pub revoking: BTreeMap<IdPartition, MemberEpoch>,
}

/// The topics a regular expression stood for when it was looked up last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvedRegex {
    pub topics: BTreeSet<String>,
    /// The metadata offset at which it was looked up.
    pub version: i64,
    pub at: Timestamp,
}

impl Default for Subscriber {
    /// A member that has said nothing yet.
    fn default() -> Subscriber {
        Subscriber {
            instance: None,
            rack: None,
            client_id: Arc::from(""),
            client_host: Arc::from(""),
            names: BTreeSet::new(),
            regex: Arc::from(""),
            rebalance_timeout: None,
            assignor: None,
            classic: None,
        }
    }
}

impl Default for CurrentAssignment {
    /// A member that has nothing yet.
    fn default() -> CurrentAssignment {
        CurrentAssignment {
            epoch: MemberEpoch::ZERO,
            previous_epoch: MemberEpoch::ZERO,
            state: MemberState::Stable,
            assigned: BTreeMap::new(),
            revoking: BTreeMap::new(),
        }
    }
}

impl CurrentAssignment {
    /// Everything the member may be working on.
    pub fn held(&self) -> impl Iterator<Item = &IdPartition> {
        self.assigned.keys().chain(self.revoking.keys())
    }

    pub fn is_reconciled_to(&self, epoch: MemberEpoch) -> bool {
        self.state == MemberState::Stable && self.epoch == epoch
    }
}
