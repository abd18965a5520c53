//! What calls about groups and offsets ask the authorizer, and what they answer when it says no.
//!
//! Owns: an authorizer that knows a list of permissions; what Kafka 4.3.1 answers under the same ACLs.
//! Does not own: ACLs.

use std::sync::Arc;

use ottla_protocol::ApiKey;
use ottla_protocol::messages::{
    DescribeGroupsRequest, DescribeGroupsResponse, FindCoordinatorRequest, FindCoordinatorResponse,
    SyncGroupResponse,
};
use ottla_security::{Authorizer, Operation, Question, ResourceType};
use ottla_server::RunningNode;
use parking_lot::Mutex;

use crate::member::{Member, leave};
use crate::node::{Home, Parts, properties, run, start_with};
use crate::operator::{NOBODY, Operator, name_of};

/// Allows everything about resources it was told nothing of, and of the others what it was told. Reading implies
/// describing, and so does deleting, as with Kafka's ACLs.
#[derive(Debug, Default)]
struct Permissions(Mutex<Vec<(ResourceType, String, Option<Operation>)>>);

impl Permissions {
    fn set(&self, kind: ResourceType, name: &str, allowed: Option<Operation>) {
        self.0.lock().push((kind, name.to_owned(), allowed));
    }
}

impl Authorizer for Permissions {
    fn is_allowed(&self, question: &Question<'_>) -> bool {
        let told = self.0.lock();
        let mut about = told.iter().filter(|(kind, name, _)| *kind == question.kind && name == question.name);
        let Some((_, _, allowed)) = about.next() else { return true };
        let implied = question.operation == Operation::Describe && allowed.is_some();
        implied || *allowed == Some(question.operation)
    }

    fn is_allowed_on_any(&self, _question: &Question<'_>) -> bool {
        true
    }

    fn is_configured(&self) -> bool {
        true
    }
}

/// A node with the topics `t`, which may be read, `d`, which may be described, and `n`, of which nothing is allowed.
/// There are groups `r`, `d`, `x` and `n`: to be read, described, deleted, or nothing. All have offsets of all topics.
async fn node(home: &Home) -> (RunningNode, Operator, Arc<Permissions>) {
    let permissions = Arc::new(Permissions::default());
    let parts = Parts { authorizer: Some(permissions.clone()), ..Parts::default() };
    let node = start_with(&properties(home.path(), ""), parts).await.unwrap();
    let mut operator = Operator::with_topics(&node, &[("t", 1), ("d", 1), ("n", 1)]).await;
    for group in ["r", "d", "x", "n"] {
        let answer = operator.commit((9, group), NOBODY, "t-0=1 d-0=2 n-0=3").await;
        assert_eq!(answer, "t-0 NONE, d-0 NONE, n-0 NONE");
    }
    for (kind, name, allowed) in [
        (ResourceType::Group, "r", Some(Operation::Read)),
        (ResourceType::Group, "d", Some(Operation::Describe)),
        (ResourceType::Group, "x", Some(Operation::Delete)),
        (ResourceType::Group, "n", None),
        (ResourceType::Topic, "d", Some(Operation::Describe)),
        (ResourceType::Topic, "n", None),
    ] {
        permissions.set(kind, name, allowed);
    }
    (node, operator, permissions)
}

const REFUSED: &str = "GROUP_AUTHORIZATION_FAILED";

/// SEC-36, GRP-02: members need to read their group. Nothing else is looked at before, but for a sync that does not
/// name its protocol.
#[test]
fn members_need_to_read_their_group() {
    run(async {
        let home = Home::new();
        let (node, mut operator, _) = node(&home).await;
        for group in ["d", "x", "n"] {
            for version in 0..=9 {
                let mut a = Member::new(&node, version, group).await;
                (a.id, a.session_ms) = ("m".to_owned(), 1);
                let answer = a.try_join().await;
                assert_eq!((name_of(answer.error_code), answer.member_id.as_str()), (REFUSED, ""));
            }
            let mut a = Member::new(&node, 9, group).await;
            assert_eq!((a.sync(&[]).await.as_str(), a.beat().await), (REFUSED, REFUSED));
            let mut request = a.sync_request(&[]);
            request.protocol_name = None;
            let answer: SyncGroupResponse = a.client.ask(ApiKey::SyncGroup, 5, &request).await;
            assert_eq!(name_of(answer.error_code), "INCONSISTENT_GROUP_PROTOCOL");
            for version in 0..=5 {
                let who = [("m".to_owned(), None)];
                assert_eq!(leave(&mut operator.client, version, group, &who).await, REFUSED);
            }
        }
        let mut a = Member::new(&node, 9, "r").await;
        assert_eq!(a.join().await.generation_id, 1);
        assert_eq!((a.sync(&[]).await.as_str(), a.beat().await), ("", "NONE"));
        assert_eq!(a.leave().await, "NONE NONE");
        node.stop().await;
    });
}

/// OFF-01, SEC-36: to commit takes reading the group, and each topic.
#[test]
fn commits_need_to_read_group_and_topics() {
    run(async {
        let home = Home::new();
        let (node, mut operator, _) = node(&home).await;
        for version in [2, 5, 9, 10] {
            let unknown = if version < 10 { "nope-0" } else { "?-0" };
            for group in ["d", "x", "n"] {
                let answer = operator.commit((version, group), NOBODY, "t-0=1 d-0=2 n-0=3 nope-0=1").await;
                let expected = format!("t-0 {REFUSED}, d-0 {REFUSED}, n-0 {REFUSED}, {unknown} {REFUSED}");
                assert_eq!(answer, expected, "version {version}");
            }
            let missing = if version < 10 { "UNKNOWN_TOPIC_OR_PARTITION" } else { "UNKNOWN_TOPIC_ID" };
            assert_eq!(
                operator.commit((version, "r"), NOBODY, "t-0=8 d-0=9 n-0=9 nope-0=1").await,
                format!(
                    "d-0 TOPIC_AUTHORIZATION_FAILED, n-0 TOPIC_AUTHORIZATION_FAILED, {unknown} {missing}, t-0 NONE"
                ),
                "version {version}"
            );
        }
        assert_eq!(operator.fetch(9, "r", None).await, "d-0=2 t-0=8");
        node.stop().await;
    });
}

/// OFF-04: to fetch takes describing the group, and each topic: one that is named is refused, one that is not is left
/// out.
#[test]
fn fetches_need_to_describe_group_and_topics() {
    run(async {
        let home = Home::new();
        let (node, mut operator, _) = node(&home).await;
        for version in 1..=10 {
            for group in ["r", "d", "x"] {
                let unknown = if version < 10 { "nope-0=-1" } else { "" };
                let named = operator.fetch(version, group, Some("n-0 t-0 d-0 nope-0")).await;
                let missing = if version < 10 { "" } else { " ?-0 UNKNOWN_TOPIC_ID" };
                let expected = format!("t-0=1 d-0=2 {unknown} n-0 TOPIC_AUTHORIZATION_FAILED{missing}");
                assert_eq!(named, expected.replace("  ", " "), "version {version}");
                if version >= 2 {
                    assert_eq!(operator.fetch(version, group, None).await, "d-0=2 t-0=1");
                }
            }
            let refused = operator.fetch(version, "n", Some("t-0 n-0")).await;
            if version == 1 {
                assert_eq!(refused, format!("t-0 {REFUSED} n-0 {REFUSED}"));
            } else {
                assert_eq!(refused, REFUSED);
                assert_eq!(operator.fetch(version, "n", None).await, REFUSED);
            }
        }
        node.stop().await;
    });
}

/// OFF-07, OFF-08, SEC-36: to delete offsets takes deleting the group and reading each topic; to delete a group, deleting
/// it.
#[test]
fn deletions_need_to_delete_the_group() {
    run(async {
        let home = Home::new();
        let (node, mut operator, _) = node(&home).await;
        for group in ["r", "d", "n"] {
            assert_eq!(operator.drop_offsets(group, "t-0 nope-0").await, REFUSED);
        }
        assert_eq!(
            operator.drop_offsets("x", "d-0 t-0 n-0 nope-0").await,
            "d-0 TOPIC_AUTHORIZATION_FAILED, n-0 TOPIC_AUTHORIZATION_FAILED, nope-0 UNKNOWN_TOPIC_OR_PARTITION, t-0 NONE"
        );
        assert_eq!(operator.fetch(9, "x", None).await, "d-0=2");
        assert_eq!(
            operator.drop_groups(2, &["r", "d", "n", "x", "none"]).await,
            format!("d {REFUSED}, n {REFUSED}, none GROUP_ID_NOT_FOUND, r {REFUSED}, x NONE")
        );
        node.stop().await;
    });
}

/// OFF-09, OFF-10, LSN-04, SEC-36: a group is shown to whoever may describe it; the operations allowed are told on
/// request. Whoever may describe the cluster sees the whole list.
#[test]
fn groups_are_shown_to_those_who_may_describe_them() {
    run(async {
        let home = Home::new();
        let (node, mut operator, permissions) = node(&home).await;
        let groups = ["r", "d", "x", "n", "none"];
        for version in 0..=6 {
            let described = operator.describe(version, &groups).await;
            let told: Vec<_> = described
                .iter()
                .map(|group| (group.group_id.as_str(), name_of(group.error_code), group.group_state.as_str()))
                .collect();
            let none = if version < 6 { "NONE" } else { "GROUP_ID_NOT_FOUND" };
            let empty = |group| (group, "NONE", "Empty");
            assert_eq!(
                told,
                [empty("r"), empty("d"), empty("x"), ("n", REFUSED, ""), ("none", none, "Dead")]
            );
        }
        let request = DescribeGroupsRequest {
            groups: groups.map(str::to_owned).to_vec(),
            include_authorized_operations: true,
        };
        let answer: DescribeGroupsResponse = operator.client.ask(ApiKey::DescribeGroups, 6, &request).await;
        let bits: Vec<i32> = answer.groups.iter().map(|group| group.authorized_operations).collect();
        assert_eq!(bits, [264, 256, 320, i32::MIN, i32::MIN]);
        let all = "d:-:Empty:classic n:-:Empty:classic r:-:Empty:classic x:-:Empty:classic";
        assert_eq!(operator.list(5, &[], &[]).await, all);
        permissions.set(ResourceType::Cluster, "kafka-cluster", None);
        assert_eq!(operator.list(5, &[], &[]).await, all.replace("n:-:Empty:classic ", ""));
        let request = FindCoordinatorRequest {
            coordinator_keys: groups.map(str::to_owned).to_vec(),
            ..Default::default()
        };
        let answer: FindCoordinatorResponse = operator.client.ask(ApiKey::FindCoordinator, 4, &request).await;
        let told: Vec<_> = answer
            .coordinators
            .iter()
            .map(|row| (row.key.as_str(), name_of(row.error_code), row.node_id, row.error_message.as_deref()))
            .collect();
        let found = |group| (group, "NONE", 1, Some(""));
        assert_eq!(told, [found("r"), found("d"), found("x"), ("n", REFUSED, -1, Some("")), found("none")]);
        for version in 0..=3 {
            let request = FindCoordinatorRequest { key: "n".to_owned(), ..Default::default() };
            let answer: FindCoordinatorResponse =
                operator.client.ask(ApiKey::FindCoordinator, version, &request).await;
            assert_eq!((name_of(answer.error_code), answer.node_id, answer.port), (REFUSED, -1, -1));
            if version > 0 {
                assert_eq!(answer.error_message.as_deref(), Some("Group authorization failed."));
            }
        }
        node.stop().await;
    });
}
