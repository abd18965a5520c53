//! Codes of what the transaction coordinator refuses.
//!
//! Owns: one function per error enum, exhaustively, and what older clients are told instead.
//! Does not own: the errors; the codes (`protocol`).
//!
//! Source: requirements TXN-01…05, TXN-12, TXN-13; KIP-588.

use ottla_coordinator::transaction::{
    DescribeTransactionError, EndError, EnlistError, InitializeError, ListTransactionsError,
};
use ottla_protocol::ErrorCode;

use super::groups::of_unavailable;

/// Before a version that depends on the API, clients know no other code for a producer that is fenced.
pub fn told_as(code: ErrorCode, knows_fencing: bool) -> ErrorCode {
    if code == ErrorCode::ProducerFenced && !knows_fencing { ErrorCode::InvalidProducerEpoch } else { code }
}

pub fn of_initialize(error: &InitializeError) -> ErrorCode {
    match error {
        InitializeError::EmptyId => ErrorCode::InvalidRequest,
        InitializeError::TimeoutOutOfRange { .. } => ErrorCode::InvalidTransactionTimeout,
        InitializeError::Fenced => ErrorCode::ProducerFenced,
        InitializeError::Concurrent => ErrorCode::ConcurrentTransactions,
        // The id was used up between two questions; a client that asks again gets the next one.
        InitializeError::NeedsProducerId => ErrorCode::CoordinatorLoadInProgress,
        InitializeError::Unavailable(why) => of_unavailable(*why),
    }
}

pub fn of_enlist(error: &EnlistError) -> ErrorCode {
    match error {
        EnlistError::EmptyId => ErrorCode::InvalidRequest,
        EnlistError::UnknownProducer => ErrorCode::InvalidProducerIdMapping,
        EnlistError::Fenced => ErrorCode::ProducerFenced,
        EnlistError::Concurrent => ErrorCode::ConcurrentTransactions,
        EnlistError::UnsupportedVersion => ErrorCode::UnsupportedVersion,
        EnlistError::Unavailable(why) => of_unavailable(*why),
    }
}

pub fn of_end_transaction(error: &EndError) -> ErrorCode {
    match error {
        EndError::EmptyId => ErrorCode::InvalidRequest,
        EndError::UnknownProducer => ErrorCode::InvalidProducerIdMapping,
        EndError::Fenced => ErrorCode::ProducerFenced,
        EndError::Concurrent => ErrorCode::ConcurrentTransactions,
        EndError::InvalidState { .. } => ErrorCode::InvalidTxnState,
        // The id was used up between two questions; a client that asks again gets the next one.
        EndError::NeedsProducerId => ErrorCode::CoordinatorLoadInProgress,
        EndError::UnsupportedVersion => ErrorCode::UnsupportedVersion,
        EndError::Unavailable(why) => of_unavailable(*why),
    }
}

pub fn of_describe_transaction(error: &DescribeTransactionError) -> ErrorCode {
    match error {
        DescribeTransactionError::EmptyId => ErrorCode::InvalidRequest,
        DescribeTransactionError::UnknownId => ErrorCode::TransactionalIdNotFound,
        DescribeTransactionError::Unavailable(why) => of_unavailable(*why),
    }
}

pub fn of_list_transactions(error: &ListTransactionsError) -> ErrorCode {
    match error {
        ListTransactionsError::Unavailable(why) => of_unavailable(*why),
    }
}
