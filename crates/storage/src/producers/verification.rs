//! Verifications of transactions that have no batch in this log yet.
//!
//! Owns: the guard of each producer that asked, the lowest sequence it wants to begin with.
//! Does not own: the producers themselves (`producers`), the asking (`server`).
//!
//! A producer has at most one verification outstanding. It ends with the first batch of the transaction, with its marker,
//! or when nobody came back with it for as long as producers are remembered. While it lasts, a batch with a higher
//! sequence than the lowest one seen is refused: it would overtake a batch that is tried again, for ever.
//!
//! Source: KIP-890; requirements IDM-05, IDM-07.

use std::collections::BTreeMap;

use ottla_model::{ProducerEpoch, ProducerId, Sequence, Timestamp, VerificationGuard};

use super::TransactionEnd;

/// A transactional batch that is to be appended, as its verification sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerificationRequest {
    pub producer: ProducerId,
    pub epoch: ProducerEpoch,
    /// `None` for the group coordinator's batches.
    pub first_sequence: Option<Sequence>,
    /// The producer's epoch is raised with every transaction (transaction version 2): it begins each at sequence 0.
    pub begins_at_zero: bool,
    pub now: Timestamp,
}

/// What is kept of a verification.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outstanding {
    pub(crate) guard: VerificationGuard,
    /// −1: a batch without a sequence.
    pub(crate) lowest_sequence: i32,
    pub(crate) begins_at_zero: bool,
    epoch: ProducerEpoch,
    since: Timestamp,
}

impl Outstanding {
    /// Whether the end is that of the transaction which asked. A marker whose epoch was raised has the epoch of the next
    /// transaction, and that one may have asked while the marker was on its way.
    pub(crate) fn ends_with(&self, end: &TransactionEnd) -> bool {
        !end.epoch_was_raised || self.epoch < end.epoch
    }
}

/// The verifications of one log.
#[derive(Debug, Default)]
pub(crate) struct Verifications {
    outstanding: BTreeMap<ProducerId, Outstanding>,
}

impl Verifications {
    pub(crate) fn is_empty(&self) -> bool {
        self.outstanding.is_empty()
    }

    pub(crate) fn of(&self, producer: ProducerId) -> Option<&Outstanding> {
        self.outstanding.get(&producer)
    }

    /// The guard of the producer's verification, which begins here unless it has begun.
    pub(crate) fn begin(&mut self, request: &VerificationRequest) -> VerificationGuard {
        let sequence = request.first_sequence.map_or(-1, Sequence::value);
        let outstanding = self.outstanding.entry(request.producer).or_insert_with(|| Outstanding {
            guard: VerificationGuard::fresh(),
            lowest_sequence: sequence,
            begins_at_zero: request.begins_at_zero,
            epoch: request.epoch,
            since: request.now,
        });
        if request.epoch > outstanding.epoch {
            (outstanding.epoch, outstanding.lowest_sequence) = (request.epoch, sequence);
        } else if request.epoch == outstanding.epoch {
            outstanding.lowest_sequence = outstanding.lowest_sequence.min(sequence);
        }
        outstanding.guard
    }

    /// A batch of the transaction, or its end, is in the log.
    pub(crate) fn end(&mut self, producer: ProducerId) {
        self.outstanding.remove(&producer);
    }

    /// Forgets those that nobody came back with.
    pub(crate) fn expire(&mut self, now: Timestamp, expiration_ms: i64) {
        self.outstanding.retain(|_, outstanding| now.millis_since(outstanding.since) < expiration_ms);
    }
}
