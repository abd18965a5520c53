//! Records in transactions that have a coordinator: what a partition asks of it before the first batch.
//!
//! The codes and words are those that Kafka 4.3.1 answered to the same requests.
//!
//! Source: requirements IDM-05, IDM-08, TXN-06, TXN-07, TXN-12, FET-17; KIP-890, KAFKA-14402.

use ottla_protocol::ApiKey;
use ottla_protocol::messages::delete_topics_request::DeleteTopicState;
use ottla_protocol::messages::fetch_response::PartitionData;
use ottla_protocol::messages::update_features_request::FeatureUpdateKey;
use ottla_protocol::messages::{
    ApiVersionsRequest, ApiVersionsResponse, DeleteTopicsRequest, DeleteTopicsResponse, FetchRequest,
    FetchResponse, OffsetFetchRequest, OffsetFetchResponse, ProduceRequest, ProduceResponse,
    UpdateFeaturesRequest, UpdateFeaturesResponse,
};
use ottla_server::RunningNode;

use crate::batches::{build, by, codes, parts, plain, request, rows};
use crate::node::{Client, Home, run, start};
use crate::operator::{NOBODY, Operator, name_of};
use crate::reading::{BROKER, create, fetch, from, set_config, values};
use crate::txn_producer::{COORDINATED, Offsets, Transactor};

const NOT_ADDED: &str = "INVALID_TXN_STATE Partition was not added to the transaction";

/// What the partitions of a request are told.
async fn names(client: &mut Client, version: i16, request: &ProduceRequest) -> Vec<&'static str> {
    codes(client, version, request).await.into_iter().map(name_of).collect()
}

async fn coordinated(home: &Home) -> (RunningNode, Client) {
    let node = start(home, COORDINATED).await.unwrap();
    let mut client = Client::connect(&node).await;
    create(&mut client, "t", 1, &[]).await;
    (node, client)
}

/// What readers of committed records see once the last stable offset is there.
async fn committed_up_to(client: &mut Client, topic: &str, stable: i64) -> PartitionData {
    let request = FetchRequest { isolation_level: 1, ..fetch(&[(topic, &[from(0, 0)])]) };
    let there = |answer: &FetchResponse| answer.responses[0].partitions[0].last_stable_offset >= stable;
    let answer: FetchResponse = client.ask_until((ApiKey::Fetch, 12), &request, there).await;
    answer.responses[0].partitions[0].clone()
}

/// TXN-07: a partition takes no batch of a transaction that its coordinator does not know to be there.
#[test]
fn older_producers_have_partitions_added_first() {
    run(async {
        let home = Home::new();
        let (node, mut client) = coordinated(&home).await;
        let mut producer = Transactor::begin(&mut client, "x").await;
        for version in 3..=7 {
            assert_eq!(producer.try_send(&mut client, version, ("t", "a")).await, "INVALID_TXN_STATE");
        }
        for version in 8..=10 {
            assert_eq!(producer.try_send(&mut client, version, ("t", "a")).await, NOT_ADDED);
        }
        assert_eq!(producer.try_send(&mut client, 11, ("t", "a")).await, "TRANSACTION_ABORTABLE");
        producer.add(&mut client, "t", 0).await;
        assert_eq!(producer.try_send(&mut client, 9, ("t", "a")).await, "0");
        assert_eq!(producer.try_send(&mut client, 3, ("t", "b")).await, "1");
        assert_eq!(producer.end(&mut client, 4, true).await, "NONE");
        let told = committed_up_to(&mut client, "t", 3).await;
        assert_eq!(values(&told), ["0:a", "1:b", "2:!"]);
        // KAFKA-14402: what comes late does not open a transaction that nobody would end.
        assert_eq!(producer.try_send(&mut client, 9, ("t", "c")).await, NOT_ADDED);
        assert_eq!(producer.try_send(&mut client, 11, ("t", "c")).await, "TRANSACTION_ABORTABLE");
        assert_eq!(committed_up_to(&mut client, "t", 3).await.high_watermark, 3);
        producer.add(&mut client, "t", 0).await;
        assert_eq!(producer.try_send(&mut client, 9, ("t", "c")).await, "3", "the next transaction");
        node.stop().await;
    });
}

/// TXN-06, TXN-12, IDM-05
#[test]
fn from_version_12_a_partition_is_added_with_its_first_batch() {
    run(async {
        let home = Home::new();
        let (node, mut client) = coordinated(&home).await;
        let mut producer = Transactor::begin(&mut client, "x").await;
        let at_five = producer.request(&[("t", 0, 5, "a")]);
        assert_eq!(names(&mut client, 12, &at_five).await, ["OUT_OF_ORDER_SEQUENCE_NUMBER"]);
        assert_eq!(producer.try_send(&mut client, 12, ("t", "a")).await, "0");
        let repeated = producer.request(&[("t", 0, 0, "a")]);
        let row = rows(client.ask(ApiKey::Produce, 12, &repeated).await).remove(0);
        assert_eq!((row.error_code, row.base_offset), (0, 0));
        let old = Transactor::new("x", producer.producer, producer.epoch);
        assert_eq!(producer.end(&mut client, 5, true).await, "NONE");
        assert_eq!(producer.epoch, old.epoch + 1);
        assert_eq!(values(&committed_up_to(&mut client, "t", 2).await), ["0:a", "1:!"]);
        for version in [11, 12] {
            let late = old.request(&[("t", 0, 1, "late")]);
            assert_eq!(names(&mut client, version, &late).await, ["INVALID_PRODUCER_EPOCH"]);
        }
        let at_three = producer.request(&[("t", 0, 3, "b")]);
        assert_eq!(names(&mut client, 12, &at_three).await, ["OUT_OF_ORDER_SEQUENCE_NUMBER"]);
        assert_eq!(producer.try_send(&mut client, 12, ("t", "b")).await, "2");
        assert_eq!(producer.end(&mut client, 5, false).await, "NONE");
        let told = committed_up_to(&mut client, "t", 4).await;
        let aborted = told.aborted_transactions.as_deref().unwrap_or_default();
        assert_eq!(aborted.iter().map(|row| row.first_offset).collect::<Vec<_>>(), [2]);
        node.stop().await;
    });
}

/// TXN-06: the next transaction may begin while the one before is still being ended; the broker waits, not the client.
#[test]
fn transactions_follow_each_other_without_a_pause() {
    run(async {
        let home = Home::new();
        let (node, mut client) = coordinated(&home).await;
        let mut producer = Transactor::begin(&mut client, "x").await;
        for round in 0..20 {
            let sent = producer.try_send(&mut client, 12, ("t", "a")).await;
            assert_eq!(sent, (2 * round).to_string(), "transaction {round}");
            assert_eq!(producer.end(&mut client, 5, round % 2 == 0).await, "NONE");
        }
        assert_eq!(committed_up_to(&mut client, "t", 40).await.high_watermark, 40);
        node.stop().await;
    });
}

/// TXN-07, TXN-12: what the coordinator refuses is told as producers know it.
#[test]
fn strangers_and_the_fenced_are_told_so() {
    run(async {
        let home = Home::new();
        let (node, mut client) = coordinated(&home).await;
        let producer = Transactor::begin(&mut client, "x").await;
        let (id, epoch) = (producer.producer, producer.epoch);
        for (producer, expected) in [
            (Transactor::new("y", id, epoch), "INVALID_PRODUCER_ID_MAPPING"),
            (Transactor::new("x", id + 1, epoch), "INVALID_PRODUCER_ID_MAPPING"),
            (Transactor::new("x", id, epoch + 5), "INVALID_PRODUCER_EPOCH"),
            (Transactor::new("", id, epoch), "INVALID_REQUEST"),
        ] {
            for version in [10, 11, 12] {
                let sent = producer.clone().try_send(&mut client, version, ("t", "a")).await;
                assert_eq!(sent, expected, "{producer:?}");
            }
        }
        let mut fenced = producer.clone();
        let mut next = Transactor::begin(&mut client, "x").await;
        assert_eq!(fenced.try_send(&mut client, 12, ("t", "a")).await, "INVALID_PRODUCER_EPOCH");
        assert_eq!(next.try_send(&mut client, 12, ("t", "a")).await, "0");
        node.stop().await;
    });
}

/// TXN-07: a request is of one producer; each partition has its answer, and what is plain is not concerned.
#[test]
fn a_request_has_one_transaction_and_may_have_plain_batches() {
    run(async {
        let home = Home::new();
        let (node, mut client) = coordinated(&home).await;
        create(&mut client, "u", 1, &[]).await;
        let producer = Transactor::begin(&mut client, "x").await;
        let ours = build(producer.options(0), &["a"]);
        let theirs = build(Transactor::new("x", producer.producer + 1, producer.epoch).options(0), &["a"]);
        let named = |batches: &[(&str, i32, &bytes::Bytes)]| ProduceRequest {
            transactional_id: Some("x".to_owned()),
            ..request(-1, &parts(batches))
        };
        let mixed = named(&[("t", 0, &ours), ("u", 0, &theirs), ("nowhere", 0, &ours)]);
        for row in rows(client.ask(ApiKey::Produce, 8, &mixed).await) {
            assert_eq!(name_of(row.error_code), "INVALID_PRODUCER_ID_MAPPING");
            let words = "Transactional records contained more than one producer ID";
            assert_eq!(row.error_message.as_deref(), Some(words));
        }
        let beside = named(&[("t", 0, &ours), ("u", 0, &plain(&["p"])), ("t", 7, &ours)]);
        let expected = ["TRANSACTION_ABORTABLE", "NONE", "UNKNOWN_TOPIC_OR_PARTITION"];
        assert_eq!(names(&mut client, 11, &beside).await, expected);
        let acks = ProduceRequest { acks: 5, ..named(&[("t", 0, &ours)]) };
        assert_eq!(names(&mut client, 11, &acks).await, ["TRANSACTION_ABORTABLE"]);
        assert_eq!(names(&mut client, 12, &acks).await, ["INVALID_REQUIRED_ACKS"]);
        node.stop().await;
    });
}

/// IDM-08: with a transaction that the producer has begun itself.
#[test]
fn a_plain_batch_within_a_transaction_is_refused() {
    run(async {
        let home = Home::new();
        let (node, mut client) = coordinated(&home).await;
        let mut producer = Transactor::begin(&mut client, "x").await;
        producer.try_send(&mut client, 12, ("t", "a")).await;
        let batch = build(by(producer.producer, producer.epoch, 1), &["b"]);
        let within = request(-1, &parts(&[("t", 0, &batch)]));
        assert_eq!(names(&mut client, 12, &within).await, ["INVALID_TXN_STATE"]);
        node.stop().await;
    });
}

/// WIRE-01, TXN-06: requests that come behind the first batch of a transaction wait for it, and stay in order.
#[test]
fn batches_stay_in_order_while_the_coordinator_is_asked() {
    run(async {
        let home = Home::new();
        let (node, mut client) = coordinated(&home).await;
        create(&mut client, "u", 1, &[]).await;
        let mut producer = Transactor::begin(&mut client, "x").await;
        assert_eq!(producer.try_send(&mut client, 12, ("t", "a")).await, "0");
        // The first request has to ask for the other topic, those behind it need not ask for theirs.
        let requests: [&[(&str, i32, i32, &str)]; 4] = [
            &[("t", 0, 1, "b"), ("u", 0, 0, "b")],
            &[("t", 0, 2, "c")],
            &[("u", 0, 1, "d")],
            &[("t", 0, 3, "e")],
        ];
        let mut frames = Vec::new();
        for records in requests {
            frames.extend(client.frame(ApiKey::Produce, 12, &producer.request(records)));
        }
        client.send_raw(&frames).await;
        for records in requests {
            let answer = client.receive().await.unwrap();
            let mut reader = ottla_protocol::Reader::new(&answer[5..]);
            let answer: ProduceResponse = ottla_protocol::Message::decode(&mut reader, 12).unwrap();
            let told: Vec<_> =
                rows(answer).iter().map(|row| (name_of(row.error_code), row.base_offset)).collect();
            let expected: Vec<_> =
                records.iter().map(|(_, _, sequence, _)| ("NONE", i64::from(*sequence))).collect();
            assert_eq!(told, expected);
        }
        node.stop().await;
    });
}

/// TXN-15, PRD-19: any number of acks is taken. Nobody is told of what `acks=0` brings; a refusal ends the connection.
#[test]
fn without_acks_a_transaction_is_written_in_silence() {
    run(async {
        let home = Home::new();
        let (node, mut client) = coordinated(&home).await;
        let producer = Transactor::begin(&mut client, "x").await;
        let silent = ProduceRequest { acks: 0, ..producer.request(&[("t", 0, 0, "a")]) };
        let frame = client.frame(ApiKey::Produce, 12, &silent);
        client.send_raw(&frame).await;
        let behind = ProduceRequest { acks: 1, ..producer.request(&[("t", 0, 1, "b")]) };
        assert_eq!(codes(&mut client, 12, &behind).await, [0], "the next answer is that of the next request");
        let stranger = Transactor::new("y", producer.producer, producer.epoch);
        let mut silent = Client::connect(&node).await;
        let other_topic = stranger.request(&[("u", 0, 0, "a")]);
        create(&mut client, "u", 1, &[]).await;
        let frame = silent.frame(ApiKey::Produce, 12, &ProduceRequest { acks: 0, ..other_topic });
        silent.send_raw(&frame).await;
        assert_eq!(silent.receive().await, None);
        node.stop().await;
    });
}

/// TXN-07: the check may be switched off and on while the node runs; version 12 adds partitions all the same.
#[test]
fn verification_can_be_switched_off() {
    run(async {
        let home = Home::new();
        let (node, mut client) = coordinated(&home).await;
        let stranger = |number: i64| Transactor::new("nobody", 5000 + number, 0);
        let refused = "INVALID_PRODUCER_ID_MAPPING";
        let _: Transactor = Transactor::begin(&mut client, "x").await;
        assert_eq!(stranger(0).try_send(&mut client, 11, ("t", "a")).await, refused);
        let key = "transaction.partition.verification.enable";
        set_config(&mut client, (BROKER, ""), (key, "false")).await;
        assert_eq!(stranger(1).try_send(&mut client, 11, ("t", "a")).await, "0");
        assert_eq!(stranger(2).try_send(&mut client, 12, ("t", "a")).await, refused);
        set_config(&mut client, (BROKER, ""), (key, "true")).await;
        assert_eq!(stranger(3).try_send(&mut client, 11, ("t", "a")).await, refused);
        node.stop().await;
    });
}

/// TXN-03, TXN-06, COF-02: what was consumed and what was made of it count together, or not at all.
#[test]
fn offsets_and_records_of_a_transaction_count_together() {
    run(async {
        let home = Home::new();
        let node = start(&home, COORDINATED).await.unwrap();
        let mut operator = Operator::with_topics(&node, &[("t", 1), ("in", 1)]).await;
        let client = &mut operator.client;
        let mut producer = Transactor::begin(client, "x").await;
        let mut older = Transactor::begin(client, "y").await;
        let offsets = [("in", 0, 7)];
        let who = Offsets::of("g", &offsets);
        assert_eq!(producer.commit_offsets(client, 4, who).await, "in-0 TRANSACTION_ABORTABLE");
        assert_eq!(producer.commit_offsets(client, 3, who).await, "in-0 INVALID_TXN_STATE");
        older.add_offsets(client, "g").await;
        older.add(client, "t", 0).await;
        for (producer, versions, commits) in
            [(&mut producer, (12, 5, 5), false), (&mut older, (9, 3, 3), false)]
        {
            let (produce, offsets, end) = versions;
            producer.send_to(client, produce, ("t", 0, "out")).await;
            assert_eq!(producer.commit_offsets(client, offsets, who).await, "in-0 NONE");
            assert_eq!(producer.end(client, end, commits).await, "NONE");
        }
        producer.send_to(client, 12, ("t", 0, "out")).await;
        assert_eq!(producer.commit_offsets(client, 5, who).await, "in-0 NONE");
        assert_eq!(producer.end(client, 5, true).await, "NONE");
        let request = OffsetFetchRequest {
            groups: vec![operator.wanted_of(9, "g", Some("in-0"))],
            require_stable: true,
            ..Default::default()
        };
        let stable = |answer: &OffsetFetchResponse| answer.groups[0].topics[0].partitions[0].error_code == 0;
        let answer = operator.client.ask_until((ApiKey::OffsetFetch, 9), &request, stable).await;
        assert_eq!(operator.fetched_text(&answer), "in-0=7");
        let told = committed_up_to(&mut operator.client, "t", 6).await;
        let aborted = told.aborted_transactions.as_deref().unwrap_or_default();
        assert_eq!(aborted.len(), 2, "{aborted:?}");
        assert_eq!(operator.commit((9, "g"), NOBODY, "in-0=9").await, "in-0 NONE");
        node.stop().await;
    });
}

/// TXN-08, TRAP-05: clients go by the feature that ApiVersions names. A producer that has its partitions added at level 1 is
/// served all the same, as by Kafka 4.3.1.
#[test]
fn version_12_adds_partitions_below_level_2_of_the_feature() {
    run(async {
        let home = Home::new();
        let (node, mut client) = coordinated(&home).await;
        for level in [2, 1] {
            if level < 2 {
                let feature = "transaction.version".to_owned();
                let update = FeatureUpdateKey {
                    feature,
                    max_version_level: level,
                    upgrade_type: 2,
                    ..Default::default()
                };
                let request = UpdateFeaturesRequest {
                    feature_updates: vec![update],
                    timeout_ms: 10_000,
                    ..Default::default()
                };
                let answer: UpdateFeaturesResponse = client.ask(ApiKey::UpdateFeatures, 1, &request).await;
                assert_eq!(answer.error_code, 0, "{answer:?}");
            }
            let request = ApiVersionsRequest {
                client_software_name: "test".to_owned(),
                client_software_version: "1".to_owned(),
            };
            let at_level = |answer: &ApiVersionsResponse| {
                let named =
                    answer.finalized_features.iter().find(|known| known.name == "transaction.version");
                named.map_or(0, |known| known.max_version_level) == level
            };
            let _: ApiVersionsResponse = client.ask_until((ApiKey::ApiVersions, 4), &request, at_level).await;
            let mut producer = Transactor::begin(&mut client, &format!("x-{level}")).await;
            let first = producer.send_to(&mut client, 12, ("t", 0, "a")).await;
            assert_eq!(name_of(first.error_code), "NONE", "level {level}");
            let epoch = producer.epoch;
            assert_eq!(producer.end(&mut client, 5, true).await, "NONE");
            assert_eq!(producer.epoch, epoch + 1, "level {level}");
        }
        node.stop().await;
    });
}

/// TXN-09: nobody waits for a partition that there is no longer.
#[test]
fn a_partition_that_is_gone_holds_up_no_transaction() {
    run(async {
        let home = Home::new();
        let (node, mut client) = coordinated(&home).await;
        create(&mut client, "gone", 1, &[]).await;
        let mut producer = Transactor::begin(&mut client, "x").await;
        for topic in ["t", "gone"] {
            assert_eq!(producer.try_send(&mut client, 12, (topic, "a")).await, "0");
        }
        let topic = DeleteTopicState { name: Some("gone".to_owned()), ..Default::default() };
        let request = DeleteTopicsRequest { topics: vec![topic], timeout_ms: 10_000, ..Default::default() };
        let answer: DeleteTopicsResponse = client.ask(ApiKey::DeleteTopics, 6, &request).await;
        assert_eq!(answer.responses[0].error_code, 0);
        assert_eq!(producer.end(&mut client, 5, true).await, "NONE");
        assert_eq!(values(&committed_up_to(&mut client, "t", 2).await), ["0:a", "1:!"]);
        assert_eq!(producer.try_send(&mut client, 12, ("t", "b")).await, "2", "the transaction is over");
        node.stop().await;
    });
}

/// TXN-14, IDM-09, FET-17: a node that dies in the middle of a transaction goes on with it, or ends it.
#[test]
fn a_transaction_goes_on_after_the_node_died() {
    run(async {
        let home = Home::new();
        let (node, mut client) = coordinated(&home).await;
        let mut producer = Transactor::begin(&mut client, "x").await;
        assert_eq!(producer.try_send(&mut client, 12, ("t", "a")).await, "0");
        let mut left = Transactor::begin(&mut client, "y").await;
        assert_eq!(left.try_send(&mut client, 12, ("t", "b")).await, "1");
        let killed = Home::new();
        crate::markers::copy(home.path(), killed.path());
        node.stop().await;
        let node = start(&killed, COORDINATED).await.unwrap();
        let mut client = Client::connect(&node).await;
        assert_eq!(committed_up_to(&mut client, "t", 0).await.last_stable_offset, 0);
        assert_eq!(producer.try_send(&mut client, 12, ("t", "c")).await, "2", "it goes on as it was");
        while producer.end(&mut client, 5, true).await != "NONE" {}
        // Whoever comes back under the name of the other one aborts what it left.
        left.init(&mut client).await;
        let told = committed_up_to(&mut client, "t", 5).await;
        assert_eq!(values(&told).len(), 5);
        let aborted = told.aborted_transactions.as_deref().unwrap_or_default();
        assert_eq!(aborted.iter().map(|row| row.first_offset).collect::<Vec<_>>(), [1]);
        node.stop().await;
    });
}
