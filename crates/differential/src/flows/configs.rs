//! Settings: described, altered as a whole and one by one, with good and bad values.
//!
//! Owns: the requests of this story and their variants. Does not own: how answers are compared (`compare`, `normal`).

use ottla_protocol::ApiKey;
use serde_json::{Value, json};

use super::Flow;

const TOPIC: i64 = 2;
const BROKER: i64 = 4;
const LOGGER: i64 = 8;
const CLIENT_METRICS: i64 = 16;
const GROUP: i64 = 32;

/// Keys of topics, each with good and bad values.
const TOPIC_VALUES: [(&str, &str); 26] = [
    ("retention.ms", "1000"),
    ("retention.ms", "-1"),
    ("retention.ms", "-2"),
    ("retention.ms", " 7 "),
    ("retention.ms", "1e3"),
    ("cleanup.policy", "compact"),
    ("cleanup.policy", "delete"),
    ("cleanup.policy", "compact,delete"),
    ("cleanup.policy", "delete,burn"),
    ("cleanup.policy", ""),
    ("max.message.bytes", "100000"),
    ("max.message.bytes", "99999999999"),
    ("min.cleanable.dirty.ratio", "0.3"),
    ("min.cleanable.dirty.ratio", "1.3"),
    ("preallocate", "true"),
    ("preallocate", "yes"),
    ("compression.type", "lz4"),
    ("compression.type", "rar"),
    ("compression.gzip.level", "10"),
    ("segment.bytes", "2000000"),
    ("segment.bytes", "10"),
    ("local.retention.ms", "5"),
    ("leader.replication.throttled.replicas", "0:1"),
    ("leader.replication.throttled.replicas", "x"),
    ("message.timestamp.type", "LogAppendTime"),
    ("no.such.key", "1"),
];

pub fn story(flow: &mut Flow<'_>) {
    flow.topic("a", 1);
    for _ in 0..4 + flow.random.index(4) {
        match flow.random.index(8) {
            0..3 => incremental(flow),
            3 | 4 => alter(flow),
            5 => describe_other(flow),
            6 => {
                let kinds = flow.one_of(&[
                    json!([]),
                    json!([2]),
                    json!([16]),
                    json!([32]),
                    json!([4, 8]),
                    json!([99]),
                ]);
                flow.ask(ApiKey::ListConfigResources, json!({ "resourceTypes": kinds }));
            }
            _ => describe(flow),
        }
    }
    describe(flow);
}

fn describe(flow: &mut Flow<'_>) {
    let keys = flow.one_of(&[
        Value::Null,
        Value::Null,
        json!(["retention.ms", "cleanup.policy"]),
        json!(["no.such.key"]),
        json!([]),
    ]);
    let body = json!({"resources": [{"resourceType": TOPIC, "resourceName": "~a", "configurationKeys": keys}],
        "includeSynonyms": flow.chance(60), "includeDocumentation": flow.chance(30)});
    flow.ask(ApiKey::DescribeConfigs, body);
}

fn describe_other(flow: &mut Flow<'_>) {
    let (kind, name) = flow.one_of(&[
        (BROKER, "1"),
        (BROKER, "1"),
        (BROKER, ""),
        (BROKER, "9"),
        (BROKER, "x"),
        (TOPIC, "~gone"),
        (TOPIC, ""),
        (TOPIC, "~a b"),
        (LOGGER, "9"),
        (CLIENT_METRICS, "~m"),
        (CLIENT_METRICS, ""),
        (GROUP, "~g"),
        (GROUP, ""),
        (0, "x"),
        (99, "x"),
    ]);
    let body = json!({"resources": [{"resourceType": kind, "resourceName": name, "configurationKeys": null}],
        "includeSynonyms": flow.chance(60), "includeDocumentation": flow.chance(30)});
    flow.ask(ApiKey::DescribeConfigs, body);
}

fn value(flow: &Flow<'_>) -> (&'static str, Value) {
    let (name, value) = flow.one_of(&TOPIC_VALUES);
    (name, if flow.chance(8) { Value::Null } else { json!(value) })
}

/// Changes that nothing is wrong with: of two wrong ones Kafka tells any.
const GOOD_VALUES: [(&str, &str); 4] =
    [("retention.ms", "2000"), ("cleanup.policy", "compact"), ("preallocate", "true"), ("flush.ms", "7")];

fn resource(flow: &Flow<'_>) -> (i64, &'static str) {
    flow.one_of(&[
        (TOPIC, "~a"),
        (TOPIC, "~a"),
        (TOPIC, "~a"),
        (TOPIC, "~a"),
        (TOPIC, "~a"),
        (TOPIC, "~gone"),
        (TOPIC, ""),
        (BROKER, "9"),
        (BROKER, "x"),
        (0, "x"),
        (99, "x"),
    ])
}

fn incremental(flow: &mut Flow<'_>) {
    let (name, value) = value(flow);
    let operation = flow.one_of(&[0, 0, 0, 1, 1, 2, 3, 4, -1]);
    let mut configs = vec![json!({"name": name, "configOperation": operation, "value": value})];
    if flow.chance(50) {
        let (name, value) = flow.one_of(&GOOD_VALUES);
        configs.push(json!({"name": name, "configOperation": flow.one_of(&[0, 1]), "value": value}));
    }
    let is_odd =
        configs.iter().any(|config| !(0..=3).contains(&config["configOperation"].as_i64().unwrap_or(0)));
    let (kind, name) = if is_odd { (TOPIC, "~a") } else { resource(flow) };
    let mut resources = vec![json!({"resourceType": kind, "resourceName": name, "configs": configs})];
    if flow.chance(10) {
        resources.push(resources[0].clone());
    }
    flow.ask(
        ApiKey::IncrementalAlterConfigs,
        json!({"resources": resources, "validateOnly": flow.chance(15)}),
    );
}

fn alter(flow: &mut Flow<'_>) {
    let mut configs = Vec::new();
    if flow.chance(70) {
        let (name, value) = value(flow);
        configs.push(json!({"name": name, "value": value}));
    }
    if flow.chance(50) {
        let (name, value) = flow.one_of(&GOOD_VALUES);
        configs.push(json!({"name": name, "value": value}));
    }
    let (kind, name) = resource(flow);
    // Each resource once: Kafka leaves a request that names one twice without any answer.
    let resources = [json!({"resourceType": kind, "resourceName": name, "configs": configs})];
    flow.ask(ApiKey::AlterConfigs, json!({"resources": resources, "validateOnly": flow.chance(15)}));
}
