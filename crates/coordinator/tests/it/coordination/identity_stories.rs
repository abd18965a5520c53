//! Producers get their identity, and fence each other.
//!
//! Owns: steps and what is expected. Does not own: how they are played.

use ottla_model::TransactionVersion;

use super::script::{check, check_in};

/// TXN-01
#[test]
fn every_producer_of_an_id_fences_the_one_before() {
    check("init | init | init id=y | add t-0 as=1:0 | add t-0 as=1:1", "1:0, 1:1, 2:0, Fenced, added");
}

/// TXN-01
#[test]
fn an_empty_id_and_a_timeout_out_of_range_are_refused() {
    let range = "TimeoutOutOfRange { max: 900s }";
    check(
        "init id= timeout=0 | init timeout=0 | init timeout=-1 | init timeout=900001 | init timeout=900000",
        &format!("EmptyId, {range}, {range}, {range}, 1:0"),
    );
}

/// TXN-01: KIP-360, a producer goes on after an error, also when the answer was lost.
#[test]
fn a_producer_that_says_who_it_was_gets_the_next_epoch_once() {
    check("init | init as=1:0 | init as=1:0 | init as=1:1 | init as=1:0", "1:0, 1:1, 1:1, 1:2, Fenced");
    check("init | init | init as=1:0", "1:0, 1:1, Fenced");
    check("init | init as=9:0 | init as=-2:0 | init as=1:7", "1:0, Fenced, Fenced, Fenced");
}

/// TXN-01
#[test]
fn nobody_is_expected_where_the_id_is_not_known() {
    check("init as=9:3", "1:0");
}

/// TXN-01: the epoch before lies in no record, as in Kafka.
#[test]
fn a_lost_answer_cannot_be_had_again_after_a_restart() {
    check("init | init as=1:0 | restart | init as=1:0 | init as=1:1", "1:0, 1:1, Fenced, 1:2");
}

/// TXN-01
#[test]
fn an_open_transaction_is_aborted_before_the_next_producer_begins() {
    let steps = "init | add t-0 | init | show | commit as=1:0 | init | mark | show | init";
    check(
        steps,
        "1:0, added, Concurrent, PrepareAbort 1:1 0 t-0, Concurrent, Concurrent, abort 1:1 t-0, \
         CompleteAbort 1:1 0 -, 1:2",
    );
    // Before version 2 a client does not expect that its epoch grew.
    let steps = "init | add t-0 v=0 | init | show | commit as=1:0 v=0 | mark | show | init";
    check_in(
        TransactionVersion::One,
        steps,
        "1:0, added, Concurrent, PrepareAbort 1:1 0 t-0, Fenced, abort 1:1 t-0, CompleteAbort 1:1 0 -, 1:2",
    );
}

/// TXN-01: whoever names the id of the present producer may abort its transaction, whatever the epoch; as in Kafka.
#[test]
fn a_zombie_can_end_the_transaction_of_its_successor_but_not_go_on() {
    check(
        "init | init | add t-0 | init as=1:0 | mark | init as=1:0",
        "1:0, 1:1, added, Concurrent, abort 1:2 t-0, Fenced",
    );
    check("init | add t-0 | init as=9:0 | show", "1:0, added, Fenced, Ongoing 1:0 0 t-0");
}

/// TXN-01
#[test]
fn an_id_without_epochs_is_replaced() {
    check("plant 7:32765 Empty | init | init | init", "7:32766, 1:0, 1:1");
    check("plant 7:32766 CompleteAbort | init as=7:32766 | init as=7:32766 | init as=1:0", "1:0, 1:0, 1:1");
    check("plant 7:32766 Empty | init as=7:32766 | init | init as=7:32766", "1:0, 1:1, Fenced");
    check("plant 7:32766 Empty | init as=7:4", "Fenced");
}

/// TXN-01
#[test]
fn an_identity_that_was_not_persisted_is_nobodys() {
    check("fail failed | init | show | init", "Unavailable(WriteFailed), UnknownId, 2:0");
    check("init | fail moved | init | show", "1:0, Unavailable(NotCoordinator), Empty 1:0 - -");
}

/// TXN-02, TXN-12
#[test]
fn partitions_are_added_by_the_present_producer() {
    check(
        "init | add t-0 as=1:1 | add t-0 as=2:0 | add t-0 as=-1:-1 | add t-0 id=y as=1:0 | add t-0 id= as=1:0",
        "1:0, Fenced, UnknownProducer, UnknownProducer, UnknownProducer, EmptyId",
    );
    check(
        "init | at 500 | add t-1 | at 800 | add t-0 u-3 | show | records | add t-0 t-1 | records",
        "1:0, added, added, Ongoing 1:0 500 t-0+t-1+u-3, 3 records, added, 3 records",
    );
}

/// TXN-06: KAFKA-18575, the next transaction may begin while the one before still ends.
#[test]
fn nothing_is_added_before_the_end_is_complete() {
    check(
        "init | add t-0 | commit | add t-0 | mark | add t-0",
        "1:0, added, 1:1, Concurrent, commit 1:1 t-0, added",
    );
    check("init | add t-0 | commit | add t-0 as=9:9", "1:0, added, 1:1, Concurrent");
}

/// TXN-07
#[test]
fn partitions_are_verified_without_a_change() {
    check(
        "init | verify t-0 | add t-0 t-1 v=0 | verify t-0 t-2 | verify t-0 as=1:1 | verify t-0 as=2:0 | records",
        "1:0, -, added, t-0, Fenced, UnknownProducer, 2 records",
    );
    check(
        "init | add t-0 v=0 | commit v=0 | verify t-0 | verify t-0 as=1:5 | mark | verify t-0 | verify t-0 id=y as=1:0",
        "1:0, added, ended, Concurrent, Fenced, commit 1:0 t-0, -, UnknownProducer",
    );
}
