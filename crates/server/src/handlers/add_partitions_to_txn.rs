//! AddPartitionsToTxn (API key 24): partitions become part of a transaction.
//!
//! Up to version 3 producers ask, for one transaction. From version 4 on brokers do, for several, and may ask whether the
//! partitions were added.
//!
//! Source: requirements TXN-02, TXN-06, TXN-07; KIP-98, KIP-890.

use std::collections::BTreeSet;

use ottla_coordinator::transaction::{Claim, Enlist, EnlistError, TransactionAnswer, TransactionCommand};
use ottla_model::{TopicName, TopicPartition, TransactionVersion, TransactionalId};
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::add_partitions_to_txn_request::{
    AddPartitionsToTxnTopic, AddPartitionsToTxnTransaction,
};
use ottla_protocol::messages::add_partitions_to_txn_response::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnResult, AddPartitionsToTxnTopicResult,
};
use ottla_protocol::messages::{AddPartitionsToTxnRequest, AddPartitionsToTxnResponse};
use ottla_security::Operation;

use crate::caller::Caller;
use crate::error_code;
use crate::node::Node;

/// First version that tells a fenced producer so.
const FIRST_WITH_FENCING: i16 = 2;
/// First version of brokers.
const FIRST_OF_BROKERS: i16 = 4;

/// Serves one request.
pub async fn handle(
    node: &Node,
    caller: &Caller,
    version: i16,
    request: AddPartitionsToTxnRequest,
) -> AddPartitionsToTxnResponse {
    if version >= FIRST_OF_BROKERS {
        return handle_broker(node, caller, request.transactions).await;
    }
    let transaction = AddPartitionsToTxnTransaction {
        transactional_id: request.v3_and_below_transactional_id,
        producer_id: request.v3_and_below_producer_id,
        producer_epoch: request.v3_and_below_producer_epoch,
        verify_only: false,
        topics: request.v3_and_below_topics,
    };
    let knows_fencing = version >= FIRST_WITH_FENCING;
    let results = handle_client(node, caller, &transaction).await;
    let results =
        results.into_iter().map(|(partition, code)| (partition, error_code::told_as(code, knows_fencing)));
    AddPartitionsToTxnResponse {
        results_by_topic_v3_and_below: by_topic(&transaction.topics, &results.collect::<Vec<_>>()),
        ..AddPartitionsToTxnResponse::default()
    }
}

/// A partition as it was named, which need not be one.
type Named = (String, i32);

async fn handle_broker(
    node: &Node,
    caller: &Caller,
    transactions: Vec<AddPartitionsToTxnTransaction>,
) -> AddPartitionsToTxnResponse {
    if !node.access.may_cluster(caller, Operation::ClusterAction) {
        return refused(ErrorCode::ClusterAuthorizationFailed);
    }
    let mut results_by_transaction = Vec::with_capacity(transactions.len());
    for transaction in transactions {
        let results = add_those_that_exist(node, &transaction, TransactionVersion::Two, &|_| true).await;
        // As in Kafka, the request as a whole is refused then.
        if results.iter().any(|(_, code)| *code == ErrorCode::UnsupportedVersion) {
            return refused(ErrorCode::UnsupportedVersion);
        }
        let topic_results = by_topic(&transaction.topics, &results);
        let transactional_id = transaction.transactional_id;
        results_by_transaction.push(AddPartitionsToTxnResult { transactional_id, topic_results });
    }
    AddPartitionsToTxnResponse { results_by_transaction, ..AddPartitionsToTxnResponse::default() }
}

fn refused(error: ErrorCode) -> AddPartitionsToTxnResponse {
    AddPartitionsToTxnResponse { error_code: error.number(), ..AddPartitionsToTxnResponse::default() }
}

async fn handle_client(
    node: &Node,
    caller: &Caller,
    transaction: &AddPartitionsToTxnTransaction,
) -> Vec<(Named, ErrorCode)> {
    if !node.access.may_transactional_id(caller, Operation::Write, &transaction.transactional_id) {
        let refused = ErrorCode::TransactionalIdAuthorizationFailed;
        return named(&transaction.topics).map(|partition| (partition, refused)).collect();
    }
    // Only the coordinators write to internal topics.
    let may_write = |topic: &str| {
        let is_internal = TopicName::new(topic).is_ok_and(|topic| topic.is_internal());
        !is_internal && node.access.may_topic(caller, Operation::Write, topic)
    };
    add_those_that_exist(node, transaction, TransactionVersion::Zero, &may_write).await
}

/// One partition that cannot be added keeps the others from being tried.
async fn add_those_that_exist(
    node: &Node,
    transaction: &AddPartitionsToTxnTransaction,
    version: TransactionVersion,
    may_write: &(dyn Fn(&str) -> bool + Sync),
) -> Vec<(Named, ErrorCode)> {
    let mut partitions = BTreeSet::new();
    let mut results: Vec<(Named, ErrorCode)> = Vec::new();
    for (topic, index) in named(&transaction.topics) {
        let code = if !may_write(&topic) {
            ErrorCode::TopicAuthorizationFailed
        } else if let Some(partition) = existing(node, &topic, index) {
            partitions.insert(partition);
            ErrorCode::OperationNotAttempted
        } else {
            ErrorCode::UnknownTopicOrPartition
        };
        results.push(((topic, index), code));
    }
    if results.iter().any(|(_, code)| *code != ErrorCode::OperationNotAttempted) {
        return results;
    }
    let command = Enlist {
        id: TransactionalId::new(&transaction.transactional_id),
        producer: Claim::new(transaction.producer_id, transaction.producer_epoch),
        partitions,
        version,
    };
    let known = if transaction.verify_only { verify(node, command).await } else { add(node, command).await };
    for ((topic, index), code) in &mut results {
        *code = match &known {
            Ok(known)
                if TopicPartition::named(topic, *index)
                    .is_some_and(|partition| known.contains(&partition)) =>
            {
                ErrorCode::None
            }
            Ok(_) => ErrorCode::TransactionAbortable,
            Err(error) => error_code::of_enlist(error),
        };
    }
    results
}

/// Those that are part of the transaction.
async fn verify(node: &Node, command: Enlist) -> Result<BTreeSet<TopicPartition>, EnlistError> {
    let answer = node.transactions.ask(node, TransactionCommand::Verify(command)).await;
    let TransactionAnswer::Verify(verified) = answer else {
        unreachable!("a verification is answered as one");
    };
    verified
}

/// Those that are part of the transaction now.
async fn add(node: &Node, command: Enlist) -> Result<BTreeSet<TopicPartition>, EnlistError> {
    let partitions = command.partitions.clone();
    let answer = node.transactions.ask(node, TransactionCommand::Enlist(command)).await;
    let TransactionAnswer::Enlist(added) = answer else {
        unreachable!("an addition is answered as one");
    };
    added.map(|()| partitions)
}

fn named(topics: &[AddPartitionsToTxnTopic]) -> impl Iterator<Item = Named> {
    topics.iter().flat_map(|topic| topic.partitions.iter().map(|index| (topic.name.clone(), *index)))
}

fn existing(node: &Node, topic: &str, index: i32) -> Option<TopicPartition> {
    let partition = TopicPartition::named(topic, index)?;
    let image = node.image();
    let exists =
        image.topics.by_name(topic).is_some_and(|topic| topic.partition(partition.partition).is_some());
    exists.then_some(partition)
}

/// The results in the order of the request.
fn by_topic(
    topics: &[AddPartitionsToTxnTopic],
    results: &[(Named, ErrorCode)],
) -> Vec<AddPartitionsToTxnTopicResult> {
    let mut results = results.iter();
    let row = |((_, index), code): &(Named, ErrorCode)| AddPartitionsToTxnPartitionResult {
        partition_index: *index,
        partition_error_code: code.number(),
    };
    let of_topic = |topic: &AddPartitionsToTxnTopic| AddPartitionsToTxnTopicResult {
        name: topic.name.clone(),
        results_by_partition: results.by_ref().take(topic.partitions.len()).map(row).collect(),
    };
    topics.iter().map(of_topic).collect()
}
