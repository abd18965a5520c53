//! The partitions of this node come and go as the metadata says.
//!
//! Owns: opening, making, changing and removing replicas; which log directory a new one goes to.
//! Does not own: what the metadata says (`metadata`), the replicas themselves (`partition`).
//!
//! One task calls this, so changes come one after the other.
//!
//! Invariants
//! - M1 a directory that the metadata does not know is set aside as stray, never deleted;
//! - M2 a replica is in the table only with the controller's word applied.
//!
//! Source: requirements LOG-04, LOG-07, LOG-08, MD-12.

use std::collections::{HashMap, HashSet};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use ottla_env::sync::mpsc;
use ottla_env::task::in_parallel;
use ottla_env::time::{Instant, now, wall_now};
use ottla_metadata::config::Settings;
use ottla_metadata::controller::{AssignReplicas, Assignment, Command};
use ottla_metadata::image::{self, ConfigResource, ImageChanges, MetadataImage, PartitionAt, Topic};
use ottla_model::{DirectoryId, Offset, PartitionIndex, TopicId, TopicName, TopicPartition};
use ottla_replication::{PartitionState, StateChange};
use ottla_storage::{FoundLog, KeptLog, LogOptions, OpenError, Removal};

use crate::log_directory::LogDirectory;
use crate::node::Node;
use crate::partition::{Partition, PartitionParts, replica_of};
use crate::topic_settings::TopicSettings;

/// The name of the log that is no partition of a topic.
pub const METADATA_TOPIC: &str = "__cluster_metadata";

/// Something to be removed, and when.
pub type Removed = (Removal, Instant);

/// What became of partitions, for those who follow them.
#[derive(Debug, Default)]
pub struct Followed {
    /// This broker leads these in a new epoch.
    pub led: Vec<Arc<Partition>>,
    /// This broker no longer leads or has these.
    pub lost: Vec<TopicPartition>,
    /// Topics that are gone, as they were.
    pub deleted: Vec<Arc<Topic>>,
}

/// Brings partitions in line with the metadata.
pub struct Partitions {
    node: Arc<Node>,
    /// Logs found at the start that no topic has asked for yet.
    found: HashMap<TopicPartition, (Arc<LogDirectory>, FoundLog)>,
    /// What became of those the metadata asked for last.
    opened: HashMap<TopicPartition, Opened>,
    removed: mpsc::Sender<Removed>,
}

/// A log that an earlier run left, opened now.
struct Opened {
    directory: Arc<LogDirectory>,
    result: Result<FoundTopic, Box<OpenError>>,
}

/// A log with the topic it says it is of; one that does not say is open.
type FoundTopic = (KeptLog, Option<TopicId>);

/// A log to be opened.
struct ToOpen {
    directory: Arc<LogDirectory>,
    found: FoundLog,
    options: LogOptions,
}

impl Partitions {
    /// Lists what lies in the log directories; nothing is opened before the metadata asks for it.
    pub fn new(node: Arc<Node>, removed: mpsc::Sender<Removed>) -> Partitions {
        let mut found = HashMap::new();
        for directory in &node.directories {
            let listing = match directory.files().list() {
                Ok(listing) => listing,
                Err(error) => {
                    directory.fail_whole(&error);
                    continue;
                }
            };
            for deleted in listing.deleted {
                // The queue is long; what does not fit is found again at the next start.
                drop(removed.try_send((Removal::Log(deleted), now())));
            }
            for log in listing.logs.into_iter().filter(|log| log.partition.topic.as_str() != METADATA_TOPIC) {
                found.insert(log.partition.clone(), (Arc::clone(directory), log));
            }
        }
        Partitions { node, found, opened: HashMap::new(), removed }
    }

    /// Applies what changed in the metadata.
    pub fn apply(&mut self, changes: &ImageChanges, image: &MetadataImage) -> Followed {
        let mut followed = Followed { deleted: changes.deleted.clone(), ..Followed::default() };
        self.remove_topics(&changes.deleted, &mut followed);
        let mut settings = ByTopic { node: Arc::clone(&self.node), image, known: HashMap::new() };
        self.open_found(&changes.partitions, &mut settings);
        let mut fresh = Vec::new();
        for change in &changes.partitions {
            self.apply_one(change, &mut settings, (&mut fresh, &mut followed));
        }
        // Emptied by now; at the start it had room for every log.
        self.opened = HashMap::new();
        self.assign_directories(&fresh, image);
        self.node.partitions.insert_all(fresh);
        self.node.directories.iter().for_each(|directory| directory.on_logs_open());
        self.apply_configs(changes, &mut settings);
        followed
    }

    /// Sets aside what no topic has asked for: the metadata is complete now (M1).
    pub fn set_strays_aside(&mut self) {
        for (partition, (directory, found)) in std::mem::take(&mut self.found) {
            let Ok(settings) = settings_of(&self.node, &MetadataImage::default(), &partition.topic) else {
                continue;
            };
            let opened = directory.files().open_log(&found, &options(&self.node, &settings));
            let aside = opened.map_err(|error| error.to_string()).and_then(|(log, _)| {
                let unique = self.node.random.uuid();
                directory.files().set_stray(&partition, log.into(), unique).map_err(|error| error.to_string())
            });
            match aside {
                Ok(_) => {
                    tracing::warn!(%partition, "the metadata does not know the partition; it is set aside")
                }
                Err(error) => tracing::error!(%partition, error, "a stray partition cannot be set aside"),
            }
        }
        self.node.directories.iter().for_each(|directory| directory.files().forget_checkpoints());
    }

    fn apply_one(
        &mut self,
        change: &PartitionAt,
        settings: &mut ByTopic<'_>,
        (fresh, followed): (&mut Vec<Arc<Partition>>, &mut Followed),
    ) {
        let id = TopicPartition::new(change.topic.name.clone(), change.index);
        let known = self.node.partitions.load().topic_by_id(change.topic.id).cloned();
        let known = known.and_then(|topic| topic.partition(change.index.value()).cloned());
        if !change.after.has_replica(self.node.identity.id) {
            if known.is_some() {
                self.remove(&[(change.topic.id, change.index)], followed);
            }
            return;
        }
        let partition = match known {
            Some(partition) => partition,
            None => match self.open_or_make(&id, change, settings) {
                Ok(partition) => {
                    fresh.push(Arc::clone(&partition));
                    partition
                }
                Err(error) => {
                    tracing::error!(partition = %id, error, "the partition is not available");
                    return;
                }
            },
        };
        match partition.on_state(&state_of(&change.after)) {
            StateChange::Led { .. } => {
                partition.flush_what_was_found();
                followed.led.push(partition);
            }
            StateChange::Followed { .. } => followed.lost.push(id),
            StateChange::Updated | StateChange::Stale => {}
        }
    }

    fn open_or_make(
        &mut self,
        id: &TopicPartition,
        change: &PartitionAt,
        settings: &mut ByTopic<'_>,
    ) -> Result<Arc<Partition>, String> {
        let settings = settings.of(&id.topic)?;
        let options = options(&self.node, &settings);
        let (directory, log) = match self.take_opened(id, change.topic.id)? {
            Some(opened) => opened,
            None => self.make(id, change, &options)?,
        };
        let checkpointed = directory.files().last_high_watermark(id).unwrap_or(Offset::ZERO);
        let replica = replica_of(self.node.identity.id, &log, &settings, checkpointed);
        let topic_id = change.topic.id;
        let id = id.clone();
        Ok(Arc::new(Partition::new(PartitionParts { id, log, topic_id, directory, settings, replica })))
    }

    /// Opens what an earlier run left of these partitions: all directories at once, in each of them as many logs as
    /// `num.recovery.threads.per.data.dir` says (LOG-04).
    fn open_found(&mut self, wanted: &[PartitionAt], settings: &mut ByTopic<'_>) {
        let mut by_directory: HashMap<DirectoryId, Vec<ToOpen>> = HashMap::new();
        for change in wanted.iter().filter(|change| change.after.has_replica(self.node.identity.id)) {
            let id = TopicPartition::new(change.topic.name.clone(), change.index);
            if !self.found.contains_key(&id) {
                continue;
            }
            // Of settings that do not fit, whoever makes the replica says that it is not available.
            let Ok(settings) = settings.of(&id.topic) else { continue };
            let Some((directory, found)) = self.found.remove(&id) else { continue };
            // All partitions share the name that the metadata has.
            let found = FoundLog { partition: id, ..found };
            let options = options(&self.node, &settings);
            by_directory.entry(directory.id()).or_default().push(ToOpen { directory, found, options });
        }
        let threads = usize::try_from(self.node.config().logs.recovery_threads_per_dir).unwrap_or(1);
        let threads = NonZeroUsize::new(threads).unwrap_or(NonZeroUsize::MIN);
        let directories = NonZeroUsize::new(by_directory.len()).unwrap_or(NonZeroUsize::MIN);
        let opened = in_parallel(directories, by_directory.into_values().collect(), |logs| {
            in_parallel(threads, logs, |ToOpen { directory, found, options }| {
                let result = open(&directory, &found, &options);
                (found.partition, Opened { directory, result })
            })
        });
        self.opened.extend(opened.into_iter().flatten());
    }

    /// A log that an earlier run left. One of another topic of the same name is set aside.
    fn take_opened(
        &mut self,
        id: &TopicPartition,
        topic: TopicId,
    ) -> Result<Option<(Arc<LogDirectory>, KeptLog)>, String> {
        let Some(Opened { directory, result }) = self.opened.remove(id) else { return Ok(None) };
        let (mut log, own) = result.map_err(|error| {
            let text = format!("{error:#}");
            directory.fail_whole(&std::io::Error::other(error));
            text
        })?;
        match (own, log.as_open_mut()) {
            (Some(own), _) if own != topic => {
                tracing::warn!(partition = %id, %own, %topic, "a log of another topic of that name is set aside");
                let unique = self.node.random.uuid();
                directory.files().set_stray(id, log, unique).map_err(|error| error.to_string())?;
                return Ok(None);
            }
            (None, Some(log)) => log.set_topic_id(topic).map_err(|error| error.to_string())?,
            (Some(_), _) | (None, None) => {}
        }
        Ok(Some((directory, log)))
    }

    fn make(
        &self,
        id: &TopicPartition,
        change: &PartitionAt,
        options: &LogOptions,
    ) -> Result<(Arc<LogDirectory>, KeptLog), String> {
        let wanted = change.after.directory(self.node.identity.id);
        let named = self.node.directories.iter().find(|directory| Some(directory.id()) == wanted);
        let directory = match named {
            Some(directory) if directory.is_online() => directory,
            Some(directory) => {
                return Err(format!("log directory {} is offline", directory.path().display()));
            }
            // It was placed before, so its log may lie where this node cannot look.
            None if wanted.is_some_and(|id| !id.is_reserved()) && !self.node.unusable.is_empty() => {
                return Err("it may lie in a log directory that is offline".to_owned());
            }
            None => self.emptiest().ok_or("every log directory is offline or takes no new partitions")?,
        };
        let log = directory.files().create_log(id.clone(), change.topic.id, options).map_err(|error| {
            let text = error.to_string();
            directory.fail(id, &error);
            text
        })?;
        let mut log = KeptLog::from(log);
        log.rest();
        Ok((Arc::clone(directory), log))
    }

    /// The directory with the fewest partitions (LOG-08).
    fn emptiest(&self) -> Option<&Arc<LogDirectory>> {
        let usable =
            |directory: &&Arc<LogDirectory>| directory.is_online() && !self.node.is_cordoned(directory);
        let config = self.node.config();
        // The metadata log lies in one of them and is no partition of a topic.
        let count = |directory: &&Arc<LogDirectory>| {
            let of_metadata = usize::from(*directory.path() == *config.metadata_log.dir);
            directory.files().log_count().saturating_sub(of_metadata)
        };
        self.node.data_directories().filter(usable).min_by_key(count)
    }

    /// Tells the controller where replicas lie that it did not place itself.
    fn assign_directories(&self, fresh: &[Arc<Partition>], image: &MetadataImage) {
        let me = self.node.identity.id;
        let misplaced = |partition: &&Arc<Partition>| {
            let topic = image.topics.by_id(partition.topic_id());
            let placed = topic.and_then(|topic| topic.partition(partition.id().partition));
            placed.and_then(|placed| placed.directory(me)) != Some(partition.directory().id())
        };
        let assignment = |partition: &Arc<Partition>| Assignment {
            directory: partition.directory().id(),
            topic: partition.topic_id(),
            partition: partition.id().partition.value(),
        };
        let assignments: Vec<Assignment> = fresh.iter().filter(misplaced).map(assignment).collect();
        let Some(epoch) = self.node.broker_epoch().filter(|_| !assignments.is_empty()) else { return };
        let node = Arc::clone(&self.node);
        drop(ottla_env::task::spawn(async move {
            let request = AssignReplicas { broker: me, broker_epoch: epoch.value(), assignments };
            if let Err(error) = node.controller.ask(Command::AssignReplicas(request)).await {
                tracing::warn!(%error, "the controller does not know where new replicas lie");
            }
        }));
    }

    fn remove_topics(&mut self, deleted: &[Arc<Topic>], followed: &mut Followed) {
        for topic in deleted {
            let gone: Vec<(TopicId, PartitionIndex)> =
                topic.partitions().map(|(index, _)| (topic.id, index)).collect();
            self.remove(&gone, followed);
        }
    }

    fn remove(&mut self, gone: &[(TopicId, PartitionIndex)], followed: &mut Followed) {
        for partition in self.node.partitions.remove_all(gone) {
            followed.lost.push(partition.id().clone());
            let delay = partition.settings().log.file_delete_delay_ms;
            let Some(log) = partition.on_removed() else { continue };
            let deleted =
                partition.directory().files().delete_log(partition.id(), log, self.node.random.uuid());
            match deleted {
                Ok(deleted) => {
                    let due = now() + Duration::from_millis(u64::try_from(delay).unwrap_or(0));
                    if self.removed.try_send((Removal::Log(deleted), due)).is_err() {
                        tracing::debug!("a deleted partition is removed at the next start");
                    }
                }
                Err(error) => partition.directory().fail(partition.id(), &error),
            }
        }
    }

    fn apply_configs(&self, changes: &ImageChanges, settings: &mut ByTopic<'_>) {
        let me = self.node.identity.id;
        let of_all = |resource: &ConfigResource| {
            *resource == ConfigResource::BrokerDefault || *resource == ConfigResource::Broker(me)
        };
        let everything = changes.configs.iter().any(of_all);
        let named: HashSet<&str> = changes.configs.iter().filter_map(topic_of).collect();
        if !everything && named.is_empty() {
            return;
        }
        let table = self.node.partitions.snapshot();
        for partition in table.partitions() {
            let topic = &partition.id().topic;
            if !everything && !named.contains(topic.as_str()) {
                continue;
            }
            if let Ok(settings) = settings.of(topic) {
                partition.on_settings(settings);
            }
        }
    }
}

/// The settings of topics, resolved once and shared by the partitions of a topic.
struct ByTopic<'a> {
    node: Arc<Node>,
    image: &'a MetadataImage,
    known: HashMap<TopicName, Result<Arc<TopicSettings>, String>>,
}

impl ByTopic<'_> {
    fn of(&mut self, topic: &TopicName) -> Result<Arc<TopicSettings>, String> {
        if let Some(known) = self.known.get(topic) {
            return known.clone();
        }
        let resolved = settings_of(&self.node, self.image, topic).map(Arc::new);
        if let Err(error) = &resolved {
            tracing::warn!(%topic, error, "the settings of a topic do not fit, and are not taken");
        }
        self.known.insert(topic.clone(), resolved.clone());
        resolved
    }
}

fn topic_of(resource: &ConfigResource) -> Option<&str> {
    match resource {
        ConfigResource::Topic(name) => Some(name),
        ConfigResource::Broker(_)
        | ConfigResource::BrokerDefault
        | ConfigResource::ClientMetrics(_)
        | ConfigResource::Group(_) => None,
    }
}

fn settings_of(node: &Node, image: &MetadataImage, topic: &TopicName) -> Result<TopicSettings, String> {
    let none = Settings::new();
    let overrides = image.configs.of_topic(topic.as_str());
    let overrides = overrides.map_or(&none, |overrides| overrides.as_ref());
    let lag_max = node.config().registration.replica_lag_max;
    TopicSettings::resolve(&node.layers(), overrides, lag_max).map_err(|error| error.to_string())
}

/// Opens a log that an earlier run left. Most are not used soon, and rest until they are.
fn open(
    directory: &LogDirectory,
    found: &FoundLog,
    options: &LogOptions,
) -> Result<FoundTopic, Box<OpenError>> {
    let (log, report) = directory.files().open_log(found, options)?;
    if let Some(cut) = &report.cut {
        let partition = &found.partition;
        tracing::warn!(%partition, bytes = cut.bytes, reason = %cut.reason, "a torn end was cut off");
    }
    let topic = log.topic_id();
    let mut log = KeptLog::from(log);
    log.rest();
    Ok((log, topic))
}

fn options(node: &Node, settings: &TopicSettings) -> LogOptions {
    let expiry = node.config().logs.producer_expiry;
    LogOptions {
        config: Arc::clone(&settings.log),
        now: wall_now(),
        producer_expiration_ms: i64::try_from(expiry.as_millis()).unwrap_or(i64::MAX),
    }
}

fn state_of(partition: &image::Partition) -> PartitionState {
    PartitionState {
        leader: partition.leader,
        leader_epoch: partition.leader_epoch,
        partition_epoch: partition.partition_epoch,
        replicas: partition.brokers().collect(),
        adding: partition.adding.clone(),
        in_sync: partition.in_sync.clone(),
    }
}
