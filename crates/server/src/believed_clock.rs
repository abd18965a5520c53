//! The wall clock as far as ages of data may rest on it.
//!
//! Owns: how fast a clock that jumped ahead is believed. Does not own: the clocks, what is done by age.
//!
//! A wall clock that jumps ahead by a day would make everything a day older, and what is deleted for its age does not come
//! back when the clock does. So the time that counts never passes more than twice as fast as the time that cannot jump. A jump
//! that stays is made up for in as long as it was wide; until then data is deleted late, never early. A clock that goes back
//! is believed at once: it makes data younger.
//!
//! What the clock says at the start is believed, right or wrong.
//!
//! Invariants
//! - I1 the believed time is never ahead of the wall clock;
//! - I2 between two readings the ceiling rises by at least the time that passed and at most twice that.
//!
//! Source: reliability design, invariant C2.

use ottla_env::time::Instant;
use ottla_model::Timestamp;

/// How much faster than time itself a clock that is ahead is followed.
const CATCHING_UP: i64 = 2;

/// The machine. Readings of both clocks go in, the time that counts comes out.
#[derive(Clone, Copy, Debug)]
pub struct BelievedClock {
    /// What the wall clock may say at most.
    ceiling: Timestamp,
    at: Instant,
}

impl BelievedClock {
    pub fn new(wall: Timestamp, at: Instant) -> BelievedClock {
        BelievedClock { ceiling: wall, at }
    }

    /// The time that counts when the wall clock says `wall` and the other one `at`.
    pub fn on_time(&mut self, wall: Timestamp, at: Instant) -> Timestamp {
        let passed = i64::try_from(at.saturating_duration_since(self.at).as_millis()).unwrap_or(i64::MAX);
        let ahead = wall.millis_since(self.ceiling.plus_millis(passed)).max(0);
        self.ceiling =
            self.ceiling.plus_millis(passed).plus_millis(ahead.min(passed.saturating_mul(CATCHING_UP - 1)));
        self.at = at;
        let believed = wall.min(self.ceiling);
        assert!(believed <= wall, "{believed:?} is ahead of the wall clock, {wall:?}");
        believed
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const HOUR: i64 = 3_600_000;

    /// Readings are hours of the wall clock and of the other one, behind a start at 100.
    fn believed(readings: &[(i64, u64)]) -> Vec<i64> {
        let start = Instant::now();
        let mut clock = BelievedClock::new(Timestamp::from_millis(100 * HOUR), start);
        let mut read = |(wall, passed): &(i64, u64)| {
            let at = start + Duration::from_secs(passed * 3_600);
            clock.on_time(Timestamp::from_millis(wall * HOUR), at).millis() / HOUR
        };
        readings.iter().map(&mut read).collect()
    }

    /// C2
    #[test]
    fn a_clock_that_keeps_time_is_believed() {
        assert_eq!(believed(&[(100, 0), (101, 1), (110, 10)]), [100, 101, 110]);
    }

    /// C2
    #[test]
    fn a_jump_ahead_is_made_up_for_in_as_long_as_it_was_wide() {
        assert_eq!(
            believed(&[(124, 0), (125, 1), (130, 6), (148, 24), (149, 25)]),
            [100, 102, 112, 148, 149]
        );
    }

    /// C2
    #[test]
    fn a_jump_ahead_and_back_leaves_nothing_behind() {
        assert_eq!(believed(&[(124, 0), (101, 1), (102, 2)]), [100, 101, 102]);
    }

    /// C2
    #[test]
    fn a_clock_that_goes_back_is_believed_and_may_return() {
        assert_eq!(believed(&[(77, 1), (78, 2), (103, 3)]), [77, 78, 103]);
    }
}
