//! What time it is.
//!
//! Owns: the trait `Clock` and the machine's clock. Does not own: waiting (`time`), the manual clock of
//! tests (`testkit`).
//!
//! The two readings are for different questions. `now` is for what people and records see: timestamps,
//! retention, expiry of tokens; it may jump both ways. `monotonic` is for deadlines and durations, and
//! no safety decision rests on the other one.
//!
//! In a simulation (feature `sim`) `SystemClock` shows the virtual time of the simulated host.

use std::fmt::Debug;
use std::time::Instant;

use ottla_model::Timestamp;

use crate::time;

/// A source of both times.
pub trait Clock: Send + Sync + Debug {
    /// Wall-clock time.
    fn now(&self) -> Timestamp;
    /// Time that never goes back; only differences mean something.
    fn monotonic(&self) -> Instant;
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        time::wall_now()
    }

    fn monotonic(&self) -> Instant {
        time::now()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wall_clock_is_in_this_century_and_the_other_one_never_goes_back() {
        let clock = SystemClock;
        let year_2024 = Timestamp::from_millis(1_704_067_200_000);
        let year_2100 = Timestamp::from_millis(4_102_444_800_000);
        assert!(year_2024 < clock.now() && clock.now() < year_2100);
        let first = clock.monotonic();
        assert!(clock.monotonic() >= first);
    }
}
