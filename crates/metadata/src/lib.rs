//! The metadata of a cluster: the quorum that keeps it, the controller that decides, the image everybody reads.
//!
//! Owns: KRaft's machine, metadata records and snapshots, decisions about topics, brokers, configs and features, the
//! declarations of all config keys.
//! Does not own: files, sockets, the clock: machines are told what happened and asked what to do.
//!
//! In reading order: `features`, `config`, `records`, `image`, `controller`.

pub mod config;
pub mod controller;
pub mod features;
pub mod image;
pub mod records;

#[cfg(test)]
mod testing;
