//! Whether the files of a closed segment can be what was written.
//!
//! Owns: that judgement, made once, before the segment is first read after a start.
//! Does not own: what is below the recovery point of a log that is opened: nobody reads all of it then (`recovery`).
//!
//! A log, an offset index and a time index say the same in three ways, so that one that was damaged, cut at the border of
//! a batch or put in the place of another one contradicts the others. Which of them is right the log decides: it has
//! checksums and continues its own chain. An index that contradicts it is not used; a log that ends before what the
//! indexes have of it, or that holds offsets of other segments, is not read.
//!
//! Source: reliability design 2.1; requirement LOG-04.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use ottla_model::{Offset, Timestamp};
use ottla_mutant::mutant;

use crate::file_cache::SegmentFiles;
use crate::names::FileKind;
use crate::scan::{ScanError, Scanner, Waiting};
use crate::segment::{Indexes, LargestTimestamp, names_a_batch};

/// Why a closed segment is not read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unsound {
    #[error(transparent)]
    Scan(#[from] ScanError),
    /// Offsets that belong into another place.
    #[error("offset {offset} at byte {position}")]
    Misplaced { position: u64, offset: Offset },
    /// Less than the indexes know of.
    #[error("it ends at {ends_at}")]
    Short { ends_at: Offset },
}

impl Unsound {
    /// The same again, if it says something about the files: that they cannot be read now says nothing.
    pub(crate) fn lasting(&self) -> Option<Unsound> {
        match *self {
            Unsound::Scan(ScanError::Disk(_)) => None,
            Unsound::Scan(ScanError::Bad { position, reason }) => {
                Some(Unsound::Scan(ScanError::Bad { position, reason }))
            }
            Unsound::Misplaced { position, offset } => Some(Unsound::Misplaced { position, offset }),
            Unsound::Short { ends_at } => Some(Unsound::Short { ends_at }),
        }
    }
}

impl From<io::Error> for Unsound {
    fn from(error: io::Error) -> Unsound {
        Unsound::Scan(ScanError::Disk(error))
    }
}

/// The largest timestamp of a segment, and whether its time index says so.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timed {
    pub(crate) largest: Option<LargestTimestamp>,
    pub(crate) index_is_right: bool,
}

/// Looks at both ends of a segment, and at all of it where its files contradict each other.
pub(crate) fn check(
    files: &Arc<SegmentFiles>,
    indexes: &Indexes,
    (size, end): (u64, Offset),
) -> Result<(), Unsound> {
    let last = indexes.offsets.last();
    let named = match last {
        Some(entry) => names_a_batch(files, entry, size)?,
        None => true,
    };
    let from = last.filter(|_| named).map_or(0, |entry| u64::from(entry.position));
    let offsets = files.base..end;
    if from > 0 {
        first_batch(files, size, &offsets)?;
    }
    let ends_at = walk(files, from..size, &offsets)?;
    let known = indexes.times.last().map(|entry| files.base.plus(entry.relative));
    let contradicts = !named || known.is_some_and(|known| known >= ends_at);
    // Compaction leaves gaps behind the end, but indexes that know of them it does not.
    if contradicts && ends_at < end && walk(files, 0..size, &offsets)? < end {
        return Err(Unsound::Short { ends_at });
    }
    Ok(())
}

fn first_batch(files: &Arc<SegmentFiles>, size: u64, offsets: &Range<Offset>) -> Result<(), Unsound> {
    let mut walk = Scanner::new(files.open(FileKind::Log)?, 0..size, Waiting::Allowed);
    match walk.next()? {
        Some(batch) if !offsets.contains(&batch.base_offset) => {
            Err(Unsound::Misplaced { position: 0, offset: batch.base_offset })
        }
        Some(_) | None => Ok(()),
    }
}

/// Returns the offset behind the last batch.
fn walk(files: &Arc<SegmentFiles>, range: Range<u64>, offsets: &Range<Offset>) -> Result<Offset, Unsound> {
    let mut walk = Scanner::new(files.open(FileKind::Log)?, range, Waiting::Allowed);
    let mut next = offsets.start;
    while let Some(batch) = walk.next()? {
        if batch.base_offset < next
            || batch.last_offset < batch.base_offset
            || batch.last_offset >= offsets.end
        {
            return Err(Unsound::Misplaced { position: batch.position, offset: batch.base_offset });
        }
        next = batch.last_offset.next();
    }
    Ok(next)
}

/// The largest timestamp, as the batches have it. A time index that was cut or changed would make a segment seem older
/// than it is.
pub(crate) fn largest(files: &Arc<SegmentFiles>, indexes: &Indexes, size: u64) -> io::Result<Timed> {
    let said = indexes.largest(files.base);
    let from = match indexes.times.last() {
        Some(last) => indexes.position_before(files, last.relative)?,
        None => 0,
    };
    let found = largest_in(files, from..size)?;
    // Kafka named records here once, and batches now: only the time is compared.
    let same = said.map(|said| said.timestamp) == found.map(|found| found.timestamp);
    if same || mutant!(believe_damaged_time_index) {
        let largest = if same { found } else { said };
        return Ok(Timed { largest, index_is_right: true });
    }
    Ok(Timed { largest: largest_in(files, 0..size)?, index_is_right: false })
}

/// Of the batches up to the end, or up to what is no batch: a reader will be told of that.
fn largest_in(files: &Arc<SegmentFiles>, range: Range<u64>) -> io::Result<Option<LargestTimestamp>> {
    let mut walk = Scanner::new(files.open(FileKind::Log)?, range, Waiting::Allowed);
    let mut largest: Option<LargestTimestamp> = None;
    loop {
        match walk.next() {
            Ok(Some(batch)) => {
                let known = largest.map_or(Timestamp::NONE, |largest| largest.timestamp);
                if batch.max_timestamp > known {
                    let (timestamp, last_offset) = (batch.max_timestamp, batch.last_offset);
                    largest = Some(LargestTimestamp { timestamp, last_offset });
                }
            }
            Ok(None) | Err(ScanError::Bad { .. }) => return Ok(largest),
            Err(ScanError::Disk(error)) => return Err(error),
        }
    }
}
