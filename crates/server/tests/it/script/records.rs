//! Commands about records: produce some, ask for offsets.
//!
//! ```text
//! produce VERSION NAME|PARTITION|COUNT…          COUNT records of one byte in one batch
//! offsets VERSION NAME|PARTITION|TIMESTAMP…      TIMESTAMP: −1 the end, −2 the start
//! ```

use bytes::Bytes;
use ottla_model::Timestamp;
use ottla_protocol::ApiKey;
use ottla_protocol::messages::{
    ListOffsetsRequest, ListOffsetsResponse, ProduceRequest, ProduceResponse, list_offsets_request,
    produce_request,
};
use ottla_protocol::record::{BatchBuilder, BatchOptions, NewRecord};

use super::Script;

impl Script {
    pub(super) async fn about_records(&mut self, name: &str, version: i16, args: &[&str]) -> Vec<String> {
        match name {
            "produce" => self.produce(version, args).await,
            _ => self.offsets(version, args).await,
        }
    }

    async fn produce(&mut self, version: i16, args: &[&str]) -> Vec<String> {
        let topic = |(name, index, count): (String, i32, i64)| produce_request::TopicProduceData {
            name,
            partition_data: vec![produce_request::PartitionProduceData {
                index,
                records: Some(batch(count)),
            }],
            ..Default::default()
        };
        let request = ProduceRequest {
            transactional_id: None,
            acks: -1,
            timeout_ms: 10_000,
            topic_data: args.iter().map(|arg| topic(fields(arg))).collect(),
        };
        let answer: ProduceResponse = self.ask(ApiKey::Produce, version, &request).await;
        let mut lines = Vec::new();
        for topic in &answer.responses {
            for row in &topic.partition_responses {
                let (index, error, base) = (row.index, row.error_code, row.base_offset);
                lines.push(format!(
                    "{}-{index} {error} base={base} start={}",
                    topic.name, row.log_start_offset
                ));
            }
        }
        lines
    }

    async fn offsets(&mut self, version: i16, args: &[&str]) -> Vec<String> {
        let topic = |(name, partition_index, timestamp): (String, i32, i64)| {
            let partition = list_offsets_request::ListOffsetsPartition {
                partition_index,
                timestamp,
                ..Default::default()
            };
            list_offsets_request::ListOffsetsTopic { name, partitions: vec![partition] }
        };
        let request = ListOffsetsRequest {
            replica_id: -1,
            topics: args.iter().map(|arg| topic(fields(arg))).collect(),
            ..Default::default()
        };
        let answer: ListOffsetsResponse = self.ask(ApiKey::ListOffsets, version, &request).await;
        let mut lines = Vec::new();
        for topic in &answer.topics {
            for row in &topic.partitions {
                let (index, error, offset) = (row.partition_index, row.error_code, row.offset);
                lines.push(format!(
                    "{}-{index} {error} offset={offset} epoch={}",
                    topic.name, row.leader_epoch
                ));
            }
        }
        lines
    }
}

/// `NAME|PARTITION|NUMBER`
fn fields(arg: &str) -> (String, i32, i64) {
    let [name, partition, number] = arg.split('|').collect::<Vec<_>>().try_into().unwrap();
    (name.to_owned(), partition.parse().unwrap(), number.parse().unwrap())
}

fn batch(count: i64) -> Bytes {
    let mut builder = BatchBuilder::new(BatchOptions::default()).unwrap();
    for _ in 0..count {
        let timestamp = Timestamp::from_millis(1_700_000_000_000);
        builder.append(NewRecord { timestamp, key: None, value: Some(b"v"), headers: &[] }).unwrap();
    }
    Bytes::from(builder.finish().unwrap())
}
