//! Tools that are given wrong flags, files or addresses: what they say, and how they end.

use crate::stage::{LeftOut, Stage, sorted};

/// Replays what was recorded of one tool.
fn check(tool: &str, left_out: &[LeftOut<'_>]) {
    let text = include_str!("../data/refused.txt");
    let section = text.split("# tool ").find(|section| section.lines().next() == Some(tool)).unwrap();
    Stage::without_node(tool).replay(section, left_out, sorted);
}

#[test]
fn kafka_get_offsets_refuses_as_kafka_s_tool_does() {
    check("kafka-get-offsets.sh", &[]);
}

#[test]
fn kafka_delete_records_refuses_as_kafka_s_tool_does() {
    check("kafka-delete-records.sh", &[("r21.json", "a number beyond 64 bits is shown rounded")]);
}

#[test]
fn kafka_log_dirs_refuses_as_kafka_s_tool_does() {
    check("kafka-log-dirs.sh", &[]);
}

#[test]
fn kafka_broker_api_versions_refuses_as_kafka_s_tool_does() {
    check("kafka-broker-api-versions.sh", &[]);
}

#[test]
fn kafka_groups_refuses_as_kafka_s_tool_does() {
    check("kafka-groups.sh", &[]);
}

#[test]
fn kafka_cluster_refuses_as_kafka_s_tool_does() {
    check(
        "kafka-cluster.sh",
        &[("--id -1 --command-config DIR/work/fast.properties", "no node has it: ours says so at once")],
    );
}

#[test]
fn kafka_metadata_quorum_refuses_as_kafka_s_tool_does() {
    check("kafka-metadata-quorum.sh", &[]);
}

#[test]
fn kafka_features_refuses_as_kafka_s_tool_does() {
    check("kafka-features.sh", &[]);
}
