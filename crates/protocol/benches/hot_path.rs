//! Costs of the data path in nanoseconds: `cargo bench -p ottla-protocol`.
//!
//! Owns: the inputs and the loop. Does not own: targets; they are in the performance budget of the project.

use std::hint::black_box;
use std::time::{Duration, Instant};

use ottla_model::{LeaderEpoch, Offset, PartitionIndex, Timestamp, TopicName, TopicPartition};
use ottla_protocol::ApiKey;
use ottla_protocol::compression::{Compression, Encoding};
use ottla_protocol::messages::produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData};
use ottla_protocol::produce::{ProduceOutcome, ProduceRequestView, ProduceResponseWriter, TopicLabel};
use ottla_protocol::record::*;
use ottla_protocol::reply::ReplyHead;
use ottla_protocol::{ErrorCode, Message, Writer};

/// How long each case runs.
const SPAN: Duration = Duration::from_millis(300);

fn main() {
    for codec in
        [Compression::None, Compression::Lz4, Compression::Snappy, Compression::Zstd, Compression::Gzip]
    {
        validate(codec, ValidationDepth::Full);
    }
    validate(Compression::None, ValidationDepth::Header);
    view();
    stamp();
    reply();
}

fn batch(encoding: Encoding) -> Vec<u8> {
    let options = BatchOptions { encoding, ..BatchOptions::default() };
    let mut builder = BatchBuilder::new(options).expect("a builder");
    for index in 0..149_i64 {
        let value = format!(
            "{{\"id\":{index},\"name\":\"sensor {}\",\"state\":\"on\",\"pad\":\"{:0>48}\"}}",
            index % 7,
            index * 31
        );
        let timestamp = Timestamp::from_millis(1_700_000_000_000 + index);
        let record = NewRecord { timestamp, key: None, value: Some(value.as_bytes()), headers: &[] };
        builder.append(record).expect("a record");
    }
    builder.finish().expect("a batch")
}

fn validate(codec: Compression, depth: ValidationDepth) {
    let mut bytes = batch(Encoding::with_default_level(codec));
    let rules = AppendRules {
        compression: TopicCompression::Producer,
        timestamp_type: TimestampType::CreateTime,
        timestamp_before_ms_max: i64::MAX,
        timestamp_after_ms_max: 3_600_000,
        compacted: false,
        batch_bytes_max: 1 << 20,
        depth,
        unpack: unpack_limits(1 << 20),
    };
    let partition = TopicPartition::new(
        TopicName::new("bench").expect("a name"),
        PartitionIndex::new(0).expect("a number"),
    );
    let arrival =
        Arrival { partition: &partition, version: 13, now: Timestamp::from_millis(1_700_000_000_000) };
    let mut validator = Validator::new();
    let size = bytes.len();
    measure(&format!("validate 149 records, {codec}, {depth:?}, {size} B"), || {
        black_box(validator.validate(black_box(&mut bytes), &rules, arrival).is_ok());
    });
}

fn view() {
    let records = batch(Encoding::None).into();
    let partition = PartitionProduceData { index: 0, records: Some(records) };
    let topic =
        TopicProduceData { name: "bench".to_owned(), partition_data: vec![partition], ..Default::default() };
    let request = ProduceRequest { acks: -1, topic_data: vec![topic], ..Default::default() };
    let mut writer = Writer::new();
    request.encode(&mut writer, 12).expect("a request");
    let mut view = ProduceRequestView::default();
    measure("view of a produce request", || {
        black_box(view.decode(black_box(writer.as_slice()), 0, 12).is_ok());
    });
}

fn stamp() {
    let mut bytes = batch(Encoding::None);
    measure("stamp offset and epoch", || {
        let mut batch = BatchMut::parse(black_box(&mut bytes)).expect("a batch");
        batch.set_base_offset(Offset::ZERO);
        batch.set_leader_epoch(LeaderEpoch::ZERO);
    });
}

fn reply() {
    let head = ReplyHead { api: ApiKey::Produce, version: 12, correlation_id: 1 };
    measure("produce response", || {
        let mut writer = ProduceResponseWriter::new(head, 1);
        writer.topic(TopicLabel::Name("bench"), 1);
        writer.partition(&ProduceOutcome {
            base_offset: Some(Offset::ZERO),
            ..ProduceOutcome::refused(0, ErrorCode::None)
        });
        black_box(writer.finish(0, &[]).is_ok());
    });
}

/// Runs a case unless the command line has a word that its name lacks.
fn measure(name: &str, mut run: impl FnMut()) {
    if std::env::args().skip(1).any(|word| !word.starts_with('-') && !name.contains(&word)) {
        return;
    }
    let (start, mut rounds) = (Instant::now(), 0_u64);
    while start.elapsed() < SPAN {
        for _ in 0..100 {
            run();
        }
        rounds += 100;
    }
    let nanos = start.elapsed().as_nanos() / u128::from(rounds);
    println!("{nanos:>9} ns  {name}");
}
