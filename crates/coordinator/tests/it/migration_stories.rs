//! Stories of groups that change between the classic and the consumer protocol.
//!
//! Owns: members of both protocols side by side. Does not own: each protocol by itself.

use std::time::Duration;

use ottla_coordinator::GroupConfig;
use ottla_coordinator::group::MigrationPolicy;

use crate::script::play;

#[track_caller]
fn check_with(config: GroupConfig, steps: &str, expected: &str) {
    let mut story = play(config, "");
    story.assign_every(Duration::ZERO);
    for step in steps.split('|') {
        let words: Vec<&str> = step.split_whitespace().collect();
        if !words.is_empty() {
            story.step(&words);
        }
    }
    assert_eq!(story.said.join(", "), expected, "after: {steps}");
}

#[track_caller]
fn check(steps: &str, expected: &str) {
    check_with(
        GroupConfig { initial_rebalance_delay: Duration::ZERO, ..GroupConfig::default() },
        steps,
        expected,
    );
}

/// GRP-03
#[test]
fn an_empty_group_takes_the_protocol_of_who_comes() {
    check(
        "topics a=1 | join c by=range:a | leave c | then | @x join a | list | restart | list",
        "@x at 2 with a0, [g:consumer:Stable:consumer], [g:consumer:Stable:consumer]",
    );
    check(
        "topics a=1 | @x join a | @x leave | then | join c by=range:a | list | restart | list",
        "c in 1 by range under c of c, [g:consumer:CompletingRebalance:classic], [g:-:Empty:classic]",
    );
    check("commit - a-0=1 | topics a=1 | then | @x join a | fetch a-0", "@x at 2 with a0, a-0=1");
}

/// CGP-12
#[test]
fn a_classic_group_becomes_a_consumer_group_under_its_members() {
    let classic = "topics a=2 | join c by=range:a | sync c | then | ";
    check(
        &format!("{classic}@x join a | beat c | consumers"),
        "@x at 2 with a0, c beat: the group rebalances: join again, Reconciling 2/2 uniform: @x at 2 has a0 to have a0; classic c at 1 has  to have a1;",
    );
    check(
        &format!("{classic}@x join a | beat c | join c by=range:a | sync c | beat c | then | consumers"),
        "Stable 2/2 uniform: @x at 2 has a0 to have a0; classic c at 2 has a1 to have a1;",
    );
    // Who does not rejoin in time is put out.
    check(
        "topics a=2 | join c by=range:a rebalance=5000 session=30000 | sync c | then | @x join a | silently beat c | at 5000 | @x beat",
        "@x at 2 with a0, @x at 3 with a0 a1",
    );
}

/// CGP-12
#[test]
fn a_group_that_cannot_change_stays_classic() {
    let config = |policy| {
        let mut config = GroupConfig { initial_rebalance_delay: Duration::ZERO, ..GroupConfig::default() };
        config.consumer.migration = policy;
        config
    };
    let refused = |why: &str| {
        format!(
            "@x: Cannot upgrade classic group g to consumer group because {why}., [g:consumer:Stable:classic]"
        )
    };
    let story = "topics a=1 | join c by=range:a | sync c | then | @x join a | list";
    check_with(config(MigrationPolicy::Disabled), story, &refused("online upgrade is disabled"));
    check_with(config(MigrationPolicy::Downgrade), story, &refused("online upgrade is disabled"));
    check(
        "join c type=connect | sync c | then | @x join a",
        "@x: Cannot upgrade classic group g to consumer group because the group does not use the consumer embedded protocol.",
    );
    check(
        "join c by=range:~ | sync c | then | @x join a",
        "@x: Cannot upgrade classic group g to consumer group because the embedded consumer protocol is malformed.",
    );
    check(
        "topics a=1 | join c by=range:a | sync c | then | @x beat epoch=1",
        "@x: Group g is not a consumer group.",
    );
    // Nobody of the classic protocol gets in any more.
    check_with(
        config(MigrationPolicy::Disabled),
        "topics a=1 | @x join a | then | join c by=range:a",
        "c join: the member shares no protocol with the group",
    );
}

/// CGP-12
#[test]
fn classic_members_may_join_a_consumer_group() {
    check(
        "topics a=2 | @x join a | then | join c by=range:a asks | join c by=range:a | sync c | @x beat | @x beat has | beat c",
        "c join: the member must come back with the id it is given, c in 3 by range under nobody, c has \0\0\0\0\0\0����, @x at 2 with a0, @x at 3, c beat: the group rebalances: join again",
    );
    check(
        "topics a=1 | @x join a | then | join c type=connect",
        "c join: the member shares no protocol with the group",
    );
    check(
        "topics a=1 | @x join a | join c by=range:a | then | beat c gen=7 | beat z gen=1 | beat @x gen=1 | sync c by=best",
        "c beat: generation Some(GenerationId(7)) is not the current one, 3, z beat: the member is not known, @x beat: the member is not known, c sync: the member speaks of another protocol than the group chose",
    );
}

/// CGP-12
#[test]
fn the_last_consumer_that_leaves_makes_the_group_classic() {
    let mixed = "topics a=2 | join c by=range:a | sync c | @x join a | silently beat c | join c by=range:a | sync c | then | ";
    check(
        &format!("{mixed}@x leave | list | beat c | join c by=range:a"),
        "@x left, [g:consumer:PreparingRebalance:classic], c beat: the group rebalances: join again, c in 3 by range under c of c",
    );
    // It falls silent; the classic member does not.
    check(
        &format!(
            "{mixed}silently at 9000 | silently beat c | silently at 18000 | silently beat c | silently at 27000 | silently beat c | silently at 36000 | silently beat c | silently at 45000 | list"
        ),
        "[g:consumer:PreparingRebalance:classic]",
    );
    check(&format!("{mixed}@x leave | restart | list"), "@x left, [g:consumer:Stable:classic]");
    // The change was not written: the group is what it was.
    check(
        &format!("{mixed}fail moved | @x leave | list | @x beat epoch=2"),
        "@x: this broker is not the coordinator, [g:consumer:Stable:consumer], @x at 2",
    );
}

/// CGP-12: a static member that goes back to the classic protocol takes the group along.
#[test]
fn the_last_consumer_may_turn_into_a_classic_member() {
    check(
        "topics a=2 | @x/i join a | then | join c/i by=range:a | list",
        "c in 2 by range under nobody, [g:consumer:Stable:classic]",
    );
}

/// CGP-12
#[test]
fn a_change_that_was_not_written_leaves_the_classic_group() {
    check(
        "topics a=1 | join c by=range:a | sync c | then | fail moved | @x join a | list | beat c",
        "@x: this broker is not the coordinator, [g:consumer:Stable:classic], c lives",
    );
}
