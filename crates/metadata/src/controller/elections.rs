//! Leaders that are elected because somebody asks.
//!
//! Owns: the checks of ElectLeaders, in Kafka's order and words.
//! Does not own: which replica can lead (`partition_change`).
//!
//! Source: KIP-183, KIP-460; requirement ELE-03.

use ottla_model::PartitionIndex;

use super::partition_change::{Election, PartitionChange};
use super::view::{Decision, View};
use crate::image::{Partition, Topic};
use crate::records::MetadataRecord;

/// What kind of leader is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ElectionType {
    /// The first replica.
    Preferred,
    /// Any replica, with possible loss, where nobody leads.
    Unclean,
}

/// Partitions whose leaders are to be elected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ElectLeaders {
    pub kind: ElectionType,
    /// Topics with their partitions; `None`: all.
    pub partitions: Option<Vec<(String, Vec<i32>)>>,
}

/// Why a partition keeps its leader, or has none. The messages are Kafka's, since clients print them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ElectError {
    #[error("No such topic as {0}")]
    UnknownTopic(String),
    #[error("No such partition as {topic}-{partition}")]
    UnknownPartition { topic: String, partition: i32 },
    #[error("Leader election not needed for topic partition.")]
    NotNeeded,
    #[error("The preferred leader was not available.")]
    PreferredNotAvailable,
    #[error("Eligible topic partition leaders are not available.")]
    EligibleNotAvailable,
}

/// What became of the partitions of one topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicElections {
    pub topic: String,
    pub partitions: Vec<(i32, Result<(), ElectError>)>,
}

/// Elects; each partition succeeds or fails by itself. Where all are asked for, those that need no election are left out.
pub fn elect(view: &View<'_>, request: &ElectLeaders) -> Decision<Vec<TopicElections>> {
    let mut records = Vec::new();
    let answer = match &request.partitions {
        Some(topics) => topics
            .iter()
            .map(|(topic, partitions)| TopicElections {
                topic: topic.clone(),
                partitions: partitions
                    .iter()
                    .map(|index| (*index, elect_named(view, request.kind, (topic, *index), &mut records)))
                    .collect(),
            })
            .collect(),
        None => view
            .image
            .topics
            .iter()
            .map(|topic| elect_all_of(view, request.kind, topic, &mut records))
            .collect(),
    };
    Decision { records, answer }
}

fn elect_all_of(
    view: &View<'_>,
    kind: ElectionType,
    topic: &Topic,
    records: &mut Vec<MetadataRecord>,
) -> TopicElections {
    let elected = topic
        .partitions()
        .map(|(index, partition)| (index.value(), elect_one(view, kind, (topic, index, partition), records)));
    let partitions = elected.filter(|(_, elected)| *elected != Err(ElectError::NotNeeded)).collect();
    TopicElections { topic: topic.name.to_string(), partitions }
}

fn elect_named(
    view: &View<'_>,
    kind: ElectionType,
    (name, number): (&str, i32),
    records: &mut Vec<MetadataRecord>,
) -> Result<(), ElectError> {
    let topic = view.image.topics.by_name(name).ok_or_else(|| ElectError::UnknownTopic(name.to_owned()))?;
    let unknown = || ElectError::UnknownPartition { topic: name.to_owned(), partition: number };
    let (index, partition) = topic.numbered(number).ok_or_else(unknown)?;
    elect_one(view, kind, (topic, index, partition), records)
}

fn elect_one(
    view: &View<'_>,
    kind: ElectionType,
    (topic, index, partition): (&Topic, PartitionIndex, &Partition),
    records: &mut Vec<MetadataRecord>,
) -> Result<(), ElectError> {
    let (needless, election, not_available) = match kind {
        ElectionType::Preferred => {
            (partition.has_preferred_leader(), Election::Preferred, ElectError::PreferredNotAvailable)
        }
        ElectionType::Unclean => {
            (partition.leader.is_some(), Election::Unclean, ElectError::EligibleNotAvailable)
        }
    };
    if needless {
        return Err(ElectError::NotNeeded);
    }
    let surroundings = view.surroundings(topic, partition, view.topic_defaults());
    let mut change = PartitionChange::new(partition, surroundings);
    change.election = election;
    let record = change.record(topic.id, index).ok_or(not_available)?;
    records.push(record.into());
    Ok(())
}
