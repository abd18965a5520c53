//! Building batches of magic 2: for coordinators, the controller and the client.
//!
//! Owns: the encoding of records, their deltas, the final header.
//! Does not own: when a batch is full, where it goes.
//!
//! Invariants
//! - I1 offset deltas are 0, 1, … without gaps; the base timestamp is that of the first record;
//! - I2 a built batch passes the checks a leader makes on a client's batch (unless it is a control batch).
//!
//! Source: requirements section 2.1; KIP-98.

use ottla_model::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Sequence, Timestamp};

use super::control::{ControlKind, EndTransaction};
use super::layout::{Attributes, BatchHeader, HEADER_BYTES, TimestampType};
use super::records::Header;
use super::varint;
use crate::compression::{CompressionError, Compressor, Encoding};

/// Largest batch that can be built, so that every length fits its `i32` field.
pub const BATCH_BYTES_MAX: usize = 0x7fff_ffff;

/// Who writes a batch, and as what. The default is a plain batch at offset 0 without a producer.
#[derive(Clone, Copy, Debug)]
pub struct BatchOptions {
    pub base_offset: Offset,
    pub leader_epoch: Option<LeaderEpoch>,
    pub encoding: Encoding,
    /// `Some`: all records get this time of the leader.
    pub log_append_time: Option<Timestamp>,
    pub producer: Option<BatchProducer>,
    pub transactional: bool,
    pub control: bool,
}

impl Default for BatchOptions {
    fn default() -> BatchOptions {
        BatchOptions {
            base_offset: Offset::ZERO,
            leader_epoch: None,
            encoding: Encoding::None,
            log_append_time: None,
            producer: None,
            transactional: false,
            control: false,
        }
    }
}

/// The producer that a batch names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchProducer {
    pub id: ProducerId,
    pub epoch: ProducerEpoch,
    /// Sequence of the first record; `None` in the markers that a transaction coordinator writes.
    pub base_sequence: Option<Sequence>,
}

/// A record to be written.
#[derive(Clone, Copy, Debug)]
pub struct NewRecord<'a> {
    pub timestamp: Timestamp,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    pub headers: &'a [Header<'a>],
}

/// Why a record or a batch could not be built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    #[error("a batch with {bytes} bytes of records is larger than {BATCH_BYTES_MAX}")]
    TooLarge { bytes: usize },
    #[error("a batch without records cannot be written")]
    Empty,
    #[error(transparent)]
    Compression(#[from] CompressionError),
}

/// Collects records; `finish` gives the batch.
pub struct BatchBuilder {
    options: BatchOptions,
    compressor: Compressor,
    /// Header, then the records as far as the codec let them out.
    output: Vec<u8>,
    /// One encoded record on its way to the codec.
    scratch: Vec<u8>,
    unpacked_bytes: usize,
    record_count: i32,
    base_timestamp: Timestamp,
    max_timestamp: Timestamp,
}

impl BatchBuilder {
    pub fn new(options: BatchOptions) -> Result<BatchBuilder, BuildError> {
        Ok(BatchBuilder {
            options,
            compressor: Compressor::new(options.encoding)?,
            output: vec![0; HEADER_BYTES],
            scratch: Vec::new(),
            unpacked_bytes: 0,
            record_count: 0,
            base_timestamp: Timestamp::NONE,
            max_timestamp: Timestamp::NONE,
        })
    }

    /// Adds a record behind the others.
    pub fn append(&mut self, record: NewRecord<'_>) -> Result<(), BuildError> {
        let deltas = self.deltas_of(&record);
        let body = body_size(deltas, &record);
        let bytes = self.unpacked_bytes.saturating_add(with_length(body));
        if bytes > BATCH_BYTES_MAX - HEADER_BYTES || self.record_count == i32::MAX {
            return Err(BuildError::TooLarge { bytes });
        }
        if self.compressor.encoding() == Encoding::None {
            encode_record((deltas, body), &record, &mut self.output);
        } else {
            self.scratch.clear();
            encode_record((deltas, body), &record, &mut self.scratch);
            self.compressor.write(&self.scratch, &mut self.output)?;
        }
        if self.record_count == 0 {
            self.base_timestamp = record.timestamp;
        }
        self.max_timestamp = self.max_timestamp.max(record.timestamp);
        self.unpacked_bytes = bytes;
        self.record_count += 1;
        Ok(())
    }

    /// Adds a control record with the value that belongs to its kind. The batch must be one of control records.
    pub fn append_control(
        &mut self,
        timestamp: Timestamp,
        kind: ControlKind,
        value: &[u8],
    ) -> Result<(), BuildError> {
        assert!(self.options.control, "control records are written into control batches only");
        self.append(NewRecord { timestamp, key: Some(&kind.key()), value: Some(value), headers: &[] })
    }

    /// Names the producer, also after records were added: a client knows it only when the batch goes out.
    pub fn set_producer(&mut self, producer: BatchProducer) {
        self.options.producer = Some(producer);
    }

    /// Records so far.
    pub fn record_count(&self) -> u32 {
        self.record_count.unsigned_abs()
    }

    /// Bytes of the batch so far, were it not compressed.
    pub fn unpacked_bytes(&self) -> usize {
        HEADER_BYTES + self.unpacked_bytes
    }

    /// Bytes the batch would have, were it not compressed, with `record` added.
    pub fn unpacked_bytes_with(&self, record: &NewRecord<'_>) -> usize {
        self.unpacked_bytes().saturating_add(with_length(body_size(self.deltas_of(record), record)))
    }

    fn deltas_of(&self, record: &NewRecord<'_>) -> Deltas {
        let base = if self.record_count == 0 { record.timestamp } else { self.base_timestamp };
        Deltas { timestamp: record.timestamp.millis().wrapping_sub(base.millis()), offset: self.record_count }
    }

    /// The finished batch, checksum and all.
    pub fn finish(mut self) -> Result<Vec<u8>, BuildError> {
        if self.record_count == 0 {
            return Err(BuildError::Empty);
        }
        self.compressor.finish(&mut self.output)?;
        if self.output.len() > BATCH_BYTES_MAX {
            return Err(BuildError::TooLarge { bytes: self.output.len() });
        }
        self.header().seal(&mut self.output);
        Ok(self.output)
    }

    fn header(&self) -> BatchHeader {
        let options = &self.options;
        let mut attributes = Attributes::default().with_compression(options.encoding.compression());
        if options.log_append_time.is_some() {
            attributes = attributes.with_timestamp_type(TimestampType::LogAppendTime);
        }
        if options.transactional {
            attributes = attributes.transactional();
        }
        if options.control {
            attributes = attributes.control();
        }
        BatchHeader {
            base_offset: options.base_offset,
            size: self.output.len(),
            leader_epoch: options.leader_epoch,
            crc: 0,
            attributes,
            last_offset_delta: self.record_count - 1,
            base_timestamp: self.base_timestamp,
            max_timestamp: options.log_append_time.unwrap_or(self.max_timestamp),
            producer_id: options.producer.map(|producer| producer.id),
            producer_epoch: options.producer.map(|producer| producer.epoch),
            base_sequence: options.producer.and_then(|producer| producer.base_sequence),
            record_count: self.record_count,
        }
    }
}

/// The batch that ends a transaction in one partition: a single control record without a sequence.
pub fn end_transaction_batch(
    producer: BatchProducer,
    kind: ControlKind,
    end: EndTransaction,
    timestamp: Timestamp,
) -> Result<Vec<u8>, BuildError> {
    let options = BatchOptions {
        producer: Some(producer),
        transactional: true,
        control: true,
        ..BatchOptions::default()
    };
    let mut builder = BatchBuilder::new(options)?;
    builder.append_control(timestamp, kind, &end.value())?;
    builder.finish()
}

/// What a record stores in place of its timestamp and offset: the differences to those of the first record.
#[derive(Clone, Copy)]
pub(super) struct Deltas {
    pub(super) timestamp: i64,
    pub(super) offset: i32,
}

/// Bytes of an encoded record whose body takes so many, its length included.
fn with_length(body: usize) -> usize {
    body.saturating_add(i32::try_from(body).map_or(0, varint::size_i32))
}

/// Bytes of an encoded record without its length.
pub(super) fn body_size(deltas: Deltas, record: &NewRecord<'_>) -> usize {
    let fixed = 1 + varint::size_i64(deltas.timestamp) + varint::size_i32(deltas.offset);
    let count = i32::try_from(record.headers.len()).unwrap_or(i32::MAX);
    let headers = record
        .headers
        .iter()
        .map(|header| bytes_size(Some(header.key)).saturating_add(bytes_size(header.value)))
        .fold(varint::size_i32(count), usize::saturating_add);
    fixed
        .saturating_add(bytes_size(record.key))
        .saturating_add(bytes_size(record.value))
        .saturating_add(headers)
}

fn bytes_size(bytes: Option<&[u8]>) -> usize {
    let length = bytes.map_or(-1, |bytes| i32::try_from(bytes.len()).unwrap_or(i32::MAX));
    varint::size_i32(length).saturating_add(bytes.map_or(0, <[u8]>::len))
}

/// Appends a record whose size was checked, so that every length fits an `i32`.
pub(super) fn encode_record((deltas, body): (Deltas, usize), record: &NewRecord<'_>, output: &mut Vec<u8>) {
    write_length(output, body);
    output.push(0);
    varint::write_i64(output, deltas.timestamp);
    varint::write_i32(output, deltas.offset);
    write_bytes(output, record.key);
    write_bytes(output, record.value);
    write_length(output, record.headers.len());
    for header in record.headers {
        write_bytes(output, Some(header.key));
        write_bytes(output, header.value);
    }
}

fn write_bytes(output: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        Some(bytes) => {
            write_length(output, bytes.len());
            output.extend_from_slice(bytes);
        }
        None => varint::write_i32(output, -1),
    }
}

fn write_length(output: &mut Vec<u8>, length: usize) {
    varint::write_i32(output, i32::try_from(length).unwrap_or(i32::MAX));
}
