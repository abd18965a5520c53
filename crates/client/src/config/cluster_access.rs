//! What every client needs to reach a cluster.
//!
//! Owns: addresses, timeouts, backoffs and socket settings of all three clients.
//! Does not own: what only one of them needs.

use std::fmt;
use std::time::Duration;

use super::{ConfigError, Values};

/// Host and port of a node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    /// A name or an address.
    pub host: String,
    /// The port of TCP.
    pub port: u16,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// Exponential growth between two waits: `first`, twice that, … up to `max`, each ±20 %.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackoffConfig {
    /// The first wait.
    pub first: Duration,
    /// The longest wait.
    pub max: Duration,
}

/// What a client does when no node it knows answers any more (`metadata.recovery.strategy`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecoveryStrategy {
    /// Starts again from the bootstrap addresses after `trigger` without an answer.
    Rebootstrap {
        /// `metadata.recovery.rebootstrap.trigger.ms`.
        trigger: Duration,
    },
    /// Goes on asking the nodes it knows.
    None,
}

/// The part of the configuration that all clients share.
#[derive(Clone, Debug)]
pub struct CommonConfig {
    /// Addresses to ask first, in the order given; never empty.
    pub bootstrap: Vec<Endpoint>,
    /// Whether `bootstrap` names controllers instead of brokers (`bootstrap.controllers`).
    pub bootstrap_is_controllers: bool,
    /// Who this client says to be, for logs and quotas (`client.id`).
    pub client_id: String,
    /// How long one request may take before its connection is given up.
    pub request_timeout: Duration,
    /// Waits before something is tried again (`retry.backoff.ms`, `retry.backoff.max.ms`).
    pub retry_backoff: BackoffConfig,
    /// Waits before a node is connected to again (`reconnect.backoff.ms`, `reconnect.backoff.max.ms`).
    pub reconnect_backoff: BackoffConfig,
    /// How long a connection may take to be set up; grows at repeated failures.
    pub setup_timeout: BackoffConfig,
    /// What is known of the cluster is asked again after so long (`metadata.max.age.ms`).
    pub metadata_max_age: Duration,
    /// A connection that was not used for so long is closed; `None` never closes.
    pub connections_max_idle: Option<Duration>,
    /// What to do when no known node answers.
    pub recovery: RecoveryStrategy,
    /// Kernel buffer sizes in bytes; `None` leaves the system's default.
    pub send_buffer: Option<u32>,
    /// `receive.buffer.bytes`; `None` leaves the system's default.
    pub receive_buffer: Option<u32>,
}

impl CommonConfig {
    pub(super) fn resolve(values: &Values) -> Result<CommonConfig, ConfigError> {
        refuse_security(values)?;
        let backoff = |first: &str, max: &str| {
            let first = values.millis(first);
            BackoffConfig { first, max: values.millis(max).max(first) }
        };
        let idle = values.integer("connections.max.idle.ms");
        let strategy = values.text("metadata.recovery.strategy").unwrap_or_default();
        let trigger = values.millis("metadata.recovery.rebootstrap.trigger.ms");
        let recovery = if strategy.eq_ignore_ascii_case("none") {
            RecoveryStrategy::None
        } else {
            RecoveryStrategy::Rebootstrap { trigger }
        };
        Ok(CommonConfig {
            bootstrap: endpoints("bootstrap.servers", values.list("bootstrap.servers"))?,
            bootstrap_is_controllers: false,
            client_id: values.text("client.id").unwrap_or_default().to_owned(),
            request_timeout: values.millis("request.timeout.ms"),
            retry_backoff: backoff("retry.backoff.ms", "retry.backoff.max.ms"),
            reconnect_backoff: backoff("reconnect.backoff.ms", "reconnect.backoff.max.ms"),
            setup_timeout: backoff(
                "socket.connection.setup.timeout.ms",
                "socket.connection.setup.timeout.max.ms",
            ),
            metadata_max_age: values.millis("metadata.max.age.ms"),
            connections_max_idle: u64::try_from(idle).ok().map(Duration::from_millis),
            recovery,
            send_buffer: u32::try_from(values.integer("send.buffer.bytes")).ok(),
            receive_buffer: u32::try_from(values.integer("receive.buffer.bytes")).ok(),
        })
    }
}

fn refuse_security(values: &Values) -> Result<(), ConfigError> {
    let protocol = values.text("security.protocol").unwrap_or_default();
    if protocol.eq_ignore_ascii_case("PLAINTEXT") {
        return Ok(());
    }
    Err(ConfigError::Unsupported {
        key: "security.protocol",
        value: protocol.to_owned(),
        allowed: "this client speaks PLAINTEXT only",
    })
}

/// Reads `host:port` texts; a scheme in front and brackets around the host are allowed, as in Kafka.
pub(super) fn endpoints(key: &'static str, urls: &[String]) -> Result<Vec<Endpoint>, ConfigError> {
    urls.iter().map(|url| endpoint(key, url)).collect()
}

fn endpoint(key: &'static str, url: &str) -> Result<Endpoint, ConfigError> {
    let bad_url = || ConfigError::Address { key, url: url.to_owned() };
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let (host, port) = rest.rsplit_once(':').ok_or_else(bad_url)?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'%' | b'.' | b'_' | b':');
    let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    if !digits || host.is_empty() || !host.bytes().all(legal) {
        return Err(bad_url());
    }
    match port.parse() {
        Ok(port) => Ok(Endpoint { host: host.to_owned(), port }),
        Err(_) => Err(ConfigError::Port { key, url: url.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str) -> String {
        match endpoint("bootstrap.servers", url) {
            Ok(Endpoint { host, port }) => format!("{host} {port}"),
            Err(error) => error.to_string(),
        }
    }

    /// Recorded from `ClientUtils.parseAndValidateAddresses` of Kafka 4.3.1.
    #[test]
    fn addresses_are_read_as_kafka_reads_them() {
        assert_eq!(read("localhost:1"), "localhost 1");
        assert_eq!(read("PLAINTEXT://h:9"), "h 9");
        assert_eq!(read("[::1]:5"), "::1 5");
        assert_eq!(read("::1:5"), "::1 5");
        assert_eq!(read("h:99999"), "Invalid port in bootstrap.servers: h:99999");
        for bad in ["h:", "h:-1", " h:1", "a b:1", "localhost", ":9092"] {
            assert_eq!(read(bad), format!("Invalid url in bootstrap.servers: {bad}"));
        }
    }
}
