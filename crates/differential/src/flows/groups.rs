//! Classic groups: members join, are led, beat, leave, die; all with late answers.
//!
//! Owns: the requests of this story and their variants. Does not own: how answers are compared (`compare`, `normal`).

use ottla_protocol::ApiKey;
use serde_json::{Value, json};

use super::Flow;
use super::group_offsets::without_ids;

/// Each member has a connection of its own, and its id is kept under its name.
const MEMBERS: [&str; 3] = ["m0", "m1", "m2"];
/// Connection for questions about the group.
const ASIDE: u8 = 9;

/// How the members of one story join.
struct Habits {
    protocols: Value,
    session_ms: i64,
    is_static: bool,
    join_version: i16,
}

pub fn story(flow: &mut Flow<'_>) {
    flow.topic("a", 1);
    let habits = Habits {
        protocols: flow.one_of(&[
            json!([{"name": "range", "metadata": "r"}]),
            json!([{"name": "range", "metadata": "r"}, {"name": "roundrobin", "metadata": "rr"}]),
        ]),
        session_ms: flow.one_of(&[30_000, 30_000, 30_000, 700]),
        is_static: flow.chance(25),
        join_version: flow.version(ApiKey::JoinGroup),
    };
    first_member(flow, &habits);
    let (mut members, mut is_whole) = (1, habits.session_ms > 1000);
    for _ in 0..2 + flow.random.index(4) {
        match flow.random.index(8) {
            0 | 1 if members < MEMBERS.len() && is_whole => {
                another_member(flow, &habits, members);
                members += 1;
            }
            2 => strange_requests(flow, &habits),
            3 => commit(flow),
            4 => {
                leave(flow, members);
                is_whole = false;
            }
            5 => heartbeat(flow, 0),
            _ => about(flow),
        }
    }
    about(flow);
    if flow.chance(30) {
        // A member's connection goes away; the member does not.
        flow.on(0).close();
        about(flow);
    }
    if habits.session_ms < 1000 {
        // All members die: nobody beats any more.
        let body = json!({"groups": ["~g"]});
        flow.on(ASIDE).ask_in(ApiKey::DescribeGroups, 4, body).until("/groups/0/groupState", json!("Empty"));
        about(flow);
    } else if flow.chance(50) {
        for member in 0..members {
            leave_one(flow, member);
        }
        about(flow);
    }
    flow.on(ASIDE).ask(ApiKey::DeleteGroups, json!({"groupsNames": ["~g"]}));
}

fn join(flow: &Flow<'_>, habits: &Habits, member: usize, id: Value) -> Value {
    let instance = if habits.is_static { json!(format!("made-up-{member}")) } else { Value::Null };
    json!({"groupId": "~g", "sessionTimeoutMs": habits.session_ms, "rebalanceTimeoutMs": flow.one_of(&[3000, 5000]), "memberId": id,
        "groupInstanceId": instance, "protocolType": "consumer", "protocols": habits.protocols, "reason": null})
}

/// The first member joins; from version 4 on it is first told its id.
fn first_member(flow: &mut Flow<'_>, habits: &Habits) {
    flow.on(0);
    let body = join(flow, habits, 0, json!(""));
    flow.ask_in(ApiKey::JoinGroup, habits.join_version, body);
    flow.keep("m0", "/memberId").keep("generation", "/generationId");
    if habits.join_version >= 4 && !(habits.is_static && habits.join_version >= 5) {
        let body = join(flow, habits, 0, json!("$m0"));
        flow.ask_in(ApiKey::JoinGroup, habits.join_version, body).keep("generation", "/generationId");
    }
    sync(flow, 0, &["m0"]);
}

fn sync(flow: &mut Flow<'_>, member: usize, assigned: &[&str]) {
    let assignments: Vec<Value> = assigned
        .iter()
        .map(|name| json!({"memberId": format!("${name}"), "assignment": format!("for-{name}")}))
        .collect();
    let body = json!({"groupId": "~g", "generationId": "$generation", "memberId": format!("${}", MEMBERS[member]),
        "protocolType": flow.one_of(&[json!("consumer"), json!("consumer"), json!("consumer"), Value::Null, json!("other")]),
        "protocolName": flow.one_of(&[json!("range"), json!("range"), json!("range"), Value::Null, json!("roundrobin")]),
        "assignments": assignments});
    flow.ask(ApiKey::SyncGroup, body);
}

/// A member joins while the others are stable: its answer waits until they have joined again, or their time is over.
fn another_member(flow: &mut Flow<'_>, habits: &Habits, member: usize) {
    let connection = u8::try_from(member).unwrap_or(1);
    let (name, first) = (MEMBERS[member], join(flow, habits, member, json!("")));
    flow.on(connection);
    if habits.join_version >= 4 && !(habits.is_static && habits.join_version >= 5) {
        flow.ask_in(ApiKey::JoinGroup, habits.join_version, first).keep(name, "/memberId");
        let second = join(flow, habits, member, json!(format!("${name}")));
        flow.send_in(ApiKey::JoinGroup, habits.join_version, second);
    } else {
        flow.send_in(ApiKey::JoinGroup, habits.join_version, first);
    }
    let body = json!({"groups": ["~g"]});
    flow.on(ASIDE)
        .ask(ApiKey::DescribeGroups, body)
        .until("/groups/0/groupState", json!("PreparingRebalance"));
    // What the others see meanwhile.
    heartbeat(flow, 0);
    if flow.chance(85) {
        for (old, known) in MEMBERS.iter().enumerate().take(member) {
            let body = join(flow, habits, old, json!(format!("${known}")));
            flow.on(u8::try_from(old).unwrap_or(0)).send_in(ApiKey::JoinGroup, habits.join_version, body);
        }
        for old in 0..member {
            flow.on(u8::try_from(old).unwrap_or(0)).receive();
        }
    }
    flow.on(connection).receive().keep(name, "/memberId").keep("generation", "/generationId");
    // Followers wait for the leader, whoever it is now.
    for old in (0..=member).rev() {
        let body = json!({"groupId": "~g", "generationId": "$generation", "memberId": format!("${}", MEMBERS[old]),
            "protocolType": "consumer", "protocolName": "range", "assignments": if old == 0 {
                json!([{"memberId": "$m0", "assignment": "again"}, {"memberId": format!("${name}"), "assignment": "new"}])
            } else { json!([]) }});
        flow.on(u8::try_from(old).unwrap_or(0)).send(ApiKey::SyncGroup, body);
    }
    for old in 0..=member {
        flow.on(u8::try_from(old).unwrap_or(0)).receive();
    }
}

fn heartbeat(flow: &mut Flow<'_>, member: usize) {
    let (generation, id) = flow.one_of(&[
        (json!("$generation"), format!("${}", MEMBERS[member])),
        (json!("$generation"), format!("${}", MEMBERS[member])),
        (json!("$generation"), "made-up".to_owned()),
        (json!(99), format!("${}", MEMBERS[member])),
        (json!(-1), String::new()),
    ]);
    flow.ask(ApiKey::Heartbeat, json!({"groupId": flow.one_of(&["~g", "~g", "~g", "~none"]), "generationId": generation, "memberId": id}));
}

fn commit(flow: &mut Flow<'_>) {
    let (generation, id) = flow.one_of(&[
        (json!("$generation"), "$m0"),
        (json!("$generation"), "$m0"),
        (json!(99), "$m0"),
        (json!("$generation"), "made-up"),
        (json!(-1), ""),
    ]);
    let body = json!({"groupId": "~g", "generationIdOrMemberEpoch": generation, "memberId": id, "retentionTimeMs": -1, "topics": [
        {"name": "~a", "topicId": "$a", "partitions": [{"partitionIndex": 0, "committedOffset": 3, "committedLeaderEpoch": -1, "committedMetadata": "x"}]}]});
    flow.on(ASIDE).ask(ApiKey::OffsetCommit, body);
    let topics = json!([{"name": "~a", "topicId": "$a", "partitionIndexes": [0]}]);
    let body = json!({"groupId": "~g", "topics": without_ids(&topics), "groups": [{"groupId": "~g", "topics": topics}]});
    flow.ask(ApiKey::OffsetFetch, body);
}

fn leave(flow: &mut Flow<'_>, members: usize) {
    let member = flow.random.index(members);
    leave_one(flow, member);
}

fn leave_one(flow: &mut Flow<'_>, member: usize) {
    let id = format!("${}", MEMBERS[member]);
    let members = flow.one_of(&[
        json!([{"memberId": id}]),
        json!([{"memberId": id}]),
        json!([{"memberId": id}, {"memberId": "made-up"}]),
        json!([{"memberId": "", "groupInstanceId": format!("made-up-{member}")}]),
        json!([{"memberId": "made-up", "groupInstanceId": format!("made-up-{member}")}]),
        json!([]),
    ]);
    flow.on(ASIDE).ask(ApiKey::LeaveGroup, json!({"groupId": "~g", "memberId": id, "members": members}));
}

fn about(flow: &mut Flow<'_>) {
    let body = json!({"groups": ["~g"], "includeAuthorizedOperations": flow.chance(20)});
    flow.on(ASIDE).ask(ApiKey::DescribeGroups, body);
    if flow.chance(40) {
        let states = flow.one_of(&[json!([]), json!(["Stable"]), json!(["Empty", "PreparingRebalance"])]);
        flow.ask(ApiKey::ListGroups, json!({ "statesFilter": states }));
    }
}

/// Requests that do not fit the group as it is.
fn strange_requests(flow: &mut Flow<'_>, habits: &Habits) {
    flow.on(ASIDE);
    let mut body = join(flow, habits, 7, flow.one_of(&[json!("made-up"), json!("")]));
    let (field, value) = flow.one_of(&[
        ("protocols", json!([{"name": "other", "metadata": "x"}])),
        ("protocols", json!([])),
        ("protocolType", json!("connect")),
        ("protocolType", json!("")),
        ("sessionTimeoutMs", json!(50)),
        ("sessionTimeoutMs", json!(100_000_000)),
        ("sessionTimeoutMs", json!(-1)),
        ("memberId", json!("made-up")),
        ("groupId", json!("")),
    ]);
    body[field] = value;
    // Such a request is refused at once; without an id it could be let in and wait, or leave a pending member behind.
    if field == "memberId" || body["memberId"] == "made-up" || field == "groupId" {
        flow.ask(ApiKey::JoinGroup, body);
    }
    sync_strangely(flow);
}

fn sync_strangely(flow: &mut Flow<'_>) {
    let (generation, id) =
        flow.one_of(&[(json!("$generation"), "made-up"), (json!(77), "$m0"), (json!(-1), "")]);
    let body = json!({"groupId": flow.one_of(&["~g", "~none", ""]), "generationId": generation, "memberId": id,
        "protocolType": "consumer", "protocolName": "range", "assignments": []});
    flow.ask(ApiKey::SyncGroup, body);
}
