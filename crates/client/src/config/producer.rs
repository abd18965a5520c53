//! Configuration of the producer.
//!
//! Owns: `ProducerConfig` and the rules between its keys.
//! Does not own: what all clients share (`cluster_access`).
//!
//! Source: `ProducerConfig` of Kafka 4.3.1, its answers to contradicting keys.

use std::time::Duration;

use ottla_protocol::compression::{Encoding, GzipLevel, Lz4Level, ZstdLevel};

use super::{ClientKind, CommonConfig, ConfigError, Properties, Values};

/// Most requests in flight with idempotence: brokers remember the last five batches of a producer (IDM-11).
pub const IN_FLIGHT_MAX_IDEMPOTENT: u32 = 5;

/// When the broker answers a produce request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acks {
    /// Never; a record counts as sent once its bytes are in the socket.
    None,
    /// When the leader has appended the record.
    Leader,
    /// When all replicas in sync have the record.
    All,
}

impl Acks {
    /// The number in a produce request.
    pub(crate) fn wire(self) -> i16 {
        match self {
            Acks::None => 0,
            Acks::Leader => 1,
            Acks::All => -1,
        }
    }
}

/// How a record without a given partition gets one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartitionerKind {
    /// By the hash of the key; without a key, one partition until a batch is full (KIP-794).
    Default,
    /// All partitions in turn, whatever the key.
    RoundRobin,
}

/// Configuration of a [`Producer`](crate::Producer).
#[derive(Clone, Debug)]
pub struct ProducerConfig {
    /// What all clients share.
    pub common: CommonConfig,
    /// `acks`.
    pub acks: Acks,
    /// Whether the broker recognises what it has stored already (`enable.idempotence`).
    pub idempotence: bool,
    /// Requests sent and not yet answered on one connection.
    pub in_flight_max: u32,
    /// How often a batch is sent again (`retries`).
    pub retries: u32,
    /// Time a batch waits for more records.
    pub linger: Duration,
    /// Bytes of a batch before compression at which it is closed; 0 sends every record alone.
    pub batch_bytes: usize,
    /// Bytes of records that were accepted and not yet answered.
    pub buffer_bytes: u64,
    /// Largest record, and largest request, in bytes.
    pub request_bytes_max: usize,
    /// How long `send` waits for metadata and for room in the buffer.
    pub block_max: Duration,
    /// From `send` to the answer, retries included.
    pub delivery_timeout: Duration,
    /// Codec of new batches and its level.
    pub compression: Encoding,
    /// `partitioner.class`; a partitioner given to the builder goes before it.
    pub partitioner: PartitionerKind,
    /// Treats every record as if it had no key (`partitioner.ignore.keys`).
    pub ignore_keys: bool,
    /// Prefers partitions whose queue is short (`partitioner.adaptive.partitioning.enable`).
    pub adaptive_partitioning: bool,
    /// A partition whose leader took nothing for so long gets no keyless records; `None` leaves it out.
    pub availability_timeout: Option<Duration>,
    /// A topic that was not produced to for so long is no longer refreshed.
    pub metadata_max_idle: Duration,
}

impl ProducerConfig {
    /// A producer for the cluster that answers at `bootstrap_servers`, else with Kafka's defaults.
    pub fn new(bootstrap_servers: &str) -> Result<ProducerConfig, ConfigError> {
        ProducerConfig::from_properties(&Properties::from([(
            "bootstrap.servers".to_owned(),
            bootstrap_servers.to_owned(),
        )]))
    }

    /// Reads Kafka's property names; unknown ones are left to [`unknown_keys`](super::unknown_keys).
    pub fn from_properties(properties: &Properties) -> Result<ProducerConfig, ConfigError> {
        let values = Values::parse(ClientKind::Producer, properties)?;
        let common = CommonConfig::resolve(&values)?;
        refuse_transactions(&values)?;
        let acks = match values.text("acks") {
            Some("0") => Acks::None,
            Some("1") => Acks::Leader,
            _ => Acks::All,
        };
        let retries = u32::try_from(values.integer("retries")).unwrap_or(u32::MAX);
        let idempotence = idempotence(&values, acks, retries)?;
        let linger = values.millis("linger.ms");
        let availability = values.millis("partitioner.availability.timeout.ms");
        Ok(ProducerConfig {
            acks,
            idempotence,
            in_flight_max: in_flight_max(&values),
            retries,
            linger,
            batch_bytes: values.size("batch.size"),
            buffer_bytes: values.count("buffer.memory"),
            request_bytes_max: values.size("max.request.size"),
            block_max: values.millis("max.block.ms"),
            delivery_timeout: delivery_timeout(&values, linger + common.request_timeout)?,
            compression: compression(&values),
            partitioner: partitioner(&values)?,
            ignore_keys: values.boolean("partitioner.ignore.keys"),
            adaptive_partitioning: values.boolean("partitioner.adaptive.partitioning.enable"),
            availability_timeout: (!availability.is_zero()).then_some(availability),
            metadata_max_idle: values.millis("metadata.max.idle.ms"),
            common,
        })
    }
}

fn refuse_transactions(values: &Values) -> Result<(), ConfigError> {
    let Some(id) = values.text("transactional.id") else { return Ok(()) };
    if values.is_given("enable.idempotence") && !values.boolean("enable.idempotence") {
        return Err(ConfigError::Contradiction(
            "Cannot set a transactional.id without also enabling idempotence.",
        ));
    }
    Err(ConfigError::Unsupported {
        key: "transactional.id",
        value: id.to_owned(),
        allowed: "this client has no transactions yet: leave it out",
    })
}

fn in_flight_max(values: &Values) -> u32 {
    u32::try_from(values.count("max.in.flight.requests.per.connection")).unwrap_or(u32::MAX)
}

/// Idempotence that was asked for contradicts weaker settings; idempotence by default gives way to them.
fn idempotence(values: &Values, acks: Acks, retries: u32) -> Result<bool, ConfigError> {
    if !values.boolean("enable.idempotence") {
        return Ok(false);
    }
    let asked_for = values.is_given("enable.idempotence");
    if retries == 0 {
        return match asked_for {
            true => Err(ConfigError::Contradiction(
                "Must set retries to non-zero when using the idempotent producer.",
            )),
            false => Ok(false),
        };
    }
    if acks != Acks::All {
        return match asked_for {
            true => Err(ConfigError::Contradiction(
                "Must set acks to all in order to use the idempotent producer. Otherwise we cannot guarantee \
                 idempotence.",
            )),
            false => Ok(false),
        };
    }
    match in_flight_max(values) {
        got if got > IN_FLIGHT_MAX_IDEMPOTENT => Err(ConfigError::TooManyInFlight { got }),
        _ => Ok(true),
    }
}

fn delivery_timeout(values: &Values, least: Duration) -> Result<Duration, ConfigError> {
    let timeout = values.millis("delivery.timeout.ms");
    if timeout >= least {
        return Ok(timeout);
    }
    if values.is_given("delivery.timeout.ms") {
        return Err(ConfigError::Contradiction(
            "delivery.timeout.ms should be equal to or larger than linger.ms + request.timeout.ms",
        ));
    }
    Ok(least)
}

/// The levels were checked against the same limits when the keys were parsed.
fn compression(values: &Values) -> Encoding {
    let level = |name| values.int32(name);
    match values.text("compression.type") {
        Some("gzip") => Encoding::Gzip(GzipLevel::new(level("compression.gzip.level")).unwrap_or_default()),
        Some("snappy") => Encoding::Snappy,
        Some("lz4") => Encoding::Lz4(Lz4Level::new(level("compression.lz4.level")).unwrap_or_default()),
        Some("zstd") => Encoding::Zstd(ZstdLevel::new(level("compression.zstd.level")).unwrap_or_default()),
        _ => Encoding::None,
    }
}

fn partitioner(values: &Values) -> Result<PartitionerKind, ConfigError> {
    match values.text("partitioner.class") {
        None => Ok(PartitionerKind::Default),
        Some("org.apache.kafka.clients.producer.RoundRobinPartitioner") => Ok(PartitionerKind::RoundRobin),
        Some(other) => Err(ConfigError::Invalid {
            key: "partitioner.class",
            value: other.to_owned(),
            reason: format!("Class {other} could not be found."),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(pairs: &[(&str, &str)]) -> Option<String> {
        let mut properties = Properties::from([("bootstrap.servers".to_owned(), "h:1".to_owned())]);
        properties.extend(pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
        ProducerConfig::from_properties(&properties).err().map(|error| error.to_string())
    }

    #[test]
    fn idempotence_by_default_gives_way_and_idempotence_asked_for_does_not() {
        assert_eq!(refusal(&[("acks", "1")]), None);
        assert_eq!(
            refusal(&[("acks", "1"), ("enable.idempotence", "true")]).unwrap(),
            "Must set acks to all in order to use the idempotent producer. Otherwise we cannot guarantee \
             idempotence."
        );
        assert_eq!(refusal(&[("retries", "0")]), None);
        assert_eq!(
            refusal(&[("max.in.flight.requests.per.connection", "6")]).unwrap(),
            "To use the idempotent producer, max.in.flight.requests.per.connection must be set to at most 5. \
             Current value is 6."
        );
    }

    #[test]
    fn a_delivery_timeout_below_linger_and_request_timeout_is_refused_if_it_was_given() {
        assert_eq!(
            refusal(&[("delivery.timeout.ms", "100")]).unwrap(),
            "delivery.timeout.ms should be equal to or larger than linger.ms + request.timeout.ms"
        );
        assert_eq!(refusal(&[("linger.ms", "100000")]), None);
    }

    #[test]
    fn what_this_client_cannot_do_is_refused_by_name() {
        assert_eq!(
            refusal(&[("security.protocol", "SSL")]).unwrap(),
            "security.protocol=SSL is not supported yet; this client speaks PLAINTEXT only"
        );
        assert!(refusal(&[("transactional.id", "x")]).unwrap().contains("transactional.id=x"));
        assert!(
            refusal(&[("partitioner.class", "nope")]).unwrap().ends_with("Class nope could not be found.")
        );
    }
}
