//! Static members (KIP-345), as stories.
//!
//! Owns: steps and what is expected. Does not own: how they are played.

use crate::script::check;

/// `a` leads, `b` has the instance id `i`, both are assigned.
const PAIR: &str = "join a | sync a a=1 | join b/i | join a | sync a a=1 b=2 | sync b/i | then";

/// Join, static instance known (TRAP-26).
#[test]
fn a_static_member_that_restarts_keeps_its_part_without_a_rebalance() {
    check(
        &format!("{PAIR} | join b/i anew | sync b/i | beat b/i | beat a"),
        "b in 2 by range under a, b has 2, b lives, a lives",
    );
}

/// Join, static instance known: the former id is fenced.
#[test]
fn the_former_id_of_a_static_member_is_fenced() {
    check(
        &format!(
            "{PAIR} | rename b old | join b/i anew | beat old/i | join old/i | sync old/i gen=2 | \
             commit old/i gen=2 t-0=1 | leave old/i | beat old gen=2"
        ),
        "b in 2 by range under a, old beat: the instance id belongs to another member by now, \
         old join: the instance id belongs to another member by now, \
         old sync: the instance id belongs to another member by now, \
         old commit: the instance id belongs to another member by now, \
         the instance id belongs to another member by now, old beat: the member is not known",
    );
}

/// Join, static instance known: a request of the former id that is parked is fenced at once.
#[test]
fn a_parked_request_of_the_former_id_is_fenced() {
    check(
        &format!("{PAIR} | join b/i by=range:u | join b/i anew | waiting"),
        "b join: the instance id belongs to another member by now, 1 wait",
    );
    check(
        "join a | sync a a=1 | join b/i | join a | then | sync b/i | join b/i anew | join a",
        "b sync: the instance id belongs to another member by now, a in 3 by range under a of a+b, b in 3 by range under a",
    );
}

/// KIP-814
#[test]
fn a_static_leader_that_restarts_is_told_not_to_assign() {
    let alone = "join a/i | sync a/i a=1 | then";
    check(
        &format!("{alone} | join a/i anew skips | sync a/i"),
        "a in 1 by range under a of a skipping, a has 1",
    );
    // Older clients are told the former leader's id, so that they do not take themselves for the leader.
    check(
        &format!("{alone} | rename a old | join a/i anew | sync a/i"),
        "a in 1 by range under old, a has 1",
    );
}

/// TRAP-26: the protocols of the new incarnation count.
#[test]
fn a_static_member_that_changes_the_chosen_protocol_rebalances() {
    check(
        "join a/i by=range,rr | sync a/i a=1 | join b by=range,rr | join a/i by=range,rr | sync a/i a=1 b=2 | sync b | then | \
         join a/i anew by=rr | beat b | join b by=range,rr",
        "b beat: the group rebalances: join again, b in 3 by rr under a, a in 3 by rr under a of a+b",
    );
}

/// TRAP-26: the leader may be assigning to the former id right now.
#[test]
fn a_static_member_that_restarts_while_the_leader_assigns_rebalances() {
    check(
        "join a | sync a a=1 | join b/i | join a | then | join b/i anew | sync a a=1 | join a",
        "a sync: the group rebalances: join again, a in 3 by range under a of a+b, b in 3 by range under a",
    );
}

/// GRP-10
#[test]
fn a_static_member_that_does_not_rejoin_stays_until_its_session_ends() {
    check(
        "join a/i session=30000 rebalance=5000 | sync a/i a=1 | join b rebalance=5000 | join a/i session=30000 rebalance=5000 | \
         sync a/i a=1 b=2 | sync b | then | join b rebalance=5000 by=range:u | at 5000 | sync b b=9 | at 9999 | beat b | at 10000 | join b rebalance=5000 by=range:u",
        "b in 3 by range under b of a+b, b has 9, b lives, b in 4 by range under b of b",
    );
}

/// GRP-10: nobody rejoins, all are static: the group waits on.
#[test]
fn a_group_of_absent_static_members_waits_for_their_sessions() {
    check(
        "join a/i session=30000 rebalance=5000 | sync a/i a=1 | join b/j session=30000 rebalance=5000 | join a/i session=30000 rebalance=5000 | \
         sync a/i a=1 b=2 | sync b/j | then | leave -/j | at 16000 | describe | at 30000 | describe",
        "left, PreparingRebalance consumer - a(0:1), Empty consumer -",
    );
}

/// KIP-345: an operator removes static members by their instance ids.
#[test]
fn an_operator_removes_members_by_instance_id() {
    check(
        &format!("{PAIR} | leave -/i -/nobody - | join a | log"),
        "left + the member is not known + the member is not known, a in 3 by range under a of a, 3 records",
    );
}

/// KIP-345: one rebalance for all that leave.
#[test]
fn members_leave_together() {
    check(
        &format!("{PAIR} | leave a b/i stranger | describe | log"),
        "left + left + the member is not known, Empty consumer -, 4 records",
    );
}

/// Member checks in the table of 6.2
#[test]
fn an_instance_that_is_not_known_has_no_member() {
    check(
        &format!("{PAIR} | join x/nobody id=x | beat a/nobody | leave a/nobody | beat a/i"),
        "x join: the member is not known, a beat: the member is not known, the member is not known, \
         a beat: the instance id belongs to another member by now",
    );
}

/// GRP-18: the new id of a static member was not persisted.
#[test]
fn a_static_member_keeps_its_former_id_when_the_new_one_is_not_persisted() {
    check(
        &format!("{PAIR} | rename b old | fail failed | join b/i anew | beat old/i gen=2 | sync old/i gen=2"),
        "b join: the coordinator could not commit the change, old lives, old has 2",
    );
}

/// GRP-18, TRAP-39: a restart knows the id that was committed last.
#[test]
fn a_restart_knows_the_present_id_of_a_static_member() {
    check(
        &format!(
            "{PAIR} | rename b old | join b/i anew | restart | beat old/i gen=2 | beat b/i | sync b/i | beat a"
        ),
        "b in 2 by range under a, old beat: the instance id belongs to another member by now, b lives, b has 2, a lives",
    );
}
