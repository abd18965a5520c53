//! Members of classic groups that keep their name: they come back under a new id, and whoever uses the old one is told so.
//!
//! Owns: this one story. Does not own: the vocabulary (`flows`), running it (`play`).

use ottla_protocol::ApiKey;
use serde_json::{Value, json};

use super::Flow;

/// The name that the member keeps.
const INSTANCE: &str = "made-up-1";
/// Connection for questions about the group.
const ASIDE: u8 = 9;

/// First version of JoinGroup with such names.
const FIRST_JOIN: i16 = 5;

pub fn story(flow: &mut Flow<'_>) {
    flow.topic("a", 1);
    let mut times = 0;
    join(flow, times);
    sync(flow, &name(times));
    for _ in 0..3 + flow.random.index(5) {
        match flow.random.index(8) {
            0 | 1 => {
                times += 1;
                if flow.chance(50) {
                    flow.on(0).close();
                }
                join(flow, times);
                if flow.chance(70) {
                    sync(flow, &name(times));
                }
            }
            2 => {
                let id = any_id(flow, times);
                sync(flow, &id);
            }
            3 => commit(flow, times),
            4 => describe(flow),
            _ => heartbeat(flow, times),
        }
    }
    leave(flow, times);
    describe(flow);
}

/// What the id is kept as that the member got at this time.
fn name(times: usize) -> String {
    format!("$m{times}")
}

/// The id of now, one from before, or one that nobody has.
fn any_id(flow: &Flow<'_>, times: usize) -> String {
    match flow.random.index(5) {
        0 => name(flow.random.index(times + 1)),
        1 => flow.one_of(&["made-up".to_owned(), String::new()]),
        _ => name(times),
    }
}

fn instance(flow: &Flow<'_>) -> Value {
    flow.one_of(&[json!(INSTANCE), json!(INSTANCE), json!(INSTANCE), Value::Null, json!("made-up-2")])
}

fn join(flow: &mut Flow<'_>, times: usize) {
    let version = flow.version(ApiKey::JoinGroup).max(FIRST_JOIN);
    let protocols = flow.one_of(&[
        json!([{"name": "range", "metadata": "r"}]),
        json!([{"name": "range", "metadata": "r"}]),
        json!([{"name": "range", "metadata": "other"}]),
    ]);
    let body = json!({"groupId": "~g", "sessionTimeoutMs": 30_000, "rebalanceTimeoutMs": 3000, "memberId": "",
        "groupInstanceId": INSTANCE, "protocolType": "consumer", "protocols": protocols, "reason": null});
    flow.on(0).ask_in(ApiKey::JoinGroup, version, body);
    flow.keep(&format!("m{times}"), "/memberId").keep("generation", "/generationId");
}

fn sync(flow: &mut Flow<'_>, id: &str) {
    let body = json!({"groupId": "~g", "generationId": "$generation", "memberId": id, "groupInstanceId": instance(flow),
        "protocolType": "consumer", "protocolName": "range", "assignments": [{"memberId": id, "assignment": "all"}]});
    flow.on(0).ask(ApiKey::SyncGroup, body);
}

fn heartbeat(flow: &mut Flow<'_>, times: usize) {
    let generation = flow.one_of(&[json!("$generation"), json!("$generation"), json!(99)]);
    let body = json!({"groupId": "~g", "generationId": generation, "memberId": any_id(flow, times),
        "groupInstanceId": instance(flow)});
    flow.on(ASIDE).ask(ApiKey::Heartbeat, body);
}

fn commit(flow: &mut Flow<'_>, times: usize) {
    let generation = flow.one_of(&[json!("$generation"), json!("$generation"), json!(-1)]);
    let body = json!({"groupId": "~g", "generationIdOrMemberEpoch": generation, "memberId": any_id(flow, times),
        "groupInstanceId": instance(flow), "retentionTimeMs": -1, "topics": [{"name": "~a", "topicId": "$a",
        "partitions": [{"partitionIndex": 0, "committedOffset": 1, "committedLeaderEpoch": -1, "committedMetadata": ""}]}]});
    flow.on(ASIDE).ask(ApiKey::OffsetCommit, body);
}

fn leave(flow: &mut Flow<'_>, times: usize) {
    let id = any_id(flow, times);
    let members = flow.one_of(&[
        json!([{"memberId": "", "groupInstanceId": INSTANCE}]),
        json!([{"memberId": id, "groupInstanceId": INSTANCE}]),
        json!([{"memberId": id, "groupInstanceId": "made-up-2"}, {"memberId": "", "groupInstanceId": INSTANCE}]),
        json!([{"memberId": id, "groupInstanceId": null}]),
    ]);
    flow.on(ASIDE).ask(ApiKey::LeaveGroup, json!({"groupId": "~g", "memberId": id, "members": members}));
}

fn describe(flow: &mut Flow<'_>) {
    flow.on(ASIDE).ask(ApiKey::DescribeGroups, json!({"groups": ["~g"]}));
}
