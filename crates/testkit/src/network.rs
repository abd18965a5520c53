//! A network with delay, loss and cuts, for code that speaks through `ottla_env::net`.
//!
//! Owns: simulations whose every delay and fault follows from a seed. Does not own: hosts and scenarios.
//!
//! Inside a host of the simulation, `ottla_env`'s network, timers and tasks are the simulated ones, in one
//! thread and in virtual time. A link that is partitioned loses what is sent; one that is held keeps it until
//! released; there is no retransmission, so a connection that lost something stays silent, and only a deadline
//! or a new connection helps.

pub use turmoil::{Builder, Sim, ToIpAddrs};

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::seeds;

/// Most virtual time one simulation takes: beyond it, something waits for what will never come.
const DURATION_MAX: Duration = Duration::from_secs(3_600);

/// The shortest and longest way of a message between two hosts: a fast local network to a slow wide one.
const LATENCY: (Duration, Duration) = (Duration::from_micros(100), Duration::from_millis(40));

/// Where the wall clocks of hosts begin: 2026-01-01T00:00:00Z.
const EPOCH_SECONDS: u64 = 1_767_225_600;

/// A simulation whose delays and order of events follow from `seed`.
pub fn simulation(seed: u64) -> Sim<'static> {
    let epoch: SystemTime = UNIX_EPOCH + Duration::from_secs(EPOCH_SECONDS);
    Builder::new()
        .rng_seed(seed)
        .epoch(epoch)
        .simulation_duration(DURATION_MAX)
        .min_message_latency(LATENCY.0)
        .max_message_latency(LATENCY.1)
        .enable_random_order()
        .build()
}

/// Runs a scenario for the seeds `0..count`, as [`seeds::run`] does; a failure prints its seed and how to
/// repeat it. The scenario puts its hosts and clients into the simulation and runs it.
pub fn run(count: u64, scenario: impl Fn(&mut Sim<'static>, u64)) {
    seeds::run(count, |seed| scenario(&mut simulation(seed), seed));
}
