//! Random runs of consumer groups: members that join, leave, fall silent, crash and come back, topics that grow, over a
//! log that waits, fails and is replayed at any point.
//!
//! Owns: the members, the chaos, the invariants. Does not own: the log and the clock (`world`).
//!
//! Checked all along
//! - G1: a partition that a member may be working on is nobody else's, as long as the member is not fenced;
//! - replaying the log gives the state of the shard that wrote it;
//! - every request is answered exactly once (unless the process died);
//! - once nothing goes wrong any more, every partition is assigned exactly once, to a member that has it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use ottla_coordinator::GroupConfig;
use ottla_coordinator::group::{
    Beaten, ClusterView, ConsumerChange, ConsumerHeartbeat, ConsumerHeartbeatError, ConsumerRecord,
    GroupAnswer, GroupCommand, GroupRecord, IdPartition, LookUp, look_up,
};
use ottla_coordinator::runtime::{RequestId, Unavailable};
use ottla_model::{GroupId, GroupInstanceId, MemberId, Offset, Uuid};

use crate::random_runs::Random;
use crate::script::consumers::grown;
use crate::world::World;

const MEMBERS: usize = 5;
const STEPS: usize = 600;
const TOPICS: [&str; 3] = ["a", "b", "c"];

/// A consumer as a client runs it: it has what it was given until it gives it up or is told that it is fenced.
struct Member {
    name: String,
    lives: u32,
    id: MemberId,
    instance: Option<GroupInstanceId>,
    epoch: i32,
    has: BTreeSet<IdPartition>,
    /// What it is to have; until it is, it gives the rest up.
    to_have: BTreeSet<IdPartition>,
    topics: BTreeSet<String>,
    regex: Option<String>,
    asked: Option<RequestId>,
    /// Whether it takes part.
    is_in: bool,
    /// It says nothing until it is put out.
    is_silent: bool,
}

struct Run {
    random: Random,
    world: World,
    members: Vec<Member>,
    look_ups: Vec<LookUp>,
    sizes: BTreeMap<&'static str, usize>,
    /// Answers that gave a partition to somebody.
    given: usize,
}

impl Member {
    fn new(at: usize) -> Member {
        Member {
            name: format!("m{at}"),
            lives: 0,
            id: MemberId::new(&format!("m{at}-0")),
            instance: at.is_multiple_of(3).then(|| GroupInstanceId::new(&format!("i{at}"))),
            epoch: 0,
            has: BTreeSet::new(),
            to_have: BTreeSet::new(),
            topics: TOPICS.iter().take(2).map(|name| (*name).to_owned()).collect(),
            regex: None,
            asked: None,
            is_in: false,
            is_silent: false,
        }
    }

    /// The process starts anew: whatever it had, it works on nothing any more.
    fn start_anew(&mut self) {
        self.lives += 1;
        self.id = MemberId::new(&format!("{}-{}", self.name, self.lives));
        self.abandon();
        self.asked = None;
        self.is_silent = false;
    }

    /// It is fenced, or starts over.
    fn abandon(&mut self) {
        self.epoch = 0;
        self.has.clear();
        self.to_have.clear();
    }

    fn heartbeat(&mut self, random: &mut Random, epoch: i32) -> GroupCommand {
        // Giving up takes a client no time here; what it gained it works on when it was told so.
        self.has.retain(|partition| self.to_have.contains(partition));
        let joins = epoch == 0;
        let is_full = joins || random.one_in(6);
        let owned = if joins { BTreeSet::new() } else { self.has.clone() };
        let by = ["range", "uniform"][random.below(2)];
        GroupCommand::ConsumerHeartbeat(Box::new(ConsumerHeartbeat {
            group: GroupId::new("g"),
            member: self.id.clone(),
            epoch,
            instance: self.instance.clone(),
            rack: None,
            rebalance_timeout: is_full.then(|| Duration::from_secs(20)),
            names: is_full.then(|| self.topics.clone()),
            regex: is_full.then(|| self.regex.clone().unwrap_or_default()),
            assignor: random.one_in(10).then(|| by.to_owned()),
            owned: (is_full || random.one_in(2)).then_some(owned),
            client_id: Arc::from(self.name.as_str()),
            client_host: Arc::from("/127.0.0.1"),
            names_itself: true,
            random: Uuid::version_4([1; 16]),
        }))
    }

    fn hear(&mut self, answer: Result<Beaten, ConsumerHeartbeatError>) {
        match answer {
            Ok(beaten) if beaten.epoch < 0 => self.abandon(),
            Ok(beaten) => {
                self.epoch = beaten.epoch;
                if let Some(assignment) = beaten.assignment {
                    self.has = self.has.intersection(&assignment).copied().collect();
                    self.has.extend(assignment.iter().copied());
                    self.to_have = assignment;
                }
            }
            Err(
                ConsumerHeartbeatError::UnknownMember { .. }
                | ConsumerHeartbeatError::UnknownGroup { .. }
                | ConsumerHeartbeatError::NoGroup { .. }
                | ConsumerHeartbeatError::UnknownInstance(_)
                | ConsumerHeartbeatError::EpochAhead { .. }
                | ConsumerHeartbeatError::EpochBehind { .. }
                | ConsumerHeartbeatError::FencedInstance { .. },
            ) => self.abandon(),
            Err(
                ConsumerHeartbeatError::UnreleasedInstance { .. } | ConsumerHeartbeatError::Unavailable(_),
            ) => {}
            Err(never) => panic!("{never}"),
        }
    }
}

impl Run {
    fn new(seed: u64) -> Run {
        let mut run = Run {
            random: Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1),
            world: World::new(GroupConfig::default()),
            members: (0..MEMBERS).map(Member::new).collect(),
            look_ups: Vec::new(),
            sizes: BTreeMap::new(),
            given: 0,
        };
        run.grow("a", 4);
        run
    }

    fn grow(&mut self, topic: &'static str, count: usize) {
        self.sizes.insert(topic, count);
        let view = self.world.view.clone();
        let as_of = view.topics.as_of.map_or(0, Offset::value) + 1;
        let topics = Arc::new(grown(&view.topics, &[(topic, count)], as_of));
        self.world.change_view(ClusterView { topics, settings: view.settings.clone() });
    }

    /// What a member does next; `wild` ones also leave, crash, fall silent and change their minds.
    fn act(&mut self, at: usize, wild: bool) {
        let member = &mut self.members[at];
        if member.asked.is_some() || (wild && member.is_silent) {
            return;
        }
        if !member.is_in {
            member.is_in = !wild || self.random.one_in(3);
            return;
        }
        let mut epoch = member.epoch;
        if wild {
            match self.random.below(60) {
                0 | 1 => member.start_anew(),
                2 => member.is_silent = true,
                3 | 4 if epoch > 0 => {
                    epoch = if member.instance.is_some() && self.random.one_in(2) { -2 } else { -1 };
                    member.is_in = false;
                }
                5 => {
                    member.topics =
                        TOPICS.iter().skip(self.random.below(3)).map(|name| (*name).to_owned()).collect()
                }
                6 => member.regex = self.random.one_in(2).then(|| "[bc]".to_owned()),
                _ => {}
            }
            epoch = if epoch < 0 { epoch } else { member.epoch };
        }
        if member.is_silent {
            return;
        }
        let command = member.heartbeat(&mut self.random, epoch);
        member.asked = Some(self.world.ask(command));
    }

    fn hear(&mut self) {
        for reply in self.world.pump() {
            self.hear_one(reply.request, reply.answer);
        }
    }

    fn hear_one(&mut self, request: RequestId, answer: GroupAnswer) {
        let GroupAnswer::ConsumerHeartbeat(answer) = answer else { return };
        if let Ok(beaten) = &answer {
            self.look_ups.extend(beaten.look_up.clone());
            self.given += beaten.assignment.as_ref().map_or(0, BTreeSet::len);
        }
        let Some(member) = self.members.iter_mut().find(|member| member.asked == Some(request)) else {
            return;
        };
        member.asked = None;
        if answer.as_ref().is_ok_and(|beaten| beaten.epoch < 0) {
            member.start_anew();
            return;
        }
        member.hear(answer);
        self.check_owners();
    }

    /// G1: what a member works on is in the shard as its own, unless the shard has fenced it.
    fn check_owners(&self) {
        let mut owners: BTreeMap<IdPartition, &Member> = BTreeMap::new();
        let known: BTreeMap<MemberId, i32> = self.current().into_iter().collect();
        for member in &self.members {
            // Who is not a member any more, or not at its epoch or the one before, will be told so when it speaks.
            if !known.contains_key(&member.id) || member.epoch == 0 {
                continue;
            }
            for partition in &member.has {
                if let Some(other) = owners.insert(*partition, member) {
                    panic!("{partition:?} is of {} and of {}", other.id, member.id);
                }
            }
        }
    }

    fn current(&self) -> Vec<(MemberId, i32)> {
        let state = self.world.runtime.shard().replicated_state();
        let current = state.into_iter().filter_map(|record| match record {
            GroupRecord::Consumer(ConsumerRecord {
                change: ConsumerChange::Current { member, value: Some(value) },
                ..
            }) => Some((member, value.epoch.value())),
            GroupRecord::Consumer(_) | GroupRecord::Offset { .. } | GroupRecord::Group { .. } => None,
        });
        current.collect()
    }

    fn find(&mut self) {
        if let Some(wanted) = self.look_ups.pop() {
            let now = self.world.now().wall;
            let found = look_up(&wanted, &self.world.view.topics, now, |_| true);
            self.world.ask(GroupCommand::TakeFound(found));
        }
    }

    fn check_replay(&mut self) {
        self.hear();
        if self.world.committed == self.world.log.len() {
            let replayed = self.world.replayed();
            let shard = self.world.runtime.shard();
            assert_eq!(replayed.shard().replicated_state(), shard.replicated_state());
        }
    }

    /// Something that happens to the coordinator.
    fn disturb(&mut self) {
        match self.random.below(14) {
            0 => self.world.commits = false,
            1..=3 => self.world.commits = true,
            4 => self.world.failure = Some(Unavailable::NotCoordinator),
            5 if self.random.one_in(3) => self.restart(),
            6 if self.random.one_in(4) => {
                let topic = TOPICS[self.random.below(3)];
                let count = self.sizes.get(topic).copied().unwrap_or(0) + 1;
                if count < 7 {
                    self.grow(topic, count);
                }
            }
            7 => self.find(),
            _ => {
                let target = self.world.elapsed() + Duration::from_millis(self.random.next() % 6000);
                for reply in self.world.wait_until(target) {
                    self.hear_one(reply.request, reply.answer);
                }
            }
        }
        // A member that was silent for long was put out, and starts anew.
        for member in &mut self.members {
            if member.is_silent && self.random.one_in(30) {
                member.start_anew();
            }
        }
    }

    /// Only what was committed may be missed by nobody.
    fn restart(&mut self) {
        let lost = self.world.log.len() - self.world.committed;
        let surviving = self.world.committed + self.random.below(lost + 1);
        self.world.restart(surviving);
        for member in &mut self.members {
            member.asked = None;
        }
    }

    fn chaos(&mut self) {
        for _ in 0..STEPS {
            let at = self.random.below(MEMBERS);
            self.act(at, true);
            if self.random.one_in(2) {
                self.hear();
            }
            if self.random.one_in(10) {
                self.check_replay();
            }
            if self.random.one_in(3) {
                self.disturb();
                self.hear();
            }
        }
    }

    /// Nothing goes wrong any more: the group settles.
    fn calm(&mut self) {
        self.world.commits = true;
        self.world.failure = None;
        for member in &mut self.members {
            if member.is_silent {
                member.start_anew();
            }
        }
        for _ in 0..120 {
            for at in 0..MEMBERS {
                self.act(at, false);
                self.hear();
            }
            self.find();
            let target = self.world.elapsed() + Duration::from_secs(1);
            for reply in self.world.wait_until(target) {
                self.hear_one(reply.request, reply.answer);
            }
        }
        self.check_replay();
        self.check_settled();
        assert!(self.world.open.is_empty(), "never answered: {:?}", self.world.open);
    }

    fn check_settled(&self) {
        let mut wanted: BTreeSet<IdPartition> = BTreeSet::new();
        for member in &self.members {
            let by_regex = member.regex.as_ref().map_or(vec![], |_| vec!["b".to_owned(), "c".to_owned()]);
            for name in member.topics.iter().chain(&by_regex) {
                if let Some(topic) = self.world.view.topics.by_name(name) {
                    let of_topic =
                        topic.partitions().map(|partition| IdPartition { topic: topic.id(), partition });
                    wanted.extend(of_topic);
                }
            }
            assert_eq!(member.has, member.to_have, "{}", member.id);
        }
        let had: Vec<IdPartition> =
            self.members.iter().flat_map(|member| member.has.iter().copied()).collect();
        assert_eq!(had.len(), wanted.len(), "some partitions have two owners, or none");
        assert_eq!(had.into_iter().collect::<BTreeSet<_>>(), wanted);
    }
}

/// CGP-03, CGP-04, CGP-06, CGP-07, CGP-08, CGP-10
#[test]
fn consumer_groups_survive_everything_and_settle_when_it_is_over() {
    let mut given = 0;
    for seed in 1..=30 {
        println!("seed {seed}");
        let mut run = Run::new(seed);
        run.chaos();
        run.calm();
        given += run.given;
    }
    // A run in which nobody gets anything proves nothing.
    assert!(given > 5_000, "{given}");
}
