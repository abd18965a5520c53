//! The bytes of one simulated file: what programs see, and what the device has.
//!
//! Owns: blocks, lengths, and what a crash or a failed sync makes of them.
//! Does not own: names, faults, permissions.
//!
//! Invariants
//! - I1 a block that is not pending is equal in both views, except after a failed sync;
//! - I2 no block of the live view lies wholly beyond the live length, and the bytes of the last block
//!   beyond it are zero.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::random::SeededRandom;

/// Unit of the page cache: what is kept, dropped or replaced as a whole.
pub(super) const BLOCK_BYTES: usize = 4096;

/// Unit the device writes atomically: a torn block is a mixture of whole sectors.
const SECTOR_BYTES: usize = 512;

/// Versions of a block that are remembered between two syncs, the latest ones. More would only cost memory.
const VERSIONS_MAX: usize = 8;

type Page = Arc<[u8; BLOCK_BYTES]>;

/// What a program or the device has of a file. A block that is missing is a hole and reads as zeros.
type View = BTreeMap<u64, Page>;

/// A version of a block; `None` is a hole.
type Block = Option<Page>;

/// The bytes of one file.
#[derive(Debug, Default)]
pub(super) struct Content {
    live: View,
    live_len: u64,
    durable: View,
    durable_len: u64,
    /// What was written to each block since the last sync, newest last; its last entry is the live one.
    pending: BTreeMap<u64, Vec<Block>>,
    /// Lengths the file had since the last sync, newest last.
    pending_lens: Vec<u64>,
}

impl Content {
    pub(super) fn len(&self) -> u64 {
        self.live_len
    }

    /// Whether a crash could change anything.
    pub(super) fn has_unsynced(&self) -> bool {
        !self.pending.is_empty() || !self.pending_lens.is_empty()
    }

    /// Blocks that take space.
    pub(super) fn allocated(&self) -> u64 {
        self.live.len() as u64
    }

    /// Reads from the live view; returns how many bytes lie before the end.
    pub(super) fn read(&self, buffer: &mut [u8], position: u64) -> usize {
        let left = usize::try_from(self.live_len.saturating_sub(position)).unwrap_or(usize::MAX);
        let wanted = buffer.len().min(left);
        for piece in pieces(position, wanted) {
            let target = &mut buffer[piece.at..piece.at + piece.len];
            match self.live.get(&piece.block) {
                Some(block) => target.copy_from_slice(&block[piece.from..piece.from + piece.len]),
                None => target.fill(0),
            }
        }
        wanted
    }

    /// Writes as far as `free_blocks` new blocks reach; returns how many bytes were written.
    pub(super) fn write(&mut self, bytes: &[u8], position: u64, free_blocks: u64) -> usize {
        let mut free = free_blocks;
        let mut written = 0;
        for piece in pieces(position, bytes.len()) {
            let old = self.live.get(&piece.block).cloned();
            if old.is_none() {
                let Some(left) = free.checked_sub(1) else { break };
                free = left;
            }
            let mut block = old.map_or([0; BLOCK_BYTES], |block| *block);
            block[piece.from..piece.from + piece.len].copy_from_slice(&bytes[piece.at..piece.at + piece.len]);
            self.put(piece.block, Some(Arc::new(block)));
            written += piece.len;
        }
        if position + written as u64 > self.live_len && written > 0 {
            self.change_len(position + written as u64);
        }
        written
    }

    pub(super) fn set_len(&mut self, len: u64) {
        if len < self.live_len {
            let keep = len.div_ceil(BLOCK_BYTES as u64);
            let beyond: Vec<u64> = self.live.range(keep..).map(|(block, _)| *block).collect();
            for block in beyond {
                self.put(block, None);
                self.live.remove(&block);
            }
            let tail = usize::try_from(len % BLOCK_BYTES as u64).unwrap_or(0);
            if let Some(last) = self.live.get(&(len / BLOCK_BYTES as u64)).filter(|_| tail > 0) {
                let mut block = **last;
                block[tail..].fill(0);
                self.put(len / BLOCK_BYTES as u64, Some(Arc::new(block)));
            }
        }
        if len != self.live_len {
            self.change_len(len);
        }
    }

    /// Everything pending reaches the device.
    pub(super) fn sync(&mut self) {
        for (block, versions) in std::mem::take(&mut self.pending) {
            set(&mut self.durable, block, versions.last().cloned().flatten());
        }
        if self.pending_lens.pop().is_some() {
            self.durable_len = self.live_len;
            self.pending_lens.clear();
        }
    }

    /// A sync that failed: what was pending counts as clean from now on, but the device never got it. The
    /// cache goes on showing some of the new blocks and some of the old ones, as file systems differ in this.
    pub(super) fn fail_sync(&mut self, random: &SeededRandom) {
        for block in std::mem::take(&mut self.pending).into_keys() {
            let within = block < self.live_len.div_ceil(BLOCK_BYTES as u64);
            if within && random.chance(50) {
                set(&mut self.live, block, self.durable.get(&block).cloned());
            }
        }
        self.zero_beyond_end();
    }

    /// The power was cut: each pending block independently is the newest version, the synced one, one in
    /// between or a mixture of two by sectors; the length is any the file had since the last sync.
    pub(super) fn crash(&mut self, random: &SeededRandom) {
        for (block, versions) in std::mem::take(&mut self.pending) {
            let synced = self.durable.get(&block).cloned();
            let newest = versions.last().cloned().flatten();
            let found = match random.index(4) {
                0 => newest,
                1 => synced,
                2 => random.pick(&versions).cloned().flatten(),
                _ => torn(&newest, &synced, random),
            };
            set(&mut self.durable, block, found);
        }
        let mut lens = std::mem::take(&mut self.pending_lens);
        lens.push(self.durable_len);
        self.live_len = random.pick(&lens).copied().unwrap_or(self.durable_len);
        self.live = std::mem::take(&mut self.durable);
        self.zero_beyond_end();
        self.durable = self.live.clone();
        self.durable_len = self.live_len;
    }

    /// Changes bytes behind everybody's back, in both views, as a decaying medium does.
    pub(super) fn damage(&mut self, position: u64, bytes: &[u8]) {
        for piece in pieces(position, bytes.len()) {
            for view in [&mut self.live, &mut self.durable] {
                let mut block = view.get(&piece.block).map_or([0; BLOCK_BYTES], |old| **old);
                let part = &bytes[piece.at..piece.at + piece.len];
                block[piece.from..piece.from + piece.len].copy_from_slice(part);
                set(view, piece.block, Some(Arc::new(block)));
            }
        }
        self.zero_beyond_end();
    }

    fn put(&mut self, block: u64, content: Block) {
        let versions = self.pending.entry(block).or_default();
        versions.push(content.clone());
        if versions.len() > VERSIONS_MAX {
            versions.remove(0);
        }
        set(&mut self.live, block, content);
    }

    fn change_len(&mut self, len: u64) {
        self.live_len = len;
        self.pending_lens.push(len);
        if self.pending_lens.len() > VERSIONS_MAX {
            self.pending_lens.remove(0);
        }
    }

    /// Restores I2 after blocks were replaced.
    fn zero_beyond_end(&mut self) {
        let keep = self.live_len.div_ceil(BLOCK_BYTES as u64);
        self.live.split_off(&keep);
        let tail = usize::try_from(self.live_len % BLOCK_BYTES as u64).unwrap_or(0);
        if let Some(last) = self.live.get_mut(&(keep.saturating_sub(1))).filter(|_| tail > 0) {
            Arc::make_mut(last)[tail..].fill(0);
        }
    }
}

fn set(view: &mut View, block: u64, content: Block) {
    match content {
        Some(page) => view.insert(block, page),
        None => view.remove(&block),
    };
}

/// Each sector from one of two versions of a block.
fn torn(newest: &Block, synced: &Block, random: &SeededRandom) -> Block {
    let bytes = |block: &Block| block.as_ref().map_or([0; BLOCK_BYTES], |block| **block);
    let (mut mixed, other) = (bytes(newest), bytes(synced));
    for sector in (0..BLOCK_BYTES).step_by(SECTOR_BYTES) {
        if random.chance(50) {
            mixed[sector..sector + SECTOR_BYTES].copy_from_slice(&other[sector..sector + SECTOR_BYTES]);
        }
    }
    Some(Arc::new(mixed))
}

/// A part of a range that lies in one block.
struct Piece {
    block: u64,
    /// First byte within the block.
    from: usize,
    /// First byte within the range.
    at: usize,
    len: usize,
}

fn pieces(position: u64, len: usize) -> impl Iterator<Item = Piece> {
    let mut at = 0;
    std::iter::from_fn(move || {
        if at == len {
            return None;
        }
        let here = position + at as u64;
        let from = usize::try_from(here % BLOCK_BYTES as u64).unwrap_or(0);
        let piece =
            Piece { block: here / BLOCK_BYTES as u64, from, at, len: (len - at).min(BLOCK_BYTES - from) };
        at += piece.len;
        Some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLENTY: u64 = u64::MAX;

    fn all(content: &Content) -> Vec<u8> {
        let mut bytes = vec![9; usize::try_from(content.len()).unwrap()];
        content.read(&mut bytes, 0);
        bytes
    }

    #[test]
    fn synced_bytes_survive_every_crash() {
        for seed in 0..50 {
            let mut content = Content::default();
            content.write(&[7; 10_000], 0, PLENTY);
            content.sync();
            assert!(!content.has_unsynced());
            content.crash(&SeededRandom::new(seed));
            assert_eq!(all(&content), [7; 10_000]);
        }
    }

    /// What four blocks written twice without a sync may be afterwards, over many seeds: each outcome of the
    /// fault model occurs, and nothing else.
    #[test]
    fn an_unsynced_block_is_kept_or_dropped_or_older_or_torn() {
        let (mut kept, mut dropped, mut older, mut torn) = (0, 0, 0, 0);
        for seed in 0..200 {
            let mut content = Content::default();
            content.write(&[1; 4 * BLOCK_BYTES], 0, PLENTY);
            content.sync();
            content.write(&[2; 4 * BLOCK_BYTES], 0, PLENTY);
            content.write(&[3; 4 * BLOCK_BYTES], 0, PLENTY);
            content.crash(&SeededRandom::new(seed));
            for block in all(&content).chunks(BLOCK_BYTES) {
                assert!(
                    block.chunks(SECTOR_BYTES).all(|sector| sector.iter().all(|byte| *byte == sector[0]))
                );
                match block
                    .iter()
                    .fold((true, block[0]), |(same, first), byte| (same && *byte == first, first))
                {
                    (true, 3) => kept += 1,
                    (true, 1) => dropped += 1,
                    (true, 2) => older += 1,
                    (false, _) => torn += 1,
                    (true, other) => panic!("{other} was never written"),
                }
            }
        }
        assert!(kept > 0 && dropped > 0 && older > 0 && torn > 0, "{kept} {dropped} {older} {torn}");
    }

    #[test]
    fn an_unsynced_length_is_one_the_file_had() {
        let mut seen = std::collections::BTreeSet::new();
        for seed in 0..100 {
            let mut content = Content::default();
            content.write(b"abc", 0, PLENTY);
            content.sync();
            content.write(b"defgh", 3, PLENTY);
            content.set_len(1);
            content.crash(&SeededRandom::new(seed));
            seen.insert(content.len());
        }
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), [1, 3, 8]);
    }

    #[test]
    fn a_lost_truncation_brings_the_synced_bytes_back() {
        let outcomes: std::collections::BTreeSet<Vec<u8>> = (0..50)
            .map(|seed| {
                let mut content = Content::default();
                content.write(&[5; 2 * BLOCK_BYTES], 0, PLENTY);
                content.sync();
                content.set_len(0);
                content.crash(&SeededRandom::new(seed));
                all(&content)
            })
            .collect();
        assert!(outcomes.contains(&Vec::new()));
        assert!(outcomes.contains(&vec![5; 2 * BLOCK_BYTES]));
    }

    #[test]
    fn after_a_failed_sync_a_later_one_succeeds_without_the_data() {
        for seed in 0..20 {
            let random = SeededRandom::new(seed);
            let mut content = Content::default();
            content.write(&[1; BLOCK_BYTES], 0, PLENTY);
            content.sync();
            content.write(&[2; BLOCK_BYTES], 0, PLENTY);
            content.fail_sync(&random);
            content.sync();
            content.crash(&random);
            assert_eq!(all(&content), [1; BLOCK_BYTES]);
        }
    }

    #[test]
    fn a_shorter_file_that_grows_again_shows_zeros() {
        let mut content = Content::default();
        content.write(&[1; 9_000], 0, PLENTY);
        content.set_len(10);
        content.set_len(9_000);
        assert!(all(&content)[10..].iter().all(|byte| *byte == 0));
        assert_eq!(content.allocated(), 1);
        assert_eq!(content.read(&mut [0; 8], 9_000), 0);
    }

    #[test]
    fn a_write_stops_where_the_space_ends() {
        let mut content = Content::default();
        assert_eq!(content.write(&[1; 10_000], 0, 1), BLOCK_BYTES);
        assert_eq!(content.len(), BLOCK_BYTES as u64);
        assert_eq!(content.write(&[2; 10], 0, 0), 10);
        assert_eq!(content.write(&[2; 10], BLOCK_BYTES as u64, 0), 0);
    }

    #[test]
    fn damage_survives_a_crash() {
        let mut content = Content::default();
        content.write(&[1; 100], 0, PLENTY);
        content.sync();
        content.damage(50, &[9]);
        content.crash(&SeededRandom::new(0));
        assert_eq!(all(&content)[49..52], [1, 9, 1]);
    }
}
