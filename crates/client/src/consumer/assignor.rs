//! Spreading the partitions of topics over the members of a classic group.
//!
//! Owns: the input and output of an assignment, the order of members, the choice of an assignor.
//! Does not own: the bytes in JoinGroup and SyncGroup (`group::protocol`), who is leader.
//!
//! Invariants
//! - I1 every partition of a topic that some member subscribes to is given to exactly one member
//!   (with the cooperative assignor: to at most one, the others follow in the next rebalance);
//! - I2 a member gets partitions of topics it subscribes to only;
//! - I3 the same input gives the same output, whatever the order of members.
//!
//! Source: KIP-54, KIP-429, KIP-881; outcomes recorded from Kafka 4.3.1 in `tests/data/assignors.tsv` and
//! `tests/data/assignors-racks.tsv`.

mod racks;
mod range;
mod round_robin;
mod sticky;

use std::collections::{BTreeMap, BTreeSet};

use ottla_model::{GenerationId, GroupInstanceId, MemberId, PartitionIndex, TopicName, TopicPartition};

use crate::config::AssignorKind;

/// What one member told the group about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The id that the coordinator gave it.
    pub id: MemberId,
    /// Its `group.instance.id`, for a static member.
    pub instance_id: Option<GroupInstanceId>,
    /// What it subscribes to.
    pub topics: BTreeSet<TopicName>,
    /// What it holds now, and since which generation it does.
    pub owned: Vec<TopicPartition>,
    /// The generation in which it got what it owns.
    pub generation: Option<GenerationId>,
    /// Where it runs (`client.rack`): partitions with a replica there are better for it than others.
    pub rack: Option<String>,
}

/// How many partitions each existing topic has.
pub type PartitionCounts = BTreeMap<TopicName, u32>;

/// The racks in which each partition of a topic has replicas, by partition number.
pub type PartitionRacks = BTreeMap<TopicName, Vec<BTreeSet<String>>>;

/// What there is to spread.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Topics {
    /// The partitions.
    pub counts: PartitionCounts,
    /// Where their replicas are; nothing in a cluster without racks.
    pub racks: PartitionRacks,
}

/// What each member gets, in the order in which it was given.
pub type Assignment = BTreeMap<MemberId, Vec<TopicPartition>>;

/// Spreads the partitions of `topics` over `members` as `kind` does it.
pub fn assign(kind: AssignorKind, members: &[Member], topics: &Topics) -> Assignment {
    let mut ordered: Vec<&Member> = members.iter().collect();
    ordered.sort_by(|a, b| order_of_members(a, b));
    match kind {
        AssignorKind::Range => range::assign(&ordered, topics),
        AssignorKind::RoundRobin => round_robin::assign(&ordered, &topics.counts),
        AssignorKind::Sticky => sticky::assign(&ordered, topics),
        AssignorKind::CooperativeSticky => sticky::assign_cooperatively(&ordered, topics),
    }
}

/// Static members come first, by instance id; the others follow by member id.
fn order_of_members(a: &Member, b: &Member) -> std::cmp::Ordering {
    match (&a.instance_id, &b.instance_id) {
        (Some(a), Some(b)) => a.cmp(b),
        (Some(_), None) => std::cmp::Ordering::Less,
        (None, Some(_)) => std::cmp::Ordering::Greater,
        (None, None) => a.id.cmp(&b.id),
    }
}

/// An assignment in which every member has nothing yet.
fn nothing_for(members: &[&Member]) -> Assignment {
    members.iter().map(|member| (member.id.clone(), Vec::new())).collect()
}

/// All partitions of the topics that some member subscribes to, by topic and number.
fn subscribed_partitions(members: &[&Member], counts: &PartitionCounts) -> Vec<TopicPartition> {
    let subscribed = |topic: &TopicName| members.iter().any(|member| member.topics.contains(topic));
    let topics = counts.iter().filter(|(topic, _)| subscribed(topic));
    topics.flat_map(|(topic, count)| partitions_of(topic, 0..*count)).collect()
}

fn partitions_of(topic: &TopicName, numbers: std::ops::Range<u32>) -> impl Iterator<Item = TopicPartition> {
    let indexes = numbers.filter_map(|number| PartitionIndex::new(i32::try_from(number).ok()?));
    indexes.map(|partition| TopicPartition::new(topic.clone(), partition))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(text: &str) -> TopicPartition {
        let (topic, number) = text.rsplit_once('-').unwrap();
        TopicPartition::new(
            TopicName::new(topic).unwrap(),
            PartitionIndex::new(number.parse().unwrap()).unwrap(),
        )
    }

    fn names(text: &str) -> impl Iterator<Item = &str> {
        text.split(',').filter(|name| !name.is_empty())
    }

    /// Reads `id[@instance]=topics[/owned[/generation]][%rack]`.
    pub(super) fn member(text: &str) -> Member {
        let (text, rack) = text.split_once('%').map_or((text, None), |(text, rack)| (text, Some(rack)));
        let (id, rest) = text.split_once('=').unwrap();
        let (id, instance) = id.split_once('@').map_or((id, None), |(id, instance)| (id, Some(instance)));
        let mut parts = rest.split('/');
        let topics = parts.next().unwrap();
        let owned = parts.next().unwrap_or_default();
        let generation = parts.next().map(|text| text.parse().unwrap());
        Member {
            id: MemberId::new(id),
            instance_id: instance.map(GroupInstanceId::new),
            topics: names(topics).map(|name| TopicName::new(name).unwrap()).collect(),
            owned: names(owned).map(partition).collect(),
            generation: generation.and_then(GenerationId::new),
            rack: rack.map(str::to_owned),
        }
    }

    /// Reads `topic:count,…`.
    fn counts(text: &str) -> Topics {
        let pairs = names(text).map(|pair| pair.split_once(':').unwrap());
        let counted = pairs.map(|(topic, count)| (TopicName::new(topic).unwrap(), count.parse().unwrap()));
        Topics { counts: counted.collect(), racks: PartitionRacks::new() }
    }

    /// Reads `topic:racks|racks|…,…`: for each partition the racks of its replicas, a letter each, `-` for none.
    fn racks(text: &str) -> Topics {
        let mut topics = Topics::default();
        for pair in names(text) {
            let (topic, partitions) = pair.split_once(':').unwrap();
            let racks = |text: &str| text.chars().filter(|rack| *rack != '-').map(String::from).collect();
            let racks: Vec<BTreeSet<String>> = partitions.split('|').map(racks).collect();
            let topic = TopicName::new(topic).unwrap();
            topics.counts.insert(topic.clone(), u32::try_from(racks.len()).unwrap());
            topics.racks.insert(topic, racks);
        }
        topics
    }

    fn print(assignment: &Assignment) -> String {
        let lists = assignment.iter().map(|(member, partitions)| {
            let names: Vec<String> = partitions.iter().map(ToString::to_string).collect();
            format!("{member}={}", names.join(","))
        });
        lists.collect::<Vec<_>>().join(" ")
    }

    /// KIP-54, KIP-429: the outcomes of Kafka's own assignors.
    #[test]
    fn partitions_are_spread_as_kafka_s_assignors_spread_them() {
        for line in include_str!("../../tests/data/assignors.tsv").lines().skip(1) {
            let fields: Vec<&str> = line.split('\t').collect();
            let [assignor, topics, members, expected] = fields[..] else { panic!("bad line {line}") };
            let kind = AssignorKind::parse(assignor).unwrap();
            let mut members: Vec<Member> = members.split(' ').map(member).collect();
            assert_eq!(print(&assign(kind, &members, &counts(topics))), expected, "{line}");
            members.reverse();
            assert_eq!(print(&assign(kind, &members, &counts(topics))), expected, "reversed: {line}");
        }
    }

    /// KIP-881: the outcomes of Kafka's own assignors. Of sticky members with different topics only the loads are the
    /// same: there, what moves where is a search in which Kafka's order is not ours.
    #[test]
    fn near_partitions_are_preferred_as_kafka_s_assignors_prefer_them() {
        for line in include_str!("../../tests/data/assignors-racks.tsv").lines().skip(1) {
            let fields: Vec<&str> = line.split('\t').collect();
            let [assignor, topics, members, expected] = fields[..] else { panic!("bad line {line}") };
            let kind = AssignorKind::parse(assignor).unwrap();
            let mut members: Vec<Member> = members.split(' ').map(member).collect();
            let same = members.iter().all(|member| member.topics == members[0].topics);
            if !same && matches!(kind, AssignorKind::Sticky | AssignorKind::CooperativeSticky) {
                check_complete(AssignorKind::Sticky, &members, &racks(topics));
                continue;
            }
            assert_eq!(print(&assign(kind, &members, &racks(topics))), expected, "{line}");
            members.reverse();
            assert_eq!(print(&assign(kind, &members, &racks(topics))), expected, "reversed: {line}");
        }
    }

    /// KIP-881
    #[test]
    fn sticky_members_with_different_topics_get_near_partitions_where_loads_are_even() {
        let topics = racks("a:x|y|x|y,b:x|y");
        let members = [member("m1=a%y"), member("m2=a%x"), member("m3=b%y")];
        let assignment = check_complete(AssignorKind::Sticky, &members, &topics);
        assert_eq!(print(&assignment), "m1=a-1,a-3 m2=a-0,a-2 m3=b-0,b-1");
    }

    fn check_complete(kind: AssignorKind, members: &[Member], topics: &Topics) -> Assignment {
        let assignment = assign(kind, members, topics);
        let mut given: Vec<TopicPartition> = assignment.values().flatten().cloned().collect();
        given.sort();
        let references: Vec<&Member> = members.iter().collect();
        assert_eq!(given, subscribed_partitions(&references, &topics.counts), "{kind:?} {members:?}");
        for member in members {
            assert!(assignment[&member.id].iter().all(|partition| member.topics.contains(&partition.topic)));
        }
        assignment
    }

    #[test]
    fn members_with_different_topics_together_get_every_partition_once() {
        let counts = counts("a:5,b:3,c:7");
        let texts = ["m1=a", "m2=a,b", "m3=c", "m4=a,b,c", "m5=b"];
        let members: Vec<Member> = texts.iter().map(|text| member(text)).collect();
        for kind in [AssignorKind::Range, AssignorKind::RoundRobin, AssignorKind::Sticky] {
            check_complete(kind, &members, &counts);
        }
    }

    #[test]
    fn a_sticky_member_keeps_what_balance_allows_when_topics_differ() {
        let counts = counts("a:4,b:2");
        let first = [member("m1=a"), member("m2=a,b")];
        let before = check_complete(AssignorKind::Sticky, &first, &counts);
        assert_eq!((before[&MemberId::new("m1")].len(), before[&MemberId::new("m2")].len()), (3, 3));
        let mut then = vec![member("m3=a,b")];
        for mut member in first {
            member.owned = before[&member.id].clone();
            member.generation = GenerationId::new(1);
            then.push(member);
        }
        let after = check_complete(AssignorKind::Sticky, &then, &counts);
        for member in &then {
            assert_eq!(after[&member.id].len(), 2);
            let kept = after[&member.id].iter().filter(|partition| member.owned.contains(partition)).count();
            assert_eq!(kept, member.owned.len().min(2));
        }
    }
}
