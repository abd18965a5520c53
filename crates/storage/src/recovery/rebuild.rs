//! The segments of a log that is opened, read again as far as needed.
//!
//! Owns: the walk over batches, its checks, cutting the torn end.
//! Does not own: which files count (`sweep`), producer state (`replay`), the rest of the log (`recovery`).
//!
//! After a clean stop that is the end of the last segment, behind the last index entry; after a crash it is
//! every segment from the one with the recovery point on. A segment whose indexes are missing is read whole.
//!
//! Source: requirement LOG-04; reliability design 2.1.

use std::collections::VecDeque;
use std::sync::Arc;

use ottla_env::disk::File;
use ottla_model::{LeaderEpoch, Offset};
use ottla_mutant::mutant;

use super::replay::Replay;
use super::sweep::{Found, FoundSegment};
use super::{BadBatch, Cut, Known, OpenError, Place, Recovery, Report, UnsealedSegment, trusted};
use crate::epochs::Epochs;
use crate::file_cache::SegmentFiles;
use crate::index::OffsetEntry;
use crate::names::FileKind;
use crate::scan::{FoundBatch, ScanError, Scanner, Waiting};
use crate::segment::{Active, Indexes, RELATIVE_OFFSET_MAX, Sealed, names_a_batch, relative_offset};
use crate::{sound, txn_index};

/// A segment with the files it has.
struct Segment {
    files: Arc<SegmentFiles>,
    found: FoundSegment,
}

impl Segment {
    fn has_indexes(&self) -> bool {
        self.found.offset_index.is_some() && self.found.time_index.is_some()
    }

    fn is_empty(&self) -> bool {
        let FoundSegment { size, offset_index, time_index, has_txn_index } = self.found;
        size == 0 && offset_index == Some(0) && time_index == Some(0) && !has_txn_index
    }
}

/// A log that is being opened.
pub(super) struct Rebuild<'a> {
    place: Place<'a>,
    known: &'a Known,
    log_start: Offset,
    epochs: Epochs,
    replay: Replay,
    sealed: VecDeque<Arc<Sealed>>,
    unsealed: Vec<UnsealedSegment>,
    side_files: Vec<Arc<dyn File>>,
    report: Report,
    /// The offset behind the last batch that was looked at, once one was.
    next: Option<Offset>,
    /// The leader epoch of that batch.
    last_epoch: Option<LeaderEpoch>,
}

/// How far before a snapshot batches are looked for: five of each of some producers, at the usual size of a batch.
const LOOK_BACK_BYTES: u64 = 512 * 1024;
/// How far where batches or the index are coarse.
const LOOK_BACK_BYTES_MAX: u64 = 4 * LOOK_BACK_BYTES;

/// Where a walk ended before the end of the file.
struct Bad {
    position: u64,
    reason: BadBatch,
}

impl<'a> Rebuild<'a> {
    pub(super) fn new(
        place: Place<'a>,
        (epochs, log_start): (Epochs, Offset),
        found: &Found,
        known: &'a Known,
    ) -> Result<Rebuild<'a>, OpenError> {
        let first = found.segments.first_key_value().map_or(log_start, |(base, _)| *base);
        let bounds = first..known.recovery_point.max(first);
        let expiration = (known.now, known.producer_expiration_ms);
        let replay = Replay::load(place.directory, found.snapshots.clone(), bounds, expiration)?;
        Ok(Rebuild {
            place,
            known,
            log_start,
            epochs,
            replay,
            sealed: VecDeque::new(),
            unsealed: Vec::new(),
            side_files: Vec::new(),
            report: Report::default(),
            next: None,
            last_epoch: None,
        })
    }

    pub(super) fn run(mut self, found: &Found) -> Result<Recovery, OpenError> {
        let segments: Vec<Segment> = found
            .segments
            .iter()
            .map(|(base, found)| Segment {
                files: SegmentFiles::new(Arc::clone(self.place.directory), *base),
                found: *found,
            })
            .collect();
        self.look_back(&segments)?;
        let first = self.first_to_scan(&segments);
        for (segment, next) in segments[..first].iter().zip(&segments[1..]) {
            self.take_over(segment, next.files.base)?;
        }
        let mut active = None;
        for at in first..segments.len() {
            let segment = &segments[at];
            if let Some(bad) = self.gap_before(segment) {
                self.cut_before(&segments[at..], bad)?;
                break;
            }
            if let Some(before) = active.take() {
                self.seal(before, segment.files.base);
            }
            let next = segments.get(at + 1).map(|next| next.files.base);
            let (scanned, bad) = self.scan(segment, next)?;
            active = Some(scanned);
            let Some(bad) = bad else { continue };
            let later = &segments[at + 1..];
            // Behind the end of a closed segment there may be what was cut once, while its successor is whole.
            let complete = later.first().is_some_and(|next| self.next == Some(next.files.base));
            self.cut(segment, if complete { &[] } else { later }, bad)?;
            if !complete {
                break;
            }
        }
        self.finish(active)
    }

    /// Looks for what producers wrote shortly before the snapshot, which may be in more than one segment.
    fn look_back(&mut self, segments: &[Segment]) -> Result<(), OpenError> {
        let from = self.replay.from();
        if !self.replay.may_recall() {
            return Ok(());
        }
        let mut left = LOOK_BACK_BYTES;
        for segment in segments.iter().rev().filter(|segment| segment.files.base < from) {
            let seen = self.look_back_in(segment, left)?;
            match seen {
                Some(seen) if seen < left => left -= seen,
                Some(_) | None => return Ok(()),
            }
        }
        Ok(())
    }

    /// Looks at so many bytes of a segment before the snapshot, and tells how many they were; nothing where it would be all.
    fn look_back_in(&mut self, segment: &Segment, bytes: u64) -> Result<Option<u64>, OpenError> {
        let from = self.replay.from();
        let (files, size) = (&segment.files, segment.found.size);
        let indexes = self.usable_indexes(segment)?;
        let relative = relative_offset(files.base, from).unwrap_or(u32::MAX);
        let near = indexes.position_before(files, relative)?;
        let open = || files.open(FileKind::OffsetIndex);
        let far = |entry: &OffsetEntry| u64::from(entry.position) + bytes <= near;
        let start = indexes.offsets.last_before(open, far)?.map_or(0, |entry| u64::from(entry.position));
        // Without an index, the whole segment would be read.
        if start + LOOK_BACK_BYTES_MAX <= near {
            return Ok(None);
        }
        self.replay.recall(files, start..size)?;
        Ok(Some(near - start))
    }

    /// The segment to scan first: the last one, or after a crash the one with the last offset below the recovery
    /// point. A recovery point at its very end may be older than what a crash left behind that end.
    fn first_to_scan(&self, segments: &[Segment]) -> usize {
        let last = segments.len().saturating_sub(1);
        if self.known.clean {
            return last;
        }
        let behind = segments.partition_point(|segment| segment.files.base < self.known.recovery_point);
        behind.saturating_sub(1).min(last)
    }

    /// A segment that lies below the recovery point and was closed in order.
    fn take_over(&mut self, segment: &Segment, end: Offset) -> Result<(), OpenError> {
        if !segment.has_indexes() {
            let (active, bad) = self.scan(segment, Some(end))?;
            if let Some(bad) = bad {
                return Err(self.damaged(segment, bad));
            }
            self.seal(active, end);
            self.next = None;
            return Ok(());
        }
        let size = segment.found.size;
        if end > self.replay.from() {
            let walked = self.replay.walk(self.place.partition, &segment.files, size);
            walked.map_err(|error| self.failed(error, segment))?;
        }
        self.sealed.push_back(Arc::new(Sealed::on_disk(Arc::clone(&segment.files), end, size)));
        Ok(())
    }

    fn seal(&mut self, mut active: Active, end: Offset) {
        active.push_largest();
        let snapshot = self.replay.snapshot_behind(self.next);
        self.unsealed.push(UnsealedSegment { base: active.base(), end, snapshot });
        self.sealed.push_back(Arc::new(Sealed::from_active(active, end)));
    }

    /// Reads a segment again, as far as its indexes do not say enough. `end` is where the next one begins.
    fn scan(&mut self, segment: &Segment, end: Option<Offset>) -> Result<(Active, Option<Bad>), OpenError> {
        if segment.is_empty() {
            let mut active = Active::new(Arc::clone(&segment.files), self.known.now);
            active.touched = !self.known.clean;
            self.next = Some(segment.files.base);
            return Ok((active, None));
        }
        let (files, size) = (&segment.files, segment.found.size);
        let tail_only = self.known.clean && segment.has_indexes();
        let indexes = self.usable_indexes(segment)?;
        let last_entry = indexes.offsets.last().map(|entry| u64::from(entry.position));
        let mut start = last_entry.unwrap_or(0);
        if !tail_only {
            start = start.min(trusted::complete_until(&indexes, files)?);
        }
        let relative = relative_offset(files.base, self.replay.from()).unwrap_or(u32::MAX);
        start = start.min(indexes.position_before(files, relative)?);
        let mut active = Active::reopened(Arc::clone(files), 0, indexes, self.known.now);
        let replayed_from = self.replay.from();
        self.next = (start == 0).then_some(files.base);
        let mut aborted = Vec::new();
        let mut walk = Scanner::new(files.open(FileKind::Log)?, start..size, Waiting::Allowed);
        let bad = loop {
            let batch = match self.next_good(&mut walk, (files.base, end)) {
                Ok(Some(batch)) => batch,
                Ok(None) => break None,
                Err(Stop::Bad(bad)) => break Some(bad),
                Err(Stop::Disk(error)) => return Err(OpenError::Disk(error)),
            };
            let applied = self.replay.apply(self.place.partition, &mut walk, &batch);
            aborted.extend(applied.map_err(|error| self.failed(error, segment))?);
            match tail_only {
                true => active.on_tail(&batch),
                false => active.on_found(&batch, last_entry, self.place.config.index_interval_bytes),
            }
        };
        active.size = bad.as_ref().map_or(size, |bad| bad.position);
        active.on_opened();
        active.touched = !tail_only || bad.is_some();
        self.report.segments_scanned += 1;
        self.report.bytes_scanned += active.size - start.min(active.size);
        if !tail_only {
            self.settle_indexes(&active, (replayed_from, aborted))?;
        }
        Ok((active, bad))
    }

    fn usable_indexes(&self, segment: &Segment) -> Result<Indexes, OpenError> {
        let (files, size) = (&segment.files, segment.found.size);
        if !segment.has_indexes() {
            return Ok(Indexes::empty());
        }
        if !self.known.clean {
            return Ok(trusted::indexes(files, size, self.known.recovery_point)?);
        }
        let lengths = [segment.found.offset_index, segment.found.time_index].map(Option::unwrap_or_default);
        let indexes = Indexes::load_sized(files, lengths[0], lengths[1])?;
        match indexes.offsets.last() {
            Some(entry) if !names_a_batch(files, entry, size)? => Ok(Indexes::empty()),
            Some(_) | None if !sound::largest(files, &indexes, size)?.index_is_right => Ok(Indexes::empty()),
            Some(_) | None => Ok(indexes),
        }
    }

    /// The next batch, if it continues the log.
    fn next_good(
        &mut self,
        walk: &mut Scanner,
        (base, end): (Offset, Option<Offset>),
    ) -> Result<Option<FoundBatch>, Stop> {
        let Some(batch) = walk.next()? else { return Ok(None) };
        let bad = |reason| Stop::Bad(Bad { position: batch.position, reason });
        let (first, last) = (batch.base_offset, batch.last_offset);
        if let Some(expected) = self.next.filter(|expected| first < *expected) {
            return Err(bad(BadBatch::Offsets { first, last, expected }));
        }
        let is_of_next = end.is_some_and(|end| last >= end);
        if first < base || is_of_next || last.distance_from(base) > RELATIVE_OFFSET_MAX {
            return Err(bad(BadBatch::TooFar { last }));
        }
        if !self.known.clean && last >= self.known.recovery_point {
            if !mutant!(recover_without_crc) {
                walk.check(&batch)?;
            }
            if let Some((got, known)) = self.epoch_goes_back(&batch) {
                return Err(bad(BadBatch::Epoch { got, known }));
            }
        }
        if let Some(epoch) = batch.leader_epoch() {
            self.last_epoch = self.last_epoch.max(Some(epoch));
            if self.epochs.latest().is_none_or(|latest| latest.epoch < epoch) {
                self.epochs.assign(epoch, first);
            }
        }
        self.next = Some(last.next());
        Ok(Some(batch))
    }

    /// A batch of an earlier epoch than the one before it, or than the one that is known to have written its
    /// place: it was cut away once and came back.
    fn epoch_goes_back(&self, batch: &FoundBatch) -> Option<(LeaderEpoch, LeaderEpoch)> {
        let got = batch.leader_epoch()?;
        let known = self.last_epoch.max(self.epochs.epoch_of(batch.base_offset))?;
        (got < known).then_some((got, known))
    }

    /// Makes the files hold nothing but what was found right. The rest is written when the segment is closed.
    fn settle_indexes(
        &mut self,
        active: &Active,
        (replayed_from, new): (Offset, Vec<txn_index::AbortedTransaction>),
    ) -> Result<(), OpenError> {
        let indexes = [
            (FileKind::OffsetIndex, active.indexes.offsets.written_len()),
            (FileKind::TimeIndex, active.indexes.times.written_len()),
        ];
        for (kind, len) in indexes {
            let file = active.files.open(kind)?;
            if file.len()? != len {
                file.set_len(len)?;
                self.side_files.push(file);
            }
        }
        let mut aborted = txn_index::read(&active.files)?;
        aborted.retain(|entry| entry.last_offset < replayed_from);
        aborted.extend(new);
        self.side_files.extend(txn_index::replace(&active.files, &aborted)?);
        Ok(())
    }

    /// The end of an unflushed segment may be lost at the border of a batch: then the next one does not follow.
    /// Compaction leaves such gaps on purpose.
    fn gap_before(&self, segment: &Segment) -> Option<Bad> {
        let (base, expected) = (segment.files.base, self.next?);
        let lost = !self.known.clean && !self.place.config.cleanup.compact && base > expected;
        (lost || base < expected).then_some(Bad { position: 0, reason: BadBatch::Gap { base, expected } })
    }

    /// Whether what ends here was on stable storage once: it is damage then, not a torn end. A clean stop leaves nothing
    /// that was not.
    fn is_below_recovery_point(&self) -> bool {
        let below = self.next.is_none_or(|next| next < self.known.recovery_point);
        (below || self.known.clean) && !mutant!(cut_below_recovery_point)
    }

    /// Cuts the log within a segment.
    fn cut(&mut self, segment: &Segment, later: &[Segment], bad: Bad) -> Result<(), OpenError> {
        if self.is_below_recovery_point() {
            return Err(self.damaged(segment, bad));
        }
        let Bad { position, reason } = bad;
        // Durable at once: what is appended next must not be mixed with it by another crash.
        let file = segment.files.open(FileKind::Log)?;
        if !mutant!(keep_torn_end) {
            file.set_len(position)?;
            file.sync_all()?;
        }
        let bytes = segment.found.size - position;
        self.report.cut = Some(Cut { segment: segment.files.base, position, bytes, reason });
        self.remove(later)
    }

    /// Cuts the log between two segments.
    fn cut_before(&mut self, later: &[Segment], bad: Bad) -> Result<(), OpenError> {
        let Some(first) = later.first() else { return Ok(()) };
        if self.is_below_recovery_point() {
            return Err(self.damaged(first, bad));
        }
        let Bad { position, reason } = bad;
        self.report.cut = Some(Cut { segment: first.files.base, position, bytes: 0, reason });
        self.remove(later)
    }

    fn remove(&mut self, segments: &[Segment]) -> Result<(), OpenError> {
        for segment in segments {
            segment.files.close();
            segment.files.remove()?;
            self.report.changed_disk = true;
            if let Some(cut) = &mut self.report.cut {
                cut.bytes += segment.found.size;
            }
        }
        if !segments.is_empty() {
            self.place.directory.disk().sync_dir(&self.place.directory.path())?;
        }
        Ok(())
    }

    fn finish(self, active: Option<Active>) -> Result<Recovery, OpenError> {
        let Some(active) = active else {
            unreachable!("a log has a segment, and the first is never cut away")
        };
        let recovery_point = self.known.recovery_point;
        let log_end = self.next.unwrap_or(active.base());
        if log_end < recovery_point && !mutant!(cut_below_recovery_point) {
            return Err(OpenError::Short { log_end, recovery_point });
        }
        // What lies below the log start is gone, and so as durable as it will ever be.
        let flushed =
            if self.known.clean { log_end } else { recovery_point.max(self.log_start).min(log_end) };
        Ok(Recovery {
            sealed: self.sealed,
            active,
            log_start: self.log_start,
            log_end,
            flushed,
            epochs: self.epochs,
            read_snapshot: self.replay.snapshot(),
            producers: self.replay.into_producers(),
            side_files: self.side_files,
            unsealed: self.unsealed,
            report: self.report,
        })
    }

    fn damaged(&self, segment: &Segment, bad: Bad) -> OpenError {
        OpenError::Damaged {
            segment: segment.files.base,
            position: bad.position,
            recovery_point: self.known.recovery_point,
            reason: bad.reason,
        }
    }

    fn failed(&self, error: ScanError, segment: &Segment) -> OpenError {
        match error {
            ScanError::Disk(error) => OpenError::Disk(error),
            ScanError::Bad { position, reason } => {
                self.damaged(segment, Bad { position, reason: BadBatch::Form(reason) })
            }
        }
    }
}

/// Why a walk stops.
enum Stop {
    Disk(std::io::Error),
    Bad(Bad),
}

impl From<ScanError> for Stop {
    fn from(error: ScanError) -> Stop {
        match error {
            ScanError::Disk(error) => Stop::Disk(error),
            ScanError::Bad { position, reason } => {
                Stop::Bad(Bad { position, reason: BadBatch::Form(reason) })
            }
        }
    }
}
