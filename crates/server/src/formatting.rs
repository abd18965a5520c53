//! Whose the log directories are, and the formatting of new ones at the first start.
//!
//! Owns: the identity of node, cluster and directories as `meta.properties` says; what a new cluster begins with.
//! Does not own: the content of the files (`metadata::bootstrap`, `storage`), command lines (`cli`).
//!
//! Once one directory has a `meta.properties`, that decides. A node without any formats itself, as
//! `kafka-storage format --standalone` would, or like plain `format` where `controller.quorum.voters` is set. One whose
//! configuration names other controllers never founds a quorum by itself.
//!
//! Source: architecture, "First start"; requirement STG-01.

use std::io;
use std::path::{Path, PathBuf};

use ottla_env::disk::{Disk, OpenMode};
use ottla_env::random::Random;
use ottla_env::time::wall_now;
use ottla_metadata::bootstrap::{BOOTSTRAP_FILE, FormatError, FormatRequest, NewCluster};
use ottla_metadata::config::BrokerConfig;
use ottla_metadata::features::VersionRange;
use ottla_metadata::quorum::{ReplicaKey, Voter, VoterEndpoint, Voters, VotersError};
use ottla_metadata::records::BatchWriteError;
use ottla_metadata::snapshot::SnapshotId;
use ottla_model::{ClusterId, DirectoryId};
use ottla_storage::{ForeignDirectory, LogDir, LogDirError, MetaProperties};

/// The name of the metadata log's directory.
pub const METADATA_LOG: &str = "__cluster_metadata-0";

/// Why the directories cannot be used by this node.
#[derive(Debug, thiserror::Error)]
pub enum FormattingError {
    #[error(transparent)]
    Directory(#[from] LogDirError),
    #[error("log directory {} is not this node's: {source}", path.display())]
    Foreign { path: PathBuf, source: ForeignDirectory },
    #[error("cannot format {}", path.display())]
    Disk { path: PathBuf, source: io::Error },
    #[error(
        "this node's configuration names other controllers ({others}); quorums of several controllers are not \
         supported yet"
    )]
    OtherControllers { others: String },
    #[error("process.roles does not have 'controller': nodes that are brokers only are not supported yet")]
    NoController,
    #[error(transparent)]
    Format(#[from] FormatError),
    #[error(transparent)]
    Write(#[from] BatchWriteError),
    #[error(transparent)]
    Voters(#[from] VotersError),
}

/// A directory with its identity.
pub struct Identified {
    pub files: LogDir,
    pub id: DirectoryId,
}

/// The directories of a node, all of one cluster.
pub struct Formatted {
    pub cluster_id: ClusterId,
    /// In the order of the configuration; the metadata directory is among them.
    pub directories: Vec<Identified>,
    /// Directories of the configuration that cannot be accessed.
    pub unusable: Vec<PathBuf>,
    /// The voters of the configuration, or this node itself.
    pub voters: Voters,
}

/// Who formats, and where.
pub struct Formatter<'a> {
    pub disk: &'a dyn Disk,
    pub random: &'a dyn Random,
    pub config: &'a BrokerConfig,
    /// Where this controller is reached, by listener.
    pub controller_endpoints: Vec<VoterEndpoint>,
}

impl Formatter<'_> {
    /// Checks what lies in the directories and gives an identity to those that have none.
    pub fn run(&self, directories: Vec<LogDir>) -> Result<Formatted, FormattingError> {
        self.refuse_other_controllers()?;
        let mut metas = Vec::with_capacity(directories.len());
        for directory in &directories {
            metas.push(directory.meta()?);
        }
        let known = metas.iter().flatten().next();
        let is_new = known.is_none();
        let cluster_id = match known {
            Some(meta) => meta.cluster_id.clone(),
            None => {
                let text = self.random.kafka_uuid().to_string();
                // A printed id is never empty.
                ClusterId::new(&text).unwrap_or_else(|| unreachable!("an id prints as 22 characters"))
            }
        };
        let mut identified = Vec::with_capacity(directories.len());
        let mut unmarked = Vec::new();
        for (files, meta) in directories.into_iter().zip(metas) {
            let (id, is_new) = self.identify(&files, meta, &cluster_id)?;
            if is_new {
                unmarked.push(identified.len());
            }
            identified.push(Identified { files, id });
        }
        let is_metadata = |directory: &Identified| *directory.files.path() == *self.config.metadata_log.dir;
        let metadata = identified.iter().find(|directory| is_metadata(directory));
        let voters = self.voters(metadata.map(|directory| directory.id))?;
        if is_new {
            self.found_cluster(&identified, &voters)?;
        }
        // The mark that a directory is formatted comes last, first on the one whose id stands in the voters: a start
        // that was cut short is repeated, or goes on with the same id.
        unmarked.sort_by_key(|index| !is_metadata(&identified[*index]));
        for index in unmarked {
            self.mark(&identified[index], &cluster_id)?;
        }
        Ok(Formatted { cluster_id, directories: identified, unusable: Vec::new(), voters })
    }

    fn refuse_other_controllers(&self) -> Result<(), FormattingError> {
        if !self.config.roles.controller {
            return Err(FormattingError::NoController);
        }
        let others: Vec<String> = self
            .config
            .quorum
            .voters
            .iter()
            .filter(|voter| voter.id != self.config.node_id)
            .map(|voter| format!("{}@{}:{}", voter.id, voter.address.host, voter.address.port))
            .collect();
        if others.is_empty() {
            Ok(())
        } else {
            Err(FormattingError::OtherControllers { others: others.join(",") })
        }
    }

    /// The identity of a directory, and whether it is a new one.
    fn identify(
        &self,
        files: &LogDir,
        meta: Option<MetaProperties>,
        cluster: &ClusterId,
    ) -> Result<(DirectoryId, bool), FormattingError> {
        if let Some(meta) = &meta {
            let foreign = |source| FormattingError::Foreign { path: files.path().to_owned(), source };
            meta.check(cluster, self.config.node_id).map_err(foreign)?;
            if let Some(id) = meta.directory_id {
                return Ok((id, false));
            }
        }
        Ok((DirectoryId(self.random.kafka_uuid()), true))
    }

    fn mark(&self, directory: &Identified, cluster: &ClusterId) -> Result<(), FormattingError> {
        let Identified { files, id } = directory;
        let meta = MetaProperties {
            cluster_id: cluster.clone(),
            node_id: self.config.node_id,
            directory_id: Some(*id),
        };
        files.write_meta(&meta, wall_now())?;
        tracing::info!(path = %files.path().display(), cluster_id = %cluster, directory_id = %id, "log directory formatted");
        Ok(())
    }

    /// The voters the configuration names, or this node alone.
    fn voters(&self, metadata: Option<DirectoryId>) -> Result<Voters, FormattingError> {
        let named = &self.config.quorum.voters;
        if named.is_empty() {
            return Ok(Voters::new([Voter {
                key: ReplicaKey { id: self.config.node_id, directory: metadata },
                endpoints: self.controller_endpoints.clone(),
                kraft_versions: VersionRange { min: 0, max: 1 },
            }])?);
        }
        let listener = self.config.listeners.controller_name.as_str();
        let voter = |voter: &ottla_metadata::config::Voter| Voter {
            key: ReplicaKey { id: voter.id, directory: None },
            endpoints: vec![VoterEndpoint {
                listener: listener.to_owned(),
                host: voter.address.host.clone(),
                port: voter.address.port,
            }],
            kraft_versions: VersionRange { min: 0, max: 1 },
        };
        Ok(Voters::new(named.iter().map(voter))?)
    }

    /// Writes what the first controller begins with.
    fn found_cluster(&self, directories: &[Identified], voters: &Voters) -> Result<(), FormattingError> {
        let dynamic_quorum = self.config.quorum.voters.is_empty();
        let cluster = NewCluster::new(&FormatRequest { dynamic_quorum, ..FormatRequest::default() })?;
        let bootstrap = cluster.bootstrap_file(&[], wall_now())?;
        for directory in directories {
            self.write(&directory.files.path().join(BOOTSTRAP_FILE), &bootstrap)?;
        }
        if dynamic_quorum {
            let log = self.config.metadata_log.dir.join(METADATA_LOG);
            self.disk
                .create_dir_all(&log)
                .map_err(|source| FormattingError::Disk { path: log.clone(), source })?;
            let snapshot = cluster.voters_snapshot(voters, wall_now())?;
            self.write(&log.join(SnapshotId::BOOTSTRAP.file_name()), &snapshot)?;
        }
        Ok(())
    }

    fn write(&self, path: &Path, content: &[u8]) -> Result<(), FormattingError> {
        let failed = |source| FormattingError::Disk { path: path.to_owned(), source };
        let write = || -> io::Result<()> {
            let file = self.disk.open(path, OpenMode::Truncate)?;
            file.write_all_at(content, 0)?;
            file.sync_all()?;
            match path.parent() {
                Some(parent) => self.disk.sync_dir(parent),
                None => Ok(()),
            }
        };
        write().map_err(failed)
    }
}

/// The directories of a configuration, each once: the metadata directory may be one of its own.
pub fn directory_paths(config: &BrokerConfig) -> Vec<PathBuf> {
    let mut paths = config.log_dirs.clone();
    if !paths.contains(&config.metadata_log.dir) {
        paths.push(config.metadata_log.dir.clone());
    }
    paths
}

/// Shares of the process's file descriptors that logs may keep open.
pub fn open_files_max() -> usize {
    // Half of the common hard limit of 20 000: the rest is for connections and files that are in use.
    10_000
}
