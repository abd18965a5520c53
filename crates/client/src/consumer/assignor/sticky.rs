//! The sticky assignors: as even as possible, near where racks matter (KIP-881), and moving as few partitions as
//! possible.
//!
//! Owns: both rules, and the cooperative delay of moved partitions.
//! Does not own: the order of members (`assignor`).
//!
//! Invariants
//! - I1 what a member keeps it owned in the highest generation that claims the partition, alone;
//! - I2 where racks matter, a member keeps no partition that is far from it;
//! - I3 with equal subscriptions, loads differ by at most one.

use std::collections::{BTreeMap, BTreeSet};

use ottla_model::{MemberId, TopicPartition};
use ottla_mutant::mutant;

use super::racks::Racks;
use super::{Assignment, Member, Topics, nothing_for, subscribed_partitions};

/// Eager: a partition may go from one member to another at once, since all have given up theirs.
pub(super) fn assign(members: &[&Member], topics: &Topics) -> Assignment {
    let all = subscribed_partitions(members, &topics.counts);
    let racks = Racks::new(members, (&all, &topics.racks));
    let racks = racks.as_ref();
    let kept = rightful_claims(members, &all, racks);
    let same = members.windows(2).all(|pair| pair[0].topics == pair[1].topics);
    if same {
        assign_evenly(members, kept, (&all, racks))
    } else {
        assign_by_load(members, kept, (&all, racks))
    }
}

/// Cooperative: a partition that some other member still holds is left out; that member gives it up, and the
/// rebalance that follows hands it over (KIP-429).
pub(super) fn assign_cooperatively(members: &[&Member], topics: &Topics) -> Assignment {
    let claims = claims_of(members);
    let mut assignment = assign(members, topics);
    for (taker, partitions) in &mut assignment {
        partitions.retain(|partition| {
            let Some(claimants) = claims.get(partition) else { return true };
            let latest = claimants.iter().map(|member| member.generation).max();
            !claimants.iter().any(|member| member.id != *taker && Some(member.generation) == latest)
        });
    }
    assignment
}

/// Who says to own each partition.
fn claims_of<'a>(members: &[&'a Member]) -> BTreeMap<&'a TopicPartition, Vec<&'a Member>> {
    let mut claims: BTreeMap<&TopicPartition, Vec<&Member>> = BTreeMap::new();
    for member in members {
        for partition in &member.owned {
            claims.entry(partition).or_default().push(member);
        }
    }
    claims
}

fn holders_of(claims: &Assignment) -> BTreeMap<TopicPartition, MemberId> {
    let pairs = claims.iter().flat_map(|(member, owned)| owned.iter().map(move |one| (one, member)));
    pairs.map(|(partition, member)| (partition.clone(), member.clone())).collect()
}

/// What each member may keep: partitions that exist, that it still subscribes to, that are not far from it, and that
/// nobody claims since the same or a later generation.
fn rightful_claims(members: &[&Member], all: &[TopicPartition], racks: Option<&Racks<'_>>) -> Assignment {
    let claims = claims_of(members);
    let mut kept = nothing_for(members);
    for member in members {
        let rightful = member.owned.iter().filter(|partition| {
            let rival = |other: &&Member| other.id != member.id && other.generation >= member.generation;
            member.topics.contains(&partition.topic)
                && all.binary_search(partition).is_ok()
                && !racks.is_some_and(|racks| racks.is_far(member, partition))
                && !claims.get(partition).is_some_and(|claimants| claimants.iter().any(rival))
        });
        kept.entry(member.id.clone()).or_default().extend(rightful.cloned());
    }
    kept
}

/// Who may still get partitions where all members want the same topics: everyone gets the lower quota, some get one
/// more.
struct Quotas<'a> {
    kept: Assignment,
    quota_min: usize,
    /// How many may still get one more.
    extras_left: usize,
    below: Vec<&'a Member>,
    /// In the order in which they reached the quota: the first ones get one more.
    at_quota: Vec<&'a Member>,
}

/// All members want the same topics.
fn assign_evenly(
    members: &[&Member],
    kept: Assignment,
    (all, racks): (&[TopicPartition], Option<&Racks<'_>>),
) -> Assignment {
    let mut quotas = Quotas::new(members, kept, all.len());
    let taken: BTreeSet<TopicPartition> = quotas.kept.values().flatten().cloned().collect();
    let is_free = |partition: &&TopicPartition| !taken.contains(*partition) || mutant!(sticky_assigns_twice);
    let mut free: Vec<&TopicPartition> = all.iter().filter(is_free).collect();
    if let Some(racks) = racks {
        quotas.deal_near(&mut free, racks);
    }
    quotas.deal(&free);
    quotas.kept
}

impl<'a> Quotas<'a> {
    /// Members keep what they have, up to the quota.
    fn new(members: &[&'a Member], kept: Assignment, partitions: usize) -> Quotas<'a> {
        let (quota_min, extras_left) = (partitions / members.len().max(1), partitions % members.len().max(1));
        let (below, at_quota) = (Vec::new(), Vec::new());
        let mut quotas = Quotas { kept, quota_min, extras_left, below, at_quota };
        for member in members {
            let owned = quotas.kept.entry(member.id.clone()).or_default();
            if owned.len() > quota_min && quotas.extras_left > 0 {
                owned.truncate(quota_min + 1);
                quotas.extras_left -= 1;
            } else {
                owned.truncate(quota_min);
                let full = owned.len() == quota_min;
                if full { quotas.at_quota.push(member) } else { quotas.below.push(member) }
            }
        }
        quotas
    }

    /// Gives to the member at `place` among those below the quota. Answers the place of the next one.
    fn give_below(&mut self, place: usize, partition: &TopicPartition) -> usize {
        let owned = self.kept.entry(self.below[place].id.clone()).or_default();
        owned.push(partition.clone());
        if owned.len() < self.quota_min {
            return place + 1;
        }
        let member = self.below.remove(place);
        self.at_quota.push(member);
        place
    }

    /// Gives one more to the member at `place` among those that have reached the quota.
    fn give_extra(&mut self, place: usize, partition: &TopicPartition) {
        let member = self.at_quota.remove(place);
        self.kept.entry(member.id.clone()).or_default().push(partition.clone());
        self.extras_left -= 1;
    }

    /// Hands out `free` one by one in turn.
    fn deal(&mut self, free: &[&TopicPartition]) {
        let mut turn = 0;
        for partition in free {
            if !self.below.is_empty() {
                turn = self.give_below(if turn < self.below.len() { turn } else { 0 }, partition);
            } else if !self.at_quota.is_empty() && self.extras_left > 0 {
                self.give_extra(0, partition);
            }
        }
    }

    /// Hands out those of `free` that are near some member with room, those with the fewest near members first. What is
    /// left of `free` is near nobody who has room.
    fn deal_near(&mut self, free: &mut Vec<&TopicPartition>, racks: &Racks<'_>) {
        free.sort_by_key(|partition| racks.count_near(partition));
        let mut turn = 0;
        free.retain(|partition| {
            let near = |members: &[&Member], first: usize| {
                let mut places = (first..members.len()).chain(0..first.min(members.len()));
                places.find(|place| racks.is_near(members[*place], partition))
            };
            if let Some(place) = near(&self.below, turn) {
                turn = self.give_below(place, partition).checked_rem(self.below.len()).unwrap_or(0);
                return false;
            }
            let Some(place) = near(&self.at_quota, 0).filter(|_| self.extras_left > 0) else { return true };
            self.give_extra(place, partition);
            false
        });
    }
}

/// Members want different topics: free partitions go to the least loaded, then single moves even the loads out.
fn assign_by_load(
    members: &[&Member],
    mut kept: Assignment,
    (all, racks): (&[TopicPartition], Option<&Racks<'_>>),
) -> Assignment {
    let mut holders = holders_of(&kept);
    let mut free: Vec<&TopicPartition> = all.iter().filter(|one| !holders.contains_key(one)).collect();
    // Partitions with few takers first: the others can still even out what these force.
    free.sort_by_key(|one| members.iter().filter(|member| member.topics.contains(&one.topic)).count());
    for partition in free {
        if let Some(taker) = least_loaded(members, &kept, (partition, racks)) {
            kept.entry(taker.clone()).or_default().push(partition.clone());
            holders.insert(partition.clone(), taker);
        }
    }
    // Each move lowers the sum of the squares of the loads, so this ends.
    while let Some((partition, from, to)) = next_move(members, &kept, (&holders, racks)) {
        kept.entry(from).or_default().retain(|one| *one != partition);
        kept.entry(to.clone()).or_default().push(partition.clone());
        holders.insert(partition, to);
    }
    kept
}

/// Among equally loaded members, one that is near the partition.
fn least_loaded(
    members: &[&Member],
    kept: &Assignment,
    (partition, racks): (&TopicPartition, Option<&Racks<'_>>),
) -> Option<MemberId> {
    let takers = members.iter().filter(|member| member.topics.contains(&partition.topic));
    let is_near = |member: &Member| racks.is_some_and(|racks| racks.is_near(member, partition));
    takers.min_by_key(|member| (kept[&member.id].len(), !is_near(member))).map(|member| member.id.clone())
}

fn next_move(
    members: &[&Member],
    kept: &Assignment,
    (holders, racks): (&BTreeMap<TopicPartition, MemberId>, Option<&Racks<'_>>),
) -> Option<(TopicPartition, MemberId, MemberId)> {
    holders.iter().find_map(|(partition, from)| {
        let to = least_loaded(members, kept, (partition, racks))?;
        (kept[from].len() > kept[&to].len() + 1).then(|| (partition.clone(), from.clone(), to))
    })
}
