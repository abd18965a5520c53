//! Partitions become part of a transaction, and the first of them begins it.
//!
//! Owns: the checks of AddPartitionsToTxn and AddOffsetsToTxn, and of the question whether partitions were added.
//! Does not own: whether the partitions exist and who may write to them (`server`).
//!
//! Source: KIP-98, KIP-890; requirements TXN-02, TXN-03, TXN-06, TXN-07; Kafka 4.3.1.

use std::collections::BTreeSet;

use ottla_model::{Timestamp, TopicPartition};

use super::answer::EnlistError;
use super::command::Enlist;
use super::record::{TransactionImage, TransactionState};

/// Decides; `None`: all of them are part of it already.
pub(super) fn enlist(
    current: Option<&TransactionImage>,
    command: &Enlist,
    now: Timestamp,
) -> Result<Option<TransactionImage>, EnlistError> {
    let image = current.ok_or(EnlistError::UnknownProducer)?;
    // Asked first: the producer may already have the id that the end of its transaction brings.
    if image.state.decided().is_some() {
        return Err(EnlistError::Concurrent);
    }
    ensure_same(image, command)?;
    let is_open = image.state == TransactionState::Ongoing;
    if is_open && command.partitions.is_subset(&image.partitions) {
        return Ok(None);
    }
    Ok(Some(TransactionImage {
        partitions: image.partitions.union(&command.partitions).cloned().collect(),
        started_at: if is_open { image.started_at } else { Some(now) },
        version: command.version,
        ..image.changed(TransactionState::Ongoing, now)
    }))
}

/// Those of the partitions that are part of the transaction.
pub(super) fn verify(
    current: Option<&TransactionImage>,
    command: &Enlist,
) -> Result<BTreeSet<TopicPartition>, EnlistError> {
    let image = current.ok_or(EnlistError::UnknownProducer)?;
    ensure_same(image, command)?;
    if image.state.decided().is_some() {
        return Err(EnlistError::Concurrent);
    }
    Ok(image.partitions.intersection(&command.partitions).cloned().collect())
}

fn ensure_same(image: &TransactionImage, command: &Enlist) -> Result<(), EnlistError> {
    if command.producer.is(image.producer) {
        Ok(())
    } else if command.producer.has_id(image.producer.id) {
        Err(EnlistError::Fenced)
    } else {
        Err(EnlistError::UnknownProducer)
    }
}
