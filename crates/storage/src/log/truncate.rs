//! Cutting the end of a log, as a follower must when its leader says something else.
//!
//! Owns: removing what lies at or above an offset, from every place that knows it.
//! Does not own: the decision to cut (`replication`), the checkpoint file.
//!
//! Before a log is cut, the checkpoint must lie below the cut: otherwise a crash in between would look like the
//! loss of flushed data, or like damage in a segment that need not be read again. The order is: write
//! [`Log::recovery_point_for_cut`] into the checkpoint, then cut. [`Log::truncate_to`] insists on it. Of a compacted log
//! [`LogDir::cut_cleaned`](crate::LogDir::cut_cleaned) is told too.
//!
//! Source: requirements REP-05, R5; reliability design 2.1.

use std::io;
use std::sync::Arc;

use ottla_model::{Offset, Timestamp};

use super::{Log, RemovedFiles};
use crate::file_cache::SegmentFiles;
use crate::names::{FileKind, FileStage, SegmentFileName};
use crate::producers::Producers;
use crate::recovery;
use crate::scan::{ScanError, Scanner, Waiting};
use crate::segment::Active;
use crate::txn_index;

/// The recovery point that the checkpoint on disk has for a log, durably.
#[derive(Clone, Copy, Debug)]
pub struct CheckpointedAt(pub Offset);

impl Log {
    /// What must stand in the recovery-point checkpoint before the log is cut at `to`.
    pub fn recovery_point_for_cut(&self, to: Offset) -> Offset {
        self.recovery_point().min(to.previous().unwrap_or(Offset::ZERO))
    }

    /// Removes every record at or above `to`. A log that ends there already stays as it is.
    pub fn truncate_to(
        &mut self,
        to: Offset,
        checkpoint: CheckpointedAt,
        now: Timestamp,
    ) -> io::Result<RemovedFiles> {
        if to >= self.log_end {
            if self.epochs.truncate_from_end(to) {
                self.flush.on_epochs_changed();
            }
            return Ok(RemovedFiles::default());
        }
        self.assert_checkpointed(checkpoint, to);
        self.finish_swap()?;
        if to < self.first_base() {
            return self.restart_at(to, now);
        }
        self.flush.on_cut(to);
        let mut removed = RemovedFiles::default();
        self.reopen_segment_of(to, &mut removed, now)?;
        let position = self.position_of(to)?;
        self.active.truncate(position, to)?;
        self.make_cut_durable()?;
        self.refresh_tail()?;
        self.log_end = to;
        self.log_start = self.log_start.min(to);
        if self.epochs.truncate_from_end(to) {
            self.flush.on_epochs_changed();
        }
        self.rebuild_producers(to, now)?;
        self.flush.on_names_changed();
        self.assert_ordered();
        Ok(removed)
    }

    /// Removes everything and begins anew at `start`: the leader's log has moved on, or a snapshot replaces it.
    pub fn truncate_fully_and_start_at(
        &mut self,
        start: Offset,
        checkpoint: CheckpointedAt,
        now: Timestamp,
    ) -> io::Result<RemovedFiles> {
        self.assert_checkpointed(checkpoint, start.min(self.log_end));
        self.finish_swap()?;
        self.restart_at(start, now)
    }

    /// What was cut must not come back after a crash, mixed with what is appended from now on: an old batch in the
    /// place of a new one would be found by nobody, and an old index entry would name another batch.
    fn make_cut_durable(&self) -> io::Result<()> {
        for kind in [FileKind::Log, FileKind::OffsetIndex, FileKind::TimeIndex] {
            self.active.files.open(kind)?.sync_all()?;
        }
        self.directory.disk().sync_dir(&self.directory.path())
    }

    fn assert_checkpointed(&self, checkpoint: CheckpointedAt, cut: Offset) {
        let safe = checkpoint.0 < cut || checkpoint.0 == Offset::ZERO;
        assert!(safe, "the checkpoint says {}, the log is cut at {cut}", checkpoint.0);
    }

    fn restart_at(&mut self, start: Offset, now: Timestamp) -> io::Result<RemovedFiles> {
        self.unsealed.drain(..).for_each(|unsealed| unsealed.gate.shut());
        let mut removed = RemovedFiles::default();
        // The latest goes first: whenever a crash comes, what is left has no gap.
        removed.mark(Arc::clone(&self.active.files), self.active.size)?;
        while let Some(segment) = self.sealed.pop_back() {
            removed.mark(Arc::clone(&segment.files), segment.size)?;
        }
        self.remove_snapshots(|_| true)?;
        let files = SegmentFiles::new(Arc::clone(&self.directory), start);
        files.create()?;
        self.active = Active::new(files, now);
        self.flush.on_cut(start);
        self.flush.on_start_moved(start);
        self.flush.on_new_segment();
        self.flush.on_epochs_changed();
        self.epochs.clear();
        self.producers = Producers::default();
        (self.log_start, self.log_end, self.latest_snapshot) = (start, start, None);
        self.directory.disk().sync_dir(&self.directory.path())?;
        self.assert_ordered();
        Ok(removed)
    }

    /// Makes the segment that contains `to` the active one; the later ones go.
    fn reopen_segment_of(
        &mut self,
        to: Offset,
        removed: &mut RemovedFiles,
        now: Timestamp,
    ) -> io::Result<()> {
        while to < self.active.base() {
            let Some(segment) = self.sealed.pop_back() else { break };
            self.unsealed.retain(|unsealed| {
                let same = unsealed.base == segment.base();
                if same {
                    unsealed.gate.shut();
                }
                !same
            });
            let indexes = segment.indexes()?.clone();
            let active = Active::reopened(Arc::clone(&segment.files), segment.size, indexes, now);
            let old = std::mem::replace(&mut self.active, active);
            removed.mark(old.files, old.size)?;
        }
        Ok(())
    }

    /// Where the batch that contains `offset`, or the first one behind it, begins in the active segment.
    fn position_of(&self, offset: Offset) -> io::Result<u64> {
        let relative = crate::segment::relative_offset(self.active.base(), offset).unwrap_or(u32::MAX);
        let from = self.active.indexes.position_before(&self.active.files, relative)?;
        let file = self.active.files.open(FileKind::Log)?;
        let mut walk = Scanner::new(file, from..self.active.size, Waiting::Allowed);
        while let Some(batch) = walk.next().map_err(scan_error)? {
            if batch.last_offset >= offset {
                return Ok(batch.position);
            }
        }
        Ok(self.active.size)
    }

    /// Looks at the batches behind the last index entry again: their largest timestamp is in no index.
    fn refresh_tail(&mut self) -> io::Result<()> {
        let last = self.active.indexes.offsets.last().map(|entry| u64::from(entry.position));
        let file = self.active.files.open(FileKind::Log)?;
        let mut walk = Scanner::new(file, last.unwrap_or(0)..self.active.size, Waiting::Allowed);
        while let Some(batch) = walk.next().map_err(scan_error)? {
            self.active.on_tail(&batch);
        }
        Ok(())
    }

    fn rebuild_producers(&mut self, to: Offset, now: Timestamp) -> io::Result<()> {
        self.remove_snapshots(|at| at > to)?;
        let segments: Vec<_> = self
            .sealed
            .iter()
            .map(|segment| (Arc::clone(&segment.files), segment.size))
            .chain(std::iter::once((Arc::clone(&self.active.files), self.active.size)))
            .collect();
        let bounds = self.first_base()..to;
        let rebuilt = recovery::replay_producers(&self.directory, &self.partition, (&segments, bounds), now)
            .map_err(scan_error)?;
        self.producers = rebuilt.producers;
        self.latest_snapshot = rebuilt.snapshot;
        let kept: Vec<_> = txn_index::read(&self.active.files)?
            .into_iter()
            .filter(|aborted| aborted.last_offset < to)
            .collect();
        if let Some(file) = txn_index::replace(&self.active.files, &kept)? {
            self.flush.on_side_file(file);
        }
        Ok(())
    }

    fn remove_snapshots(&self, gone: impl Fn(Offset) -> bool) -> io::Result<()> {
        for entry in self.directory.disk().read_dir(&self.directory.path())? {
            match SegmentFileName::parse(&entry.name) {
                Some(name)
                    if name.kind == FileKind::Snapshot
                        && name.stage == FileStage::Live
                        && gone(name.base) =>
                {
                    self.remove_snapshot(name.base)?;
                }
                Some(_) | None => {}
            }
        }
        Ok(())
    }
}

fn scan_error(error: ScanError) -> io::Error {
    match error {
        ScanError::Disk(error) => error,
        ScanError::Bad { .. } => io::Error::new(io::ErrorKind::InvalidData, error),
    }
}
