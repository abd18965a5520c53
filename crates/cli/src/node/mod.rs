//! A node in this process: `ottla server`, `ottla dev`, and `kafka-server-stop`.
//!
//! Owns: from a started process to a serving node and back to an exit code; what is said on the way.
//! Does not own: the node (`ottla_server`), its settings (`settings`).
//!
//! Lines of the log are an interface: tools that start brokers wait for those that Kafka writes once it serves (QS-03).

mod daemon;
pub mod dev;
mod processes;
pub mod server;
pub mod stop;

use std::error::Error;
use std::io;
use std::sync::Arc;

use ottla_env::disk::RealDisk;
use ottla_env::random::OsRandom;
use ottla_env::task::{self, Signals};
use ottla_metadata::config::Layers;
use ottla_server::loggers::{LogControl, Loggers};
use ottla_server::{RunningNode, StartError, StartOptions};

use crate::logging;
use crate::settings::SettingsError;

/// Why a node does not run, or not any more.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error(transparent)]
    Logging(#[from] logging::LoggingError),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("the system does not let this process run: {0}")]
    System(#[from] io::Error),
    #[error("{0}")]
    Failed(String),
}

/// An error with all that caused it, in one line.
pub fn one_line(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let message = error.to_string();
        // Many errors repeat their cause in their own words.
        if !text.ends_with(&message) {
            text = format!("{text}: {message}");
        }
        cause = error.source();
    }
    text.replace('\n', " ")
}

/// Runs a node until it is told to stop or fails. `on_start` is called once it serves. Why a node does not start or go
/// on is told in the log.
pub fn run(
    layers: Layers,
    control: Arc<dyn LogControl>,
    on_start: impl FnOnce(&RunningNode),
) -> Result<(), NodeError> {
    let options = StartOptions {
        layers,
        disk: Arc::new(RealDisk),
        random: Arc::new(OsRandom::new()?),
        loggers: Loggers::new(control),
        authorizer: None,
    };
    let outcome = task::run(None, serve(options, on_start))?;
    if let Err(error @ (NodeError::Start(_) | NodeError::Failed(_))) = &outcome {
        tracing::error!("{}", one_line(error));
    }
    outcome
}

async fn serve(options: StartOptions, on_start: impl FnOnce(&RunningNode)) -> Result<(), NodeError> {
    let mut signals = Signals::listen()?;
    let mut node = task::select! {
        biased;
        // A node that does not serve yet has promised nothing to anybody.
        _ = signals.stop() => return Ok(()),
        node = ottla_server::start(options) => node?,
    };
    let id = node.node_id();
    say_started(&node);
    on_start(&node);
    let outcome = task::select! {
        biased;
        signal = signals.stop() => {
            tracing::info!(?signal, "[KafkaRaftServer nodeId={id}] shutting down");
            Ok(())
        }
        reason = node.failed() => Err(NodeError::Failed(reason)),
    };
    // Further signals change nothing: supervisors often send the first one twice.
    node.stop().await;
    tracing::info!("[KafkaRaftServer nodeId={id}] shut down completed");
    outcome
}

/// QS-03: the words that Testcontainers and others wait for.
fn say_started(node: &RunningNode) {
    let id = node.node_id();
    for (listener, address) in node.addresses() {
        tracing::info!(%listener, %address, "listening");
    }
    tracing::info!(
        "[BrokerLifecycleManager id={id}] The broker has been unfenced. Transitioning from RECOVERY to RUNNING."
    );
    let cluster_id = node.cluster_id();
    tracing::info!(cluster_id, "[KafkaRaftServer nodeId={id}] Kafka Server started");
}
