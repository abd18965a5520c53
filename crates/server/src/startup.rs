//! The life of a node: from a configuration to a node that serves, and back to files in order.
//!
//! Owns: the order of starting and stopping.
//! Does not own: the parts that are started.
//!
//! Start: bind → lock and identify directories → read the metadata → controller → partitions → register → serve.
//! A failure on the way leaves nothing behind but what was formatted. Stop goes the other way: no new requests → leave
//! the cluster → coordinators → logs closed → checkpoints → controller → clean marks.
//!
//! Source: architecture, "First start"; requirements REG-01, REG-04, SHD-01, LOG-04.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

use ottla_coordinator::group::{Assignor, MigrationPolicy};
use ottla_coordinator::{Assignors, ConsumerConfig, GroupConfig, TransactionConfig};
use ottla_env::disk::Disk;
use ottla_env::net::{BindError, ListenOptions, Listener, SocketOptions};
use ottla_env::random::Random;
use ottla_env::sync::{mpsc, oneshot, watch};
use ottla_env::task::{self, in_parallel};
use ottla_env::time::wall_now;
use ottla_metadata::bootstrap::{BOOTSTRAP_FILE, read_bootstrap_file};
use ottla_metadata::config::{self, BrokerConfig, ConfigError, GroupsConfig, Layers};
use ottla_metadata::controller::{Answer, Command, ControllerSetup, RegisterController};
use ottla_metadata::features::supported_features;
use ottla_metadata::image::Endpoint;
use ottla_metadata::quorum::{ElectionState, ElectionStateError, QuorumSetup, ReplicaKey, VoterEndpoint};
use ottla_metadata::records::MetadataRecord;
use ottla_metadata::snapshot::{Retention, Snapshot, SnapshotError, SnapshotId, SnapshotPolicy};
use ottla_metadata::{MetadataNode, NodeError, NodeSetup, NodeStart};
use ottla_model::{
    BrokerEpoch, DirectoryId, IncarnationId, ListenerName, PartitionIndex, TopicId, TopicName, TopicPartition,
};
use ottla_protocol::codec;
use ottla_protocol::compression::{Compression, Encoding};
use ottla_security::{AllowAll, Authorizer};
use ottla_storage::{Durability, FileCache, KeptLog, LogConfig, LogDir, LogDirError, LogOptions};

use crate::access::Access;
use crate::broker_lifecycle::{BrokerLifecycle, LifecycleError, Registration, Told};
use crate::compaction::{Compactor, StopCompaction};
use crate::controller::{
    self, ControllerHandle, Driver, DriverError, MetadataLog, MetadataLogError, moment, read_file,
};
use crate::coordinators::{Groups, Transactions};
use crate::flusher::Flusher;
use crate::formatting::{self, Formatted, Formatter, FormattingError};
use crate::janitor::{Janitor, JanitorInbox, metadata_recovery_point};
use crate::listener::{ConnectionCount, Door};
use crate::log_directory::{CARE_QUEUE_LENGTH, LogDirectory, Reports};
use crate::loggers::Loggers;
use crate::memory_budget::MemoryBudget;
use crate::metadata_follower::MetadataFollower;
use crate::node::{CREATION_QUEUE_LENGTH, Identity, Node, NodeParts};
use crate::partitions::{METADATA_TOPIC, Partitions};
use crate::topic_creation;

/// Files that may wait for their removal at once; those beyond are found by the next start.
const REMOVAL_QUEUE_LENGTH: usize = 1 << 16;
/// Logs that are closed at once at a clean stop.
const CLOSING_THREADS: NonZeroUsize = NonZeroUsize::new(32).unwrap();
/// Part of the process's memory that requests may take where `queued.max.request.bytes` does not say.
const MEMORY_SHARE: u64 = 4;

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error(transparent)]
    Directory(#[from] LogDirError),
    #[error(transparent)]
    Formatting(#[from] FormattingError),
    #[error("the metadata log cannot be opened: {0}")]
    MetadataLog(String),
    #[error(transparent)]
    Metadata(#[from] NodeError),
    #[error("{} cannot be used", path.display())]
    Snapshot { path: PathBuf, source: SnapshotError },
    #[error("{} cannot be used", path.display())]
    Election { path: PathBuf, source: ElectionStateError },
    /// Registering would be tried until it takes too long, and the reason would be lost.
    #[error("the controller cannot begin: {0}")]
    Controller(String),
    #[error(transparent)]
    Lifecycle(#[from] LifecycleError),
    #[error("a thread could not be started")]
    Thread(#[source] std::io::Error),
    #[error("a controller that is no broker is not supported yet: process.roles must have both")]
    ControllerOnly,
}

impl From<MetadataLogError> for StartError {
    fn from(error: MetadataLogError) -> StartError {
        StartError::MetadataLog(error.to_string())
    }
}

/// What a node is started with.
pub struct StartOptions {
    /// The settings of the properties file.
    pub layers: Layers,
    pub disk: Arc<dyn Disk>,
    pub random: Arc<dyn Random>,
    pub loggers: Loggers,
    /// Who decides what callers may do; without one everything is allowed, as in Kafka.
    pub authorizer: Option<Arc<dyn Authorizer>>,
}

/// A node that serves.
pub struct RunningNode {
    node: Arc<Node>,
    addresses: Vec<(ListenerName, SocketAddr)>,
    stopping: watch::Sender<bool>,
    lifecycle: mpsc::Sender<Told>,
    janitor: (oneshot::Sender<()>, task::Dedicated<()>),
    compaction: (StopCompaction, task::Dedicated<()>),
    driver: task::Dedicated<Result<(), DriverError>>,
    failed: mpsc::Receiver<String>,
}

/// Listeners that are bound, with the endpoints others are told.
struct Doors {
    broker: Vec<(Listener, config::Listener)>,
    controller: Vec<(Listener, config::Listener)>,
    broker_endpoints: Vec<Endpoint>,
    controller_endpoints: Vec<Endpoint>,
}

/// Starts a node and returns once it serves.
pub async fn start(options: StartOptions) -> Result<RunningNode, StartError> {
    let config = BrokerConfig::from_layers(&options.layers)?;
    if !config.roles.broker {
        return Err(StartError::ControllerOnly);
    }
    let doors = bind(&config).await?;
    let cache = FileCache::new(Arc::clone(&options.disk), formatting::open_files_max());
    let formatted = identify(&options, &config, &doors, &cache)?;
    let own_directory =
        formatted.directories.iter().find(|directory| *directory.files.path() == *config.metadata_log.dir);
    let own_directory = own_directory.map(|directory| directory.id);
    let (driver, published) = open_metadata(&options, &config, &formatted, own_directory)?;
    let (messages, inbox) = mpsc::channel(controller::COMMAND_QUEUE_LENGTH);
    let request_timeout = config.network.request_timeout;
    let handle = ControllerHandle::new(messages, published, request_timeout);
    let (failures, failed) = mpsc::channel(1);
    let driver = task::spawn_dedicated("controller", run_driver(driver, inbox, failures.clone()));
    let driver = driver.map_err(StartError::Thread)?;
    let assembled = assemble(options, config, formatted, handle)?;
    serve(assembled, doors, (driver, failures, failed)).await
}

async fn run_driver(
    driver: Driver,
    inbox: mpsc::Receiver<controller::Message>,
    failures: mpsc::Sender<String>,
) -> Result<(), DriverError> {
    let outcome = driver.run(inbox).await;
    if let Err(error) = &outcome {
        tracing::error!(error = %chain(error), "the controller ends");
        // One message is enough to end the process.
        drop(failures.try_send(chain(error)));
    }
    outcome
}

/// An error with everything that caused it, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

async fn bind(config: &BrokerConfig) -> Result<Doors, StartError> {
    let network = &config.network;
    let socket = SocketOptions {
        send_buffer: network.send_buffer_bytes,
        receive_buffer: network.receive_buffer_bytes,
    };
    let options = ListenOptions { backlog: network.backlog, socket };
    let mut doors = Doors {
        broker: Vec::new(),
        controller: Vec::new(),
        broker_endpoints: Vec::new(),
        controller_endpoints: Vec::new(),
    };
    for wanted in &config.listeners.broker {
        let listener = Listener::bind(wanted.host.as_deref().unwrap_or(""), wanted.port, options).await?;
        doors.broker.push((listener, wanted.clone()));
    }
    for wanted in &config.listeners.controller {
        let listener = Listener::bind(wanted.host.as_deref().unwrap_or(""), wanted.port, options).await?;
        doors.controller.push((listener, wanted.clone()));
    }
    doors.broker_endpoints = endpoints(&config.listeners.advertised_broker, &doors.broker);
    doors.controller_endpoints = endpoints(&config.listeners.advertised_controller, &doors.controller);
    Ok(doors)
}

/// What others are told: an advertised port of 0 is the one that was bound.
fn endpoints(advertised: &[config::Listener], bound: &[(Listener, config::Listener)]) -> Vec<Endpoint> {
    let endpoint = |told: &config::Listener| {
        let door = bound.iter().find(|(_, wanted)| wanted.name == told.name);
        let port = match (told.port, door) {
            (0, Some((listener, _))) => listener.local_addr().port(),
            (port, _) => port,
        };
        Endpoint {
            listener: told.name.as_str().to_owned(),
            host: told.host.clone().unwrap_or_else(|| "localhost".to_owned()),
            port,
            security_protocol: told.protocol,
        }
    };
    advertised.iter().map(endpoint).collect()
}

fn identify(
    options: &StartOptions,
    config: &BrokerConfig,
    doors: &Doors,
    cache: &Arc<FileCache>,
) -> Result<Formatted, StartError> {
    let (directories, unusable) = open_directories(config, cache)?;
    let voter_endpoint = |endpoint: &Endpoint| VoterEndpoint {
        listener: endpoint.listener.clone(),
        host: endpoint.host.clone(),
        port: endpoint.port,
    };
    let formatter = Formatter {
        disk: options.disk.as_ref(),
        random: options.random.as_ref(),
        config,
        controller_endpoints: doors.controller_endpoints.iter().map(voter_endpoint).collect(),
    };
    let mut formatted = formatter.run(directories)?;
    formatted.unusable = unusable;
    for directory in &mut formatted.directories {
        for warning in directory.files.begin()? {
            tracing::warn!(%warning, "a checkpoint is not used");
        }
    }
    Ok(formatted)
}

/// Takes the directories. One that cannot be accessed is left out, unless it is the metadata's or there is no other for
/// partitions (LOG-07); one that somebody else uses, or that is not understood, keeps the node from starting.
fn open_directories(
    config: &BrokerConfig,
    cache: &Arc<FileCache>,
) -> Result<(Vec<LogDir>, Vec<PathBuf>), StartError> {
    let (mut directories, mut unusable) = (Vec::new(), Vec::new());
    let mut last_error = None;
    for path in formatting::directory_paths(config) {
        let opened = LogDir::open(Arc::clone(cache), path.clone());
        match opened.and_then(|directory| directory.meta().map(|_| directory)) {
            Ok(directory) => directories.push(directory),
            Err(error @ LogDirError::Disk { .. }) if path != config.metadata_log.dir => {
                tracing::error!(error = %chain(&error), "the log directory is offline");
                unusable.push(path);
                last_error = Some(error);
            }
            Err(error) => return Err(error.into()),
        }
    }
    let keeps_partitions =
        |directory: &LogDir| config.log_dirs.iter().any(|path| **path == *directory.path());
    match last_error {
        Some(error) if !directories.iter().any(keeps_partitions) => Err(error.into()),
        Some(_) | None => Ok((directories, unusable)),
    }
}

/// Reads snapshot and log of the metadata.
fn open_metadata(
    options: &StartOptions,
    config: &BrokerConfig,
    formatted: &Formatted,
    own_directory: Option<DirectoryId>,
) -> Result<(Driver, watch::Receiver<controller::Published>), StartError> {
    let disk = &options.disk;
    let log = open_metadata_log(disk.as_ref(), config, formatted)?;
    let log = MetadataLog::new(Arc::clone(disk), log);
    let snapshot = read_snapshot(&log)?;
    let bootstrap = read_bootstrap(disk.as_ref(), config)?;
    let election = log.read_quorum_state()?.map(|bytes| ElectionState::from_bytes(&bytes)).transpose();
    let election =
        election.map_err(|source| StartError::Election { path: log.quorum_state_path(), source })?;
    let own = ReplicaKey { id: config.node_id, directory: own_directory };
    let from = snapshot.as_ref().map_or(log.start(), |(id, _)| id.end);
    let setup = NodeSetup {
        quorum: QuorumSetup { own, cluster: formatted.cluster_id.clone() },
        controller: ControllerSetup {
            node: config.node_id,
            cluster: formatted.cluster_id.clone(),
            settings: options.layers.clone(),
            voters: formatted.voters.ids().collect(),
            session_timeout: config.registration.session_timeout,
        },
        snapshots: SnapshotPolicy {
            bytes_max: config.metadata_log.snapshot_after_bytes,
            interval: config.metadata_log.snapshot_after,
        },
        idle_interval: config.metadata_log.idle_interval,
    };
    let start = NodeStart { election, snapshot, bootstrap, voters: formatted.voters.clone() };
    let mut node = MetadataNode::new(setup, start, Arc::clone(&options.random), moment())?;
    let mut failed = None;
    log.read_all(from, |batch| {
        if failed.is_none() {
            failed = node.on_log_read(&batch).err();
        }
    })?;
    if let Some(error) = failed {
        return Err(error.into());
    }
    let retention = Retention {
        bytes_max: Some(config.metadata_log.retention_bytes),
        age_max: config.metadata_log.retention_age,
    };
    Ok(Driver::new(node, log, retention))
}

/// The latest snapshot, if there is one.
fn read_snapshot(log: &MetadataLog) -> Result<Option<(SnapshotId, Snapshot)>, StartError> {
    let Some(id) = log.snapshots()?.last().copied() else { return Ok(None) };
    let snapshot = Snapshot::read(&log.read_snapshot(id)?);
    let failed = |source| StartError::Snapshot { path: log.snapshot_path(id), source };
    Ok(Some((id, snapshot.map_err(failed)?)))
}

/// The records a new cluster begins with.
fn read_bootstrap(disk: &dyn Disk, config: &BrokerConfig) -> Result<Vec<MetadataRecord>, StartError> {
    let path = config.metadata_log.dir.join(BOOTSTRAP_FILE);
    let bytes = read_file(disk, &path).map_err(|error| StartError::MetadataLog(error.to_string()))?;
    let records = bytes.map(|bytes| read_bootstrap_file(&bytes)).transpose();
    Ok(records.map_err(|source| StartError::Snapshot { path, source })?.unwrap_or_default())
}

fn open_metadata_log(
    disk: &dyn Disk,
    config: &BrokerConfig,
    formatted: &Formatted,
) -> Result<ottla_storage::Log, StartError> {
    let failed = |error: &dyn std::fmt::Display| StartError::MetadataLog(error.to_string());
    let name = TopicName::new(METADATA_TOPIC).map_err(|error| failed(&error))?;
    let partition = TopicPartition::new(name, PartitionIndex::default());
    let segment_ms = i64::try_from(config.metadata_log.segment_age.as_millis()).unwrap_or(i64::MAX);
    let log_config = LogConfig {
        segment_bytes: config.metadata_log.segment_bytes,
        segment_ms,
        retention_ms: None,
        retention_bytes: None,
        durability: Durability::Flushed,
        ..LogConfig::default()
    };
    let options =
        LogOptions { config: Arc::new(log_config), now: wall_now(), producer_expiration_ms: i64::MAX };
    let directory = formatted
        .directories
        .iter()
        .find(|directory| *directory.files.path() == *config.metadata_log.dir)
        .ok_or_else(|| failed(&"its directory is not among those of the node"))?;
    let found = directory.files.find(&partition).map_err(|error| failed(&error))?;
    // A formatted node has the directory with a snapshot in it, and no log yet.
    let has_log = |found: &ottla_storage::FoundLog| {
        let entries = disk.read_dir(&found.path);
        entries.is_ok_and(|entries| entries.iter().any(|entry| entry.name.ends_with(".log")))
    };
    match found.filter(|found| has_log(found)) {
        Some(found) => {
            let (log, report) = directory.files.open_log(&found, &options).map_err(|error| failed(&error))?;
            if let Some(cut) = &report.cut {
                tracing::warn!(bytes = cut.bytes, reason = %cut.reason, "a torn end of the metadata log was cut off");
            }
            Ok(log)
        }
        None => match directory.files.last_recovery_point(&partition) {
            None => {
                let created = directory.files.create_log(partition, TopicId::METADATA, &options);
                created.map_err(|error| failed(&error))
            }
            Some(point) => {
                Err(failed(&format!("it is missing, and was on stable storage up to offset {point}")))
            }
        },
    }
}

/// A node whose tasks are not started yet.
struct Assembled {
    node: Arc<Node>,
    layers: Layers,
    wanted: mpsc::Receiver<crate::node::Wanted>,
    failures: mpsc::Receiver<DirectoryId>,
    care: mpsc::Receiver<TopicPartition>,
    previous_epoch: Option<BrokerEpoch>,
}

fn assemble(
    options: StartOptions,
    config: BrokerConfig,
    formatted: Formatted,
    controller: ControllerHandle,
) -> Result<Assembled, StartError> {
    let count = formatted.directories.len();
    let (failures_sender, failures) = mpsc::channel(count);
    let (care_sender, care) = mpsc::channel(CARE_QUEUE_LENGTH);
    let clean = formatted.directories.iter().all(|directory| directory.files.was_clean());
    let epochs = formatted.directories.iter().filter_map(|directory| directory.files.last_broker_epoch());
    let previous_epoch = epochs.max().filter(|_| clean);
    let mut directories = Vec::with_capacity(count);
    for identified in formatted.directories {
        let reports = Reports { failures: failures_sender.clone(), care: care_sender.clone() };
        let name = identified.id.to_string();
        let flusher = Flusher::start(&name).map_err(StartError::Thread)?;
        let keeps_partitions = config.log_dirs.iter().any(|path| **path == *identified.files.path());
        directories.push(Arc::new(LogDirectory::new(identified, keeps_partitions, flusher, reports)));
    }
    let (wanted_sender, wanted) = mpsc::channel(CREATION_QUEUE_LENGTH);
    let memory = config.network.queued_request_bytes_max;
    let memory = memory.unwrap_or_else(|| ottla_env::memory::usable().bytes / MEMORY_SHARE);
    let encoding = Compression::from_id(config.groups.offsets_codec)
        .map_or(Encoding::None, Encoding::with_default_level);
    let layers = options.layers.clone();
    let node = Node::new(NodeParts {
        identity: Identity { id: config.node_id, cluster_id: formatted.cluster_id },
        access: Access::new(options.authorizer.unwrap_or_else(|| Arc::new(AllowAll))),
        controller,
        groups: Groups::new(group_config(&config.groups), encoding),
        transactions: Transactions::new(transaction_config(&config)),
        directories,
        unusable: formatted.unusable,
        disk: options.disk,
        random: options.random,
        loggers: options.loggers,
        memory: Arc::new(MemoryBudget::new(memory)),
        layers: options.layers,
        config,
        wanted: wanted_sender,
    });
    Ok(Assembled { node: Arc::new(node), layers, wanted, failures, care, previous_epoch })
}

/// The assignors members may ask for; the check of the key has let no others through.
fn assignors(names: &[String]) -> Assignors {
    let mut known = names.iter().filter_map(|name| Assignor::named(name));
    let first = known.next().unwrap_or(Assignor::Uniform);
    Assignors { first, second: known.find(|other| *other != first) }
}

fn group_config(groups: &GroupsConfig) -> GroupConfig {
    let count = |value: u32| usize::try_from(value).unwrap_or(usize::MAX);
    GroupConfig {
        session_timeout_min: groups.session_timeout_min,
        session_timeout_max: groups.session_timeout_max,
        initial_rebalance_delay: groups.initial_rebalance_delay,
        members_max: count(groups.size_max),
        offset_metadata_length_max: count(groups.offset_metadata_bytes_max),
        offsets_retention: groups.retention,
        offsets_retention_check_interval: groups.retention_check_interval,
        commit_timeout: groups.commit_timeout,
        consumer: ConsumerConfig {
            members_max: count(groups.consumer.size_max),
            migration: match (groups.consumer.may_upgrade, groups.consumer.may_downgrade) {
                (true, true) => MigrationPolicy::Bidirectional,
                (true, false) => MigrationPolicy::Upgrade,
                (false, true) => MigrationPolicy::Downgrade,
                (false, false) => MigrationPolicy::Disabled,
            },
            assignors: assignors(&groups.consumer.assignors),
            regex_refresh_interval: groups.consumer.regex_refresh_interval,
        },
    }
}

fn transaction_config(config: &BrokerConfig) -> TransactionConfig {
    let transactions = &config.transactions;
    TransactionConfig {
        timeout_max: transactions.timeout_max,
        abort_scan_interval: transactions.abort_scan_interval,
        id_expiration: transactions.id_expiration,
        removal_scan_interval: transactions.removal_scan_interval,
        commit_timeout: config.network.request_timeout,
    }
}

/// Starts the tasks, registers, and opens the doors once the controller lets the broker take part.
async fn serve(
    assembled: Assembled,
    doors: Doors,
    (driver, failures, mut failed): (
        task::Dedicated<Result<(), DriverError>>,
        mpsc::Sender<String>,
        mpsc::Receiver<String>,
    ),
) -> Result<RunningNode, StartError> {
    let Assembled { node, layers, wanted, failures: directory_failures, care, previous_epoch } = assembled;
    let incarnation = IncarnationId(node.random.kafka_uuid());
    register_controller(&node, incarnation, &doors).await;
    let (removed_sender, removed) = mpsc::channel(REMOVAL_QUEUE_LENGTH);
    let partitions = Partitions::new(Arc::clone(&node), removed_sender.clone());
    let follower = MetadataFollower::new(Arc::clone(&node), partitions, layers);
    let registration = Registration {
        incarnation,
        endpoints: doors.broker_endpoints.clone(),
        directories: node.data_directories().map(|directory| directory.id()).collect(),
        previous_epoch,
    };
    let mut lifecycle =
        BrokerLifecycle::new(Arc::clone(&node), registration, (follower.progress(), failures.clone()));
    task::select! {
        biased;
        Some(reason) = failed.recv() => return Err(StartError::Controller(reason)),
        registered = lifecycle.register() => registered?,
    };
    drop(task::spawn(follower.run(node.controller.follow())));
    drop(task::spawn(topic_creation::run(Arc::clone(&node), wanted)));
    let (stop_janitor, stop) = oneshot::channel();
    let janitor = Janitor::new(Arc::clone(&node)).run(JanitorInbox { care, removed, stop });
    let janitor = task::spawn_dedicated("janitor", janitor).map_err(StartError::Thread)?;
    let (told, inbox) = mpsc::channel(node.directories.len() + 1);
    let (compactor, stop_compaction) = Compactor::new(Arc::clone(&node), removed_sender);
    let compaction = task::spawn_dedicated("compaction", compactor.run()).map_err(StartError::Thread)?;
    let mut unfenced = lifecycle.unfenced();
    drop(task::spawn(lifecycle.run(inbox)));
    drop(task::spawn(watch_directories(Arc::clone(&node), directory_failures, (told.clone(), failures))));
    // The task that unfences lives as long as the node, so this ends.
    drop(unfenced.wait_for(|unfenced| *unfenced).await);
    // The first client finds the partitions led: the controller decided that together with the unfencing.
    node.catch_up().await;
    let (stopping, stop) = watch::channel(false);
    let addresses = open_doors(&node, doors, &stop);
    Ok(RunningNode {
        node,
        addresses,
        stopping,
        lifecycle: told,
        janitor: (stop_janitor, janitor),
        compaction: (stop_compaction, compaction),
        driver,
        failed,
    })
}

async fn register_controller(node: &Node, incarnation: IncarnationId, doors: &Doors) {
    let features = supported_features().into_iter();
    let command = Command::RegisterController(RegisterController {
        controller: node.identity.id,
        incarnation,
        endpoints: doors.controller_endpoints.clone(),
        features: features.map(|known| (known.name.to_owned(), known.range)).collect(),
        migration_ready: false,
    });
    match node.controller.ask(command).await {
        Ok(Answer::RegisterController(Ok(()))) => {}
        Ok(Answer::RegisterController(Err(error))) => {
            tracing::warn!(%error, "the controller is not registered");
        }
        Ok(other) => unreachable!("a registration was answered with {other:?}"),
        Err(error) => tracing::warn!(%error, "the controller is not registered"),
    }
}

/// A directory that failed takes its partitions offline; without the last one, or the metadata's, there is no node
/// (LOG-07).
async fn watch_directories(
    node: Arc<Node>,
    mut failures: mpsc::Receiver<DirectoryId>,
    (told, fatal): (mpsc::Sender<Told>, mpsc::Sender<String>),
) {
    while let Some(failed) = failures.recv().await {
        for partition in node.partitions.snapshot().partitions() {
            if partition.directory().id() == failed {
                partition.on_offline();
            }
        }
        let directory = node.directories.iter().find(|directory| directory.id() == failed);
        let metadata =
            directory.is_some_and(|directory| *directory.path() == *node.config().metadata_log.dir);
        if metadata || node.data_directories().all(|directory| !directory.is_online()) {
            let path = directory.map(|directory| directory.path().display().to_string()).unwrap_or_default();
            // One message is enough to end the process.
            drop(fatal.try_send(format!("log directory {path} failed and the node cannot go on without it")));
        }
        if told.send(Told::Failed(failed)).await.is_err() {
            return;
        }
    }
}

fn open_doors(
    node: &Arc<Node>,
    doors: Doors,
    stop: &watch::Receiver<bool>,
) -> Vec<(ListenerName, SocketAddr)> {
    let count = Arc::new(ConnectionCount::new(node.config().network.connections_max));
    let mut addresses = Vec::new();
    let kinds = [(doors.broker, codec::Listener::Broker), (doors.controller, codec::Listener::Controller)];
    for (bound, kind) in kinds {
        for (listener, wanted) in bound {
            addresses.push((wanted.name.clone(), listener.local_addr()));
            let door = Door { listener, name: Arc::new(wanted.name), kind };
            drop(task::spawn(door.run(Arc::clone(node), Arc::clone(&count), stop.clone())));
        }
    }
    addresses
}

impl RunningNode {
    /// Where the node listens, by listener.
    pub fn addresses(&self) -> &[(ListenerName, SocketAddr)] {
        &self.addresses
    }

    pub fn cluster_id(&self) -> String {
        self.node.identity.cluster_id.to_string()
    }

    pub fn node_id(&self) -> i32 {
        self.node.identity.id.value()
    }

    /// Waits until something fails without which the node cannot go on; returns what.
    pub async fn failed(&mut self) -> String {
        match self.failed.recv().await {
            Some(reason) => reason,
            None => std::future::pending().await,
        }
    }

    /// Stops in order: everything is on stable storage and marked as cleanly left when it returns.
    pub async fn stop(self) {
        let (done, left) = oneshot::channel();
        if self.lifecycle.send(Told::Leave(done)).await.is_ok() {
            // The task answers or ends; either way the broker is out.
            drop(left.await);
        }
        // Nobody listens for it any more once all connections have ended.
        let _ = self.stopping.send(true);
        self.node.groups.stop().await;
        self.node.transactions.stop().await;
        let (stop_compaction, compaction) = self.compaction;
        stop_compaction.stop();
        let (stop_janitor, janitor) = self.janitor;
        let _ = stop_janitor.send(());
        let _ = janitor.await;
        let _ = compaction.await;
        let clean = close_logs(&self.node);
        self.node.controller.stop().await;
        let ended = matches!(self.driver.await, Ok(Ok(())));
        if clean && ended {
            mark_clean(&self.node);
        }
        // Tasks that are about to end may hold the node a little longer, but its directories are free now.
        for directory in &self.node.directories {
            directory.files().unlock();
        }
    }
}

/// Closes every log and writes the checkpoints. `false`: something failed, so the next start has to look closer.
fn close_logs(node: &Node) -> bool {
    let mut clean = true;
    for directory in &node.directories {
        directory.flusher().stop();
        let turn = directory.last_checkpoint_turn();
        if turn.is_none() || !directory.is_online() {
            clean = false;
            continue;
        }
        let table = node.partitions.snapshot();
        let (mut ends, mut starts, mut committed) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let here = table.partitions().filter(|partition| Arc::ptr_eq(partition.directory(), directory));
        // A file system syncs for all who wait at once.
        let closed = in_parallel(CLOSING_THREADS, here.collect(), |partition| {
            let high_watermark = partition.high_watermark();
            let log = partition.take_log()?;
            let fresh = matches!(&log, KeptLog::Resting(resting) if resting.names_are_fresh());
            Some((partition, high_watermark, log.close(), fresh))
        });
        let mut fresh = Vec::new();
        for (partition, high_watermark, closed, has_fresh_names) in closed.into_iter().flatten() {
            fresh.extend(has_fresh_names.then(|| partition.id()));
            match closed {
                Ok(closed) => {
                    ends.insert(partition.id(), closed.log_end);
                    committed.insert(partition.id(), high_watermark);
                    if closed.log_start > closed.first_base {
                        starts.insert(partition.id(), closed.log_start);
                    }
                }
                Err(error) => {
                    tracing::error!(partition = %partition.id(), %error, "the log could not be closed");
                    clean = false;
                }
            }
        }
        let files = directory.files();
        if let Err(error) = files.sync_names(fresh) {
            tracing::error!(%error, "the names of new partitions may not be durable");
            clean = false;
        }
        let metadata = metadata_recovery_point(node, directory);
        let metadata = metadata.as_ref().map(|(metadata, point)| (metadata, *point));
        let written = files.write_recovery_points(ends.into_iter().chain(metadata));
        let written = written.and_then(|()| files.write_log_starts(starts));
        if let Err(error) = written.and_then(|()| files.write_high_watermarks(committed)) {
            tracing::error!(%error, "checkpoints could not be written");
            clean = false;
        }
    }
    clean
}

fn mark_clean(node: &Node) {
    for directory in &node.directories {
        if let Err(error) = directory.files().mark_clean(node.broker_epoch()) {
            tracing::error!(%error, "the clean stop could not be marked");
        }
    }
}
