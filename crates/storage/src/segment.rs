//! Segments: the active one that is appended to, and sealed ones that never change.
//!
//! Owns: which batch gets an index entry, the largest timestamp, when a segment must be closed.
//! Does not own: the indexes' bytes (`index`), writing them at the end (`seal`), offsets of new batches (`log`).
//!
//! Kafka's rule for entries, per batch: when more than `index.interval.bytes` of batches lie since the last
//! entry (or since the segment was opened), the batch gets an entry in the offset index with its last offset
//! and its position; the time index gets the largest timestamp so far, if it is larger than that of its last
//! entry. When a segment is closed, the time index gets its largest timestamp likewise.
//!
//! Invariants
//! - I1 the file of a sealed segment is not written any more; its indexes may still miss entries in their files;
//! - I2 every offset of a segment is at most 2³²−1 above its base offset, and every position below 2³².
//!
//! Source: requirements LOG-01, 8.1; files that Kafka 4.3.1 wrote (`tests/data/hex-rolled.txt`).

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, OnceLock};

use ottla_model::{Offset, Timestamp};

use crate::config::LogConfig;
use crate::file_cache::SegmentFiles;
use crate::index::{IndexEntry, OffsetEntry, SparseIndex, TimeEntry};
use crate::names::FileKind;
use crate::scan::{FoundBatch, ScanError, Scanner, Waiting};
use crate::sound::{self, Timed, Unsound};

/// Kafka's limit on how far an offset may lie above the base offset of its segment.
pub(crate) const RELATIVE_OFFSET_MAX: u64 = i32::MAX.unsigned_abs() as u64;

/// Batches at the end of a log whose positions are remembered, so that readers at the tail need no search.
const RECENT_MAX: usize = 16;

/// The largest timestamp of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LargestTimestamp {
    pub(crate) timestamp: Timestamp,
    /// Last offset of the first batch that has it.
    pub(crate) last_offset: Offset,
}

/// Both indexes of a segment.
#[derive(Clone, Debug)]
pub(crate) struct Indexes {
    pub(crate) offsets: SparseIndex<OffsetEntry>,
    pub(crate) times: SparseIndex<TimeEntry>,
}

impl Indexes {
    pub(crate) fn empty() -> Indexes {
        Indexes { offsets: SparseIndex::empty(), times: SparseIndex::empty() }
    }

    /// What lies in the files.
    pub(crate) fn load(files: &Arc<SegmentFiles>) -> io::Result<Indexes> {
        let offsets = SparseIndex::load(&*files.open(FileKind::OffsetIndex)?)?;
        let times = SparseIndex::load(&*files.open(FileKind::TimeIndex)?)?;
        Ok(Indexes { offsets, times })
    }

    /// What lies in files of known lengths; an empty one is not opened.
    pub(crate) fn load_sized(files: &Arc<SegmentFiles>, offsets: u64, times: u64) -> io::Result<Indexes> {
        let mut indexes = Indexes::empty();
        if offsets > 0 {
            indexes.offsets = SparseIndex::load(&*files.open(FileKind::OffsetIndex)?)?;
        }
        if times > 0 {
            indexes.times = SparseIndex::load(&*files.open(FileKind::TimeIndex)?)?;
        }
        Ok(indexes)
    }

    /// The last entry of a batch that is not behind the one with the offset `relative`.
    pub(crate) fn entry_before(
        &self,
        files: &Arc<SegmentFiles>,
        relative: u32,
    ) -> io::Result<Option<OffsetEntry>> {
        // The entry's offset is the batch's last one, so an entry at `relative` names the batch itself.
        let open = || files.open(FileKind::OffsetIndex);
        self.offsets.last_before(open, |entry| entry.relative <= relative)
    }

    /// Where to begin looking for the batch that holds the offset `relative`; position 0 without an entry, or where
    /// the entry names no batch: an index that was damaged costs time, and nothing else.
    pub(crate) fn position_before(&self, files: &Arc<SegmentFiles>, relative: u32) -> io::Result<u64> {
        let Some(entry) = self.entry_before(files, relative)? else { return Ok(0) };
        Ok(if names_a_batch(files, entry, u64::MAX)? { u64::from(entry.position) } else { 0 })
    }

    pub(crate) fn largest(&self, base: Offset) -> Option<LargestTimestamp> {
        let last = self.times.last()?;
        Some(LargestTimestamp { timestamp: last.timestamp, last_offset: base.plus(last.relative) })
    }
}

/// The segment that is appended to.
#[derive(Debug)]
pub(crate) struct Active {
    pub(crate) files: Arc<SegmentFiles>,
    /// Bytes of whole batches; the file may have more behind them after a failed write.
    pub(crate) size: u64,
    pub(crate) indexes: Indexes,
    pub(crate) largest: Option<LargestTimestamp>,
    /// Largest timestamp of the first batch.
    pub(crate) first_timestamp: Option<Timestamp>,
    pub(crate) created: Timestamp,
    /// The files are not as a clean stop leaves them, or may not be durable.
    pub(crate) touched: bool,
    /// What lies below was there when this process opened the segment.
    opened_size: u64,
    bytes_since_entry: u64,
    /// First offset and position of the last batches, oldest first; nothing while nobody appends.
    recent: VecDeque<(Offset, u64)>,
}

/// Bytes at the end of a segment that are taken for resident, once this process has written them.
const RECENT_BYTES: u64 = 64 * 1024 * 1024;

/// What a roll depends on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Incoming {
    pub(crate) bytes: u64,
    pub(crate) last_offset: Offset,
    pub(crate) max_timestamp: Timestamp,
    pub(crate) now: Timestamp,
}

impl Active {
    /// A segment without batches; its files exist.
    pub(crate) fn new(files: Arc<SegmentFiles>, created: Timestamp) -> Active {
        Active {
            files,
            size: 0,
            indexes: Indexes::empty(),
            largest: None,
            first_timestamp: None,
            created,
            touched: false,
            opened_size: 0,
            bytes_since_entry: 0,
            recent: VecDeque::new(),
        }
    }

    /// Whether what lies from `position` on was written so lately that it is still in memory.
    pub(crate) fn is_recent(&self, position: u64) -> bool {
        position >= self.opened_size.max(self.size.saturating_sub(RECENT_BYTES))
    }

    /// The segment that is found in its files, with batches up to `size`.
    pub(crate) fn reopened(
        files: Arc<SegmentFiles>,
        size: u64,
        indexes: Indexes,
        created: Timestamp,
    ) -> Active {
        let largest = indexes.largest(files.base);
        Active { size, opened_size: size, indexes, largest, ..Active::new(files, created) }
    }

    pub(crate) fn base(&self) -> Offset {
        self.files.base
    }

    /// Notes a batch that was written at the end.
    pub(crate) fn on_appended(&mut self, batch: &FoundBatch, index_interval_bytes: u32) {
        debug_assert_eq!(batch.position, self.size);
        self.touched = true;
        if batch.position == 0 {
            self.first_timestamp = Some(batch.max_timestamp);
        }
        self.note_timestamp(batch);
        if self.bytes_since_entry > u64::from(index_interval_bytes) {
            self.push_entries(batch);
            self.bytes_since_entry = 0;
        }
        self.bytes_since_entry += batch.size;
        self.remember(batch);
        self.size = batch.end();
    }

    fn remember(&mut self, batch: &FoundBatch) {
        if self.recent.len() == RECENT_MAX {
            self.recent.pop_front();
        }
        self.recent.push_back((batch.base_offset, batch.position));
    }

    /// Notes a batch that was there already, in the course of a recovery.
    ///
    /// `last_entry`: position of the batch with the last trusted entry of the offset index; batches behind it
    /// get theirs by the same rule as when they were appended.
    pub(crate) fn on_found(
        &mut self,
        batch: &FoundBatch,
        last_entry: Option<u64>,
        index_interval_bytes: u32,
    ) {
        match last_entry {
            Some(position) if batch.position <= position => {
                self.note_timestamp(batch);
                self.bytes_since_entry = batch.size;
                self.size = batch.end();
            }
            Some(_) | None => {
                self.size = batch.position;
                self.on_appended(batch, index_interval_bytes);
            }
        }
    }

    /// Notes a batch behind the last index entry of a segment that is opened again.
    pub(crate) fn on_tail(&mut self, batch: &FoundBatch) {
        if batch.position == 0 {
            self.first_timestamp = Some(batch.max_timestamp);
        }
        self.note_timestamp(batch);
        self.remember(batch);
        self.size = batch.end();
    }

    /// Begins to count anew for the next index entry, as Kafka does whenever it opens a segment.
    pub(crate) fn on_opened(&mut self) {
        self.bytes_since_entry = 0;
    }

    fn note_timestamp(&mut self, batch: &FoundBatch) {
        let known = self.largest.map_or(Timestamp::NONE, |largest| largest.timestamp);
        if batch.max_timestamp > known {
            self.largest =
                Some(LargestTimestamp { timestamp: batch.max_timestamp, last_offset: batch.last_offset });
        }
    }

    fn push_entries(&mut self, batch: &FoundBatch) {
        let (Some(relative), Ok(position)) =
            (relative_offset(self.base(), batch.last_offset), u32::try_from(batch.position))
        else {
            return;
        };
        self.indexes.offsets.push(OffsetEntry { relative, position });
        self.push_largest();
    }

    /// Gives the time index its last entry, as at every close of a segment.
    pub(crate) fn push_largest(&mut self) {
        let Some(largest) = self.largest else { return };
        let Some(relative) = relative_offset(self.base(), largest.last_offset) else { return };
        let entry = TimeEntry { timestamp: largest.timestamp, relative };
        if self.indexes.times.last().is_none_or(|last| entry.may_follow(&last)) {
            self.indexes.times.push(entry);
        }
    }

    /// LOG-01: whether the segment must be closed before `incoming` is appended.
    pub(crate) fn must_roll(&self, incoming: &Incoming, config: &LogConfig) -> bool {
        let full = self.size + incoming.bytes > u64::from(config.segment_bytes);
        let entries_max =
            |bytes: usize| config.segment_index_bytes / u32::try_from(bytes).unwrap_or(u32::MAX);
        // The time index keeps room for the entry it gets at the end.
        let indexes_full = self.indexes.offsets.len() >= entries_max(OffsetEntry::BYTES)
            || self.indexes.times.len() >= entries_max(TimeEntry::BYTES).saturating_sub(1);
        let too_far = incoming.last_offset.distance_from(self.base()) > RELATIVE_OFFSET_MAX;
        too_far || (self.size > 0 && (full || indexes_full || self.is_old(incoming, config)))
    }

    /// Whether the first record is older than `segment.ms`, less the segment's share of the jitter.
    fn is_old(&self, incoming: &Incoming, config: &LogConfig) -> bool {
        let waited = match self.first_timestamp {
            Some(first) if first.millis() >= 0 => incoming.max_timestamp.millis_since(first),
            _ => incoming.now.millis_since(self.created),
        };
        waited > config.segment_ms - jitter_ms(self.base(), self.created, config)
    }

    /// Position of the batch that begins with `offset`, if it is one of the last.
    pub(crate) fn recent_position(&self, offset: Offset) -> Option<u64> {
        let at = self.recent.binary_search_by_key(&offset, |(base, _)| *base).ok()?;
        self.recent.get(at).map(|(_, position)| *position)
    }

    /// Forgets what only speeds up reading.
    pub(crate) fn shrink(&mut self) {
        self.recent = VecDeque::new();
    }

    /// Cuts the segment at `size`, behind which the batch with the offset `end` begins or would begin.
    pub(crate) fn truncate(&mut self, size: u64, end: Offset) -> io::Result<()> {
        let files = &self.files;
        let relative = relative_offset(files.base, end).unwrap_or(u32::MAX);
        self.indexes.offsets.truncate(|| files.open(FileKind::OffsetIndex), |e| e.relative < relative)?;
        self.indexes.times.truncate(|| files.open(FileKind::TimeIndex), |e| e.relative < relative)?;
        self.files.open(FileKind::Log)?.set_len(size)?;
        self.files.open(FileKind::OffsetIndex)?.set_len(self.indexes.offsets.written_len())?;
        self.files.open(FileKind::TimeIndex)?.set_len(self.indexes.times.written_len())?;
        self.files.readers.on_truncated();
        self.touched = true;
        self.size = size;
        self.largest = self.indexes.largest(self.base());
        self.bytes_since_entry = 0;
        self.recent.clear();
        if size == 0 {
            self.first_timestamp = None;
        }
        Ok(())
    }
}

/// A segment that is complete.
#[derive(Debug)]
pub(crate) struct Sealed {
    pub(crate) files: Arc<SegmentFiles>,
    /// Base offset of the next segment.
    pub(crate) end: Offset,
    pub(crate) size: u64,
    indexes: OnceLock<Indexes>,
    timed: OnceLock<Timed>,
    /// What came of the look at its files; a failure of the disk is no answer.
    verdict: OnceLock<Arc<Result<(), Unsound>>>,
}

impl Sealed {
    /// A segment whose indexes lie in their files.
    pub(crate) fn on_disk(files: Arc<SegmentFiles>, end: Offset, size: u64) -> Sealed {
        let (indexes, timed, verdict) = (OnceLock::new(), OnceLock::new(), OnceLock::new());
        Sealed { files, end, size, indexes, timed, verdict }
    }

    /// The same segment, whose indexes lie in their files now.
    pub(crate) fn without_indexes(&self) -> Sealed {
        let (timed, verdict) = (self.timed.clone(), self.verdict.clone());
        Sealed { timed, verdict, ..Sealed::on_disk(Arc::clone(&self.files), self.end, self.size) }
    }

    /// The active segment, closed.
    pub(crate) fn from_active(active: Active, end: Offset) -> Sealed {
        let Active { files, size, indexes, .. } = active;
        // What was just written, or read again as a whole, needs no second look.
        let timed = Timed { largest: indexes.largest(files.base), index_is_right: true };
        let (timed, verdict) = (OnceLock::from(timed), OnceLock::from(Arc::new(Ok(()))));
        Sealed { files, end, size, indexes: OnceLock::from(indexes), timed, verdict }
    }

    pub(crate) fn base(&self) -> Offset {
        self.files.base
    }

    /// The indexes, read at the first use.
    pub(crate) fn indexes(&self) -> io::Result<&Indexes> {
        if let Some(indexes) = self.indexes.get() {
            return Ok(indexes);
        }
        let loaded = Indexes::load(&self.files)?;
        Ok(self.indexes.get_or_init(|| loaded))
    }

    /// The largest timestamp, or `None` when no batch has one.
    pub(crate) fn largest(&self) -> io::Result<Option<LargestTimestamp>> {
        Ok(self.timed()?.largest)
    }

    /// Whether the time index says what the batches say.
    pub(crate) fn time_index_is_right(&self) -> io::Result<bool> {
        Ok(self.timed()?.index_is_right)
    }

    fn timed(&self) -> io::Result<Timed> {
        if let Some(timed) = self.timed.get() {
            return Ok(*timed);
        }
        let timed = sound::largest(&self.files, self.indexes()?, self.size)?;
        Ok(*self.timed.get_or_init(|| timed))
    }

    /// Whether they were looked at, and can be.
    pub(crate) fn is_checked(&self) -> bool {
        self.verdict.get().is_some_and(|verdict| verdict.is_ok())
    }

    /// Looks once whether the files can be what was written; one that was found damaged stays so until the next start.
    pub(crate) fn check(&self) -> Result<(), Unsound> {
        match self.verdict.get().map(AsRef::as_ref) {
            Some(Ok(())) => return Ok(()),
            Some(Err(known)) if let Some(known) = known.lasting() => return Err(known),
            Some(Err(_)) | None => {}
        }
        let found = sound::check(&self.files, self.indexes()?, (self.size, self.end));
        let verdict = match &found {
            Ok(()) => Some(Ok(())),
            Err(unsound) => unsound.lasting().map(Err),
        };
        if let Some(verdict) = verdict {
            // Another reader may have looked meanwhile.
            let _ = self.verdict.set(Arc::new(verdict));
        }
        found
    }
}

/// Whether the batch that an entry names lies there, in the first `size` bytes of the segment.
pub(crate) fn names_a_batch(files: &Arc<SegmentFiles>, entry: OffsetEntry, size: u64) -> io::Result<bool> {
    let file = files.open(FileKind::Log)?;
    let end = file.len()?.min(size);
    match Scanner::new(file, u64::from(entry.position)..end, Waiting::Allowed).next() {
        Ok(Some(batch)) => Ok(batch.last_offset == files.base.plus(entry.relative)),
        Ok(None) | Err(ScanError::Bad { .. }) => Ok(false),
        Err(ScanError::Disk(error)) => Err(error),
    }
}

/// How far `offset` lies above `base`, as an index entry has it.
pub(crate) fn relative_offset(base: Offset, offset: Offset) -> Option<u32> {
    u32::try_from(offset.distance_from(base)).ok()
}

/// The segment's share of `segment.jitter.ms`.
///
/// It is spread by a hash of where and when the segment began: partitions must differ, nothing else matters.
fn jitter_ms(base: Offset, created: Timestamp, config: &LogConfig) -> i64 {
    let span = config.segment_jitter_ms.min(config.segment_ms);
    if span <= 0 {
        return 0;
    }
    let mut hash = base.value().wrapping_mul(31).wrapping_add(created.millis());
    hash = (hash ^ (hash >> 33)).wrapping_mul(0x62a9_d9ed_7997_05f5);
    (hash ^ (hash >> 29)).rem_euclid(span)
}
