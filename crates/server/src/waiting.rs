//! Requests that wait for something to happen in partitions: produce with `acks=all`, and long polls.
//!
//! Owns: the meeting point between a waiting request and the partitions that wake it.
//! Does not own: when a wait is over (`replication`), what is answered (`handlers`).
//!
//! Invariants
//! - W1 each slot of a produce wait is filled at most once;
//! - W2 a wake-up that comes before the request begins to wait is not lost.
//!
//! Source: requirements PRD-19, FET-13, FET-14.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use ottla_env::sync::Notify;
use ottla_env::time::{Instant, timeout_at};
use ottla_replication::{AckOutcome, RequestId};
use parking_lot::Mutex;

/// Gives each waiting request a number of its own for the life of the process.
#[derive(Debug, Default)]
pub struct RequestIds {
    next: AtomicU64,
}

impl RequestIds {
    pub fn next(&self) -> RequestId {
        RequestId(self.next.fetch_add(1, Ordering::Relaxed))
    }
}

/// One produce request that waits for its partitions. A slot is the partition's place in the request.
#[derive(Debug)]
pub struct ProduceWait {
    state: Mutex<ProduceState>,
    wake: Notify,
}

#[derive(Debug)]
struct ProduceState {
    outcomes: Vec<Option<AckOutcome>>,
    missing: usize,
}

impl ProduceWait {
    /// A wait for nothing yet, in a request of `slots` partitions.
    pub fn new(slots: usize) -> ProduceWait {
        let state = ProduceState { outcomes: vec![None; slots], missing: 0 };
        ProduceWait { state: Mutex::new(state), wake: Notify::new() }
    }

    /// One more partition will call [`ProduceWait::finish`].
    pub fn expect_one(&self) {
        self.state.lock().missing += 1;
    }

    /// The partition at `slot` has its outcome.
    pub fn finish(&self, slot: usize, outcome: AckOutcome) {
        let mut state = self.state.lock();
        let Some(place) = state.outcomes.get_mut(slot) else { return };
        if place.is_some() {
            return;
        }
        *place = Some(outcome);
        state.missing = state.missing.saturating_sub(1);
        if state.missing == 0 {
            drop(state);
            self.wake.notify_one();
        }
    }

    /// Whether every expected partition has its outcome.
    pub fn is_done(&self) -> bool {
        self.state.lock().missing == 0
    }

    /// Waits until every expected partition has its outcome, or until `deadline`. `true`: all have one.
    pub async fn done(&self, deadline: Instant) -> bool {
        while !self.is_done() {
            if timeout_at(deadline, self.wake.notified()).await.is_err() {
                return self.is_done();
            }
        }
        true
    }

    /// The outcome of the partition at `slot`, if it has one.
    pub fn outcome(&self, slot: usize) -> Option<AckOutcome> {
        self.state.lock().outcomes.get(slot).copied().flatten()
    }
}

/// One long poll (Fetch, DeleteRecords) that looks again when a partition wakes it.
#[derive(Debug, Default)]
pub struct PollWait {
    woken: AtomicBool,
    wake: Notify,
}

impl PollWait {
    /// Something happened that the request may want to see.
    pub fn wake(&self) {
        self.woken.store(true, Ordering::Release);
        self.wake.notify_one();
    }

    /// Waits for a wake-up since the last call, or until `deadline`. `true`: there was one.
    pub async fn woken(&self, deadline: Instant) -> bool {
        loop {
            if self.woken.swap(false, Ordering::AcqRel) {
                return true;
            }
            if timeout_at(deadline, self.wake.notified()).await.is_err() {
                return self.woken.swap(false, Ordering::AcqRel);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use ottla_env::task;

    use super::*;

    fn far() -> Instant {
        ottla_env::time::now() + Duration::from_secs(60)
    }

    /// PRD-19
    #[test]
    fn a_produce_wait_ends_with_its_last_partition() {
        let wait = Arc::new(ProduceWait::new(2));
        wait.expect_one();
        wait.expect_one();
        wait.finish(1, AckOutcome::Committed);
        wait.finish(1, AckOutcome::Committed);
        assert!(!wait.is_done(), "the same partition counts once");
        wait.finish(0, AckOutcome::Committed);
        assert!(task::block_on(wait.done(far())).unwrap());
        assert_eq!(wait.outcome(0), Some(AckOutcome::Committed));
    }

    /// PRD-19
    #[test]
    fn a_produce_wait_gives_up_at_its_deadline() {
        let wait = ProduceWait::new(1);
        wait.expect_one();
        assert!(!task::block_on(wait.done(ottla_env::time::now())).unwrap());
        assert_eq!(wait.outcome(0), None);
    }

    /// FET-14
    #[test]
    fn a_wake_up_before_the_wait_is_not_lost() {
        let wait = PollWait::default();
        wait.wake();
        assert!(task::block_on(wait.woken(far())).unwrap());
        assert!(!task::block_on(wait.woken(ottla_env::time::now())).unwrap());
    }
}
