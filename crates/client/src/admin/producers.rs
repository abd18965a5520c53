//! The producers that partitions remember.
//!
//! Owns: DescribeProducers. Does not own: producing (`producer`).
//!
//! Source: Kafka protocol guide, DescribeProducers; KIP-664.

use std::collections::BTreeMap;

use ottla_model::{Offset, ProducerEpoch, ProducerId, Sequence, Timestamp, TopicName, TopicPartition};
use ottla_protocol::messages::DescribeProducersRequest;
use ottla_protocol::messages::describe_producers_request::TopicRequest;
use ottla_protocol::messages::describe_producers_response::{PartitionResponse, ProducerState};

use super::error::operation_error;
use super::{Admin, PartitionOutcomes};
use crate::cluster::{CallOptions, Target};
use crate::error::{CallError, ServerError};

operation_error! {
    /// Why the producers of a partition cannot be described.
    DescribeProducersError {
        /// There is no such topic or partition.
        NotFound = UnknownTopicOrPartition,
        /// The leader moved each time it was asked.
        Moved = NotLeaderOrFollower,
    }
}

/// An idempotent or transactional producer, as the leader of a partition remembers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActiveProducer {
    /// The id that InitProducerId gave it.
    pub id: ProducerId,
    /// Its incarnation.
    pub epoch: ProducerEpoch,
    /// Sequence of its last record; `None` after a marker.
    pub last_sequence: Option<Sequence>,
    /// Time of its last batch; `None` if unknown.
    pub last_timestamp: Option<Timestamp>,
    /// Epoch of the transaction coordinator that wrote its last marker; `None` without one.
    pub coordinator_epoch: Option<i32>,
    /// First offset of its open transaction; `None` without one.
    pub transaction_start: Option<Offset>,
}

impl Admin {
    /// The producers that the leaders of these partitions remember, sorted by id.
    pub async fn describe_producers(
        &self,
        partitions: &[TopicPartition],
    ) -> Result<PartitionOutcomes<Vec<ActiveProducer>, DescribeProducersError>, CallError> {
        let deadline = self.deadline("describeProducers");
        let ask = |leader, partitions: Vec<TopicPartition>| async move {
            let (target, options) = (Target::Broker(leader), CallOptions::default());
            let response = self.shared().call(target, &question(&partitions), options).await?;
            let said = response.topics.into_iter().flat_map(|topic| {
                let name = topic.name;
                topic.partitions.into_iter().filter_map(move |said| {
                    Some((TopicPartition::named(&name, said.partition_index)?, producers_of(said)))
                })
            });
            Ok(said.collect())
        };
        self.ask_leaders((deadline.call, deadline), partitions.iter().cloned(), ask).await
    }
}

fn question(partitions: &[TopicPartition]) -> DescribeProducersRequest {
    let mut topics: BTreeMap<&TopicName, Vec<i32>> = BTreeMap::new();
    for partition in partitions {
        topics.entry(&partition.topic).or_default().push(partition.partition.value());
    }
    let topic = |(name, partition_indexes): (&TopicName, Vec<i32>)| TopicRequest {
        name: name.to_string(),
        partition_indexes,
    };
    DescribeProducersRequest { topics: topics.into_iter().map(topic).collect() }
}

fn producers_of(said: PartitionResponse) -> Result<Vec<ActiveProducer>, ServerError> {
    ServerError::check(said.error_code, said.error_message.as_deref())?;
    let mut producers: Vec<ActiveProducer> = said.active_producers.iter().filter_map(producer).collect();
    producers.sort_by_key(|producer| producer.id);
    Ok(producers)
}

fn producer(said: &ProducerState) -> Option<ActiveProducer> {
    Some(ActiveProducer {
        id: ProducerId::new(said.producer_id)?,
        epoch: i16::try_from(said.producer_epoch).ok().and_then(ProducerEpoch::new)?,
        last_sequence: Sequence::new(said.last_sequence),
        last_timestamp: (said.last_timestamp >= 0).then(|| Timestamp::from_millis(said.last_timestamp)),
        coordinator_epoch: Some(said.coordinator_epoch).filter(|epoch| *epoch >= 0),
        transaction_start: Offset::new(said.current_txn_start_offset),
    })
}
