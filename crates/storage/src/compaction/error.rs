//! Why a log could not be compacted.
//!
//! Owns: the reasons, and which of them will be the same the next time. Does not own: what is done about them (`server`).
//!
//! Source: requirement CMP-06.

use std::io;

use ottla_model::Offset;
use ottla_protocol::record::{BatchError, RewriteError};

use crate::scan::ScanError;

/// Why a log could not be compacted. It is as it was.
#[derive(Debug, thiserror::Error)]
pub enum CompactionError {
    #[error("segment {segment} is damaged at byte {position}: {reason}")]
    Damaged { segment: Offset, position: u64, reason: BatchError },
    /// The segment holds what belongs into another one, or twice the same.
    #[error("segment {segment} has offset {offset} at byte {position}, where it does not belong")]
    Misplaced { segment: Offset, position: u64, offset: Offset },
    #[error("the batch at byte {position} of segment {segment} cannot be read or written anew: {reason}")]
    Records { segment: Offset, position: u64, reason: RewriteError },
    /// Whoever asked for it does not want it any more.
    #[error("compaction was stopped")]
    Stopped,
    #[error("cannot read from or write to the data directory")]
    Disk(#[from] io::Error),
}

impl CompactionError {
    pub(super) fn of_scan(error: ScanError, segment: Offset) -> CompactionError {
        match error {
            ScanError::Disk(error) => CompactionError::Disk(error),
            ScanError::Bad { position, reason } => CompactionError::Damaged { segment, position, reason },
        }
    }
}
