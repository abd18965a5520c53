//! Requests that no story needs: made up from the schemas, broken bytes, unknown APIs and versions.
//!
//! Owns: the requests of this story and their variants. Does not own: how answers are compared (`compare`, `normal`).

use ottla_protocol::ApiKey;
use serde_json::{Map, Value, json};

use super::Flow;
use crate::encode::{default, framed};
use crate::schema::{Field, Plain, Type};
use crate::script::Spoil;

/// APIs whose requests may be made up: they change nothing that other sequences use.
const SAFE: [ApiKey; 30] = [
    ApiKey::Produce,
    ApiKey::Fetch,
    ApiKey::ListOffsets,
    ApiKey::Metadata,
    ApiKey::OffsetCommit,
    ApiKey::OffsetFetch,
    ApiKey::FindCoordinator,
    ApiKey::Heartbeat,
    ApiKey::LeaveGroup,
    ApiKey::SyncGroup,
    ApiKey::DescribeGroups,
    ApiKey::ListGroups,
    ApiKey::SaslHandshake,
    ApiKey::ApiVersions,
    ApiKey::CreateTopics,
    ApiKey::DeleteTopics,
    ApiKey::DeleteRecords,
    ApiKey::InitProducerId,
    ApiKey::OffsetForLeaderEpoch,
    ApiKey::DescribeConfigs,
    ApiKey::DescribeLogDirs,
    ApiKey::SaslAuthenticate,
    ApiKey::CreatePartitions,
    ApiKey::DeleteGroups,
    ApiKey::OffsetDelete,
    ApiKey::DescribeQuorum,
    ApiKey::DescribeCluster,
    ApiKey::DescribeProducers,
    ApiKey::ListConfigResources,
    ApiKey::DescribeTopicPartitions,
];

/// The id of the topic there is, and two that nobody has.
const IDS: [&str; 4] = ["$a", "$a", "AAECAwQFBgcICQoLDA0ODw", "AAECAwQFBgcICQoLDA0OEA"];

pub fn story(flow: &mut Flow<'_>) {
    flow.topic("a", 2);
    for _ in 0..5 + flow.random.index(5) {
        match flow.random.index(10) {
            0 => unknown(flow),
            1 => raw(flow),
            2 | 3 => spoilt(flow),
            4 => {
                let software = flow.one_of(&["test", "", "-a", "a b", "ä"]);
                let body = json!({"clientSoftwareName": software, "clientSoftwareVersion": flow.one_of(&["1.0", ""])});
                flow.ask(ApiKey::ApiVersions, body);
            }
            _ => made_up(flow),
        }
    }
    let body = json!({"topics": [{"name": "~a"}], "allowAutoTopicCreation": false});
    flow.ask(ApiKey::Metadata, body);
}

fn made_up(flow: &mut Flow<'_>) {
    let api = flow.one_of(&SAFE);
    if let Some(schema) = flow.schemas.get(&api.number()) {
        let fields = schema.fields.clone();
        let mut body = fields_of(flow, &fields);
        if api == ApiKey::DescribeTopicPartitions && body["topics"] == json!([]) {
            // All topics: where such a list is cut depends on what other sequences have left.
            body["responsePartitionLimit"] = json!(1_000_000);
            body["cursor"] = Value::Null;
        }
        if api == ApiKey::Fetch
            && let Some(topics) = body["topics"].as_array_mut()
        {
            // Over two rows of the id of zeroes Kafka stumbles.
            topics.iter_mut().for_each(|topic| topic["topicId"] = json!(flow.one_of(&IDS)));
        }
        let version = flow.version(api);
        // Before version 4 every such request may create topics, at any time after its answer.
        flow.ask_in(api, if api == ApiKey::Metadata { version.max(4) } else { version }, body);
    }
}

fn fields_of(flow: &Flow<'_>, fields: &[Field]) -> Value {
    let fields = fields.iter().filter(|field| field.tag.is_none() || flow.chance(10));
    Value::Object(fields.map(|field| (field.name.clone(), any(flow, field))).collect::<Map<String, Value>>())
}

fn any(flow: &Flow<'_>, field: &Field) -> Value {
    // Null only where every version of the field may be null; and no records that are null: such a request Kafka leaves
    // without any answer.
    let is_records = matches!(field.ty, Type::Plain(Plain::Records));
    if field.nullable == field.versions && !is_records && flow.chance(20) {
        return Value::Null;
    }
    if field.is_array {
        // A topic or partition that Produce names twice has two outcomes here, one in Kafka.
        let is_of_produce = ["topicData", "partitionData"].contains(&field.name.as_str());
        let count = if is_of_produce { 1 } else { flow.one_of(&[0, 1, 1, 1, 2]) };
        return (0..count).map(|_| element(flow, field)).collect();
    }
    // Nothing can be done within no time.
    let takes_default = field.name != "timeoutMs" && flow.chance(30);
    if takes_default { default(field) } else { element(flow, field) }
}

fn element(flow: &Flow<'_>, field: &Field) -> Value {
    match &field.ty {
        Type::Struct(fields) => fields_of(flow, fields),
        Type::Plain(Plain::Bool) => json!(field.name != "allowAutoTopicCreation" && flow.chance(50)),
        Type::Plain(Plain::Int { .. }) => number(flow, &field.name),
        Type::Plain(Plain::Float64) => json!(0.5),
        Type::Plain(Plain::Uuid) => json!(flow.one_of(&IDS)),
        Type::Plain(Plain::String) => text(flow, &field.name),
        Type::Plain(Plain::Bytes) => json!("bytes"),
        Type::Plain(Plain::Records) => json!([{"records": [["k", "v"]]}]),
    }
}

fn number(flow: &Flow<'_>, name: &str) -> Value {
    match name {
        // What would make a broker wait, or give work that has no end.
        "maxWaitMs" | "timeoutMs" => json!(flow.one_of(&[100, 1000])),
        "numPartitions" | "count" => json!(flow.one_of(&[1, 2, -1, 0])),
        // Keys of transactions and of shares are not offered.
        "keyType" => json!(flow.one_of(&[0, 0, 3, -1, 100])),
        // Any other level makes Kafka fail in its own way, which the flow of fetches looks at.
        "isolationLevel" => json!(flow.one_of(&[0, 1])),
        // Followers are another story.
        "replicaId" => json!(-1),
        _ => json!(flow.one_of(&[0, 0, 1, 1, -1, 2, 3, -2, 100])),
    }
}

fn text(flow: &Flow<'_>, name: &str) -> Value {
    let choice: &[&str] = match name {
        // Transactions are not offered.
        "transactionalId" => &[""],
        "groupId" | "groupsNames" | "groups" | "coordinatorKeys" => &["~g", "~g", ""],
        "memberId" => &["made-up", ""],
        _ => &["~a", "~a", "~gone", "", "~x y", "1"],
    };
    json!(flow.one_of(choice))
}

/// A plain request whose body is then broken. Text stays UTF-8: Kafka takes other bytes for the replacement character, we
/// refuse them.
fn spoilt(flow: &mut Flow<'_>) {
    let body = json!({"topics": [{"name": "~a"}], "allowAutoTopicCreation": false});
    let requests = [
        (ApiKey::Metadata, body),
        (ApiKey::Heartbeat, json!({"groupId": "~g", "memberId": "made-up"})),
        (
            ApiKey::ListOffsets,
            json!({"replicaId": -1, "topics": [{"name": "~a", "partitions": [{"timestamp": -1}]}]}),
        ),
        (ApiKey::OffsetFetch, json!({"groupId": "~g", "topics": [], "groups": []})),
        (ApiKey::DescribeGroups, json!({"groups": ["~g"]})),
        (ApiKey::FindCoordinator, json!({"key": "~g", "coordinatorKeys": ["~g"]})),
    ];
    let spoil = match flow.random.index(3) {
        0 => Spoil::Cut(1 + flow.random.index(6)),
        1 => Spoil::Extend(1 + flow.random.index(3)),
        _ => Spoil::Flip { at: flow.random.index(40), with: flow.one_of(&[1, 2, 0x40]) },
    };
    let (api, body) = flow.one_of(&requests);
    // A bit makes the key one of transactions, which are not offered.
    let spoil = if api == ApiKey::FindCoordinator { Spoil::Cut(1 + flow.random.index(6)) } else { spoil };
    let version = flow.version(api);
    flow.ask_in(api, if api == ApiKey::Metadata { version.max(4) } else { version }, body).spoilt(spoil);
}

/// An API or version that there is not.
fn unknown(flow: &mut Flow<'_>) {
    let (key, version) = flow.one_of(&[
        (-1, 0),
        (4, 0),
        (7, 0),
        (98, 0),
        (500, 3),
        (0, 2),
        (0, 14),
        (1, 3),
        (1, 19),
        (3, 14),
        (3, -1),
        (18, 5),
        (18, 99),
        (18, -1),
        (19, 1),
        (52, 0),
        (56, 2),
        (62, 1),
        (58, 0),
    ]);
    flow.ask_number(key, version);
}

/// Bytes that are no request.
fn raw(flow: &mut Flow<'_>) {
    let bytes = flow.one_of(&[
        vec![0, 0, 0, 0],
        vec![0xff, 0xff, 0xff, 0xff],
        vec![0x7f, 0xff, 0xff, 0xff, 0],
        framed(&[0]),
        framed(&[0, 3]),
        framed(&[0, 3, 0, 0, 0, 0, 0, 1, 0, 9, 1]),
        framed(&[0, 3, 0, 12, 0, 0, 0, 1, 0xff, 0xff]),
        framed(&[0, 18, 0, 3, 0, 0, 0, 1, 0xff, 0xfe, 0, 1, 1, 0]),
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        vec![0x16, 0x03, 0x01, 0, 5, 1, 2, 3, 4, 5],
    ]);
    flow.on(8).raw(bytes);
    flow.on(0);
}
