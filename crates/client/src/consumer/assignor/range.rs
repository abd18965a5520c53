//! The range assignor: topic by topic, each member gets neighbouring partitions, near ones first (KIP-881).
//!
//! Owns: the arithmetic, keeping topics of equal size together where racks matter.
//! Does not own: the order of members (`assignor`), what near means (`racks`).
//!
//! Invariants
//! - I1 of one topic, members get equally many partitions, but that the first ones to take it get one more;
//! - I2 without racks, the partitions of one member are neighbours.

use std::collections::{BTreeMap, BTreeSet};

use ottla_model::{MemberId, PartitionIndex, TopicName};
use ottla_mutant::mutant;

use super::racks::{make_difference, racks_of};
use super::{Assignment, Member, Topics, nothing_for, partitions_of};

/// A topic of which partitions are still to be given.
struct Range<'a> {
    topic: &'a TopicName,
    subscribers: Vec<&'a Member>,
    open: BTreeSet<PartitionIndex>,
    count: u32,
    /// What everybody gets.
    each: u32,
    /// How many may still get one more.
    extras: u32,
    given: BTreeMap<&'a MemberId, u32>,
    racks: &'a [BTreeSet<String>],
}

impl<'a> Range<'a> {
    /// `None` for a topic without subscribers.
    fn new(
        members: &[&'a Member],
        topics: &'a Topics,
        topic: &'a TopicName,
        count: u32,
    ) -> Option<Range<'a>> {
        let subscribes = |member: &&&Member| member.topics.contains(topic);
        let subscribers: Vec<&Member> = members.iter().filter(subscribes).copied().collect();
        let total = u32::try_from(subscribers.len()).ok().filter(|total| *total > 0)?;
        Some(Range {
            topic,
            subscribers,
            open: partitions_of(topic, 0..count).map(|partition| partition.partition).collect(),
            count,
            each: count / total,
            extras: count % total,
            given: BTreeMap::new(),
            racks: topics.racks.get(topic).map_or(&[], Vec::as_slice),
        })
    }

    fn needs_racks(&self) -> bool {
        let wanted = self.subscribers.iter().filter_map(|member| member.rack.as_deref()).collect();
        let all = partitions_of(self.topic, 0..self.count);
        let all: Vec<&BTreeSet<String>> =
            all.map(|partition| racks_of(self.racks, partition.partition)).collect();
        make_difference(&wanted, all.iter().copied())
    }

    /// Whether a member may take a partition while only near ones are given. One without a rack may take any.
    fn is_near(&self, member: &Member, partition: PartitionIndex) -> bool {
        member.rack.as_ref().is_none_or(|rack| racks_of(self.racks, partition).contains(rack))
    }

    /// How many more the member may get.
    fn room(&self, member: &Member) -> usize {
        let most = self.each + u32::from(self.extras > 0);
        let given = self.given.get(&member.id).copied().unwrap_or(0);
        usize::try_from(most.saturating_sub(given)).unwrap_or(usize::MAX)
    }

    fn give(&mut self, member: &'a Member, partitions: &[PartitionIndex], assignment: &mut Assignment) {
        let given = self.given.entry(&member.id).or_default();
        *given += u32::try_from(partitions.len()).unwrap_or(u32::MAX);
        if *given > self.each {
            self.extras = self.extras.saturating_sub(1);
        }
        self.open.retain(|partition| !partitions.contains(partition) || mutant!(range_assigns_twice));
        let list = assignment.entry(member.id.clone()).or_default();
        let one =
            |partition: &PartitionIndex| ottla_model::TopicPartition::new(self.topic.clone(), *partition);
        list.extend(partitions.iter().map(one));
    }

    /// Gives to each member in turn as many open partitions as it has room for; only near ones if so wanted.
    fn fill(&mut self, near_only: bool, assignment: &mut Assignment) {
        for member in self.subscribers.clone() {
            let fits = |partition: &&PartitionIndex| !near_only || self.is_near(member, **partition);
            let chosen: Vec<PartitionIndex> =
                self.open.iter().filter(fits).take(self.room(member)).copied().collect();
            if !chosen.is_empty() {
                self.give(member, &chosen, assignment);
            }
        }
    }
}

/// The first `count % members` members get one partition more than the others.
pub(super) fn assign(members: &[&Member], topics: &Topics) -> Assignment {
    let mut assignment = nothing_for(members);
    let known = topics.counts.iter().filter(|(_, count)| **count > 0);
    let mut ranges: Vec<Range<'_>> =
        known.filter_map(|(topic, count)| Range::new(members, topics, topic, *count)).collect();
    let racks_matter = ranges.iter().any(Range::needs_racks);
    if racks_matter {
        give_near(&mut ranges, &mut assignment);
    }
    for range in &mut ranges {
        range.fill(false, &mut assignment);
    }
    if racks_matter {
        assignment.values_mut().for_each(|partitions| partitions.sort());
    }
    assignment
}

/// Gives near partitions. Topics with the same subscribers and as many partitions may belong together: whoever gets
/// a partition of one gets it of all.
fn give_near(ranges: &mut [Range<'_>], assignment: &mut Assignment) {
    let mut alike: BTreeMap<(Vec<MemberId>, u32), Vec<&mut Range<'_>>> = BTreeMap::new();
    for range in ranges {
        let subscribers = range.subscribers.iter().map(|member| member.id.clone()).collect();
        alike.entry((subscribers, range.count)).or_default().push(range);
    }
    for mut together in alike.into_values() {
        match together.as_mut_slice() {
            [range] if range.needs_racks() => range.fill(true, assignment),
            [_] => {}
            ranges => give_near_together(ranges, assignment),
        }
    }
}

fn give_near_together(ranges: &mut [&mut Range<'_>], assignment: &mut Assignment) {
    let Some(first) = ranges.first() else { return };
    let (members, partitions) = (first.subscribers.clone(), first.open.clone());
    for partition in partitions {
        let takes = |member: &&&Member| {
            ranges.iter().all(|range| range.room(member) > 0 && range.is_near(member, partition))
        };
        let Some(member) = members.iter().find(takes).copied() else { continue };
        for range in ranges.iter_mut() {
            range.give(member, &[partition], assignment);
        }
    }
}
