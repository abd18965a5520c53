//! Record batches: from JSON, right or wrong, to bytes, and from bytes to JSON that can be compared.
//!
//! Owns: `bytes`, `view`. Does not own: which differences count.
//!
//! | field in JSON | missing means |
//! |---|---|
//! | `records`: pairs of key and value, each text or null | none |
//! | `magic`, `attributes` | 2, 0 |
//! | `baseOffset`, `leaderEpoch` | 0, -1 |
//! | `producerId`, `producerEpoch`, `baseSequence` | -1 |
//! | `baseTimestamp`, `maxTimestamp` | `TIME` |
//! | `count`, `lastOffsetDelta` | what the records make |
//! | `crcShift`, `lengthShift` | 0: right |
//! | `codec`: `gzip`, `snappy`, `lz4`, `zstd` | not packed |
//!
//! Source: Kafka documentation, "Record Batch".

use crc_fast::{CrcAlgorithm, checksum};
use ottla_protocol::compression::{Compression, Compressor, Decompressor, Encoding, UnpackLimits};
use serde_json::{Value, json};

use crate::encode::hex;

/// When the records of the flows were made: long ago, so that it is never taken for the time of the run.
pub const TIME: i64 = 1_600_000_000_000;

/// Bytes of the header of a batch of magic 2.
const HEADER_BYTES: usize = 61;
/// Bytes in front of what the length field counts.
const PREFIX_BYTES: usize = 12;

/// Most bytes a batch may have inside: more than any flow makes.
const UNPACKED_BYTES_MAX: u64 = 1 << 20;

/// The bytes of one batch.
pub fn bytes(batch: &Value) -> Result<Vec<u8>, String> {
    if let Some(digits) = batch.get("hex").and_then(Value::as_str) {
        return crate::encode::unhex(digits).ok_or_else(|| format!("{digits} are no hex digits"));
    }
    let number = |name: &str, missing: i64| batch.get(name).and_then(Value::as_i64).unwrap_or(missing);
    let none = Vec::new();
    let records = batch.get("records").and_then(Value::as_array).unwrap_or(&none);
    let count = i64::try_from(records.len()).unwrap_or(0);
    let mut payload = Vec::new();
    for (delta, record) in (0..).zip(records) {
        payload.extend(one(delta, record));
    }
    let mut attributes = number("attributes", 0);
    if let Some(codec) = batch.get("codec").and_then(Value::as_str) {
        let codec = codec_of(codec).ok_or_else(|| format!("there is no codec {codec}"))?;
        payload = pack(&payload, codec)?;
        attributes |= i64::from(codec.id());
    }
    let mut covered = Vec::new();
    covered.extend(&attributes.to_be_bytes()[6..]);
    covered.extend(&number("lastOffsetDelta", count - 1).to_be_bytes()[4..]);
    covered.extend(number("baseTimestamp", TIME).to_be_bytes());
    covered.extend(number("maxTimestamp", TIME).to_be_bytes());
    covered.extend(number("producerId", -1).to_be_bytes());
    covered.extend(&number("producerEpoch", -1).to_be_bytes()[6..]);
    covered.extend(&number("baseSequence", -1).to_be_bytes()[4..]);
    covered.extend(&number("count", count).to_be_bytes()[4..]);
    covered.extend(payload);
    let length = i64::try_from(covered.len()).unwrap_or(0) + 9 + number("lengthShift", 0);
    let crc =
        i64::try_from(checksum(CrcAlgorithm::Crc32Iscsi, &covered)).unwrap_or(0) + number("crcShift", 0);
    let mut out = number("baseOffset", 0).to_be_bytes().to_vec();
    out.extend(&length.to_be_bytes()[4..]);
    out.extend(&number("leaderEpoch", -1).to_be_bytes()[4..]);
    out.extend(&number("magic", 2).to_be_bytes()[7..]);
    out.extend(&crc.to_be_bytes()[4..]);
    out.extend(covered);
    Ok(out)
}

/// A record of magic 2: `[key, value]`, or `[key, value, time delta]`.
fn one(delta: i64, record: &Value) -> Vec<u8> {
    let mut body = vec![0];
    varint(record.get(2).and_then(Value::as_i64).unwrap_or(0), &mut body);
    varint(delta, &mut body);
    for part in 0..2 {
        match record.get(part).and_then(Value::as_str) {
            None => varint(-1, &mut body),
            Some(text) => {
                varint(i64::try_from(text.len()).unwrap_or(0), &mut body);
                body.extend(text.as_bytes());
            }
        }
    }
    varint(0, &mut body);
    let mut out = Vec::new();
    varint(i64::try_from(body.len()).unwrap_or(0), &mut out);
    out.extend(body);
    out
}

/// A zigzag LEB128 integer.
fn varint(value: i64, out: &mut Vec<u8>) {
    let mut rest = (value << 1 ^ value >> 63).cast_unsigned();
    while rest > 0x7f {
        out.push(u8::try_from(rest & 0x7f).unwrap_or(0) | 0x80);
        rest >>= 7;
    }
    out.push(u8::try_from(rest).unwrap_or(0));
}

fn codec_of(name: &str) -> Option<Compression> {
    Some(match name {
        "gzip" => Compression::Gzip,
        "snappy" => Compression::Snappy,
        "lz4" => Compression::Lz4,
        "zstd" => Compression::Zstd,
        _ => return None,
    })
}

fn pack(payload: &[u8], codec: Compression) -> Result<Vec<u8>, String> {
    let failed = |error| format!("cannot pack: {error}");
    let mut out = Vec::new();
    let mut compressor = Compressor::new(Encoding::with_default_level(codec)).map_err(failed)?;
    compressor.write(payload, &mut out).map_err(failed)?;
    compressor.finish(&mut out).map_err(failed)?;
    Ok(out)
}

/// The batches in the bytes of a fetch, and what is left of one that was cut.
pub fn view(mut bytes: &[u8]) -> Value {
    let mut batches = Vec::new();
    while bytes.len() >= HEADER_BYTES {
        let length = usize::try_from(integer(bytes, 8, 4)).unwrap_or(0) + PREFIX_BYTES;
        if length < HEADER_BYTES || length > bytes.len() || bytes[16] != 2 {
            break;
        }
        let (batch, rest) = bytes.split_at(length);
        batches.push(header(batch));
        bytes = rest;
    }
    if !bytes.is_empty() {
        batches.push(json!({ "cut": hex(bytes) }));
    }
    Value::Array(batches)
}

fn header(batch: &[u8]) -> Value {
    let computed = checksum(CrcAlgorithm::Crc32Iscsi, &batch[21..]);
    let is_right = i64::try_from(computed).ok() == Some(integer(batch, 17, 4) & 0xffff_ffff);
    json!({
        "baseOffset": integer(batch, 0, 8),
        "leaderEpoch": integer(batch, 12, 4),
        "isCrcRight": is_right,
        "attributes": integer(batch, 21, 2),
        "lastOffsetDelta": integer(batch, 23, 4),
        "baseTimestamp": integer(batch, 27, 8),
        "maxTimestamp": integer(batch, 35, 8),
        "producerId": integer(batch, 43, 8),
        "producerEpoch": integer(batch, 51, 2),
        "baseSequence": integer(batch, 53, 4),
        "count": integer(batch, 57, 4),
        "payload": hex(&unpacked(batch)),
    })
}

/// The records of a batch. Packers differ: what is packed again by a broker is compared as it is inside.
fn unpacked(batch: &[u8]) -> Vec<u8> {
    let packed = &batch[HEADER_BYTES..];
    let codec = u8::try_from(integer(batch, 21, 2) & 7).ok().and_then(Compression::from_id);
    let mut out = Vec::new();
    let limits = UnpackLimits::bytes(UNPACKED_BYTES_MAX);
    match codec {
        Some(codec) if Decompressor::new().unpack_into((codec, packed), limits, &mut out).is_ok() => out,
        Some(_) | None => packed.to_vec(),
    }
}

/// A big-endian signed integer.
fn integer(bytes: &[u8], at: usize, width: usize) -> i64 {
    let sign = if bytes[at] & 0x80 == 0 { 0 } else { -1 };
    bytes[at..at + width].iter().fold(sign, |sum, byte| sum << 8 | i64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_built_is_seen_again() {
        let batch = json!({"records": [["k", "v"], [null, "w"]], "producerId": 9, "baseSequence": 4, "baseOffset": 3});
        let wrong = json!({"records": [["k", "v"]], "crcShift": 1});
        let mut all = [bytes(&batch).unwrap(), bytes(&wrong).unwrap()].concat();
        all.extend([1, 2]);
        let seen = view(&all);
        assert_eq!(seen[0]["baseOffset"], 3);
        assert_eq!((&seen[0]["producerId"], &seen[0]["producerEpoch"]), (&json!(9), &json!(-1)));
        assert_eq!((&seen[0]["count"], &seen[0]["isCrcRight"]), (&json!(2), &json!(true)));
        assert_eq!(seen[0]["payload"], "10000000026b0276000e000002010277 00".replace(' ', ""));
        assert_eq!(seen[1]["isCrcRight"], false);
        assert_eq!(seen[2]["cut"], "0102");
    }

    #[test]
    fn the_product_reads_packed_batches() {
        use ottla_protocol::record::{BatchView, RecordBuffer};
        for codec in ["gzip", "snappy", "lz4", "zstd"] {
            let batch = bytes(&json!({"records": [["k", "v"], ["l", "w"]], "codec": codec})).unwrap();
            let view = BatchView::parse(&batch).unwrap();
            view.check_crc().unwrap();
            let mut buffer = RecordBuffer::new(UnpackLimits::bytes(1 << 20));
            assert_eq!(view.records(&mut buffer).unwrap().count(), 2, "{codec}");
        }
    }
}
