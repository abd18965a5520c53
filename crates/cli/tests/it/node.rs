//! Whole nodes: `ottla server`, `ottla dev` and `kafka-server-stop` as processes.

use std::path::Path;

use crate::process::{Place, Process};
use crate::transcript::run;

/// QS-03, SHD-01: the lines that Testcontainers waits for; and a stop that leaves everything in order.
#[test]
fn a_server_says_when_it_serves_and_stops_cleanly() {
    let place = Place::new("clean");
    let properties = place.properties(1, "num.partition=3");
    for _ in 0..2 {
        let mut server = Process::start(&["server", &properties]);
        server.line_with("unknown setting num.partition is ignored; did you mean num.partitions?");
        server.line_with("Transitioning from RECOVERY to RUNNING");
        server.line_with("[KafkaRaftServer nodeId=1] Kafka Server started");
        // Supervisors often send it twice.
        server.signal("TERM");
        server.signal("TERM");
        server.line_with("shut down completed");
        assert_eq!(server.exit_code(), Some(0));
        assert!(place.0.join("data/.kafka_cleanshutdown").exists());
    }
}

#[test]
fn the_log_is_json_where_asked_for() {
    let place = Place::new("json");
    let mut server = Process::start(&["server", &place.properties(1, ""), "--log-format", "json"]);
    let line = server.line_with("Kafka Server started");
    assert!(line.starts_with("{\"timestamp\":\"") && line.ends_with("}\n"), "{line}");
    assert!(
        line.contains("\"level\":\"INFO\",\"message\":\"[KafkaRaftServer nodeId=1] Kafka Server started\"")
    );
}

/// QS-01
#[test]
fn a_server_is_stopped_by_its_node_id() {
    let place = Place::new("stop");
    let properties = place.properties(74_123, "");
    let mut server =
        Process::start(&["kafka-server-start.sh", &properties, "--override", "num.partitions=2"]);
    server.line_with("Kafka Server started");
    let stopped = run("kafka-server-stop.sh --node-id=74123", "");
    assert_eq!((stopped.out.len(), stopped.err.len(), stopped.exit), (0, 0, Some(0)));
    server.line_with("shut down completed");
    assert_eq!(server.exit_code(), Some(0));
}

#[test]
fn a_node_to_try_things_with_leaves_nothing_behind() {
    let mut dev = Process::start(&["dev", "--port", "0"]);
    let line = dev.line_with("  data ");
    let path =
        line.trim().strip_prefix("data").unwrap().trim().strip_suffix(" (gone when this ends)").unwrap();
    let path = Path::new(path);
    assert!(path.join("meta.properties").exists());
    for command in ["kafka-topics --create", "kafka-console-producer", "kafka-console-consumer"] {
        assert!(dev.line_with(command).contains(" --bootstrap-server localhost:"));
    }
    dev.line_with("Ctrl-C stops it.");
    dev.signal("INT");
    dev.line_with("Stopped; the data is gone.");
    assert_eq!(dev.exit_code(), Some(0));
    assert!(!path.exists());
}

#[test]
fn a_node_to_try_things_with_can_keep_its_data() {
    let place = Place::new("dev");
    let data = place.0.display().to_string();
    let cluster_ids = [0, 1].map(|_| {
        let mut dev = Process::start(&["dev", "--port", "0", "--data", &data]);
        let line = dev.line_with("  cluster id ");
        dev.line_with("(kept)");
        dev.line_with("Ctrl-C stops it.");
        dev.signal("TERM");
        dev.line_with("Stopped.");
        assert_eq!(dev.exit_code(), Some(0));
        line
    });
    assert_eq!(cluster_ids[0], cluster_ids[1]);
}

/// What a server that cannot start says, and its exit code.
fn refusal(args: &str) -> String {
    let seen = run(&format!("server {args}"), "");
    assert_eq!(seen.exit, Some(1), "{args}: {seen:?}");
    let told: Vec<&String> =
        seen.out.iter().filter(|line| line.contains(" ERROR ")).chain(&seen.err).collect();
    assert_eq!(told.len(), 1, "{args}: {seen:?}");
    told[0].split_once(" ERROR ").map_or(told[0].as_str(), |(_, told)| told).trim().to_owned()
}

/// STG-01, CFG-20: one line that says what is wrong, and exit code 1.
#[test]
fn a_server_that_cannot_start_says_why_in_one_line() {
    let place = Place::new("refused");
    let properties = place.properties(1, "");
    let missing = refusal("/nonexistent/server.properties");
    assert!(
        missing.starts_with("ottla: cannot read /nonexistent/server.properties: No such file"),
        "{missing}"
    );
    let directory = refusal(place.0.to_str().unwrap());
    assert!(directory.ends_with(": is a directory"), "{directory}");
    for (overrides, words) in [
        ("num.partitions=x", "Invalid value x for configuration num.partitions: Not a number of type INT"),
        ("process.roles=nothing", "process.roles"),
        ("sasl.enabled.mechanisms=PLAIN", "sasl.enabled.mechanisms is not supported yet"),
    ] {
        let refused = refusal(&format!("{properties} --override {overrides}"));
        assert!(refused.starts_with("ottla: ") && refused.contains(words), "{refused}");
    }
    let blocked = place.0.join("file");
    std::fs::write(&blocked, "").unwrap();
    let refused = refusal(&format!("{properties} --override log.dirs={}", blocked.display()));
    assert!(refused.contains(blocked.to_str().unwrap()), "{refused}");
}

/// STG-01
#[test]
fn a_server_takes_no_port_directory_or_cluster_of_another() {
    let place = Place::new("taken");
    let properties = place.properties(1, "");
    let mut server = Process::start(&["server", &properties]);
    let listening = server.line_with("listening listener=PLAINTEXT");
    let port = listening.split_once("address=127.0.0.1:").unwrap().1.split(' ').next().unwrap().to_owned();
    server.line_with("Kafka Server started");
    let refused = refusal(&properties);
    assert!(refused.starts_with("Failed to acquire lock on file .lock in "), "{refused}");
    let other = place.0.join("other").display().to_string();
    let listeners = format!("PLAINTEXT://localhost:{port},CONTROLLER://localhost:0");
    let refused = refusal(&format!(
        "{properties} --override log.dirs={other} --override listeners={listeners} --override \
         advertised.listeners={listeners}"
    ));
    assert!(
        refused.starts_with(&format!("cannot listen on 127.0.0.1:{port}: address already in use")),
        "{refused}"
    );
    server.signal("TERM");
    assert_eq!(server.exit_code(), Some(0));
    let meta = place.0.join("second/meta.properties");
    std::fs::create_dir_all(meta.parent().unwrap()).unwrap();
    std::fs::write(&meta, "version=1\nnode.id=1\ncluster.id=foreign\n").unwrap();
    let (first, second) = (place.0.join("data"), place.0.join("second"));
    let dirs = format!("{},{}", first.display(), second.display());
    let refused = refusal(&format!("{properties} --override log.dirs={dirs}"));
    assert!(refused.contains("second is not this node's: it belongs to cluster 'foreign'"), "{refused}");
}
