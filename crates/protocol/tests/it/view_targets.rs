//! Fuzz targets of the hand-written codecs: batches, compression, the views of Produce and Fetch.
//!
//! Owns: one function per target, as `targets`. Where a generated message says the same, both must agree.
//!
//! | target | input |
//! |---|---|
//! | `produce`, `fetch` | int16 version, body of the request |
//! | `batches` | bytes of a segment |
//! | `validate` | the records of one partition in a Produce request; checksum and base offset are set right first |
//! | `unpack` | id of the codec, compressed bytes |
//! | `connection` | length of the pieces in which the rest arrives, what a socket receives |

use std::time::{Duration, Instant};

use bytes::Bytes;
use ottla_model::{Offset, PartitionIndex, Timestamp, TopicName, TopicPartition};
use ottla_protocol::compression::{Compression, Decompressor, UnpackLimits};
use ottla_protocol::connection::{Completion, Connection, ConnectionLimits, READ_BYTES};
use ottla_protocol::fetch::FetchRequestView;
use ottla_protocol::messages::{FetchRequest, ProduceRequest};
use ottla_protocol::produce::ProduceRequestView;
use ottla_protocol::record::{
    AppendRules, Arrival, BatchMut, Batches, RecordBuffer, TimestampType, TopicCompression, ValidationDepth,
    Validator,
};
use ottla_protocol::{ApiKey, DecodeError, Message, Reader};

use super::targets::{Target, bounded, limit};

/// All targets by the name of their corpus.
pub const VIEW_TARGETS: &[(&str, Target)] = &[
    ("produce", produce),
    ("fetch", fetch),
    ("batches", batches),
    ("validate", validate),
    ("unpack", unpack),
    ("connection", connection),
];

/// Bytes that a codec's context and the chunk it fills take whatever they unpack: the window of gzip, the chunk of zstd
/// (whose context the library allocates by itself).
const CONTEXT_BYTES: u64 = 128 * 1024;

/// LZ4 and snappy unpack a block in one piece. None is more than 255 times as large as it was.
const BLOCK_FACTOR: u64 = 255;

/// A buffer that grows holds up to three times what it needs: twice that, beside the one it is copied from.
const GROWTH_FACTOR: u64 = 3;

/// Runs what unpacks batches: at its peak it may hold the output, one codec's context, and one block.
fn unpacking<T>(bytes: &[u8], run: impl FnOnce() -> T) {
    let used = allocation_counter::measure(|| drop(run()));
    let input = u64::try_from(bytes.len()).expect("inputs of a test are small");
    assert!(
        used.bytes_max <= GROWTH_FACTOR * limit(bytes.len()) + CONTEXT_BYTES + BLOCK_FACTOR * input,
        "{} bytes held for {input}",
        used.bytes_max,
    );
}

/// What may come out of the compressed bytes of an input.
fn limits(bytes: &[u8]) -> UnpackLimits {
    UnpackLimits::bytes(limit(bytes.len()))
}

fn versioned(bytes: &[u8]) -> Option<(i16, &[u8])> {
    let mut r = Reader::new(bytes);
    Some((r.i16().ok()?, r.rest()))
}

/// Both refuse, or both accept; the account of memory is the generated message's alone.
fn agree<A, B>(view: &Result<A, DecodeError>, generated: &Result<B, DecodeError>) -> bool {
    match (view, generated) {
        (Ok(_), Ok(_)) => true,
        (Err(_), Err(_)) | (Ok(_), Err(DecodeError::TooManyValues { .. })) => false,
        (Ok(_), Err(error)) => panic!("only the view accepts: {error}"),
        (Err(error), Ok(_)) => panic!("only the view refuses: {error}"),
    }
}

/// The view of a Produce request.
pub fn produce(bytes: &[u8]) {
    let Some((version, body)) = versioned(bytes) else { return };
    if !ProduceRequest::VERSIONS.contains(&version) {
        return;
    }
    let mut view = ProduceRequestView::default();
    let decoded = bounded("produce", body, |body| view.decode(body, 0, version));
    let generated = ProduceRequest::decode(&mut Reader::new(body), version);
    if agree(&decoded, &generated) {
        let partitions: usize = view.topics(body).map(|topic| topic.partitions().count()).sum();
        let expected = generated.into_iter().flat_map(|request| request.topic_data);
        assert_eq!(partitions, expected.map(|topic| topic.partition_data.len()).sum::<usize>());
        view.authorship(body);
    }
}

/// The view of a Fetch request.
pub fn fetch(bytes: &[u8]) {
    let Some((version, body)) = versioned(bytes) else { return };
    if !FetchRequest::VERSIONS.contains(&version) {
        return;
    }
    let view = bounded("fetch", body, |body| FetchRequestView::decode(body, version).map(|_| ()));
    let generated = FetchRequest::decode(&mut Reader::new(body), version);
    if agree(&view, &generated) {
        let view = FetchRequestView::decode(body, version).expect("it was decoded before");
        let partitions: usize = view.topics().map(|topic| topic.partitions().count()).sum();
        let forgotten: usize = view.forgotten().map(|topic| topic.partitions().count()).sum();
        let expected = generated.unwrap_or_default();
        assert_eq!(partitions, expected.topics.iter().map(|topic| topic.partitions.len()).sum::<usize>());
        let expected = expected.forgotten_topics_data.iter();
        assert_eq!(forgotten, expected.map(|topic| topic.partitions.len()).sum::<usize>());
    }
}

/// Batches of any magic, as a log holds them.
pub fn batches(bytes: &[u8]) {
    unpacking(bytes, || {
        let mut buffer = RecordBuffer::new(limits(bytes));
        for batch in Batches::new(bytes).flatten() {
            let _ = batch.check_crc();
            let Ok(records) = batch.records(&mut buffer) else { continue };
            for record in records.take_while(Result::is_ok).flatten() {
                let count = record.headers.iter().count();
                assert_eq!(Ok(count), usize::try_from(record.headers.count()));
            }
        }
    });
}

/// What a leader does with a client's batch.
pub fn validate(bytes: &[u8]) {
    let mut records = bytes.to_vec();
    if let Ok(mut batch) = BatchMut::parse(&mut records) {
        // Two changes that cancel each other leave the batch with the checksum that it should have.
        let sent = batch.header().max_timestamp;
        let other = Timestamp::from_millis(sent.millis().wrapping_add(1));
        batch.set_timestamps(TimestampType::CreateTime, other);
        batch.set_timestamps(TimestampType::CreateTime, sent);
        batch.set_base_offset(Offset::ZERO);
    }
    let topic = TopicName::new("t").expect("the name is legal");
    let rules = AppendRules {
        compression: TopicCompression::Producer,
        timestamp_type: TimestampType::CreateTime,
        timestamp_before_ms_max: i64::MAX,
        timestamp_after_ms_max: i64::MAX,
        compacted: bytes.len().is_multiple_of(2),
        batch_bytes_max: 1_048_588,
        depth: ValidationDepth::Full,
        unpack: limits(bytes),
    };
    let partition = TopicPartition::new(topic, PartitionIndex::new(0).expect("the index is legal"));
    let arrival = Arrival { partition: &partition, version: 13, now: Timestamp::from_millis(0) };
    unpacking(bytes, || {
        if let Ok(mut valid) = Validator::new().validate(&mut records, &rules, arrival) {
            let header = valid.header;
            let stored = BatchMut::parse(valid.bytes.as_mut_slice()).expect("what may be stored is a batch");
            assert_eq!(*stored.header(), header);
            stored.view().check_crc().expect("what may be stored has its checksum");
        }
    });
}

/// Compressed bytes: no more comes out than allowed.
pub fn unpack(bytes: &[u8]) {
    let Some((codec, packed)) = bytes.split_first() else { return };
    let Some(codec) = Compression::from_id(*codec) else { return };
    unpacking(bytes, || {
        let mut output = Vec::new();
        let _ = Decompressor::new().unpack_into((codec, packed), limits(bytes), &mut output);
        assert!(u64::try_from(output.len()).is_ok_and(|length| length <= limit(bytes.len())));
    });
}

/// Largest request in the `connection` target, small enough for a fuzzer to reach it.
const REQUEST_BYTES_MAX: u32 = 1000;

/// A connection whose requests are all answered by one byte, the first of each pair last.
pub fn connection(bytes: &[u8]) {
    let Some((piece, bytes)) = bytes.split_first() else { return };
    let used = allocation_counter::measure(|| serve(bytes, usize::from(*piece).max(1)));
    let buffer = u64::try_from(READ_BYTES).expect("the buffer is small");
    assert!(used.bytes_max <= limit(bytes.len()) + 2 * buffer, "{} bytes held", used.bytes_max);
}

fn serve(bytes: &[u8], piece: usize) {
    let limits = ConnectionLimits {
        request_bytes_max: REQUEST_BYTES_MAX,
        inflight_bytes_max: 2 * u64::from(REQUEST_BYTES_MAX),
        requests_max: 3,
        idle_max: Duration::from_mins(10),
    };
    let start = Instant::now();
    let offered = |api: ApiKey| (api != ApiKey::Vote).then(|| api.stable_versions());
    let mut machine: Connection<Bytes> = Connection::new(limits, offered, start);
    let (mut asked, mut answered) = (0, 0);
    for piece in bytes.chunks(piece) {
        let Some(buffer) = machine.read_buffer() else { break };
        buffer.extend_from_slice(piece);
        machine.on_read(start);
        loop {
            let requests: Vec<_> = std::iter::from_fn(|| machine.poll_request()).collect();
            assert!(requests.len() <= 3, "more requests are in flight than may be");
            asked += requests.len();
            for request in requests.iter().rev() {
                let length = u32::try_from(request.body_bytes().len());
                assert!(length.is_ok_and(|length| length < REQUEST_BYTES_MAX));
                machine.complete(request.ticket, Completion::Reply(Bytes::from_static(b"r")));
            }
            // The machine itself answers ApiVersions of an unknown version.
            answered += std::iter::from_fn(|| machine.poll_reply()).filter(|reply| reply.len() == 1).count();
            if requests.is_empty() {
                break;
            }
        }
    }
    assert_eq!(asked, answered, "every request is answered once");
    assert_eq!(machine.inflight(), (0, 0));
}
