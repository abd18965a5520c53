//! What a new cluster begins with: formatting.
//!
//! Owns: feature levels of a new cluster and their checks, the content of `bootstrap.checkpoint` and of the first
//! snapshot, the records in a `bootstrap.checkpoint`.
//! Does not own: `meta.properties` and directories (`storage`), command lines (`cli`).
//!
//! Source: KIP-631, KIP-853, KIP-1022; Kafka 4.3.1's `kafka-storage format`; requirements STG-01, KRF-05.

use std::collections::BTreeMap;

use ottla_model::Timestamp;
use ottla_protocol::messages::FeatureLevelRecord;

use crate::features::{Feature, FeatureLevelError, MetadataVersion};
use crate::quorum::{KRAFT_VERSION_DYNAMIC, Voters};
use crate::records::{BatchWriteError, MetadataRecord};
use crate::snapshot::{Snapshot, SnapshotError, SnapshotId, VotersInLog, records_snapshot};

/// Name of the file in each log directory that the first controller reads.
pub const BOOTSTRAP_FILE: &str = "bootstrap.checkpoint";

/// How a cluster is to be formatted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FormatRequest {
    /// `--release-version`
    pub release: Option<MetadataVersion>,
    /// `--feature`, in the order given.
    pub features: Vec<(String, i16)>,
    /// Whether voters are kept in the log: `--standalone`, `--initial-controllers` or `--no-initial-controllers`.
    pub dynamic_quorum: bool,
}

/// The levels of a new cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewCluster {
    pub metadata_version: MetadataVersion,
    pub kraft_version: i16,
    /// Features beside those two, with levels of 0 left out.
    levels: BTreeMap<&'static str, i16>,
}

/// Why a cluster cannot be formatted so. The messages are Kafka's, since `kafka-storage` prints them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    #[error("Use --release-version instead of --feature metadata.version=X to avoid ambiguity.")]
    Ambiguous,
    #[error("No MetadataVersion with feature level {0}. Valid feature levels are from 7 to 31.")]
    UnknownMetadataVersion(i16),
    #[error("metadata.version {0} is not yet stable.")]
    Unstable(MetadataVersion),
    #[error("Unsupported feature: {name}. Supported features are: {known}")]
    UnsupportedFeature { name: String, known: String },
    #[error(
        "Cannot set kraft.version to {0} if controller.quorum.voters is empty and one of the flags --standalone, --initial-controllers, or --no-initial-controllers is used. For dynamic controllers support, try removing the --feature flag for kraft.version."
    )]
    StaticLevelOfDynamicQuorum(i16),
    #[error(
        "Cannot set kraft.version to {0} unless controller.quorum.voters is empty and one of the flags --standalone, --initial-controllers, or --no-initial-controllers is used. For dynamic controllers support, try using one of --standalone, --initial-controllers, or --no-initial-controllers and removing controller.quorum.voters."
    )]
    DynamicLevelOfStaticQuorum(i16),
    #[error(transparent)]
    Level(#[from] FeatureLevelError),
}

impl NewCluster {
    /// Checks the wanted levels and adds the defaults.
    pub fn new(request: &FormatRequest) -> Result<NewCluster, FormatError> {
        let metadata_version = release_of(request)?;
        let mut wanted = BTreeMap::new();
        for (name, level) in &request.features {
            if name == MetadataVersion::FEATURE {
                continue;
            }
            let feature = Feature::from_name(name).map_err(|_| unsupported(name))?;
            wanted.insert(feature, *level);
        }
        let kraft_version = kraft_version_of(request, wanted.remove(&Feature::Kraft))?;
        Feature::Kraft.check_level(kraft_version, metadata_version)?;
        let mut levels = BTreeMap::new();
        for feature in Feature::ALL.into_iter().filter(|feature| *feature != Feature::Kraft) {
            let level = wanted.get(&feature).copied();
            let level = level.unwrap_or_else(|| feature.default_level(metadata_version));
            feature.check_level(level, metadata_version)?;
            if level > 0 {
                levels.insert(feature.name(), level);
            }
        }
        Ok(NewCluster { metadata_version, kraft_version, levels })
    }

    /// The records the first controller writes: `metadata.version` first, the others by name.
    pub fn records(&self) -> Vec<MetadataRecord> {
        let own = (MetadataVersion::FEATURE, self.metadata_version.level());
        let others = self.levels.iter().map(|(name, level)| (*name, *level));
        let record =
            |(name, level): (&str, i16)| FeatureLevelRecord { name: name.to_owned(), feature_level: level };
        std::iter::once(own).chain(others).map(|level| record(level).into()).collect()
    }

    /// The content of `bootstrap.checkpoint`. `more` are records beside the features, such as SCRAM credentials.
    pub fn bootstrap_file(
        &self,
        more: &[MetadataRecord],
        now: Timestamp,
    ) -> Result<Vec<u8>, BatchWriteError> {
        let records = self.records().into_iter().chain(more.iter().cloned());
        let id = (SnapshotId::BOOTSTRAP, Timestamp::from_millis(0));
        records_snapshot(id, None, (records, self.metadata_version), now)
    }

    /// The content of the first snapshot of a dynamic quorum, which names its voters. Nodes that are formatted
    /// without knowing them (`--no-initial-controllers`) get none.
    pub fn voters_snapshot(&self, voters: &Voters, now: Timestamp) -> Result<Vec<u8>, BatchWriteError> {
        let voters = VotersInLog { voters, kraft_version: self.kraft_version };
        let nothing = (std::iter::empty(), self.metadata_version);
        records_snapshot((SnapshotId::BOOTSTRAP, now), Some(voters), nothing, now)
    }
}

/// The records in a `bootstrap.checkpoint`.
pub fn read_bootstrap_file(bytes: &[u8]) -> Result<Vec<MetadataRecord>, SnapshotError> {
    Ok(Snapshot::read(bytes)?.records)
}

fn release_of(request: &FormatRequest) -> Result<MetadataVersion, FormatError> {
    let by_feature = request.features.iter().rfind(|(name, _)| name == MetadataVersion::FEATURE);
    let version = match (by_feature, request.release) {
        (Some(_), Some(_)) => return Err(FormatError::Ambiguous),
        (Some((_, level)), None) => {
            MetadataVersion::from_level(*level).ok_or(FormatError::UnknownMetadataVersion(*level))?
        }
        (None, Some(release)) => release,
        (None, None) => MetadataVersion::LATEST,
    };
    if version.is_production() { Ok(version) } else { Err(FormatError::Unstable(version)) }
}

fn kraft_version_of(request: &FormatRequest, wanted: Option<i16>) -> Result<i16, FormatError> {
    match (wanted, request.dynamic_quorum) {
        (None, true) => Ok(KRAFT_VERSION_DYNAMIC),
        (None, false) => Ok(0),
        (Some(0), true) => Err(FormatError::StaticLevelOfDynamicQuorum(0)),
        (Some(level), false) if level != 0 => Err(FormatError::DynamicLevelOfStaticQuorum(level)),
        (Some(level), _) => Ok(level),
    }
}

fn unsupported(name: &str) -> FormatError {
    let mut known: Vec<_> = Feature::ALL.iter().map(|feature| feature.name()).collect();
    known.sort_unstable();
    FormatError::UnsupportedFeature { name: name.to_owned(), known: known.join(", ") }
}
