//! DeleteRecords (API key 21): everything below an offset is deleted.
//!
//! Source: requirement TOP-07, KIP-107.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ottla_env::time::{Instant, now};
use ottla_model::{Offset, TopicName};
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsRequest};
use ottla_protocol::messages::delete_records_response::{
    DeleteRecordsPartitionResult, DeleteRecordsResponse, DeleteRecordsTopicResult,
};
use ottla_replication::Standing;
use ottla_security::Operation;

use crate::caller::Caller;
use crate::error_code;
use crate::node::Node;
use crate::partition::Partition;

/// Asks for the high watermark.
const EVERYTHING: i64 = -1;

/// Serves one request.
pub async fn handle(node: &Node, caller: &Caller, request: DeleteRecordsRequest) -> DeleteRecordsResponse {
    let deadline = now() + Duration::from_millis(u64::try_from(request.timeout_ms).unwrap_or(0));
    let mut topics = Vec::with_capacity(request.topics.len());
    // A topic without partitions is not answered.
    for topic in request.topics.into_iter().filter(|topic| !topic.partitions.is_empty()) {
        let allowed = node.access.may_topic(caller, Operation::Delete, &topic.name);
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for wanted in each_once(topic.partitions) {
            let deleted = if allowed {
                delete(node, &topic.name, &wanted, deadline).await
            } else {
                Err(ErrorCode::TopicAuthorizationFailed)
            };
            partitions.push(DeleteRecordsPartitionResult {
                partition_index: wanted.partition_index,
                low_watermark: deleted.map_or(-1, Offset::value),
                error_code: deleted.map_or_else(ErrorCode::number, |_| 0),
            });
        }
        topics.push(DeleteRecordsTopicResult { name: topic.name, partitions });
    }
    DeleteRecordsResponse { throttle_time_ms: 0, topics }
}

/// A partition that is named twice is asked for once: what was said last holds.
fn each_once(wanted: Vec<DeleteRecordsPartition>) -> Vec<DeleteRecordsPartition> {
    let mut once: BTreeMap<i32, DeleteRecordsPartition> = BTreeMap::new();
    for partition in wanted {
        once.insert(partition.partition_index, partition);
    }
    once.into_values().collect()
}

/// The low watermark once every replica has deleted the records.
async fn delete(
    node: &Node,
    topic: &str,
    wanted: &DeleteRecordsPartition,
    deadline: Instant,
) -> Result<Offset, ErrorCode> {
    let partition = node.local_partition(topic, wanted.partition_index)?;
    if TopicName::new(topic).is_ok_and(|topic| topic.is_internal()) {
        return Err(ErrorCode::InvalidTopicException);
    }
    let standing = partition.standing();
    if !matches!(standing, Standing::Leader { .. }) {
        return Err(error_code::of_standing(standing));
    }
    if !partition.settings().log.cleanup.delete {
        return Err(ErrorCode::PolicyViolation);
    }
    let high_watermark = partition.high_watermark();
    let to = match wanted.offset {
        EVERYTHING => high_watermark,
        offset => Offset::new(offset).ok_or(ErrorCode::OffsetOutOfRange)?,
    };
    if to > high_watermark {
        return Err(ErrorCode::OffsetOutOfRange);
    }
    partition.delete_records_below(to);
    low_watermark(&partition, to, deadline).await
}

async fn low_watermark(
    partition: &Arc<Partition>,
    to: Offset,
    deadline: Instant,
) -> Result<Offset, ErrorCode> {
    let mut moves = partition.low_watermark_moves();
    loop {
        match partition.low_watermark() {
            None => return Err(error_code::of_standing(partition.standing())),
            Some(low) if low >= to => return Ok(low),
            Some(_) => {}
        }
        if ottla_env::time::timeout_at(deadline, moves.changed()).await.is_err() {
            return Err(ErrorCode::RequestTimedOut);
        }
    }
}
