//! Messages of magic 0 and 1, which upgraded data directories may still hold.
//!
//! Owns: reading single messages and compressed sets of them. Does not own: writing any; they are never written.
//!
//! | at | field         | width |                                                                        |
//! |----|---------------|-------|------------------------------------------------------------------------|
//! | 0  | offset        | 8     | of a compressed set: of its last message                               |
//! | 8  | length        | 4     | bytes behind this field                                                |
//! | 12 | CRC-32        | 4     | of all bytes from 16                                                   |
//! | 16 | magic         | 1     | 0 or 1                                                                 |
//! | 17 | attributes    | 1     | 0–2 codec (0 to 3), 3 log append time (magic 1)                        |
//! | 18 | timestamp     | 8     | magic 1 only                                                           |
//! | …  | key, value    |       | each an i32 length (−1 null) and the bytes; the value of a compressed set is a packed sequence of messages |
//!
//! Offsets inside a compressed set are absolute in magic 0; in magic 1 they count from 0 and the last one stands for
//! the offset of the set.
//!
//! Source: Kafka documentation, "Old Message Format"; KIP-31, KIP-32; requirement OLD-01.

use crc_fast::{CrcAlgorithm, checksum};
use ottla_model::{Offset, Timestamp};

use super::batch::{BatchError, RecordBuffer};
use super::layout::{Attributes, BatchPrefix, LOG_OVERHEAD_BYTES, MAGIC, TimestampType, field};
use super::records::{Headers, Record, RecordError};
use crate::compression::{Compression, CompressionError};

mod at {
    pub const CRC: usize = 12;
    pub const MAGIC: usize = 16;
    pub const ATTRIBUTES: usize = 17;
    pub const TIMESTAMP: usize = 18;
    pub const KEY_V0: usize = 18;
    pub const KEY_V1: usize = 26;
}

/// Least length of a message of magic 0: checksum, magic, attributes, two lengths.
pub(super) const OVERHEAD_BYTES_V0: usize = 14;
/// Least length of a message of magic 1: the timestamp too.
pub(super) const OVERHEAD_BYTES_V1: usize = 22;

const _: () = {
    assert!(at::CRC == LOG_OVERHEAD_BYTES);
    assert!(at::KEY_V0 + 8 == OVERHEAD_BYTES_V0 + LOG_OVERHEAD_BYTES);
    assert!(at::KEY_V1 + 8 == OVERHEAD_BYTES_V1 + LOG_OVERHEAD_BYTES);
    assert!(at::KEY_V1 == at::TIMESTAMP + 8);
};

/// One message, or one compressed set of messages.
#[derive(Clone, Copy, Debug)]
pub struct LegacyBatch<'a> {
    prefix: BatchPrefix,
    attributes: Attributes,
    timestamp: Timestamp,
    bytes: &'a [u8],
}

impl<'a> LegacyBatch<'a> {
    /// The message at the front of `bytes`. The checksum is not compared.
    pub fn parse(bytes: &'a [u8]) -> Result<LegacyBatch<'a>, BatchError> {
        let prefix = BatchPrefix::parse(bytes)?;
        if prefix.magic >= MAGIC {
            return Err(BatchError::Magic { got: prefix.magic });
        }
        let Some(bytes) = bytes.get(..prefix.size) else {
            return Err(BatchError::Truncated { have: bytes.len(), need: prefix.size });
        };
        let header: &[u8; at::KEY_V0] =
            bytes.first_chunk().ok_or(BatchError::Truncated { have: bytes.len(), need: at::KEY_V0 })?;
        let attributes = Attributes::from_bits(u16::from(header[at::ATTRIBUTES]));
        let timestamp = match bytes.first_chunk::<{ at::KEY_V1 }>() {
            Some(header) if prefix.magic == 1 => i64::from_be_bytes(field(header, at::TIMESTAMP)),
            _ => Timestamp::NONE.millis(),
        };
        Ok(LegacyBatch { prefix, attributes, timestamp: Timestamp::from_millis(timestamp), bytes })
    }

    /// The whole message.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// 0 or 1.
    pub fn magic(&self) -> u8 {
        self.prefix.magic
    }

    /// Offset of the message, or of the last one in the set.
    pub fn last_offset(&self) -> Offset {
        self.prefix.offset
    }

    /// Timestamp of the message, or the largest in the set; `Timestamp::NONE` for magic 0.
    pub fn max_timestamp(&self) -> Timestamp {
        self.timestamp
    }

    /// Codec and, in magic 1, whose clock the timestamp is from.
    pub fn attributes(&self) -> Attributes {
        self.attributes
    }

    /// The checksum as it stands in the message.
    pub fn crc(&self) -> u32 {
        let stored = self.bytes.get(at::CRC..).and_then(|bytes| bytes.first_chunk()).copied();
        stored.map_or(0, u32::from_be_bytes)
    }

    /// Compares the checksum (CRC-32, not CRC-32C).
    pub fn check_crc(&self) -> Result<(), BatchError> {
        let stored = self.crc();
        let covered = self.bytes.get(at::MAGIC..).unwrap_or(&[]);
        let computed = u32::try_from(checksum(CrcAlgorithm::Crc32IsoHdlc, covered)).unwrap_or(0);
        if stored == computed { Ok(()) } else { Err(BatchError::Checksum { stored, computed }) }
    }

    /// The message, or the messages of the set, unpacked into `buffer`.
    pub fn records<'b>(&self, buffer: &'b mut RecordBuffer) -> Result<LegacyRecords<'b>, CompressionError>
    where
        'a: 'b,
    {
        let codec = self.attributes.compression()?;
        if codec == Compression::None {
            return Ok(LegacyRecords { rest: self.bytes, offset_shift: 0, append_time: None, ended: false });
        }
        let packed = self.content().ok().and_then(|content| content.value).unwrap_or(&[]);
        let inner = match self.prefix.magic {
            0 => buffer.unpack_magic_0(codec, packed)?,
            _ => buffer.unpack(codec, packed)?,
        };
        let offset_shift = match self.prefix.magic {
            0 => 0,
            _ => self.prefix.offset.value().wrapping_sub(last_offset_of(inner)),
        };
        let append_time = match self.attributes.timestamp_type() {
            TimestampType::LogAppendTime if self.prefix.magic == 1 => Some(self.timestamp),
            TimestampType::LogAppendTime | TimestampType::CreateTime => None,
        };
        Ok(LegacyRecords { rest: inner, offset_shift, append_time, ended: false })
    }

    /// Offset of the first message: of the set's first one, for which the set is unpacked into `buffer`. `None` when
    /// the set holds none that can be read.
    pub fn base_offset(&self, buffer: &mut RecordBuffer) -> Result<Option<Offset>, CompressionError> {
        Ok(self.records(buffer)?.next().and_then(Result::ok).map(|record| record.offset))
    }

    fn content(&self) -> Result<Content<'a>, RecordError> {
        let from = if self.prefix.magic == 0 { at::KEY_V0 } else { at::KEY_V1 };
        let mut rest = self.bytes.get(from..).ok_or(RecordError::Truncated)?;
        let key = read_nullable(&mut rest)?;
        let value = read_nullable(&mut rest)?;
        if rest.is_empty() {
            Ok(Content { key, value })
        } else {
            Err(RecordError::Trailing { bytes: rest.len() })
        }
    }
}

struct Content<'a> {
    key: Option<&'a [u8]>,
    value: Option<&'a [u8]>,
}

/// The messages of one set, or the one message.
#[derive(Clone, Debug)]
pub struct LegacyRecords<'a> {
    rest: &'a [u8],
    /// What makes an inner offset absolute.
    offset_shift: i64,
    append_time: Option<Timestamp>,
    ended: bool,
}

impl<'a> LegacyRecords<'a> {
    /// The next record together with its message, which has a checksum of its own.
    pub fn next_message(&mut self) -> Option<Result<(Record<'a>, LegacyBatch<'a>), RecordError>> {
        if self.ended || self.rest.is_empty() {
            return None;
        }
        let read = self.read();
        self.ended = read.is_err();
        Some(read)
    }

    fn read(&mut self) -> Result<(Record<'a>, LegacyBatch<'a>), RecordError> {
        let message = LegacyBatch::parse(self.rest).map_err(|_| RecordError::Truncated)?;
        self.rest = self.rest.get(message.bytes.len()..).unwrap_or(&[]);
        let Content { key, value } = message.content()?;
        let offset = message.prefix.offset.value().wrapping_add(self.offset_shift);
        let record = Record {
            offset: Offset::new(offset).ok_or(RecordError::OffsetDelta { got: -1 })?,
            timestamp: self.append_time.unwrap_or(message.timestamp),
            key,
            value,
            headers: Headers::default(),
        };
        Ok((record, message))
    }
}

impl<'a> Iterator for LegacyRecords<'a> {
    type Item = Result<Record<'a>, RecordError>;

    fn next(&mut self) -> Option<Result<Record<'a>, RecordError>> {
        self.next_message().map(|read| read.map(|(record, _)| record))
    }
}

/// Offset that stands in the last message of an unpacked set; 0 when there is none.
fn last_offset_of(mut inner: &[u8]) -> i64 {
    let mut last = 0;
    while let Ok(prefix) = BatchPrefix::parse(inner)
        && let Some(rest) = inner.get(prefix.size..)
    {
        last = prefix.offset.value();
        inner = rest;
    }
    last
}

fn read_nullable<'a>(rest: &mut &'a [u8]) -> Result<Option<&'a [u8]>, RecordError> {
    let (length, behind) = rest.split_first_chunk::<4>().ok_or(RecordError::Truncated)?;
    match usize::try_from(i32::from_be_bytes(*length)) {
        Ok(length) => {
            let (bytes, behind) = behind.split_at_checked(length).ok_or(RecordError::Truncated)?;
            *rest = behind;
            Ok(Some(bytes))
        }
        Err(_) => {
            *rest = behind;
            Ok(None)
        }
    }
}
