//! Reading a log: which bytes of which files hold the batches from an offset on.
//!
//! Owns: which segments a read crosses, limits by bytes and by offset. Does not own: bounds within a segment (`part`),
//! reading or sending the bytes, the high watermark, isolation levels.
//!
//! A read is planned under the log's lock, in memory; finding the exact bounds may read headers from the file
//! and is done without the lock. A reader at the tail needs no header at all.
//!
//! Invariants
//! - I1 a slice begins and ends at the border of a batch (FET-12);
//! - I2 no batch of a slice has an offset at or above the upper bound;
//! - I3 the slices of one read follow each other without a gap.
//!
//! Source: requirements FET-11, FET-12, FET-15, FET-20, TRAP-12; performance design 4.3.

use std::io;
use std::sync::Arc;

use ottla_env::disk::File;
use ottla_model::Offset;
use ottla_protocol::record::{Batch, BatchError, Batches};

use super::Log;
use super::part::{Bounds, Hint, Part, Start, Taken, Wanted, last_entry_before};
use crate::scan::{ScanError, Waiting};
use crate::segment::{Sealed, relative_offset};
use crate::sound::Unsound;
use crate::txn_index::{self, AbortedTransaction};

/// What a reader asks for.
#[derive(Clone, Copy, Debug)]
pub struct ReadLimits {
    /// Most bytes of batches.
    pub bytes_max: u32,
    /// Only batches that lie entirely below: high watermark, last stable offset or log end.
    pub upper_bound: Offset,
    /// FET-11: the first batch is given even where it is larger than `bytes_max`.
    pub at_least_one_batch: bool,
}

/// Bytes of one segment file. The file stays usable when the segment is removed.
#[derive(Clone, Debug)]
pub struct LogSlice {
    pub file: Arc<dyn File>,
    pub position: u64,
    pub len: u32,
}

/// What a read found.
#[derive(Clone, Debug)]
pub struct LogRead {
    /// One slice, or several where the read crosses segments. Empty when there is nothing to read.
    pub slices: Vec<LogSlice>,
    /// Bytes in all slices.
    pub bytes: u32,
    /// The offset behind the last batch, or the one asked for.
    pub end: Offset,
}

impl LogRead {
    /// Looks at the bytes of all slices before they are given to somebody who reads from `from` on: checksums, and that
    /// the batches follow each other up to the end. What is sent from the file without being looked at is checked by
    /// its reader, as in Kafka.
    pub fn check(&self, from: Offset, bytes: &[u8]) -> Result<(), ReadError> {
        // The first batch may begin before what was asked for.
        let (mut behind, mut is_first) = (from, true);
        for batch in Batches::new(bytes) {
            let altered = |reason| ReadError::Altered { behind, reason };
            let batch = batch.map_err(altered)?;
            batch.check_crc().map_err(altered)?;
            let Batch::V2(view) = &batch else { return Ok(()) };
            let (first, last) = (view.header().base_offset, batch.last_offset());
            let expected = behind;
            let follows = if is_first { last >= expected } else { first >= expected };
            if !follows || last < first || last >= self.end {
                return Err(ReadError::Astray { first, last, expected, end: self.end });
            }
            (behind, is_first) = (last.next(), false);
        }
        Ok(())
    }
}

/// Why a read is not possible.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("offset {offset} is not between {log_start} and {log_end}")]
    OutOfRange { offset: Offset, log_start: Offset, log_end: Offset },
    /// What is on disk is no batch.
    #[error("segment {segment} is damaged at byte {position}: {reason}")]
    Damaged { segment: Offset, position: u64, reason: BatchError },
    /// The segment holds what belongs into another one.
    #[error("segment {segment} has offset {offset} at byte {position}, where it does not belong")]
    Misplaced { segment: Offset, position: u64, offset: Offset },
    /// The segment lost its end.
    #[error(
        "segment {segment} ends at {ends_at}, although its indexes know of more and the next one begins at {next}"
    )]
    Short { segment: Offset, ends_at: Offset, next: Offset },
    /// Bytes on their way to a reader are not what was written.
    #[error("what was read behind offset {behind} is no batch: {reason}")]
    Altered { behind: Offset, reason: BatchError },
    /// A batch that says to be another one.
    #[error("offsets {first} to {last} were read where {expected} to {end} belong")]
    Astray { first: Offset, last: Offset, expected: Offset, end: Offset },
    /// Compaction put another segment in the place of this one: the read is to be planned anew.
    #[error("segment {segment} was replaced")]
    Replaced { segment: Offset },
    #[error("cannot read from the data directory")]
    Disk(#[from] io::Error),
}

impl ReadError {
    pub(super) fn of_unsound(error: Unsound, segment: &Sealed) -> ReadError {
        let (base, next) = (segment.base(), segment.end);
        match error {
            Unsound::Scan(error) => ReadError::of(error, base),
            Unsound::Misplaced { position, offset } => {
                ReadError::Misplaced { segment: base, position, offset }
            }
            Unsound::Short { ends_at } => ReadError::Short { segment: base, ends_at, next },
        }
    }

    pub(super) fn of(error: ScanError, segment: Offset) -> ReadError {
        match error {
            ScanError::Disk(error) => ReadError::Disk(error),
            ScanError::Bad { position, reason } => ReadError::Damaged { segment, position, reason },
        }
    }

    /// Whether [`ReadPlan::resolve_resident`] gave up because it would have to wait for the device.
    pub fn would_block(&self) -> bool {
        matches!(self, ReadError::Disk(error) if error.kind() == io::ErrorKind::WouldBlock)
    }
}

/// Whoever has the last byte of so many has waited for all of them: the device is asked for at least as many at once.
const BRING_IN_BYTES: u64 = 64 * 1024;
/// Bytes behind a read from the device that the system begins to read too: enough to keep the device busy until the next.
const AHEAD_BYTES: u64 = 8 * 1024 * 1024;

/// A read whose exact bounds are still to be found.
#[derive(Clone, Debug)]
pub struct ReadPlan {
    from: Offset,
    limits: ReadLimits,
    first: Option<Part>,
    more: Vec<Part>,
    /// Everything was written lately, so that no byte of it has to come from the device.
    recent: bool,
}

impl Log {
    /// Bytes of whole batches from the batch that contains `from` on. See [`ReadPlan`].
    pub fn read(&self, from: Offset, limits: ReadLimits) -> Result<LogRead, ReadError> {
        self.plan_read(from, limits)?.resolve()
    }

    /// Prepares a read, so that the rest of it can be done without the log's lock.
    ///
    /// An offset between the upper bound and the log end gives an empty plan (FET-15).
    pub fn plan_read(&self, from: Offset, limits: ReadLimits) -> Result<ReadPlan, ReadError> {
        let (log_start, log_end) = (self.log_start, self.log_end);
        if from < log_start || from > log_end {
            return Err(ReadError::OutOfRange { offset: from, log_start, log_end });
        }
        let mut plan = ReadPlan { from, limits, first: None, more: Vec::new(), recent: false };
        if from >= limits.upper_bound.min(log_end) {
            return Ok(plan);
        }
        let mut bytes = 0;
        let at = self.sealed.partition_point(|segment| segment.end <= from);
        for segment in self.sealed.iter().skip(at) {
            if bytes > u64::from(limits.bytes_max) || segment.base() >= limits.upper_bound {
                return Ok(plan);
            }
            // The first part counts from somewhere in the middle, so it never ends the loop alone.
            bytes += if plan.first.is_some() { segment.size } else { 0 };
            plan.push(Part::sealed(segment));
        }
        if bytes <= u64::from(limits.bytes_max) && self.active.base() < limits.upper_bound {
            let part = self.active_part(from, limits)?;
            plan.recent = plan.first.is_none() && self.active.is_recent(part.begins_from());
            plan.push(part);
        }
        Ok(plan)
    }

    fn active_part(&self, from: Offset, limits: ReadLimits) -> Result<Part, ReadError> {
        let active = &self.active;
        let planned = active.files.readers.generation();
        let known = || active.files.readers.mark(from).map(|mark| mark.position);
        let start = match active.recent_position(from) {
            _ if from <= active.base() => Start::At(0),
            Some(position) => Start::At(position),
            None => match known() {
                Some(position) => Start::At(position),
                None => {
                    let relative = relative_offset(active.base(), from).unwrap_or(u32::MAX);
                    let entry = active.indexes.entry_before(&active.files, relative)?;
                    Start::AtOrBehind(Hint::of(entry, active.base()))
                }
            },
        };
        let position = start.position();
        let limit = position + u64::from(limits.bytes_max);
        let cut = limit < active.size || limits.upper_bound < self.log_end;
        let end_from = match cut {
            true => last_entry_before(&active.indexes, (&active.files, planned), limit, limits.upper_bound)?,
            false => Hint::NONE,
        };
        Ok(Part {
            files: Arc::clone(&active.files),
            planned,
            size: active.size,
            end: self.log_end,
            bounds: Bounds::Known { start, end_from },
        })
    }

    /// The aborted transactions with records between `from` and `to` (exclusive), by first offset (FET-18).
    pub fn aborted_transactions(&self, from: Offset, to: Offset) -> io::Result<Vec<AbortedTransaction>> {
        let at = self.sealed.partition_point(|segment| segment.end <= from);
        let sealed = self.sealed.iter().skip(at).map(|segment| &segment.files);
        let mut found = Vec::new();
        'segments: for files in sealed.chain(std::iter::once(&self.active.files)) {
            for aborted in txn_index::read_all(files)? {
                if aborted.last_offset >= from && aborted.first_offset < to {
                    found.push(aborted);
                }
                // Everything that is decided later begins at or behind that offset.
                if aborted.last_stable_offset >= to {
                    break 'segments;
                }
            }
        }
        found.sort_by_key(|aborted| (aborted.first_offset, aborted.producer));
        Ok(found)
    }
}

impl ReadPlan {
    fn push(&mut self, part: Part) {
        match self.first {
            None => self.first = Some(part),
            Some(_) => self.more.push(part),
        }
    }

    /// Whether there is nothing to read.
    pub fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// Finds the exact bounds; may wait for the device.
    pub fn resolve(&self) -> Result<LogRead, ReadError> {
        self.resolve_waiting(Waiting::Allowed)
    }

    /// Finds the exact bounds of what can be read without waiting for the device; [`ReadError::would_block`] tells that
    /// it cannot.
    pub fn resolve_resident(&self) -> Result<LogRead, ReadError> {
        if self.recent {
            return self.resolve();
        }
        self.resolve_waiting(Waiting::Refused)
    }

    /// Brings what [`ReadPlan::resolve_resident`] misses into memory, and has the system begin to read what a reader
    /// will want next. Waits for the device.
    pub fn bring_in(&self) -> Result<(), ReadError> {
        let read = self.resolve()?;
        for slice in &read.slices {
            slice.file.expect(slice.position, u64::from(slice.len) + AHEAD_BYTES)?;
        }
        for slice in &read.slices {
            let (mut position, end) = (slice.position, slice.position + u64::from(slice.len));
            slice.file.read_at(&mut [0], position)?;
            while position < end {
                position = (position + BRING_IN_BYTES).min(end);
                slice.file.read_at(&mut [0], position - 1)?;
            }
        }
        Ok(())
    }

    fn resolve_waiting(&self, waiting: Waiting) -> Result<LogRead, ReadError> {
        let mut read = LogRead { slices: Vec::new(), bytes: 0, end: self.from };
        for part in self.first.iter().chain(&self.more) {
            let wanted = Wanted {
                from: read.end,
                upper_bound: self.limits.upper_bound,
                bytes_max: self.limits.bytes_max.saturating_sub(read.bytes),
                at_least_one_batch: self.limits.at_least_one_batch && read.slices.is_empty(),
            };
            let whole = match part.take(&wanted, waiting)? {
                Taken::Nothing => continue,
                Taken::Full => break,
                Taken::Some { slice, end, whole } => {
                    read.bytes = read.bytes.saturating_add(slice.len);
                    read.slices.push(slice);
                    read.end = end;
                    whole
                }
            };
            if !whole {
                break;
            }
        }
        Ok(read)
    }
}
