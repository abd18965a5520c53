//! A batch whose records go to the consumer, as many at a time as it wants.
//!
//! Owns: where reading stopped within the batch, making records of its bytes.
//! Does not own: which batches are read and which are left out (`chunk`).
//!
//! Records are made when they are handed out, not before: a batch may hold thousands of them, and what is made long
//! before it is looked at has left the processor's caches by then.
//!
//! Invariants
//! - I1 every record is handed out once, in order, none below the offset that was asked for;
//! - I2 at a malformed record reading ends with the same error each time; the records before it are handed out.
//!
//! Source: requirements FET-12, FET-20.

use std::collections::VecDeque;

use bytes::Bytes;
use ottla_model::{LeaderEpoch, Offset, TopicPartition};
use ottla_protocol::record::{BatchView, Record, RecordError, RecordIter, RecordPlace, TimestampType};

use super::record::{ConsumerRecord, RecordHeader, TimestampKind};

/// The records of one batch that are still to be handed out.
#[derive(Debug)]
pub(crate) enum OpenBatch {
    /// Of the format of today: the bytes are shared with the records.
    Shared(SharedBatch),
    /// Of old formats: copied, since nobody sends them in number any more.
    Copied(VecDeque<ConsumerRecord>),
}

/// A batch of magic 2 without its header, unpacked.
#[derive(Debug)]
pub(crate) struct SharedBatch {
    records: Bytes,
    place: RecordPlace,
    failure: Option<RecordError>,
    kind: TimestampKind,
    leader_epoch: Option<LeaderEpoch>,
}

/// Whose records are wanted: the partition, and the offset that was asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted<'a> {
    pub partition: &'a TopicPartition,
    pub start: Offset,
}

impl OpenBatch {
    /// The batch of `view`; `records` are its records, unpacked.
    pub(crate) fn shared(view: &BatchView<'_>, records: Bytes) -> OpenBatch {
        let header = view.header();
        let kind = match header.attributes.timestamp_type() {
            TimestampType::CreateTime => TimestampKind::CreateTime,
            TimestampType::LogAppendTime => TimestampKind::LogAppendTime,
        };
        let place = view.records_in(&records).place();
        OpenBatch::Shared(SharedBatch {
            records,
            place,
            failure: None,
            kind,
            leader_epoch: header.leader_epoch,
        })
    }

    /// Hands out records until `output` has `limit` of them or the batch has no more. Answers whether it may have.
    pub(crate) fn read(
        &mut self,
        wanted: Wanted<'_>,
        limit: usize,
        output: &mut Vec<ConsumerRecord>,
    ) -> Result<bool, RecordError> {
        match self {
            OpenBatch::Shared(batch) => batch.read(wanted, limit, output),
            OpenBatch::Copied(records) => {
                let count = limit.saturating_sub(output.len()).min(records.len());
                output.extend(records.drain(..count));
                Ok(!records.is_empty())
            }
        }
    }
}

impl SharedBatch {
    fn read(
        &mut self,
        wanted: Wanted<'_>,
        limit: usize,
        output: &mut Vec<ConsumerRecord>,
    ) -> Result<bool, RecordError> {
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        let bytes = &self.records;
        let mut records = RecordIter::at(self.place, bytes);
        output.reserve(records.left_max().min(limit.saturating_sub(output.len())));
        let about = (self.kind, self.leader_epoch);
        while output.len() < limit {
            match records.next() {
                Some(Ok(record)) if record.offset < wanted.start => {}
                Some(Ok(record)) => {
                    output.push(record_of(wanted.partition, (&record, about), |part| bytes.slice_ref(part)));
                }
                Some(Err(failure)) => {
                    self.failure = Some(failure);
                    return Err(failure);
                }
                None => return Ok(false),
            }
        }
        self.place = records.place();
        Ok(!records.is_at_end())
    }
}

/// A record as the consumer gets it; `own` makes its bytes last.
pub(crate) fn record_of(
    partition: &TopicPartition,
    (record, (timestamp_kind, leader_epoch)): (&Record<'_>, (TimestampKind, Option<LeaderEpoch>)),
    own: impl Fn(&[u8]) -> Bytes,
) -> ConsumerRecord {
    let headers = record.headers.iter();
    ConsumerRecord {
        topic: partition.topic.clone(),
        partition: partition.partition,
        offset: record.offset,
        leader_epoch,
        timestamp: record.timestamp,
        timestamp_kind,
        key: record.key.map(&own),
        value: record.value.map(&own),
        headers: headers
            .map(|header| RecordHeader { key: own(header.key), value: header.value.map(&own) })
            .collect(),
    }
}
