//! Log directories of brokers and what lies in them.
//!
//! Owns: DescribeLogDirs. Does not own: moving replicas between directories.
//!
//! Source: Kafka protocol guide, DescribeLogDirs; KIP-113, KIP-827, KIP-1066.

use std::collections::BTreeMap;

use ottla_model::{BrokerId, TopicPartition};
use ottla_protocol::messages::DescribeLogDirsRequest;
use ottla_protocol::messages::describe_log_dirs_response::DescribeLogDirsResult;

use super::Admin;
use super::error::operation_error;
use crate::error::ServerError;

operation_error! {
    /// Why the log directories of a broker cannot be described.
    DescribeLogDirsError {}
}

/// One log directory of a broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogDirDescription {
    pub path: String,
    /// Why the directory is offline, if it is.
    pub error: Option<ServerError>,
    pub replicas: BTreeMap<TopicPartition, ReplicaSize>,
    /// Bytes of the volume; `None` from brokers that do not say.
    pub total_bytes: Option<u64>,
    pub usable_bytes: Option<u64>,
    /// Whether new replicas stay away from it.
    pub is_cordoned: bool,
}

/// How much of a log directory a replica takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplicaSize {
    pub bytes: i64,
    /// Records it lies behind the high watermark, or behind the present replica if it is a future one.
    pub offset_lag: i64,
    /// Whether it will replace the replica in another directory of the broker.
    pub is_future: bool,
}

impl Admin {
    /// Describes all log directories of each of `brokers`.
    pub async fn describe_log_dirs(
        &self,
        brokers: &[BrokerId],
    ) -> BTreeMap<BrokerId, Result<Vec<LogDirDescription>, DescribeLogDirsError>> {
        let deadline = self.deadline("describeLogDirs");
        let mut outcomes = BTreeMap::new();
        for broker in brokers {
            let request = DescribeLogDirsRequest { topics: None };
            let outcome = match self.ask_broker(deadline, *broker, &request).await {
                Ok(response) => ServerError::check(response.error_code, None)
                    .map(|()| response.results.into_iter().map(dir_of).collect())
                    .map_err(Into::into),
                Err(error) => Err(error.into()),
            };
            outcomes.insert(*broker, outcome);
        }
        outcomes
    }
}

fn dir_of(said: DescribeLogDirsResult) -> LogDirDescription {
    let mut replicas = BTreeMap::new();
    for topic in said.topics {
        for one in topic.partitions {
            let size = ReplicaSize {
                bytes: one.partition_size,
                offset_lag: one.offset_lag,
                is_future: one.is_future_key,
            };
            if let Some(partition) = TopicPartition::named(&topic.name, one.partition_index) {
                replicas.insert(partition, size);
            }
        }
    }
    LogDirDescription {
        path: said.log_dir,
        error: ServerError::check(said.error_code, None).err(),
        replicas,
        total_bytes: u64::try_from(said.total_bytes).ok(),
        usable_bytes: u64::try_from(said.usable_bytes).ok(),
        is_cordoned: said.is_cordoned,
    }
}
