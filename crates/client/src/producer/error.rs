//! Why a record was not accepted, or not delivered.
//!
//! Owns: `SendError` (before the record is in a batch), `DeliveryError` (after), `ProduceError` (either).
//! Does not own: codes and messages (`error`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ottla_model::{TopicName, TopicPartition};
use ottla_protocol::record::BuildError;

use crate::error::{CallError, ErrorCode, ServerError};

/// Why `send` did not take a record. Where Kafka has a sentence for it, this is it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The topic was not found within `max.block.ms`.
    #[error("Topic {topic} not present in metadata after {} ms.", after.as_millis())]
    TopicUnknown { topic: TopicName, after: Duration, reason: Option<ErrorCode> },
    /// The record names a partition that the topic does not have.
    #[error(
        "Partition {partition} of topic {topic} with partition count {count} is not present in metadata after {} ms.",
        after.as_millis()
    )]
    PartitionUnknown { topic: TopicName, partition: i32, count: u32, after: Duration },
    /// The topic cannot be used, and waiting will not change that.
    #[error("{error}")]
    TopicRefused { topic: TopicName, error: ServerError },
    /// A partitioner of the user chose a partition that the topic does not have.
    #[error("the partitioner chose partition {partition} of topic {topic}, which has {count}")]
    NoSuchPartition { topic: TopicName, partition: i32, count: u32 },
    /// The record is larger than `max.request.size`.
    #[error(
        "The message is {bytes} bytes when serialized which is larger than {max}, which is the value of the \
         max.request.size configuration."
    )]
    TooLargeForRequest { bytes: usize, max: usize },
    /// The record is larger than `buffer.memory`.
    #[error(
        "The message is {bytes} bytes when serialized which is larger than the total memory buffer you have \
         configured with the buffer.memory configuration."
    )]
    TooLargeForBuffer { bytes: usize },
    /// No room came free within `max.block.ms`.
    #[error("Failed to allocate {bytes} bytes within the configured max blocking time {} ms.", after.as_millis())]
    BufferFull { bytes: usize, after: Duration },
    /// The producer is closed.
    #[error("Cannot perform operation after producer has been closed")]
    Closed,
    /// Kafka's format cannot hold the record.
    #[error("the record cannot be encoded: {0}")]
    Build(#[from] BuildError),
    /// The cluster did not answer in time.
    #[error(transparent)]
    Call(#[from] CallError),
}

/// Why a record that was accepted did not arrive, or may not have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeliveryError {
    /// `maybe_stored`: an attempt was made whose outcome is not known.
    #[error("Expiring {records} record(s) for {partition}:{} ms has passed since batch creation", after.as_millis())]
    Expired { partition: TopicPartition, records: u32, after: Duration, maybe_stored: bool },
    /// The broker refused it, and sending it again would not help.
    #[error("{error}")]
    Refused {
        /// Why; for the record at hand, where single records are at fault.
        error: ServerError,
        /// What the broker found wrong with single records of the batch, by their number in it.
        records: Arc<BTreeMap<u32, String>>,
    },
    /// The last attempt ended without an answer, and no further one is allowed.
    #[error(transparent)]
    Call(#[from] CallError),
    /// Kafka's format cannot hold the batch.
    #[error("the batch cannot be encoded: {0}")]
    Build(#[from] BuildError),
    /// It was not sent before the producer was closed or dropped.
    #[error("the producer was closed before the record was sent")]
    Closed,
}

/// Why a record that was sent and waited for did not arrive.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProduceError {
    /// It was not taken.
    #[error(transparent)]
    Send(#[from] SendError),
    /// It was taken and did not arrive, or may not have.
    #[error(transparent)]
    Delivery(#[from] DeliveryError),
}

impl DeliveryError {
    pub(crate) fn refused(error: ServerError) -> DeliveryError {
        DeliveryError::Refused { error, records: Arc::default() }
    }

    /// The error as it concerns the record with this number in the batch (KIP-467).
    pub(super) fn of_record(self, index: u32) -> DeliveryError {
        match self {
            DeliveryError::Refused { mut error, records } => {
                if records.is_empty() {
                    return DeliveryError::Refused { error, records };
                }
                error.detail = Some(match records.get(&index) {
                    Some(reason) => reason.clone(),
                    None => "Failed to append record because it was part of a batch which had one more more \
                             invalid records"
                        .to_owned(),
                });
                DeliveryError::Refused { error, records }
            }
            other @ (DeliveryError::Expired { .. }
            | DeliveryError::Call(_)
            | DeliveryError::Build(_)
            | DeliveryError::Closed) => other,
        }
    }
}
