//! The drop-in tools: Kafka's names, flags, output and exit codes.
//!
//! Owns: nothing but the list. Does not own: which name stands for which tool (`dispatch`).
//!
//! In reading order: `usage`, `failure` and `session` are what the tools on joptsimple share, `hash_order` is the order
//! in which some of them print; then the tools.

mod failure;
mod hash_order;
mod session;
pub mod usage;

pub mod broker_api_versions;
pub mod configs;
pub mod console_consumer;
pub mod console_producer;
pub mod consumer_groups;
pub mod delete_records;
pub mod dump_log;
pub mod get_offsets;
pub mod groups;
pub mod log_dirs;
pub mod storage;
pub mod topics;
