//! The task that drives the metadata machine over the metadata log.
//!
//! Owns: doing what the machine asks for, in its order; who waits for which answer.
//! Does not own: what is decided and when it is committed (`metadata`), files (`metadata_log`).
//!
//! Commands that wait together share one flush.
//!
//! Invariants
//! - C1 every command is answered, also when the task ends;
//! - C2 the metadata log failing ends the task, and with it the node: nobody decides on a log that cannot be written.
//!
//! Source: requirements KRF-02, KRF-07, REG-02; architecture, "Metadata".

use std::collections::HashMap;

use ottla_env::sync::{mpsc, oneshot, watch};
use ottla_env::task;
use ottla_env::time::{now, sleep_until_some, wall_now};
use ottla_metadata::controller::{Answer, Command};
use ottla_metadata::image::Endpoint;
use ottla_metadata::quorum::ReplicaFacts;
use ottla_metadata::snapshot::{Retention, SnapshotId};
use ottla_metadata::{MetadataNode, NodeAction, NodeError, Now, RequestId};
use ottla_model::{BrokerId, DirectoryId};

use super::metadata_log::{MetadataLog, MetadataLogError};
use super::{ControllerUnavailable, Message, Published, QuorumReplica, QuorumStatus};

/// Commands decided before one flush.
const COMMANDS_PER_FLUSH_MAX: usize = 256;

/// Why the task ended.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    #[error("the metadata log failed")]
    Log(#[from] MetadataLogError),
    #[error("the metadata cannot go on")]
    Node(#[from] NodeError),
}

type Asker = oneshot::Sender<Result<Answer, ControllerUnavailable>>;

/// The controller's task.
pub struct Driver {
    node: MetadataNode,
    log: MetadataLog,
    retention: Retention,
    next_request: u64,
    waiting: HashMap<RequestId, Asker>,
    published: watch::Sender<Published>,
}

/// Both clocks at one moment.
pub fn moment() -> Now {
    Now { wall: wall_now(), monotonic: now() }
}

impl Driver {
    /// Takes over a machine that has read its snapshot and the log, and has not started.
    pub fn new(
        node: MetadataNode,
        log: MetadataLog,
        retention: Retention,
    ) -> (Driver, watch::Receiver<Published>) {
        let first = published(&node);
        let (published, receiver) = watch::channel(first);
        let driver = Driver { node, log, retention, next_request: 0, waiting: HashMap::new(), published };
        (driver, receiver)
    }

    /// Serves until it is told to stop; an error means that the metadata log cannot be used any more.
    pub async fn run(mut self, mut messages: mpsc::Receiver<Message>) -> Result<(), DriverError> {
        self.node.start(moment())?;
        loop {
            self.work()?;
            let deadline = self.node.deadline();
            let message = task::select! {
                biased;
                message = messages.recv() => Some(message),
                () = sleep_until_some(deadline) => None,
            };
            let Some(message) = message else {
                self.node.on_time(moment())?;
                continue;
            };
            let Some(first) = message else { return self.stop() };
            let mut stop = self.on_message(first)?;
            for _ in 1..COMMANDS_PER_FLUSH_MAX {
                let Ok(next) = messages.try_recv() else { break };
                stop = self.on_message(next)?.or(stop);
            }
            if let Some(done) = stop {
                self.stop()?;
                // Whoever asked may be gone; the log is closed all the same.
                let _ = done.send(());
                return Ok(());
            }
        }
    }

    fn stop(mut self) -> Result<(), DriverError> {
        self.work()?;
        self.node.resign();
        self.work()?;
        self.log.close()?;
        Ok(())
    }

    fn on_message(&mut self, message: Message) -> Result<Option<oneshot::Sender<()>>, DriverError> {
        match message {
            Message::Stop(done) => return Ok(Some(done)),
            Message::Describe(asker) => drop(asker.send(self.describe())),
            Message::Ask(command, asker) => self.on_command(&command, asker)?,
        }
        Ok(None)
    }

    fn on_command(&mut self, command: &Command, asker: Asker) -> Result<(), DriverError> {
        let request = RequestId(self.next_request);
        self.next_request += 1;
        self.waiting.insert(request, asker);
        self.node.on_command(request, command, moment())?;
        Ok(())
    }

    fn work(&mut self) -> Result<(), DriverError> {
        while let Some(action) = self.node.poll_action() {
            self.act(action)?;
        }
        let leader = self.node.quorum().leader();
        if self.published.borrow().leader != leader {
            self.published.send_replace(published(&self.node));
        }
        Ok(())
    }

    fn act(&mut self, action: NodeAction) -> Result<(), DriverError> {
        match action {
            NodeAction::Persist(content) => {
                self.log.write_quorum_state(&content)?;
                self.node.on_persisted(moment())?;
            }
            NodeAction::Append { batch, base_offset, epoch } => self.log.append(batch, base_offset, epoch)?,
            NodeAction::Flush { end } => {
                self.log.flush()?;
                self.node.on_flushed(end, moment())?;
            }
            NodeAction::Publish { .. } => {
                self.published.send_replace(published(&self.node));
            }
            NodeAction::Answer { request, answer } => {
                let Some(asker) = self.waiting.remove(&request) else { return Ok(()) };
                let answer = answer.map(|answer| *answer).map_err(|_| ControllerUnavailable::NotLeading);
                // Whoever asked may have given up; then nobody misses the answer.
                drop(asker.send(answer));
            }
            NodeAction::WriteSnapshot { id, content } => self.write_snapshot(id, &content)?,
        }
        Ok(())
    }

    fn write_snapshot(&mut self, id: SnapshotId, content: &[u8]) -> Result<(), DriverError> {
        self.log.write_snapshot(id, content)?;
        let files = self.log.snapshot_files()?;
        if let Some(keep) = self.retention.keep_from(&files, self.log.size(), wall_now()) {
            self.log.remove_before(keep)?;
        }
        tracing::info!(snapshot = %id, bytes = content.len(), "metadata snapshot written");
        Ok(())
    }

    fn describe(&self) -> Option<QuorumStatus> {
        let facts = self.node.describe_quorum(moment()).ok()?;
        let cluster = &self.node.published().cluster;
        let endpoints = |id: BrokerId| -> Vec<Endpoint> {
            cluster.controller(id).map(|controller| controller.endpoints.clone()).unwrap_or_default()
        };
        let replica = |facts: ReplicaFacts| QuorumReplica {
            id: facts.key.id,
            directory: facts.key.directory.unwrap_or(DirectoryId::MIGRATING),
            log_end: facts.log_end,
            last_fetch: facts.last_fetch,
            last_caught_up: facts.last_caught_up,
            endpoints: endpoints(facts.key.id),
        };
        Some(QuorumStatus {
            leader: facts.leader,
            epoch: facts.epoch,
            high_watermark: facts.high_watermark?,
            voters: facts.voters.into_iter().map(replica).collect(),
            observers: facts.observers.into_iter().map(replica).collect(),
        })
    }
}

fn published(node: &MetadataNode) -> Published {
    let quorum = node.quorum();
    Published {
        image: node.published().clone(),
        kraft_version: quorum.kraft_version(),
        leader: quorum.leader(),
    }
}
