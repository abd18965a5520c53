//! A log's part in its compaction.
//!
//! Owns: what may be compacted, which segments stand in its list.
//! Does not own: the pass, the names on disk (`compaction`).
//!
//! Source: requirements CMP-01, CMP-05; `compaction` tells the order of calls.

use std::io;
use std::sync::Arc;

use ottla_model::Offset;

use super::{Log, RemovedFiles};
use crate::compaction::{
    CleanedGroup, CompactionBounds, CompactionScope, Dirt, LastOfProducer, Old, Scope, SwapJob,
};
use crate::names::FileKind;
use crate::scan::{ScanError, Scanner, Waiting};
use crate::segment::Sealed;

impl Log {
    /// CMP-01: what of the log could be compacted now.
    pub fn dirt(&self, bounds: &CompactionBounds) -> io::Result<Dirt> {
        let known = bounds.cleaned_to.unwrap_or(self.log_start);
        let is_corrected = known < self.log_start || known > self.log_end;
        let first_dirty = if is_corrected { self.log_start } else { known };
        let end = self.compactable_end(bounds, first_dirty)?;
        let from = self.base_of_segment_with(first_dirty.min(end));
        let bytes = |wanted: &dyn Fn(Offset) -> bool| {
            let segments = self.sealed.iter().filter(|segment| wanted(segment.base()));
            segments.map(|segment| segment.size).sum()
        };
        Ok(Dirt {
            first_dirty,
            end,
            clean_bytes: bytes(&|base| base < first_dirty),
            dirty_bytes: bytes(&|base| base >= from && base < end),
            is_overdue: self.is_overdue(bounds, first_dirty)?,
            is_corrected,
        })
    }

    /// Base offset of the first segment with something that may not be compacted: not replicated, not decided, not on
    /// stable storage, younger than `min.compaction.lag.ms`, or not closed.
    fn compactable_end(&self, bounds: &CompactionBounds, first_dirty: Offset) -> io::Result<Offset> {
        let mut end = bounds.high_watermark.min(self.active.base()).min(self.flush.flushed());
        for other in [self.first_unstable(), self.unsealed.first().map(|unsealed| unsealed.base)] {
            end = end.min(other.unwrap_or(end));
        }
        let lag_ms = self.config.min_compaction_lag_ms;
        if lag_ms > 0 {
            for segment in self.sealed.iter().filter(|segment| segment.end > first_dirty) {
                if segment.base() >= end {
                    break;
                }
                let timestamp = match segment.largest()? {
                    Some(largest) => largest.timestamp,
                    None => super::retention::last_modified(&segment.files)?,
                };
                if bounds.now.millis_since(timestamp) < lag_ms {
                    end = segment.base();
                }
            }
        }
        Ok(self.base_of_segment_with(end))
    }

    fn base_of_segment_with(&self, offset: Offset) -> Offset {
        let behind = self.sealed.partition_point(|segment| segment.base() <= offset);
        match behind.checked_sub(1).and_then(|at| self.sealed.get(at)) {
            Some(segment) if offset < segment.end => segment.base(),
            Some(_) => self.active.base(),
            None => self.first_base(),
        }
    }

    /// Whether a closed segment that is dirty began longer ago than `max.compaction.lag.ms`.
    fn is_overdue(&self, bounds: &CompactionBounds, first_dirty: Offset) -> io::Result<bool> {
        let lag_ms = self.config.max_compaction_lag_ms;
        if lag_ms == i64::MAX {
            return Ok(false);
        }
        for segment in self.sealed.iter().filter(|segment| segment.end > first_dirty && segment.size > 0) {
            let file = segment.files.open(FileKind::Log)?;
            let first = match Scanner::new(file, 0..segment.size, Waiting::Allowed).next() {
                Ok(first) => first,
                // The pass will tell.
                Err(ScanError::Bad { .. }) => None,
                Err(ScanError::Disk(error)) => return Err(error),
            };
            let timestamp = first.map(|batch| batch.max_timestamp).filter(|at| at.millis() > 0);
            if timestamp.is_some_and(|at| bounds.now.millis_since(at) > lag_ms) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What a pass works on; `None` where there is nothing to compact, or the names of an earlier pass are under way.
    pub fn compaction_scope(&self, bounds: &CompactionBounds) -> io::Result<Option<CompactionScope>> {
        let dirt = self.dirt(bounds)?;
        if dirt.first_dirty >= dirt.end || self.swap.is_some() {
            return Ok(None);
        }
        let below = self.sealed.iter().filter(|segment| segment.base() < dirt.end);
        let producers = self.producers.entries().map(|(producer, entry)| {
            let last = match entry.last_batch() {
                Some(batch) => LastOfProducer::Data(batch.last_offset),
                None => LastOfProducer::Markers(entry.epoch),
            };
            (producer, last)
        });
        Ok(Some(CompactionScope(Scope {
            directory: Arc::clone(&self.directory),
            config: Arc::clone(&self.config),
            segments: below.cloned().collect(),
            first_dirty: dirt.first_dirty,
            end: dirt.end,
            aborted: self.aborted_transactions(self.first_base(), dirt.end)?,
            producers: producers.collect(),
            now: bounds.now,
        })))
    }

    /// Puts a compacted segment in the place of those it was made of. From now on it is read; its names follow with the
    /// job. Where the log has other segments by now, the group is handed back, to be discarded.
    pub fn replace(&mut self, group: CleanedGroup) -> Result<Arc<SwapJob>, CleanedGroup> {
        let Some(at) = self.place_of(&group) else { return Err(group) };
        let CleanedGroup { sources, sealed } = group;
        let base = sealed.base();
        let new = Arc::clone(&sealed.files);
        let old = sources.iter().map(|segment| Old {
            files: Arc::clone(&segment.files),
            size: segment.size,
            keeps_snapshot: segment.base() == base || Some(segment.base()) == self.latest_snapshot,
        });
        let job = Arc::new(SwapJob::new(new, old.collect()));
        self.sealed.drain(at..at + sources.len());
        self.sealed.insert(at, sealed);
        self.swap = Some(Arc::clone(&job));
        self.assert_ordered();
        Ok(job)
    }

    fn place_of(&self, group: &CleanedGroup) -> Option<usize> {
        let first = group.sources.first()?;
        let at = self.sealed.iter().position(|segment| Arc::ptr_eq(segment, first))?;
        let here: Vec<&Arc<Sealed>> = self.sealed.iter().skip(at).take(group.sources.len()).collect();
        let same = here.len() == group.sources.len()
            && here.iter().zip(&group.sources).all(|(here, source)| Arc::ptr_eq(here, source));
        (same && self.swap.is_none()).then_some(at)
    }

    /// A job was run and succeeded. Returns the files that were replaced.
    pub fn on_replaced(&mut self, job: &Arc<SwapJob>) -> RemovedFiles {
        if self.swap.as_ref().is_some_and(|swap| Arc::ptr_eq(swap, job)) {
            self.swap = None;
        }
        job.removed()
    }

    /// Before segments are removed or their names are given to others, a job that is under way is finished.
    pub(super) fn finish_swap(&mut self) -> io::Result<()> {
        match self.swap.take() {
            Some(job) => job.run(),
            None => Ok(()),
        }
    }
}
