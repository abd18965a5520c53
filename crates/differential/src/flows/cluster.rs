//! What the cluster says of itself, and topics that are made by asking for them.
//!
//! Owns: the requests of this story and their variants. Does not own: how answers are compared (`compare`, `normal`).

use ottla_protocol::ApiKey;
use serde_json::{Value, json};

use super::Flow;

pub fn story(flow: &mut Flow<'_>) {
    flow.topic("a", 2);
    for _ in 0..5 + flow.random.index(6) {
        match flow.random.index(8) {
            0 | 1 => metadata(flow),
            2 => auto_create(flow),
            3 | 4 => topic_partitions(flow),
            5 => {
                let body = json!({"includeClusterAuthorizedOperations": flow.chance(50),
                    "endpointType": flow.one_of(&[1, 1, 1, 2, 0, 3]), "includeFencedBrokers": flow.chance(50)});
                flow.ask(ApiKey::DescribeCluster, body);
            }
            6 => {
                let name = flow.one_of(&["__cluster_metadata", "__cluster_metadata", "~a", ""]);
                let index = flow.one_of(&[0, 0, 1]);
                let body =
                    json!({"topics": [{"topicName": name, "partitions": [{"partitionIndex": index}]}]});
                flow.ask(ApiKey::DescribeQuorum, body);
            }
            _ => coordinator(flow),
        }
    }
}

/// Who coordinates what, for names that there are and that there are not.
pub fn coordinators(flow: &mut Flow<'_>) {
    for _ in 0..3 + flow.random.index(4) {
        coordinator(flow);
        if flow.chance(40) {
            let body = json!({"groups": ["~g"], "includeAuthorizedOperations": flow.chance(50)});
            flow.ask(ApiKey::DescribeGroups, body);
        }
    }
}

fn metadata(flow: &mut Flow<'_>) {
    let topics = flow.one_of(&[
        json!([{"name": "~a", "topicId": "$a"}]),
        json!([{"name": "~gone"}, {"name": "~a"}]),
        json!([{"name": ""}]),
        json!([{"name": "~a b"}]),
        json!([{"name": null, "topicId": "$a"}]),
        json!([{"name": null, "topicId": "AAECAwQFBgcICQoLDA0ODw"}]),
        json!([{"name": "~a"}, {"name": "~a"}]),
        json!([{"name": "__consumer_offsets"}]),
        json!([]),
        Value::Null,
    ]);
    let body = json!({"topics": topics, "allowAutoTopicCreation": false,
        "includeClusterAuthorizedOperations": flow.chance(30), "includeTopicAuthorizedOperations": flow.chance(30)});
    // Names that may be null, and ids, came with version 10 and 12.
    let version = flow.version(ApiKey::Metadata);
    let needs_id =
        body["topics"].as_array().is_some_and(|topics| topics.iter().any(|topic| topic["name"].is_null()));
    // Before version 4 every request may create topics.
    let version = if needs_id { version.max(12) } else { version.max(4) };
    flow.ask_in(ApiKey::Metadata, version, body);
}

fn auto_create(flow: &mut Flow<'_>) {
    let name = flow.one_of(&["~new", "~newer", "~new.er"]);
    let version = flow.version(ApiKey::Metadata);
    let body = json!({"topics": [{"name": name}], "allowAutoTopicCreation": true});
    flow.ask_in(ApiKey::Metadata, version, body).until("/topics/0/errorCode", json!(0));
}

fn topic_partitions(flow: &mut Flow<'_>) {
    let topics = flow.one_of(&[
        json!([{"name": "~a"}]),
        json!([{"name": "~gone"}, {"name": "~a"}]),
        json!([{"name": "~a"}, {"name": "~a"}]),
        json!([{"name": ""}]),
    ]);
    let cursor = flow.one_of(&[
        Value::Null,
        Value::Null,
        json!({"topicName": "~a", "partitionIndex": 1}),
        json!({"topicName": "~a", "partitionIndex": 5}),
        json!({"topicName": "~a", "partitionIndex": -1}),
        json!({"topicName": "~b", "partitionIndex": 0}),
        json!({"topicName": "~gone", "partitionIndex": 0}),
    ]);
    let limit = flow.one_of(&[2000, 2000, 1, 2, 0, -1]);
    let body = json!({"topics": topics, "responsePartitionLimit": limit, "cursor": cursor});
    flow.ask(ApiKey::DescribeTopicPartitions, body);
}

fn coordinator(flow: &mut Flow<'_>) {
    let key = flow.one_of(&["~g", "", "warm"]);
    let keys = flow.one_of(&[json!(["~g"]), json!(["~g", "~h", "~g"]), json!([]), json!([""])]);
    let kind = flow.one_of(&[0, 0, 0, 3, -1]);
    flow.ask(ApiKey::FindCoordinator, json!({"key": key, "keyType": kind, "coordinatorKeys": keys}));
}
