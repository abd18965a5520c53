//! A broker's tie to the controller: registration, heartbeats, controlled shutdown.
//!
//! Owns: when the broker registers, beats and asks to go; what it tells of its directories.
//! Does not own: what the controller decides (`metadata`), when the node starts and stops (`startup`).
//!
//! Source: requirements REG-01, REG-02, REG-04, SHD-01, LOG-07.

use std::sync::Arc;
use std::time::Duration;

use ottla_env::sync::{mpsc, oneshot, watch};
use ottla_env::task;
use ottla_env::time::{now, sleep_until, timeout};
use ottla_metadata::controller::{Answer, Command, Heartbeat, HeartbeatReply, RegisterBroker};
use ottla_metadata::features::supported_features;
use ottla_metadata::image::Endpoint;
use ottla_model::{BrokerEpoch, DirectoryId, IncarnationId, Offset};

use crate::node::Node;

/// How long the broker waits for the controller to let it go before it goes anyway.
pub const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(300);
/// Time between two attempts to register.
const REGISTER_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// What the registration says of this broker.
#[derive(Clone, Debug)]
pub struct Registration {
    pub incarnation: IncarnationId,
    pub endpoints: Vec<Endpoint>,
    pub directories: Vec<DirectoryId>,
    /// The epoch of the last run, if that ended in order.
    pub previous_epoch: Option<BrokerEpoch>,
}

/// What the task is told.
pub enum Told {
    /// A log directory failed.
    Failed(DirectoryId),
    /// Leave the cluster; answered once the controller lets the broker go, or gives no answer.
    Leave(oneshot::Sender<()>),
}

/// Why the broker is not part of the cluster.
#[derive(Debug, thiserror::Error)]
pub enum LifecycleError {
    #[error("the broker could not register within {0:?}")]
    TimedOut(Duration),
    #[error("the controller refuses the registration: {0}")]
    Refused(String),
}

/// The broker's tie to the controller.
pub struct BrokerLifecycle {
    node: Arc<Node>,
    registration: Registration,
    progress: watch::Receiver<Option<Offset>>,
    offline: Vec<DirectoryId>,
    /// True from the first heartbeat in which the controller lets the broker take part.
    unfenced: watch::Sender<bool>,
}

impl BrokerLifecycle {
    pub fn new(
        node: Arc<Node>,
        registration: Registration,
        progress: watch::Receiver<Option<Offset>>,
    ) -> BrokerLifecycle {
        let unfenced = watch::channel(false).0;
        BrokerLifecycle { node, registration, progress, offline: Vec::new(), unfenced }
    }

    /// Tells when the broker takes part.
    pub fn unfenced(&self) -> watch::Receiver<bool> {
        self.unfenced.subscribe()
    }

    /// Registers; gives up after `initial.broker.registration.timeout.ms`.
    pub async fn register(&mut self) -> Result<BrokerEpoch, LifecycleError> {
        let limit = self.node.config().registration.initial_timeout;
        match timeout(limit, self.try_register()).await {
            Ok(epoch) => epoch,
            Err(_) => Err(LifecycleError::TimedOut(limit)),
        }
    }

    async fn try_register(&mut self) -> Result<BrokerEpoch, LifecycleError> {
        loop {
            match self.node.controller.ask(Command::RegisterBroker(self.request())).await {
                Ok(Answer::RegisterBroker(Ok(epoch))) => {
                    self.node.set_broker_epoch(epoch);
                    return Ok(epoch);
                }
                Ok(Answer::RegisterBroker(Err(error))) => {
                    use ottla_metadata::controller::RegisterError;
                    // The session of an earlier run may still be open; it ends by itself.
                    if !matches!(error, RegisterError::Duplicate) {
                        return Err(LifecycleError::Refused(error.to_string()));
                    }
                    tracing::info!(%error, "the registration waits");
                }
                Ok(other) => unreachable!("a registration was answered with {other:?}"),
                Err(error) => tracing::debug!(%error, "the registration is tried again"),
            }
            ottla_env::time::sleep(REGISTER_AGAIN_AFTER).await;
        }
    }

    fn request(&self) -> RegisterBroker {
        let features = supported_features().into_iter();
        RegisterBroker {
            broker: self.node.identity.id,
            cluster: self.node.identity.cluster_id.to_string(),
            incarnation: self.registration.incarnation,
            endpoints: self.registration.endpoints.clone(),
            features: features.map(|known| (known.name.to_owned(), known.range)).collect(),
            rack: self.node.settings().rack.clone(),
            directories: self.registration.directories.clone(),
            previous_epoch: self.registration.previous_epoch,
            tells_clean_shutdown: true,
            migrating: false,
        }
    }

    /// Beats until the broker may go.
    pub async fn run(mut self, mut told: mpsc::Receiver<Told>) {
        let mut next = now();
        loop {
            task::select! {
                biased;
                message = told.recv() => match message {
                    Some(Told::Failed(directory)) => {
                        self.offline.push(directory);
                        next = now();
                    }
                    Some(Told::Leave(done)) => {
                        self.leave().await;
                        // Whoever asked may be gone; the broker has left all the same.
                        let _ = done.send(());
                        return;
                    }
                    None => return,
                },
                () = sleep_until(next) => {
                    let reply = self.beat(false).await;
                    let interval = self.node.config().registration.heartbeat_interval;
                    // A fenced broker beats again as soon as it has read more, so that a start takes no interval.
                    let fenced = reply.is_none_or(|reply| reply.is_fenced);
                    next = now() + if fenced { Duration::from_millis(10).min(interval) } else { interval };
                }
            }
        }
    }

    async fn beat(&mut self, want_shut_down: bool) -> Option<HeartbeatReply> {
        let epoch = self.node.broker_epoch()?;
        let metadata_offset = *self.progress.borrow_and_update();
        let heartbeat = Heartbeat {
            broker: self.node.identity.id,
            epoch,
            metadata_offset,
            want_fence: false,
            want_shut_down,
            offline: self.offline.clone(),
            cordoned: None,
        };
        match self.node.controller.ask(Command::Heartbeat(heartbeat)).await {
            Ok(Answer::Heartbeat(Ok(reply))) => {
                self.unfenced
                    .send_if_modified(|known| std::mem::replace(known, !reply.is_fenced) == reply.is_fenced);
                Some(reply)
            }
            Ok(Answer::Heartbeat(Err(error))) => {
                tracing::warn!(%error, "the controller does not know this broker any more, it registers again");
                if let Err(error) = self.register().await {
                    tracing::error!(%error, "the broker is not part of the cluster");
                }
                None
            }
            Ok(other) => unreachable!("a heartbeat was answered with {other:?}"),
            Err(error) => {
                tracing::warn!(%error, "the controller does not answer");
                None
            }
        }
    }

    /// Asks to go until the controller lets the broker go (SHD-01).
    async fn leave(&mut self) {
        let asked = async {
            loop {
                match self.beat(true).await {
                    Some(reply) if reply.should_shut_down => return,
                    Some(_) => {}
                    None => return,
                }
                // The controller waits until the broker has read what it decided.
                drop(timeout(Duration::from_millis(50), self.progress.changed()).await);
            }
        };
        if timeout(SHUTDOWN_TIMEOUT, asked).await.is_err() {
            tracing::warn!("the controller does not let the broker go; it goes anyway");
        }
    }
}
