//! Batches in a buffer: views without a copy, iteration, patches in place.
//!
//! Owns: `BatchView` and `BatchMut` over the bytes of one batch, `Batches` over many.
//! Does not own: the header's fields (`layout`), what a leader accepts (`validate`).
//!
//! Invariants
//! - I1 a view's bytes are exactly one batch: as long as its length field says, at least a header.
//! - I2 after every method of `BatchMut` a checksum that was right is right.
//!
//! Source: requirements REC-01, PRD-15, PRD-21, FET-12, TRAP-37.

use ottla_model::{LeaderEpoch, Offset, Sequence, Timestamp};

use super::builder::BatchProducer;
use super::layout::{self, BatchHeader, BatchPrefix, HEADER_BYTES, MAGIC, TimestampType, at, put};
use super::legacy::LegacyBatch;
use super::records::{RecordIter, Records};
use crate::compression::{Compression, CompressionError, Decompressor, UnpackLimits};

/// Why bytes are not a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    #[error("{have} bytes are there, the batch needs {need}")]
    Truncated { have: usize, need: usize },
    #[error("batch length {got} is below {min}")]
    Length { got: i32, min: usize },
    #[error("unknown magic {got}")]
    Magic { got: u8 },
    #[error("negative offset {got}")]
    Offset { got: i64 },
    #[error("checksum {stored:#010x} differs from the computed {computed:#010x}")]
    Checksum { stored: u32, computed: u32 },
}

/// One batch of magic 2.
#[derive(Clone, Copy, Debug)]
pub struct BatchView<'a> {
    header: BatchHeader,
    bytes: &'a [u8],
}

impl<'a> BatchView<'a> {
    /// The batch at the front of `bytes`. The checksum is not compared.
    pub fn parse(bytes: &'a [u8]) -> Result<BatchView<'a>, BatchError> {
        let header = BatchHeader::parse(bytes)?;
        match bytes.get(..header.size) {
            Some(bytes) => Ok(BatchView { header, bytes }),
            None => Err(BatchError::Truncated { have: bytes.len(), need: header.size }),
        }
    }

    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// The whole batch.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The records as they lie in the batch, perhaps compressed.
    pub fn records_bytes(&self) -> &'a [u8] {
        self.bytes.get(HEADER_BYTES..).unwrap_or(&[])
    }

    /// Compares the checksum.
    pub fn check_crc(&self) -> Result<(), BatchError> {
        let computed = layout::computed_crc(self.bytes);
        if computed == self.header.crc {
            Ok(())
        } else {
            Err(BatchError::Checksum { stored: self.header.crc, computed })
        }
    }

    /// The records of a batch that is not compressed. `unpacked` are the bytes that [`BatchView::unpack`] gave.
    pub fn records_in<'b>(&self, unpacked: &'b [u8]) -> RecordIter<'b> {
        RecordIter::new(&self.header, unpacked)
    }

    /// The records, unpacked into `buffer` where they are compressed.
    pub fn records<'b>(&self, buffer: &'b mut RecordBuffer) -> Result<RecordIter<'b>, CompressionError>
    where
        'a: 'b,
    {
        let codec = self.header.attributes.compression()?;
        if codec == Compression::None {
            return Ok(self.records_in(self.records_bytes()));
        }
        Ok(self.records_in(buffer.unpack(codec, self.records_bytes())?))
    }
}

/// One batch of any format that may lie in a segment.
#[derive(Clone, Copy, Debug)]
pub enum Batch<'a> {
    V2(BatchView<'a>),
    /// A message, or a compressed set of messages, of magic 0 or 1 (OLD-01).
    Legacy(LegacyBatch<'a>),
}

impl<'a> Batch<'a> {
    /// The batch at the front of `bytes`. The checksum is not compared.
    pub fn parse(bytes: &'a [u8]) -> Result<Batch<'a>, BatchError> {
        match BatchPrefix::parse(bytes)?.magic {
            MAGIC => BatchView::parse(bytes).map(Batch::V2),
            _ => LegacyBatch::parse(bytes).map(Batch::Legacy),
        }
    }

    /// The whole batch.
    pub fn bytes(&self) -> &'a [u8] {
        match self {
            Batch::V2(batch) => batch.bytes(),
            Batch::Legacy(batch) => batch.bytes(),
        }
    }

    /// Offset of its last record.
    pub fn last_offset(&self) -> Offset {
        match self {
            Batch::V2(batch) => batch.header().last_offset(),
            Batch::Legacy(batch) => batch.last_offset(),
        }
    }

    /// Largest timestamp; `Timestamp::NONE` for magic 0, which has none.
    pub fn max_timestamp(&self) -> Timestamp {
        match self {
            Batch::V2(batch) => batch.header().max_timestamp,
            Batch::Legacy(batch) => batch.max_timestamp(),
        }
    }

    /// Compares the checksum.
    pub fn check_crc(&self) -> Result<(), BatchError> {
        match self {
            Batch::V2(batch) => batch.check_crc(),
            Batch::Legacy(batch) => batch.check_crc(),
        }
    }

    /// The records, unpacked into `buffer` where they are compressed.
    pub fn records<'b>(&self, buffer: &'b mut RecordBuffer) -> Result<Records<'b>, CompressionError>
    where
        'a: 'b,
    {
        match self {
            Batch::V2(batch) => batch.records(buffer).map(Records::V2),
            Batch::Legacy(batch) => batch.records(buffer).map(Records::Legacy),
        }
    }
}

/// The batches that lie one behind the other in a buffer. A batch that is cut off ends the iteration and stays in
/// [`Batches::rest`]; after an error there is nothing more.
#[derive(Clone, Debug)]
pub struct Batches<'a> {
    rest: &'a [u8],
    failed: bool,
}

impl<'a> Batches<'a> {
    pub fn new(bytes: &'a [u8]) -> Batches<'a> {
        Batches { rest: bytes, failed: false }
    }

    /// What was not returned yet; at the end, the bytes of a batch that is cut off.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

impl<'a> Iterator for Batches<'a> {
    type Item = Result<Batch<'a>, BatchError>;

    fn next(&mut self) -> Option<Result<Batch<'a>, BatchError>> {
        if self.failed || self.rest.is_empty() {
            return None;
        }
        match Batch::parse(self.rest) {
            Ok(batch) => {
                self.rest = self.rest.get(batch.bytes().len()..).unwrap_or(&[]);
                Some(Ok(batch))
            }
            Err(BatchError::Truncated { .. }) => None,
            Err(error) => {
                self.failed = true;
                Some(Err(error))
            }
        }
    }
}

/// A reusable buffer for the records of compressed batches.
pub struct RecordBuffer {
    decompressor: Decompressor,
    bytes: Vec<u8>,
    limits: UnpackLimits,
}

impl RecordBuffer {
    /// An empty buffer that never grows beyond `limits.bytes_max` by more than one chunk.
    pub fn new(limits: UnpackLimits) -> RecordBuffer {
        RecordBuffer { decompressor: Decompressor::new(), bytes: Vec::new(), limits }
    }

    /// Replaces the content by the unpacked `packed`.
    pub(super) fn unpack(&mut self, codec: Compression, packed: &[u8]) -> Result<&[u8], CompressionError> {
        self.bytes.clear();
        self.decompressor.unpack_into((codec, packed), self.limits, &mut self.bytes)?;
        Ok(&self.bytes)
    }

    /// What was unpacked last.
    pub(super) fn unpacked(&self) -> &[u8] {
        &self.bytes
    }

    /// As `unpack`, for magic 0, whose LZ4 header checksums are wrong.
    pub(super) fn unpack_magic_0(
        &mut self,
        codec: Compression,
        packed: &[u8],
    ) -> Result<&[u8], CompressionError> {
        self.bytes.clear();
        let limits = UnpackLimits { lz4_header_checked: false, ..self.limits };
        self.decompressor.unpack_into((codec, packed), limits, &mut self.bytes)?;
        Ok(&self.bytes)
    }
}

/// One batch of magic 2 that is changed in place.
#[derive(Debug)]
pub struct BatchMut<'a> {
    header: BatchHeader,
    bytes: &'a mut [u8],
}

impl<'a> BatchMut<'a> {
    /// The batch at the front of `bytes`. The checksum is not compared.
    pub fn parse(bytes: &'a mut [u8]) -> Result<BatchMut<'a>, BatchError> {
        let header = BatchHeader::parse(bytes)?;
        let have = bytes.len();
        match bytes.get_mut(..header.size) {
            Some(bytes) => Ok(BatchMut { header, bytes }),
            None => Err(BatchError::Truncated { have, need: header.size }),
        }
    }

    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// The batch as it is now.
    pub fn view(&self) -> BatchView<'_> {
        BatchView { header: self.header, bytes: self.bytes }
    }

    /// Moves the batch to `offset`. Leaves the checksum as it is: it does not cover the field (REC-01).
    pub fn set_base_offset(&mut self, offset: Offset) {
        self.header.base_offset = offset;
        put(self.bytes, at::BASE_OFFSET, offset.value().to_be_bytes());
    }

    /// Stamps the leader's epoch (PRD-21). Leaves the checksum as it is: it does not cover the field (REC-01).
    pub fn set_leader_epoch(&mut self, epoch: LeaderEpoch) {
        self.header.leader_epoch = Some(epoch);
        put(self.bytes, at::LEADER_EPOCH, epoch.value().to_be_bytes());
    }

    /// Writes the producer and the sequence of its first record; computes the checksum anew.
    pub fn set_producer(&mut self, producer: BatchProducer) {
        self.header.producer_id = Some(producer.id);
        self.header.producer_epoch = Some(producer.epoch);
        self.header.base_sequence = producer.base_sequence;
        put(self.bytes, at::PRODUCER_ID, producer.id.value().to_be_bytes());
        put(self.bytes, at::PRODUCER_EPOCH, producer.epoch.value().to_be_bytes());
        put(self.bytes, at::BASE_SEQUENCE, producer.base_sequence.map_or(-1, Sequence::value).to_be_bytes());
        layout::seal_crc(self.bytes);
        self.header.crc = u32::from_be_bytes(std::array::from_fn(|index| self.bytes[at::CRC + index]));
    }

    /// Sets the largest timestamp and whose clock it is from; computes the checksum anew if that changes anything.
    pub fn set_timestamps(&mut self, timestamp_type: TimestampType, max_timestamp: Timestamp) {
        let before = self.header.attributes;
        if before.timestamp_type() == timestamp_type && max_timestamp == self.header.max_timestamp {
            return;
        }
        let attributes = before.cleared().with_timestamp_type(timestamp_type);
        self.header.attributes = attributes;
        self.header.max_timestamp = max_timestamp;
        put(self.bytes, at::ATTRIBUTES, attributes.bits().to_be_bytes());
        put(self.bytes, at::MAX_TIMESTAMP, max_timestamp.millis().to_be_bytes());
        layout::seal_crc(self.bytes);
        self.header.crc = u32::from_be_bytes(std::array::from_fn(|index| self.bytes[at::CRC + index]));
    }
}
