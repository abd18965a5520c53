//! Who is to get which partition.
//!
//! Owns: the assignors `uniform` (sticky, even) and `range` (side by side). Does not own: groups whose members subscribe
//! to different topics under `uniform` (`balance`), when an assignment is made (`heartbeat`).
//!
//! Invariants, whatever the assignor
//! - A1 every partition of a subscribed topic is given to exactly one member;
//! - A2 nobody gets a topic it does not subscribe to.
//!
//! Source: requirement CGP-08; KIP-848, "Server side assignors".

use std::collections::{BTreeMap, BTreeSet};

use ottla_model::{GroupInstanceId, MemberId, PartitionIndex, TopicId};

use super::balance;
use super::record::IdPartition;

/// A way to assign, as members and operators name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Assignor {
    Uniform,
    Range,
}

impl Assignor {
    pub const ALL: [Assignor; 2] = [Assignor::Uniform, Assignor::Range];

    pub fn name(self) -> &'static str {
        match self {
            Assignor::Uniform => "uniform",
            Assignor::Range => "range",
        }
    }

    pub fn named(name: &str) -> Option<Assignor> {
        Assignor::ALL.into_iter().find(|assignor| assignor.name() == name)
    }
}

/// A member that takes part.
pub(super) struct Candidate<'a> {
    pub id: &'a MemberId,
    pub instance: Option<&'a GroupInstanceId>,
    /// Topics that exist.
    pub topics: BTreeSet<TopicId>,
    /// Its target until now.
    pub before: Option<&'a BTreeSet<IdPartition>>,
}

/// The partitions of the topics that candidates subscribe to.
pub(super) type Partitions = BTreeMap<TopicId, BTreeSet<PartitionIndex>>;

/// What each member is to get; nobody is left out.
pub(super) type Targets = BTreeMap<MemberId, BTreeSet<IdPartition>>;

/// Makes the assignment.
pub(super) fn assign(assignor: Assignor, candidates: &[Candidate<'_>], partitions: &Partitions) -> Targets {
    let same = candidates.windows(2).all(|pair| pair[0].topics == pair[1].topics);
    match assignor {
        Assignor::Range => range(candidates, partitions),
        Assignor::Uniform if same => uniform(candidates, partitions),
        Assignor::Uniform => balance::uniform(candidates, partitions),
    }
}

/// What the candidates may keep of what they had: partitions that there are, of topics they subscribe to, one owner each.
pub(super) fn kept(candidates: &[Candidate<'_>], partitions: &Partitions) -> Targets {
    let mut taken = BTreeSet::new();
    let mut kept = Targets::new();
    for candidate in candidates {
        let exists = |partition: &&IdPartition| {
            let there = partitions.get(&partition.topic);
            candidate.topics.contains(&partition.topic)
                && there.is_some_and(|there| there.contains(&partition.partition))
        };
        let before = candidate.before.into_iter().flatten().filter(exists).copied();
        let mine = before.filter(|partition| taken.insert(*partition)).collect();
        kept.insert(candidate.id.clone(), mine);
    }
    kept
}

/// All partitions of all topics that nobody has yet.
pub(super) fn unassigned(targets: &Targets, partitions: &Partitions) -> Vec<IdPartition> {
    let taken: BTreeSet<&IdPartition> = targets.values().flatten().collect();
    let all = partitions.iter().flat_map(|(topic, indexes)| {
        indexes.iter().map(|partition| IdPartition { topic: *topic, partition: *partition })
    });
    all.filter(|partition| !taken.contains(partition)).collect()
}

/// All subscribe to the same: nobody gets more than one partition more than another, and as few as possible move.
fn uniform(candidates: &[Candidate<'_>], partitions: &Partitions) -> Targets {
    let mut targets = kept(candidates, partitions);
    if targets.is_empty() {
        return targets;
    }
    let total: usize = partitions.values().map(BTreeSet::len).sum();
    let (least, mut extras) = (total / targets.len(), total % targets.len());
    // The extra partitions stay with those who have them.
    for target in targets.values_mut() {
        let quota = if target.len() > least && extras > 0 {
            extras -= 1;
            least + 1
        } else {
            least
        };
        while target.len() > quota {
            target.pop_last();
        }
    }
    let mut free = unassigned(&targets, partitions).into_iter();
    for target in targets.values_mut() {
        let extra = usize::from(target.len() <= least && extras > 0);
        extras -= extra;
        let missing = (least + extra).saturating_sub(target.len());
        target.extend(free.by_ref().take(missing));
    }
    targets
}

/// Each topic is cut into ranges, given out in one order, so that partitions of the same number meet at one member.
/// Static members come first, by their instance: they get the same range again.
fn range(candidates: &[Candidate<'_>], partitions: &Partitions) -> Targets {
    let mut order: Vec<&Candidate<'_>> = candidates.iter().collect();
    order.sort_by_key(|candidate| (candidate.instance.is_none(), candidate.instance, candidate.id));
    let mut targets: Targets = order.iter().map(|one| (one.id.clone(), BTreeSet::new())).collect();
    for (topic, indexes) in partitions {
        let takers: Vec<&MemberId> =
            order.iter().filter(|one| one.topics.contains(topic)).map(|one| one.id).collect();
        if takers.is_empty() {
            continue;
        }
        let (least, extras) = (indexes.len() / takers.len(), indexes.len() % takers.len());
        let mut indexes = indexes.iter();
        for (at, taker) in takers.into_iter().enumerate() {
            let mine = indexes.by_ref().take(least + usize::from(at < extras));
            let mine = mine.map(|partition| IdPartition { topic: *topic, partition: *partition });
            targets.entry(taker.clone()).or_default().extend(mine);
        }
    }
    targets
}

#[cfg(test)]
mod tests {
    use ottla_model::Uuid;

    use super::*;

    fn topic(name: char) -> TopicId {
        TopicId::new(Uuid::from_bytes([u8::try_from(name).unwrap(); 16])).unwrap()
    }

    fn parse(text: &str) -> BTreeSet<IdPartition> {
        let one = |word: &str| {
            let name = word.chars().next().unwrap();
            let partition = PartitionIndex::new(word[1..].parse().unwrap()).unwrap();
            IdPartition { topic: topic(name), partition }
        };
        text.split_whitespace().map(one).collect()
    }

    fn print(target: &BTreeSet<IdPartition>) -> String {
        let one = |partition: &IdPartition| {
            format!("{}{}", char::from(partition.topic.uuid().bytes()[0]), partition.partition)
        };
        target.iter().map(one).collect::<Vec<_>>().join(" ")
    }

    /// Topics as `a4 b2`, members as `name[/instance] topics: what it had`, one a line.
    fn check(assignor: Assignor, topics: &str, members: &str, expected: &str) {
        let partitions: Partitions = topics
            .split_whitespace()
            .map(|word| {
                let count: i32 = word[1..].parse().unwrap();
                let indexes = (0..count).filter_map(PartitionIndex::new).collect();
                (topic(word.chars().next().unwrap()), indexes)
            })
            .collect();
        struct Line {
            id: MemberId,
            instance: Option<GroupInstanceId>,
            topics: BTreeSet<TopicId>,
            before: BTreeSet<IdPartition>,
        }
        let lines: Vec<Line> = members
            .split('|')
            .map(|line| {
                let (head, before) = line.split_once(':').unwrap();
                let (name, topics) = head.trim().split_once(' ').unwrap_or((head.trim(), ""));
                let (id, instance) = name.split_once('/').map_or((name, None), |(id, i)| (id, Some(i)));
                Line {
                    id: MemberId::new(id),
                    instance: instance.map(GroupInstanceId::new),
                    topics: topics.chars().map(topic).collect(),
                    before: parse(before),
                }
            })
            .collect();
        let candidates: Vec<Candidate<'_>> = lines
            .iter()
            .map(|line| Candidate {
                id: &line.id,
                instance: line.instance.as_ref(),
                topics: line.topics.clone(),
                before: Some(&line.before),
            })
            .collect();
        let targets = assign(assignor, &candidates, &partitions);
        let printed = targets.iter().map(|(id, target)| format!("{id}: {}", print(target)));
        assert_eq!(printed.collect::<Vec<_>>().join(" | "), expected);
    }

    /// CGP-08
    #[test]
    fn uniform_is_even_and_moves_as_little_as_possible() {
        let check = |topics, members, expected| check(Assignor::Uniform, topics, members, expected);
        check("a4", "x a: | y a:", "x: a0 a1 | y: a2 a3");
        check("a3", "x a: | y a:", "x: a0 a1 | y: a2");
        // Whoever has the extra partition keeps it.
        check("a5", "x a: a0 a1 | y a: a2 a3 a4", "x: a0 a1 | y: a2 a3 a4");
        // A newcomer takes from both.
        check("a6", "x a: a0 a1 a2 | y a: a3 a4 a5 | z a:", "x: a0 a1 | y: a3 a4 | z: a2 a5");
        // More members than partitions.
        check("a1", "x a: | y a: a0 | z a:", "x:  | y: a0 | z: ");
        // The topic grew, another is gone, one partition had two owners.
        check("a4", "x a: a0 b0 | y a: a0 a1", "x: a0 a2 | y: a1 a3");
        check("", "x : a0", "x: ");
    }

    /// CGP-08
    #[test]
    fn range_puts_partitions_of_one_number_together() {
        let check = |topics, members, expected| check(Assignor::Range, topics, members, expected);
        check("a3 b3", "x ab: | y ab:", "x: a0 a1 b0 b1 | y: a2 b2");
        check("a2 b2", "x ab: | y ab: | z ab:", "x: a0 b0 | y: a1 b1 | z: ");
        // Topics of only some members.
        check("a2 b2", "x ab: | y b:", "x: a0 a1 b0 | y: b1");
        // Static members first, by instance, whatever their ids are now.
        check("a2", "x a: | y/i a:", "x: a1 | y: a0");
        check("a2", "z/1 a: | y/2 a:", "y: a1 | z: a0");
    }

    /// CGP-08
    #[test]
    fn uniform_is_as_even_as_subscriptions_allow() {
        let check = |topics, members, expected| check(Assignor::Uniform, topics, members, expected);
        check("a4 b1", "x a: | y ab:", "x: a0 a1 a3 | y: a2 b0");
        // What they have stays when it is even enough.
        check("a2 b2", "x ab: a0 b0 | y b: b1 | z a: a1", "x: a0 b0 | y: b1 | z: a1");
        // y cannot take from x directly, but through z.
        check("a3 b1", "x a: a0 a1 a2 | y b: | z ab: b0", "x: a0 a1 | y: b0 | z: a2");
        check("a2 b2", "x a: | y b:", "x: a0 a1 | y: b0 b1");
        check("a1", "x a: | y : a0", "x: a0 | y: ");
    }
}
