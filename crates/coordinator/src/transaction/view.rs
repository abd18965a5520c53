//! Transactions as operators see them.
//!
//! Owns: descriptions, and which transactions a filter lets through.
//! Does not own: patterns of ids, which are looked at by whoever asks.
//!
//! Source: KIP-664, KIP-994; requirement TXN-13.

use ottla_model::{Timestamp, TransactionalId};

use super::answer::{DescribedTransaction, ListedTransaction};
use super::command::TransactionFilter;
use super::record::TransactionImage;

pub(super) fn describe(image: &TransactionImage) -> DescribedTransaction {
    DescribedTransaction {
        producer: image.producer,
        state: image.state,
        timeout: image.timeout,
        started_at: image.started_at,
        partitions: image.partitions.clone(),
    }
}

/// The row of a listing, if the filter lets it through.
pub(super) fn row(
    id: &TransactionalId,
    image: &TransactionImage,
    (filter, now): (&TransactionFilter, Timestamp),
) -> Option<ListedTransaction> {
    let producers = &filter.producers;
    let has_producer = producers.is_empty() || producers.contains(&image.producer.id.value());
    let has_state = filter.states.as_ref().is_none_or(|states| states.contains(&image.state));
    // An id without a transaction counts as if it had begun before all time, as in Kafka.
    let age = now.millis_since(image.started_at.unwrap_or(Timestamp::NONE));
    let is_old = filter
        .longer_than
        .is_none_or(|least| i128::from(age) > i128::try_from(least.as_millis()).unwrap_or(i128::MAX));
    (has_producer && has_state && is_old).then(|| ListedTransaction {
        id: id.clone(),
        producer: image.producer.id,
        state: image.state,
    })
}
