//! The features beside `metadata.version`: their levels, defaults and dependencies.
//!
//! Owns: which feature exists, which levels this program supports, which level a new cluster gets.
//! Does not own: finalized levels (`image`), the checks of an update (`controller`).
//!
//! Source: KIP-584, KIP-1022; `ApiVersions` and `kafka-storage` of Kafka 4.3.1; requirement KRF-05.

use std::fmt;

use super::MetadataVersion;

/// A feature other than `metadata.version`. The order is that of Kafka's `version-mapping`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Feature {
    /// 1 where the quorum keeps its voters in the log (KIP-853).
    Kraft,
    /// 1 for flexible transaction records, 2 for an epoch bump per transaction (KIP-890).
    Transaction,
    /// 1 for the new consumer protocol (KIP-848).
    Group,
    /// 1 for eligible leader replicas (KIP-966).
    EligibleLeaderReplicas,
    /// 1 for share groups (KIP-932).
    Share,
    /// 1 for streams groups (KIP-1071).
    Streams,
}

/// Levels from `min` to `max`, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VersionRange {
    pub min: i16,
    pub max: i16,
}

/// A feature this program supports, by its name on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SupportedFeature {
    pub name: &'static str,
    pub range: VersionRange,
}

/// Why a feature cannot have a level. The messages are Kafka's, since clients and tools print them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FeatureLevelError {
    #[error("Feature {0} not found.")]
    UnknownFeature(String),
    #[error("No feature:{feature} with feature level {level}")]
    UnknownLevel { feature: Feature, level: i16 },
    #[error("{feature} could not be set to {level} because it depends on {needs} level {needs_level}")]
    Dependency { feature: Feature, level: i16, needs: &'static str, needs_level: i16 },
}

impl VersionRange {
    /// What a node supports of a feature it does not know.
    pub const DISABLED: VersionRange = VersionRange { min: 0, max: 0 };

    /// Whether the level lies in the range.
    pub fn contains(self, level: i16) -> bool {
        self.min <= level && level <= self.max
    }
}

impl fmt::Display for VersionRange {
    /// As Kafka prints it: `1` or `0-1`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.min == self.max { write!(f, "{}", self.min) } else { write!(f, "{}-{}", self.min, self.max) }
    }
}

impl Feature {
    /// All features in the order of `version-mapping`.
    pub const ALL: [Feature; 6] = [
        Feature::Kraft,
        Feature::Transaction,
        Feature::Group,
        Feature::EligibleLeaderReplicas,
        Feature::Share,
        Feature::Streams,
    ];

    /// Name on the wire and in records.
    pub const fn name(self) -> &'static str {
        match self {
            Feature::Kraft => "kraft.version",
            Feature::Transaction => "transaction.version",
            Feature::Group => "group.version",
            Feature::EligibleLeaderReplicas => "eligible.leader.replicas.version",
            Feature::Share => "share.version",
            Feature::Streams => "streams.version",
        }
    }

    /// The feature with this name.
    pub fn from_name(name: &str) -> Result<Feature, FeatureLevelError> {
        let found = Feature::ALL.into_iter().find(|feature| feature.name() == name);
        found.ok_or_else(|| FeatureLevelError::UnknownFeature(name.to_owned()))
    }

    /// The highest level this program supports. The lowest is 0 for every feature.
    pub const fn max_level(self) -> i16 {
        match self {
            Feature::Transaction => 2,
            Feature::Kraft
            | Feature::Group
            | Feature::EligibleLeaderReplicas
            | Feature::Share
            | Feature::Streams => 1,
        }
    }

    /// The level that a cluster formatted with this `metadata.version` gets.
    pub fn default_level(self, version: MetadataVersion) -> i16 {
        let (since, level) = match self {
            Feature::Kraft => (21, 1),
            Feature::Transaction => (24, 2),
            Feature::Group => (22, 1),
            Feature::EligibleLeaderReplicas => (26, 1),
            Feature::Share => (28, 1),
            Feature::Streams => (29, 1),
        };
        if version.level() >= since { level } else { 0 }
    }

    /// The least `metadata.version` that a level of this feature needs, if it needs one.
    pub fn dependency(self, level: i16) -> Option<MetadataVersion> {
        match self {
            Feature::EligibleLeaderReplicas if level >= 1 => MetadataVersion::from_level(23),
            Feature::EligibleLeaderReplicas
            | Feature::Kraft
            | Feature::Transaction
            | Feature::Group
            | Feature::Share
            | Feature::Streams => None,
        }
    }

    /// Whether the level exists and what it depends on is there.
    pub fn check_level(self, level: i16, version: MetadataVersion) -> Result<(), FeatureLevelError> {
        if !(VersionRange { min: 0, max: self.max_level() }).contains(level) {
            return Err(FeatureLevelError::UnknownLevel { feature: self, level });
        }
        match self.dependency(level) {
            Some(needs) if version < needs => Err(FeatureLevelError::Dependency {
                feature: self,
                level,
                needs: MetadataVersion::FEATURE,
                needs_level: needs.level(),
            }),
            Some(_) | None => Ok(()),
        }
    }
}

impl fmt::Display for Feature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Every feature with the levels this program supports, as brokers and controllers register them, by name.
pub fn supported_features() -> Vec<SupportedFeature> {
    let version =
        VersionRange { min: MetadataVersion::MINIMUM.level(), max: MetadataVersion::LATEST.level() };
    let others = Feature::ALL.into_iter().map(|feature| SupportedFeature {
        name: feature.name(),
        range: VersionRange { min: 0, max: feature.max_level() },
    });
    let mut all: Vec<_> = others.collect();
    all.push(SupportedFeature { name: MetadataVersion::FEATURE, range: version });
    all.sort_by_key(|feature| feature.name);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(level: i16) -> MetadataVersion {
        MetadataVersion::from_level(level).unwrap()
    }

    /// KRF-05
    #[test]
    fn supported_ranges_are_those_of_kafka() {
        let listed: Vec<_> = supported_features()
            .iter()
            .map(|feature| format!("{} {}", feature.name, feature.range))
            .collect();
        let expected = [
            "eligible.leader.replicas.version 0-1",
            "group.version 0-1",
            "kraft.version 0-1",
            "metadata.version 7-30",
            "share.version 0-1",
            "streams.version 0-1",
            "transaction.version 0-2",
        ];
        assert_eq!(listed, expected);
    }

    /// KRF-05, STG-01: the tables that `kafka-storage version-mapping` prints.
    #[test]
    fn a_release_brings_its_default_levels() {
        let levels = |level| Feature::ALL.map(|feature| feature.default_level(version(level)));
        assert_eq!(levels(30), [1, 2, 1, 1, 1, 1]);
        assert_eq!(levels(27), [1, 2, 1, 1, 0, 0]);
        assert_eq!(levels(25), [1, 2, 1, 0, 0, 0]);
        assert_eq!(levels(21), [1, 0, 0, 0, 0, 0]);
        assert_eq!(levels(20), [0, 0, 0, 0, 0, 0]);
    }

    /// KRF-05
    #[test]
    fn a_level_is_refused_when_it_does_not_exist_or_lacks_what_it_depends_on() {
        let refused = Feature::EligibleLeaderReplicas.check_level(1, version(21)).unwrap_err().to_string();
        let text = "eligible.leader.replicas.version could not be set to 1 because it depends on metadata.version level 23";
        assert_eq!(refused, text);
        assert_eq!(Feature::EligibleLeaderReplicas.check_level(1, version(23)), Ok(()));
        assert_eq!(Feature::EligibleLeaderReplicas.check_level(0, version(7)), Ok(()));
        let refused = Feature::Group.check_level(7, version(30)).unwrap_err().to_string();
        assert_eq!(refused, "No feature:group.version with feature level 7");
        assert!(Feature::Group.check_level(-1, version(30)).is_err());
        assert_eq!(Feature::from_name("nosuch").unwrap_err().to_string(), "Feature nosuch not found.");
    }
}
