//! A node is stopped and started while its groups are in each of their states (TRAP-39).
//!
//! Owns: what is asked and expected; Kafka 4.3.1 was seen to do the same.
//! Does not own: what groups do while the node runs (`membership`).

use ottla_server::RunningNode;

use crate::member::{Member, pair, subscription};
use crate::node::{Client, Home, run, start};
use crate::operator::{Committer, Operator, name_of};

const TOPICS: &[(&str, i32)] = &[("t", 2), ("u", 2)];

/// The same members on connections to the node that was started anew.
async fn reconnect(node: &RunningNode, members: [Member; 2]) -> [Member; 2] {
    let [a, b] = members;
    let (one, other) = (Client::connect(node).await, Client::connect(node).await);
    [Member { client: one, ..a }, Member { client: other, ..b }]
}

async fn new_pair(node: &RunningNode, group: &str) -> [Member; 2] {
    let (a, b) = pair(Member::new(node, 9, group).await, Member::new(node, 9, group).await).await;
    [a, b]
}

async fn restart(home: &Home, node: RunningNode) -> (RunningNode, Operator) {
    node.stop().await;
    let node = start(home, "").await.unwrap();
    let mut operator = Operator::connect(&node).await;
    operator.until_coordinated().await;
    (node, operator)
}

/// TRAP-39: members of a stable group, among them a static one, notice nothing.
#[test]
fn a_stable_group_goes_on_after_a_restart() {
    run(async {
        let home = Home::new();
        let node = start(&home, "").await.unwrap();
        let mut operator = Operator::with_topics(&node, TOPICS).await;
        let b = Member::new(&node, 9, "g").await.with_instance("i");
        let (a, b) = pair(Member::new(&node, 9, "g").await, b).await;
        let who = Committer { generation: 2, member: &a.id, ..Default::default() };
        assert_eq!(operator.commit((9, "g"), who, "t-0=5~meta").await, "t-0 NONE");
        let before = operator.describe(6, &["g"]).await;
        let (node, mut operator) = restart(&home, node).await;
        assert_eq!(operator.describe(6, &["g"]).await, before);
        let [mut a, mut b] = reconnect(&node, [a, b]).await;
        assert_eq!((a.beat().await, b.beat().await), ("NONE", "NONE"));
        assert_eq!((a.sync(&[]).await.as_str(), b.sync(&[]).await.as_str()), ("A", "B"));
        assert_eq!(operator.fetch(9, "g", None).await, "t-0=5~meta");
        let mut again = Member::new(&node, 9, "g").await.with_instance("i");
        assert_eq!(again.join().await.generation_id, 2);
        assert_eq!(b.beat().await, "FENCED_INSTANCE_ID");
        // The one who leads is still the one who led.
        a.begin_join().await;
        operator.until("g", "PreparingRebalance", 2).await;
        again.begin_join().await;
        let answer = a.joined().await;
        assert_eq!((answer.generation_id, answer.members.len(), &answer.leader), (3, 2, &a.id));
        node.stop().await;
    });
}

/// TRAP-39: a rebalance that was not completed is forgotten: the group is in its last generation, members that go on as
/// if they had rebalanced are told so, and the next rebalance goes through.
#[test]
fn a_rebalance_is_forgotten_by_a_restart() {
    run(async {
        let home = Home::new();
        let node = start(&home, "").await.unwrap();
        let mut operator = Operator::with_topics(&node, TOPICS).await;
        let [mut a, b] = new_pair(&node, "preparing").await;
        a.begin_join().await;
        operator.until("preparing", "PreparingRebalance", 2).await;
        let preparing = [a, b];
        let [mut a, mut b] = new_pair(&node, "completing").await;
        b.protocols = vec![("range".to_owned(), subscription(&["t", "u"]))];
        b.begin_join().await;
        operator.until("completing", "PreparingRebalance", 2).await;
        a.join().await;
        b.joined().await;
        b.begin_sync().await;
        assert_eq!(operator.look("completing").await, ("CompletingRebalance".to_owned(), 2));
        let completing = [a, b];
        let (node, mut operator) = restart(&home, node).await;
        for members in [preparing, completing] {
            let [mut a, mut b] = reconnect(&node, members).await;
            let group = a.group.clone();
            let described = operator.describe(6, &[&group]).await.remove(0);
            assert_eq!((described.group_state.as_str(), described.members.len()), ("Stable", 2));
            let parts: Vec<_> =
                described.members.iter().map(|member| member.member_assignment.clone()).collect();
            assert_eq!(parts, ["A", "B"]);
            if group == "completing" {
                assert_eq!((a.generation, a.beat().await), (3, "ILLEGAL_GENERATION"));
                (a.generation, b.generation) = (2, 2);
            }
            assert_eq!((a.beat().await, b.sync(&[]).await.as_str()), ("NONE", "B"));
            b.protocols = vec![("range".to_owned(), subscription(&["u"]))];
            b.begin_join().await;
            operator.until(&group, "PreparingRebalance", 2).await;
            assert_eq!(a.beat().await, "REBALANCE_IN_PROGRESS");
            let answer = a.join().await;
            assert_eq!((answer.generation_id, answer.members.len()), (3, 2));
            b.joined().await;
            let id = b.id.clone();
            assert_eq!(a.sync(&[(&id, "B2")]).await, "");
            assert_eq!(b.sync(&[]).await, "B2");
        }
        node.stop().await;
    });
}

/// TRAP-39: an empty group keeps its generation and its offsets. A first generation that was never assigned, and ids
/// that were given out, are forgotten, but not the group.
#[test]
fn an_empty_group_goes_on_counting_after_a_restart() {
    run(async {
        let home = Home::new();
        let node = start(&home, "").await.unwrap();
        let mut operator = Operator::with_topics(&node, TOPICS).await;
        let [mut a, mut b] = new_pair(&node, "empty").await;
        let who = Committer { generation: 2, member: &a.id, ..Default::default() };
        assert_eq!(operator.commit((9, "empty"), who, "t-0=5").await, "t-0 NONE");
        a.leave().await;
        b.leave().await;
        assert_eq!(operator.look("empty").await, ("Empty".to_owned(), 0));
        let mut first = Member::new(&node, 3, "first").await;
        first.join().await;
        let mut pending = Member::new(&node, 9, "pending").await;
        pending.get_id().await;
        let (node, mut operator) = restart(&home, node).await;
        let listed = "empty:consumer:Empty:classic first:-:Empty:classic pending:-:Empty:classic";
        assert_eq!(operator.list(5, &[], &[]).await, listed);
        assert_eq!(operator.fetch(9, "empty", None).await, "t-0=5");
        let mut c = Member::new(&node, 9, "empty").await;
        assert_eq!(c.join().await.generation_id, 4);
        let [mut first, mut pending] = reconnect(&node, [first, pending]).await;
        for member in [&mut first, &mut pending] {
            assert_eq!(member.beat().await, "UNKNOWN_MEMBER_ID");
            assert_eq!(name_of(member.try_join().await.error_code), "UNKNOWN_MEMBER_ID");
            member.id.clear();
            assert_eq!(member.join().await.generation_id, 1);
        }
        node.stop().await;
    });
}

/// GRP-15, TRAP-39: sessions begin anew with the node; whoever does not come back is removed after one.
#[test]
fn members_that_do_not_come_back_after_a_restart_expire() {
    run(async {
        let home = Home::new();
        let more = "group.min.session.timeout.ms=100";
        let node = start(&home, more).await.unwrap();
        Operator::with_topics(&node, TOPICS).await;
        let mut members = [Member::new(&node, 9, "g").await, Member::new(&node, 9, "g").await];
        for member in &mut members {
            member.session_ms = 2_000;
        }
        let [a, b] = members;
        let (a, b) = pair(a, b).await;
        node.stop().await;
        let node = start(&home, more).await.unwrap();
        let mut operator = Operator::connect(&node).await;
        operator.until_coordinated().await;
        let [mut a, mut b] = reconnect(&node, [a, b]).await;
        while a.beat().await == "NONE" {}
        let answer = a.join().await;
        assert_eq!((answer.generation_id, answer.members.len()), (3, 1));
        assert_eq!(b.beat().await, "UNKNOWN_MEMBER_ID");
        let id = a.id.clone();
        assert_eq!(a.sync(&[(&id, "A")]).await, "A");
        operator.until("g", "Empty", 0).await;
        node.stop().await;
    });
}
