//! Random runs: many members that join, assign, commit, fall silent and come back, over a log that waits, fails and
//! is replayed at any point.
//!
//! Owns: the clients, the chaos, the invariants.
//! Does not own: the log and the clock (`world`).
//!
//! Checked all along
//! - an assignment belongs to the generation and the member that receives it;
//! - every request is answered exactly once (unless the process died);
//! - replaying the log gives the state of the shard that wrote it;
//! - an offset that was acknowledged is there, or a later one;
//! - once nothing goes wrong any more, all members soon share one generation.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ottla_coordinator::GroupConfig;
use ottla_coordinator::group::{
    CommitOffsets, CommitPartition, CommitTopic, CommittedPosition, FetchAs, FetchOffsets, GroupAnswer,
    GroupCommand, GroupImage, Heartbeat, JoinError, JoinGroup, LeaveGroup, LeavingMember, Protocol,
    SyncGroup, Wanted,
};
use ottla_coordinator::runtime::{RequestId, Unavailable};
use ottla_model::{
    GenerationId, GroupId, GroupInstanceId, MemberId, PartitionIndex, ProtocolName, ProtocolType, TopicName,
    Uuid,
};

use crate::world::World;

const MEMBERS: usize = 6;
const STEPS: usize = 1500;

/// xorshift64*: small, and the same everywhere.
pub struct Random(pub u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() >> 33).unwrap() % limit
    }

    pub fn one_in(&mut self, chance: usize) -> bool {
        self.below(chance) == 0
    }
}

/// What a client waits for, or is about to do.
#[derive(Clone, Copy, PartialEq)]
enum Doing {
    Out,
    Waiting(RequestId),
    MustSync,
    In,
}

struct Client {
    group: GroupId,
    name: String,
    instance: Option<GroupInstanceId>,
    id: MemberId,
    generation: Option<GenerationId>,
    /// Whom to assign to, if it leads.
    to_assign: Vec<(MemberId, String)>,
    doing: Doing,
    protocol: u64,
    committing: Option<(RequestId, i64)>,
    /// The largest position it sent, and the largest that was acknowledged.
    sent: i64,
    acknowledged: i64,
}

struct Run {
    random: Random,
    world: World,
    clients: Vec<Client>,
    fetches: Vec<(RequestId, usize, i64)>,
    stable_seen: usize,
}

fn part(generation: GenerationId, name: &str) -> String {
    format!("{generation}:{name}")
}

impl Client {
    fn new(at: usize) -> Client {
        let name = format!("m{at}");
        Client {
            group: GroupId::new(if at < MEMBERS / 2 { "g" } else { "h" }),
            instance: at.is_multiple_of(3).then(|| GroupInstanceId::new(&name)),
            name,
            id: MemberId::new(""),
            generation: None,
            to_assign: Vec::new(),
            doing: Doing::Out,
            protocol: 0,
            committing: None,
            sent: 0,
            acknowledged: 0,
        }
    }

    fn join(&self, random: &mut Random) -> GroupCommand {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&random.next().to_be_bytes());
        bytes[8..].copy_from_slice(&random.next().to_be_bytes());
        GroupCommand::Join(JoinGroup {
            group: self.group.clone(),
            member: self.id.clone(),
            instance: self.instance.clone(),
            client_id: Arc::from(self.name.as_str()),
            client_host: Arc::from("/127.0.0.1"),
            session_timeout: Duration::from_secs(10),
            rebalance_timeout: Duration::from_secs(15),
            protocol_type: ProtocolType::new("consumer"),
            protocols: vec![Protocol {
                name: ProtocolName::new("range"),
                metadata: Bytes::from(self.protocol.to_be_bytes().to_vec()),
            }],
            requires_member_id: random.one_in(2),
            understands_skipping: random.one_in(2),
            random: Uuid::version_4(bytes),
        })
    }

    fn sync(&self) -> GroupCommand {
        let generation = self.generation.unwrap();
        let assignments =
            self.to_assign.iter().map(|(id, name)| (id.clone(), Bytes::from(part(generation, name))));
        GroupCommand::Sync(SyncGroup {
            group: self.group.clone(),
            generation: self.generation,
            member: self.id.clone(),
            instance: self.instance.clone(),
            protocol_type: None,
            protocol: None,
            assignments: assignments.collect(),
        })
    }

    fn beat(&self) -> GroupCommand {
        GroupCommand::Heartbeat(Heartbeat {
            group: self.group.clone(),
            generation: self.generation,
            member: self.id.clone(),
            instance: self.instance.clone(),
        })
    }

    fn leave(&self) -> GroupCommand {
        let member = LeavingMember { member: self.id.clone(), instance: self.instance.clone() };
        GroupCommand::Leave(LeaveGroup { group: self.group.clone(), members: vec![member] })
    }

    /// Each client commits to a topic of its own, so that its positions only grow.
    fn topic(&self) -> TopicName {
        TopicName::new(&self.name).unwrap()
    }

    fn commit(&self) -> GroupCommand {
        let partition = CommitPartition {
            partition: PartitionIndex::default(),
            position: CommittedPosition(self.sent),
            leader_epoch: None,
            metadata: String::new(),
        };
        GroupCommand::CommitOffsets(CommitOffsets {
            group: self.group.clone(),
            generation: self.generation,
            member: self.id.clone(),
            instance: self.instance.clone(),
            speaks_of_epochs: false,
            retention: None,
            transaction: None,
            topics: vec![CommitTopic { topic: self.topic(), topic_id: None, partitions: vec![partition] }],
        })
    }

    /// The client starts over, with the id it has or without.
    fn restart(&mut self, keeps_id: bool) {
        if !keeps_id {
            self.id = MemberId::new("");
        }
        self.doing = Doing::Out;
        self.to_assign.clear();
    }
}

impl Run {
    fn new(seed: u64) -> Run {
        let config =
            GroupConfig { initial_rebalance_delay: Duration::from_secs(seed % 4), ..GroupConfig::default() };
        Run {
            random: Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1),
            world: World::new(config),
            clients: (0..MEMBERS).map(Client::new).collect(),
            fetches: Vec::new(),
            stable_seen: 0,
        }
    }

    /// What a client does next; `wild` clients also leave, restart, change and fall silent.
    fn act(&mut self, at: usize, wild: bool) {
        let client = &mut self.clients[at];
        if wild && self.random.one_in(40) {
            let keeps_id = self.random.one_in(2);
            return client.restart(keeps_id);
        }
        let command = match client.doing {
            Doing::Out => client.join(&mut self.random),
            Doing::MustSync => client.sync(),
            Doing::Waiting(_) => return,
            Doing::In if wild && self.random.one_in(15) => {
                let command = client.leave();
                client.restart(false);
                self.world.ask(command);
                return;
            }
            Doing::In if wild && self.random.one_in(15) => {
                client.protocol += 1;
                client.join(&mut self.random)
            }
            Doing::In if client.committing.is_none() && self.random.one_in(2) => {
                client.sent += 1;
                let command = client.commit();
                client.committing = Some((self.world.ask(command), client.sent));
                return;
            }
            Doing::In => client.beat(),
        };
        client.doing = Doing::Waiting(self.world.ask(command));
    }

    fn fetch(&mut self, at: usize) {
        let client = &self.clients[at];
        let command = FetchOffsets {
            group: client.group.clone(),
            wanted: Wanted::All,
            require_stable: true,
            asker: FetchAs::default(),
        };
        let acknowledged = client.acknowledged;
        let request = self.world.ask(GroupCommand::FetchOffsets(command));
        self.fetches.push((request, at, acknowledged));
    }

    fn hear(&mut self) {
        for reply in self.world.pump() {
            self.hear_one(reply.request, reply.answer);
        }
    }

    fn hear_one(&mut self, request: RequestId, answer: GroupAnswer) {
        if let Some(place) = self.fetches.iter().position(|(fetch, ..)| *fetch == request) {
            let (_, at, acknowledged) = self.fetches.swap_remove(place);
            return self.check_fetched(at, acknowledged, answer);
        }
        let committing =
            |client: &&mut Client| client.committing.is_some_and(|(commit, _)| commit == request);
        if let Some(client) = self.clients.iter_mut().find(committing) {
            let (_, position) = client.committing.take().unwrap();
            if let GroupAnswer::CommitOffsets(Ok(_)) = answer {
                client.acknowledged = client.acknowledged.max(position);
            }
            return;
        }
        let Some(client) = self.clients.iter_mut().find(|client| client.doing == Doing::Waiting(request))
        else {
            return;
        };
        client.hear(answer);
    }

    fn check_fetched(&self, at: usize, acknowledged: i64, answer: GroupAnswer) {
        let GroupAnswer::FetchOffsets(Ok(topics)) = answer else { return };
        let client = &self.clients[at];
        let found = topics.iter().find(|topic| topic.topic == client.topic());
        let entry = found.and_then(|topic| topic.partitions[0].result.clone().unwrap());
        let position = entry.map_or(0, |entry| entry.position.0);
        assert!((acknowledged..=client.sent).contains(&position), "{position} after {acknowledged}");
    }

    /// The log replayed is the state; a stable group is the one that is persisted.
    fn check_state(&mut self) {
        self.hear();
        if self.world.committed < self.world.log.len() {
            return;
        }
        let replayed = self.world.replayed();
        let shard = self.world.runtime.shard();
        assert_eq!(replayed.shard().replicated_state(), shard.replicated_state());
        for group in ["g", "h"].map(GroupId::new) {
            let (Some(live), Some(persisted)) = (shard.live(&group), shard.persisted(&group)) else {
                continue;
            };
            if shard.is_stable(&group) {
                self.stable_seen += 1;
                assert_eq!(
                    GroupImage { since: None, ..(*live).clone() },
                    GroupImage { since: None, ..persisted.clone() }
                );
            }
        }
    }

    /// Something that happens to the coordinator.
    fn disturb(&mut self) {
        match self.random.below(12) {
            0 => self.world.commits = false,
            1..=3 => self.world.commits = true,
            4 => self.world.failure = Some(Unavailable::WriteFailed),
            5 if self.random.one_in(3) => {
                let lost = self.world.log.len() - self.world.committed;
                let surviving = self.world.committed + self.random.below(lost + 1);
                self.world.restart(surviving);
                for client in &mut self.clients {
                    client.committing = None;
                    if matches!(client.doing, Doing::Waiting(_)) {
                        client.restart(true);
                    }
                }
                self.fetches.clear();
            }
            _ => {
                let target = self.world.elapsed() + Duration::from_millis(self.random.next() % 4000);
                for reply in self.world.wait_until(target) {
                    self.hear_one(reply.request, reply.answer);
                }
            }
        }
    }

    fn chaos(&mut self) {
        for _ in 0..STEPS {
            let at = self.random.below(MEMBERS);
            self.act(at, true);
            if self.random.one_in(8) {
                self.fetch(at);
            }
            // Requests that arrive together share an append.
            if self.random.one_in(2) {
                self.hear();
            }
            if self.random.one_in(10) {
                self.check_state();
            }
            if self.random.one_in(4) {
                self.disturb();
                self.hear();
            }
        }
    }

    /// Nothing goes wrong any more: the groups settle, with everybody in them.
    fn calm(&mut self) {
        self.world.commits = true;
        self.world.failure = None;
        for _ in 0..600 {
            for at in 0..MEMBERS {
                self.act(at, false);
                self.hear();
            }
            let target = self.world.elapsed() + Duration::from_secs(1);
            for reply in self.world.wait_until(target) {
                self.hear_one(reply.request, reply.answer);
            }
        }
        self.check_state();
        for half in self.clients.chunks(MEMBERS / 2) {
            let shard = self.world.runtime.shard();
            let live = shard.live(&half[0].group).unwrap();
            assert!(shard.is_stable(&half[0].group));
            for client in half {
                assert_eq!(client.generation, Some(live.generation));
                assert!(live.members.iter().any(|member| member.member == client.id), "{}", client.name);
            }
            assert_eq!(live.members.len(), half.len());
        }
        for at in 0..MEMBERS {
            self.fetch(at);
        }
        self.hear();
        for client in &mut self.clients {
            client.restart(false);
        }
        self.world.wait_until(self.world.elapsed() + Duration::from_secs(60));
        assert!(self.world.open.is_empty(), "never answered: {:?}", self.world.open);
    }
}

impl Client {
    fn hear(&mut self, answer: GroupAnswer) {
        match answer {
            GroupAnswer::Join(Ok(joined)) => {
                self.id = joined.member;
                self.generation = Some(joined.generation);
                let name = |id: &MemberId, instance: &Option<GroupInstanceId>| match instance {
                    Some(instance) => instance.as_str().to_owned(),
                    None => id.as_str().to_owned(),
                };
                let members = if joined.skip_assignment { Vec::new() } else { joined.members };
                let members = members
                    .iter()
                    .map(|member| (member.member.clone(), name(&member.member, &member.instance)));
                self.to_assign = members.collect();
                self.doing = Doing::MustSync;
            }
            GroupAnswer::Join(Err(refused)) => {
                match refused.error {
                    JoinError::MemberIdRequired => self.id = refused.member,
                    JoinError::UnknownMember | JoinError::FencedInstance => self.id = MemberId::new(""),
                    JoinError::JoinedAgain | JoinError::RebalanceInProgress | JoinError::Unavailable(_) => {}
                    never @ (JoinError::InvalidGroupId
                    | JoinError::SessionTimeoutOutOfRange { .. }
                    | JoinError::GroupFull { .. }
                    | JoinError::InconsistentProtocol) => panic!("{never}"),
                }
                self.doing = Doing::Out;
            }
            GroupAnswer::Sync(Ok(synced)) => {
                let name = self.instance.as_ref().map_or(self.id.as_str(), |instance| instance.as_str());
                let expected = part(self.generation.unwrap(), name);
                let got = String::from_utf8_lossy(&synced.assignment).into_owned();
                assert_eq!(got, expected);
                self.doing = Doing::In;
            }
            GroupAnswer::Heartbeat(Ok(())) => self.doing = Doing::In,
            // Clients that are told to go away start with no id; all others may come back with theirs.
            GroupAnswer::Sync(Err(_)) | GroupAnswer::Heartbeat(Err(_)) => self.doing = Doing::Out,
            never @ (GroupAnswer::Leave(_)
            | GroupAnswer::CommitOffsets(_)
            | GroupAnswer::FetchOffsets(_)
            | GroupAnswer::DeleteOffsets(_)
            | GroupAnswer::DeleteGroup(_)
            | GroupAnswer::Describe(_)
            | GroupAnswer::List(_)
            | GroupAnswer::ForgetPartitions(_)
            | GroupAnswer::ConsumerHeartbeat(_)
            | GroupAnswer::DescribeConsumers(_)
            | GroupAnswer::Noted(_)) => panic!("{never:?}"),
        }
    }
}

fn run(seed: u64) -> Run {
    let mut run = Run::new(seed);
    run.chaos();
    run.calm();
    run
}

/// GRP-01, GRP-04, GRP-10…18, TRAP-26, TRAP-39
#[test]
fn groups_survive_everything_and_settle_when_it_is_over() {
    let mut stable_seen = 0;
    for seed in 1..=40 {
        println!("seed {seed}");
        stable_seen += run(seed).stable_seen;
    }
    // A run in which the groups never get anywhere proves nothing.
    assert!(stable_seen > 400, "{stable_seen}");
}
