//! Groups as tools see them: FindCoordinator, DescribeGroups, ListGroups, and what is deleted of living groups.
//!
//! Owns: what is asked and expected; what Kafka 4.3.1 answers to the same requests.
//! Does not own: permissions (`group_permissions`).

use ottla_protocol::ApiKey;
use ottla_protocol::messages::{
    DescribeGroupsRequest, DescribeGroupsResponse, FindCoordinatorRequest, FindCoordinatorResponse,
    JoinGroupResponse, MetadataRequest, MetadataResponse,
};

use crate::member::{Member, pair, subscription};
use crate::node::{Client, Home, address, run, start};
use crate::operator::{Committer, NOBODY, Operator, name_of};

const TOPICS: &[(&str, i32)] = &[("t", 2), ("u", 2)];

/// Who coordinates one key, in the form of the version: error, text, node, host and port.
async fn find(client: &mut Client, version: i16, kind: i8, key: &str) -> (String, String, i32, String, i32) {
    let batched = version >= 4;
    let request = FindCoordinatorRequest {
        key: if batched { String::new() } else { key.to_owned() },
        key_type: kind,
        coordinator_keys: if batched { vec![key.to_owned()] } else { Vec::new() },
    };
    let answer: FindCoordinatorResponse = client.ask(ApiKey::FindCoordinator, version, &request).await;
    if batched {
        let row = &answer.coordinators[0];
        assert_eq!((answer.coordinators.len(), row.key.as_str()), (1, key));
        let text = row.error_message.clone().unwrap();
        return (name_of(row.error_code).to_owned(), text, row.node_id, row.host.clone(), row.port);
    }
    let text = answer.error_message.unwrap_or_default();
    (name_of(answer.error_code).to_owned(), text, answer.node_id, answer.host, answer.port)
}

/// LSN-04, GRP-01, TRAP-29, TRAP-21: the topic of offsets comes into being when somebody asks for a coordinator, with
/// the partitions and replicas meant for it; up to then nobody coordinates. Every version finds the endpoint of the
/// listener it came by.
#[test]
fn the_coordinator_is_found_in_every_version() {
    run(async {
        let home = Home::new();
        // As many replicas as there will never be, for topics that are created without a number.
        let node =
            start(&home, "default.replication.factor=3\noffsets.topic.num.partitions=3").await.unwrap();
        let mut operator = Operator::connect(&node).await;
        let mut a = Member::new(&node, 9, "g").await;
        let answer: JoinGroupResponse = a.try_join().await;
        assert_eq!(name_of(answer.error_code), "NOT_COORDINATOR");
        assert_eq!((a.beat().await, a.sync(&[]).await.as_str()), ("NOT_COORDINATOR", "NOT_COORDINATOR"));
        assert_eq!(a.leave().await, "NOT_COORDINATOR");
        for version in [2, 7, 8, 10] {
            assert_eq!(operator.fetch(version, "g", None).await, "NOT_COORDINATOR");
        }
        assert_eq!(operator.fetch(1, "g", Some("t-0")).await, "t-0 NOT_COORDINATOR");
        assert_eq!(operator.commit((9, "g"), NOBODY, "t-0=1").await, "t-0 UNKNOWN_TOPIC_OR_PARTITION");
        assert_eq!(operator.drop_groups(2, &["g"]).await, "g NOT_COORDINATOR");
        assert_eq!(operator.drop_offsets("g", "").await, "NOT_COORDINATOR");
        assert_eq!(name_of(operator.describe(6, &["g"]).await[0].error_code), "NOT_COORDINATOR");
        assert_eq!(operator.list(5, &[], &[]).await, "");
        let unavailable = ("COORDINATOR_NOT_AVAILABLE".to_owned(), String::new(), -1, String::new(), -1);
        assert_eq!(find(&mut operator.client, 4, 0, "g").await, unavailable);
        operator.until_coordinated().await;
        let metadata: MetadataResponse = {
            let request = MetadataRequest { topics: None, ..Default::default() };
            operator.client.ask(ApiKey::Metadata, 12, &request).await
        };
        let topic = &metadata.topics[0];
        assert_eq!((topic.name.as_deref(), topic.is_internal), (Some("__consumer_offsets"), true));
        let replicas: Vec<usize> = topic.partitions.iter().map(|row| row.replica_nodes.len()).collect();
        assert_eq!(replicas, [1, 1, 1]);
        let port = i32::from(address(&node).port());
        for version in 0..=6 {
            for key in ["g", ""] {
                let text = if (1..=3).contains(&version) { "NONE" } else { "" };
                let found = ("NONE".to_owned(), text.to_owned(), 1, "127.0.0.1".to_owned(), port);
                assert_eq!(find(&mut operator.client, version, 0, key).await, found, "version {version}");
            }
            if version >= 1 {
                let (error, text, id, host, port) = find(&mut operator.client, version, 3, "g").await;
                assert_eq!((error.as_str(), id, host.as_str(), port), ("INVALID_REQUEST", -1, "", -1));
                assert!(text.starts_with("This most likely occurs because of a request being malformed"));
            }
        }
        let several = FindCoordinatorRequest {
            coordinator_keys: ["g", "h", "", "g"].map(str::to_owned).to_vec(),
            ..Default::default()
        };
        let answer: FindCoordinatorResponse = operator.client.ask(ApiKey::FindCoordinator, 6, &several).await;
        let keys: Vec<_> = answer.coordinators.iter().map(|row| (row.key.as_str(), row.node_id)).collect();
        assert_eq!(keys, [("g", 1), ("h", 1), ("", 1), ("g", 1)]);
        let none = FindCoordinatorRequest::default();
        let answer: FindCoordinatorResponse = operator.client.ask(ApiKey::FindCoordinator, 4, &none).await;
        assert!(answer.coordinators.is_empty());
        node.stop().await;
    });
}

/// OFF-09: what each version tells of a stable group; members of others are shown without what they were assigned by.
#[test]
fn groups_are_described_in_every_version() {
    run(async {
        let home = Home::new();
        let node = start(&home, "").await.unwrap();
        let mut operator = Operator::with_topics(&node, TOPICS).await;
        let b = Member::new(&node, 9, "g").await.with_instance("i");
        let (mut a, b) = pair(Member::new(&node, 9, "g").await, b).await;
        operator.commit((9, "simple"), NOBODY, "t-0=1").await;
        for version in 0..=6 {
            let groups = operator.describe(version, &["g", "none", "simple", "", "g"]).await;
            let names: Vec<&str> = groups.iter().map(|group| group.group_id.as_str()).collect();
            assert_eq!(names, ["g", "none", "simple", "", "g"]);
            let group = &groups[0];
            assert_eq!((group.error_code, group.group_state.as_str()), (0, "Stable"));
            assert_eq!((group.protocol_type.as_str(), group.protocol_data.as_str()), ("consumer", "range"));
            for (seen, member, part) in [(&group.members[0], &a, "A"), (&group.members[1], &b, "B")] {
                assert_eq!((&seen.member_id, seen.client_id.as_str()), (&member.id, "test"));
                assert_eq!(seen.client_host, "/127.0.0.1");
                assert_eq!(seen.group_instance_id, member.instance.clone().filter(|_| version >= 4));
                assert_eq!(
                    (&seen.member_metadata, &seen.member_assignment[..]),
                    (&subscription(&["t"]), part.as_bytes())
                );
            }
            let simple = &groups[2];
            assert_eq!((simple.group_state.as_str(), simple.protocol_type.as_str()), ("Empty", ""));
            for missing in [&groups[1], &groups[3]] {
                let (error, text) = if version < 6 {
                    ("NONE", None)
                } else {
                    ("GROUP_ID_NOT_FOUND", Some(format!("Group {} not found.", missing.group_id)))
                };
                assert_eq!((name_of(missing.error_code), &missing.error_message), (error, &text));
                assert_eq!((missing.group_state.as_str(), missing.members.len()), ("Dead", 0));
                assert_eq!(missing.authorized_operations, i32::MIN);
            }
        }
        for version in 3..=6 {
            let request = DescribeGroupsRequest {
                groups: vec!["g".to_owned(), "none".to_owned()],
                include_authorized_operations: true,
            };
            let answer: DescribeGroupsResponse =
                operator.client.ask(ApiKey::DescribeGroups, version, &request).await;
            // Read, delete, describe, and the two of configs. Of what is not found nothing is told.
            let none = if version < 6 { 3400 } else { i32::MIN };
            let told: Vec<i32> = answer.groups.iter().map(|group| group.authorized_operations).collect();
            assert_eq!(told, [3400, none], "version {version}");
        }
        assert!(operator.describe(6, &[]).await.is_empty());
        // "Group .. not found." has no place for so long a name: Kafka answers so.
        let long = "g".repeat(32_767);
        let failed = operator.describe(6, &[&long]).await.remove(0);
        assert_eq!((failed.error_code, &failed.error_message), (-1, &None));
        assert_eq!((failed.group_state.as_str(), failed.authorized_operations), ("", i32::MIN));
        assert!(failed.group_id == long, "the name is another one");
        a.begin_join().await;
        operator.until("g", "PreparingRebalance", 2).await;
        let group = operator.describe(6, &["g"]).await.remove(0);
        assert_eq!((group.protocol_type.as_str(), group.protocol_data.as_str()), ("consumer", ""));
        assert!(group.members.iter().all(|member| member.member_metadata.is_empty()));
        node.stop().await;
    });
}

/// OFF-10: what each version tells, and both filters, without regard to case; a state or type that there is not lets
/// nothing through.
#[test]
fn groups_are_listed_in_every_version() {
    run(async {
        let home = Home::new();
        let node = start(&home, "").await.unwrap();
        let mut operator = Operator::with_topics(&node, TOPICS).await;
        let _pair = pair(Member::new(&node, 9, "a").await, Member::new(&node, 9, "a").await).await;
        operator.commit((9, "b"), NOBODY, "t-0=1").await;
        Member::new(&node, 9, "c").await.get_id().await;
        let mut worker = Member::new(&node, 3, "d").await;
        worker.protocol_type = "connect".to_owned();
        worker.join().await;
        for version in 0..=3 {
            assert_eq!(
                operator.list(version, &[], &[]).await,
                "a:consumer:-:- b:-:-:- c:-:-:- d:connect:-:-"
            );
        }
        let by_state = [
            (&["Stable"][..], "a:consumer:Stable:-"),
            (&["stable", "EMPTY"], "a:consumer:Stable:- b:-:Empty:- c:-:Empty:-"),
            (&["CompletingRebalance"], "d:connect:CompletingRebalance:-"),
            (&["completing_rebalance"], ""),
            (&["Dead"], ""),
            (&["bogus"], ""),
            (&[" Stable "], "a:consumer:Stable:-"),
        ];
        for (states, expected) in by_state {
            assert_eq!(operator.list(4, states, &[]).await, expected, "{states:?}");
            let newer = expected.replace(":-", ":classic").replace(":classic:", ":-:");
            assert_eq!(operator.list(5, states, &[]).await, newer, "{states:?}");
        }
        let all = "a:consumer:Stable:classic b:-:Empty:classic c:-:Empty:classic d:connect:CompletingRebalance:classic";
        for (types, expected) in [
            (&["classic"][..], all),
            (&["CLASSIC"], all),
            (&["classic", "consumer"], all),
            (&["consumer"], ""),
            (&["share"], ""),
            (&["bogus"], ""),
            (&[""], ""),
        ] {
            assert_eq!(operator.list(5, &[], types).await, expected, "{types:?}");
        }
        assert_eq!(operator.list(5, &["stable"], &["classic"]).await, "a:consumer:Stable:classic");
        node.stop().await;
    });
}

/// OFF-07, OFF-08, GRP-16: offsets of a living group of consumers can be deleted unless it subscribes to their topic;
/// of other living groups not at all. No living group can be deleted.
#[test]
fn what_a_living_group_uses_cannot_be_deleted() {
    run(async {
        let home = Home::new();
        let node = start(&home, "").await.unwrap();
        let mut operator = Operator::with_topics(&node, TOPICS).await;
        let (mut a, mut b) = pair(Member::new(&node, 9, "g").await, Member::new(&node, 9, "g").await).await;
        let id = a.id.clone();
        let who = Committer { generation: 2, member: &id, ..Default::default() };
        operator.commit((9, "g"), who.clone(), "t-0=5 u-0=6").await;
        assert_eq!(
            operator.drop_offsets("g", "t-0 u-0 nope-0").await,
            "nope-0 UNKNOWN_TOPIC_OR_PARTITION, t-0 GROUP_SUBSCRIBED_TO_TOPIC, u-0 NONE"
        );
        assert_eq!(operator.fetch(9, "g", None).await, "t-0=5");
        operator.commit((9, "g"), who, "u-0=6").await;
        a.begin_join().await;
        operator.until("g", "PreparingRebalance", 2).await;
        assert_eq!(operator.drop_offsets("g", "t-0 u-0").await, "t-0 GROUP_SUBSCRIBED_TO_TOPIC, u-0 NONE");
        assert_eq!(operator.drop_groups(2, &["g"]).await, "g NON_EMPTY_GROUP");
        b.leave().await;
        a.joined().await;
        a.leave().await;
        assert_eq!(operator.drop_offsets("g", "t-0 u-0").await, "t-0 NONE, u-0 NONE");
        assert_eq!(operator.fetch(9, "g", None).await, "nothing");
        let mut worker = Member::new(&node, 3, "w").await;
        (worker.protocol_type, worker.protocols[0].0) = ("connect".to_owned(), "sessioned".to_owned());
        worker.join().await;
        let id = worker.id.clone();
        assert_eq!(worker.sync(&[(&id, "W")]).await, "W");
        let who = Committer { generation: 1, member: &id, ..Default::default() };
        operator.commit((9, "w"), who, "t-0=5").await;
        for partitions in ["t-0", "nope-0", ""] {
            assert_eq!(operator.drop_offsets("w", partitions).await, "NON_EMPTY_GROUP");
        }
        worker.leave().await;
        assert_eq!(operator.drop_offsets("w", "t-0").await, "t-0 NONE");
        assert_eq!(operator.drop_groups(2, &["g", "w"]).await, "g NONE, w NONE");
        node.stop().await;
    });
}
