//! More partitions for a topic, and what lies in the log directories.
//!
//! Owns: the requests of this story and their variants. Does not own: how answers are compared (`compare`, `normal`).

use ottla_protocol::ApiKey;
use serde_json::json;

use super::Flow;

pub fn story(flow: &mut Flow<'_>) {
    flow.topic("a", 2);
    flow.topic("b", 1);
    for _ in 0..3 + flow.random.index(4) {
        match flow.random.index(4) {
            0 => log_dirs(flow),
            1 => {
                let batch = json!({"records": [["k", "v"]]});
                let body = json!({"acks": -1, "timeoutMs": 1000, "topicData": [{"name": "~a", "topicId": "$a",
                    "partitionData": [{"index": flow.one_of(&[0, 2, 3]), "records": [batch]}]}]});
                flow.ask(ApiKey::Produce, body);
            }
            _ => create(flow),
        }
        flow.ask(ApiKey::Metadata, json!({"topics": [{"name": "~a"}, {"name": "~b"}]}));
    }
    log_dirs(flow);
}

fn create(flow: &mut Flow<'_>) {
    let mut topics = Vec::new();
    for _ in 0..1 + flow.random.index(2) {
        let assignments = flow.one_of(&[
            json!(null),
            json!(null),
            json!(null),
            json!([]),
            json!([{"brokerIds": [1]}]),
            json!([{"brokerIds": [1]}, {"brokerIds": [1]}]),
            json!([{"brokerIds": [9]}]),
            json!([{"brokerIds": [1, 1]}]),
            json!([{"brokerIds": []}]),
            json!([{"brokerIds": [-1]}]),
        ]);
        topics.push(json!({"name": flow.one_of(&["~a", "~a", "~b", "~gone", ""]),
            "count": flow.one_of(&[3, 3, 4, 4, 2, 1, 0, -1]), "assignments": assignments}));
    }
    flow.ask(
        ApiKey::CreatePartitions,
        json!({"topics": topics, "timeoutMs": 5000, "validateOnly": flow.chance(20)}),
    );
}

fn log_dirs(flow: &mut Flow<'_>) {
    let topics = flow.one_of(&[
        json!(null),
        json!([]),
        json!([{"topic": "~a", "partitions": [0, 1]}]),
        json!([{"topic": "~a", "partitions": [1, 7]}, {"topic": "~gone", "partitions": [0]}]),
        json!([{"topic": "~b", "partitions": []}]),
    ]);
    flow.ask(ApiKey::DescribeLogDirs, json!({ "topics": topics }));
}
