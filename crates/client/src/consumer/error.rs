//! Why a consumer could not do what it was asked to.
//!
//! Owns: the error types of the consumer's operations.
//! Does not own: codes and messages (`error`), unreadable records (`chunk`).

use std::collections::BTreeMap;
use std::time::Duration;

use ottla_model::{Offset, TopicName, TopicPartition};

use super::chunk::ReadError;
use super::positions::Truncation;
use crate::error::{CallError, ServerError};

/// Why `poll` answered no records. Where Kafka has a sentence for it, this is it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PollError {
    /// Nothing is subscribed or assigned.
    #[error("Consumer is not subscribed to any topics or assigned any partitions")]
    NothingToPoll,
    /// With `auto.offset.reset=none`, the group has no offset there: seek.
    #[error("Undefined offset with no reset policy for partitions: [{}]", join(partitions))]
    NoOffset { partitions: Vec<TopicPartition> },
    /// With `auto.offset.reset=none`, there is no such record: seek.
    #[error("Fetch position {offset} is out of range for partition {partition} and no reset policy is set")]
    OutOfRange { partition: TopicPartition, offset: Offset },
    /// With `auto.offset.reset=none`, the log was truncated below the position, so that records were lost or differ from
    /// those that were read: seek (KIP-320).
    #[error("Truncated partitions detected with divergent offsets {}", divergent(partition, *truncation))]
    Truncated { partition: TopicPartition, truncation: Truncation },
    /// The group refuses this member.
    #[error("{0}")]
    Group(ServerError),
    /// A partition may not be read, or its log is damaged.
    #[error("partition {partition} cannot be fetched: {error}")]
    Fetch { partition: TopicPartition, error: ServerError },
    /// Names that no topic can have.
    #[error("Invalid topics: [{}]", join(topics))]
    InvalidTopics { topics: Vec<TopicName> },
    /// These topics may not be read, or not even be seen.
    #[error("Not authorized to access topics: [{}]", join(topics))]
    NotAuthorized { topics: Vec<TopicName> },
    /// A record cannot be read: seek behind it.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The cluster cannot be talked to, and waiting will not change that.
    #[error(transparent)]
    Call(#[from] CallError),
}

fn divergent(partition: &TopicPartition, truncation: Truncation) -> String {
    match truncation.diverging {
        Some(_) => format!("{{{partition}={truncation}}}"),
        None => "{}".to_owned(),
    }
}

/// Why offsets were not committed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    /// The configuration has no `group.id`.
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
    /// The coordinator refused these partitions.
    #[error("{}", first_message(partitions))]
    Refused { partitions: BTreeMap<TopicPartition, ServerError> },
    /// The coordinator refused the group.
    #[error("{0}")]
    Group(ServerError),
    /// The cluster did not answer in time.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The consumer is gone.
    #[error("the consumer is closed")]
    Closed,
}

/// Why a question about offsets has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OffsetError {
    /// The partition is not one of this consumer's.
    #[error("You can only check the position for partitions assigned to this consumer.")]
    NotAssigned { partition: TopicPartition },
    /// `default.api.timeout.ms` was over before the position was known.
    #[error(
        "Timeout of {}ms expired before the position for partition {partition} could be determined",
        after.as_millis()
    )]
    TimedOut { partition: TopicPartition, after: Duration },
    /// The configuration has no `group.id`.
    #[error(
        "To use the group management or offset commit APIs, you must provide a valid group.id in the consumer \
         configuration."
    )]
    NoGroup,
    /// The broker refused a partition.
    #[error("{error}")]
    Refused { partition: TopicPartition, error: ServerError },
    /// The coordinator refused the group.
    #[error("{0}")]
    Group(ServerError),
    /// The cluster did not answer in time.
    #[error(transparent)]
    Call(#[from] CallError),
}

/// Why a consumer cannot subscribe.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubscribeError {
    /// The configuration has no `group.id`.
    #[error(
        "To use the group management or offset commit APIs, you must provide a valid group.id in the consumer \
         configuration."
    )]
    NoGroup,
    /// `partition.assignment.strategy` is empty.
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
