//! The settings of one node as types, for the keys that have an effect.
//!
//! Owns: `BrokerConfig` and its parts, the order in which a configuration is checked.
//! Does not own: topic settings (`topic`), keys without effect: they are found by name in `Layers`.
//!
//! Source: the key's own entry names what each field means; a field is named after its key.

use std::path::PathBuf;
use std::time::Duration;

use ottla_model::{BrokerId, SecurityProtocol};

use super::endpoint::{parse_server, parse_voter};
use super::listeners::NodeFacts;
use super::reader::Reader;
use super::rules::{self, log_dirs, per_ip_overrides};
use super::{ConfigError, ConsumerGroupsConfig, HostPort, Layers, Listeners, Roles, Voter};

/// One node's settings. Made again from the layers after every dynamic change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerConfig {
    pub node_id: BrokerId,
    pub roles: Roles,
    /// `broker.rack`
    pub rack: Option<String>,
    pub listeners: Listeners,
    /// `log.dirs`, at least one.
    pub log_dirs: Vec<PathBuf>,
    /// `cordoned.log.dirs`: those of `log_dirs` that take no new replicas.
    pub cordoned_log_dirs: Vec<PathBuf>,
    pub quorum: QuorumConfig,
    pub metadata_log: MetadataLogConfig,
    pub registration: RegistrationConfig,
    pub network: NetworkConfig,
    pub topics: TopicDefaults,
    pub logs: LogsConfig,
    pub cleaner: CleanerConfig,
    pub groups: GroupsConfig,
    pub transactions: TransactionsConfig,
    /// `ottla.ack.durability` of internal topics and of topics that do not differ.
    pub ack_durability: AckDurability,
}

/// What `acks=all` waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AckDurability {
    /// Stable storage.
    Flushed,
    /// The memory of all in-sync replicas, as in Kafka.
    PageCache,
}

impl AckDurability {
    /// Reads the value of `ottla.ack.durability`, which the key's check has limited to the two.
    pub(crate) fn from_text(text: &str) -> AckDurability {
        if text == "page-cache" { AckDurability::PageCache } else { AckDurability::Flushed }
    }
}

/// How the node finds and keeps the metadata quorum (`controller.quorum.*`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuorumConfig {
    /// Empty where membership is dynamic.
    pub voters: Vec<Voter>,
    pub bootstrap_servers: Vec<HostPort>,
    pub election_timeout: Duration,
    pub election_backoff_max: Duration,
    pub fetch_timeout: Duration,
    pub request_timeout: Duration,
    pub retry_backoff: Duration,
    pub append_linger: Duration,
}

/// `metadata.log.*`, `metadata.max.*`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetadataLogConfig {
    pub dir: PathBuf,
    pub segment_bytes: u32,
    pub segment_age: Duration,
    pub retention_bytes: u64,
    /// `None`: kept for ever.
    pub retention_age: Option<Duration>,
    pub snapshot_after_bytes: u64,
    /// `None`: never by time.
    pub snapshot_after: Option<Duration>,
    /// `metadata.max.idle.interval.ms`; `None`: no empty records.
    pub idle_interval: Option<Duration>,
}

/// A broker's tie to the controller (`broker.heartbeat.interval.ms`, …).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegistrationConfig {
    pub heartbeat_interval: Duration,
    pub session_timeout: Duration,
    pub initial_timeout: Duration,
    pub controlled_shutdown: bool,
    pub replica_lag_max: Duration,
    /// `log.dir.failure.timeout.ms`
    pub directory_failure_timeout: Duration,
}

/// Kafka's default for the receive buffer of a connection. It costs large requests a third of their speed (a window this
/// small takes many calls to read; `docs/benchmarks`), and stands in every `server.properties` that Kafka ships, so it is
/// nobody's wish: the system then sizes the buffer by what arrives. Another value is set as given.
const KAFKA_RECEIVE_BUFFER_BYTES: u32 = 102_400;

/// Limits of connections, requests and answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkConfig {
    /// `connections.max.idle.ms`; `None`: never closed.
    pub idle_max: Option<Duration>,
    pub connections_max: u32,
    pub connections_per_ip_max: u32,
    /// `max.connections.per.ip.overrides`: host and limit.
    pub connections_per_ip_overrides: Vec<(String, u32)>,
    /// `None`: as the system has it.
    pub send_buffer_bytes: Option<u32>,
    /// `None` leaves it to the system; so does Kafka's default.
    pub receive_buffer_bytes: Option<u32>,
    pub backlog: u32,
    pub request_bytes_max: u32,
    /// `queued.max.request.bytes`; `None`: a quarter of the memory the process may use.
    pub queued_request_bytes_max: Option<u64>,
    pub fetch_bytes_max: u32,
    pub fetch_sessions_max: u32,
    pub described_partitions_max: u32,
    pub request_timeout: Duration,
    pub connect_timeout: Duration,
    pub connect_timeout_max: Duration,
}

/// What a topic is when its creator does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopicDefaults {
    pub auto_create: bool,
    pub may_be_deleted: bool,
    pub partitions: u32,
    pub replication_factor: u16,
}

/// Care of all logs of a broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogsConfig {
    pub initial_delay: Duration,
    pub retention_check_interval: Duration,
    /// `log.flush.scheduler.interval.ms`
    pub flush_check_interval: Duration,
    pub recovery_point_interval: Duration,
    pub log_start_interval: Duration,
    pub high_watermark_interval: Duration,
    pub recovery_threads_per_dir: u32,
    pub producer_expiry: Duration,
    pub producer_expiry_check_interval: Duration,
}

/// Compaction (`log.cleaner.*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CleanerConfig {
    pub backoff: Duration,
    pub dedupe_buffer_bytes: u64,
    /// `log.cleaner.io.buffer.load.factor`, in thousandths.
    pub load_factor_per_mille: u16,
    pub io_buffer_bytes: u32,
    /// `log.cleaner.io.max.bytes.per.second`; `None` where it is more than any device does.
    pub io_bytes_per_second_max: Option<u64>,
}

/// Classic groups and committed offsets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupsConfig {
    pub initial_rebalance_delay: Duration,
    pub session_timeout_min: Duration,
    pub session_timeout_max: Duration,
    pub size_max: u32,
    pub offset_metadata_bytes_max: u32,
    pub commit_timeout: Duration,
    pub load_buffer_bytes: u32,
    pub retention: Duration,
    pub retention_check_interval: Duration,
    pub offsets_partitions: u32,
    pub offsets_replication_factor: u16,
    pub offsets_segment_bytes: u32,
    /// Codec number of record batches, 0 to 4.
    pub offsets_codec: u8,
    pub consumer: ConsumerGroupsConfig,
}

/// Transactional ids, their transactions, and the topic they are kept in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransactionsConfig {
    pub timeout_max: Duration,
    pub abort_scan_interval: Duration,
    pub id_expiration: Duration,
    pub removal_scan_interval: Duration,
    /// `add.partitions.to.txn.retry.backoff.ms`
    pub enrolment_backoff: Duration,
    /// `add.partitions.to.txn.retry.backoff.max.ms`
    pub enrolment_time_max: Duration,
    /// `transaction.partition.verification.enable`
    pub verifies_partitions: bool,
    pub state_partitions: u32,
    pub state_replication_factor: u16,
    pub state_in_sync_min: u32,
    pub state_segment_bytes: u32,
}

impl BrokerConfig {
    /// Checks the whole configuration and reads it. The error names the first thing that is wrong.
    pub fn from_layers(layers: &Layers) -> Result<BrokerConfig, ConfigError> {
        let reader = Reader { layers };
        rules::ensure_values_parse(layers)?;
        let roles = Roles::from_items(&required_list(reader, "process.roles")?);
        let node_id = node_id(reader)?;
        required_list(reader, "controller.listener.names")?;
        rules::ensure_security_is_honoured(layers)?;
        rules::ensure_rules(reader)?;
        let quorum = quorum(reader)?;
        ensure_voters_fit(roles, node_id, &quorum)?;
        ensure_auto_join_fits(reader, roles)?;
        let facts = NodeFacts { id: node_id, roles, voters: &quorum.voters };
        let listeners = Listeners::resolve(reader, &facts)?;
        ensure_listeners_are_plaintext(&listeners)?;
        let log_dirs: Vec<PathBuf> = log_dirs(reader)?.into_iter().map(PathBuf::from).collect();
        Ok(BrokerConfig {
            node_id,
            roles,
            rack: reader.optional_text("broker.rack")?,
            listeners,
            metadata_log: metadata_log(reader, &log_dirs)?,
            cordoned_log_dirs: cordoned_log_dirs(reader, &log_dirs)?,
            log_dirs,
            quorum,
            registration: registration(reader)?,
            network: network(reader)?,
            topics: topics(reader)?,
            logs: logs(reader)?,
            cleaner: cleaner(reader)?,
            groups: groups(reader)?,
            transactions: transactions(reader)?,
            ack_durability: AckDurability::from_text(&reader.text("ottla.ack.durability")?),
        })
    }
}

fn required_list(reader: Reader<'_>, name: &str) -> Result<Vec<String>, ConfigError> {
    match reader.optional_list(name)? {
        Some(items) if !items.is_empty() => Ok(items),
        _ => Err(ConfigError::Missing { name: name.to_owned() }),
    }
}

fn node_id(reader: Reader<'_>) -> Result<BrokerId, ConfigError> {
    let id = reader.number("node.id")?;
    let id = i32::try_from(id).ok().and_then(BrokerId::new);
    id.ok_or_else(|| ConfigError::Missing { name: "node.id".to_owned() })
}

fn quorum(reader: Reader<'_>) -> Result<QuorumConfig, ConfigError> {
    let (voters_key, servers_key) = ("controller.quorum.voters", "controller.quorum.bootstrap.servers");
    let voter = |text: &String| parse_voter(voters_key, text).transpose();
    let voters: Vec<Voter> = reader.list(voters_key)?.iter().filter_map(voter).collect::<Result<_, _>>()?;
    let servers = reader.list(servers_key)?;
    let bootstrap_servers =
        servers.iter().map(|text| parse_server(servers_key, text)).collect::<Result<_, _>>()?;
    Ok(QuorumConfig {
        voters,
        bootstrap_servers,
        election_timeout: reader.millis("controller.quorum.election.timeout.ms")?,
        election_backoff_max: reader.millis("controller.quorum.election.backoff.max.ms")?,
        fetch_timeout: reader.millis("controller.quorum.fetch.timeout.ms")?,
        request_timeout: reader.millis("controller.quorum.request.timeout.ms")?,
        retry_backoff: reader.millis("controller.quorum.retry.backoff.ms")?,
        append_linger: reader.millis("controller.quorum.append.linger.ms")?,
    })
}

fn ensure_voters_fit(roles: Roles, id: BrokerId, quorum: &QuorumConfig) -> Result<(), ConfigError> {
    if quorum.voters.is_empty() && quorum.bootstrap_servers.is_empty() {
        return Err(ConfigError::Rule(
            "If using process.roles, either controller.quorum.bootstrap.servers must contain the set of \
             bootstrap controllers or controller.quorum.voters must contain a parseable set of controllers."
                .to_owned(),
        ));
    }
    let is_voter = quorum.voters.iter().any(|voter| voter.id == id);
    let (expected, role) = match (roles.controller, is_voter) {
        (true, false) if !quorum.voters.is_empty() => ("must be", "contains the 'controller' role"),
        (false, true) => ("must not be", "contains just the 'broker' role"),
        _ => return Ok(()),
    };
    let ids: Vec<String> = quorum.voters.iter().map(|voter| voter.id.to_string()).collect();
    Err(ConfigError::Requirement(format!(
        "If process.roles {role}, the node id {id} {expected} included in the set of voters \
         controller.quorum.voters=Set({})",
        ids.join(", ")
    )))
}

fn ensure_auto_join_fits(reader: Reader<'_>, roles: Roles) -> Result<(), ConfigError> {
    let name = "controller.quorum.auto.join.enable";
    if reader.boolean(name)? && !roles.controller {
        return Err(ConfigError::Requirement(format!(
            "{name} is only supported when process.roles contains the 'controller' role."
        )));
    }
    Ok(())
}

/// TLS and SASL come later; a listener that asks for them must not fall back to plain text.
fn ensure_listeners_are_plaintext(listeners: &Listeners) -> Result<(), ConfigError> {
    let protected = listeners.bound().find(|listener| listener.protocol != SecurityProtocol::Plaintext);
    let (name, protocol) = match protected {
        Some(listener) => (&listener.name, listener.protocol),
        None if listeners.controller_protocol != SecurityProtocol::Plaintext => {
            (&listeners.controller_name, listeners.controller_protocol)
        }
        None => return Ok(()),
    };
    Err(ConfigError::UnsupportedProtocol { listener: name.clone(), protocol })
}

/// `*` stands for all of them; what else is in the list was found among them by the rules.
fn cordoned_log_dirs(reader: Reader<'_>, log_dirs: &[PathBuf]) -> Result<Vec<PathBuf>, ConfigError> {
    let cordoned = reader.list("cordoned.log.dirs")?;
    if cordoned.iter().any(|dir| dir == "*") {
        return Ok(log_dirs.to_vec());
    }
    Ok(cordoned.iter().map(PathBuf::from).collect())
}

fn metadata_log(reader: Reader<'_>, log_dirs: &[PathBuf]) -> Result<MetadataLogConfig, ConfigError> {
    let dir = match reader.optional_text("metadata.log.dir")? {
        Some(dir) => PathBuf::from(dir),
        None => log_dirs.first().cloned().unwrap_or_default(),
    };
    let unless_zero = |interval: Duration| if interval.is_zero() { None } else { Some(interval) };
    Ok(MetadataLogConfig {
        dir,
        segment_bytes: reader.count_u32("metadata.log.segment.bytes")?,
        segment_age: reader.millis("metadata.log.segment.ms")?,
        retention_bytes: reader.count("metadata.max.retention.bytes")?,
        retention_age: reader.optional_millis("metadata.max.retention.ms")?,
        snapshot_after_bytes: reader.count("metadata.log.max.record.bytes.between.snapshots")?,
        snapshot_after: unless_zero(reader.millis("metadata.log.max.snapshot.interval.ms")?),
        idle_interval: unless_zero(reader.millis("metadata.max.idle.interval.ms")?),
    })
}

fn registration(reader: Reader<'_>) -> Result<RegistrationConfig, ConfigError> {
    Ok(RegistrationConfig {
        heartbeat_interval: reader.millis("broker.heartbeat.interval.ms")?,
        session_timeout: reader.millis("broker.session.timeout.ms")?,
        initial_timeout: reader.millis("initial.broker.registration.timeout.ms")?,
        controlled_shutdown: reader.boolean("controlled.shutdown.enable")?,
        replica_lag_max: reader.millis("replica.lag.time.max.ms")?,
        directory_failure_timeout: reader.millis("log.dir.failure.timeout.ms")?,
    })
}

fn network(reader: Reader<'_>) -> Result<NetworkConfig, ConfigError> {
    let buffer = |name| Ok::<_, ConfigError>(u32::try_from(reader.number(name)?).ok());
    let queued = reader.number("queued.max.request.bytes")?;
    Ok(NetworkConfig {
        idle_max: reader.optional_millis("connections.max.idle.ms")?,
        connections_max: reader.count_u32("max.connections")?,
        connections_per_ip_max: reader.count_u32("max.connections.per.ip")?,
        connections_per_ip_overrides: per_ip_overrides(&reader.text("max.connections.per.ip.overrides")?)?,
        send_buffer_bytes: buffer("socket.send.buffer.bytes")?,
        receive_buffer_bytes: buffer("socket.receive.buffer.bytes")?
            .filter(|bytes| *bytes != KAFKA_RECEIVE_BUFFER_BYTES),
        backlog: reader.count_u32("socket.listen.backlog.size")?,
        request_bytes_max: reader.count_u32("socket.request.max.bytes")?,
        queued_request_bytes_max: u64::try_from(queued).ok().filter(|bytes| *bytes > 0),
        fetch_bytes_max: reader.count_u32("fetch.max.bytes")?,
        fetch_sessions_max: reader.count_u32("max.incremental.fetch.session.cache.slots")?,
        described_partitions_max: reader.count_u32("max.request.partition.size.limit")?,
        request_timeout: reader.millis("request.timeout.ms")?,
        connect_timeout: reader.millis("socket.connection.setup.timeout.ms")?,
        connect_timeout_max: reader.millis("socket.connection.setup.timeout.max.ms")?,
    })
}

fn topics(reader: Reader<'_>) -> Result<TopicDefaults, ConfigError> {
    let replicas = reader.count("default.replication.factor")?;
    Ok(TopicDefaults {
        auto_create: reader.boolean("auto.create.topics.enable")?,
        may_be_deleted: reader.boolean("delete.topic.enable")?,
        partitions: reader.count_u32("num.partitions")?,
        replication_factor: u16::try_from(replicas).unwrap_or(u16::MAX),
    })
}

fn logs(reader: Reader<'_>) -> Result<LogsConfig, ConfigError> {
    Ok(LogsConfig {
        initial_delay: reader.millis("log.initial.task.delay.ms")?,
        retention_check_interval: reader.millis("log.retention.check.interval.ms")?,
        flush_check_interval: reader.millis("log.flush.scheduler.interval.ms")?,
        recovery_point_interval: reader.millis("log.flush.offset.checkpoint.interval.ms")?,
        log_start_interval: reader.millis("log.flush.start.offset.checkpoint.interval.ms")?,
        high_watermark_interval: reader.millis("replica.high.watermark.checkpoint.interval.ms")?,
        recovery_threads_per_dir: reader.count_u32("num.recovery.threads.per.data.dir")?,
        producer_expiry: reader.millis("producer.id.expiration.ms")?,
        producer_expiry_check_interval: reader.millis("producer.id.expiration.check.interval.ms")?,
    })
}

fn cleaner(reader: Reader<'_>) -> Result<CleanerConfig, ConfigError> {
    let rate = reader.double("log.cleaner.io.max.bytes.per.second")?;
    Ok(CleanerConfig {
        backoff: reader.millis("log.cleaner.backoff.ms")?,
        dedupe_buffer_bytes: reader.count("log.cleaner.dedupe.buffer.size")?,
        load_factor_per_mille: whole(reader.double("log.cleaner.io.buffer.load.factor")? * 1000.0, 1000.0)
            .and_then(|per_mille| u16::try_from(per_mille).ok())
            .unwrap_or(1000),
        io_buffer_bytes: reader.count_u32("log.cleaner.io.buffer.size")?,
        io_bytes_per_second_max: whole(rate, IO_BYTES_PER_SECOND_MAX),
    })
}

/// A rate above this one is none: 1 TB/s.
const IO_BYTES_PER_SECOND_MAX: f64 = 1e12;

/// A number without its fraction, if it is not above `max`; at least 1.
fn whole(value: f64, max: f64) -> Option<u64> {
    if value > max { None } else { format!("{:.0}", value.max(1.0)).parse().ok() }
}

fn groups(reader: Reader<'_>) -> Result<GroupsConfig, ConfigError> {
    let minutes = reader.count("offsets.retention.minutes")?;
    let replicas = reader.count("offsets.topic.replication.factor")?;
    let codec = reader.count("offsets.topic.compression.codec")?;
    Ok(GroupsConfig {
        initial_rebalance_delay: reader.millis("group.initial.rebalance.delay.ms")?,
        session_timeout_min: reader.millis("group.min.session.timeout.ms")?,
        session_timeout_max: reader.millis("group.max.session.timeout.ms")?,
        size_max: reader.count_u32("group.max.size")?,
        offset_metadata_bytes_max: reader.count_u32("offset.metadata.max.bytes")?,
        commit_timeout: reader.millis("offsets.commit.timeout.ms")?,
        load_buffer_bytes: reader.count_u32("offsets.load.buffer.size")?,
        retention: Duration::from_secs(minutes.saturating_mul(60)),
        retention_check_interval: reader.millis("offsets.retention.check.interval.ms")?,
        offsets_partitions: reader.count_u32("offsets.topic.num.partitions")?,
        offsets_replication_factor: u16::try_from(replicas).unwrap_or(u16::MAX),
        offsets_segment_bytes: reader.count_u32("offsets.topic.segment.bytes")?,
        offsets_codec: u8::try_from(codec).unwrap_or(0),
        consumer: ConsumerGroupsConfig::read(reader)?,
    })
}

fn transactions(reader: Reader<'_>) -> Result<TransactionsConfig, ConfigError> {
    let replicas = reader.count("transaction.state.log.replication.factor")?;
    Ok(TransactionsConfig {
        timeout_max: reader.millis("transaction.max.timeout.ms")?,
        abort_scan_interval: reader.millis("transaction.abort.timed.out.transaction.cleanup.interval.ms")?,
        id_expiration: reader.millis("transactional.id.expiration.ms")?,
        removal_scan_interval: reader.millis("transaction.remove.expired.transaction.cleanup.interval.ms")?,
        enrolment_backoff: reader.millis("add.partitions.to.txn.retry.backoff.ms")?,
        enrolment_time_max: reader.millis("add.partitions.to.txn.retry.backoff.max.ms")?,
        verifies_partitions: reader.boolean("transaction.partition.verification.enable")?,
        state_partitions: reader.count_u32("transaction.state.log.num.partitions")?,
        state_replication_factor: u16::try_from(replicas).unwrap_or(u16::MAX),
        state_in_sync_min: reader.count_u32("transaction.state.log.min.isr")?,
        state_segment_bytes: reader.count_u32("transaction.state.log.segment.bytes")?,
    })
}
