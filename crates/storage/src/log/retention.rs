//! Removing the beginning of a log: retention by time and size, deleted records.
//!
//! Owns: which segments may go, moving the log start.
//! Does not own: when retention runs, the high watermark, compaction (`compact`).
//!
//! Files get the ending `.deleted` at once, so that a restart does not bring them back, and are removed later:
//! readers may still send from them.
//!
//! Source: requirements LOG-02, LOG-03.

use std::io;
use std::sync::Arc;

use ottla_model::{Offset, Timestamp};
use ottla_mutant::mutant;

use super::Log;
use crate::file_cache::SegmentFiles;
use crate::names::FileKind;

/// Files that are out of use. To be removed after `file.delete.delay.ms`.
#[derive(Debug, Default)]
#[must_use]
pub struct RemovedFiles {
    segments: Vec<(Arc<SegmentFiles>, u64)>,
}

impl RemovedFiles {
    pub fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    /// Bytes of batches in them.
    pub fn size(&self) -> u64 {
        self.segments.iter().map(|(_, size)| size).sum()
    }

    /// Base offsets of the segments.
    pub fn bases(&self) -> impl Iterator<Item = Offset> {
        self.segments.iter().map(|(files, _)| files.base)
    }

    /// Removes the files.
    pub fn remove(self) -> io::Result<()> {
        self.segments.iter().try_for_each(|(files, _)| files.remove())
    }

    /// Segments that were taken out of use.
    pub(crate) fn replaced(segments: Vec<(Arc<SegmentFiles>, u64)>) -> RemovedFiles {
        RemovedFiles { segments }
    }

    /// Takes a segment out of use, durably: with several of them a crash must not leave a gap between others.
    pub(super) fn mark(&mut self, files: Arc<SegmentFiles>, size: u64) -> io::Result<()> {
        files.mark_deleted()?;
        files.close();
        self.segments.push((files, size));
        Ok(())
    }
}

/// What retention may rely on.
#[derive(Clone, Copy, Debug)]
pub struct Retention {
    pub now: Timestamp,
    /// Nothing at or above is removed (LOG-02).
    pub high_watermark: Offset,
}

/// The segment that would go next.
struct Oldest<'a> {
    files: &'a Arc<SegmentFiles>,
    end: Offset,
    size: u64,
    timestamp: Option<Timestamp>,
}

/// Why a segment may go.
enum Reason {
    BelowStart,
    TooLarge { left: u64 },
    TooOld,
}

impl Log {
    /// LOG-02: removes the oldest segments as far as the configuration says. The log start follows.
    ///
    /// The active segment goes too when it is too old; an empty one takes its place.
    pub fn apply_retention(&mut self, retention: Retention) -> io::Result<RemovedFiles> {
        self.finish_swap()?;
        let mut removed = RemovedFiles::default();
        self.remove_while(&mut removed, retention, Reason::BelowStart)?;
        if self.config.cleanup.delete {
            if let Some(bytes_max) = self.config.retention_bytes {
                let left = self.size().saturating_sub(bytes_max);
                self.remove_while(&mut removed, retention, Reason::TooLarge { left })?;
            }
            if self.config.retention_ms.is_some() {
                self.remove_while(&mut removed, retention, Reason::TooOld)?;
            }
        }
        self.assert_ordered();
        Ok(removed)
    }

    /// LOG-03: records below `to` are deleted. It is neither below the log start nor above the high watermark.
    ///
    /// Whole segments below are removed by the next [`Log::apply_retention`].
    pub fn move_log_start(&mut self, to: Offset) {
        assert!(to <= self.log_end, "log start {to} would lie above the log end {}", self.log_end);
        if to <= self.log_start && !mutant!(move_log_start_backward) {
            return;
        }
        self.log_start = to;
        if self.epochs.truncate_from_start(to) {
            self.flush.on_epochs_changed();
        }
        self.producers.on_high_watermark(to);
    }

    fn remove_while(
        &mut self,
        removed: &mut RemovedFiles,
        retention: Retention,
        mut reason: Reason,
    ) -> io::Result<()> {
        while let Some(first) = self.sealed.front() {
            if first.end > retention.high_watermark && !mutant!(retention_above_high_watermark) {
                return Ok(());
            }
            let timestamp = first.largest()?.map(|largest| largest.timestamp);
            let oldest = Oldest { files: &first.files, end: first.end, size: first.size, timestamp };
            if !self.may_go(&mut reason, &oldest, retention.now)? {
                return Ok(());
            }
            self.remove_first(removed)?;
        }
        self.remove_active(removed, retention, reason)
    }

    /// The active segment is closed first, and then removed like the others.
    fn remove_active(
        &mut self,
        removed: &mut RemovedFiles,
        retention: Retention,
        mut reason: Reason,
    ) -> io::Result<()> {
        let size = self.active.size;
        if size == 0 || self.log_end > retention.high_watermark || matches!(reason, Reason::BelowStart) {
            return Ok(());
        }
        let timestamp = self.active.largest.map(|largest| largest.timestamp);
        let oldest = Oldest { files: &self.active.files, end: self.log_end, size, timestamp };
        if self.may_go(&mut reason, &oldest, retention.now)? || mutant!(retention_takes_active_segment) {
            self.roll(self.log_end, retention.now)?;
            self.remove_first(removed)?;
        }
        Ok(())
    }

    fn may_go(&self, reason: &mut Reason, oldest: &Oldest<'_>, now: Timestamp) -> io::Result<bool> {
        match reason {
            Reason::BelowStart => Ok(oldest.end <= self.log_start),
            Reason::TooLarge { left } if *left < oldest.size => Ok(false),
            Reason::TooLarge { left } => {
                *left -= oldest.size;
                Ok(true)
            }
            Reason::TooOld => {
                let timestamp = match oldest.timestamp.filter(|_| !mutant!(retention_by_file_time)) {
                    Some(timestamp) => timestamp,
                    None => last_modified(oldest.files)?,
                };
                let limit = self.config.retention_ms.unwrap_or(i64::MAX);
                Ok(now.millis_since(timestamp) > limit)
            }
        }
    }

    fn remove_first(&mut self, removed: &mut RemovedFiles) -> io::Result<()> {
        let Some(segment) = self.sealed.pop_front() else { return Ok(()) };
        self.unsealed.retain(|unsealed| {
            let gone = unsealed.base == segment.base();
            if gone {
                unsealed.gate.shut();
            }
            !gone
        });
        removed.mark(Arc::clone(&segment.files), segment.size)?;
        self.move_log_start(self.log_start.max(segment.end));
        self.flush.on_start_moved(self.first_base());
        self.flush.on_names_changed();
        Ok(())
    }
}

/// A segment without timestamps is as old as its file.
pub(super) fn last_modified(files: &Arc<SegmentFiles>) -> io::Result<Timestamp> {
    let meta = files.directory.disk().metadata(&files.path(FileKind::Log))?;
    Ok(Timestamp::from_millis(meta.modified_ms))
}
