//! Topics: list, create, delete, more partitions.
//!
//! Owns: these operations. Does not own: describing (`describe_topics`), configurations (`configs`).
//!
//! Source: Kafka protocol guide, Metadata, CreateTopics, DeleteTopics, CreatePartitions.

use std::collections::BTreeMap;

use ottla_model::{BrokerId, TopicId};
use ottla_protocol::messages::create_partitions_request::{
    CreatePartitionsAssignment, CreatePartitionsTopic,
};
use ottla_protocol::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use ottla_protocol::messages::delete_topics_request::DeleteTopicState;
use ottla_protocol::messages::{
    CreatePartitionsRequest, CreateTopicsRequest, DeleteTopicsRequest, MetadataRequest,
};

use super::Admin;
use super::error::operation_error;
use crate::connection::Request;
use crate::error::{CallError, ErrorCode, ServerError, api_name};

/// First version of DeleteTopics that names topics in structs.
const DELETE_BY_STRUCT_SINCE: i16 = 6;

operation_error! {
    /// Why a topic was not created.
    CreateTopicError {
        /// There is a topic of this name.
        AlreadyExists = TopicAlreadyExists,
        /// No topic can have this name.
        InvalidName = InvalidTopicException,
    }
    /// Why a topic was not deleted.
    DeleteTopicError {
        /// There is no topic of this name.
        NotFound = UnknownTopicOrPartition,
        /// There is no topic with this id.
        UnknownId = UnknownTopicId,
    }
    /// Why a topic did not get more partitions.
    CreatePartitionsError {
        /// There is no topic of this name.
        NotFound = UnknownTopicOrPartition,
    }
}

/// A topic of the cluster.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TopicListing {
    /// Its name.
    pub name: String,
    /// Its id; `None` from brokers before topic ids.
    pub id: Option<TopicId>,
    /// Whether it is one of the broker's own.
    pub is_internal: bool,
}

/// A topic to be created.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewTopic {
    /// Its name.
    pub name: String,
    /// Replicas per partition.
    pub layout: Layout,
    /// Keys that shall differ from the defaults of the broker.
    pub configs: BTreeMap<String, String>,
}

/// Where the partitions of a new topic go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Layout {
    /// The brokers choose; `None` takes their defaults.
    Counts { partitions: Option<i32>, replication_factor: Option<i16> },
    /// The replicas of each partition, the preferred leader first.
    Assigned(Vec<Vec<BrokerId>>),
}

impl Default for Layout {
    fn default() -> Layout {
        Layout::Counts { partitions: None, replication_factor: None }
    }
}

/// A topic that was created (or, with `validate_only`, could be).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreatedTopic {
    /// The id it got; `None` where it was only checked.
    pub id: Option<TopicId>,
    /// `None` where the broker is too old to say, or may not.
    pub partitions: Option<i32>,
    /// How many copies each partition has.
    pub replication_factor: Option<i16>,
}

/// Partitions to be added to a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewPartitions {
    /// The topic.
    pub topic: String,
    /// The number there shall be in all.
    pub total: i32,
    /// Replicas of the added ones; `None` lets the brokers choose.
    pub assignments: Option<Vec<Vec<BrokerId>>>,
}

/// The outcome for each thing that was named, in the order of naming.
pub type Outcomes<T, E> = Vec<(String, Result<T, E>)>;

impl Admin {
    /// All topics, sorted by name.
    pub async fn list_topics(&self) -> Result<Vec<TopicListing>, CallError> {
        let request = MetadataRequest { topics: None, allow_auto_topic_creation: true, ..Default::default() };
        let response = self.ask_any(self.deadline("listTopics"), &request).await?;
        let listing = |topic: ottla_protocol::messages::metadata_response::MetadataResponseTopic| {
            let id = TopicId::new(topic.topic_id);
            topic.name.map(|name| TopicListing { name, id, is_internal: topic.is_internal })
        };
        let mut topics: Vec<TopicListing> = response.topics.into_iter().filter_map(listing).collect();
        topics.sort();
        Ok(topics)
    }

    /// Creates topics, or only checks whether they could be.
    pub async fn create_topics(
        &self,
        topics: &[NewTopic],
        validate_only: bool,
    ) -> Result<Outcomes<CreatedTopic, CreateTopicError>, CallError> {
        let deadline = self.deadline("createTopics");
        let request = CreateTopicsRequest {
            topics: topics.iter().map(creatable).collect(),
            timeout_ms: Admin::left_ms(deadline),
            validate_only,
        };
        let code_of = |response: &ottla_protocol::messages::CreateTopicsResponse| {
            response.topics.first().map_or(0, |topic| topic.error_code)
        };
        let response = self.ask_controller(deadline, &request, code_of).await?;
        let outcome = |topic: &NewTopic| {
            let Some(result) = response.topics.iter().find(|result| result.name == topic.name) else {
                return Err(ServerError::from(ErrorCode::UnknownServerError).into());
            };
            ServerError::check(result.error_code, result.error_message.as_deref())?;
            Ok(CreatedTopic {
                id: TopicId::new(result.topic_id),
                partitions: Some(result.num_partitions).filter(|count| *count >= 0),
                replication_factor: Some(result.replication_factor).filter(|count| *count >= 0),
            })
        };
        Ok(topics.iter().map(|topic| (topic.name.clone(), outcome(topic))).collect())
    }

    /// Deletes topics by name.
    pub async fn delete_topics(&self, names: &[String]) -> Result<Outcomes<(), DeleteTopicError>, CallError> {
        let deadline = self.deadline("deleteTopics");
        let state = |name: &String| DeleteTopicState { name: Some(name.clone()), ..Default::default() };
        let mut request = DeleteTopicsRequest { timeout_ms: Admin::left_ms(deadline), ..Default::default() };
        // Old versions have a list of names where newer ones have structs; the other list must be empty.
        if self.controller_has(deadline, DELETE_BY_STRUCT_SINCE).await? {
            request.topics = names.iter().map(state).collect();
        } else {
            request.topic_names = names.to_vec();
        }
        let code_of = |response: &ottla_protocol::messages::DeleteTopicsResponse| {
            response.responses.first().map_or(0, |topic| topic.error_code)
        };
        let response = self.ask_controller(deadline, &request, code_of).await?;
        let outcome = |name: &String| {
            let result = response.responses.iter().find(|result| result.name.as_ref() == Some(name));
            match result {
                Some(result) => Ok(ServerError::check(result.error_code, result.error_message.as_deref())?),
                None => Err(ServerError::from(ErrorCode::UnknownServerError).into()),
            }
        };
        Ok(names.iter().map(|name| (name.clone(), outcome(name))).collect())
    }

    /// Deletes topics by id, so that a topic created again under the same name is safe. The answer has the order of
    /// `ids`.
    pub async fn delete_topics_by_id(
        &self,
        ids: &[TopicId],
    ) -> Result<Vec<(TopicId, Result<(), DeleteTopicError>)>, CallError> {
        let deadline = self.deadline("deleteTopics");
        if !self.controller_has(deadline, DELETE_BY_STRUCT_SINCE).await? {
            let api = api_name(DeleteTopicsRequest::KEY);
            return Err(CallError::TooOld { api, feature: "topic ids" });
        }
        let state = |id: &TopicId| DeleteTopicState { name: None, topic_id: id.uuid() };
        let request = DeleteTopicsRequest {
            topics: ids.iter().map(state).collect(),
            timeout_ms: Admin::left_ms(deadline),
            ..Default::default()
        };
        let code_of = |response: &ottla_protocol::messages::DeleteTopicsResponse| {
            response.responses.first().map_or(0, |topic| topic.error_code)
        };
        let response = self.ask_controller(deadline, &request, code_of).await?;
        let outcome = |id: &TopicId| {
            let result = response.responses.iter().find(|result| result.topic_id == id.uuid());
            match result {
                Some(result) => Ok(ServerError::check(result.error_code, result.error_message.as_deref())?),
                None => Err(ServerError::from(ErrorCode::UnknownServerError).into()),
            }
        };
        Ok(ids.iter().map(|id| (*id, outcome(id))).collect())
    }

    /// Adds partitions to topics, or only checks whether they could be added.
    pub async fn create_partitions(
        &self,
        topics: &[NewPartitions],
        validate_only: bool,
    ) -> Result<Outcomes<(), CreatePartitionsError>, CallError> {
        let deadline = self.deadline("createPartitions");
        let request = CreatePartitionsRequest {
            topics: topics.iter().map(more_partitions).collect(),
            timeout_ms: Admin::left_ms(deadline),
            validate_only,
        };
        let code_of = |response: &ottla_protocol::messages::CreatePartitionsResponse| {
            response.results.first().map_or(0, |topic| topic.error_code)
        };
        let response = self.ask_controller(deadline, &request, code_of).await?;
        let outcome = |topic: &NewPartitions| {
            let result = response.results.iter().find(|result| result.name == topic.topic);
            match result {
                Some(result) => Ok(ServerError::check(result.error_code, result.error_message.as_deref())?),
                None => Err(ServerError::from(ErrorCode::UnknownServerError).into()),
            }
        };
        Ok(topics.iter().map(|topic| (topic.topic.clone(), outcome(topic))).collect())
    }

    /// Whether the controller speaks DeleteTopics in this version.
    async fn controller_has(&self, deadline: super::Deadline, version: i16) -> Result<bool, CallError> {
        let shared = self.shared();
        let mut attempts = shared.attempts(deadline);
        loop {
            let attempt = async {
                let controller = match shared.wait_for(deadline, |image| image.controller).await {
                    Ok(controller) => super::Target::Broker(controller),
                    Err(error) => return super::Attempt::of_call(error),
                };
                let connected = shared.connect(controller, crate::cluster::Lane::Control).await;
                let chosen = connected.and_then(|one| one.version_of::<DeleteTopicsRequest>(i16::MAX));
                super::attempt_of(chosen.map(|chosen| chosen >= version), deadline)
            };
            if let Some(end) = attempts.make(attempt).await {
                return end;
            }
        }
    }
}

fn creatable(topic: &NewTopic) -> CreatableTopic {
    // −1 lets the broker choose; with assignments both numbers must be −1.
    let (num_partitions, replication_factor, assignments) = match &topic.layout {
        Layout::Counts { partitions, replication_factor } => {
            (partitions.unwrap_or(-1), replication_factor.unwrap_or(-1), Vec::new())
        }
        Layout::Assigned(replicas) => (-1, -1, replicas.clone()),
    };
    let assignments = (0..).zip(assignments).map(|(partition_index, replicas)| CreatableReplicaAssignment {
        partition_index,
        broker_ids: replicas.iter().map(|id| id.value()).collect(),
    });
    let configs = topic
        .configs
        .iter()
        .map(|(name, value)| CreatableTopicConfig { name: name.clone(), value: Some(value.clone()) });
    CreatableTopic {
        name: topic.name.clone(),
        num_partitions,
        replication_factor,
        assignments: assignments.collect(),
        configs: configs.collect(),
    }
}

fn more_partitions(topic: &NewPartitions) -> CreatePartitionsTopic {
    let assignment = |replicas: &Vec<BrokerId>| CreatePartitionsAssignment {
        broker_ids: replicas.iter().map(|id| id.value()).collect(),
    };
    CreatePartitionsTopic {
        name: topic.topic.clone(),
        count: topic.total,
        assignments: topic.assignments.as_ref().map(|lists| lists.iter().map(assignment).collect()),
    }
}
