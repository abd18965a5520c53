//! One node: everything its handlers share.
//!
//! Owns: the parts of a running node and how they are found.
//! Does not own: their start and stop (`startup`), their work.
//!
//! Source: architecture, "How the pieces behave".

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use ottla_env::disk::Disk;
use ottla_env::random::Random;
use ottla_env::sync::{Semaphore, mpsc, watch};
use ottla_env::time::timeout;
use ottla_metadata::config::{BrokerConfig, Layers};
use ottla_metadata::features::Feature;
use ottla_metadata::image::MetadataImage;
use ottla_model::{BrokerEpoch, BrokerId, ClusterId, DirectoryId, TopicName};
use ottla_protocol::ErrorCode;
use parking_lot::Mutex;

use crate::access::Access;
use crate::controller::ControllerHandle;
use crate::coordinators::{Groups, Transactions};
use crate::fetch::session::SessionCache;
use crate::internal_topics::InternalTopic;
use crate::log_directory::LogDirectory;
use crate::loggers::Loggers;
use crate::memory_budget::MemoryBudget;
use crate::partition::Partition;
use crate::partition_table::PartitionTable;
use crate::producer_ids::ProducerIds;
use crate::waiting::RequestIds;

/// Who this node is.
#[derive(Clone, Debug)]
pub struct Identity {
    pub id: BrokerId,
    pub cluster_id: ClusterId,
}

/// Settings that handlers look at, made again after every dynamic change.
#[derive(Clone, Debug)]
pub struct HandlerSettings {
    /// `auto.create.topics.enable`
    pub auto_create_topics: bool,
    /// `max.request.partition.size.limit`
    pub partitions_per_answer_max: usize,
    /// `fetch.max.bytes`
    pub fetch_bytes_max: u32,
    pub rack: Option<String>,
}

/// Longest time an answer waits for this node to apply a change it reports.
const CATCH_UP_TIME: Duration = Duration::from_secs(2);

/// Threads that wait for the device at once for fetches: more than it serves at once only wait longer.
const COLD_READS_MAX: usize = 4;
/// Topics that wait to be created; what does not fit is asked for again by the client's next request.
pub const CREATION_QUEUE_LENGTH: usize = 256;

/// A topic that some request needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    Topic(TopicName),
    Internal(InternalTopic),
}

/// A running node.
pub struct Node {
    pub identity: Identity,
    pub access: Access,
    pub controller: ControllerHandle,
    pub partitions: PartitionTable,
    pub groups: Groups,
    pub transactions: Transactions,
    pub sessions: Mutex<SessionCache>,
    pub producer_ids: ProducerIds,
    pub request_ids: RequestIds,
    pub directories: Vec<Arc<LogDirectory>>,
    /// Directories of `log.dirs` that could not be accessed at the start.
    pub unusable: Vec<PathBuf>,
    pub disk: Arc<dyn Disk>,
    pub random: Arc<dyn Random>,
    pub loggers: Loggers,
    pub memory: Arc<MemoryBudget>,
    /// Reads of records that are not in memory take turns.
    pub cold_reads: Semaphore,
    image: ArcSwap<MetadataImage>,
    layers: ArcSwap<Layers>,
    config: ArcSwap<BrokerConfig>,
    settings: ArcSwap<HandlerSettings>,
    wanted: mpsc::Sender<Wanted>,
    broker_epoch: Mutex<Option<BrokerEpoch>>,
    /// Offset of the last metadata record that was applied, −1 before the first.
    applied: watch::Sender<i64>,
}

/// The parts a node is made of.
pub struct NodeParts {
    pub identity: Identity,
    pub access: Access,
    pub controller: ControllerHandle,
    pub groups: Groups,
    pub transactions: Transactions,
    pub directories: Vec<Arc<LogDirectory>>,
    pub unusable: Vec<PathBuf>,
    pub disk: Arc<dyn Disk>,
    pub random: Arc<dyn Random>,
    pub loggers: Loggers,
    pub memory: Arc<MemoryBudget>,
    pub layers: Layers,
    pub config: BrokerConfig,
    pub wanted: mpsc::Sender<Wanted>,
}

impl Node {
    pub fn new(parts: NodeParts) -> Node {
        let sessions = usize::try_from(parts.config.network.fetch_sessions_max).unwrap_or(0);
        let settings = handler_settings(&parts.config);
        Node {
            identity: parts.identity,
            access: parts.access,
            controller: parts.controller,
            partitions: PartitionTable::default(),
            groups: parts.groups,
            transactions: parts.transactions,
            sessions: Mutex::new(SessionCache::new(sessions)),
            producer_ids: ProducerIds::default(),
            request_ids: RequestIds::default(),
            directories: parts.directories,
            unusable: parts.unusable,
            disk: parts.disk,
            random: parts.random,
            loggers: parts.loggers,
            memory: parts.memory,
            cold_reads: Semaphore::new(COLD_READS_MAX),
            image: ArcSwap::default(),
            layers: ArcSwap::new(Arc::new(parts.layers)),
            config: ArcSwap::new(Arc::new(parts.config)),
            settings: ArcSwap::new(Arc::new(settings)),
            wanted: parts.wanted,
            broker_epoch: Mutex::new(None),
            applied: watch::channel(-1).0,
        }
    }

    /// The metadata this node has applied.
    pub fn image(&self) -> arc_swap::Guard<Arc<MetadataImage>> {
        self.image.load()
    }

    pub fn set_image(&self, image: Arc<MetadataImage>) {
        let offset = image.features_epoch();
        self.image.store(image);
        self.applied.send_replace(offset);
    }

    /// Waits until this node has applied what the controller had committed at the time of the call, so that whoever
    /// changed something finds it changed here. A node that cannot keep up is waited for only shortly: Kafka's clients
    /// expect brokers to lag (TOP-04).
    pub async fn catch_up(&self) {
        let wanted = self.controller.published().image.features_epoch();
        let mut applied = self.applied.subscribe();
        // Late or gone, the answer is given all the same.
        let _ = timeout(CATCH_UP_TIME, applied.wait_for(|offset| *offset >= wanted)).await;
    }

    /// Whether members may speak the consumer protocol: the node lets them, and the cluster is up to it.
    pub fn serves_consumer_groups(&self) -> bool {
        self.config().groups.consumer.is_enabled && self.image().features.level(Feature::Group) > 0
    }

    /// The node's settings, static and dynamic.
    pub fn layers(&self) -> arc_swap::Guard<Arc<Layers>> {
        self.layers.load()
    }

    pub fn config(&self) -> arc_swap::Guard<Arc<BrokerConfig>> {
        self.config.load()
    }

    pub fn settings(&self) -> arc_swap::Guard<Arc<HandlerSettings>> {
        self.settings.load()
    }

    /// Dynamic settings changed.
    pub fn set_layers(&self, layers: Layers, config: BrokerConfig) {
        self.settings.store(Arc::new(handler_settings(&config)));
        self.config.store(Arc::new(config));
        self.layers.store(Arc::new(layers));
    }

    /// The epoch of this broker's registration; `None` before it has one.
    pub fn broker_epoch(&self) -> Option<BrokerEpoch> {
        *self.broker_epoch.lock()
    }

    pub fn set_broker_epoch(&self, epoch: BrokerEpoch) {
        *self.broker_epoch.lock() = Some(epoch);
    }

    /// A partition this node has, or the code for a client that asked here for one it has not.
    pub fn local_partition(&self, topic: &str, index: i32) -> Result<Arc<Partition>, ErrorCode> {
        let table = self.partitions.load();
        if let Some(partition) = table.topic(topic).and_then(|topic| topic.partition(index)) {
            return Ok(Arc::clone(partition));
        }
        let image = self.image();
        let exists = image.topics.by_name(topic).is_some_and(|topic| topic.numbered(index).is_some());
        Err(if exists { ErrorCode::NotLeaderOrFollower } else { ErrorCode::UnknownTopicOrPartition })
    }

    /// Creates a topic in the background (MD-07).
    pub fn auto_create(&self, name: TopicName) {
        let wanted = match InternalTopic::from_name(name.as_str()) {
            Some(internal) => Wanted::Internal(internal),
            None => Wanted::Topic(name),
        };
        self.want(wanted);
    }

    /// Creates an internal topic in the background.
    pub fn create_internal(&self, topic: InternalTopic) {
        self.want(Wanted::Internal(topic));
    }

    fn want(&self, wanted: Wanted) {
        if let Err(error) = self.wanted.try_send(wanted) {
            tracing::debug!(%error, "a topic is not created now; the client will ask again");
        }
    }

    /// The directories that partitions lie in: those of `log.dirs`. The metadata may have another one of their own.
    pub fn data_directories(&self) -> impl Iterator<Item = &Arc<LogDirectory>> {
        self.directories.iter().filter(|directory| directory.keeps_partitions())
    }

    /// Directories that are to take no new replicas (`cordoned.log.dirs`).
    pub fn cordoned(&self) -> Vec<DirectoryId> {
        let config = self.config();
        let cordoned = |directory: &&Arc<LogDirectory>| {
            config.cordoned_log_dirs.iter().any(|path| **path == *directory.path())
        };
        self.data_directories().filter(cordoned).map(|directory| directory.id()).collect()
    }

    /// Whether no new replicas go to the directory (`cordoned.log.dirs`).
    pub fn is_cordoned(&self, directory: &LogDirectory) -> bool {
        let image = self.image();
        let broker = image.cluster.broker(self.identity.id);
        let cordoned = broker.and_then(|broker| broker.cordoned.as_ref());
        cordoned.is_some_and(|cordoned| cordoned.contains(&directory.id()))
    }
}

fn handler_settings(config: &BrokerConfig) -> HandlerSettings {
    HandlerSettings {
        auto_create_topics: config.topics.auto_create,
        partitions_per_answer_max: usize::try_from(config.network.described_partitions_max).unwrap_or(1),
        fetch_bytes_max: config.network.fetch_bytes_max,
        rack: config.rack.clone(),
    }
}
