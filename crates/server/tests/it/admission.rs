//! What a leader takes from producers, and what it says to the rest.
//!
//! Source: requirements PRD-02 to PRD-22; codes and log starts are those of Apache Kafka 4.3.1 on the same requests.

use bytes::Bytes;
use ottla_env::time::wall_now;
use ottla_model::{Timestamp, Uuid};
use ottla_protocol::ApiKey;
use ottla_protocol::compression::{Encoding, GzipLevel};
use ottla_protocol::messages::{
    CreateTopicsRequest, CreateTopicsResponse, DeleteRecordsRequest, DeleteRecordsResponse,
    DeleteTopicsRequest, DeleteTopicsResponse, MetadataRequest, MetadataResponse, ProduceRequest,
    ProduceResponse, create_topics_request, delete_records_request, delete_topics_request, metadata_request,
};
use ottla_protocol::record::BatchOptions;
use ottla_security::Operation::{Describe, Write};
use ottla_security::ResourceType::{Topic, TransactionalId};

use crate::batches::{
    Named, Part, append, at, build, built, by, codes, edited, parts, plain, request, rows, spoiled, values,
};
use crate::gatekeeper::{CREATE, Gatekeeper};
use crate::node::{Client, Home, Parts, properties, run, start, start_with};

/// Creates a topic of one partition with these configs.
async fn create(client: &mut Client, name: &str, configs: &[(&str, &str)]) {
    let configs = configs.iter().map(|(name, value)| create_topics_request::CreatableTopicConfig {
        name: (*name).to_owned(),
        value: Some((*value).to_owned()),
    });
    let topic = create_topics_request::CreatableTopic {
        name: name.to_owned(),
        num_partitions: 1,
        replication_factor: 1,
        configs: configs.collect(),
        ..Default::default()
    };
    let request = CreateTopicsRequest { topics: vec![topic], timeout_ms: 10_000, validate_only: false };
    let answer: CreateTopicsResponse = client.ask(ApiKey::CreateTopics, 7, &request).await;
    assert_eq!(answer.topics[0].error_code, 0, "{answer:?}");
}

/// Error code and id of a topic; nothing is created.
async fn look(client: &mut Client, name: &str) -> (i16, Uuid) {
    let topic = metadata_request::MetadataRequestTopic { name: Some(name.to_owned()), ..Default::default() };
    let request =
        MetadataRequest { topics: Some(vec![topic]), allow_auto_topic_creation: false, ..Default::default() };
    let answer: MetadataResponse = client.ask(ApiKey::Metadata, 12, &request).await;
    (answer.topics[0].error_code, answer.topics[0].topic_id)
}

/// PRD-03, PRD-04: the permission is asked for before the topic, and producing creates nothing.
#[test]
fn permission_comes_before_existence_and_nothing_is_created() {
    run(async {
        let home = Home::new();
        let permits = [
            CREATE,
            (Write, Topic, "open"),
            (Write, Topic, "missing"),
            (Describe, Topic, "open"),
            (Describe, Topic, "closed"),
            (Describe, Topic, "missing"),
        ];
        let parts_of_node = Parts { authorizer: Gatekeeper::only(&permits), ..Parts::default() };
        let node = start_with(&properties(home.path(), ""), parts_of_node).await.unwrap();
        let mut client = Client::connect(&node).await;
        client.create_topic("open", 1).await;
        client.create_topic("closed", 1).await;
        let batch = plain(&["a"]);
        let asked = [("open", 0), ("open", 1), ("open", -1), ("missing", 0), ("closed", 0), ("hidden", 0)];
        let asked: Vec<_> = asked.into_iter().map(|(name, index)| (name, index, &batch)).collect();
        for version in [3, 12] {
            assert_eq!(codes(&mut client, version, &request(-1, &parts(&asked))).await, [0, 3, 3, 3, 29, 29]);
        }
        let (open, closed) = (look(&mut client, "open").await.1, look(&mut client, "closed").await.1);
        let unknown = Uuid::from_bytes([9; 16]);
        let by_id = [(open, 0), (open, 1), (closed, 0), (unknown, 0), (Uuid::ZERO, 0)];
        let by_id: Vec<Part<'_>> =
            by_id.into_iter().map(|(id, index)| (Named::Id(id), index, Some(batch.clone()))).collect();
        assert_eq!(codes(&mut client, 13, &request(-1, &by_id)).await, [0, 3, 29, 100, 100]);
        assert_eq!(look(&mut client, "missing").await.0, 3, "producing created a topic");
        node.stop().await;
    });
}

/// PRD-04: the id of an earlier topic of the same name is not the topic that is there now.
#[test]
fn an_id_names_one_topic_only() {
    run(async {
        let home = Home::new();
        let node = start(&home, "").await.unwrap();
        let mut client = Client::connect(&node).await;
        client.create_topic("t", 1).await;
        let first = look(&mut client, "t").await.1;
        let topic =
            delete_topics_request::DeleteTopicState { name: Some("t".to_owned()), ..Default::default() };
        let gone = DeleteTopicsRequest { topics: vec![topic], timeout_ms: 10_000, ..Default::default() };
        let answer: DeleteTopicsResponse = client.ask(ApiKey::DeleteTopics, 6, &gone).await;
        assert_eq!(answer.responses[0].error_code, 0);
        client.create_topic("t", 1).await;
        let second = look(&mut client, "t").await.1;
        let both = [first, second].map(|id| (Named::Id(id), 0, Some(plain(&["a"]))));
        assert_eq!(codes(&mut client, 13, &request(-1, &both)).await, [100, 0]);
        assert_eq!(values(&mut client, "t", 0).await, ["a"]);
        node.stop().await;
    });
}

/// PRD-02: one transactional batch refuses the whole request, unless it names a transactional id that the caller may
/// write to. Plain idempotent batches need no permission of their own (TRAP-23).
#[test]
fn a_transactional_batch_needs_permission_for_its_transactional_id() {
    run(async {
        let home = Home::new();
        let permits = [CREATE, (Write, Topic, "t"), (Write, TransactionalId, "mine")];
        let parts_of_node = Parts { authorizer: Gatekeeper::only(&permits), ..Parts::default() };
        let node = start_with(&properties(home.path(), ""), parts_of_node).await.unwrap();
        let mut client = Client::connect(&node).await;
        client.create_topic("t", 2).await;
        let transactional = build(BatchOptions { transactional: true, ..by(7, 0, 0) }, &["a"]);
        let idempotent = build(by(8, 0, 0), &["b"]);
        let mixed = parts(&[("t", 0, &idempotent), ("t", 1, &transactional)]);
        let named = |id: Option<&str>| ProduceRequest {
            transactional_id: id.map(str::to_owned),
            ..request(-1, &mixed)
        };
        for id in [None, Some("theirs"), Some("")] {
            assert_eq!(codes(&mut client, 9, &named(id)).await, [53, 53], "{id:?}");
        }
        // Nobody coordinates the transaction; what matters here is that the permission does not refuse.
        assert_eq!(codes(&mut client, 9, &named(Some("mine"))).await, [0, 19]);
        let only = parts(&[("t", 0, &idempotent)]);
        let with_id = ProduceRequest { transactional_id: Some("theirs".to_owned()), ..request(-1, &only) };
        assert_eq!(codes(&mut client, 9, &with_id).await, [0], "the id of a plain batch means nothing");
        node.stop().await;
    });
}

/// A frame from a client of this name.
fn frame_of(client: &mut Client, name: &str, request: &ProduceRequest) -> Vec<u8> {
    let frame = client.frame(ApiKey::Produce, 8, request);
    let length = i16::try_from(name.len()).unwrap().to_be_bytes();
    let renamed = [&frame[4..12], &length[..], name.as_bytes(), &frame[14 + "test".len()..]].concat();
    [&i32::try_from(renamed.len()).unwrap().to_be_bytes()[..], &renamed].concat()
}

/// PRD-06: internal topics are the admin client's alone.
#[test]
fn internal_topics_take_records_of_the_admin_client_only() {
    run(async {
        let home = Home::new();
        let node = start(&home, "").await.unwrap();
        let mut client = Client::connect(&node).await;
        for topic in ["__consumer_offsets", "__transaction_state", "__share_group_state"] {
            client.create_topic(topic, 1).await;
            let asked = request(-1, &parts(&[(topic, 0, &plain(&["a"]))]));
            for (name, code) in [
                ("__admin_client", 0),
                ("__admin_client2", 17),
                ("admin", 17),
                ("__ADMIN_CLIENT", 17),
                ("", 17),
            ] {
                let frame = frame_of(&mut client, name, &asked);
                client.send_raw(&frame).await;
                let answer = client.receive().await.unwrap();
                let mut reader = ottla_protocol::Reader::new(&answer[4..]);
                let answer: ProduceResponse = ottla_protocol::Message::decode(&mut reader, 8).unwrap();
                assert_eq!(rows(answer)[0].error_code, code, "{topic} for {name:?}");
            }
        }
        node.stop().await;
    });
}

/// PRD-08: the minimum is never above the number of replicas.
#[test]
fn a_minimum_above_the_replication_factor_counts_as_the_factor() {
    run(async {
        let home = Home::new();
        let node = start(&home, "").await.unwrap();
        let mut client = Client::connect(&node).await;
        create(&mut client, "t", &[("min.insync.replicas", "3")]).await;
        assert_eq!(append(&mut client, "t", &plain(&["a"])).await, (0, 0));
        node.stop().await;
    });
}

/// One hour and a bit ahead of the leader's clock, which is too far.
fn too_late() -> Timestamp {
    Timestamp::from_millis(wall_now().millis() + 2 * 3_600_000)
}

/// PRD-05, PRD-09, PRD-10, PRD-12, PRD-13, PRD-18, TRAP-10: each broken rule has Kafka's code, tells the log start where
/// Kafka does, and leaves nothing in the log.
#[test]
fn a_batch_that_breaks_a_rule_is_refused_and_leaves_nothing() {
    run(async {
        let home = Home::new();
        let node = start(&home, "").await.unwrap();
        let mut client = Client::connect(&node).await;
        create(&mut client, "plain", &[]).await;
        create(&mut client, "compact", &[("cleanup.policy", "compact")]).await;
        create(&mut client, "small", &[("max.message.bytes", "200")]).await;
        create(&mut client, "gzip", &[("compression.type", "gzip"), ("max.message.bytes", "100")]).await;
        create(&mut client, "segment", &[("segment.bytes", "1048576"), ("max.message.bytes", "4000000")])
            .await;
        create(&mut client, "clock", &[("message.timestamp.type", "LogAppendTime")]).await;
        create(&mut client, "old", &[("message.timestamp.before.max.ms", "1000")]).await;
        let good = plain(&["a"]);
        let (long, longer) = ("x".repeat(300), "x".repeat(1_500_000));
        let late = built(BatchOptions::default(), &[(None, Some("a"), too_late())]);
        let early = built(BatchOptions::default(), &[(None, Some("a"), Timestamp::from_millis(1))]);
        // What does not shrink: 36 different bytes.
        let dense = plain(&["abcdefghijklmnopqrstuvwxyz0123456789"]);
        let control = BatchOptions { control: true, ..by(7, 0, 0) };
        let table: Vec<(&str, &str, Bytes, i16, i64)> = vec![
            ("no batch", "plain", Bytes::new(), 87, -1),
            ("an old magic", "plain", spoiled(&good, at::MAGIC, 1), 87, -1),
            ("two batches", "plain", Bytes::from([&good[..], &good[..]].concat()), 87, -1),
            ("a base offset", "plain", spoiled(&good, at::BASE_OFFSET, 7), 87, 0),
            ("a wrong checksum", "plain", spoiled(&good, at::CRC, !good[at::CRC]), 2, -1),
            ("a length below the header", "plain", spoiled(&good, 11, 20), 2, -1),
            ("more bytes than max.message.bytes", "small", plain(&[&long]), 10, -1),
            ("more bytes after a change of codec", "gzip", dense, 10, -1),
            ("more bytes than a segment", "segment", plain(&[&longer]), 18, -1),
            ("a count that is not the range", "plain", edited(&good, 60, 2), 87, 0),
            ("a range that is not the count", "plain", edited(&good, 26, 2), 87, 0),
            ("a control batch", "plain", build(control, &["a"]), 87, 0),
            ("a producer without a sequence", "plain", edited(&build(by(7, 0, 0), &["a"]), 53, 0xff), 87, 0),
            ("a record longer than the batch", "plain", edited(&good, at::RECORDS, 0x7e), 87, 0),
            ("no key on a compacted topic", "compact", good.clone(), 87, 0),
            ("a record of the future", "plain", late, 32, 0),
            ("a record of the past", "old", early, 32, 0),
            ("the leader's clock claimed", "clock", edited(&good, at::ATTRIBUTES, 8), 32, 0),
            ("an unknown codec", "plain", edited(&good, at::ATTRIBUTES, 5), -1, 0),
        ];
        for (name, topic, batch, code, log_start) in table {
            let asked = request(-1, &parts(&[(topic, 0, &batch)]));
            let row = rows(client.ask(ApiKey::Produce, 9, &asked).await).remove(0);
            let got = (row.error_code, row.base_offset, row.log_append_time_ms, row.log_start_offset);
            assert_eq!(got, (code, -1, -1, log_start), "{name}");
            assert!(values(&mut client, topic, 0).await.is_empty(), "{name} is in the log");
        }
        for topic in ["plain", "small", "segment"] {
            assert_eq!(append(&mut client, topic, &good).await, (0, 0), "{topic}");
        }
        node.stop().await;
    });
}

/// PRD-14: from version 8 on each record is told its fault. A timestamp's fault wins over a missing key.
#[test]
fn faults_of_records_are_told_one_by_one() {
    run(async {
        let home = Home::new();
        let node = start(&home, "").await.unwrap();
        let mut client = Client::connect(&node).await;
        create(&mut client, "c", &[("cleanup.policy", "compact")]).await;
        let (now, late) = (wall_now(), too_late());
        let keyless = "Compacted topic cannot accept message without key in topic partition c-0";
        let mixed = built(
            BatchOptions::default(),
            &[(Some("k"), Some("a"), now), (None, Some("b"), now), (Some("k"), Some("c"), late)],
        );
        let without = built(BatchOptions::default(), &[(Some("k"), Some("a"), now), (None, Some("b"), late)]);
        for (batch, code, told, message) in [
            (&mixed, 32, vec![(1, keyless), (2, "Timestamp ")], "rejected due to invalid timestamp"),
            (&without, 87, vec![(1, keyless)], "due to 1 record errors in total"),
        ] {
            for version in [7, 8, 12] {
                let asked = request(-1, &parts(&[("c", 0, batch)]));
                let row = rows(client.ask(ApiKey::Produce, version, &asked).await).remove(0);
                assert_eq!((row.error_code, row.base_offset, row.log_start_offset), (code, -1, 0));
                if version < 8 {
                    assert_eq!((row.record_errors.len(), row.error_message), (0, None));
                    continue;
                }
                let pairs: Vec<(i32, String)> = row
                    .record_errors
                    .iter()
                    .map(|error| (error.batch_index, error.batch_index_error_message.clone().unwrap()))
                    .collect();
                assert_eq!(pairs.len(), told.len(), "{pairs:?}");
                for ((index, text), (wanted, beginning)) in pairs.iter().zip(&told) {
                    assert!(index == wanted && text.starts_with(beginning), "{pairs:?}");
                }
                let said = row.error_message.unwrap();
                assert!(said.starts_with("One or more records have been rejected") && said.contains(message));
            }
        }
        node.stop().await;
    });
}

/// PRD-15, PRD-18: base offset, the leader's clock and the log start of what was stored.
#[test]
fn an_answer_tells_offset_clock_and_log_start() {
    run(async {
        let home = Home::new();
        let node = start(&home, "").await.unwrap();
        let mut client = Client::connect(&node).await;
        create(&mut client, "mine", &[]).await;
        create(&mut client, "yours", &[("message.timestamp.type", "LogAppendTime")]).await;
        let batch = plain(&["a", "b"]);
        let asked = request(-1, &parts(&[("mine", 0, &batch), ("yours", 0, &batch)]));
        let before = wall_now().millis();
        let answer: ProduceResponse = client.ask(ApiKey::Produce, 5, &asked).await;
        let [mine, yours] = &rows(answer)[..] else { panic!("two rows") };
        assert_eq!((mine.base_offset, mine.log_append_time_ms, mine.log_start_offset), (0, -1, 0));
        assert_eq!((yours.base_offset, yours.log_start_offset), (0, 0));
        assert!((before..=wall_now().millis()).contains(&yours.log_append_time_ms));
        let partition = delete_records_request::DeleteRecordsPartition { partition_index: 0, offset: 1 };
        let topic = delete_records_request::DeleteRecordsTopic {
            name: "mine".to_owned(),
            partitions: vec![partition],
        };
        let deletion = DeleteRecordsRequest { topics: vec![topic], timeout_ms: 10_000 };
        let answer: DeleteRecordsResponse = client.ask(ApiKey::DeleteRecords, 2, &deletion).await;
        assert_eq!(answer.topics[0].partitions[0].low_watermark, 1);
        let again: ProduceResponse = client.ask(ApiKey::Produce, 5, &asked).await;
        let first = &rows(again)[0];
        assert_eq!((first.base_offset, first.log_start_offset), (2, 1));
        // Before version 5 there is no log start to tell.
        let again: ProduceResponse = client.ask(ApiKey::Produce, 4, &asked).await;
        let first = &rows(again)[0];
        assert_eq!((first.base_offset, first.log_start_offset), (4, -1));
        // A refused batch tells the log start as it is now.
        let bad = request(1, &parts(&[("mine", 0, &spoiled(&batch, at::BASE_OFFSET, 7))]));
        let answer: ProduceResponse = client.ask(ApiKey::Produce, 9, &bad).await;
        let first = &rows(answer)[0];
        assert_eq!((first.error_code, first.base_offset, first.log_start_offset), (87, -1, 1));
        node.stop().await;
    });
}

/// PRD-01, PRD-20, PRD-22: each partition has its own outcome, whatever happens to its neighbours, and none is left out.
#[test]
fn partitions_of_one_request_succeed_and_fail_by_themselves() {
    run(async {
        let home = Home::new();
        let node = start(&home, "").await.unwrap();
        let mut client = Client::connect(&node).await;
        client.create_topic("t", 4).await;
        let good = plain(&["a"]);
        // Kafka does not know what to say about a codec that is none, and says that.
        let odd = edited(&good, at::ATTRIBUTES, 6);
        let corrupt = spoiled(&good, at::CRC, !good[at::CRC]);
        let mut asked = parts(&[
            ("t", 0, &good),
            ("missing", 0, &good),
            ("t", 1, &odd),
            ("t", 9, &good),
            ("t", 2, &corrupt),
            ("t", 3, &good),
        ]);
        asked.push((Named::Name("t"), 2, None));
        for acks in [1, -1] {
            assert_eq!(codes(&mut client, 9, &request(acks, &asked)).await, [0, 3, -1, 3, 2, 0, 87]);
        }
        for (index, count) in [(0, 2), (1, 0), (2, 0), (3, 2)] {
            assert_eq!(values(&mut client, "t", index).await.len(), count, "partition {index}");
        }
        // The wrong number of acks refuses only what could have been stored.
        assert_eq!(codes(&mut client, 9, &request(2, &asked)).await, [21, 3, 21, 3, 21, 21, 87]);
        // A request for nothing is answered with nothing.
        assert_eq!(codes(&mut client, 9, &request(-1, &[])).await, [0; 0]);
        node.stop().await;
    });
}

/// PRD-11: with `ottla.record.validation=header` the records are not looked into, but header and checksum are.
#[test]
fn a_topic_can_do_without_the_check_of_each_record() {
    run(async {
        let home = Home::new();
        let node = start(&home, "").await.unwrap();
        let mut client = Client::connect(&node).await;
        create(&mut client, "full", &[]).await;
        create(&mut client, "header", &[("ottla.record.validation", "header")]).await;
        let good = plain(&["a"]);
        let nonsense = edited(&good, at::RECORDS, 0x7e);
        assert_eq!(append(&mut client, "full", &nonsense).await, (87, -1));
        assert_eq!(append(&mut client, "header", &nonsense).await, (0, 0));
        assert_eq!(append(&mut client, "header", &spoiled(&good, at::CRC, !good[at::CRC])).await, (2, -1));
        assert_eq!(append(&mut client, "header", &edited(&good, 60, 2)).await, (87, -1));
        node.stop().await;
    });
}

/// REC-02, API-04: zstd is taken from version 7 on; the other codecs always.
#[test]
fn zstd_came_with_version_7() {
    run(async {
        let home = Home::new();
        let node = start(&home, "").await.unwrap();
        let mut client = Client::connect(&node).await;
        client.create_topic("t", 1).await;
        let zstd = Encoding::Zstd(ottla_protocol::compression::ZstdLevel::default());
        let gzip = Encoding::Gzip(GzipLevel::default());
        for (encoding, version, code) in
            [(zstd, 3, 76), (zstd, 6, 76), (zstd, 7, 0), (zstd, 12, 0), (gzip, 3, 0), (gzip, 6, 0)]
        {
            let batch = build(BatchOptions { encoding, ..BatchOptions::default() }, &["a"]);
            let asked = request(-1, &parts(&[("t", 0, &batch)]));
            assert_eq!(
                codes(&mut client, version, &asked).await,
                [code],
                "{encoding:?} in version {version}"
            );
        }
        node.stop().await;
    });
}
