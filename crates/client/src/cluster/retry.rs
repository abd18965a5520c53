//! Calls that are tried again until a deadline.
//!
//! Owns: the waits between attempts, and what is reported when time is over.
//! Does not own: which errors deserve another attempt (the caller says so in `Attempt`).

use std::future::Future;
use std::time::{Duration, Instant};

use ottla_env::time;

use super::Shared;
use crate::backoff::Backoff;
use crate::error::CallError;

/// When a call must have ended, and its name for messages.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline {
    pub at: Instant,
    pub call: &'static str,
}

impl Deadline {
    pub(crate) fn after(timeout: Duration, call: &'static str) -> Deadline {
        Deadline { at: time::now() + timeout, call }
    }
}

/// The outcome of one attempt.
pub(crate) enum Attempt<T, E> {
    Done(T),
    /// Another attempt may succeed; the error is what to report if there is no time for one.
    Again(E),
    Failed(E),
}

impl<T, E: From<CallError>> Attempt<T, E> {
    /// The attempt whose call failed: connections may come back, versions do not change.
    pub(crate) fn of_call(error: CallError) -> Attempt<T, E> {
        if error.is_retriable() { Attempt::Again(error.into()) } else { Attempt::Failed(error.into()) }
    }
}

/// The attempts at one call.
pub(crate) struct Attempts<'a, E> {
    shared: &'a Shared,
    deadline: Deadline,
    backoff: Backoff,
    last: Option<E>,
}

impl Shared {
    /// Begins a series of attempts.
    pub(crate) fn attempts<E>(&self, deadline: Deadline) -> Attempts<'_, E> {
        Attempts { shared: self, deadline, backoff: Backoff::new(self.config.retry_backoff), last: None }
    }
}

impl<E: From<CallError>> Attempts<'_, E> {
    /// Makes one attempt, cut off at the deadline. Answers the end of the series, or `None` after the pause that
    /// comes before the next attempt.
    pub(crate) async fn make<T>(
        &mut self,
        attempt: impl Future<Output = Attempt<T, E>>,
    ) -> Option<Result<T, E>> {
        let Ok(outcome) = time::timeout_at(self.deadline.at, attempt).await else {
            // What the attempt before this one ran into says more than that time was over.
            let timed_out = || CallError::NoNode { call: self.deadline.call }.into();
            return Some(Err(self.last.take().unwrap_or_else(timed_out)));
        };
        match outcome {
            Attempt::Done(value) => Some(Ok(value)),
            Attempt::Failed(error) => Some(Err(error)),
            Attempt::Again(error) => {
                let wait = self.backoff.on_failure(self.shared.random());
                if time::now() + wait >= self.deadline.at {
                    return Some(Err(error));
                }
                self.last = Some(error);
                time::sleep(wait).await;
                None
            }
        }
    }
}
