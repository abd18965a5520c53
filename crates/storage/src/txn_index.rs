//! `.txnindex` files: the aborted transactions that ended in a segment.
//!
//! Owns: the entries' bytes, reading and cutting a file.
//! Does not own: when a transaction is over (`producers`).
//!
//! | field | bytes | |
//! |---|---|---|
//! | version | 2 | 0 |
//! | producer id | 8 | |
//! | first offset | 8 | |
//! | last offset | 8 | of the control record that aborted it |
//! | last stable offset | 8 | once it was aborted |
//!
//! Invariants
//! - I1 entries are ordered by last offset.
//!
//! Source: requirement 8.1; a file that Kafka 4.3.1 wrote (`tests/data/hex-txn.txt`).

use std::io;
use std::sync::Arc;

use ottla_env::disk::File;
use ottla_model::{Offset, ProducerId};

use crate::file_cache::SegmentFiles;
use crate::names::FileKind;
use crate::producers::CompletedTransaction;

const VERSION: i16 = 0;
pub(crate) const ENTRY_BYTES: usize = 34;

const _: () = assert!(ENTRY_BYTES == 2 + 4 * 8);

/// A transaction that was aborted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AbortedTransaction {
    pub producer: ProducerId,
    pub first_offset: Offset,
    /// Offset of the control record.
    pub last_offset: Offset,
    pub last_stable_offset: Offset,
}

impl AbortedTransaction {
    pub(crate) fn of(completed: &CompletedTransaction) -> AbortedTransaction {
        AbortedTransaction {
            producer: completed.producer,
            first_offset: completed.first_offset,
            last_offset: completed.last_offset,
            last_stable_offset: completed.last_stable_offset,
        }
    }

    fn encode(&self, into: &mut Vec<u8>) {
        into.extend_from_slice(&VERSION.to_be_bytes());
        into.extend_from_slice(&self.producer.value().to_be_bytes());
        for offset in [self.first_offset, self.last_offset, self.last_stable_offset] {
            into.extend_from_slice(&offset.value().to_be_bytes());
        }
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<AbortedTransaction> {
        let (version, rest) = bytes.split_first_chunk()?;
        if i16::from_be_bytes(*version) != VERSION {
            return None;
        }
        let mut numbers = rest.chunks_exact(8).map(|chunk| {
            let chunk: [u8; 8] = chunk.try_into().unwrap_or_default();
            i64::from_be_bytes(chunk)
        });
        Some(AbortedTransaction {
            producer: ProducerId::new(numbers.next()?)?,
            first_offset: Offset::new(numbers.next()?)?,
            last_offset: Offset::new(numbers.next()?)?,
            last_stable_offset: Offset::new(numbers.next()?)?,
        })
    }
}

/// All entries of a segment's file. One that cannot be what was written is an error: without it a reader of committed
/// records would be given what was taken back.
pub(crate) fn read_all(files: &Arc<SegmentFiles>) -> io::Result<Vec<AbortedTransaction>> {
    let entries = read(files)?;
    let path = files.path(FileKind::TxnIndex);
    let len = match files.directory.disk().metadata(&path) {
        Ok(found) => found.len,
        Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
        Err(error) => return Err(error),
    };
    if len != u64::try_from(entries.len() * ENTRY_BYTES).unwrap_or(u64::MAX) {
        let text =
            format!("{} has {len} bytes, of which {} entries are right", path.display(), entries.len());
        return Err(io::Error::new(io::ErrorKind::InvalidData, text));
    }
    Ok(entries)
}

/// The entries of a segment's file, up to the first that is damaged. Does not create the file.
pub(crate) fn read(files: &Arc<SegmentFiles>) -> io::Result<Vec<AbortedTransaction>> {
    let path = files.path(FileKind::TxnIndex);
    let Some(content) = crate::small_file::read(files.directory.disk(), &path)? else {
        return Ok(Vec::new());
    };
    let decoded = content.chunks_exact(ENTRY_BYTES).map_while(AbortedTransaction::decode);
    let mut entries: Vec<AbortedTransaction> = Vec::new();
    for entry in decoded {
        // Torn space is zeros: no transaction ends where it begins.
        let follows = entries.last().is_none_or(|last| last.last_offset < entry.last_offset);
        if !follows || entry.first_offset >= entry.last_offset || entry.last_offset < files.base {
            break;
        }
        entries.push(entry);
    }
    Ok(entries)
}

/// Appends entries; the file is created with the first. Returns it, for it must be synced.
pub(crate) fn append(
    files: &Arc<SegmentFiles>,
    entries: &[AbortedTransaction],
) -> io::Result<Option<Arc<dyn File>>> {
    if entries.is_empty() {
        return Ok(None);
    }
    let file = files.open(FileKind::TxnIndex)?;
    let mut bytes = Vec::with_capacity(entries.len() * ENTRY_BYTES);
    entries.iter().for_each(|entry| entry.encode(&mut bytes));
    file.write_all_at(&bytes, file.len()?)?;
    Ok(Some(file))
}

/// Replaces the entries of a segment. Returns the file, which must be synced; `None` when there is none and it
/// needs none.
///
/// What stays the same is not touched: a crash in between must not take it.
pub(crate) fn replace(
    files: &Arc<SegmentFiles>,
    entries: &[AbortedTransaction],
) -> io::Result<Option<Arc<dyn File>>> {
    let present = crate::small_file::read(files.directory.disk(), &files.path(FileKind::TxnIndex))?;
    let mut bytes = Vec::with_capacity(entries.len() * ENTRY_BYTES);
    entries.iter().for_each(|entry| entry.encode(&mut bytes));
    if present.is_none() && bytes.is_empty() {
        return Ok(None);
    }
    let file = files.open(FileKind::TxnIndex)?;
    let present = present.unwrap_or_default();
    let same = present.iter().zip(&bytes).take_while(|(old, new)| old == new).count();
    let position = |len: usize| u64::try_from(len).unwrap_or(u64::MAX);
    if present.len() > same {
        file.set_len(position(same))?;
    }
    if bytes.len() > same {
        file.write_all_at(&bytes[same..], position(same))?;
    }
    Ok(Some(file))
}
