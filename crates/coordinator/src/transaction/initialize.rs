//! A producer gets its identity, and every other one of its transactional id is fenced.
//!
//! Owns: the checks of InitProducerId and what follows from each state.
//! Does not own: how an open transaction is aborted (`end`), where producer ids come from.
//!
//! Source: KIP-98, KIP-360; requirement TXN-01; Kafka 4.3.1.

use std::collections::BTreeSet;
use std::time::Duration;

use ottla_model::{ProducerEpoch, ProducerId, Timestamp, TransactionVersion};

use super::answer::{InitializeError, ProducerIdentity};
use super::command::{Claim, Initialize};
use super::end::{self, Ending};
use super::record::{TransactionImage, TransactionState};

/// What becomes of the id.
#[derive(Debug)]
pub(super) enum Initialized {
    /// The producer has its identity.
    Ready(TransactionImage),
    /// The open transaction is aborted first; the producer comes back.
    Aborting(Ending),
}

/// Decides. `version` is the cluster's.
pub(super) fn initialize(
    current: Option<&TransactionImage>,
    command: &Initialize,
    (version, now): (TransactionVersion, Timestamp),
) -> Result<Initialized, InitializeError> {
    let timeout = command.timeout.unwrap_or_default();
    let Some(image) = current else {
        let fresh = command.fresh.ok_or(InitializeError::NeedsProducerId)?;
        return Ok(Initialized::Ready(first(fresh, timeout, now)));
    };
    if image.state.decided().is_some() {
        return Err(InitializeError::Concurrent);
    }
    if command.expected.is_some_and(|expected| !is_known(image, expected)) {
        return Err(InitializeError::Fenced);
    }
    match image.state {
        // The epoch of this end is never told: the producer asks again and gets the one after it.
        TransactionState::Ongoing => match end::fence(image, version, (command.fresh, now)) {
            Ok(ending) => Ok(Initialized::Aborting(ending)),
            Err(end::NeedsProducerId) => Err(InitializeError::NeedsProducerId),
        },
        TransactionState::Empty | TransactionState::CompleteCommit | TransactionState::CompleteAbort => {
            let (producer, last_epoch) = next_identity(image, command.expected, command.fresh)?;
            Ok(Initialized::Ready(TransactionImage {
                producer,
                last_epoch,
                timeout,
                partitions: BTreeSet::new(),
                started_at: None,
                ..image.changed(TransactionState::Empty, now)
            }))
        }
        TransactionState::PrepareCommit
        | TransactionState::PrepareAbort
        | TransactionState::Dead
        | TransactionState::PrepareEpochFence => Err(InitializeError::Concurrent),
    }
}

fn first(fresh: ProducerId, timeout: Duration, now: Timestamp) -> TransactionImage {
    TransactionImage {
        producer: ProducerIdentity { id: fresh, epoch: ProducerEpoch::ZERO },
        previous: Some(fresh),
        next: None,
        last_epoch: None,
        timeout,
        state: TransactionState::Empty,
        partitions: BTreeSet::new(),
        updated_at: now,
        started_at: None,
        version: TransactionVersion::Zero,
    }
}

/// The epoch is looked at later. The former id is believed only where its epochs ended: the producer did not hear of the
/// new one.
fn is_known(image: &TransactionImage, expected: Claim) -> bool {
    let was_last = expected.epoch.is_some_and(ProducerEpoch::is_exhausted);
    expected.has_id(image.producer.id)
        || (was_last && image.previous.is_some_and(|previous| expected.has_id(previous)))
}

/// The identity, and the epoch of a producer that does not hear of it.
fn next_identity(
    image: &TransactionImage,
    expected: Option<Claim>,
    fresh: Option<ProducerId>,
) -> Result<(ProducerIdentity, Option<ProducerEpoch>), InitializeError> {
    let ProducerIdentity { id, epoch } = image.producer;
    let is_current = expected.is_none_or(|expected| expected.epoch == Some(epoch));
    let last_epoch = expected.map(|_| epoch);
    if epoch.is_exhausted() && is_current {
        let id = fresh.ok_or(InitializeError::NeedsProducerId)?;
        return Ok((ProducerIdentity { id, epoch: ProducerEpoch::ZERO }, last_epoch));
    }
    if is_current {
        let epoch = epoch.next().ok_or(InitializeError::Fenced)?;
        return Ok((ProducerIdentity { id, epoch }, last_epoch));
    }
    // The answer to the same request was lost. Another producer would have made the last epoch unknown.
    let said = expected.and_then(|expected| expected.epoch);
    if said.is_some() && said == image.last_epoch {
        return Ok((image.producer, image.last_epoch));
    }
    Err(InitializeError::Fenced)
}
