//! Produce requests, good and bad, and what is in the log afterwards.
//!
//! Owns: the requests of this story and their variants. Does not own: how answers are compared (`compare`, `normal`).

use ottla_protocol::ApiKey;
use serde_json::{Value, json};

use super::Flow;

pub fn story(flow: &mut Flow<'_>) {
    let configs: [&[(&str, &str)]; 8] = [
        &[],
        &[],
        &[("max.message.bytes", "200")],
        &[("cleanup.policy", "compact")],
        &[("message.timestamp.type", "LogAppendTime")],
        &[("compression.type", "gzip")],
        &[("message.timestamp.before.max.ms", "1000"), ("message.timestamp.after.max.ms", "1000")],
        &[("min.insync.replicas", "2")],
    ];
    let chosen = flow.one_of(&configs);
    flow.topic_with("a", 2, chosen);
    flow.topic("b", 1);
    for _ in 0..3 + flow.random.index(6) {
        let request = request(flow);
        flow.ask(ApiKey::Produce, request);
    }
    for index in 0..2 {
        let body = json!({"maxWaitMs": 0, "minBytes": 0, "maxBytes": 1_000_000, "topics": [
            {"topic": "~a", "topicId": "$a", "partitions": [{"partition": index, "partitionMaxBytes": 100_000}]}]});
        flow.ask(ApiKey::Fetch, body);
    }
    let ends = json!({"replicaId": -1, "topics": [{"name": "~b", "partitions": [{"partitionIndex": 0, "timestamp": -1}]}]});
    flow.ask(ApiKey::ListOffsets, ends);
}

fn request(flow: &mut Flow<'_>) -> Value {
    let mut topics = Vec::new();
    for _ in 0..1 + flow.random.index(2) {
        let (name, id) = flow.one_of(&[
            ("~a", "$a"),
            ("~a", "$a"),
            ("~a", "$a"),
            ("~b", "$b"),
            ("~gone", "AAECAwQFBgcICQoLDA0ODw"),
            ("", "AAAAAAAAAAAAAAAAAAAAAA"),
        ]);
        if topics.iter().any(|topic: &Value| topic["name"] == name) {
            continue;
        }
        let index = flow.one_of(&[0, 0, 0, 1, 1, 2, -1]);
        let mut partitions = vec![json!({"index": index, "records": records(flow)})];
        if flow.chance(20) {
            let other = if index == 0 { 1 } else { 0 };
            partitions.push(json!({"index": other, "records": records(flow)}));
        }
        topics.push(json!({"name": name, "topicId": id, "partitionData": partitions}));
    }
    let acks = flow.one_of(&[-1, -1, 1, 1, 1, 0, 2, -2]);
    if !(-1..=1).contains(&acks) {
        // Of two faults at once each broker tells the one that it looks at first.
        make_plain(&mut topics);
    }
    let transactional = if flow.chance(3) { json!("~transaction") } else { Value::Null };
    json!({"transactionalId": transactional, "acks": acks, "timeoutMs": flow.one_of(&[1000, 1000, 0, -1]), "topicData": topics})
}

/// Makes whatever is there one batch that nothing is wrong with; none stays none.
fn make_plain(topics: &mut [Value]) {
    let partitions = topics.iter_mut().filter_map(|topic| topic["partitionData"].as_array_mut());
    for partition in partitions.flatten().filter(|partition| partition["records"] != json!([])) {
        partition["records"] = json!([{"records": [["k", "v"]]}]);
    }
}

/// One batch or more, or what is none.
fn records(flow: &mut Flow<'_>) -> Value {
    match flow.random.index(14) {
        // Not null: Kafka leaves such a request without any answer.
        0 | 1 => json!([]),
        2 => json!({"hex": "00"}),
        3 => json!([batch(flow), batch(flow)]),
        4 => json!([batch(flow), {"hex": "0000"}]),
        _ => json!([batch(flow)]),
    }
}

fn batch(flow: &mut Flow<'_>) -> Value {
    let mut batch = json!({"records": [["k", "v"], [flow.one_of(&["k", "l"]), "w"]]});
    if flow.chance(10) {
        batch["records"] = json!([[null, "v"]]);
    }
    if flow.chance(10) {
        batch["records"] = json!([["k", "v".repeat(200)]]);
    }
    if flow.chance(25) {
        batch["codec"] = json!(flow.one_of(&["gzip", "snappy", "lz4", "zstd"]));
    }
    if flow.chance(45) {
        let (field, value) = flow.one_of(&[
            ("magic", 0_i64),
            ("magic", 1),
            ("magic", 3),
            ("crcShift", 1),
            ("lengthShift", -1),
            ("lengthShift", 1),
            ("lengthShift", -1000),
            ("count", 0),
            ("count", 1),
            ("count", 3),
            ("count", -1),
            ("lastOffsetDelta", 0),
            ("lastOffsetDelta", 5),
            ("lastOffsetDelta", -1),
            ("attributes", 5),
            ("attributes", 7),
            ("attributes", 8),
            ("attributes", 0x10),
            ("attributes", 0x20),
            ("attributes", 0x40),
            ("attributes", 0x80),
            ("baseOffset", 5),
            ("baseOffset", -1),
            ("leaderEpoch", 7),
            ("baseTimestamp", -1),
            ("baseTimestamp", 4_000_000_000_000),
            ("maxTimestamp", 0),
            ("maxTimestamp", -1),
            // None below -1: Kafka fails over it where it packs a batch anew, and stores it elsewhere.
            ("producerId", 77),
            ("producerEpoch", 0),
            ("baseSequence", 0),
        ]);
        batch[field] = json!(value);
    }
    batch
}
