//! Bytes that are no message, and messages that a version cannot hold.
//!
//! Owns: one row per rule. Whether Kafka 4.3.1's own classes refuse the same was observed for every row marked K;
//! the others are stricter here.

use ottla_protocol::codec::{MessageInfo, STRING_BYTES_MAX};
use ottla_protocol::messages::{
    FetchRequest, HeartbeatRequest, HeartbeatResponse, JoinGroupResponse, MetadataRequest,
    OffsetFetchRequest, offset_fetch_request::OffsetFetchRequestGroup,
};
use ottla_protocol::{DecodeError, EncodeError, Message, Reader, Writer};

use super::vectors::unhex;

/// What remains of the bytes behind the message, or why they are none.
fn decode(name: &str, version: i16, hex: &str) -> Result<usize, DecodeError> {
    let bytes = unhex(&hex.replace(' ', "")).expect("the row is hex");
    let mut reader = Reader::new(&bytes);
    let info = MessageInfo::by_name(name).expect("the message exists");
    (info.decode)(&mut reader, version).map(|_| reader.remaining())
}

/// WIRE-09 and the limits of the codec.
#[test]
fn bytes_that_are_no_message_are_refused_with_their_values() {
    let long = format!("81 80 02 {} 00000000 01 00 00", "61".repeat(STRING_BYTES_MAX + 1));
    let cases: &[(&str, i16, &str, DecodeError)] = &[
        // K: a count beyond the bytes left, classic and compact.
        (
            "DescribeGroupsRequest",
            0,
            "7fffffff",
            DecodeError::CountOutOfRange { at: 0, got: 0x7fff_ffff, left: 0 },
        ),
        (
            "DescribeGroupsRequest",
            0,
            "00000003 0000",
            DecodeError::CountOutOfRange { at: 0, got: 3, left: 2 },
        ),
        (
            "DescribeGroupsRequest",
            5,
            "ffffffff0f 00",
            DecodeError::CountOutOfRange { at: 0, got: u32::MAX - 1, left: 1 },
        ),
        // K: null and any other negative count where null is not legal.
        ("DescribeGroupsRequest", 0, "ffffffff", DecodeError::Null { at: 0 }),
        ("DescribeGroupsRequest", 0, "80000000", DecodeError::Null { at: 0 }),
        ("DescribeGroupsRequest", 5, "00 00", DecodeError::Null { at: 0 }),
        ("MetadataRequest", 0, "ffffffff", DecodeError::Null { at: 0 }),
        ("HeartbeatRequest", 0, "ffff 00000000 0000", DecodeError::Null { at: 0 }),
        ("HeartbeatRequest", 4, "00 00000000 01 00 00", DecodeError::Null { at: 0 }),
        ("SaslAuthenticateRequest", 0, "ffffffff", DecodeError::Null { at: 0 }),
        // K: varints of more than five bytes; of more than 32 bits.
        ("HeartbeatRequest", 4, "818080808000", DecodeError::VarintTooLong { at: 0, max: 5 }),
        ("HeartbeatRequest", 4, "ffffffff7f", DecodeError::VarintTooLong { at: 0, max: 5 }),
        // Kafka replaces such bytes.
        ("HeartbeatRequest", 0, "0002 c328 00000000 0000", DecodeError::NotUtf8 { at: 0 }),
        // K: a compact string longer than a classic one can be.
        ("HeartbeatRequest", 4, &long, DecodeError::StringTooLong { at: 0, got: 0x8000, max: 0x7fff }),
        // K: values cut short.
        ("HeartbeatRequest", 0, "0005 61", DecodeError::UnexpectedEnd { at: 2, needed: 5, left: 1 }),
        ("HeartbeatRequest", 0, "0001 61 0000", DecodeError::UnexpectedEnd { at: 3, needed: 4, left: 2 }),
        ("HeartbeatResponse", 4, "00000000 0000", DecodeError::UnexpectedEnd { at: 6, needed: 1, left: 0 }),
        // K: an unknown tag that declares more than is there.
        (
            "HeartbeatResponse",
            4,
            "00000000 0000 01 05 04 aa",
            DecodeError::CountOutOfRange { at: 8, got: 4, left: 1 },
        ),
        // K: a known tag before the version that has it: `ReplicaState` of Fetch comes with 15.
        (
            "FetchRequest",
            12,
            "00000000 00000000 00000000 00000000 00 00000000 00000000 01 01 01 01 01 0d 00000000 0000000000000000 00",
            DecodeError::TagNotInVersion { at: 31, tag: 1, version: 12 },
        ),
        // K: versions that do not exist, below and above.
        ("FetchRequest", 3, "", DecodeError::UnsupportedVersion { message: "FetchRequest", version: 3 }),
        ("FetchRequest", 19, "", DecodeError::UnsupportedVersion { message: "FetchRequest", version: 19 }),
        ("FetchRequest", -1, "", DecodeError::UnsupportedVersion { message: "FetchRequest", version: -1 }),
    ];
    for (name, version, hex, expected) in cases {
        assert_eq!(decode(name, *version, hex).as_ref(), Err(expected), "{name} v{version} {hex}");
    }
}

/// WIRE-09, WIRE-11: what Kafka's classes tolerate is tolerated.
#[test]
fn unknown_tags_and_trailing_bytes_are_tolerated() {
    let cases = [
        // Unknown tags are skipped, twice the same too; they need not ascend.
        ("HeartbeatResponse", 4, "00000000 0000 03 07 01 aa 05 00 05 02 bbbb", 0),
        // A known tag may come twice, and after a higher one; the last one counts.
        ("ApiVersionsResponse", 3, "0000 01 00000000 02 03 01 01 01 08 0000000000000002", 0),
        ("ApiVersionsResponse", 3, "0000 01 00000000 02 01 08 0000000000000001 01 08 0000000000000002", 0),
        // The size of a known tag is not looked at.
        ("ApiVersionsResponse", 3, "0000 01 00000000 01 01 00 0000000000000001", 0),
        // Any negative count is null where null is legal.
        ("MetadataRequest", 1, "fffffffe", 0),
        // What follows the body is left to the caller.
        ("HeartbeatResponse", 0, "0000 0102030405", 5),
        ("HeartbeatResponse", 4, "00000000 0000 00 01", 1),
        // Any byte but zero is true.
        ("DescribeGroupsRequest", 3, "00000000 7f", 0),
    ];
    for (name, version, hex, left) in cases {
        assert_eq!(decode(name, version, hex), Ok(left), "{name} v{version} {hex}");
    }
}

fn encoded(message: &impl Message, version: i16) -> Result<Vec<u8>, EncodeError> {
    let mut writer = Writer::new();
    writer.put_i8(7);
    let outcome = message.encode(&mut writer, version);
    let mut bytes = writer.into_vec();
    assert_eq!(bytes.remove(0), 7, "what was written before stays");
    if outcome.is_err() {
        assert!(bytes.is_empty(), "nothing of a failed message stays");
    }
    outcome.map(|()| bytes)
}

/// WIRE-09, API-04: a value that would be lost is refused by the name of its field, unless the schema lets it be
/// ignored.
#[test]
fn a_value_that_a_version_cannot_hold_is_refused_unless_it_may_be_ignored() {
    let groups = OffsetFetchRequest {
        groups: vec![OffsetFetchRequestGroup::default()],
        ..OffsetFetchRequest::default()
    };
    assert_eq!(encoded(&groups, 7), Err(EncodeError::NotInVersion { field: "groups", version: 7 }));
    assert!(encoded(&groups, 8).is_ok());

    let instance =
        HeartbeatRequest { group_instance_id: Some("i".to_owned()), ..HeartbeatRequest::default() };
    assert_eq!(
        encoded(&instance, 2),
        Err(EncodeError::NotInVersion { field: "groupInstanceId", version: 2 })
    );
    let message = EncodeError::NotInVersion { field: "groupInstanceId", version: 2 }.to_string();
    assert_eq!(message, "attempted to write a non-default groupInstanceId at version 2");

    let throttled = HeartbeatResponse { throttle_time_ms: 5, error_code: 1 };
    assert_eq!(encoded(&throttled, 0), Ok(vec![0, 1]), "throttleTimeMs may be ignored");
}

/// WIRE-09: a known tag is written in the versions that have it and in no other.
#[test]
fn a_tagged_field_is_written_only_in_its_versions_and_only_if_it_says_something() {
    let plain = FetchRequest { replica_id: 1, ..FetchRequest::default() };
    let mut named = FetchRequest { cluster_id: Some("c".to_owned()), ..plain.clone() };
    assert_eq!(encoded(&named, 11), encoded(&plain, 11), "clusterId may be ignored before version 12");
    let tagged = encoded(&named, 12).unwrap();
    assert!(tagged.ends_with(&[1, 0, 2, 2, b'c']), "{tagged:02x?}");
    assert!(encoded(&plain, 12).unwrap().ends_with(&[0]));
    named.replica_state.replica_id = 3;
    assert_eq!(encoded(&named, 12), Err(EncodeError::NotInVersion { field: "replicaState", version: 12 }));
}

#[test]
fn null_and_lengths_that_have_no_bytes_are_refused() {
    let none = MetadataRequest { topics: None, ..MetadataRequest::default() };
    assert_eq!(encoded(&none, 0), Err(EncodeError::Null { field: "topics", version: 0 }));
    assert!(encoded(&none, 1).is_ok());
    let unnamed = JoinGroupResponse { protocol_name: None, ..JoinGroupResponse::default() };
    assert_eq!(encoded(&unnamed, 6), Err(EncodeError::Null { field: "protocolName", version: 6 }));
    let long = HeartbeatRequest { group_id: "g".repeat(STRING_BYTES_MAX + 1), ..HeartbeatRequest::default() };
    for version in [0, 4] {
        let expected = EncodeError::TooLong { field: "groupId", length: 0x8000, max: 0x7fff };
        assert_eq!(encoded(&long, version), Err(expected));
    }
    let expected = EncodeError::UnsupportedVersion { message: "HeartbeatRequest", version: 5 };
    assert_eq!(encoded(&long, 5), Err(expected));
}
