//! Consumer groups over a whole node.
//!
//! Owns: what goes over the wire. Does not own: the rules (`coordinator`), one story each.

use std::sync::Arc;

use ottla_protocol::ApiKey;
use ottla_protocol::messages::{
    ConsumerGroupHeartbeatRequest, CreatePartitionsRequest, CreatePartitionsResponse,
    IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse, OffsetFetchRequest, OffsetFetchResponse,
    SyncGroupResponse, create_partitions_request, incremental_alter_configs_request as configs,
    offset_fetch_request,
};
use ottla_security::{Authorizer, Question, ResourceType};
use parking_lot::Mutex;

use crate::consumer::{Consumer, describe};
use crate::member::{Member, subscription};
use crate::node::{Home, Parts, properties, run, start, start_with};
use crate::operator::{Committer, NOBODY, Operator, name_of};

const AT_ONCE: &str = "group.consumer.assignment.interval.ms=0\ngroup.initial.rebalance.delay.ms=0";

fn member<'a>(id: &'a str, epoch: i32) -> Committer<'a> {
    Committer { generation: epoch, member: id, instance: None, retention_ms: None }
}

/// CGP-01, CGP-05, CGP-06, CGP-07, CGP-13, GRP-04, TRAP-40: two members share a topic, also after a restart; a third party sees it.
#[test]
fn members_share_the_partitions_of_a_topic() {
    run(async {
        let home = Home::new();
        let node = start(&home, AT_ONCE).await.unwrap();
        let mut operator = Operator::with_topics(&node, &[("t", 4)]).await;
        let id = operator.learn("t").await;
        let mut x = Consumer::new(&node, "x", &[("t", id)]).await;
        assert_eq!(x.beat().await, "2: t-0 t-1 t-2 t-3");
        assert_eq!((x.beat().await.as_str(), x.interval_ms), ("2", 5000));
        let mut y = Consumer::new(&node, "y", &[("t", id)]).await;
        assert_eq!(y.beat().await, "3: ");
        assert_eq!(x.beat().await, "2: t-0 t-1");
        assert_eq!(y.beat().await, "3");
        assert_eq!(x.beat_owning().await, "3");
        assert_eq!(y.beat().await, "3: t-2 t-3");
        let shown = "Stable 3/3 uniform; x 3 test/127.0.0.1 t [t-0 t-1] 2 type 1; y 3 test/127.0.0.1 t [t-2 t-3] 2 type 1";
        assert_eq!(describe(&mut operator.client, 1, "g").await, shown);
        let older = shown.replace("type 1", "type -1");
        assert_eq!(describe(&mut operator.client, 0, "g").await, older);
        assert_eq!(operator.list(5, &[], &["consumer"]).await, "g:consumer:Stable:consumer");
        node.stop().await;

        let node = start(&home, AT_ONCE).await.unwrap();
        let mut operator = Operator::connect(&node).await;
        operator.until_coordinated().await;
        let mut again = Consumer::new(&node, "x", &[("t", id)]).await;
        again.epoch = 3;
        assert_eq!(again.beat().await, "3");
        assert_eq!(describe(&mut operator.client, 1, "g").await, shown);
        assert_eq!(again.leave().await, "-1");
        let mut other = Consumer::new(&node, "y", &[("t", id)]).await;
        other.epoch = 3;
        assert_eq!(other.beat().await, "4: t-0 t-1 t-2 t-3");
        node.stop().await;
    });
}

/// CGP-02, CGP-04, GRP-02, GRP-03: refusals as codes and words.
#[test]
fn heartbeats_are_refused_with_kafkas_codes_and_words() {
    run(async {
        let home = Home::new();
        let node = start(&home, AT_ONCE).await.unwrap();
        let mut operator = Operator::with_topics(&node, &[("t", 1)]).await;
        let id = operator.learn("t").await;
        let mut x = Consumer::new(&node, "x", &[("t", id)]).await;
        let plain = x.request();
        for (request, error, words) in [
            (
                ConsumerGroupHeartbeatRequest { member_id: String::new(), ..plain.clone() },
                "INVALID_REQUEST",
                "MemberId can't be empty.",
            ),
            (
                ConsumerGroupHeartbeatRequest { group_id: String::new(), ..plain.clone() },
                "INVALID_REQUEST",
                "GroupId can't be empty.",
            ),
            (
                ConsumerGroupHeartbeatRequest { server_assignor: Some("best".to_owned()), ..plain.clone() },
                "UNSUPPORTED_ASSIGNOR",
                "ServerAssignor best is not supported. Supported assignors: uniform, range.",
            ),
            (
                ConsumerGroupHeartbeatRequest {
                    subscribed_topic_regex: Some("[".to_owned()),
                    ..plain.clone()
                },
                "INVALID_REGULAR_EXPRESSION",
                "SubscribedTopicRegex `[` is not a valid regular expression: missing closing ].",
            ),
            (
                ConsumerGroupHeartbeatRequest { member_epoch: 3, ..plain.clone() },
                "GROUP_ID_NOT_FOUND",
                "Consumer group g not found.",
            ),
        ] {
            let answer = x.send(&request).await;
            assert_eq!((name_of(answer.error_code), answer.error_message.as_deref()), (error, Some(words)));
            assert_eq!((answer.member_id, answer.member_epoch, answer.assignment), (None, 0, None));
        }
        assert_eq!(x.beat().await, "2: t-0");
        x.epoch = 4;
        assert_eq!(x.beat().await, "FENCED_MEMBER_EPOCH");
        let mut z = Consumer::new(&node, "z", &[("t", id)]).await;
        z.epoch = 1;
        assert_eq!(z.beat().await, "UNKNOWN_MEMBER_ID");
        let mut client = operator.client;
        assert_eq!(describe(&mut client, 1, "h").await, "GROUP_ID_NOT_FOUND: Group h not found.");
        assert_eq!(describe(&mut client, 1, "").await, "INVALID_GROUP_ID: ");
        // In version 0 the coordinator makes the id.
        let mut old = Consumer::new(&node, "", &[("t", id)]).await;
        old.version = 0;
        assert_eq!(old.beat().await, "3: ");
        assert_eq!(old.id.len(), 22);
        node.stop().await;
    });
}

/// CGP-14, OFF-07, OFF-08, OFF-09, TRAP-40: offsets of a consumer group.
#[test]
fn offsets_are_committed_at_the_members_epoch() {
    run(async {
        let home = Home::new();
        let node = start(&home, AT_ONCE).await.unwrap();
        let mut operator = Operator::with_topics(&node, &[("t", 2)]).await;
        let id = operator.learn("t").await;
        let mut x = Consumer::new(&node, "x", &[("t", id)]).await;
        x.beat().await;
        for (version, expected) in [(8, "UNSUPPORTED_VERSION"), (9, "NONE"), (10, "NONE")] {
            let said = operator.commit((version, "g"), member("x", 2), "t-0=7").await;
            assert_eq!(said, format!("t-0 {expected}"), "version {version}");
        }
        assert_eq!(operator.commit((9, "g"), member("x", 3), "t-0=8").await, "t-0 STALE_MEMBER_EPOCH");
        assert_eq!(operator.commit((9, "g"), member("z", 1), "t-0=8").await, "t-0 UNKNOWN_MEMBER_ID");
        assert_eq!(operator.commit((9, "g"), NOBODY, "t-0=8").await, "t-0 UNKNOWN_MEMBER_ID");
        for (who, epoch, expected) in [
            (Some("x"), 2, "NONE 7"),
            (None, -1, "NONE 7"),
            (Some("x"), 3, "STALE_MEMBER_EPOCH -"),
            (Some("z"), 1, "UNKNOWN_MEMBER_ID -"),
        ] {
            assert_eq!(fetch(&mut operator, who, epoch).await, expected);
        }
        assert_eq!(operator.drop_offsets("g", "t-0").await, "t-0 GROUP_SUBSCRIBED_TO_TOPIC");
        assert_eq!(operator.drop_groups(2, &["g"]).await, "g NON_EMPTY_GROUP");
        let row = &operator.describe(6, &["g"]).await[0];
        let said = (name_of(row.error_code), row.error_message.as_deref(), row.group_state.as_str());
        assert_eq!(said, ("GROUP_ID_NOT_FOUND", Some("Group g is not a classic group."), "Dead"));
        x.leave().await;
        assert_eq!(operator.commit((9, "g"), NOBODY, "t-0=9").await, "t-0 NONE");
        assert_eq!(operator.drop_groups(2, &["g"]).await, "g NONE");
        assert_eq!(operator.list(5, &[], &[]).await, "");
        node.stop().await;
    });
}

async fn fetch(operator: &mut Operator, member: Option<&str>, epoch: i32) -> String {
    let request = OffsetFetchRequest {
        groups: vec![offset_fetch_request::OffsetFetchRequestGroup {
            group_id: "g".to_owned(),
            member_id: member.map(str::to_owned),
            member_epoch: epoch,
            topics: Some(vec![offset_fetch_request::OffsetFetchRequestTopics {
                name: "t".to_owned(),
                partition_indexes: vec![0],
                ..Default::default()
            }]),
        }],
        ..Default::default()
    };
    let answer: OffsetFetchResponse = operator.client.ask(ApiKey::OffsetFetch, 9, &request).await;
    let group = &answer.groups[0];
    let offset = group.topics.first().map(|topic| topic.partitions[0].committed_offset.to_string());
    format!("{} {}", name_of(group.error_code), offset.unwrap_or_else(|| "-".to_owned()))
}

/// CGP-06: partitions that are added reach the members with their next heartbeats.
#[test]
fn a_topic_that_grows_is_shared_anew() {
    run(async {
        let home = Home::new();
        let node = start(&home, AT_ONCE).await.unwrap();
        let mut operator = Operator::with_topics(&node, &[("t", 1)]).await;
        let id = operator.learn("t").await;
        let mut x = Consumer::new(&node, "x", &[("t", id)]).await;
        assert_eq!(x.beat().await, "2: t-0");
        let request = CreatePartitionsRequest {
            topics: vec![create_partitions_request::CreatePartitionsTopic {
                name: "t".to_owned(),
                count: 3,
                assignments: None,
            }],
            timeout_ms: 10_000,
            validate_only: false,
        };
        let answer: CreatePartitionsResponse =
            operator.client.ask(ApiKey::CreatePartitions, 3, &request).await;
        assert_eq!(answer.results[0].error_code, 0);
        x.until_it_has(3).await;
        assert_eq!(x.epoch, 3);
        node.stop().await;
    });
}

/// CGP-09: a group may have times of its own.
#[test]
fn a_group_may_have_times_of_its_own() {
    run(async {
        let home = Home::new();
        let node = start(&home, AT_ONCE).await.unwrap();
        let mut operator = Operator::with_topics(&node, &[("t", 1)]).await;
        let id = operator.learn("t").await;
        let mut x = Consumer::new(&node, "x", &[("t", id)]).await;
        x.beat().await;
        assert_eq!(x.interval_ms, 5000);
        let request = IncrementalAlterConfigsRequest {
            resources: vec![configs::AlterConfigsResource {
                resource_type: 32,
                resource_name: "g".to_owned(),
                configs: vec![configs::AlterableConfig {
                    name: "consumer.heartbeat.interval.ms".to_owned(),
                    config_operation: 0,
                    value: Some("7000".to_owned()),
                }],
            }],
            validate_only: false,
        };
        let answer: IncrementalAlterConfigsResponse =
            operator.client.ask(ApiKey::IncrementalAlterConfigs, 1, &request).await;
        assert_eq!(answer.responses[0].error_code, 0);
        while x.interval_ms != 7000 {
            x.beat().await;
            ottla_env::task::yield_now().await;
        }
        node.stop().await;
    });
}

/// Some topics and groups that may not be seen.
#[derive(Debug, Default)]
struct Hidden(Mutex<Vec<(ResourceType, String)>>);

impl Authorizer for Hidden {
    fn is_allowed(&self, question: &Question<'_>) -> bool {
        let hidden = self.0.lock();
        !hidden.iter().any(|(kind, name)| *kind == question.kind && name == question.name)
    }

    fn is_allowed_on_any(&self, _question: &Question<'_>) -> bool {
        true
    }

    fn is_configured(&self) -> bool {
        true
    }
}

/// CGP-10, CGP-11, CGP-13: what a member may not describe, it neither names nor finds nor sees.
#[test]
fn topics_that_may_not_be_described_are_not_found() {
    run(async {
        let home = Home::new();
        let hidden = Arc::new(Hidden::default());
        let parts = Parts { authorizer: Some(hidden.clone()), ..Parts::default() };
        let node = start_with(&properties(home.path(), AT_ONCE), parts).await.unwrap();
        let mut operator = Operator::with_topics(&node, &[("ta", 1), ("tb", 2), ("tc", 1)]).await;
        let ids = [("ta", operator.learn("ta").await), ("tb", operator.learn("tb").await)];
        hidden.0.lock().push((ResourceType::Topic, "tc".to_owned()));
        let mut x = Consumer::new(&node, "x", &ids).await;
        x.names = vec!["ta".to_owned(), "tc".to_owned()];
        assert_eq!(x.beat().await, "TOPIC_AUTHORIZATION_FAILED");
        let request = ConsumerGroupHeartbeatRequest {
            subscribed_topic_names: None,
            subscribed_topic_regex: Some("t.*".to_owned()),
            ..x.request()
        };
        assert_eq!(x.tell(&request).await, "1: ");
        x.until_it_has(3).await;
        assert_eq!(x.has.join(" "), "ta-0 tb-0 tb-1");
        hidden.0.lock().push((ResourceType::Topic, "tb".to_owned()));
        let words = "TOPIC_AUTHORIZATION_FAILED: The group has described topic(s) that the client is not authorized to describe.";
        assert_eq!(describe(&mut operator.client, 1, "g").await, words);
        hidden.0.lock().push((ResourceType::Group, "g".to_owned()));
        assert_eq!(x.beat().await, "GROUP_AUTHORIZATION_FAILED");
        assert_eq!(describe(&mut operator.client, 1, "g").await, "GROUP_AUTHORIZATION_FAILED: ");
        node.stop().await;
    });
}

/// CGP-12: a classic member and one of the newer protocol in one group, there and back.
#[test]
fn a_group_changes_its_protocol_under_its_members() {
    run(async {
        let home = Home::new();
        let node = start(&home, AT_ONCE).await.unwrap();
        let mut operator = Operator::with_topics(&node, &[("t", 2)]).await;
        let id = operator.learn("t").await;
        let mut old = Member::new(&node, 9, "g").await;
        old.protocols = vec![("range".to_owned(), subscription(&["t"]))];
        old.join().await;
        assert_eq!(old.sync(&[]).await, "");
        let mut new = Consumer::new(&node, "x", &[("t", id)]).await;
        assert_eq!(new.beat().await, "2: t-1");
        assert_eq!(operator.list(5, &[], &[]).await, "g:consumer:Reconciling:consumer");
        assert_eq!(old.beat().await, "REBALANCE_IN_PROGRESS");
        old.join().await;
        assert_eq!(old.generation, 2);
        let request = old.sync_request(&[]);
        let synced: SyncGroupResponse = old.client.ask(ApiKey::SyncGroup, 5, &request).await;
        // Version 1 of the embedded protocol: topic t with partition 0, no user data.
        let part = b"\0\x01\0\0\0\x01\0\x01t\0\0\0\x01\0\0\0\0\xff\xff\xff\xff";
        assert_eq!((synced.error_code, &synced.assignment[..]), (0, &part[..]));
        assert_eq!(old.beat().await, "NONE");
        assert_eq!(operator.list(5, &[], &[]).await, "g:consumer:Stable:consumer");
        assert_eq!(new.leave().await, "-1");
        assert_eq!(old.beat().await, "REBALANCE_IN_PROGRESS");
        old.join().await;
        assert_eq!(old.generation, 3);
        assert_eq!(operator.list(5, &[], &[]).await, "g:consumer:CompletingRebalance:classic");
        node.stop().await;
    });
}

/// A node whose operator left the protocol out says so.
#[test]
fn a_node_may_leave_the_protocol_out() {
    run(async {
        let home = Home::new();
        let node = start(&home, "group.coordinator.rebalance.protocols=classic").await.unwrap();
        let mut operator = Operator::with_topics(&node, &[("t", 1)]).await;
        let id = operator.learn("t").await;
        let mut x = Consumer::new(&node, "x", &[("t", id)]).await;
        assert_eq!(x.beat().await, "UNSUPPORTED_VERSION");
        assert_eq!(describe(&mut operator.client, 1, "g").await, "UNSUPPORTED_VERSION: ");
        node.stop().await;
    });
}
