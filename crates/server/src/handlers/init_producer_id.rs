//! InitProducerId (API key 22): a new identity for an idempotent producer.
//!
//! Transactions have no coordinator here yet: whoever names a transactional id gets an answer that no client tries
//! again.
//!
//! Source: requirements IDM-10, SEC-33.

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::init_producer_id_request::InitProducerIdRequest;
use ottla_protocol::messages::init_producer_id_response::InitProducerIdResponse;

use crate::caller::Caller;
use crate::node::Node;

/// Serves one request.
pub async fn handle(node: &Node, caller: &Caller, request: InitProducerIdRequest) -> InitProducerIdResponse {
    // Nobody can be called by the empty name.
    if request.transactional_id.as_deref() == Some("") {
        return refused(ErrorCode::InvalidRequest);
    }
    if request.transactional_id.is_some() {
        // Every client takes this code as final; others are tried again for as long as the client is patient.
        return refused(ErrorCode::TransactionalIdAuthorizationFailed);
    }
    if !node.access.may_produce_idempotently(caller) {
        return refused(ErrorCode::ClusterAuthorizationFailed);
    }
    if (request.producer_id == -1) != (request.producer_epoch == -1) {
        return refused(ErrorCode::InvalidRequest);
    }
    match node.producer_ids.next(node).await {
        Ok(id) => InitProducerIdResponse {
            producer_id: id.value(),
            producer_epoch: 0,
            ..InitProducerIdResponse::default()
        },
        Err(error) => refused(error),
    }
}

fn refused(error: ErrorCode) -> InitProducerIdResponse {
    InitProducerIdResponse {
        error_code: error.number(),
        producer_id: -1,
        producer_epoch: -1,
        ..InitProducerIdResponse::default()
    }
}
