//! Finding records by time.
//!
//! Owns: the first record at or after a time, the record with the largest timestamp.
//! Does not own: the special times of ListOffsets and what of the result a client may see (`server`).
//!
//! Timestamps need not grow along the log. The time index holds the largest one so far, so no batch before an
//! entry below the wanted time can have it; from there on every batch is looked at, and within a batch every
//! record (TRAP-11).
//!
//! Source: requirements LO-06, TRAP-11, ListOffsets −3.

use std::io;
use std::sync::Arc;

use ottla_model::{LeaderEpoch, Offset, Timestamp};
use ottla_protocol::compression::UnpackLimits;
use ottla_protocol::record::{BatchError, Record, RecordBuffer};

use super::Log;
use crate::file_cache::SegmentFiles;
use crate::names::FileKind;
use crate::scan::{FoundBatch, ScanError, Scanner, Waiting};
use crate::segment::{LargestTimestamp, Sealed, relative_offset};

/// Most bytes the records of one batch may unpack to when they are searched. A batch that was accepted unpacks
/// to less: it passed the same bound when it was validated.
const UNPACKED_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// A record that was found by its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FoundTimestamp {
    pub offset: Offset,
    pub timestamp: Timestamp,
    pub leader_epoch: Option<LeaderEpoch>,
}

/// Why a search failed.
#[derive(Debug, thiserror::Error)]
pub enum LookupError {
    #[error("segment {segment} is damaged at byte {position}: {reason}")]
    Damaged { segment: Offset, position: u64, reason: BatchError },
    #[error("the batch at byte {position} of segment {segment} cannot be read: {reason}")]
    Records { segment: Offset, position: u64, reason: String },
    /// Compaction put another segment in the place of this one: the search is to be planned anew.
    #[error("segment {segment} was replaced")]
    Replaced { segment: Offset },
    #[error("cannot read from the data directory")]
    Disk(#[from] io::Error),
}

/// What is looked for.
#[derive(Clone, Copy, Debug)]
enum Target {
    AtOrAfter(Timestamp),
    Largest,
}

/// A search by time that is still to be done, without the log's lock.
#[derive(Clone, Debug)]
pub struct TimestampSearch {
    target: Target,
    log_start: Offset,
    sealed: Vec<Arc<Sealed>>,
    active: ActivePart,
}

/// What a search must know of the active segment.
#[derive(Clone, Debug)]
struct ActivePart {
    files: Arc<SegmentFiles>,
    size: u64,
    largest: Option<LargestTimestamp>,
    /// Where a batch begins, behind all batches that need not be looked at.
    from: u64,
}

/// A stretch of a segment to be searched.
struct Stretch {
    files: Arc<SegmentFiles>,
    from: u64,
    size: u64,
}

impl Log {
    /// Prepares the search for the first record at or after `time`.
    pub fn plan_timestamp_search(&self, time: Timestamp) -> io::Result<TimestampSearch> {
        self.plan_search(Target::AtOrAfter(time))
    }

    /// Prepares the search for the record with the largest timestamp.
    pub fn plan_largest_timestamp_search(&self) -> io::Result<TimestampSearch> {
        self.plan_search(Target::Largest)
    }

    fn plan_search(&self, target: Target) -> io::Result<TimestampSearch> {
        let at = self.sealed.partition_point(|segment| segment.end <= self.log_start);
        let active = &self.active;
        let from = match target {
            Target::AtOrAfter(time) => {
                let open = || active.files.open(FileKind::TimeIndex);
                let before = active.indexes.times.last_before(open, |entry| entry.timestamp < time)?;
                let start = relative_offset(active.base(), self.log_start).unwrap_or(0);
                let relative = before.map_or(0, |entry| entry.relative).max(start);
                active.indexes.position_before(&active.files, relative)?
            }
            Target::Largest => {
                match active.largest.and_then(|l| relative_offset(active.base(), l.last_offset)) {
                    Some(relative) => active.indexes.position_before(&active.files, relative)?,
                    None => 0,
                }
            }
        };
        Ok(TimestampSearch {
            target,
            log_start: self.log_start,
            sealed: self.sealed.iter().skip(at).cloned().collect(),
            active: ActivePart {
                files: Arc::clone(&active.files),
                size: active.size,
                largest: active.largest,
                from,
            },
        })
    }
}

impl TimestampSearch {
    /// Does the search; may wait for the device.
    pub fn resolve(&self) -> Result<Option<FoundTimestamp>, LookupError> {
        let found = match self.target {
            Target::AtOrAfter(time) => self.first_at_or_after(time),
            Target::Largest => self.largest(),
        };
        match found {
            Err(LookupError::Disk(error)) if error.kind() == io::ErrorKind::NotFound => {
                let replaced = self.sealed.iter().find(|segment| segment.files.is_replaced());
                Err(match replaced {
                    Some(segment) => LookupError::Replaced { segment: segment.base() },
                    None => LookupError::Disk(error),
                })
            }
            found => found,
        }
    }

    fn first_at_or_after(&self, time: Timestamp) -> Result<Option<FoundTimestamp>, LookupError> {
        for segment in &self.sealed {
            match self.first_in_sealed(segment, time) {
                Ok(None) => {}
                Err(LookupError::Disk(error)) if was_removed(&error, &segment.files) => {}
                found => return found,
            }
        }
        if self.active.largest.is_none_or(|largest| largest.timestamp < time) {
            return Ok(None);
        }
        self.first_in(&self.active_stretch(), time)
    }

    fn first_in_sealed(
        &self,
        segment: &Arc<Sealed>,
        time: Timestamp,
    ) -> Result<Option<FoundTimestamp>, LookupError> {
        if segment.largest()?.is_none_or(|largest| largest.timestamp < time) {
            return Ok(None);
        }
        let indexes = segment.indexes()?;
        let open = || segment.files.open(FileKind::TimeIndex);
        let before = match segment.time_index_is_right()? {
            true => indexes.times.last_before(open, |entry| entry.timestamp < time)?,
            false => None,
        };
        let start = relative_offset(segment.base(), self.log_start).unwrap_or(0);
        let relative = before.map_or(0, |entry| entry.relative).max(start);
        let from = indexes.position_before(&segment.files, relative)?;
        let stretch = Stretch { files: Arc::clone(&segment.files), from, size: segment.size };
        self.first_in(&stretch, time)
    }

    fn active_stretch(&self) -> Stretch {
        let ActivePart { files, size, from, .. } = &self.active;
        Stretch { files: Arc::clone(files), from: *from, size: *size }
    }

    /// The first record of a stretch at or after `time`, and not before the log start.
    fn first_in(&self, stretch: &Stretch, time: Timestamp) -> Result<Option<FoundTimestamp>, LookupError> {
        let mut walk = stretch.walk()?;
        while let Some(batch) = walk.next().map_err(|error| stretch.failed(error))? {
            if batch.max_timestamp < time || batch.last_offset < self.log_start {
                continue;
            }
            let wanted = |record: &Record<'_>| record.timestamp >= time && record.offset >= self.log_start;
            if let Some(found) = stretch.record_in((&mut walk, &batch), wanted)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Of a deleted record too, as long as its segment is there: Kafka does not look at the log start here.
    fn largest(&self) -> Result<Option<FoundTimestamp>, LookupError> {
        let mut best: Option<(LargestTimestamp, Option<&Arc<Sealed>>)> = None;
        let is_gone = |files: &SegmentFiles| files.is_out_of_use() && !files.is_replaced();
        for segment in self.sealed.iter().filter(|segment| !is_gone(&segment.files)) {
            let Some(largest) = segment.largest()? else { continue };
            if best.is_none_or(|(known, _)| largest.timestamp > known.timestamp) {
                best = Some((largest, Some(segment)));
            }
        }
        if let Some(largest) = self.active.largest
            && best.is_none_or(|(known, _)| largest.timestamp > known.timestamp)
        {
            best = Some((largest, None));
        }
        let Some((largest, segment)) = best else { return Ok(None) };
        let stretch = match segment {
            None => self.active_stretch(),
            Some(segment) => {
                let relative = relative_offset(segment.base(), largest.last_offset).unwrap_or(0);
                let from = segment.indexes()?.position_before(&segment.files, relative)?;
                Stretch { files: Arc::clone(&segment.files), from, size: segment.size }
            }
        };
        let mut walk = stretch.walk()?;
        while let Some(batch) = walk.next().map_err(|error| stretch.failed(error))? {
            if batch.last_offset >= largest.last_offset {
                return stretch
                    .record_in((&mut walk, &batch), |record| record.timestamp == largest.timestamp);
            }
        }
        Ok(None)
    }
}

/// Whether a file is missing because its segment was removed since the search was planned: its records are below
/// the log start.
fn was_removed(error: &io::Error, files: &SegmentFiles) -> bool {
    error.kind() == io::ErrorKind::NotFound && files.is_out_of_use() && !files.is_replaced()
}

impl Stretch {
    fn walk(&self) -> io::Result<Scanner> {
        Ok(Scanner::new(self.files.open(FileKind::Log)?, self.from..self.size, Waiting::Allowed))
    }

    /// The first record of one batch that is wanted.
    fn record_in(
        &self,
        (walk, batch): (&mut Scanner, &FoundBatch),
        wanted: impl Fn(&Record<'_>) -> bool,
    ) -> Result<Option<FoundTimestamp>, LookupError> {
        let unreadable = |reason: String| LookupError::Records {
            segment: self.files.base,
            position: batch.position,
            reason,
        };
        let leader_epoch = batch.leader_epoch();
        let body = walk.body(batch).map_err(|error| self.failed(error))?;
        let mut buffer = RecordBuffer::new(UnpackLimits::bytes(UNPACKED_BYTES_MAX));
        for record in body.records(&mut buffer).map_err(|error| unreadable(error.to_string()))? {
            let record = record.map_err(|error| unreadable(error.to_string()))?;
            if wanted(&record) {
                let (offset, timestamp) = (record.offset, record.timestamp);
                return Ok(Some(FoundTimestamp { offset, timestamp, leader_epoch }));
            }
        }
        Ok(None)
    }

    fn failed(&self, error: ScanError) -> LookupError {
        match error {
            ScanError::Disk(error) => LookupError::Disk(error),
            ScanError::Bad { position, reason } => {
                LookupError::Damaged { segment: self.files.base, position, reason }
            }
        }
    }
}
