//! Offsets that are committed in transactions, as stories.
//!
//! Owns: steps and what is expected. Does not own: how they are played.
//!
//! `commit - t-0=5 by=7` commits in the transaction of producer 7, `marker 7 commits` ends it.
//!
//! Source: KIP-98, KIP-447; requirements COF-02, OFF-03, TXN-03.

use ottla_coordinator::GroupConfig;
use ottla_coordinator::runtime::{Author, TransactionOutcome};
use ottla_model::{ProducerEpoch, ProducerId, Verification};

use crate::random_runs::Random;
use crate::script::{check, play};

/// Two members, assigned, of topic `t`: `a` leads.
const PAIR: &str = "join a | sync a a=1 | join b | join a | sync a a=1 b=2 | sync b | then";

/// COF-02, OFF-03
#[test]
fn offsets_of_a_transaction_are_seen_when_it_commits() {
    check(
        "commit - t-0=1 | commit - t-0=5 by=7 | fetch t-0 | fetch stable t-0 t-1 | marker 7 commits | fetch stable t-0",
        "- committed, - committed, t-0=1, t-0: a pending transaction is about to replace the offset t-1=none, t-0=5",
    );
}

/// COF-02
#[test]
fn offsets_of_a_transaction_are_gone_when_it_aborts() {
    check(
        "commit - t-0=5 t-1=6 by=7 | fetch all | marker 7 aborts | fetch stable t-0 | counts | list",
        "- committed + committed, no offsets, t-0=none, (1, 0), [g:-:Empty:classic]",
    );
}

/// COF-02: what a restart replays is what was there.
#[test]
fn a_restart_finds_open_and_decided_transactions_as_they_were() {
    let open = "commit - t-0=1 | commit - t-0=5 by=7 | commit - t-1=6 by=8 | then";
    check(
        &format!("{open} | restart | fetch stable t-0 | fetch t-0 | marker 7 commits | fetch stable t-0"),
        "t-0: a pending transaction is about to replace the offset, t-0=1, t-0=5",
    );
    check(
        &format!("{open} | marker 7 commits | marker 8 aborts | restart | fetch stable t-0 t-1"),
        "t-0=5 t-1=none",
    );
}

/// R2: whoever sees what a marker did sees it for good.
#[test]
fn nothing_is_told_of_a_marker_that_may_be_lost() {
    let open = "commit - t-0=1 | commit - t-0=5 by=7 | then | hold | marker 7 commits | fetch t-0";
    check(&format!("{open} | waiting"), "1 wait");
    check(&format!("{open} | release | waiting"), "t-0=5, 0 wait");
    check(
        &format!("{open} | lose | release | fetch t-0 | fetch stable t-0"),
        "t-0=1, t-0: a pending transaction is about to replace the offset",
    );
}

/// COF-02: the change is taken back, and the error says why.
#[test]
fn offsets_that_were_not_appended_are_not_pending() {
    check(
        "fail fenced | commit - t-0=5 by=7 | fetch stable t-0 | list",
        "- commit: the producer of the change is fenced, t-0=none, []",
    );
    check(
        "commit - t-0=1 | then | fail strange | commit - t-0=5 by=7 | fetch stable t-0 | marker 7 commits | fetch t-0",
        "- commit: the change is not part of an ongoing transaction, t-0=1, t-0=1",
    );
}

/// TXN-03: who says who it is must be who it says; who does not, is believed.
#[test]
fn members_of_old_generations_commit_in_no_transaction() {
    check(
        &format!(
            "{PAIR} | commit b t-0=1 by=7 | commit b gen=1 t-0=1 by=7 | commit x gen=2 t-0=1 by=7 | commit - t-0=1 by=7"
        ),
        "b committed, b commit: generation Some(GenerationId(1)) is not the current one, 2, x commit: the member is not known, - committed",
    );
    check("commit x gen=3 t-0=1 by=7", "x commit: the group is not known, so nobody has a generation in it");
}

/// TXN-03: a group that rebalances takes the offsets of a transaction, other than plain ones.
#[test]
fn a_rebalance_does_not_hold_up_a_transaction() {
    let completing = "join a | then";
    check(
        &format!("{completing} | commit a t-0=1 | commit a t-0=1 by=7"),
        "a commit: the group is about to get its assignment, a committed",
    );
}

/// Kafka keeps a member in its group by plain commits only.
#[test]
fn a_transactional_commit_proves_nobody_alive() {
    check(
        "join a session=10000 | sync a a=1 | then | at 8000 | commit a t-0=1 by=7 | at 12000 | beat a",
        "a committed, a beat: the member is not known",
    );
    check(
        "join a session=10000 | sync a a=1 | then | at 8000 | commit a t-0=1 | at 12000 | beat a",
        "a committed, a lives",
    );
}

/// OFF-07, OFF-08
#[test]
fn what_is_deleted_is_deleted_in_transactions_too() {
    check(
        "commit - t-0=5 by=7 | drop t-0 | fetch stable t-0 | marker 7 commits | fetch t-0",
        "- committed, dropped, t-0=none, t-0=none",
    );
    check("commit - t-0=5 by=7 | drop group | marker 7 commits | list", "- committed, group dropped, []");
}

/// Kafka writes the offsets of a transaction as a batch of its producer, alone.
#[test]
fn a_transaction_has_batches_of_its_own() {
    let mut story = play(GroupConfig::default(), "");
    for step in
        ["commit - t-0=1", "commit - t-1=2", "commit - t-2=3 by=7", "commit - t-3=4 by=7", "commit - t-4=5"]
    {
        story.queue(step);
    }
    let author = Author {
        producer: ProducerId::new(7).unwrap(),
        epoch: ProducerEpoch::ZERO,
        verification: Verification::NotAsked,
    };
    let mut appends = Vec::new();
    while let Some(batch) = story.world.runtime.poll_append() {
        appends.push((batch.records.len(), batch.author));
        story.world.log.extend(batch.records);
        story.world.runtime.on_appended(crate::world::offset(story.world.log.len() - 1));
    }
    assert_eq!(appends, [(2, None), (1, Some(author)), (1, Some(author)), (1, None)]);
}

/// COF-02, R3: whatever happens, replaying the log gives the same offsets, those of open transactions among them.
#[test]
fn a_replay_knows_what_the_shard_knew() {
    for seed in 1..=40 {
        let mut random = Random::new(seed);
        let mut story = play(GroupConfig::default(), "");
        for _ in 0..200 {
            let (partition, producer, position) = (random.below(3), random.below(3), random.below(1000));
            let step = match random.below(10) {
                0..=3 => format!("commit - t-{partition}={position} by={producer}"),
                4 => format!("commit - t-{partition}={position}"),
                5 => format!("drop t-{partition}"),
                6 => format!("marker {producer} commits"),
                7 => format!("marker {producer} aborts"),
                8 => "fail fenced".to_owned(),
                _ => "restart".to_owned(),
            };
            story.step(&step.split(' ').collect::<Vec<_>>());
            let replayed = story.world.replayed();
            let (live, replayed) = (story.world.runtime.shard(), replayed.shard());
            assert_eq!(live.replicated_state(), replayed.replicated_state(), "seed {seed}: {step}");
        }
        // What is pending shows when everything commits.
        let mut replayed = story.world.replayed();
        for producer in 0..3 {
            story.step(&["marker", &producer.to_string(), "commits"]);
            let producer = ProducerId::new(producer).unwrap();
            replayed.on_transaction_marker(producer, TransactionOutcome::Committed);
        }
        let live = story.world.runtime.shard().replicated_state();
        assert_eq!(live, replayed.shard().replicated_state(), "seed {seed}");
    }
}
