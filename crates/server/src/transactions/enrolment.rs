//! Partitions ask the coordinator of a transaction whether they are part of it, or to become so.
//!
//! Owns: the question, and patience while the transaction before it ends.
//! Does not own: when a partition asks, and what it makes of the answer (`partition`, `handlers`).
//!
//! Source: KIP-890; requirements TXN-06, TXN-07.

use std::collections::BTreeSet;

use ottla_coordinator::transaction::{Claim, Enlist, EnlistError, TransactionAnswer, TransactionCommand};
use ottla_env::time::{now, sleep};
use ottla_model::{ProducerEpoch, ProducerId, TopicPartition, TransactionVersion, TransactionalId};
use ottla_protocol::ErrorCode;

use crate::error_code;
use crate::node::Node;

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EnrolmentKind {
    /// Whether the partitions are part of the transaction (older clients say so beforehand).
    Verify,
    /// That they become part of it (transaction version 2).
    Add,
}

/// Partitions that one producer writes to in a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enrolment {
    pub id: TransactionalId,
    pub producer: ProducerId,
    pub epoch: ProducerEpoch,
    pub partitions: BTreeSet<TopicPartition>,
    pub kind: EnrolmentKind,
}

/// Asks, and returns a code for each partition: `None`; `TransactionAbortable` for those that are not part of the
/// transaction; for all of them what the coordinator refuses, or why there is none (`NotCoordinator`,
/// `CoordinatorLoadInProgress`, `CoordinatorNotAvailable`). Adding is tried again for a moment while the transaction
/// before ends.
pub async fn enrol(node: &Node, enrolment: Enrolment) -> Vec<(TopicPartition, ErrorCode)> {
    let Enrolment { id, producer, epoch, partitions, kind } = enrolment;
    let producer = Claim { id: Some(producer), epoch: Some(epoch) };
    let command = Enlist { id, producer, partitions: partitions.clone(), version: TransactionVersion::Two };
    match kind {
        EnrolmentKind::Verify => {
            let answer = node.transactions.ask(node, TransactionCommand::Verify(command)).await;
            let TransactionAnswer::Verify(verified) = answer else {
                unreachable!("a verification is answered as one");
            };
            let code = |partition: &TopicPartition| match &verified {
                Ok(added) if added.contains(partition) => ErrorCode::None,
                Ok(_) => ErrorCode::TransactionAbortable,
                Err(error) => error_code::of_enlist(error),
            };
            partitions.into_iter().map(|partition| (partition.clone(), code(&partition))).collect()
        }
        EnrolmentKind::Add => {
            let added = add_patiently(node, command).await;
            let code = added.map_or_else(|error| error_code::of_enlist(&error), |()| ErrorCode::None);
            partitions.into_iter().map(|partition| (partition, code)).collect()
        }
    }
}

async fn add_patiently(node: &Node, command: Enlist) -> Result<(), EnlistError> {
    let config = node.config().transactions;
    let until = now() + config.enrolment_time_max;
    loop {
        let answer = node.transactions.ask(node, TransactionCommand::Enlist(command.clone())).await;
        let TransactionAnswer::Enlist(added) = answer else {
            unreachable!("an addition is answered as one");
        };
        if added != Err(EnlistError::Concurrent) || now() + config.enrolment_backoff > until {
            return added;
        }
        sleep(config.enrolment_backoff).await;
    }
}
