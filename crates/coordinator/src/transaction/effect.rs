//! What the server does for the transaction coordinator once a decision is committed.
//!
//! Owns: the shape of the work. Does not own: how it is done, and how often it is tried.
//!
//! Source: KIP-98, "Write markers"; requirement TXN-09.

use std::collections::BTreeSet;

use ottla_model::{TopicPartition, TransactionVersion, TransactionalId};

use super::answer::ProducerIdentity;
use crate::runtime::TransactionOutcome;

/// Work outside the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TransactionEffect {
    /// The transaction is decided: its partitions are to learn of it, until [`super::Marked`] has named all of them.
    Mark(Marking),
    /// The transaction ran out of time and its producer id is used up: [`super::Expire`] is to bring another.
    FetchProducerId { id: TransactionalId, producer: ProducerIdentity },
}

/// Markers of one transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marking {
    pub id: TransactionalId,
    /// The identity the markers carry.
    pub producer: ProducerIdentity,
    pub outcome: TransactionOutcome,
    /// The version the transaction followed: partitions expect another epoch in its markers.
    pub version: TransactionVersion,
    pub partitions: BTreeSet<TopicPartition>,
}
