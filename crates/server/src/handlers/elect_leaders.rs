//! ElectLeaders (API key 43): leaders are elected because somebody asks.
//!
//! Source: KIP-183, KIP-460; requirements ELE-03, SEC-36.

use ottla_metadata::controller::{Answer, Command, ElectLeaders, ElectionType};
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::elect_leaders_request::ElectLeadersRequest;
use ottla_protocol::messages::elect_leaders_response::{
    ElectLeadersResponse, PartitionResult, ReplicaElectionResult,
};
use ottla_security::Operation;

use crate::caller::Caller;
use crate::error_code;
use crate::node::Node;

/// First version with an error of the whole.
pub const FIRST_WITH_ERROR: i16 = 1;

/// Serves one request. Every partition asked for has one row; where all are asked for, those that have the right leader
/// are left out.
pub async fn handle(
    node: &Node,
    caller: &Caller,
    version: i16,
    request: ElectLeadersRequest,
) -> ElectLeadersResponse {
    let refused = |error: ErrorCode, message: Option<String>| refused(version, &request, (error, message));
    if !node.access.may_cluster(caller, Operation::Alter) {
        return refused(ErrorCode::ClusterAuthorizationFailed, None);
    }
    // Version 0 knows no other than preferred leaders, whose number is 0.
    let kind = match request.election_type {
        0 => ElectionType::Preferred,
        1 => ElectionType::Unclean,
        other => {
            let message = format!("Unknown election type {other}");
            return refused(ErrorCode::InvalidRequest, Some(message));
        }
    };
    let named = request
        .topic_partitions
        .as_ref()
        .map(|topics| topics.iter().map(|topic| (topic.topic.clone(), topic.partitions.clone())).collect());
    let command = Command::ElectLeaders(ElectLeaders { kind, partitions: named });
    let answer = match node.controller.ask(command).await {
        Ok(answer) => answer,
        Err(unavailable) => {
            return refused(unavailable.code(), Some(unavailable.to_string()));
        }
    };
    let Answer::ElectLeaders(topics) = answer else {
        unreachable!("an election was answered with {answer:?}")
    };
    node.catch_up().await;
    let row = |(partition_id, elected): (i32, Result<(), _>)| match elected {
        Ok(()) => PartitionResult { partition_id, error_code: 0, error_message: None },
        Err(error) => PartitionResult {
            partition_id,
            error_code: error_code::of_elect(&error).number(),
            error_message: Some(error.to_string()),
        },
    };
    let results = topics.into_iter().map(|topic| ReplicaElectionResult {
        topic: topic.topic,
        partition_result: topic.partitions.into_iter().map(row).collect(),
    });
    ElectLeadersResponse { replica_election_results: results.collect(), ..ElectLeadersResponse::default() }
}

/// The same for every partition that was named.
fn refused(
    version: i16,
    request: &ElectLeadersRequest,
    (error, message): (ErrorCode, Option<String>),
) -> ElectLeadersResponse {
    let error_message = Some(message.unwrap_or_else(|| error.message().to_owned()));
    let row = |partition: &i32| PartitionResult {
        partition_id: *partition,
        error_code: error.number(),
        error_message: error_message.clone(),
    };
    let results = request.topic_partitions.iter().flatten().map(|topic| ReplicaElectionResult {
        topic: topic.topic.clone(),
        partition_result: topic.partitions.iter().map(row).collect(),
    });
    ElectLeadersResponse {
        throttle_time_ms: 0,
        // The first version has no place for it.
        error_code: if version >= FIRST_WITH_ERROR { error.number() } else { 0 },
        replica_election_results: results.collect(),
    }
}
