//! Zig-zag varints of records.
//!
//! Owns: reading and writing them over slices. Does not own: the unsigned varints of messages (`codec`).
//!
//! Seven bits per byte, least significant first, top bit set on all bytes but the last; the sign lies in bit 0. An
//! `i32` has at most 5 bytes, an `i64` at most 10.
//!
//! Source: Protocol Buffers encoding; Kafka documentation, "Record".

use super::RecordError;

/// Bytes of the longest `i32`.
pub(crate) const I32_BYTES_MAX: u32 = 5;
/// Bytes of the longest `i64`.
pub(crate) const I64_BYTES_MAX: u32 = 10;

/// Reads an `i32` from the front of `bytes`.
#[inline]
pub(crate) fn read_i32(bytes: &mut &[u8]) -> Result<i32, RecordError> {
    let unsigned = read_unsigned(bytes, I32_BYTES_MAX)?;
    // Bits of the fifth byte beyond the 32nd fall away, as in Kafka.
    Ok(zigzag_i32(unsigned))
}

/// Reads an `i64` from the front of `bytes`.
#[inline]
pub(crate) fn read_i64(bytes: &mut &[u8]) -> Result<i64, RecordError> {
    Ok(zigzag_i64(read_unsigned(bytes, I64_BYTES_MAX)?))
}

/// The signed value of the low 32 bits of a varint's payload.
#[inline]
pub(crate) fn zigzag_i32(unsigned: u64) -> i32 {
    let bytes = unsigned.to_le_bytes();
    let low = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    (low >> 1).cast_signed() ^ -((low & 1).cast_signed())
}

/// The signed value of a varint's payload.
#[inline]
pub(crate) fn zigzag_i64(unsigned: u64) -> i64 {
    (unsigned >> 1).cast_signed() ^ -((unsigned & 1).cast_signed())
}

#[inline]
fn read_unsigned(bytes: &mut &[u8], bytes_max: u32) -> Result<u64, RecordError> {
    // Most numbers of a record are small.
    if let [first @ 0..=0x7f, rest @ ..] = *bytes {
        *bytes = rest;
        return Ok(u64::from(*first));
    }
    read_long(bytes, bytes_max)
}

fn read_long(bytes: &mut &[u8], bytes_max: u32) -> Result<u64, RecordError> {
    let mut value = 0;
    let mut shift = 0;
    for _ in 0..bytes_max {
        let Some((byte, rest)) = bytes.split_first() else {
            return Err(RecordError::Truncated);
        };
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
        shift += 7;
    }
    Err(RecordError::VarintTooLong)
}

/// Bytes that `value` takes.
pub(crate) fn size_i32(value: i32) -> usize {
    size_i64(i64::from(value))
}

/// Bytes that `value` takes.
pub(crate) fn size_i64(value: i64) -> usize {
    let significant = 64 - to_zigzag(value).leading_zeros();
    usize::try_from(significant.div_ceil(7).max(1)).unwrap_or(0)
}

/// Appends `value`.
pub(crate) fn write_i32(output: &mut Vec<u8>, value: i32) {
    write_i64(output, i64::from(value));
}

/// Appends `value`.
pub(crate) fn write_i64(output: &mut Vec<u8>, value: i64) {
    let mut left = to_zigzag(value);
    loop {
        let [low, ..] = left.to_le_bytes();
        left >>= 7;
        if left == 0 {
            output.push(low & 0x7f);
            return;
        }
        output.push(low | 0x80);
    }
}

fn to_zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(value: i64) -> Vec<u8> {
        let mut bytes = Vec::new();
        write_i64(&mut bytes, value);
        bytes
    }

    /// PRD-11
    #[test]
    fn varints_have_kafka_s_bytes() {
        assert_eq!(written(0), [0x00]);
        assert_eq!(written(-1), [0x01]);
        assert_eq!(written(1), [0x02]);
        assert_eq!(written(63), [0x7e]);
        assert_eq!(written(-64), [0x7f]);
        assert_eq!(written(64), [0x80, 0x01]);
        assert_eq!(written(i64::from(i32::MAX)), [0xfe, 0xff, 0xff, 0xff, 0x0f]);
        assert_eq!(written(i64::from(i32::MIN)), [0xff, 0xff, 0xff, 0xff, 0x0f]);
    }

    /// PRD-11
    #[test]
    fn a_varint_that_is_cut_off_or_too_long_is_refused() {
        assert_eq!(read_i32(&mut &[0x80, 0x80][..]), Err(RecordError::Truncated));
        assert_eq!(read_i32(&mut &[0x80; 5][..]), Err(RecordError::VarintTooLong));
        assert_eq!(read_i64(&mut &[0xff; 10][..]), Err(RecordError::VarintTooLong));
        assert_eq!(read_i64(&mut &[][..]), Err(RecordError::Truncated));
    }

    proptest! {
        /// PRD-11
        #[test]
        fn every_number_is_read_as_it_was_written(value: i64, small: i32) {
            let bytes = written(value);
            prop_assert_eq!(bytes.len(), size_i64(value));
            prop_assert_eq!(read_i64(&mut &bytes[..]), Ok(value));
            let bytes = written(i64::from(small));
            prop_assert_eq!(bytes.len(), size_i32(small));
            prop_assert_eq!(read_i32(&mut &bytes[..]), Ok(small));
        }
    }
}
