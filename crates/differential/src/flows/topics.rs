//! The life of topics: creation, good and refused; metadata; a record in and out; deletion.
//!
//! Owns: the requests of this story and their variants. Does not own: how answers are compared (`compare`, `normal`).

use ottla_protocol::ApiKey;
use serde_json::{Value, json};

use super::Flow;

/// Names that are legal, and names that are not.
const NAMES: [&str; 12] = ["~a", "~b", "~c", "~a", "~b", "~a.b", "~a_b", "", ".", "..", "~a b", "~ä"];

pub fn story(flow: &mut Flow<'_>) {
    for _ in 0..2 + flow.random.index(3) {
        let create = create(flow);
        flow.ask(ApiKey::CreateTopics, create);
        metadata(flow);
    }
    flow.ask_in(
        ApiKey::Metadata,
        12,
        json!({"topics": [{"name": "~a"}, {"name": "~b"}], "allowAutoTopicCreation": false}),
    );
    flow.keep("a", "/topics/0/topicId").keep("b", "/topics/1/topicId");
    let index = flow.one_of(&[0, 1, 7, -1]);
    let batch = json!({"records": [["k", "v"], [null, "w"], ["k", null]]});
    let body = json!({"acks": flow.one_of(&[1, -1]), "timeoutMs": 1000, "topicData": [
        {"name": "~a", "topicId": "$a", "partitionData": [{"index": index, "records": [batch]}]}]});
    flow.ask(ApiKey::Produce, body);
    let body = json!({"maxWaitMs": 100, "minBytes": 0, "maxBytes": 1_000_000, "topics": [
        {"topic": "~a", "topicId": "$a", "partitions": [{"partition": index, "partitionMaxBytes": 100_000}]}]});
    flow.ask(ApiKey::Fetch, body);
    for _ in 0..1 + flow.random.index(2) {
        let delete = delete(flow);
        flow.ask(ApiKey::DeleteTopics, delete);
        metadata(flow);
    }
    flow.ask(ApiKey::Metadata, json!({ "topics": null }));
}

/// Before version 4 every such request may create topics, at any time after its answer.
fn metadata(flow: &mut Flow<'_>) {
    let version = flow.version(ApiKey::Metadata).max(4);
    let topics = json!([{"name": "~a"}, {"name": "~b"}]);
    flow.ask_in(ApiKey::Metadata, version, json!({"topics": topics, "allowAutoTopicCreation": false}));
}

fn create(flow: &mut Flow<'_>) -> Value {
    let mut topics = Vec::new();
    for _ in 0..1 + flow.random.index(3) {
        let mut topic = json!({
            "name": flow.one_of(&NAMES),
            "numPartitions": flow.one_of(&[1, 1, 2, 3, -1, 0, -2]),
            "replicationFactor": flow.one_of(&[1, 1, 1, -1, 0, 2]),
            "configs": configs(flow),
        });
        if flow.chance(20) {
            let assigned = [
                json!([{"partitionIndex": 0, "brokerIds": [1]}]),
                json!([{"partitionIndex": 0, "brokerIds": [1]}, {"partitionIndex": 1, "brokerIds": [1]}]),
                json!([{"partitionIndex": 1, "brokerIds": [1]}]),
                json!([{"partitionIndex": 0, "brokerIds": [1, 1]}]),
                json!([{"partitionIndex": 0, "brokerIds": [9]}]),
                json!([{"partitionIndex": 0, "brokerIds": []}]),
                json!([{"partitionIndex": 0, "brokerIds": [1]}, {"partitionIndex": 0, "brokerIds": [1]}]),
            ];
            topic["assignments"] = flow.one_of(&assigned);
            if flow.chance(80) {
                topic["numPartitions"] = json!(-1);
                topic["replicationFactor"] = json!(-1);
            }
        }
        topics.push(topic);
    }
    json!({"topics": topics, "timeoutMs": 5000, "validateOnly": flow.chance(15)})
}

fn configs(flow: &mut Flow<'_>) -> Value {
    if flow.chance(60) {
        return json!([]);
    }
    let config = flow.one_of(&[
        ("retention.ms", Some("1000")),
        ("retention.ms", Some("x")),
        ("retention.ms", None),
        ("cleanup.policy", Some("compact")),
        ("cleanup.policy", Some("compact,delete")),
        ("cleanup.policy", Some("burn")),
        ("segment.bytes", Some("1")),
        ("max.message.bytes", Some("-1")),
        ("compression.type", Some("zstd")),
        ("no.such.key", Some("1")),
        ("min.insync.replicas", Some("2")),
        ("message.timestamp.type", Some("LogAppendTime")),
    ]);
    json!([{"name": config.0, "value": config.1}])
}

fn delete(flow: &mut Flow<'_>) -> Value {
    let mut named = Vec::new();
    let mut names = Vec::new();
    for _ in 0..1 + flow.random.index(2) {
        let name = flow.one_of(&["~a", "~b", "~gone", "~a"]);
        names.push(json!(name));
        named.push(flow.one_of(&[
            json!({"name": name, "topicId": "AAAAAAAAAAAAAAAAAAAAAA"}),
            json!({"name": null, "topicId": "$a"}),
            json!({"name": name, "topicId": "$a"}),
            json!({"name": null, "topicId": "AAECAwQFBgcICQoLDA0ODw"}),
            json!({"name": name, "topicId": "AAAAAAAAAAAAAAAAAAAAAA"}),
        ]));
    }
    json!({"topics": named, "topicNames": names, "timeoutMs": 5000})
}
