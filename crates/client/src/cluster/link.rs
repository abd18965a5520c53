//! The way to one node: a connection that is opened when needed and opened again when it broke.
//!
//! Owns: the state of the connection, the pace of attempts.
//! Does not own: the connection itself (`connection`), which nodes there are (`cluster`).
//!
//! Invariants
//! - I1 at most one attempt to connect runs at a time, whoever waits for it;
//! - I2 after a failed attempt the next one waits for the reconnect backoff.

use std::sync::Arc;
use std::time::Instant;

use ottla_env::random::Random;
use ottla_env::sync::watch;
use ottla_env::{task, time};
use parking_lot::Mutex;

use crate::backoff::Backoff;
use crate::config::{CommonConfig, Endpoint};
use crate::connection::{Connection, ConnectionSettings};
use crate::error::CallError;

#[derive(Clone, Debug)]
enum State {
    Idle,
    Opening,
    Ready(Arc<Connection>),
    /// The last attempt failed; the next one may begin at `until`.
    Broken {
        error: CallError,
        until: Instant,
    },
}

/// How fast attempts may follow each other, and how long one may take.
#[derive(Debug)]
struct Pace {
    reconnect: Backoff,
    setup: Backoff,
}

/// A node that can be connected to.
#[derive(Debug)]
pub(crate) struct Link {
    node: Endpoint,
    settings: ConnectionSettings,
    state: watch::Sender<State>,
    pace: Mutex<Pace>,
    random: Arc<dyn Random>,
}

impl Link {
    pub(crate) fn new(node: Endpoint, config: &CommonConfig, random: Arc<dyn Random>) -> Arc<Link> {
        let settings = ConnectionSettings {
            client_id: config.client_id.clone(),
            setup_timeout: config.setup_timeout.first,
            request_timeout: config.request_timeout,
            idle_max: config.connections_max_idle,
            socket: ottla_env::net::SocketOptions {
                send_buffer: config.send_buffer,
                receive_buffer: config.receive_buffer,
            },
        };
        let pace = Pace {
            reconnect: Backoff::new(config.reconnect_backoff),
            setup: Backoff::new(config.setup_timeout),
        };
        Arc::new(Link {
            node,
            settings,
            state: watch::channel(State::Idle).0,
            pace: Mutex::new(pace),
            random,
        })
    }

    /// The address this link goes to.
    pub(crate) fn node(&self) -> &Endpoint {
        &self.node
    }

    /// The connection, if it is open now.
    pub(crate) fn ready(&self) -> Option<Arc<Connection>> {
        match &*self.state.borrow() {
            State::Ready(connection) if !connection.is_closed() => Some(Arc::clone(connection)),
            State::Ready(_) | State::Idle | State::Opening | State::Broken { .. } => None,
        }
    }

    /// Until when no attempt is made because the last one failed.
    pub(crate) fn broken_until(&self) -> Option<Instant> {
        match &*self.state.borrow() {
            State::Broken { until, .. } => Some(*until),
            State::Ready(_) | State::Idle | State::Opening => None,
        }
    }

    /// The connection, opened if need be. Waits out the backoff of an earlier failure, then for one attempt.
    pub(crate) async fn connection(self: &Arc<Self>) -> Result<Arc<Connection>, CallError> {
        let mut changes = self.state.subscribe();
        let mut attempted = false;
        loop {
            let state = changes.borrow_and_update().clone();
            match state {
                State::Ready(connection) if !connection.is_closed() => return Ok(connection),
                State::Ready(_) | State::Idle => self.open_soon(),
                State::Opening => {
                    attempted = true;
                    if changes.changed().await.is_err() {
                        return Err(CallError::Closed);
                    }
                }
                State::Broken { error, .. } if attempted => return Err(error),
                State::Broken { until, .. } => {
                    time::sleep_until(until).await;
                    self.open_soon();
                }
            }
        }
    }

    /// Begins to open the connection unless it is open, being opened, or must still wait.
    pub(crate) fn open_soon(self: &Arc<Self>) {
        let now = time::now();
        let begin = self.state.send_if_modified(|state| {
            let may_begin = match state {
                State::Idle => true,
                State::Opening => false,
                State::Ready(connection) => connection.is_closed(),
                State::Broken { until, .. } => *until <= now,
            };
            if may_begin {
                *state = State::Opening;
            }
            may_begin
        });
        if begin {
            let link = Arc::clone(self);
            task::spawn(async move { link.open().await });
        }
    }

    async fn open(&self) {
        let mut settings = self.settings.clone();
        settings.setup_timeout = self.pace.lock().setup.current(self.random.bits());
        let state = match Connection::open(&self.node, &settings).await {
            Ok(connection) => {
                let mut pace = self.pace.lock();
                pace.reconnect.on_success();
                pace.setup.on_success();
                State::Ready(connection)
            }
            Err(error) => {
                let mut pace = self.pace.lock();
                pace.setup.on_failure(0);
                State::Broken { error, until: time::now() + pace.reconnect.on_failure(self.random.bits()) }
            }
        };
        self.state.send_replace(state);
    }
}
