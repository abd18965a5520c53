//! Messages of magic 0 and 1 as they lie in old data directories.
//!
//! Owns: golden bytes of Kafka's own classes. Does not own: magic 2 (`record`).

use ottla_model::{Offset, Timestamp};
use ottla_protocol::compression::UnpackLimits;
use ottla_protocol::record::*;
use proptest::prelude::*;

const SETS: &str = include_str!("../data/legacy.tsv");

const TIME: i64 = 1_700_000_000_000;
const APPEND_TIME: i64 = 1_700_000_009_999;

fn buffer() -> RecordBuffer {
    RecordBuffer::new(UnpackLimits::bytes(1 << 20))
}

/// Magic, codec and whose time, bytes.
fn sets() -> Vec<(u8, &'static str, Vec<u8>)> {
    SETS.lines()
        .skip(1)
        .map(|line| {
            let row: Vec<&str> = line.split('\t').collect();
            let byte = |at: usize| u8::from_str_radix(&row[2][2 * at..2 * at + 2], 16).unwrap();
            (row[0].parse().unwrap(), row[1], (0..row[2].len() / 2).map(byte).collect())
        })
        .collect()
}

fn old(batch: Batch<'_>) -> LegacyBatch<'_> {
    match batch {
        Batch::Legacy(batch) => batch,
        Batch::V2(batch) => panic!("not an old one: {batch:?}"),
    }
}

/// OLD-01: plain messages and compressed sets, relative and absolute inner offsets, both kinds of time.
#[test]
fn sets_of_both_old_formats_are_read() {
    assert_eq!(sets().len(), 12);
    for (magic, kind, bytes) in sets() {
        let batches: Vec<LegacyBatch<'_>> = Batches::new(&bytes).map(|batch| old(batch.unwrap())).collect();
        assert_eq!(batches.len(), if kind.starts_with("none") { 3 } else { 1 });
        let times = match (magic, kind.ends_with("append")) {
            (0, _) => [-1; 3],
            (_, false) => [TIME, TIME + 2, TIME + 1],
            (_, true) => [APPEND_TIME; 3],
        };
        let mut seen = Vec::new();
        for batch in batches {
            batch.check_crc().unwrap();
            assert_eq!(batch.magic(), magic);
            let mut buffer = buffer();
            let records: Vec<Record<'_>> = batch.records(&mut buffer).unwrap().map(Result::unwrap).collect();
            assert_eq!(batch.last_offset(), records.last().unwrap().offset);
            assert_eq!(Some(batch.max_timestamp()), records.iter().map(|record| record.timestamp).max());
            seen.extend(records.iter().map(|record| {
                assert_eq!(record.headers.count(), 0);
                let (key, value) = (record.key.map(<[u8]>::to_vec), record.value.map(<[u8]>::len));
                (record.offset.value(), record.timestamp.millis(), key, value)
            }));
        }
        let expected = [
            (10, times[0], Some(b"k".to_vec()), Some(1)),
            (11, times[1], None, Some(87)),
            (12, times[2], Some(b"key".to_vec()), None),
        ];
        assert_eq!(seen, expected, "magic {magic} {kind}");
    }
}

/// OLD-01: recovery needs first and last offset; the first one of a compressed set lies inside.
#[test]
fn the_first_offset_of_a_set_is_found() {
    for (_, _, bytes) in sets() {
        let batch = old(Batches::new(&bytes).next().unwrap().unwrap());
        assert_eq!(batch.base_offset(&mut buffer()).unwrap(), Some(Offset::new(10).unwrap()));
    }
}

/// OLD-01
#[test]
fn old_and_new_batches_are_told_apart() {
    let mut builder = BatchBuilder::new(BatchOptions::default()).unwrap();
    let timestamp = Timestamp::from_millis(TIME);
    builder.append(NewRecord { timestamp, key: None, value: Some(b"v"), headers: &[] }).unwrap();
    let mixed: Vec<u8> =
        [sets()[0].2.clone(), builder.finish().unwrap(), sets().last().unwrap().2.clone()].concat();
    let kinds: Vec<bool> = Batches::new(&mixed).map(|batch| matches!(batch.unwrap(), Batch::V2(_))).collect();
    assert_eq!(kinds, [false, false, false, true, false]);
    assert_eq!(Batches::new(&mixed).last().unwrap().unwrap().last_offset(), Offset::new(12).unwrap());
}

/// OLD-01: lengths and checksums.
#[test]
fn damaged_old_messages_are_refused() {
    let (_, _, bytes) = sets().remove(0);
    let damaged = |at: usize, byte: u8| {
        let mut bytes = bytes.clone();
        bytes[at] = byte;
        Batches::new(&bytes).next().unwrap().and_then(|batch| batch.check_crc()).unwrap_err()
    };
    assert_eq!(damaged(11, 13), BatchError::Length { got: 13, min: 14 });
    assert!(matches!(damaged(20, 1), BatchError::Checksum { .. }));
    // A first message that says magic 1 is shorter than that format's least length.
    assert_eq!(damaged(16, 1), BatchError::Length { got: 16, min: 22 });
}

proptest! {
    /// OLD-01
    #[test]
    fn no_damage_makes_the_reader_panic(
        which in 0..12_usize,
        damages in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let (_, _, mut bytes) = sets().remove(which);
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
