//! What the fuzzers run, and what they hold true: no panic, no hang, no allocation beyond the limit, and what decodes
//! encodes to bytes that decode to the same.
//!
//! Owns: one function per target; `fuzz/fuzz_targets/` calls them, and `replay` runs the kept corpus through them.
//! Does not own: the corpus (`fuzz/corpus/`).
//!
//! | target | input |
//! |---|---|
//! | `requests`, `responses` | int16 API key, int16 version, body |
//! | `data` | name of the message, a zero byte, int16 version, body |
//! | `persisted` | a byte that chooses the set and the frame, then key, value or framed record |

use ottla_protocol::codec::json::Tags;
use ottla_protocol::codec::{Kind, MessageInfo};
use ottla_protocol::messages::{
    GroupKey, GroupValue, MESSAGES, MetadataRecord, RemoteLogRecord, ShareKey, ShareValue, TransactionKey,
    TransactionValue,
};
use ottla_protocol::{DecodeError, Reader, RecordSet, Writer};

/// A target: the bytes it is fed are its own business.
pub type Target = fn(&[u8]);

/// All targets by the name of their corpus.
pub const TARGETS: &[(&str, Target)] =
    &[("requests", requests), ("responses", responses), ("data", data), ("persisted", persisted)];

/// Most bytes that decoding so many bytes may allocate.
pub fn limit(input: usize) -> u64 {
    u64::try_from(8 * input + 64 * 1024).expect("inputs of a test are small")
}

/// Runs `decode` on `bytes` within the limit.
pub fn bounded<T>(what: &str, bytes: &[u8], decode: impl FnOnce(&[u8]) -> T) -> T {
    let mut decoded = None;
    let used = allocation_counter::measure(|| decoded = Some(decode(bytes)));
    assert!(
        used.bytes_total <= limit(bytes.len()),
        "{what}: {} bytes allocated for {}: {:02x?}",
        used.bytes_total,
        bytes.len(),
        &bytes[..bytes.len().min(200)],
    );
    decoded.expect("the closure ran")
}

/// Decodes a message; if the bytes are one, it must come back from its own bytes, and be shown.
pub fn message(info: &MessageInfo, version: i16, body: &[u8]) {
    let decode = |bytes: &[u8]| (info.decode)(&mut Reader::new(bytes), version);
    let Ok(message) = bounded(info.name, body, decode) else { return };
    let mut first = Writer::new();
    message.encode(&mut first, version).expect("what was decoded can be encoded");
    let again = decode(first.as_slice()).expect("what was encoded can be decoded");
    let mut second = Writer::new();
    again.encode(&mut second, version).expect("what was decoded can be encoded");
    assert_eq!(first.as_slice(), second.as_slice(), "{} v{version}", info.name);
    message.to_json(version, Tags::All).expect("what was decoded can be shown");
}

fn api_message(kind: Kind, bytes: &[u8]) {
    let mut r = Reader::new(bytes);
    let (Ok(key), Ok(version)) = (r.i16(), r.i16()) else { return };
    if let Some(info) = MESSAGES.iter().find(|info| info.kind == kind && info.key == Some(key)) {
        message(info, version, r.rest());
    }
}

/// Bodies of requests.
pub fn requests(bytes: &[u8]) {
    api_message(Kind::Request, bytes);
}

/// Bodies of responses.
pub fn responses(bytes: &[u8]) {
    api_message(Kind::Response, bytes);
}

/// Headers, control records, subscriptions, single files.
pub fn data(bytes: &[u8]) {
    let mut parts = bytes.splitn(2, |byte| *byte == 0);
    let name = parts.next().and_then(|name| std::str::from_utf8(name).ok()).unwrap_or_default();
    let mut r = Reader::new(parts.next().unwrap_or_default());
    if let (Some(info), Ok(version)) = (MessageInfo::by_name(name), r.i16()) {
        message(info, version, r.rest());
    }
}

/// A record decodes within the limit, and if it decodes, what it encodes to decodes and encodes to the same.
fn record<S>(bytes: &[u8], decode: fn(&[u8]) -> Result<S, DecodeError>, encode: fn(&S) -> Vec<u8>) {
    let Ok(record) = bounded("record", bytes, decode) else { return };
    let first = encode(&record);
    let again = decode(&first).expect("what was encoded can be decoded");
    assert_eq!(first, encode(&again));
}

fn framed<S: RecordSet>(bytes: &[u8]) {
    record(bytes, S::decode_framed, |(record, version)| {
        record.framed_json(*version).expect("what was decoded can be shown");
        record.encode_framed(*version).expect("what was decoded can be encoded")
    });
}

/// A key, and a value of the type that its first two bytes name.
fn keyed<K: RecordSet, V: RecordSet>(bytes: &[u8]) {
    record(bytes, K::decode_key, |key| key.encode_key().expect("what was decoded can be encoded"));
    let mut r = Reader::new(bytes);
    let Ok(key) = r.i16() else { return };
    if let Ok((value, version)) = bounded("value", r.rest(), |bytes| V::decode_value(key, bytes)) {
        value.value_json(version).expect("what was decoded can be shown");
        let bytes = value.encode_value(version).expect("what was decoded can be encoded");
        V::decode_value(key, &bytes).expect("what was encoded can be decoded");
    }
}

/// Records of the metadata log and of the internal topics.
pub fn persisted(bytes: &[u8]) {
    let Some((choice, bytes)) = bytes.split_first() else { return };
    match choice % 5 {
        0 => framed::<MetadataRecord>(bytes),
        1 => framed::<RemoteLogRecord>(bytes),
        2 => keyed::<GroupKey, GroupValue>(bytes),
        3 => keyed::<TransactionKey, TransactionValue>(bytes),
        _ => keyed::<ShareKey, ShareValue>(bytes),
    }
}
