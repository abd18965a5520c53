//! The tools against what Kafka's tools print: recorded transcripts, replayed.
#![cfg(test)]

mod live;
mod offline;
mod transcript;
