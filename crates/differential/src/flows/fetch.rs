//! Fetch requests: edges of offsets, bytes and epochs; sessions that grow, forget, and are taken up wrongly.
//!
//! Owns: the requests of this story and their variants. Does not own: how answers are compared (`compare`, `normal`).

use ottla_protocol::ApiKey;
use serde_json::{Value, json};

use super::Flow;

pub fn story(flow: &mut Flow<'_>) {
    fill(flow);
    for _ in 0..4 + flow.random.index(4) {
        let body = request(flow);
        flow.ask(ApiKey::Fetch, body);
    }
}

/// Requests of one session. Its id is kept by the first.
pub fn session(flow: &mut Flow<'_>) {
    fill(flow);
    let version = flow.one_of(&[7, 11, 12, 13, 15, 17, 18]);
    let mut epoch = 0;
    for round in 0..5 + flow.random.index(4) {
        epoch = in_session(flow, version, (round == 0, epoch));
        if round == 0 {
            flow.keep("session", "/sessionId");
        }
        if flow.chance(20) {
            let batch = json!({"records": [["k", "more"]]});
            let body = json!({"acks": -1, "timeoutMs": 1000, "topicData": [
                {"name": "~a", "topicId": "$a", "partitionData": [{"index": 0, "records": [batch]}]}]});
            flow.ask_in(ApiKey::Produce, 13, body);
        }
    }
}

fn fill(flow: &mut Flow<'_>) {
    flow.topic("a", 2);
    flow.topic("b", 1);
    for (topic, index, count) in [("a", 0, 3), ("a", 1, 1), ("b", 0, 2)] {
        for round in 0..count {
            let batch = json!({"records": [["k", format!("{topic}{round}")], ["l", "x".repeat(50)]]});
            let body = json!({"acks": -1, "timeoutMs": 1000, "topicData": [{"name": format!("~{topic}"),
                "topicId": format!("${topic}"), "partitionData": [{"index": index, "records": [batch]}]}]});
            flow.ask_in(ApiKey::Produce, 13, body);
        }
    }
}

/// A fetch without a session.
fn request(flow: &mut Flow<'_>) -> Value {
    let (mut topics, _) = topics(flow);
    let isolation = flow.one_of(&[0, 0, 1, 2]);
    if isolation == 2 {
        // Kafka fails, and repeats what was asked for, also topics without partitions.
        topics.retain(|topic| topic["partitions"].as_array().is_some_and(|named| !named.is_empty()));
    }
    json!({
        "replicaId": flow.one_of(&[-1, -1, -1, -1, -2]),
        "maxWaitMs": flow.one_of(&[0, 0, 50, -1]),
        "minBytes": flow.one_of(&[0, 1, 1, 100_000, -1]),
        "maxBytes": flow.one_of(&[1_000_000, 1_000_000, 1, 0, 150]),
        "isolationLevel": isolation,
        "topics": topics,
    })
}

/// Topics to be read, and the same as topics to be forgotten.
fn topics(flow: &mut Flow<'_>) -> (Vec<Value>, Vec<Value>) {
    let (mut wanted, mut forgotten) = (Vec::new(), Vec::new());
    for _ in 0..1 + flow.random.index(2) {
        let (name, id) = flow.one_of(&[
            ("~a", "$a"),
            ("~a", "$a"),
            ("~b", "$b"),
            ("~gone", "AAECAwQFBgcICQoLDA0ODw"),
            // Not the id of zeroes, over which Kafka stumbles in sessions.
            ("", "AAECAwQFBgcICQoLDA0OEA"),
        ]);
        if wanted.iter().any(|topic: &Value| topic["topic"] == name) {
            continue;
        }
        let mut indexes = vec![flow.one_of(&[0, 0, 0, 1, 2, -1])];
        if flow.chance(40) {
            indexes.push(if indexes[0] == 0 { 1 } else { 0 });
        }
        let partitions: Vec<Value> = indexes.iter().map(|index| partition(flow, *index)).collect();
        wanted.push(json!({"topic": name, "topicId": id, "partitions": partitions}));
        forgotten.push(json!({"topic": name, "topicId": id, "partitions": indexes}));
    }
    (wanted, forgotten)
}

fn partition(flow: &Flow<'_>, index: i32) -> Value {
    let mut partition = json!({
        "partition": index,
        "fetchOffset": flow.one_of(&[0, 0, 0, 1, 2, 3, 6, 7, -1, -2]),
        "partitionMaxBytes": flow.one_of(&[100_000, 100_000, 100_000, 1, 0, 150]),
    });
    if flow.chance(25) {
        partition["currentLeaderEpoch"] = json!(flow.one_of(&[0, 0, 1, -1, -2]));
    }
    if flow.chance(15) {
        partition["lastFetchedEpoch"] = json!(flow.one_of(&[0, 1, -1]));
    }
    if flow.chance(15) {
        partition["logStartOffset"] = json!(flow.one_of(&[0, 5, -1]));
    }
    partition
}

/// One request of a session; the answer is the epoch of the next one.
fn in_session(flow: &mut Flow<'_>, version: i16, (is_first, epoch): (bool, i32)) -> i32 {
    let (topics, forgotten) = topics(flow);
    let (topics, forgotten) = match flow.random.index(4) {
        _ if is_first => (topics, Vec::new()),
        0 => (topics, Vec::new()),
        1 => (Vec::new(), forgotten),
        _ => (Vec::new(), Vec::new()),
    };
    let sent = match flow.random.index(12) {
        _ if is_first => 0,
        0 => flow.one_of(&[0, -1, epoch + 1, 99, -2]),
        _ => epoch,
    };
    let body = json!({"replicaId": -1, "maxWaitMs": 30, "minBytes": flow.one_of(&[0, 1]), "maxBytes": 1_000_000,
        "isolationLevel": flow.one_of(&[0, 1]), "sessionId": if is_first { json!(0) } else { json!("$session") },
        "sessionEpoch": sent, "topics": topics, "forgottenTopicsData": forgotten});
    flow.ask_in(ApiKey::Fetch, version, body);
    sent.max(0) + 1
}
