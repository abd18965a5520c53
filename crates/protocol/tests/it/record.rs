//! Record batches: what Kafka wrote is read, what we write is what Kafka would.
//!
//! Owns: golden bytes, properties of views, builder and patches. Does not own: validation (`validate`).

use ottla_model::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Sequence, Timestamp};
use ottla_protocol::compression::{Compression, CompressionError, Encoding, UnpackLimits};
use ottla_protocol::record::*;
use proptest::prelude::*;

use crate::hex::dumped;

const CODECS: &str = include_str!("../data/hex-codecs.txt");
const TRANSACTIONS: &str = include_str!("../data/hex-txn.txt");

fn buffer() -> RecordBuffer {
    RecordBuffer::new(UnpackLimits::bytes(16 * 1024 * 1024))
}

fn v2<'a>(batch: Batch<'a>) -> BatchView<'a> {
    match batch {
        Batch::V2(batch) => batch,
        Batch::Legacy(batch) => panic!("an old batch: {batch:?}"),
    }
}

fn all_batches(bytes: &[u8]) -> Vec<BatchView<'_>> {
    let mut batches = Batches::new(bytes);
    let all = batches.by_ref().map(|batch| v2(batch.unwrap())).collect();
    assert!(batches.rest().is_empty());
    all
}

/// REC-01, REC-02: one batch per codec, written by Kafka 4.3.1.
#[test]
fn every_codec_that_kafka_wrote_is_read() {
    let log = dumped(CODECS, ".log");
    let batches = all_batches(&log);
    let codecs =
        [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];
    assert_eq!(batches.len(), codecs.len());
    let mut offset = 0;
    for (batch, codec) in batches.iter().zip(codecs) {
        batch.check_crc().unwrap();
        assert_eq!(batch.header().attributes.compression(), Ok(codec));
        assert_eq!(batch.header().leader_epoch, LeaderEpoch::new(0));
        assert_eq!(batch.header().producer_id, None);
        let mut buffer = buffer();
        let records: Vec<Record<'_>> = batch.records(&mut buffer).unwrap().map(Result::unwrap).collect();
        assert_eq!(records.len(), 3);
        for (index, record) in records.iter().enumerate() {
            assert_eq!(record.offset, Offset::new(offset).unwrap());
            assert_eq!(record.timestamp.millis(), 1_700_000_000_000 + offset);
            assert_eq!(record.key.is_none(), index == 1);
            assert_eq!(record.value.is_none(), index == 2);
            offset += 1;
        }
        assert_eq!(records[0].key, Some(format!("key-{codec}").as_bytes()));
        let headers: Vec<Header<'_>> = records[0].headers.iter().collect();
        assert_eq!(headers, [Header { key: b"h", value: Some(b"hv") }]);
        assert_eq!(records[1].value, Some(format!("second-{codec}").as_bytes()));
        assert_eq!(records[2].key, Some(b"tomb".as_slice()));
    }
}

/// REC-01: the plain batch built from the same records is Kafka's, byte for byte.
#[test]
fn a_built_batch_is_kafka_s_byte_for_byte() {
    let log = dumped(CODECS, ".log");
    let original = all_batches(&log)[0];
    let mut builder =
        BatchBuilder::new(BatchOptions { leader_epoch: LeaderEpoch::new(0), ..BatchOptions::default() })
            .unwrap();
    for record in original.records(&mut buffer()).unwrap().map(Result::unwrap) {
        let headers: Vec<Header<'_>> = record.headers.iter().collect();
        let new = NewRecord {
            timestamp: record.timestamp,
            key: record.key,
            value: record.value,
            headers: &headers,
        };
        let expected = builder.unpacked_bytes_with(&new);
        builder.append(new).unwrap();
        assert_eq!(builder.unpacked_bytes(), expected);
    }
    assert_eq!(builder.unpacked_bytes(), original.bytes().len());
    assert_eq!(builder.finish().unwrap(), original.bytes());
}

/// The marker that ends a transaction is Kafka's, byte for byte.
#[test]
fn a_transaction_marker_is_kafka_s_byte_for_byte() {
    let log = dumped(TRANSACTIONS, ".log");
    let markers: Vec<BatchView<'_>> =
        all_batches(&log).into_iter().filter(|batch| batch.header().attributes.is_control()).collect();
    assert!(!markers.is_empty());
    for marker in markers {
        let header = marker.header();
        assert!(header.attributes.is_transactional());
        let mut buffer = buffer();
        let record = marker.records(&mut buffer).unwrap().next().unwrap().unwrap();
        let kind = ControlKind::of_key(record.key.unwrap()).unwrap();
        let end = EndTransaction::of_value(record.value.unwrap()).unwrap();
        let producer = BatchProducer {
            id: header.producer_id.unwrap(),
            epoch: header.producer_epoch.unwrap(),
            base_sequence: None,
        };
        let mut built = end_transaction_batch(producer, kind, end, record.timestamp).unwrap();
        let mut patched = BatchMut::parse(&mut built).unwrap();
        patched.set_base_offset(header.base_offset);
        patched.set_leader_epoch(header.leader_epoch.unwrap());
        assert_eq!(built, marker.bytes());
    }
}

/// REC-01, PRD-21: base offset and leader epoch are not covered by the checksum.
#[test]
fn stamping_offset_and_epoch_leaves_the_checksum_right() {
    let mut bytes = dumped(CODECS, ".log");
    let mut batch = BatchMut::parse(&mut bytes).unwrap();
    batch.set_base_offset(Offset::new(7_000_000_000).unwrap());
    batch.set_leader_epoch(LeaderEpoch::new(9).unwrap());
    let batch = BatchView::parse(&bytes).unwrap();
    batch.check_crc().unwrap();
    assert_eq!(batch.header().base_offset.value(), 7_000_000_000);
    assert_eq!(batch.header().last_offset().value(), 7_000_000_002);
    assert_eq!(batch.header().leader_epoch, LeaderEpoch::new(9));
}

/// REC-01, PRD-15: log append time changes what the checksum covers; readers take it for every record.
#[test]
fn the_leader_s_time_is_that_of_all_records_and_the_checksum_follows() {
    let mut bytes = dumped(CODECS, ".log");
    let before = BatchView::parse(&bytes).unwrap().header().crc;
    let now = Timestamp::from_millis(1_800_000_000_000);
    let mut batch = BatchMut::parse(&mut bytes).unwrap();
    batch.set_timestamps(TimestampType::LogAppendTime, now);
    let patched = *batch.header();
    let batch = BatchView::parse(&bytes).unwrap();
    batch.check_crc().unwrap();
    assert_ne!(batch.header().crc, before);
    assert_eq!(*batch.header(), patched);
    assert_eq!(batch.header().base_timestamp.millis(), 1_700_000_000_000);
    assert!(batch.records(&mut buffer()).unwrap().all(|record| record.unwrap().timestamp == now));
}

/// FET-12, TRAP-37: a batch that is cut off ends the iteration; wrong lengths, magics and checksums are told apart.
#[test]
fn damaged_batches_are_refused_and_cut_off_ones_left() {
    let log = dumped(CODECS, ".log");
    let cut = &log[..log.len() - 1];
    let mut batches = Batches::new(cut);
    assert_eq!(batches.by_ref().filter(Result::is_ok).count(), 4);
    assert_eq!(batches.rest().len(), 0x7d + 12 - 1);

    let damaged = |at: usize, byte: u8| {
        let mut bytes = log.clone();
        bytes[at] = byte;
        let mut batches = Batches::new(&bytes);
        let first = batches.next().unwrap();
        first.and_then(|batch| batch.check_crc()).unwrap_err()
    };
    assert_eq!(damaged(16, 3), BatchError::Magic { got: 3 });
    assert_eq!(damaged(0, 0x80), BatchError::Offset { got: i64::MIN });
    assert_eq!(damaged(11, 48), BatchError::Length { got: 48, min: 49 });
    assert!(matches!(damaged(8, 0x80), BatchError::Length { got, .. } if got < 0));
    assert!(matches!(damaged(0x60, 0), BatchError::Checksum { .. }));
}

/// REC-02: codecs 5 to 7 do not exist.
#[test]
fn an_unknown_codec_is_an_error_of_its_own() {
    let mut bytes = dumped(CODECS, ".log");
    bytes[22] = 5;
    let batch = BatchView::parse(&bytes).unwrap();
    assert!(
        matches!(batch.records(&mut buffer()), Err(CompressionError::UnknownCodec(unknown)) if unknown.id == 5)
    );
}

/// PRD-11: the declared count and the records must agree.
#[test]
fn missing_and_surplus_records_are_found() {
    let errors = |count: u8| {
        let mut bytes = dumped(CODECS, ".log");
        bytes[60] = count;
        let batch = BatchView::parse(&bytes).unwrap();
        batch.records(&mut buffer()).unwrap().filter_map(Result::err).collect::<Vec<_>>()
    };
    assert_eq!(errors(3), []);
    assert_eq!(errors(4), [RecordError::Missing { missing: 1 }]);
    assert_eq!(errors(2), [RecordError::Trailing { bytes: 11 }]);
}

#[derive(Clone, Debug)]
struct Sample {
    timestamp: i64,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

fn sample() -> impl Strategy<Value = Sample> {
    let bytes = || proptest::option::of(proptest::collection::vec(any::<u8>(), 0..200));
    let headers = proptest::collection::vec((proptest::collection::vec(any::<u8>(), 0..20), bytes()), 0..4);
    (any::<i64>(), bytes(), bytes(), headers).prop_map(|(timestamp, key, value, headers)| Sample {
        timestamp,
        key,
        value,
        headers,
    })
}

fn encoding() -> impl Strategy<Value = Encoding> {
    (0..5_u8).prop_map(|id| Encoding::with_default_level(Compression::from_id(id).unwrap()))
}

fn built(samples: &[Sample], options: BatchOptions) -> Vec<u8> {
    let mut builder = BatchBuilder::new(options).unwrap();
    for sample in samples {
        let headers: Vec<Header<'_>> =
            sample.headers.iter().map(|(key, value)| Header { key, value: value.as_deref() }).collect();
        let timestamp = Timestamp::from_millis(sample.timestamp);
        let (key, value) = (sample.key.as_deref(), sample.value.as_deref());
        builder.append(NewRecord { timestamp, key, value, headers: &headers }).unwrap();
    }
    builder.finish().unwrap()
}

proptest! {
    /// REC-02: whatever is written with any codec is read again.
    #[test]
    fn built_batches_are_read_as_they_were_written(
        samples in proptest::collection::vec(sample(), 1..40),
        encoding in encoding(),
    ) {
        let producer = BatchProducer {
            id: ProducerId::new(5).unwrap(),
            epoch: ProducerEpoch::new(3).unwrap(),
            base_sequence: Sequence::new(i32::MAX),
        };
        let options = BatchOptions {
            base_offset: Offset::new(100).unwrap(),
            encoding,
            producer: Some(producer),
            transactional: true,
            ..BatchOptions::default()
        };
        let bytes = built(&samples, options);
        let batch = BatchView::parse(&bytes).unwrap();
        batch.check_crc().unwrap();
        prop_assert_eq!(batch.bytes().len(), bytes.len());
        prop_assert!(batch.header().attributes.is_transactional());
        prop_assert_eq!(batch.header().last_sequence(), Some(producer.base_sequence.unwrap().plus(samples.len() as u32 - 1)));
        prop_assert_eq!(batch.header().max_timestamp.millis(), samples.iter().map(|s| s.timestamp).max().unwrap().max(-1));
        let mut buffer = buffer();
        let records: Vec<Record<'_>> = batch.records(&mut buffer).unwrap().map(Result::unwrap).collect();
        prop_assert_eq!(records.len(), samples.len());
        for (index, (record, sample)) in records.iter().zip(&samples).enumerate() {
            prop_assert_eq!(record.offset.value(), 100 + index as i64);
            prop_assert_eq!(record.timestamp.millis(), sample.timestamp);
            prop_assert_eq!(record.key, sample.key.as_deref());
            prop_assert_eq!(record.value, sample.value.as_deref());
            let headers: Vec<_> = record.headers.iter().map(|h| (h.key.to_vec(), h.value.map(<[u8]>::to_vec))).collect();
            prop_assert_eq!(&headers, &sample.headers);
        }
    }

    /// PRD-11: no bytes make the reader of batches and records panic.
    #[test]
    fn any_damage_is_refused_without_a_panic(
        samples in proptest::collection::vec(sample(), 1..6),
        encoding in encoding(),
        damages in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let mut bytes = built(&samples, BatchOptions { encoding, ..BatchOptions::default() });
        for (at, byte) in damages {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        for batch in Batches::new(&bytes).flatten() {
            let _ = batch.check_crc();
            if let Ok(records) = batch.records(&mut buffer()) {
                let _ = records.count();
            }
        }
    }
}
