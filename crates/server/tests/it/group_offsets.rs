//! Committed offsets over a whole node: every version, refusals, topics that go, deletion and expiry.
//!
//! Owns: what is asked and expected; what Kafka 4.3.1 answers to the same requests.
//! Does not own: requests (`operator`), groups with members (`membership`).

use ottla_protocol::ApiKey;
use ottla_protocol::messages::{
    DeleteTopicsRequest, DeleteTopicsResponse, OffsetCommitRequest, OffsetCommitResponse, OffsetFetchRequest,
    OffsetFetchResponse, delete_topics_request, offset_commit_request, offset_fetch_request,
};

use crate::node::{Client, Home, run, start};
use crate::operator::{Committer, NOBODY, Operator};

const TOPICS: &[(&str, i32)] = &[("t", 2), ("u", 2)];

/// OFF-01, TRAP-18: who commits is told partition by partition what was wrong, what is refused first, as Kafka lists
/// it; null metadata become the empty text; limits of metadata; topics by id from version 10 on.
#[test]
fn offsets_are_committed_in_every_version() {
    run(async {
        let home = Home::new();
        let node = start(&home, "").await.unwrap();
        let mut operator = Operator::with_topics(&node, TOPICS).await;
        for version in 2..=10 {
            let group = &format!("g{version}");
            let unknown =
                if version < 10 { "nope-0 UNKNOWN_TOPIC_OR_PARTITION" } else { "?-0 UNKNOWN_TOPIC_ID" };
            let mixed = "t-0=5~meta t-1=6 t-9=1 nope-0=1 t--1=3 u-1=7~";
            assert_eq!(
                operator.commit((version, group), NOBODY, mixed).await,
                format!(
                    "t-9 UNKNOWN_TOPIC_OR_PARTITION, t--1 UNKNOWN_TOPIC_OR_PARTITION, t-0 NONE, t-1 NONE, \
                     {unknown}, u-1 NONE"
                ),
                "version {version}"
            );
            let long = format!("t-0=7~{} t-1=8~{}", "x".repeat(4097), "y".repeat(4096));
            assert_eq!(
                operator.commit((version, group), NOBODY, &long).await,
                "t-0 OFFSET_METADATA_TOO_LARGE, t-1 NONE"
            );
            assert_eq!(
                operator.fetch(9, group, None).await,
                format!("t-0=5~meta t-1=8~{} u-1=7", "y".repeat(4096)),
                "version {version}"
            );
            // A negative position is kept; of two for one partition the last one counts; nothing is nothing.
            assert_eq!(operator.commit((version, group), NOBODY, "t-1=-7").await, "t-1 NONE");
            assert_eq!(operator.commit((version, group), NOBODY, "t-0=1 t-0=2").await, "t-0 NONE, t-0 NONE");
            assert_eq!(operator.fetch(9, group, None).await, "t-0=2 t-1=-7 u-1=7");
            assert_eq!(operator.commit((version, group), NOBODY, "").await, "");
        }
        node.stop().await;
    });
}

/// OFF-01: a topic that there is, without partitions, is left out of the answer; one that there is not stands in it.
#[test]
fn topics_without_partitions_are_answered_where_they_are_unknown() {
    run(async {
        let home = Home::new();
        let node = start(&home, "").await.unwrap();
        let mut client = Client::connect(&node).await;
        client.create_topic("t", 1).await;
        let topic = |name: &str| offset_commit_request::OffsetCommitRequestTopic {
            name: name.to_owned(),
            ..Default::default()
        };
        let request = OffsetCommitRequest {
            group_id: "g".to_owned(),
            generation_id_or_member_epoch: -1,
            topics: ["t", "nope"].map(topic).to_vec(),
            ..Default::default()
        };
        let answer: OffsetCommitResponse = client.ask(ApiKey::OffsetCommit, 9, &request).await;
        let told: Vec<_> = answer.topics.iter().map(|topic| (&*topic.name, topic.partitions.len())).collect();
        assert_eq!(told, [("nope", 0)]);
        node.stop().await;
    });
}

/// OFF-01, OFF-02: a group that does not exist has no generation; which code says so depends on the version. What does
/// not exist is not even asked about, and no group comes of it.
#[test]
fn a_generation_in_a_group_that_does_not_exist_is_refused() {
    run(async {
        let home = Home::new();
        let node = start(&home, "").await.unwrap();
        let mut operator = Operator::with_topics(&node, TOPICS).await;
        for version in 2..=10 {
            let expected = if version < 9 { "t-0 ILLEGAL_GENERATION" } else { "t-0 GROUP_ID_NOT_FOUND" };
            for (generation, member) in [(3, "m"), (0, "")] {
                let who = Committer { generation, member, ..Default::default() };
                assert_eq!(
                    operator.commit((version, "none"), who, "t-0=1").await,
                    expected,
                    "version {version}"
                );
            }
            let who = Committer { generation: 7, member: "q", ..Default::default() };
            let unknown = operator.commit((version, "none"), who, "nope-0=1").await;
            assert!(unknown.contains("UNKNOWN_TOPIC"), "{unknown}");
            assert_eq!(operator.commit((version, "none"), NOBODY, "").await, "");
        }
        assert_eq!(operator.list(5, &[], &[]).await, "");
        // Any negative generation is none; so is an instance id without a group to have it.
        for (group, generation) in [("a", -1), ("b", -2)] {
            let who = Committer { generation, member: "m", ..Default::default() };
            assert_eq!(operator.commit((9, group), who, "t-0=1").await, "t-0 NONE");
        }
        let who = Committer { instance: Some("i"), ..NOBODY };
        assert_eq!(operator.commit((7, "c"), who, "t-0=1").await, "t-0 NONE");
        assert_eq!(operator.commit((2, ""), NOBODY, "t-0=1").await, "t-0 NONE");
        let who = Committer { generation: 0, member: "x", ..Default::default() };
        assert_eq!(operator.commit((9, ""), who, "t-0=1").await, "t-0 UNKNOWN_MEMBER_ID");
        node.stop().await;
    });
}

/// OFF-03, TRAP-18: what is not there is -1 with an empty text and no error, also for a group that does not exist.
#[test]
fn offsets_are_fetched_in_every_version() {
    run(async {
        let home = Home::new();
        let node = start(&home, "").await.unwrap();
        let mut operator = Operator::with_topics(&node, TOPICS).await;
        operator.commit((9, "g"), NOBODY, "t-0=5~meta t-1=6 u-0=7").await;
        for version in 1..=10 {
            let named = operator.fetch(version, "g", Some("t-0 t-1 t-7 u-1 nope-3 t-0")).await;
            let unknown = if version < 10 { "nope-3=-1" } else { "?-3 UNKNOWN_TOPIC_ID" };
            let expected = format!("t-0=5~meta t-1=6 t-7=-1 t-0=5~meta u-1=-1 {unknown}");
            assert_eq!(named, expected, "version {version}");
            assert_eq!(operator.fetch(version, "g", Some("")).await, "nothing");
            assert_eq!(operator.fetch(version, "none", Some("t-0")).await, "t-0=-1");
            assert_eq!(operator.fetch(version, "", Some("t-0")).await, "t-0=-1");
            if version >= 2 {
                assert_eq!(operator.fetch(version, "g", None).await, "t-0=5~meta t-1=6 u-0=7");
                assert_eq!(operator.fetch(version, "none", None).await, "nothing");
            }
        }
        node.stop().await;
    });
}

/// OFF-03: versions from 8 on ask for several groups, each answered on its own; a member that names itself is not
/// looked for in a classic group.
#[test]
fn offsets_of_several_groups_are_fetched_at_once() {
    run(async {
        let home = Home::new();
        let node = start(&home, "").await.unwrap();
        let mut operator = Operator::with_topics(&node, TOPICS).await;
        operator.commit((9, "g"), NOBODY, "t-0=5 u-0=7").await;
        operator.commit((9, "h"), NOBODY, "t-0=6").await;
        for version in 8..=10 {
            let groups = [("g", Some("t-0")), ("none", None), ("h", None), ("g", Some("")), ("", None)];
            let request = OffsetFetchRequest {
                groups: groups.map(|(group, wanted)| operator.wanted_of(version, group, wanted)).to_vec(),
                ..Default::default()
            };
            let answer: OffsetFetchResponse =
                operator.client.ask(ApiKey::OffsetFetch, version, &request).await;
            let names: Vec<&str> = answer.groups.iter().map(|group| group.group_id.as_str()).collect();
            assert_eq!(names, ["g", "none", "h", "g", ""]);
            assert_eq!(operator.fetched_text(&answer), "t-0=5; nothing; t-0=6; nothing; nothing");
            let nothing: OffsetFetchResponse =
                operator.client.ask(ApiKey::OffsetFetch, version, &OffsetFetchRequest::default()).await;
            assert!(nothing.groups.is_empty());
        }
        let members = [(None, -1), (None, 3), (Some("x"), 0), (Some("x"), -1), (Some(""), -1)];
        for (member, epoch) in members {
            let group = offset_fetch_request::OffsetFetchRequestGroup {
                member_id: member.map(str::to_owned),
                member_epoch: epoch,
                ..operator.wanted_of(9, "g", Some("t-0"))
            };
            let request = OffsetFetchRequest { groups: vec![group], ..Default::default() };
            let answer = operator.client.ask(ApiKey::OffsetFetch, 9, &request).await;
            assert_eq!(operator.fetched_text(&answer), "t-0=5", "{member:?} {epoch}");
        }
        node.stop().await;
    });
}

async fn delete_topic(operator: &mut Operator, name: &str) {
    let topic = delete_topics_request::DeleteTopicState { name: Some(name.to_owned()), ..Default::default() };
    let request = DeleteTopicsRequest { topics: vec![topic], timeout_ms: 10_000, ..Default::default() };
    let answer: DeleteTopicsResponse = operator.client.ask(ApiKey::DeleteTopics, 6, &request).await;
    assert_eq!(answer.responses[0].error_code, 0);
}

async fn until_fetched(operator: &mut Operator, group: &str, expected: &str) {
    let request =
        OffsetFetchRequest { groups: vec![operator.wanted_of(9, group, None)], ..Default::default() };
    let deadline = ottla_env::time::now() + std::time::Duration::from_secs(10);
    loop {
        let answer = operator.client.ask(ApiKey::OffsetFetch, 9, &request).await;
        let text = operator.fetched_text(&answer);
        if text == expected {
            return;
        }
        assert!(ottla_env::time::now() < deadline, "still {text}");
        ottla_env::task::yield_now().await;
    }
}

/// OFF-06: offsets go with their topic, for good; a new topic of that name begins without.
#[test]
fn a_deleted_topic_takes_its_offsets_along() {
    run(async {
        let home = Home::new();
        let node = start(&home, "").await.unwrap();
        let mut operator = Operator::with_topics(&node, TOPICS).await;
        operator.commit((9, "g"), NOBODY, "t-0=1 u-0=2").await;
        operator.commit((9, "h"), NOBODY, "u-1=3").await;
        delete_topic(&mut operator, "u").await;
        until_fetched(&mut operator, "g", "t-0=1").await;
        until_fetched(&mut operator, "h", "nothing").await;
        assert_eq!(operator.fetch(10, "g", Some("u-0")).await, "u-0 UNKNOWN_TOPIC_ID");
        assert_eq!(operator.commit((10, "g"), NOBODY, "u-0=9").await, "u-0 UNKNOWN_TOPIC_ID");
        assert_eq!(operator.commit((9, "g"), NOBODY, "u-0=9").await, "u-0 UNKNOWN_TOPIC_OR_PARTITION");
        node.stop().await;
        let node = start(&home, "").await.unwrap();
        let mut operator = Operator::with_topics(&node, &[("u", 2)]).await;
        operator.learn("t").await;
        assert_eq!(operator.fetch(10, "g", Some("t-0 u-0")).await, "t-0=1 u-0=-1");
        assert_eq!(operator.commit((10, "g"), NOBODY, "u-0=4").await, "u-0 NONE");
        assert_eq!(operator.fetch(10, "g", None).await, "t-0=1 u-0=4");
        node.stop().await;
    });
}

/// OFF-07: what exists and is not subscribed to is deleted; a group that nobody knows, or without a name, is refused as
/// a whole. Members are seen to in `membership`.
#[test]
fn offsets_of_a_simple_group_are_deleted_one_by_one() {
    run(async {
        let home = Home::new();
        let node = start(&home, "").await.unwrap();
        let mut operator = Operator::with_topics(&node, TOPICS).await;
        for partitions in ["t-0", "nope-0", ""] {
            assert_eq!(operator.drop_offsets("none", partitions).await, "GROUP_ID_NOT_FOUND");
        }
        assert_eq!(operator.drop_offsets("", "t-0").await, "INVALID_GROUP_ID");
        operator.commit((9, "g"), NOBODY, "t-0=5 u-0=6 u-1=7").await;
        assert_eq!(
            operator.drop_offsets("g", "t-0 t-1 t-8 nope-0").await,
            "t-8 UNKNOWN_TOPIC_OR_PARTITION, t-0 NONE, t-1 NONE, nope-0 UNKNOWN_TOPIC_OR_PARTITION"
        );
        assert_eq!(operator.fetch(9, "g", None).await, "u-0=6 u-1=7");
        assert_eq!(
            operator.drop_offsets("g", "u-0 nope-0").await,
            "nope-0 UNKNOWN_TOPIC_OR_PARTITION, u-0 NONE"
        );
        node.stop().await;
        let node = start(&home, "").await.unwrap();
        let mut operator = Operator::connect(&node).await;
        operator.until_coordinated().await;
        assert_eq!(operator.fetch(9, "g", None).await, "u-1=7");
        node.stop().await;
    });
}

/// OFF-08, TRAP-19: a deleted group is gone, also after a restart, and so is the group without a name.
#[test]
fn deleted_groups_do_not_come_back() {
    run(async {
        let home = Home::new();
        let node = start(&home, "").await.unwrap();
        let mut operator = Operator::with_topics(&node, TOPICS).await;
        for version in 0..=2 {
            for group in ["g", "h", ""] {
                operator.commit((9, group), NOBODY, "t-0=5 u-0=6").await;
            }
            assert_eq!(
                operator.drop_groups(version, &["g", "none", "", "g"]).await,
                " NONE, g NONE, none GROUP_ID_NOT_FOUND",
                "version {version}"
            );
            assert_eq!(
                operator.drop_groups(version, &["g", ""]).await,
                " GROUP_ID_NOT_FOUND, g GROUP_ID_NOT_FOUND"
            );
            assert_eq!(operator.drop_groups(version, &[]).await, "");
        }
        node.stop().await;
        let node = start(&home, "").await.unwrap();
        let mut operator = Operator::connect(&node).await;
        operator.until_coordinated().await;
        assert_eq!(operator.list(5, &[], &[]).await, "h:-:Empty:classic");
        assert_eq!(operator.fetch(9, "g", None).await, "nothing");
        assert_eq!(operator.fetch(9, "h", None).await, "t-0=5 u-0=6");
        node.stop().await;
    });
}

/// OFF-05: in versions 2 to 4 the client says how long an offset is kept; -1 leaves it to the broker, and a time before
/// now is over. A group without offsets goes too, and stays gone.
#[test]
fn offsets_expire_when_the_client_said_so() {
    run(async {
        let home = Home::new();
        let more = "offsets.retention.check.interval.ms=20";
        let node = start(&home, more).await.unwrap();
        let mut operator = Operator::with_topics(&node, TOPICS).await;
        let keep = |millis: i64| Committer { retention_ms: Some(millis), ..NOBODY };
        for (version, group, millis) in
            [(2, "a", 60), (3, "b", 0), (4, "c", -2), (4, "d", 3_600_000), (3, "e", -1)]
        {
            operator.commit((version, group), keep(millis), "t-0=1").await;
        }
        operator.commit((2, "e"), keep(0), "t-1=2").await;
        for group in ["a", "b", "c"] {
            until_fetched(&mut operator, group, "nothing").await;
        }
        until_fetched(&mut operator, "e", "t-0=1").await;
        assert_eq!(operator.fetch(9, "d", None).await, "t-0=1");
        let left = "d:-:Empty:classic e:-:Empty:classic";
        let gone = operator.list(5, &[], &[]).await;
        assert_eq!(gone, left);
        node.stop().await;
        let node = start(&home, more).await.unwrap();
        let mut operator = Operator::connect(&node).await;
        operator.until_coordinated().await;
        assert_eq!(operator.list(5, &[], &[]).await, left);
        node.stop().await;
    });
}
