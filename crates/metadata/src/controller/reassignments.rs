//! Partitions that get other replicas.
//!
//! Owns: the checks of AlterPartitionReassignments, in Kafka's order and words; how a reassignment begins, is replaced
//! and is taken back.
//! Does not own: when it is complete (`partition_change`), the copying (`replication`).
//!
//! Source: KIP-455, KIP-860; requirement RSG-01.

use ottla_model::{BrokerId, PartitionIndex};
use ottla_protocol::messages::PartitionChangeRecord;

use super::assignment::{self, AssignmentError};
use super::partition_change::PartitionChange;
use super::topics::TooMuch;
use super::view::{Decision, RECORDS_PER_REQUEST_MAX, View};
use crate::image::{Partition, Replica, Topic};

/// What one partition is to become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reassign {
    pub partition: i32,
    /// Its replicas, the preferred leader first; `None`: a running reassignment is taken back.
    pub replicas: Option<Vec<i32>>,
}

/// AlterPartitionReassignments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reassignments {
    pub topics: Vec<(String, Vec<Reassign>)>,
    /// Whether a partition may have another number of replicas afterwards.
    pub allow_replication_factor_change: bool,
}

/// Why a partition keeps its replicas. The messages are Kafka's, since clients print them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReassignError {
    #[error("Unable to find a topic named {0}.")]
    UnknownTopic(String),
    #[error("Unable to find partition {topic}:{partition}.")]
    UnknownPartition { topic: String, partition: i32 },
    #[error("No partition reassignment is in progress.")]
    NotInProgress,
    #[error(
        "Unable to revert partition assignment for {topic}:{partition} because it would require an unclean leader election."
    )]
    UncleanRevert { topic: String, partition: i32 },
    #[error("The replication factor is changed from {from} to {to}")]
    ReplicationFactor { from: usize, to: usize },
    #[error(transparent)]
    Assignment(#[from] AssignmentError),
}

/// What became of the partitions of one topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicReassignments {
    pub topic: String,
    pub partitions: Vec<(i32, Result<(), ReassignError>)>,
}

/// Begins, replaces or takes back; each partition succeeds or fails by itself.
pub fn alter(view: &View<'_>, request: &Reassignments) -> Result<Decision<Vec<TopicReassignments>>, TooMuch> {
    let (mut records, mut answer) = (Vec::new(), Vec::new());
    for (topic, wanted) in &request.topics {
        let mut partitions = Vec::new();
        for one in wanted {
            let record = alter_one(view, topic, one, request.allow_replication_factor_change);
            let done = record.map(|record| records.extend(record.map(Into::into)));
            partitions.push((one.partition, done));
            if records.len() > RECORDS_PER_REQUEST_MAX {
                return Err(TooMuch::Records);
            }
        }
        answer.push(TopicReassignments { topic: topic.clone(), partitions });
    }
    Ok(Decision { records, answer })
}

fn alter_one(
    view: &View<'_>,
    name: &str,
    wanted: &Reassign,
    may_change_count: bool,
) -> Result<Option<PartitionChangeRecord>, ReassignError> {
    let unknown = || ReassignError::UnknownTopic(name.to_owned());
    let topic = view.image.topics.by_name(name).ok_or_else(unknown)?;
    let number = wanted.partition;
    let unknown = || ReassignError::UnknownPartition { topic: name.to_owned(), partition: number };
    let (index, partition) = topic.numbered(number).ok_or_else(unknown)?;
    let at = (topic.as_ref(), index, partition.as_ref());
    match &wanted.replicas {
        Some(replicas) => change(view, at, replicas, may_change_count),
        None => revert(view, at),
    }
}

/// The new replicas join the old ones, which leave once the new ones are in sync.
fn change(
    view: &View<'_>,
    (topic, index, partition): (&Topic, PartitionIndex, &Partition),
    replicas: &[i32],
    may_change_count: bool,
) -> Result<Option<PartitionChangeRecord>, ReassignError> {
    let target = assignment::check(view, replicas, None)?;
    let original = partition.brokers().filter(|broker| !partition.adding.contains(broker)).count();
    if !may_change_count && original != target.len() {
        return Err(ReassignError::ReplicationFactor { from: original, to: target.len() });
    }
    let present: Vec<BrokerId> = partition.brokers().collect();
    let removing = without(&present, &target);
    let adding = without(&target, &present);
    let mut change = PartitionChange::new(partition, surroundings(view, topic, partition));
    change.replicas =
        target.iter().chain(&removing).map(|broker| replica(view, partition, *broker)).collect();
    // A change that neither adds nor removes leaves what is running as it is.
    if !removing.is_empty() {
        change.removing = removing;
    }
    if !adding.is_empty() {
        change.adding = adding;
    }
    Ok(change.record(topic.id, index))
}

/// Replicas that were to be added go again, and those that were to leave stay.
fn revert(
    view: &View<'_>,
    (topic, index, partition): (&Topic, PartitionIndex, &Partition),
) -> Result<Option<PartitionChangeRecord>, ReassignError> {
    if !partition.is_reassigning() {
        return Err(ReassignError::NotInProgress);
    }
    let stays = |broker: BrokerId| !partition.adding.contains(&broker);
    let replicas: Vec<Replica> =
        partition.replicas.iter().copied().filter(|replica| stays(replica.broker)).collect();
    let mut in_sync: Vec<BrokerId> =
        partition.in_sync.iter().copied().filter(|broker| stays(*broker)).collect();
    if in_sync.is_empty() {
        // Only those in sync know all records: to go back means to lose some.
        let allowed = view.allows_unclean_election(&topic.name, view.topic_defaults());
        let first = replicas.first().filter(|_| allowed).ok_or_else(|| ReassignError::UncleanRevert {
            topic: topic.name.to_string(),
            partition: index.value(),
        })?;
        in_sync.push(first.broker);
    }
    let mut change = PartitionChange::new(partition, surroundings(view, topic, partition));
    (change.replicas, change.in_sync) = (replicas, in_sync);
    (change.removing, change.adding) = (Vec::new(), Vec::new());
    Ok(change.record(topic.id, index))
}

fn surroundings<'a>(
    view: &View<'a>,
    topic: &Topic,
    partition: &'a Partition,
) -> super::partition_change::Surroundings<'a> {
    view.surroundings(topic, partition, view.topic_defaults())
}

/// Those of `all` that `others` lacks, by id.
fn without(all: &[BrokerId], others: &[BrokerId]) -> Vec<BrokerId> {
    let mut left: Vec<BrokerId> = all.iter().copied().filter(|broker| !others.contains(broker)).collect();
    left.sort_unstable();
    left
}

fn replica(view: &View<'_>, partition: &Partition, broker: BrokerId) -> Replica {
    let directory = partition.directory(broker).unwrap_or_else(|| assignment::directory(view, broker));
    Replica { broker, directory }
}
