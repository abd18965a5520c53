//! How fast a tool sends: so many records a second on average.
//!
//! Owns: when to pause and for how long.
//! Does not own: the clock, what is sent.
//!
//! A record that comes too early owes the time between two records. Debts are paid together once they are long enough to
//! be slept: timers tick in milliseconds.
//!
//! Source: behaviour of `kafka-producer-perf-test` and `kafka-verifiable-producer` of Kafka 4.3.1.

use std::time::Duration;

/// Shortest pause.
const PAUSE_MIN: Duration = Duration::from_millis(2);

/// What to do before the next record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pause {
    None,
    For(Duration),
    /// Nothing may be sent any more.
    ForEver,
}

/// Keeps a rate.
#[derive(Clone, Debug)]
pub struct Throttle {
    /// Records a second; below zero there is no limit.
    target: f64,
    debt: Duration,
}

impl Throttle {
    pub fn new(target: f64) -> Throttle {
        Throttle { target, debt: Duration::ZERO }
    }

    /// A record was sent, so long after the first one; `before` it there were others.
    pub fn on_sent(&mut self, before: u64, elapsed: Duration) -> Pause {
        if self.target < 0.0 || elapsed < Duration::from_millis(1) {
            return Pause::None;
        }
        if rate(before, elapsed) <= self.target {
            return Pause::None;
        }
        if self.target == 0.0 {
            return Pause::ForEver;
        }
        self.debt += Duration::try_from_secs_f64(self.target.recip()).unwrap_or(Duration::MAX / 2);
        if self.debt < PAUSE_MIN {
            return Pause::None;
        }
        Pause::For(std::mem::take(&mut self.debt))
    }
}

/// Things a second.
pub fn rate(count: u64, elapsed: Duration) -> f64 {
    as_f64(count) / elapsed.as_secs_f64()
}

/// The number, rounded where it has more than 53 bits.
#[allow(clippy::cast_precision_loss, reason = "counts of records and bytes that are shown with a few digits")]
pub fn as_f64(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    #[test]
    fn without_a_limit_nothing_pauses() {
        assert_eq!(Throttle::new(-1.0).on_sent(1_000_000, millis(1)), Pause::None);
    }

    #[test]
    fn debts_are_paid_once_they_can_be_slept() {
        let mut throttle = Throttle::new(1_000.0);
        // 1 ms of debt is too little to sleep, 2 ms are not.
        assert_eq!(throttle.on_sent(100, millis(10)), Pause::None);
        assert_eq!(throttle.on_sent(101, millis(10)), Pause::For(millis(2)));
        assert_eq!(throttle.on_sent(102, millis(10)), Pause::None);
        // Who is late owes nothing.
        assert_eq!(throttle.on_sent(103, millis(1_000)), Pause::None);
    }

    #[test]
    fn a_rate_of_nothing_ends_after_the_first_records() {
        let mut throttle = Throttle::new(0.0);
        assert_eq!(throttle.on_sent(0, millis(5)), Pause::None);
        assert_eq!(throttle.on_sent(1, millis(5)), Pause::ForEver);
    }
}
