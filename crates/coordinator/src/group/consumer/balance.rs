//! The assignor `uniform` for members that subscribe to different topics.
//!
//! Owns: the balancing. Does not own: what may be kept (`assign`).
//!
//! Free partitions go to the member with the fewest among those who may have them. Then partitions move along chains of
//! members: from one to another that subscribes to the topic, from there on to a third, as long as the first has at
//! least two more than the last. Each chain makes the loads more even, so there is an end.
//!
//! Source: requirement CGP-08; KIP-848, "Uniform".

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use ottla_model::{MemberId, TopicId};

use super::assign::{Candidate, Partitions, Targets, kept, unassigned};
use super::record::IdPartition;

/// Every partition to one who may have it, as evenly as subscriptions allow, with few moves.
pub(super) fn uniform(candidates: &[Candidate<'_>], partitions: &Partitions) -> Targets {
    let mut takers: BTreeMap<TopicId, Vec<&MemberId>> = BTreeMap::new();
    for candidate in candidates {
        for topic in &candidate.topics {
            takers.entry(*topic).or_default().push(candidate.id);
        }
    }
    let mut board = Board { targets: kept(candidates, partitions), takers };
    board.give_out(unassigned(&board.targets, partitions));
    while board.even_out() {}
    board.targets
}

struct Board<'a> {
    targets: Targets,
    /// Who may have a topic.
    takers: BTreeMap<TopicId, Vec<&'a MemberId>>,
}

/// How a partition comes to a member on a chain: from whom, and of which topic.
struct Link<'a> {
    from: &'a MemberId,
    topic: TopicId,
}

/// A way for partitions from a member to one with at least two less.
struct Chain<'a> {
    /// What the first one has.
    load: usize,
    last: &'a MemberId,
    links: BTreeMap<&'a MemberId, Link<'a>>,
}

impl Chain<'_> {
    /// Partitions that move.
    fn length(&self) -> usize {
        std::iter::successors(self.links.get(self.last), |link| self.links.get(link.from)).count()
    }
}

impl<'a> Board<'a> {
    fn load(&self, member: &MemberId) -> usize {
        self.targets.get(member).map_or(0, BTreeSet::len)
    }

    /// Topics with the fewest takers first: the others have more choice.
    fn give_out(&mut self, mut free: Vec<IdPartition>) {
        free.sort_by_key(|partition| (self.takers.get(&partition.topic).map_or(0, Vec::len), *partition));
        for partition in free {
            let takers = self.takers.get(&partition.topic).into_iter().flatten();
            if let Some(least) = takers.min_by_key(|member| self.load(member)).copied() {
                self.targets.entry(least.clone()).or_default().insert(partition);
            }
        }
    }

    /// Moves partitions along one chain. `false`: there is none.
    fn even_out(&mut self) -> bool {
        let mut members: Vec<&'a MemberId> = self.takers.values().flatten().copied().collect();
        members.sort_by_key(|member| (std::cmp::Reverse(self.load(member)), *member));
        members.dedup();
        let Some(fewest) = members.last().map(|member| self.load(member)) else { return false };
        let mut best: Option<Chain<'a>> = None;
        for giver in members {
            let load = self.load(giver);
            let is_less = best.as_ref().is_some_and(|best| load < best.load);
            if is_less || load < fewest + 2 {
                break;
            }
            if let Some(chain) = self.chain(giver)
                && best.as_ref().is_none_or(|best| chain.length() < best.length())
            {
                best = Some(chain);
            }
        }
        let Some(chain) = best else { return false };
        self.shift(&chain);
        true
    }

    /// The shortest chain from `giver` to a member that has at least two partitions less.
    fn chain(&self, giver: &'a MemberId) -> Option<Chain<'a>> {
        let load = self.load(giver);
        let mut links: BTreeMap<&MemberId, Link<'_>> = BTreeMap::new();
        let mut seen_topics = BTreeSet::new();
        let mut queue = VecDeque::from([giver]);
        while let Some(from) = queue.pop_front() {
            let topics: BTreeSet<TopicId> =
                self.targets.get(from).into_iter().flatten().map(|partition| partition.topic).collect();
            for topic in topics {
                if !seen_topics.insert(topic) {
                    continue;
                }
                for to in self.takers.get(&topic).into_iter().flatten().copied() {
                    if to == giver || links.contains_key(to) {
                        continue;
                    }
                    links.insert(to, Link { from, topic });
                    if self.load(to) + 2 <= load {
                        return Some(Chain { load, last: to, links });
                    }
                    queue.push_back(to);
                }
            }
        }
        None
    }

    fn shift(&mut self, chain: &Chain<'a>) {
        let mut to = chain.last;
        while let Some(link) = chain.links.get(to) {
            let of_topic = |partition: &&IdPartition| partition.topic == link.topic;
            let moved = self.targets.get(link.from).and_then(|target| target.iter().rfind(of_topic).copied());
            let Some(moved) = moved else { return };
            if let Some(from) = self.targets.get_mut(link.from) {
                from.remove(&moved);
            }
            self.targets.entry(to.clone()).or_default().insert(moved);
            to = link.from;
        }
    }
}
