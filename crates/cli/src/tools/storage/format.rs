//! `kafka-storage format`: prepares the directories of a node.
//!
//! Owns: what the flags and the settings together mean, the order of checks, the order in which files are written.
//! Does not own: the bytes (`ottla_metadata::bootstrap`, `ottla_storage::MetaProperties`).
//!
//! Invariants
//! - I1 nothing is written before everything is checked;
//! - I2 `meta.properties` is written last: a directory that has one is complete, whenever the power fails.
//!
//! Source: requirement STG-01, KIP-853; behaviour of Kafka 4.3.1.

use std::io;
use std::path::{Path, PathBuf};

use ottla_env::clock::{Clock, SystemClock};
use ottla_env::disk::{Disk, RealDisk};
use ottla_env::random::{OsRandom, Random};
use ottla_metadata::bootstrap::{BOOTSTRAP_FILE, FormatError, FormatRequest, NewCluster};
use ottla_metadata::config::BrokerConfig;
use ottla_metadata::features::{MetadataVersion, Stability};
use ottla_metadata::quorum::Voters;
use ottla_metadata::records::MetadataRecord;
use ottla_metadata::snapshot::SnapshotId;
use ottla_model::{BrokerId, ClusterId, DirectoryId};
use ottla_storage::names::META_PROPERTIES_FILE;
use ottla_storage::{MetaProperties, read_small_file, replace_small_file};

use super::info::directories;
use super::{Problem, flags, scram, system_random, voters};
use crate::argparse::Arguments;
use crate::settings::NodeSettings;
use crate::terminal::Terminal;
use crate::tools::failure::Failure;

/// Directory of the metadata log.
const METADATA_LOG: &str = "__cluster_metadata-0";

/// What is to be written, wherever.
struct Plan<'a> {
    config: &'a BrokerConfig,
    cluster_id: ClusterId,
    cluster: NewCluster,
    voters: Option<Voters>,
}

/// What there is before.
#[derive(Default)]
struct Present {
    formatted: Vec<(PathBuf, MetaProperties)>,
    empty: Vec<PathBuf>,
    broken: Vec<PathBuf>,
}

/// Formats the directories of a node.
pub fn run(arguments: &Arguments, node: &NodeSettings, terminal: &mut Terminal<'_>) -> Result<(), Problem> {
    let config = &node.config;
    let random = system_random()?;
    let voters = first_voters(arguments, config, &random)?;
    let request = request(arguments, config)?;
    let cluster = NewCluster::new(&request).map_err(of_format)?;
    scram::check(arguments.values(flags::ADD_SCRAM), cluster.metadata_version)?;
    let cluster_id = arguments.value(flags::CLUSTER_ID).and_then(ClusterId::new);
    let cluster_id =
        cluster_id.ok_or_else(|| Problem::Terse("You must specify the cluster id.".to_owned()))?;
    let present = Present::look(config);
    present.check(&cluster_id, config.node_id)?;
    if let Some((directory, _)) =
        present.formatted.first().filter(|_| !arguments.has(flags::IGNORE_FORMATTED))
    {
        return Err(Problem::Terse(format!(
            "Log directory {} is already formatted. Use --ignore-formatted to ignore this directory and format the \
             others.",
            directory.display()
        )));
    }
    for directory in &present.broken {
        terminal.out_line(format_args!(
            "I/O error trying to read log directory {}. Ignoring...",
            directory.display()
        ));
    }
    if present.empty.is_empty() && present.formatted.is_empty() {
        return Err(Problem::Terse("No available log directories to format.".to_owned()));
    }
    if present.empty.is_empty() {
        terminal.out_line("All of the log directories are already formatted.");
        return Ok(());
    }
    let plan = Plan { config, cluster_id, cluster, voters };
    terminal.out_line(format_args!("Bootstrap metadata: {}", plan.description()));
    present.empty.iter().try_for_each(|directory| plan.format(directory, &random, terminal))
}

/// The voters a dynamic quorum begins with, where they are given.
fn first_voters(
    arguments: &Arguments,
    config: &BrokerConfig,
    random: &OsRandom,
) -> Result<Option<Voters>, Problem> {
    let terse = |text: &str| Err(Problem::Terse(text.to_owned()));
    let listener = &config.listeners.controller_name;
    let named = arguments.value(flags::INITIAL_CONTROLLERS);
    let standalone = arguments.has(flags::STANDALONE);
    let is_static = !config.quorum.voters.is_empty();
    if is_static && (named.is_some() || standalone) {
        return terse(
            "You cannot specify controller.quorum.voters and format the node with --initial-controllers or \
             --standalone. If you want to use dynamic quorum, please remove controller.quorum.voters and specify \
             controller.quorum.bootstrap.servers instead.",
        );
    }
    if let Some(named) = named {
        return Ok(Some(voters::parse(named, listener)?));
    }
    if standalone {
        let Some(own) = config.listeners.advertised_controller.first().filter(|_| config.roles.controller)
        else {
            return terse("You can only use --standalone on a controller.");
        };
        let host = own.host.as_deref().unwrap_or("localhost");
        let bracketed = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        let voter = format!("{}@{bracketed}:{}:{}", config.node_id, own.port, random.kafka_uuid());
        return Ok(Some(voters::parse(&voter, listener)?));
    }
    if config.roles.controller && !is_static && !arguments.has(flags::NO_INITIAL_CONTROLLERS) {
        return terse(
            "Because controller.quorum.voters is not set on this controller, you must specify one of the \
             following: --standalone, --initial-controllers, or --no-initial-controllers.",
        );
    }
    Ok(None)
}

fn request(arguments: &Arguments, config: &BrokerConfig) -> Result<FormatRequest, Problem> {
    let release = arguments.value(flags::RELEASE_VERSION);
    let release = release.map(|text| MetadataVersion::parse(text, Stability::Production)).transpose();
    let features = arguments.values(flags::FEATURE).map(feature_level).collect::<Result<_, _>>()?;
    Ok(FormatRequest {
        release: release.map_err(|unknown| Problem::Terse(unknown.to_string()))?,
        features,
        dynamic_quorum: config.quorum.voters.is_empty(),
    })
}

/// Reads `group.version=1`.
fn feature_level(text: &str) -> Result<(String, i16), Failure> {
    let text = text.trim();
    let refused =
        |reason: String| Failure::runtime(format!("Can't parse feature=level string {text}: {reason}"));
    let (name, level) = text.split_once('=').ok_or_else(|| refused("equals sign not found.".to_owned()))?;
    let number = level.parse().map_err(|_| refused(format!("unable to parse {level} as a short.")))?;
    Ok((name.to_owned(), number))
}

fn of_format(error: FormatError) -> Problem {
    let text = error.to_string();
    match error {
        FormatError::UnknownMetadataVersion(_) | FormatError::Level(_) => {
            Failure::illegal_argument(text).into()
        }
        FormatError::Ambiguous
        | FormatError::Unstable(_)
        | FormatError::UnsupportedFeature { .. }
        | FormatError::StaticLevelOfDynamicQuorum(_)
        | FormatError::DynamicLevelOfStaticQuorum(_) => Problem::Terse(text),
    }
}

impl Present {
    fn look(config: &BrokerConfig) -> Present {
        let mut present = Present::default();
        for directory in directories(config) {
            let content = read_small_file(&RealDisk, &directory.join(META_PROPERTIES_FILE));
            let parse = |content: Vec<u8>| MetaProperties::parse(&String::from_utf8_lossy(&content));
            match content.map(|content| content.map(parse)) {
                Ok(None) => present.empty.push(directory),
                Ok(Some(Ok(meta))) => present.formatted.push((directory, meta)),
                Ok(Some(Err(_))) | Err(_) => present.broken.push(directory),
            }
        }
        present
    }

    fn check(&self, cluster: &ClusterId, node: BrokerId) -> Result<(), Failure> {
        for (at, (directory, meta)) in self.formatted.iter().enumerate() {
            let path = directory.join(META_PROPERTIES_FILE);
            if meta.cluster_id != *cluster {
                return Err(Failure::runtime(format!(
                    "Invalid cluster.id in: {}. Expected {cluster}, but read {}",
                    path.display(),
                    meta.cluster_id
                )));
            }
            if meta.node_id != node {
                return Err(Failure::runtime(format!(
                    "Stored node id {} doesn't match previous node id {node} in {}. If you moved your data, make \
                     sure your configured node id matches. If you intend to create a new node, you should remove \
                     all data in your data directories.",
                    meta.node_id,
                    path.display()
                )));
            }
            let earlier = self.formatted.iter().take(at);
            let twin = earlier
                .filter(|_| meta.directory_id.is_some())
                .find(|(_, it)| it.directory_id == meta.directory_id);
            if let (Some((twin, _)), Some(id)) = (twin, meta.directory_id) {
                return Err(Failure::runtime(format!(
                    "Duplicate directory ID Optional[{id}] found. It was the ID of {}, but also of {}",
                    twin.display(),
                    directory.display()
                )));
            }
        }
        Ok(())
    }
}

impl Plan<'_> {
    /// What the cluster begins with, as Kafka prints it.
    fn description(&self) -> String {
        // A new cluster begins with its features and nothing else.
        let record = |record: &MetadataRecord| {
            let MetadataRecord::FeatureLevel(feature) = record else { return None };
            Some(format!(
                "ApiMessageAndVersion(FeatureLevelRecord(name='{}', featureLevel={}) at version 0)",
                feature.name, feature.feature_level
            ))
        };
        let records: Vec<_> = self.cluster.records().iter().filter_map(record).collect();
        format!(
            "BootstrapMetadata(records=[{}], metadataVersionLevel={}, source=format command)",
            records.join(", "),
            self.cluster.metadata_version.level()
        )
    }

    fn format(
        &self,
        directory: &Path,
        random: &OsRandom,
        terminal: &mut Terminal<'_>,
    ) -> Result<(), Problem> {
        let is_metadata = directory == self.config.metadata_log.dir;
        let own_vote =
            self.voters.iter().flat_map(Voters::iter).find(|voter| voter.key.id == self.config.node_id);
        let description = match (is_metadata, &self.voters, own_vote) {
            (false, _, _) => "data directory",
            (true, None, _) => "metadata directory",
            (true, Some(_), None) => "dynamic metadata directory",
            (true, Some(_), Some(_)) => "dynamic metadata voter directory",
        };
        terminal.out_line(format_args!(
            "Formatting {description} {} with {} {}.",
            directory.display(),
            MetadataVersion::FEATURE,
            self.cluster.metadata_version
        ));
        let known = own_vote.filter(|_| is_metadata).and_then(|voter| voter.key.directory);
        let id = known.unwrap_or_else(|| DirectoryId(random.kafka_uuid()));
        self.write(directory, id, is_metadata).map_err(|error| {
            let path = directory.display();
            Problem::Terse(format!("Error while writing meta.properties file {path}: {error}"))
        })
    }

    /// I2
    fn write(&self, directory: &Path, id: DirectoryId, is_metadata: bool) -> io::Result<()> {
        let now = SystemClock.now();
        RealDisk.create_dir_all(directory)?;
        let bootstrap = self.cluster.bootstrap_file(&[], now).map_err(io::Error::other)?;
        replace_small_file(&RealDisk, &directory.join(BOOTSTRAP_FILE), &bootstrap)?;
        if let Some(voters) = self.voters.as_ref().filter(|_| is_metadata) {
            let log = directory.join(METADATA_LOG);
            RealDisk.create_dir_all(&log)?;
            let snapshot = self.cluster.voters_snapshot(voters, now).map_err(io::Error::other)?;
            replace_small_file(&RealDisk, &log.join(SnapshotId::BOOTSTRAP.file_name()), &snapshot)?;
            RealDisk.sync_dir(directory)?;
        }
        let meta = MetaProperties {
            cluster_id: self.cluster_id.clone(),
            node_id: self.config.node_id,
            directory_id: Some(id),
        };
        let text = meta.text(now);
        replace_small_file(&RealDisk, &directory.join(META_PROPERTIES_FILE), text.as_bytes())?;
        match directory.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            Some(parent) => RealDisk.sync_dir(parent),
            None => Ok(()),
        }
    }
}
