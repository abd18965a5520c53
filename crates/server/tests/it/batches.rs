//! Batches and produce requests for tests of what a leader takes.
//!
//! Owns: right batches, batches with single bytes changed, requests over several partitions, answers as rows.
//! Does not own: what the tests expect.

use std::cell::Cell;

use bytes::Bytes;
use ottla_env::time::wall_now;
use ottla_model::{ProducerEpoch, ProducerId, Sequence, Timestamp, Uuid};
use ottla_protocol::ApiKey;
use ottla_protocol::messages::produce_response::PartitionProduceResponse;
use ottla_protocol::messages::{
    FetchRequest, FetchResponse, ProduceRequest, ProduceResponse, fetch_request, produce_request,
};
use ottla_protocol::record::{Batch, BatchBuilder, BatchOptions, BatchProducer, Batches, NewRecord};

use crate::node::Client;

/// Where fields lie in a batch.
pub mod at {
    pub const BASE_OFFSET: usize = 7;
    pub const MAGIC: usize = 16;
    pub const CRC: usize = 20;
    pub const ATTRIBUTES: usize = 22;
    /// The first record's length.
    pub const RECORDS: usize = 61;
}

/// Without keys, written now, in one batch.
pub fn plain(values: &[&str]) -> Bytes {
    build(BatchOptions::default(), values)
}

/// A batch of a producer that begins at `sequence`.
pub fn by(producer: i64, epoch: i16, sequence: i32) -> BatchOptions {
    let producer = BatchProducer {
        id: ProducerId::new(producer).unwrap(),
        epoch: ProducerEpoch::new(epoch).unwrap(),
        base_sequence: Sequence::new(sequence),
    };
    BatchOptions { producer: Some(producer), ..BatchOptions::default() }
}

pub fn build(options: BatchOptions, values: &[&str]) -> Bytes {
    let records: Vec<_> = values.iter().map(|value| (None, Some(*value), wall_now())).collect();
    built(options, &records)
}

/// Key, value and time of each record.
pub fn built(options: BatchOptions, records: &[(Option<&str>, Option<&str>, Timestamp)]) -> Bytes {
    let mut builder = BatchBuilder::new(options).unwrap();
    for (key, value, timestamp) in records {
        let (key, value) = (key.map(str::as_bytes), value.map(str::as_bytes));
        builder.append(NewRecord { timestamp: *timestamp, key, value, headers: &[] }).unwrap();
    }
    Bytes::from(builder.finish().unwrap())
}

/// The batch with one byte changed; the checksum stays as it was.
pub fn spoiled(batch: &[u8], at: usize, byte: u8) -> Bytes {
    let mut bytes = batch.to_vec();
    bytes[at] = byte;
    Bytes::from(bytes)
}

/// The batch with one byte changed, and the checksum of what it is now.
pub fn edited(batch: &[u8], at: usize, byte: u8) -> Bytes {
    let mut bytes = batch.to_vec();
    bytes[at] = byte;
    let crc = crc32c(&bytes[21..]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    Bytes::from(bytes)
}

/// CRC-32C, bit by bit.
fn crc32c(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ if crc & 1 == 1 { 0x82f6_3b78 } else { 0 };
        }
    }
    !crc
}

/// A topic as a request names it: by name up to version 12, by id from version 13.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named<'a> {
    Name(&'a str),
    Id(Uuid),
}

/// What a request has for one partition.
pub type Part<'a> = (Named<'a>, i32, Option<Bytes>);

/// For partitions of topics by name.
pub fn parts<'a>(parts: &[(&'a str, i32, &Bytes)]) -> Vec<Part<'a>> {
    parts.iter().map(|(name, index, batch)| (Named::Name(name), *index, Some((*batch).clone()))).collect()
}

/// A request with these partitions, in this order.
pub fn request(acks: i16, parts: &[Part<'_>]) -> ProduceRequest {
    let topic = |(named, index, records): &Part<'_>| {
        let (name, topic_id) = match named {
            Named::Name(name) => ((*name).to_owned(), Uuid::ZERO),
            Named::Id(id) => (String::new(), *id),
        };
        let partition = produce_request::PartitionProduceData { index: *index, records: records.clone() };
        produce_request::TopicProduceData { name, topic_id, partition_data: vec![partition] }
    };
    ProduceRequest {
        transactional_id: None,
        acks,
        timeout_ms: 10_000,
        topic_data: parts.iter().map(topic).collect(),
    }
}

/// The rows of an answer, in order.
pub fn rows(answer: ProduceResponse) -> Vec<PartitionProduceResponse> {
    answer.responses.into_iter().flat_map(|topic| topic.partition_responses).collect()
}

/// Error codes of the partitions, in order.
pub async fn codes(client: &mut Client, version: i16, request: &ProduceRequest) -> Vec<i16> {
    let answer: ProduceResponse = client.ask(ApiKey::Produce, version, request).await;
    rows(answer).iter().map(|row| row.error_code).collect()
}

/// Error code and base offset of a batch for partition 0 of a topic, with `acks=all`.
pub async fn append(client: &mut Client, topic: &str, batch: &Bytes) -> (i16, i64) {
    let request = request(-1, &parts(&[(topic, 0, batch)]));
    let row = rows(client.ask(ApiKey::Produce, 9, &request).await).remove(0);
    (row.error_code, row.base_offset)
}

/// Appends to partition 0 with `acks=1` until so many records of others lie in front; tells how many it were.
pub async fn append_behind(client: &mut Client, topic: &str, others: i64) -> i64 {
    let own = Cell::new(0);
    let behind = |answer: &ProduceResponse| {
        let offset = answer.responses[0].partition_responses[0].base_offset;
        own.set(own.get() + 1);
        offset == own.get() - 1 + others
    };
    let request = request(1, &parts(&[(topic, 0, &plain(&["behind"]))]));
    client.ask_until((ApiKey::Produce, 9), &request, behind).await;
    own.get()
}

/// The values of all records in a partition.
pub async fn values(client: &mut Client, topic: &str, index: i32) -> Vec<String> {
    let partition = fetch_request::FetchPartition {
        partition: index,
        partition_max_bytes: 1 << 20,
        ..Default::default()
    };
    let topic = fetch_request::FetchTopic {
        topic: topic.to_owned(),
        partitions: vec![partition],
        ..Default::default()
    };
    let request =
        FetchRequest { max_bytes: 1 << 20, session_epoch: -1, topics: vec![topic], ..Default::default() };
    let answer: FetchResponse = client.ask(ApiKey::Fetch, 12, &request).await;
    let partition = &answer.responses[0].partitions[0];
    assert_eq!(partition.error_code, 0);
    let mut values = Vec::new();
    for batch in Batches::new(partition.records.as_deref().unwrap_or_default()) {
        let Batch::V2(batch) = batch.unwrap() else { panic!("only new batches are written") };
        for record in batch.records_in(batch.records_bytes()) {
            values.push(String::from_utf8(record.unwrap().value.unwrap().to_vec()).unwrap());
        }
    }
    values
}
