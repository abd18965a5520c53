//! Why a consumer could not do what it was asked to.
//!
//! Owns: the error types of the consumer's operations.
//! Does not own: codes and messages (`error`), unreadable records (`chunk`).

use std::collections::BTreeMap;
use std::time::Duration;

use ottla_model::{Offset, TopicName, TopicPartition};

use super::chunk::ReadError;
use crate::error::{CallError, ServerError};

/// Why `poll` answered no records. Where Kafka has a sentence for it, this is it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PollError {
    #[error("Consumer is not subscribed to any topics or assigned any partitions")]
    NothingToPoll,
    #[error("Undefined offset with no reset policy for partitions: [{}]", join(partitions))]
    NoOffset { partitions: Vec<TopicPartition> },
    #[error("Fetch position {offset} is out of range for partition {partition} and no reset policy is set")]
    OutOfRange { partition: TopicPartition, offset: Offset },
    /// The group refuses this member.
    #[error("{0}")]
    Group(ServerError),
    #[error("partition {partition} cannot be fetched: {error}")]
    Fetch { partition: TopicPartition, error: ServerError },
    #[error("Invalid topics: [{}]", join(topics))]
    InvalidTopics { topics: Vec<TopicName> },
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The cluster cannot be talked to, and waiting will not change that.
    #[error(transparent)]
    Call(#[from] CallError),
}

/// Why offsets were not committed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    #[error(
        "To use the group management or offset commit APIs, you must provide a valid group.id in the consumer \
         configuration."
    )]
    NoGroup,
    /// The group is rebalancing; poll, and what is then still assigned can be committed.
    #[error(
        "Offset commit cannot be completed since the consumer is undergoing a rebalance for auto partition assignment. \
         You can try completing the rebalance by calling poll() and then retry the operation."
    )]
    Rebalancing,
    /// Others have the partitions by now.
    #[error(
        "Offset commit cannot be completed since the consumer is not part of an active group for auto partition \
         assignment; it is likely that the consumer was kicked out of the group."
    )]
    NotMember,
    #[error("{}", first_message(partitions))]
    Refused { partitions: BTreeMap<TopicPartition, ServerError> },
    #[error("{0}")]
    Group(ServerError),
    #[error(transparent)]
    Call(#[from] CallError),
    #[error("the consumer is closed")]
    Closed,
}

/// Why a question about offsets has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OffsetError {
    #[error("You can only check the position for partitions assigned to this consumer.")]
    NotAssigned { partition: TopicPartition },
    #[error(
        "Timeout of {}ms expired before the position for partition {partition} could be determined",
        after.as_millis()
    )]
    TimedOut { partition: TopicPartition, after: Duration },
    #[error(
        "To use the group management or offset commit APIs, you must provide a valid group.id in the consumer \
         configuration."
    )]
    NoGroup,
    #[error("{error}")]
    Refused { partition: TopicPartition, error: ServerError },
    #[error("{0}")]
    Group(ServerError),
    #[error(transparent)]
    Call(#[from] CallError),
}

/// Why a consumer cannot subscribe.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubscribeError {
    #[error(
        "To use the group management or offset commit APIs, you must provide a valid group.id in the consumer \
         configuration."
    )]
    NoGroup,
    #[error(
        "Must configure at least one partition assigner class name to partition.assignment.strategy configuration property"
    )]
    NoAssignor,
}

/// Why a topic cannot be described.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TopicError {
    /// It is not there, or may not be seen.
    #[error("{0}")]
    Refused(ServerError),
    /// The cluster did not answer in time.
    #[error(transparent)]
    Call(#[from] CallError),
}

/// The partition is not one of this consumer's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("No current assignment for partition {0}")]
pub struct NotAssigned(pub TopicPartition);

fn join<T: ToString>(items: &[T]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn first_message(partitions: &BTreeMap<TopicPartition, ServerError>) -> String {
    partitions.values().next().map(ToString::to_string).unwrap_or_default()
}
