//! The segment that compaction writes in the place of others.
//!
//! Owns: its files under their `.cleaned` names, their bytes, its indexes.
//! Does not own: what is written (`pass`), putting it in place (`swap`).
//!
//! Source: requirement 8.1; `segment` has the rule for index entries.

use std::io;
use std::sync::Arc;

use ottla_env::disk::OpenMode;
use ottla_model::{Offset, Timestamp};
use ottla_protocol::record::BatchHeader;

use crate::file_cache::{PartitionDirectory, SegmentFiles};
use crate::names::FileKind;
use crate::scan::FoundBatch;
use crate::segment::{Active, Sealed};
use crate::txn_index::{self, AbortedTransaction};

/// A segment that is being written.
#[derive(Debug)]
pub(super) struct Writer {
    active: Active,
    /// Written and not in the file yet, behind `flushed`.
    pub(super) pending: Vec<u8>,
    flushed: u64,
    index_interval_bytes: u32,
}

impl Writer {
    /// Makes the files, in the place of those that an earlier attempt left. `buffer`: memory to write from.
    pub(super) fn create(
        directory: &Arc<PartitionDirectory>,
        base: Offset,
        index_interval_bytes: u32,
        mut buffer: Vec<u8>,
    ) -> io::Result<Writer> {
        let files = SegmentFiles::cleaned(Arc::clone(directory), base);
        let disk = directory.disk();
        for kind in [FileKind::Log, FileKind::OffsetIndex, FileKind::TimeIndex] {
            disk.open(&files.path(kind), OpenMode::Truncate)?;
        }
        crate::small_file::remove(disk, &files.path(FileKind::TxnIndex))?;
        buffer.clear();
        let active = Active::new(files, Timestamp::NONE);
        Ok(Writer { active, pending: buffer, flushed: 0, index_interval_bytes })
    }

    /// Takes a batch as it lies in another segment.
    pub(super) fn push(&mut self, batch: &FoundBatch, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
        let placed = FoundBatch { position: self.active.size, ..*batch };
        self.active.on_appended(&placed, self.index_interval_bytes);
    }

    /// A batch of magic 2 was written behind what was pending, at `start` of it.
    pub(super) fn on_written(&mut self, start: usize) {
        let Some(Ok(header)) = self.pending.get(start..).map(BatchHeader::parse) else {
            unreachable!("a batch was written there")
        };
        let placed = FoundBatch {
            position: self.active.size,
            size: u64::try_from(header.size).unwrap_or(u64::MAX),
            base_offset: header.base_offset,
            last_offset: header.last_offset(),
            max_timestamp: header.max_timestamp,
            header: Some(header),
        };
        self.active.on_appended(&placed, self.index_interval_bytes);
    }

    /// Brings what is pending into the file, if it is more than `pending_max`; returns the bytes.
    pub(super) fn flush_above(&mut self, pending_max: usize) -> io::Result<u64> {
        if self.pending.len() <= pending_max {
            return Ok(0);
        }
        let file = self.active.files.open(FileKind::Log)?;
        file.write_all_at(&self.pending, self.flushed)?;
        let written = self.active.size - self.flushed;
        self.flushed = self.active.size;
        self.pending.clear();
        Ok(written)
    }

    /// Completes the files and brings them to stable storage. `end`: where the next segment begins; `modified_ms`: the age
    /// of what is replaced, which retention goes by where records have no time.
    pub(super) fn finish(
        mut self,
        aborted: &[AbortedTransaction],
        (end, modified_ms): (Offset, i64),
    ) -> io::Result<(Sealed, Vec<u8>)> {
        self.flush_above(0)?;
        self.active.push_largest();
        let files = Arc::clone(&self.active.files);
        let (offsets, times) =
            (self.active.indexes.offsets.unwritten(), self.active.indexes.times.unwritten());
        offsets.write(&*files.open(FileKind::OffsetIndex)?)?;
        times.write(&*files.open(FileKind::TimeIndex)?)?;
        if let Some(file) = txn_index::append(&files, aborted)? {
            file.sync_all()?;
        }
        for kind in [FileKind::OffsetIndex, FileKind::TimeIndex, FileKind::Log] {
            let file = files.open(kind)?;
            file.set_modified_ms(modified_ms)?;
            file.sync_all()?;
        }
        files.close();
        Ok((Sealed::from_active(self.active, end).without_indexes(), self.pending))
    }

    /// Gives up: the files go.
    pub(super) fn discard(self) -> io::Result<()> {
        self.active.files.close();
        self.active.files.remove()
    }
}
