//! Producer ids and sequences: in order, again, gaps, old epochs.
//!
//! Owns: the requests of this story and their variants. Does not own: how answers are compared (`compare`, `normal`).

use ottla_protocol::ApiKey;
use serde_json::{Value, json};

use super::Flow;

pub fn story(flow: &mut Flow<'_>) {
    flow.topic("a", 2);
    flow.ask(
        ApiKey::InitProducerId,
        json!({"transactionalId": null, "transactionTimeoutMs": flow.one_of(&[1000, 0, -1])}),
    );
    flow.keep("p", "/producerId").keep("e", "/producerEpoch");
    for _ in 0..4 + flow.random.index(8) {
        match flow.random.index(12) {
            0 => init(flow),
            1 => {
                let indexes = json!([{"name": "~a", "partitionIndexes": [0, 1]}]);
                flow.ask(ApiKey::DescribeProducers, json!({ "topics": indexes }));
            }
            _ => produce(flow),
        }
    }
    let body = json!({"maxWaitMs": 0, "minBytes": 0, "maxBytes": 1_000_000, "topics": [{"topic": "~a", "topicId": "$a",
        "partitions": [{"partition": 0, "partitionMaxBytes": 100_000}, {"partition": 1, "partitionMaxBytes": 100_000}]}]});
    flow.ask(ApiKey::Fetch, body);
    flow.ask(ApiKey::DescribeProducers, json!({"topics": [{"name": "~a", "partitionIndexes": [0, 1]}]}));
}

fn init(flow: &mut Flow<'_>) {
    let body = flow.one_of(&[
        json!({"transactionalId": null, "transactionTimeoutMs": 1000, "producerId": "$p", "producerEpoch": 0}),
        json!({"transactionalId": null, "transactionTimeoutMs": 1000, "producerId": "$p", "producerEpoch": -1}),
        json!({"transactionalId": null, "transactionTimeoutMs": 1000, "producerId": -1, "producerEpoch": 0}),
        json!({"transactionalId": "", "transactionTimeoutMs": 1000}),
    ]);
    flow.ask(ApiKey::InitProducerId, body);
}

fn produce(flow: &mut Flow<'_>) {
    let batch = |flow: &Flow<'_>, sequence: i64| {
        let id =
            flow.one_of(&[json!("$p"), json!("$p"), json!("$p"), json!("$p"), json!(4_000_000_000_000_i64)]);
        let records =
            flow.one_of(&[json!([["k", "v"]]), json!([["k", "v"]]), json!([["k", "v"], ["k", "w"]])]);
        json!({"records": records, "producerId": id, "producerEpoch": flow.one_of(&[0, 0, 0, 0, 0, 1, 2]), "baseSequence": sequence})
    };
    let sequence = flow.one_of(&[0, 0, 0, 1, 1, 2, 3, 4, 7, -1, i64::from(i32::MAX)]);
    let mut records: Vec<Value> = vec![batch(flow, sequence)];
    if flow.chance(5) {
        records.push(batch(flow, sequence + 1));
    }
    let body = json!({"acks": flow.one_of(&[-1, -1, 1]), "timeoutMs": 1000, "topicData": [{"name": "~a", "topicId": "$a",
        "partitionData": [{"index": flow.one_of(&[0, 0, 0, 1]), "records": records}]}]});
    flow.ask(ApiKey::Produce, body);
}
