//! A coordinator shard over a log in memory, in virtual time.
//!
//! Owns: the log, the clock, appends that succeed, wait or fail, restarts by replay.
//! Does not own: what is asked and what is expected.
//!
//! Invariants
//! - every request is answered at most once, and only if it was asked.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ottla_coordinator::GroupConfig;
use ottla_coordinator::group::{ClusterView, GroupAnswer, GroupCommand, GroupShard};
use ottla_coordinator::runtime::{
    DecidedTransaction, EncodedRecord, Now, Reply, RequestId, Runtime, TransactionOutcome, Unavailable,
};
use ottla_model::{Offset, ProducerId, Timestamp};

/// Wall-clock time at the start of every story.
pub const WALL_START: i64 = 1_000_000;

pub struct World {
    pub runtime: Runtime<GroupShard>,
    pub config: GroupConfig,
    /// The cluster as the shard is told it is.
    pub view: Arc<ClusterView>,
    /// Records; a marker is one without a key.
    pub log: Vec<EncodedRecord>,
    /// The producers of records that were written in a transaction, by their place in the log.
    producers: BTreeMap<usize, ProducerId>,
    markers: BTreeMap<usize, DecidedTransaction>,
    /// Records that are committed.
    pub committed: usize,
    /// Whether appended records are committed at once.
    pub commits: bool,
    /// What the next append runs into.
    pub failure: Option<Unavailable>,
    pub open: BTreeSet<RequestId>,
    start: Instant,
    now: Duration,
    next_request: u64,
}

impl World {
    pub fn new(config: GroupConfig) -> World {
        let mut world = World {
            runtime: Runtime::new(GroupShard::new(config), config.runtime()),
            config,
            view: Arc::default(),
            log: Vec::new(),
            producers: BTreeMap::new(),
            markers: BTreeMap::new(),
            committed: 0,
            commits: true,
            failure: None,
            open: BTreeSet::new(),
            start: Instant::now(),
            now: Duration::ZERO,
            next_request: 0,
        };
        world.runtime.on_loaded(Offset::ZERO, world.now());
        world
    }

    pub fn now(&self) -> Now {
        let millis = i64::try_from(self.now.as_millis()).unwrap();
        Now { at: self.start + self.now, wall: Timestamp::from_millis(WALL_START + millis) }
    }

    pub fn elapsed(&self) -> Duration {
        self.now
    }

    pub fn ask(&mut self, command: GroupCommand) -> RequestId {
        let request = RequestId(self.next_request);
        self.next_request += 1;
        self.open.insert(request);
        let now = self.now();
        self.runtime.on_command(request, command, now);
        request
    }

    /// The cluster changes, and the shard is told.
    pub fn change_view(&mut self, view: ClusterView) -> RequestId {
        self.view = Arc::new(view);
        self.ask(GroupCommand::View(self.view.clone()))
    }

    /// Appends, commits and lets timers ring until nothing moves, and collects the answers.
    pub fn pump(&mut self) -> Vec<Reply<GroupAnswer>> {
        let mut replies = Vec::new();
        loop {
            while let Some(batch) = self.runtime.poll_append() {
                assert!(!batch.records.is_empty(), "an empty batch");
                match self.failure.take() {
                    Some(why) => self.runtime.on_append_failed(why, self.now()),
                    None => {
                        let places = self.log.len()..self.log.len() + batch.records.len();
                        if let Some(author) = batch.author {
                            self.producers.extend(places.map(|place| (place, author.producer)));
                        }
                        self.log.extend(batch.records);
                        self.runtime.on_appended(offset(self.log.len() - 1));
                    }
                }
            }
            if self.commits {
                self.commit_all();
            }
            while let Some(reply) = self.runtime.poll_reply() {
                assert!(self.open.remove(&reply.request), "{:?} was answered twice", reply.request);
                replies.push(reply);
            }
            let now = self.now();
            if self.runtime.deadline().is_none_or(|at| at > now.at) {
                return replies;
            }
            self.runtime.on_deadline(now);
        }
    }

    /// Ends a transaction, as its coordinator would.
    pub fn mark(&mut self, producer: ProducerId, outcome: TransactionOutcome) {
        let decided = DecidedTransaction { producer, outcome };
        self.markers.insert(self.log.len(), decided);
        self.log.push(EncodedRecord { key: Default::default(), value: None });
        self.runtime.on_marker_appended(decided, offset(self.log.len() - 1), self.now());
    }

    pub fn commit_all(&mut self) {
        self.committed = self.log.len();
        self.runtime.on_high_watermark(offset(self.committed));
    }

    /// Lets time pass, stopping wherever a timer rings.
    pub fn wait_until(&mut self, target: Duration) -> Vec<Reply<GroupAnswer>> {
        let mut replies = self.pump();
        while let Some(at) = self.runtime.deadline().filter(|at| *at <= self.start + target) {
            self.now = self.now.max(at - self.start);
            replies.extend(self.pump());
        }
        self.now = self.now.max(target);
        replies.extend(self.pump());
        replies
    }

    /// The process dies and starts again: what was not committed may be lost, all that waited is cut off.
    pub fn restart(&mut self, surviving: usize) {
        assert!(surviving >= self.committed);
        self.log.truncate(surviving);
        self.producers.split_off(&surviving);
        self.markers.split_off(&surviving);
        self.open.clear();
        let shard = GroupShard::new(self.config).with_view(self.view.clone());
        self.runtime = Runtime::new(shard, self.config.runtime());
        self.load();
        self.commit_all();
    }

    /// Reads the log into a runtime that has read nothing yet.
    pub fn load(&mut self) {
        self.runtime = self.replayed();
        let now = self.now();
        self.runtime.on_loaded(offset(self.log.len()), now);
    }

    /// A runtime that has just replayed the whole log.
    pub fn replayed(&self) -> Runtime<GroupShard> {
        let mut replayed =
            Runtime::new(GroupShard::new(self.config).with_view(self.view.clone()), self.config.runtime());
        for (place, record) in self.log.iter().enumerate() {
            match self.markers.get(&place) {
                Some(decided) => replayed.on_transaction_marker(decided.producer, decided.outcome),
                None => replayed.on_record(record.clone(), self.producers.get(&place).copied()).unwrap(),
            }
        }
        replayed
    }
}

pub fn offset(index: usize) -> Offset {
    Offset::new(i64::try_from(index).unwrap()).unwrap()
}
