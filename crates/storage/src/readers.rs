//! What readers of a segment learnt, so that whoever goes on where another stopped need not look again.
//!
//! Owns: the memory of a segment that is being read: where reads ended, what was seen to be in the page cache, pieces of
//! the offset index. Does not own: reading (`log::read`), the index itself (`index`).
//!
//! A consumer that reads a whole log asks for the offset where its last answer ended. Without a memory each fetch would search
//! the index for the batch before that offset, read two headers, and ask for every page whether it is resident.
//!
//! Invariants
//! - I1 everything here is a hint that can be forgotten at any time; nothing is kept of a segment that nobody reads;
//! - I2 what was learnt before a truncation is not remembered after it.
//!
//! Source: performance design 4.3; requirement FET-12.

use std::time::{Duration, Instant};

use ottla_model::Offset;
use parking_lot::Mutex;

use crate::index::OffsetEntry;

/// Ends of reads of one segment that are remembered, and pieces of its index.
const REMEMBERED_MAX: usize = 16;
const BLOCKS_MAX: usize = 4;

/// How long what was seen in the page cache is taken to be there still. The page cache lets go of what was used longest ago,
/// and not within the moments between two fetches.
const RESIDENT_FOR: Duration = Duration::from_millis(100);

/// Where a read ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    /// The offset behind the read.
    pub(crate) offset: Offset,
    /// Where the next batch begins.
    pub(crate) position: u64,
    /// From there up to here the segment was in the page cache.
    pub(crate) resident_until: u64,
    /// When that was seen.
    pub(crate) seen: Instant,
}

impl Mark {
    /// Whether everything up to `until` may be taken to be in the page cache.
    pub(crate) fn is_resident(&self, until: u64, now: Instant) -> bool {
        until <= self.resident_until && now.saturating_duration_since(self.seen) < RESIDENT_FOR
    }
}

/// How often a segment was truncated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Generation(u32);

/// The memory of one segment. Most segments have none: nobody reads them, and nothing was cut off.
#[derive(Debug, Default)]
pub(crate) struct Readers(Mutex<Option<Box<Learnt>>>);

#[derive(Debug, Default)]
struct Learnt {
    generation: Generation,
    /// The oldest one is overwritten first.
    marks: Vec<Mark>,
    next_mark: usize,
    blocks: Vec<Vec<OffsetEntry>>,
    next_block: usize,
}

impl Readers {
    /// Before a read is planned: what it learns is remembered only if nothing was truncated meanwhile.
    pub(crate) fn generation(&self) -> Generation {
        self.0.lock().as_ref().map_or(Generation::default(), |learnt| learnt.generation)
    }

    /// Where a read that begins with `offset` finds its first batch.
    pub(crate) fn mark(&self, offset: Offset) -> Option<Mark> {
        let memory = self.0.lock();
        memory.as_ref()?.marks.iter().find(|mark| mark.offset == offset).copied()
    }

    /// Remembers where a read ended; the reader's next one begins there.
    pub(crate) fn on_read(&self, mark: Mark, planned: Generation) {
        let mut memory = self.0.lock();
        let learnt = memory.get_or_insert_default();
        if learnt.generation != planned {
            return;
        }
        // Another reader may have been here already.
        match learnt.marks.iter_mut().find(|known| known.offset == mark.offset) {
            Some(known) => *known = mark,
            None => put(&mut learnt.marks, &mut learnt.next_mark, mark, REMEMBERED_MAX),
        }
    }

    /// The last entry for which `goes_before` holds, if a piece of the index that is remembered tells it for certain.
    pub(crate) fn last_before(&self, goes_before: impl Fn(&OffsetEntry) -> bool) -> Option<OffsetEntry> {
        let memory = self.0.lock();
        memory.as_ref()?.blocks.iter().find_map(|block| {
            let at = block.partition_point(&goes_before);
            // At either end the answer may lie in another piece.
            if at < block.len() { block.get(at.checked_sub(1)?).copied() } else { None }
        })
    }

    /// Remembers entries that follow each other in the index.
    pub(crate) fn on_block(&self, block: Vec<OffsetEntry>, planned: Generation) {
        let mut memory = self.0.lock();
        let learnt = memory.get_or_insert_default();
        if learnt.generation == planned {
            put(&mut learnt.blocks, &mut learnt.next_block, block, BLOCKS_MAX);
        }
    }

    /// Nobody reads the segment any more.
    pub(crate) fn forget(&self) {
        let mut memory = self.0.lock();
        let generation = memory.take().map_or(Generation::default(), |learnt| learnt.generation);
        *memory = Readers::cut(generation);
    }

    /// The segment was cut; what follows may be something else.
    pub(crate) fn on_truncated(&self) {
        let Generation(count) = self.generation();
        *self.0.lock() = Readers::cut(Generation(count.wrapping_add(1)));
    }

    /// Nothing is known but how often the segment was cut.
    fn cut(generation: Generation) -> Option<Box<Learnt>> {
        (generation != Generation::default()).then(|| Box::new(Learnt { generation, ..Learnt::default() }))
    }
}

/// Adds something, in place of the oldest where there is no room.
fn put<T>(all: &mut Vec<T>, next: &mut usize, new: T, max: usize) {
    if all.len() < max {
        return all.push(new);
    }
    if let Some(oldest) = all.get_mut(*next) {
        *oldest = new;
    }
    *next = (*next + 1) % max;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(offset: i64, position: u64) -> Mark {
        let offset = Offset::new(offset).expect("not negative");
        Mark { offset, position, resident_until: position + 10, seen: Instant::now() }
    }

    fn entry(number: u32) -> OffsetEntry {
        OffsetEntry { relative: number * 10, position: number * 1000 }
    }

    /// FET-12: a reader finds the batch where its last read ended; one of long ago is forgotten.
    #[test]
    fn readers_go_on_where_they_stopped() {
        let readers = Readers::default();
        let planned = readers.generation();
        readers.on_read(mark(10, 1000), planned);
        readers.on_read(mark(20, 2000), planned);
        readers.on_read(mark(20, 2000), planned);
        assert_eq!(readers.mark(mark(20, 0).offset).map(|mark| mark.position), Some(2000));
        for other in 1..=15 {
            readers.on_read(mark(1000 + other, 7), planned);
        }
        assert_eq!(readers.mark(mark(10, 0).offset), None);
        assert!(readers.mark(mark(20, 0).offset).is_some());
        assert!(readers.mark(mark(1015, 0).offset).is_some());
    }

    /// FET-12: positions in bytes that were cut off say nothing of those that took their place.
    #[test]
    fn nothing_survives_a_truncation() {
        let readers = Readers::default();
        let planned = readers.generation();
        readers.on_read(mark(10, 1000), planned);
        readers.on_block(vec![entry(1), entry(2), entry(3)], planned);
        readers.on_truncated();
        readers.on_read(mark(20, 2000), planned);
        readers.on_block(vec![entry(1), entry(2), entry(3)], planned);
        assert_eq!(readers.mark(mark(10, 0).offset), None);
        assert_eq!(readers.mark(mark(20, 0).offset), None);
        assert_eq!(readers.last_before(|entry| entry.relative <= 20), None);
    }

    #[test]
    fn a_piece_of_the_index_answers_only_for_what_lies_within() {
        let readers = Readers::default();
        readers.on_block(vec![entry(1), entry(2), entry(3)], readers.generation());
        assert_eq!(readers.last_before(|entry| entry.relative <= 25), Some(entry(2)));
        assert_eq!(readers.last_before(|entry| entry.relative <= 9), None, "an earlier piece may have it");
        assert_eq!(readers.last_before(|entry| entry.relative <= 30), None, "a later piece may have it");
    }

    #[test]
    fn the_page_cache_is_believed_for_a_moment() {
        let mark = mark(5, 100);
        assert!(mark.is_resident(110, mark.seen));
        assert!(!mark.is_resident(111, mark.seen));
        assert!(!mark.is_resident(110, mark.seen + RESIDENT_FOR));
    }
}
