//! The records of one batch, read without a copy.
//!
//! Owns: the form of one record, iteration over unpacked records.
//! Does not own: unpacking (`compression`), the cheaper pass that only validates (`validate`).
//!
//! ```text
//! varint length of what follows
//! i8     attributes, unused
//! varlong timestamp − base timestamp      varint offset − base offset
//! varint key length (−1 null), key        varint value length (−1 null), value
//! varint header count, per header: varint key length, key, varint value length (−1 null), value
//! ```
//!
//! Source: Kafka documentation, "Record" and "Record Header"; requirement PRD-11, section 2.1.

use ottla_model::{Offset, Timestamp};

use super::layout::{BatchHeader, TimestampType};
use super::legacy::LegacyRecords;
use super::varint;

/// Why bytes are not the records that their batch declares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    #[error("the records end in the middle of one")]
    Truncated,
    #[error("a variable-length number has too many bytes")]
    VarintTooLong,
    #[error("record length {got} is negative")]
    Length { got: i32 },
    #[error("a record declares {declared} bytes but has {actual}")]
    LengthMismatch { declared: usize, actual: usize },
    #[error("a record has {got} headers")]
    HeaderCount { got: i32 },
    #[error("the key of a header has length {got}")]
    HeaderKeyLength { got: i32 },
    #[error("offset delta {got} is out of range")]
    OffsetDelta { got: i32 },
    #[error("{bytes} bytes are left behind the declared records")]
    Trailing { bytes: usize },
    #[error("{missing} of the declared records are missing")]
    Missing { missing: u32 },
}

/// One record. Key, value and headers are those of the batch's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    pub offset: Offset,
    pub timestamp: Timestamp,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    pub headers: Headers<'a>,
}

/// The headers of a record: well-formed, in order, keys may repeat.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Headers<'a> {
    count: u32,
    bytes: &'a [u8],
}

/// One header of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    /// UTF-8 by convention, but nobody checks it.
    pub key: &'a [u8],
    pub value: Option<&'a [u8]>,
}

impl<'a> Headers<'a> {
    /// How many there are.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// The headers in order.
    pub fn iter(&self) -> impl Iterator<Item = Header<'a>> + use<'a> {
        let mut rest = self.bytes;
        // The bytes were walked once when the record was read, so no header fails here.
        (0..self.count).map_while(move |_| read_header(&mut rest).ok())
    }
}

/// The records of any format.
#[derive(Clone, Debug)]
pub enum Records<'a> {
    V2(RecordIter<'a>),
    Legacy(LegacyRecords<'a>),
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>, RecordError>;

    fn next(&mut self) -> Option<Result<Record<'a>, RecordError>> {
        match self {
            Records::V2(records) => records.next(),
            Records::Legacy(records) => records.next(),
        }
    }
}

/// The records of a batch of magic 2: as many as the header declares, and nothing behind them.
#[derive(Clone, Debug)]
pub struct RecordIter<'a> {
    rest: &'a [u8],
    next: NextRecord,
}

/// Where the reading of a batch's records stopped, without their bytes: to go on later.
#[derive(Clone, Copy, Debug)]
pub struct RecordPlace {
    /// Bytes that are not read yet; the place is counted from the end.
    rest: usize,
    next: NextRecord,
}

/// What the batch says of its next record.
#[derive(Clone, Copy, Debug)]
struct NextRecord {
    left: u32,
    base_offset: Offset,
    base_timestamp: Timestamp,
    /// The time of all records where the leader set it.
    append_time: Option<Timestamp>,
    ended: bool,
}

/// Bytes of the smallest record: its length, attributes, both deltas, no key, no value, no header.
const RECORD_BYTES_MIN: usize = 7;

impl<'a> RecordIter<'a> {
    pub(super) fn new(header: &BatchHeader, unpacked: &'a [u8]) -> RecordIter<'a> {
        let append_time = match header.attributes.timestamp_type() {
            TimestampType::CreateTime => None,
            TimestampType::LogAppendTime => Some(header.max_timestamp),
        };
        let next = NextRecord {
            left: u32::try_from(header.record_count).unwrap_or(0),
            base_offset: header.base_offset,
            base_timestamp: header.base_timestamp,
            append_time,
            ended: false,
        };
        RecordIter { rest: unpacked, next }
    }

    /// Goes on where the reading of the same bytes stopped.
    pub fn at(place: RecordPlace, unpacked: &'a [u8]) -> RecordIter<'a> {
        let read = unpacked.len().saturating_sub(place.rest);
        RecordIter { rest: unpacked.get(read..).unwrap_or(&[]), next: place.next }
    }

    /// Where the reading stands.
    pub fn place(&self) -> RecordPlace {
        RecordPlace { rest: self.rest.len(), next: self.next }
    }

    /// Most records that can follow: what the batch declares, as far as there are bytes for them.
    pub fn left_max(&self) -> usize {
        let declared = usize::try_from(self.next.left).unwrap_or(usize::MAX);
        declared.min(self.rest.len() / RECORD_BYTES_MIN)
    }

    /// Bytes that are not read yet.
    pub(super) fn unread(&self) -> usize {
        self.rest.len()
    }

    /// Whether all was read, and nothing is wrong with the end.
    pub fn is_at_end(&self) -> bool {
        self.next.left == 0 && self.rest.is_empty()
    }

    #[inline]
    fn read(&mut self) -> Result<Record<'a>, RecordError> {
        if self.rest.is_empty() {
            return Err(RecordError::Missing { missing: self.next.left });
        }
        let raw = RawRecord::read(&mut self.rest)?;
        let delta = u32::try_from(raw.offset_delta)
            .map_err(|_| RecordError::OffsetDelta { got: raw.offset_delta })?;
        let created = self.next.base_timestamp.millis().wrapping_add(raw.timestamp_delta);
        Ok(Record {
            offset: self.next.base_offset.plus(delta),
            timestamp: self.next.append_time.unwrap_or(Timestamp::from_millis(created)),
            key: raw.key,
            value: raw.value,
            headers: raw.headers,
        })
    }
}

impl<'a> Iterator for RecordIter<'a> {
    type Item = Result<Record<'a>, RecordError>;

    #[inline]
    fn next(&mut self) -> Option<Result<Record<'a>, RecordError>> {
        if self.next.ended {
            return None;
        }
        if self.next.left == 0 {
            self.next.ended = true;
            let bytes = self.rest.len();
            return (bytes > 0).then_some(Err(RecordError::Trailing { bytes }));
        }
        let record = self.read();
        self.next.left -= 1;
        self.next.ended = record.is_err();
        Some(record)
    }
}

/// A record as it is written, deltas and all.
struct RawRecord<'a> {
    timestamp_delta: i64,
    offset_delta: i32,
    key: Option<&'a [u8]>,
    value: Option<&'a [u8]>,
    headers: Headers<'a>,
}

impl<'a> RawRecord<'a> {
    #[inline]
    fn read(rest: &mut &'a [u8]) -> Result<RawRecord<'a>, RecordError> {
        let length = varint::read_i32(rest)?;
        let length = usize::try_from(length).map_err(|_| RecordError::Length { got: length })?;
        let (mut body, behind) = rest.split_at_checked(length).ok_or(RecordError::Truncated)?;
        *rest = behind;
        take(&mut body, 1)?;
        let timestamp_delta = varint::read_i64(&mut body)?;
        let offset_delta = varint::read_i32(&mut body)?;
        let key = read_nullable(&mut body)?;
        let value = read_nullable(&mut body)?;
        let headers = read_headers(&mut body)?;
        if !body.is_empty() {
            return Err(RecordError::LengthMismatch { declared: length, actual: length - body.len() });
        }
        Ok(RawRecord { timestamp_delta, offset_delta, key, value, headers })
    }
}

#[inline]
fn read_headers<'a>(body: &mut &'a [u8]) -> Result<Headers<'a>, RecordError> {
    let got = varint::read_i32(body)?;
    let count = u32::try_from(got).map_err(|_| RecordError::HeaderCount { got })?;
    let bytes = *body;
    for _ in 0..count {
        read_header(body)?;
    }
    Ok(Headers { count, bytes: bytes.get(..bytes.len() - body.len()).unwrap_or(&[]) })
}

fn read_header<'a>(body: &mut &'a [u8]) -> Result<Header<'a>, RecordError> {
    let got = varint::read_i32(body)?;
    let length = usize::try_from(got).map_err(|_| RecordError::HeaderKeyLength { got })?;
    let key = take(body, length)?;
    Ok(Header { key, value: read_nullable(body)? })
}

/// Bytes behind their length; any negative length is null, as in Kafka.
#[inline]
fn read_nullable<'a>(body: &mut &'a [u8]) -> Result<Option<&'a [u8]>, RecordError> {
    match usize::try_from(varint::read_i32(body)?) {
        Ok(length) => take(body, length).map(Some),
        Err(_) => Ok(None),
    }
}

fn take<'a>(body: &mut &'a [u8], length: usize) -> Result<&'a [u8], RecordError> {
    let (head, tail) = body.split_at_checked(length).ok_or(RecordError::Truncated)?;
    *body = tail;
    Ok(head)
}
