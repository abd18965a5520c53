//! Producer state from a snapshot and the batches behind it.
//!
//! Owns: choosing the snapshot, feeding batches to the producer table.
//! Does not own: the table, checking the batches.
//!
//! Source: requirement IDM-09.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use ottla_model::{Offset, Timestamp, TopicPartition, Verification};
use ottla_protocol::record::Batch;

use super::read_snapshot;
use crate::file_cache::{PartitionDirectory, SegmentFiles};
use crate::log::producers::{producer_batch, stage, stage_data};
use crate::names::FileKind;
use crate::producers::{Origin, Place, Producers, Staged};
use crate::scan::{FoundBatch, ScanError, Scanner, Waiting};
use crate::segment::{Indexes, relative_offset};
use crate::txn_index::AbortedTransaction;

/// Producer state that is being rebuilt.
pub(super) struct Replay {
    producers: Producers,
    /// Everything below is in the state.
    from: Offset,
    snapshot: Option<Offset>,
}

impl Replay {
    /// Begins with the latest of `snapshots` that lies within `bounds`, or with nothing at their start, which is
    /// where the first segment begins. Producers that have expired by `now` are left out.
    ///
    /// An earlier snapshot is of no use: what happened between it and the first segment is not known any more.
    pub(super) fn load(
        directory: &PartitionDirectory,
        mut snapshots: Vec<Offset>,
        bounds: Range<Offset>,
        (now, expiration_ms): (Timestamp, i64),
    ) -> io::Result<Replay> {
        snapshots.sort_unstable();
        let mut producers = Producers::default();
        for at in snapshots.into_iter().rev().filter(|at| (bounds.start..=bounds.end).contains(at)) {
            if let Some(entries) = read_snapshot(directory, at)? {
                producers.restore(entries);
                producers.expire(now, expiration_ms);
                return Ok(Replay { producers, from: at, snapshot: Some(at) });
            }
        }
        Ok(Replay { producers, from: bounds.start, snapshot: None })
    }

    pub(super) fn from(&self) -> Offset {
        self.from
    }

    pub(super) fn snapshot(&self) -> Option<Offset> {
        self.snapshot
    }

    /// The bytes of a snapshot at `end`, if that is what the state is as of.
    pub(super) fn snapshot_behind(&self, end: Option<Offset>) -> Option<Vec<u8>> {
        (end == Some(self.from)).then(|| self.producers.snapshot())
    }

    /// A snapshot keeps one batch of each producer, as Kafka's format has it. More may be repeated: what was sent and not
    /// answered before the node stopped. So the batches before the snapshot are looked at, from `range.start`, where one begins.
    pub(super) fn recall(&mut self, files: &Arc<SegmentFiles>, range: Range<u64>) -> io::Result<()> {
        let mut walk = Scanner::new(files.open(FileKind::Log)?, range, Waiting::Allowed);
        loop {
            let batch = match walk.next() {
                Ok(Some(batch)) if batch.last_offset < self.from => batch,
                // Damage is found and told by others; without these batches a repetition is refused.
                Ok(_) | Err(ScanError::Bad { .. }) => return Ok(()),
                Err(ScanError::Disk(error)) => return Err(error),
            };
            let data = batch.header.as_ref().filter(|header| !header.attributes.is_control());
            if let Some(batch) = data.and_then(producer_batch) {
                self.producers.recall(&batch);
            }
        }
    }

    /// Whether there is a producer of which more than the snapshot says may matter.
    pub(super) fn may_recall(&self) -> bool {
        self.snapshot.is_some() && self.producers.len() > 0
    }

    pub(super) fn into_producers(self) -> Producers {
        self.producers
    }

    /// Feeds all batches of a segment that are not in the state yet.
    pub(super) fn walk(
        &mut self,
        partition: &TopicPartition,
        files: &Arc<SegmentFiles>,
        size: u64,
    ) -> Result<(), ScanError> {
        let from = match relative_offset(files.base, self.from) {
            Some(relative) if relative > 0 => Indexes::load(files)?.position_before(files, relative)?,
            Some(_) | None => 0,
        };
        let mut walk = Scanner::new(files.open(FileKind::Log)?, from..size, Waiting::Allowed);
        while let Some(batch) = walk.next()? {
            self.apply(partition, &mut walk, &batch)?;
        }
        Ok(())
    }

    /// Feeds one batch; returns the transaction whose abort it tells.
    pub(super) fn apply(
        &mut self,
        partition: &TopicPartition,
        walk: &mut Scanner,
        batch: &FoundBatch,
    ) -> Result<Option<AbortedTransaction>, ScanError> {
        if batch.last_offset < self.from {
            return Ok(None);
        }
        self.from = batch.last_offset.next();
        let Some(header) = &batch.header else { return Ok(None) };
        let place = Place { partition, origin: Origin::Replica, verification: Verification::Off };
        let mut staged = Staged::default();
        // What other replicas wrote is never refused, so there is no error to handle.
        let _ = if header.attributes.is_control() {
            match walk.body(batch)? {
                Batch::V2(view) => stage(&self.producers, &mut staged, &view, (place, false)),
                Batch::Legacy(_) => return Ok(None),
            }
        } else {
            stage_data(&self.producers, &mut staged, header, place)
        };
        self.producers.commit(&mut staged);
        Ok(staged.completed.iter().find(|done| done.aborted).map(AbortedTransaction::of))
    }
}
