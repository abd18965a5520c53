//! Refusals that need no look at a transaction.
//!
//! Owns: what no coordinator would accept, and the answers of one that does not serve.
//! Does not own: the checks of a transaction itself (`initialize`, `enlist`, `end`).
//!
//! Source: requirements TXN-01, TXN-13; Kafka 4.3.1.

use super::answer::{DescribeTransactionError, EndError, EnlistError, InitializeError, TransactionAnswer};
use super::command::{Initialize, TransactionCommand};
use crate::config::TransactionConfig;
use crate::runtime::Unavailable;

/// Refuses what no transaction coordinator would accept, whichever broker it is on and whatever its state.
pub fn precheck(config: &TransactionConfig, command: &TransactionCommand) -> Result<(), TransactionAnswer> {
    match command {
        TransactionCommand::Initialize(initialize) => {
            check_initialize(config, initialize).map_err(|error| TransactionAnswer::Initialize(Err(error)))
        }
        TransactionCommand::Enlist(enlist) if enlist.id.is_empty() => {
            Err(TransactionAnswer::Enlist(Err(EnlistError::EmptyId)))
        }
        TransactionCommand::Verify(enlist) if enlist.id.is_empty() => {
            Err(TransactionAnswer::Verify(Err(EnlistError::EmptyId)))
        }
        TransactionCommand::End(end) if end.id.is_empty() => {
            Err(TransactionAnswer::End(Err(EndError::EmptyId)))
        }
        TransactionCommand::Describe(id) if id.is_empty() => {
            Err(TransactionAnswer::Describe(Err(DescribeTransactionError::EmptyId)))
        }
        TransactionCommand::Enlist(_)
        | TransactionCommand::Verify(_)
        | TransactionCommand::End(_)
        | TransactionCommand::Describe(_)
        | TransactionCommand::List(_)
        | TransactionCommand::Marked(_)
        | TransactionCommand::Expire(_)
        | TransactionCommand::ClusterVersion(_) => Ok(()),
    }
}

fn check_initialize(config: &TransactionConfig, command: &Initialize) -> Result<(), InitializeError> {
    if command.id.is_empty() {
        return Err(InitializeError::EmptyId);
    }
    let max = config.timeout_max;
    let is_fine = command.timeout.is_some_and(|timeout| !timeout.is_zero() && timeout <= max);
    if is_fine { Ok(()) } else { Err(InitializeError::TimeoutOutOfRange { max }) }
}

/// Nobody would say again what the shard was told while it was being loaded.
pub(super) fn outlasts_loading(command: &TransactionCommand) -> bool {
    match command {
        TransactionCommand::Marked(_) | TransactionCommand::ClusterVersion(_) => true,
        TransactionCommand::Initialize(_)
        | TransactionCommand::Enlist(_)
        | TransactionCommand::Verify(_)
        | TransactionCommand::End(_)
        | TransactionCommand::Describe(_)
        | TransactionCommand::List(_)
        | TransactionCommand::Expire(_) => false,
    }
}

/// The answer of a coordinator that does not look at the command.
pub(super) fn refuse(command: &TransactionCommand, why: Unavailable) -> TransactionAnswer {
    match command {
        TransactionCommand::Initialize(_) => TransactionAnswer::Initialize(Err(why.into())),
        TransactionCommand::Enlist(_) => TransactionAnswer::Enlist(Err(why.into())),
        TransactionCommand::Verify(_) => TransactionAnswer::Verify(Err(why.into())),
        TransactionCommand::End(_) => TransactionAnswer::End(Err(why.into())),
        TransactionCommand::Describe(_) => TransactionAnswer::Describe(Err(why.into())),
        TransactionCommand::List(_) => TransactionAnswer::List(Err(why.into())),
        TransactionCommand::Marked(_)
        | TransactionCommand::Expire(_)
        | TransactionCommand::ClusterVersion(_) => TransactionAnswer::Noted(Err(why)),
    }
}
