//! Transactions run out of time, and ids out of use.
//!
//! Owns: steps and what is expected. Does not own: how they are played.

use std::time::Duration;

use ottla_coordinator::TransactionConfig;
use ottla_model::TransactionVersion;

use super::script::{check, check_in, play};

/// TXN-10
#[test]
fn a_transaction_that_lasts_too_long_is_aborted_and_its_producer_fenced() {
    let steps = "init timeout=15000 | at 1000 | add t-0 | at 19999 | show | at 20000 | show | mark | commit as=1:0 \
                 | add t-0 as=1:0 | init";
    check(
        steps,
        "1:0, added, Ongoing 1:0 1000 t-0, PrepareAbort 1:1 1000 t-0, abort 1:1 t-0, \
         InvalidState { state: CompleteAbort }, Fenced, 1:2",
    );
    let steps = "init timeout=15000 | add t-0 v=0 | at 20000 | mark | commit as=1:0 v=0 | show";
    check_in(TransactionVersion::Zero, steps, "1:0, added, abort 1:1 t-0, Fenced, CompleteAbort 1:1 0 -");
}

/// TXN-10: the timeout must have passed, and counts from the first partition.
#[test]
fn a_transaction_has_all_of_its_time() {
    check(
        "init timeout=10000 | add t-0 | at 10000 | show | at 20000 | show",
        "1:0, added, Ongoing 1:0 0 t-0, PrepareAbort 1:1 0 t-0",
    );
    check("init timeout=10000 | at 50000 | add t-0 | at 59999 | show", "1:0, added, Ongoing 1:0 50000 t-0");
    check("init timeout=1000 | at 100000 | show", "1:0, Empty 1:0 - -");
}

/// TXN-10: an end that was decided in time is not undone, however long partitions take to learn of it.
#[test]
fn a_decided_transaction_does_not_run_out_of_time() {
    check(
        "init timeout=1000 | add t-0 | commit | at 100000 | show | mark",
        "1:0, added, 1:1, PrepareCommit 1:1 0 t-0, commit 1:1 t-0",
    );
}

/// TXN-10
#[test]
fn a_restart_makes_no_transaction_younger() {
    check(
        "init timeout=15000 | add t-0 | at 14000 | restart | at 24000 | show",
        "1:0, added, PrepareAbort 1:1 0 t-0",
    );
}

/// TXN-10: the abort needs a producer id, which comes from outside.
#[test]
fn a_producer_without_epochs_that_runs_out_of_time_gets_a_new_id() {
    check(
        "plant 7:32766 Ongoing t-0 | at 70000 | show | mark | show",
        "PrepareAbort 7:32767 0 t-0, abort 7:32767 t-0, CompleteAbort 1:0 0 -",
    );
}

/// TXN-10: a write that fails is made with the next look.
#[test]
fn an_abort_that_was_not_appended_is_tried_again() {
    check(
        "init timeout=5000 | add t-0 | fail failed | at 10000 | show | at 20000 | show",
        "1:0, added, Ongoing 1:0 0 t-0, PrepareAbort 1:1 0 t-0",
    );
}

fn quick() -> TransactionConfig {
    TransactionConfig {
        id_expiration: Duration::from_secs(60),
        removal_scan_interval: Duration::from_secs(10),
        ..TransactionConfig::default()
    }
}

/// TXN-11
#[test]
fn an_id_that_nobody_uses_is_forgotten() {
    let steps = "init | init id=y | at 50000 | init id=y | at 59999 | show | at 60000 | show | show id=y \
                 | add t-0 as=1:0 | restart | show | init";
    let story = play(quick(), TransactionVersion::Two, steps);
    let expected = "1:0, 2:0, 2:1, Empty 1:0 - -, UnknownId, Empty 2:1 - -, UnknownProducer, UnknownId, 3:0";
    assert_eq!(story.said.join(", "), expected);
}

/// TXN-11
#[test]
fn an_id_with_a_transaction_stays() {
    let steps = "init timeout=600000 | add t-0 | at 70000 | show | commit | at 200000 | show | mark | at 259999 | show \
                 | at 260000 | show";
    let story = play(quick(), TransactionVersion::Two, steps);
    let expected = "1:0, added, Ongoing 1:0 0 t-0, 1:1, PrepareCommit 1:1 0 t-0, commit 1:1 t-0, \
                    CompleteCommit 1:1 0 -, UnknownId";
    assert_eq!(story.said.join(", "), expected);
}

/// TXN-11
#[test]
fn an_id_whose_removal_was_not_appended_is_still_there() {
    let steps = "init | fail failed | at 60000 | show | at 70000 | show";
    let story = play(quick(), TransactionVersion::Two, steps);
    assert_eq!(story.said.join(", "), "1:0, Empty 1:0 - -, UnknownId");
}

/// A shard that has nothing to look for sleeps.
#[test]
fn an_empty_shard_has_no_deadline() {
    let story = play(TransactionConfig::default(), TransactionVersion::Two, "");
    assert_eq!(story.world.runtime.deadline(), None);
    let story = play(TransactionConfig::default(), TransactionVersion::Two, "init");
    let until = story.world.runtime.deadline().unwrap() - story.world.now().at;
    assert_eq!(until, Duration::from_secs(3600));
}
