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
    CreateTime,
    LogAppendTime,
}

/// A header of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordHeader {
    /// UTF-8 by convention.
    pub key: Bytes,
    pub value: Option<Bytes>,
}

/// A record of a partition. Its bytes are shared with the answer it came in, not copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerRecord {
    pub topic: TopicName,
    pub partition: PartitionIndex,
    pub offset: Offset,
    /// Epoch of the leader that wrote it; `None` for very old records.
    pub leader_epoch: Option<LeaderEpoch>,
    pub timestamp: Timestamp,
    pub timestamp_kind: TimestampKind,
    pub key: Option<Bytes>,
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
