//! Idempotent and transactional producers of one log.
//!
//! Owns: the table of producers, the checks of a leader's append, open and decided transactions.
//! Does not own: files (`snapshot` is bytes only), offsets of the log, the high watermark.
//!
//! A log checks batches into a [`Staged`] first, writes the bytes, and only then commits what was staged:
//! a failed write leaves the table as it was.
//!
//! Invariants
//! - I1 an ongoing transaction is in `ongoing` under its first offset, and in its producer's entry;
//! - I2 a decided transaction stays in `unreplicated` until the high watermark passes its end.
//!
//! Source: KIP-98, KIP-360, KIP-890; requirements IDM-01…09, FET-17, TXN-09.

mod checks;
mod entry;
mod snapshot;
mod verification;

use std::collections::{BTreeMap, HashMap};

use ottla_model::{Offset, ProducerEpoch, ProducerId, Timestamp, Verification, VerificationGuard};
use ottla_mutant::mutant;

pub use entry::{AppendedBatch, BATCHES_MAX, ProducerBatch, ProducerEntry, TransactionEnd};
pub use snapshot::SnapshotError;
pub use verification::VerificationRequest;

use checks::{check_end, check_epoch, check_first_sequence, check_not_stale, check_sequence, check_verified};
use verification::Verifications;

/// Who wrote what is appended; this decides what is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A producer: epoch, sequence and repetition are checked.
    Client,
    /// A coordinator on this node: only epochs are checked.
    Coordinator,
    /// Another replica or the log itself: the leader has checked it.
    Replica,
}

/// Why a leader does not take a batch. The texts are Kafka's, since clients print them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProducerError {
    /// INVALID_PRODUCER_EPOCH
    #[error(
        "Epoch of producer {producer} at offset {offset} in {partition} is {got}, which is \
         {comparison} the last seen epoch {known} (TV{version})"
    )]
    FencedEpoch {
        producer: ProducerId,
        offset: Offset,
        partition: String,
        got: ProducerEpoch,
        comparison: &'static str,
        known: ProducerEpoch,
        /// Transaction version the comparison is of; −1 for data.
        version: i16,
    },
    /// OUT_OF_ORDER_SEQUENCE_NUMBER
    #[error(
        "Out of order sequence number for producer {producer} at offset {offset} in partition {partition}: \
         {got} (incoming seq. number), {last} (current end sequence number)"
    )]
    OutOfOrder { producer: ProducerId, offset: Offset, partition: String, got: i32, last: i32 },
    /// OUT_OF_ORDER_SEQUENCE_NUMBER
    #[error(
        "Invalid sequence number for new epoch of producer {producer}at offset {offset} in partition \
         {partition}: {epoch} (request epoch), {got} (seq. number), {known} (current producer epoch)"
    )]
    EpochStart {
        producer: ProducerId,
        offset: Offset,
        partition: String,
        epoch: ProducerEpoch,
        got: i32,
        known: ProducerEpoch,
    },
    /// INVALID_PRODUCER_EPOCH
    #[error("Epoch of producer {producer} is {got}, which is smaller than the last seen epoch {known}")]
    StaleEpoch { producer: ProducerId, got: ProducerEpoch, known: ProducerEpoch },
    /// OUT_OF_ORDER_SEQUENCE_NUMBER
    #[error(
        "Invalid sequence number for producer {producer} at offset {offset} in partition {partition}: {got} \
         (incoming seq. number). Expected sequence 0 for transactions v2 idempotent producer with no existing state."
    )]
    TransactionStart { producer: ProducerId, offset: Offset, partition: String, got: i32 },
    /// OUT_OF_ORDER_SEQUENCE_NUMBER
    #[error(
        "Out of order sequence number for producer {producer} at offset {offset} in partition {partition}: \
         {got} (incoming seq. number), {lowest} (earliest seen sequence)"
    )]
    AheadOfVerification {
        producer: ProducerId,
        offset: Offset,
        partition: String,
        got: i32,
        /// Lowest sequence that waits for the transaction's verification.
        lowest: i32,
    },
    /// INVALID_TXN_STATE
    #[error("Record was not part of an ongoing transaction")]
    NotVerified { producer: ProducerId },
    /// INVALID_TXN_STATE
    #[error(
        "Expected transactional write from producer {producer} at offset {offset} in partition {partition}"
    )]
    TransactionOpen { producer: ProducerId, offset: Offset, partition: String },
    /// TRANSACTION_COORDINATOR_FENCED
    #[error(
        "Invalid coordinator epoch for producerId {producer} at offset {offset} in partition {partition}: \
         {got} (zombie), {known} (current)"
    )]
    CoordinatorFenced { producer: ProducerId, offset: Offset, partition: String, got: i32, known: i32 },
}

/// A transaction that was ended, as the transaction index needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompletedTransaction {
    pub producer: ProducerId,
    pub first_offset: Offset,
    /// Offset of the control record.
    pub last_offset: Offset,
    pub aborted: bool,
    /// First offset of the oldest transaction that was still open then, or the one behind the control record.
    pub last_stable_offset: Offset,
}

/// Changes that take effect once the bytes behind them are written.
#[derive(Debug, Default)]
pub(crate) struct Staged {
    entries: Vec<(ProducerId, ProducerEntry)>,
    started: Vec<(Offset, ProducerId)>,
    /// Producers whose verification is over: the transaction has a batch here, or ended.
    verified: Vec<ProducerId>,
    pub(crate) completed: Vec<CompletedTransaction>,
}

/// What a check found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    New,
    /// The batch was appended before, as this.
    Duplicate(AppendedBatch),
}

/// Where an append takes place (for error texts), by whom, and what that one knows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    pub(crate) partition: &'a ottla_model::TopicPartition,
    pub(crate) origin: Origin,
    pub(crate) verification: Verification,
}

/// The producers of one log.
#[derive(Debug, Default)]
pub(crate) struct Producers {
    table: HashMap<ProducerId, ProducerEntry>,
    /// Open transactions by first offset.
    ongoing: BTreeMap<Offset, ProducerId>,
    /// Decided transactions that are not replicated yet: first offset → offset of the control record.
    unreplicated: BTreeMap<Offset, Offset>,
    verifications: Verifications,
}

impl Producers {
    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    pub(crate) fn entry(&self, producer: ProducerId) -> Option<&ProducerEntry> {
        self.table.get(&producer)
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = (ProducerId, &ProducerEntry)> {
        self.table.iter().map(|(producer, entry)| (*producer, entry))
    }

    /// Whether a producer was asked to come back with a verified transaction.
    pub(crate) fn is_verifying(&self) -> bool {
        !self.verifications.is_empty()
    }

    /// Begins the verification of a transaction, or goes on with the one that was begun. `None`: the transaction has
    /// batches here, so nobody need be asked.
    pub(crate) fn begin_verification(
        &mut self,
        request: &VerificationRequest,
    ) -> Result<Option<VerificationGuard>, ProducerError> {
        if let Some(entry) = self.table.get(&request.producer) {
            check_not_stale(entry, request.producer, request.epoch)?;
            if entry.is_in_transaction(request.epoch) {
                return Ok(None);
            }
        }
        Ok(Some(self.verifications.begin(request)))
    }

    /// Checks a data batch and stages it when it is new.
    pub(crate) fn stage_batch(
        &self,
        staged: &mut Staged,
        batch: &ProducerBatch,
        place: Place<'_>,
    ) -> Result<Verdict, ProducerError> {
        if place.origin == Origin::Client
            && !mutant!(append_repeated_batches)
            && let Some(duplicate) =
                self.known(staged, batch.producer).and_then(|entry| entry.find_duplicate(batch))
        {
            return Ok(Verdict::Duplicate(duplicate));
        }
        let at = self.staged_entry(staged, batch.producer);
        let outstanding = self.verifications.of(batch.producer);
        let entry = &mut staged.entries[at].1;
        if batch.transactional && place.origin != Origin::Replica {
            check_verified(entry, batch, outstanding, place)?;
        }
        check_epoch(entry, batch, place)?;
        if place.origin == Origin::Client {
            if let Some(outstanding) = outstanding {
                check_first_sequence(entry, batch, outstanding, place)?;
            }
            check_sequence(entry, batch, place)?;
        }
        let open = entry.transaction_first_offset.is_some();
        if open && !batch.transactional && place.origin != Origin::Replica {
            return Err(ProducerError::TransactionOpen {
                producer: batch.producer,
                offset: batch.first_offset,
                partition: place.partition.to_string(),
            });
        }
        entry.add(batch.epoch, batch.appended());
        if batch.transactional && entry.transaction_first_offset.is_none() {
            entry.transaction_first_offset = Some(batch.first_offset);
            staged.started.push((batch.first_offset, batch.producer));
        }
        if batch.transactional && outstanding.is_some() {
            staged.verified.push(batch.producer);
        }
        Ok(Verdict::New)
    }

    /// Checks the end of a transaction and stages it.
    pub(crate) fn stage_end(
        &self,
        staged: &mut Staged,
        end: &TransactionEnd,
        place: Place<'_>,
    ) -> Result<(), ProducerError> {
        let at = self.staged_entry(staged, end.producer);
        let entry = &mut staged.entries[at].1;
        if place.origin != Origin::Replica {
            check_end(entry, end, place)?;
        }
        if self.verifications.of(end.producer).is_some_and(|outstanding| outstanding.ends_with(end)) {
            staged.verified.push(end.producer);
        }
        let first_offset = entry.transaction_first_offset;
        entry.end_transaction(end);
        // The marker of a transaction without data here changes neither the stable offset nor the index.
        if let Some(first_offset) = first_offset {
            let completed = CompletedTransaction {
                producer: end.producer,
                first_offset,
                last_offset: end.offset,
                aborted: end.aborted,
                last_stable_offset: self.stable_after(staged, end),
            };
            staged.completed.push(completed);
        }
        Ok(())
    }

    /// Remembers a batch that lies before the snapshot the state was restored from, if its producer is known.
    pub(crate) fn recall(&mut self, batch: &ProducerBatch) {
        if let Some(entry) = self.table.get_mut(&batch.producer) {
            entry.recall(batch.epoch, batch.appended());
        }
    }

    /// Makes what was staged the state.
    pub(crate) fn commit(&mut self, staged: &mut Staged) {
        for (producer, entry) in staged.entries.drain(..) {
            self.table.insert(producer, entry);
        }
        for (first_offset, producer) in staged.started.drain(..) {
            self.ongoing.insert(first_offset, producer);
        }
        for producer in staged.verified.drain(..) {
            self.verifications.end(producer);
        }
        for completed in &staged.completed {
            self.ongoing.remove(&completed.first_offset);
            self.unreplicated.insert(completed.first_offset, completed.last_offset);
        }
    }

    /// First offset of the oldest transaction that is open, or decided and not replicated (FET-17).
    pub(crate) fn first_unstable(&self) -> Option<Offset> {
        let ongoing = self.ongoing.first_key_value().map(|(first, _)| *first);
        let unreplicated = self.unreplicated.first_key_value().map(|(first, _)| *first);
        match (ongoing, unreplicated) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    /// Everything below `high_watermark` is replicated.
    pub(crate) fn on_high_watermark(&mut self, high_watermark: Offset) {
        if !self.unreplicated.is_empty() {
            self.unreplicated.retain(|_, end| *end >= high_watermark);
        }
    }

    /// Forgets producers that wrote nothing for `expiration_ms` and have no open transaction (IDM-06).
    pub(crate) fn expire(&mut self, now: Timestamp, expiration_ms: i64) -> usize {
        self.verifications.expire(now, expiration_ms);
        let before = self.table.len();
        self.table.retain(|_, entry| {
            entry.transaction_first_offset.is_some() || now.millis_since(entry.last_timestamp) < expiration_ms
        });
        if self.table.is_empty() {
            self.table.shrink_to_fit();
        }
        before - self.table.len()
    }

    /// Replaces everything by the content of a snapshot.
    pub(crate) fn restore(&mut self, entries: Vec<(ProducerId, ProducerEntry)>) {
        *self = Producers::default();
        for (producer, entry) in entries {
            if let Some(first_offset) = entry.transaction_first_offset {
                self.ongoing.insert(first_offset, producer);
            }
            self.table.insert(producer, entry);
        }
    }

    /// The bytes of a snapshot; entries stand in the order of their ids.
    pub(crate) fn snapshot(&self) -> Vec<u8> {
        let mut sorted: Vec<_> = self.entries().collect();
        sorted.sort_unstable_by_key(|(producer, _)| *producer);
        snapshot::encode(sorted)
    }

    fn known<'a>(&'a self, staged: &'a Staged, producer: ProducerId) -> Option<&'a ProducerEntry> {
        let staged = staged.entries.iter().find(|(id, _)| *id == producer).map(|(_, entry)| entry);
        staged.or_else(|| self.table.get(&producer))
    }

    /// Position in `staged` of the producer's entry, taken over from the table at first.
    fn staged_entry(&self, staged: &mut Staged, producer: ProducerId) -> usize {
        if let Some(at) = staged.entries.iter().position(|(id, _)| *id == producer) {
            return at;
        }
        let entry = self.table.get(&producer).cloned().unwrap_or_else(ProducerEntry::new);
        staged.entries.push((producer, entry));
        staged.entries.len() - 1
    }

    fn stable_after(&self, staged: &Staged, end: &TransactionEnd) -> Offset {
        let decided = |first: &Offset| staged.completed.iter().any(|done| done.first_offset == *first);
        let ongoing = self.ongoing.iter().map(|(first, producer)| (*first, *producer));
        ongoing
            .chain(staged.started.iter().copied())
            .filter(|(first, producer)| *producer != end.producer && !decided(first))
            .map(|(first, _)| first)
            .min()
            .unwrap_or(end.offset.next())
    }
}

/// Reads the bytes of a snapshot.
pub(crate) fn decode_snapshot(bytes: &[u8]) -> Result<Vec<(ProducerId, ProducerEntry)>, SnapshotError> {
    snapshot::decode(bytes)
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod verification_tests;
