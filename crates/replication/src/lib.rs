//! Leadership of one partition: who is in sync, what is committed, who waits for it.
//!
//! Owns: leader and partition epochs, the in-sync set, the high watermark, waiting produce and fetch requests.
//! Does not own: the log, sockets, the clock, the controller that grants in-sync changes.
//!
//! One [`Replica`] is this broker's copy of one partition. It is told facts (`on_*`), asked for outcomes (`poll_*`)
//! and woken at [`Replica::deadline`]. Its parts, in reading order: [`config`], `watermark`, `progress`, `acks`,
//! `fetches`, `read`, `role`, `machine`.

mod acks;
pub mod config;
mod fetches;
mod machine;
mod progress;
mod read;
mod role;
mod watermark;

pub use acks::{Ack, AckOutcome, Acked};
pub use config::{AckDurability, ReplicationConfig};
pub use fetches::{FetchWaiter, FetchWake, WakeCause};
pub use machine::Replica;
pub use progress::{
    AppendRefused, FollowerFetch, FollowerFetchRefused, InSyncProposal, ProposalRefused, ProposedMember,
};
pub use read::{Divergence, EpochEnd, Limit, OffsetUnavailable, ReadAttempt, ReadRefused, Readable, Reader};
pub use role::{PartitionState, Standing, StateChange};
pub use watermark::LogPositions;

/// Names one waiting request. The caller chooses it and finds its connection by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);
