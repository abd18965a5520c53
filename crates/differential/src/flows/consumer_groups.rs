//! Consumer groups: members join by heartbeat, at right and wrong epochs, commit, leave, come back; beside them who speaks
//! the classic protocol.
//!
//! Owns: the requests of this story and their variants. Does not own: how answers are compared (`compare`, `normal`).
//!
//! Each member has a topic of its own: who gets which partition of a shared one is each coordinator's own decision.

use ottla_protocol::ApiKey;
use serde_json::{Value, json};

use super::Flow;

/// A member and its topic.
const MEMBERS: [(&str, &str); 2] = [("made-up-1", "a"), ("made-up-2", "b")];
/// First version of the offset calls with epochs.
const FIRST_WITH_EPOCHS: i16 = 9;

pub fn story(flow: &mut Flow<'_>) {
    flow.topic("a", 2);
    flow.topic("b", 1);
    let instance = flow.one_of(&[Value::Null, Value::Null, json!("made-up-i")]);
    join(flow, 0, &instance);
    let mut members = 1;
    for _ in 0..4 + flow.random.index(6) {
        match flow.random.index(9) {
            0 if members < MEMBERS.len() => {
                join(flow, members, &Value::Null);
                members += 1;
            }
            1 => strange_heartbeat(flow),
            2 => commit(flow, members),
            3 => fetch(flow, members),
            4 => classic_requests(flow),
            5 => about(flow),
            6 => away_and_back(flow, &instance),
            _ => beat(flow, members, &instance),
        }
    }
    about(flow);
    for (member, _) in MEMBERS.iter().take(members) {
        heartbeat(flow, json!({"groupId": "~g", "memberId": member, "memberEpoch": -1}));
    }
    about(flow);
    flow.ask(ApiKey::DeleteGroups, json!({"groupsNames": ["~g"]}));
}

fn heartbeat(flow: &mut Flow<'_>, body: Value) {
    flow.ask(ApiKey::ConsumerGroupHeartbeat, body);
}

fn joining((member, topic): (&str, &str), instance: &Value) -> Value {
    json!({"groupId": "~g", "memberId": member, "memberEpoch": 0, "instanceId": instance, "rebalanceTimeoutMs": 30000,
        "subscribedTopicNames": [format!("~{topic}")], "topicPartitions": []})
}

fn join(flow: &mut Flow<'_>, at: usize, instance: &Value) {
    heartbeat(flow, joining(MEMBERS[at], instance));
    flow.keep(&format!("epoch{at}"), "/memberEpoch");
}

/// The epoch the member was told last, or another one.
fn epoch(flow: &Flow<'_>, at: usize) -> Value {
    let told = json!(format!("$epoch{at}"));
    flow.one_of(&[told.clone(), told.clone(), told.clone(), told, json!(1), json!(77)])
}

fn beat(flow: &mut Flow<'_>, members: usize, instance: &Value) {
    let at = flow.random.index(members);
    let instance = if at == 0 { instance.clone() } else { Value::Null };
    let (member, topic) = MEMBERS[at];
    let mut body =
        json!({"groupId": "~g", "memberId": member, "memberEpoch": epoch(flow, at), "instanceId": instance});
    if flow.chance(30) {
        body["subscribedTopicNames"] = flow.one_of(&[json!([format!("~{topic}")]), json!([]), json!(["~z"])]);
    }
    if flow.chance(30) {
        let owned = json!([{"topicId": format!("${topic}"), "partitions": [0]}]);
        body["topicPartitions"] = flow.one_of(&[json!([]), owned]);
    }
    if flow.chance(15) {
        body["serverAssignor"] = flow.one_of(&[json!("range"), json!("uniform"), json!("made-up")]);
    }
    heartbeat(flow, body);
}

fn strange_heartbeat(flow: &mut Flow<'_>) {
    let mut body = joining(MEMBERS[0], &Value::Null);
    let (field, value) = flow.one_of(&[
        ("groupId", json!("")),
        ("memberId", json!("made-up-9")),
        ("memberEpoch", json!(-2)),
        ("memberEpoch", json!(-3)),
        ("instanceId", json!("")),
        ("instanceId", json!("made-up-j")),
        ("rackId", json!("")),
        ("rebalanceTimeoutMs", json!(-1)),
        ("subscribedTopicNames", Value::Null),
        ("topicPartitions", Value::Null),
    ]);
    body[field] = value;
    if field == "memberId" || field == "instanceId" {
        body["memberEpoch"] = json!(5);
    }
    heartbeat(flow, body);
}

/// A static member leaves for now, and is back.
fn away_and_back(flow: &mut Flow<'_>, instance: &Value) {
    if instance.is_null() {
        return;
    }
    let body = json!({"groupId": "~g", "memberId": MEMBERS[0].0, "memberEpoch": -2, "instanceId": instance});
    heartbeat(flow, body);
    about(flow);
    join(flow, 0, instance);
}

fn commit(flow: &mut Flow<'_>, members: usize) {
    let at = flow.random.index(members);
    let (member, topic) = MEMBERS[at];
    let version = flow.version(ApiKey::OffsetCommit);
    let named = if version >= 10 { ("topicId", format!("${topic}")) } else { ("name", format!("~{topic}")) };
    let mut rows =
        json!({"partitions": [{"partitionIndex": 0, "committedOffset": 5, "committedMetadata": "m"}]});
    rows[named.0] = json!(named.1);
    let member = flow.one_of(&[member, member, member, "made-up-9", ""]);
    let body = json!({"groupId": "~g", "generationIdOrMemberEpoch": epoch(flow, at), "memberId": member, "topics": [rows]});
    flow.ask_in(ApiKey::OffsetCommit, version, body);
}

fn fetch(flow: &mut Flow<'_>, members: usize) {
    let at = flow.random.index(members);
    let (member, topic) = MEMBERS[at];
    let member = flow.one_of(&[json!(member), json!(member), Value::Null, json!("made-up-9")]);
    let epoch = if member.is_null() { json!(-1) } else { epoch(flow, at) };
    let topics = json!([{"name": format!("~{topic}"), "partitionIndexes": [0]}]);
    let group = json!({"groupId": "~g", "memberId": member, "memberEpoch": epoch, "topics": topics});
    flow.ask_in(ApiKey::OffsetFetch, FIRST_WITH_EPOCHS, json!({"groups": [group]}));
}

/// What the classic protocol makes of such a group.
fn classic_requests(flow: &mut Flow<'_>) {
    let member = flow.one_of(&[MEMBERS[0].0, "made-up-9"]);
    match flow.random.index(4) {
        0 => {
            let body = json!({"groupId": "~g", "generationId": "$epoch0", "memberId": member});
            flow.ask(ApiKey::Heartbeat, body)
        }
        1 => {
            let body = json!({"groupId": "~g", "generationId": "$epoch0", "memberId": member, "assignments": [],
                    "protocolType": "consumer", "protocolName": "range"});
            flow.ask(ApiKey::SyncGroup, body)
        }
        2 => flow.ask(ApiKey::DescribeGroups, json!({"groups": ["~g"]})),
        _ => {
            let body =
                json!({"groupId": "~g", "topics": [{"name": "~a", "partitions": [{"partitionIndex": 0}]}]});
            flow.ask(ApiKey::OffsetDelete, body)
        }
    };
}

fn about(flow: &mut Flow<'_>) {
    flow.ask(ApiKey::ConsumerGroupDescribe, json!({"groupIds": ["~g"]}));
}
