//! The coordinator of transactions: one shard per partition of `__transaction_state`.
//!
//! Owns: the identities of transactional producers, their transactions from the first partition to the last marker,
//! their expiry, their records.
//! Does not own: the log, the markers' way to the partitions, producer ids, permissions.
//!
//! In reading order: `command`, `answer` and `effect` are what the server says, hears and does; `record` is what is
//! persisted; `initialize`, `enlist`, `end` and `expiry` are the rules; `view` shows; `refusal` says no without a look;
//! `shard` routes.

mod answer;
mod command;
mod effect;
mod end;
mod enlist;
mod expiry;
mod initialize;
mod record;
mod record_bytes;
mod refusal;
mod shard;
mod view;

pub use answer::{
    DescribeTransactionError, DescribedTransaction, EndError, EnlistError, InitializeError,
    ListTransactionsError, ListedTransaction, ProducerIdentity, TransactionAnswer,
};
pub use command::{
    Claim, EndTransaction, Enlist, Expire, Initialize, Marked, TransactionCommand, TransactionFilter,
};
pub use effect::{Marking, TransactionEffect};
pub use record::{TransactionImage, TransactionRecord, TransactionState, UnknownState, ValueVersion};
pub use refusal::precheck;
pub use shard::TransactionShard;
