//! What a leader asks of a batch before it takes it.
//!
//! Owns: the checks of epochs, sequences, verifications and markers against what is known of the producer.
//! Does not own: the table of producers, what follows from a batch (`producers`).
//!
//! Source: KIP-98, KIP-360, KIP-890; requirements IDM-03…05, IDM-07, TXN-09.

use ottla_model::{ProducerEpoch, ProducerId, Sequence, Verification};
use ottla_mutant::mutant;

use super::entry::{ProducerBatch, ProducerEntry, TransactionEnd};
use super::verification::Outstanding;
use super::{Origin, Place, ProducerError};

/// KIP-890: the first batch of a transaction needs a guard that is still the producer's, so that a transaction that ended
/// meanwhile does not begin again without its coordinator.
pub(super) fn check_verified(
    entry: &ProducerEntry,
    batch: &ProducerBatch,
    outstanding: Option<&Outstanding>,
    place: Place<'_>,
) -> Result<(), ProducerError> {
    if entry.is_in_transaction(batch.epoch) {
        return Ok(());
    }
    check_not_stale(entry, batch.producer, batch.epoch)?;
    let is_verified = match place.verification {
        Verification::Off => true,
        Verification::NotAsked => false,
        Verification::Verified(guard) => outstanding.is_some_and(|outstanding| outstanding.guard == guard),
    };
    if is_verified { Ok(()) } else { Err(ProducerError::NotVerified { producer: batch.producer }) }
}

pub(super) fn check_not_stale(
    entry: &ProducerEntry,
    producer: ProducerId,
    got: ProducerEpoch,
) -> Result<(), ProducerError> {
    match entry.epoch {
        Some(known) if got < known && !mutant!(accept_old_producer_epoch) => {
            Err(ProducerError::StaleEpoch { producer, got, known })
        }
        Some(_) | None => Ok(()),
    }
}

/// IDM-05, IDM-07: what a producer whose transaction is being verified may begin with.
pub(super) fn check_first_sequence(
    entry: &ProducerEntry,
    batch: &ProducerBatch,
    outstanding: &Outstanding,
    place: Place<'_>,
) -> Result<(), ProducerError> {
    let got = batch.first_sequence.map_or(-1, Sequence::value);
    let (producer, offset, partition) = (batch.producer, batch.first_offset, || place.partition.to_string());
    if outstanding.begins_at_zero && got != 0 && entry.last_batch().is_none() {
        return Err(ProducerError::TransactionStart { producer, offset, partition: partition(), got });
    }
    let lowest = outstanding.lowest_sequence;
    if got > lowest {
        return Err(ProducerError::AheadOfVerification {
            producer,
            offset,
            partition: partition(),
            got,
            lowest,
        });
    }
    Ok(())
}

pub(super) fn check_epoch(
    entry: &ProducerEntry,
    batch: &ProducerBatch,
    place: Place<'_>,
) -> Result<(), ProducerError> {
    match entry.epoch {
        Some(known)
            if batch.epoch < known
                && place.origin != Origin::Replica
                && !mutant!(accept_old_producer_epoch) =>
        {
            Err(ProducerError::FencedEpoch {
                producer: batch.producer,
                offset: batch.first_offset,
                partition: place.partition.to_string(),
                got: batch.epoch,
                comparison: "<",
                known,
                version: -1,
            })
        }
        _ => Ok(()),
    }
}

/// IDM-03, IDM-04, IDM-05: a new epoch begins at 0, a known one goes on, an unknown producer may begin anywhere.
pub(super) fn check_sequence(
    entry: &ProducerEntry,
    batch: &ProducerBatch,
    place: Place<'_>,
) -> Result<(), ProducerError> {
    let Some(known) = entry.epoch else { return Ok(()) };
    let got = batch.first_sequence.map_or(-1, Sequence::value);
    let (producer, offset) = (batch.producer, batch.first_offset);
    let partition = || place.partition.to_string();
    if known != batch.epoch {
        return match got {
            0 => Ok(()),
            _ => Err(ProducerError::EpochStart {
                producer,
                offset,
                partition: partition(),
                epoch: batch.epoch,
                got,
                known,
            }),
        };
    }
    let last = entry.last_batch().and_then(|batch| batch.last_sequence);
    let expected = last.map_or(Sequence::ZERO, Sequence::next);
    let gap = mutant!(accept_sequence_gap) && got > expected.value();
    let repeated = mutant!(append_repeated_batches) && got < expected.value();
    if got == expected.value() || gap || repeated {
        return Ok(());
    }
    let last = last.map_or(-1, Sequence::value);
    Err(ProducerError::OutOfOrder { producer, offset, partition: partition(), got, last })
}

/// TXN-09: a marker's epoch is not below the data's, with version 2 above it; a coordinator's epoch never falls.
pub(super) fn check_end(
    entry: &ProducerEntry,
    end: &TransactionEnd,
    place: Place<'_>,
) -> Result<(), ProducerError> {
    let fenced = |known| {
        let (comparison, version) = if end.epoch_was_raised { ("<=", 2) } else { ("<", 0) };
        Err(ProducerError::FencedEpoch {
            producer: end.producer,
            offset: end.offset,
            partition: place.partition.to_string(),
            got: end.epoch,
            comparison,
            known,
            version,
        })
    };
    // Without an open transaction an equal epoch is the repetition of a marker that was written.
    match entry.epoch {
        Some(known) if end.epoch < known => return fenced(known),
        Some(known)
            if end.epoch == known && end.epoch_was_raised && entry.transaction_first_offset.is_some() =>
        {
            return fenced(known);
        }
        Some(_) | None => {}
    }
    match entry.coordinator_epoch {
        Some(known) if known > end.coordinator_epoch => Err(ProducerError::CoordinatorFenced {
            producer: end.producer,
            offset: end.offset,
            partition: place.partition.to_string(),
            got: end.coordinator_epoch,
            known,
        }),
        Some(_) | None => Ok(()),
    }
}
