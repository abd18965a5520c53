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
use crate::partition::{FoundOffset, LookError, Partition};

/// What a negative timestamp stands for, with the first version that may ask for it.
const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const LARGEST_TIMESTAMP: (i64, i16) = (-3, 7);
const EARLIEST_LOCAL: (i64, i16) = (-4, 8);
const LATEST_TIERED: (i64, i16) = (-5, 9);
const EARLIEST_PENDING_UPLOAD: (i64, i16) = (-6, 11);

/// First version with a code for "not known yet".
const FIRST_WITH_NOT_AVAILABLE: i16 = 5;
/// Replica id of a tool that looks at any replica.
const DEBUGGING: i32 = -2;

/// Serves one request.
pub async fn handle(
    node: &Node,
    caller: &Caller,
    version: i16,
    request: ListOffsetsRequest,
) -> ListOffsetsResponse {
    let reader = match (request.replica_id, request.isolation_level) {
        (-1 | DEBUGGING, 0) => Reader::Uncommitted,
        (-1 | DEBUGGING, _) => Reader::Committed,
        (id, _) => ottla_model::BrokerId::new(id).map_or(Reader::Uncommitted, Reader::Follower),
    };
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
                find(node, version, reader, (&topic.name, wanted))
            };
            partition_row(version, wanted.partition_index, found)
        };
        let partitions = topic.partitions.iter().map(row).collect();
        topics.push(ListOffsetsTopicResponse { name: topic.name, partitions });
    }
    ListOffsetsResponse { throttle_time_ms: 0, topics }
}

/// The position asked for; `None` where there is none, which is no error.
fn find(
    node: &Node,
    version: i16,
    reader: Reader,
    (topic, wanted): (&str, &ListOffsetsPartition),
) -> Result<Option<FoundOffset>, ErrorCode> {
    let partition = node.local_partition(topic, wanted.partition_index)?;
    let epoch = LeaderEpoch::new(wanted.current_leader_epoch);
    let at_least = |first: i16| if version >= first { Ok(()) } else { Err(ErrorCode::UnsupportedVersion) };
    let found = match wanted.timestamp {
        LATEST => partition.latest(reader, epoch).map(Some),
        EARLIEST => partition.earliest(epoch).map(Some),
        time if time == LARGEST_TIMESTAMP.0 => {
            at_least(LARGEST_TIMESTAMP.1)?;
            partition.by_time(None, reader, epoch)
        }
        time if time == EARLIEST_LOCAL.0 => {
            at_least(EARLIEST_LOCAL.1)?;
            partition.earliest(epoch).map(Some)
        }
        time if time == LATEST_TIERED.0 => {
            at_least(LATEST_TIERED.1)?;
            nothing_tiered(&partition, epoch)
        }
        time if time == EARLIEST_PENDING_UPLOAD.0 => {
            at_least(EARLIEST_PENDING_UPLOAD.1)?;
            nothing_tiered(&partition, epoch)
        }
        time if time < 0 => return Err(ErrorCode::UnsupportedVersion),
        time => partition.by_time(Some(Timestamp::from_millis(time)), reader, epoch),
    };
    found.map_err(|error| code_of(version, &error))
}

/// No record lies in an object store: the answer names no offset, after the same checks as every other.
fn nothing_tiered(
    partition: &Partition,
    epoch: Option<LeaderEpoch>,
) -> Result<Option<FoundOffset>, LookError> {
    partition.earliest(epoch).map(|_| None)
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
