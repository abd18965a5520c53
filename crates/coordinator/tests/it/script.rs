//! The language of the stories: what happened, one step after another, and what the coordinator answered.
//!
//! Owns: parsing of steps, printing of answers. Does not own: any expectation.
//!
//! Steps are divided by `|`, times are milliseconds. A member is called by a short name that stands for whatever id
//! it was given; `NAME/INSTANCE` is a static member. The group is `g` until `in OTHER`. Records are appended and
//! committed at once until `hold`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ottla_coordinator::GroupConfig;
use ottla_coordinator::group::{
    CommitOffsets, CommitPartition, CommitTopic, CommittedPosition, DeleteOffsets, FetchAs, FetchOffsets,
    GroupCommand, GroupFilter, Heartbeat, JoinGroup, LeaveGroup, LeavingMember, LookUp, PartitionsOfTopic,
    Protocol, SyncGroup, Wanted,
};
use ottla_coordinator::runtime::{Author, RequestId, TransactionOutcome, Unavailable};
use ottla_model::{
    GenerationId, GroupId, GroupInstanceId, LeaderEpoch, MemberId, PartitionIndex, ProducerEpoch, ProducerId,
    ProtocolName, ProtocolType, TopicName, Uuid, Verification,
};

use crate::world::World;

#[path = "script_answers.rs"]
mod answers;
#[path = "script_consumers.rs"]
pub mod consumers;

/// Plays `steps` on a coordinator without initial delay and compares what it answered.
#[track_caller]
pub fn check(steps: &str, expected: &str) {
    let config = GroupConfig { initial_rebalance_delay: Duration::ZERO, ..GroupConfig::default() };
    check_with(config, steps, expected);
}

#[track_caller]
pub fn check_with(config: GroupConfig, steps: &str, expected: &str) {
    let story = play(config, steps);
    assert_eq!(story.said.join(", "), expected, "after: {steps}");
}

pub fn play(config: GroupConfig, steps: &str) -> Story {
    let mut story = Story::new(config);
    for step in steps.split('|') {
        let words: Vec<&str> = step.split_whitespace().collect();
        if !words.is_empty() {
            story.step(&words);
        }
    }
    story
}

pub struct Story {
    pub world: World,
    group: GroupId,
    /// Names of members, the ids they were given last, and the generation they were told.
    ids: BTreeMap<String, MemberId>,
    generations: BTreeMap<String, GenerationId>,
    asked: BTreeMap<RequestId, String>,
    /// Members of consumer groups, by name.
    consumers: BTreeMap<String, consumers::Consumer>,
    look_ups: Vec<LookUp>,
    ids_made: u8,
    pub said: Vec<String>,
    muted: bool,
}

/// `key=value` words of a step.
struct Options<'a>(BTreeMap<&'a str, &'a str>);

impl<'a> Options<'a> {
    fn of(words: &[&'a str]) -> Options<'a> {
        Options(words.iter().filter_map(|word| word.split_once('=')).collect())
    }

    fn millis(&self, key: &str, default: u64) -> Duration {
        Duration::from_millis(self.0.get(key).map_or(default, |text| text.parse().unwrap()))
    }
}

fn split_member(text: &str) -> (&str, Option<GroupInstanceId>) {
    match text.split_once('/') {
        Some((name, instance)) => (name, Some(GroupInstanceId::new(instance))),
        None => (text, None),
    }
}

fn partition(text: &str) -> (TopicName, PartitionIndex) {
    let (topic, partition) = text.rsplit_once('-').unwrap();
    (TopicName::new(topic).unwrap(), PartitionIndex::new(partition.parse().unwrap()).unwrap())
}

fn partitions(words: &[&str]) -> Vec<PartitionsOfTopic> {
    let mut topics: Vec<PartitionsOfTopic> = Vec::new();
    for word in words {
        let (topic, partition) = partition(word);
        match topics.iter_mut().find(|known| known.topic == topic) {
            Some(known) => known.partitions.push(partition),
            None => topics.push(PartitionsOfTopic { topic, topic_id: None, partitions: vec![partition] }),
        }
    }
    topics
}

/// A consumer's subscription to topics `a+b`, or the plain bytes of a word that begins with `=`.
fn subscription(topics: &str) -> Bytes {
    if let Some(plain) = topics.strip_prefix('~') {
        return Bytes::copy_from_slice(plain.as_bytes());
    }
    let names: Vec<&str> = topics.split('+').filter(|name| !name.is_empty()).collect();
    let mut bytes = vec![0, 0, 0, 0, 0, u8::try_from(names.len()).unwrap()];
    for name in names {
        bytes.extend([0, u8::try_from(name.len()).unwrap()]);
        bytes.extend(name.bytes());
    }
    bytes.extend([0xff; 4]);
    Bytes::from(bytes)
}

impl Story {
    fn new(config: GroupConfig) -> Story {
        Story {
            world: World::new(config),
            group: GroupId::new("g"),
            ids: BTreeMap::new(),
            generations: BTreeMap::new(),
            asked: BTreeMap::new(),
            consumers: BTreeMap::new(),
            look_ups: Vec::new(),
            ids_made: 0,
            said: Vec::new(),
            muted: false,
        }
    }

    /// One step, then everything that follows from it by itself.
    pub fn step(&mut self, words: &[&str]) {
        match words {
            ["in", group] => self.group = GroupId::new(group),
            ["at", time] => {
                let replies = self.world.wait_until(Duration::from_millis(time.parse().unwrap()));
                self.hear(replies);
            }
            ["hold"] => self.world.commits = false,
            ["release"] => self.world.commits = true,
            ["fail", why] => self.world.failure = Some(unavailable(why)),
            ["marker", producer, outcome] => self.world.mark(author(producer).producer, outcome_of(outcome)),
            ["unload"] => self.world.runtime.on_unloaded(Unavailable::NotCoordinator),
            ["restart"] => self.world.restart(self.world.log.len()),
            ["lose"] => self.world.restart(self.world.committed),
            ["nameless", words @ ..] => {
                let group = std::mem::replace(&mut self.group, GroupId::new(""));
                self.command(words);
                self.group = group;
            }
            // What was `b` up to now is called otherwise; a new `b` may come.
            ["rename", from, to] => {
                let id = self.ids.remove(*from).unwrap();
                self.ids.insert((*to).to_owned(), id);
            }
            // The operator allows fewer members, from the next restart on.
            ["shrink", members] => self.world.config.members_max = members.parse().unwrap(),
            // What came before is how the story begins, not what it is about.
            ["then"] => self.said.clear(),
            ["silently", words @ ..] => {
                self.muted = true;
                self.step(words);
                self.muted = false;
            }
            ["log"] => self.say(format!("{} records", self.world.log.len())),
            ["counts"] => self.say(format!("{:?}", self.world.runtime.shard().counts())),
            ["waiting"] => self.say(format!("{} wait", self.world.open.len())),
            words => self.command(words),
        }
        let replies = self.world.pump();
        self.hear(replies);
    }

    /// A request that arrives before anything else happens.
    pub fn queue(&mut self, step: &str) {
        let words: Vec<&str> = step.split_whitespace().collect();
        self.command(&words);
    }

    fn command(&mut self, words: &[&str]) {
        let group = self.group.clone();
        let (label, command) = match words {
            ["join", member, rest @ ..] => (*member, self.join(member, rest)),
            ["sync", member, rest @ ..] => (*member, self.sync(member, rest)),
            ["beat", member, rest @ ..] => (*member, self.beat(member, rest)),
            ["leave", members @ ..] => ("leave", self.leave(members)),
            ["commit", member, rest @ ..] => (*member, self.commit(member, rest)),
            ["fetch", "all"] => ("fetch", self.fetch(Wanted::All, false)),
            ["fetch", "stable", rest @ ..] => ("fetch", self.fetch(Wanted::Named(partitions(rest)), true)),
            ["fetch", rest @ ..] => ("fetch", self.fetch(Wanted::Named(partitions(rest)), false)),
            ["drop", "group"] => ("drop", GroupCommand::DeleteGroup(group)),
            ["drop", rest @ ..] => {
                ("drop", GroupCommand::DeleteOffsets(DeleteOffsets { group, topics: partitions(rest) }))
            }
            ["forget", rest @ ..] => ("forget", GroupCommand::ForgetPartitions(partitions(rest))),
            ["describe"] => ("describe", GroupCommand::Describe(group)),
            ["list", rest @ ..] => ("list", GroupCommand::List(filter(rest))),
            ["consumers"] => ("consumers", GroupCommand::DescribeConsumers(group)),
            [consumer, verb, rest @ ..] if consumer.starts_with('@') => {
                (*consumer, self.consumer(consumer, verb, rest))
            }
            ["topics", rest @ ..] => ("topics", self.topics(rest)),
            ["found"] => ("found", self.found()),
            other => panic!("no step {other:?}"),
        };
        let request = self.world.ask(command);
        self.asked.insert(request, split_member(label).0.to_owned());
    }

    fn id_of(&self, name: &str) -> MemberId {
        match name {
            "-" => MemberId::new(""),
            _ => self.ids.get(name).cloned().unwrap_or_else(|| MemberId::new("")),
        }
    }

    fn known_id_of(&self, name: &str) -> MemberId {
        match name {
            "-" => MemberId::new(""),
            _ => self.ids.get(name).cloned().unwrap_or_else(|| MemberId::new(name)),
        }
    }

    fn generation(&self, name: &str, options: &Options<'_>) -> Option<GenerationId> {
        match options.0.get("gen") {
            Some(number) => GenerationId::new(number.parse().unwrap()),
            None if name.starts_with('@') => self.epoch(name),
            None => self.generations.get(name).copied(),
        }
    }

    fn join(&mut self, member: &str, rest: &[&str]) -> GroupCommand {
        let options = Options::of(rest);
        let (name, instance) = split_member(member);
        let member = match (options.0.get("id"), rest.contains(&"anew")) {
            (Some(id), _) => MemberId::new(id),
            (None, true) => MemberId::new(""),
            (None, false) => self.id_of(name),
        };
        self.ids_made += 1;
        let protocols = options.0.get("by").copied().unwrap_or("range:t");
        let protocols = protocols.split(',').filter(|text| !text.is_empty()).map(|text| {
            let (name, topics) = text.split_once(':').unwrap_or((text, ""));
            Protocol { name: ProtocolName::new(name), metadata: subscription(topics) }
        });
        let session_timeout = options.millis("session", 10_000);
        GroupCommand::Join(JoinGroup {
            group: self.group.clone(),
            member,
            instance,
            client_id: Arc::from(name),
            client_host: Arc::from("/127.0.0.1"),
            session_timeout,
            rebalance_timeout: options.millis("rebalance", 60_000),
            protocol_type: ProtocolType::new(options.0.get("type").copied().unwrap_or("consumer")),
            protocols: protocols.collect(),
            requires_member_id: rest.contains(&"asks"),
            understands_skipping: rest.contains(&"skips"),
            random: Uuid::version_4([self.ids_made; 16]),
        })
    }

    fn sync(&mut self, member: &str, rest: &[&str]) -> GroupCommand {
        let options = Options::of(rest);
        let (name, instance) = split_member(member);
        let special = ["gen", "by", "type"];
        let assignments = options.0.iter().filter(|(key, _)| !special.contains(key));
        let assignments =
            assignments.map(|(key, value)| (self.known_id_of(key), Bytes::copy_from_slice(value.as_bytes())));
        GroupCommand::Sync(SyncGroup {
            group: self.group.clone(),
            generation: self.generation(name, &options),
            member: self.known_id_of(name),
            instance,
            protocol_type: options.0.get("type").map(|name| ProtocolType::new(name)),
            protocol: options.0.get("by").map(|name| ProtocolName::new(name)),
            assignments: assignments.collect(),
        })
    }

    fn beat(&mut self, member: &str, rest: &[&str]) -> GroupCommand {
        let (name, instance) = split_member(member);
        GroupCommand::Heartbeat(Heartbeat {
            group: self.group.clone(),
            generation: self.generation(name, &Options::of(rest)),
            member: self.known_id_of(name),
            instance,
        })
    }

    fn leave(&mut self, members: &[&str]) -> GroupCommand {
        let members = members.iter().map(|member| {
            let (name, instance) = split_member(member);
            LeavingMember { member: self.known_id_of(name), instance }
        });
        GroupCommand::Leave(LeaveGroup { group: self.group.clone(), members: members.collect() })
    }

    fn commit(&mut self, member: &str, rest: &[&str]) -> GroupCommand {
        let options = Options::of(rest);
        let (name, instance) = split_member(member);
        let offsets = options.0.iter().filter(|(key, _)| key.contains('-'));
        let topics = offsets.map(|(key, value)| {
            let (topic, partition) = partition(key);
            let position = CommittedPosition(value.parse().unwrap());
            let metadata = options.0.get("meta").copied().unwrap_or("");
            let metadata = metadata
                .strip_prefix("long:")
                .map_or(metadata.to_owned(), |n| "ä".repeat(n.parse().unwrap()));
            let leader_epoch =
                options.0.get("epoch").map(|text| LeaderEpoch::new(text.parse().unwrap()).unwrap());
            let partitions = vec![CommitPartition { partition, position, leader_epoch, metadata }];
            let topic_id = self.world.view.topics.by_name(topic.as_str()).map(|topic| topic.id());
            CommitTopic { topic, topic_id, partitions }
        });
        GroupCommand::CommitOffsets(CommitOffsets {
            group: self.group.clone(),
            generation: self.generation(name, &options),
            member: self.known_id_of(name),
            instance,
            speaks_of_epochs: !rest.contains(&"old"),
            retention: options.0.contains_key("keep").then(|| options.millis("keep", 0)),
            transaction: options.0.get("by").map(|producer| author(producer)),
            topics: topics.collect(),
        })
    }

    fn fetch(&self, wanted: Wanted, require_stable: bool) -> GroupCommand {
        let (group, asker) = (self.group.clone(), FetchAs::default());
        GroupCommand::FetchOffsets(FetchOffsets { group, wanted, require_stable, asker })
    }

    fn say(&mut self, what: String) {
        if !self.muted {
            self.said.push(what);
        }
    }
}

/// The transaction of a producer, by its number.
fn author(producer: &str) -> Author {
    Author {
        producer: ProducerId::new(producer.parse().unwrap()).unwrap(),
        epoch: ProducerEpoch::ZERO,
        verification: Verification::NotAsked,
    }
}

fn outcome_of(word: &str) -> TransactionOutcome {
    match word {
        "commits" => TransactionOutcome::Committed,
        "aborts" => TransactionOutcome::Aborted,
        other => panic!("no outcome {other}"),
    }
}

fn filter(words: &[&str]) -> GroupFilter {
    let options = Options::of(words);
    let texts =
        |key| options.0.get(key).map(|text| text.split('+').map(str::to_owned).collect()).unwrap_or_default();
    GroupFilter { states: texts("states"), types: texts("types") }
}

pub fn unavailable(word: &str) -> Unavailable {
    match word {
        "failed" => Unavailable::WriteFailed,
        "refused" => Unavailable::WriteRefused,
        "moved" => Unavailable::NotCoordinator,
        "fenced" => Unavailable::ProducerFenced,
        "strange" => Unavailable::NotInTransaction,
        other => panic!("no failure {other}"),
    }
}
