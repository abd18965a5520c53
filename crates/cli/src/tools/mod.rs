//! The drop-in tools: Kafka's names, flags, output and exit codes.
//!
//! Owns: nothing but the list. Does not own: which name stands for which tool (`dispatch`).
//!
//! In reading order: `usage`, `failure`, `java`, `java_date`, `java_number`, `json`, `json_input`, `feature_levels`, `session`,
//! `clients`, `hash_order`, `partition` and `throttle` are what tools share; then the tools.

mod clients;
mod command_line;
mod failure;
mod feature_levels;
mod hash_order;
mod java;
mod java_date;
mod java_number;
mod json;
mod json_input;
mod partition;
mod session;
mod throttle;
pub mod usage;

pub mod broker_api_versions;
pub mod cluster;
pub mod configs;
pub mod console_consumer;
pub mod console_producer;
pub mod consumer_groups;
pub mod consumer_perf;
pub mod delete_records;
pub mod dump_log;
pub mod e2e_latency;
pub mod features;
pub mod get_offsets;
pub mod groups;
pub mod leader_election;
pub mod log_dirs;
pub mod metadata_quorum;
pub mod producer_perf;
pub mod storage;
pub mod topics;
pub mod verifiable_consumer;
pub mod verifiable_producer;
