//! Offsets of groups in all versions: committed, fetched, deleted; groups listed, described, deleted.
//!
//! Owns: the requests of this story and their variants. Does not own: how answers are compared (`compare`, `normal`).

use ottla_protocol::ApiKey;
use serde_json::{Value, json};

use super::Flow;

const NO_ID: &str = "AAAAAAAAAAAAAAAAAAAAAA";

pub fn story(flow: &mut Flow<'_>) {
    flow.topic("a", 2);
    flow.topic("b", 1);
    for _ in 0..6 + flow.random.index(8) {
        match flow.random.index(10) {
            0..4 => commit(flow),
            4..7 => fetch(flow),
            7 => delete(flow),
            8 => {
                let body = json!({"groups": flow.one_of(&[json!(["~g"]), json!(["~g", "~none"]), json!([""]), json!([])]),
                    "includeAuthorizedOperations": flow.chance(30)});
                flow.ask(ApiKey::DescribeGroups, body);
            }
            _ => list_or_delete(flow),
        }
    }
    fetch(flow);
}

fn commit(flow: &mut Flow<'_>) {
    let mut topics: Vec<Value> = Vec::new();
    for _ in 0..1 + flow.random.index(2) {
        let (name, id) = flow.one_of(&[
            ("~a", "$a"),
            ("~a", "$a"),
            ("~b", "$b"),
            ("~gone", "AAECAwQFBgcICQoLDA0ODw"),
            ("", NO_ID),
        ]);
        if topics.iter().any(|topic| topic["name"] == name) {
            continue;
        }
        let partitions: Vec<Value> = (0..1 + flow.random.index(2))
            .map(|at| {
                // A group that only a refused commit named is there in Kafka until it starts again; here it is not. So a
                // note that is too long comes behind a commit that may be good. Each partition is named once: of two
                // for one partition ours tells one outcome for both.
                let long = if at == 0 { json!("") } else { json!("x".repeat(5000)) };
                let index = if at == 0 { 0 } else { flow.one_of(&[1, 2, -1]) };
                json!({"partitionIndex": index, "committedOffset": flow.one_of(&[0, 5, 1000, -1, -2]),
                    "committedLeaderEpoch": flow.one_of(&[-1, -1, 0, 5, -2]),
                    "committedMetadata": flow.one_of(&[json!("note"), json!(""), json!(null), long])})
            })
            .collect();
        let partitions = if flow.chance(10) { Vec::new() } else { partitions };
        topics.push(json!({"name": name, "topicId": id, "partitions": partitions}));
    }
    let (generation, member) = flow.one_of(&[
        (-1, ""),
        (-1, ""),
        (-1, ""),
        (-1, ""),
        (1, "made-up"),
        (-1, "made-up"),
        (0, ""),
        (-2, ""),
    ]);
    let body = json!({"groupId": flow.one_of(&["~g", "~g", "~g", "~h", ""]), "generationIdOrMemberEpoch": generation,
        "memberId": member, "groupInstanceId": if flow.chance(5) { json!("made-up-instance") } else { json!(null) },
        "retentionTimeMs": flow.one_of(&[-1, -1, 100_000]), "topics": topics});
    flow.ask(ApiKey::OffsetCommit, body);
}

fn fetch(flow: &mut Flow<'_>) {
    let topics = flow.one_of(&[
        json!([{"name": "~a", "topicId": "$a", "partitionIndexes": [0, 1, 2]}]),
        json!([{"name": "~a", "topicId": "$a", "partitionIndexes": [0, 0]}, {"name": "~b", "topicId": "$b", "partitionIndexes": [0]}]),
        json!([{"name": "~gone", "topicId": "AAECAwQFBgcICQoLDA0ODw", "partitionIndexes": [0, -1]}]),
        json!([{"name": "", "topicId": NO_ID, "partitionIndexes": [0]}]),
        json!([]),
        Value::Null,
    ]);
    let version = flow.version(ApiKey::OffsetFetch);
    // All topics, as null, came with version 2.
    let version = if topics.is_null() { version.max(2) } else { version };
    let group = flow.one_of(&["~g", "~g", "~g", "~h", "~none", ""]);
    let mut groups = vec![json!({"groupId": group, "topics": topics})];
    if flow.chance(30) {
        groups.push(json!({"groupId": "~h", "topics": null}));
    }
    if flow.chance(10) {
        let (member, epoch) = flow.one_of(&[("made-up", 1), ("made-up", -1), ("", 3)]);
        groups[0]["memberId"] = json!(member);
        groups[0]["memberEpoch"] = json!(epoch);
    }
    let body = json!({"groupId": group, "topics": without_ids(&topics), "groups": groups, "requireStable": flow.chance(30)});
    flow.ask_in(ApiKey::OffsetFetch, version, body);
}

/// The requests before version 8 name topics by name only.
pub fn without_ids(topics: &Value) -> Value {
    let Some(topics) = topics.as_array() else { return Value::Null };
    let plain = |topic: &Value| json!({"name": topic["name"], "partitionIndexes": topic["partitionIndexes"]});
    topics.iter().map(plain).collect()
}

fn delete(flow: &mut Flow<'_>) {
    let topics = flow.one_of(&[
        json!([{"name": "~a", "partitions": [{"partitionIndex": 0}]}]),
        json!([{"name": "~a", "partitions": [{"partitionIndex": 0}, {"partitionIndex": 9}]}, {"name": "~gone", "partitions": [{"partitionIndex": 0}]}]),
        json!([{"name": "~b", "partitions": []}]),
        json!([{"name": "~gone", "partitions": []}]),
        json!([]),
    ]);
    flow.ask(
        ApiKey::OffsetDelete,
        json!({"groupId": flow.one_of(&["~g", "~g", "~none", ""]), "topics": topics}),
    );
}

fn list_or_delete(flow: &mut Flow<'_>) {
    if flow.chance(60) {
        let states = flow.one_of(&[
            json!([]),
            json!([]),
            json!(["Empty"]),
            json!(["empty", "Dead"]),
            json!(["Stable"]),
            json!(["None"]),
        ]);
        let types = flow.one_of(&[
            json!([]),
            json!([]),
            json!(["classic"]),
            json!(["Classic"]),
            json!(["consumer"]),
            json!(["odd"]),
        ]);
        flow.ask(ApiKey::ListGroups, json!({"statesFilter": states, "typesFilter": types}));
    } else {
        let names = flow.one_of(&[
            json!(["~g"]),
            json!(["~g", "~g"]),
            json!(["~none", "~h"]),
            json!([""]),
            json!([]),
        ]);
        flow.ask(ApiKey::DeleteGroups, json!({ "groupsNames": names }));
    }
}
