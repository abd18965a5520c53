//! Stories of transactions as text: steps on one side, what is said on the other.
//!
//! ```text
//! init [id=x] [as=7:0] [timeout=60000]    7:0, or why not
//! add t-0 t-1 [as=7:0] [v=2]              added
//! verify t-0 t-1                          t-0: those that are part of the transaction
//! commit, abort [as=7:0] [v=0]            7:1 in version 2, ended in those before
//! mark [t-0]                              commit 7:1 t-0: the markers asked for, or those of them in t-0, are written
//! show, list [states=A+B] [pids=7] [longer=1]
//! late 7:0 t-0                            markers of some other transaction are said to be written
//! at 5000 · restart · hold · release · fail failed · lose · version 0 · records · then (forgets what was said)
//! plant 7:32766 Ongoing t-0               the id x was found so in the log
//! ```
//! Who asks is who the id was told to be last, unless `as` says otherwise.
//!
//! Owns: the language. Does not own: the log and the clock (`world`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use ottla_coordinator::TransactionConfig;
use ottla_coordinator::runtime::{Shard, TransactionOutcome};
use ottla_coordinator::transaction::{
    Claim, EndTransaction, Enlist, Initialize, Marked, ProducerIdentity, TransactionAnswer,
    TransactionCommand, TransactionFilter, TransactionImage, TransactionRecord, TransactionShard,
    TransactionState, ValueVersion,
};
use ottla_model::{
    PartitionIndex, ProducerEpoch, ProducerId, TopicName, TopicPartition, TransactionVersion, TransactionalId,
};

use super::world::{WALL_START, World};
use crate::script::unavailable;

pub struct Story {
    pub world: World,
    known: BTreeMap<TransactionalId, ProducerIdentity>,
    pub said: Vec<String>,
}

/// Plays the steps in a cluster of transaction version 2.
pub fn check(steps: &str, expected: &str) {
    check_in(TransactionVersion::Two, steps, expected);
}

pub fn check_in(version: TransactionVersion, steps: &str, expected: &str) {
    let story = play(TransactionConfig::default(), version, steps);
    assert_eq!(story.said.join(", "), expected, "{steps}");
}

pub fn play(config: TransactionConfig, version: TransactionVersion, steps: &str) -> Story {
    let world = World::new(config, version);
    let mut story = Story { world, known: BTreeMap::new(), said: Vec::new() };
    story.go_on(steps);
    story
}

/// The words of a step, by kind.
struct Words<'a> {
    options: BTreeMap<&'a str, &'a str>,
    partitions: BTreeSet<TopicPartition>,
}

impl<'a> Words<'a> {
    fn new(words: &[&'a str]) -> Words<'a> {
        let options = words.iter().filter_map(|word| word.split_once('=')).collect();
        let partitions = words.iter().filter(|word| !word.contains('=')).map(|word| partition(word));
        Words { options, partitions: partitions.collect() }
    }

    fn id(&self) -> TransactionalId {
        TransactionalId::new(self.options.get("id").unwrap_or(&"x"))
    }

    fn claim(&self) -> Option<Claim> {
        let (id, epoch) = self.options.get("as")?.split_once(':').unwrap();
        Some(Claim::new(id.parse().unwrap(), epoch.parse().unwrap()))
    }

    fn version(&self) -> TransactionVersion {
        version(self.options.get("v").unwrap_or(&"2"))
    }
}

fn version(text: &str) -> TransactionVersion {
    TransactionVersion::from_level(text.parse().unwrap()).unwrap()
}

pub fn partition(text: &str) -> TopicPartition {
    let (topic, index) = text.rsplit_once('-').unwrap();
    let index = PartitionIndex::new(index.parse().unwrap()).unwrap();
    TopicPartition::new(TopicName::new(topic).unwrap(), index)
}

fn identity(producer: ProducerIdentity) -> String {
    format!("{}:{}", producer.id, producer.epoch)
}

fn names<'a>(partitions: impl IntoIterator<Item = &'a TopicPartition>) -> String {
    let names: Vec<String> = partitions.into_iter().map(ToString::to_string).collect();
    if names.is_empty() { "-".to_owned() } else { names.join("+") }
}

impl Story {
    pub fn go_on(&mut self, steps: &str) {
        for step in steps.split('|').map(str::trim).filter(|step| !step.is_empty()) {
            let words: Vec<&str> = step.split_whitespace().collect();
            self.step(words[0], &words[1..]);
        }
    }

    fn step(&mut self, verb: &str, rest: &[&str]) {
        match verb {
            "at" => {
                let target = Duration::from_millis(rest[0].parse().unwrap());
                let late = self.world.wait_until(target);
                late.into_iter().for_each(|reply| self.tell(&TransactionalId::new("x"), reply.answer));
            }
            "hold" => self.world.commits = false,
            "release" => {
                self.world.commits = true;
                let late = self.world.pump();
                late.into_iter().for_each(|reply| self.tell(&TransactionalId::new("x"), reply.answer));
            }
            "fail" => self.world.failure = Some(unavailable(rest[0])),
            "restart" => {
                self.world.restart(self.world.log.len());
                self.world.pump();
            }
            "lose" => {
                self.world.restart(self.world.committed);
                self.world.pump();
            }
            "version" => {
                self.world.version = version(rest[0]);
                self.world.hear(TransactionCommand::ClusterVersion(version(rest[0])));
            }
            "then" => self.said.clear(),
            "records" => self.said.push(format!("{} records", self.world.log.len())),
            "mark" => self.mark(&Words::new(rest).partitions),
            "plant" => self.plant(rest),
            "late" => {
                let (id, epoch) = rest[0].split_once(':').unwrap();
                let id = ProducerId::new(id.parse().unwrap()).unwrap();
                let producer =
                    ProducerIdentity { id, epoch: ProducerEpoch::new(epoch.parse().unwrap()).unwrap() };
                let partitions = Words::new(&rest[1..]).partitions;
                let id = TransactionalId::new("x");
                self.world.hear(TransactionCommand::Marked(Marked { id, producer, partitions }));
            }
            _ => {
                let words = Words::new(rest);
                let command = self.command(verb, &words);
                if let Some(answer) = self.world.hear(command) {
                    self.tell(&words.id(), answer);
                }
            }
        }
    }

    fn plant(&mut self, rest: &[&str]) {
        let (id, epoch) = rest[0].split_once(':').unwrap();
        let producer = ProducerIdentity {
            id: ProducerId::new(id.parse().unwrap()).unwrap(),
            epoch: ProducerEpoch::new(epoch.parse().unwrap()).unwrap(),
        };
        let state = TransactionState::from_name(rest[1]).unwrap();
        let now = self.world.now().wall;
        let image = TransactionImage {
            producer,
            previous: Some(producer.id),
            next: None,
            last_epoch: None,
            timeout: Duration::from_secs(60),
            state,
            partitions: rest[2..].iter().map(|word| partition(word)).collect(),
            updated_at: now,
            started_at: (state != TransactionState::Empty).then_some(now),
            version: self.world.version,
        };
        let (id, layout) = (TransactionalId::new("x"), ValueVersion::One);
        let record = TransactionRecord { id, image: Some(Arc::new(image)), layout };
        self.world.log.push(TransactionShard::encode(&record).unwrap());
        self.step("restart", &[]);
    }

    fn command(&self, verb: &str, words: &Words<'_>) -> TransactionCommand {
        let id = words.id();
        let known = self.known.get(&id).map(|producer| Claim::from(*producer));
        let producer = words.claim().or(known).unwrap_or_else(|| Claim::new(-1, -1));
        let enlist = || Enlist {
            id: id.clone(),
            producer,
            partitions: words.partitions.clone(),
            version: words.version(),
        };
        let end = |outcome| {
            let (id, version) = (id.clone(), words.version());
            TransactionCommand::End(EndTransaction { id, producer, outcome, version, fresh: None })
        };
        match verb {
            "init" => {
                let millis = words.options.get("timeout").unwrap_or(&"60000").parse::<i64>().unwrap();
                let timeout = u64::try_from(millis).ok().map(Duration::from_millis);
                let expected = words.claim();
                TransactionCommand::Initialize(Initialize { id, timeout, expected, fresh: None })
            }
            "add" => TransactionCommand::Enlist(enlist()),
            "verify" => TransactionCommand::Verify(enlist()),
            "commit" => end(TransactionOutcome::Committed),
            "abort" => end(TransactionOutcome::Aborted),
            "show" => TransactionCommand::Describe(id),
            "list" => TransactionCommand::List(filter(&words.options)),
            other => panic!("no step {other}"),
        }
    }

    fn tell(&mut self, id: &TransactionalId, answer: TransactionAnswer) {
        let said = match answer {
            TransactionAnswer::Initialize(Ok(producer)) | TransactionAnswer::End(Ok(Some(producer))) => {
                self.known.insert(id.clone(), producer);
                identity(producer)
            }
            TransactionAnswer::End(Ok(None)) => "ended".to_owned(),
            TransactionAnswer::Enlist(Ok(())) => "added".to_owned(),
            TransactionAnswer::Verify(Ok(partitions)) => names(&partitions),
            TransactionAnswer::Describe(Ok(one)) => {
                let began =
                    one.started_at.map_or("-".to_owned(), |at| (at.millis() - WALL_START).to_string());
                format!("{} {} {began} {}", one.state, identity(one.producer), names(&one.partitions))
            }
            TransactionAnswer::List(Ok(rows)) => {
                let rows = rows.iter().map(|row| format!("{}:{}:{}", row.id, row.producer, row.state));
                format!("[{}]", rows.collect::<Vec<_>>().join(" "))
            }
            TransactionAnswer::Noted(Ok(())) => return,
            TransactionAnswer::Initialize(Err(error)) => format!("{error:?}"),
            TransactionAnswer::End(Err(error)) => format!("{error:?}"),
            TransactionAnswer::Enlist(Err(error)) | TransactionAnswer::Verify(Err(error)) => {
                format!("{error:?}")
            }
            TransactionAnswer::Describe(Err(error)) => format!("{error:?}"),
            TransactionAnswer::List(Err(error)) => format!("{error:?}"),
            TransactionAnswer::Noted(Err(error)) => format!("{error:?}"),
        };
        self.said.push(said);
    }

    /// Writes the markers that were asked for, or those of them that go to these partitions.
    fn mark(&mut self, only: &BTreeSet<TopicPartition>) {
        for mut marking in std::mem::take(&mut self.world.markings) {
            let here = |partition: &TopicPartition| only.is_empty() || only.contains(partition);
            let (now, later): (BTreeSet<_>, _) = marking.partitions.iter().cloned().partition(here);
            marking.partitions = later;
            let outcome = match marking.outcome {
                TransactionOutcome::Committed => "commit",
                TransactionOutcome::Aborted => "abort",
            };
            let (id, producer) = (marking.id.clone(), marking.producer);
            self.said.push(format!("{outcome} {} {}", identity(producer), names(&now)));
            if !marking.partitions.is_empty() {
                self.world.markings.push(marking);
            }
            self.world.hear(TransactionCommand::Marked(Marked { id, producer, partitions: now }));
        }
    }
}

fn filter(options: &BTreeMap<&str, &str>) -> TransactionFilter {
    let states = options.get("states").map(|names| names.split('+').filter_map(TransactionState::from_name));
    let producers = options.get("pids").map(|ids| ids.split('+').map(|id| id.parse().unwrap()).collect());
    let longer_than = options.get("longer").map(|ms| Duration::from_millis(ms.parse().unwrap()));
    TransactionFilter {
        states: states.map(Iterator::collect),
        producers: producers.unwrap_or_default(),
        longer_than,
    }
}
