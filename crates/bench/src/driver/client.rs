//! Questions to a broker, one after the other: is it there, make a topic, what is in it.
//!
//! Owns: one connection, the conversion of messages to frames and back. Does not own: loads.

use std::time::{Duration, Instant};

use ottla_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use ottla_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use ottla_protocol::messages::metadata_request::MetadataRequestTopic;
use ottla_protocol::messages::{
    ApiKey, ApiVersionsRequest, CreateTopicsRequest, CreateTopicsResponse, InitProducerIdRequest,
    InitProducerIdResponse, ListOffsetsRequest, ListOffsetsResponse, MetadataRequest, MetadataResponse,
};
use ottla_protocol::{Message, Reader};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::Fallible;
use crate::frames::{TOPIC, frame};
use crate::system::{Durability, Kind, System};

/// So many partitions of a new topic are asked whether they serve, the last ones: each question costs a round trip.
const LOOKED_AT: u32 = 100;
/// An answer may take as long as a broker needs for thousands of partitions.
const PATIENCE: Duration = Duration::from_secs(120);
/// Pause between two questions whether partitions have their leaders.
const ASK_EVERY: Duration = Duration::from_millis(5);
/// Brokers refuse requests that become more than 10 000 metadata records, and a topic has others beside its partitions'.
pub const PARTITIONS_PER_TOPIC: u32 = 5_000;

/// One connection for questions.
pub struct Client {
    stream: TcpStream,
}

impl Client {
    pub async fn connect(port: u16) -> Fallible<Client> {
        Ok(Client { stream: connect(port).await? })
    }

    /// Asks for the versions of the broker's APIs: that it answers is what counts.
    pub async fn ping(&mut self) -> Fallible<()> {
        let request = ApiVersionsRequest {
            client_software_name: "ottla-bench".to_owned(),
            client_software_version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        self.exchange(frame(ApiKey::ApiVersions, 3, &request)?).await?;
        Ok(())
    }

    /// Creates the benchmark's topic as the system was started for it, and waits until every partition has its leader.
    pub async fn create_topic(system: &System, configs: &[(&str, &str)]) -> Fallible<()> {
        if system.is_yardstick() {
            return Ok(());
        }
        let retention = system.start.retention_bytes.map(|bytes| bytes.to_string());
        let mut all = configs.to_vec();
        if let Some(bytes) = &retention {
            all.extend([
                ("segment.bytes", "67108864"),
                ("retention.bytes", bytes),
                ("file.delete.delay.ms", "0"),
            ]);
        }
        // How Kafka is made to flush before it answers; a node has a setting for it.
        if system.start.durability == Durability::Flushed && matches!(system.kind, Kind::Peer(_)) {
            all.push(("flush.messages", "1"));
        }
        let mut client = Client::connect(system.port).await?;
        let (mut left, mut number) = (system.start.partitions, 0);
        while left > 0 {
            let count = left.min(PARTITIONS_PER_TOPIC);
            client.create(&topic_name(number), count, &all).await?;
            (left, number) = (left - count, number + 1);
        }
        Ok(())
    }

    async fn create(&mut self, topic: &str, partitions: u32, configs: &[(&str, &str)]) -> Fallible<()> {
        let config = |(name, value): &(&str, &str)| CreatableTopicConfig {
            name: (*name).to_owned(),
            value: Some((*value).to_owned()),
        };
        let wanted = CreatableTopic {
            name: topic.to_owned(),
            num_partitions: i32::try_from(partitions)?,
            replication_factor: 1,
            configs: configs.iter().map(config).collect(),
            ..CreatableTopic::default()
        };
        let request = CreateTopicsRequest { topics: vec![wanted], ..CreateTopicsRequest::default() };
        let answer: CreateTopicsResponse = self.ask(ApiKey::CreateTopics, 4, &request).await?;
        for topic in &answer.topics {
            if topic.error_code != 0 {
                let message = topic.error_message.as_deref().unwrap_or_default();
                return Err(format!(
                    "topic {} was refused with error {}: {message}",
                    topic.name, topic.error_code
                )
                .into());
            }
        }
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            if self.leaders(topic).await? == partitions && self.serves(topic, partitions).await? {
                return Ok(());
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
        Err(format!("not every partition of {topic} has a leader after {PATIENCE:?}").into())
    }

    /// Whether the leaders know that they are: a broker may tell of a partition before it has made it.
    async fn serves(&mut self, topic: &str, partitions: u32) -> Fallible<bool> {
        let first_looked_at = partitions.saturating_sub(LOOKED_AT);
        for partition in (first_looked_at..partitions).rev() {
            let wanted = ListOffsetsPartition {
                partition_index: i32::try_from(partition)?,
                current_leader_epoch: -1,
                timestamp: -1,
            };
            if self.offset(topic, wanted).await?.is_err() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// How many partitions of a topic have a leader.
    pub async fn leaders(&mut self, topic: &str) -> Fallible<u32> {
        let topic = MetadataRequestTopic { name: Some(topic.to_owned()), ..MetadataRequestTopic::default() };
        let request = MetadataRequest {
            topics: Some(vec![topic]),
            allow_auto_topic_creation: false,
            ..MetadataRequest::default()
        };
        let answer: MetadataResponse = self.ask(ApiKey::Metadata, 8, &request).await?;
        let partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
        let led = partitions.filter(|partition| partition.leader_id >= 0 && partition.error_code == 0);
        Ok(u32::try_from(led.count())?)
    }

    /// The offset behind the last record of a partition of the benchmark's topic.
    pub async fn end_offset(&mut self, partition: i32) -> Fallible<i64> {
        let wanted =
            ListOffsetsPartition { partition_index: partition, current_leader_epoch: -1, timestamp: -1 };
        let answered = self.offset(TOPIC, wanted).await?;
        answered.map_err(|error| {
            format!("the end of partition {partition} was refused with error {error}").into()
        })
    }

    /// An offset, or the code of the partition's error.
    async fn offset(&mut self, topic: &str, wanted: ListOffsetsPartition) -> Fallible<Result<i64, i16>> {
        let topics = vec![ListOffsetsTopic { name: topic.to_owned(), partitions: vec![wanted] }];
        let request = ListOffsetsRequest { replica_id: -1, topics, ..ListOffsetsRequest::default() };
        let answer: ListOffsetsResponse = self.ask(ApiKey::ListOffsets, 5, &request).await?;
        let found = answer.topics.iter().flat_map(|topic| &topic.partitions).next();
        let found = found.ok_or_else(|| format!("an answer about {topic} has no partition"))?;
        Ok(if found.error_code == 0 { Ok(found.offset) } else { Err(found.error_code) })
    }

    /// An id of an idempotent producer and its epoch.
    pub async fn producer_id(&mut self) -> Fallible<(i64, i16)> {
        let request = InitProducerIdRequest { transactional_id: None, ..InitProducerIdRequest::default() };
        let answer: InitProducerIdResponse = self.ask(ApiKey::InitProducerId, 1, &request).await?;
        match answer.error_code {
            0 => Ok((answer.producer_id, answer.producer_epoch)),
            error => Err(format!("a producer id was refused with error {error}").into()),
        }
    }

    async fn ask<Q: Message, A: Message>(&mut self, api: ApiKey, version: i16, request: &Q) -> Fallible<A> {
        let answer = self.exchange(frame(api, version, request)?).await?;
        // Versions without tagged fields: the header is the correlation id alone.
        let mut reader = Reader::new(answer.get(4..).unwrap_or_default());
        Ok(A::decode(&mut reader, version)?)
    }

    /// Sends a frame; the answer without its size.
    async fn exchange(&mut self, request: Vec<u8>) -> Fallible<Vec<u8>> {
        let exchange = async {
            self.stream.write_all(&request).await?;
            let mut size = [0; 4];
            self.stream.read_exact(&mut size).await?;
            let mut answer = vec![0; usize::try_from(i32::from_be_bytes(size))?];
            self.stream.read_exact(&mut answer).await?;
            Fallible::Ok(answer)
        };
        tokio::time::timeout(PATIENCE, exchange).await?
    }
}

/// The name of the benchmark's topic, or of a further one where one cannot have all partitions.
pub fn topic_name(number: u32) -> String {
    if number == 0 { TOPIC.to_owned() } else { format!("{TOPIC}-{number}") }
}

/// A connection without delay.
pub async fn connect(port: u16) -> Fallible<TcpStream> {
    let stream = TcpStream::connect(("127.0.0.1", port)).await;
    let stream = stream.map_err(|error| format!("cannot connect to 127.0.0.1:{port}: {error}"))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}
