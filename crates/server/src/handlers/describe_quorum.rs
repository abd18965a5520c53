//! DescribeQuorum (API key 55): leader, voters and observers of the metadata quorum.
//!
//! Source: requirement KRF-04, KIP-595, KIP-853, KIP-1073.

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::describe_quorum_request::DescribeQuorumRequest;
use ottla_protocol::messages::describe_quorum_response::{
    DescribeQuorumResponse, Listener, Node as QuorumNode, PartitionData, ReplicaState, TopicData,
};
use ottla_security::Operation;

use crate::caller::Caller;
use crate::controller::{QuorumReplica, QuorumStatus};
use crate::node::Node;

/// The only topic that has a quorum.
const METADATA_TOPIC: &str = "__cluster_metadata";

/// Serves one request. It must ask for the one partition there is, and nothing else.
pub async fn handle(
    node: &Node,
    caller: &Caller,
    version: i16,
    request: DescribeQuorumRequest,
) -> DescribeQuorumResponse {
    if !node.access.may_cluster(caller, Operation::Describe) {
        return refused(ErrorCode::ClusterAuthorizationFailed);
    }
    if !is_metadata(&request) {
        return unknown(version, request);
    }
    let Some(status) = node.controller.status().await else {
        return refused(ErrorCode::NotLeaderOrFollower);
    };
    let nodes = if version >= 2 { nodes(&status) } else { Vec::new() };
    DescribeQuorumResponse {
        topics: vec![TopicData {
            topic_name: METADATA_TOPIC.to_owned(),
            partitions: vec![partition_row(version, &status)],
        }],
        nodes,
        ..DescribeQuorumResponse::default()
    }
}

fn is_metadata(request: &DescribeQuorumRequest) -> bool {
    let [topic] = request.topics.as_slice() else { return false };
    let [partition] = topic.partitions.as_slice() else { return false };
    topic.topic_name == METADATA_TOPIC && partition.partition_index == 0
}

fn partition_row(version: i16, status: &QuorumStatus) -> PartitionData {
    let row = |replica: &QuorumReplica| replica_row(version, replica);
    PartitionData {
        partition_index: 0,
        leader_id: status.leader.value(),
        leader_epoch: status.epoch.value(),
        high_watermark: status.high_watermark.value(),
        current_voters: status.voters.iter().map(row).collect(),
        observers: status.observers.iter().map(row).collect(),
        ..PartitionData::default()
    }
}

fn replica_row(version: i16, replica: &QuorumReplica) -> ReplicaState {
    let mut row = ReplicaState {
        replica_id: replica.id.value(),
        log_end_offset: replica.log_end.map_or(-1, ottla_model::Offset::value),
        ..ReplicaState::default()
    };
    if version >= 1 {
        row.last_fetch_timestamp = replica.last_fetch.map_or(-1, ottla_model::Timestamp::millis);
        row.last_caught_up_timestamp = replica.last_caught_up.map_or(-1, ottla_model::Timestamp::millis);
    }
    if version >= 2 {
        row.replica_directory_id = replica.directory.0;
    }
    row
}

fn nodes(status: &QuorumStatus) -> Vec<QuorumNode> {
    let listener = |endpoint: &ottla_metadata::image::Endpoint| Listener {
        name: endpoint.listener.clone(),
        host: endpoint.host.clone(),
        port: endpoint.port,
    };
    let node = |replica: &QuorumReplica| QuorumNode {
        node_id: replica.id.value(),
        listeners: replica.endpoints.iter().map(listener).collect(),
    };
    status.voters.iter().map(node).collect()
}

fn refused(error: ErrorCode) -> DescribeQuorumResponse {
    DescribeQuorumResponse {
        error_code: error.number(),
        error_message: Some(error.message().to_owned()),
        ..DescribeQuorumResponse::default()
    }
}

/// Whoever asks for other partitions hears for each that it is not known.
fn unknown(version: i16, request: DescribeQuorumRequest) -> DescribeQuorumResponse {
    let error = ErrorCode::UnknownTopicOrPartition;
    let message = (version >= 2).then(|| error.message().to_owned());
    let topic = |topic: ottla_protocol::messages::describe_quorum_request::TopicData| TopicData {
        topic_name: topic.topic_name,
        partitions: topic
            .partitions
            .into_iter()
            .map(|partition| PartitionData {
                partition_index: partition.partition_index,
                error_code: error.number(),
                error_message: message.clone(),
                ..PartitionData::default()
            })
            .collect(),
    };
    DescribeQuorumResponse {
        topics: request.topics.into_iter().map(topic).collect(),
        ..DescribeQuorumResponse::default()
    }
}
