//! What a leader accepts from a client, compared with what Apache Kafka 4.3.1 answered to the same bytes.
//!
//! Owns: the cases. The code beside each is the one that Kafka gave on the wire. Does not own: the mapping to codes.

use std::sync::LazyLock;

use ottla_model::{PartitionIndex, Timestamp, TopicName, TopicPartition};
use ottla_protocol::compression::{Compression, CompressionError, Encoding, UnpackLimits};
use ottla_protocol::record::*;
use proptest::prelude::*;

use crate::raw::*;

const ALL_PACKED: [Compression; 4] =
    [Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];

fn rules() -> AppendRules {
    AppendRules {
        compression: TopicCompression::Producer,
        timestamp_type: TimestampType::CreateTime,
        timestamp_before_ms_max: i64::MAX,
        timestamp_after_ms_max: 3_600_000,
        compacted: false,
        batch_bytes_max: 1_048_588,
        depth: ValidationDepth::Full,
        unpack: unpack_limits(1_048_588),
    }
}

static PARTITION: LazyLock<TopicPartition> =
    LazyLock::new(|| TopicPartition::new(TopicName::new("t").unwrap(), PartitionIndex::new(0).unwrap()));

fn arrival() -> Arrival<'static> {
    Arrival { partition: &PARTITION, version: 13, now: Timestamp::from_millis(NOW) }
}

fn refusal(bytes: &[u8], rules: &AppendRules) -> Refusal {
    let mut bytes = bytes.to_vec();
    match Validator::new().validate(&mut bytes, rules, arrival()) {
        Err(refusal) => refusal,
        Ok(validated) => panic!("accepted: {validated:?}"),
    }
}

/// The number that Kafka sends for a refusal.
fn kafka_code(refusal: &Refusal) -> i16 {
    match refusal {
        Refusal::NoBatch
        | Refusal::Magic { .. }
        | Refusal::SeveralBatches
        | Refusal::BaseOffset { .. }
        | Refusal::Count { .. }
        | Refusal::Control
        | Refusal::NoSequence
        | Refusal::Malformed(_)
        | Refusal::Records { fault: RecordsFault::Record, .. } => 87,
        Refusal::ZstdTooEarly { .. } => 76,
        Refusal::Corrupt(_) => 2,
        Refusal::TooLarge { .. } => 10,
        Refusal::Codec(_) | Refusal::Compression(_) => -1,
        Refusal::Records { fault: RecordsFault::Timestamp, .. } => 32,
    }
}

fn check(name: &str, bytes: &[u8], code: i16) {
    let refusal = refusal(bytes, &rules());
    assert_eq!(kafka_code(&refusal), code, "{name}: {refusal:?}");
}

fn edited(edit: impl FnOnce(&mut RawBatch)) -> Vec<u8> {
    let mut batch = RawBatch::of(&records(3));
    edit(&mut batch);
    batch.bytes()
}

/// What was stored, as records; and whether it is the client's own bytes.
struct Stored {
    bytes: Vec<u8>,
    as_sent: bool,
    header: BatchHeader,
    max_timestamp_delta: Option<u32>,
    log_append_time: Option<Timestamp>,
}

impl Stored {
    fn records(&self) -> Vec<(i64, i64, Option<Vec<u8>>)> {
        let mut buffer = RecordBuffer::new(UnpackLimits::bytes(1 << 24));
        let batch = BatchView::parse(&self.bytes).unwrap();
        batch
            .records(&mut buffer)
            .unwrap()
            .map(Result::unwrap)
            .map(|record| (record.offset.value(), record.timestamp.millis(), record.key.map(<[u8]>::to_vec)))
            .collect()
    }
}

fn stored(bytes: &[u8], rules: &AppendRules) -> Stored {
    let mut sent = bytes.to_vec();
    let mut validator = Validator::new();
    let mut validated = validator.validate(&mut sent, rules, arrival()).unwrap();
    let as_sent = matches!(validated.bytes, ValidBytes::AsSent(_));
    let bytes = validated.bytes.as_mut_slice().to_vec();
    let view = BatchView::parse(&bytes).unwrap();
    view.check_crc().unwrap();
    assert_eq!(view.bytes().len(), bytes.len());
    assert_eq!(*view.header(), validated.header);
    let Validated { header, max_timestamp_delta, log_append_time, .. } = validated;
    Stored { bytes, as_sent, header, max_timestamp_delta, log_append_time }
}

/// REC-03, PRD-16: a right batch is stored as it came, in every codec.
#[test]
fn a_right_batch_is_stored_byte_for_byte() {
    let plain = RawBatch::of(&records(3));
    let mut batches = vec![plain.bytes()];
    batches.extend(ALL_PACKED.map(|codec| plain.clone().packed(codec).bytes()));
    for bytes in batches {
        let stored = stored(&bytes, &rules());
        assert!(stored.as_sent);
        assert_eq!(stored.bytes, bytes);
        assert_eq!(stored.max_timestamp_delta, Some(0));
        assert_eq!(stored.log_append_time, None);
    }
}

/// PRD-05
#[test]
fn exactly_one_whole_batch_of_magic_2_is_taken() {
    let good = edited(|_| ());
    check("empty", &[], 87);
    check("cut off", &good[..good.len() - 1], 87);
    check("magic 0", &edited(|batch| batch.magic = 0), 87);
    check("magic 1", &edited(|batch| batch.magic = 1), 87);
    check("magic 3", &edited(|batch| batch.magic = 3), 2);
    check("magic -1", &edited(|batch| batch.magic = 0xff), 2);
    check("two", &[good.clone(), good.clone()].concat(), 87);
    let mut nowhere = good.clone();
    nowhere[..8].fill(0xff);
    check("two, of which the second is at offset -1", &[good.clone(), nowhere.clone()].concat(), 87);
    let mut two = [nowhere.clone(), good.clone()].concat();
    let refusal = Validator::new().validate(&mut two, &rules(), arrival()).unwrap_err();
    assert_eq!(refusal, Refusal::SeveralBatches, "two, of which the first is at offset -1");
    check("cut off, at offset -1", &nowhere[..good.len() - 1], 87);
    let followed_by = |rest: &[u8]| [&good[..], rest].concat();
    check("an empty second one", &followed_by(&[0; 13]), 2);
    check("a second one of magic 3", &followed_by(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 100, 0, 0, 0, 0, 3]), 2);
    for rest in [
        &[0; 5][..],
        &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 100, 0][..],
        &good[..good.len() - 1],
        &nowhere[..good.len() - 1],
    ] {
        assert_eq!(stored(&followed_by(rest), &rules()).bytes, good);
    }
}

/// PRD-05: zstd came with version 7.
#[test]
fn zstd_is_refused_in_old_requests() {
    let mut bytes = RawBatch::of(&records(3)).packed(Compression::Zstd).bytes();
    let old = Arrival { version: 6, ..arrival() };
    let refusal = Validator::new().validate(&mut bytes, &rules(), old).unwrap_err();
    assert_eq!(refusal, Refusal::ZstdTooEarly { version: 6 });
    assert_eq!(kafka_code(&refusal), 76);
    assert!(!refusal.tells_log_start());
    // That is said before a further batch is.
    let mut twice = [bytes.clone(), bytes].concat();
    let refusal = Validator::new().validate(&mut twice, &rules(), old).unwrap_err();
    assert_eq!(refusal, Refusal::ZstdTooEarly { version: 6 });
}

/// PRD-09, REC-01
#[test]
fn lengths_checksums_and_offsets_of_the_header_are_checked() {
    check("length 13", &edited(|batch| batch.length = Some(13)), 2);
    check("length 30", &edited(|batch| batch.length = Some(30)), 2);
    check("length -1", &edited(|batch| batch.length = Some(-1)), 2);
    check("length 2³¹−1", &edited(|batch| batch.length = Some(i32::MAX)), 87);
    check("checksum", &edited(|batch| batch.crc_shift = 1), 2);
    check("base offset 1", &edited(|batch| batch.base_offset = 1), 87);
    check("base offset -1", &edited(|batch| batch.base_offset = -1), 87);
}

/// PRD-09: the size is looked at before the checksum, the base offset before both.
#[test]
fn a_batch_above_max_message_bytes_is_too_large() {
    let good = edited(|_| ());
    let small = AppendRules { batch_bytes_max: good.len() - 1, ..rules() };
    assert_eq!(refusal(&good, &small), Refusal::TooLarge { size: good.len(), max: good.len() - 1 });
    assert_eq!(kafka_code(&refusal(&edited(|batch| batch.crc_shift = 1), &small)), 10);
    assert_eq!(kafka_code(&refusal(&edited(|batch| batch.base_offset = 1), &small)), 87);
    let exact = AppendRules { batch_bytes_max: good.len(), ..rules() };
    assert_eq!(stored(&good, &exact).bytes, good);
}

/// REC-02: codecs 5 to 7.
#[test]
fn an_unknown_codec_is_refused() {
    for codec in 5..=7 {
        check("codec", &edited(|batch| batch.attributes = codec), -1);
    }
}

/// PRD-10
#[test]
fn range_count_control_bit_and_sequence_of_a_client_s_batch_are_checked() {
    check("count 0", &edited(|batch| (batch.record_count, batch.last_offset_delta) = (0, -1)), 87);
    check("count 0, deltas 3", &edited(|batch| batch.record_count = 0), 87);
    check("count -1", &edited(|batch| batch.record_count = -1), 87);
    check("count 4", &edited(|batch| batch.record_count = 4), 87);
    check("deltas -1", &edited(|batch| batch.last_offset_delta = -1), 87);
    check(
        "smallest",
        &edited(|batch| (batch.record_count, batch.last_offset_delta) = (i32::MIN, i32::MAX)),
        87,
    );
    check("control", &edited(|batch| batch.attributes = 0x20), 87);
    check("no sequence", &edited(|batch| (batch.producer_id, batch.producer_epoch) = (5, 0)), 87);
}

/// PRD-10: what Kafka lets pass there.
#[test]
fn sequences_without_a_producer_mean_nothing() {
    for producer_id in [-1, -2] {
        let bytes = edited(|batch| {
            (batch.producer_id, batch.producer_epoch, batch.base_sequence) = (producer_id, 3, 3)
        });
        let stored = stored(&bytes, &rules());
        assert_eq!(stored.bytes, bytes);
        assert_eq!(stored.header.producer_id, None);
    }
}

/// PRD-10, IDM-03: what the producer state needs is in the header that comes back.
#[test]
fn producer_and_sequences_are_told() {
    let bytes = edited(|batch| {
        (batch.producer_id, batch.producer_epoch, batch.base_sequence) = (7, 2, i32::MAX - 1);
        batch.attributes = 0x10;
    });
    let header = stored(&bytes, &rules()).header;
    assert_eq!(header.producer_id.unwrap().value(), 7);
    assert_eq!(header.producer_epoch.unwrap().value(), 2);
    assert_eq!(header.base_sequence.unwrap().value(), i32::MAX - 1);
    assert_eq!(header.last_sequence().unwrap().value(), 0);
    assert!(header.attributes.is_transactional());
}

/// PRD-11: inside compressed batches too.
#[test]
fn malformed_records_are_refused() {
    let record = |edit: fn(&mut RawRecord)| {
        let mut record = RawRecord::at(0);
        edit(&mut record);
        record.bytes()
    };
    let cases: [(&str, i32, Vec<u8>); 11] = [
        ("header count -1", 1, record(|record| record.header_count = -1)),
        ("header count 1000", 1, record(|record| record.header_count = 1000)),
        ("header count 2³¹−1", 1, record(|record| record.header_count = i64::from(i32::MAX))),
        ("length one less", 1, record(|record| record.length_shift = -1)),
        ("length one more", 1, record(|record| record.length_shift = 1)),
        ("bytes behind the headers", 1, record(|record| record.tail = b"zz".to_vec())),
        ("length -5", 1, [varint(-5), b"abc".to_vec()].concat()),
        ("varint too long", 1, vec![0xff; 30]),
        ("varint cut off", 1, vec![0x80]),
        ("a record missing", 3, records(2).concat()),
        ("a record too many", 2, records(3).concat()),
    ];
    for (name, count, payload) in cases {
        let mut batch = RawBatch::of(&[]);
        (batch.record_count, batch.last_offset_delta, batch.payload) = (count, count - 1, payload);
        check(name, &batch.bytes(), 87);
        for codec in ALL_PACKED {
            check(name, &batch.clone().packed(codec).bytes(), 87);
        }
    }
    let mut header_key = RawRecord::at(0);
    (header_key.header_count, header_key.tail) = (1, [varint(-1), varint(-1)].concat());
    check("header key null", &RawBatch::of(&[header_key.bytes()]).bytes(), 87);
}

/// PRD-11, REC-02: what is no stream of the codec at all; Kafka has no better word for it than UNKNOWN_SERVER_ERROR.
#[test]
fn bytes_that_do_not_unpack_are_refused() {
    let garbage = b"garbage garbage garbage".to_vec();
    for codec in ALL_PACKED {
        let with = |payload: Vec<u8>| {
            edited(|batch| (batch.attributes, batch.payload) = (u16::from(codec.id()), payload))
        };
        let good = pack(&records(3).concat(), codec);
        check(codec.name(), &with(garbage.clone()), -1);
        check(codec.name(), &with(Vec::new()), -1);
        check(codec.name(), &with(good[..good.len() - 6].to_vec()), -1);
    }
    // What follows the only gzip member and is none is ignored, as in Java.
    let trailing = [pack(&records(3).concat(), Compression::Gzip), b"garbage".to_vec()].concat();
    let bytes = edited(|batch| (batch.attributes, batch.payload) = (1, trailing));
    assert_eq!(stored(&bytes, &rules()).bytes, bytes);
}

/// TRAP-38: a few bytes that unpack to very many are given up at the cap.
#[test]
fn a_bomb_is_refused_at_the_cap() {
    let mut huge = RawRecord::at(0);
    huge.tail = vec![0; 20 << 20];
    huge.header_count = 10 << 20;
    let bomb = huge.bytes();
    let limited = AppendRules { unpack: UnpackLimits::bytes(1 << 20), ..rules() };
    for codec in ALL_PACKED {
        let bytes = RawBatch::of(std::slice::from_ref(&bomb)).packed(codec).bytes();
        if bytes.len() > rules().batch_bytes_max {
            continue;
        }
        let refused = refusal(&bytes, &limited);
        assert_eq!(
            refused,
            Refusal::Compression(CompressionError::TooLarge { codec, limit: 1 << 20 }),
            "{codec}"
        );
    }
    assert_eq!(unpack_limits(1_048_588).bytes_max, 64 * 1_048_588);
    assert_eq!(unpack_limits(100).bytes_max, 64 << 20);
}

fn with_keys_and_times(specs: &[(Option<&[u8]>, i64)]) -> RawBatch {
    let records: Vec<Vec<u8>> = (0..)
        .zip(specs)
        .map(|(index, (key, timestamp_delta))| {
            let mut record = RawRecord::at(index);
            (record.key, record.timestamp_delta) = (key.map(<[u8]>::to_vec), *timestamp_delta);
            record.bytes()
        })
        .collect();
    RawBatch::of(&records)
}

/// PRD-12, PRD-14: the whole batch is refused, each record without a key is named, in Kafka's words.
#[test]
fn a_compacted_topic_refuses_records_without_a_key() {
    let compacted = AppendRules { compacted: true, ..rules() };
    let batch = with_keys_and_times(&[(Some(b"k"), 0), (None, 0), (None, 0), (None, 0), (None, 0)]);
    let line = "Compacted topic cannot accept message without key in topic partition t-0";
    for bytes in [batch.bytes(), batch.clone().packed(Compression::Gzip).bytes()] {
        let Refusal::Records { fault, errors, message } = refusal(&bytes, &compacted) else {
            panic!("not refused by record");
        };
        assert_eq!(fault, RecordsFault::Record);
        assert_eq!(errors.iter().map(|error| error.batch_index).collect::<Vec<_>>(), [1, 2, 3, 4]);
        assert!(errors.iter().all(|error| error.message == line));
        assert_eq!(
            message,
            format!(
                "One or more records have been rejected due to 4 record errors in total, and only showing the first \
                 three errors at most: [RecordError(batchIndex=1, message='{line}'), RecordError(batchIndex=2, \
                 message='{line}'), RecordError(batchIndex=3, message='{line}')]"
            )
        );
    }
    // An empty key is a key.
    let empty = with_keys_and_times(&[(Some(b""), 0)]).bytes();
    assert_eq!(stored(&empty, &compacted).bytes, empty);
    let header_only = AppendRules { depth: ValidationDepth::Header, ..compacted };
    assert!(matches!(refusal(&batch.bytes(), &header_only), Refusal::Records { .. }));
}

/// PRD-12: a hostile batch does not become a hostile answer.
#[test]
fn the_list_of_record_errors_is_bounded() {
    let specs = vec![(None, 0); RECORD_ERRORS_MAX + 500];
    let refused = refusal(&with_keys_and_times(&specs).bytes(), &AppendRules { compacted: true, ..rules() });
    let Refusal::Records { errors, message, .. } = refused else { panic!("not refused by record") };
    assert_eq!(errors.len(), RECORD_ERRORS_MAX);
    assert!(message.contains("due to 1500 record errors in total"));
}

/// PRD-13, PRD-14
#[test]
fn a_timestamp_too_far_from_the_leader_s_clock_is_refused() {
    let refused = refusal(&with_keys_and_times(&[(None, 0), (None, 7_200_000)]).bytes(), &rules());
    let Refusal::Records { fault, errors, message } = refused else { panic!("not refused by record") };
    assert_eq!(fault, RecordsFault::Timestamp);
    assert_eq!(message, "One or more records have been rejected due to invalid timestamp");
    assert_eq!(errors.len(), 1);
    assert_eq!(errors[0].batch_index, 1);
    let (earliest, latest) = (NOW.wrapping_sub(i64::MAX), NOW + 3_600_000);
    assert_eq!(
        errors[0].message,
        format!(
            "Timestamp {} of message with offset 1 is out of range. The timestamp should be within [{earliest}, {latest}]",
            NOW + 7_200_000
        )
    );

    let old = AppendRules { timestamp_before_ms_max: 1000, ..rules() };
    assert_eq!(kafka_code(&refusal(&with_keys_and_times(&[(None, -1001)]).bytes(), &old)), 32);
    for delta in [-1000, 3_600_000] {
        let bytes = with_keys_and_times(&[(None, delta)]).bytes();
        assert_eq!(stored(&bytes, &old).header.max_timestamp.millis(), NOW + delta);
    }
}

/// PRD-13: −1 means that there is none.
#[test]
fn a_record_without_a_timestamp_is_taken() {
    let bytes = edited(|batch| (batch.base_timestamp, batch.max_timestamp) = (-1, -1));
    let stored = stored(&bytes, &AppendRules { timestamp_before_ms_max: 0, ..rules() });
    assert_eq!(stored.bytes, bytes);
    assert_eq!(stored.max_timestamp_delta, None);
}

/// PRD-14: timestamps win, and keys win within one record; a fault of structure wins over both.
#[test]
fn mixed_errors_are_answered_as_kafka_does() {
    let compacted = AppendRules { compacted: true, ..rules() };
    let mixed = refusal(&with_keys_and_times(&[(None, 0), (Some(b"k"), 7_200_000)]).bytes(), &compacted);
    assert_eq!(kafka_code(&mixed), 32);
    let Refusal::Records { errors, .. } = mixed else { panic!("not refused by record") };
    assert_eq!(errors.len(), 2);
    assert!(errors[0].message.starts_with("Compacted topic") && errors[1].message.starts_with("Timestamp"));
    let same = refusal(&with_keys_and_times(&[(None, 7_200_000)]).bytes(), &compacted);
    assert_eq!(kafka_code(&same), 87);
    let mut malformed = with_keys_and_times(&[(None, 7_200_000)]);
    malformed.payload.push(0);
    assert!(matches!(refusal(&malformed.bytes(), &compacted), Refusal::Malformed(_)));
}

/// PRD-13: a client that flags its batch with the leader's clock.
#[test]
fn only_a_leader_may_claim_log_append_time() {
    let flagged = |edit: fn(&mut RawBatch)| {
        edited(|batch| {
            batch.attributes = 8;
            edit(batch);
        })
    };
    let lines = |bytes: &[u8], rules: &AppendRules| {
        let refused = refusal(bytes, rules);
        let Refusal::Records { fault: RecordsFault::Timestamp, errors, .. } = refused else {
            panic!("{refused:?}")
        };
        errors[2].message.clone()
    };
    let append_time = AppendRules { timestamp_type: TimestampType::LogAppendTime, ..rules() };
    let tail = "key=1 bytes, value=1 bytes). Producer should not set timestamp type to LogAppendTime.";
    assert_eq!(
        lines(&flagged(|_| ()), &append_time),
        format!("Invalid timestamp type in message DefaultRecord(offset=2, timestamp={NOW}, {tail}")
    );
    let packed = |batch: &mut RawBatch| *batch = batch.clone().packed(Compression::Gzip);
    assert_eq!(
        lines(&flagged(packed), &append_time),
        format!("Invalid timestamp type in message PartialDefaultRecord(offset=2, timestamp={NOW}, {tail}")
    );
    assert_eq!(
        lines(&flagged(|batch| batch.max_timestamp = -1), &rules()),
        format!("Invalid timestamp type in message DefaultRecord(offset=2, timestamp=-1, {tail}")
    );
    // With a time in range, on a topic of the producers' times, Kafka takes the batch and clears the flag.
    let stored = stored(&flagged(|_| ()), &rules());
    assert_eq!(stored.bytes, edited(|_| ()));
}

/// PRD-15
#[test]
fn on_log_append_time_the_leader_s_clock_goes_into_the_header() {
    let append_time = AppendRules { timestamp_type: TimestampType::LogAppendTime, ..rules() };
    for codec in [Compression::None, Compression::Lz4] {
        let sent = with_keys_and_times(&[(None, -500), (None, 999_999_999)]).packed(codec);
        let stored = stored(&sent.bytes(), &append_time);
        assert!(stored.as_sent);
        assert_eq!(stored.log_append_time, Some(Timestamp::from_millis(NOW)));
        assert_eq!(stored.header.max_timestamp.millis(), NOW);
        assert_eq!(stored.header.attributes.timestamp_type(), TimestampType::LogAppendTime);
        assert_eq!(stored.header.base_timestamp.millis(), NOW);
        assert_eq!(stored.bytes[61..], sent.bytes()[61..]);
        assert!(stored.records().iter().all(|(_, timestamp, _)| *timestamp == NOW));
    }
}

/// PRD-16
#[test]
fn a_wrong_largest_timestamp_is_set_right() {
    for codec in [Compression::None, Compression::Gzip] {
        let mut sent = with_keys_and_times(&[(None, 0), (None, 5), (None, 5)]).packed(codec);
        sent.max_timestamp = NOW + 77;
        let stored = stored(&sent.bytes(), &rules());
        assert!(stored.as_sent);
        assert_eq!(stored.header.max_timestamp.millis(), NOW + 5);
        assert_eq!(stored.max_timestamp_delta, Some(1));
        sent.max_timestamp = NOW + 5;
        assert_eq!(stored.bytes, sent.bytes());
    }
}

/// PRD-17
#[test]
fn a_batch_with_wrong_offset_deltas_is_rebuilt() {
    let odd: Vec<Vec<u8>> = [5, -7, 5].map(|delta| RawRecord::at(delta).bytes()).to_vec();
    for codec in
        [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd]
    {
        let mut sent = RawBatch::of(&odd).packed(codec);
        (sent.producer_id, sent.producer_epoch, sent.base_sequence) = (7, 2, 40);
        let stored = stored(&sent.bytes(), &rules());
        assert!(!stored.as_sent);
        assert_eq!(stored.header.attributes.compression(), Ok(codec));
        assert_eq!(stored.header.base_sequence.unwrap().value(), 40);
        let offsets: Vec<i64> = stored.records().iter().map(|(offset, ..)| *offset).collect();
        assert_eq!(offsets, [0, 1, 2]);
    }
}

/// REC-03: `compression.type` of the topic; the plain form of the result is what Kafka 4.3.1 wrote.
#[test]
fn a_topic_s_own_codec_is_applied() {
    let lz4 = AppendRules {
        compression: TopicCompression::Fixed(Encoding::with_default_level(Compression::Lz4)),
        ..rules()
    };
    let sent = with_keys_and_times(&[(Some(b"k"), 10), (Some(b"k"), 5)]);
    let plain = [
        0x10, 0, 0, 0, 2, b'k', 2, b'v', 0, // the first record begins the timestamps anew
        0x10, 0, 9, 2, 2, b'k', 2, b'v', 0,
    ];
    for codec in [Compression::None, Compression::Gzip] {
        let stored = stored(&sent.clone().packed(codec).bytes(), &lz4);
        assert!(!stored.as_sent);
        assert_eq!(stored.header.attributes.compression(), Ok(Compression::Lz4));
        assert_eq!(stored.header.base_timestamp.millis(), NOW + 10);
        assert_eq!(stored.header.max_timestamp.millis(), NOW + 10);
        let batch = BatchView::parse(&stored.bytes).unwrap();
        let mut unpacked = Vec::new();
        ottla_protocol::compression::Decompressor::new()
            .unpack_into((Compression::Lz4, batch.records_bytes()), UnpackLimits::bytes(1000), &mut unpacked)
            .unwrap();
        assert_eq!(unpacked, plain);
    }
    let same = sent.packed(Compression::Lz4).bytes();
    assert!(stored(&same, &lz4).as_sent);
    let none = AppendRules { compression: TopicCompression::Fixed(Encoding::None), ..rules() };
    let unpacked = stored(&same, &none);
    assert_eq!(unpacked.header.attributes.compression(), Ok(Compression::None));
    assert_eq!(unpacked.bytes[61..], plain);
}

/// REC-03: the delete horizon is the cleaner's. A client's flag stays where its bytes stay, and goes where a batch is packed
/// anew.
#[test]
fn a_client_s_delete_horizon_does_not_outlive_a_change_of_codec() {
    let flagged = edited(|batch| batch.attributes = 0x40);
    assert!(stored(&flagged, &rules()).header.attributes.has_delete_horizon());
    let gzip = AppendRules {
        compression: TopicCompression::Fixed(Encoding::with_default_level(Compression::Gzip)),
        ..rules()
    };
    assert!(!stored(&flagged, &gzip).header.attributes.has_delete_horizon());
}

/// PRD-09, REC-03: what grows over the limit by the change of codec is refused, early.
#[test]
fn a_rebuilt_batch_must_keep_to_the_limit_too() {
    let mut long = RawRecord::at(0);
    long.key = Some(vec![b'k'; 5000]);
    let bytes = RawBatch::of(&[long.bytes()]).packed(Compression::Zstd).bytes();
    let rules = AppendRules {
        compression: TopicCompression::Fixed(Encoding::None),
        batch_bytes_max: 1000,
        ..rules()
    };
    assert!(matches!(refusal(&bytes, &rules), Refusal::TooLarge { max: 1000, .. }));
}

/// PRD-11: `ottla.record.validation=header` trusts the header for the records, not for itself.
#[test]
fn header_validation_leaves_the_records_alone() {
    let header_only = AppendRules { depth: ValidationDepth::Header, ..rules() };
    let mut malformed = RawBatch::of(&records(3));
    malformed.payload = b"anything".to_vec();
    let stored = stored(&malformed.bytes(), &header_only);
    assert_eq!(stored.bytes, malformed.bytes());
    assert_eq!(stored.max_timestamp_delta, None);
    malformed.crc_shift = 1;
    assert_eq!(kafka_code(&refusal(&malformed.bytes(), &header_only)), 2);
    let future = edited(|batch| batch.max_timestamp = NOW + 7_200_000);
    assert_eq!(kafka_code(&refusal(&future, &header_only)), 32);
}

proptest! {
    /// PRD-11, TRAP-37: what is accepted is readable, whatever was sent; and nothing makes the pass panic.
    #[test]
    fn an_accepted_batch_is_always_readable(
        payload in proptest::collection::vec(any::<u8>(), 0..60),
        deltas in proptest::collection::vec((-3_i64..6, -100_i64..100), 0..6),
        surplus in 0..3_i32,
        codec in 0..5_u8,
        target in 0..5_u8,
        attributes in any::<u16>(),
    ) {
        let codec = Compression::from_id(codec).unwrap();
        let mut records: Vec<Vec<u8>> = deltas.iter().map(|(offset_delta, timestamp_delta)| {
            let mut record = RawRecord::at(*offset_delta);
            record.timestamp_delta = *timestamp_delta;
            record.bytes()
        }).collect();
        records.extend((surplus == 2).then_some(payload));
        let mut batch = RawBatch::of(&records).packed(codec);
        batch.attributes |= attributes & !7;
        batch.record_count += surplus % 2;
        let rules = AppendRules {
            compression: TopicCompression::Fixed(Encoding::with_default_level(Compression::from_id(target).unwrap())),
            ..rules()
        };
        let mut bytes = batch.bytes();
        if let Ok(mut validated) = Validator::new().validate(&mut bytes, &rules, arrival()) {
            let count = validated.header.record_count;
            let bytes = validated.bytes.as_mut_slice();
            let view = BatchView::parse(bytes).unwrap();
            prop_assert!(view.check_crc().is_ok());
            let mut buffer = RecordBuffer::new(UnpackLimits::bytes(1 << 20));
            let offsets: Vec<i64> = view.records(&mut buffer).unwrap().map(|record| record.unwrap().offset.value()).collect();
            prop_assert_eq!(offsets, (0..i64::from(count)).collect::<Vec<_>>());
            prop_assert_eq!(view.header().attributes.compression().unwrap().id(), target);
        }
    }
}
