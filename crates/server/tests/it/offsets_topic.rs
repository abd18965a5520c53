//! What lies in `__consumer_offsets`, against a partition that Kafka 4.3.1 wrote (`tests/data/consumer-offsets.log`).
//!
//! The log holds, in this order: two offsets of group `g-txn` in topic `orders`; a transaction with one offset, another
//! with two; the commit of the first and the abort of the second; a third transaction with two offsets, left open; the
//! life of group `full` of two consumers, from the first join to the deletion.
//!
//! Owns: the comparison, and the story of the log told to a node.
//! Does not own: what the records mean (`coordinator`).

use bytes::Bytes;
use ottla_protocol::ApiKey;
use ottla_protocol::messages::{
    FetchRequest, FetchResponse, OffsetFetchRequest, OffsetFetchResponse, fetch_request,
};
use ottla_protocol::record::{Batch, Batches};

use crate::member::{Member, leave, pair, subscription};
use crate::node::{Client, Home, run, start};
use crate::operator::{Committer, NOBODY, Operator};
use crate::txn_producer::{Offsets, Transactor, UNVERIFIED, write_markers};

const OF_KAFKA: &[u8] = include_bytes!("../data/consumer-offsets.log");
const ONE_PARTITION: &str = "offsets.topic.num.partitions=1";
/// Times between 2017 and 2065 in milliseconds.
const TIMES: std::ops::Range<u64> = 1_500_000_000_000..3_000_000_000_000;

/// The records of every batch outside of transactions, with what differs from run to run left out.
fn plain_batches(log: &[u8]) -> Vec<Vec<(String, Option<String>)>> {
    let mut batches = Vec::new();
    for batch in Batches::new(log) {
        let Batch::V2(batch) = batch.unwrap() else { panic!("only new batches are written") };
        batch.check_crc().unwrap();
        if batch.header().attributes.is_transactional() {
            continue;
        }
        let records = batch.records_in(batch.records_bytes()).map(|record| {
            let record = record.unwrap();
            assert_eq!(record.headers.iter().count(), 0);
            (masked(record.key.unwrap()), record.value.map(masked))
        });
        batches.push(records.collect());
    }
    batches
}

/// The batches of transactions: where they lie, of which kind and producer they are, and their records.
fn transactional_batches(log: &[u8]) -> Vec<String> {
    let mut batches = Vec::new();
    for batch in Batches::new(log) {
        let Batch::V2(batch) = batch.unwrap() else { panic!("only new batches are written") };
        let header = batch.header();
        if header.attributes.is_transactional() {
            let records = masked(batch.records_bytes());
            // Everything behind the checksum but the times, then the records.
            let bytes = batch.bytes();
            let (kind, producer) = (masked(&bytes[21..27]), masked(&bytes[43..61]));
            batches.push(format!("{} {} {kind} {producer} {records}", header.base_offset, header.size));
        }
    }
    batches
}

/// Hexadecimal, with times, UUIDs and the topic id at the end of an offset taken for what they are.
fn masked(bytes: &[u8]) -> String {
    let (mut text, mut at) = (String::new(), 0);
    while at < bytes.len() {
        let rest = &bytes[at..];
        let time = rest.first_chunk().is_some_and(|eight| TIMES.contains(&u64::from_be_bytes(*eight)));
        if time {
            text += " time ";
            at += 8;
        } else if rest.first_chunk::<36>().is_some_and(is_uuid) {
            text += " uuid ";
            at += 36;
        } else if rest.len() == 19 && rest.starts_with(&[1, 0, 16]) {
            text += " topic id";
            at += 19;
        } else {
            text += &format!("{:02x}", rest[0]);
            at += 1;
        }
    }
    text
}

fn is_uuid(text: &[u8; 36]) -> bool {
    let is_dash = |at| [8, 13, 18, 23].contains(&at);
    text.iter().enumerate().all(|(at, &c)| if is_dash(at) { c == b'-' } else { c.is_ascii_hexdigit() })
}

/// Everything in the only partition of the topic.
async fn fetch_topic(client: &mut Client) -> Bytes {
    let request = FetchRequest {
        max_bytes: 1 << 20,
        session_epoch: -1,
        topics: vec![fetch_request::FetchTopic {
            topic: "__consumer_offsets".to_owned(),
            partitions: vec![fetch_request::FetchPartition {
                partition_max_bytes: 1 << 20,
                ..Default::default()
            }],
            ..Default::default()
        }],
        ..Default::default()
    };
    let answer: FetchResponse = client.ask(ApiKey::Fetch, 12, &request).await;
    assert_eq!(answer.responses[0].partitions[0].error_code, 0);
    answer.responses[0].partitions[0].records.clone().unwrap()
}

/// COF-01, OFF-01, OFF-07, OFF-08: the same story leaves the same records, byte for byte and batch by batch: offsets
/// with and without a retention, a group that is born, assigned twice and left, an offset that is deleted, a group that
/// is deleted.
#[test]
fn what_is_kept_is_what_kafka_keeps() {
    run(async {
        let home = Home::new();
        let node = start(&home, ONE_PARTITION).await.unwrap();
        let mut operator = Operator::with_topics(&node, &[("orders", 4)]).await;
        operator.commit((9, "g-txn"), NOBODY, "orders-0=1 orders-3=30~plain").await;
        let mut members = [Member::new(&node, 3, "full").await, Member::new(&node, 3, "full").await];
        for member in &mut members {
            member.protocols = vec![("range".to_owned(), subscription(&["orders"]))];
        }
        let [a, b] = members;
        let (a, b) = pair(a, b).await;
        let who = Committer { generation: 2, member: &a.id, ..Default::default() };
        assert_eq!(operator.commit((9, "full"), who, "orders-2=7").await, "orders-2 NONE");
        let both = [(a.id.clone(), None), (b.id.clone(), None)];
        assert_eq!(leave(&mut operator.client, 5, "full", &both).await, "NONE NONE NONE");
        assert_eq!(operator.drop_offsets("full", "orders-2").await, "orders-2 NONE");
        let who = Committer { retention_ms: Some(86_400_000), ..NOBODY };
        assert_eq!(operator.commit((2, "full"), who, "orders-1=8~kept").await, "orders-1 NONE");
        assert_eq!(operator.drop_groups(2, &["full"]).await, "full NONE");
        let ours = plain_batches(&fetch_topic(&mut operator.client).await);
        let of_kafka = plain_batches(OF_KAFKA);
        assert_eq!(of_kafka.len(), 9);
        for (ours, theirs) in ours.iter().zip(&of_kafka) {
            assert_eq!(ours, theirs);
        }
        assert_eq!(ours.len(), of_kafka.len());
        node.stop().await;
    });
}

/// COF-02, TXN-09: offsets of transactions and their ends lie there as Kafka wrote them, byte for byte but the times.
#[test]
fn what_transactions_leave_is_what_kafka_keeps() {
    run(async {
        let home = Home::new();
        let more = format!("{ONE_PARTITION}\n{UNVERIFIED}");
        let node = start(&home, &more).await.unwrap();
        let mut operator = Operator::with_topics(&node, &[("orders", 4)]).await;
        operator.commit((9, "g-txn"), NOBODY, "orders-0=1 orders-3=30~plain").await;
        let [first, second, third] = [0, 1, 2].map(|producer| Transactor::new("x", producer, 0));
        let client = &mut operator.client;
        let with_metadata = Offsets { metadata: Some("txn"), ..Offsets::of("g-txn", &[("orders", 1, 11)]) };
        first.commit_offsets(client, 3, with_metadata).await;
        second.commit_offsets(client, 3, Offsets::of("g-txn", &[("orders", 2, 22), ("orders", 3, 33)])).await;
        let offsets = ["__consumer_offsets"];
        write_markers(client, 1, &[first.marker(true, &offsets), second.marker(false, &offsets)]).await;
        third
            .commit_offsets(client, 3, Offsets::of("g-txn", &[("orders", 0, 100), ("orders", 2, 200)]))
            .await;
        let ours = transactional_batches(&fetch_topic(client).await);
        assert_eq!(ours, transactional_batches(OF_KAFKA));
        assert_eq!(ours.len(), 5);
        node.stop().await;
    });
}

/// OFF-03, COF-02, GRP-01: a node goes on with the partition as Kafka left it. Offsets of a transaction that committed
/// are there, those of one that aborted are not; those of one that is open are unstable to whoever asks for stable ones.
#[test]
fn what_kafka_kept_is_read() {
    run(async {
        let home = Home::new();
        let node = start(&home, ONE_PARTITION).await.unwrap();
        Operator::with_topics(&node, &[("orders", 4)]).await;
        node.stop().await;
        let partition = home.path().join("__consumer_offsets-0");
        for entry in std::fs::read_dir(&partition).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|kind| kind != "metadata") {
                std::fs::remove_file(path).unwrap();
            }
        }
        std::fs::write(partition.join("00000000000000000000.log"), OF_KAFKA).unwrap();
        // The directory was not left in order: what belongs to the log is made anew.
        std::fs::remove_file(home.path().join(".kafka_cleanshutdown")).unwrap();
        let node = start(&home, ONE_PARTITION).await.unwrap();
        let mut operator = Operator::connect(&node).await;
        operator.learn("orders").await;
        operator.until_coordinated().await;
        assert_eq!(operator.list(5, &[], &[]).await, "g-txn:-:Empty:classic");
        let every = Some("orders-0 orders-1 orders-2 orders-3");
        for version in 1..=9 {
            let plain = "orders-0=1 orders-1=11~txn orders-2=-1 orders-3=30~plain";
            assert_eq!(operator.fetch(version, "g-txn", every).await, plain, "version {version}");
        }
        let unstable = "UNSTABLE_OFFSET_COMMIT";
        let named = format!("orders-0 {unstable} orders-1=11~txn orders-2 {unstable} orders-3=30~plain");
        let all = format!("orders-0 {unstable} orders-1=11~txn orders-3=30~plain");
        for (wanted, expected) in [(every, named), (None, all)] {
            for version in [8, 9] {
                let request = OffsetFetchRequest {
                    groups: vec![operator.wanted_of(version, "g-txn", wanted)],
                    require_stable: true,
                    ..Default::default()
                };
                let answer: OffsetFetchResponse =
                    operator.client.ask(ApiKey::OffsetFetch, version, &request).await;
                assert_eq!(operator.fetched_text(&answer), expected);
            }
        }
        assert_eq!(operator.commit((9, "g-txn"), NOBODY, "orders-3=31").await, "orders-3 NONE");
        assert_eq!(operator.fetch(9, "g-txn", Some("orders-3")).await, "orders-3=31");
        let log = fetch_topic(&mut operator.client).await;
        assert!(log.starts_with(OF_KAFKA), "the log goes on where Kafka left it");
        node.stop().await;
    });
}
