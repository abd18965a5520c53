//! The 61 bytes before the records of a batch of magic 2.
//!
//! Owns: offsets and widths of the fields, the attribute bits, the checksum, `BatchHeader` parsed and written.
//! Does not own: the records behind it (`records`), older formats (`legacy`).
//!
//! | at | field                | width | in the CRC |                                                        |
//! |----|----------------------|-------|------------|--------------------------------------------------------|
//! | 0  | base offset          | 8     |            | set by the leader                                      |
//! | 8  | length               | 4     |            | bytes behind this field                                |
//! | 12 | leader epoch         | 4     |            | set by the leader; −1 unknown                          |
//! | 16 | magic                | 1     |            | 2                                                      |
//! | 17 | CRC-32C              | 4     |            | of all bytes from 21                                   |
//! | 21 | attributes           | 2     | yes        | 0–2 codec, 3 log append time, 4 transactional, 5 control, 6 delete horizon |
//! | 23 | last offset delta    | 4     | yes        |                                                        |
//! | 27 | base timestamp       | 8     | yes        | with bit 6: the delete horizon                         |
//! | 35 | largest timestamp    | 8     | yes        |                                                        |
//! | 43 | producer id          | 8     | yes        | −1 none                                                |
//! | 51 | producer epoch       | 2     | yes        | −1 none                                                |
//! | 53 | base sequence        | 4     | yes        | −1 none                                                |
//! | 57 | record count         | 4     | yes        |                                                        |
//!
//! All numbers are big endian.
//!
//! Source: Kafka documentation, "Record Batch"; KIP-98, KIP-534; requirements REC-01, section 2.1.

use crc_fast::{CrcAlgorithm, checksum};
use ottla_model::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Sequence, Timestamp};

use super::BatchError;
use crate::compression::{Compression, UnknownCodec};

/// Bytes of a batch before its records.
pub const HEADER_BYTES: usize = 61;
/// Bytes up to and including the length field: what a batch is longer than its length field says.
pub const LOG_OVERHEAD_BYTES: usize = 12;
/// Bytes that tell format and size of any batch, also of an old one.
pub const PREFIX_BYTES: usize = 17;
/// The format this module writes.
pub const MAGIC: u8 = 2;

/// Where each field begins.
pub(crate) mod at {
    pub const BASE_OFFSET: usize = 0;
    pub const LENGTH: usize = 8;
    pub const LEADER_EPOCH: usize = 12;
    pub const MAGIC: usize = 16;
    pub const CRC: usize = 17;
    pub const ATTRIBUTES: usize = 21;
    pub const LAST_OFFSET_DELTA: usize = 23;
    pub const BASE_TIMESTAMP: usize = 27;
    pub const MAX_TIMESTAMP: usize = 35;
    pub const PRODUCER_ID: usize = 43;
    pub const PRODUCER_EPOCH: usize = 51;
    pub const BASE_SEQUENCE: usize = 53;
    pub const RECORD_COUNT: usize = 57;
    pub const RECORDS: usize = 61;
}

/// First byte that the checksum covers.
pub(crate) const CRC_COVERS_FROM: usize = at::ATTRIBUTES;

const _: () = {
    assert!(at::LENGTH == at::BASE_OFFSET + 8);
    assert!(at::LEADER_EPOCH == at::LENGTH + 4);
    assert!(at::LEADER_EPOCH == LOG_OVERHEAD_BYTES);
    assert!(at::MAGIC == at::LEADER_EPOCH + 4);
    assert!(PREFIX_BYTES == at::MAGIC + 1);
    assert!(at::CRC == at::MAGIC + 1);
    assert!(at::ATTRIBUTES == at::CRC + 4);
    assert!(at::LAST_OFFSET_DELTA == at::ATTRIBUTES + 2);
    assert!(at::BASE_TIMESTAMP == at::LAST_OFFSET_DELTA + 4);
    assert!(at::MAX_TIMESTAMP == at::BASE_TIMESTAMP + 8);
    assert!(at::PRODUCER_ID == at::MAX_TIMESTAMP + 8);
    assert!(at::PRODUCER_EPOCH == at::PRODUCER_ID + 8);
    assert!(at::BASE_SEQUENCE == at::PRODUCER_EPOCH + 2);
    assert!(at::RECORD_COUNT == at::BASE_SEQUENCE + 4);
    assert!(at::RECORDS == at::RECORD_COUNT + 4);
    assert!(at::RECORDS == HEADER_BYTES);
    // The leader stamps base offset and epoch into a batch that the producer already checksummed (REC-01).
    assert!(at::BASE_OFFSET + 8 <= CRC_COVERS_FROM && at::LEADER_EPOCH + 4 <= CRC_COVERS_FROM);
};

/// Whose clock the timestamps of a batch come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TimestampType {
    /// The producer's; every record has its own.
    CreateTime,
    /// The leader's; all records have the largest timestamp of the batch.
    LogAppendTime,
}

/// The 16 attribute bits of a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Attributes(u16);

impl Attributes {
    const CODEC: u16 = 0x07;
    const LOG_APPEND_TIME: u16 = 0x08;
    const TRANSACTIONAL: u16 = 0x10;
    const CONTROL: u16 = 0x20;
    const DELETE_HORIZON: u16 = 0x40;

    /// Attributes with these bits; bits that have no meaning are kept.
    pub const fn from_bits(bits: u16) -> Attributes {
        Attributes(bits)
    }

    /// All 16 bits as they stand in the batch.
    pub const fn bits(self) -> u16 {
        self.0
    }

    /// The codec of the records, or the number that names none (5 to 7).
    pub fn compression(self) -> Result<Compression, UnknownCodec> {
        let id = (self.0 & Attributes::CODEC).to_be_bytes()[1];
        Compression::from_id(id).ok_or(UnknownCodec { id })
    }

    /// Whose clock the timestamps come from.
    pub const fn timestamp_type(self) -> TimestampType {
        if self.0 & Attributes::LOG_APPEND_TIME == 0 {
            TimestampType::CreateTime
        } else {
            TimestampType::LogAppendTime
        }
    }

    /// Whether the batch belongs to a transaction.
    pub const fn is_transactional(self) -> bool {
        self.0 & Attributes::TRANSACTIONAL != 0
    }

    /// Whether the batch holds a control record that clients skip.
    pub const fn is_control(self) -> bool {
        self.0 & Attributes::CONTROL != 0
    }

    /// Whether the base timestamp means the time from which compaction may drop the batch (KIP-534).
    pub const fn has_delete_horizon(self) -> bool {
        self.0 & Attributes::DELETE_HORIZON != 0
    }

    /// Without the bits that have no meaning. Kafka clears them where it writes the attributes anew.
    #[must_use]
    pub(crate) const fn cleared(self) -> Attributes {
        Attributes(self.0 & 0x7f)
    }

    /// What Kafka keeps where it packs a client's records anew: no delete horizon either, that is the cleaner's.
    #[must_use]
    pub(crate) const fn of_rebuilt(self) -> Attributes {
        Attributes(self.cleared().0 & !Attributes::DELETE_HORIZON)
    }

    #[must_use]
    pub fn with_compression(self, compression: Compression) -> Attributes {
        Attributes((self.0 & !Attributes::CODEC) | u16::from(compression.id()))
    }

    #[must_use]
    pub const fn with_timestamp_type(self, timestamp_type: TimestampType) -> Attributes {
        match timestamp_type {
            TimestampType::CreateTime => Attributes(self.0 & !Attributes::LOG_APPEND_TIME),
            TimestampType::LogAppendTime => Attributes(self.0 | Attributes::LOG_APPEND_TIME),
        }
    }

    /// Marks the batch as part of a transaction.
    #[must_use]
    pub const fn transactional(self) -> Attributes {
        Attributes(self.0 | Attributes::TRANSACTIONAL)
    }

    /// Marks the batch as one of control records.
    #[must_use]
    pub const fn control(self) -> Attributes {
        Attributes(self.0 | Attributes::CONTROL)
    }

    /// Marks the base timestamp as a delete horizon.
    #[must_use]
    pub const fn delete_horizon(self) -> Attributes {
        Attributes(self.0 | Attributes::DELETE_HORIZON)
    }
}

/// Format and size of the batch at the front of some bytes, whatever its magic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchPrefix {
    /// Of magic 2 the first offset; of older formats the last one.
    pub offset: Offset,
    /// Bytes of the whole batch, this prefix included.
    pub size: usize,
    /// 0, 1 or 2.
    pub magic: u8,
}

impl BatchPrefix {
    /// Reads the first [`PREFIX_BYTES`] of `bytes`. The batch itself may be cut off.
    pub fn parse(bytes: &[u8]) -> Result<BatchPrefix, BatchError> {
        let Some(prefix) = bytes.first_chunk::<PREFIX_BYTES>() else {
            return Err(BatchError::Truncated { have: bytes.len(), need: PREFIX_BYTES });
        };
        let length = i32::from_be_bytes(field(prefix, at::LENGTH));
        let offset = i64::from_be_bytes(field(prefix, at::BASE_OFFSET));
        let magic = prefix[at::MAGIC];
        let length_min = match magic {
            MAGIC => HEADER_BYTES - LOG_OVERHEAD_BYTES,
            0 => super::legacy::OVERHEAD_BYTES_V0,
            1 => super::legacy::OVERHEAD_BYTES_V1,
            _ => return Err(BatchError::Magic { got: magic }),
        };
        let size = match usize::try_from(length) {
            Ok(length) if length >= length_min => length + LOG_OVERHEAD_BYTES,
            _ => return Err(BatchError::Length { got: length, min: length_min }),
        };
        let offset = Offset::new(offset).ok_or(BatchError::Offset { got: offset })?;
        Ok(BatchPrefix { offset, size, magic })
    }
}

/// The header of a batch of magic 2. What the sender only claims (range and count) is not compared with the records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchHeader {
    pub base_offset: Offset,
    /// Bytes of the whole batch, header included.
    pub size: usize,
    pub leader_epoch: Option<LeaderEpoch>,
    /// The checksum as it stands in the batch.
    pub crc: u32,
    pub attributes: Attributes,
    /// As claimed; negative is possible in what a client sends.
    pub last_offset_delta: i32,
    pub base_timestamp: Timestamp,
    pub max_timestamp: Timestamp,
    pub producer_id: Option<ProducerId>,
    pub producer_epoch: Option<ProducerEpoch>,
    /// Sequence of the first record.
    pub base_sequence: Option<Sequence>,
    /// As claimed; compaction may leave fewer records than offsets, or none (FET-20).
    pub record_count: i32,
}

impl BatchHeader {
    /// Reads the header at the front of `bytes`. The records may be cut off.
    pub fn parse(bytes: &[u8]) -> Result<BatchHeader, BatchError> {
        let prefix = BatchPrefix::parse(bytes)?;
        if prefix.magic != MAGIC {
            return Err(BatchError::Magic { got: prefix.magic });
        }
        let Some(header) = bytes.first_chunk::<HEADER_BYTES>() else {
            return Err(BatchError::Truncated { have: bytes.len(), need: HEADER_BYTES });
        };
        Ok(BatchHeader {
            base_offset: prefix.offset,
            size: prefix.size,
            leader_epoch: LeaderEpoch::new(i32::from_be_bytes(field(header, at::LEADER_EPOCH))),
            crc: u32::from_be_bytes(field(header, at::CRC)),
            attributes: Attributes(u16::from_be_bytes(field(header, at::ATTRIBUTES))),
            last_offset_delta: i32::from_be_bytes(field(header, at::LAST_OFFSET_DELTA)),
            base_timestamp: Timestamp::from_millis(i64::from_be_bytes(field(header, at::BASE_TIMESTAMP))),
            max_timestamp: Timestamp::from_millis(i64::from_be_bytes(field(header, at::MAX_TIMESTAMP))),
            producer_id: ProducerId::new(i64::from_be_bytes(field(header, at::PRODUCER_ID))),
            producer_epoch: ProducerEpoch::new(i16::from_be_bytes(field(header, at::PRODUCER_EPOCH))),
            base_sequence: Sequence::new(i32::from_be_bytes(field(header, at::BASE_SEQUENCE))),
            record_count: i32::from_be_bytes(field(header, at::RECORD_COUNT)),
        })
    }

    /// Offset of the last record the batch had when it was written.
    pub fn last_offset(&self) -> Offset {
        self.base_offset.plus(u32::try_from(self.last_offset_delta).unwrap_or(0))
    }

    /// The first offset behind the batch.
    pub fn next_offset(&self) -> Offset {
        self.last_offset().next()
    }

    /// Sequence of the last record, continuing at 0 after the largest (IDM-03); `None` without a base sequence.
    pub fn last_sequence(&self) -> Option<Sequence> {
        Some(self.base_sequence?.plus(u32::try_from(self.last_offset_delta).unwrap_or(0)))
    }

    /// Writes the header over the front of `batch` and then the checksum over all of it. The length field is taken
    /// from `batch`, whose size must not exceed 2³¹ − 1 + 12.
    pub(crate) fn seal(&self, batch: &mut [u8]) {
        let length = i32::try_from(batch.len() - LOG_OVERHEAD_BYTES).unwrap_or(i32::MAX);
        put(batch, at::BASE_OFFSET, self.base_offset.value().to_be_bytes());
        put(batch, at::LENGTH, length.to_be_bytes());
        put(batch, at::LEADER_EPOCH, self.leader_epoch.map_or(-1, LeaderEpoch::value).to_be_bytes());
        put(batch, at::MAGIC, [MAGIC]);
        put(batch, at::ATTRIBUTES, self.attributes.0.to_be_bytes());
        put(batch, at::LAST_OFFSET_DELTA, self.last_offset_delta.to_be_bytes());
        put(batch, at::BASE_TIMESTAMP, self.base_timestamp.millis().to_be_bytes());
        put(batch, at::MAX_TIMESTAMP, self.max_timestamp.millis().to_be_bytes());
        put(batch, at::PRODUCER_ID, self.producer_id.map_or(-1, ProducerId::value).to_be_bytes());
        put(batch, at::PRODUCER_EPOCH, self.producer_epoch.map_or(-1, ProducerEpoch::value).to_be_bytes());
        put(batch, at::BASE_SEQUENCE, self.base_sequence.map_or(-1, Sequence::value).to_be_bytes());
        put(batch, at::RECORD_COUNT, self.record_count.to_be_bytes());
        seal_crc(batch);
    }
}

/// The checksum that the batch in `bytes` (at least a header) should carry.
pub(crate) fn computed_crc(bytes: &[u8]) -> u32 {
    let covered = bytes.get(CRC_COVERS_FROM..).unwrap_or(&[]);
    // CRC-32C has 32 bits; the library returns every checksum in 64.
    u32::try_from(checksum(CrcAlgorithm::Crc32Iscsi, covered)).unwrap_or(0)
}

/// Writes the checksum of the batch in `bytes`.
pub(crate) fn seal_crc(bytes: &mut [u8]) {
    let crc = computed_crc(bytes);
    put(bytes, at::CRC, crc.to_be_bytes());
}

/// The `N` bytes at a constant position of a fixed header.
pub(crate) fn field<const N: usize, const TOTAL: usize>(header: &[u8; TOTAL], at: usize) -> [u8; N] {
    std::array::from_fn(|index| header[at + index])
}

/// Overwrites the bytes at a constant position of a header that is there.
pub(crate) fn put<const N: usize>(bytes: &mut [u8], at: usize, value: [u8; N]) {
    bytes[at..at + N].copy_from_slice(&value);
}
