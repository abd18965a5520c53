//! Consumer groups: the protocol in which the coordinator assigns.
//!
//! Owns: membership by heartbeat, epochs, target and current assignments, regular expressions, the change from and to
//! the classic protocol. Does not own: classic groups, offsets, the log.
//!
//! In reading order: `command` is what the server says and hears; `record` and `record_bytes` are what is persisted;
//! `state` is one group; `assign` and `balance` make targets, `reconcile` brings a member nearer to its own; `work` is
//! a change that is being decided, `heartbeat`, `leave`, `migration` and `classic_member` decide it; `pattern` and
//! `regex` are subscriptions by expression; `offsets` and `describe` look; `table` holds all groups and their timers;
//! `refusal` says no without a look; `serve` ties all of it to the shard.

mod assign;
mod balance;
mod classic_member;
mod command;
mod describe;
mod heartbeat;
mod leave;
mod migration;
mod offsets;
mod reconcile;
mod record;
mod record_bytes;
mod refusal;
mod regex;
mod serve;
mod state;
mod table;
mod work;

pub use assign::Assignor;
pub use command::{
    Beaten, CannotUpgrade, ClusterView, ConsumerHeartbeat, ConsumerHeartbeatError, ConsumerSettings,
    ConsumerTimes, DescribedConsumer, DescribedConsumerGroup, FoundTopics, LookUp, NamedPartition,
};
pub use migration::MigrationPolicy;
pub use record::{
    ConsumerChange, ConsumerRecord, CurrentAssignment, GroupEpoch, IdPartition, MemberEpoch, MemberState,
    ResolvedRegex, Subscriber, TargetEpoch,
};
pub use regex::look_up;

pub(super) use describe::describe;
pub(super) use record_bytes::{decode, encode, is_ours};
pub(super) use refusal::precheck;
pub(super) use state::ConsumerGroup;
pub(super) use table::ConsumerTable;
