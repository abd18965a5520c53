//! Batches, fetches and what was told of a partition, in short words.
//!
//! Owns: requests with everything a test does not speak of filled in, and the values of an answer as text.
//! Does not own: what the tests expect.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ottla_env::{task, time};
use ottla_model::{Timestamp, Uuid};
use ottla_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use ottla_protocol::messages::fetch_response::PartitionData;
use ottla_protocol::messages::{
    CreateTopicsRequest, CreateTopicsResponse, DeleteRecordsRequest, DeleteRecordsResponse, FetchRequest,
    FetchResponse, IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse, ListOffsetsRequest,
    ListOffsetsResponse, MetadataRequest, MetadataResponse, ProduceRequest, ProduceResponse, ResponseHeader,
    create_topics_request, delete_records_request, incremental_alter_configs_request, list_offsets_request,
    metadata_request, produce_request,
};
use ottla_protocol::record::{Batch, BatchBuilder, BatchOptions, Batches, NewRecord};
use ottla_protocol::{ApiKey, Message, Reader};
use ottla_security::{Authorizer, Operation, Question};

use crate::node::{Client, Parts};

/// Records of long ago, for tests in which time plays no part.
pub const LONG_AGO: i64 = 1_700_000_000_000;

/// Room for everything a test writes.
pub const PLENTY: i32 = 1 << 24;

/// Kinds of resources that have configs.
pub const TOPIC: i8 = 2;
pub const BROKER: i8 = 4;

/// Error codes, by name.
pub mod code {
    pub const NONE: i16 = 0;
    pub const CORRUPT_MESSAGE: i16 = 2;
    pub const OFFSET_OUT_OF_RANGE: i16 = 1;
    pub const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
    pub const LEADER_NOT_AVAILABLE: i16 = 5;
    pub const NOT_LEADER_OR_FOLLOWER: i16 = 6;
    pub const REQUEST_TIMED_OUT: i16 = 7;
    pub const TOPIC_AUTHORIZATION_FAILED: i16 = 29;
    pub const CLUSTER_AUTHORIZATION_FAILED: i16 = 31;
    pub const UNSUPPORTED_VERSION: i16 = 35;
    pub const INVALID_REQUEST: i16 = 42;
    pub const KAFKA_STORAGE_ERROR: i16 = 56;
    pub const FENCED_LEADER_EPOCH: i16 = 74;
    pub const UNKNOWN_LEADER_EPOCH: i16 = 75;
    pub const UNKNOWN_TOPIC_ID: i16 = 100;
}

/// A batch whose records all have one time.
pub fn batch_at(millis: i64, values: &[&str]) -> Bytes {
    keyed_batch_at(millis, None, values)
}

/// The same, with a key.
pub fn keyed_batch_at(millis: i64, key: Option<&str>, values: &[&str]) -> Bytes {
    let mut builder = BatchBuilder::new(BatchOptions::default()).unwrap();
    for value in values {
        let (timestamp, value) = (Timestamp::from_millis(millis), Some(value.as_bytes()));
        let record = NewRecord { timestamp, key: key.map(str::as_bytes), value, headers: &[] };
        builder.append(record).unwrap();
    }
    Bytes::from(builder.finish().unwrap())
}

pub fn batch(values: &[&str]) -> Bytes {
    batch_at(LONG_AGO, values)
}

/// A produce request for one partition.
pub fn produce(topic: &str, index: i32, acks: i16, records: Bytes) -> ProduceRequest {
    ProduceRequest {
        transactional_id: None,
        acks,
        timeout_ms: 10_000,
        topic_data: vec![produce_request::TopicProduceData {
            name: topic.to_owned(),
            partition_data: vec![produce_request::PartitionProduceData { index, records: Some(records) }],
            ..Default::default()
        }],
    }
}

/// Creates a topic of so many partitions, with settings of its own.
pub async fn create(client: &mut Client, name: &str, partitions: i32, configs: &[(&str, &str)]) {
    let config = |(name, value): &(&str, &str)| create_topics_request::CreatableTopicConfig {
        name: (*name).to_owned(),
        value: Some((*value).to_owned()),
    };
    let topic = create_topics_request::CreatableTopic {
        name: name.to_owned(),
        num_partitions: partitions,
        replication_factor: 1,
        configs: configs.iter().map(config).collect(),
        ..Default::default()
    };
    let request = CreateTopicsRequest { topics: vec![topic], timeout_ms: 10_000, validate_only: false };
    let answer: CreateTopicsResponse = client.ask(ApiKey::CreateTopics, 7, &request).await;
    assert_eq!(answer.topics[0].error_code, code::NONE, "{answer:?}");
    // On a slow device the answer comes before the partitions.
    let deadline = time::now() + Duration::from_secs(60);
    let missing = [code::UNKNOWN_TOPIC_OR_PARTITION, code::LEADER_NOT_AVAILABLE];
    while missing.contains(&describe(client, name).await.topics[0].error_code) {
        assert!(time::now() < deadline, "{name} does not appear");
    }
}

/// Error code and base offset of a request with `acks=all`.
pub async fn try_append(client: &mut Client, (topic, index): (&str, i32), records: Bytes) -> (i16, i64) {
    let answer: ProduceResponse = client.ask(ApiKey::Produce, 9, &produce(topic, index, -1, records)).await;
    let partition = &answer.responses[0].partition_responses[0];
    (partition.error_code, partition.base_offset)
}

/// The base offset of records that are taken.
pub async fn append(client: &mut Client, at: (&str, i32), records: Bytes) -> i64 {
    let (error_code, offset) = try_append(client, at, records).await;
    assert_eq!(error_code, code::NONE);
    offset
}

/// Asks for everything from `offset` on.
pub fn from(index: i32, offset: i64) -> FetchPartition {
    FetchPartition {
        partition: index,
        fetch_offset: offset,
        partition_max_bytes: PLENTY,
        ..Default::default()
    }
}

/// A fetch without a session that does not wait.
pub fn fetch(topics: &[(&str, &[FetchPartition])]) -> FetchRequest {
    let topic = |(topic, partitions): &(&str, &[FetchPartition])| FetchTopic {
        topic: (*topic).to_owned(),
        partitions: partitions.to_vec(),
        ..Default::default()
    };
    FetchRequest {
        min_bytes: 1,
        max_bytes: PLENTY,
        session_epoch: -1,
        topics: topics.iter().map(topic).collect(),
        ..Default::default()
    }
}

/// The same, with topics named by their ids.
pub fn fetch_by_id(topics: &[(Uuid, &[FetchPartition])]) -> FetchRequest {
    let topic = |(topic_id, partitions): &(Uuid, &[FetchPartition])| FetchTopic {
        topic_id: *topic_id,
        partitions: partitions.to_vec(),
        ..Default::default()
    };
    FetchRequest { topics: topics.iter().map(topic).collect(), ..fetch(&[]) }
}

/// The answer of the version before topic ids.
pub async fn ask_fetch(client: &mut Client, request: &FetchRequest) -> FetchResponse {
    client.ask(ApiKey::Fetch, 12, request).await
}

/// The answer to a fetch that was sent before.
pub async fn receive_fetch(client: &Client, version: i16) -> FetchResponse {
    let answer = client.receive().await.expect("the node answers");
    let mut reader = Reader::new(&answer);
    ResponseHeader::decode(&mut reader, ApiKey::Fetch.response_header_version(version)).unwrap();
    FetchResponse::decode(&mut reader, version).unwrap()
}

/// What is told of the one partition that was asked for.
pub async fn look(client: &mut Client, (topic, index): (&str, i32), offset: i64) -> PartitionData {
    let answer = ask_fetch(client, &fetch(&[(topic, &[from(index, offset)])])).await;
    assert_eq!((answer.error_code, answer.session_id), (code::NONE, 0));
    answer.responses[0].partitions[0].clone()
}

/// The records of a partition as `offset:value`; markers of transactions as `offset:!`.
pub fn values(partition: &PartitionData) -> Vec<String> {
    let mut values = Vec::new();
    for batch in Batches::new(partition.records.as_deref().unwrap_or_default()) {
        let Batch::V2(batch) = batch.unwrap() else { panic!("only new batches are written") };
        let control = batch.header().attributes.is_control();
        for record in batch.records_in(batch.records_bytes()) {
            let record = record.unwrap();
            let value = String::from_utf8_lossy(record.value.unwrap_or_default()).into_owned();
            let offset = record.offset.value();
            values.push(if control { format!("{offset}:!") } else { format!("{offset}:{value}") });
        }
    }
    values
}

/// Every partition of an answer: index, error code, and how many bytes of records.
pub fn rows(answer: &FetchResponse) -> Vec<(String, i32, i16, usize)> {
    let mut rows = Vec::new();
    for topic in &answer.responses {
        for partition in &topic.partitions {
            let bytes = partition.records.as_ref().map_or(0, Bytes::len);
            rows.push((topic.topic.clone(), partition.partition_index, partition.error_code, bytes));
        }
    }
    rows
}

/// A request for one timestamp, or special position, of one partition.
pub fn offset_at(topic: &str, timestamp: i64) -> ListOffsetsRequest {
    ListOffsetsRequest {
        replica_id: -1,
        topics: vec![list_offsets_request::ListOffsetsTopic {
            name: topic.to_owned(),
            partitions: vec![list_offsets_request::ListOffsetsPartition {
                timestamp,
                current_leader_epoch: -1,
                ..Default::default()
            }],
        }],
        ..Default::default()
    }
}

/// Error code, offset and leader epoch of the one partition that was asked for.
pub async fn offset(client: &mut Client, version: i16, request: &ListOffsetsRequest) -> (i16, i64, i32) {
    let answer: ListOffsetsResponse = client.ask(ApiKey::ListOffsets, version, request).await;
    let partition = &answer.topics[0].partitions[0];
    (partition.error_code, partition.offset, partition.leader_epoch)
}

/// The first offset of partition 0.
pub async fn log_start(client: &mut Client, topic: &str) -> i64 {
    offset(client, 10, &offset_at(topic, -2)).await.1
}

/// Waits until something outside the node's answers is as wanted; a device may take its time.
pub async fn until(wanted: impl Fn() -> bool) {
    let deadline = time::now() + Duration::from_secs(60);
    while !wanted() {
        assert!(time::now() < deadline, "it did not happen in a minute");
        task::yield_now().await;
    }
}

/// Waits until partition 0 begins there.
pub async fn until_log_start(client: &mut Client, topic: &str, expected: i64) {
    let deadline = time::now() + Duration::from_secs(60);
    loop {
        let start = log_start(client, topic).await;
        if start == expected {
            return;
        }
        assert!(time::now() < deadline, "{topic} still begins at {start}, not at {expected}");
    }
}

/// The metadata of one topic.
pub async fn describe(client: &mut Client, topic: &str) -> MetadataResponse {
    let request = MetadataRequest {
        topics: Some(vec![metadata_request::MetadataRequestTopic {
            name: Some(topic.to_owned()),
            ..Default::default()
        }]),
        allow_auto_topic_creation: false,
        ..Default::default()
    };
    client.ask(ApiKey::Metadata, 12, &request).await
}

/// The id of a topic and the leader epoch of its first partition.
pub async fn topic_id(client: &mut Client, topic: &str) -> (Uuid, i32) {
    let answer = describe(client, topic).await;
    assert_eq!(answer.topics[0].error_code, code::NONE, "{answer:?}");
    (answer.topics[0].topic_id, answer.topics[0].partitions[0].leader_epoch)
}

/// Sets one config of a resource while the node runs.
pub async fn set_config(client: &mut Client, (kind, of): (i8, &str), (name, value): (&str, &str)) {
    let config = incremental_alter_configs_request::AlterableConfig {
        name: name.to_owned(),
        config_operation: 0,
        value: Some(value.to_owned()),
    };
    let resource = incremental_alter_configs_request::AlterConfigsResource {
        resource_type: kind,
        resource_name: of.to_owned(),
        configs: vec![config],
    };
    let request = IncrementalAlterConfigsRequest { resources: vec![resource], validate_only: false };
    let answer: IncrementalAlterConfigsResponse =
        client.ask(ApiKey::IncrementalAlterConfigs, 1, &request).await;
    assert_eq!(answer.responses[0].error_code, code::NONE, "{answer:?}");
}

/// Deletes the records of partition 0 below an offset.
pub async fn delete_below(client: &mut Client, topic: &str, offset: i64) {
    let request = DeleteRecordsRequest {
        topics: vec![delete_records_request::DeleteRecordsTopic {
            name: topic.to_owned(),
            partitions: vec![delete_records_request::DeleteRecordsPartition { partition_index: 0, offset }],
        }],
        timeout_ms: 10_000,
    };
    let answer: DeleteRecordsResponse = client.ask(ApiKey::DeleteRecords, 2, &request).await;
    assert_eq!(answer.topics[0].partitions[0].error_code, code::NONE, "{answer:?}");
}

/// An authorizer that forbids some operations on resources of some names, and nothing else.
#[derive(Debug)]
pub struct Forbids(pub Vec<(Operation, &'static str)>);

impl Authorizer for Forbids {
    fn is_allowed(&self, question: &Question<'_>) -> bool {
        !self.0.contains(&(question.operation, question.name))
    }

    fn is_allowed_on_any(&self, _: &Question<'_>) -> bool {
        true
    }

    fn is_configured(&self) -> bool {
        true
    }
}

/// What a node has whose authorizer forbids this.
pub fn forbidding(what: &[(Operation, &'static str)]) -> Parts {
    Parts { authorizer: Some(Arc::new(Forbids(what.to_vec()))), ..Parts::default() }
}
