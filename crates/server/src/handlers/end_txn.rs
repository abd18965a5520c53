//! EndTxn (API key 26): a producer commits or aborts its transaction.
//!
//! Source: requirements TXN-04, TXN-05; KIP-98, KIP-890.

use ottla_coordinator::runtime::TransactionOutcome;
use ottla_coordinator::transaction::{Claim, EndTransaction, TransactionAnswer, TransactionCommand};
use ottla_model::{TransactionVersion, TransactionalId};
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::{EndTxnRequest, EndTxnResponse};
use ottla_security::Operation;

use crate::caller::Caller;
use crate::error_code;
use crate::node::Node;

/// First version that tells a fenced producer so.
const FIRST_WITH_FENCING: i16 = 2;
/// First version of clients that get a new epoch with every end.
const FIRST_WITH_EPOCHS: i16 = 5;

/// Serves one request.
pub async fn handle(node: &Node, caller: &Caller, version: i16, request: EndTxnRequest) -> EndTxnResponse {
    if !node.access.may_transactional_id(caller, Operation::Write, &request.transactional_id) {
        return refused(ErrorCode::TransactionalIdAuthorizationFailed);
    }
    let command = EndTransaction {
        id: TransactionalId::new(&request.transactional_id),
        producer: Claim::new(request.producer_id, request.producer_epoch),
        outcome: if request.committed { TransactionOutcome::Committed } else { TransactionOutcome::Aborted },
        version: if version >= FIRST_WITH_EPOCHS {
            TransactionVersion::Two
        } else {
            TransactionVersion::Zero
        },
        fresh: None,
    };
    let answer = node.transactions.ask(node, TransactionCommand::End(command)).await;
    let TransactionAnswer::End(ended) = answer else {
        unreachable!("an end is answered as one");
    };
    match ended {
        Ok(Some(producer)) => EndTxnResponse {
            producer_id: producer.id.value(),
            producer_epoch: producer.epoch.value(),
            ..EndTxnResponse::default()
        },
        Ok(None) => refused(ErrorCode::None),
        Err(error) => {
            let code = error_code::of_end_transaction(&error);
            refused(error_code::told_as(code, version >= FIRST_WITH_FENCING))
        }
    }
}

/// An answer without a new identity.
fn refused(error: ErrorCode) -> EndTxnResponse {
    let error_code = error.number();
    EndTxnResponse { error_code, producer_id: -1, producer_epoch: -1, ..EndTxnResponse::default() }
}
