//! What the runtime promises: order, durability, undoing, loading, going away.
//!
//! Owns: steps and what is expected. Does not own: how they are played.

use std::time::Duration;

use ottla_coordinator::GroupConfig;
use ottla_coordinator::group::{
    GroupAnswer, GroupCommand, GroupFilter, GroupShard, Heartbeat, HeartbeatError, PartitionsOfTopic,
};
use ottla_coordinator::runtime::{RequestId, Runtime, Stage, Unavailable};
use ottla_model::{GenerationId, GroupId, MemberId, PartitionIndex, TopicName};

use crate::script::{check, play};
use crate::world::{World, offset};

/// Two members, assigned: `a` leads.
const PAIR: &str = "join a | sync a a=1 | join b | join a | sync a a=1 b=2 | sync b | then";

/// GRP-04
#[test]
fn an_answer_waits_until_its_records_are_committed() {
    check(
        &format!("{PAIR} | hold | commit a t-0=1 | fetch t-0 | beat a | waiting | release"),
        "3 wait, a committed, t-0=1, a lives",
    );
}

/// GRP-04: an answer that needs no record waits for those it was decided upon.
#[test]
fn nobody_sees_what_may_yet_be_lost() {
    check(
        &format!(
            "{PAIR} | commit a t-0=1 | then | hold | commit a t-0=2 | fetch t-0 | lose | release | fetch t-0"
        ),
        "t-0=1",
    );
}

/// GRP-18: `offsets.commit.timeout.ms`
#[test]
fn an_answer_that_waits_too_long_fails_though_the_change_may_last() {
    check(
        "hold | commit - t-0=1 | at 4999 | waiting | at 5000 | waiting | release | fetch t-0",
        "1 wait, - commit: the coordinator could not commit the change, 0 wait, t-0=1",
    );
}

/// GRP-18
#[test]
fn a_commit_that_was_not_appended_is_undone() {
    check(
        "commit - t-0=1 | fail failed | commit - t-0=2 t-1=3 | fetch all | restart | fetch all",
        "- committed, - commit: the coordinator could not commit the change, t-0=1, t-0=1",
    );
    check("fail refused | commit - t-0=1 | list", "- commit: the coordinator's log refused the change, []");
}

/// GRP-18
#[test]
fn a_group_that_was_not_persisted_does_not_exist() {
    check("fail moved | join a | waiting | list", "a join: this broker is not the coordinator, 0 wait, []");
    check("fail failed | join a asks | list", "a join: the coordinator could not commit the change, []");
}

/// GRP-18
#[test]
fn an_assignment_that_was_not_persisted_makes_the_group_rebalance() {
    check(
        "join a | sync a a=1 | join b | join a | sync b | then | fail failed | sync a a=1 b=2 | beat a | join a | join b | sync a a=5 b=6 | sync b",
        "a sync: the coordinator could not commit the change, b sync: the coordinator could not commit the change, \
         a beat: the group rebalances: join again, a in 3 by range under a of a+b, b in 3 by range under a, a has 5, b has 6",
    );
}

/// GRP-18
#[test]
fn a_deletion_that_was_not_persisted_leaves_the_group() {
    check(
        "commit - t-0=1 | join a | sync a a=1 | leave a | then | fail failed | drop group | list | fetch all | join a anew",
        "drop: the coordinator could not commit the change, [g:consumer:Empty:classic], t-0=1, a in 3 by range under a of a",
    );
}

/// GRP-18: a group stays empty though its last record says otherwise; at worst a restart expires the members again.
#[test]
fn a_group_that_became_empty_stays_empty_without_its_record() {
    check(
        "join a | sync a a=1 | then | fail failed | leave a | describe | restart | describe | at 10000 | describe",
        "leave: the coordinator could not commit the change, Empty consumer -, Stable consumer range a(13:1), Empty consumer -",
    );
}

/// Requests that arrive between two appends share one; a failure undoes all of them, in order.
#[test]
fn requests_that_share_an_append_fail_together() {
    let mut story = play(GroupConfig::default(), "commit - t-0=1 | then");
    let records = story.world.log.len();
    story.world.failure = Some(Unavailable::WriteFailed);
    let commands = ["t-0=2", "t-0=3", "t-1=4"];
    for text in commands {
        story.queue(&format!("commit - {text}"));
    }
    story.queue("fetch all");
    story.step(&["fetch", "all"]);
    let failed = "the coordinator could not commit the change";
    let expected = format!(
        "- commit: {failed}, - commit: {failed}, - commit: {failed}, fetch: {failed}, fetch: {failed}"
    );
    assert_eq!(story.said.join(", "), expected);
    assert_eq!(story.world.log.len(), records);
    story.said.clear();
    story.step(&["fetch", "all"]);
    assert_eq!(story.said, ["t-0=1"]);
}

/// The records of one request are never divided; those of several share appends of limited size.
#[test]
fn appends_are_limited_in_size() {
    let mut story = play(GroupConfig::default(), "");
    let long = "meta=long:4096";
    for partition in 0..100 {
        story.queue(&format!("commit - t-{partition}=1 {long}"));
    }
    let mut appends = Vec::new();
    while let Some(batch) = story.world.runtime.poll_append() {
        appends.push(batch.records.iter().map(|record| record.bytes()).sum::<usize>());
        story.world.log.extend(batch.records);
        story.world.runtime.on_appended(offset(story.world.log.len() - 1));
    }
    assert_eq!(story.world.log.len(), 100);
    assert!(appends.len() > 1 && appends.iter().all(|bytes| *bytes <= 512 * 1024), "{appends:?}");
    assert_eq!(story.world.pump().len(), 100);
}

/// GRP-01
#[test]
fn a_coordinator_that_loads_believes_heartbeats_and_refuses_the_rest() {
    let config = GroupConfig::default();
    let world = World::new(config);
    let mut runtime = Runtime::new(GroupShard::new(config), config.runtime());
    let heartbeat = |group: &str| {
        GroupCommand::Heartbeat(Heartbeat {
            group: GroupId::new(group),
            generation: Some(GenerationId::ZERO),
            member: MemberId::new("a"),
            instance: None,
        })
    };
    runtime.on_command(RequestId(1), heartbeat("g"), world.now());
    runtime.on_command(RequestId(2), GroupCommand::DeleteGroup(GroupId::new("g")), world.now());
    runtime.on_command(RequestId(3), heartbeat(""), world.now());
    let mut answers = std::iter::from_fn(|| runtime.poll_reply().map(|reply| reply.answer));
    assert_eq!(answers.next(), Some(GroupAnswer::Heartbeat(Ok(()))));
    assert_eq!(answers.next(), Some(GroupAnswer::DeleteGroup(Err(Unavailable::Loading.into()))));
    assert_eq!(answers.next(), Some(GroupAnswer::Heartbeat(Err(HeartbeatError::InvalidGroupId))));
    assert_eq!(answers.next(), None);
    runtime.on_load_failed();
    assert_eq!(runtime.stage(), Stage::Failed);
    runtime.on_command(RequestId(4), heartbeat("g"), world.now());
    let moved = GroupAnswer::Heartbeat(Err(Unavailable::NotCoordinator.into()));
    assert_eq!(runtime.poll_reply().map(|reply| reply.answer), Some(moved));
}

/// OFF-06: that partitions are gone is told once, so a coordinator that loads remembers it.
#[test]
fn a_coordinator_that_loads_forgets_partitions_afterwards() {
    let story = play(GroupConfig::default(), "commit - t-0=1 u-0=2");
    let config = story.world.config;
    let topic = PartitionsOfTopic {
        topic: TopicName::new("t").unwrap(),
        topic_id: None,
        partitions: vec![PartitionIndex::default()],
    };
    let forget = GroupCommand::ForgetPartitions(vec![topic]);
    let forgotten = |runtime: &mut Runtime<GroupShard>| runtime.poll_reply().map(|reply| reply.answer);
    let mut runtime = Runtime::new(GroupShard::new(config), config.runtime());
    runtime.on_command(RequestId(1), forget.clone(), story.world.now());
    for record in &story.world.log {
        runtime.on_record(record.clone(), None).unwrap();
    }
    assert_eq!(forgotten(&mut runtime), None);
    runtime.on_loaded(offset(2), story.world.now());
    assert_eq!(runtime.poll_append().map(|batch| batch.records.len()), Some(1));
    assert_eq!(runtime.shard().counts(), (1, 1));
    runtime.on_appended(offset(2));
    runtime.on_high_watermark(offset(3));
    assert_eq!(forgotten(&mut runtime), Some(GroupAnswer::ForgetPartitions(Ok(()))));
    let mut moved = Runtime::new(GroupShard::new(config), config.runtime());
    moved.on_command(RequestId(1), forget.clone(), story.world.now());
    moved.on_unloaded(Unavailable::NotCoordinator);
    let refused = GroupAnswer::ForgetPartitions(Err(Unavailable::NotCoordinator));
    assert_eq!(forgotten(&mut moved), Some(refused.clone()));
    let mut failed = Runtime::new(GroupShard::new(config), config.runtime());
    failed.on_command(RequestId(1), forget, story.world.now());
    failed.on_load_failed();
    assert_eq!(forgotten(&mut failed), Some(refused));
}

/// GRP-01, R2: what was loaded may not be committed yet.
#[test]
fn nothing_is_answered_before_what_was_loaded_is_committed() {
    let mut story = play(GroupConfig::default(), "commit - t-0=1");
    let config = story.world.config;
    let mut runtime = Runtime::new(GroupShard::new(config), config.runtime());
    runtime.on_record(story.world.log.remove(0), None).unwrap();
    runtime.on_loaded(offset(1), story.world.now());
    runtime.on_command(RequestId(1), GroupCommand::List(GroupFilter::default()), story.world.now());
    assert!(runtime.poll_reply().is_none());
    runtime.on_high_watermark(offset(1));
    assert!(runtime.poll_reply().is_some());
}

/// GRP-01
#[test]
fn a_coordinator_that_moves_away_tells_all_who_wait() {
    let moved = "this broker is not the coordinator";
    check(
        &format!("{PAIR} | hold | commit a t-0=1 | join c | unload | beat a | waiting"),
        &format!("a commit: {moved}, c join: {moved}, a beat: {moved}, 0 wait"),
    );
    check(
        &format!("{PAIR} | join b by=range:u | join a | then | sync b | unload | at 100000 | waiting"),
        &format!("b sync: {moved}, 0 wait"),
    );
}

/// The runtime sleeps when nothing can happen by itself but the look for old offsets.
#[test]
fn an_idle_shard_wakes_only_to_look_for_old_offsets() {
    let config = GroupConfig::default();
    let world = World::new(config);
    let until = world.runtime.deadline().unwrap() - world.now().at;
    assert_eq!(until, Duration::from_secs(600));
}
