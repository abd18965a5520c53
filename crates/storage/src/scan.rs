//! Walking over the batches of a segment file.
//!
//! Owns: reading headers with few system calls, finding the first thing that is no batch.
//! Does not own: what a caller makes of a batch, the format (`ottla_protocol::record`).
//!
//! Invariants
//! - I1 a batch that is returned lies whole within the bounds of the walk;
//! - I2 no buffer is larger than a batch that lies whole within the bounds, or [`CHUNK_BYTES_MAX`].
//!
//! Source: requirements LOG-04, FET-12, OLD-01.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use ottla_env::disk::File;
use ottla_env::spare::{Spare, SpareLimits};
use ottla_model::{LeaderEpoch, Offset, Timestamp};
use ottla_protocol::record::{
    Batch, BatchError, BatchHeader, BatchPrefix, HEADER_BYTES, MAGIC, PREFIX_BYTES,
};

/// Bytes read at once at first: a few headers of small batches, and little to copy where batches are large.
const CHUNK_BYTES_MIN: usize = 512;

/// Bytes read at once when batches lie close together.
const CHUNK_BYTES_MAX: usize = 256 * 1024;

/// Buffers one thread keeps for its next walks.
const SPARE_BUFFERS_MAX: usize = 4;

thread_local! {
    /// Buffers that did not grow for a large batch.
    static SPARE: Spare =
        const { Spare::new(SpareLimits { pieces_max: SPARE_BUFFERS_MAX, piece_bytes_max: CHUNK_BYTES_MAX }) };
}

/// Bytes of an old message up to its timestamp, which follows attributes and is there in magic 1.
const LEGACY_TIMESTAMP_AT: usize = 18;

/// What the header of a batch says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FoundBatch {
    /// Where it begins in the file.
    pub(crate) position: u64,
    /// Its length in bytes.
    pub(crate) size: u64,
    /// First offset; of an old message set only the last one is known without unpacking it.
    pub(crate) base_offset: Offset,
    pub(crate) last_offset: Offset,
    pub(crate) max_timestamp: Timestamp,
    /// Whole header, for magic 2.
    pub(crate) header: Option<BatchHeader>,
}

impl FoundBatch {
    /// Where the next batch begins.
    pub(crate) fn end(&self) -> u64 {
        self.position + self.size
    }

    pub(crate) fn leader_epoch(&self) -> Option<LeaderEpoch> {
        self.header?.leader_epoch
    }
}

/// Why a walk could not go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ScanError {
    #[error("cannot read the segment")]
    Disk(#[from] io::Error),
    /// What lies at `position` is no batch.
    #[error("no batch at byte {position}: {reason}")]
    Bad { position: u64, reason: BatchError },
}

/// Whether a walk may wait for the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waiting {
    Allowed,
    /// `WouldBlock` is returned in place of waiting.
    Refused,
}

/// A walk over the batches between two positions of a file.
pub(crate) struct Scanner {
    file: Arc<dyn File>,
    position: u64,
    end: u64,
    waiting: Waiting,
    chunk: usize,
    buffer: Vec<u8>,
    buffer_at: u64,
}

impl Scanner {
    /// A walk from `range.start`, where a batch begins, to `range.end`.
    pub(crate) fn new(file: Arc<dyn File>, range: Range<u64>, waiting: Waiting) -> Scanner {
        Scanner {
            file,
            position: range.start,
            end: range.end,
            waiting,
            chunk: CHUNK_BYTES_MIN,
            buffer: Vec::new(),
            buffer_at: 0,
        }
    }

    /// Where the next batch begins.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// The next batch, or `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<FoundBatch>, ScanError> {
        if self.position >= self.end {
            return Ok(None);
        }
        let position = self.position;
        let bad = |reason| ScanError::Bad { position, reason };
        let left = self.end - position;
        let have = usize::try_from(left).unwrap_or(usize::MAX).min(HEADER_BYTES);
        let bytes = self.bytes(position, have)?;
        let prefix = BatchPrefix::parse(bytes).map_err(bad)?;
        let size = u64::try_from(prefix.size).unwrap_or(u64::MAX);
        if size > left {
            let have = usize::try_from(left).unwrap_or(usize::MAX);
            return Err(bad(BatchError::Truncated { have, need: prefix.size }));
        }
        let found = match prefix.magic {
            MAGIC => {
                let header = BatchHeader::parse(bytes).map_err(bad)?;
                FoundBatch {
                    position,
                    size,
                    base_offset: header.base_offset,
                    last_offset: header.last_offset(),
                    max_timestamp: header.max_timestamp,
                    header: Some(header),
                }
            }
            magic => FoundBatch {
                position,
                size,
                base_offset: prefix.offset,
                last_offset: prefix.offset,
                max_timestamp: if magic == 0 { Timestamp::NONE } else { legacy_timestamp(bytes) },
                header: None,
            },
        };
        self.position = found.end();
        Ok(Some(found))
    }

    /// Goes on at `position`, where a batch begins.
    pub(crate) fn back_to(&mut self, position: u64) {
        self.position = position;
    }

    /// All bytes of a batch that [`Scanner::next`] returned.
    pub(crate) fn body(&mut self, batch: &FoundBatch) -> Result<Batch<'_>, ScanError> {
        let size = usize::try_from(batch.size).unwrap_or(usize::MAX);
        let position = batch.position;
        let bytes = self.bytes(position, size)?;
        Batch::parse(bytes).map_err(|reason| ScanError::Bad { position, reason })
    }

    /// Compares the checksum of a batch that [`Scanner::next`] returned.
    pub(crate) fn check(&mut self, batch: &FoundBatch) -> Result<(), ScanError> {
        let position = batch.position;
        self.body(batch)?.check_crc().map_err(|reason| ScanError::Bad { position, reason })
    }

    /// `len` bytes at `position`, read ahead as far as seems useful.
    fn bytes(&mut self, position: u64, len: usize) -> Result<&[u8], ScanError> {
        let wanted_end = position.saturating_add(u64::try_from(len).unwrap_or(u64::MAX));
        let buffer_end = self.buffer_at + u64::try_from(self.buffer.len()).unwrap_or(0);
        if position < self.buffer_at || wanted_end > buffer_end {
            // A batch that begins within what was read, or right behind, means that batches lie close together.
            let dense = !self.buffer.is_empty() && position >= self.buffer_at && position <= buffer_end;
            self.chunk = if dense { (self.chunk * 4).min(CHUNK_BYTES_MAX) } else { CHUNK_BYTES_MIN };
            self.fill(position, len)?;
        }
        let from = usize::try_from(position - self.buffer_at).unwrap_or(usize::MAX);
        self.buffer.get(from..).and_then(|rest| rest.get(..len)).ok_or_else(|| {
            let have = self.buffer.len().saturating_sub(from);
            ScanError::Bad { position, reason: BatchError::Truncated { have, need: len } }
        })
    }

    fn fill(&mut self, position: u64, len: usize) -> Result<(), ScanError> {
        let left = usize::try_from(self.end - position).unwrap_or(usize::MAX);
        let size = len.max(self.chunk.min(left));
        if self.buffer.capacity() == 0 {
            self.buffer = SPARE.with(Spare::take);
        }
        self.buffer.resize(size, 0);
        self.buffer_at = position;
        let got = match self.waiting {
            Waiting::Allowed => self.file.read_at(&mut self.buffer, position),
            Waiting::Refused => self.file.read_at_resident(&mut self.buffer, position),
        };
        match got {
            Ok(got) => {
                self.buffer.truncate(got);
                Ok(())
            }
            Err(error) => {
                self.buffer.clear();
                Err(ScanError::Disk(error))
            }
        }
    }
}

impl Drop for Scanner {
    /// The buffer serves the next walk.
    fn drop(&mut self) {
        let buffer = std::mem::take(&mut self.buffer);
        // A thread that ends has no spare buffers any more.
        let _ = SPARE.try_with(|spare| spare.give(buffer));
    }
}

fn legacy_timestamp(bytes: &[u8]) -> Timestamp {
    debug_assert!(bytes.len() > PREFIX_BYTES);
    let field = bytes.get(LEGACY_TIMESTAMP_AT..).and_then(|rest| rest.first_chunk());
    field.map_or(Timestamp::NONE, |bytes| Timestamp::from_millis(i64::from_be_bytes(*bytes)))
}
