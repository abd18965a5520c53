//! Transactions on this node, beside their coordinator: what it has done, and what partitions ask of it.
//!
//! Owns: the wiring of the coordinator's effects and of its questions, the way of markers into partitions, what is asked
//! before a first batch.
//! Does not own: transactions (`coordinator`), their shards (`coordinators`), the partitions.

pub mod admission;
mod enrolment;
pub mod markers;
mod marking;
pub mod verifying;

pub use enrolment::EnrolmentKind;
pub use marking::carry_out;

use ottla_protocol::ErrorCode;

/// What a producer is told where the coordinator of its transaction refuses a partition. Producers know of a fenced epoch
/// by another name; older ones know no transaction that has to be aborted.
pub fn told_to_producer(code: ErrorCode, knows_abortable: bool) -> ErrorCode {
    if code == ErrorCode::ProducerFenced {
        ErrorCode::InvalidProducerEpoch
    } else if code == ErrorCode::TransactionAbortable && !knows_abortable {
        ErrorCode::InvalidTxnState
    } else {
        code
    }
}
