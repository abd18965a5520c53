//! A shard of transactions, its log, and the markers it wants written.
//!
//! Owns: the log, the clock, fresh producer ids, appends that succeed, wait or fail, restarts by replay.
//! Does not own: the partitions that get the markers, what is asked and what is expected.

use std::time::{Duration, Instant};

use ottla_coordinator::TransactionConfig;
use ottla_coordinator::runtime::{EncodedRecord, Now, Reply, RequestId, Runtime, Unavailable};
use ottla_coordinator::transaction::{
    Expire, Marking, TransactionAnswer, TransactionCommand, TransactionEffect, TransactionShard,
};
use ottla_model::{Offset, ProducerId, Timestamp, TransactionVersion};

use crate::world::offset;

/// Wall-clock time at the start of every story.
pub const WALL_START: i64 = 1_000_000;

pub struct World {
    pub runtime: Runtime<TransactionShard>,
    pub config: TransactionConfig,
    pub version: TransactionVersion,
    pub log: Vec<EncodedRecord>,
    pub committed: usize,
    /// Whether appended records are committed at once.
    pub commits: bool,
    /// What the next append runs into.
    pub failure: Option<Unavailable>,
    /// Markers that were asked for, the oldest first.
    pub markings: Vec<Marking>,
    pub next_producer: i64,
    start: Instant,
    now: Duration,
    next_request: u64,
}

impl World {
    pub fn new(config: TransactionConfig, version: TransactionVersion) -> World {
        let mut world = World {
            runtime: Runtime::new(TransactionShard::new(config, version), config.runtime()),
            config,
            version,
            log: Vec::new(),
            committed: 0,
            commits: true,
            failure: None,
            markings: Vec::new(),
            next_producer: 1,
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

    pub fn fresh(&mut self) -> ProducerId {
        self.next_producer += 1;
        ProducerId::new(self.next_producer - 1).unwrap()
    }

    pub fn ask(&mut self, command: TransactionCommand) -> RequestId {
        let request = RequestId(self.next_request);
        self.next_request += 1;
        let now = self.now();
        self.runtime.on_command(request, command, now);
        request
    }

    /// Asks and hears, as a server does that has producer ids. The answer is `None` while the log waits.
    pub fn hear(&mut self, mut command: TransactionCommand) -> Option<TransactionAnswer> {
        let request = self.ask(command.clone());
        let answer = self.pump().into_iter().find(|reply| reply.request == request)?.answer;
        if !answer.needs_producer_id() {
            return Some(answer);
        }
        let fresh = self.fresh();
        command.give_producer_id(fresh);
        let request = self.ask(command);
        Some(self.pump().into_iter().find(|reply| reply.request == request)?.answer)
    }

    /// Appends, commits and lets timers ring until nothing moves, and collects the answers.
    pub fn pump(&mut self) -> Vec<Reply<TransactionAnswer>> {
        let mut replies = Vec::new();
        loop {
            while let Some(batch) = self.runtime.poll_append() {
                match self.failure.take() {
                    Some(why) => self.runtime.on_append_failed(why, self.now()),
                    None => {
                        self.log.extend(batch.records);
                        self.runtime.on_appended(offset(self.log.len() - 1));
                    }
                }
            }
            if self.commits {
                self.commit_all();
            }
            replies.extend(std::iter::from_fn(|| self.runtime.poll_reply()));
            let mut fetched = false;
            while let Some(effect) = self.runtime.poll_effect() {
                match effect {
                    TransactionEffect::Mark(marking) => self.markings.push(marking),
                    TransactionEffect::FetchProducerId { id, producer } => {
                        let fresh = self.fresh();
                        self.ask(TransactionCommand::Expire(Expire { id, producer, fresh }));
                        fetched = true;
                    }
                }
            }
            let now = self.now();
            if self.runtime.deadline().is_some_and(|at| at <= now.at) {
                self.runtime.on_deadline(now);
            } else if !fetched {
                return replies;
            }
        }
    }

    pub fn commit_all(&mut self) {
        self.committed = self.log.len();
        self.runtime.on_high_watermark(offset(self.committed));
    }

    /// Lets time pass, stopping wherever a timer rings.
    pub fn wait_until(&mut self, target: Duration) -> Vec<Reply<TransactionAnswer>> {
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
        self.markings.clear();
        self.runtime = self.replayed();
        let (end, now) = (offset(self.log.len()), self.now());
        self.runtime.on_loaded(end, now);
        self.commit_all();
    }

    /// A runtime that has just replayed the whole log.
    pub fn replayed(&self) -> Runtime<TransactionShard> {
        let shard = TransactionShard::new(self.config, self.version);
        let mut replayed = Runtime::new(shard, self.config.runtime());
        for record in &self.log {
            replayed.on_record(record.clone(), None).unwrap();
        }
        replayed
    }
}
