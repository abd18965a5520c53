//! ListOffsets of a whole node: special timestamps by version, duplicates, names.

use ottla_protocol::ApiKey;
use ottla_protocol::messages::list_offsets_request::ListOffsetsPartition;
use ottla_protocol::messages::{ListOffsetsRequest, ListOffsetsResponse};

use crate::node::{Client, Home, run, start};
use crate::reading::{
    LONG_AGO, append, batch, batch_at, code, create, delete_below, offset, offset_at, topic_id,
};

/// LO-01, LO-05: each special timestamp has a first version; below it, and for a negative one without a meaning, the
/// version is not supported, whether the partition exists or not.
#[test]
fn special_timestamps_have_their_versions() {
    run(async {
        let home = Home::new();
        let node = start(&home, "").await.unwrap();
        let mut client = Client::connect(&node).await;
        create(&mut client, "t", 1, &[]).await;
        append(&mut client, ("t", 0), batch_at(LONG_AGO, &["a"])).await;
        append(&mut client, ("t", 0), batch_at(LONG_AGO + 9, &["b", "c"])).await;
        append(&mut client, ("t", 0), batch_at(LONG_AGO + 5, &["d"])).await;
        delete_below(&mut client, "t", 1).await;
        let (_, epoch) = topic_id(&mut client, "t").await;
        // Timestamp, first version, offset, epoch.
        let cases = [
            (-1, 1, 4, epoch),
            (-2, 1, 1, epoch),
            (-3, 7, 1, epoch),
            (-4, 8, 1, epoch),
            (-5, 9, -1, -1),
            (-6, 11, -1, -1),
            (-7, i16::MAX, -1, -1),
            (i64::MIN, i16::MAX, -1, -1),
            (LONG_AGO + 5, 1, 1, epoch),
            (LONG_AGO + 10, 1, -1, -1),
        ];
        for version in 1..=10 {
            for (timestamp, first, expected, epoch) in cases {
                let told = offset(&mut client, version, &offset_at("t", timestamp)).await;
                // Epochs are told since version 4.
                let epoch = if version >= 4 { epoch } else { -1 };
                let expected = match version >= first {
                    true => (code::NONE, expected, epoch),
                    false => (code::UNSUPPORTED_VERSION, -1, -1),
                };
                assert_eq!(told, expected, "{timestamp} in version {version}");
                let told = offset(&mut client, version, &offset_at("missing", timestamp)).await.0;
                let expected = match version >= first {
                    true => code::UNKNOWN_TOPIC_OR_PARTITION,
                    false => code::UNSUPPORTED_VERSION,
                };
                assert_eq!(told, expected, "{timestamp} of no topic in version {version}");
            }
        }
        node.stop().await;
    });
}

/// LO-01: a partition that is asked for twice is refused, once; the others are answered.
#[test]
fn a_partition_asked_for_twice_is_refused_once() {
    run(async {
        let home = Home::new();
        let node = start(&home, "").await.unwrap();
        let mut client = Client::connect(&node).await;
        create(&mut client, "t", 3, &[]).await;
        append(&mut client, ("t", 2), batch(&["a"])).await;
        let partition = |partition_index, timestamp| ListOffsetsPartition {
            partition_index,
            timestamp,
            current_leader_epoch: -1,
        };
        let mut request: ListOffsetsRequest = offset_at("t", -1);
        request.topics[0].partitions =
            [(0, -3), (1, -1), (0, -1), (2, -1), (9, -1)].map(|(index, at)| partition(index, at)).to_vec();
        let answer: ListOffsetsResponse = client.ask(ApiKey::ListOffsets, 6, &request).await;
        let told = answer.topics[0].partitions.iter();
        let told: Vec<(i32, i16, i64)> =
            told.map(|row| (row.partition_index, row.error_code, row.offset)).collect();
        let expected = [
            (0, code::INVALID_REQUEST, -1),
            (1, code::NONE, 0),
            (2, code::NONE, 1),
            (9, code::UNKNOWN_TOPIC_OR_PARTITION, -1),
        ];
        assert_eq!(told, expected);
        node.stop().await;
    });
}
