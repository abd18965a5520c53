//! OffsetForLeaderEpoch (API key 23): where a leader epoch ends.
//!
//! Source: requirement FET-32, TRAP-17, KIP-320.

use ottla_model::{LeaderEpoch, Offset};
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderEpochRequest, OffsetForLeaderPartition,
};
use ottla_protocol::messages::offset_for_leader_epoch_response::{
    EpochEndOffset, OffsetForLeaderEpochResponse, OffsetForLeaderTopicResult,
};
use ottla_security::Operation;

use crate::caller::Caller;
use crate::error_code;
use crate::node::Node;

/// What stands for no epoch.
const NO_EPOCH: i32 = -1;

/// Serves one request.
pub async fn handle(
    node: &Node,
    caller: &Caller,
    request: OffsetForLeaderEpochRequest,
) -> OffsetForLeaderEpochResponse {
    let cluster = node.access.may_cluster(caller, Operation::ClusterAction);
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let allowed = cluster || node.access.may_topic(caller, Operation::Describe, &topic.topic);
        let row = |wanted: &OffsetForLeaderPartition| {
            let found = if allowed {
                find(node, &topic.topic, wanted)
            } else {
                Err(ErrorCode::TopicAuthorizationFailed)
            };
            partition_row(wanted.partition, found)
        };
        let partitions = topic.partitions.iter().map(row).collect();
        topics.push(OffsetForLeaderTopicResult { topic: topic.topic, partitions });
    }
    OffsetForLeaderEpochResponse { throttle_time_ms: 0, topics }
}

/// Epoch and end; `None` for an epoch that this leader does not know yet, and for none.
fn find(
    node: &Node,
    topic: &str,
    wanted: &OffsetForLeaderPartition,
) -> Result<Option<(i32, Offset)>, ErrorCode> {
    let partition = node.local_partition(topic, wanted.partition)?;
    let current = error_code::believed_epoch(wanted.current_leader_epoch)?;
    let Some(epoch) = LeaderEpoch::new(wanted.leader_epoch) else {
        let first = partition.first_epoch(current).map_err(|error| error_code::of_look(&error))?;
        // Only -1 stands for no epoch; anything below lies, in Kafka, before the first one and ends where that begins.
        return Ok(first
            .filter(|_| wanted.leader_epoch != NO_EPOCH)
            .map(|start| (wanted.leader_epoch, start)));
    };
    let end = partition.epoch_end(epoch, current).map_err(|error| error_code::of_look(&error))?;
    Ok(end.map(|end| (end.epoch.value(), end.end)))
}

fn partition_row(partition: i32, found: Result<Option<(i32, Offset)>, ErrorCode>) -> EpochEndOffset {
    let unknown = EpochEndOffset { partition, leader_epoch: NO_EPOCH, end_offset: -1, error_code: 0 };
    match found {
        Err(error) => EpochEndOffset { error_code: error.number(), ..unknown },
        Ok(None) => unknown,
        Ok(Some((leader_epoch, end))) => EpochEndOffset { leader_epoch, end_offset: end.value(), ..unknown },
    }
}
