//! The tools against what Kafka's tools print: recorded transcripts, replayed.
#![cfg(test)]

mod dump_log;
mod groups;
mod kills;
mod live;
mod node;
mod offline;
mod process;
mod storage;
mod transcript;
