//! ListPartitionReassignments (API key 46): partitions that are getting other replicas.
//!
//! Source: KIP-455; requirements RSG-01, SEC-36.

use ottla_metadata::image::{Partition, Topic};
use ottla_model::{BrokerId, PartitionIndex};
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::list_partition_reassignments_request::ListPartitionReassignmentsRequest;
use ottla_protocol::messages::list_partition_reassignments_response::{
    ListPartitionReassignmentsResponse, OngoingPartitionReassignment, OngoingTopicReassignment,
};
use ottla_security::Operation;

use crate::caller::Caller;
use crate::node::Node;

/// Serves one request. What is not being reassigned, or does not exist, has no row.
pub async fn handle(
    node: &Node,
    caller: &Caller,
    request: ListPartitionReassignmentsRequest,
) -> ListPartitionReassignmentsResponse {
    if !node.access.may_cluster(caller, Operation::Describe) {
        return refused(&request, ErrorCode::ClusterAuthorizationFailed);
    }
    node.catch_up().await;
    let image = node.image();
    let topics = match &request.topics {
        None => image.topics.iter().filter_map(|topic| row(topic, topic.partitions())).collect(),
        Some(named) => named
            .iter()
            .filter_map(|wanted| {
                let topic = image.topics.by_name(&wanted.name)?;
                let named = wanted.partition_indexes.iter().filter_map(|number| topic.numbered(*number));
                row(topic, named)
            })
            .collect(),
    };
    ListPartitionReassignmentsResponse { throttle_time_ms: 0, error_code: 0, error_message: None, topics }
}

fn row<P: AsRef<Partition>>(
    topic: &Topic,
    partitions: impl Iterator<Item = (PartitionIndex, P)>,
) -> Option<OngoingTopicReassignment> {
    let numbers = |brokers: &[BrokerId]| brokers.iter().map(|broker| broker.value()).collect();
    let ongoing = partitions.filter(|(_, partition)| partition.as_ref().is_reassigning());
    let partitions: Vec<_> = ongoing
        .map(|(index, partition)| OngoingPartitionReassignment {
            partition_index: index.value(),
            replicas: partition.as_ref().brokers().map(BrokerId::value).collect(),
            adding_replicas: numbers(&partition.as_ref().adding),
            removing_replicas: numbers(&partition.as_ref().removing),
        })
        .collect();
    (!partitions.is_empty()).then(|| OngoingTopicReassignment { name: topic.name.to_string(), partitions })
}

/// Kafka's answer to one who may not ask: what was asked for, without content.
fn refused(
    request: &ListPartitionReassignmentsRequest,
    error: ErrorCode,
) -> ListPartitionReassignmentsResponse {
    let topics = request.topics.iter().flatten().map(|topic| OngoingTopicReassignment {
        name: topic.name.clone(),
        partitions: topic
            .partition_indexes
            .iter()
            .map(|index| OngoingPartitionReassignment { partition_index: *index, ..Default::default() })
            .collect(),
    });
    ListPartitionReassignmentsResponse {
        error_code: error.number(),
        error_message: Some(error.message().to_owned()),
        topics: topics.collect(),
        ..ListPartitionReassignmentsResponse::default()
    }
}
