//! Offsets that are committed in transactions, and what a group is told of them.
//!
//! Verification is off here: the transactions have no coordinator, so every one ends by a marker of the test.
//!
//! Source: requirements COF-02, OFF-03, TXN-03, TRAP-23; KIP-447.

use ottla_protocol::ApiKey;
use ottla_protocol::messages::{OffsetFetchRequest, OffsetFetchResponse};
use ottla_security::Operation::{Create, Describe, Read, Write};
use ottla_security::ResourceType::{Cluster, Group, Topic, TransactionalId};

use crate::gatekeeper::{Gatekeeper, Permit};
use crate::member::Member;
use crate::node::{Client, Home, Parts, properties, run, start, start_with};
use crate::operator::{NOBODY, Operator};
use crate::txn_producer::{Marker, Offsets, Transactor, UNVERIFIED, producers, write_markers};

const ONE_PARTITION: &str = "offsets.topic.num.partitions=1\ntransaction.partition.verification.enable=false";

/// What whoever asks for stable offsets is told.
async fn stable(operator: &mut Operator, group: &str, wanted: &str) -> String {
    let request = OffsetFetchRequest {
        groups: vec![operator.wanted_of(9, group, Some(wanted))],
        require_stable: true,
        ..Default::default()
    };
    let answer: OffsetFetchResponse = operator.client.ask(ApiKey::OffsetFetch, 9, &request).await;
    operator.fetched_text(&answer)
}

fn marker(producer: &Transactor, commits: bool) -> Marker {
    producer.marker(commits, &["__consumer_offsets"])
}

/// COF-02, OFF-03: offsets of a transaction are unstable until it is decided, count when it commits and vanish when it
/// aborts, in all versions.
#[test]
fn offsets_of_a_transaction_follow_it() {
    run(async {
        let home = Home::new();
        let node = start(&home, ONE_PARTITION).await.unwrap();
        let mut operator = Operator::with_topics(&node, &[("t", 2)]).await;
        operator.commit((9, "g"), NOBODY, "t-0=1").await;
        for version in 0..=4 {
            let producer = Transactor::new("x", 10 + i64::from(version), 0);
            let position = 100 + i64::from(version);
            let offsets = [("t", 0, position), ("t", 1, position)];
            let who = Offsets { metadata: Some("m"), ..Offsets::of("g", &offsets) };
            let before = operator.fetch(9, "g", Some("t-0")).await;
            let told = producer.commit_offsets(&mut operator.client, version, who).await;
            assert_eq!(told, "t-0 NONE, t-1 NONE", "version {version}");
            assert_eq!(operator.fetch(9, "g", Some("t-0")).await, before, "version {version}");
            let unstable = "t-0 UNSTABLE_OFFSET_COMMIT t-1 UNSTABLE_OFFSET_COMMIT";
            assert_eq!(stable(&mut operator, "g", "t-0 t-1").await, unstable);
            let commits = version % 2 == 0;
            let written = write_markers(&mut operator.client, 1, &[marker(&producer, commits)]).await;
            assert_eq!(written, format!("{}:__consumer_offsets-0 NONE", producer.producer));
            let after = if commits { format!("t-0={position}~m") } else { before };
            assert_eq!(stable(&mut operator, "g", "t-0").await, after, "version {version}");
        }
        node.stop().await;
    });
}

/// COF-02, TXN-09: what a restart reads is what was there, and goes on.
#[test]
fn offsets_of_an_open_transaction_outlive_the_node() {
    run(async {
        let home = Home::new();
        let node = start(&home, ONE_PARTITION).await.unwrap();
        let mut operator = Operator::with_topics(&node, &[("t", 1)]).await;
        let [a, b] = [10, 11].map(|producer| Transactor::new("x", producer, 0));
        a.commit_offsets(&mut operator.client, 4, Offsets::of("g", &[("t", 0, 5)])).await;
        b.commit_offsets(&mut operator.client, 4, Offsets::of("h", &[("t", 0, 6)])).await;
        write_markers(&mut operator.client, 1, &[marker(&b, true)]).await;
        node.stop().await;
        let node = start(&home, ONE_PARTITION).await.unwrap();
        let mut operator = Operator::connect(&node).await;
        operator.learn("t").await;
        operator.until_coordinated().await;
        assert_eq!(stable(&mut operator, "g", "t-0").await, "t-0 UNSTABLE_OFFSET_COMMIT");
        assert_eq!(stable(&mut operator, "h", "t-0").await, "t-0=6");
        write_markers(&mut operator.client, 1, &[marker(&a, true)]).await;
        assert_eq!(stable(&mut operator, "g", "t-0").await, "t-0=5");
        node.stop().await;
    });
}

/// TXN-03, TXN-12: members of old generations and fenced producers change nothing.
#[test]
fn strangers_and_the_fenced_commit_nothing() {
    run(async {
        let home = Home::new();
        let node = start(&home, ONE_PARTITION).await.unwrap();
        let mut operator = Operator::with_topics(&node, &[("t", 1)]).await;
        let mut producer = Transactor::new("x", 10, 1);
        let offsets = [("t", 0, 5)];
        let of = |group, generation, member| Offsets { generation, member, ..Offsets::of(group, &offsets) };
        let client = &mut operator.client;
        assert_eq!(producer.commit_offsets(client, 4, of("", -1, "")).await, "t-0 INVALID_GROUP_ID");
        assert_eq!(producer.commit_offsets(client, 4, of("g", 3, "m")).await, "t-0 ILLEGAL_GENERATION");
        let mut member = Member::new(&node, 5, "g").await;
        member.join().await;
        let told = producer.commit_offsets(client, 4, of("g", 7, &member.id)).await;
        assert_eq!(told, "t-0 ILLEGAL_GENERATION");
        assert_eq!(producer.commit_offsets(client, 4, of("g", 1, "m")).await, "t-0 UNKNOWN_MEMBER_ID");
        assert_eq!(producer.commit_offsets(client, 4, of("g", 1, &member.id)).await, "t-0 NONE");
        producer.enter_epoch(0);
        assert_eq!(producer.commit_offsets(client, 4, of("g", -1, "")).await, "t-0 INVALID_PRODUCER_EPOCH");
        producer.enter_epoch(1);
        write_markers(client, 1, &[marker(&producer, false)]).await;
        assert_eq!(stable(&mut operator, "g", "t-0").await, "t-0=-1");
        let state = producers(&mut operator.client, "__consumer_offsets").await.remove(0);
        assert_eq!((state.producer_id, state.producer_epoch, state.current_txn_start_offset), (10, 1, -1));
        node.stop().await;
    });
}

/// TRAP-23: the transactional id, the group and the topics are asked for, in this order.
#[test]
fn offsets_of_a_transaction_need_three_permissions() {
    run(async {
        let id: Permit = (Write, TransactionalId, "x");
        let group: Permit = (Read, Group, "g");
        let table: [(&[Permit], &str); 4] = [
            (
                &[group, (Read, Topic, "t")],
                "t-0 TRANSACTIONAL_ID_AUTHORIZATION_FAILED, u-0 TRANSACTIONAL_ID_AUTHORIZATION_FAILED",
            ),
            (&[id, (Read, Topic, "t")], "t-0 GROUP_AUTHORIZATION_FAILED, u-0 GROUP_AUTHORIZATION_FAILED"),
            (&[id, group], "t-0 TOPIC_AUTHORIZATION_FAILED, u-0 TOPIC_AUTHORIZATION_FAILED"),
            (&[id, group, (Read, Topic, "t")], "u-0 TOPIC_AUTHORIZATION_FAILED, t-0 NONE"),
        ];
        for (permits, expected) in table {
            let home = Home::new();
            let more = [
                (Create, Cluster, "kafka-cluster"),
                (Describe, Group, "a"),
                (Describe, Group, "b"),
                (Describe, Group, "c"),
                (Describe, Group, "d"),
                (Describe, Topic, "t"),
            ];
            let permits: Vec<Permit> = permits.iter().copied().chain(more).collect();
            let with_permits = Parts { authorizer: Gatekeeper::only(&permits), ..Parts::default() };
            let node = start_with(&properties(home.path(), ONE_PARTITION), with_permits).await.unwrap();
            let mut operator = Operator::with_topics(&node, &[("t", 1)]).await;
            let offsets = [("t", 0, 5), ("u", 0, 6)];
            let producer = Transactor::new("x", 10, 1);
            let told = producer.commit_offsets(&mut operator.client, 4, Offsets::of("g", &offsets)).await;
            assert_eq!(told, expected);
            node.stop().await;
        }
    });
}

/// OFF-01: what does not exist is told before the group is asked.
#[test]
fn offsets_of_unknown_partitions_are_refused_one_by_one() {
    run(async {
        let home = Home::new();
        let node = start(&home, ONE_PARTITION).await.unwrap();
        let mut operator = Operator::with_topics(&node, &[("t", 1)]).await;
        let offsets = [("u", 0, 1), ("t", 0, 2), ("t", 1, 3), ("t", -1, 4)];
        let producer = Transactor::new("x", 10, 1);
        let told = producer.commit_offsets(&mut operator.client, 4, Offsets::of("g", &offsets)).await;
        let unknown = "UNKNOWN_TOPIC_OR_PARTITION";
        assert_eq!(told, format!("u-0 {unknown}, t-1 {unknown}, t--1 {unknown}, t-0 NONE"));
        let long = "x".repeat(4097);
        let who = Offsets { metadata: Some(&long), ..Offsets::of("g", &[("t", 0, 2)]) };
        let told = producer.commit_offsets(&mut operator.client, 4, who).await;
        assert_eq!(told, "t-0 OFFSET_METADATA_TOO_LARGE");
        node.stop().await;
    });
}

/// TXN-03: nobody coordinates the group as long as there is no topic to keep it in.
#[test]
fn without_the_topic_of_offsets_nobody_takes_them() {
    run(async {
        let home = Home::new();
        let node = start(&home, UNVERIFIED).await.unwrap();
        let mut client = Client::connect(&node).await;
        crate::reading::create(&mut client, "t", 1, &[]).await;
        let producer = Transactor::new("x", 10, 1);
        let told = producer.commit_offsets(&mut client, 4, Offsets::of("g", &[("t", 0, 2)])).await;
        assert_eq!(told, "t-0 NOT_COORDINATOR");
        let nowhere = write_markers(&mut client, 1, &[marker(&producer, true)]).await;
        assert_eq!(nowhere, "10:__consumer_offsets-0 UNKNOWN_TOPIC_OR_PARTITION");
        node.stop().await;
    });
}
