//! DeleteRecords (API key 21): everything below an offset is deleted.
//!
//! Source: requirement TOP-07, KIP-107.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use ottla_env::time::{Instant, now};
use ottla_model::{Offset, TopicName};
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::delete_records_request::{
    DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic,
};
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
    for (name, wanted) in each_once(request.topics) {
        let allowed = node.access.may_topic(caller, Operation::Delete, &name);
        let mut partitions = Vec::with_capacity(wanted.len());
        for wanted in wanted.into_values() {
            let deleted = if allowed {
                delete(node, &name, &wanted, deadline).await
            } else {
                Err(ErrorCode::TopicAuthorizationFailed)
            };
            partitions.push(DeleteRecordsPartitionResult {
                partition_index: wanted.partition_index,
                low_watermark: deleted.map_or(-1, Offset::value),
                error_code: deleted.map_or_else(ErrorCode::number, |_| 0),
            });
        }
        topics.push(DeleteRecordsTopicResult { name, partitions });
    }
    DeleteRecordsResponse { throttle_time_ms: 0, topics }
}

/// A partition that is named twice is asked for once: what was said last holds. A topic without partitions is not asked
/// for.
fn each_once(topics: Vec<DeleteRecordsTopic>) -> Vec<(String, BTreeMap<i32, DeleteRecordsPartition>)> {
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut once: Vec<(String, BTreeMap<i32, DeleteRecordsPartition>)> = Vec::new();
    for topic in topics.into_iter().filter(|topic| !topic.partitions.is_empty()) {
        let partitions = topic.partitions.into_iter().map(|wanted| (wanted.partition_index, wanted));
        match places.get(&topic.name).and_then(|at| once.get_mut(*at)) {
            Some((_, known)) => known.extend(partitions),
            None => {
                places.insert(topic.name.clone(), once.len());
                once.push((topic.name, partitions.collect()));
            }
        }
    }
    once
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
