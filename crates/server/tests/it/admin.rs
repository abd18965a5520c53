//! What administrators ask of a node, against what Kafka answered.

use crate::levels::loggers;
use crate::node::{Home, Parts, properties, run, start_with};
use crate::script::Script;

async fn check(transcript: &str) {
    let home = Home::new();
    let more = "num.partitions=4\ncontroller.quorum.voters=1@127.0.0.1:9093\n";
    let parts = Parts { loggers: loggers(std::iter::empty()), ..Parts::default() };
    let node = start_with(&properties(home.path(), more), parts).await.unwrap();
    let mut script = Script::new(&node).await;
    script.check(transcript).await;
    node.stop().await;
}

/// TOP-01, TOP-02, TOP-05 to TOP-08, TRAP-21, TRAP-34
#[test]
fn topics_are_created_grown_described_and_deleted_as_by_kafka() {
    run(check(include_str!("../data/topics.txt")));
}

/// MD-01 to MD-07, MD-09, TOP-09, KRF-04, KRF-06
#[test]
fn the_cluster_is_told_of_as_by_kafka() {
    run(check(include_str!("../data/cluster.txt")));
}

/// CFG-01, CFG-04 to CFG-09, TRAP-20, TRAP-36
#[test]
fn configs_are_shown_and_changed_as_by_kafka() {
    run(check(include_str!("../data/configs.txt")));
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
