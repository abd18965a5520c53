//! Records go in and come out, also after a restart.

use std::fs;
use std::path::Path;

use bytes::Bytes;
use ottla_env::time::wall_now;
use ottla_model::{ProducerEpoch, ProducerId, Sequence, Timestamp};
use ottla_protocol::ApiKey;
use ottla_protocol::messages::{
    FetchRequest, FetchResponse, ListOffsetsRequest, ListOffsetsResponse, MetadataRequest, MetadataResponse,
    ProduceRequest, ProduceResponse, fetch_request, list_offsets_request, metadata_request, produce_request,
};
use ottla_protocol::record::{Batch, BatchBuilder, BatchOptions, BatchProducer, Batches, NewRecord};
use ottla_server::RunningNode;

use crate::node::{Client, Home, run, start};
use crate::reading::delete_below;

fn batch(values: &[&str], producer: Option<BatchProducer>) -> Bytes {
    let mut builder = BatchBuilder::new(BatchOptions { producer, ..BatchOptions::default() }).unwrap();
    // A producer is remembered by the time of its records: one of long ago would be forgotten at a restart (IDM-06).
    let timestamp = if producer.is_some() { wall_now() } else { Timestamp::from_millis(1_700_000_000_000) };
    for value in values {
        let record = NewRecord { timestamp, key: None, value: Some(value.as_bytes()), headers: &[] };
        builder.append(record).unwrap();
    }
    Bytes::from(builder.finish().unwrap())
}

fn produce(topic: &str, acks: i16, records: Bytes) -> ProduceRequest {
    ProduceRequest {
        transactional_id: None,
        acks,
        timeout_ms: 10_000,
        topic_data: vec![produce_request::TopicProduceData {
            name: topic.to_owned(),
            partition_data: vec![produce_request::PartitionProduceData { index: 0, records: Some(records) }],
            ..Default::default()
        }],
    }
}

/// Error code and base offset.
async fn append(client: &mut Client, topic: &str, records: Bytes) -> (i16, i64) {
    let answer: ProduceResponse = client.ask(ApiKey::Produce, 9, &produce(topic, -1, records)).await;
    let partition = &answer.responses[0].partition_responses[0];
    (partition.error_code, partition.base_offset)
}

/// Error code, high watermark, and values of all records from `offset` on.
async fn read(client: &mut Client, topic: &str, offset: i64) -> (i16, i64, Vec<String>) {
    let partition = fetch_request::FetchPartition {
        fetch_offset: offset,
        partition_max_bytes: 1 << 20,
        ..Default::default()
    };
    let request = FetchRequest {
        max_bytes: 1 << 20,
        session_epoch: -1,
        topics: vec![fetch_request::FetchTopic {
            topic: topic.to_owned(),
            partitions: vec![partition],
            ..Default::default()
        }],
        ..Default::default()
    };
    let answer: FetchResponse = client.ask(ApiKey::Fetch, 12, &request).await;
    let partition = &answer.responses[0].partitions[0];
    let mut values = Vec::new();
    for batch in Batches::new(partition.records.as_deref().unwrap_or_default()) {
        let Batch::V2(batch) = batch.unwrap() else { panic!("only new batches are written") };
        for record in batch.records_in(batch.records_bytes()) {
            values.push(String::from_utf8(record.unwrap().value.unwrap().to_vec()).unwrap());
        }
    }
    (partition.error_code, partition.high_watermark, values)
}

async fn node_with_topic(home: &Home) -> (RunningNode, Client) {
    let node = start(home, "").await.unwrap();
    let mut client = Client::connect(&node).await;
    client.create_topic("t", 1).await;
    (node, client)
}

/// PRD-19, FET-12, LOG-04: what was acknowledged is read, before and after a restart.
#[test]
fn acknowledged_records_are_read_also_after_a_restart() {
    run(async {
        let home = Home::new();
        let (node, mut client) = node_with_topic(&home).await;
        assert_eq!(append(&mut client, "t", batch(&["a", "b"], None)).await, (0, 0));
        assert_eq!(append(&mut client, "t", batch(&["c"], None)).await, (0, 2));
        let all = vec!["a".to_owned(), "b".to_owned(), "c".to_owned()];
        assert_eq!(read(&mut client, "t", 0).await, (0, 3, all.clone()));
        node.stop().await;
        let node = start(&home, "").await.unwrap();
        let mut client = Client::connect(&node).await;
        assert_eq!(read(&mut client, "t", 0).await, (0, 3, all));
        assert_eq!(append(&mut client, "t", batch(&["d"], None)).await, (0, 3));
        node.stop().await;
    });
}

/// FET-15: between log start and log end is empty at worst, beyond is an error; FET-12: from inside a batch all of it.
#[test]
fn a_fetch_begins_with_the_batch_that_holds_its_offset() {
    run(async {
        let home = Home::new();
        let (node, mut client) = node_with_topic(&home).await;
        append(&mut client, "t", batch(&["a", "b"], None)).await;
        assert_eq!(read(&mut client, "t", 1).await, (0, 2, vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(read(&mut client, "t", 2).await, (0, 2, Vec::new()));
        assert_eq!(read(&mut client, "t", 3).await, (1, -1, Vec::new()));
        assert_eq!(read(&mut client, "missing", 0).await, (3, -1, Vec::new()));
        node.stop().await;
    });
}

/// IDM-02, IDM-03, IDM-09: a repeated batch is answered as before and stored once, a gap is refused, over a restart too.
#[test]
fn a_repeated_batch_is_stored_once() {
    run(async {
        let home = Home::new();
        let (mut node, mut client) = node_with_topic(&home).await;
        let by = |sequence: i32| {
            Some(BatchProducer {
                id: ProducerId::new(77).unwrap(),
                epoch: ProducerEpoch::ZERO,
                base_sequence: Sequence::new(sequence),
            })
        };
        assert_eq!(append(&mut client, "t", batch(&["a", "b"], by(0))).await, (0, 0));
        for _ in 0..2 {
            assert_eq!(append(&mut client, "t", batch(&["a", "b"], by(0))).await, (0, 0));
            assert_eq!(append(&mut client, "t", batch(&["x"], by(5))).await.0, 45);
            node.stop().await;
            node = start(&home, "").await.unwrap();
            client = Client::connect(&node).await;
        }
        assert_eq!(append(&mut client, "t", batch(&["c"], by(2))).await, (0, 2));
        assert_eq!(read(&mut client, "t", 0).await.2.len(), 3);
        node.stop().await;
    });
}

/// Copies a directory as a kill would leave it: without the marks of a clean stop.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &target),
            false => _ = fs::copy(entry.path(), target).unwrap(),
        }
    }
}

/// LOG-04, IDM-09: what was acknowledged before a kill can be read after it, and a repeated batch is acknowledged
/// again, although nobody appends anything.
#[test]
fn after_a_kill_nobody_has_to_append_before_records_are_read() {
    run(async {
        let (home, killed) = (Home::new(), Home::new());
        let (node, mut client) = node_with_topic(&home).await;
        let producer = BatchProducer {
            id: ProducerId::new(77).unwrap(),
            epoch: ProducerEpoch::ZERO,
            base_sequence: Sequence::new(0),
        };
        let sent = batch(&["a", "b"], Some(producer));
        assert_eq!(append(&mut client, "t", sent.clone()).await, (0, 0));
        copy(home.path(), killed.path());
        node.stop().await;
        let node = start(&killed, "").await.unwrap();
        let mut client = Client::connect(&node).await;
        assert_eq!(append(&mut client, "t", sent).await, (0, 0));
        assert_eq!(read(&mut client, "t", 0).await, (0, 2, vec!["a".to_owned(), "b".to_owned()]));
        node.stop().await;
    });
}

/// PRD-05, PRD-09, PRD-10: a batch that is not right is refused and nothing of it is stored.
#[test]
fn a_bad_batch_is_refused_and_nothing_is_stored() {
    run(async {
        let home = Home::new();
        let (node, mut client) = node_with_topic(&home).await;
        let good = batch(&["a"], None);
        let spoiled = |at: usize, byte: u8| {
            let mut bytes = good.to_vec();
            bytes[at] = byte;
            Bytes::from(bytes)
        };
        assert_eq!(append(&mut client, "t", Bytes::new()).await, (87, -1), "no batch");
        assert_eq!(append(&mut client, "t", spoiled(16, 1)).await, (87, -1), "an old magic");
        assert_eq!(append(&mut client, "t", spoiled(20, !good[20])).await, (2, -1), "a wrong checksum");
        let twice = Bytes::from([&good[..], &good[..]].concat());
        assert_eq!(append(&mut client, "t", twice).await, (87, -1), "two batches");
        assert_eq!(append(&mut client, "missing", good.clone()).await, (3, -1));
        assert_eq!(read(&mut client, "t", 0).await, (0, 0, Vec::new()));
        node.stop().await;
    });
}

/// PRD-01: acks are −1, 0 or 1. PRD-19: with 0 nothing is said, and a failure ends the connection.
#[test]
fn acks_decide_what_is_answered() {
    run(async {
        let home = Home::new();
        let (node, mut client) = node_with_topic(&home).await;
        let answer: ProduceResponse =
            client.ask(ApiKey::Produce, 9, &produce("t", 2, batch(&["a"], None))).await;
        assert_eq!(answer.responses[0].partition_responses[0].error_code, 21);
        let frame = client.frame(ApiKey::Produce, 9, &produce("t", 0, batch(&["a"], None)));
        client.send_raw(&frame).await;
        assert_eq!(append(&mut client, "t", batch(&["b"], None)).await, (0, 1), "the first one is stored");
        let frame = client.frame(ApiKey::Produce, 9, &produce("missing", 0, batch(&["a"], None)));
        client.send_raw(&frame).await;
        assert_eq!(client.receive().await, None);
        node.stop().await;
    });
}

/// PRD-19: what a client has sent behind a failure with acks 0 is not served: nobody would learn what became of it.
#[test]
fn nothing_is_served_behind_a_failure_without_acks() {
    run(async {
        let home = Home::new();
        let (node, mut client) = node_with_topic(&home).await;
        let failing = client.frame(ApiKey::Produce, 9, &produce("missing", 0, batch(&["a"], None)));
        let behind = client.frame(ApiKey::Produce, 9, &produce("t", 1, batch(&["b"], None)));
        client.send_raw(&[failing, behind].concat()).await;
        assert_eq!(client.receive().await, None);
        let mut other = Client::connect(&node).await;
        assert_eq!(read(&mut other, "t", 0).await, (0, 0, Vec::new()));
        node.stop().await;
    });
}

/// PRD-02, PRD-05: where one partition's bytes do not begin like a batch nobody knows whose records they are, and
/// nothing of the request is taken, wherever it was to go.
#[test]
fn bytes_without_the_shape_of_a_batch_refuse_the_whole_request() {
    run(async {
        let home = Home::new();
        let (node, mut client) = node_with_topic(&home).await;
        let good = batch(&["a"], None);
        let with = |at: usize, bytes: &[u8]| {
            let mut batch = good.to_vec();
            batch[at..at + bytes.len()].copy_from_slice(bytes);
            Bytes::from(batch)
        };
        for (bad, words) in [
            (with(16, &[3]), "Invalid magic found in record: 3"),
            (with(16, &[255]), "Invalid magic found in record: -1"),
            (with(8, &[0, 0, 0, 13]), "Record size 13 is less than the minimum record overhead (14)"),
        ] {
            let mut request = produce("t", -1, good.clone());
            request.topic_data.extend(produce("missing", -1, bad).topic_data);
            let answer: ProduceResponse = client.ask(ApiKey::Produce, 9, &request).await;
            let rows = answer.responses.iter().flat_map(|topic| &topic.partition_responses);
            let told: Vec<_> = rows.map(|row| (row.error_code, row.error_message.as_deref())).collect();
            assert_eq!(told, [(2, Some(words)); 2]);
        }
        assert_eq!(read(&mut client, "t", 0).await, (0, 0, Vec::new()));
        node.stop().await;
    });
}

/// PRD-10: before zstd came, a codec that there is not fails the whole request, as in Kafka, if its partition exists.
#[test]
fn in_old_requests_an_unknown_codec_refuses_everything() {
    run(async {
        let home = Home::new();
        let (node, mut client) = node_with_topic(&home).await;
        let good = batch(&["a"], None);
        let mut bad = good.to_vec();
        bad[22] = 7;
        let bad = Bytes::from(bad);
        let mut told = async |version: i16, [known, missing]: [&Bytes; 2]| {
            let mut request = produce("t", -1, known.clone());
            request.topic_data.extend(produce("missing", -1, missing.clone()).topic_data);
            let answer: ProduceResponse = client.ask(ApiKey::Produce, version, &request).await;
            let rows = answer.responses.iter().flat_map(|topic| &topic.partition_responses);
            rows.map(|row| (row.error_code, row.log_start_offset)).collect::<Vec<_>>()
        };
        assert_eq!(told(6, [&bad, &good]).await, [(-1, -1), (-1, -1)]);
        assert_eq!(told(6, [&good, &bad]).await, [(0, 0), (3, -1)]);
        // The batch is not as its checksum says: that is what later versions see first.
        assert_eq!(told(7, [&bad, &good]).await, [(2, -1), (3, -1)]);
        node.stop().await;
    });
}

/// MD-07, TRAP-28: a topic that is asked for is created in the background, unless the request forbids it. Until it is
/// there, which is soon, clients hear nothing that they take as final.
#[test]
fn a_topic_is_created_when_it_is_asked_for() {
    run(async {
        let home = Home::new();
        let node = start(&home, "num.partitions=3\n").await.unwrap();
        let mut client = Client::connect(&node).await;
        let named = |name: &str, create: bool| MetadataRequest {
            topics: Some(vec![metadata_request::MetadataRequestTopic {
                name: Some(name.to_owned()),
                ..Default::default()
            }]),
            allow_auto_topic_creation: create,
            ..Default::default()
        };
        let answer: MetadataResponse = client.ask(ApiKey::Metadata, 12, &named("never", false)).await;
        assert_eq!(answer.topics[0].error_code, 3);
        let answer: MetadataResponse = client.ask(ApiKey::Metadata, 12, &named("a b", true)).await;
        assert_eq!(answer.topics[0].error_code, 17);
        let there = |answer: &MetadataResponse| {
            let code = answer.topics[0].error_code;
            assert!(code == 0 || code == 3, "{answer:?}");
            code == 0
        };
        let answer: MetadataResponse = client.ask(ApiKey::Metadata, 12, &named("soon", true)).await;
        assert_eq!(answer.topics[0].error_code, 3, "the first one who asks does not wait");
        let answer = client.ask_until((ApiKey::Metadata, 12), &named("soon", true), there).await;
        assert_eq!(answer.topics[0].partitions.len(), 3);
        let answer: MetadataResponse = client.ask(ApiKey::Metadata, 12, &named("never", false)).await;
        assert_eq!(answer.topics[0].error_code, 3);
        node.stop().await;
    });
}

/// LO-01, LO-06: special timestamps and times, with the first version of each.
#[test]
fn offsets_are_found_by_time_and_by_name() {
    run(async {
        let home = Home::new();
        let (node, mut client) = node_with_topic(&home).await;
        append(&mut client, "t", batch(&["a", "b"], None)).await;
        let offset = async |client: &mut Client, version: i16, timestamp: i64| {
            let request = ListOffsetsRequest {
                replica_id: -1,
                topics: vec![list_offsets_request::ListOffsetsTopic {
                    name: "t".to_owned(),
                    partitions: vec![list_offsets_request::ListOffsetsPartition {
                        timestamp,
                        ..Default::default()
                    }],
                }],
                ..Default::default()
            };
            let answer: ListOffsetsResponse = client.ask(ApiKey::ListOffsets, version, &request).await;
            let partition = &answer.topics[0].partitions[0];
            assert_eq!(partition.leader_epoch, if version < 4 || partition.offset == -1 { -1 } else { 0 });
            (partition.error_code, partition.offset, partition.timestamp)
        };
        assert_eq!(offset(&mut client, 10, -1).await, (0, 2, -1));
        assert_eq!(offset(&mut client, 10, -2).await, (0, 0, -1));
        assert_eq!(offset(&mut client, 10, -3).await, (0, 0, 1_700_000_000_000));
        assert_eq!(offset(&mut client, 6, -3).await.0, 35, "not known before version 7");
        assert_eq!(offset(&mut client, 10, 1_600_000_000_000).await, (0, 0, 1_700_000_000_000));
        assert_eq!(offset(&mut client, 10, 1_800_000_000_000).await, (0, -1, -1));
        delete_below(&mut client, "t", 2).await;
        assert_eq!(offset(&mut client, 10, 1_600_000_000_000).await, (0, -1, -1));
        let largest = offset(&mut client, 10, -3).await;
        assert_eq!(largest, (0, 0, 1_700_000_000_000), "of a deleted record too, while its segment is there");
        node.stop().await;
    });
}
