//! A node whose disk is in memory and does what it is told at once.
//!
//! Owns: the log, the files and the clock of one node, its death and its next life.
//! Does not own: the language of the tests (`script`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ottla_env::random::Random;
use ottla_metadata::bootstrap::{FormatRequest, NewCluster, read_bootstrap_file};
use ottla_metadata::config::{Layers, Settings};
use ottla_metadata::controller::{Answer, Command, ControllerSetup};
use ottla_metadata::features::VersionRange;
use ottla_metadata::image::MetadataImage;
use ottla_metadata::quorum::{ElectionState, QuorumSetup, ReplicaKey, Voter, VoterEndpoint, Voters};
use ottla_metadata::records::{MetadataRecord, read_batches};
use ottla_metadata::snapshot::{Snapshot, SnapshotId, SnapshotPolicy};
use ottla_metadata::{MetadataNode, NodeAction, NodeSetup, NodeStart, Now, RequestId};
use ottla_model::{BrokerId, ClusterId, DirectoryId, Offset, Timestamp, Uuid};

/// A generator that gives the same numbers in every run.
#[derive(Debug)]
pub struct Counted(AtomicU64);

impl Random for Counted {
    fn fill(&self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(8) {
            let state = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
            let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            chunk.copy_from_slice(&(mixed ^ (mixed >> 31)).to_le_bytes()[..chunk.len()]);
        }
    }
}

/// What outlives the process.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    pub quorum_state: Option<Vec<u8>>,
    pub bootstrap: Vec<u8>,
    pub snapshots: BTreeMap<SnapshotId, Vec<u8>>,
    /// Batches with their base offsets.
    pub log: Vec<(Offset, Vec<u8>)>,
    /// How many batches are on stable storage.
    pub flushed: usize,
}

/// How a node is made.
#[derive(Clone, Debug)]
pub struct Plan {
    pub format: FormatRequest,
    pub settings: Settings,
    pub snapshots: SnapshotPolicy,
    pub idle: Option<Duration>,
}

impl Default for Plan {
    fn default() -> Plan {
        let settings = [
            ("process.roles", "broker,controller"),
            ("node.id", "1"),
            ("controller.quorum.voters", "1@localhost:9093"),
            ("controller.listener.names", "CONTROLLER"),
            ("listeners", "PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093"),
        ];
        Plan {
            format: FormatRequest::default(),
            settings: settings.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
            snapshots: SnapshotPolicy { bytes_max: u64::MAX, interval: None },
            idle: None,
        }
    }
}

/// A node and its surroundings.
pub struct World {
    pub plan: Plan,
    pub disk: Disk,
    pub node: MetadataNode,
    pub now: Now,
    pub published: Vec<Arc<MetadataImage>>,
    start: Now,
    random: Arc<Counted>,
    requests: u64,
    answers: BTreeMap<RequestId, Option<Answer>>,
}

pub const NODE: i32 = 1;

pub fn own_voter() -> Voter {
    let directory = Some(DirectoryId(Uuid::from_bytes([7; 16])));
    Voter {
        key: ReplicaKey { id: BrokerId::new(NODE).unwrap(), directory },
        endpoints: vec![VoterEndpoint {
            listener: "CONTROLLER".to_owned(),
            host: "localhost".to_owned(),
            port: 9093,
        }],
        kraft_versions: VersionRange { min: 0, max: 1 },
    }
}

fn voters() -> Voters {
    Voters::new([own_voter()]).unwrap()
}

impl World {
    /// A node that was formatted and started for the first time.
    pub fn new(plan: Plan) -> World {
        let now = Now { wall: Timestamp::from_millis(1_000_000), monotonic: Instant::now() };
        let cluster = NewCluster::new(&plan.format).unwrap();
        let mut disk = Disk { bootstrap: cluster.bootstrap_file(&[], now.wall).unwrap(), ..Disk::default() };
        if plan.format.dynamic_quorum {
            disk.snapshots
                .insert(SnapshotId::BOOTSTRAP, cluster.voters_snapshot(&voters(), now.wall).unwrap());
        }
        World::on_disk(plan, disk, now)
    }

    /// A node that finds these files.
    pub fn on_disk(plan: Plan, disk: Disk, now: Now) -> World {
        let random = Arc::new(Counted(AtomicU64::new(42)));
        let node = started(&plan, &disk, &random, now);
        let (published, answers) = (Vec::new(), BTreeMap::new());
        let mut world = World { plan, disk, node, now, published, start: now, random, requests: 0, answers };
        world.node.start(now).unwrap();
        world.settle();
        world
    }

    /// The process dies. What was not flushed is lost if `all` is false.
    pub fn restart(&mut self, all: bool) {
        if !all {
            self.disk.log.truncate(self.disk.flushed);
        }
        self.node = started(&self.plan, &self.disk, &self.random, self.now);
        self.published.clear();
        self.node.start(self.now).unwrap();
        self.settle();
    }

    /// Milliseconds pass, in steps no longer than the node's own deadlines.
    pub fn pass(&mut self, millis: u64) {
        let end = self.now.monotonic + Duration::from_millis(millis);
        while self.now.monotonic < end {
            let next = self.node.deadline().map_or(end, |deadline| deadline.min(end));
            self.set_time(next.max(self.now.monotonic));
            self.node.on_time(self.now).unwrap();
            self.settle();
            if next < end && self.node.deadline().is_some_and(|deadline| deadline <= self.now.monotonic) {
                panic!("a deadline that was served is still there");
            }
        }
    }

    fn set_time(&mut self, monotonic: Instant) {
        let passed = i64::try_from(monotonic.duration_since(self.start.monotonic).as_millis()).unwrap();
        self.now = Now { wall: self.start.wall.plus_millis(passed), monotonic };
    }

    /// Asks and waits for the answer.
    pub fn ask(&mut self, command: Command) -> Answer {
        let request = self.send(command);
        self.settle();
        self.answers.remove(&request).expect("every command is answered").expect("the node leads")
    }

    /// Asks without waiting.
    pub fn send(&mut self, command: Command) -> RequestId {
        self.requests += 1;
        let request = RequestId(self.requests);
        self.node.on_command(request, &command, self.now).unwrap();
        request
    }

    pub fn is_answered(&self, request: RequestId) -> bool {
        self.answers.contains_key(&request)
    }

    pub fn is_refused(&self, request: RequestId) -> bool {
        self.answers.get(&request).is_some_and(Option::is_none)
    }

    /// Does everything that the node wants done.
    pub fn settle(&mut self) {
        while let Some(action) = self.node.poll_action() {
            self.execute(action);
        }
    }

    /// Does everything but flushing the log.
    pub fn settle_without_flush(&mut self) -> Option<Offset> {
        while let Some(action) = self.node.poll_action() {
            if let NodeAction::Flush { end } = action {
                return Some(end);
            }
            self.execute(action);
        }
        None
    }

    fn execute(&mut self, action: NodeAction) {
        match action {
            NodeAction::Persist(content) => {
                self.disk.quorum_state = Some(content);
                self.node.on_persisted(self.now).unwrap();
            }
            NodeAction::Append { batch, base_offset, epoch } => {
                assert_eq!(base_offset, self.log_end(), "a batch goes to the end of the log");
                let read = read_batches(&batch).unwrap();
                assert_eq!(read[0].position.epoch, epoch);
                self.disk.log.push((base_offset, batch));
            }
            NodeAction::Flush { end } => {
                assert_eq!(end, self.log_end());
                self.disk.flushed = self.disk.log.len();
                self.node.on_flushed(end, self.now).unwrap();
            }
            NodeAction::Publish { image, changes } => {
                let before = self.published.last().cloned().unwrap_or_default();
                assert_eq!(*changes, ottla_metadata::image::ImageChanges::between(&before, &image));
                self.published.push(image);
            }
            NodeAction::Answer { request, answer } => {
                let answer = answer.ok().map(|answer| *answer);
                assert!(self.answers.insert(request, answer).is_none(), "one answer to each command");
            }
            NodeAction::WriteSnapshot { id, content } => {
                self.disk.snapshots.insert(id, content);
            }
        }
    }

    pub fn log_end(&self) -> Offset {
        self.disk.log.last().map_or_else(
            || self.disk.snapshots.keys().next_back().map_or(Offset::ZERO, |id| id.end),
            |(_, batch)| read_batches(batch).unwrap()[0].last_offset.next(),
        )
    }

    /// The newest image that everybody may see.
    pub fn image(&self) -> Arc<MetadataImage> {
        Arc::clone(self.node.published())
    }

    /// All metadata records in the log, NoOp records left out.
    pub fn records(&self) -> Vec<MetadataRecord> {
        let mut records = Vec::new();
        for (_, batch) in &self.disk.log {
            for batch in read_batches(batch).unwrap() {
                if let ottla_metadata::records::BatchContent::Records(of_batch) = batch.content {
                    records.extend(of_batch.into_iter().map(|(_, record)| record.record));
                }
            }
        }
        records.retain(|record| !matches!(record, MetadataRecord::NoOp(_)));
        records
    }
}

fn started(plan: &Plan, disk: &Disk, random: &Arc<Counted>, now: Now) -> MetadataNode {
    node_of(plan, disk, (own_voter(), voters(), Arc::clone(random)), now)
}

/// A node that has read these files and was not started.
pub fn node_on(plan: &Plan, disk: &Disk, now: Now) -> MetadataNode {
    node_as(plan, disk, own_voter(), now)
}

/// The same as another voter than the usual one.
pub fn node_as(plan: &Plan, disk: &Disk, own: Voter, now: Now) -> MetadataNode {
    let voters = Voters::new([own.clone()]).unwrap();
    node_of(plan, disk, (own, voters, Arc::new(Counted(AtomicU64::new(42)))), now)
}

/// The same with other voters in its configuration.
pub fn node_with_voters(plan: &Plan, disk: &Disk, voters: Voters, now: Now) -> MetadataNode {
    node_of(plan, disk, (own_voter(), voters, Arc::new(Counted(AtomicU64::new(42)))), now)
}

fn node_of(
    plan: &Plan,
    disk: &Disk,
    (own, voters, random): (Voter, Voters, Arc<Counted>),
    now: Now,
) -> MetadataNode {
    let node = BrokerId::new(NODE).unwrap();
    let cluster = ClusterId::new("cluster").unwrap();
    let setup = NodeSetup {
        quorum: QuorumSetup { own: own.key, cluster: cluster.clone() },
        controller: ControllerSetup {
            node,
            cluster,
            settings: Layers::new(plan.settings.clone()),
            voters: vec![node],
            session_timeout: Duration::from_millis(9_000),
        },
        snapshots: plan.snapshots,
        idle_interval: plan.idle,
    };
    let election = disk.quorum_state.as_ref().map(|bytes| ElectionState::from_bytes(bytes).unwrap());
    let newest = disk.snapshots.last_key_value();
    let snapshot = newest.map(|(id, bytes)| (*id, Snapshot::read(bytes).unwrap()));
    let bootstrap =
        if disk.bootstrap.is_empty() { Vec::new() } else { read_bootstrap_file(&disk.bootstrap).unwrap() };
    let start = NodeStart { election, bootstrap, voters, snapshot };
    let log_start = newest.map_or(Offset::ZERO, |(id, _)| id.end);
    let mut node = MetadataNode::new(setup, start, random, now).unwrap();
    for (base, batch) in &disk.log {
        if *base >= log_start {
            for batch in read_batches(batch).unwrap() {
                node.on_log_read(&batch).unwrap();
            }
        }
    }
    node
}
