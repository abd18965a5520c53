//! New leaders and in-sync sets when a broker comes or goes.
//!
//! Owns: which partitions are touched by a broker's fate, the changes of all of them.
//! Does not own: how one partition changes (`partition_change`), the broker's own records (`brokers`, `heartbeat`).
//!
//! Source: KIP-631, KIP-966; requirements ELE-01, ELE-02, REG-02, SHD-01.

use ottla_model::{BrokerId, DirectoryId, PartitionIndex};

use super::partition_change::{Election, PartitionChange};
use super::view::View;
use crate::image::{Partition, Topic};
use crate::records::MetadataRecord;

/// What happened to a broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate<'a> {
    /// It may lead again, but for what lies in these directories, which it just said have failed.
    Arrived(BrokerId, &'a [DirectoryId]),
    /// It leaves with everything on disk: fenced, removed, or on its way down.
    Left(BrokerId),
    /// It went down without flushing and may have lost records.
    Crashed(BrokerId),
    /// One of its directories failed.
    LostDirectory(BrokerId, DirectoryId),
}

impl Fate<'_> {
    fn touches(self, partition: &Partition) -> bool {
        match self {
            Fate::Arrived(..) => partition.leader.is_none(),
            Fate::Left(broker) => partition.in_sync.contains(&broker),
            Fate::Crashed(broker) => {
                partition.in_sync.contains(&broker) || partition.eligible_leaders.contains(&broker)
            }
            Fate::LostDirectory(broker, directory) => {
                partition.directory(broker) == Some(directory) && partition.in_sync.contains(&broker)
            }
        }
    }

    fn leaver(self) -> Option<BrokerId> {
        match self {
            Fate::Arrived(..) => None,
            Fate::Left(broker) | Fate::Crashed(broker) | Fate::LostDirectory(broker, _) => Some(broker),
        }
    }
}

/// The changes of all partitions that a broker's fate touches, by topic name and partition.
pub fn changes(view: &View<'_>, fate: Fate<'_>) -> Vec<MetadataRecord> {
    let partitions = view.image.topics.iter().flat_map(|topic| {
        topic.partitions().map(move |(index, partition)| (topic.as_ref(), index, partition.as_ref()))
    });
    changes_of(view, fate, partitions.filter(|(_, _, partition)| fate.touches(partition)))
}

/// The changes of these partitions, whatever else the fate touches.
pub fn changes_of<'i>(
    view: &View<'_>,
    fate: Fate<'_>,
    partitions: impl Iterator<Item = (&'i Topic, PartitionIndex, &'i Partition)>,
) -> Vec<MetadataRecord> {
    let defaults = view.topic_defaults();
    let mut records = Vec::new();
    for (topic, index, partition) in partitions {
        let may_lead = move |broker: BrokerId| {
            if Some(broker) == fate.leaver() {
                return false;
            }
            match fate {
                Fate::Arrived(arrived, failed) if arrived == broker => {
                    arrived_can_lead(view, partition, (broker, failed))
                }
                Fate::Arrived(..) | Fate::Left(_) | Fate::Crashed(_) | Fate::LostDirectory(..) => {
                    view.can_lead(partition, broker)
                }
            }
        };
        let surroundings = view.surroundings_with(topic, defaults, Box::new(may_lead));
        let mut change = PartitionChange::new(partition, surroundings);
        if view.allows_unclean_election(&topic.name, defaults) {
            change.election = Election::Unclean;
        }
        change.in_sync.retain(|broker| Some(*broker) != fate.leaver());
        if let Fate::Crashed(broker) = fate {
            change.shut_down_uncleanly = Some(broker);
        }
        records.extend(change.record(topic.id, index).map(MetadataRecord::from));
    }
    records
}

/// The image still has the broker fenced, and knows nothing of directories that failed just now; only the replica's
/// directory counts.
fn arrived_can_lead(
    view: &View<'_>,
    partition: &Partition,
    (broker, failed): (BrokerId, &[DirectoryId]),
) -> bool {
    let directory = partition.directory(broker).filter(|directory| !failed.contains(directory));
    let registered = view.image.cluster.broker(broker);
    registered.is_some_and(|broker| directory.is_some_and(|directory| broker.has_online_directory(directory)))
}

/// Whether the broker leads a partition.
pub fn leads_any(view: &View<'_>, broker: BrokerId) -> bool {
    let mut partitions = view.image.topics.iter().flat_map(|topic| topic.partitions());
    partitions.any(|(_, partition)| partition.leader == Some(broker))
}
