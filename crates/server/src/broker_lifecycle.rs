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
use ottla_env::time::{Instant, now, sleep_until, timeout, timeout_at};
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
    offline: OfflineDirectories,
    /// Takes the reason why the node cannot go on.
    fatal: mpsc::Sender<String>,
    /// True from the first heartbeat in which the controller lets the broker take part.
    unfenced: watch::Sender<bool>,
}

impl BrokerLifecycle {
    pub fn new(
        node: Arc<Node>,
        registration: Registration,
        (progress, fatal): (watch::Receiver<Option<Offset>>, mpsc::Sender<String>),
    ) -> BrokerLifecycle {
        let unfenced = watch::channel(false).0;
        let offline = OfflineDirectories::default();
        BrokerLifecycle { node, registration, progress, offline, fatal, unfenced }
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
            cordoned: self.node.cordoned(),
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
                        let limit = self.node.config().registration.directory_failure_timeout;
                        self.offline.on_failed(directory, now() + limit);
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
                    let reply = self.beat_in_time().await;
                    let interval = self.node.config().registration.heartbeat_interval;
                    // A fenced broker beats again as soon as it has read more, so that a start takes no interval.
                    let fenced = reply.is_none_or(|reply| reply.is_fenced);
                    next = now() + if fenced { Duration::from_millis(10).min(interval) } else { interval };
                }
            }
        }
    }

    /// Beats. A broker that cannot tell the controller of a failed directory in time has to go: the controller believes
    /// that replicas live which do not (LOG-07).
    async fn beat_in_time(&mut self) -> Option<HeartbeatReply> {
        let Some(deadline) = self.offline.deadline() else { return self.beat(false).await };
        let reply = timeout_at(deadline, self.beat(false)).await.ok().flatten();
        if reply.is_some() {
            self.offline.on_told();
        } else if now() >= deadline {
            let limit = self.node.config().registration.directory_failure_timeout;
            // One message is enough to end the process.
            drop(self.fatal.try_send(format!(
                "the controller could not be told of a failed log directory within {} ms",
                limit.as_millis()
            )));
        }
        reply
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
            offline: self.offline.directories.clone(),
            cordoned: Some(self.node.cordoned()),
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

/// Directories that failed, and until when the controller has to hear of the first one it does not know.
#[derive(Debug, Default)]
struct OfflineDirectories {
    directories: Vec<DirectoryId>,
    untold_until: Option<Instant>,
}

impl OfflineDirectories {
    fn on_failed(&mut self, directory: DirectoryId, tell_until: Instant) {
        self.directories.push(directory);
        self.untold_until.get_or_insert(tell_until);
    }

    /// The controller answered a heartbeat that named all of them.
    fn on_told(&mut self) {
        self.untold_until = None;
    }

    fn deadline(&self) -> Option<Instant> {
        self.untold_until
    }
}

#[cfg(test)]
mod tests {
    use ottla_model::Uuid;

    use super::*;

    /// LOG-07: `log.dir.failure.timeout.ms` counts from the first failure that the controller does not know.
    #[test]
    fn a_failed_directory_has_to_be_told_in_time_and_only_once() {
        let start = now();
        let at = |millis| start + Duration::from_millis(millis);
        let directory = |byte| DirectoryId(Uuid::from_bytes([byte; 16]));
        let mut offline = OfflineDirectories::default();
        assert_eq!(offline.deadline(), None);
        offline.on_failed(directory(1), at(100));
        offline.on_failed(directory(2), at(150));
        assert_eq!(offline.deadline(), Some(at(100)));
        offline.on_told();
        assert_eq!(offline.deadline(), None);
        offline.on_failed(directory(3), at(300));
        assert_eq!((offline.deadline(), offline.directories.len()), (Some(at(300)), 3));
    }
}
