//! The tools against what Kafka's tools print: recorded transcripts, replayed.
#![cfg(test)]

mod cluster_tools;
mod controllers;
mod dump_log;
mod flags;
mod groups;
mod kills;
mod left_out;
mod live;
mod node;
mod offline;
mod own;
mod partitions;
mod perf;
mod process;
mod quick_start;
mod refused;
mod stage;
mod storage;
mod transcript;
mod verifiable;
