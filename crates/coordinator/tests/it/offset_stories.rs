//! Offsets: committed, fetched, deleted and expired, as stories.
//!
//! Owns: steps and what is expected. Does not own: how they are played.

use std::time::Duration;

use ottla_coordinator::GroupConfig;

use crate::script::{check, check_with};

/// Two members, assigned, of topic `t`: `a` leads.
const PAIR: &str = "join a | sync a a=1 | join b | join a | sync a a=1 b=2 | sync b | then";

/// Offsets are kept for 100 s and looked at every 10 s.
fn forgetful() -> GroupConfig {
    GroupConfig {
        initial_rebalance_delay: Duration::ZERO,
        offsets_retention: Duration::from_secs(100),
        offsets_retention_check_interval: Duration::from_secs(10),
        ..GroupConfig::default()
    }
}

/// OFF-01, OFF-03
#[test]
fn what_is_committed_is_fetched() {
    check(
        "commit - t-0=5 t-1=6 u-0=7 meta=m epoch=3 | fetch t-0 t-1 t-2 v-0 | fetch all",
        "- committed + committed + committed, t-0=5e3m t-1=6e3m t-2=none v-0=none, t-0=5e3m t-1=6e3m u-0=7e3m",
    );
}

/// OFF-03
#[test]
fn a_group_that_does_not_exist_has_no_offsets_and_no_error() {
    check("fetch t-0 t-0 | fetch all | list", "t-0=none t-0=none, no offsets, []");
}

/// OFF-01: Kafka keeps any number as it is.
#[test]
fn a_negative_position_is_kept_as_it_is() {
    check("commit - t-0=-5 | fetch t-0", "- committed, t-0=-5");
}

/// OFF-01, TRAP-18
#[test]
fn metadata_are_limited_in_utf_16_units_partition_by_partition() {
    check(
        "commit - t-0=1 meta=long:4096 | commit - t-1=2 meta=long:4097 | fetch t-1 | counts",
        "- committed, - metadata of 4097 characters, 4096 are allowed, t-1=none, (1, 1)",
    );
    check("commit - t-1=2 meta=long:4097 | list", "- metadata of 4097 characters, 4096 are allowed, []");
}

/// OFF-02
#[test]
fn clients_without_a_group_membership_commit_to_empty_groups_only() {
    check(
        &format!("commit - t-0=1 | {PAIR} | commit - t-0=2 | commit x gen=-1 t-0=2 | fetch t-0"),
        "- commit: the member is not known, x commit: the member is not known, t-0=1",
    );
    check(
        &format!("{PAIR} | leave a b | commit - t-0=2 | commit stranger t-0=3 | fetch t-0"),
        "left + left, - committed, stranger committed, t-0=3",
    );
}

/// OFF-02
#[test]
fn a_generation_in_an_unknown_group_is_refused() {
    check(
        "commit a gen=0 t-0=1 | list",
        "a commit: the group is not known, so nobody has a generation in it, []",
    );
}

/// OFF-02
#[test]
fn a_commit_is_checked_for_member_and_generation() {
    check(
        &format!(
            "{PAIR} | commit x gen=2 t-0=1 | commit a gen=1 t-0=1 | commit a gen=-1 t-0=1 | commit a/i t-0=1 | commit a t-0=1"
        ),
        "x commit: the member is not known, a commit: generation Some(GenerationId(1)) is not the current one, 2, \
         a commit: generation None is not the current one, 2, a commit: the member is not known, a committed",
    );
    check(
        "join a by= | commit a gen=0 t-0=1",
        "a join: the member shares no protocol with the group, a commit: the member is not known",
    );
}

/// OFF-02
#[test]
fn offsets_are_taken_while_members_join_but_not_while_the_leader_assigns() {
    check(
        &format!(
            "{PAIR} | join b by=range:u | commit a t-0=1 | join a | commit a t-0=2 | sync b | sync a | commit a t-0=3 | fetch t-0"
        ),
        "a committed, a in 3 by range under a of a+b, b in 3 by range under a, \
         a commit: the group is about to get its assignment, a has nothing, b has nothing, a committed, t-0=3",
    );
}

/// OFF-06
#[test]
fn partitions_that_are_gone_take_their_offsets_along() {
    check(
        "commit - t-0=1 t-1=2 u-0=3 | in h | commit - t-0=4 | forget t-0 t-5 | fetch all | in g | fetch all | restart | fetch all",
        "- committed + committed + committed, - committed, forgotten, no offsets, t-1=2 u-0=3, t-1=2 u-0=3",
    );
}

/// OFF-07
#[test]
fn offsets_are_deleted_unless_the_group_uses_the_topic() {
    check("drop t-0", "drop: the group is not known");
    check(
        &format!(
            "{PAIR} | commit a t-0=1 u-0=2 | drop u-0 u-1 | drop t-0 | fetch all | leave a b | drop t-0 | fetch all | restart | fetch all"
        ),
        "a committed + committed, dropped, dropped but the group is subscribed to the topic, t-0=1, left + left, dropped, \
         no offsets, no offsets",
    );
}

/// OFF-07
#[test]
fn an_active_group_that_does_not_consume_keeps_its_offsets() {
    check(
        "join w type=connect | sync w w=1 | commit w t-0=1 | then | drop t-0 | leave w | drop t-0 | fetch all",
        "drop: the group has members, and they are no consumers, left, dropped, no offsets",
    );
}

/// OFF-07, GRP-16: consumers whose subscriptions cannot be read may use any topic.
#[test]
fn a_consumer_group_with_unreadable_subscriptions_keeps_its_offsets() {
    check(
        "join a by=range:~x | sync a a=1 | commit a t-0=1 | then | drop t-0 | at 1",
        "dropped but the group is subscribed to the topic",
    );
}

/// OFF-08, TRAP-19
#[test]
fn an_empty_group_is_deleted_with_its_offsets_for_good() {
    check(
        &format!(
            "drop group | commit - t-0=1 | {PAIR} | drop group | leave a b | drop group | list | fetch all | restart | list | fetch all | counts"
        ),
        "drop: the group has members, left + left, group dropped, [], no offsets, [], no offsets, (0, 0)",
    );
    check("drop group", "drop: the group is not known");
}

/// OFF-08: a group that holds more offsets than one append takes.
#[test]
fn a_deletion_of_many_offsets_is_written_in_parts() {
    let many: String = (0..2500).map(|partition| format!(" t-{partition}=1")).collect();
    check(
        &format!("commit -{many} | then | drop group | log | counts | restart | counts"),
        "group dropped, 5001 records, (0, 0), (0, 0)",
    );
}

/// OFF-10
#[test]
fn groups_are_listed_by_state_and_type_without_regard_to_case() {
    let groups = "join a | sync a a=1 | in h | commit - t-0=1 | then";
    check(
        &format!(
            "{groups} | list | list states=sTABLE | list types=CLASSIC | list types=consumer | list states=bogus | list states=empty+stable types=classic+share"
        ),
        "[g:consumer:Stable:classic h:-:Empty:classic], [g:consumer:Stable:classic], \
         [g:consumer:Stable:classic h:-:Empty:classic], [], [], [g:consumer:Stable:classic h:-:Empty:classic]",
    );
}

/// OFF-05: without a protocol type each offset counts from its commit, and the bare group goes.
#[test]
fn offsets_of_a_simple_group_expire_one_by_one() {
    check_with(
        forgetful(),
        "commit - t-0=1 | at 50000 | commit - t-1=2 | then | at 99999 | fetch all | at 100000 | fetch all | at 150000 | \
         fetch all | list | restart | counts",
        "t-0=1 t-1=2, t-1=2, no offsets, [], (0, 0)",
    );
}

/// OFF-05: an empty group counts from when it became empty.
#[test]
fn offsets_of_an_empty_group_expire_together() {
    check_with(
        forgetful(),
        "join a | sync a a=1 | commit a t-0=1 | at 5000 | beat a | then | at 20000 | describe | at 110000 | fetch t-0 | \
         at 119999 | list | at 120000 | fetch t-0 | list",
        "Empty consumer -, t-0=1, [g:consumer:Empty:classic], t-0=none, []",
    );
}

/// OFF-05: after a restart it is still the moment that was persisted.
#[test]
fn a_restart_does_not_make_an_empty_group_younger() {
    check_with(
        forgetful(),
        "join a | sync a a=1 | commit a t-0=1 | leave a | at 95000 | restart | then | fetch t-0 | at 105000 | fetch t-0 | list",
        "t-0=1, t-0=none, []",
    );
}

/// OFF-05: a consumer group that lives keeps what it subscribes to.
#[test]
fn a_living_group_loses_only_what_it_no_longer_subscribes_to() {
    let alive: String = (1..21).map(|beat| format!("at {} | silently beat a |", beat * 9000)).collect();
    check_with(
        forgetful(),
        &format!("join a by=range:t | sync a a=1 | commit a t-0=1 u-0=2 | then | {alive} fetch all"),
        "t-0=1",
    );
    check_with(
        forgetful(),
        &format!("join a type=connect | sync a a=1 | commit a t-0=1 u-0=2 | then | {alive} fetch all"),
        "t-0=1 u-0=2",
    );
}

/// OFF-05: versions 2 to 4 may say how long.
#[test]
fn an_offset_with_a_retention_of_its_own_expires_by_that() {
    check_with(
        forgetful(),
        "commit - t-0=1 keep=15000 | commit - t-1=2 keep=1000000 | then | at 19999 | restart | fetch all | at 29999 | fetch all | at 900000 | fetch all",
        "t-0=1 t-1=2, t-1=2, t-1=2",
    );
}

/// TRAP-19: a group that never had an offset goes with the next look, once it is empty.
#[test]
fn a_bare_group_does_not_stay_for_ever() {
    check_with(
        forgetful(),
        "join a by= | at 9999 | list | at 10000 | list",
        "a join: the member shares no protocol with the group, [g:-:Empty:classic], []",
    );
}
