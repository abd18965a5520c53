//! Consumers in stories: members of the protocol in which the coordinator assigns.
//!
//! Owns: their steps and how their answers are printed. Does not own: any expectation.
//!
//! A consumer's name begins with `@` and is its id. `topics a=4 b=2` says what there is; partition 3 of topic `a` is
//! `a3`. Steps: `@x join a+b`, `@x/i join a`, `@x beat`, `@x leave`, `@x away`; each may have `epoch=`, `has=a0+a1`,
//! `names=`, `regex=`, `by=` (assignor), `rebalance=`, `rack=`. `@x beat has` tells what it was given last, `@x beat all`
//! says everything. An answer is the name, the epoch and, if it was told, what it is to have: `@x at 2 with a0 a1`.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use ottla_coordinator::group::{
    Beaten, ClusterView, ConsumerHeartbeat, ConsumerTimes, DescribedConsumerGroup, GroupCommand, IdPartition,
    NamedPartition, TopicShape, Topics, look_up,
};
use ottla_model::{
    GenerationId, GroupInstanceId, MemberId, Offset, PartitionIndex, TopicId, TopicName, Uuid,
};

use super::{Options, Story, split_member};

#[derive(Clone, Default)]
pub struct Consumer {
    epoch: i32,
    has: BTreeSet<IdPartition>,
    names: String,
}

/// The id of a topic is made of its name; a topic that came anew has a capital in front.
pub fn topic_id(name: &str) -> TopicId {
    let mut bytes = [7; 16];
    bytes.iter_mut().zip(name.bytes()).for_each(|(byte, letter)| *byte = letter);
    TopicId::new(Uuid::from_bytes(bytes)).unwrap()
}

fn id_partition(text: &str) -> IdPartition {
    let at = text.find(|letter: char| letter.is_ascii_digit()).unwrap();
    let partition = PartitionIndex::new(text[at..].parse().unwrap()).unwrap();
    IdPartition { topic: topic_id(&text[..at]), partition }
}

pub fn print_partition(partition: &IdPartition) -> String {
    let bytes = partition.topic.uuid().bytes();
    let name: String = bytes.iter().filter(|byte| **byte != 7).map(|byte| char::from(*byte)).collect();
    format!("{name}{}", partition.partition)
}

fn set(text: &str) -> BTreeSet<IdPartition> {
    text.split('+').filter(|one| !one.is_empty()).map(id_partition).collect()
}

fn names(text: &str) -> BTreeSet<String> {
    text.split('+').filter(|one| !one.is_empty()).map(str::to_owned).collect()
}

/// The topics with some more, fewer or larger ones: `a=4`, `b=0` is gone.
pub fn grown(topics: &Topics, changes: &[(&str, usize)], as_of: i64) -> Topics {
    let mut grown = topics.clone();
    grown.as_of = Offset::new(as_of);
    for (name, count) in changes {
        if grown.by_name(name).is_none() {
            grown.grown_at = grown.as_of;
        }
        grown.remove(name);
        if *count > 0 {
            let (id, name) = (topic_id(name), TopicName::new(name).unwrap());
            grown.put(Arc::new(TopicShape::new(id, name, vec![Vec::new(); *count])));
        }
    }
    grown
}

impl Story {
    pub(super) fn topics(&mut self, words: &[&str]) -> GroupCommand {
        let changes: Vec<(&str, usize)> = words
            .iter()
            .filter_map(|word| word.split_once('='))
            .map(|(name, count)| (name, count.parse().unwrap()))
            .collect();
        let view = &self.world.view;
        let as_of = view.topics.as_of.map_or(0, Offset::value) + 1;
        let topics = Arc::new(grown(&view.topics, &changes, as_of));
        self.world.view = Arc::new(ClusterView { topics, settings: view.settings.clone() });
        GroupCommand::View(self.world.view.clone())
    }

    /// Least time between two assignments of any group, from now on.
    pub fn assign_every(&mut self, interval: Duration) {
        let mut view = ClusterView::clone(&self.world.view);
        let mut settings = (*view.settings).clone();
        settings.common = ConsumerTimes { assignment_interval: interval, ..settings.common };
        view.settings = Arc::new(settings);
        self.world.change_view(view);
        self.world.pump();
    }

    pub(super) fn consumer(&mut self, who: &str, verb: &str, rest: &[&str]) -> GroupCommand {
        let options = Options::of(rest);
        let (name, instance) = split_member(who);
        let known = self.consumers.get(name).cloned().unwrap_or_default();
        let text = |key: &str| options.0.get(key).map(|text| (*text).to_owned());
        let joins = verb == "join";
        let is_full = joins || rest.contains(&"all");
        let topics = rest.first().filter(|word| joins && !word.contains('=')).map(|word| names(word));
        let epoch = match verb {
            "join" => 0,
            "leave" => -1,
            "away" => -2,
            _ => known.epoch,
        };
        let has = match text("has") {
            Some(text) => Some(set(&text)),
            None if joins => Some(BTreeSet::new()),
            None => (is_full || rest.contains(&"has")).then(|| known.has.clone()),
        };
        let said = text("names").map(|text| names(&text)).or(topics);
        if let Some(said) = &said {
            let names: Vec<String> = said.iter().cloned().collect();
            self.consumers.entry(name.to_owned()).or_default().names = names.join("+");
        }
        let repeated = (is_full && !joins).then(|| names(&known.names));
        let member = text("id").unwrap_or_else(|| name.to_owned());
        GroupCommand::ConsumerHeartbeat(Box::new(ConsumerHeartbeat {
            group: self.group.clone(),
            member: MemberId::new(if rest.contains(&"nameless") { "" } else { &member }),
            epoch: text("epoch").map_or(epoch, |text| text.parse().unwrap()),
            instance: instance.or_else(|| text("instance").map(|text| GroupInstanceId::new(&text))),
            rack: text("rack"),
            rebalance_timeout: (is_full && !rest.contains(&"hasty"))
                .then(|| options.millis("rebalance", 30_000)),
            names: said.or(repeated),
            regex: text("regex"),
            assignor: text("by"),
            owned: has.filter(|_| !rest.contains(&"silent")),
            client_id: Arc::from(name),
            client_host: Arc::from("/127.0.0.1"),
            names_itself: !rest.contains(&"old"),
            random: Uuid::version_4([9; 16]),
        }))
    }

    pub(super) fn found(&mut self) -> GroupCommand {
        let wanted = self.look_ups.remove(0);
        let hidden = |name: &str| name.starts_with("hidden");
        let now = self.world.now().wall;
        GroupCommand::TakeFound(look_up(&wanted, &self.world.view.topics, now, |name| !hidden(name)))
    }

    pub(super) fn epoch(&self, name: &str) -> Option<GenerationId> {
        GenerationId::new(self.consumers.get(name)?.epoch)
    }

    pub(super) fn beaten(&mut self, name: &str, beaten: Beaten) -> String {
        let consumer = self.consumers.entry(name.to_owned()).or_default();
        consumer.epoch = beaten.epoch;
        let mut said = match beaten.epoch {
            -1 => format!("{name} left"),
            -2 => format!("{name} is away"),
            epoch => format!("{name} at {epoch}"),
        };
        if beaten.member.as_str() != name {
            said += &format!(" as {}", beaten.member);
        }
        if let Some(assignment) = beaten.assignment {
            let each: Vec<String> = assignment.iter().map(print_partition).collect();
            said += if each.is_empty() { " with nothing" } else { " with " };
            said += &each.join(" ");
            consumer.has = assignment;
        }
        if let Some(look_up) = beaten.look_up {
            let patterns: Vec<&str> = look_up.patterns.iter().map(|pattern| &**pattern).collect();
            said += &format!(" looks up {}", patterns.join(" "));
            self.look_ups.push(look_up);
        }
        said
    }

    pub(super) fn consumers_described(&self, group: &DescribedConsumerGroup) -> String {
        let print = |partitions: &[NamedPartition]| {
            let one = |one: &NamedPartition| format!("{}{}", one.topic, one.id.partition);
            partitions.iter().map(one).collect::<Vec<_>>().join(" ")
        };
        let members = group.members.iter().map(|member| {
            let classic = if member.is_classic { "classic " } else { "" };
            let name = self.name_of(&member.member).trim_matches('"').to_owned();
            let (has, target) = (print(&member.assignment), print(&member.target));
            format!(" {classic}{name} at {} has {has} to have {target};", member.epoch.value())
        });
        let (epoch, target) = (group.epoch.value(), group.assignment_epoch.value());
        format!("{} {epoch}/{target} {}:{}", group.state, group.assignor.name(), members.collect::<String>())
    }
}
