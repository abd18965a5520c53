//! The bytes of `__transaction_state`, as Kafka 4.3.1 writes them.
//!
//! Owns: observed records and what they say. Does not own: how they are read and written.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ottla_coordinator::runtime::{EncodedRecord, Shard, Skipped};
use ottla_coordinator::transaction::{
    ProducerIdentity, TransactionImage, TransactionRecord, TransactionShard, TransactionState, ValueVersion,
};
use ottla_model::{ProducerEpoch, ProducerId, Timestamp, TransactionVersion, TransactionalId};

use super::script::partition;

fn bytes(hex: &str) -> Bytes {
    let digits = hex.as_bytes().chunks(2);
    digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn image() -> TransactionImage {
    TransactionImage {
        producer: ProducerIdentity { id: ProducerId::new(15).unwrap(), epoch: ProducerEpoch::ZERO },
        previous: ProducerId::new(15),
        next: None,
        last_epoch: None,
        timeout: Duration::from_secs(60),
        state: TransactionState::Empty,
        partitions: BTreeSet::new(),
        updated_at: Timestamp::from_millis(1_795_361_246_611),
        started_at: None,
        version: TransactionVersion::Zero,
    }
}

fn record(id: &str, image: TransactionImage, layout: ValueVersion) -> TransactionRecord {
    TransactionRecord { id: TransactionalId::new(id), image: Some(Arc::new(image)), layout }
}

/// TXN-01
#[test]
fn an_identity_is_written_as_by_kafka() {
    let written = EncodedRecord {
        key: bytes("0000000874782d642d74786e"),
        value: Some(bytes(
            "0001000000000000000f00000000ea600000000001a203de8d93ffffffffffffffff010008000000000000000f",
        )),
    };
    let expected = record("tx-d-txn", image(), ValueVersion::One);
    assert_eq!(TransactionShard::decode(&written), Ok(expected.clone()));
    assert_eq!(TransactionShard::encode(&expected).unwrap(), written);
}

/// TXN-05: the order of topics in a record of Kafka is that of a hash table; ours is that of their names.
#[test]
fn a_decision_of_kafka_is_read_and_written_with_the_same_fields() {
    let written = EncodedRecord {
        key: bytes("0000000874782d652d74786e"),
        value: Some(bytes(
            "0001000000000000002400030000ea60020306652d74786e020000000000135f5f636f6e73756d65725f6f6666736574730200000001\
             00000001a203ed64f8000001a203ed64cb020008000000000000002402020002"
                .replace(' ', "")
                .as_str(),
        )),
    };
    let expected = TransactionImage {
        producer: ProducerIdentity {
            id: ProducerId::new(36).unwrap(),
            epoch: ProducerEpoch::new(3).unwrap(),
        },
        previous: ProducerId::new(36),
        state: TransactionState::PrepareCommit,
        partitions: BTreeSet::from([partition("e-txn-0"), partition("__consumer_offsets-1")]),
        updated_at: Timestamp::from_millis(1_795_362_219_256),
        started_at: Some(Timestamp::from_millis(1_795_362_219_211)),
        version: TransactionVersion::Two,
        ..image()
    };
    let expected = record("tx-e-txn", expected, ValueVersion::One);
    assert_eq!(TransactionShard::decode(&written), Ok(expected.clone()));
    let again = TransactionShard::encode(&expected).unwrap();
    assert_eq!(again.value.as_ref().map(Bytes::len), written.value.as_ref().map(Bytes::len));
    assert_eq!(TransactionShard::decode(&again), Ok(expected));
}

/// Before `transaction.version` 1 the ids before and after are left out.
#[test]
fn the_old_layout_has_no_room_for_other_ids() {
    let full = TransactionImage { version: TransactionVersion::Two, next: ProducerId::new(9), ..image() };
    let written = TransactionShard::encode(&record("x", full, ValueVersion::Zero)).unwrap();
    assert_eq!(
        written.value,
        Some(bytes("0000000000000000000f00000000ea6000ffffffff000001a203de8d93ffffffffffffffff"))
    );
    let expected = TransactionImage { previous: None, ..image() };
    assert_eq!(TransactionShard::decode(&written), Ok(record("x", expected, ValueVersion::Zero)));
}

/// TXN-11
#[test]
fn a_forgotten_id_is_a_tombstone() {
    let tombstone =
        TransactionRecord { id: TransactionalId::new("x"), image: None, layout: ValueVersion::One };
    let written = TransactionShard::encode(&tombstone).unwrap();
    assert_eq!(written, EncodedRecord { key: bytes("0000000178"), value: None });
    assert_eq!(TransactionShard::decode(&written), Ok(tombstone));
}

/// COF-03, for transactions.
#[test]
fn what_is_not_understood_is_left_out() {
    let decode = |key: &str, value: &str| {
        TransactionShard::decode(&EncodedRecord { key: bytes(key), value: Some(bytes(value)) }).unwrap_err()
    };
    assert_eq!(decode("", ""), Skipped::NoKey);
    assert_eq!(decode("0001000178", ""), Skipped::UnknownType(1));
    assert_eq!(decode("0000000178", "0002"), Skipped::UnknownVersion { record_type: 0, version: 2 });
    let malformed = [
        "0001",
        "0000ffffffffffffffff00000000ea6000ffffffff000001a203de8d93ffffffffffffffff",
        "0000000000000000000fffff0000ea6000ffffffff000001a203de8d93ffffffffffffffff",
        "0000000000000000000f00000000ea6009ffffffff000001a203de8d93ffffffffffffffff",
        "0000000000000000000f00000000ea60017fffffff000001a203de8d93ffffffffffffffff",
    ];
    for value in malformed {
        let skipped = decode("0000000178", value);
        assert!(matches!(skipped, Skipped::Malformed { record_type: 0, .. }), "{value}: {skipped:?}");
    }
}
