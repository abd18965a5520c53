//! Producers whose batches come twice, too early, or with other bytes than were sent.
//!
//! Owns: such batches, what they must not change. Does not own: batches with numbers at their ends (`requests`).

use std::time::Duration;

use ottla_protocol::messages::{ApiKey, InitProducerIdRequest, InitProducerIdResponse, ProduceResponse};
use ottla_testkit::spoiled::with_checksum;

use super::Stage;
use super::requests::{content, end_of, write_topic};
use crate::Fallible;
use crate::honest::{batch, produce_code, produce_frame};
use crate::report::Found;
use crate::wire::{Connection, Reply, answer_of};

const TOPIC: &str = "sequences";
/// Error codes.
const NONE: i16 = 0;
const OUT_OF_ORDER_SEQUENCE_NUMBER: i16 = 45;
/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(20);
/// Fields of a batch: its magic, and the producer's id, epoch and first sequence number.
const MAGIC_AT: usize = 16;
const PRODUCER_AT: usize = 43;

/// A batch with one byte changed on its way, everywhere from its magic to its end: none is taken.
pub async fn checksums(stage: &Stage<'_>) -> Fallible<Found> {
    let mut found = Found::default();
    write_topic(stage.node.port, TOPIC).await?;
    let before = content(stage.node.port, TOPIC).await?;
    let whole = batch(3, 30)?;
    let mut client = Connection::open(stage.node.port).await?;
    for at in MAGIC_AT..whole.len() {
        let mut changed = whole.clone();
        if let Some(byte) = changed.get_mut(at) {
            *byte ^= 0x10;
        }
        client.send(&produce_frame((TOPIC, -1), changed)?).await?;
        match client.receive(PATIENCE).await {
            Reply::Answer(answer) => {
                let code = produce_code(&answer)?;
                found.must(code != NONE, || format!("a batch with another byte at {at} was taken"));
            }
            other @ (Reply::Closed | Reply::Silent) => {
                found.misses.push(format!("a batch with another byte at {at} got {other:?}"));
                client = Connection::open(stage.node.port).await?;
            }
        }
    }
    let after = content(stage.node.port, TOPIC).await?;
    found.must(after == before, || format!("{TOPIC} was {before:?} and is {after:?}"));
    found.fact(format!("{} batches with one byte changed", whole.len() - MAGIC_AT));
    Ok(found)
}

/// A producer with an id sends what it has sent, which is told the first offset and written once, and what comes later, which
/// is refused.
pub async fn sequences(stage: &Stage<'_>) -> Fallible<Found> {
    const BATCHES: i32 = 20;
    let mut found = Found::default();
    write_topic(stage.node.port, TOPIC).await?;
    let mut client = Connection::open(stage.node.port).await?;
    let producer = producer(&mut client).await?;
    for sequence in 0..BATCHES {
        let (code, offset) = send(&mut client, (producer, sequence)).await?;
        found.must(code == NONE, || format!("batch {sequence} got {code}"));
        let (code, again) = send(&mut client, (producer, sequence)).await?;
        found.must((code, again) == (NONE, offset), || {
            format!("batch {sequence} is at {offset}; sent again it got {code} and {again}")
        });
        for early in [2, 3, 100, 1_000_000] {
            let (code, _) = send(&mut client, (producer, sequence + early)).await?;
            let refused = code == OUT_OF_ORDER_SEQUENCE_NUMBER;
            found.must(refused, || format!("{} behind {sequence} got {code}", sequence + early));
        }
    }
    let end = end_of(&content(stage.node.port, TOPIC).await?);
    // Three records were there before.
    let wanted = 3 + i64::from(BATCHES);
    found.must(end == wanted, || format!("the topic ends at {end}, not {wanted}"));
    found.fact(format!("{BATCHES} batches, each sent twice, and {} that came too early", 4 * BATCHES));
    Ok(found)
}

/// A producer's id and epoch.
async fn producer(client: &mut Connection) -> Fallible<(i64, i16)> {
    let request = InitProducerIdRequest {
        transactional_id: None,
        transaction_timeout_ms: 60_000,
        ..InitProducerIdRequest::default()
    };
    for _ in 0..500 {
        let answer: InitProducerIdResponse = client.ask((ApiKey::InitProducerId, 3), &request).await?;
        if answer.error_code == NONE {
            return Ok((answer.producer_id, answer.producer_epoch));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Err("no id for a producer".into())
}

/// Sends a batch of one record; answers its code and offset.
async fn send(client: &mut Connection, ((id, epoch), sequence): ((i64, i16), i32)) -> Fallible<(i16, i64)> {
    let mut batch = batch(1, 10)?;
    let fields = [&id.to_be_bytes()[..], &epoch.to_be_bytes(), &sequence.to_be_bytes()].concat();
    let place = batch.get_mut(PRODUCER_AT..PRODUCER_AT + fields.len()).ok_or("a batch without a header")?;
    place.copy_from_slice(&fields);
    client.send(&produce_frame((TOPIC, -1), with_checksum(batch))?).await?;
    let reply = client.receive(PATIENCE).await;
    let Reply::Answer(answer) = reply else { return Err(format!("batch {sequence} got {reply:?}").into()) };
    let answer: ProduceResponse = answer_of((ApiKey::Produce, 8), &answer)?;
    let partition = answer.responses.iter().flat_map(|topic| &topic.partition_responses).next();
    let partition = partition.ok_or("an answer without a partition")?;
    Ok((partition.error_code, partition.base_offset))
}
