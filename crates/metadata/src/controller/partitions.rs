//! More partitions for topics that exist.
//!
//! Owns: the checks of CreatePartitions, in Kafka's order and words.
//! Does not own: the choice of brokers (`placement`).
//!
//! Source: KIP-195; requirement TOP-06.

use ottla_model::PartitionIndex;

use super::assignment::{self, AssignmentError};
use super::placement::{self, PlacementError};
use super::topics::{TooMuch, TopicOutcome, new_partition};
use super::view::{Decision, RECORDS_PER_REQUEST_MAX, View};
use crate::image::{Partition, Topic};
use crate::records::MetadataRecord;

/// A topic that shall have more partitions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrowTopic {
    pub name: String,
    /// How many it shall have in all.
    pub count: i32,
    /// The brokers of each new partition; `None` leaves the choice to the controller.
    pub assignments: Option<Vec<Vec<i32>>>,
}

/// Topics that shall have more partitions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreatePartitions {
    pub topics: Vec<GrowTopic>,
    /// Decide as if, but record nothing.
    pub validate_only: bool,
}

/// Why a topic gets no partitions. The messages are Kafka's, since clients print them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CreatePartitionsError {
    #[error("Duplicate topic name.")]
    DuplicateName,
    #[error("This server does not host this topic-partition.")]
    UnknownTopic,
    #[error("Topic already has {0} partition(s).")]
    Same(usize),
    #[error("The topic {name} currently has {present} partition(s); {wanted} would not be an increase.")]
    Fewer { name: String, present: usize, wanted: i32 },
    #[error(transparent)]
    Assignment(#[from] AssignmentError),
    #[error(transparent)]
    Placement(#[from] PlacementError),
    #[error(
        "Unable to replicate the partition {replicas} time(s): All brokers are currently fenced or in controlled shutdown."
    )]
    AllFenced { replicas: usize },
}

type Outcomes = Vec<TopicOutcome<(), CreatePartitionsError>>;

/// Adds partitions; each topic succeeds or fails by itself, and each is answered (TRAP-34).
pub fn create(view: &View<'_>, request: &CreatePartitions) -> Result<Decision<Outcomes>, TooMuch> {
    let mut records = Vec::new();
    let mut outcomes: Outcomes = Vec::new();
    for topic in &request.topics {
        let twin = |other: &&GrowTopic| other.name == topic.name;
        let result = if request.topics.iter().filter(twin).count() > 1 {
            Err(CreatePartitionsError::DuplicateName)
        } else {
            grow(view, topic)
        };
        if !outcomes.iter().any(|outcome| outcome.name == topic.name) {
            let result = result.map(|of_topic| records.extend(of_topic));
            outcomes.push(TopicOutcome { name: topic.name.clone(), result });
        }
        if records.len() > RECORDS_PER_REQUEST_MAX {
            return Err(TooMuch::Records);
        }
    }
    if request.validate_only {
        records.clear();
    }
    Ok(Decision { records, answer: outcomes })
}

fn grow(view: &View<'_>, request: &GrowTopic) -> Result<Vec<MetadataRecord>, CreatePartitionsError> {
    let topic = view.image.topics.by_name(&request.name).ok_or(CreatePartitionsError::UnknownTopic)?;
    let present = topic.partition_count();
    let additional = match usize::try_from(request.count) {
        Ok(count) if count == present => return Err(CreatePartitionsError::Same(present)),
        Ok(count) if count > present => count - present,
        Ok(_) | Err(_) => {
            let name = request.name.clone();
            return Err(CreatePartitionsError::Fewer { name, present, wanted: request.count });
        }
    };
    let partitions = match &request.assignments {
        Some(assignments) => assigned(view, topic, (assignments, additional))?,
        None => placed(view, topic, additional)?,
    };
    let numbers = (present..).map_while(|number| PartitionIndex::new(i32::try_from(number).ok()?));
    let version = view.image.features.metadata_version();
    let records =
        numbers.zip(&partitions).map(|(index, partition)| partition.to_record(topic.id, index, version));
    Ok(records.map(MetadataRecord::from).collect())
}

fn assigned(
    view: &View<'_>,
    topic: &Topic,
    (assignments, additional): (&[Vec<i32>], usize),
) -> Result<Vec<Partition>, CreatePartitionsError> {
    if assignments.len() != additional {
        return Err(AssignmentError::Count { wanted: additional, got: assignments.len() }.into());
    }
    let mut partitions = Vec::new();
    for (number, brokers) in (topic.partition_count()..).zip(assignments) {
        let brokers = assignment::check(view, brokers, Some(topic.replication_factor()))?;
        let in_sync = assignment::active(view, &brokers);
        if in_sync.is_empty() {
            return Err(AssignmentError::AllFenced(i32::try_from(number).unwrap_or(i32::MAX)).into());
        }
        partitions.push(new_partition(view, &brokers, in_sync));
    }
    Ok(partitions)
}

fn placed(
    view: &View<'_>,
    topic: &Topic,
    additional: usize,
) -> Result<Vec<Partition>, CreatePartitionsError> {
    // More than one request may bring about is refused before anything is placed.
    let count = additional.min(RECORDS_PER_REQUEST_MAX + 1);
    let replicas = topic.replication_factor();
    let mut partitions = Vec::new();
    for brokers in placement::place(&assignment::usable_brokers(view), count, replicas, view.random)? {
        let in_sync = assignment::active(view, &brokers);
        if in_sync.is_empty() {
            return Err(CreatePartitionsError::AllFenced { replicas });
        }
        partitions.push(new_partition(view, &brokers, in_sync));
    }
    Ok(partitions)
}
