//! What the transaction coordinator answers.
//!
//! Owns: the answers and the errors in the terms of transactions. Does not own: error codes (`server`).
//!
//! Source: KIP-98, KIP-360, KIP-588, KIP-664, KIP-890; requirements TXN-01…05, TXN-13.

use std::collections::BTreeSet;
use std::time::Duration;

use ottla_model::{ProducerEpoch, ProducerId, Timestamp, TopicPartition, TransactionalId};

use super::record::TransactionState;
use crate::runtime::Unavailable;

/// The answer to a [`super::TransactionCommand`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TransactionAnswer {
    Initialize(Result<ProducerIdentity, InitializeError>),
    Enlist(Result<(), EnlistError>),
    /// Those of the partitions that are part of the transaction.
    Verify(Result<BTreeSet<TopicPartition>, EnlistError>),
    /// Who the producer is from now on, where that changes with every transaction.
    End(Result<Option<ProducerIdentity>, EndError>),
    Describe(Result<DescribedTransaction, DescribeTransactionError>),
    List(Result<Vec<ListedTransaction>, ListTransactionsError>),
    /// [`super::TransactionCommand::Marked`], [`super::TransactionCommand::Expire`] and
    /// [`super::TransactionCommand::ClusterVersion`] were heard.
    Noted(Result<(), Unavailable>),
}

/// A producer id and its epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProducerIdentity {
    pub id: ProducerId,
    pub epoch: ProducerEpoch,
}

/// Why a producer gets no identity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InitializeError {
    #[error("the transactional id is empty")]
    EmptyId,
    #[error("the transaction timeout is not between 1 ms and {max:?}")]
    TimeoutOutOfRange { max: Duration },
    #[error("another producer has this transactional id now")]
    Fenced,
    /// The former transaction has not ended yet.
    #[error("a transaction of this id is about to end")]
    Concurrent,
    #[error("a fresh producer id is needed")]
    NeedsProducerId,
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// Why partitions do not become part of a transaction, or are not looked for in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnlistError {
    #[error("the transactional id is empty")]
    EmptyId,
    #[error("the transactional id does not have this producer id")]
    UnknownProducer,
    #[error("another producer has this transactional id now")]
    Fenced,
    #[error("a transaction of this id is about to end")]
    Concurrent,
    /// The client follows a version that the cluster does not write.
    #[error("the cluster does not write transactions of version 2")]
    UnsupportedVersion,
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// Why a transaction does not end as asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndError {
    #[error("the transactional id is empty")]
    EmptyId,
    #[error("the transactional id does not have this producer id")]
    UnknownProducer,
    #[error("another producer has this transactional id now")]
    Fenced,
    #[error("a transaction of this id is about to end")]
    Concurrent,
    #[error("a transaction that is {state} cannot end that way")]
    InvalidState { state: TransactionState },
    #[error("a fresh producer id is needed")]
    NeedsProducerId,
    /// The client follows a version that the cluster does not write.
    #[error("the cluster does not write transactions of version 2")]
    UnsupportedVersion,
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// Why a transaction is not described.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DescribeTransactionError {
    #[error("the transactional id is empty")]
    EmptyId,
    #[error("nobody has this transactional id")]
    UnknownId,
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// Why transactions are not listed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ListTransactionsError {
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// One transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedTransaction {
    pub producer: ProducerIdentity,
    pub state: TransactionState,
    pub timeout: Duration,
    /// `None`: the producer has not begun any since it got its identity.
    pub started_at: Option<Timestamp>,
    /// Those that have no marker yet.
    pub partitions: BTreeSet<TopicPartition>,
}

/// A row of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedTransaction {
    pub id: TransactionalId,
    pub producer: ProducerId,
    pub state: TransactionState,
}

impl TransactionAnswer {
    /// Whether the command is to be said again with a producer id.
    pub fn needs_producer_id(&self) -> bool {
        match self {
            TransactionAnswer::Initialize(Err(InitializeError::NeedsProducerId))
            | TransactionAnswer::End(Err(EndError::NeedsProducerId)) => true,
            TransactionAnswer::Initialize(_)
            | TransactionAnswer::End(_)
            | TransactionAnswer::Enlist(_)
            | TransactionAnswer::Verify(_)
            | TransactionAnswer::Describe(_)
            | TransactionAnswer::List(_)
            | TransactionAnswer::Noted(_) => false,
        }
    }

    /// The same answer if its records were not committed.
    pub(super) fn unavailable(self, why: Unavailable) -> TransactionAnswer {
        match self {
            TransactionAnswer::Initialize(_) => TransactionAnswer::Initialize(Err(why.into())),
            TransactionAnswer::Enlist(_) => TransactionAnswer::Enlist(Err(why.into())),
            TransactionAnswer::Verify(_) => TransactionAnswer::Verify(Err(why.into())),
            TransactionAnswer::End(_) => TransactionAnswer::End(Err(why.into())),
            TransactionAnswer::Describe(_) => TransactionAnswer::Describe(Err(why.into())),
            TransactionAnswer::List(_) => TransactionAnswer::List(Err(why.into())),
            TransactionAnswer::Noted(_) => TransactionAnswer::Noted(Err(why)),
        }
    }
}
