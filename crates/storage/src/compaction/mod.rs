//! Compaction: of every key only the last record is kept.
//!
//! Owns: how dirty a log is, the pass over it, putting what was written in place.
//! Does not own: when which log is compacted, threads, the throttle (`server`); the log's lock.
//!
//! How it is used, by one thread for each log at a time:
//!
//! 1. [`Log::dirt`](crate::Log::dirt), under the lock: what could be compacted;
//! 2. [`Log::compaction_scope`](crate::Log::compaction_scope), under the lock: the log as it is now;
//! 3. [`CompactionScope::begin`] and [`Compaction::clean_next`], without it: what is written beside the log;
//! 4. for each group [`Log::replace`](crate::Log::replace) under the lock, [`SwapJob::run`] without it, and
//!    [`Log::on_replaced`](crate::Log::on_replaced) under it again;
//! 5. [`LogDir::set_cleaned`](crate::LogDir::set_cleaned) with [`Compaction::cleaned_to`].
//!
//! Source: requirements CMP-01 to CMP-07; `docs/decisions/0005-compaction.md`.

mod dirt;
mod error;
mod key_map;
mod pass;
mod swap;
mod transactions;
mod writer;

pub use dirt::{CompactionBounds, Dirt};
pub use error::CompactionError;
pub use key_map::KeyMapLimits;
pub use pass::{CleanedGroup, Compaction, CompactionLimits, Pace};
pub use swap::SwapJob;

pub(crate) use pass::{LastOfProducer, Scope};
pub(crate) use swap::Old;

/// A log as it was when a pass over it began.
#[derive(Debug)]
pub struct CompactionScope(pub(crate) Scope);

impl CompactionScope {
    /// Reads the dirty part of the log; `pace` is told of every stretch of bytes.
    pub fn begin(
        &self,
        limits: CompactionLimits,
        pace: &mut Pace<'_>,
    ) -> Result<Compaction<'_>, CompactionError> {
        Compaction::begin(&self.0, limits, pace)
    }
}
