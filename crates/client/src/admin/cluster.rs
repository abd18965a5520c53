//! The cluster itself: nodes, features, leaders, reassignments.
//!
//! Owns: these operations.
//! Does not own: the metadata quorum (`voters`), the image a client keeps for itself (`cluster`).
//!
//! Source: Kafka protocol guide, DescribeCluster, UnregisterBroker, UpdateFeatures, ElectLeaders,
//! ListPartitionReassignments; KIP-584, KIP-700.

use std::collections::BTreeMap;

use ottla_model::{BrokerId, TopicPartition};
use ottla_protocol::messages::elect_leaders_request::TopicPartitions;
use ottla_protocol::messages::update_features_request::FeatureUpdateKey;
use ottla_protocol::messages::{
    DescribeClusterRequest, ElectLeadersRequest, ListPartitionReassignmentsRequest, UnregisterBrokerRequest,
    UnregisterBrokerResponse, UpdateFeaturesRequest,
};

use super::error::operation_error;
use super::group_offsets::by_topic;
use super::{Admin, Outcomes, PartitionOutcomes};
use crate::cluster::{Lane, Node, Target};
use crate::config::Endpoint;
use crate::connection::ApiVersions;
use crate::error::{CallError, ServerError};

operation_error! {
    /// Why the cluster cannot be described.
    DescribeClusterError {}
    /// Why a feature was not updated.
    UpdateFeatureError {}
    /// Why a partition got no other leader.
    ElectLeaderError {
        NotNeeded = ElectionNotNeeded,
        NotFound = UnknownTopicOrPartition,
    }
    /// Why the reassignments cannot be listed.
    ListReassignmentsError {}
    /// Why a broker is still registered.
    UnregisterBrokerError {
        NotRegistered = BrokerIdNotRegistered,
    }
}

/// The nodes of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterDescription {
    pub cluster_id: String,
    pub controller: Option<BrokerId>,
    pub nodes: Vec<Node>,
    /// Brokers that are registered and may not lead; only from brokers that know the question.
    pub fenced: Vec<BrokerId>,
}

/// How a feature's level may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeatureChange {
    Upgrade,
    /// Only if no metadata are lost.
    SafeDowngrade,
    UnsafeDowngrade,
}

/// Which replica shall lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ElectionKind {
    /// The first of the replicas.
    Preferred,
    /// Any live one, even if records are lost.
    Unclean,
}

/// A partition whose replicas are being moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reassignment {
    pub replicas: Vec<BrokerId>,
    pub adding: Vec<BrokerId>,
    pub removing: Vec<BrokerId>,
}

impl Admin {
    /// The nodes of the cluster, by id.
    pub async fn describe_cluster(
        &self,
        include_fenced: bool,
    ) -> Result<ClusterDescription, DescribeClusterError> {
        let deadline = self.deadline("listNodes");
        let endpoint_type = if self.shared().config().bootstrap_is_controllers { 2 } else { 1 };
        let request = DescribeClusterRequest {
            endpoint_type,
            include_fenced_brokers: include_fenced,
            ..Default::default()
        };
        let response = self.ask_any(deadline, &request).await?;
        ServerError::check(response.error_code, response.error_message.as_deref())?;
        let fenced = response.brokers.iter().filter(|node| node.is_fenced);
        let fenced = fenced.filter_map(|node| BrokerId::new(node.broker_id)).collect();
        let mut nodes: Vec<Node> = response
            .brokers
            .into_iter()
            .filter_map(|node| {
                let endpoint = Endpoint { host: node.host, port: u16::try_from(node.port).ok()? };
                Some(Node { id: BrokerId::new(node.broker_id)?, endpoint, rack: node.rack })
            })
            .collect();
        nodes.sort_by_key(|node| node.id);
        let controller = BrokerId::new(response.controller_id);
        Ok(ClusterDescription { cluster_id: response.cluster_id, controller, nodes, fenced })
    }

    /// The brokers of the cluster that live, by id, as any of them names them. Unlike
    /// [`describe_cluster`](Admin::describe_cluster), brokers of every age can say so much.
    pub async fn nodes(&self) -> Result<Vec<Node>, CallError> {
        let deadline = self.deadline("listNodes");
        self.known_cluster(deadline).await?;
        Ok(self.shared().image().nodes.values().map(|node| Node::clone(node)).collect())
    }

    /// What a node speaks, and the features of the cluster; any node if none is named.
    pub async fn describe_node(&self, node: Option<BrokerId>) -> Result<ApiVersions, CallError> {
        let deadline = self.deadline("describeFeatures");
        if let Some(id) = node {
            let shared = self.shared();
            shared.wait_for(deadline, |image| image.nodes.contains_key(&id).then_some(())).await?;
        }
        let mut attempts = self.shared().attempts(deadline);
        loop {
            let attempt = async {
                let any = || self.shared().candidates(false).first().copied();
                let Some(target) = node.map(Target::Broker).or_else(any) else {
                    return super::Attempt::Again(CallError::NoNode { call: deadline.call });
                };
                let connection = self.shared().connect(target, Lane::Control).await;
                super::attempt_of(connection.map(|open| open.versions().clone()), deadline)
            };
            if let Some(end) = attempts.make(attempt).await {
                return end;
            }
        }
    }

    /// Takes back the registration of a broker that is gone for good.
    pub async fn unregister_broker(&self, id: BrokerId) -> Result<(), UnregisterBrokerError> {
        let request = UnregisterBrokerRequest { broker_id: id.value() };
        let code_of = |response: &UnregisterBrokerResponse| response.error_code;
        let deadline = self.deadline("unregisterBroker");
        let response = self.ask_any_or_controller(deadline, &request, code_of).await?;
        Ok(ServerError::check(response.error_code, response.error_message.as_deref())?)
    }

    /// Changes levels of features; 0 disables one. All happen, or none.
    pub async fn update_features(
        &self,
        updates: &[(String, i16, FeatureChange)],
        validate_only: bool,
    ) -> Result<Outcomes<(), UpdateFeatureError>, UpdateFeatureError> {
        let deadline = self.deadline("updateFeatures");
        let update = |(feature, level, change): &(String, i16, FeatureChange)| FeatureUpdateKey {
            feature: feature.clone(),
            max_version_level: *level,
            upgrade_type: match change {
                FeatureChange::Upgrade => 1,
                FeatureChange::SafeDowngrade => 2,
                FeatureChange::UnsafeDowngrade => 3,
            },
            ..Default::default()
        };
        let request = UpdateFeaturesRequest {
            timeout_ms: Admin::left_ms(deadline),
            feature_updates: updates.iter().map(update).collect(),
            validate_only,
        };
        let code_of = |response: &ottla_protocol::messages::UpdateFeaturesResponse| response.error_code;
        let response = self.ask_controller(deadline, &request, code_of).await?;
        ServerError::check(response.error_code, response.error_message.as_deref())?;
        let outcome = |name: &String| match response.results.iter().find(|result| result.feature == *name) {
            Some(result) => Ok(ServerError::check(result.error_code, result.error_message.as_deref())?),
            // From version 2 on the one code above speaks for all.
            None => Ok(()),
        };
        Ok(updates.iter().map(|(name, _, _)| (name.clone(), outcome(name))).collect())
    }

    /// Elects leaders of the given partitions, or of all.
    pub async fn elect_leaders(
        &self,
        kind: ElectionKind,
        partitions: Option<&[TopicPartition]>,
    ) -> Result<PartitionOutcomes<(), ElectLeaderError>, ElectLeaderError> {
        let deadline = self.deadline("electLeaders");
        let topic = |(topic, partitions)| TopicPartitions { topic, partitions };
        let request = ElectLeadersRequest {
            election_type: match kind {
                ElectionKind::Preferred => 0,
                ElectionKind::Unclean => 1,
            },
            topic_partitions: partitions.map(|named| by_topic(named).into_iter().map(topic).collect()),
            timeout_ms: Admin::left_ms(deadline),
        };
        let code_of = |response: &ottla_protocol::messages::ElectLeadersResponse| response.error_code;
        let response = self.ask_controller(deadline, &request, code_of).await?;
        ServerError::check(response.error_code, None)?;
        let mut outcomes = BTreeMap::new();
        for topic in response.replica_election_results {
            for said in topic.partition_result {
                let outcome = ServerError::check(said.error_code, said.error_message.as_deref());
                if let Some(partition) = TopicPartition::named(&topic.topic, said.partition_id) {
                    outcomes.insert(partition, outcome.map_err(Into::into));
                }
            }
        }
        Ok(outcomes)
    }

    /// The partitions whose replicas are being moved now.
    pub async fn list_reassignments(
        &self,
    ) -> Result<BTreeMap<TopicPartition, Reassignment>, ListReassignmentsError> {
        let deadline = self.deadline("listPartitionReassignments");
        let request =
            ListPartitionReassignmentsRequest { timeout_ms: Admin::left_ms(deadline), topics: None };
        let code_of =
            |response: &ottla_protocol::messages::ListPartitionReassignmentsResponse| response.error_code;
        let response = self.ask_controller(deadline, &request, code_of).await?;
        ServerError::check(response.error_code, response.error_message.as_deref())?;
        let brokers = |ids: &[i32]| ids.iter().copied().filter_map(BrokerId::new).collect();
        let mut moves = BTreeMap::new();
        for topic in response.topics {
            for said in topic.partitions {
                let Some(partition) = TopicPartition::named(&topic.name, said.partition_index) else {
                    continue;
                };
                let reassignment = Reassignment {
                    replicas: brokers(&said.replicas),
                    adding: brokers(&said.adding_replicas),
                    removing: brokers(&said.removing_replicas),
                };
                moves.insert(partition, reassignment);
            }
        }
        Ok(moves)
    }
}
