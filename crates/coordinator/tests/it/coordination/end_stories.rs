//! Transactions end: what is decided, told and complete, in both versions and over every crash.
//!
//! Owns: steps and what is expected. Does not own: how they are played.

use ottla_model::TransactionVersion;

use super::script::{check, check_in};

fn check_old(steps: &str, expected: &str) {
    check_in(TransactionVersion::Zero, steps, expected);
}

/// TXN-04
#[test]
fn before_version_2_the_epoch_stays_and_an_end_may_be_repeated() {
    check_old(
        "init | commit v=0 | abort v=0 | add t-0 v=0 | commit v=0 as=1:1 | commit v=0 as=2:0 | commit v=0",
        "1:0, InvalidState { state: Empty }, InvalidState { state: Empty }, added, Fenced, UnknownProducer, ended",
    );
    check_old(
        "init | add t-0 v=0 | commit v=0 | commit v=0 | abort v=0 | add t-1 v=0 | mark | commit v=0 | abort v=0 | show",
        "1:0, added, ended, Concurrent, Concurrent, Concurrent, commit 1:0 t-0, ended, \
         InvalidState { state: CompleteCommit }, CompleteCommit 1:0 0 -",
    );
    check_old(
        "init | add t-0 v=0 | abort v=0 | mark | abort v=0 | commit v=0 | add t-0 v=0 | commit v=0 | mark",
        "1:0, added, ended, abort 1:0 t-0, ended, InvalidState { state: CompleteAbort }, added, ended, commit 1:0 t-0",
    );
}

/// TXN-05
#[test]
fn in_version_2_every_end_brings_an_epoch() {
    check(
        "init | add t-0 | commit | mark | add t-1 | abort | mark | show",
        "1:0, added, 1:1, commit 1:1 t-0, added, 1:2, abort 1:2 t-1, CompleteAbort 1:2 0 -",
    );
    check(
        "init | add t-0 | commit as=1:1 | commit as=2:0 | abort as=1:-1",
        "1:0, added, Fenced, UnknownProducer, Fenced",
    );
}

/// TXN-05: the table of `end`.
#[test]
fn in_version_2_a_transaction_that_is_not_open_can_be_aborted_and_its_end_be_asked_again() {
    let invalid = |state: &str| format!("InvalidState {{ state: {state} }}");
    let (empty, committed, aborted) = (invalid("Empty"), invalid("CompleteCommit"), invalid("CompleteAbort"));
    check(
        "init | init | then | commit as=1:0 | abort as=1:0 | commit as=1:1 | abort as=1:1 | show",
        &format!("Fenced, Fenced, {empty}, 1:2, CompleteAbort 1:2 0 -"),
    );
    check(
        "init | add t-0 | commit | mark | then | commit as=1:0 | abort as=1:0 | commit | abort | show",
        &format!("1:1, {committed}, {committed}, 1:2, CompleteAbort 1:2 0 -"),
    );
    check(
        "init | add t-0 | abort | mark | then | commit as=1:0 | abort as=1:0 | commit | abort",
        &format!("{aborted}, 1:1, {aborted}, 1:2"),
    );
    check("init | add t-0 | abort | mark | then | abort as=1:5 | abort as=2:1", "Fenced, UnknownProducer");
}

/// TXN-05: asked before the identity, since the producer may already use the one that is coming.
#[test]
fn while_an_end_is_told_to_partitions_nothing_else_is_decided() {
    check(
        "init | add t-0 | commit | then | commit as=1:0 | abort as=1:0 | abort as=9:9 | init | init as=9:9",
        "Concurrent, Concurrent, Concurrent, Concurrent, Concurrent",
    );
}

/// TXN-05: the last epoch is the marker's, and the next transaction has a new producer id.
#[test]
fn the_last_epoch_of_an_id_ends_with_a_new_id() {
    check(
        "plant 7:32766 Ongoing t-0 | commit as=7:32766 | show | add t-0 as=1:0 | mark | show",
        "1:0, PrepareCommit 7:32767 0 t-0, Concurrent, commit 7:32767 t-0, CompleteCommit 1:0 0 -",
    );
    check(
        "plant 7:32766 Ongoing t-0 | commit as=7:32766 | mark | then | commit as=7:32766 | abort as=7:32766 \
         | restart | commit as=7:32766 | add t-1 as=1:0 | commit as=7:32766 | commit as=1:0 | mark",
        "1:0, InvalidState { state: CompleteCommit }, 1:0, added, UnknownProducer, 1:1, commit 1:1 t-1",
    );
    check("plant 7:32766 Empty | abort as=7:32766 | abort as=7:32766 | add t-0", "1:0, 1:0, added");
}

/// TXN-09, T1: a decision that may yet be lost is told to nobody.
#[test]
fn markers_wait_until_the_decision_is_committed() {
    check("init | add t-0 | hold | commit | mark | release | mark", "1:0, added, 1:1, commit 1:1 t-0");
    check("init | add t-0 | hold | commit | lose | mark | show", "1:0, added, Ongoing 1:0 0 t-0");
    check(
        "init | add t-0 | fail failed | commit | mark | show | commit | mark",
        "1:0, added, Unavailable(WriteFailed), Ongoing 1:0 0 t-0, 1:1, commit 1:1 t-0",
    );
}

/// TXN-04: whoever waits too long is told, and the decision stands all the same.
#[test]
fn an_end_that_waits_too_long_fails_though_it_may_last() {
    check(
        "init | add t-0 | hold | commit | at 29999 | at 30000 | release | mark | show",
        "1:0, added, Unavailable(WriteFailed), commit 1:1 t-0, CompleteCommit 1:1 0 -",
    );
}

/// TXN-14: from each state that a crash can leave behind.
#[test]
fn after_a_restart_markers_are_sent_again_until_the_end_is_complete() {
    check(
        "init | add t-0 t-1 | commit | mark t-1 | show | restart | show | mark | show | restart | mark | show",
        "1:0, added, 1:1, commit 1:1 t-1, PrepareCommit 1:1 0 t-0, PrepareCommit 1:1 0 t-0+t-1, \
         commit 1:1 t-0+t-1, CompleteCommit 1:1 0 -, CompleteCommit 1:1 0 -",
    );
    check(
        "init | add t-0 | abort | restart | restart | abort as=1:0 | mark | abort as=1:0",
        "1:0, added, 1:1, Concurrent, abort 1:1 t-0, 1:1",
    );
    check("plant 7:3 PrepareAbort | show", "CompleteAbort 7:3 0 -");
    check("init | add t-0 | restart | mark | commit | mark", "1:0, added, 1:1, commit 1:1 t-0");
    check(
        "plant 7:32766 Ongoing t-0 | commit as=7:32766 | restart | mark | show",
        "1:0, commit 7:32767 t-0, CompleteCommit 1:0 0 -",
    );
}

/// TXN-09
#[test]
fn the_last_step_is_tried_until_it_is_in_the_log() {
    check(
        "init | add t-0 | commit | fail failed | mark | show | at 499 | show | fail moved | at 500 | show | at 1000 | show",
        "1:0, added, 1:1, commit 1:1 t-0, PrepareCommit 1:1 0 t-0, PrepareCommit 1:1 0 t-0, \
         PrepareCommit 1:1 0 t-0, CompleteCommit 1:1 0 -",
    );
}

/// TXN-04: an end that has nobody to tell is complete at once, and both steps are in the log.
#[test]
fn an_end_without_partitions_is_complete_at_once() {
    check("init | abort | show | records | mark", "1:0, 1:1, CompleteAbort 1:1 0 -, 3 records");
}

/// TXN-09: news of the transaction before come late, and complete nothing.
#[test]
fn late_news_of_another_transaction_complete_nothing() {
    check(
        "init | add t-0 | commit | mark | add t-0 | abort | late 1:1 t-0 | show | late 1:2 t-1 | show | late 1:2 t-0 | show",
        "1:0, added, 1:1, commit 1:1 t-0, added, 1:2, PrepareAbort 1:2 0 t-0, PrepareAbort 1:2 0 t-0, \
         CompleteAbort 1:2 0 -",
    );
}

/// TXN-08: Kafka refuses as well, and the id hangs then; here nothing has changed.
#[test]
fn a_cluster_of_version_0_has_no_clients_of_version_2() {
    check_old(
        "init | add t-0 | abort | add t-0 v=0 | add t-0 | commit | commit as=1:7 | show | version 1 | commit",
        "1:0, UnsupportedVersion, UnsupportedVersion, added, added, UnsupportedVersion, Fenced, Ongoing 1:0 0 t-0, 1:1",
    );
}
