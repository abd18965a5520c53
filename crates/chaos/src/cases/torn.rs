//! What a write that was under way leaves when power fails: a part of a batch, or a whole one with wrong bytes in it.
//!
//! Owns: such ends of logs. Does not own: the power cut (`storage`).
//!
//! The file system of the cases never leaves one, other file systems and devices do. What is added lies beyond the end of the
//! file, and so beyond everything that was flushed.
//!
//! Source: reliability design 2.1, "torn write".

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use ottla_testkit::random::SeededRandom;

use crate::Fallible;
use crate::clients::TOPIC;
use crate::node::Node;

/// Of a batch: its length behind this field, the offset of its last record less that of its first, where records begin.
const LENGTH_AT: usize = 8;
const LENGTH_COVERS_FROM: usize = 12;
const LAST_OFFSET_DELTA_AT: usize = 23;
pub(super) const RECORDS_AT: usize = 61;
/// Lies in a directory whose logs were closed: nothing was being written to them.
const CLEAN: &str = ".kafka_cleanshutdown";
/// Percent of logs that get a torn end.
const CHANCE: u32 = 60;
/// Most bytes behind a batch that is damaged.
const BEHIND_MAX: usize = 256 * 1024;

/// Tears the ends of some logs of a node that is not running.
pub(super) fn tear_ends(node: &Node, random: &SeededRandom) -> Fallible<()> {
    for directory in node.directories_of(TOPIC)?.into_values() {
        let closed = directory.parent().is_some_and(|parent| parent.join(CLEAN).exists());
        if closed || !random.chance(CHANCE) {
            continue;
        }
        if let Some(path) = files(&directory, "log")?.pop() {
            let bytes = fs::read(&path)?;
            if let Some((end, torn)) = torn_end(&bytes, random) {
                File::options().write(true).open(&path)?.write_all_at(&torn, end)?;
            }
        }
    }
    Ok(())
}

/// The files of a directory with this extension, in order.
pub(super) fn files(directory: &Path, extension: &str) -> Fallible<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.extension().is_some_and(|it| it == extension) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// The batch that would have come next, as far as it came: where it stands, and its bytes.
fn torn_end(segment: &[u8], random: &SeededRandom) -> Option<(u64, Vec<u8>)> {
    let (end, last) = last_batch(segment)?;
    let delta = i64::from(i32::from_be_bytes(array(last, LAST_OFFSET_DELTA_AT)?));
    let next = i64::from_be_bytes(array(last, 0)?) + delta + 1;
    let mut torn = last.to_vec();
    torn.get_mut(..LENGTH_AT)?.copy_from_slice(&next.to_be_bytes());
    if random.chance(50) {
        torn.truncate(1 + random.index(torn.len() - 1));
    } else {
        let at = RECORDS_AT + random.index(torn.len().checked_sub(RECORDS_AT)?);
        *torn.get_mut(at)? ^= 0x55;
        // What came behind it may be there.
        torn.extend(segment.iter().take(random.index(BEHIND_MAX)));
    }
    Some((u64::try_from(end).ok()?, torn))
}

/// The end of the whole batches of a segment, and the last of them.
fn last_batch(segment: &[u8]) -> Option<(usize, &[u8])> {
    batches(segment).last().map(|(at, batch)| (at + batch.len(), batch))
}

/// The whole batches of a segment, each with its place.
pub(super) fn batches(segment: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut next = 0;
    std::iter::from_fn(move || {
        let at = next;
        let length = usize::try_from(array(segment, at + LENGTH_AT).map(i32::from_be_bytes)?).ok()?;
        next = at + LENGTH_COVERS_FROM + length;
        let batch = segment.get(at..next).filter(|batch| batch.len() > RECORDS_AT)?;
        Some((at, batch))
    })
}

pub(super) fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A batch of so many records and bytes behind its header.
    fn batch(base_offset: i64, records: i32, bytes: usize) -> Vec<u8> {
        let mut batch = vec![7; RECORDS_AT + bytes];
        batch[..8].copy_from_slice(&base_offset.to_be_bytes());
        let length = i32::try_from(batch.len() - LENGTH_COVERS_FROM).unwrap();
        batch[8..12].copy_from_slice(&length.to_be_bytes());
        batch[23..27].copy_from_slice(&(records - 1).to_be_bytes());
        batch
    }

    /// Reliability 2.1
    #[test]
    fn a_torn_end_is_the_next_batch_and_never_whole() {
        let segment = [batch(4, 1, 10), batch(5, 3, 30), vec![0; 100]].concat();
        let whole = batch(8, 3, 30);
        for seed in 0..200 {
            let (end, torn) = torn_end(&segment, &SeededRandom::new(seed)).unwrap();
            assert_eq!(end, 71 + 91);
            let part = torn.len().min(whole.len());
            assert_ne!(torn[..part], whole, "seed {seed}");
            assert_eq!(torn[..torn.len().min(61)], whole[..torn.len().min(61)], "seed {seed}");
        }
    }

    #[test]
    fn an_empty_segment_has_no_end_to_tear() {
        assert!(torn_end(&[], &SeededRandom::new(1)).is_none());
        assert!(torn_end(&[0; 200], &SeededRandom::new(1)).is_none());
    }
}
