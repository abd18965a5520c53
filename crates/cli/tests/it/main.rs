//! The tools against what Kafka's tools print: recorded transcripts, replayed.
#![cfg(test)]

mod dump_log;
mod kills;
mod groups;
mod live;
mod node;
mod offline;
mod process;
mod storage;
mod transcript;
