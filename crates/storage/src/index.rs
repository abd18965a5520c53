//! Sparse indexes of a segment: offset → position, timestamp → offset.
//!
//! Owns: the entries' bytes, the part of an index that is not in its file yet, the search over both parts.
//! Does not own: which batch gets an entry (`segment`), when the rest is written (`seal`).
//!
//! | file | entry (big endian) | bytes |
//! |---|---|---|
//! | `.index` | last offset of a batch − base offset u32 · position of the batch u32 | 8 |
//! | `.timeindex` | largest timestamp so far i64 · offset − base offset u32 | 12 |
//!
//! Invariants
//! - I1 entries grow strictly: an offset index by offset and position, a time index by timestamp;
//! - I2 the entries in the file are a prefix of all entries; `tail` holds the others.
//!
//! Source: requirement 8.1; files that Kafka 4.3.1 wrote (`tests/data/hex-rolled.txt`).

use std::io;
use std::sync::Arc;

use ottla_env::disk::File;
use ottla_model::Timestamp;

use crate::readers::{Generation, Readers};

/// Entries read at once when a search has come near its goal: 512 of them fill a page of 4 KiB.
const BLOCK_ENTRIES: u32 = 512;

/// An entry of an index.
pub(crate) trait IndexEntry: Copy + std::fmt::Debug {
    /// Size in the file.
    const BYTES: usize;
    fn decode(bytes: &[u8]) -> Option<Self>;
    fn encode(&self, into: &mut Vec<u8>);
    /// Whether the entry is unused preallocated space.
    fn is_blank(&self) -> bool;
    /// I1: whether `self` may stand right behind `before`.
    fn may_follow(&self, before: &Self) -> bool;
}

/// Entry of an offset index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OffsetEntry {
    /// Last offset of the batch, relative to the segment's base offset.
    pub(crate) relative: u32,
    /// Where the batch begins in the segment.
    pub(crate) position: u32,
}

/// Entry of a time index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimeEntry {
    /// Largest timestamp among the batches up to the one of `relative`.
    pub(crate) timestamp: Timestamp,
    /// Last offset of the batch that has it, relative to the segment's base offset.
    pub(crate) relative: u32,
}

impl IndexEntry for OffsetEntry {
    const BYTES: usize = 8;

    fn decode(bytes: &[u8]) -> Option<OffsetEntry> {
        let (relative, rest) = bytes.split_first_chunk()?;
        let position = u32::from_be_bytes(*rest.first_chunk()?);
        Some(OffsetEntry { relative: u32::from_be_bytes(*relative), position })
    }

    fn encode(&self, into: &mut Vec<u8>) {
        into.extend_from_slice(&self.relative.to_be_bytes());
        into.extend_from_slice(&self.position.to_be_bytes());
    }

    fn is_blank(&self) -> bool {
        // The first batch, at position 0, never has an entry.
        self.position == 0
    }

    fn may_follow(&self, before: &OffsetEntry) -> bool {
        before.relative < self.relative && before.position < self.position
    }
}

impl IndexEntry for TimeEntry {
    const BYTES: usize = 12;

    fn decode(bytes: &[u8]) -> Option<TimeEntry> {
        let (timestamp, rest) = bytes.split_first_chunk()?;
        let timestamp = Timestamp::from_millis(i64::from_be_bytes(*timestamp));
        Some(TimeEntry { timestamp, relative: u32::from_be_bytes(*rest.first_chunk()?) })
    }

    fn encode(&self, into: &mut Vec<u8>) {
        into.extend_from_slice(&self.timestamp.millis().to_be_bytes());
        into.extend_from_slice(&self.relative.to_be_bytes());
    }

    fn is_blank(&self) -> bool {
        *self == TimeEntry { timestamp: Timestamp::from_millis(0), relative: 0 }
    }

    fn may_follow(&self, before: &TimeEntry) -> bool {
        before.timestamp < self.timestamp && before.relative <= self.relative
    }
}

/// One index of one segment.
#[derive(Clone, Debug)]
pub(crate) struct SparseIndex<E> {
    /// Entries in the file that are known to be right.
    on_file: u32,
    tail: Vec<E>,
    last: Option<E>,
}

impl<E: IndexEntry> SparseIndex<E> {
    pub(crate) fn empty() -> SparseIndex<E> {
        SparseIndex { on_file: 0, tail: Vec::new(), last: None }
    }

    /// The index that lies in a file, trusting its order. Blank entries at the end are left out.
    pub(crate) fn load(file: &dyn File) -> io::Result<SparseIndex<E>> {
        let count = u32::try_from(file.len()? / entry_bytes::<E>()).unwrap_or(u32::MAX);
        let count = match count.checked_sub(1) {
            Some(last) if read_entry::<E>(file, last)?.is_blank() => {
                partition_point(file, count, |entry: &E| !entry.is_blank())?
            }
            _ => count,
        };
        let last = count.checked_sub(1).map(|last| read_entry(file, last)).transpose()?;
        Ok(SparseIndex { on_file: count, tail: Vec::new(), last })
    }

    /// The part of a file that can be right: entries in order, as long as `plausible` holds for them.
    pub(crate) fn load_prefix(file: &dyn File, plausible: impl Fn(&E) -> bool) -> io::Result<SparseIndex<E>> {
        let count = u32::try_from(file.len()? / entry_bytes::<E>()).unwrap_or(u32::MAX);
        let mut index = SparseIndex::empty();
        while index.on_file < count {
            let block = read_block::<E>(file, index.on_file, (count - index.on_file).min(BLOCK_ENTRIES))?;
            for entry in block {
                if !plausible(&entry) || index.last.is_some_and(|last| !entry.may_follow(&last)) {
                    return Ok(index);
                }
                index.last = Some(entry);
                index.on_file += 1;
            }
        }
        Ok(index)
    }

    pub(crate) fn len(&self) -> u32 {
        self.on_file.saturating_add(u32::try_from(self.tail.len()).unwrap_or(u32::MAX))
    }

    pub(crate) fn last(&self) -> Option<E> {
        self.last
    }

    pub(crate) fn push(&mut self, entry: E) {
        debug_assert!(
            self.last.is_none_or(|last| entry.may_follow(&last)),
            "{entry:?} behind {:?}",
            self.last
        );
        self.tail.push(entry);
        self.last = Some(entry);
    }

    /// Entries that are not in the file yet, as bytes, and the position they belong at.
    pub(crate) fn unwritten(&self) -> IndexBytes {
        let mut bytes = Vec::with_capacity(self.tail.len() * E::BYTES);
        for entry in &self.tail {
            entry.encode(&mut bytes);
        }
        IndexBytes { position: u64::from(self.on_file) * entry_bytes::<E>(), bytes }
    }

    /// All entries up to `written` bytes are in the file now.
    pub(crate) fn on_written(&mut self, written: &IndexBytes) {
        let end = (written.position + len_u64(&written.bytes)) / entry_bytes::<E>();
        let end = u32::try_from(end).unwrap_or(u32::MAX);
        // A truncation in the meantime leaves fewer; what it took away was rewritten or cut in the file.
        if end <= self.len() && end > self.on_file {
            let known = usize::try_from(end - self.on_file).unwrap_or(usize::MAX);
            self.tail.drain(..known.min(self.tail.len()));
            self.on_file = end;
        }
        if self.tail.is_empty() {
            self.tail = Vec::new();
        }
    }

    /// The last entry for which `goes_before` holds; it must hold for a prefix of the entries.
    pub(crate) fn last_before(
        &self,
        open: impl FnOnce() -> io::Result<Arc<dyn File>>,
        goes_before: impl Fn(&E) -> bool,
    ) -> io::Result<Option<E>> {
        let in_tail = self.tail.partition_point(|entry| goes_before(entry));
        if let Some(at) = in_tail.checked_sub(1) {
            return Ok(self.tail.get(at).copied());
        }
        if self.on_file == 0 {
            return Ok(None);
        }
        let file = open()?;
        let count = partition_point(&*file, self.on_file, goes_before)?;
        count.checked_sub(1).map(|at| read_entry(&*file, at)).transpose()
    }

    /// Drops every entry for which `keep` does not hold; it must hold for a prefix of the entries.
    ///
    /// The file keeps what it has beyond; [`SparseIndex::written_len`] says where to cut it.
    pub(crate) fn truncate(
        &mut self,
        open: impl FnOnce() -> io::Result<Arc<dyn File>>,
        keep: impl Fn(&E) -> bool,
    ) -> io::Result<()> {
        let kept = self.tail.partition_point(|entry| keep(entry));
        self.tail.truncate(kept);
        if kept == 0 && self.on_file > 0 {
            let file = open()?;
            self.on_file = partition_point(&*file, self.on_file, keep)?;
            self.last = self.on_file.checked_sub(1).map(|at| read_entry(&*file, at)).transpose()?;
        } else {
            self.last = self.tail.last().copied();
        }
        Ok(())
    }

    /// Bytes of the file that are in use.
    pub(crate) fn written_len(&self) -> u64 {
        u64::from(self.on_file) * entry_bytes::<E>()
    }
}

impl SparseIndex<OffsetEntry> {
    /// As [`SparseIndex::last_before`], for whoever reads on through a segment: the piece of the index around the entry is
    /// remembered.
    pub(crate) fn last_before_reader(
        &self,
        open: impl FnOnce() -> io::Result<Arc<dyn File>>,
        (readers, planned): (&Readers, Generation),
        goes_before: impl Fn(&OffsetEntry) -> bool,
    ) -> io::Result<Option<OffsetEntry>> {
        if self.on_file == 0 || self.tail.first().is_some_and(&goes_before) {
            return self.last_before(open, goes_before);
        }
        if let Some(entry) = readers.last_before(&goes_before) {
            return Ok(Some(entry));
        }
        let file = open()?;
        let Some(at) = partition_point(&*file, self.on_file, goes_before)?.checked_sub(1) else {
            return Ok(None);
        };
        // The reader goes on from here.
        let block = read_block(&*file, at, (self.on_file - at).min(BLOCK_ENTRIES))?;
        let entry = block.first().copied();
        readers.on_block(block, planned);
        Ok(entry)
    }
}

/// Entries to be written to an index file.
#[derive(Clone, Debug, Default)]
pub(crate) struct IndexBytes {
    pub(crate) position: u64,
    pub(crate) bytes: Vec<u8>,
}

impl IndexBytes {
    /// Writes the entries; the file ends behind them then.
    pub(crate) fn write(&self, file: &dyn File) -> io::Result<()> {
        let end = self.position + len_u64(&self.bytes);
        if !self.bytes.is_empty() {
            file.write_all_at(&self.bytes, self.position)?;
        }
        if file.len()? != end {
            file.set_len(end)?;
        }
        Ok(())
    }
}

fn len_u64(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

fn entry_bytes<E: IndexEntry>() -> u64 {
    u64::try_from(E::BYTES).unwrap_or(u64::MAX)
}

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "an index file is shorter than it was")
}

fn read_entry<E: IndexEntry>(file: &dyn File, at: u32) -> io::Result<E> {
    let mut bytes = [0; 16];
    let got = file.read_at(&mut bytes[..E::BYTES], u64::from(at) * entry_bytes::<E>())?;
    E::decode(&bytes[..got]).ok_or_else(damaged)
}

/// How many of the first `count` entries satisfy `holds`, which must hold for a prefix of them.
fn partition_point<E: IndexEntry>(
    file: &dyn File,
    count: u32,
    holds: impl Fn(&E) -> bool,
) -> io::Result<u32> {
    let (mut low, mut high) = (0, count);
    while high - low > BLOCK_ENTRIES {
        let middle = low + (high - low) / 2;
        if holds(&read_entry(file, middle)?) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    let block = read_block::<E>(file, low, high - low)?;
    let holding = block.iter().position(|entry| !holds(entry)).unwrap_or(block.len());
    Ok(low + u32::try_from(holding).unwrap_or(0))
}

fn read_block<E: IndexEntry>(file: &dyn File, at: u32, count: u32) -> io::Result<Vec<E>> {
    let mut block = vec![0; usize::try_from(count).unwrap_or(0) * E::BYTES];
    let got = file.read_at(&mut block, u64::from(at) * entry_bytes::<E>())?;
    if got < block.len() {
        return Err(damaged());
    }
    block.chunks_exact(E::BYTES).map(|bytes| E::decode(bytes).ok_or_else(damaged)).collect()
}
