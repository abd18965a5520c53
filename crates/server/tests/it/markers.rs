//! The ends of transactions, as a coordinator or an operator writes them into partitions.
//!
//! Verification is off here: the transactions have no coordinator, so every one is left hanging until a marker comes.
//!
//! Source: requirements TXN-09, TXN-13, FET-17, FET-18, TRAP-15.

use std::fs;

use ottla_protocol::ApiKey;
use ottla_protocol::messages::fetch_response::PartitionData;
use ottla_protocol::messages::{FetchRequest, FetchResponse};
use ottla_protocol::record::{Batch, Batches, ControlKind, EndTransaction};
use ottla_security::Operation::{Alter, ClusterAction, Create, Write};
use ottla_security::ResourceType::{Cluster, Topic, TransactionalId};

use crate::batches::{append, plain};
use crate::gatekeeper::{Gatekeeper, Permit};
use crate::node::{Client, Home, Parts, properties, run, start, start_with};
use crate::reading::{create, fetch, from, receive_fetch, values};
use crate::txn_producer::{Marker, Transactor, UNVERIFIED, producers, write_markers};

async fn committed(client: &mut Client, topic: &str) -> PartitionData {
    let request = FetchRequest { isolation_level: 1, ..fetch(&[(topic, &[from(0, 0)])]) };
    let answer: FetchResponse = client.ask(ApiKey::Fetch, 12, &request).await;
    answer.responses[0].partitions[0].clone()
}

/// The aborted transactions, in the order in which they are told.
fn aborted(told: &PartitionData) -> Vec<(i64, i64)> {
    let rows = told.aborted_transactions.iter().flatten();
    rows.map(|row| (row.producer_id, row.first_offset)).collect()
}

/// FET-17, FET-18, TRAP-15: what hangs hides everything behind it; with the last marker all is seen, and what was aborted
/// is named in the order of first offsets, also where transactions lie across each other.
#[test]
fn a_marker_lets_readers_of_committed_records_go_on() {
    run(async {
        let home = Home::new();
        let node = start(&home, UNVERIFIED).await.unwrap();
        let mut client = Client::connect(&node).await;
        create(&mut client, "t", 1, &[]).await;
        let [mut a, mut b, mut c] =
            [("a", 10), ("b", 11), ("c", 12)].map(|(id, producer)| Transactor::new(id, producer, 0));
        assert_eq!(a.send(&mut client, "t", "a0").await, Ok(0));
        assert_eq!(b.send(&mut client, "t", "b1").await, Ok(1));
        assert_eq!(append(&mut client, "t", &plain(&["p2"])).await, (0, 2));
        assert_eq!(c.send(&mut client, "t", "c3").await, Ok(3));
        let told = committed(&mut client, "t").await;
        assert_eq!((values(&told), told.last_stable_offset, told.high_watermark), (vec![], 0, 4));
        assert_eq!(write_markers(&mut client, 1, &[b.marker(false, &["t"])]).await, "11:t-0 NONE");
        assert_eq!(committed(&mut client, "t").await.last_stable_offset, 0, "a is the oldest");
        assert_eq!(write_markers(&mut client, 1, &[a.marker(false, &["t"])]).await, "10:t-0 NONE");
        let told = committed(&mut client, "t").await;
        assert_eq!((values(&told).len(), told.last_stable_offset, told.high_watermark), (3, 3, 6));
        assert_eq!(aborted(&told), [(10, 0), (11, 1)]);
        assert_eq!(write_markers(&mut client, 1, &[c.marker(true, &["t"])]).await, "12:t-0 NONE");
        let told = committed(&mut client, "t").await;
        assert_eq!(values(&told), ["0:a0", "1:b1", "2:p2", "3:c3", "4:!", "5:!", "6:!"]);
        assert_eq!((told.last_stable_offset, aborted(&told)), (7, vec![(10, 0), (11, 1)]));
        node.stop().await;
    });
}

/// FET-14: whoever waits for committed records is woken by the marker.
#[test]
fn a_marker_wakes_readers_of_committed_records() {
    run(async {
        let home = Home::new();
        let node = start(&home, UNVERIFIED).await.unwrap();
        let mut client = Client::connect(&node).await;
        create(&mut client, "t", 1, &[]).await;
        let mut producer = Transactor::new("x", 7, 0);
        producer.send(&mut client, "t", "a").await.unwrap();
        let mut reader = Client::connect(&node).await;
        let patient =
            FetchRequest { isolation_level: 1, max_wait_ms: 600_000, ..fetch(&[("t", &[from(0, 0)])]) };
        let frame = reader.frame(ApiKey::Fetch, 12, &patient);
        reader.send_raw(&frame).await;
        write_markers(&mut client, 1, &[producer.marker(true, &["t"])]).await;
        let told = receive_fetch(&reader, 12).await.responses[0].partitions[0].clone();
        assert_eq!((values(&told), told.last_stable_offset), (vec!["0:a".to_owned(), "1:!".to_owned()], 2));
        node.stop().await;
    });
}

/// TXN-13: DescribeProducers shows what hangs, and that it does no longer.
#[test]
fn a_hanging_transaction_is_found_and_aborted() {
    run(async {
        let home = Home::new();
        let node = start(&home, UNVERIFIED).await.unwrap();
        let mut client = Client::connect(&node).await;
        create(&mut client, "t", 1, &[]).await;
        append(&mut client, "t", &plain(&["before"])).await;
        let mut hanging = Transactor::new("x", 7, 3);
        hanging.send(&mut client, "t", "a").await.unwrap();
        hanging.send(&mut client, "t", "b").await.unwrap();
        let state = producers(&mut client, "t").await.remove(0);
        assert_eq!((state.producer_id, state.producer_epoch, state.last_sequence), (7, 3, 1));
        assert_eq!((state.coordinator_epoch, state.current_txn_start_offset), (-1, 1));
        // As `kafka-transactions abort` does it.
        let abort = Marker { coordinator_epoch: 5, ..hanging.marker(false, &["t"]) };
        assert_eq!(write_markers(&mut client, 2, &[abort]).await, "7:t-0 NONE");
        let state = producers(&mut client, "t").await.remove(0);
        assert_eq!((state.producer_epoch, state.last_sequence), (3, 1));
        assert_eq!((state.coordinator_epoch, state.current_txn_start_offset), (5, -1));
        assert_eq!(committed(&mut client, "t").await.last_stable_offset, 4);
        node.stop().await;
    });
}

/// TXN-09, KAFKA-19999: which epochs a marker may have, by the version of its transaction.
#[test]
fn a_marker_has_the_epoch_of_its_version() {
    run(async {
        let home = Home::new();
        let node = start(&home, UNVERIFIED).await.unwrap();
        let mut client = Client::connect(&node).await;
        create(&mut client, "t", 1, &[]).await;
        let mut producer = Transactor::new("x", 7, 3);
        producer.send(&mut client, "t", "a").await.unwrap();
        let with = |epoch, version| Marker { epoch, version, ..producer.marker(true, &["t"]) };
        let fenced = "7:t-0 INVALID_PRODUCER_EPOCH";
        assert_eq!(write_markers(&mut client, 1, &[with(2, 0)]).await, fenced);
        assert_eq!(write_markers(&mut client, 2, &[with(3, 2)]).await, fenced, "it has to be above");
        assert_eq!(write_markers(&mut client, 2, &[with(4, 2)]).await, "7:t-0 NONE");
        assert_eq!(write_markers(&mut client, 2, &[with(4, 2)]).await, "7:t-0 NONE", "the same again");
        assert_eq!(write_markers(&mut client, 2, &[with(3, 2)]).await, fenced);
        assert_eq!(producer.send(&mut client, "t", "late").await, Err("INVALID_PRODUCER_EPOCH"));
        producer.enter_epoch(4);
        assert_eq!(producer.send(&mut client, "t", "b").await, Ok(3));
        // A version that is not told is below 2: the epoch may be that of the data.
        let same = Marker { epoch: 4, version: 1, ..producer.marker(true, &["t"]) };
        assert_eq!(write_markers(&mut client, 2, std::slice::from_ref(&same)).await, "7:t-0 NONE");
        assert_eq!(write_markers(&mut client, 1, &[same]).await, "7:t-0 NONE");
        node.stop().await;
    });
}

/// TXN-09: a coordinator that lost its partition to another one.
#[test]
fn an_old_coordinator_writes_no_markers() {
    run(async {
        let home = Home::new();
        let node = start(&home, UNVERIFIED).await.unwrap();
        let mut client = Client::connect(&node).await;
        create(&mut client, "t", 1, &[]).await;
        let producer = Transactor::new("x", 7, 0);
        let of = |coordinator_epoch| Marker { coordinator_epoch, ..producer.marker(false, &["t"]) };
        assert_eq!(write_markers(&mut client, 1, &[of(5)]).await, "7:t-0 NONE");
        assert_eq!(write_markers(&mut client, 1, &[of(4)]).await, "7:t-0 TRANSACTION_COORDINATOR_FENCED");
        assert_eq!(write_markers(&mut client, 1, &[of(6)]).await, "7:t-0 NONE");
        assert_eq!(
            committed(&mut client, "t").await.high_watermark,
            2,
            "a marker without data lies in the log"
        );
        node.stop().await;
    });
}

/// TXN-09: every partition has its own answer, and what is not here need not be waited for.
#[test]
fn markers_of_a_request_are_answered_one_by_one() {
    run(async {
        let home = Home::new();
        let node = start(&home, UNVERIFIED).await.unwrap();
        let mut client = Client::connect(&node).await;
        create(&mut client, "t", 2, &[]).await;
        create(&mut client, "u", 1, &[]).await;
        assert_eq!(write_markers(&mut client, 1, &[]).await, "");
        let [mut a, b] = [("a", 10), ("b", 11)].map(|(id, producer)| Transactor::new(id, producer, 4));
        a.send(&mut client, "t", "a0").await.unwrap();
        let in_all = [("t", vec![0, 1, 2, -1]), ("nowhere", vec![0]), ("a/b", vec![0])];
        let topics = in_all.map(|(topic, partitions)| (topic.to_owned(), partitions)).to_vec();
        let markers = [
            Marker { topics, ..a.marker(true, &[]) },
            Marker { epoch: 3, ..a.marker(true, &["u"]) },
            b.marker(true, &["u"]),
            b.marker(true, &[]),
        ];
        let unknown = "UNKNOWN_TOPIC_OR_PARTITION";
        assert_eq!(
            write_markers(&mut client, 1, &markers).await,
            format!(
                "10:a/b-0 {unknown}, 10:nowhere-0 {unknown}, 10:t--1 {unknown}, 10:t-0 NONE, 10:t-1 NONE, \
                 10:t-2 {unknown}, 10:u-0 NONE, 11:u-0 NONE"
            )
        );
        node.stop().await;
    });
}

/// SEC-36: an operator may alter the cluster, a broker may act for it; whoever only writes may not.
#[test]
fn markers_need_permission_for_the_cluster() {
    run(async {
        let table: [(&[Permit], &str); 3] = [
            (&[(Write, Topic, "t"), (Write, TransactionalId, "x")], "CLUSTER_AUTHORIZATION_FAILED"),
            (&[(Alter, Cluster, "kafka-cluster")], "NONE"),
            (&[(ClusterAction, Cluster, "kafka-cluster")], "NONE"),
        ];
        for (permits, expected) in table {
            let home = Home::new();
            let permits: Vec<Permit> =
                permits.iter().copied().chain([(Create, Cluster, "kafka-cluster")]).collect();
            let with_permits = Parts { authorizer: Gatekeeper::only(&permits), ..Parts::default() };
            let node = start_with(&properties(home.path(), UNVERIFIED), with_permits).await.unwrap();
            let mut client = Client::connect(&node).await;
            client.create_topic("t", 1).await;
            let marker = Transactor::new("x", 7, 0).marker(false, &["t"]);
            let unknown = "7:t-0 UNKNOWN_TOPIC_OR_PARTITION";
            let mut answer = unknown.to_owned();
            while answer == unknown {
                // The topic appears a little later than its creation is answered.
                answer = write_markers(&mut client, 1, std::slice::from_ref(&marker)).await;
            }
            assert_eq!(answer, format!("7:t-0 {expected}"));
            node.stop().await;
        }
    });
}

/// TXN-09: a marker is one control record without a sequence, uncompressed, stamped where the topic stamps its records.
#[test]
fn a_marker_lies_in_the_log_as_kafka_writes_it() {
    run(async {
        let home = Home::new();
        let node = start(&home, UNVERIFIED).await.unwrap();
        let mut client = Client::connect(&node).await;
        create(&mut client, "t", 1, &[("compression.type", "zstd")]).await;
        create(&mut client, "u", 1, &[("message.timestamp.type", "LogAppendTime")]).await;
        let mut producer = Transactor::new("x", 7, 3);
        for topic in ["t", "u"] {
            producer.send(&mut client, topic, "a").await.unwrap();
        }
        let abort = Marker { coordinator_epoch: 9, ..producer.marker(false, &["t", "u"]) };
        assert_eq!(write_markers(&mut client, 1, &[abort]).await, "7:t-0 NONE, 7:u-0 NONE");
        node.stop().await;
        for (topic, attributes) in [("t", 0x30), ("u", 0x38)] {
            let log = fs::read(home.path().join(format!("{topic}-0/00000000000000000000.log"))).unwrap();
            let batch = Batches::new(&log).last().unwrap().unwrap();
            batch.check_crc().unwrap();
            let bytes = batch.bytes();
            assert_eq!(bytes.len(), 78, "as in Kafka's log");
            assert_eq!(bytes[21..23], [0, attributes], "{topic}");
            let Batch::V2(view) = batch else { panic!("magic 2") };
            let header = view.header();
            assert_eq!(header.producer_id.unwrap().value(), 7);
            assert_eq!((header.producer_epoch.unwrap().value(), header.base_sequence), (3, None));
            assert_eq!((header.base_offset.value(), header.record_count), (1, 1));
            let record = view.records_in(view.records_bytes()).next().unwrap().unwrap();
            assert_eq!(record.key, Some(&ControlKind::Abort.key()[..]));
            assert_eq!(record.value, Some(&EndTransaction { coordinator_epoch: 9 }.value()[..]));
        }
    });
}

/// FET-17, IDM-09: a transaction that was open when the node died is open when it comes back, and can be ended.
#[test]
fn a_transaction_outlives_the_node() {
    run(async {
        let home = Home::new();
        let node = start(&home, UNVERIFIED).await.unwrap();
        let mut client = Client::connect(&node).await;
        create(&mut client, "t", 1, &[]).await;
        let mut producer = Transactor::new("x", 7, 3);
        producer.send(&mut client, "t", "a").await.unwrap();
        append(&mut client, "t", &plain(&["behind"])).await;
        // Nobody said goodbye: the directory is copied as a kill would leave it.
        let killed = Home::new();
        copy(home.path(), killed.path());
        node.stop().await;
        let node = start(&killed, UNVERIFIED).await.unwrap();
        let mut client = Client::connect(&node).await;
        create_again(&mut client, "t").await;
        assert_eq!(committed(&mut client, "t").await.last_stable_offset, 0);
        assert_eq!(producer.send(&mut client, "t", "b").await, Ok(2), "it goes on");
        assert_eq!(write_markers(&mut client, 1, &[producer.marker(false, &["t"])]).await, "7:t-0 NONE");
        let told = committed(&mut client, "t").await;
        assert_eq!((told.last_stable_offset, aborted(&told)), (4, vec![(7, 0)]));
        node.stop().await;
    });
}

/// Waits until the topic of an earlier life is there.
async fn create_again(client: &mut Client, topic: &str) {
    let there = |answer: &FetchResponse| answer.responses[0].partitions[0].error_code == 0;
    client.ask_until((ApiKey::Fetch, 12), &fetch(&[(topic, &[from(0, 0)])]), there).await;
}

pub fn copy(from: &std::path::Path, to: &std::path::Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else if entry.file_name() != ".lock" {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
