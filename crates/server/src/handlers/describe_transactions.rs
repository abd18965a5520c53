//! DescribeTransactions (API key 65): what transactional ids are at.
//!
//! Source: requirement TXN-13; KIP-664.

use std::collections::BTreeMap;

use ottla_coordinator::transaction::{DescribedTransaction, TransactionAnswer, TransactionCommand};
use ottla_model::{Timestamp, TransactionalId};
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::describe_transactions_response::{TopicData, TransactionState};
use ottla_protocol::messages::{DescribeTransactionsRequest, DescribeTransactionsResponse};
use ottla_security::Operation;

use crate::caller::Caller;
use crate::error_code;
use crate::node::Node;

/// Serves one request.
pub async fn handle(
    node: &Node,
    caller: &Caller,
    request: DescribeTransactionsRequest,
) -> DescribeTransactionsResponse {
    let mut transaction_states = Vec::with_capacity(request.transactional_ids.len());
    for id in request.transactional_ids {
        transaction_states.push(describe(node, caller, id).await);
    }
    DescribeTransactionsResponse { throttle_time_ms: 0, transaction_states }
}

async fn describe(node: &Node, caller: &Caller, id: String) -> TransactionState {
    if !node.access.may_transactional_id(caller, Operation::Describe, &id) {
        return refused(id, ErrorCode::TransactionalIdAuthorizationFailed);
    }
    let command = TransactionCommand::Describe(TransactionalId::new(&id));
    let TransactionAnswer::Describe(described) = node.transactions.ask(node, command).await else {
        unreachable!("a description is answered as one");
    };
    match described {
        Ok(described) => row((node, caller), id, &described),
        Err(error) => refused(id, error_code::of_describe_transaction(&error)),
    }
}

/// Topics that the caller may not describe are left out.
fn row((node, caller): (&Node, &Caller), id: String, described: &DescribedTransaction) -> TransactionState {
    let mut topics: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    for partition in &described.partitions {
        topics.entry(partition.topic.as_str()).or_default().push(partition.partition.value());
    }
    topics.retain(|topic, _| node.access.may_topic(caller, Operation::Describe, topic));
    let topics = topics.into_iter();
    TransactionState {
        transactional_id: id,
        transaction_state: described.state.name().to_owned(),
        transaction_timeout_ms: i32::try_from(described.timeout.as_millis()).unwrap_or(i32::MAX),
        transaction_start_time_ms: described.started_at.unwrap_or(Timestamp::NONE).millis(),
        producer_id: described.producer.id.value(),
        producer_epoch: described.producer.epoch.value(),
        topics: topics.map(|(topic, partitions)| TopicData { topic: topic.to_owned(), partitions }).collect(),
        ..TransactionState::default()
    }
}

fn refused(id: String, error: ErrorCode) -> TransactionState {
    TransactionState { error_code: error.number(), transactional_id: id, ..TransactionState::default() }
}
