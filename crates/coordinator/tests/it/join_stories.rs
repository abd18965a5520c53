//! Joining, rebalancing and assigning, as stories.
//!
//! Owns: steps and what is expected. Does not own: how they are played.

use std::time::Duration;

use ottla_coordinator::GroupConfig;

use crate::script::{check, check_with};

/// Two members, assigned: `a` leads.
const PAIR: &str = "join a | sync a a=1 | join b | join a | sync a a=1 b=2 | sync b | then";

fn delayed(millis: u64) -> GroupConfig {
    GroupConfig { initial_rebalance_delay: Duration::from_millis(millis), ..GroupConfig::default() }
}

fn small(members_max: usize) -> GroupConfig {
    GroupConfig { members_max, ..delayed(0) }
}

/// GRP-12, GRP-13
#[test]
fn the_first_member_leads_generation_one() {
    check("join a | sync a a=1", "a in 1 by range under a of a, a has 1");
}

/// GRP-12, GRP-13
#[test]
fn a_second_member_makes_everybody_join_again() {
    check(
        "join a | sync a a=1 | then | join b | beat a | join a | sync b | sync a a=1 b=2",
        "a beat: the group rebalances: join again, a in 2 by range under a of a+b, b in 2 by range under a, \
         a has 1, b has 2",
    );
}

/// GRP-02
#[test]
fn calls_of_members_need_the_name_of_a_group() {
    let nameless = "the group id is empty";
    let mut story = String::from("in g |");
    for call in ["join a", "sync a", "beat a", "leave a", "drop t-0"] {
        story += &format!("nameless {call} |");
    }
    check(
        &story,
        &format!(
            "a join: {nameless}, a sync: {nameless}, a beat: {nameless}, leave: {nameless}, drop: {nameless}"
        ),
    );
}

/// GRP-02
#[test]
fn offsets_may_belong_to_the_group_without_a_name() {
    check(
        "nameless commit - t-0=5 | nameless fetch t-0 | nameless drop group",
        "- committed, t-0=5, group dropped",
    );
}

/// JoinGroup in the table of 6.2: session timeouts have bounds, checked after the group id.
#[test]
fn a_session_timeout_outside_the_bounds_is_refused() {
    check(
        "join a session=5999 | join a session=1800001 | join a session=1800000",
        "a join: session timeout 5.999s lies outside 6s..=1800s, a join: session timeout 1800.001s lies outside \
         6s..=1800s, a in 1 by range under a of a",
    );
    check("nameless join a session=1", "a join: the group id is empty");
}

/// JoinGroup in the table of 6.2: nobody can come back to a group that does not exist.
#[test]
fn a_member_id_in_an_unknown_group_is_unknown() {
    check("join a id=a-1 | list", "a join: the member is not known, []");
}

/// JoinGroup in the table of 6.2, KIP-394
#[test]
fn a_new_member_is_given_an_id_and_comes_back_with_it() {
    check(
        "join a asks | log | join a asks | sync a a=1",
        "a join: the member must come back with the id it is given, 1 records, a in 1 by range under a of a, a has 1",
    );
}

/// JoinGroup in the table of 6.2, KIP-394: a rebalance waits for ids that were given out, for as long as a session.
#[test]
fn a_rebalance_waits_for_members_that_were_given_an_id() {
    let waiting = format!("{PAIR} | join c asks | join a | join b");
    check(
        &format!("{waiting} | join c"),
        "c join: the member must come back with the id it is given, a in 3 by range under a of a+b+c, \
         b in 3 by range under a, c in 3 by range under a",
    );
    check(
        &format!("{waiting} | at 9999 | waiting | at 10000"),
        "c join: the member must come back with the id it is given, 2 wait, \
         a in 3 by range under a of a+b, b in 3 by range under a",
    );
    check(
        &format!("{waiting} | leave c"),
        "c join: the member must come back with the id it is given, \
         a in 3 by range under a of a+b, b in 3 by range under a, left",
    );
}

/// JoinGroup in the table of 6.2: no protocols, no type, or none in common.
#[test]
fn a_member_must_share_a_protocol_with_all_others() {
    check(
        "join a by= | join b type= | list",
        "a join: the member shares no protocol with the group, b join: the member shares no protocol with the group, \
         [g:-:Empty:classic]",
    );
    check(
        &format!("{PAIR} | join c by=rr:t | join c type=connect | beat a"),
        "c join: the member shares no protocol with the group, c join: the member shares no protocol with the group, \
         a lives",
    );
}

/// GRP-12: each votes for its first protocol among those all support.
#[test]
fn the_protocol_with_most_votes_among_the_common_ones_wins() {
    check_with(
        delayed(100),
        "join a by=x,range,rr | join b by=rr,range | join c by=rr,y,range | at 1000",
        "a in 1 by rr under a of a+b+c, b in 1 by rr under a, c in 1 by rr under a",
    );
}

/// JoinGroup in the table of 6.2: the group is full.
#[test]
fn a_full_group_takes_nobody_new() {
    check_with(
        small(1),
        "join a | join b | sync a a=1 | join b | beat a",
        "a in 1 by range under a of a, b join: the group has 1 members already, a has 1, \
         b join: the group has 1 members already, a lives",
    );
}

/// JoinGroup in the table of 6.2: a group that became too large sheds the last ones to rejoin.
#[test]
fn an_overfull_group_keeps_those_who_rejoin_first() {
    let two = format!("{PAIR} | join c | join b | join a | sync a a=1 b=2 c=3 | sync b | sync c | then");
    let story = format!("{two} | shrink 2 | restart | beat a | join c | join b | join a | beat b");
    check(
        &story,
        "a beat: the group rebalances: join again, b in 4 by range under b of b+c, \
         c in 4 by range under b, a join: the group has 2 members already, b lives",
    );
}

/// GRP-11
#[test]
fn an_empty_group_waits_for_more_members() {
    check_with(delayed(3000), "join a | at 2999 | waiting | at 3000", "1 wait, a in 1 by range under a of a");
}

/// GRP-11: each part of the wait in which somebody came is followed by another, up to the rebalance timeout.
#[test]
fn newcomers_extend_the_wait_up_to_the_rebalance_timeout() {
    check_with(
        delayed(3000),
        "join a rebalance=8000 | at 2000 | join b rebalance=8000 | at 5000 | join c rebalance=8000 | at 7000 | \
         join d rebalance=8000 | at 7999 | waiting | at 8000 | waiting",
        "4 wait, a in 1 by range under a of a+b+c+d, b in 1 by range under a, c in 1 by range under a, \
         d in 1 by range under a, 0 wait",
    );
    check_with(
        delayed(3000),
        "join a | at 2000 | join b | at 5999 | waiting | at 6000",
        "2 wait, a in 1 by range under a of a+b, b in 1 by range under a",
    );
}

/// GRP-13
#[test]
fn a_leader_that_leaves_is_followed_by_the_longest_standing_member() {
    check(
        &format!(
            "{PAIR} | join c | join b | join a | sync a a=1 b=2 c=3 | sync b | sync c | then | leave a | join c | join b"
        ),
        "left, b in 4 by range under b of b+c, c in 4 by range under b",
    );
}

/// The existing member joins again, in Stable (TRAP-26).
#[test]
fn a_follower_that_joins_again_unchanged_does_not_rebalance() {
    check(&format!("{PAIR} | join b | sync b | beat a"), "b in 2 by range under a, b has 2, a lives");
}

/// The existing member joins again, in Stable (TRAP-26).
#[test]
fn a_leader_or_a_changed_member_that_joins_again_rebalances() {
    let rebalances = "the group rebalances: join again";
    check(&format!("{PAIR} | join a | beat b"), &format!("b beat: {rebalances}"));
    check(&format!("{PAIR} | join b by=range:t+u | beat a"), &format!("a beat: {rebalances}"));
}

/// The existing member joins again, in CompletingRebalance.
#[test]
fn a_member_that_lost_its_answer_gets_it_again() {
    let completing = "join a | sync a a=1 | join b | join a | then";
    check(
        &format!("{completing} | join a | join b | sync b | sync a a=1 b=2"),
        "a in 2 by range under a of a+b, b in 2 by range under a, a has 1, b has 2",
    );
    check(
        &format!("{completing} | sync b | join a by=range:u | join b"),
        "b sync: the group rebalances: join again, a in 3 by range under a of a+b, b in 3 by range under a",
    );
}

/// JoinGroup in the table of 6.2: a second join of one member takes the place of the first.
#[test]
fn a_member_that_joins_twice_is_answered_twice() {
    check(
        &format!("{PAIR} | join a | join a | join b"),
        "a join: the member joined again, a in 3 by range under a of a+b, b in 3 by range under a",
    );
}

/// SyncGroup in the table of 6.2, TRAP-27
#[test]
fn a_member_without_a_part_gets_an_empty_assignment() {
    check(
        "join a | sync a a=1 | join b | join a | then | sync b | sync a a=1 stranger=9 | describe",
        "a has 1, b has nothing, Stable consumer range a(13:1) b(13:)",
    );
}

/// SyncGroup in the table of 6.2
#[test]
fn a_sync_is_checked_for_member_generation_and_protocol() {
    check(
        &format!(
            "sync a | {PAIR} | sync x gen=2 | sync b gen=1 | sync b type=connect | sync b by=rr | \
             sync b type=consumer by=range | join c | sync b"
        ),
        "x sync: the member is not known, b sync: generation Some(GenerationId(1)) is not the current one, 2, \
         b sync: the member speaks of another protocol than the group chose, \
         b sync: the member speaks of another protocol than the group chose, b has 2, \
         b sync: the group rebalances: join again",
    );
    check("sync a gen=1", "a sync: the member is not known");
    check(
        "join a by= | sync a gen=0",
        "a join: the member shares no protocol with the group, a sync: the member is not known",
    );
}

/// GRP-14
#[test]
fn members_that_do_not_ask_for_their_assignment_are_removed() {
    check(
        "join a rebalance=9000 | sync a a=1 | join b rebalance=9000 | join a rebalance=9000 | then | sync a a=1 b=2 | \
         at 8000 | beat a | beat b | at 9000 | beat b | beat a | join a rebalance=9000",
        "a has 1, a lives, b lives, b beat: the member is not known, a beat: the group rebalances: join again, \
         a in 3 by range under a of a",
    );
}

/// GRP-14: also while the leader is the one who is missing.
#[test]
fn a_leader_that_does_not_assign_is_removed() {
    check(
        "join a rebalance=9000 | sync a a=1 | join b rebalance=9000 | join a rebalance=9000 | then | sync b | \
         at 8000 | beat a | at 9000 | join b",
        "a lives, b sync: the group rebalances: join again, b in 3 by range under b of b",
    );
}

/// GRP-10
#[test]
fn members_that_do_not_rejoin_in_time_are_removed() {
    check(
        "join a rebalance=8000 | sync a a=1 | join b rebalance=9000 | join a rebalance=8000 | sync a a=1 b=2 | sync b | then | \
         join a rebalance=8000 | at 8999 | waiting | at 9000 | beat b",
        "1 wait, a in 3 by range under a of a, b beat: the member is not known",
    );
}

/// GRP-16
#[test]
fn other_protocol_types_are_opaque_bytes() {
    check(
        "join w type=connect by=sessioned:~xyz | sync w w=1 | describe | join s type=sr",
        "w in 1 by sessioned under w of w, w has 1, Stable connect sessioned w(3:1), \
         s join: the member shares no protocol with the group",
    );
}

/// GRP-17: the members of a cooperative rebalance join again right after they were assigned.
#[test]
fn members_may_join_again_right_after_they_became_stable() {
    check(
        &format!(
            "{PAIR} | join b by=range:t+u | join a | sync a a=1 b=2 | sync b | join b by=range:t | join a | sync a b=3 | sync b"
        ),
        "a in 3 by range under a of a+b, b in 3 by range under a, a has 1, b has 2, \
         a in 4 by range under a of a+b, b in 4 by range under a, a has nothing, b has 3",
    );
}

/// OFF-09
#[test]
fn the_phases_have_the_names_tools_know() {
    check(
        "describe | join a asks | describe | join a | describe | sync a a=1 | describe | join b | describe | leave a | leave b | describe",
        "describe: Group g not found., a join: the member must come back with the id it is given, Empty - -, \
         a in 1 by range under a of a, CompletingRebalance consumer - a(0:), a has 1, \
         Stable consumer range a(13:1), PreparingRebalance consumer - a(0:1) \"b-03030303-0303-4303-8303-030303030303\"(0:), \
         b in 2 by range under b of b, left, left, Empty consumer -",
    );
}
