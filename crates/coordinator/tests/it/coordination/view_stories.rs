//! What operators see of transactions, and what a shard says that does not serve.
//!
//! Owns: steps and what is expected. Does not own: how they are played.

use ottla_coordinator::TransactionConfig;
use ottla_coordinator::runtime::{RequestId, Runtime, Unavailable};
use ottla_coordinator::transaction::{
    DescribeTransactionError, TransactionAnswer, TransactionCommand, TransactionShard,
};
use ottla_model::{TransactionVersion, TransactionalId};

use super::script::{check, play};

/// TXN-13
#[test]
fn transactions_are_listed_by_state_producer_and_age() {
    let three = "init id=a | init id=b | init id=c | at 100 | add t-0 id=b | at 200 | add t-0 id=c | commit id=c | then";
    check(&format!("{three} | list"), "[a:1:Empty b:2:Ongoing c:3:PrepareCommit]");
    check(&format!("{three} | list states=Ongoing+Empty | list states=Dead"), "[a:1:Empty b:2:Ongoing], []");
    check(&format!("{three} | list pids=1+3+-7 | list pids=9"), "[a:1:Empty c:3:PrepareCommit], []");
    // One that has not begun counts as old.
    check(
        &format!("{three} | at 300 | list longer=99 | list longer=100 | list longer=0"),
        "[a:1:Empty b:2:Ongoing c:3:PrepareCommit], [a:1:Empty b:2:Ongoing], [a:1:Empty b:2:Ongoing c:3:PrepareCommit]",
    );
    check(&format!("{three} | list states=Ongoing pids=1"), "[]");
}

/// TXN-13
#[test]
fn a_transaction_is_described_with_the_partitions_that_do_not_know() {
    check("show | show id=", "UnknownId, EmptyId");
    check(
        "init | show | at 7 | add t-0 u-1 | show | commit | mark u-1 | show",
        "1:0, Empty 1:0 - -, added, Ongoing 1:0 7 t-0+u-1, 1:1, commit 1:1 u-1, PrepareCommit 1:1 7 t-0",
    );
}

/// GRP-01, for transactions.
#[test]
fn a_shard_that_loads_refuses_and_keeps_what_it_is_told() {
    let story = play(TransactionConfig::default(), TransactionVersion::Zero, "init | add t-0");
    let (config, now) = (story.world.config, story.world.now());
    let id = TransactionalId::new("x");
    let mut runtime = Runtime::new(TransactionShard::new(config, TransactionVersion::Zero), config.runtime());
    runtime.on_command(RequestId(1), TransactionCommand::Describe(id.clone()), now);
    runtime.on_command(RequestId(2), TransactionCommand::ClusterVersion(TransactionVersion::Two), now);
    let loading =
        TransactionAnswer::Describe(Err(DescribeTransactionError::Unavailable(Unavailable::Loading)));
    assert_eq!(runtime.poll_reply().map(|reply| reply.answer), Some(loading));
    assert!(runtime.poll_reply().is_none());
    for record in &story.world.log {
        runtime.on_record(record.clone(), None).unwrap();
    }
    runtime.on_loaded(crate::world::offset(2), now);
    runtime.on_high_watermark(crate::world::offset(2));
    assert_eq!(runtime.poll_reply().map(|reply| reply.answer), Some(TransactionAnswer::Noted(Ok(()))));
    assert!(runtime.shard().image(&id).is_some());
}

/// TXN-14: the next coordinator has the markers written; this one has nothing to do any more.
#[test]
fn a_shard_that_is_gone_wants_nothing_done() {
    let mut story =
        play(TransactionConfig::default(), TransactionVersion::Two, "init | add t-0 | hold | commit");
    story.world.runtime.on_unloaded(Unavailable::NotCoordinator);
    story.world.commit_all();
    let answers: Vec<TransactionAnswer> =
        std::iter::from_fn(|| story.world.runtime.poll_reply()).map(|reply| reply.answer).collect();
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert!(story.world.runtime.poll_effect().is_none());
}
