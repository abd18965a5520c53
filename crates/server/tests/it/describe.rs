//! DescribeConfigs over the wire, entry by entry, against what Kafka answered.
//!
//! The recorded answers are those of a node with the settings of [`recorded`]; where it listened and kept its data is
//! the only difference.

use std::path::Path;

use ottla_protocol::messages::describe_configs_request::DescribeConfigsResource;
use ottla_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult,
};
use serde_json::{Value, json};

use crate::levels::loggers;
use crate::node::{Home, Parts, run, start_with};
use crate::script::Script;

/// The directory of the recorded answers.
const RECORDED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../metadata/tests/data/describe");

const LISTENERS: &str = "PLAINTEXT://127.0.0.1:0,CONTROLLER://127.0.0.1:0";

/// The properties of the node whose answers were recorded, but for ports and directory.
fn recorded(directory: &Path) -> String {
    format!(
        "process.roles=broker,controller\nnode.id=1\ncontroller.quorum.voters=1@127.0.0.1:9093\n\
         controller.listener.names=CONTROLLER\nlisteners={LISTENERS}\n\
         advertised.listeners=PLAINTEXT://127.0.0.1:9092\n\
         listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT\nlog.dirs={}\nnum.partitions=4\n\
         offsets.topic.replication.factor=1\ntransaction.state.log.replication.factor=1\n\
         transaction.state.log.min.isr=1\nshare.coordinator.state.topic.replication.factor=1\n\
         share.coordinator.state.topic.min.isr=1\ngroup.initial.rebalance.delay.ms=0\n",
        directory.display()
    )
}

/// The number of a resource's type, and names of types and sources, as Kafka's admin client has them.
fn kind_of(name: &str) -> i8 {
    match name {
        "TOPIC" => 2,
        "BROKER" => 4,
        "BROKER_LOGGER" => 8,
        "CLIENT_METRICS" => 16,
        "GROUP" => 32,
        other => panic!("no resource type {other}"),
    }
}

const TYPES: [&str; 10] =
    ["UNKNOWN", "BOOLEAN", "STRING", "INT", "SHORT", "LONG", "DOUBLE", "LIST", "CLASS", "PASSWORD"];
const SOURCES: [&str; 9] = [
    "UNKNOWN",
    "DYNAMIC_TOPIC_CONFIG",
    "DYNAMIC_BROKER_CONFIG",
    "DYNAMIC_DEFAULT_BROKER_CONFIG",
    "STATIC_BROKER_CONFIG",
    "DEFAULT_CONFIG",
    "DYNAMIC_BROKER_LOGGER_CONFIG",
    "DYNAMIC_CLIENT_METRICS_CONFIG",
    "DYNAMIC_GROUP_CONFIG",
];

fn named(names: &[&'static str], code: i8) -> &'static str {
    names[usize::try_from(code).unwrap()]
}

fn entry(row: &DescribeConfigsResourceResult, home: &Home) -> Value {
    let directory = home.path().display().to_string();
    let text = |value: &Option<String>| {
        let listeners = "PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093";
        value.as_ref().map(|value| value.replace(LISTENERS, listeners).replace(&directory, "DIR/data"))
    };
    let synonyms: Vec<Value> = row
        .synonyms
        .iter()
        .map(|it| json!({"name": it.name, "value": text(&it.value), "source": named(&SOURCES, it.source)}))
        .collect();
    json!({
        "name": row.name,
        "value": text(&row.value),
        "source": named(&SOURCES, row.config_source),
        "sensitive": row.is_sensitive,
        "readOnly": row.read_only,
        "type": named(&TYPES, row.config_type),
        "synonyms": synonyms,
    })
}

fn recorded_answer(file: &str) -> Value {
    let text = std::fs::read_to_string(format!("{RECORDED}/{file}.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// All entries of the resource that a recorded answer is about.
async fn described(script: &mut Script, answer: &Value) -> DescribeConfigsResult {
    let resource = DescribeConfigsResource {
        resource_type: kind_of(answer["resource_type"].as_str().unwrap()),
        resource_name: answer["resource_name"].as_str().unwrap().to_owned(),
        configuration_keys: None,
    };
    script.describe_raw(4, resource).await
}

async fn check(script: &mut Script, home: &Home, file: &str) {
    let answer = recorded_answer(file);
    let row = described(script, &answer).await;
    assert_eq!((row.error_code, row.error_message.as_deref()), (0, Some("")), "{file}");
    let mut ours: Vec<Value> = row.configs.iter().map(|row| entry(row, home)).collect();
    ours.sort_by_key(|entry| entry["name"].as_str().unwrap().to_owned());
    let theirs = answer["entries"].as_array().unwrap();
    let names = |entries: &[Value]| -> Vec<String> {
        entries.iter().map(|entry| entry["name"].as_str().unwrap().to_owned()).collect()
    };
    let mut theirs = theirs.clone();
    theirs.sort_by_key(|entry| entry["name"].as_str().unwrap().to_owned());
    assert_eq!(names(&ours), names(&theirs), "{file}");
    for (ours, theirs) in ours.iter().zip(&theirs) {
        assert_eq!(ours, theirs, "{file}");
    }
    assert!(row.configs.iter().all(|row| row.documentation.as_ref().is_some_and(|text| !text.is_empty())));
}

/// CFG-01, CFG-02, CFG-03, CFG-04, TRAP-20: every entry of every kind of resource, before and after changes.
#[test]
fn a_node_describes_its_configs_as_kafka_does() {
    run(async {
        let home = Home::new();
        let node = start_with(&recorded(home.path()), Parts::default()).await.unwrap();
        let mut script = Script::new(&node).await;
        script.check("> create 7 plain|1|1\nplain 0 id=plain partitions=1 replicas=1 configs=33 min.insync.replicas=1(3)").await;
        for file in
            ["broker-fresh", "broker-default-fresh", "topic-fresh", "group-fresh", "client-metrics-absent"]
        {
            check(&mut script, &home, file).await;
        }
        script.check(CHANGES).await;
        for file in [
            "broker-dynamic",
            "broker-default-dynamic",
            "topic-plain-dynamic-broker",
            "topic-overrides",
            "group-overrides",
            "client-metrics",
        ] {
            check(&mut script, &home, file).await;
        }
        node.stop().await;
    });
}

/// What was changed between the recordings.
const CHANGES: &str = "\
> alter 1 4 - 0:log.retention.ms=7200000 0:message.max.bytes=3000000
4 '' 0
> alter 1 4 1 0:log.cleaner.threads=2 0:message.max.bytes=2000000
4 '1' 0
> create 4 tuned|1|1|retention.ms=1000;cleanup.policy=compact;segment.bytes=1048576
tuned 0 id=- partitions=-1 replicas=-1 configs=0 0
> alter 1 32 g1 0:consumer.session.timeout.ms=50000 0:share.isolation.level=read_committed
32 'g1' 0
> alter 1 16 sub1 0:metrics=org.apache.kafka.producer. 0:interval.ms=30000 0:match=client_id=abc
16 'sub1' 0
";

/// CFG-01, CFG-09: loggers have names of ours, so that they are given Kafka's here.
#[test]
fn loggers_are_described_and_changed_as_kafka_s_are() {
    run(async {
        let home = Home::new();
        let fresh = recorded_answer("broker-logger-altered");
        let names = fresh["entries"].as_array().unwrap().iter().map(|entry| entry["name"].as_str().unwrap());
        let parts = Parts { loggers: loggers(names), ..Parts::default() };
        let node = start_with(&recorded(home.path()), parts).await.unwrap();
        let mut script = Script::new(&node).await;
        script
            .check(
                "> describe 4 8 1 kafka.server.KafkaApis\n8 '1' 0 ''\n  kafka.server.KafkaApis=WARN(6) type=0 []\n\
                 > alter 1 validate 8 1 0:kafka.server.KafkaApis=TRACE\n8 '1' 0\n\
                 > alter 1 8 1 0:kafka.server.KafkaApis=TRACE 0:no.such=INFO\n8 '1' 40 'Logger no.such does not exist!'\n\
                 > describe 4 8 1 kafka.server.KafkaApis\n8 '1' 0 ''\n  kafka.server.KafkaApis=WARN(6) type=0 []\n\
                 > alter 1 8 1 0:kafka.server.KafkaApis=DEBUG\n8 '1' 0",
            )
            .await;
        let answer = described(&mut script, &fresh).await;
        let mut ours: Vec<Value> = answer.configs.iter().map(|row| entry(row, &home)).collect();
        ours.sort_by_key(|entry| entry["name"].as_str().unwrap().to_owned());
        let mut theirs = fresh["entries"].as_array().unwrap().clone();
        theirs.sort_by_key(|entry| entry["name"].as_str().unwrap().to_owned());
        assert_eq!(ours, theirs);
        node.stop().await;
    });
}

/// TRAP-20: a tool that copies what it sees, key by key, is never refused, and a copy shows what the original does.
#[test]
fn what_is_described_can_be_set() {
    run(async {
        let home = Home::new();
        let node = start_with(&recorded(home.path()), Parts::default()).await.unwrap();
        let mut script = Script::new(&node).await;
        script.answer("create 7 t|1|1").await;
        for (kind, name, copy) in [(2, "t", "copy"), (32, "g", "h")] {
            let resource = |name: &str| DescribeConfigsResource {
                resource_type: kind,
                resource_name: name.to_owned(),
                configuration_keys: None,
            };
            let values = |answer: DescribeConfigsResult| -> Vec<(String, String)> {
                answer.configs.into_iter().map(|row| (row.name, row.value.unwrap())).collect()
            };
            let seen = values(script.describe_raw(4, resource(name)).await);
            let pairs: Vec<String> = seen.iter().map(|(name, value)| format!("{name}={value}")).collect();
            if kind == 2 {
                let created = script.answer(&format!("create 7 {copy}|1|1|{}", pairs.join(";"))).await;
                assert!(created[0].starts_with("copy 0 "), "{created:?}");
            }
            let changes: Vec<String> = pairs.iter().map(|pair| format!("0:{pair}")).collect();
            let altered = script.answer(&format!("alter 1 {kind} {copy} {}", changes.join(" "))).await;
            assert_eq!(altered, [format!("{kind} '{copy}' 0")]);
            let replaced = script.answer(&format!("replace 2 {kind} {copy} {}", pairs.join(" "))).await;
            assert_eq!(replaced, [format!("{kind} '{copy}' 0")]);
            assert_eq!(values(script.describe_raw(4, resource(copy)).await), seen);
        }
        node.stop().await;
    });
}
