//! Reading a partition of an internal topic from its start, record by record.
//!
//! Owns: the order read → batch → record, and which records are a transaction's.
//! Does not own: what the records mean (`coordinator`).
//!
//! Source: requirements GRP-01, COF-02, COF-03.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use ottla_coordinator::runtime::{EncodedRecord, TransactionOutcome};
use ottla_model::{Offset, ProducerId};
use ottla_protocol::compression::{CompressionError, UnpackLimits};
use ottla_protocol::record::{Batch, BatchError, Batches, ControlKind, RecordBuffer, RecordError, Records};
use ottla_replication::{ReadAttempt, Reader};

use crate::partition::{LookError, Partition, ReadRequest};

/// Bytes read at once while loading (`offsets.load.buffer.size` has the same purpose in Kafka).
const READ_BYTES: u32 = 5 * 1024 * 1024;
/// A part of the log ends behind the batch with which its records reach this: packed ones may be many times what was
/// read, and several logs are read at once.
const PART_BYTES: usize = 8 * 1024 * 1024;
/// Most bytes one batch of an internal topic may unpack to.
const UNPACKED_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// Why a log could not be read to its end.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    #[error(transparent)]
    Look(#[from] LookError),
    #[error("cannot read from the log directory")]
    Disk(#[from] io::Error),
    #[error("the batch at offset {0} or behind it is damaged: {1}")]
    Batch(Offset, BatchError),
    #[error("the batch before offset {0} cannot be unpacked: {1}")]
    Compression(Offset, CompressionError),
    #[error("a record before offset {0} cannot be read: {1}")]
    Record(Offset, RecordError),
}

/// What the log says, in order.
pub enum Replayed {
    Record { record: EncodedRecord, producer: Option<ProducerId> },
    Marker { producer: ProducerId, outcome: TransactionOutcome },
}

impl Replayed {
    /// Bytes of the record it holds.
    fn bytes(&self) -> usize {
        match self {
            Replayed::Record { record, .. } => record.key.len() + record.value.as_ref().map_or(0, Bytes::len),
            Replayed::Marker { .. } => 0,
        }
    }
}

/// A log that is read from its start to where it ended when the reading began.
pub struct Replay {
    partition: Arc<Partition>,
    at: Offset,
    end: Offset,
    unpacked: RecordBuffer,
    /// Batches that were read, of which those before `taken` have been handed out.
    bytes: Vec<u8>,
    taken: usize,
    /// Where the log is read on behind `bytes`.
    next: Offset,
}

impl Replay {
    pub fn new(partition: Arc<Partition>) -> Replay {
        let (at, end) = (partition.log_start(), partition.log_end());
        let unpacked = RecordBuffer::new(UnpackLimits::bytes(UNPACKED_BYTES_MAX));
        Replay { partition, at, end, unpacked, bytes: Vec::new(), taken: 0, next: at }
    }

    /// Where the log ended when the reading began.
    pub fn end(&self) -> Offset {
        self.end
    }

    /// What the next batches of the log say; `None` once it was read to its end. Blocks on the disk.
    pub fn read_on(&mut self) -> Result<Option<Vec<Replayed>>, ReplayError> {
        if self.taken == self.bytes.len() && !self.fill()? {
            return Ok(None);
        }
        let (mut replayed, mut size) = (Vec::new(), 0);
        let mut batches = Batches::new(&self.bytes[self.taken..]);
        let mut is_over = false;
        while size < PART_BYTES {
            let Some(batch) = batches.next() else {
                is_over = true;
                break;
            };
            let batch = batch.map_err(|error| ReplayError::Batch(self.at, error))?;
            replay_batch(&batch, &mut self.unpacked, &mut |one| {
                size += one.bytes();
                replayed.push(one);
            })?;
        }
        // What is left at the end is a batch that was cut off by the size of the read: it comes with the next one.
        self.taken = if is_over { self.bytes.len() } else { self.bytes.len() - batches.rest().len() };
        Ok(Some(replayed))
    }

    /// Reads the next batches. `false`: there are none.
    fn fill(&mut self) -> Result<bool, ReplayError> {
        self.at = self.next;
        if self.at >= self.end {
            return Ok(false);
        }
        let read = self.partition.read(&ReadRequest {
            attempt: ReadAttempt {
                reader: Reader::Inspector,
                offset: self.at,
                leader_epoch: None,
                from_any_replica: true,
            },
            last_fetched_epoch: None,
            bytes_max: READ_BYTES,
            at_least_one_batch: true,
            may_wait: true,
        })?;
        self.bytes.clear();
        self.taken = 0;
        for slice in &read.read.slices {
            let start = self.bytes.len();
            self.bytes.resize(start + usize::try_from(slice.len).unwrap_or(0), 0);
            slice.file.read_at(&mut self.bytes[start..], slice.position)?;
        }
        self.next = read.read.end;
        Ok(read.read.end > self.at && !self.bytes.is_empty())
    }
}

fn replay_batch(
    batch: &Batch<'_>,
    unpacked: &mut RecordBuffer,
    each: &mut impl FnMut(Replayed),
) -> Result<(), ReplayError> {
    let last = batch.last_offset();
    let (producer, control) = match batch {
        Batch::V2(view) => {
            let header = view.header();
            let transactional = header.attributes.is_transactional();
            (header.producer_id.filter(|_| transactional), header.attributes.is_control())
        }
        Batch::Legacy(_) => (None, false),
    };
    let records: Records<'_> =
        batch.records(unpacked).map_err(|error| ReplayError::Compression(last, error))?;
    for record in records {
        let record = record.map_err(|error| ReplayError::Record(last, error))?;
        if control {
            let kind = record.key.and_then(|key| ControlKind::of_key(key).ok());
            if let (Some(producer), Some(outcome)) = (producer, kind.and_then(outcome_of)) {
                each(Replayed::Marker { producer, outcome });
            }
            continue;
        }
        let record = EncodedRecord {
            key: Bytes::copy_from_slice(record.key.unwrap_or_default()),
            value: record.value.map(Bytes::copy_from_slice),
        };
        each(Replayed::Record { record, producer });
    }
    Ok(())
}

fn outcome_of(kind: ControlKind) -> Option<TransactionOutcome> {
    match kind {
        ControlKind::Commit => Some(TransactionOutcome::Committed),
        ControlKind::Abort => Some(TransactionOutcome::Aborted),
        ControlKind::LeaderChange
        | ControlKind::SnapshotHeader
        | ControlKind::SnapshotFooter
        | ControlKind::KraftVersion
        | ControlKind::KraftVoters => None,
    }
}

#[cfg(test)]
mod tests {
    use ottla_model::{LeaderEpoch, PartitionEpoch, Timestamp, TopicId, Uuid, Verification};
    use ottla_protocol::compression::Encoding;
    use ottla_protocol::record::{BatchBuilder, BatchOptions, NewRecord};
    use ottla_replication::PartitionState;

    use super::*;
    use crate::partition::AppendRequest;
    use crate::partition::tests::partition;

    /// A batch of one record of this many bytes, packed to next to nothing.
    fn packed(bytes: usize) -> Vec<u8> {
        let options = BatchOptions { encoding: Encoding::Snappy, ..BatchOptions::default() };
        let mut builder = BatchBuilder::new(options).unwrap();
        let value = vec![b'x'; bytes];
        let timestamp = Timestamp::from_millis(1_700_000_000_000);
        builder.append(NewRecord { timestamp, key: Some(b"k"), value: Some(&value), headers: &[] }).unwrap();
        builder.finish().unwrap()
    }

    /// GRP-01: what is on its way to a shard is bounded by what it takes in memory, however little it takes on disk.
    #[test]
    fn a_packed_log_comes_in_parts_and_nothing_is_left_out() {
        let partition = partition(TopicId::new(Uuid::from_bytes([7; 16])).unwrap());
        partition.on_state(&PartitionState {
            leader: ottla_model::BrokerId::new(1),
            leader_epoch: LeaderEpoch::ZERO,
            partition_epoch: PartitionEpoch::new(1).unwrap(),
            replicas: vec![ottla_model::BrokerId::new(1).unwrap()],
            adding: Vec::new(),
            in_sync: vec![ottla_model::BrokerId::new(1).unwrap()],
        });
        for _ in 0..5 {
            let mut records = packed(PART_BYTES / 2);
            let request = AppendRequest {
                records: &mut records,
                version: 9,
                all_in_sync: false,
                verification: Verification::NotAsked,
            };
            partition.produce(request, None).unwrap();
        }
        let mut replay = Replay::new(partition);
        let mut parts = Vec::new();
        while let Some(part) = replay.read_on().unwrap() {
            parts.push(part.len());
        }
        assert_eq!(parts, [2, 2, 1]);
        assert_eq!(replay.end().value(), 5);
    }
}
