//! Which members are near which partitions (KIP-881).
//!
//! Owns: what near means, and whether it makes a difference.
//! Does not own: what an assignor makes of it (`range`, `sticky`).
//!
//! A member without a rack is far from every partition. Racks make no difference where no member shares one with a
//! replica, or where every partition has replicas in all racks that there are.

use std::collections::{BTreeMap, BTreeSet};

use ottla_model::{PartitionIndex, TopicPartition};

use super::{Member, PartitionRacks};

/// Members and partitions of a group in which racks make a difference.
pub(super) struct Racks<'a> {
    partitions: &'a PartitionRacks,
    /// How many members have each rack.
    members: BTreeMap<&'a str, usize>,
}

impl<'a> Racks<'a> {
    /// `None` where racks make no difference.
    pub(super) fn new(
        members: &[&'a Member],
        (all, partitions): (&[TopicPartition], &'a PartitionRacks),
    ) -> Option<Racks<'a>> {
        let mut counted: BTreeMap<&str, usize> = BTreeMap::new();
        for rack in members.iter().filter_map(|member| member.rack.as_deref()) {
            *counted.entry(rack).or_default() += 1;
        }
        let racks = Racks { partitions, members: counted };
        let wanted: BTreeSet<&str> = racks.members.keys().copied().collect();
        make_difference(&wanted, all.iter().map(|partition| racks.of(partition))).then_some(racks)
    }

    /// The racks of a partition's replicas.
    fn of(&self, partition: &TopicPartition) -> &'a BTreeSet<String> {
        let known = self.partitions.get(&partition.topic);
        racks_of(known.map_or(&[], Vec::as_slice), partition.partition)
    }

    /// Whether a replica of the partition is in the rack of the member.
    pub(super) fn is_near(&self, member: &Member, partition: &TopicPartition) -> bool {
        member.rack.as_ref().is_some_and(|rack| self.of(partition).contains(rack))
    }

    /// Whether the member has a rack, and no replica of the partition is there.
    pub(super) fn is_far(&self, member: &Member, partition: &TopicPartition) -> bool {
        member.rack.is_some() && !self.is_near(member, partition)
    }

    /// How many members are near the partition.
    pub(super) fn count_near(&self, partition: &TopicPartition) -> usize {
        self.of(partition).iter().filter_map(|rack| self.members.get(rack.as_str())).sum()
    }
}

/// The racks of one partition out of those of its topic.
pub(super) fn racks_of(topic: &[BTreeSet<String>], partition: PartitionIndex) -> &BTreeSet<String> {
    const NOWHERE: &BTreeSet<String> = &BTreeSet::new();
    usize::try_from(partition.value()).ok().and_then(|index| topic.get(index)).unwrap_or(NOWHERE)
}

/// Whether it matters which of these partitions go to members in the `wanted` racks.
pub(super) fn make_difference<'a>(
    wanted: &BTreeSet<&str>,
    partitions: impl Iterator<Item = &'a BTreeSet<String>> + Clone,
) -> bool {
    let all: BTreeSet<&str> = partitions.clone().flatten().map(String::as_str).collect();
    !wanted.is_disjoint(&all) && partitions.into_iter().any(|racks| racks.len() != all.len())
}
