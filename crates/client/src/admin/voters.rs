//! The metadata quorum: its state, and who belongs to it.
//!
//! Owns: DescribeQuorum, AddRaftVoter, RemoveRaftVoter. Does not own: what a controller writes into its settings.
//!
//! Source: Kafka protocol guide, DescribeQuorum, AddRaftVoter, RemoveRaftVoter; KIP-595, KIP-853.

use std::collections::BTreeMap;

use ottla_model::{BrokerId, LeaderEpoch, Offset, Timestamp, Uuid};
use ottla_protocol::messages::add_raft_voter_request::Listener;
use ottla_protocol::messages::describe_quorum_response::ReplicaState;
use ottla_protocol::messages::{
    AddRaftVoterRequest, AddRaftVoterResponse, DescribeQuorumRequest, DescribeQuorumResponse,
    RemoveRaftVoterRequest, RemoveRaftVoterResponse, describe_quorum_request as quorum,
};

use super::Admin;
use super::error::operation_error;
use crate::config::Endpoint;
use crate::error::{ErrorCode, ServerError};

operation_error! {
    /// Why the metadata quorum cannot be described.
    DescribeQuorumError {}
    /// Why a controller did not join or leave the quorum.
    ChangeVotersError {
        Duplicate = DuplicateVoter,
        NotFound = VoterNotFound,
    }
}

/// The topic of the metadata log, which DescribeQuorum is asked about.
const METADATA_TOPIC: &str = "__cluster_metadata";

/// The metadata quorum as its leader sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuorumDescription {
    pub leader: Option<BrokerId>,
    pub leader_epoch: Option<LeaderEpoch>,
    pub high_watermark: Option<Offset>,
    pub voters: Vec<QuorumReplica>,
    pub observers: Vec<QuorumReplica>,
    /// Names and addresses of the listeners of each controller.
    pub nodes: BTreeMap<BrokerId, Vec<(String, Endpoint)>>,
}

/// A copy of the metadata log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuorumReplica {
    pub id: i32,
    pub directory: Option<Uuid>,
    pub log_end: Option<Offset>,
    pub last_fetch: Option<Timestamp>,
    pub last_caught_up: Option<Timestamp>,
}

/// A controller with the directory that holds its metadata log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Voter {
    pub id: BrokerId,
    pub directory: Uuid,
}

impl Admin {
    /// The state of the metadata quorum.
    pub async fn describe_quorum(&self) -> Result<QuorumDescription, DescribeQuorumError> {
        let partition = quorum::PartitionData { partition_index: 0 };
        let topic = quorum::TopicData { topic_name: METADATA_TOPIC.to_owned(), partitions: vec![partition] };
        let request = DescribeQuorumRequest { topics: vec![topic] };
        let code_of = |response: &DescribeQuorumResponse| response.error_code;
        let deadline = self.deadline("describeMetadataQuorum");
        let response = self.ask_any_or_controller(deadline, &request, code_of).await?;
        ServerError::check(response.error_code, response.error_message.as_deref())?;
        let partition = response.topics.into_iter().flat_map(|topic| topic.partitions).next();
        let Some(partition) = partition else {
            return Err(ServerError::from(ErrorCode::UnknownTopicOrPartition).into());
        };
        ServerError::check(partition.error_code, partition.error_message.as_deref())?;
        let nodes = response.nodes.into_iter().filter_map(|node| {
            let listener = |said: ottla_protocol::messages::describe_quorum_response::Listener| {
                (said.name, Endpoint { host: said.host, port: said.port })
            };
            Some((BrokerId::new(node.node_id)?, node.listeners.into_iter().map(listener).collect()))
        });
        Ok(QuorumDescription {
            leader: BrokerId::new(partition.leader_id),
            leader_epoch: LeaderEpoch::new(partition.leader_epoch),
            high_watermark: Offset::new(partition.high_watermark),
            voters: partition.current_voters.iter().map(replica_of).collect(),
            observers: partition.observers.iter().map(replica_of).collect(),
            nodes: nodes.collect(),
        })
    }

    /// Lets a controller vote that follows the quorum as an observer. `listeners` are where the others reach it.
    pub async fn add_voter(
        &self,
        voter: Voter,
        listeners: &[(String, Endpoint)],
    ) -> Result<(), ChangeVotersError> {
        let deadline = self.deadline("addRaftVoter");
        let request = add_request(voter, listeners, Admin::left_ms(deadline));
        let code_of = |response: &AddRaftVoterResponse| response.error_code;
        let response = self.ask_any_or_controller(deadline, &request, code_of).await?;
        Ok(ServerError::check(response.error_code, response.error_message.as_deref())?)
    }

    /// Takes the vote of a controller.
    pub async fn remove_voter(&self, voter: Voter) -> Result<(), ChangeVotersError> {
        let deadline = self.deadline("removeRaftVoter");
        let request = RemoveRaftVoterRequest {
            cluster_id: None,
            voter_id: voter.id.value(),
            voter_directory_id: voter.directory,
        };
        let code_of = |response: &RemoveRaftVoterResponse| response.error_code;
        let response = self.ask_any_or_controller(deadline, &request, code_of).await?;
        Ok(ServerError::check(response.error_code, response.error_message.as_deref())?)
    }
}

fn add_request(voter: Voter, listeners: &[(String, Endpoint)], timeout_ms: i32) -> AddRaftVoterRequest {
    let listener = |(name, endpoint): &(String, Endpoint)| Listener {
        name: name.clone(),
        host: endpoint.host.clone(),
        port: endpoint.port,
    };
    AddRaftVoterRequest {
        // Whatever cluster it is; an empty id would be that of another one.
        cluster_id: None,
        timeout_ms,
        voter_id: voter.id.value(),
        voter_directory_id: voter.directory,
        listeners: listeners.iter().map(listener).collect(),
        ..Default::default()
    }
}

fn replica_of(said: &ReplicaState) -> QuorumReplica {
    let time = |millis: i64| (millis >= 0).then(|| Timestamp::from_millis(millis));
    QuorumReplica {
        id: said.replica_id,
        directory: Some(said.replica_directory_id).filter(|id| !id.is_zero()),
        log_end: Offset::new(said.log_end_offset),
        last_fetch: time(said.last_fetch_timestamp),
        last_caught_up: time(said.last_caught_up_timestamp),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// KIP-853
    #[test]
    fn a_voter_is_added_to_the_cluster_that_is_asked_once_the_change_is_committed() {
        let voter = Voter { id: BrokerId::new(3).unwrap(), directory: Uuid::from_bytes([7; 16]) };
        let endpoint = Endpoint { host: "h".to_owned(), port: 9093 };
        let request = add_request(voter, &[("CONTROLLER".to_owned(), endpoint)], 100);
        assert_eq!((request.cluster_id.as_deref(), request.ack_when_committed), (None, true));
        assert_eq!((request.voter_id, request.voter_directory_id), (3, voter.directory));
        assert_eq!((request.listeners[0].host.as_str(), request.listeners[0].port), ("h", 9093));
    }
}
