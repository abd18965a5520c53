//! Time that moves when the test says so.
//!
//! Owns: `SimClock`. Does not own: timers of tasks, which follow the runtime (see `network`).

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ottla_env::clock::Clock;
use ottla_model::Timestamp;

/// A clock that stands still until it is moved. Wall and monotonic time move together by `advance`; `jump`
/// moves the wall clock alone, as an operator or NTP would.
#[derive(Debug)]
pub struct SimClock {
    /// Only differences to it are ever seen.
    origin: Instant,
    elapsed_nanos: AtomicU64,
    wall_at_origin: AtomicI64,
}

impl SimClock {
    pub fn new(start: Timestamp) -> SimClock {
        SimClock {
            origin: ottla_env::time::now(),
            elapsed_nanos: AtomicU64::new(0),
            wall_at_origin: AtomicI64::new(start.millis()),
        }
    }

    /// Lets time pass.
    pub fn advance(&self, duration: Duration) {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.elapsed_nanos.fetch_add(nanos, Ordering::SeqCst);
    }

    /// Sets the wall clock forward, or back with a negative number.
    pub fn jump(&self, millis: i64) {
        self.wall_at_origin.fetch_add(millis, Ordering::SeqCst);
    }

    /// Time passed since the clock was made.
    pub fn elapsed(&self) -> Duration {
        Duration::from_nanos(self.elapsed_nanos.load(Ordering::SeqCst))
    }
}

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        let passed = i64::try_from(self.elapsed().as_millis()).unwrap_or(i64::MAX);
        Timestamp::from_millis(self.wall_at_origin.load(Ordering::SeqCst)).plus_millis(passed)
    }

    fn monotonic(&self) -> Instant {
        self.origin + self.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_wall_clock_jumps() {
        let clock = SimClock::new(Timestamp::from_millis(1_000));
        let start = clock.monotonic();
        clock.advance(Duration::from_millis(5));
        clock.jump(-500);
        assert_eq!(clock.now(), Timestamp::from_millis(505));
        assert_eq!(clock.monotonic() - start, Duration::from_millis(5));
    }
}
