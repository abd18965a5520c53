//! The drop-in tools: Kafka's names, flags, output and exit codes.
//!
//! Owns: nothing but the list. Does not own: which name stands for which tool (`dispatch`).

pub mod storage;
