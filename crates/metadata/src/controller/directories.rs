//! In which log directory a broker's replicas lie.
//!
//! Owns: what a broker reports of it (AssignReplicasToDirs).
//! Does not own: directories that fail or take no replicas (`heartbeat`).
//!
//! Source: KIP-858.

use ottla_model::{BrokerId, DirectoryId, PartitionIndex, TopicId};

use super::heartbeat::{self, StaleBrokerEpoch};
use super::leadership::{self, Fate};
use super::partition_change::PartitionChange;
use super::view::{Decision, View};
use crate::image::{Partition, Topic};
use crate::records::MetadataRecord;

/// A replica and where it lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Assignment {
    pub directory: DirectoryId,
    pub topic: TopicId,
    pub partition: i32,
}

/// Where the replicas of a broker lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssignReplicas {
    pub broker: BrokerId,
    pub broker_epoch: i64,
    pub assignments: Vec<Assignment>,
}

/// Why one assignment is not recorded. None of them has a message on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AssignRefused {
    #[error("the topic id is unknown")]
    UnknownTopic,
    #[error("the topic has no such partition")]
    UnknownPartition,
    #[error("the broker holds no replica of the partition")]
    NotAReplica,
}

/// Why none is recorded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AssignError {
    #[error("Directory assignment is not supported yet.")]
    Unsupported,
    #[error(transparent)]
    StaleEpoch(#[from] StaleBrokerEpoch),
}

/// Records where replicas lie; the answer has one entry per assignment, in the order of the request.
pub fn assign(
    view: &View<'_>,
    request: &AssignReplicas,
) -> Result<Decision<Vec<Result<(), AssignRefused>>>, AssignError> {
    if !view.image.features.metadata_version().has_directories() {
        return Err(AssignError::Unsupported);
    }
    let broker = heartbeat::check_epoch(view, request.broker, request.broker_epoch)?;
    let mut records: Vec<MetadataRecord> = Vec::new();
    let mut answer = Vec::new();
    let mut lost = Vec::new();
    for assignment in &request.assignments {
        let found = find(view, request.broker, assignment);
        answer.push(found.map(|_| ()));
        let Ok((topic, index, partition)) = found else { continue };
        let defaults = view.topic_defaults();
        let mut change = PartitionChange::new(partition, view.surroundings(topic, partition, defaults));
        change.set_directory(request.broker, assignment.directory);
        records.extend(change.record(topic.id, index).map(MetadataRecord::from));
        if !broker.has_online_directory(assignment.directory) {
            lost.push((topic, index, partition));
        }
    }
    records.extend(leadership::changes_of(view, Fate::Left(request.broker), lost.into_iter()));
    Ok(Decision { records, answer })
}

fn find<'a>(
    view: &View<'a>,
    broker: BrokerId,
    assignment: &Assignment,
) -> Result<(&'a Topic, PartitionIndex, &'a Partition), AssignRefused> {
    let topic = view.image.topics.by_id(assignment.topic).ok_or(AssignRefused::UnknownTopic)?;
    let (index, partition) = topic.numbered(assignment.partition).ok_or(AssignRefused::UnknownPartition)?;
    if !partition.has_replica(broker) {
        return Err(AssignRefused::NotAReplica);
    }
    Ok((topic, index, partition))
}
