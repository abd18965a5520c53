//! What administrators ask of a node, against what Kafka answered.

use crate::levels::loggers;
use crate::node::{Home, Parts, properties, run, start_with};
use crate::script::Script;

/// Compares what a listener of a new node with further properties answers.
async fn check_at(listener: &str, more: &str, transcript: &str) {
    let home = Home::new();
    let more = format!("num.partitions=4\ncontroller.quorum.voters=1@127.0.0.1:9093\n{more}");
    let parts = Parts { loggers: loggers(std::iter::empty()), ..Parts::default() };
    let node = start_with(&properties(home.path(), &more), parts).await.unwrap();
    let addresses = node.addresses();
    let (_, address) = addresses.iter().find(|(name, _)| name.as_str() == listener).unwrap();
    let mut script = Script::at(*address).await;
    script.check(transcript).await;
    node.stop().await;
}

async fn check(transcript: &str) {
    check_at("PLAINTEXT", "", transcript).await;
}

/// TOP-01, TOP-02, TOP-05, TOP-06, TOP-08, TRAP-21, TRAP-34
#[test]
fn topics_are_created_grown_described_and_deleted_as_by_kafka() {
    run(check(include_str!("../data/topics.txt")));
}

/// MD-01, MD-03, MD-05, MD-06, MD-07, MD-09, TOP-09, KRF-04, KRF-06
#[test]
fn the_cluster_is_told_of_as_by_kafka() {
    run(check(include_str!("../data/cluster.txt")));
}

/// ELE-03, RSG-01, TRAP-25
#[test]
fn elections_and_reassignments_are_answered_as_by_kafka() {
    run(check(include_str!("../data/replicas.txt")));
}

/// ELE-03, RSG-01
#[test]
fn a_controller_elects_and_reassigns_as_kafka_s_does() {
    run(check_at("CONTROLLER", "", include_str!("../data/replicas.txt")));
}

/// CFG-01, CFG-04, CFG-05, CFG-06, CFG-07, CFG-08, CFG-09, TRAP-20, TRAP-36
#[test]
fn configs_are_shown_and_changed_as_by_kafka() {
    run(check(include_str!("../data/configs.txt")));
}

/// TOP-09, KRF-04, KRF-06, API-02: the same machinery serves the listener for controllers.
#[test]
fn a_controller_answers_as_kafka_s_does() {
    run(check_at("CONTROLLER", "", include_str!("../data/controller.txt")));
}

/// MD-07, TOP-05, TOP-08
#[test]
fn creation_on_demand_and_deletion_can_be_switched_off_and_pages_kept_short() {
    let off =
        "delete.topic.enable=false\nauto.create.topics.enable=false\nmax.request.partition.size.limit=2\n";
    run(check_at("PLAINTEXT", off, include_str!("../data/switched-off.txt")));
}

/// CFG-05, CFG-07: every key, with values of another type, out of range, empty, or of no meaning.
#[test]
fn values_that_cannot_be_get_kafka_s_verdict_and_change_nothing() {
    run(check(include_str!("../data/wrong-values.txt")));
}

/// Where Kafka 4.3.1 fails inside and answers −1 (an unknown error of the server), we say what is wrong.
#[test]
fn what_kafka_cannot_answer_is_refused_by_a_reason() {
    run(check(
        "> create 7 t|1|1\n\
         t 0 id=t partitions=1 replicas=1 configs=33 min.insync.replicas=1(3)\n\
         > metadata 12 id:zero\n\
         brokers [1 here rack=~] cluster=22 controller=1 operations=-2147483648 0\n \
         17 id=- internal=false operations=-2147483648\n\
         > alter 1 2 t 9:retention.ms=1\n\
         2 't' 42 'Unknown operations type 9'\n\
         > alter 1 2 t -1:retention.ms=1\n\
         2 't' 42 'Unknown operations type -1'\n\
         > replace 2 2 t retention.ms=1 / 2 t retention.ms=2\n\
         2 't' 42 'Each resource must appear at most once.'\n\
         2 't' 42 'Each resource must appear at most once.'",
    ));
}

/// TOP-07: what was deleted stays deleted after a restart.
#[test]
fn records_are_deleted_as_by_kafka() {
    run(async {
        let home = Home::new();
        let node = start_with(&properties(home.path(), ""), Parts::default()).await.unwrap();
        let mut script = Script::new(&node).await;
        script.check(include_str!("../data/delete-records.txt")).await;
        node.stop().await;
        let node = start_with(&properties(home.path(), ""), Parts::default()).await.unwrap();
        let mut script = Script::new(&node).await;
        script.check("> offsets 6 p|0|-2\np-0 0 offset=10 epoch=0\n").await;
        node.stop().await;
    });
}
