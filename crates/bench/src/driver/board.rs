//! The phases of a run and what was counted while it was measured.
//!
//! Owns: warm-up, window, end; requests, bytes and latencies of the window. Does not own: who sends.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use tokio::task::JoinSet;

use crate::Fallible;
use crate::processor::{Moment, Usage, float};

/// How long a load runs before it is measured, and how long it is measured.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    pub warm_up: Duration,
    pub window: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    WarmUp,
    Measured,
    Over,
}

/// Shared by the connections of a load on one thread.
pub struct Board {
    phase: Cell<Phase>,
    requests: Cell<u64>,
    records: Cell<u64>,
    bytes: Cell<u64>,
    latencies: RefCell<Histogram<u64>>,
}

/// What a load did in its window.
#[derive(Clone, Debug)]
pub struct Measured {
    pub requests: u64,
    pub records: u64,
    pub bytes: u64,
    /// In nanoseconds.
    pub latencies: Histogram<u64>,
    pub usage: Usage,
}

/// Longest latency that is told apart: a minute, in nanoseconds.
const LATENCY_MAX: u64 = 60_000_000_000;
const DIGITS: u8 = 3;

impl Board {
    pub fn new() -> Fallible<Board> {
        Ok(Board {
            phase: Cell::new(Phase::WarmUp),
            requests: Cell::new(0),
            records: Cell::new(0),
            bytes: Cell::new(0),
            latencies: RefCell::new(histogram()?),
        })
    }

    pub fn is_over(&self) -> bool {
        self.phase.get() == Phase::Over
    }

    /// Counts an answer to a request that was sent at `sent`.
    pub fn count(&self, sent: Instant, records: u64, bytes: u64) {
        if self.phase.get() != Phase::Measured {
            return;
        }
        self.requests.set(self.requests.get() + 1);
        self.records.set(self.records.get() + records);
        self.bytes.set(self.bytes.get() + bytes);
        self.latencies.borrow_mut().saturating_record(nanos(sent.elapsed()));
    }

    /// Lets the phases pass while the load runs beside it; answers what the window used.
    pub async fn conduct(&self, timing: Timing, session: u32) -> Fallible<Usage> {
        tokio::time::sleep(timing.warm_up).await;
        let begin = Moment::now(session)?;
        self.phase.set(Phase::Measured);
        tokio::time::sleep(timing.window).await;
        self.phase.set(Phase::Over);
        Ok(begin.until(&Moment::now(session)?))
    }

    pub fn measured(&self, usage: Usage) -> Measured {
        Measured {
            requests: self.requests.get(),
            records: self.records.get(),
            bytes: self.bytes.get(),
            latencies: self.latencies.borrow().clone(),
            usage,
        }
    }
}

impl Measured {
    pub fn megabytes_per_second(&self) -> f64 {
        float(self.bytes) / 1e6 / self.usage.seconds
    }

    /// Processor seconds of the system for a gigabyte.
    pub fn seconds_per_gigabyte(&self) -> f64 {
        self.usage.system_seconds / (float(self.bytes) / 1e9)
    }

    /// Processor time of the system for a request, in microseconds.
    pub fn micros_per_request(&self) -> f64 {
        self.usage.system_seconds * 1e6 / float(self.requests)
    }

    pub fn requests_per_second(&self) -> f64 {
        float(self.requests) / self.usage.seconds
    }

    pub fn records_per_second(&self) -> f64 {
        float(self.records) / self.usage.seconds
    }
}

/// An empty histogram of latencies in nanoseconds.
pub fn histogram() -> Fallible<Histogram<u64>> {
    Ok(Histogram::new_with_bounds(1, LATENCY_MAX, DIGITS)?)
}

/// A quantile in microseconds.
pub fn micros(latencies: &Histogram<u64>, quantile: f64) -> f64 {
    float(latencies.value_at_quantile(quantile)) / 1e3
}

pub fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Waits for a task that fails; those that end well are not waited for.
pub async fn first_failure(tasks: &mut JoinSet<Fallible<()>>) -> Box<dyn std::error::Error + Send + Sync> {
    loop {
        match tasks.join_next().await {
            Some(Ok(Ok(()))) => {}
            Some(Ok(Err(error))) => return error,
            Some(Err(error)) => return error.into(),
            None => std::future::pending().await,
        }
    }
}
