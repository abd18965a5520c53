//! The outside world as traits, with the real implementations.
//!
//! Owns: disk, clock, randomness, network, tasks. Does not own: anything of Kafka.

pub mod disk;
