//! The coordinator of consumer groups: one shard per partition of `__consumer_offsets`.
//!
//! Owns: membership and rebalances of classic and consumer groups, committed offsets, their expiry, their records.
//! Does not own: the log, the metadata of topics, permissions.
//!
//! In reading order: `command` and `answer` are what the server says and hears; `record` is what is persisted;
//! `member`, `members`, `protocols`, `classic`, `rebalance`, `join`, `session` are one group; `table` holds all of
//! them; `consumer` has the groups of the newer protocol, `topics` what they know of topics; `offsets`, `commit`, `expiry`, `removal` are about offsets; `describe` shows; `refusal` says no without a look;
//! `shard` routes.

mod answer;
mod classic;
mod command;
mod commit;
mod consumer;
mod describe;
mod expiry;
mod join;
mod member;
mod members;
mod offsets;
mod protocols;
mod rebalance;
mod record;
mod record_bytes;
mod refusal;
mod removal;
mod session;
mod shard;
mod table;
mod topics;

pub use answer::{
    CommitError, CommitPartitionError, CommittedPartition, CommittedTopic, DeleteGroupError,
    DeleteOffsetsError, DeletedPartition, DeletedTopic, DescribeError, DescribedGroup, DescribedMember,
    FetchError, FetchedPartition, FetchedTopic, GroupAnswer, HeartbeatError, JoinError, JoinRefused, Joined,
    JoinedMember, LeaveError, LeaveMemberError, LeftMember, ListError, ListedGroup, OffsetSubscribed,
    OffsetUnstable, SyncError, Synced,
};
pub use classic::{GroupState, GroupType};
pub use command::{
    CommitOffsets, CommitPartition, CommitTopic, DeleteOffsets, FetchAs, FetchOffsets, GroupCommand,
    GroupFilter, Heartbeat, JoinGroup, LeaveGroup, LeavingMember, PartitionsOfTopic, SyncGroup, Wanted,
};
pub use consumer::{
    Assignor, Beaten, CannotUpgrade, ClusterView, ConsumerChange, ConsumerHeartbeat, ConsumerHeartbeatError,
    ConsumerRecord, ConsumerSettings, ConsumerTimes, CurrentAssignment, DescribedConsumer,
    DescribedConsumerGroup, FoundTopics, GroupEpoch, IdPartition, LookUp, MemberEpoch, MemberState,
    MigrationPolicy, NamedPartition, ResolvedRegex, Subscriber, TargetEpoch, look_up,
};
pub use member::Protocol;
pub use record::{CommittedPosition, GroupImage, GroupRecord, MemberImage, OffsetEntry, OffsetKey};
pub use refusal::precheck;
pub use shard::GroupShard;
pub use topics::{TopicShape, Topics};
