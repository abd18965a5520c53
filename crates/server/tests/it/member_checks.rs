//! What the requests of members are refused for, in every version, and in which order: the table of 6.2.
//!
//! Owns: what is asked and expected; what Kafka 4.3.1 answers to the same requests.
//! Does not own: what follows from requests that are taken (`membership`).

use ottla_protocol::ApiKey;
use ottla_protocol::messages::{
    HeartbeatRequest, HeartbeatResponse, JoinGroupResponse, SyncGroupRequest, SyncGroupResponse,
};

use crate::member::{Member, leave, pair, subscription};
use crate::node::{Home, run, start};
use crate::operator::{Committer, NOBODY, Operator, name_of};

const TOPICS: &[(&str, i32)] = &[("t", 2), ("u", 2)];

/// A refusal as every version has it, with the member id the client is to see.
#[track_caller]
fn assert_refused(version: i16, answer: &JoinGroupResponse, error: &str, member: &str) {
    let told = (name_of(answer.error_code), answer.member_id.as_str());
    assert_eq!(told, (error, member), "version {version}");
    assert_eq!((answer.generation_id, answer.leader.as_str()), (-1, ""));
    assert_eq!((answer.members.len(), answer.skip_assignment), (0, false));
    let no_protocol = if version >= 7 { None } else { Some(String::new()) };
    assert_eq!((&answer.protocol_type, &answer.protocol_name), (&None, &no_protocol), "version {version}");
}

/// JoinGroup: the group id, the session timeout, the group of a member id, the protocols. Whoever is refused for its
/// protocols has brought the group into being.
#[test]
fn joins_without_a_group_are_checked_in_order() {
    run(async {
        let home = Home::new();
        let node = start(&home, "").await.unwrap();
        let mut operator = Operator::with_topics(&node, TOPICS).await;
        for version in 0..=9 {
            let mut a = Member::new(&node, version, "").await;
            a.session_ms = 1;
            assert_refused(version, &a.try_join().await, "INVALID_GROUP_ID", "");
            a.group = "none".to_owned();
            for session in [5_999, 1_800_001, -5, 0] {
                a.session_ms = session;
                assert_refused(version, &a.try_join().await, "INVALID_SESSION_TIMEOUT", "");
            }
            a.id = "m-1".to_owned();
            a.session_ms = 6_000;
            a.protocols.clear();
            assert_refused(version, &a.try_join().await, "UNKNOWN_MEMBER_ID", "m-1");
            if version >= 5 {
                a.instance = Some("i".to_owned());
                assert_refused(version, &a.try_join().await, "UNKNOWN_MEMBER_ID", "m-1");
                a.instance = None;
            }
            assert_eq!(operator.look("none").await, ("Dead".to_owned(), 0));
            a.id.clear();
            a.group = format!("protocols{version}");
            assert_refused(version, &a.try_join().await, "INCONSISTENT_GROUP_PROTOCOL", "");
            a.protocols = vec![("range".to_owned(), subscription(&["t"]))];
            a.protocol_type.clear();
            assert_refused(version, &a.try_join().await, "INCONSISTENT_GROUP_PROTOCOL", "");
            assert_eq!(operator.look(&a.group).await, ("Empty".to_owned(), 0));
        }
        node.stop().await;
    });
}

/// Whether it is `prefix` and a UUID.
fn is_made_of(id: &str, prefix: &str) -> bool {
    let uuid = id.strip_prefix(prefix).unwrap_or("");
    let parts: Vec<usize> = uuid.split('-').map(str::len).collect();
    parts == [8, 4, 4, 4, 12] && uuid.chars().all(|c| c == '-' || c.is_ascii_hexdigit())
}

/// Join, new: dynamic members are given an id to come back with from version 4 on, static ones join at once.
#[test]
fn new_members_join_in_every_version() {
    run(async {
        let home = Home::new();
        let node = start(&home, "").await.unwrap();
        let mut operator = Operator::with_topics(&node, TOPICS).await;
        for version in 0..=9 {
            let mut a = Member::new(&node, version, &format!("g{version}")).await;
            a.session_ms = 1_800_000;
            if version > 0 {
                a.rebalance_ms = -3;
            }
            if version >= 4 {
                let answer = a.try_join().await;
                assert_refused(version, &answer, "MEMBER_ID_REQUIRED", &answer.member_id);
                assert!(is_made_of(&answer.member_id, "test-"), "{}", answer.member_id);
                assert_eq!(operator.look(&a.group).await, ("Empty".to_owned(), 0));
                a.id = answer.member_id;
            }
            let id = a.id.clone();
            let answer = a.join().await;
            assert!(is_made_of(&answer.member_id, "test-"), "{}", answer.member_id);
            assert!(id.is_empty() || id == a.id);
            assert_eq!((answer.generation_id, &answer.leader), (1, &a.id));
            assert_eq!(answer.protocol_name.as_deref(), Some("range"));
            assert_eq!(answer.protocol_type.as_deref(), (version >= 7).then_some("consumer"));
            assert_eq!((&answer.members[0].member_id, answer.members.len()), (&a.id, 1));
            assert_eq!(answer.members[0].metadata, subscription(&["t"]));
            for instance in ["i", ""] {
                if version >= 5 {
                    let group = format!("static{version}{instance}");
                    let mut a = Member::new(&node, version, &group).await.with_instance(instance);
                    let answer = a.join().await;
                    assert!(is_made_of(&a.id, &format!("{instance}-")), "{}", a.id);
                    assert_eq!(answer.members[0].group_instance_id.as_deref(), Some(instance));
                }
            }
        }
        node.stop().await;
    });
}

/// JoinGroup of a group with members: protocols before members; then the whole walk of a follower and a leader that
/// join again while the group is stable, rebalances, and waits for the leader.
#[test]
fn joins_of_a_group_with_members_are_checked_in_order() {
    run(async {
        let home = Home::new();
        let node = start(&home, "").await.unwrap();
        let mut operator = Operator::with_topics(&node, TOPICS).await;
        for version in [0, 3, 4, 5, 7, 9] {
            let group = &format!("g{version}");
            let (first, second) =
                (Member::new(&node, version, group).await, Member::new(&node, version, group).await);
            let (mut a, mut b) = pair(first, second).await;
            for (id, protocol_type, protocol) in [
                ("", "consumer", "rr"),
                ("", "connect", "range"),
                ("who", "consumer", "rr"),
                (b.id.as_str(), "consumer", "rr"),
            ] {
                let mut x = Member::new(&node, version, group).await;
                (x.id, x.protocol_type) = (id.to_owned(), protocol_type.to_owned());
                x.protocols[0].0 = protocol.to_owned();
                assert_refused(version, &x.try_join().await, "INCONSISTENT_GROUP_PROTOCOL", id);
            }
            let mut x = Member::new(&node, version, group).await;
            x.id = "who".to_owned();
            assert_refused(version, &x.try_join().await, "UNKNOWN_MEMBER_ID", "who");
            // A follower that changed nothing is told the generation it is in.
            let answer = b.join().await;
            assert_eq!((answer.generation_id, answer.members.len(), &answer.leader), (2, 0, &a.id));
            assert_eq!((a.beat().await, b.beat().await), ("NONE", "NONE"));
            // One that changed something waits for the others.
            b.protocols = vec![("range".to_owned(), subscription(&["t", "u"]))];
            b.begin_join().await;
            operator.until(group, "PreparingRebalance", 2).await;
            assert_eq!(a.beat().await, "REBALANCE_IN_PROGRESS");
            assert_eq!(a.sync(&[]).await, "REBALANCE_IN_PROGRESS");
            let id = a.id.clone();
            let who = Committer { generation: 2, member: &id, ..Default::default() };
            assert_eq!(operator.commit((9, group), who, "t-0=1").await, "t-0 NONE");
            let answer = a.join().await;
            assert_eq!((answer.generation_id, answer.members.len(), &answer.leader), (3, 2, &a.id));
            assert_eq!(b.joined().await.members.len(), 0);
            let who = Committer { generation: 3, member: &id, ..Default::default() };
            assert_eq!(operator.commit((9, group), who, "t-0=2").await, "t-0 REBALANCE_IN_PROGRESS");
            assert_eq!(operator.commit((9, group), NOBODY, "t-0=3").await, "t-0 UNKNOWN_MEMBER_ID");
            assert_eq!((a.beat().await, b.beat().await), ("NONE", "NONE"));
            // While the leader assigns, an answer that was lost is given again.
            assert_eq!(a.join().await.members.len(), 2);
            assert_eq!(b.join().await.generation_id, 3);
            b.begin_sync().await;
            a.protocols = vec![("range".to_owned(), subscription(&["u"]))];
            a.begin_join().await;
            assert_eq!(b.synced().await, "REBALANCE_IN_PROGRESS");
            assert_eq!(b.join().await.generation_id, 4);
            assert_eq!(a.joined().await.members.len(), 2);
            assert_eq!(operator.fetch(9, group, None).await, "t-0=1");
        }
        node.stop().await;
    });
}

/// SyncGroup and Heartbeat: the group id, the member, the generation.
#[test]
fn syncs_and_heartbeats_are_checked_in_order() {
    run(async {
        let home = Home::new();
        let node = start(&home, "").await.unwrap();
        let mut operator = Operator::with_topics(&node, TOPICS).await;
        let (mut a, mut b) = pair(Member::new(&node, 9, "g").await, Member::new(&node, 9, "g").await).await;
        let cases = [
            ("", 9, "x", "INVALID_GROUP_ID"),
            ("none", 2, b.id.as_str(), "UNKNOWN_MEMBER_ID"),
            ("g", 9, "x", "UNKNOWN_MEMBER_ID"),
            ("g", 9, "", "UNKNOWN_MEMBER_ID"),
            ("g", 1, b.id.as_str(), "ILLEGAL_GENERATION"),
            ("g", 3, b.id.as_str(), "ILLEGAL_GENERATION"),
            ("g", -1, b.id.as_str(), "ILLEGAL_GENERATION"),
            ("g", 2, b.id.as_str(), "NONE"),
        ];
        for (group, generation, member, expected) in cases {
            for version in 0..=5 {
                let told = |text: &str| (version >= 5).then(|| text.to_owned());
                let request = SyncGroupRequest {
                    group_id: group.to_owned(),
                    generation_id: generation,
                    member_id: member.to_owned(),
                    protocol_type: told("consumer"),
                    protocol_name: told("range"),
                    ..Default::default()
                };
                let answer: SyncGroupResponse = a.client.ask(ApiKey::SyncGroup, version, &request).await;
                assert_eq!(name_of(answer.error_code), expected, "version {version}");
                let is_ok = answer.error_code == 0;
                assert_eq!(&answer.assignment[..], if is_ok { &b"B"[..] } else { b"" });
                let told = |text| (is_ok && version >= 5).then_some(text);
                assert_eq!(answer.protocol_type.as_deref(), told("consumer"));
                assert_eq!(answer.protocol_name.as_deref(), told("range"));
            }
            for version in 0..=4 {
                let request = HeartbeatRequest {
                    group_id: group.to_owned(),
                    generation_id: generation,
                    member_id: member.to_owned(),
                    group_instance_id: None,
                };
                let answer: HeartbeatResponse = a.client.ask(ApiKey::Heartbeat, version, &request).await;
                assert_eq!(name_of(answer.error_code), expected, "version {version}");
            }
        }
        a.leave().await;
        b.leave().await;
        for generation in [2, 3] {
            (a.generation, b.generation) = (generation, generation);
            assert_eq!(
                (a.beat().await, b.sync(&[]).await.as_str()),
                ("UNKNOWN_MEMBER_ID", "UNKNOWN_MEMBER_ID")
            );
        }
        assert_refused(9, &a.try_join().await, "UNKNOWN_MEMBER_ID", &a.id);
        let who = Committer { generation: 3, member: &a.id, ..Default::default() };
        assert_eq!(operator.commit((9, "g"), who, "t-0=1").await, "t-0 UNKNOWN_MEMBER_ID");
        assert_eq!(operator.commit((9, "g"), NOBODY, "t-0=1").await, "t-0 NONE");
        node.stop().await;
    });
}

/// SyncGroup version 5: the protocol must be named, which is checked first of all, and be the group's, which is checked
/// last.
#[test]
fn syncs_name_the_protocol_of_the_group() {
    run(async {
        let home = Home::new();
        let node = start(&home, "").await.unwrap();
        Operator::with_topics(&node, TOPICS).await;
        let (mut a, b) = pair(Member::new(&node, 9, "g").await, Member::new(&node, 9, "g").await).await;
        let mismatch = "INCONSISTENT_GROUP_PROTOCOL";
        for (group, generation, protocol_type, protocol, expected) in [
            ("g", 2, Some("connect"), Some("range"), mismatch),
            ("g", 2, Some("consumer"), Some("rr"), mismatch),
            ("g", 9, Some("consumer"), Some("rr"), "ILLEGAL_GENERATION"),
            ("g", 2, None, Some("range"), mismatch),
            ("g", 2, Some("consumer"), None, mismatch),
            ("", 9, Some("consumer"), None, mismatch),
            ("none", 9, None, Some("range"), mismatch),
            ("g", 2, Some("consumer"), Some("range"), "NONE"),
        ] {
            let request = SyncGroupRequest {
                group_id: group.to_owned(),
                generation_id: generation,
                member_id: b.id.clone(),
                protocol_type: protocol_type.map(str::to_owned),
                protocol_name: protocol.map(str::to_owned),
                ..Default::default()
            };
            let answer: SyncGroupResponse = a.client.ask(ApiKey::SyncGroup, 5, &request).await;
            assert_eq!(name_of(answer.error_code), expected, "{group} {protocol_type:?} {protocol:?}");
        }
        node.stop().await;
    });
}

/// LeaveGroup: up to version 2 one member and its error is that of the whole; from 3 on each member has its own. Ids
/// that were given out can be given up.
#[test]
fn members_leave_in_every_version() {
    run(async {
        let home = Home::new();
        let node = start(&home, "").await.unwrap();
        let client = &mut Operator::with_topics(&node, TOPICS).await.client;
        for version in 0..=5 {
            let group = &format!("g{version}");
            let b = Member::new(&node, 9, group).await.with_instance("i");
            let (a, mut b) = pair(Member::new(&node, 9, group).await, b).await;
            let one = |id: &str| [(id.to_owned(), None)];
            let single = |error: &str| {
                if version < 3 { error.to_owned() } else { format!("NONE {error}") }
            };
            assert_eq!(leave(client, version, "", &one(&a.id)).await, "INVALID_GROUP_ID");
            let unknown = single("UNKNOWN_MEMBER_ID");
            assert_eq!(leave(client, version, "none", &one(&a.id)).await, unknown);
            assert_eq!(leave(client, version, group, &one("stranger")).await, unknown);
            assert_eq!(leave(client, version, group, &one("")).await, unknown);
            let mut pending = Member::new(&node, 9, group).await;
            pending.get_id().await;
            assert_eq!(leave(client, version, group, &one(&pending.id)).await, single("NONE"));
            assert_eq!(leave(client, version, group, &one(&pending.id)).await, unknown);
            // It was awaited, so the others are asked to join again.
            assert_eq!(b.beat().await, "REBALANCE_IN_PROGRESS");
            if version >= 3 {
                assert_eq!(leave(client, version, group, &[]).await, "NONE");
                assert_eq!(leave(client, version, "none", &[]).await, "NONE");
                let mut pending = Member::new(&node, 9, group).await;
                pending.get_id().await;
                let both = [(pending.id.clone(), Some("i")), (a.id.clone(), Some("i"))];
                assert_eq!(leave(client, version, group, &both).await, "NONE NONE FENCED_INSTANCE_ID");
            }
            assert_eq!(leave(client, version, group, &one(&a.id)).await, single("NONE"));
            assert_eq!(b.beat().await, "REBALANCE_IN_PROGRESS");
            // A static member leaves by its id too.
            let left = if version < 3 {
                leave(client, version, group, &one(&b.id)).await
            } else {
                let twice = [(b.id.clone(), None), (b.id.clone(), None)];
                leave(client, version, group, &twice).await
            };
            assert_eq!(left, if version < 3 { "NONE" } else { "NONE NONE UNKNOWN_MEMBER_ID" });
        }
        node.stop().await;
    });
}

/// KIP-394: an id that was given out is no member yet, in no call; nobody else may use it, and the group can be deleted.
#[test]
fn an_id_that_was_given_out_is_no_member_yet() {
    run(async {
        let home = Home::new();
        let node = start(&home, "").await.unwrap();
        let mut operator = Operator::with_topics(&node, TOPICS).await;
        let mut a = Member::new(&node, 9, "g").await;
        a.get_id().await;
        a.generation = 0;
        assert_eq!(operator.list(5, &[], &[]).await, "g:-:Empty:classic");
        assert_eq!((a.beat().await, a.sync(&[]).await.as_str()), ("UNKNOWN_MEMBER_ID", "UNKNOWN_MEMBER_ID"));
        let who = Committer { generation: 0, member: &a.id, ..Default::default() };
        assert_eq!(operator.commit((9, "g"), who, "t-0=1").await, "t-0 UNKNOWN_MEMBER_ID");
        assert_eq!(operator.commit((9, "g"), NOBODY, "t-0=1").await, "t-0 NONE");
        let mut other = Member::new(&node, 0, "h").await;
        other.id.clone_from(&a.id);
        assert_refused(0, &other.try_join().await, "UNKNOWN_MEMBER_ID", &a.id);
        let mut older = Member::new(&node, 0, "g").await;
        older.id.clone_from(&a.id);
        assert_eq!(older.join().await.generation_id, 1);
        let mut b = Member::new(&node, 9, "k").await;
        b.get_id().await;
        assert_eq!(operator.drop_groups(2, &["k"]).await, "k NONE");
        assert_refused(9, &b.try_join().await, "UNKNOWN_MEMBER_ID", &b.id);
        node.stop().await;
    });
}
