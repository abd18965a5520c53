//! Several requests on one connection before any answer: all are answered, in order, each seeing what went before.
//!
//! Owns: this one story. Does not own: the vocabulary (`flows`), running it (`play`).

use ottla_protocol::ApiKey;
use serde_json::json;

use super::Flow;

pub fn story(flow: &mut Flow<'_>) {
    flow.topic("a", 2);
    flow.ask(ApiKey::FindCoordinator, json!({"key": "~g", "coordinatorKeys": ["~g"]}));
    for _ in 0..2 {
        let count = 2 + flow.random.index(6);
        for _ in 0..count {
            send(flow);
        }
        for _ in 0..count {
            flow.receive();
        }
    }
}

fn send(flow: &mut Flow<'_>) {
    let batch = json!({"records": [["k", "v"]]});
    let (api, body) = match flow.random.index(7) {
        0 | 1 => {
            let partitions = json!([{"index": flow.one_of(&[0, 0, 1, 7]), "records": [batch]}]);
            // Not 0: such a request is not answered.
            let acks = flow.one_of(&[-1, -1, 1]);
            (
                ApiKey::Produce,
                json!({"acks": acks, "timeoutMs": 1000, "topicData": [
                {"name": "~a", "topicId": "$a", "partitionData": partitions}]}),
            )
        }
        2 => (
            ApiKey::Fetch,
            json!({"maxWaitMs": flow.one_of(&[0, 40]), "minBytes": flow.one_of(&[0, 1, 100_000]), "maxBytes": 1_000_000, "topics": [
            {"topic": "~a", "topicId": "$a", "partitions": [{"partition": 0, "partitionMaxBytes": 100_000}]}]}),
        ),
        3 => (
            ApiKey::ListOffsets,
            json!({"replicaId": -1, "topics": [{"name": "~a", "partitions": [{"partitionIndex": 0, "timestamp": -1}]}]}),
        ),
        4 => (
            ApiKey::OffsetCommit,
            json!({"groupId": "~g", "generationIdOrMemberEpoch": -1, "retentionTimeMs": -1, "topics": [{"name": "~a", "topicId": "$a",
            "partitions": [{"partitionIndex": 0, "committedOffset": flow.one_of(&[1, 2, 3]), "committedLeaderEpoch": -1,
                "committedMetadata": ""}]}]}),
        ),
        5 => {
            let topics = json!([{"name": "~a", "partitionIndexes": [0]}]);
            let groups = json!([{"groupId": "~g", "topics": [{"name": "~a", "topicId": "$a", "partitionIndexes": [0]}]}]);
            (ApiKey::OffsetFetch, json!({"groupId": "~g", "topics": topics, "groups": groups}))
        }
        _ => (ApiKey::Heartbeat, json!({"groupId": "~none", "memberId": "made-up"})),
    };
    flow.send(api, body);
}
