//! Tools that are given wrong flags, files, addresses or names: what they say, and how they end.

use crate::left_out::is_left_out;
use crate::perf::without_times;
use crate::stage::{Stage, sorted};
use crate::transcript::Seen;

/// Order that is one of chance, and times that were measured.
fn form(seen: Seen) -> Seen {
    let lines = |lines: Vec<String>| lines.iter().map(|line| without_times(line)).collect();
    sorted(Seen { out: lines(seen.out), err: lines(seen.err), exit: seen.exit })
}

/// Replays what was recorded of one tool.
fn check(tool: &str) {
    let text = include_str!("../data/refused.txt");
    let sections = text.split("# tool ").filter(|section| section.lines().next() == Some(tool));
    let section = sections.collect::<String>();
    assert!(!section.is_empty());
    Stage::without_node(tool).replay_but(&section, |block| is_left_out("refused.txt", block), form);
}

#[test]
fn kafka_topics_refuses_as_kafka_s_tool_does() {
    check("kafka-topics.sh");
}

#[test]
fn kafka_console_producer_refuses_as_kafka_s_tool_does() {
    check("kafka-console-producer.sh");
}

#[test]
fn kafka_console_consumer_refuses_as_kafka_s_tool_does() {
    check("kafka-console-consumer.sh");
}

#[test]
fn kafka_consumer_groups_refuses_as_kafka_s_tool_does() {
    check("kafka-consumer-groups.sh");
}

#[test]
fn kafka_groups_refuses_as_kafka_s_tool_does() {
    check("kafka-groups.sh");
}

#[test]
fn kafka_configs_refuses_as_kafka_s_tool_does() {
    check("kafka-configs.sh");
}

#[test]
fn kafka_get_offsets_refuses_as_kafka_s_tool_does() {
    check("kafka-get-offsets.sh");
}

#[test]
fn kafka_delete_records_refuses_as_kafka_s_tool_does() {
    check("kafka-delete-records.sh");
}

#[test]
fn kafka_log_dirs_refuses_as_kafka_s_tool_does() {
    check("kafka-log-dirs.sh");
}

#[test]
fn kafka_broker_api_versions_refuses_as_kafka_s_tool_does() {
    check("kafka-broker-api-versions.sh");
}

#[test]
fn kafka_cluster_refuses_as_kafka_s_tool_does() {
    check("kafka-cluster.sh");
}

#[test]
fn kafka_dump_log_refuses_as_kafka_s_tool_does() {
    check("kafka-dump-log.sh");
}

#[test]
fn kafka_metadata_quorum_refuses_as_kafka_s_tool_does() {
    check("kafka-metadata-quorum.sh");
}

#[test]
fn kafka_features_refuses_as_kafka_s_tool_does() {
    check("kafka-features.sh");
}

#[test]
fn kafka_producer_perf_test_refuses_as_kafka_s_tool_does() {
    check("kafka-producer-perf-test.sh");
}

#[test]
fn kafka_consumer_perf_test_refuses_as_kafka_s_tool_does() {
    check("kafka-consumer-perf-test.sh");
}

#[test]
fn kafka_e2e_latency_refuses_as_kafka_s_tool_does() {
    check("kafka-e2e-latency.sh");
}

#[test]
fn kafka_verifiable_producer_refuses_as_kafka_s_tool_does() {
    check("kafka-verifiable-producer.sh");
}

#[test]
fn kafka_verifiable_consumer_refuses_as_kafka_s_tool_does() {
    check("kafka-verifiable-consumer.sh");
}

/// Topics, groups, nodes and features that are not there.
#[test]
fn what_is_not_there_is_told_as_by_kafka_s_tools() {
    let text = include_str!("../data/missing.txt");
    Stage::new("missing").replay_but(text, |block| is_left_out("missing.txt", block), form);
}
