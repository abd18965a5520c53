//! The sticky assignors: as even as possible, and moving as few partitions as possible.
//!
//! Owns: both rules, and the cooperative delay of moved partitions.
//! Does not own: the order of members (`assignor`).
//!
//! Invariants
//! - I1 what a member keeps it owned in the highest generation that claims the partition, alone;
//! - I2 with equal subscriptions, loads differ by at most one.

use std::collections::{BTreeMap, BTreeSet};

use ottla_model::{MemberId, TopicPartition};

use super::{Assignment, Member, PartitionCounts, nothing_for, subscribed_partitions};

/// Eager: a partition may go from one member to another at once, since all have given up theirs.
pub(super) fn assign(members: &[&Member], counts: &PartitionCounts) -> Assignment {
    let all = subscribed_partitions(members, counts);
    let kept = rightful_claims(members, &all);
    let same = members.windows(2).all(|pair| pair[0].topics == pair[1].topics);
    if same { assign_evenly(members, kept, &all) } else { assign_by_load(members, kept, &all) }
}

/// Cooperative: a partition that some other member still holds is left out; that member gives it up, and the
/// rebalance that follows hands it over (KIP-429).
pub(super) fn assign_cooperatively(members: &[&Member], counts: &PartitionCounts) -> Assignment {
    let claims = claims_of(members);
    let mut assignment = assign(members, counts);
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

/// What each member may keep: partitions that exist, that it still subscribes to, and that nobody claims since
/// the same or a later generation.
fn rightful_claims(members: &[&Member], all: &[TopicPartition]) -> Assignment {
    let claims = claims_of(members);
    let mut kept = nothing_for(members);
    for member in members {
        let rightful = member.owned.iter().filter(|partition| {
            let rival = |other: &&Member| other.id != member.id && other.generation >= member.generation;
            member.topics.contains(&partition.topic)
                && all.binary_search(partition).is_ok()
                && !claims.get(partition).is_some_and(|claimants| claimants.iter().any(rival))
        });
        kept.entry(member.id.clone()).or_default().extend(rightful.cloned());
    }
    kept
}

/// All members want the same topics: everyone gets the lower quota, some get one more.
fn assign_evenly(members: &[&Member], mut kept: Assignment, all: &[TopicPartition]) -> Assignment {
    let quota_min = all.len() / members.len().max(1);
    let mut extras_left = all.len() % members.len().max(1);
    for member in members {
        let owned = kept.entry(member.id.clone()).or_default();
        if owned.len() > quota_min && extras_left > 0 {
            owned.truncate(quota_min + 1);
            extras_left -= 1;
        } else {
            owned.truncate(quota_min);
        }
    }
    let taken: BTreeSet<TopicPartition> = kept.values().flatten().cloned().collect();
    let mut free = all.iter().filter(|partition| !taken.contains(partition));
    deal(members, &mut kept, &mut free, |load| load < quota_min);
    deal(members, &mut kept, &mut free, |load| load == quota_min);
    kept
}

/// Hands out `free` one by one in turn to the members whose load still `wants` more.
fn deal<'a>(
    members: &[&Member],
    kept: &mut Assignment,
    free: &mut impl Iterator<Item = &'a TopicPartition>,
    wants: impl Fn(usize) -> bool,
) {
    loop {
        let mut given = 0;
        for member in members {
            let owned = kept.entry(member.id.clone()).or_default();
            if !wants(owned.len()) {
                continue;
            }
            let Some(partition) = free.next() else { return };
            owned.push(partition.clone());
            given += 1;
        }
        if given == 0 {
            return;
        }
    }
}

/// Members want different topics: free partitions go to the least loaded, then single moves even the loads out.
fn assign_by_load(members: &[&Member], mut kept: Assignment, all: &[TopicPartition]) -> Assignment {
    let mut holders = holders_of(&kept);
    let mut free: Vec<&TopicPartition> = all.iter().filter(|one| !holders.contains_key(one)).collect();
    // Partitions with few takers first: the others can still even out what these force.
    free.sort_by_key(|one| members.iter().filter(|member| member.topics.contains(&one.topic)).count());
    for partition in free {
        if let Some(taker) = least_loaded(members, &kept, partition) {
            kept.entry(taker.clone()).or_default().push(partition.clone());
            holders.insert(partition.clone(), taker);
        }
    }
    // Each move lowers the sum of the squares of the loads, so this ends.
    while let Some((partition, from, to)) = next_move(members, &kept, &holders) {
        kept.entry(from).or_default().retain(|one| *one != partition);
        kept.entry(to.clone()).or_default().push(partition.clone());
        holders.insert(partition, to);
    }
    kept
}

fn least_loaded(members: &[&Member], kept: &Assignment, partition: &TopicPartition) -> Option<MemberId> {
    let takers = members.iter().filter(|member| member.topics.contains(&partition.topic));
    takers.min_by_key(|member| kept[&member.id].len()).map(|member| member.id.clone())
}

fn next_move(
    members: &[&Member],
    kept: &Assignment,
    holders: &BTreeMap<TopicPartition, MemberId>,
) -> Option<(TopicPartition, MemberId, MemberId)> {
    holders.iter().find_map(|(partition, from)| {
        let to = least_loaded(members, kept, partition)?;
        (kept[from].len() > kept[&to].len() + 1).then(|| (partition.clone(), from.clone(), to))
    })
}
