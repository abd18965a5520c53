//! The data path allocates nothing once it runs.
//!
//! Owns: counts of allocations per request, of the steady state. Does not own: correctness.
//!
//! Source: performance 4.2, 4.7.

use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use bytes::Bytes;
use ottla_model::{PartitionIndex, Timestamp, TopicName, TopicPartition};
use ottla_protocol::ApiKey;
use ottla_protocol::compression::Compression;
use ottla_protocol::connection::*;
use ottla_protocol::produce::ProduceRequestView;
use ottla_protocol::record::*;
use ottla_protocol::reply::Reply;

use crate::raw::{NOW, RawBatch, records};
use crate::samples::samples;

fn allocations(run: impl FnOnce()) -> u64 {
    allocation_counter::measure(run).count_total
}

fn rules() -> AppendRules {
    AppendRules {
        compression: TopicCompression::Producer,
        timestamp_type: TimestampType::LogAppendTime,
        timestamp_before_ms_max: i64::MAX,
        timestamp_after_ms_max: 3_600_000,
        compacted: true,
        batch_bytes_max: 1_048_588,
        depth: ValidationDepth::Full,
        unpack: unpack_limits(1_048_588),
    }
}

/// PRD-11: neither per record nor per batch, compressed or not.
#[test]
fn validation_allocates_nothing_for_a_batch_that_is_kept() {
    let mut validator = Validator::new();
    let rules = rules();
    let partition = TopicPartition::new(TopicName::new("t").unwrap(), PartitionIndex::new(0).unwrap());
    let arrival = Arrival { partition: &partition, version: 9, now: Timestamp::from_millis(NOW) };
    let codecs =
        [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];
    for codec in codecs {
        let sent = RawBatch::of(&records(5000)).packed(codec).bytes();
        for warm in [false, true] {
            let mut bytes = sent.clone();
            let count = allocations(|| assert!(validator.validate(&mut bytes, &rules, arrival).is_ok()));
            assert!(!warm || count == 0, "{count} allocations, {codec}");
        }
    }
}

/// Performance 4.2: the view of a request keeps its lists.
#[test]
fn a_produce_request_is_viewed_without_an_allocation() {
    let mut view = ProduceRequestView::default();
    let samples = samples("ProduceRequest");
    let mut decode = || samples.iter().for_each(|(version, body)| view.decode(body, 0, *version).unwrap());
    decode();
    assert_eq!(allocations(decode), 0);
}

fn offered(api: ApiKey) -> Option<RangeInclusive<i16>> {
    Some(api.stable_versions())
}

/// Performance 4.2, 4.7: frames, tickets and replies.
#[test]
fn a_connection_serves_request_after_request_without_an_allocation() {
    let limits = ConnectionLimits {
        request_bytes_max: 1 << 20,
        inflight_bytes_max: INFLIGHT_BYTES_MAX,
        requests_max: REQUESTS_MAX,
        idle_max: Duration::from_mins(10),
    };
    let now = Instant::now();
    let mut machine: Connection<Reply<()>> = Connection::new(limits, offered, now);
    let mut request = vec![0, 0, 0x40, 0, 0, 3, 0, 0, 0, 0, 0, 7, 0, 1, b'x'];
    request.resize(4 + 0x4000, 0);
    let mut serve = || {
        for _ in 0..40 {
            machine.read_buffer().unwrap().extend_from_slice(&request);
            machine.on_read(now);
            let request = machine.poll_request().unwrap();
            machine.complete(request.ticket, Completion::Reply(Reply::Bytes(Bytes::from_static(b"reply"))));
            assert!(machine.poll_reply().is_some());
        }
    };
    serve();
    assert_eq!(allocations(serve), 0);
}
