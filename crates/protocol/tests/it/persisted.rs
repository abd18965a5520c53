//! Persisted records: bytes that Kafka 4.3.1 left in its internal topics, and what its tools print for them.
//!
//! Owns: the rows of `tests/data/persisted.tsv`: set, frame, bytes, JSON.

use ottla_protocol::RecordSet;
use ottla_protocol::codec::MessageInfo;
use ottla_protocol::codec::json::Tags;
use ottla_protocol::messages::{
    GroupKey, GroupValue, MetadataRecord, NoOpRecord, ShareKey, ShareValue, TransactionKey, TransactionValue,
};
use ottla_protocol::{DecodeError, EncodeError, Reader};

use super::vectors::unhex;

const ROWS: &str = include_str!("../data/persisted.tsv");

/// Bytes and JSON of what a row's bytes decode to.
fn again<S: RecordSet>(frame: &str, bytes: &[u8]) -> Result<(Vec<u8>, String), String> {
    let decoded = |error: DecodeError| error.to_string();
    let encoded = |error: EncodeError| error.to_string();
    if let Some(key) = frame.strip_prefix("value ") {
        let (value, version) =
            S::decode_value(key.parse().map_err(|_| "not a type".to_owned())?, bytes).map_err(decoded)?;
        return Ok((
            value.encode_value(version).map_err(encoded)?,
            value.value_json(version).map_err(encoded)?,
        ));
    }
    if frame == "key" {
        let key = S::decode_key(bytes).map_err(decoded)?;
        return Ok((key.encode_key().map_err(encoded)?, key.key_json().map_err(encoded)?));
    }
    let (record, version) = S::decode_framed(bytes).map_err(decoded)?;
    Ok((record.encode_framed(version).map_err(encoded)?, record.framed_json(version).map_err(encoded)?))
}

fn check(row: &str) -> Result<(), String> {
    let [set, frame, hex, json]: [&str; 4] =
        row.split('\t').collect::<Vec<_>>().try_into().map_err(|_| "not four columns".to_owned())?;
    let bytes = unhex(hex).ok_or("not hex")?;
    let (encoded, shown) = match set {
        "MetadataRecord" => again::<MetadataRecord>(frame, &bytes),
        "GroupKey" => again::<GroupKey>(frame, &bytes),
        "GroupValue" => again::<GroupValue>(frame, &bytes),
        "TransactionKey" => again::<TransactionKey>(frame, &bytes),
        "TransactionValue" => again::<TransactionValue>(frame, &bytes),
        "ShareKey" => again::<ShareKey>(frame, &bytes),
        "ShareValue" => again::<ShareValue>(frame, &bytes),
        other => Err(format!("no set {other}")),
    }?;
    if encoded != bytes {
        return Err(format!("encoded as {encoded:02x?}"));
    }
    if shown == json { Ok(()) } else { Err(format!("shown as {shown}")) }
}

/// WIRE-09, WIRE-10: records of the internal topics are read, written and shown as Kafka does, to the byte.
#[test]
fn records_of_the_internal_topics_are_read_written_and_shown_as_kafka_does() {
    let rows: Vec<&str> = ROWS.lines().filter(|line| !line.starts_with('#')).collect();
    assert!(rows.len() > 100);
    let failed: Vec<String> =
        rows.iter().filter_map(|row| Some(format!("{row}: {}", check(row).err()?))).collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert!(check("GroupKey\tkey\t00030003766732\t{\"type\":\"3\",\"data\":{\"groupId\":\"vg3\"}}").is_err());
}

#[test]
fn a_record_of_an_unknown_type_frame_or_version_is_refused() {
    let framed = MetadataRecord::from(NoOpRecord {}).encode_framed(0).unwrap();
    assert_eq!(framed, [1, 20, 0, 0]);
    let cases: [(&[u8], DecodeError); 6] = [
        (&[2, 20, 0, 0], DecodeError::UnknownFrame { version: 2, known: 1 }),
        (&[1, 99, 0, 0], DecodeError::UnknownRecord { set: "MetadataRecord", key: 99 }),
        (&[1, 0xff, 0xff, 3, 0, 0], DecodeError::UnknownRecord { set: "MetadataRecord", key: 0xffff }),
        (&[1, 20, 1, 0], DecodeError::UnsupportedVersion { message: "NoOpRecord", version: 1 }),
        (&[1, 20, 0, 0, 7], DecodeError::TrailingBytes { left: 1 }),
        (&[1, 20], DecodeError::UnexpectedEnd { at: 2, needed: 1, left: 0 }),
    ];
    for (bytes, expected) in cases {
        assert_eq!(MetadataRecord::decode_framed(bytes), Err(expected), "{bytes:?}");
    }
    assert_eq!(
        GroupKey::decode_key(&[0, 9]),
        Err(DecodeError::UnknownRecord { set: "GroupKey", key: 9 }),
        "type 9 was never given out"
    );
}

/// The values of the first control records of `__cluster_metadata-0`, as `kafka-dump-log` shows them.
#[test]
fn control_records_of_the_quorum_are_shown_as_kafka_does() {
    let cases = [
        (
            "LeaderChangeMessage",
            "00000000000102000000010002000000010000",
            "{\"version\":0,\"leaderId\":1,\"voters\":[{\"voterId\":1}],\"grantingVoters\":[{\"voterId\":1}]}",
        ),
        ("KRaftVersionRecord", "0000000100", "{\"version\":0,\"kRaftVersion\":1}"),
        (
            "VotersRecord",
            "000002000000017ead750e9af84d37a0be0fd08cb46857020b434f4e54524f4c4c45520a6c6f63616c686f7374bfc50000000001\
             000000",
            "{\"version\":0,\"voters\":[{\"voterId\":1,\"voterDirectoryId\":\"fq11Dpr4TTegvg_QjLRoVw\",\"endpoints\":\
             [{\"name\":\"CONTROLLER\",\"host\":\"localhost\",\"port\":49093}],\
             \"kRaftVersionFeature\":{\"minSupportedVersion\":0,\"maxSupportedVersion\":1}}]}",
        ),
    ];
    for (name, hex, json) in cases {
        let bytes = unhex(hex).unwrap();
        let mut reader = Reader::new(&bytes);
        let message = (MessageInfo::by_name(name).unwrap().decode)(&mut reader, 0).unwrap();
        assert_eq!(
            (message.to_json(0, Tags::NonDefault).as_deref(), reader.remaining()),
            (Ok(json), 0),
            "{name}"
        );
    }
}
