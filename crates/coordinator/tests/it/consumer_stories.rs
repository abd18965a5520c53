//! Stories of consumer groups: heartbeats, epochs, reconciliation, timers.
//!
//! Owns: what one consumer group does. Does not own: classic members in it (`migration_stories`), random runs.

use std::time::Duration;

use ottla_coordinator::GroupConfig;

use crate::script::{Story, check, check_with, play};

const TWO: &str = "topics a=4 | @x join a | @y join a";

/// Plays what comes before, in which targets are made at once, and compares what comes after.
#[track_caller]
fn check_after(before: &str, steps: &str, expected: &str) {
    let mut story = play(GroupConfig::default(), "");
    story.assign_every(Duration::ZERO);
    tell(&mut story, before);
    story.said.clear();
    tell(&mut story, steps);
    assert_eq!(story.said.join(", "), expected, "after: {before} | {steps}");
}

fn tell(story: &mut Story, steps: &str) {
    for step in steps.split('|') {
        let words: Vec<&str> = step.split_whitespace().collect();
        if !words.is_empty() {
            story.step(&words);
        }
    }
}

/// CGP-01, CGP-05, CGP-06
#[test]
fn the_first_member_gets_everything_with_its_first_answer() {
    check("topics a=2 b=1 | @x join a+b", "@x at 2 with a0 a1 b0");
    check(
        "topics a=2 | @x join a | @x beat | @x beat all",
        "@x at 2 with a0 a1, @x at 2, @x at 2 with a0 a1",
    );
    // A topic that does not exist is waited for.
    check_after("topics a=1 | @x join a+z", "topics z=1 | @x beat", "@x at 3 with a0 z0");
    check("@x join a nameless old", "@x at 2 as CQkJCQkJSQmJCQkJCQkJCQ with nothing");
}

/// CGP-06, CGP-07: who has to give up does so first, and the epoch follows.
#[test]
fn a_second_member_gets_what_the_first_one_gave_up() {
    check_after(
        TWO,
        "consumers",
        "Reconciling 3/3 uniform: @x at 2 has a0 a1 a2 a3 to have a0 a1; @y at 3 has  to have a2 a3;",
    );
    check_after(TWO, "@x beat | @y beat", "@x at 2 with a0 a1, @y at 3");
    check_after(TWO, "@x beat | @x beat has=a0+a1+a2+a3 | @y beat", "@x at 2 with a0 a1, @x at 2, @y at 3");
    check_after(
        TWO,
        "@x beat | @x beat has | @y beat | @x beat | consumers",
        "@x at 2 with a0 a1, @x at 3, @y at 3 with a2 a3, @x at 3, Stable 3/3 uniform: @x at 3 has a0 a1 to have a0 a1; @y at 3 has a2 a3 to have a2 a3;",
    );
}

/// CGP-13: what a member has yet to give up is shown as its own.
#[test]
fn a_partition_that_is_being_given_up_is_still_shown() {
    check_after(
        TWO,
        "@x beat | consumers",
        "@x at 2 with a0 a1, Reconciling 3/3 uniform: @x at 2 has a0 a1 a2 a3 to have a0 a1; @y at 3 has  to have a2 a3;",
    );
}

/// CGP-03: what is not said stays as it is.
#[test]
fn a_member_says_only_what_changed() {
    check_after("topics a=1 b=1 | @x join a", "@x beat names=b", "@x at 2 with nothing");
    check_after(
        "topics a=1 b=1 | @x join a | @x beat names=b",
        "@x beat has | @x beat",
        "@x at 3 with b0, @x at 3",
    );
    check_after(
        "topics a=2 | @x join a",
        "@x beat by=range | consumers",
        "@x at 2, Stable 2/2 range: @x at 2 has a0 a1 to have a0 a1;",
    );
}

/// CGP-04
#[test]
fn an_epoch_that_is_not_the_members_is_fenced() {
    let ahead = "@x: The consumer group member has a greater member epoch (6) than the one known by the group coordinator (3). The member must abandon all its partitions and rejoin.";
    let behind = "@x: The consumer group member has a smaller member epoch (2) than the one known by the group coordinator (3). The member must abandon all its partitions and rejoin.";
    let at_2 = "topics a=1 | @x join a | @x beat names=a+b | @x beat";
    check_after(at_2, "@x beat epoch=6", ahead);
    check_after(at_2, "@x beat epoch=2", behind);
    // Its answer got lost: it has nothing that it should not have.
    check_after(at_2, "@x beat epoch=2 has=a0 | @x beat epoch=2 has=a1", &format!("@x at 3, {behind}"));
    check_after("topics a=1 | @x join a", "@z beat epoch=2", "@z: Member @z is not a member of group g.");
    check("@z beat epoch=2", "@z: Consumer group g not found.");
    check("@z leave", "@z: Group g not found.");
    // It starts over and is told everything.
    check_after(at_2, "@x join a+b", "@x at 3 with a0");
}

/// CGP-02
#[test]
fn a_heartbeat_that_contradicts_itself_is_refused() {
    let refused = |step: &str, why: &str| check(step, &format!("@x: {why}"));
    refused("@x beat epoch=2 nameless", "MemberId can't be empty.");
    refused("@x join a nameless", "MemberId can't be empty.");
    refused("nameless @x join a", "GroupId can't be empty.");
    refused("@x join a instance=", "InstanceId can't be empty.");
    refused("@x join a rack=", "RackId can't be empty.");
    refused("@x join a hasty", "RebalanceTimeoutMs must be provided in first request.");
    refused("@x join a has=a0", "TopicPartitions must be empty when (re-)joining.");
    refused("@x join a silent", "TopicPartitions must be empty when (re-)joining.");
    refused(
        "@x join",
        "Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining.",
    );
    refused("@x away", "InstanceId can't be null.");
    refused("@x beat epoch=-3", "MemberEpoch is invalid.");
    refused(
        "@x join a by=best",
        "ServerAssignor best is not supported. Supported assignors: uniform, range.",
    );
    refused(
        "@x join regex=[",
        "SubscribedTopicRegex `[` is not a valid regular expression: missing closing ].",
    );
}

/// CGP-04
#[test]
fn a_full_group_takes_nobody_in() {
    let mut config = GroupConfig::default();
    config.consumer.members_max = 1;
    check_with(
        config,
        "topics a=1 | @x join a | @y join a | @x beat",
        "@x at 2 with a0, @y: The consumer group has reached its maximum capacity of 1 members., @x at 2",
    );
}

/// CGP-06: the epoch moves at once, the assignment when the last one is old enough.
#[test]
fn assignments_are_made_at_intervals() {
    let story = "topics a=2 | @x join a | @y join a | @y beat | consumers | at 1000 | @y beat | @x beat";
    check(
        story,
        "@x at 2 with a0 a1, @y at 2 with nothing, @y at 2, Assigning 3/2 uniform: @x at 2 has a0 a1 to have a0 a1; @y at 2 has  to have ;, @y at 3, @x at 2 with a0",
    );
}

/// CGP-06
#[test]
fn a_topic_that_grows_moves_the_epoch() {
    check_after("topics a=1 | @x join a", "topics a=2 | @x beat", "@x at 3 with a0 a1");
    check_after("topics a=1 | @x join a", "topics b=2 | @x beat", "@x at 2");
    check_after(
        "topics a=1 b=1 | @x join a+b",
        "topics b=0 | @x beat | @x beat has",
        "@x at 2 with a0, @x at 3",
    );
}

/// CGP-01, CGP-06
#[test]
fn who_leaves_makes_room_for_the_others() {
    let settled = "topics a=2 | @x join a | @y join a | @x beat | @x beat has | @y beat";
    check_after(
        settled,
        "@y leave | @x beat | consumers",
        "@y left, @x at 4 with a0 a1, Stable 4/4 uniform: @x at 4 has a0 a1 to have a0 a1;",
    );
    check_after(
        settled,
        "@y leave | @x leave | consumers | list",
        "@y left, @x left, Empty 5/3 uniform:, [g:consumer:Empty:consumer]",
    );
}

/// CGP-01, CGP-04: static members.
#[test]
fn a_static_member_comes_back_to_what_it_had() {
    let two = "topics a=2 | @x/i join a | @y join a | @x/i beat | @x/i beat has | @y beat";
    check_after(
        two,
        "@x/i away | @y beat | @z/i join a | @z/i beat | @x/i beat epoch=3",
        "@x is away, @y at 3, @z at 3 with a0, @z at 3, @x: Static member @x with instance id i was fenced by member @z.",
    );
    check_after(
        two,
        "@z/i join a",
        "@z: Static member @z with instance id i cannot join the group because the instance id is owned by @x member.",
    );
    // Under the id it had.
    check_after(
        two,
        "@x/i away | @x/i join a | consumers",
        "@x is away, @x at 3 with a0, Stable 3/3 uniform: @x at 3 has a0 to have a0; @y at 3 has a1 to have a1;",
    );
    check_after(two, "@z/j beat epoch=3", "@z: Instance id j is unknown.");
    // It does not come back in time.
    check_after(
        two,
        "@x/i away | at 40000 | @y beat | at 46000 | @y beat",
        "@x is away, @y at 3, @y at 4 with a0 a1",
    );
    check_after(two, "@x/i leave | @y beat", "@x left, @y at 4 with a0 a1");
}

/// CGP-09
#[test]
fn a_member_that_falls_silent_is_put_out() {
    let two = "topics a=2 | @x join a | @y join a | @x beat | @x beat has | @y beat";
    check_after(
        two,
        "at 40000 | @x beat | at 46000 | @x beat | @y beat",
        "@x at 3, @x at 4 with a0 a1, @y: Member @y is not a member of group g.",
    );
    check_after(two, "at 45000 | consumers", "Empty 4/3 uniform:");
    // A restart begins all sessions anew.
    check_after(two, "at 40000 | restart | at 80000 | @x beat", "@x at 3");
}

/// CGP-07: giving up takes no longer than the member said it would need.
#[test]
fn a_member_that_does_not_give_up_is_put_out() {
    let story = "topics a=2 | @x join a rebalance=5000 | @y join a | @x beat";
    check_after(
        story,
        "at 4999 | @x beat | @y beat | at 5000 | @y beat | @x beat",
        "@x at 2, @y at 3, @y at 4 with a0 a1, @x: Member @x is not a member of group g.",
    );
    check_after(story, "@x beat has | at 6000 | @x beat", "@x at 3, @x at 3");
    // The watch begins anew when the coordinator does.
    check_after(story, "restart | at 5000 | @x beat", "@x: Member @x is not a member of group g.");
}

/// CGP-10
#[test]
fn topics_of_an_expression_are_looked_up_and_watched() {
    check_after(
        "topics fa=1 fb=1 hidden=1",
        "@x join regex=[fh].* | found | @x beat",
        "@x at 1 with nothing looks up [fh].*, @x at 2 with fa0 fb0",
    );
    let found = "topics fa=1 | @x join regex=f.* | found | @x beat";
    // A new topic is found with the first heartbeat after ten seconds.
    check_after(
        found,
        "topics fb=1 | @x beat | at 10001 | @x beat | found | @x beat",
        "@x at 2, @x at 2 looks up f.*, @x at 3 with fa0 fb0",
    );
    // Another member of the same expression needs no look-up.
    check_after(found, "topics fa=2 | @y join regex=f.*", "@y at 3 with fa1");
    // The expression is taken back.
    check_after(found, "@x beat regex= names=fa | @x beat", "@x at 3, @x at 3");
    check_after(found, "@x beat regex= names= | @x beat has", "@x at 2 with nothing, @x at 3");
    check_after(found, "at 600001 | @x join regex=f.*", "@x at 1 with nothing looks up f.*");
}

/// CGP-10: what was found is remembered in the log.
#[test]
fn found_topics_outlast_a_restart() {
    let found = "topics fa=1 | @x join regex=f.* | found | @x beat";
    check_after(
        found,
        "restart | @x beat | consumers",
        "@x at 2, Stable 2/2 uniform: @x at 2 has fa0 to have fa0;",
    );
}

/// CGP-14
#[test]
fn a_commit_may_be_late_as_long_as_the_partition_stayed() {
    let two = "topics a=2 | @x join a | @y join a | @x beat | @x beat has | @y beat";
    check_after(two, "commit @x a-0=5 | fetch a-0", "@x committed, a-0=5");
    // It has had partition 0 since epoch 1, partition 1 is not its own.
    check_after(two, "commit @x a-0=5 gen=2", "@x committed");
    check_after(
        two,
        "commit @x a-1=5 gen=2",
        "@x commit: the member's epoch is not Some(GenerationId(2)) but 3",
    );
    check_after(
        two,
        "commit @y a-1=5 gen=2",
        "@y commit: the member's epoch is not Some(GenerationId(2)) but 3",
    );
    check_after(
        two,
        "commit @x a-0=5 gen=4",
        "@x commit: the member's epoch is not Some(GenerationId(4)) but 3",
    );
    check_after(two, "commit @z a-0=5 gen=2", "@z commit: the member is not known");
    check_after(two, "commit - a-0=5", "- commit: the member is not known");
    check_after(
        two,
        "commit @x a-0=5 old",
        "@x commit: members of consumer groups commit with version 9 or above",
    );
    // Once nobody is there, whoever may write may write.
    check_after(two, "@x leave | @y leave | commit - a-0=5", "@x left, @y left, - committed");
}

/// GRP-03, OFF-07, OFF-08, OFF-09
#[test]
fn a_consumer_group_is_no_classic_group() {
    let one = "topics a=1 | @x join a | commit @x a-0=5";
    check_after(one, "describe", "describe: Group g is not a classic group.");
    check_after(one, "drop group", "drop: the group has members");
    check_after(one, "drop a-0 b-0", "dropped but the group is subscribed to the topic");
    check_after(
        one,
        "@x leave | drop group | consumers | fetch a-0",
        "@x left, group dropped, describe: Group g not found., a-0=none",
    );
    check_after(
        one,
        "list types=classic | list types=Consumer states=stable",
        "[], [g:consumer:Stable:consumer]",
    );
    check_after("join c", "consumers", "describe: Group g is not a consumer group.");
    check_after(one, "@x leave | drop group | restart | list", "@x left, group dropped, []");
}

/// OFF-05
#[test]
fn offsets_of_topics_that_are_not_subscribed_expire() {
    let week = 7 * 24 * 3600 * 1000 + 600_000;
    let story = |steps: &str| steps.replace("WEEK", &week.to_string());
    let one = "topics a=1 b=1 | @x join a+b | commit @x a-0=5 b-0=6 | @x beat names=a | @x beat has=a0";
    // Its member is silent for a week, so the group is empty, but its offsets are the only thing that keeps it.
    check_after(one, &story("at WEEK | fetch a-0 b-0 | list"), "a-0=none b-0=none, []");
    let mut story = play(GroupConfig::default(), "");
    story.assign_every(Duration::ZERO);
    tell(&mut story, one);
    story.said.clear();
    let mut at = 0;
    while at < week {
        at += 40_000;
        story.step(&["silently", "at", &at.to_string()]);
        story.step(&["silently", "@x", "beat"]);
    }
    story.said.clear();
    story.step(&["fetch", "a-0", "b-0"]);
    assert_eq!(story.said.join(", "), "a-0=5 b-0=none");
}

/// GRP-04: what was not appended has not happened.
#[test]
fn a_change_that_is_not_appended_is_undone() {
    let one = "topics a=2 | @x join a";
    check_after(
        one,
        "fail moved | @y join a | consumers | @x beat | @y join a",
        "@y: this broker is not the coordinator, Stable 2/2 uniform: @x at 2 has a0 a1 to have a0 a1;, @x at 2, @y at 3 with nothing",
    );
    check_after(
        one,
        "fail moved | @x leave | at 45000 | consumers",
        "@x: this broker is not the coordinator, Empty 3/2 uniform:",
    );
    // The epoch that was to follow the topic is not forgotten.
    check_after(
        one,
        "topics a=3 | fail moved | @x beat | @x beat",
        "@x: this broker is not the coordinator, @x at 3 with a0 a1 a2",
    );
}
