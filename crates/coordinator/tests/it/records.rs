//! The bytes of our records are those of Kafka 4.3.1.
//!
//! Owns: the comparison with what a broker wrote (`tests/data/records-consumer-offsets.txt`).
//! Does not own: the meaning of the records.

use bytes::Bytes;
use ottla_coordinator::GroupConfig;
use ottla_coordinator::group::{CommittedPosition, GroupRecord, GroupShard};
use ottla_coordinator::runtime::{EncodedRecord, Shard, Skipped};
use ottla_model::{GenerationId, LeaderEpoch, Timestamp};

use crate::script::play;

const OBSERVED: &str = include_str!("../data/records-consumer-offsets.txt");

fn unhex(text: &str) -> Bytes {
    let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(byte).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Every record of the file, with the type its key begins with.
fn observed() -> Vec<(i16, EncodedRecord)> {
    let mut keys = OBSERVED.lines().filter_map(|line| line.strip_prefix("key bytes: "));
    let values = OBSERVED.lines().filter_map(|line| line.strip_prefix("value bytes: "));
    let records = values.map(|value| {
        let key = unhex(keys.next().unwrap());
        let record_type = i16::from_be_bytes([key[0], key[1]]);
        let value = (value != "null").then(|| unhex(value));
        (record_type, EncodedRecord { key, value })
    });
    records.collect()
}

/// COF-01
#[test]
fn what_kafka_wrote_is_read_and_written_again_byte_for_byte() {
    let mut seen = [0; 16];
    for (record_type, record) in observed() {
        let ours = matches!(record_type, 1..=8 | 16);
        let Some(count) = usize::try_from(record_type).ok().and_then(|at| seen.get_mut(at.wrapping_sub(1)))
        else {
            continue;
        };
        if !ours {
            continue;
        }
        *count += 1;
        let read = GroupShard::decode(&record).unwrap();
        assert_eq!(GroupShard::encode(&read).unwrap(), record, "{read:?}");
    }
    assert_eq!(seen, [3, 3, 3, 1, 3, 3, 3, 3, 0, 0, 0, 0, 0, 0, 0, 0]);
}

/// COF-03
#[test]
fn records_of_other_groups_are_skipped() {
    let mut skipped = 0;
    for (record_type, record) in
        observed().into_iter().filter(|(record_type, _)| !matches!(record_type, 1..=8 | 16))
    {
        assert_eq!(GroupShard::decode(&record), Err(Skipped::UnknownType(record_type)));
        skipped += 1;
    }
    assert!(skipped > 20);
}

/// COF-03
#[test]
fn records_of_unknown_versions_or_without_sense_are_skipped() {
    let key = Bytes::from_static(b"\0\x01\0\x01g\0\x01t\0\0\0\0");
    let read = |key: &Bytes, value: &'static [u8]| {
        GroupShard::decode(&EncodedRecord { key: key.clone(), value: Some(Bytes::from_static(value)) })
    };
    assert_eq!(read(&key, b"\0\x05rest"), Err(Skipped::UnknownVersion { record_type: 1, version: 5 }));
    assert_eq!(read(&key, b"\xff\xff"), Err(Skipped::UnknownVersion { record_type: 1, version: -1 }));
    for value in [&b""[..], b"\0", b"\0\x03\0\0"] {
        assert!(matches!(read(&key, value), Err(Skipped::Malformed { record_type: 1, .. })));
    }
    assert_eq!(read(&Bytes::from_static(b"\0"), b""), Err(Skipped::NoKey));
    assert!(matches!(read(&Bytes::from_static(b"\0\x02\0\x09g"), b""), Err(Skipped::Malformed { .. })));
    let negative = Bytes::from_static(b"\0\x01\0\x01g\0\x01t\xff\xff\xff\xff");
    assert!(matches!(read(&negative, b"\0\x03"), Err(Skipped::Malformed { .. })));
}

/// OLD-01: what brokers before 0.9 wrote.
#[test]
fn offsets_of_old_brokers_are_read() {
    let key = Bytes::from_static(b"\0\0\0\x01g\0\x01t\0\0\0\x02");
    let value = Bytes::from_static(b"\0\0\0\0\0\0\0\0\0\x07\0\x01m\0\0\0\0\0\0\0\x09");
    let read = GroupShard::decode(&EncodedRecord { key, value: Some(value) }).unwrap();
    let GroupRecord::Offset { key, value: Some(entry) } = read else { panic!("{read:?}") };
    assert_eq!(key.partition.value(), 2);
    assert_eq!((entry.position, &*entry.metadata), (CommittedPosition(7), "m"));
    assert_eq!((entry.leader_epoch, entry.committed_at), (None, Timestamp::from_millis(9)));
}

/// COF-01: a new group is written empty, as observed of Kafka 4.3.1 (24 bytes).
#[test]
fn a_new_group_is_written_as_kafka_writes_it() {
    let story = play(GroupConfig::default(), "join a asks");
    let [record] = &story.world.log[..] else { panic!("{} records", story.world.log.len()) };
    assert_eq!(hex(&record.key), "0002000167");
    // Version 3, type "", generation 0, protocol null, leader null, since 1000000, no members.
    assert_eq!(hex(record.value.as_ref().unwrap()), "0003000000000000ffffffff00000000000f424000000000");
}

/// COF-01: without a retention version 4, with one version 1 (29 bytes, as observed of Kafka 4.3.1).
#[test]
fn an_offset_with_a_retention_is_written_in_the_version_that_has_it() {
    let story = play(
        GroupConfig::default(),
        "commit - t-0=5 epoch=2 meta=m | commit - t-0=5 epoch=2 meta=m keep=1000",
    );
    let values: Vec<String> =
        story.world.log.iter().map(|record| hex(record.value.as_ref().unwrap())).collect();
    assert_eq!(values[0], "0004000000000000000500000002026d00000000000f424000");
    assert_eq!(values[1], "0001000000000000000500016d00000000000f424000000000000f4628");
    let read = GroupShard::decode(&story.world.log[1]).unwrap();
    let GroupRecord::Offset { value: Some(entry), .. } = read else { panic!("{read:?}") };
    assert_eq!(entry.leader_epoch, None::<LeaderEpoch>);
    assert_eq!(entry.expires_at, Some(Timestamp::from_millis(1_001_000)));
}

/// COF-01, TRAP-39: an assigned group is read as it was written.
#[test]
fn an_assigned_group_is_read_as_it_was_written() {
    let story = play(GroupConfig::default(), "join a/i | join b | at 9000 | sync a/i a=1 b=2");
    let last = story.world.log.last().unwrap();
    assert!(hex(last.value.as_ref().unwrap()).starts_with("0003"));
    let read = GroupShard::decode(last).unwrap();
    let GroupRecord::Group { image: Some(image), .. } = &read else { panic!("{read:?}") };
    assert_eq!(Some(image.generation), GenerationId::new(1));
    let parts: Vec<&[u8]> = image.members.iter().map(|member| &member.assignment[..]).collect();
    assert_eq!(parts, [b"1", b"2"]);
    assert_eq!(GroupShard::encode(&read).unwrap(), *last);
}
