//! `kafka-log-dirs`: which replicas lie in which log directories, and how large they are.
//!
//! Owns: its options, the JSON it prints. Does not own: asking brokers (`ottla_client::Admin`).
//!
//! Scripts read the third line. Its fields, directories and partitions stand in the order in which Kafka's tool writes
//! them.
//!
//! Source: `kafka-log-dirs.sh` of Kafka 4.3.1 (`tests/data/log-dirs.txt`, `tests/data/refused.txt`).

use std::collections::BTreeSet;

use ottla_client::admin::LogDirDescription;
use ottla_model::{BrokerId, TopicPartition, java_string_hash};
use serde_json::Value;

use super::failure::{self, Failure, Problem};
use super::hash_order::{hash_of_partition, hash_order};
use super::{java, session, usage};
use crate::jopt::{self, Given, Opt, flag, value};
use crate::operation_failure;
use crate::terminal::Terminal;

const OPTIONS: &[Opt] = &[
    value(
        "bootstrap-server",
        "String: The server(s) to use for bootstrapping",
        "REQUIRED: The brokers to connect to, as host:port.",
    ),
    value("broker-list", "String: Broker list", "Ids of the brokers to ask, as 0,1,2; all if not given."),
    value("command-config", "String: Admin client property file", "A properties file for the admin client."),
    flag("describe", "Describe the log directories."),
    flag("help", "Print usage information."),
    value("topic-list", "String: Topic list", "Topics to show, as topic1,topic2; all if not given."),
    flag("version", "Display Kafka version."),
];

/// Runs the tool.
pub fn run(args: &[String], terminal: &mut Terminal<'_>) -> u8 {
    let given = match jopt::parse(OPTIONS, args) {
        Ok(given) => given,
        Err(error) => return failure::crash(terminal, &Failure::from(&error)),
    };
    let about = "This tool helps to query log directory usage on the specified brokers.";
    if let Some(code) = usage::help_or_version(terminal, &given, (args, about)) {
        return code;
    }
    if let Err(message) = usage::require(&given, &["bootstrap-server", "describe"]) {
        return usage::refuse(terminal, OPTIONS, &message);
    }
    session::run("kafka-log-dirs", async {
        let ended = work(&given, terminal).await;
        failure::end(terminal, ended)
    })
}

async fn work(given: &Given, terminal: &mut Terminal<'_>) -> Result<(), Problem> {
    let admin = session::admin_of(given, &[], terminal).await?;
    let topics: BTreeSet<&str> = list(given, "topic-list")?.collect();
    let cluster = admin.describe_cluster(false).await;
    let cluster = cluster.map_err(|error| operation_failure!(error).in_execution())?;
    let existing: BTreeSet<i32> = cluster.nodes.iter().map(|node| node.id.value()).collect();
    let named = list(given, "broker-list")?.map(java::integer).collect::<Result<BTreeSet<i32>, Failure>>()?;
    let missing: BTreeSet<i32> = named.difference(&existing).copied().collect();
    if !missing.is_empty() {
        return Err(Problem::Terse(format!(
            "ERROR: The given brokers do not exist from --broker-list: {}. Current existent brokers: {}",
            joined(&missing),
            joined(&existing)
        )));
    }
    let asked = if named.is_empty() { existing } else { named };
    terminal.out_line("Querying brokers for log directories information");
    let ids: Vec<BrokerId> = asked.iter().copied().filter_map(BrokerId::new).collect();
    let mut brokers = Vec::new();
    for (id, outcome) in admin.describe_log_dirs(&ids).await {
        let dirs = outcome.map_err(|error| operation_failure!(error).in_execution())?;
        let dirs = hash_order(dirs, |dir| java_string_hash(&dir.path));
        let dirs: Vec<String> = dirs.iter().map(|dir| json_of(dir, &topics)).collect();
        brokers.push(format!(r#"{{"broker":{id},"logDirs":[{}]}}"#, dirs.join(",")));
    }
    terminal.out_line(format_args!("Received log directory information from brokers {}", joined(&asked)));
    terminal.out_line(format_args!(r#"{{"brokers":[{}],"version":1}}"#, brokers.join(",")));
    Ok(())
}

/// The parts of a list between commas, without empty ones.
fn list<'a>(given: &'a Given, name: &'static str) -> Result<impl Iterator<Item = &'a str>, Failure> {
    let text = given.value(name).map_err(|error| Failure::from(&error))?.unwrap_or_default();
    Ok(text.split(',').filter(|part| !part.is_empty()))
}

fn joined(ids: &BTreeSet<i32>) -> String {
    ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

fn json_of(dir: &LogDirDescription, topics: &BTreeSet<&str>) -> String {
    let is_wanted = |topic: &str| topics.is_empty() || topics.contains(topic);
    let replicas = dir.replicas.iter().filter(|(partition, _)| is_wanted(partition.topic.as_str()));
    let hash =
        |partition: &TopicPartition| hash_of_partition(partition.topic.as_str(), partition.partition.value());
    let replicas: Vec<String> = hash_order(replicas.collect(), |(partition, _)| hash(partition))
        .into_iter()
        .map(|(partition, size)| {
            format!(
                r#"{{"partition":{},"size":{},"offsetLag":{},"isFuture":{}}}"#,
                Value::from(partition.to_string()),
                size.bytes,
                size.offset_lag,
                size.is_future
            )
        })
        .collect();
    let error = dir.error.as_ref().map(|error| failure::class_of(error.code));
    format!(
        r#"{{"partitions":[{}],"error":{},"logDir":{}}}"#,
        replicas.join(","),
        Value::from(error),
        Value::from(dir.path.as_str())
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use ottla_client::admin::ReplicaSize;
    use ottla_client::error::{ErrorCode, ServerError};
    use ottla_model::{PartitionIndex, TopicName};

    use super::*;

    #[test]
    fn a_directory_is_one_object_with_the_replicas_of_the_topics() {
        let size = ReplicaSize { bytes: 7, offset_lag: 1, is_future: true };
        let partition =
            |topic| TopicPartition::new(TopicName::new(topic).unwrap(), PartitionIndex::default());
        let mut dir = LogDirDescription {
            path: "/a\"b".to_owned(),
            error: None,
            replicas: BTreeMap::from([(partition("t"), size), (partition("u"), size)]),
            total_bytes: None,
            usable_bytes: None,
            is_cordoned: false,
        };
        let replica = r#"{"partition":"t-0","size":7,"offsetLag":1,"isFuture":true}"#;
        assert_eq!(
            json_of(&dir, &BTreeSet::from(["t"])),
            format!(r#"{{"partitions":[{replica}],"error":null,"logDir":"/a\"b"}}"#)
        );
        assert_eq!(json_of(&dir, &BTreeSet::new()).matches("isFuture").count(), 2);
        dir.error = Some(ServerError { code: ErrorCode::KafkaStorageError, detail: None });
        let class = r#""error":"org.apache.kafka.common.errors.KafkaStorageException""#;
        assert!(json_of(&dir, &BTreeSet::new()).contains(class));
    }

    /// As Kafka 4.3.1 showed the directory of a node.
    #[test]
    fn partitions_stand_in_the_order_of_java_s_table() {
        let shown = "o1-2 o1-0 plain-0 __consumer_offsets-3 d-idem-0 __consumer_offsets-1";
        let size = ReplicaSize { bytes: 0, offset_lag: 0, is_future: false };
        let partition = |text: &str| {
            let (topic, index) = text.rsplit_once('-').unwrap();
            let index = PartitionIndex::new(index.parse().unwrap()).unwrap();
            (TopicPartition::new(TopicName::new(topic).unwrap(), index), size)
        };
        let dir = LogDirDescription {
            path: "d1".to_owned(),
            error: None,
            replicas: shown.split(' ').map(partition).collect(),
            total_bytes: None,
            usable_bytes: None,
            is_cordoned: false,
        };
        let json: Value = serde_json::from_str(&json_of(&dir, &BTreeSet::new())).unwrap();
        let names: Vec<&str> = json["partitions"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|one| one["partition"].as_str())
            .collect();
        assert_eq!(names.join(" "), shown);
    }
}
