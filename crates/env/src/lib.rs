//! The outside world as traits, with the real implementations.
//!
//! Owns: disk, network, time, chance, tasks, memory, and what the process counts about itself.
//! Does not own: anything of Kafka.
//!
//! No other crate names a runtime, a socket, a file or a clock. Disk, clock and chance are traits, handed to
//! whoever needs them; network, timers and tasks are modules that follow a simulation by themselves when they
//! run inside one (feature `sim`).

pub mod clock;
pub mod random;

pub mod disk;
pub mod net;

pub mod sync;
pub mod task;
pub mod time;

pub mod memory;
pub mod metrics;
pub mod spare;

pub mod failpoint;
