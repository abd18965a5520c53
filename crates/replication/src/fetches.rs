//! Fetch requests that wait for more bytes on one partition.
//!
//! Owns: who waits, for how many bytes behind which limit, and until when.
//! Does not own: the bytes. A woken request looks at the log again and answers, or waits anew.
//!
//! A wake may come early and never comes late: bytes are counted from the last moment at which the reader's limit
//! was the log end, so the count is an upper bound of what the reader can read.
//!
//! Invariants
//! - F1 every waiter is woken exactly once, unless it is forgotten;
//! - F2 no bytes are counted twice, and none that the waiter cannot have seen is left out.
//!
//! Source: requirements FET-13 and FET-14.

use std::collections::VecDeque;
use std::time::Instant;

use ottla_model::Offset;

use crate::RequestId;
use crate::read::Limit;
use crate::role::Standing;
use crate::watermark::Limits;

/// A fetch that found too few bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetchWaiter {
    pub request: RequestId,
    /// The offset below which this reader may read.
    pub limit: Limit,
    /// Bytes that have to be added here before another look is worth it. A request that waits on `n` partitions for
    /// `m` bytes in all gives each of them `m / n`, rounded up: if all together have `m`, one of them has that.
    pub wanted_bytes: u64,
    /// When the request is answered with whatever is there.
    pub deadline: Instant,
}

/// Why a waiter was woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WakeCause {
    /// Its limit moved and enough bytes may be there.
    Bytes,
    /// Its deadline came.
    TimedOut,
    /// The log was cut, or the leader's epoch or role changed: what it knows may be wrong.
    Changed(Standing),
}

/// The end of one wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetchWake {
    pub request: RequestId,
    pub cause: WakeCause,
}

#[derive(Clone, Copy)]
struct Parked {
    waiter: FetchWaiter,
    /// Value of `appended_bytes` from which on another look is worth it.
    due_bytes: u64,
}

/// Nothing is allocated before the first request waits: most replicas never see one.
pub(crate) struct FetchWaiters {
    queues: Option<Box<Queues>>,
    /// Bytes appended since this replica was opened, and those that lay there.
    appended_bytes: u64,
    /// The same, when the high watermark last was the log end.
    committed_bytes: u64,
    /// The same, when the last stable offset last was the log end.
    stable_bytes: u64,
}

#[derive(Default)]
struct Queues {
    parked: Vec<Parked>,
    woken: VecDeque<FetchWake>,
    earliest: Option<Instant>,
}

impl FetchWaiters {
    /// Of a log that was just opened. How many bytes lie between a limit and the log end is not known then: as many as
    /// anybody waits for.
    pub fn new(limits: Limits) -> FetchWaiters {
        let unseen = u64::from(u32::MAX);
        let seen = |limit: Offset| if limit == limits.log_end { unseen } else { 0 };
        FetchWaiters {
            queues: None,
            appended_bytes: unseen,
            committed_bytes: seen(limits.high_watermark),
            stable_bytes: seen(limits.last_stable),
        }
    }

    pub fn wait(&mut self, waiter: FetchWaiter) {
        let base = match waiter.limit {
            Limit::LogEnd => self.appended_bytes,
            Limit::HighWatermark => self.committed_bytes,
            Limit::LastStable => self.stable_bytes,
        };
        let queues = self.queues.get_or_insert_default();
        queues.parked.push(Parked { waiter, due_bytes: base.saturating_add(waiter.wanted_bytes) });
        queues.earliest =
            Some(queues.earliest.map_or(waiter.deadline, |earliest| earliest.min(waiter.deadline)));
    }

    pub fn on_appended(&mut self, bytes: u32) {
        self.appended_bytes = self.appended_bytes.saturating_add(u64::from(bytes));
    }

    /// The limits moved from `before` to `after`.
    pub fn on_limits(&mut self, before: Limits, after: Limits) {
        if after.high_watermark == after.log_end {
            self.committed_bytes = self.appended_bytes;
        }
        if after.last_stable == after.log_end {
            self.stable_bytes = self.appended_bytes;
        }
        let appended = self.appended_bytes;
        if let Some(queues) =
            self.queues.as_mut().filter(|queues| !queues.parked.is_empty() && before != after)
        {
            queues.wake_if(|parked| {
                let limit = parked.waiter.limit;
                (limit.of(after) > limit.of(before) && appended >= parked.due_bytes)
                    .then_some(WakeCause::Bytes)
            });
        }
    }

    pub fn on_changed(&mut self, standing: Standing) {
        if let Some(queues) = &mut self.queues {
            queues.wake_if(|_| Some(WakeCause::Changed(standing)));
        }
    }

    pub fn on_deadline(&mut self, now: Instant) {
        let due = |queues: &&mut Box<Queues>| queues.earliest.is_some_and(|earliest| earliest <= now);
        if let Some(queues) = self.queues.as_mut().filter(due) {
            queues.wake_if(|parked| (parked.waiter.deadline <= now).then_some(WakeCause::TimedOut));
        }
    }

    pub fn forget(&mut self, request: RequestId) {
        let Some(queues) = &mut self.queues else { return };
        queues.parked.retain(|parked| parked.waiter.request != request);
        queues.woken.retain(|wake| wake.request != request);
        if queues.parked.is_empty() {
            queues.earliest = None;
        }
    }

    pub fn poll_wake(&mut self) -> Option<FetchWake> {
        self.queues.as_mut()?.woken.pop_front()
    }

    pub fn deadline(&self) -> Option<Instant> {
        self.queues.as_ref()?.earliest
    }

    pub fn len(&self) -> usize {
        self.queues.as_ref().map_or(0, |queues| queues.parked.len())
    }
}

impl Queues {
    fn wake_if(&mut self, cause_of: impl Fn(&Parked) -> Option<WakeCause>) {
        let woken = &mut self.woken;
        self.parked.retain(|parked| match cause_of(parked) {
            Some(cause) => {
                woken.push_back(FetchWake { request: parked.waiter.request, cause });
                false
            }
            None => true,
        });
        self.earliest = self.parked.iter().map(|parked| parked.waiter.deadline).min();
    }
}
