//! The metadata of one node: quorum, controller, snapshots and the image that everybody is told.
//!
//! Owns: the routing between those machines, answers that wait for their records to be committed.
//! Does not own: their rules, the log's files, the requests of clients.
//!
//! The owner of the log does what [`MetadataNode::poll_action`] says, in that order, and tells what came of it:
//!
//! ```text
//! new(setup, start) → on_log_read(batches)… → start(now)
//!   Persist(bytes)          write quorum-state, flush it            → on_persisted
//!   Append{batch, base}     write to the log at its end
//!   Flush{end}              flush the log up to its present end     → on_flushed(end)
//!   Publish{image, changes} swap the image, tell the changes to partitions, coordinators, handlers
//!   Answer{request, …}      answer the command
//!   WriteSnapshot{id, …}    write the file, then ask `snapshot::Retention` what may go
//! on_command(request, command)   on_time() at the latest at deadline()   resign() before a clean end
//! ```
//!
//! Invariants
//! - I1 an image is published once all its records are committed, and images are published in log order;
//! - I2 an answer is given after everything it depends on was published;
//! - I3 every command gets exactly one answer.
//!
//! Source: KIP-500, KIP-595, KIP-631; requirements KRF-04, KRF-07.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ottla_env::random::Random;
use ottla_model::{LeaderEpoch, Offset, Timestamp};
use ottla_protocol::messages::NoOpRecord;

use crate::controller::{Answer, Circumstances, Command, Controller, ControllerSetup};
use crate::image::{ApplyError, ImageChanges, MetadataImage, Provenance, Replay};
use crate::quorum::{
    Appended, ElectionState, FetchAnswer, FetchRefused, FollowerFetch, NotLeader, Quorum, QuorumAction,
    QuorumError, QuorumFacts, QuorumSetup, QuorumStart, Voters,
};
use crate::records::{BatchContent, BatchWriteError, MetadataBatch, MetadataRecord};
use crate::snapshot::{
    Snapshot, SnapshotError, SnapshotId, SnapshotPolicy, SnapshotTrigger, VotersInLog, image_snapshot,
};

/// Both readings of the clock at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// For records and for people.
    pub wall: Timestamp,
    /// For deadlines.
    pub monotonic: Instant,
}

/// Names one command. The caller chooses it and finds its requester by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// What a node is told once.
#[derive(Clone, Debug)]
pub struct NodeSetup {
    pub quorum: QuorumSetup,
    pub controller: ControllerSetup,
    pub snapshots: SnapshotPolicy,
    /// `metadata.max.idle.interval.ms`; `None` writes no record when idle.
    pub idle_interval: Option<Duration>,
}

/// What a node finds on disk.
#[derive(Clone, Debug)]
pub struct NodeStart {
    pub election: Option<ElectionState>,
    /// The newest snapshot that was finished.
    pub snapshot: Option<(SnapshotId, Snapshot)>,
    /// The records of `bootstrap.checkpoint`, which begin an empty log.
    pub bootstrap: Vec<MetadataRecord>,
    /// The voters of the configuration, or the node itself. Those of the snapshot and the log win.
    pub voters: Voters,
}

/// What the owner of the log has to do.
#[derive(Clone, Debug, PartialEq)]
pub enum NodeAction {
    /// Replace `quorum-state` on stable storage, then say `on_persisted`.
    Persist(Vec<u8>),
    /// Append a batch to the log, whose end is `base_offset`.
    Append { batch: Vec<u8>, base_offset: Offset, epoch: LeaderEpoch },
    /// Bring the log to stable storage up to its end, then say `on_flushed`. What is appended meanwhile waits for
    /// the next one, so commands that come together share a flush.
    Flush { end: Offset },
    /// Everybody may see this image now.
    Publish { image: Arc<MetadataImage>, changes: Box<ImageChanges> },
    /// The answer to a command.
    Answer { request: RequestId, answer: Result<Box<Answer>, NotLeader> },
    /// Write a snapshot.
    WriteSnapshot { id: SnapshotId, content: Vec<u8> },
}

/// Why the metadata of a node cannot go on. The process must end: its state is not to be trusted.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    #[error("the snapshot cannot be used")]
    Snapshot(#[from] SnapshotError),
    #[error("a record of the metadata log cannot be applied")]
    Apply(#[from] ApplyError),
    #[error("the quorum cannot go on")]
    Quorum(#[from] QuorumError),
    #[error("records cannot be written")]
    Write(#[from] BatchWriteError),
}

/// Most records of one batch. What a decision leads to beyond that is written in several.
const RECORDS_PER_BATCH_MAX: usize = 10_000;

/// The metadata of one node.
#[derive(Debug)]
pub struct MetadataNode {
    quorum: Quorum,
    controller: Controller,
    random: Arc<dyn Random>,
    bootstrap: Vec<MetadataRecord>,
    idle_interval: Option<Duration>,
    next_idle: Option<Instant>,
    trigger: SnapshotTrigger,
    /// Images whose last record is not committed yet, with the bytes their batch added to the log.
    pending: VecDeque<PendingImage>,
    published: Arc<MetadataImage>,
    waiting: VecDeque<WaitingAnswer>,
    actions: VecDeque<NodeAction>,
}

#[derive(Debug)]
struct PendingImage {
    end: Offset,
    bytes: u64,
    image: MetadataImage,
}

#[derive(Debug)]
struct WaitingAnswer {
    end: Offset,
    request: RequestId,
    answer: Box<Answer>,
}

impl MetadataNode {
    /// A node that knows its snapshot and has not read its log.
    pub fn new(
        setup: NodeSetup,
        start: NodeStart,
        random: Arc<dyn Random>,
        now: Now,
    ) -> Result<MetadataNode, NodeError> {
        let (id, snapshot) = start.snapshot.unzip();
        let image = match (id, &snapshot) {
            (Some(id), Some(snapshot)) => snapshot.image(id)?,
            (_, _) => MetadataImage::default(),
        };
        let id = id.unwrap_or(SnapshotId::BOOTSTRAP);
        let kraft_version = snapshot.as_ref().map_or(0, |snapshot| snapshot.kraft_version);
        let voters = snapshot.and_then(|snapshot| snapshot.voters).unwrap_or(start.voters);
        let quorum_start = QuorumStart {
            election: start.election,
            voters,
            kraft_version,
            recorded: id != SnapshotId::BOOTSTRAP,
            log_start: id.end,
            epoch: id.epoch,
        };
        let mut node = MetadataNode {
            quorum: Quorum::new(setup.quorum, quorum_start),
            controller: Controller::new(setup.controller, Replay::from_image(image)),
            random,
            bootstrap: start.bootstrap,
            idle_interval: setup.idle_interval,
            next_idle: None,
            trigger: SnapshotTrigger::new(setup.snapshots, now.monotonic),
            pending: VecDeque::new(),
            published: Arc::new(MetadataImage::default()),
            waiting: VecDeque::new(),
            actions: VecDeque::new(),
        };
        node.note_image(id.end, 0);
        Ok(node)
    }

    /// A batch that the log has already, in order from the end of the snapshot.
    pub fn on_log_read(&mut self, batch: &MetadataBatch) -> Result<(), NodeError> {
        self.quorum.on_batch_read(batch)?;
        if let BatchContent::Records(records) = &batch.content {
            for (at, record) in records {
                self.controller.replay(&record.record, *at)?;
            }
        }
        let position = batch.position;
        let (offset, epoch) = (batch.last_offset, position.epoch);
        self.controller.advance(Provenance { offset, epoch, timestamp: position.timestamp });
        self.note_image(offset.next(), u64::try_from(batch.size).unwrap_or(u64::MAX));
        Ok(())
    }

    /// The log was read to its end: take part in the quorum.
    pub fn start(&mut self, now: Now) -> Result<(), NodeError> {
        self.quorum.start()?;
        self.route(now)
    }

    /// `quorum-state` is on stable storage.
    pub fn on_persisted(&mut self, now: Now) -> Result<(), NodeError> {
        if let Some(first) = self.quorum.on_persisted(now.wall)? {
            self.advance_to(first, now);
            let bootstrap = std::mem::take(&mut self.bootstrap);
            let random = Arc::clone(&self.random);
            let circumstances = circumstances(&self.quorum, random.as_ref(), now.monotonic);
            let records = self.controller.activate(circumstances, &bootstrap);
            self.append(&records, now)?;
            self.next_idle = self.idle_interval.map(|interval| now.monotonic + interval);
        }
        self.route(now)
    }

    /// The log is on stable storage up to `end`.
    pub fn on_flushed(&mut self, end: Offset, now: Now) -> Result<(), NodeError> {
        self.quorum.on_flushed(end);
        self.route(now)
    }

    /// Somebody asks for a change.
    pub fn on_command(&mut self, request: RequestId, command: &Command, now: Now) -> Result<(), NodeError> {
        if !self.quorum.is_leader() {
            self.refuse(request);
            return Ok(());
        }
        self.controller.on_contact(command, now.monotonic);
        let random = Arc::clone(&self.random);
        let decision =
            self.controller.decide(command, circumstances(&self.quorum, random.as_ref(), now.monotonic));
        self.append(&decision.records, now)?;
        if let Answer::UpdateFeatures(Ok(updated)) = &decision.answer
            && let Some(level) = updated.kraft_version
        {
            let appended = self.quorum.raise_kraft_version(level, now.wall)?;
            self.advance_to(appended, now);
        }
        // An answer without records waits, too: what it was read from must be committed.
        let end = self.quorum.log_end();
        self.controller.on_decided(command, &decision.answer, end);
        self.waiting.push_back(WaitingAnswer { end, request, answer: Box::new(decision.answer) });
        self.route(now)
    }

    /// Time went on: sessions end, an idle log gets its record.
    pub fn on_time(&mut self, now: Now) -> Result<(), NodeError> {
        if !self.quorum.is_leader() {
            return Ok(());
        }
        let random = Arc::clone(&self.random);
        while let Some(records) =
            self.controller.expire_session(circumstances(&self.quorum, random.as_ref(), now.monotonic))
        {
            self.append(&records, now)?;
        }
        if let (Some(next), Some(interval)) = (self.next_idle, self.idle_interval)
            && next <= now.monotonic
        {
            self.append(&[MetadataRecord::from(NoOpRecord {})], now)?;
            // Kafka writes these at a fixed rate; a late one does not shift the others, unless it is very late.
            self.next_idle = Some((next + interval).max(now.monotonic));
        }
        self.route(now)
    }

    /// When `on_time` has to be called at the latest.
    pub fn deadline(&self) -> Option<Instant> {
        if !self.quorum.is_leader() {
            return None;
        }
        [self.controller.deadline(), self.next_idle].into_iter().flatten().min()
    }

    /// Stops leading, as the last thing before a clean end. Commands that wait are told so.
    pub fn resign(&mut self) {
        self.quorum.resign();
        self.controller.deactivate();
        self.next_idle = None;
        for waiting in std::mem::take(&mut self.waiting) {
            self.refuse(waiting.request);
        }
    }

    /// The next thing to do.
    pub fn poll_action(&mut self) -> Option<NodeAction> {
        self.actions.pop_front().or_else(|| self.quorum.poll_flush().map(|end| NodeAction::Flush { end }))
    }
}

/// Views.
impl MetadataNode {
    /// The image that was published last.
    pub fn published(&self) -> &Arc<MetadataImage> {
        &self.published
    }

    /// Who leads, who votes, what is committed.
    pub fn quorum(&self) -> &Quorum {
        &self.quorum
    }

    /// The facts of DescribeQuorum.
    pub fn describe_quorum(&self, now: Now) -> Result<QuorumFacts, NotLeader> {
        self.quorum.describe(now.wall)
    }

    /// Another replica of the metadata log asks for records.
    pub fn on_fetch(&mut self, fetch: &FollowerFetch, now: Now) -> Result<FetchAnswer, FetchRefused> {
        self.quorum.on_fetch(fetch, now.wall)
    }
}

/// Routing.
impl MetadataNode {
    fn append(&mut self, records: &[MetadataRecord], now: Now) -> Result<(), NodeError> {
        for records in records.chunks(RECORDS_PER_BATCH_MAX) {
            let level = self.controller.latest().features.metadata_version();
            let appended = self.quorum.append(records, level, now.wall)?;
            let offsets = (appended.base_offset.value()..).filter_map(Offset::new);
            for (at, record) in offsets.zip(records) {
                self.controller.replay(record, at)?;
            }
            self.advance_to(appended, now);
        }
        Ok(())
    }

    fn advance_to(&mut self, appended: Appended, now: Now) {
        let offset = appended.end.previous().unwrap_or(Offset::ZERO);
        let provenance = Provenance { offset, epoch: self.quorum.epoch(), timestamp: now.wall };
        self.controller.advance(provenance);
        self.note_image(appended.end, appended.bytes);
    }

    fn note_image(&mut self, end: Offset, bytes: u64) {
        self.pending.push_back(PendingImage { end, bytes, image: self.controller.visible().clone() });
    }

    fn refuse(&mut self, request: RequestId) {
        let refused = NotLeader { epoch: self.quorum.epoch(), leader: self.quorum.leader() };
        self.actions.push_back(NodeAction::Answer { request, answer: Err(refused) });
    }

    /// Publishes what is committed now, then gives the answers that waited for it.
    fn route(&mut self, now: Now) -> Result<(), NodeError> {
        while let Some(action) = self.quorum.poll_action() {
            self.actions.push_back(match action {
                QuorumAction::Persist(content) => NodeAction::Persist(content),
                QuorumAction::Append { batch, base_offset, epoch } => {
                    NodeAction::Append { batch, base_offset, epoch }
                }
            });
        }
        let Some(high_watermark) = self.quorum.high_watermark() else { return Ok(()) };
        self.publish(high_watermark, now)?;
        while let Some(waiting) = self.waiting.pop_front_if(|waiting| waiting.end <= high_watermark) {
            let (request, answer) = (waiting.request, Ok(waiting.answer));
            self.actions.push_back(NodeAction::Answer { request, answer });
        }
        Ok(())
    }

    fn publish(&mut self, high_watermark: Offset, now: Now) -> Result<(), NodeError> {
        let mut newest = None;
        let mut bytes = 0_u64;
        while let Some(pending) = self.pending.pop_front_if(|pending| pending.end <= high_watermark) {
            bytes = bytes.saturating_add(pending.bytes);
            newest = Some(pending.image);
        }
        let Some(image) = newest else { return Ok(()) };
        let changes = ImageChanges::between(&self.published, &image);
        self.published = Arc::new(image);
        let image = Arc::clone(&self.published);
        self.actions.push_back(NodeAction::Publish { image, changes: Box::new(changes) });
        if self.trigger.on_committed(bytes, now.monotonic) {
            self.take_snapshot(now)?;
        }
        Ok(())
    }

    fn take_snapshot(&mut self, now: Now) -> Result<(), NodeError> {
        let voters = VotersInLog { voters: self.quorum.voters(), kraft_version: self.quorum.kraft_version() };
        if let Some(snapshot) = image_snapshot(&self.published, voters, now.wall) {
            let (id, content) = snapshot?;
            self.actions.push_back(NodeAction::WriteSnapshot { id, content });
        }
        Ok(())
    }
}

fn circumstances<'a>(quorum: &Quorum, random: &'a dyn Random, now: Instant) -> Circumstances<'a> {
    Circumstances { random, next_offset: quorum.log_end(), kraft_version: quorum.kraft_version(), now }
}
