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

/// A log that is read from its start to where it ended when the reading began.
pub struct Replay {
    partition: Arc<Partition>,
    at: Offset,
    end: Offset,
    unpacked: RecordBuffer,
    bytes: Vec<u8>,
}

impl Replay {
    pub fn new(partition: Arc<Partition>) -> Replay {
        let (at, end) = (partition.log_start(), partition.log_end());
        let unpacked = RecordBuffer::new(UnpackLimits::bytes(UNPACKED_BYTES_MAX));
        Replay { partition, at, end, unpacked, bytes: Vec::new() }
    }

    /// Where the log ended when the reading began.
    pub fn end(&self) -> Offset {
        self.end
    }

    /// What the next bytes of the log say; `None` once it was read to its end. Blocks on the disk.
    pub fn read_on(&mut self) -> Result<Option<Vec<Replayed>>, ReplayError> {
        if self.at >= self.end {
            return Ok(None);
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
        })?;
        self.bytes.clear();
        for slice in &read.read.slices {
            let start = self.bytes.len();
            self.bytes.resize(start + usize::try_from(slice.len).unwrap_or(0), 0);
            slice.file.read_at(&mut self.bytes[start..], slice.position)?;
        }
        if read.read.end <= self.at {
            return Ok(None);
        }
        let mut replayed = Vec::new();
        for batch in Batches::new(&self.bytes) {
            let batch = batch.map_err(|error| ReplayError::Batch(self.at, error))?;
            replay_batch(&batch, &mut self.unpacked, &mut |one| replayed.push(one))?;
        }
        self.at = read.read.end;
        Ok(Some(replayed))
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
