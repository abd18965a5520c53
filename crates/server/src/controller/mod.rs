//! The controller on this node: metadata log, quorum and controller behind one task, and the way to ask it.
//!
//! Owns: `ControllerHandle`, what it carries to the task and back.
//! Does not own: decisions (`metadata::controller`), consensus (`metadata::quorum`), files (`metadata_log`).
//!
//! Source: requirements API-03, KRF-04, KRF-08; architecture, "Metadata".

mod driver;
mod metadata_log;

use std::sync::Arc;
use std::time::Duration;

use ottla_env::sync::{mpsc, oneshot, watch};
use ottla_env::time::timeout;
use ottla_metadata::controller::{Answer, Command};
use ottla_metadata::image::{Endpoint, MetadataImage};
use ottla_model::{BrokerId, DirectoryId, LeaderEpoch, Offset, Timestamp};
use ottla_protocol::ErrorCode;

pub use driver::{Driver, DriverError, moment};
pub use metadata_log::{MetadataLog, MetadataLogError, read_file};

/// Commands that may wait for the controller; a sender beyond them waits for its turn.
pub const COMMAND_QUEUE_LENGTH: usize = 1024;

/// What the controller's task is told.
pub enum Message {
    Ask(Command, oneshot::Sender<Result<Answer, ControllerUnavailable>>),
    Describe(oneshot::Sender<Option<QuorumStatus>>),
    Stop(oneshot::Sender<()>),
}

/// Why a command was not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ControllerUnavailable {
    #[error("The active controller appears to be unknown.")]
    NotLeading,
    #[error("The request timed out.")]
    TimedOut,
    /// The metadata log failed; the node stops.
    #[error("The metadata log could not be written.")]
    Failed,
}

impl ControllerUnavailable {
    /// The code that clients see.
    pub fn code(self) -> ErrorCode {
        match self {
            ControllerUnavailable::NotLeading => ErrorCode::NotController,
            ControllerUnavailable::TimedOut => ErrorCode::RequestTimedOut,
            ControllerUnavailable::Failed => ErrorCode::UnknownServerError,
        }
    }
}

/// One member of the quorum, or one that only reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuorumReplica {
    pub id: BrokerId,
    pub directory: DirectoryId,
    pub log_end: Option<Offset>,
    pub last_fetch: Option<Timestamp>,
    pub last_caught_up: Option<Timestamp>,
    pub endpoints: Vec<Endpoint>,
}

/// What DescribeQuorum tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuorumStatus {
    pub leader: BrokerId,
    pub epoch: LeaderEpoch,
    pub high_watermark: Offset,
    pub voters: Vec<QuorumReplica>,
    pub observers: Vec<QuorumReplica>,
}

/// What everyone who follows the metadata is given.
#[derive(Clone, Debug)]
pub struct Published {
    /// The committed state.
    pub image: Arc<MetadataImage>,
    /// Level of `kraft.version`, which is no record of the image.
    pub kraft_version: i16,
    /// Who leads the quorum.
    pub leader: Option<BrokerId>,
}

/// Asks the controller and follows what it publishes.
#[derive(Clone, Debug)]
pub struct ControllerHandle {
    messages: mpsc::Sender<Message>,
    published: watch::Receiver<Published>,
    request_timeout: Duration,
}

impl ControllerHandle {
    pub fn new(
        messages: mpsc::Sender<Message>,
        published: watch::Receiver<Published>,
        request_timeout: Duration,
    ) -> ControllerHandle {
        ControllerHandle { messages, published, request_timeout }
    }

    /// Asks for a decision; answered once it is committed.
    pub async fn ask(&self, command: Command) -> Result<Answer, ControllerUnavailable> {
        let (answer, answered) = oneshot::channel();
        let asked = async {
            let sent = self.messages.send(Message::Ask(command, answer)).await;
            sent.map_err(|_| ControllerUnavailable::NotLeading)?;
            answered.await.unwrap_or(Err(ControllerUnavailable::NotLeading))
        };
        timeout(self.request_timeout, asked).await.unwrap_or(Err(ControllerUnavailable::TimedOut))
    }

    /// The state of the quorum; `None` when this node does not lead it.
    pub async fn status(&self) -> Option<QuorumStatus> {
        let (answer, answered) = oneshot::channel();
        self.messages.send(Message::Describe(answer)).await.ok()?;
        answered.await.ok().flatten()
    }

    /// Ends the task; what was decided is on stable storage then.
    pub async fn stop(&self) {
        let (done, stopped) = oneshot::channel();
        if self.messages.send(Message::Stop(done)).await.is_ok() {
            drop(stopped.await);
        }
    }

    /// Follows the committed metadata. Values may be skipped, the latest one is never missed.
    pub fn follow(&self) -> watch::Receiver<Published> {
        self.published.clone()
    }

    /// What is committed now.
    pub fn published(&self) -> Published {
        self.published.borrow().clone()
    }

    /// Who leads the quorum, −1 if nobody is known to.
    pub fn leader_id(&self) -> i32 {
        self.published.borrow().leader.map_or(-1, BrokerId::value)
    }
}
