//! What a partition remembers of idempotent producers, and for how long.
//!
//! Source: requirements IDM-05 to IDM-09, SEC-33, TRAP-23.

use std::fs;

use bytes::Bytes;
use ottla_model::Timestamp;
use ottla_protocol::ApiKey;
use ottla_protocol::messages::{
    DeleteRecordsRequest, DeleteRecordsResponse, IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse, InitProducerIdRequest, InitProducerIdResponse, ListOffsetsRequest,
    ListOffsetsResponse, ProduceResponse, delete_records_request, incremental_alter_configs_request,
    list_offsets_request,
};
use ottla_security::Operation::{IdempotentWrite, Write};
use ottla_security::ResourceType::{Cluster, Topic};

use crate::batches::{append, at, build, built, by, edited, parts, plain, request, rows, values};
use crate::gatekeeper::{CREATE, Gatekeeper, Permit};
use crate::node::{Client, Home, Parts, properties, run, start, start_with};

/// One record of this producer in epoch 0.
fn sequence(producer: i64, sequence: i32) -> Bytes {
    build(by(producer, 0, sequence), &["a"])
}

/// The same, written long ago.
fn old(producer: i64, sequence: i32) -> Bytes {
    built(by(producer, 0, sequence), &[(None, Some("old"), Timestamp::from_millis(1_700_000_000_000))])
}

/// IDM-05: a producer of which nothing is known may begin anywhere; then it goes on from there.
#[test]
fn an_unknown_producer_begins_where_it_likes() {
    run(async {
        let home = Home::new();
        let node = start(&home, "").await.unwrap();
        let mut client = Client::connect(&node).await;
        client.create_topic("t", 1).await;
        assert_eq!(append(&mut client, "t", &sequence(7, 41)).await, (0, 0));
        assert_eq!(append(&mut client, "t", &sequence(7, 43)).await, (45, -1));
        assert_eq!(append(&mut client, "t", &sequence(7, 40)).await, (45, -1));
        assert_eq!(append(&mut client, "t", &sequence(7, 42)).await, (0, 1));
        // Another producer is another story, and so is a new epoch of this one.
        assert_eq!(append(&mut client, "t", &sequence(8, 9)).await, (0, 2));
        assert_eq!(append(&mut client, "t", &build(by(7, 1, 5), &["b"])).await, (45, -1));
        assert_eq!(append(&mut client, "t", &build(by(7, 1, 0), &["b"])).await, (0, 3));
        assert_eq!(append(&mut client, "t", &sequence(7, 43)).await, (47, -1));
        node.stop().await;
    });
}

async fn set_expiration(client: &mut Client, ms: &str) {
    let config = incremental_alter_configs_request::AlterableConfig {
        name: "producer.id.expiration.ms".to_owned(),
        value: Some(ms.to_owned()),
        ..Default::default()
    };
    let resource = incremental_alter_configs_request::AlterConfigsResource {
        resource_type: 4,
        resource_name: String::new(),
        configs: vec![config],
    };
    let request = IncrementalAlterConfigsRequest { resources: vec![resource], validate_only: false };
    let answer: IncrementalAlterConfigsResponse =
        client.ask(ApiKey::IncrementalAlterConfigs, 1, &request).await;
    assert_eq!(answer.responses[0].error_code, 0, "{answer:?}");
}

/// IDM-06: a silent producer is forgotten once its last record is older than the setting of today. The deletion of its
/// records changes nothing.
#[test]
fn a_silent_producer_is_forgotten_after_the_dynamic_time() {
    run(async {
        let home = Home::new();
        let more = "producer.id.expiration.ms=86400000\nproducer.id.expiration.check.interval.ms=5\n";
        let node = start(&home, more).await.unwrap();
        let mut client = Client::connect(&node).await;
        client.create_topic("t", 1).await;
        assert_eq!(append(&mut client, "t", &sequence(7, 0)).await, (0, 0));
        let partition = delete_records_request::DeleteRecordsPartition { partition_index: 0, offset: 1 };
        let topic =
            delete_records_request::DeleteRecordsTopic { name: "t".to_owned(), partitions: vec![partition] };
        let deletion = DeleteRecordsRequest { topics: vec![topic], timeout_ms: 10_000 };
        let answer: DeleteRecordsResponse = client.ask(ApiKey::DeleteRecords, 2, &deletion).await;
        assert_eq!(answer.topics[0].partitions[0].low_watermark, 1);
        assert_eq!(append(&mut client, "t", &sequence(7, 5)).await.0, 45, "forgotten with its records");
        // One that is old enough goes, which shows that somebody looks; the other one stays.
        assert_eq!(append(&mut client, "t", &old(8, 0)).await.0, 0);
        let stored = |answer: &ProduceResponse| answer.responses[0].partition_responses[0].error_code == 0;
        let gap = request(-1, &parts(&[("t", 0, &old(8, 7))]));
        let _: ProduceResponse = client.ask_until((ApiKey::Produce, 9), &gap, stored).await;
        assert_eq!(append(&mut client, "t", &sequence(7, 5)).await.0, 45, "forgotten too early");
        set_expiration(&mut client, "1").await;
        let gap = request(-1, &parts(&[("t", 0, &sequence(7, 5))]));
        let answer: ProduceResponse = client.ask_until((ApiKey::Produce, 9), &gap, stored).await;
        assert!(rows(answer)[0].base_offset >= 3);
        node.stop().await;
    });
}

/// IDM-08: what is not part of a producer's open transaction is refused to it, also where the transaction stands in a log
/// that was taken over and has no coordinator.
#[test]
fn a_plain_batch_is_refused_while_a_transaction_is_open() {
    run(async {
        let home = Home::new();
        let node = start(&home, "").await.unwrap();
        let mut client = Client::connect(&node).await;
        client.create_topic("t", 1).await;
        assert_eq!(append(&mut client, "t", &sequence(7, 0)).await, (0, 0));
        node.stop().await;
        let log = home.path().join("t-0/00000000000000000000.log");
        let bytes = fs::read(&log).unwrap();
        fs::write(&log, edited(&bytes, at::ATTRIBUTES, 0x10)).unwrap();
        crash(&home);
        let node = start(&home, "").await.unwrap();
        let mut client = Client::connect(&node).await;
        assert_eq!(append(&mut client, "t", &sequence(7, 1)).await, (48, -1));
        assert_eq!(append(&mut client, "t", &sequence(8, 0)).await, (0, 1), "others are not concerned");
        assert_eq!(append(&mut client, "t", &plain(&["b"])).await, (0, 2));
        node.stop().await;
    });
}

/// LOG-04, PRD-19: what was acknowledged before a crash is read afterwards, without anything new being written.
#[test]
fn acknowledged_records_are_read_after_a_crash() {
    run(async {
        let home = Home::new();
        let node = start(&home, "").await.unwrap();
        let mut client = Client::connect(&node).await;
        client.create_topic("t", 1).await;
        assert_eq!(append(&mut client, "t", &plain(&["a", "b"])).await, (0, 0));
        node.stop().await;
        crash(&home);
        let node = start(&home, "").await.unwrap();
        let mut client = Client::connect(&node).await;
        let topic = list_offsets_request::ListOffsetsTopic {
            name: "t".to_owned(),
            partitions: vec![list_offsets_request::ListOffsetsPartition {
                timestamp: -1,
                ..Default::default()
            }],
        };
        let latest = ListOffsetsRequest { replica_id: -1, topics: vec![topic], ..Default::default() };
        let all = |answer: &ListOffsetsResponse| answer.topics[0].partitions[0].offset == 2;
        let _: ListOffsetsResponse = client.ask_until((ApiKey::ListOffsets, 7), &latest, all).await;
        assert_eq!(values(&mut client, "t", 0).await, ["a", "b"]);
        node.stop().await;
    });
}

/// Makes a clean stop look like the end of a process: what the log does not say is lost.
fn crash(home: &Home) {
    fs::remove_file(home.path().join(".kafka_cleanshutdown")).unwrap();
    for entry in fs::read_dir(home.path().join("t-0")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ending| ending == "snapshot") {
            fs::remove_file(path).unwrap();
        }
    }
    for name in ["recovery-point-offset-checkpoint", "replication-offset-checkpoint"] {
        fs::write(home.path().join(name), "0\n0\n").unwrap();
    }
}

/// IDM-09: after a crash the log itself tells what every producer wrote last.
#[test]
fn producers_are_known_again_after_a_crash() {
    run(async {
        let home = Home::new();
        let node = start(&home, "").await.unwrap();
        let mut client = Client::connect(&node).await;
        client.create_topic("t", 1).await;
        for at in 0..6 {
            assert_eq!(append(&mut client, "t", &sequence(7, at)).await, (0, i64::from(at)));
        }
        node.stop().await;
        crash(&home);
        let node = start(&home, "").await.unwrap();
        let mut client = Client::connect(&node).await;
        for at in [1, 3, 5] {
            assert_eq!(append(&mut client, "t", &sequence(7, at)).await, (0, i64::from(at)), "repeated");
        }
        assert_eq!(append(&mut client, "t", &sequence(7, 0)).await.0, 45, "older than the last five");
        assert_eq!(append(&mut client, "t", &sequence(7, 7)).await.0, 45);
        assert_eq!(append(&mut client, "t", &sequence(7, 6)).await, (0, 6));
        assert_eq!(values(&mut client, "t", 0).await.len(), 7);
        node.stop().await;
    });
}

/// TRAP-23, SEC-33: an idempotent producer needs to write to any one topic, or the older permission; then it writes
/// with no more than the permission for its topic.
#[test]
fn an_idempotent_producer_needs_no_permission_of_its_own() {
    run(async {
        let table: [(&[Permit], i16); 4] = [
            (&[CREATE], 31),
            (&[CREATE, (Write, Cluster, "kafka-cluster")], 31),
            (&[CREATE, (IdempotentWrite, Cluster, "kafka-cluster")], 0),
            (&[CREATE, (Write, Topic, "t")], 0),
        ];
        for (permits, code) in table {
            let home = Home::new();
            let with_permits = Parts { authorizer: Gatekeeper::only(permits), ..Parts::default() };
            let node = start_with(&properties(home.path(), ""), with_permits).await.unwrap();
            let mut client = Client::connect(&node).await;
            client.create_topic("t", 1).await;
            let request = InitProducerIdRequest {
                transactional_id: None,
                producer_id: -1,
                producer_epoch: -1,
                ..Default::default()
            };
            let answer: InitProducerIdResponse = client.ask(ApiKey::InitProducerId, 4, &request).await;
            assert_eq!(answer.error_code, code, "{permits:?}");
            let may_write = permits.contains(&(Write, Topic, "t"));
            let batch = build(by(answer.producer_id.max(0), 0, 0), &["a"]);
            let stored = append(&mut client, "t", &batch).await.0;
            assert_eq!(stored, if may_write { 0 } else { 29 }, "{permits:?}");
            node.stop().await;
        }
    });
}
