//! The finalized feature levels of a cluster.
//!
//! Owns: which level each feature has.
//! Does not own: supported levels and dependencies (`features`); `kraft.version`, which the quorum keeps.
//!
//! Source: `FeatureLevelRecord`, KIP-584; requirement KRF-05.

use std::collections::BTreeMap;

use crate::features::{Feature, MetadataVersion};

/// Finalized levels. A feature that is absent has level 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FinalizedFeatures {
    pub(super) metadata_version: Option<MetadataVersion>,
    pub(super) levels: BTreeMap<Feature, i16>,
}

impl FinalizedFeatures {
    /// The level of `metadata.version`. A log without one is as old as a log can be.
    pub fn metadata_version(&self) -> MetadataVersion {
        self.metadata_version.unwrap_or(MetadataVersion::MINIMUM)
    }

    /// Whether a level of `metadata.version` was recorded.
    pub fn has_metadata_version(&self) -> bool {
        self.metadata_version.is_some()
    }

    /// The level of another feature.
    pub fn level(&self, feature: Feature) -> i16 {
        self.levels.get(&feature).copied().unwrap_or(0)
    }

    /// Features with a level above 0, `metadata.version` not among them.
    pub fn levels(&self) -> impl Iterator<Item = (Feature, i16)> {
        self.levels.iter().map(|(feature, level)| (*feature, *level))
    }

    /// Whether eligible leader replicas are kept (ELE-02).
    pub fn has_eligible_leaders(&self) -> bool {
        self.level(Feature::EligibleLeaderReplicas) >= 1
    }
}
