//! Calls that are tried again until a deadline.
//!
//! Owns: the loop, its waits, and what is reported when time is over.
//! Does not own: which errors deserve another attempt (the caller says so in `Attempt`).

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

    pub(crate) fn has_passed(&self) -> bool {
        time::now() >= self.at
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

impl Shared {
    /// Makes attempts until one is done or failed, or the deadline passes.
    pub(crate) async fn retry<T, E: From<CallError>>(
        &self,
        deadline: Deadline,
        mut attempt: impl AsyncFnMut() -> Attempt<T, E>,
    ) -> Result<T, E> {
        let mut backoff = Backoff::new(self.config.retry_backoff);
        let mut last: Option<E> = None;
        loop {
            let outcome = match time::timeout_at(deadline.at, attempt()).await {
                Ok(outcome) => outcome,
                // The attempt was cut off: what the one before it ran into says more than that.
                Err(time::Elapsed) => {
                    let timed_out = || CallError::NoNode { call: deadline.call }.into();
                    return Err(last.unwrap_or_else(timed_out));
                }
            };
            match outcome {
                Attempt::Done(value) => return Ok(value),
                Attempt::Failed(error) => return Err(error),
                Attempt::Again(error) => {
                    let wait = backoff.on_failure(self.random());
                    if time::now() + wait >= deadline.at {
                        return Err(error);
                    }
                    last = Some(error);
                    time::sleep(wait).await;
                }
            }
        }
    }
}
