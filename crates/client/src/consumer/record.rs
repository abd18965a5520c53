//! Records as a consumer gets them.
//!
//! Owns: `ConsumerRecord` and its parts. Does not own: their bytes on the wire (`chunk`).

use bytes::Bytes;
use ottla_model::{LeaderEpoch, Offset, PartitionIndex, Timestamp, TopicName, TopicPartition};

/// Whose clock a timestamp is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimestampKind {
    /// Very old records have none.
    None,
    /// The producer's.
    CreateTime,
    /// The broker's.
    LogAppendTime,
}

/// A header of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordHeader {
    /// UTF-8 by convention.
    pub key: Bytes,
    /// `None` where the header has no value.
    pub value: Option<Bytes>,
}

/// A record of a partition. Its bytes are shared with the answer it came in, not copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerRecord {
    /// The topic it lies in.
    pub topic: TopicName,
    /// The partition it lies in.
    pub partition: PartitionIndex,
    /// Its place in the partition.
    pub offset: Offset,
    /// Epoch of the leader that wrote it; `None` for very old records.
    pub leader_epoch: Option<LeaderEpoch>,
    /// Milliseconds since 1970; whose clock it is from says `timestamp_kind`.
    pub timestamp: Timestamp,
    /// Whose clock `timestamp` is from.
    pub timestamp_kind: TimestampKind,
    /// The key, where it has one.
    pub key: Option<Bytes>,
    /// The value; `None` deletes the key in a compacted topic.
    pub value: Option<Bytes>,
    /// In order; keys may repeat.
    pub headers: Vec<RecordHeader>,
}

impl ConsumerRecord {
    /// The partition it lies in.
    pub fn topic_partition(&self) -> TopicPartition {
        TopicPartition::new(self.topic.clone(), self.partition)
    }
}
