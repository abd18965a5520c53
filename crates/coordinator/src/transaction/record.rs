//! What a transaction coordinator persists.
//!
//! Owns: the records in the terms of transactions, the states of a transaction.
//! Does not own: their bytes (`record_bytes`), their effect (`shard`), which state follows which (`initialize`,
//! `enlist`, `end`).
//!
//! A transactional id is written as a whole with every change.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ottla_model::{
    ProducerEpoch, ProducerId, Timestamp, TopicPartition, TransactionVersion, TransactionalId,
};

use super::answer::ProducerIdentity;
use crate::runtime::TransactionOutcome;

/// One record of `__transaction_state`; without an image it is a tombstone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransactionRecord {
    pub id: TransactionalId,
    pub image: Option<Arc<TransactionImage>>,
    /// In which layout the image is written.
    pub layout: ValueVersion,
}

/// Layout of a record's value: the one with room for KIP-890's fields needs `transaction.version` 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueVersion {
    Zero,
    One,
}

impl From<TransactionVersion> for ValueVersion {
    fn from(version: TransactionVersion) -> ValueVersion {
        match version {
            TransactionVersion::Zero => ValueVersion::Zero,
            TransactionVersion::One | TransactionVersion::Two => ValueVersion::One,
        }
    }
}

/// Where a transactional id stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TransactionState {
    /// The producer has its identity and has not begun.
    Empty,
    Ongoing,
    /// Decided, and partitions are being told.
    PrepareCommit,
    PrepareAbort,
    /// All partitions know.
    CompleteCommit,
    CompleteAbort,
    /// About to be forgotten. Kafka names it, and no record has it.
    Dead,
    /// About to be fenced. Kafka names it, and no record has it.
    PrepareEpochFence,
}

/// A number that stands for no state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("transaction state {0} is not known")]
pub struct UnknownState(pub i8);

impl TransactionState {
    /// By number.
    pub const ALL: [TransactionState; 8] = [
        TransactionState::Empty,
        TransactionState::Ongoing,
        TransactionState::PrepareCommit,
        TransactionState::PrepareAbort,
        TransactionState::CompleteCommit,
        TransactionState::CompleteAbort,
        TransactionState::Dead,
        TransactionState::PrepareEpochFence,
    ];

    /// The number in records.
    pub const fn number(self) -> i8 {
        match self {
            TransactionState::Empty => 0,
            TransactionState::Ongoing => 1,
            TransactionState::PrepareCommit => 2,
            TransactionState::PrepareAbort => 3,
            TransactionState::CompleteCommit => 4,
            TransactionState::CompleteAbort => 5,
            TransactionState::Dead => 6,
            TransactionState::PrepareEpochFence => 7,
        }
    }

    /// The state of this number.
    pub fn from_number(number: i8) -> Result<TransactionState, UnknownState> {
        let found = TransactionState::ALL.into_iter().find(|state| state.number() == number);
        found.ok_or(UnknownState(number))
    }

    /// The name in listings and their filters.
    pub const fn name(self) -> &'static str {
        match self {
            TransactionState::Empty => "Empty",
            TransactionState::Ongoing => "Ongoing",
            TransactionState::PrepareCommit => "PrepareCommit",
            TransactionState::PrepareAbort => "PrepareAbort",
            TransactionState::CompleteCommit => "CompleteCommit",
            TransactionState::CompleteAbort => "CompleteAbort",
            TransactionState::Dead => "Dead",
            TransactionState::PrepareEpochFence => "PrepareEpochFence",
        }
    }

    /// The state of this name, letter for letter.
    pub fn from_name(name: &str) -> Option<TransactionState> {
        TransactionState::ALL.into_iter().find(|state| state.name() == name)
    }

    /// How the transaction ends, while its partitions are being told.
    pub const fn decided(self) -> Option<TransactionOutcome> {
        match self {
            TransactionState::PrepareCommit => Some(TransactionOutcome::Committed),
            TransactionState::PrepareAbort => Some(TransactionOutcome::Aborted),
            TransactionState::Empty
            | TransactionState::Ongoing
            | TransactionState::CompleteCommit
            | TransactionState::CompleteAbort
            | TransactionState::Dead
            | TransactionState::PrepareEpochFence => None,
        }
    }

    /// Whether an id that stands here may be forgotten.
    pub const fn may_expire(self) -> bool {
        match self {
            TransactionState::Empty | TransactionState::CompleteCommit | TransactionState::CompleteAbort => {
                true
            }
            TransactionState::Ongoing
            | TransactionState::PrepareCommit
            | TransactionState::PrepareAbort
            | TransactionState::Dead
            | TransactionState::PrepareEpochFence => false,
        }
    }
}

impl fmt::Display for TransactionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A transactional id at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransactionImage {
    pub producer: ProducerIdentity,
    /// The producer id before the last change.
    pub previous: Option<ProducerId>,
    /// The producer id the end of the transaction brings, where the present one has no epoch left.
    pub next: Option<ProducerId>,
    /// The epoch a producer may have that did not hear of the last change. No record has it: after a restart such a
    /// producer is fenced, as in Kafka.
    pub last_epoch: Option<ProducerEpoch>,
    pub timeout: Duration,
    pub state: TransactionState,
    pub partitions: BTreeSet<TopicPartition>,
    pub updated_at: Timestamp,
    /// `None`: the producer has not begun any since it got its identity.
    pub started_at: Option<Timestamp>,
    /// The version the client follows.
    pub version: TransactionVersion,
}

impl TransactionImage {
    /// The same with what every change brings along.
    pub(super) fn changed(&self, state: TransactionState, now: Timestamp) -> TransactionImage {
        TransactionImage { previous: Some(self.producer.id), state, updated_at: now, ..self.clone() }
    }
}
