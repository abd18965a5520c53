//! The simulated world, and the checker that judges what happened in it. Never shipped.
//!
//! Owns: a disk that loses what was not synced, one that is watched, a clock that stands still, chance that repeats, a network with
//! faults, requests that no client sends, and the history checker.
//! Does not own: scenarios; they live with the crate they test.

pub mod clock;
pub mod random;
pub mod seeds;

pub mod schema;
pub mod spoiled;

pub mod disk;
pub mod watched_disk;

#[cfg(feature = "net")]
pub mod network;

pub mod history;
