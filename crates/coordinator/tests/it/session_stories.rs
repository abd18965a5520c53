//! Heartbeats, sessions and restarts, as stories.
//!
//! Owns: steps and what is expected. Does not own: how they are played.

use crate::script::check;

/// Two members, assigned: `a` leads.
const PAIR: &str = "join a | sync a a=1 | join b | join a | sync a a=1 b=2 | sync b | then";

/// GRP-15
#[test]
fn a_member_that_is_silent_for_a_session_is_removed() {
    check(
        &format!("{PAIR} | at 9000 | beat a | at 9999 | beat a | at 10000 | beat a | beat b | join a"),
        "a lives, a lives, a beat: the group rebalances: join again, b beat: the member is not known, \
         a in 3 by range under a of a",
    );
}

/// GRP-15
#[test]
fn the_last_member_that_is_silent_leaves_an_empty_group() {
    check(
        "join a | sync a a=1 | at 10000 | describe | log",
        "a in 1 by range under a of a, a has 1, Empty consumer -, 3 records",
    );
}

/// GRP-15
#[test]
fn heartbeats_syncs_and_commits_prove_a_member_alive() {
    check(
        "join a | sync a a=1 | then | at 9000 | beat a | at 18000 | commit a t-0=1 | at 27000 | sync a | at 36000 | join a | sync a a=1 | at 45000 | beat a",
        "a lives, a committed, a has 1, a in 2 by range under a of a, a has 1, a lives",
    );
}

/// GRP-15
#[test]
fn a_member_with_a_parked_request_does_not_expire() {
    check(
        "join a rebalance=60000 session=50000 | sync a a=1 | join b session=6000 rebalance=60000 | \
         join a rebalance=60000 session=50000 | sync a a=1 b=2 | sync b | then | \
         join b session=6000 rebalance=60000 by=range:u | at 40000 | join a rebalance=60000 session=50000",
        "a in 3 by range under a of a+b, b in 3 by range under a",
    );
    check(
        "join a session=50000 | sync a a=1 | join b session=6000 | join a session=50000 | then | sync b | at 40000 | sync a b=2 | beat b",
        "a has nothing, b has 2, b lives",
    );
}

/// A new member cannot send heartbeats before it knows its id; its parked join ends after five minutes.
#[test]
fn a_new_member_that_waits_too_long_is_told_to_join_anew() {
    check(
        "join a session=1800000 rebalance=1000000 | sync a a=1 | then | join b | at 299999 | waiting | at 300000 | beat a",
        "1 wait, b join: the member is not known, a beat: the group rebalances: join again",
    );
}

/// Heartbeat in the table of 6.2
#[test]
fn a_heartbeat_is_checked_for_member_and_generation() {
    check(
        &format!("beat a | {PAIR} | beat x gen=2 | beat a gen=1 | beat a gen=-1 | beat a"),
        "x beat: the member is not known, a beat: generation Some(GenerationId(1)) is not the current one, 2, \
         a beat: generation None is not the current one, 2, a lives",
    );
    check(
        "beat a gen=1 | join a by= | beat a gen=0",
        "a beat: the member is not known, a join: the member shares no protocol with the group, a beat: the member is not known",
    );
}

/// Heartbeat in the table of 6.2
#[test]
fn a_heartbeat_is_welcome_while_the_leader_assigns() {
    check("join a | beat a", "a in 1 by range under a of a, a lives");
}

/// LeaveGroup in the table of 6.2
#[test]
fn a_member_that_leaves_makes_the_others_join_again() {
    check(
        &format!("{PAIR} | leave b | beat a | join a | leave b | leave a | leave a | describe"),
        "left, a beat: the group rebalances: join again, a in 3 by range under a of a, the member is not known, left, \
         the member is not known, Empty consumer -",
    );
}

/// LeaveGroup in the table of 6.2
#[test]
fn nobody_leaves_a_group_that_does_not_exist() {
    check("leave a b | list", "the member is not known + the member is not known, []");
}

/// GRP-12: generations go on over an empty group.
#[test]
fn a_group_that_comes_back_to_life_goes_on_counting() {
    check(
        "join a | sync a a=1 | leave a | join b type=connect | restart | join c type=connect",
        "a in 1 by range under a of a, a has 1, left, b in 3 by range under b of b, c in 3 by range under c of c",
    );
}

/// TRAP-39: a restart in Stable.
#[test]
fn after_a_restart_the_members_are_back_and_their_sessions_begin_anew() {
    check(
        &format!(
            "{PAIR} | at 9000 | restart | describe | at 18999 | beat a | sync b | beat b | at 28999 | describe"
        ),
        "Stable consumer range a(13:1) b(13:2), a lives, b has 2, b lives, Empty consumer -",
    );
}

/// TRAP-39: a restart in every other phase finds the generation that was persisted last.
#[test]
fn a_restart_forgets_a_rebalance_that_was_not_completed() {
    check(
        &format!(
            "{PAIR} | join b by=range:u | restart | describe | beat b | sync b | join b by=range:u | join a | sync b"
        ),
        "Stable consumer range a(13:1) b(13:2), b lives, b has 2, a in 3 by range under a of a+b, b in 3 by range under a",
    );
    check(
        &format!("{PAIR} | join b by=range:u | join a | restart | describe | beat b | join b"),
        "a in 3 by range under a of a+b, b in 3 by range under a, Stable consumer range a(13:1) b(13:2), \
         b beat: generation Some(GenerationId(3)) is not the current one, 2, b in 2 by range under a",
    );
    check(
        "join a asks | restart | describe | join a",
        "a join: the member must come back with the id it is given, Empty - -, a join: the member is not known",
    );
    check(
        "join a | sync a a=1 | leave a | restart | describe",
        "a in 1 by range under a of a, a has 1, left, Empty consumer -",
    );
}
