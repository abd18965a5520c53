//! Describing topics, page by page where the broker can.
//!
//! Owns: DescribeTopicPartitions with its cursor (KIP-966), and Metadata for older brokers and for topic ids.
//! Does not own: the list of topics (`topics`), configurations (`configs`).

use std::collections::BTreeMap;

use ottla_model::{BrokerId, LeaderEpoch, PartitionIndex, TopicId};
use ottla_protocol::messages::describe_topic_partitions_request::{Cursor, TopicRequest};
use ottla_protocol::messages::describe_topic_partitions_response::{
    DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
};
use ottla_protocol::messages::metadata_request::MetadataRequestTopic;
use ottla_protocol::messages::metadata_response::{MetadataResponsePartition, MetadataResponseTopic};
use ottla_protocol::messages::{DescribeTopicPartitionsRequest, MetadataRequest};

use super::error::operation_error;
use super::{Admin, Deadline, Outcomes};
use crate::error::{CallError, ErrorCode, ServerError};

/// Partitions in one answer by default, as in Kafka's admin client.
pub const PARTITIONS_PER_ANSWER: i32 = 2000;

operation_error! {
    /// Why a topic cannot be described.
    DescribeTopicError {
        /// There is no topic of this name.
        NotFound = UnknownTopicOrPartition,
        /// There is no topic with this id.
        UnknownId = UnknownTopicId,
    }
}

/// A topic and its partitions in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicDescription {
    /// Its name.
    pub name: String,
    /// Its id; `None` from brokers before topic ids.
    pub id: Option<TopicId>,
    /// Whether it is one of the broker's own.
    pub is_internal: bool,
    /// Its partitions, by number.
    pub partitions: Vec<PartitionDescription>,
}

/// One partition of a described topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionDescription {
    /// Its number.
    pub index: PartitionIndex,
    /// Who leads it; `None` while nobody does.
    pub leader: Option<BrokerId>,
    /// The epoch of the leader; `None` from brokers that do not say.
    pub leader_epoch: Option<LeaderEpoch>,
    /// Who has a copy, the preferred leader first.
    pub replicas: Vec<BrokerId>,
    /// Who has all of it.
    pub in_sync: Vec<BrokerId>,
    /// Whose copy cannot be reached.
    pub offline: Vec<BrokerId>,
    /// Replicas that may lead without being in sync (KIP-966); `None` from brokers that do not say.
    pub eligible_leaders: Option<Vec<BrokerId>>,
    /// The last that could have led, while nobody can (KIP-966); `None` from brokers that do not say.
    pub last_known_eligible_leaders: Option<Vec<BrokerId>>,
}

impl Admin {
    /// Describes topics by name, with at most `per_answer` partitions in one answer of the broker.
    pub async fn describe_topics(
        &self,
        names: &[String],
        per_answer: i32,
    ) -> Result<Outcomes<TopicDescription, DescribeTopicError>, CallError> {
        // Kafka's client asks for the nodes first.
        let deadline = self.deadline("listNodes");
        let described = match self.describe_by_page(deadline, names, per_answer).await {
            // Brokers before 3.8.
            Err(CallError::Unsupported { .. }) => self.describe_by_metadata(deadline, names).await?,
            described => described?,
        };
        let outcome = |name: &String| match described.get(name) {
            Some(found) => found.clone(),
            None => Err(ServerError::from(ErrorCode::UnknownTopicOrPartition).into()),
        };
        Ok(names.iter().map(|name| (name.clone(), outcome(name))).collect())
    }

    /// Describes topics by id. The broker does not tell eligible leaders in this form.
    pub async fn describe_topics_by_id(
        &self,
        ids: &[TopicId],
    ) -> Result<Vec<(TopicId, Result<TopicDescription, DescribeTopicError>)>, CallError> {
        let topic = |id: &TopicId| MetadataRequestTopic { topic_id: id.uuid(), name: None };
        let request = MetadataRequest {
            topics: Some(ids.iter().map(topic).collect()),
            allow_auto_topic_creation: false,
            ..Default::default()
        };
        let response = self.ask_any(self.deadline("describeTopicsWithIds"), &request).await?;
        let outcome = |id: &TopicId| {
            let found = response.topics.iter().find(|topic| topic.topic_id == id.uuid());
            found.map_or_else(|| Err(ServerError::from(ErrorCode::UnknownTopicId).into()), of_metadata)
        };
        Ok(ids.iter().map(|id| (*id, outcome(id))).collect())
    }

    async fn describe_by_page(&self, deadline: Deadline, names: &[String], per_answer: i32) -> Described {
        let mut described: BTreeMap<String, Result<TopicDescription, DescribeTopicError>> = BTreeMap::new();
        let mut request = DescribeTopicPartitionsRequest {
            topics: names.iter().map(|name| TopicRequest { name: name.clone() }).collect(),
            response_partition_limit: per_answer,
            cursor: None,
        };
        loop {
            let response = self.ask_any(deadline, &request).await?;
            for topic in &response.topics {
                let Some(name) = topic.name.clone() else { continue };
                match (described.get_mut(&name), of_page(topic)) {
                    // The topic began on the page before.
                    (Some(Ok(known)), Ok(more)) => known.partitions.extend(more.partitions),
                    (_, said) => {
                        described.insert(name, said);
                    }
                }
            }
            let Some(next) = response.next_cursor else { return Ok(described) };
            request.topics.retain(|topic| topic.name >= next.topic_name);
            request.cursor =
                Some(Cursor { topic_name: next.topic_name, partition_index: next.partition_index });
        }
    }

    async fn describe_by_metadata(&self, deadline: Deadline, names: &[String]) -> Described {
        let topic = |name: &String| MetadataRequestTopic { name: Some(name.clone()), ..Default::default() };
        let request = MetadataRequest {
            topics: Some(names.iter().map(topic).collect()),
            allow_auto_topic_creation: false,
            ..Default::default()
        };
        let response = self.ask_any(deadline, &request).await?;
        let named =
            response.topics.iter().filter_map(|topic| Some((topic.name.clone()?, of_metadata(topic))));
        Ok(named.collect())
    }
}

type Described = Result<BTreeMap<String, Result<TopicDescription, DescribeTopicError>>, CallError>;

fn brokers(ids: &[i32]) -> Vec<BrokerId> {
    ids.iter().copied().filter_map(BrokerId::new).collect()
}

fn of_page(topic: &DescribeTopicPartitionsResponseTopic) -> Result<TopicDescription, DescribeTopicError> {
    ServerError::check(topic.error_code, None)?;
    let partition = |said: &DescribeTopicPartitionsResponsePartition| {
        Some(PartitionDescription {
            index: PartitionIndex::new(said.partition_index)?,
            leader: BrokerId::new(said.leader_id),
            leader_epoch: LeaderEpoch::new(said.leader_epoch),
            replicas: brokers(&said.replica_nodes),
            in_sync: brokers(&said.isr_nodes),
            offline: brokers(&said.offline_replicas),
            eligible_leaders: Some(brokers(said.eligible_leader_replicas.as_deref().unwrap_or_default())),
            last_known_eligible_leaders: Some(brokers(said.last_known_elr.as_deref().unwrap_or_default())),
        })
    };
    Ok(TopicDescription {
        name: topic.name.clone().unwrap_or_default(),
        id: TopicId::new(topic.topic_id),
        is_internal: topic.is_internal,
        partitions: topic.partitions.iter().filter_map(partition).collect(),
    })
}

fn of_metadata(topic: &MetadataResponseTopic) -> Result<TopicDescription, DescribeTopicError> {
    ServerError::check(topic.error_code, None)?;
    let partition = |said: &MetadataResponsePartition| {
        Some(PartitionDescription {
            index: PartitionIndex::new(said.partition_index)?,
            leader: BrokerId::new(said.leader_id),
            leader_epoch: LeaderEpoch::new(said.leader_epoch),
            replicas: brokers(&said.replica_nodes),
            in_sync: brokers(&said.isr_nodes),
            offline: brokers(&said.offline_replicas),
            eligible_leaders: None,
            last_known_eligible_leaders: None,
        })
    };
    let mut partitions: Vec<PartitionDescription> = topic.partitions.iter().filter_map(partition).collect();
    partitions.sort_by_key(|partition| partition.index);
    Ok(TopicDescription {
        name: topic.name.clone().unwrap_or_default(),
        id: TopicId::new(topic.topic_id),
        is_internal: topic.is_internal,
        partitions,
    })
}
