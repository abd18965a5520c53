//! The entries of a segment's side files, for tools that show them.
//!
//! Owns: reading the whole content of such a file, without asking whether its log agrees.
//! Does not own: the formats (`index`, `txn_index`, `producers`), opening files, what is shown.

use ottla_model::{ProducerId, Timestamp};

use crate::index::{IndexEntry, OffsetEntry, TimeEntry};
use crate::producers::{self, ProducerEntry, SnapshotError};
use crate::txn_index::{self, AbortedTransaction};

/// One entry of an `.index` file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexedOffset {
    /// Last offset of a batch, relative to the first offset of the segment.
    pub relative: u32,
    /// Where the batch begins.
    pub position: u32,
}

/// One entry of a `.timeindex` file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexedTime {
    /// Largest timestamp up to the batch.
    pub timestamp: Timestamp,
    /// Last offset of the batch, relative to the first offset of the segment.
    pub relative: u32,
}

/// The entries of an `.index` file, space that was only reserved included.
pub fn indexed_offsets(content: &[u8]) -> Vec<IndexedOffset> {
    let entries = content.chunks_exact(OffsetEntry::BYTES).map_while(OffsetEntry::decode);
    entries.map(|entry| IndexedOffset { relative: entry.relative, position: entry.position }).collect()
}

/// The entries of a `.timeindex` file, space that was only reserved included.
pub fn indexed_times(content: &[u8]) -> Vec<IndexedTime> {
    let entries = content.chunks_exact(TimeEntry::BYTES).map_while(TimeEntry::decode);
    entries.map(|entry| IndexedTime { timestamp: entry.timestamp, relative: entry.relative }).collect()
}

/// The entries of a `.txnindex` file, up to the first that is damaged.
pub fn aborted_transactions(content: &[u8]) -> Vec<AbortedTransaction> {
    content.chunks_exact(txn_index::ENTRY_BYTES).map_while(AbortedTransaction::decode).collect()
}

/// The producers in a `.snapshot` file, in the order in which they stand there.
pub fn producers(content: &[u8]) -> Result<Vec<(ProducerId, ProducerEntry)>, SnapshotError> {
    producers::decode_snapshot(content)
}
