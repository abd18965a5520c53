//! The metadata of a cluster: the quorum that keeps it, the controller that decides, the image everybody reads.
//!
//! Owns: KRaft's machine, metadata records and snapshots, decisions about topics, brokers, configs and features, the
//! declarations of all config keys.
//! Does not own: files, sockets, the clock: machines are told what happened and asked what to do.
//!
//! In reading order: `features`, `config`, `records`, `image`, `controller`, `quorum`, `snapshot`, `bootstrap`; `node`
//! puts them together.

pub mod bootstrap;
pub mod config;
pub mod controller;
pub mod features;
pub mod image;
mod node;
pub mod quorum;
pub mod records;
pub mod snapshot;

pub use node::{MetadataNode, NodeAction, NodeError, NodeSetup, NodeStart, Now, RequestId};

#[cfg(test)]
mod testing;
