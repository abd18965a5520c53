//! Transactions as their coordinator has them: what each version of each request is answered.
//!
//! Owns: what is asked and expected; Kafka 4.3.1 answers the same requests the same way.
//! Does not own: permissions (`coordinating_permissions`), records.

use ottla_protocol::ApiKey;
use ottla_protocol::messages::{
    DescribeConfigsRequest, DescribeConfigsResponse, ListTransactionsRequest, MetadataRequest,
    MetadataResponse, UpdateFeaturesRequest, UpdateFeaturesResponse, describe_configs_request,
    metadata_request, update_features_request,
};

use crate::node::{Home, run, start};
use crate::operator::Operator;
use crate::participant::Participant;
use crate::txn_producer::Transactor;

/// TXN-01, LSN-04: the topic of transactions comes into being when somebody looks for a coordinator.
#[test]
fn nobody_coordinates_before_somebody_was_looked_for() {
    run(async {
        let home = Home::new();
        let node = start(&home, "").await.unwrap();
        let mut producer = Participant::new(&node, "x").await;
        assert_eq!(producer.init(4).await, "NOT_COORDINATOR");
        assert_eq!(producer.end(5, true).await, "NOT_COORDINATOR");
        assert_eq!(producer.describe().await, "NOT_COORDINATOR");
        assert_eq!(producer.list(2, &ListTransactionsRequest::default()).await, "NONE [] []");
        producer.until_coordinated().await;
        let name = "__transaction_state".to_owned();
        let topic = metadata_request::MetadataRequestTopic { name: Some(name.clone()), ..Default::default() };
        let request = MetadataRequest { topics: Some(vec![topic]), ..Default::default() };
        let answer: MetadataResponse = producer.client.ask(ApiKey::Metadata, 12, &request).await;
        assert_eq!((answer.topics[0].partitions.len(), answer.topics[0].is_internal), (2, true));
        let resource = describe_configs_request::DescribeConfigsResource {
            resource_type: 2,
            resource_name: name,
            configuration_keys: None,
        };
        let request = DescribeConfigsRequest { resources: vec![resource], ..Default::default() };
        let answer: DescribeConfigsResponse = producer.client.ask(ApiKey::DescribeConfigs, 4, &request).await;
        // What was set for the topic itself.
        let set = answer.results[0].configs.iter().filter(|config| config.config_source == 1);
        let mut set: Vec<String> =
            set.map(|config| format!("{}={}", config.name, config.value.as_deref().unwrap())).collect();
        set.sort();
        let expected = [
            "cleanup.policy=compact",
            "compression.type=uncompressed",
            "min.insync.replicas=1",
            "segment.bytes=104857600",
            "unclean.leader.election.enable=false",
        ];
        assert_eq!(set, expected);
        node.stop().await;
    });
}

/// TXN-01
#[test]
fn an_identity_is_given_and_taken_over_in_every_version() {
    run(async {
        let home = Home::new();
        let node = start(&home, "").await.unwrap();
        let mut producer = Participant::ready(&node, "x").await;
        let first = producer.producer;
        for version in 0..=5 {
            assert_eq!(producer.init(version).await, "NONE");
            assert_eq!((producer.producer, producer.epoch), (first, version + 1));
            let refused = producer.ask_init(version, (0, -1, -1)).await;
            assert_eq!(refused, "INVALID_TRANSACTION_TIMEOUT");
        }
        for (timeout, answer) in
            [(-1, "INVALID_TRANSACTION_TIMEOUT"), (900_001, "INVALID_TRANSACTION_TIMEOUT"), (900_000, "NONE")]
        {
            assert_eq!(producer.ask_init(4, (timeout, -1, -1)).await, answer);
        }
        assert_eq!(Participant::new(&node, "").await.init(4).await, "INVALID_REQUEST");
        let epoch = producer.epoch;
        assert_eq!(producer.go_on(4, first, -1).await, "INVALID_REQUEST");
        assert_eq!(producer.go_on(4, -1, epoch).await, "INVALID_REQUEST");
        assert_eq!(producer.go_on(4, first, epoch).await, "NONE");
        assert_eq!(producer.go_on(4, first, epoch).await, "NONE");
        assert_eq!((producer.producer, producer.epoch), (first, epoch + 1));
        for (version, fenced) in
            [(3, "INVALID_PRODUCER_EPOCH"), (4, "PRODUCER_FENCED"), (5, "PRODUCER_FENCED")]
        {
            assert_eq!(producer.go_on(version, first, 99).await, fenced);
            assert_eq!(producer.go_on(version, first + 1_000_000, 0).await, fenced);
            assert_eq!(producer.go_on(version, -5, 3).await, fenced);
            assert_eq!(producer.go_on(version, first, -3).await, fenced);
        }
        let mut unknown = Participant::new(&node, "nobody").await;
        assert_eq!(unknown.go_on(4, first, 5).await, "NONE");
        assert!(unknown.producer != first && unknown.epoch == 0);
        node.stop().await;
    });
}

/// TXN-02, TXN-03, TXN-12
#[test]
fn partitions_and_offsets_are_added_in_every_version() {
    run(async {
        let home = Home::new();
        let node = start(&home, "").await.unwrap();
        // The topic of offsets has two partitions, and `g` lies in the second.
        drop(Operator::with_topics(&node, &[("t", 3)]).await);
        let mut producer = Participant::ready(&node, "x").await;
        let mut zombie = producer.twin(&node).await;
        zombie.epoch += 1;
        for version in 0..=3 {
            let fenced = if version < 2 { "INVALID_PRODUCER_EPOCH" } else { "PRODUCER_FENCED" };
            assert_eq!(zombie.add(version, "t-0").await, format!("t-0 {fenced}"));
        }
        for version in 0..=4 {
            let fenced = if version < 2 { "INVALID_PRODUCER_EPOCH" } else { "PRODUCER_FENCED" };
            assert_eq!(zombie.add_offsets(version, "g").await, fenced);
        }
        zombie.epoch = -1;
        assert_eq!(zombie.add(3, "t-0").await, "t-0 PRODUCER_FENCED");
        zombie.producer += 1;
        assert_eq!(zombie.add(3, "t-0").await, "t-0 INVALID_PRODUCER_ID_MAPPING");
        assert_eq!(zombie.add_offsets(3, "g").await, "INVALID_PRODUCER_ID_MAPPING");
        assert_eq!(
            Participant::new(&node, "other").await.add(3, "t-0").await,
            "t-0 INVALID_PRODUCER_ID_MAPPING"
        );
        assert_eq!(Participant::new(&node, "").await.add(3, "t-0").await, "t-0 INVALID_REQUEST");
        assert_eq!(
            producer.add(3, "t-0 t-7 nope-0 __consumer_offsets-0 __transaction_state-0").await,
            "t-0 OPERATION_NOT_ATTEMPTED, t-7 UNKNOWN_TOPIC_OR_PARTITION, nope-0 UNKNOWN_TOPIC_OR_PARTITION, \
             __consumer_offsets-0 TOPIC_AUTHORIZATION_FAILED, __transaction_state-0 TOPIC_AUTHORIZATION_FAILED"
        );
        assert_eq!(producer.describe().await, "Empty 0");
        for version in 0..=3 {
            assert_eq!(producer.add(version, "t-0 t-2").await, "t-0 NONE, t-2 NONE");
        }
        assert_eq!(producer.describe().await, "Ongoing 0 t-0 t-2");
        for version in 0..=4 {
            assert_eq!(producer.add_offsets(version, "g").await, "NONE");
        }
        assert_eq!(producer.describe().await, "Ongoing 0 __consumer_offsets-1 t-0 t-2");
        let mut nothing = Participant::ready(&node, "y").await;
        assert_eq!((nothing.add(3, "").await.as_str(), nothing.describe().await.as_str()), ("", "Ongoing 0"));
        node.stop().await;
    });
}

/// TXN-06, TXN-07
#[test]
fn brokers_add_and_verify_for_several_transactions() {
    run(async {
        let home = Home::new();
        let node = start(&home, "").await.unwrap();
        drop(Operator::with_topics(&node, &[("t", 3)]).await);
        let mut producer = Participant::ready(&node, "x").await;
        for version in 4..=5 {
            assert_eq!(
                producer.enrol(version, false, "t-0 __consumer_offsets-0").await,
                "t-0 NONE, __consumer_offsets-0 NONE"
            );
            assert_eq!(producer.enrol(version, true, "t-0 t-2").await, "t-0 NONE, t-2 TRANSACTION_ABORTABLE");
        }
        assert_eq!(
            producer.enrol(5, true, "t-0 nope-2").await,
            "t-0 OPERATION_NOT_ATTEMPTED, nope-2 UNKNOWN_TOPIC_OR_PARTITION"
        );
        let mut zombie = producer.twin(&node).await;
        zombie.epoch += 1;
        assert_eq!(zombie.enrol(5, true, "t-0").await, "t-0 PRODUCER_FENCED");
        zombie.id = "other".to_owned();
        assert_eq!(zombie.enrol(5, true, "t-0").await, "t-0 INVALID_PRODUCER_ID_MAPPING");
        zombie.id = String::new();
        assert_eq!(zombie.enrol(5, true, "t-0").await, "t-0 INVALID_REQUEST");
        node.stop().await;
    });
}

/// TXN-04, TXN-12
#[test]
fn before_version_5_the_epoch_stays() {
    run(async {
        let home = Home::new();
        let node = start(&home, "").await.unwrap();
        drop(Operator::with_topics(&node, &[("t", 3)]).await);
        let mut producer = Participant::ready(&node, "x").await;
        let mut zombie = producer.twin(&node).await;
        zombie.epoch += 1;
        for version in 0..=4 {
            let fenced = if version < 2 { "INVALID_PRODUCER_EPOCH" } else { "PRODUCER_FENCED" };
            assert_eq!(zombie.end(version, true).await, fenced);
            assert_eq!(
                producer.end(version, true).await,
                if version == 0 { "INVALID_TXN_STATE" } else { "NONE" }
            );
            assert_eq!(producer.end(version, false).await, "INVALID_TXN_STATE");
            assert_eq!(producer.add(3, "t-0").await, "t-0 NONE");
            assert_eq!(producer.end(version, true).await, "NONE");
            producer.until("CompleteCommit").await;
        }
        assert_eq!(producer.describe().await, "CompleteCommit 0");
        zombie.producer += 1;
        assert_eq!(zombie.end(4, true).await, "INVALID_PRODUCER_ID_MAPPING");
        assert_eq!(Participant::new(&node, "").await.end(4, true).await, "INVALID_REQUEST");
        assert_eq!(Participant::new(&node, "other").await.end(4, true).await, "INVALID_PRODUCER_ID_MAPPING");
        node.stop().await;
    });
}

/// TXN-05, TRAP-32: whoever asks again for an end is told the same, and whoever asks for the other is told so.
#[test]
fn in_version_5_every_end_brings_an_epoch() {
    run(async {
        let home = Home::new();
        let node = start(&home, "").await.unwrap();
        drop(Operator::with_topics(&node, &[("t", 3)]).await);
        let mut producer = Participant::ready(&node, "x").await;
        let id = producer.producer;
        assert_eq!(producer.end(5, true).await, "INVALID_TXN_STATE");
        assert_eq!((producer.end(5, false).await, producer.producer, producer.epoch), ("NONE", id, 1));
        assert_eq!(producer.enrol(5, false, "t-0 t-1").await, "t-0 NONE, t-1 NONE");
        let mut retry = producer.twin(&node).await;
        assert_eq!((producer.end(5, true).await, producer.producer, producer.epoch), ("NONE", id, 2));
        assert_eq!(retry.end_patiently(5, true).await, "NONE");
        assert_eq!((retry.producer, retry.epoch), (id, 2));
        retry.epoch = 1;
        assert_eq!(retry.end(5, false).await, "INVALID_TXN_STATE");
        retry.epoch = 7;
        assert_eq!(retry.end(5, false).await, "PRODUCER_FENCED");
        retry.producer += 1;
        assert_eq!(retry.end(5, false).await, "INVALID_PRODUCER_ID_MAPPING");
        assert_eq!(producer.end(5, true).await, "INVALID_TXN_STATE");
        assert_eq!((producer.end(5, false).await, producer.epoch), ("NONE", 3));
        assert_eq!(producer.describe().await, "CompleteAbort 3");
        assert_eq!(Participant::new(&node, "").await.end(5, true).await, "INVALID_REQUEST");
        node.stop().await;
    });
}

/// TXN-08, TRAP-05: in a cluster that does not write transactions of version 2 nobody can follow it. Kafka refuses the same
/// requests.
#[test]
fn version_2_is_refused_where_the_cluster_has_not_got_it() {
    run(async {
        let home = Home::new();
        let node = start(&home, "").await.unwrap();
        drop(Operator::with_topics(&node, &[("t", 3)]).await);
        let mut producer = Participant::ready(&node, "x").await;
        for (level, expected) in [(0, "UNSUPPORTED_VERSION"), (1, "NONE")] {
            let update = update_features_request::FeatureUpdateKey {
                feature: "transaction.version".to_owned(),
                max_version_level: level,
                upgrade_type: if level == 0 { 2 } else { 1 },
                ..Default::default()
            };
            let request = UpdateFeaturesRequest {
                feature_updates: vec![update],
                timeout_ms: 10_000,
                ..Default::default()
            };
            let answer: UpdateFeaturesResponse =
                producer.client.ask(ApiKey::UpdateFeatures, 1, &request).await;
            assert_eq!(answer.error_code, 0, "{answer:?}");
            let old = level == 0;
            let added = producer.enrol(5, false, "t-1").await;
            assert_eq!(added, if old { "UNSUPPORTED_VERSION" } else { "t-1 NONE" });
            let mut batches = Transactor::new("x", producer.producer, producer.epoch);
            let sent = batches.try_send(&mut producer.client, 12, ("t", "a")).await;
            // The marker of the transaction before lies at offset 0.
            assert_eq!(sent, if old { expected } else { "1" });
            assert_eq!(producer.add(3, "t-0").await, "t-0 NONE");
            assert_eq!(producer.end(5, true).await, expected);
            if old {
                assert_eq!(producer.end(4, true).await, "NONE");
                producer.until("CompleteCommit").await;
            }
        }
        node.stop().await;
    });
}

/// TXN-14: a transaction goes on after a restart, and one that was decided is completed.
#[test]
fn transactions_go_on_after_a_restart() {
    run(async {
        let home = Home::new();
        let node = start(&home, "").await.unwrap();
        drop(Operator::with_topics(&node, &[("t", 3)]).await);
        let mut open = Participant::ready(&node, "open").await;
        assert_eq!(open.enrol(5, false, "t-0").await, "t-0 NONE");
        let mut ended = Participant::ready(&node, "ended").await;
        assert_eq!(ended.enrol(5, false, "t-1").await, "t-1 NONE");
        assert_eq!(ended.end(5, true).await, "NONE");
        node.stop().await;
        let node = start(&home, "").await.unwrap();
        let (mut open, mut ended) = (open.twin(&node).await, ended.twin(&node).await);
        open.until_coordinated().await;
        ended.until_coordinated().await;
        assert_eq!(open.describe().await, "Ongoing 0 t-0");
        ended.until("CompleteCommit").await;
        assert_eq!((open.end(5, true).await, open.epoch), ("NONE", 1));
        open.until("CompleteCommit").await;
        node.stop().await;
    });
}

/// TXN-10
#[test]
fn a_transaction_that_lasts_too_long_is_aborted() {
    run(async {
        let home = Home::new();
        let quick = "transaction.abort.timed.out.transaction.cleanup.interval.ms=10";
        let node = start(&home, quick).await.unwrap();
        drop(Operator::with_topics(&node, &[("t", 3)]).await);
        let mut producer = Participant::ready(&node, "x").await;
        assert_eq!(producer.ask_init(4, (1, -1, -1)).await, "NONE");
        assert_eq!(producer.enrol(5, false, "t-0").await, "t-0 NONE");
        producer.until("CompleteAbort").await;
        assert_eq!(producer.describe().await, "CompleteAbort 2");
        assert_eq!(producer.end(5, true).await, "INVALID_TXN_STATE");
        assert_eq!(producer.enrol(5, false, "t-0").await, "t-0 PRODUCER_FENCED");
        assert_eq!(producer.add(1, "t-0").await, "t-0 INVALID_PRODUCER_EPOCH");
        let late = Transactor::new("x", producer.producer, producer.epoch);
        for version in [10, 11, 12] {
            let told = late.clone().try_send(&mut producer.client, version, ("t", "a")).await;
            assert_eq!(told, "INVALID_PRODUCER_EPOCH", "{version}");
        }
        assert_eq!(producer.init(4).await, "NONE");
        node.stop().await;
    });
}

/// TXN-11
#[test]
fn an_id_that_nobody_uses_is_forgotten() {
    run(async {
        let home = Home::new();
        let quick = "transactional.id.expiration.ms=1\n\
                     transaction.remove.expired.transaction.cleanup.interval.ms=10";
        let node = start(&home, quick).await.unwrap();
        drop(Operator::with_topics(&node, &[("t", 1)]).await);
        let mut producer = Participant::ready(&node, "x").await;
        producer.until("TRANSACTIONAL_ID_NOT_FOUND").await;
        assert_eq!(producer.add(3, "t-0").await, "t-0 INVALID_PRODUCER_ID_MAPPING");
        node.stop().await;
    });
}

/// TXN-13
#[test]
fn transactions_are_listed_and_described() {
    run(async {
        let home = Home::new();
        let node = start(&home, "").await.unwrap();
        drop(Operator::with_topics(&node, &[("t", 1)]).await);
        let mut a = Participant::ready(&node, "a").await;
        let mut b = Participant::ready(&node, "b").await;
        assert_eq!(b.add(3, "t-0").await, "t-0 NONE");
        let request = ListTransactionsRequest::default();
        for version in 0..=2 {
            assert_eq!(a.list(version, &request).await, "NONE [] [a:Empty b:Ongoing]");
        }
        let states = |names: &[&str]| ListTransactionsRequest {
            state_filters: names.iter().map(|name| (*name).to_owned()).collect(),
            ..ListTransactionsRequest::default()
        };
        for (names, expected) in [
            (&["Ongoing"][..], "NONE [] [b:Ongoing]"),
            (&["Nope"][..], r#"NONE ["Nope"] []"#),
            (&["Nope", "Empty", "Nope"][..], r#"NONE ["Nope"] [a:Empty]"#),
            (&["empty"][..], r#"NONE ["empty"] []"#),
            (&["Dead"][..], "NONE [] []"),
        ] {
            assert_eq!(a.list(0, &states(names)).await, expected);
        }
        let by_producer =
            ListTransactionsRequest { producer_id_filters: vec![a.producer, -4], ..request.clone() };
        assert_eq!(a.list(0, &by_producer).await, "NONE [] [a:Empty]");
        let lasting = ListTransactionsRequest { duration_filter: 1_000_000, ..request.clone() };
        assert_eq!(a.list(1, &lasting).await, "NONE [] [a:Empty]");
        for (pattern, expected) in [
            ("[ab]", "NONE [] [a:Empty b:Ongoing]"),
            ("", "NONE [] [a:Empty b:Ongoing]"),
            ("B", "NONE [] []"),
            (r"\Qa\E", "NONE [] [a:Empty]"),
            ("(", "INVALID_REGULAR_EXPRESSION [] []"),
            ("a)(b", "INVALID_REGULAR_EXPRESSION [] []"),
            ("(?<=x)a", "INVALID_REGULAR_EXPRESSION [] []"),
        ] {
            let request = ListTransactionsRequest {
                transactional_id_pattern: Some(pattern.to_owned()),
                ..request.clone()
            };
            assert_eq!(a.list(2, &request).await, expected, "{pattern}");
        }
        assert_eq!(Participant::new(&node, "").await.describe().await, "INVALID_REQUEST");
        assert_eq!(Participant::new(&node, "nope").await.describe().await, "TRANSACTIONAL_ID_NOT_FOUND");
        node.stop().await;
    });
}
