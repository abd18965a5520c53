//! Tools that look at a cluster, replayed against a node: kafka-log-dirs, kafka-broker-api-versions, kafka-groups.

use std::collections::{BTreeMap, BTreeSet};

use ottla_client::Admin;
use ottla_client::admin::CommittedOffset;
use ottla_client::config::AdminConfig;
use ottla_env::task;
use ottla_model::{Offset, PartitionIndex, TopicName, TopicPartition};
use serde_json::Value;

use crate::stage::{Stage, sorted};
use crate::transcript::{Seen, blocks, comparable};

/// The JSON of kafka-log-dirs without what differs from run to run: where a partition lies, and how large it is.
fn without_places(mut seen: Seen) -> Seen {
    for line in seen.out.iter_mut().filter(|line| line.starts_with("{\"brokers\"")) {
        let json: Value = serde_json::from_str(line).unwrap();
        assert_eq!(json["version"], 1);
        let brokers = json["brokers"].as_array().unwrap();
        let mut told = BTreeSet::new();
        for broker in brokers {
            for dir in broker["logDirs"].as_array().unwrap() {
                told.insert(format!("{} {} {}", broker["broker"], dir["logDir"], dir["error"]));
                for replica in dir["partitions"].as_array().unwrap() {
                    assert!(replica["size"].is_u64(), "{replica}");
                    told.insert(format!(
                        "{} {} {}",
                        replica["partition"], replica["offsetLag"], replica["isFuture"]
                    ));
                }
            }
        }
        *line = told.into_iter().collect::<Vec<_>>().join(", ");
    }
    seen
}

/// OUT-03
#[test]
fn log_directories_are_shown_as_by_kafka_s_tool() {
    let stage = Stage::new("log-dirs");
    for (topic, partitions) in [("o1", 3), ("d-txn", 1), ("other", 2)] {
        stage.create_topic(topic, partitions);
    }
    stage.produce(("o1", 2), 0..3);
    stage.replay(include_str!("../data/log-dirs.txt"), &[], without_places);
    let seen = stage.run("kafka-log-dirs.sh --bootstrap-server localhost:9092 --describe", "");
    let json = &seen.out[2];
    assert_eq!(json.matches("\"partition\":\"o1-").count(), 3, "{json}");
    assert!(
        json.contains("\"partition\":\"other-1\",\"size\":0,\"offsetLag\":0,\"isFuture\":false"),
        "{json}"
    );
    // Three records in batches of their own, or fewer batches.
    assert!(!json.contains("\"partition\":\"o1-2\",\"size\":0,"), "{json}");
}

/// OUT-03, ELE-03
#[test]
fn leaders_are_elected_as_by_kafka_s_tool() {
    let stage = Stage::new("leader-election");
    stage.create_topic("o1", 3);
    stage.replay(include_str!("../data/leader-election.txt"), &[], sorted);
}

/// Name and number of each API, and what is said of it.
fn table(seen: &Seen) -> BTreeMap<String, String> {
    let lines =
        seen.out.iter().filter_map(|line| line.strip_prefix('\t')?.trim_end_matches(',').split_once(": "));
    lines.map(|(api, said)| (api.to_owned(), said.to_owned())).collect()
}

/// OUT-04
#[test]
fn versions_of_apis_are_shown_as_by_kafka_s_tool() {
    let stage = Stage::new("api-versions");
    let text = include_str!("../data/broker-api-versions.txt");
    let recorded = blocks(text);
    let block = recorded.iter().find(|block| block.seen.exit == Some(0)).unwrap();
    let ours = stage.run(&block.command, "");
    assert_eq!((&ours.err, ours.exit), (&block.seen.err, block.seen.exit));
    for end in [0, ours.out.len() - 1] {
        assert_eq!(ours.out[end], block.seen.out[end]);
    }
    let (ours, kafkas) = (table(&ours), table(&block.seen));
    assert!(ours.keys().eq(kafkas.keys()), "{ours:#?}");
    let has = |said: &&String| said.as_str() != "UNSUPPORTED";
    for (api, said) in ours.iter().filter(|(_, said)| has(said)) {
        assert_eq!(said, &kafkas[api], "{api}");
    }
    assert!(ours.values().filter(has).count() > 30);
    // Controllers cannot be asked.
    let refused = recorded.iter().find(|block| block.command.contains("--bootstrap-controller")).unwrap();
    assert_eq!(comparable(&stage.run(&refused.command, "")), comparable(&refused.seen));
}

/// The recorded cluster had a group of Connect workers and a share group besides.
fn without_other_kinds(mut seen: Seen) -> Seen {
    seen.out.retain(|line| !line.starts_with("connect-cluster ") && !line.starts_with("sg2 "));
    sorted(seen)
}

#[test]
fn groups_are_listed_as_by_kafka_s_tool() {
    let stage = Stage::new("groups");
    stage.create_topic("t", 1);
    stage.produce(("t", 0), 0..1);
    for group in ["st1", "connect-snk2", "connect-ssnk"] {
        let command = format!(
            "kafka-console-consumer.sh --bootstrap-server localhost:9092 --topic t --from-beginning --max-messages 1 \
             --group {group}"
        );
        assert_eq!(stage.run(&command, "").exit, Some(0), "{command}");
    }
    // A group that has no members and never had any.
    let partition = TopicPartition::new(TopicName::new("t").unwrap(), PartitionIndex::default());
    let offsets = BTreeMap::from([(partition, CommittedOffset::at(Offset::default()))]);
    task::block_on(async {
        let admin = Admin::new(AdminConfig::new(&stage.broker()).unwrap()).unwrap();
        admin.alter_group_offsets("brandnew", &offsets).await.unwrap();
    })
    .unwrap();
    stage.replay(include_str!("../data/groups.txt"), &[], without_other_kinds);
}
