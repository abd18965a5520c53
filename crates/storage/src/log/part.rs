//! One segment of a read: where its first batch lies, and where what fits ends.
//!
//! Owns: offset → position within a segment, whole batches only, what may be sent without waiting for the device.
//! Does not own: which segments a read crosses (`read`), what was learnt by earlier reads (`readers`).
//!
//! Invariants
//! - I1 a slice begins and ends at the border of a batch (FET-12);
//! - I2 an index is believed only where the batch that it names is there.
//!
//! Source: requirements FET-11, FET-12, TRAP-12; performance design 4.3.

use std::io;
use std::sync::Arc;

use ottla_env::disk::File;
use ottla_env::time::now;
use ottla_model::Offset;
use ottla_mutant::mutant;

use super::read::{LogSlice, ReadError};
use crate::file_cache::SegmentFiles;
use crate::index::OffsetEntry;
use crate::names::FileKind;
use crate::readers::{Generation, Mark};
use crate::scan::{FoundBatch, ScanError, Scanner, Waiting};
use crate::segment::{Indexes, Sealed, relative_offset};

/// How far a look at the page cache goes beyond what is read, so that the next reads need none.
const LOOK_AHEAD_BYTES: u64 = 1024 * 1024;

/// One segment of a plan.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) files: Arc<SegmentFiles>,
    pub(super) planned: Generation,
    pub(super) size: u64,
    /// Offset behind the segment's last batch at the time of the plan.
    pub(super) end: Offset,
    pub(super) bounds: Bounds,
}

/// Where to look for the first and the last batch.
#[derive(Clone, Debug)]
pub(super) enum Bounds {
    /// In the indexes of a segment that does not change any more.
    Indexed(Arc<Sealed>),
    /// At or behind these positions, where batches begin.
    Known { start: Start, end_from: Hint },
}

/// Where the batch with the first offset lies.
#[derive(Clone, Copy, Debug)]
pub(super) enum Start {
    At(u64),
    AtOrBehind(Hint),
}

/// What an index says: where a batch begins, and its last offset. A damaged one may say anything.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hint {
    position: u64,
    last_offset: Option<Offset>,
}

impl Hint {
    pub(super) const NONE: Hint = Hint { position: 0, last_offset: None };

    pub(super) fn of(entry: Option<OffsetEntry>, base: Offset) -> Hint {
        match entry {
            Some(OffsetEntry { relative, position }) => {
                Hint { position: u64::from(position), last_offset: Some(base.plus(relative)) }
            }
            None => Hint::NONE,
        }
    }

    /// Whether the first batch that was found there, or what was found in its place, is what the index says.
    fn holds(&self, found: &Result<Option<FoundBatch>, ScanError>) -> bool {
        let Some(last_offset) = self.last_offset else { return true };
        match found {
            Ok(Some(batch)) => batch.last_offset == last_offset,
            Ok(None) | Err(ScanError::Bad { .. }) => false,
            Err(ScanError::Disk(_)) => true,
        }
    }
}

impl Start {
    pub(super) fn position(&self) -> u64 {
        match self {
            Start::At(position) | Start::AtOrBehind(Hint { position, .. }) => *position,
        }
    }
}

/// What is still wanted when a part is looked at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    pub(super) from: Offset,
    pub(super) upper_bound: Offset,
    pub(super) bytes_max: u32,
    pub(super) at_least_one_batch: bool,
}

/// What a part has for a read.
pub(super) enum Taken {
    /// No batch at or behind the first offset: compaction emptied the end of the segment.
    Nothing,
    /// A batch, but beyond the limits.
    Full,
    /// `whole`: up to the end of the segment.
    Some { slice: LogSlice, end: Offset, whole: bool },
}

impl Part {
    /// Nothing before this position is read.
    pub(super) fn begins_from(&self) -> u64 {
        match self.bounds {
            Bounds::Known { start, .. } => start.position(),
            Bounds::Indexed(_) => 0,
        }
    }

    pub(super) fn sealed(segment: &Arc<Sealed>) -> Part {
        Part {
            files: Arc::clone(&segment.files),
            planned: segment.files.readers.generation(),
            size: segment.size,
            end: segment.end,
            bounds: Bounds::Indexed(Arc::clone(segment)),
        }
    }

    /// Looks for what is wanted. Between plan and read the segment may have been removed: its offsets are below
    /// the log start then, or in the segment that compaction put in its place.
    pub(super) fn take(&self, wanted: &Wanted, waiting: Waiting) -> Result<Taken, ReadError> {
        let taken = match self.take_present(wanted, waiting) {
            Err(ReadError::Disk(error))
                if error.kind() == io::ErrorKind::NotFound && self.files.is_replaced() =>
            {
                return Err(ReadError::Replaced { segment: self.files.base });
            }
            Err(ReadError::Disk(error))
                if error.kind() == io::ErrorKind::NotFound && self.files.is_out_of_use() =>
            {
                return Err(ReadError::OutOfRange {
                    offset: wanted.from,
                    log_start: self.end,
                    log_end: self.end,
                });
            }
            other => other?,
        };
        if let Taken::Some { slice, end, .. } = &taken {
            self.remember(wanted.from, (slice, *end), waiting)?;
        }
        Ok(taken)
    }

    /// Makes sure that a slice can be sent without waiting for the device, and remembers where the reader will go on.
    fn remember(&self, from: Offset, (slice, end): (&LogSlice, Offset), waiting: Waiting) -> io::Result<()> {
        let (readers, now) = (&self.files.readers, now());
        let position = slice.position + u64::from(slice.len);
        let (resident_until, seen) = match waiting {
            Waiting::Allowed => (position, now),
            Waiting::Refused => match readers.mark(from).filter(|mark| mark.is_resident(position, now)) {
                Some(mark) => (mark.resident_until, mark.seen),
                None => (self.resident_until(slice)?, now),
            },
        };
        // Whoever has read a segment to its end begins the next one, or is at the tail.
        if position < self.size {
            readers.on_read(Mark { offset: end, position, resident_until, seen }, self.planned);
        }
        Ok(())
    }

    /// Up to where, at least to the end of the slice, the page cache has the segment; `WouldBlock` if it has not.
    fn resident_until(&self, slice: &LogSlice) -> io::Result<u64> {
        let len = u64::from(slice.len);
        let ahead = (slice.position + LOOK_AHEAD_BYTES).min(self.size) - slice.position;
        if ahead > len && slice.file.is_resident(slice.position, ahead)? {
            return Ok(slice.position + ahead);
        }
        match slice.file.is_resident(slice.position, len)? {
            true => Ok(slice.position + len),
            false => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn take_present(&self, wanted: &Wanted, waiting: Waiting) -> Result<Taken, ReadError> {
        let file = self.files.open(FileKind::Log)?;
        if let Bounds::Indexed(segment) = &self.bounds
            && !segment.is_checked()
            && !mutant!(read_unsound_segment)
        {
            if waiting == Waiting::Refused {
                return Err(io::Error::from(io::ErrorKind::WouldBlock).into());
            }
            segment.check().map_err(|error| ReadError::of_unsound(error, segment))?;
        }
        let start = self.start(wanted)?;
        let fits = |position: u64| self.size - position <= u64::from(wanted.bytes_max);
        if let Start::At(position) = start
            && position < self.size
            && fits(position)
            && self.end <= wanted.upper_bound
        {
            return Ok(self.taken(file, position, (self.size, self.end)));
        }
        if let Start::At(position) = start
            && let Some(bounds) = self.end_by_index(&file, position, (wanted, waiting))?
        {
            return Ok(self.taken(file, position, bounds));
        }
        let damaged = |error| ReadError::of(error, self.files.base);
        let mut walk = self.walk_from(&file, start, waiting);
        let first = loop {
            match walk.next().map_err(damaged)? {
                None => return Ok(Taken::Nothing),
                Some(batch) if batch.last_offset >= wanted.from => break batch,
                Some(_) => {}
            }
        };
        if first.last_offset >= wanted.upper_bound {
            return Ok(Taken::Full);
        }
        if first.size > u64::from(wanted.bytes_max) {
            return Ok(match wanted.at_least_one_batch {
                true => self.taken(file, first.position, (first.end(), first.last_offset.next())),
                false => Taken::Full,
            });
        }
        if fits(first.position) && self.end <= wanted.upper_bound {
            return Ok(self.taken(file, first.position, (self.size, self.end)));
        }
        let limit = first.position + u64::from(wanted.bytes_max);
        let hint = self.end_from(limit, wanted)?;
        // A hint of the plan may lie too far: it did not know what other parts would take.
        if hint.position > walk.position() && hint.position <= limit {
            let mut further = Scanner::new(Arc::clone(&file), hint.position..self.size, waiting);
            if hint.holds(&further.next()) {
                further.back_to(hint.position);
                walk = further;
            }
        }
        let bounds = last_fitting(&mut walk, Some(&first), limit, wanted.upper_bound).map_err(damaged)?;
        Ok(self.taken(file, first.position, bounds.unwrap_or((self.size, self.end))))
    }

    fn start(&self, wanted: &Wanted) -> io::Result<Start> {
        match &self.bounds {
            _ if wanted.from <= self.files.base => Ok(Start::At(0)),
            Bounds::Known { start, .. } => Ok(*start),
            Bounds::Indexed(segment) => {
                if let Some(mark) = self.files.readers.mark(wanted.from) {
                    return Ok(Start::At(mark.position));
                }
                let relative = relative_offset(self.files.base, wanted.from).unwrap_or(u32::MAX);
                let entry = segment.indexes()?.entry_before(&self.files, relative)?;
                Ok(Start::AtOrBehind(Hint::of(entry, self.files.base)))
            }
        }
    }

    /// A walk from where the index says, or from the beginning of the segment where what lies there is something else.
    fn walk_from(&self, file: &Arc<dyn File>, start: Start, waiting: Waiting) -> Scanner {
        let mut walk = Scanner::new(Arc::clone(file), start.position()..self.size, waiting);
        if let Start::AtOrBehind(hint) = start
            && hint.position > 0
        {
            let holds = hint.holds(&walk.next()) || mutant!(believe_damaged_index);
            walk.back_to(if holds { hint.position } else { 0 });
        }
        walk
    }

    /// The end of a read that begins at `position`, with no look at the batch there: if the index knows of a later one that
    /// begins within the limit, the first one fits.
    fn end_by_index(
        &self,
        file: &Arc<dyn File>,
        position: u64,
        (wanted, waiting): (&Wanted, Waiting),
    ) -> Result<Option<(u64, Offset)>, ReadError> {
        let limit = position + u64::from(wanted.bytes_max);
        let hint = self.end_from(limit, wanted)?;
        if hint.position <= position || hint.position > limit {
            return Ok(None);
        }
        let mut walk = Scanner::new(Arc::clone(file), hint.position..self.size, waiting);
        if !hint.holds(&walk.next()) {
            return Ok(None);
        }
        walk.back_to(hint.position);
        let bounds = last_fitting(&mut walk, None, limit, wanted.upper_bound)
            .map_err(|error| ReadError::of(error, self.files.base))?;
        Ok(Some(bounds.unwrap_or((self.size, self.end))))
    }

    fn end_from(&self, limit: u64, wanted: &Wanted) -> io::Result<Hint> {
        match &self.bounds {
            Bounds::Known { end_from, .. } => Ok(*end_from),
            Bounds::Indexed(segment) => {
                let files = (&self.files, self.planned);
                last_entry_before(segment.indexes()?, files, limit, wanted.upper_bound)
            }
        }
    }

    fn taken(&self, file: Arc<dyn File>, position: u64, (until, end): (u64, Offset)) -> Taken {
        let begin = if mutant!(wrong_range_at_segment_border) && until == self.size { 0 } else { position };
        let len = u32::try_from(until - begin).unwrap_or(u32::MAX);
        Taken::Some { slice: LogSlice { file, position, len }, end, whole: until == self.size }
    }
}

/// What the index says of the last batch that begins at or before `limit` and ends below `upper_bound`.
pub(super) fn last_entry_before(
    indexes: &Indexes,
    (files, planned): (&Arc<SegmentFiles>, Generation),
    limit: u64,
    upper_bound: Offset,
) -> io::Result<Hint> {
    let relative = relative_offset(files.base, upper_bound).unwrap_or(u32::MAX);
    let open = || files.open(FileKind::OffsetIndex);
    let readers = (&files.readers, planned);
    let entry = indexes.offsets.last_before_reader(open, readers, |entry| {
        u64::from(entry.position) <= limit && entry.relative < relative
    })?;
    Ok(Hint::of(entry, files.base))
}

/// Walks to the end of the last batch that ends at or before `limit` and below `upper_bound`. `None`: all fit.
fn last_fitting(
    walk: &mut Scanner,
    first: Option<&FoundBatch>,
    limit: u64,
    upper_bound: Offset,
) -> Result<Option<(u64, Offset)>, ScanError> {
    let mut end = (walk.position(), None);
    if let Some(first) = first.filter(|first| end.0 == first.end()) {
        end.1 = Some(first.last_offset.next());
    }
    while let Some(batch) = walk.next()? {
        if batch.end() > limit || batch.last_offset >= upper_bound {
            return Ok(Some((end.0, end.1.unwrap_or(batch.base_offset))));
        }
        end = (batch.end(), Some(batch.last_offset.next()));
    }
    Ok(None)
}
