//! Members of classic groups over a whole node: whole rebalances, the dead and the late, static members, full groups.
//!
//! Owns: what is asked and expected; what Kafka 4.3.1 answers to the same requests.
//! Does not own: the checks of single requests (`member_checks`), restarts (`group_restarts`).

use ottla_server::RunningNode;

use crate::member::{Member, leave, pair, subscription};
use crate::node::{Home, run, start};
use crate::operator::{Committer, Operator, name_of};

const TOPICS: &[(&str, i32)] = &[("t", 2), ("u", 2)];
/// Sessions may be short, so that the dead are noticed soon.
const SHORT_SESSIONS: &str = "group.min.session.timeout.ms=100\n";

async fn beat_until(member: &mut Member, expected: &str) {
    let deadline = ottla_env::time::now() + std::time::Duration::from_secs(10);
    loop {
        let answer = member.beat().await;
        if answer == expected {
            return;
        }
        assert!(ottla_env::time::now() < deadline, "still {answer}");
        ottla_env::task::yield_now().await;
    }
}

/// Three members of a stable group, the first leads.
async fn trio(node: &RunningNode, version: i16, group: &str) -> [Member; 3] {
    let mut members = [
        Member::new(node, version, group).await,
        Member::new(node, version, group).await,
        Member::new(node, version, group).await,
    ];
    for member in &mut members {
        member.session_ms = 2_000;
    }
    let [mut a, b, mut c] = members;
    let mut b = b;
    a.join().await;
    b.begin_join().await;
    beat_until(&mut a, "REBALANCE_IN_PROGRESS").await;
    c.begin_join().await;
    // Everybody is known before the leader comes back, or another round would follow.
    let mut operator = Operator::connect(node).await;
    operator.until(group, "PreparingRebalance", 3).await;
    let answer = a.join().await;
    assert_eq!((answer.leader.as_str(), answer.members.len()), (a.id.as_str(), 3));
    for member in [&mut b, &mut c] {
        let answer = member.joined().await;
        assert_eq!((answer.leader.as_str(), answer.members.len()), (a.id.as_str(), 0));
        assert_eq!(answer.generation_id, a.generation);
    }
    b.begin_sync().await;
    c.begin_sync().await;
    let ids = [a.id.clone(), b.id.clone(), c.id.clone()];
    assert_eq!(a.sync(&[(&ids[0], "A"), (&ids[1], "B"), (&ids[2], "C")]).await, "A");
    assert_eq!((b.synced().await, c.synced().await), ("B".to_owned(), "C".to_owned()));
    [a, b, c]
}

/// GRP-10, GRP-12 to GRP-15: three members join, are assigned and live; one falls silent, and the others go on in a new
/// generation. Their offsets are there.
#[test]
fn when_one_of_three_dies_the_others_share_its_part() {
    run(async {
        let home = Home::new();
        let node = start(&home, SHORT_SESSIONS).await.unwrap();
        let mut operator = Operator::with_topics(&node, TOPICS).await;
        for version in [0, 4, 9] {
            let group = &format!("g{version}");
            let [mut a, mut b, c] = trio(&node, version, group).await;
            assert_eq!((a.beat().await, b.beat().await), ("NONE", "NONE"));
            let who = Committer { generation: c.generation, member: &c.id, ..Default::default() };
            assert_eq!(operator.commit((9, group), who, "t-0=5").await, "t-0 NONE");
            // Both live on until the silence of the third is noticed.
            while a.beat().await == "NONE" {
                assert_ne!(b.beat().await, "UNKNOWN_MEMBER_ID");
            }
            assert_eq!(operator.look(group).await, ("PreparingRebalance".to_owned(), 2));
            let former = a.generation;
            b.begin_join().await;
            let answer = a.join().await;
            assert_eq!((answer.generation_id, answer.members.len()), (former + 1, 2));
            b.joined().await;
            let (one, other) = (a.id.clone(), b.id.clone());
            assert_eq!(a.sync(&[(&one, "A+"), (&other, "B+")]).await, "A+");
            assert_eq!(b.sync(&[]).await, "B+");
            let mut c = c;
            assert_eq!(c.beat().await, "UNKNOWN_MEMBER_ID");
            assert_eq!(operator.fetch(9, group, None).await, "t-0=5");
            assert_eq!((a.leave().await.as_str(), b.leave().await.as_str()), ("NONE NONE", "NONE NONE"));
            assert_eq!(operator.look(group).await, ("Empty".to_owned(), 0));
        }
        node.stop().await;
    });
}

/// GRP-10: the longest of the rebalance timeouts counts, in version 0 the session timeout. Whoever is not back by then
/// is removed, but for a static member.
#[test]
fn a_rebalance_does_not_wait_for_ever() {
    run(async {
        let home = Home::new();
        let node = start(&home, SHORT_SESSIONS).await.unwrap();
        let mut operator = Operator::with_topics(&node, TOPICS).await;
        for version in [0, 5] {
            let group = &format!("g{version}");
            let mut members =
                [Member::new(&node, version, group).await, Member::new(&node, version, group).await];
            for member in &mut members {
                // In version 0 the rebalance timeout is not sent.
                (member.session_ms, member.rebalance_ms) =
                    if version == 0 { (400, 60_000) } else { (60_000, 200) };
            }
            let [a, b] = members;
            let (mut a, mut b) = pair(a, b).await;
            let answer = a.join().await;
            assert_eq!((answer.generation_id, answer.members.len()), (3, 1), "version {version}");
            assert_eq!(b.beat().await, "UNKNOWN_MEMBER_ID");
        }
        let mut members = [Member::new(&node, 5, "s").await, Member::new(&node, 5, "s").await];
        for member in &mut members {
            (member.session_ms, member.rebalance_ms) = (60_000, 200);
        }
        let [a, b] = members;
        let (mut a, mut b) = pair(a, b.with_instance("i")).await;
        let answer = a.join().await;
        assert_eq!((answer.generation_id, answer.members.len()), (3, 2));
        assert_eq!(b.beat().await, "ILLEGAL_GENERATION");
        b.generation = 3;
        assert_eq!(b.beat().await, "NONE");
        operator.until("s", "CompletingRebalance", 2).await;
        node.stop().await;
    });
}

/// GRP-14: members that never ask for their part are removed, the leader among them.
#[test]
fn whoever_never_asks_for_a_part_is_removed() {
    run(async {
        let home = Home::new();
        let node = start(&home, SHORT_SESSIONS).await.unwrap();
        let mut operator = Operator::with_topics(&node, TOPICS).await;
        let mut members = [Member::new(&node, 9, "g").await, Member::new(&node, 9, "g").await];
        for member in &mut members {
            (member.session_ms, member.rebalance_ms) = (60_000, 200);
        }
        let [a, b] = members;
        let (mut a, mut b) = pair(a, b).await;
        b.protocols = vec![("range".to_owned(), subscription(&["t", "u"]))];
        b.begin_join().await;
        operator.until("g", "PreparingRebalance", 2).await;
        a.join().await;
        b.joined().await;
        b.begin_sync().await;
        assert_eq!(b.synced().await, "REBALANCE_IN_PROGRESS");
        assert_eq!((a.beat().await, b.beat().await), ("UNKNOWN_MEMBER_ID", "REBALANCE_IN_PROGRESS"));
        node.stop().await;
    });
}

/// Join, an id that was given out but is not used: a rebalance waits for it as long as a session, then forgets it.
#[test]
fn an_id_that_is_not_used_is_forgotten() {
    run(async {
        let home = Home::new();
        let node = start(&home, SHORT_SESSIONS).await.unwrap();
        let mut operator = Operator::with_topics(&node, TOPICS).await;
        let mut a = Member::new(&node, 9, "g").await;
        a.join().await;
        let mut b = Member::new(&node, 9, "g").await;
        b.session_ms = 1_000;
        b.get_id().await;
        assert_eq!(operator.look("g").await, ("CompletingRebalance".to_owned(), 1));
        let id = a.id.clone();
        assert_eq!((b.beat().await, a.sync(&[(&id, "A")]).await.as_str()), ("UNKNOWN_MEMBER_ID", "A"));
        a.begin_join().await;
        operator.until("g", "PreparingRebalance", 1).await;
        let answer = a.joined().await;
        assert_eq!((answer.generation_id, answer.members.len()), (2, 1));
        let answer = b.try_join().await;
        assert_eq!(name_of(answer.error_code), "UNKNOWN_MEMBER_ID");
        node.stop().await;
    });
}

/// Join, static instance known (TRAP-26): it takes the place of its former self without a rebalance, whose id is fenced
/// in every call.
#[test]
fn a_static_member_comes_back_in_its_own_place() {
    run(async {
        let home = Home::new();
        let node = start(&home, "").await.unwrap();
        let mut operator = Operator::with_topics(&node, TOPICS).await;
        for version in [5, 8, 9] {
            let group = &format!("g{version}");
            let first = Member::new(&node, version, group).await;
            let second = Member::new(&node, version, group).await.with_instance("i");
            let (mut a, mut former) = pair(first, second).await;
            let mut b = Member::new(&node, version, group).await.with_instance("i");
            let answer = b.join().await;
            assert_eq!((answer.generation_id, answer.leader.as_str()), (2, a.id.as_str()));
            assert!(answer.members.is_empty() && !answer.skip_assignment && b.id != former.id);
            assert_eq!(b.sync(&[]).await, "B");
            assert_eq!((a.beat().await, b.beat().await), ("NONE", "NONE"));
            assert_eq!(former.beat().await, "FENCED_INSTANCE_ID");
            assert_eq!(former.sync(&[]).await, "FENCED_INSTANCE_ID");
            let who =
                Committer { generation: 2, member: &former.id, instance: Some("i"), retention_ms: None };
            assert_eq!(operator.commit((9, group), who, "t-0=1").await, "t-0 FENCED_INSTANCE_ID");
            let gone = [(former.id.clone(), Some("i"))];
            assert_eq!(leave(&mut operator.client, 5, group, &gone).await, "NONE FENCED_INSTANCE_ID");
            let answer = former.try_join().await;
            assert_eq!(name_of(answer.error_code), "FENCED_INSTANCE_ID");
            assert_eq!(answer.member_id, former.id);
            former.instance = None;
            assert_eq!(former.beat().await, "UNKNOWN_MEMBER_ID");
            b.instance = Some("nobody".to_owned());
            assert_eq!(b.beat().await, "UNKNOWN_MEMBER_ID");
            a.instance = Some("i".to_owned());
            assert_eq!(a.beat().await, "FENCED_INSTANCE_ID");
            a.instance = None;
            // An operator removes it by its instance id; the rest rebalances.
            let by_instance = [(String::new(), Some("i")), (String::new(), Some("i")), (String::new(), None)];
            assert_eq!(
                leave(&mut operator.client, 5, group, &by_instance).await,
                "NONE NONE UNKNOWN_MEMBER_ID UNKNOWN_MEMBER_ID"
            );
            assert_eq!(a.beat().await, "REBALANCE_IN_PROGRESS");
        }
        node.stop().await;
    });
}

/// KIP-814: a static leader that comes back need not assign. From version 9 on it is told so, with all members; before,
/// it is told the id it had, so that it does not take itself for the leader.
#[test]
fn a_static_leader_that_comes_back_does_not_assign() {
    run(async {
        let home = Home::new();
        let node = start(&home, "").await.unwrap();
        let mut operator = Operator::with_topics(&node, TOPICS).await;
        for version in [5, 8, 9] {
            let group = &format!("g{version}");
            let range = ("range".to_owned(), subscription(&["t"]));
            let changed = ("range".to_owned(), subscription(&["u"]));
            let other = ("rr".to_owned(), subscription(&["u"]));
            let mut former = Member::new(&node, version, group).await.with_instance("i");
            former.protocols = vec![range.clone(), other.clone()];
            former.join().await;
            let id = former.id.clone();
            assert_eq!(former.sync(&[(&id, "A")]).await, "A");
            let mut a = Member::new(&node, version, group).await.with_instance("i");
            a.protocols = vec![range, other.clone()];
            let answer = a.join().await;
            let told = (answer.generation_id, answer.skip_assignment, answer.members.len());
            let leader = answer.leader;
            if version == 9 {
                assert_eq!((told, &leader), ((1, true, 1), &a.id));
            } else {
                assert_eq!((told, &leader), ((1, false, 0), &former.id));
            }
            assert_eq!(a.sync(&[]).await, "A");
            // With other metadata, but the same protocol, nothing changes but what it says.
            let mut again = Member::new(&node, version, group).await.with_instance("i");
            again.protocols = vec![changed, other.clone()];
            assert_eq!(again.join().await.generation_id, 1);
            let described = operator.describe(6, &[group]).await.remove(0);
            assert_eq!(described.group_state, "Stable");
            assert_eq!(described.members[0].member_metadata, subscription(&["u"]));
            // Another protocol is another matter: a new generation, to be assigned.
            let mut last = Member::new(&node, version, group).await.with_instance("i");
            last.protocols = vec![other];
            let answer = last.join().await;
            assert_eq!((answer.generation_id, answer.members.len(), answer.skip_assignment), (2, 1, false));
            assert_eq!(operator.look(group).await, ("CompletingRebalance".to_owned(), 1));
        }
        node.stop().await;
    });
}

/// JoinGroup in the table of 6.2: `group.max.size` comes before any look at who asks.
#[test]
fn a_full_group_takes_nobody_more() {
    run(async {
        let home = Home::new();
        let node = start(&home, "group.max.size=2").await.unwrap();
        let mut operator = Operator::with_topics(&node, TOPICS).await;
        let (mut a, _b) = pair(Member::new(&node, 9, "g").await, Member::new(&node, 9, "g").await).await;
        for version in 0..=9 {
            let mut third = Member::new(&node, version, "g").await;
            for change in ["", "id", "protocol", "instance"] {
                match change {
                    "id" => third.id = "stranger".to_owned(),
                    "protocol" => third.protocols.clear(),
                    "instance" if version >= 5 => third.instance = Some("i".to_owned()),
                    _ => {}
                }
                let answer = third.try_join().await;
                let told = (name_of(answer.error_code), answer.member_id.as_str());
                assert_eq!(told, ("GROUP_MAX_SIZE_REACHED", ""), "version {version} {change}");
            }
        }
        assert_eq!((a.beat().await, operator.look("g").await.1), ("NONE", 2));
        node.stop().await;
    });
}
