//! Offsets of a log: by time, ends, epochs, deleted beginnings; who produced.
//!
//! Owns: the requests of this story and their variants. Does not own: how answers are compared (`compare`, `normal`).

use ottla_protocol::ApiKey;
use serde_json::{Value, json};

use super::Flow;
use crate::batches::TIME;

pub fn story(flow: &mut Flow<'_>) {
    let configs: [&[(&str, &str)]; 4] =
        [&[], &[], &[("cleanup.policy", "compact")], &[("cleanup.policy", "compact,delete")]];
    let chosen = flow.one_of(&configs);
    fill(flow, chosen);
    for _ in 0..4 + flow.random.index(6) {
        match flow.random.index(5) {
            0 => epochs(flow),
            1 => producers(flow),
            _ => list_offsets(flow),
        }
    }
    read(flow, 0);
}

/// The beginning of a log goes away: what is said of it, and what can be read, before and after.
pub fn deletions(flow: &mut Flow<'_>) {
    let configs: [&[(&str, &str)]; 4] =
        [&[], &[], &[("cleanup.policy", "compact")], &[("cleanup.policy", "compact,delete")]];
    let chosen = flow.one_of(&configs);
    fill(flow, chosen);
    for _ in 0..3 + flow.random.index(4) {
        delete_records(flow);
        match flow.random.index(4) {
            0 => epochs(flow),
            1 => list_offsets(flow),
            2 => {
                let first = flow.one_of(&[0, 1, 2, 3, 7]);
                read(flow, first);
            }
            _ => {
                flow.ask(ApiKey::DescribeLogDirs, json!({"topics": [{"topic": "~a", "partitions": [0]}]}));
            }
        }
    }
    read(flow, 0);
}

/// A topic with four batches of two records, in which times go up and down.
fn fill(flow: &mut Flow<'_>, configs: &[(&str, &str)]) {
    flow.topic_with("a", 2, configs);
    for round in 0..4 {
        let time = TIME + flow.one_of(&[0, 1000, 2000, -1000]) + round;
        let batch = json!({"records": [["k", "v", 0], ["l", "w", 5]], "baseTimestamp": time, "maxTimestamp": time + 5});
        let body = json!({"acks": -1, "timeoutMs": 1000, "topicData": [
            {"name": "~a", "topicId": "$a", "partitionData": [{"index": 0, "records": [batch]}]}]});
        flow.ask_in(ApiKey::Produce, 13, body);
    }
}

fn read(flow: &mut Flow<'_>, first: i64) {
    let body = json!({"maxWaitMs": 0, "minBytes": 0, "maxBytes": 1_000_000, "topics": [{"topic": "~a", "topicId": "$a",
        "partitions": [{"partition": 0, "fetchOffset": first, "partitionMaxBytes": 100_000}]}]});
    flow.ask(ApiKey::Fetch, body);
}

fn list_offsets(flow: &mut Flow<'_>) {
    let mut partitions = Vec::new();
    for _ in 0..1 + flow.random.index(3) {
        let time = flow.one_of(&[
            -1,
            -1,
            -2,
            -2,
            -3,
            -3,
            -4,
            -5,
            -6,
            -7,
            0,
            TIME,
            TIME + 1,
            TIME + 6,
            TIME + 1500,
            TIME + 9000,
            i64::MAX,
        ]);
        let mut partition = json!({"partitionIndex": flow.one_of(&[0, 0, 0, 1, 2, -1]), "timestamp": time});
        if flow.chance(15) {
            partition["currentLeaderEpoch"] = json!(flow.one_of(&[0, 1, -1, -2]));
        }
        partitions.push(partition);
    }
    let name = flow.one_of(&["~a", "~a", "~a", "~a", "~gone", ""]);
    let body = json!({"replicaId": flow.one_of(&[-1, -1, -1, -2]), "isolationLevel": flow.one_of(&[0, 1, 3]),
        "topics": [{"name": name, "partitions": partitions}], "timeoutMs": 1000});
    flow.ask(ApiKey::ListOffsets, body);
}

fn delete_records(flow: &mut Flow<'_>) {
    let name = flow.one_of(&["~a", "~a", "~a", "~gone", "__consumer_offsets"]);
    let mut partitions = vec![
        json!({"partitionIndex": flow.one_of(&[0, 0, 0, 1, 2]), "offset": flow.one_of(&[0, 1, 2, 3, 8, 9, -1, -2])}),
    ];
    if flow.chance(20) {
        partitions.push(json!({"partitionIndex": 1, "offset": 0}));
    }
    flow.ask(
        ApiKey::DeleteRecords,
        json!({"topics": [{"name": name, "partitions": partitions}], "timeoutMs": 1000}),
    );
}

fn epochs(flow: &mut Flow<'_>) {
    let name = flow.one_of(&["~a", "~a", "~gone"]);
    let partitions: Vec<Value> = (0..1 + flow.random.index(2))
        .map(|_| {
            json!({"partition": flow.one_of(&[0, 0, 1, 2]), "currentLeaderEpoch": flow.one_of(&[-1, -1, 0, 1]),
                "leaderEpoch": flow.one_of(&[0, 0, 1, -1, -2])})
        })
        .collect();
    let body =
        json!({"replicaId": flow.one_of(&[-1, -2]), "topics": [{"topic": name, "partitions": partitions}]});
    flow.ask(ApiKey::OffsetForLeaderEpoch, body);
}

fn producers(flow: &mut Flow<'_>) {
    let name = flow.one_of(&["~a", "~a", "~gone", ""]);
    let indexes = flow.one_of(&[vec![0], vec![0, 1], vec![2], vec![-1, 0]]);
    flow.ask(ApiKey::DescribeProducers, json!({"topics": [{"name": name, "partitionIndexes": indexes}]}));
}
