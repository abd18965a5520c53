//! One pass over the records of a batch that looks at lengths and deltas only.
//!
//! Owns: the walk, over plain bytes or over chunks as a codec lets them out.
//! Does not own: what is checked of each record (`validate`).
//!
//! Invariants
//! - I1 keys, values and headers are stepped over, never gathered;
//! - I2 nothing is allocated.
//!
//! Source: requirements PRD-11, TRAP-38.

use crate::compression::{CompressionError, Unpacked};
use crate::record::records::RecordError;
use crate::record::varint::{I32_BYTES_MAX, I64_BYTES_MAX, zigzag_i32, zigzag_i64};

/// Why the records of a batch cannot be walked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ScanError {
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error(transparent)]
    Compression(#[from] CompressionError),
}

/// Bytes that come piece by piece.
pub(super) trait Source {
    /// The bytes at hand; empty only at the end.
    fn chunk(&mut self) -> Result<&[u8], ScanError>;

    /// Steps over bytes of the chunk at hand.
    fn consume(&mut self, count: usize);

    #[inline(always)]
    fn is_at_end(&mut self) -> Result<bool, ScanError> {
        Ok(self.chunk()?.is_empty())
    }
}

/// Bytes that are all there.
pub(super) struct Plain<'a>(pub(super) &'a [u8]);

impl Source for Plain<'_> {
    #[inline(always)]
    fn chunk(&mut self) -> Result<&[u8], ScanError> {
        Ok(self.0)
    }

    #[inline(always)]
    fn consume(&mut self, count: usize) {
        self.0 = self.0.get(count..).unwrap_or(&[]);
    }
}

/// Bytes that a codec unpacks.
pub(super) struct Packed<'a> {
    unpacked: Unpacked<'a>,
    /// Bytes of the chunk that were consumed.
    at: usize,
}

impl<'a> Packed<'a> {
    pub(super) fn new(unpacked: Unpacked<'a>) -> Packed<'a> {
        Packed { unpacked, at: 0 }
    }
}

impl Source for Packed<'_> {
    fn chunk(&mut self) -> Result<&[u8], ScanError> {
        if self.at >= self.unpacked.chunk().len() {
            self.at = 0;
            self.unpacked.advance()?;
        }
        Ok(self.unpacked.chunk().get(self.at..).unwrap_or(&[]))
    }

    fn consume(&mut self, count: usize) {
        self.at = self.at.saturating_add(count);
    }
}

/// What the walk tells of a record.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scanned {
    pub(super) timestamp_delta: i64,
    pub(super) offset_delta: i32,
    /// As declared; negative is null.
    pub(super) key_length: i32,
    /// As declared; negative is null.
    pub(super) value_length: i32,
}

/// A source and how many bytes were taken of the record at hand.
pub(super) struct Cursor<S> {
    source: S,
    taken: u64,
}

impl<S: Source> Cursor<S> {
    pub(super) fn new(source: S) -> Cursor<S> {
        Cursor { source, taken: 0 }
    }

    /// Reads the record at the front if it is well-formed and lies whole in the chunk at hand, as most do.
    #[inline(always)]
    pub(super) fn scan_whole(&mut self) -> Result<Option<Scanned>, ScanError> {
        let chunk = self.source.chunk()?;
        let Some((record, length)) = scan_plain(chunk).or_else(|| scan_whole(chunk)) else { return Ok(None) };
        self.source.consume(length);
        Ok(Some(record))
    }

    /// Reads the record at the front, which is cut by the end of a chunk, or malformed: this finds the fault.
    #[cold]
    pub(super) fn scan_in_pieces(&mut self) -> Result<Scanned, ScanError> {
        let declared = self.begin_record()?;
        let timestamp_delta = self.begin_body()?;
        let offset_delta = self.varint_i32()?;
        let key_length = self.skip_nullable()?;
        let value_length = self.skip_nullable()?;
        let header_count = self.varint_i32()?;
        if header_count < 0 {
            return Err(RecordError::HeaderCount { got: header_count }.into());
        }
        for _ in 0..header_count {
            let length = self.varint_i32()?;
            let length = u64::try_from(length).map_err(|_| RecordError::HeaderKeyLength { got: length })?;
            self.skip(length)?;
            self.skip_nullable()?;
        }
        if self.taken != declared {
            let (declared, actual) = (saturated(declared), saturated(self.taken));
            return Err(RecordError::LengthMismatch { declared, actual }.into());
        }
        Ok(Scanned { timestamp_delta, offset_delta, key_length, value_length })
    }

    /// Reads the length of a record. What is taken from here on counts towards it.
    pub(super) fn begin_record(&mut self) -> Result<u64, ScanError> {
        let got = self.varint_i32()?;
        self.taken = 0;
        Ok(u64::try_from(got).map_err(|_| RecordError::Length { got })?)
    }

    /// Steps over the attributes and reads the timestamp delta.
    pub(super) fn begin_body(&mut self) -> Result<i64, ScanError> {
        self.skip(1)?;
        Ok(zigzag_i64(self.varint(I64_BYTES_MAX)?))
    }

    pub(super) fn varint_i32(&mut self) -> Result<i32, ScanError> {
        Ok(zigzag_i32(self.varint(I32_BYTES_MAX)?))
    }

    /// Hands the bytes of the record at hand that were not taken yet to `sink`, in pieces.
    pub(super) fn copy_rest<E>(
        &mut self,
        declared: u64,
        mut sink: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E>
    where
        E: From<ScanError>,
    {
        while self.taken < declared {
            let left = saturated(declared - self.taken);
            let chunk = self.source.chunk()?;
            let piece = chunk.get(..left).unwrap_or(chunk);
            if piece.is_empty() {
                return Err(ScanError::from(RecordError::Truncated).into());
            }
            sink(piece)?;
            let length = piece.len();
            self.consume(length);
        }
        Ok(())
    }

    /// Bytes taken since the length of the record at hand.
    pub(super) fn taken(&self) -> u64 {
        self.taken
    }

    #[inline(always)]
    pub(super) fn is_at_end(&mut self) -> Result<bool, ScanError> {
        self.source.is_at_end()
    }

    /// Bytes that are left, counted no further than the chunk at hand.
    pub(super) fn left_at_hand(&mut self) -> Result<usize, ScanError> {
        Ok(self.source.chunk()?.len())
    }

    fn varint(&mut self, bytes_max: u32) -> Result<u64, ScanError> {
        let mut value = 0;
        for index in 0..bytes_max {
            let byte = *self.source.chunk()?.first().ok_or(RecordError::Truncated)?;
            self.consume(1);
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(RecordError::VarintTooLong.into())
    }

    fn skip_nullable(&mut self) -> Result<i32, ScanError> {
        let length = self.varint_i32()?;
        self.skip(u64::try_from(length).unwrap_or(0))?;
        Ok(length)
    }

    fn skip(&mut self, count: u64) -> Result<(), ScanError> {
        let mut left = count;
        while left > 0 {
            let at_hand = self.source.chunk()?.len();
            if at_hand == 0 {
                return Err(RecordError::Truncated.into());
            }
            let now = at_hand.min(saturated(left));
            self.consume(now);
            left -= u64::try_from(now).unwrap_or(left);
        }
        Ok(())
    }

    fn consume(&mut self, count: usize) {
        self.source.consume(count);
        self.taken = self.taken.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
    }
}

/// Bytes that the numbers in front of a value take at most, where each has three.
const HEAD_BYTES: usize = 16;

/// Reads what most records are: no key, no headers, numbers of three bytes at most. A window of fixed size needs no look at
/// how much is left for each byte.
#[inline(always)]
fn scan_plain(chunk: &[u8]) -> Option<(Scanned, usize)> {
    let mut head = Head { bytes: chunk.first_chunk()?, at: 0 };
    let length = usize::try_from(head.number()?).ok()?;
    let end = head.at + length;
    head.at += 1;
    let timestamp_delta = i64::from(head.number()?);
    let offset_delta = head.number()?;
    let key_length = head.number()?;
    let value_length = head.number()?;
    let behind_value = head.at + usize::try_from(value_length).unwrap_or(0);
    let is_plain = key_length <= 0 && behind_value + 1 == end && *chunk.get(behind_value)? == 0;
    is_plain.then_some((Scanned { timestamp_delta, offset_delta, key_length, value_length }, end))
}

/// The first bytes of a record.
struct Head<'a> {
    bytes: &'a [u8; HEAD_BYTES],
    at: usize,
}

impl Head<'_> {
    /// A number of at most three bytes.
    #[inline(always)]
    fn number(&mut self) -> Option<i32> {
        // Within the window: five numbers of three bytes and one byte more.
        let byte = |at: usize| self.bytes[at % HEAD_BYTES];
        let (first, second) = (byte(self.at), byte(self.at + 1));
        let mut value = u64::from(first);
        if first < 0x80 {
            self.at += 1;
        } else if second < 0x80 {
            value = u64::from(first & 0x7f) | u64::from(second) << 7;
            self.at += 2;
        } else {
            let third = byte(self.at + 2);
            if third >= 0x80 {
                return None;
            }
            value = u64::from(first & 0x7f) | u64::from(second & 0x7f) << 7 | u64::from(third) << 14;
            self.at += 3;
        }
        Some(zigzag_i32(value))
    }
}

/// Reads a well-formed record that lies whole at the front of `chunk`; returns it and its bytes. Most do, and a slice
/// is walked several times faster than a source.
#[inline(always)]
fn scan_whole(chunk: &[u8]) -> Option<(Scanned, usize)> {
    let mut at = Whole { bytes: chunk, at: 0 };
    let length = at.length()?;
    let end = at.at.checked_add(length)?;
    let mut body = Whole { bytes: chunk.get(..end)?, at: at.at.checked_add(1)? };
    let timestamp_delta = zigzag_i64(body.varint(I64_BYTES_MAX)?);
    let offset_delta = zigzag_i32(body.varint(I32_BYTES_MAX)?);
    let key_length = body.skip_nullable()?;
    let value_length = body.skip_nullable()?;
    for _ in 0..body.length()? {
        let length = body.length()?;
        body.skip(length)?;
        body.skip_nullable()?;
    }
    let record = Scanned { timestamp_delta, offset_delta, key_length, value_length };
    (body.at == end).then_some((record, end))
}

/// Bytes that are all there, with no word on what is wrong with them: whoever asks then looks again.
struct Whole<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Whole<'_> {
    #[inline(always)]
    fn varint(&mut self, bytes_max: u32) -> Option<u64> {
        // Most numbers in records are small, and nearly all have two bytes at most.
        let first = *self.bytes.get(self.at)?;
        self.at += 1;
        if first < 0x80 {
            return Some(u64::from(first));
        }
        let second = *self.bytes.get(self.at)?;
        if second < 0x80 {
            self.at += 1;
            return Some(u64::from(first & 0x7f) | u64::from(second) << 7);
        }
        self.long_varint(u64::from(first & 0x7f), bytes_max)
    }

    #[cold]
    fn long_varint(&mut self, mut value: u64, bytes_max: u32) -> Option<u64> {
        for index in 1..bytes_max {
            let byte = *self.bytes.get(self.at)?;
            self.at += 1;
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    #[inline(always)]
    fn length(&mut self) -> Option<usize> {
        usize::try_from(zigzag_i32(self.varint(I32_BYTES_MAX)?)).ok()
    }

    #[inline(always)]
    fn skip(&mut self, count: usize) -> Option<()> {
        self.at = self.at.checked_add(count).filter(|at| *at <= self.bytes.len())?;
        Some(())
    }

    #[inline(always)]
    fn skip_nullable(&mut self) -> Option<i32> {
        let length = zigzag_i32(self.varint(I32_BYTES_MAX)?);
        self.skip(usize::try_from(length).unwrap_or(0))?;
        Some(length)
    }
}

fn saturated(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(found: Option<(Scanned, usize)>) -> Option<(i64, i32, i32, i32, usize)> {
        let (record, end) = found?;
        Some((record.timestamp_delta, record.offset_delta, record.key_length, record.value_length, end))
    }

    /// PRD-11: the short way knows less, and nothing else.
    #[test]
    fn what_the_short_way_reads_the_long_way_reads_alike() {
        // Length, attributes, timestamp delta, offset delta, key, value, no headers; a record of 5 bytes of value.
        let plain = [22, 0, 2, 4, 1, 10, 7, 7, 7, 7, 7, 0, 9, 9, 9, 9, 9, 9];
        assert_eq!(seen(scan_plain(&plain)), Some((1, 2, -1, 5, 12)));
        let (mut state, mut read) = (0x9e37_79b9_7f4a_7c15_u64, 0);
        for _ in 0..200_000 {
            let mut bytes = plain;
            // Each byte is changed now and then: to a small number, a large one, or one that goes on.
            for byte in &mut bytes[..12] {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let [choice, other, ..] = (state >> 33).to_be_bytes()[4..] else { unreachable!() };
                if choice % 8 == 0 {
                    *byte = if other % 4 == 0 { other } else { other % 32 };
                }
            }
            if let Some(short) = seen(scan_plain(&bytes)) {
                assert_eq!(seen(scan_whole(&bytes)), Some(short), "{bytes:?}");
                read += 1;
            }
        }
        assert!(read > 1_000, "{read}");
    }
}
