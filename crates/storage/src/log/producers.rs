//! What the batches of a log say about their producers, and the log's view of them.
//!
//! Owns: reading producer fields and transaction ends out of batches; the log's queries about producers.
//! Does not own: the table and its checks (`crate::producers`).
//!
//! Source: KIP-98; requirements IDM-06, IDM-09, FET-17.

use ottla_model::{Offset, ProducerId, Timestamp, VerificationGuard};
use ottla_protocol::record::{BatchHeader, BatchView, ControlKind, EndTransaction};

use super::Log;
use crate::producers::{
    Place, ProducerBatch, ProducerEntry, ProducerError, Producers, Staged, TransactionEnd, Verdict,
    VerificationRequest,
};

/// Stages what a batch says about its producer; a batch without a producer id says nothing.
pub(crate) fn stage(
    producers: &Producers,
    staged: &mut Staged,
    batch: &BatchView<'_>,
    (place, marker_epoch_was_raised): (Place<'_>, bool),
) -> Result<Verdict, ProducerError> {
    if !batch.header().attributes.is_control() {
        return stage_data(producers, staged, batch.header(), place);
    }
    if let Some(end) = transaction_end(batch, marker_epoch_was_raised) {
        producers.stage_end(staged, &end, place)?;
    }
    Ok(Verdict::New)
}

/// As [`stage`], for a batch that is no control batch: its header says all.
pub(crate) fn stage_data(
    producers: &Producers,
    staged: &mut Staged,
    header: &BatchHeader,
    place: Place<'_>,
) -> Result<Verdict, ProducerError> {
    match producer_batch(header) {
        Some(batch) => producers.stage_batch(staged, &batch, place),
        None => Ok(Verdict::New),
    }
}

/// The producer fields of a batch, if it has any.
pub(crate) fn producer_batch(header: &BatchHeader) -> Option<ProducerBatch> {
    Some(ProducerBatch {
        producer: header.producer_id?,
        epoch: header.producer_epoch?,
        first_sequence: header.base_sequence,
        last_sequence: header.last_sequence(),
        first_offset: header.base_offset,
        last_offset: header.last_offset(),
        max_timestamp: header.max_timestamp,
        transactional: header.attributes.is_transactional(),
    })
}

/// The end of a transaction in a control batch. An emptied one, left by compaction, says nothing.
fn transaction_end(batch: &BatchView<'_>, epoch_was_raised: bool) -> Option<TransactionEnd> {
    let header = batch.header();
    let (producer, epoch) = (header.producer_id?, header.producer_epoch?);
    // Control batches are never compressed.
    let record = batch.records_in(batch.records_bytes()).next()?.ok()?;
    let aborted = match ControlKind::of_key(record.key?).ok()? {
        ControlKind::Abort => true,
        ControlKind::Commit => false,
        ControlKind::LeaderChange
        | ControlKind::SnapshotHeader
        | ControlKind::SnapshotFooter
        | ControlKind::KraftVersion
        | ControlKind::KraftVoters => return None,
    };
    let end = EndTransaction::of_value(record.value?).ok()?;
    Some(TransactionEnd {
        producer,
        epoch,
        coordinator_epoch: end.coordinator_epoch,
        aborted,
        offset: header.base_offset,
        timestamp: record.timestamp,
        epoch_was_raised,
    })
}

impl Log {
    /// First offset of the oldest transaction that is open, or decided but not replicated; readers of committed
    /// records stop there (FET-17).
    pub fn first_unstable(&self) -> Option<Offset> {
        // The first records of an open transaction may have been deleted.
        self.producers.first_unstable().map(|first| first.max(self.log_start()))
    }

    /// The high watermark moved: decided transactions below it are stable.
    pub fn on_high_watermark(&mut self, high_watermark: Offset) {
        self.producers.on_high_watermark(high_watermark);
    }

    /// Before the first batch of a transaction: the guard it is to be appended with once its coordinator said that the
    /// partition is part of it. `None`: the transaction goes on here already (KIP-890).
    pub fn begin_verification(
        &mut self,
        request: &VerificationRequest,
    ) -> Result<Option<VerificationGuard>, ProducerError> {
        self.producers.begin_verification(request)
    }

    /// All producers that are remembered.
    pub fn producers(&self) -> impl Iterator<Item = (ProducerId, &ProducerEntry)> {
        self.producers.entries()
    }

    /// What is remembered of one producer.
    pub fn producer(&self, producer: ProducerId) -> Option<&ProducerEntry> {
        self.producers.entry(producer)
    }

    /// How many producers are remembered.
    pub fn producer_count(&self) -> usize {
        self.producers.len()
    }

    /// IDM-06: forgets producers that have been silent for `expiration_ms`; returns how many.
    pub fn expire_producers(&mut self, now: Timestamp, expiration_ms: i64) -> usize {
        self.producers.expire(now, expiration_ms)
    }
}
