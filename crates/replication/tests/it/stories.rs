//! One story per rule.
//!
//! Owns: steps and what is expected. Does not own: how they are played.

use ottla_replication::Replica;

use crate::script::{check, check_flushed};

/// PRD-19, REP-03
#[test]
fn an_ack_waits_until_the_watermark_passes_its_last_record() {
    let alone = "lead 1 isr 1 of 1 | append 5";
    check_flushed(&format!("{alone} | ack r1 4 @100 | flush 4"), "");
    check_flushed(&format!("{alone} | ack r1 4 @100 | flush 5"), "r1 Committed");
    check_flushed(&format!("{alone} | flush 5 | ack r1 4 @100"), "r1 at once Committed");
    check(&format!("{alone} | ack r1 4 @100"), "r1 at once Committed");
}

/// PRD-19
#[test]
fn one_flush_answers_all_who_wait_below_it_in_order() {
    check_flushed(
        "lead 1 isr 1 of 1 | append 9 | ack r3 8 @9 | ack r1 2 @9 | ack r2 5 @9 | flush 6 | waiting | flush 9",
        "r1 Committed, r2 Committed, (1, 0), r3 Committed",
    );
}

/// PRD-19
#[test]
fn an_ack_that_waited_too_long_times_out_once() {
    check_flushed(
        "lead 1 isr 1 of 1 | append 2 | ack r1 0 @100 | ack r2 1 @50 | deadline | at 50 | deadline | at 99 | at 100 | flush 2",
        "Some(50), r2 TimedOut, Some(100), r1 TimedOut",
    );
}

/// PRD-19
#[test]
fn a_forgotten_request_is_told_nothing() {
    check_flushed(
        "lead 1 isr 1 of 1 | append 2 | ack r1 0 @100 | wait r1 hw 1 @9 | forget r1 | flush 2 | waiting | deadline",
        "(0, 0), None",
    );
}

/// PRD-07, PRD-19
#[test]
fn those_who_wait_learn_that_the_leader_changed() {
    let waiting = "lead 1 isr 1,2 of 1,2 | append 2 | ack r1 1 @100 | wait r2 hw 1 @100";
    check(
        &format!("{waiting} | follow 2 2 | produce | ack r3 1 @9"),
        "Followed { leader: Some(BrokerId(2)), epoch: LeaderEpoch(2) }, \
         r1 Lost(Follower { leader: Some(BrokerId(2)), epoch: LeaderEpoch(2) }), \
         r2 wakes Changed(Follower { leader: Some(BrokerId(2)), epoch: LeaderEpoch(2) }), \
         Err(Unavailable(Follower { leader: Some(BrokerId(2)), epoch: LeaderEpoch(2) })), \
         r3 at once Lost(Follower { leader: Some(BrokerId(2)), epoch: LeaderEpoch(2) })",
    );
    check(&format!("{waiting} | offline"), "r1 Lost(Offline), r2 wakes Changed(Offline)");
    check(&format!("{waiting} | removed | stale"), "r1 Lost(Removed), r2 wakes Changed(Removed), Stale");
}

/// REP-02
#[test]
fn older_news_from_the_controller_changes_nothing() {
    check("lead 1 isr 1 of 1 | lead 1 isr 1 of 1 | stale | produce", "Updated, Stale, Ok(LeaderEpoch(1))");
}

/// PRD-08, PRD-21, REP-04
#[test]
fn an_append_to_all_needs_enough_replicas_beforehand() {
    check(
        "min 2 | lead 1 isr 1 of 1,2 | produce | produce all",
        "Ok(LeaderEpoch(1)), Err(TooFewInSync { in_sync: 1, in_sync_min: 2 })",
    );
    check("min 2 | lead 1 isr 1 of 1 | produce all", "Ok(LeaderEpoch(1))");
}

/// REP-03
#[test]
fn the_high_watermark_rests_while_too_few_replicas_are_in_sync() {
    check("min 2 | lead 1 isr 1 of 1,2 | append 3 | hw | min 1 | hw", "hw 0, hw 3");
}

/// PRD-19
#[test]
fn a_minimum_raised_while_a_request_waits_is_told_after_the_append() {
    check(
        "lead 1 isr 1 of 1,2 | append 2 | min 2 | ack r1 1 @9",
        "r1 at once TooFewInSync { in_sync: 1, in_sync_min: 2 }",
    );
}

/// REP-03
#[test]
fn the_slowest_replica_in_sync_holds_the_high_watermark() {
    check(
        "lead 1 isr 1,2,3 of 1,2,3 | append 9 | hw | from 2 7 | from 3 5 | hw | from 3 9 | hw | from 2 9 | hw",
        "hw 0, hw 5, hw 7, hw 9",
    );
}

/// REP-03: the flushed end counts for the leader itself only.
#[test]
fn the_leader_counts_what_it_flushed_itself() {
    check_flushed(
        "lead 1 isr 1,2 of 1,2 | append 9 | from 2 9 | hw | flush 4 | hw | flush 9 | hw",
        "hw 0, hw 4, hw 9",
    );
}

/// REP-01, REP-02
#[test]
fn a_follower_that_caught_up_is_proposed_and_counts_at_once() {
    check(
        "lead 1 isr 1 of 1,2 | append 4 | from 2 2 | from 2 4 | append 2 | hw | accepted 1,2 | hw | from 2 6 | hw",
        "propose 1+2, hw 4, hw 4, hw 6",
    );
}

/// REP-01
#[test]
fn a_follower_that_may_not_join_is_not_proposed() {
    check("lead 1 isr 1 of 1,2 | append 4 | unfit 2 4 | append 1 | hw", "hw 5");
    check("log 0 8 3 | lead 1 isr 1,3 of 1,2,3 | from 2 5 | hw", "hw 3");
}

/// REP-01
#[test]
fn a_follower_that_lags_is_proposed_to_leave_and_holds_back_until_granted() {
    check(
        "lead 1 isr 1,2 of 1,2 | from 2 0 | append 4 | deadline | at 15000 | at 30000 | at 45000 | hw | accepted 1 | hw | deadline",
        "Some(15000), propose 1, hw 0, hw 4, None",
    );
}

/// REP-01: a follower that always asks for what was the end a moment ago keeps up.
#[test]
fn a_follower_behind_a_steady_producer_stays_in_sync() {
    check(
        "lead 1 isr 1,2 of 1,2 | append 1 | from 2 0 | at 14000 | append 1 | from 2 1 | at 28000 | append 1 | from 2 2 | at 42000 | append 1 | from 2 3 | at 56000",
        "",
    );
}

/// REP-02
#[test]
fn a_refused_proposal_is_dropped_kept_or_sent_again() {
    let proposed = "lead 1 isr 1 of 1,2 | append 4 | from 2 4 | append 1";
    check(&format!("{proposed} | hw | refused unreached"), "propose 1+2, hw 4, propose 1+2");
    check(&format!("{proposed} | refused superseded | hw | from 2 4"), "propose 1+2, hw 4");
    check(&format!("{proposed} | refused rejected | unfit 2 4 | append 1 | hw"), "propose 1+2, hw 6");
}

/// FET-34
#[test]
fn a_stranger_s_fetch_is_refused() {
    check(
        "lead 3 isr 1 of 1 | from 5 0 | follow 2 4 | from 5 0",
        "broker 5 is not a replica in leader epoch 3, \
         Followed { leader: Some(BrokerId(2)), epoch: LeaderEpoch(4) }, this broker does not lead the partition",
    );
}

/// FET-14, FET-17
#[test]
fn each_reader_wakes_when_its_own_limit_moves() {
    check(
        "lead 1 isr 1,2 of 1,2 | unstable 3 | wait r1 hw 1 @9 | wait r2 lso 1 @9 | wait r3 end 1 @9 | append 5 | from 2 5 | unstable none",
        "r3 wakes Bytes, r1 wakes Bytes, r2 wakes Bytes",
    );
    check(
        "lead 1 isr 1 of 1 | unstable 0 | wait r1 lso 1 @9 | append 5 | waiting | unstable none",
        "(0, 1), r1 wakes Bytes",
    );
}

/// FET-13
#[test]
fn a_reader_sleeps_until_enough_bytes_are_there() {
    check(
        "lead 1 isr 1 of 1 | wait r1 hw 30 @9 | append 1 | append 1 | waiting | append 1",
        "(0, 1), r1 wakes Bytes",
    );
}

/// FET-13: bytes above the high watermark were appended before the wait began, and count.
#[test]
fn bytes_that_only_become_committed_wake_too() {
    check("lead 1 isr 1,2 of 1,2 | append 3 | wait r1 hw 30 @9 | from 2 3", "r1 wakes Bytes");
}

/// FET-14: what lay above the high watermark when the log was opened counts too.
#[test]
fn bytes_of_an_earlier_run_wake_when_they_are_committed() {
    check("log 0 8 5 | lead 2 isr 1,2 of 1,2 | wait r1 hw 30 @9 | from 2 8", "r1 wakes Bytes");
}

/// FET-13
#[test]
fn a_reader_wakes_at_its_deadline() {
    check("lead 1 isr 1 of 1 | wait r1 hw 30 @9 | at 8 | at 9", "r1 wakes TimedOut");
}

/// FET-13, REP-07
#[test]
fn a_new_epoch_wakes_readers_but_keeps_acks() {
    check(
        "lead 1 isr 1,2 of 1,2 | append 1 | ack r1 0 @9 | wait r2 hw 1 @9 | lead 2 isr 1,2 of 1,2 | from 2 1",
        "Led { epoch: LeaderEpoch(2), epoch_start: Offset(1) }, \
         r2 wakes Changed(Leader { epoch: LeaderEpoch(2) }), r1 Committed",
    );
}

/// FET-15, FET-16, FET-17
#[test]
fn each_reader_has_its_own_limit_and_beyond_the_log_is_an_error() {
    check(
        "log 2 2 2 | lead 1 isr 1,2 of 1,2 | append 8 | from 2 6 | unstable 4 | read plain 2 | read committed 2 | read 2 2 | read plain 9 | read plain 10",
        "2..6, 2..4, 2..10, 2..6, 2..6",
    );
    check(
        "log 2 2 2 | lead 1 isr 1 of 1 | append 8 | read plain 1 | read plain 11",
        "offset 1 lies outside 2..=10, offset 11 lies outside 2..=10",
    );
}

/// FET-34: who is no follower of this leader reads nothing as one.
#[test]
fn a_stranger_reads_nothing() {
    check(
        "lead 3 isr 1 of 1,2 | append 8 | read 2 2 | read 5 2 | read 1 2",
        "0..8, broker 5 is no follower of the partition, broker 1 is no follower of the partition",
    );
}

/// FET-30
#[test]
fn the_reader_s_epoch_is_checked_before_the_role() {
    check(
        "lead 3 isr 1 of 1 | read plain 0 3 | read plain 0 2 | read plain 0 4",
        "0..0, the reader's leader epoch 2 is older than 3, the reader's leader epoch 4 is newer than 3",
    );
    check(
        "follow 2 3 | read plain 0 2 | read plain 0 3 | read plain 0 3 any | read plain 0 any",
        "the reader's leader epoch 2 is older than 3, \
         this broker cannot serve the partition: Follower { leader: Some(BrokerId(2)), epoch: LeaderEpoch(3) }, \
         0..0, 0..0",
    );
}

/// FET-33
#[test]
fn a_follower_serves_consumers_up_to_its_own_watermark() {
    check(
        "follow 2 1 | append 8 | watermark 5 | read plain 2 any | read plain 7 any | read plain 9 any",
        "0..5, 0..5, offset 9 lies outside 0..=8",
    );
}

/// LO-03
#[test]
fn a_new_leader_tells_no_end_before_it_knows_what_was_committed() {
    check(
        "log 0 8 5 | lead 2 isr 1,2 of 1,2 | known | from 2 7 | known | from 2 8 | known",
        "Err(OffsetUnavailable { high_watermark: Offset(5), epoch_start: Offset(8) }), \
         Err(OffsetUnavailable { high_watermark: Offset(7), epoch_start: Offset(8) }), Ok(())",
    );
    check("log 0 8 5 | lead 2 isr 1 of 1 | known | hw", "Ok(()), hw 8");
}

/// REP-05
#[test]
fn a_follower_that_cuts_its_log_wakes_its_readers() {
    check(
        "follow 2 1 | append 8 | watermark 8 | wait r1 hw 1 @9 | cut 6 | hw",
        "r1 wakes Changed(Follower { leader: Some(BrokerId(2)), epoch: LeaderEpoch(1) }), hw 6",
    );
}

/// FET-17
#[test]
fn the_log_start_moves_all_that_lies_below_it() {
    check(
        "lead 1 isr 1,2 of 1,2 | append 8 | from 2 8 | unstable 3 | start 5 | lso | low",
        "lso 5, low Some(Offset(0))",
    );
}

/// A broker holds tens of thousands of replicas; an idle one costs little.
#[test]
fn an_idle_replica_is_small() {
    assert!(size_of::<Replica>() <= 200, "{} bytes", size_of::<Replica>());
}
