//! Growing waits between repeated failures.
//!
//! Owns: the growth, its limit and the jitter. Does not own: what failed, the waiting itself.
//!
//! Source: KIP-144, KIP-580: each wait is twice the one before, ±20 %, never above the maximum.

use std::time::Duration;

use crate::config::BackoffConfig;

/// Doublings after which any sensible maximum is reached; keeps the shift in range.
const DOUBLINGS_MAX: u32 = 20;

/// Counts failures in a row and says how long to wait after the last one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backoff {
    config: BackoffConfig,
    failures: u32,
}

impl Backoff {
    pub(crate) fn new(config: BackoffConfig) -> Backoff {
        Backoff { config, failures: 0 }
    }

    /// One more failure; `random` is any 64 bits. Answers the wait before the next attempt.
    pub(crate) fn on_failure(&mut self, random: u64) -> Duration {
        let wait = self.wait_after(self.failures, random);
        self.failures = self.failures.saturating_add(1);
        wait
    }

    /// The wait that the failures so far have grown to, without counting another one.
    pub(crate) fn current(&self, random: u64) -> Duration {
        self.wait_after(self.failures, random)
    }

    /// An attempt succeeded: the next failure waits the shortest time again.
    pub(crate) fn on_success(&mut self) {
        self.failures = 0;
    }

    /// The wait after `earlier` failures before this one.
    pub(crate) fn wait_after(&self, earlier: u32, random: u64) -> Duration {
        let doubled = self.config.first.saturating_mul(1 << earlier.min(DOUBLINGS_MAX));
        let base = doubled.min(self.config.max);
        // 64 random bits as a factor from 0.8 to 1.2; three decimals are plenty for a wait.
        let thousandths = 800 + u32::try_from(random % 401).unwrap_or(0);
        (base * thousandths / 1000).min(self.config.max.max(self.config.first))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backoff() -> Backoff {
        Backoff::new(BackoffConfig { first: Duration::from_millis(100), max: Duration::from_millis(1000) })
    }

    /// KIP-580
    #[test]
    fn waits_double_up_to_the_maximum_and_start_over_after_a_success() {
        let mut backoff = backoff();
        // 200 of 0..=400 is the middle: no jitter.
        let waits: Vec<u128> = (0..6).map(|_| backoff.on_failure(200).as_millis()).collect();
        assert_eq!(waits, [100, 200, 400, 800, 1000, 1000]);
        backoff.on_success();
        assert_eq!(backoff.on_failure(200).as_millis(), 100);
    }

    /// KIP-580
    #[test]
    fn jitter_stays_within_a_fifth_and_below_the_maximum() {
        for random in [0, 1, 400, 401, u64::MAX] {
            let wait = backoff().on_failure(random).as_millis();
            assert!((80..=120).contains(&wait), "{wait}");
            assert!(backoff().wait_after(30, random).as_millis() <= 1000);
        }
    }
}
