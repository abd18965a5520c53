//! Listeners: they take connections and give each a task.
//!
//! Owns: accepting, limits on the number of connections.
//! Does not own: what a connection does (`connection`), binding (`startup`).
//!
//! Source: requirements WIRE-12, API-02; `max.connections`, `max.connections.per.ip`.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ottla_env::net::{Listener, Stream};
use ottla_env::sync::{OwnedSemaphorePermit, Semaphore, watch};
use ottla_env::task;
use ottla_env::time::{now, sleep};
use ottla_model::ListenerName;
use ottla_protocol::codec;
use ottla_protocol::connection::{Connection, ConnectionLimits, INFLIGHT_BYTES_MAX, REQUESTS_MAX};
use ottla_security::Principal;
use parking_lot::Mutex;

use crate::apis;
use crate::caller::Caller;
use crate::connection::ConnectionTask;
use crate::node::Node;

/// Pause after a failed accept: most often the process has no file descriptors left, and trying at once does not help.
const AFTER_FAILED_ACCEPT: Duration = Duration::from_millis(50);
/// Most connections the limit can express; Kafka's default is "no limit".
const CONNECTIONS_CEILING: usize = 1 << 28;

/// The number of connections of a node, in all and per address.
#[derive(Debug)]
pub struct ConnectionCount {
    all: Arc<Semaphore>,
    by_address: Mutex<HashMap<IpAddr, u32>>,
}

impl ConnectionCount {
    pub fn new(connections_max: u32) -> ConnectionCount {
        let max = usize::try_from(connections_max).unwrap_or(CONNECTIONS_CEILING).min(CONNECTIONS_CEILING);
        ConnectionCount { all: Arc::new(Semaphore::new(max)), by_address: Mutex::default() }
    }

    /// Counts one more connection of an address, unless that has `max` already.
    fn enter(self: &Arc<ConnectionCount>, address: IpAddr, max: u32) -> Option<Counted> {
        let mut by_address = self.by_address.lock();
        let count = by_address.entry(address).or_default();
        if *count >= max {
            return None;
        }
        *count += 1;
        Some(Counted { count: Arc::clone(self), address })
    }
}

/// One connection that counts until it is dropped.
struct Counted {
    count: Arc<ConnectionCount>,
    address: IpAddr,
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut by_address = self.count.by_address.lock();
        if let Some(count) = by_address.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                by_address.remove(&self.address);
            }
        }
    }
}

/// A bound listener with what its connections are given.
pub struct Door {
    pub listener: Listener,
    pub name: Arc<ListenerName>,
    pub kind: codec::Listener,
}

impl Door {
    /// Takes connections until the node stops.
    pub async fn run(
        self,
        node: Arc<Node>,
        count: Arc<ConnectionCount>,
        mut stopping: watch::Receiver<bool>,
    ) {
        loop {
            let next = async {
                // Beyond the limit nobody is accepted: clients wait in the backlog.
                let place = Arc::clone(&count.all).acquire_owned().await;
                (place, self.listener.accept().await)
            };
            task::select! {
                biased;
                _ = stopping.changed() => return,
                (place, accepted) = next => match (place, accepted) {
                    (Ok(place), Ok(stream)) => self.welcome((&node, &stopping), (&count, place), stream),
                    (_, Err(error)) => {
                        tracing::warn!(listener = self.name.as_str(), %error, "a connection could not be accepted");
                        sleep(AFTER_FAILED_ACCEPT).await;
                    }
                    (Err(_), Ok(_)) => return,
                },
            }
        }
    }

    fn welcome(
        &self,
        (node, stopping): (&Arc<Node>, &watch::Receiver<bool>),
        (count, place): (&Arc<ConnectionCount>, OwnedSemaphorePermit),
        stream: Stream,
    ) {
        let (config, address) = (node.config(), stream.peer_addr().ip());
        let network = &config.network;
        let text = address.to_string();
        let overridden = network.connections_per_ip_overrides.iter().find(|(host, _)| *host == text);
        let max = overridden.map_or(network.connections_per_ip_max, |(_, max)| *max);
        let Some(counted) = count.enter(address, max) else {
            tracing::info!(%address, max, "too many connections from one address, the new one is closed");
            return;
        };
        let limits = ConnectionLimits {
            request_bytes_max: network.request_bytes_max,
            inflight_bytes_max: INFLIGHT_BYTES_MAX,
            requests_max: REQUESTS_MAX,
            idle_max: network.idle_max.unwrap_or(Duration::MAX),
        };
        let offered = match self.kind {
            codec::Listener::Broker => |key| apis::accepted(codec::Listener::Broker, key),
            codec::Listener::Controller => |key| apis::accepted(codec::Listener::Controller, key),
        };
        let caller = Caller {
            principal: Arc::new(Principal::anonymous()),
            host: address,
            listener: Arc::clone(&self.name),
            door: self.kind,
            client_id: Arc::from(""),
        };
        let machine = Connection::new(limits, offered, now());
        let mut connection = ConnectionTask::new(Arc::clone(node), caller, stream, machine);
        let mut stopping = stopping.clone();
        drop(task::spawn(async move {
            connection.run(&mut stopping).await;
            drop((counted, place));
        }));
    }
}
