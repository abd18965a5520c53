//! AlterPartitionReassignments (API key 45): partitions get other replicas.
//!
//! Source: KIP-455, KIP-860; requirements RSG-01, SEC-36.

use ottla_metadata::controller::{Answer, Command, Reassign, Reassignments};
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::alter_partition_reassignments_request::AlterPartitionReassignmentsRequest;
use ottla_protocol::messages::alter_partition_reassignments_response::{
    AlterPartitionReassignmentsResponse, ReassignablePartitionResponse, ReassignableTopicResponse,
};
use ottla_security::Operation;

use crate::caller::Caller;
use crate::error_code;
use crate::node::Node;

/// Serves one request. Every partition asked for has one row.
pub async fn handle(
    node: &Node,
    caller: &Caller,
    request: AlterPartitionReassignmentsRequest,
) -> AlterPartitionReassignmentsResponse {
    if !node.access.may_cluster(caller, Operation::Alter) {
        let error = ErrorCode::ClusterAuthorizationFailed;
        return refused(&request, error, error.message().to_owned());
    }
    if request.topics.is_empty() {
        // Kafka looks no further, and leaves everything at its default.
        return AlterPartitionReassignmentsResponse::default();
    }
    let topics = request.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| Reassign {
            partition: partition.partition_index,
            replicas: partition.replicas.clone(),
        });
        (topic.name.clone(), partitions.collect())
    });
    let allow_replication_factor_change = request.allow_replication_factor_change;
    let command = Reassignments { topics: topics.collect(), allow_replication_factor_change };
    let topics = match node.controller.ask(Command::Reassign(command)).await {
        Ok(Answer::Reassign(Ok(topics))) => topics,
        Ok(Answer::Reassign(Err(error))) => {
            return refused(&request, error_code::of_too_much(error), error.to_string());
        }
        Ok(other) => unreachable!("a reassignment was answered with {other:?}"),
        Err(unavailable) => return refused(&request, unavailable.code(), unavailable.to_string()),
    };
    node.catch_up().await;
    let row = |(partition_index, done): (i32, Result<(), _>)| match done {
        Ok(()) => ReassignablePartitionResponse { partition_index, error_code: 0, error_message: None },
        Err(error) => {
            let (code, message) = (error_code::of_reassign(&error), error.to_string());
            // A message that only repeats the code is not sent.
            let error_message = Some(message).filter(|message| message != code.message());
            ReassignablePartitionResponse { partition_index, error_code: code.number(), error_message }
        }
    };
    let responses = topics.into_iter().map(|topic| ReassignableTopicResponse {
        name: topic.topic,
        partitions: topic.partitions.into_iter().map(row).collect(),
    });
    AlterPartitionReassignmentsResponse {
        allow_replication_factor_change,
        error_message: None,
        responses: responses.collect(),
        ..AlterPartitionReassignmentsResponse::default()
    }
}

/// The same for every partition that was named.
fn refused(
    request: &AlterPartitionReassignmentsRequest,
    error: ErrorCode,
    message: String,
) -> AlterPartitionReassignmentsResponse {
    let responses = request.topics.iter().map(|topic| ReassignableTopicResponse {
        name: topic.name.clone(),
        partitions: topic
            .partitions
            .iter()
            .map(|partition| ReassignablePartitionResponse {
                partition_index: partition.partition_index,
                error_code: error.number(),
                error_message: Some(message.clone()),
            })
            .collect(),
    });
    AlterPartitionReassignmentsResponse {
        error_code: error.number(),
        responses: responses.collect(),
        error_message: Some(message),
        ..AlterPartitionReassignmentsResponse::default()
    }
}
