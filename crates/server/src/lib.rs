//! The node: listeners, one handler file per API, the partition table, and the wiring of machines to the outside.
//!
//! Owns: what happens between a socket and the machines below, and the life of a node.
//! Does not own: formats (`protocol`), files (`storage`), decisions (`metadata`, `replication`, `coordinator`).
//!
//! In reading order: `startup` makes a node and ends it; `listener` and `connection` take requests, `dispatch` finds
//! their `handlers`; `partition` and `partitions` are what producers and consumers meet; `controller`, `coordinators`,
//! `broker_lifecycle`, `metadata_follower`, `flusher`, `janitor` and `compaction` are the tasks beside them.

mod access;
mod apis;
mod believed_clock;
mod broker_lifecycle;
mod caller;
mod compaction;
pub mod config_resources;
mod connection;
pub mod controller;
mod coordinators;
mod dispatch;
mod error_code;
mod fetch;
mod flusher;
mod formatting;
mod handlers;
mod internal_topics;
mod janitor;
mod leaders;
mod listener;
mod log_directory;
pub mod loggers;
mod memory_budget;
mod metadata_follower;
mod node;
mod partition;
mod partition_table;
mod partitions;
mod producer_ids;
mod startup;
#[cfg(test)]
mod testing;
mod topic_creation;
mod topic_settings;
mod topology;
mod transactions;
mod turn;
mod unwritable;
mod waiting;

pub use formatting::FormattingError;
pub use startup::{RunningNode, StartError, StartOptions, start};
