//! What the server asks of the transaction coordinator.
//!
//! Owns: the commands in the terms of transactions; what differs between versions of a request is a field here.
//! Does not own: the wire, permissions, whether a partition exists.
//!
//! Some changes need a producer id that nobody has. A command that needs one and has none is refused with
//! `NeedsProducerId`, and is said again with a `fresh` one.
//!
//! Source: Kafka protocol guide; KIP-98, KIP-360, KIP-890.

use std::collections::BTreeSet;
use std::time::Duration;

use ottla_model::{ProducerEpoch, ProducerId, TopicPartition, TransactionVersion, TransactionalId};

use super::answer::ProducerIdentity;
use super::record::TransactionState;
use crate::runtime::TransactionOutcome;

/// One request to the transaction coordinator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TransactionCommand {
    Initialize(Initialize),
    /// Partitions are about to be written to in the producer's transaction.
    Enlist(Enlist),
    /// Whether the partitions are part of the producer's transaction.
    Verify(Enlist),
    End(EndTransaction),
    Describe(TransactionalId),
    List(TransactionFilter),
    /// Markers lie in these partitions, or need not be written any more.
    Marked(Marked),
    /// A transaction ran out of time, and here is the producer id its end needs.
    Expire(Expire),
    /// The cluster writes transactions in this version from now on.
    ClusterVersion(TransactionVersion),
}

/// Who a producer says it is. Numbers that no producer can have are `None`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    pub id: Option<ProducerId>,
    pub epoch: Option<ProducerEpoch>,
}

impl Claim {
    /// The two numbers as a client sends them.
    pub fn new(id: i64, epoch: i16) -> Claim {
        Claim { id: ProducerId::new(id), epoch: ProducerEpoch::new(epoch) }
    }

    /// Whether it is this producer, in whichever epoch.
    pub(super) fn has_id(self, id: ProducerId) -> bool {
        self.id == Some(id)
    }

    /// Whether it is this producer in this epoch.
    pub(super) fn is(self, producer: ProducerIdentity) -> bool {
        self == Claim::from(producer)
    }

    /// The epoch after the one it says.
    pub(super) fn next_epoch(self) -> Option<ProducerEpoch> {
        self.epoch.and_then(ProducerEpoch::next)
    }
}

impl From<ProducerIdentity> for Claim {
    fn from(producer: ProducerIdentity) -> Claim {
        Claim { id: Some(producer.id), epoch: Some(producer.epoch) }
    }
}

/// InitProducerId with a transactional id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Initialize {
    pub id: TransactionalId,
    /// `transaction.timeout.ms` of the producer; `None` where it is negative.
    pub timeout: Option<Duration>,
    /// Who the producer was, if it goes on after an error (version 3 on, KIP-360).
    pub expected: Option<Claim>,
    pub fresh: Option<ProducerId>,
}

/// AddPartitionsToTxn, AddOffsetsToTxn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enlist {
    pub id: TransactionalId,
    pub producer: Claim,
    pub partitions: BTreeSet<TopicPartition>,
    /// The version the client follows.
    pub version: TransactionVersion,
}

/// EndTxn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndTransaction {
    pub id: TransactionalId,
    pub producer: Claim,
    pub outcome: TransactionOutcome,
    /// The version the client follows.
    pub version: TransactionVersion,
    pub fresh: Option<ProducerId>,
}

/// Partitions whose marker is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marked {
    pub id: TransactionalId,
    /// As in the marker.
    pub producer: ProducerIdentity,
    pub partitions: BTreeSet<TopicPartition>,
}

/// The answer to [`super::TransactionEffect::FetchProducerId`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expire {
    pub id: TransactionalId,
    pub producer: ProducerIdentity,
    pub fresh: ProducerId,
}

/// ListTransactions, without the pattern.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TransactionFilter {
    /// `None`: any.
    pub states: Option<BTreeSet<TransactionState>>,
    /// Empty: any.
    pub producers: BTreeSet<i64>,
    /// Transactions that began longer ago than this.
    pub longer_than: Option<Duration>,
}

impl TransactionCommand {
    /// The answer to `NeedsProducerId`; other commands have no use for it.
    pub fn give_producer_id(&mut self, id: ProducerId) {
        match self {
            TransactionCommand::Initialize(command) => command.fresh = Some(id),
            TransactionCommand::End(command) => command.fresh = Some(id),
            TransactionCommand::Enlist(_)
            | TransactionCommand::Verify(_)
            | TransactionCommand::Describe(_)
            | TransactionCommand::List(_)
            | TransactionCommand::Marked(_)
            | TransactionCommand::Expire(_)
            | TransactionCommand::ClusterVersion(_) => {}
        }
    }

    /// The id a command is about; listings and news concern all.
    pub fn id(&self) -> Option<&TransactionalId> {
        match self {
            TransactionCommand::Initialize(command) => Some(&command.id),
            TransactionCommand::Enlist(command) | TransactionCommand::Verify(command) => Some(&command.id),
            TransactionCommand::End(command) => Some(&command.id),
            TransactionCommand::Describe(id) => Some(id),
            TransactionCommand::Marked(command) => Some(&command.id),
            TransactionCommand::Expire(command) => Some(&command.id),
            TransactionCommand::List(_) | TransactionCommand::ClusterVersion(_) => None,
        }
    }
}
