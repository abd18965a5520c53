//! The part of a segment's indexes that can be relied on after a crash.
//!
//! Owns: that judgement. Does not own: the indexes' bytes (`index`).
//!
//! Entries of the active segment are written now and then, and not synced. So after a crash a file may be
//! short, or have zeros or torn sectors. Kept are entries in order whose batches lie below the recovery point,
//! that is, on stable storage; and only when the last of them names a batch that is there.
//!
//! Source: performance design 4.8, 4.10.

use std::io;
use std::sync::Arc;

use ottla_model::Offset;

use crate::file_cache::SegmentFiles;
use crate::index::{OffsetEntry, SparseIndex, TimeEntry};
use crate::names::FileKind;
use crate::segment::{Indexes, names_a_batch, relative_offset};

/// The indexes of a segment, as far as they can be relied on below `recovery_point`.
pub(super) fn indexes(files: &Arc<SegmentFiles>, size: u64, recovery_point: Offset) -> io::Result<Indexes> {
    let below = relative_offset(files.base, recovery_point).unwrap_or(u32::MAX);
    let file = files.open(FileKind::OffsetIndex)?;
    let plausible = |entry: &OffsetEntry| {
        entry.relative < below && entry.position > 0 && u64::from(entry.position) < size
    };
    let offsets = SparseIndex::load_prefix(&*file, plausible)?;
    let Some(last) = offsets.last() else { return Ok(Indexes::empty()) };
    if !names_a_batch(files, last, size)? {
        return Ok(Indexes::empty());
    }
    let file = files.open(FileKind::TimeIndex)?;
    let plausible = |entry: &TimeEntry| entry.relative <= last.relative;
    Ok(Indexes { offsets, times: SparseIndex::load_prefix(&*file, plausible)? })
}

/// Where to begin so that no timestamp is missed: times may end before offsets.
pub(super) fn complete_until(indexes: &Indexes, files: &Arc<SegmentFiles>) -> io::Result<u64> {
    match indexes.times.last() {
        Some(last) => indexes.position_before(files, last.relative),
        None => Ok(0),
    }
}
