//! Coordinators: state machines that live in partitions of internal topics.
//!
//! Owns: the shard runtime (decide → records → apply) and the shards: `group` and `transaction` now, share and streams
//! groups later.
//! Does not own: files, sockets, the clock, the wire.
//!
//! [`runtime::Runtime`] is driven by the server with facts about one partition; [`group::GroupShard`] is the state
//! machine of `__consumer_offsets`, [`transaction::TransactionShard`] that of `__transaction_state`.

pub mod config;
pub mod expression;
pub mod group;
pub mod runtime;
pub mod transaction;

pub use config::{Assignors, ConsumerConfig, GroupConfig, TransactionConfig};
