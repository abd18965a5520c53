//! InitProducerId (API key 22): an identity for an idempotent or a transactional producer.
//!
//! Source: requirements IDM-10, TXN-01, SEC-33; KIP-360.

use std::time::Duration;

use ottla_coordinator::transaction::{Claim, Initialize, TransactionAnswer, TransactionCommand};
use ottla_model::TransactionalId;
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::init_producer_id_request::InitProducerIdRequest;
use ottla_protocol::messages::init_producer_id_response::InitProducerIdResponse;
use ottla_security::Operation;

use crate::caller::Caller;
use crate::error_code;
use crate::node::Node;

/// First version that tells a fenced producer so.
const FIRST_WITH_FENCING: i16 = 4;

/// Serves one request.
pub async fn handle(
    node: &Node,
    caller: &Caller,
    version: i16,
    request: InitProducerIdRequest,
) -> InitProducerIdResponse {
    match &request.transactional_id {
        Some(id) if node.access.may_transactional_id(caller, Operation::Write, id) => {}
        Some(_) => return refused(ErrorCode::TransactionalIdAuthorizationFailed),
        None if node.access.may_produce_idempotently(caller) => {}
        None => return refused(ErrorCode::ClusterAuthorizationFailed),
    }
    if (request.producer_id == -1) != (request.producer_epoch == -1) {
        return refused(ErrorCode::InvalidRequest);
    }
    let Some(id) = &request.transactional_id else {
        return match node.producer_ids.next(node).await {
            Ok(id) => granted(id.value(), 0),
            Err(error) => refused(error),
        };
    };
    let expected =
        (request.producer_id != -1).then(|| Claim::new(request.producer_id, request.producer_epoch));
    let timeout = u64::try_from(request.transaction_timeout_ms).ok().map(Duration::from_millis);
    let command = Initialize { id: TransactionalId::new(id), timeout, expected, fresh: None };
    let answer = node.transactions.ask(node, TransactionCommand::Initialize(command)).await;
    let TransactionAnswer::Initialize(initialized) = answer else {
        unreachable!("an initialization is answered as one");
    };
    match initialized {
        Ok(producer) => granted(producer.id.value(), producer.epoch.value()),
        Err(error) => {
            let code = error_code::of_initialize(&error);
            refused(error_code::told_as(code, version >= FIRST_WITH_FENCING))
        }
    }
}

fn granted(producer_id: i64, producer_epoch: i16) -> InitProducerIdResponse {
    InitProducerIdResponse { producer_id, producer_epoch, ..InitProducerIdResponse::default() }
}

fn refused(error: ErrorCode) -> InitProducerIdResponse {
    InitProducerIdResponse { error_code: error.number(), ..granted(-1, -1) }
}
