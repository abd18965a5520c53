//! Tools that ask and change what controllers decide, replayed against a node: kafka-cluster, kafka-metadata-quorum,
//! kafka-features.

use crate::stage::{LeftOut, Stage};
use crate::transcript::Seen;

/// Replaces what stands behind a marker, up to the end of the word.
fn masked(line: &str, marker: &str) -> String {
    let Some(at) = line.find(marker).map(|at| at + marker.len()) else { return line.to_owned() };
    let start = at + line[at..].len() - line[at..].trim_start().len();
    let end = line[start..].find([' ', '"', ',']).map_or(line.len(), |end| start + end);
    format!("{}X{}", &line[..start], &line[end..])
}

/// Without what differs from cluster to cluster and from moment to moment.
fn form(mut seen: Seen) -> Seen {
    const MARKERS: [&str; 6] =
        ["Cluster ID:", "ClusterId:", "LeaderEpoch:", "HighWatermark:", "Epoch: ", "irectory id "];
    for line in &mut seen.out {
        for marker in MARKERS {
            *line = masked(line, marker);
        }
        *line = masked(line, "\"directoryId\": \"").replace("localhost:0", "localhost:9093");
        // The node has other ports; behind them the columns stand where they stood.
        if let Some(columns) = line.strip_prefix("1          localhost ") {
            *line = columns[10..].to_owned();
        }
        if line.starts_with("1     \t") {
            *line = row(line);
        }
    }
    seen
}

/// A line of the table of replicas, whose offset and times move on.
fn row(line: &str) -> String {
    let cells: Vec<&str> = line.split('\t').collect();
    assert_eq!(cells.len(), 8, "{line}");
    let is_time =
        |cell: &str| cell.trim().bytes().all(|byte| byte.is_ascii_digit()) || cell.contains(" ms ago");
    assert!(is_time(cells[4]) && is_time(cells[5]), "{line}");
    let ago = cells[4].contains(" ms ago");
    let widths: Vec<usize> = cells.iter().map(|cell| cell.len()).collect();
    format!("{widths:?} node {} lag {} {} ago: {ago}", cells[0], cells[3], cells[6])
}

#[test]
fn clusters_are_shown_as_by_kafka_s_tool() {
    let stage = Stage::new("cluster");
    let unregister = "unregister --bootstrap-server localhost:9092 --id 9";
    let left_out = [(unregister, "the node does not offer UnregisterBroker yet")];
    stage.replay(include_str!("../data/cluster.txt"), &left_out, form);
    let seen = stage.run(&format!("kafka-cluster.sh {unregister}"), "");
    assert_eq!(seen.out, ["The target cluster does not support the broker unregistration API."]);
    assert_eq!(seen.exit, Some(0));
    // Brokers are no controllers.
    let seen = stage.run("kafka-cluster.sh cluster-id --bootstrap-controller localhost:9092", "");
    let class = "org.apache.kafka.common.errors.MismatchedEndpointTypeException: ";
    assert!(seen.err.last().unwrap().starts_with(&format!("Caused by: {class}")), "{seen:?}");
}

/// OUT-03
#[test]
fn the_metadata_quorum_is_shown_as_by_kafka_s_tool() {
    let stage = Stage::new("quorum");
    let no_api = "the node does not offer AddRaftVoter and RemoveRaftVoter yet";
    let add = "--command-config DIR/server.properties --bootstrap-server localhost:9092 add-controller";
    let remove = "remove-controller --controller-id 5 --controller-directory-id AAAAAAAAAAAAAAAAAAAAAQ";
    let left_out: [LeftOut<'_>; 2] = [(add, no_api), (remove, no_api)];
    stage.replay(include_str!("../data/metadata-quorum.txt"), &left_out, form);
    for (command, api) in [
        (add.to_owned(), "ADD_RAFT_VOTER"),
        (format!("--bootstrap-server localhost:9092 {remove}"), "REMOVE_RAFT_VOTER"),
    ] {
        let seen = stage.run(&format!("kafka-metadata-quorum.sh {command}"), "");
        let words = format!(
            "org.apache.kafka.common.errors.UnsupportedVersionException: The node does not support {api}"
        );
        // Before it stands a warning of settings that are a controller's and not a client's.
        assert!(seen.err.contains(&words), "{seen:?}");
        assert_eq!((seen.out.len(), seen.exit), (0, Some(1)));
    }
}

/// KIP-584, KIP-1022
#[test]
fn features_are_shown_and_changed_as_by_kafka_s_tool() {
    Stage::new("features").replay(include_str!("../data/features.txt"), &[], form);
}
