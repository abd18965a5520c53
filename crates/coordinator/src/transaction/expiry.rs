//! Transactions that last too long are aborted, ids that nobody uses are forgotten.
//!
//! Owns: when either is so. Does not own: how a transaction is aborted (`end`), when it is looked for (`shard`).
//!
//! Source: requirements TXN-10, TXN-11; Kafka's `transactional.id.expiration.ms` and `transaction.timeout.ms`.

use std::time::Duration;

use ottla_model::Timestamp;

use super::record::{TransactionImage, TransactionState};

/// What the longest timeout a field can hold stands for: a transaction of two-phase commit has none (KIP-939).
const NO_TIMEOUT_MS: u128 = 2_147_483_647;

/// Whether the transaction is open for longer than its producer said it would be.
pub(super) fn is_over_time(image: &TransactionImage, now: Timestamp) -> bool {
    let timeout = image.timeout.as_millis();
    let Some(started_at) = image.started_at else { return false };
    image.state == TransactionState::Ongoing
        && timeout < NO_TIMEOUT_MS
        && i128::from(now.millis_since(started_at)) > i128::try_from(timeout).unwrap_or(i128::MAX)
}

/// Whether nobody has used the id for so long.
pub(super) fn is_unused(image: &TransactionImage, for_at_least: Duration, now: Timestamp) -> bool {
    let unused = i128::from(now.millis_since(image.updated_at));
    image.state.may_expire() && unused >= i128::try_from(for_at_least.as_millis()).unwrap_or(i128::MAX)
}
