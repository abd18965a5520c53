//! ListOffsets (API key 2): first, last and timed positions of partitions.
//!
//! Source: requirements LO-01 to LO-06, API-04, FET-23.

use std::collections::HashSet;

use ottla_model::{LeaderEpoch, Offset, Timestamp};
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsRequest};
use ottla_protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsResponse, ListOffsetsTopicResponse,
};
use ottla_replication::Reader;
use ottla_security::Operation;

use crate::caller::Caller;
use crate::error_code;
use crate::node::Node;
use crate::partition::{Asker, FoundOffset, LookError};

/// What a negative timestamp stands for.
const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const LARGEST_TIMESTAMP: i64 = -3;
const EARLIEST_LOCAL: i64 = -4;
const LATEST_TIERED: i64 = -5;
const EARLIEST_PENDING_UPLOAD: i64 = -6;

/// First version with a code for "not known yet".
const FIRST_WITH_NOT_AVAILABLE: i16 = 5;
/// Replica id of a client.
const CONSUMER: i32 = -1;
/// Replica id of a tool that looks at any replica.
const DEBUGGING: i32 = -2;

/// Serves one request.
pub async fn handle(
    node: &Node,
    caller: &Caller,
    version: i16,
    request: ListOffsetsRequest,
) -> ListOffsetsResponse {
    if !(0..=1).contains(&request.isolation_level) {
        return failed(request);
    }
    let reader = match (request.replica_id, request.isolation_level) {
        (CONSUMER, 0) => Reader::Uncommitted,
        (CONSUMER, _) => Reader::Committed,
        // Replicas and tools see a log as it is.
        _ => Reader::Inspector,
    };
    let from_any_replica = request.replica_id == DEBUGGING;
    let mut asked = HashSet::new();
    let mut twice = HashSet::new();
    for topic in &request.topics {
        for partition in &topic.partitions {
            let at = (topic.name.clone(), partition.partition_index);
            if !asked.insert(at.clone()) {
                twice.insert(at);
            }
        }
    }
    let mut answered = HashSet::new();
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let allowed = node.access.may_topic(caller, Operation::Describe, &topic.name);
        let row = |wanted: &ListOffsetsPartition| {
            let duplicate = twice.contains(&(topic.name.clone(), wanted.partition_index));
            let found = if !allowed {
                Err(ErrorCode::TopicAuthorizationFailed)
            } else if duplicate {
                Err(ErrorCode::InvalidRequest)
            } else {
                find(node, version, (reader, from_any_replica), (&topic.name, wanted))
            };
            partition_row(version, wanted.partition_index, found)
        };
        // What was asked for twice is refused once.
        let once =
            |wanted: &&ListOffsetsPartition| answered.insert((topic.name.clone(), wanted.partition_index));
        let partitions: Vec<_> = topic.partitions.iter().filter(once).map(row).collect();
        // A topic without partitions, or with none that was not answered, is not answered.
        if !partitions.is_empty() {
            topics.push(ListOffsetsTopicResponse { name: topic.name, partitions });
        }
    }
    ListOffsetsResponse { throttle_time_ms: 0, topics }
}

/// An isolation level that there is not is nothing Kafka expects: it fails with all that was asked for.
fn failed(request: ListOffsetsRequest) -> ListOffsetsResponse {
    let row = |wanted: &ListOffsetsPartition| {
        partition_row(0, wanted.partition_index, Err(ErrorCode::UnknownServerError))
    };
    let topics = request.topics.into_iter().map(|topic| ListOffsetsTopicResponse {
        partitions: topic.partitions.iter().map(row).collect(),
        name: topic.name,
    });
    ListOffsetsResponse { throttle_time_ms: 0, topics: topics.collect() }
}

/// The position asked for; `None` where there is none, which is no error.
fn find(
    node: &Node,
    version: i16,
    (reader, from_any_replica): (Reader, bool),
    (topic, wanted): (&str, &ListOffsetsPartition),
) -> Result<Option<FoundOffset>, ErrorCode> {
    // Whether the timestamp may be asked for comes before whether the partition is here (LO-01).
    if wanted.timestamp < 0 && first_version_of(wanted.timestamp).is_none_or(|first| version < first) {
        return Err(ErrorCode::UnsupportedVersion);
    }
    let partition = node.local_partition(topic, wanted.partition_index)?;
    let epoch = error_code::believed_epoch(wanted.current_leader_epoch)?;
    let asker = Asker { reader, epoch, from_any_replica };
    let found = match wanted.timestamp {
        LATEST => partition.latest(asker).map(Some),
        EARLIEST | EARLIEST_LOCAL => partition.earliest(asker).map(Some),
        LARGEST_TIMESTAMP => partition.by_time(None, asker),
        // No record lies in an object store: the answer names no offset, after the same checks as every other.
        LATEST_TIERED | EARLIEST_PENDING_UPLOAD => partition.earliest(asker).map(|_| None),
        time => partition.by_time(Some(Timestamp::from_millis(time)), asker),
    };
    found.map_err(|error| code_of(version, &error))
}

/// The first version that may ask for a special timestamp; `None` for a negative one without a meaning.
fn first_version_of(timestamp: i64) -> Option<i16> {
    match timestamp {
        LATEST | EARLIEST => Some(1),
        LARGEST_TIMESTAMP => Some(7),
        EARLIEST_LOCAL => Some(8),
        LATEST_TIERED => Some(9),
        EARLIEST_PENDING_UPLOAD => Some(11),
        _ => None,
    }
}

fn code_of(version: i16, error: &LookError) -> ErrorCode {
    match (error_code::of_look(error), error) {
        (_, LookError::NotKnownYet(_)) if version < FIRST_WITH_NOT_AVAILABLE => ErrorCode::LeaderNotAvailable,
        (code, _) => code,
    }
}

fn partition_row(
    version: i16,
    partition_index: i32,
    found: Result<Option<FoundOffset>, ErrorCode>,
) -> ListOffsetsPartitionResponse {
    let nothing = ListOffsetsPartitionResponse { partition_index, ..ListOffsetsPartitionResponse::default() };
    match found {
        Err(error) => ListOffsetsPartitionResponse { error_code: error.number(), ..nothing },
        Ok(None) => nothing,
        Ok(Some(found)) => ListOffsetsPartitionResponse {
            timestamp: found.timestamp.map_or(-1, Timestamp::millis),
            offset: Offset::value(found.offset),
            // Readers before version 4 have no field for it.
            leader_epoch: if version >= 4 { found.epoch.map_or(-1, LeaderEpoch::value) } else { -1 },
            ..nothing
        },
    }
}

#[cfg(test)]
mod tests {
    use ottla_model::Offset;
    use ottla_replication::OffsetUnavailable;

    use super::*;

    /// LO-03: before version 5 there is no code for it.
    #[test]
    fn old_clients_are_told_that_there_is_no_leader() {
        let unknown = OffsetUnavailable { high_watermark: Offset::ZERO, epoch_start: Offset::MAX };
        let unknown = LookError::NotKnownYet(unknown);
        assert_eq!(code_of(4, &unknown), ErrorCode::LeaderNotAvailable);
        assert_eq!(code_of(5, &unknown), ErrorCode::OffsetNotAvailable);
    }
}
