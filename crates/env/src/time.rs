//! Waiting.
//!
//! Owns: the only names of tokio's timers outside this crate. Does not own: what is waited for.
//!
//! Deadlines are `std::time::Instant`s, as [`crate::clock::Clock::monotonic`] gives them and machines keep
//! them. Under a paused or simulated runtime all of these functions follow virtual time.

use std::future::Future;
use std::time::{SystemTime, UNIX_EPOCH};

pub use std::time::{Duration, Instant};

use ottla_model::Timestamp;

/// The deadline passed before the future was ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the deadline passed")]
pub struct Elapsed;

/// Time that never goes back.
pub fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// Wall-clock time; a time before 1970 is negative.
pub fn wall_now() -> Timestamp {
    #[cfg(feature = "sim")]
    if let Some(since_epoch) = turmoil::since_epoch() {
        return Timestamp::from_millis(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX));
    }
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(after) => Timestamp::from_millis(i64::try_from(after.as_millis()).unwrap_or(i64::MAX)),
        Err(before) => {
            let millis = i64::try_from(before.duration().as_millis()).unwrap_or(i64::MAX);
            Timestamp::from_millis(-millis)
        }
    }
}

/// Waits for `duration`; timers tick in milliseconds.
pub async fn sleep(duration: Duration) {
    tokio::time::sleep(duration).await;
}

/// Holds the calling thread, which is one of its own ([`crate::task::spawn_dedicated`]). In a simulation it returns at
/// once: all hosts share a thread there.
pub fn hold(duration: Duration) {
    #[cfg(feature = "sim")]
    if turmoil::in_simulation() {
        return;
    }
    std::thread::sleep(duration);
}

/// Waits until `deadline`; returns at once when it has passed.
pub async fn sleep_until(deadline: Instant) {
    tokio::time::sleep_until(deadline.into()).await;
}

/// Like [`sleep_until`], but waits for ever without a deadline: the shape of `machine.deadline()`.
pub async fn sleep_until_some(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// Runs `future` for at most `duration`; it is dropped when the time is over.
pub async fn timeout<F: Future>(duration: Duration, future: F) -> Result<F::Output, Elapsed> {
    tokio::time::timeout(duration, future).await.map_err(|_| Elapsed)
}

/// Runs `future` until `deadline` at most; it is dropped when the time is over.
pub async fn timeout_at<F: Future>(deadline: Instant, future: F) -> Result<F::Output, Elapsed> {
    tokio::time::timeout_at(deadline.into(), future).await.map_err(|_| Elapsed)
}
