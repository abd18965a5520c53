//! The outside world as traits, with the real implementations.
//!
//! Owns: disk, clock, randomness, network, tasks. Does not own: anything of Kafka.

pub mod clock;
pub mod disk;
pub mod memory;
pub mod net;
pub mod random;
pub mod sync;
pub mod task;
pub mod time;
