//! DescribeProducers (API key 61): the producers a partition remembers.
//!
//! Source: KIP-664, SEC-36.

use ottla_model::TopicName;
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::describe_producers_request::{DescribeProducersRequest, TopicRequest};
use ottla_protocol::messages::describe_producers_response::{
    DescribeProducersResponse, PartitionResponse, ProducerState, TopicResponse,
};
use ottla_replication::Standing;
use ottla_security::Operation;

use crate::caller::Caller;
use crate::error_code;
use crate::node::Node;

/// Serves one request.
pub async fn handle(
    node: &Node,
    caller: &Caller,
    request: DescribeProducersRequest,
) -> DescribeProducersResponse {
    let topic = |topic: TopicRequest| {
        let refused = check(node, caller, &topic.name);
        let partition = |index: &i32| match &refused {
            Some((error, message)) => failed(*index, *error, Some(message.clone())),
            None => describe(node, &topic.name, *index),
        };
        let partitions = topic.partition_indexes.iter().map(partition).collect();
        TopicResponse { name: topic.name, partitions }
    };
    DescribeProducersResponse { throttle_time_ms: 0, topics: request.topics.into_iter().map(topic).collect() }
}

fn check(node: &Node, caller: &Caller, name: &str) -> Option<(ErrorCode, String)> {
    if let Err(error) = TopicName::new(name) {
        return Some((ErrorCode::InvalidTopicException, error.to_string()));
    }
    let usual = |error: ErrorCode| Some((error, error.message().to_owned()));
    if !node.access.may_topic(caller, Operation::Read, name) {
        return usual(ErrorCode::TopicAuthorizationFailed);
    }
    if node.image().topics.by_name(name).is_none() {
        return usual(ErrorCode::UnknownTopicOrPartition);
    }
    None
}

fn describe(node: &Node, name: &str, index: i32) -> PartitionResponse {
    let table = node.partitions.load();
    let Some(partition) = table.topic(name).and_then(|topic| topic.partition(index)) else {
        return failed(index, ErrorCode::UnknownTopicOrPartition, None);
    };
    let standing = partition.standing();
    if !matches!(standing, Standing::Leader { .. }) {
        return failed(index, error_code::of_standing(standing), None);
    }
    let states = partition.with_log(|log| {
        let state = |(id, entry): (ottla_model::ProducerId, &ottla_storage::ProducerEntry)| ProducerState {
            producer_id: id.value(),
            producer_epoch: entry.epoch.map_or(-1, |epoch| i32::from(epoch.value())),
            last_sequence: entry
                .last_batch()
                .and_then(|batch| batch.last_sequence)
                .map_or(-1, ottla_model::Sequence::value),
            last_timestamp: entry.last_timestamp.millis(),
            coordinator_epoch: entry.coordinator_epoch.unwrap_or(-1),
            current_txn_start_offset: entry.transaction_first_offset.map_or(-1, ottla_model::Offset::value),
        };
        log.producers().map(state).collect()
    });
    PartitionResponse {
        partition_index: index,
        active_producers: states.unwrap_or_default(),
        ..PartitionResponse::default()
    }
}

fn failed(partition_index: i32, error: ErrorCode, error_message: Option<String>) -> PartitionResponse {
    PartitionResponse {
        partition_index,
        error_code: error.number(),
        error_message,
        ..PartitionResponse::default()
    }
}
