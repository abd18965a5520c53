//! A transaction ends: decided, told to its partitions, complete.
//!
//! Owns: the checks of EndTxn in both of its forms, the images of each step, fencing.
//! Does not own: when a transaction has lasted too long (`expiry`), the markers (`server`).
//!
//! ```text
//! Version 2, a transaction that is not open      commit              abort
//!   epoch of the request                     retry   present     retry   present
//!   Empty                                    fenced  invalid     fenced  new epoch
//!   CompleteCommit                           done    invalid     invalid new epoch
//!   CompleteAbort                            invalid invalid     done    new epoch
//! ```
//! A retry has the epoch before the present one, or the last one of the former producer id.
//!
//! Source: KIP-98, KIP-890; requirements TXN-04, TXN-05; Kafka 4.3.1.

use std::collections::BTreeSet;

use ottla_model::{ProducerEpoch, ProducerId, Timestamp, TransactionVersion};

use super::answer::{EndError, ProducerIdentity};
use super::command::{Claim, EndTransaction};
use super::record::{TransactionImage, TransactionState};
use crate::runtime::TransactionOutcome;

/// The steps of an end.
#[derive(Debug)]
pub(super) struct Ending {
    pub prepared: TransactionImage,
    /// There is nobody to tell: both steps are written at once.
    pub complete: Option<TransactionImage>,
}

/// What EndTxn leads to.
#[derive(Debug)]
pub(super) enum Ended {
    Begun(Box<Ending>),
    /// It ended this way already, and the answer was lost.
    Before,
}

/// The present producer id has no epoch left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NeedsProducerId;

impl From<NeedsProducerId> for EndError {
    fn from(NeedsProducerId: NeedsProducerId) -> EndError {
        EndError::NeedsProducerId
    }
}

impl Ending {
    fn new(prepared: TransactionImage, now: Timestamp) -> Ending {
        let complete = prepared.partitions.is_empty().then(|| complete(&prepared, now));
        Ending { prepared, complete }
    }

    /// Who the producer is once all is done.
    pub fn identity(&self, now: Timestamp) -> ProducerIdentity {
        self.complete.as_ref().map_or_else(|| complete(&self.prepared, now).producer, |image| image.producer)
    }
}

/// Decides a client's request.
pub(super) fn end(
    current: Option<&TransactionImage>,
    command: &EndTransaction,
    now: Timestamp,
) -> Result<Ended, EndError> {
    let image = current.ok_or(EndError::UnknownProducer)?;
    if command.version.bumps_epochs() {
        end_with_epochs(image, command, now)
    } else {
        end_without_epochs(image, command, now)
    }
}

/// Before KIP-890 the epoch stays, and a retry cannot be told from the next transaction's end.
fn end_without_epochs(
    image: &TransactionImage,
    command: &EndTransaction,
    now: Timestamp,
) -> Result<Ended, EndError> {
    if !command.producer.has_id(image.producer.id) {
        return Err(EndError::UnknownProducer);
    }
    if !command.producer.is(image.producer) {
        return Err(EndError::Fenced);
    }
    match (image.state, command.outcome) {
        (TransactionState::PrepareCommit | TransactionState::PrepareAbort, _) => Err(EndError::Concurrent),
        (TransactionState::Ongoing, outcome) => {
            let prepared = TransactionImage {
                next: None,
                version: TransactionVersion::Zero,
                ..image.changed(prepared_state(outcome), now)
            };
            Ok(Ended::Begun(Box::new(Ending::new(prepared, now))))
        }
        (TransactionState::CompleteCommit, TransactionOutcome::Committed)
        | (TransactionState::CompleteAbort, TransactionOutcome::Aborted) => Ok(Ended::Before),
        (
            state @ (TransactionState::Empty
            | TransactionState::CompleteCommit
            | TransactionState::CompleteAbort
            | TransactionState::Dead
            | TransactionState::PrepareEpochFence),
            _,
        ) => Err(EndError::InvalidState { state }),
    }
}

fn end_with_epochs(
    image: &TransactionImage,
    command: &EndTransaction,
    now: Timestamp,
) -> Result<Ended, EndError> {
    // Asked first: the producer may already have the id that the end of its transaction brings.
    if image.state.decided().is_some() {
        return Err(EndError::Concurrent);
    }
    let is_retry = is_retry(image, command.producer);
    if !command.producer.has_id(image.producer.id) && !is_retry {
        return Err(EndError::UnknownProducer);
    }
    let is_current = command.producer.is(image.producer);
    let invalid = Err(EndError::InvalidState { state: image.state });
    match (image.state, command.outcome) {
        (TransactionState::Empty | TransactionState::Ongoing, _) if !is_current => Err(EndError::Fenced),
        (_, _) if !is_current && !is_retry => Err(EndError::Fenced),
        (TransactionState::Ongoing, outcome) => {
            let prepared = prepare(image, (outcome, image.started_at), (command.fresh, now))?;
            Ok(Ended::Begun(Box::new(Ending::new(prepared, now))))
        }
        (TransactionState::CompleteCommit, TransactionOutcome::Committed)
        | (TransactionState::CompleteAbort, TransactionOutcome::Aborted)
            if is_retry =>
        {
            Ok(Ended::Before)
        }
        // A client that does not know what went wrong fences itself this way.
        (
            TransactionState::Empty | TransactionState::CompleteCommit | TransactionState::CompleteAbort,
            TransactionOutcome::Aborted,
        ) if !is_retry => {
            let prepared = prepare(image, (TransactionOutcome::Aborted, Some(now)), (command.fresh, now))?;
            Ok(Ended::Begun(Box::new(Ending::new(prepared, now))))
        }
        (_, TransactionOutcome::Committed | TransactionOutcome::Aborted) => invalid,
    }
}

/// Whether the producer did not hear of the end that gave it its present identity.
fn is_retry(image: &TransactionImage, producer: Claim) -> bool {
    let before = producer.has_id(image.producer.id) && producer.next_epoch() == Some(image.producer.epoch);
    let before_overflow = image.previous.is_some_and(|previous| producer.has_id(previous))
        && producer.next_epoch() == Some(ProducerEpoch::MAX)
        && image.producer.epoch == ProducerEpoch::ZERO;
    before || before_overflow
}

/// The coordinator itself aborts: whoever has the present epoch is fenced. `version` is the cluster's.
pub(super) fn fence(
    image: &TransactionImage,
    version: TransactionVersion,
    (fresh, now): (Option<ProducerId>, Timestamp),
) -> Result<Ending, NeedsProducerId> {
    if version.bumps_epochs() {
        let aborted = (TransactionOutcome::Aborted, image.started_at);
        return Ok(Ending::new(prepare(image, aborted, (fresh, now))?, now));
    }
    let ProducerIdentity { id, epoch } = image.producer;
    let prepared = TransactionImage {
        producer: ProducerIdentity { id, epoch: epoch.next().unwrap_or(epoch) },
        next: None,
        last_epoch: None,
        version: TransactionVersion::Zero,
        ..image.changed(TransactionState::PrepareAbort, now)
    };
    Ok(Ending::new(prepared, now))
}

/// The decision, in an epoch of its own.
fn prepare(
    image: &TransactionImage,
    (outcome, started_at): (TransactionOutcome, Option<Timestamp>),
    (fresh, now): (Option<ProducerId>, Timestamp),
) -> Result<TransactionImage, NeedsProducerId> {
    let ProducerIdentity { id, epoch } = image.producer;
    let next = if epoch.is_exhausted() { Some(fresh.ok_or(NeedsProducerId)?) } else { None };
    Ok(TransactionImage {
        producer: ProducerIdentity { id, epoch: epoch.next().unwrap_or(epoch) },
        next,
        last_epoch: Some(epoch),
        started_at,
        version: TransactionVersion::Two,
        ..image.changed(prepared_state(outcome), now)
    })
}

/// The last step, when every partition knows.
pub(super) fn complete(prepared: &TransactionImage, now: Timestamp) -> TransactionImage {
    let state = match prepared.state.decided() {
        Some(TransactionOutcome::Committed) => TransactionState::CompleteCommit,
        Some(TransactionOutcome::Aborted) | None => TransactionState::CompleteAbort,
    };
    let producer = match prepared.next {
        Some(id) if prepared.version.bumps_epochs() => ProducerIdentity { id, epoch: ProducerEpoch::ZERO },
        Some(_) | None => prepared.producer,
    };
    TransactionImage { producer, next: None, partitions: BTreeSet::new(), ..prepared.changed(state, now) }
}

fn prepared_state(outcome: TransactionOutcome) -> TransactionState {
    match outcome {
        TransactionOutcome::Committed => TransactionState::PrepareCommit,
        TransactionOutcome::Aborted => TransactionState::PrepareAbort,
    }
}
