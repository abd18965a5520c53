//! AddOffsetsToTxn (API key 25): a producer is about to commit offsets of a group in its transaction.
//!
//! Source: requirement TXN-03; KIP-98.

use std::collections::BTreeSet;

use ottla_coordinator::transaction::{Claim, Enlist, TransactionAnswer, TransactionCommand};
use ottla_model::{TopicName, TopicPartition, TransactionVersion, TransactionalId, coordinator_partition};
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::{AddOffsetsToTxnRequest, AddOffsetsToTxnResponse};
use ottla_security::Operation;

use crate::caller::Caller;
use crate::error_code;
use crate::internal_topics::InternalTopic;
use crate::node::Node;

/// First version that tells a fenced producer so.
const FIRST_WITH_FENCING: i16 = 2;

/// Serves one request.
pub async fn handle(
    node: &Node,
    caller: &Caller,
    version: i16,
    request: AddOffsetsToTxnRequest,
) -> AddOffsetsToTxnResponse {
    let code = add(node, caller, request).await;
    let code = error_code::told_as(code, version >= FIRST_WITH_FENCING);
    AddOffsetsToTxnResponse { error_code: code.number(), ..AddOffsetsToTxnResponse::default() }
}

async fn add(node: &Node, caller: &Caller, request: AddOffsetsToTxnRequest) -> ErrorCode {
    if !node.access.may_transactional_id(caller, Operation::Write, &request.transactional_id) {
        return ErrorCode::TransactionalIdAuthorizationFailed;
    }
    if !node.access.may_group(caller, Operation::Read, &request.group_id) {
        return ErrorCode::GroupAuthorizationFailed;
    }
    let command = Enlist {
        id: TransactionalId::new(&request.transactional_id),
        producer: Claim::new(request.producer_id, request.producer_epoch),
        partitions: offsets_of(node, &request.group_id).into_iter().collect::<BTreeSet<_>>(),
        // Clients of transaction version 2 do without this request.
        version: TransactionVersion::Zero,
    };
    let answer = node.transactions.ask(node, TransactionCommand::Enlist(command)).await;
    let TransactionAnswer::Enlist(added) = answer else {
        unreachable!("an addition is answered as one");
    };
    added.map_or_else(|error| error_code::of_enlist(&error), |()| ErrorCode::None)
}

/// Where the group's offsets lie, or will lie once their topic is there.
fn offsets_of(node: &Node, group: &str) -> Option<TopicPartition> {
    let name = InternalTopic::ConsumerOffsets.name();
    let there =
        node.image().topics.by_name(name).and_then(|topic| u32::try_from(topic.partition_count()).ok());
    let partitions = there.unwrap_or_else(|| node.config().groups.offsets_partitions);
    let topic = TopicName::new(name).ok()?;
    Some(TopicPartition::new(topic, coordinator_partition(group, partitions)?))
}
