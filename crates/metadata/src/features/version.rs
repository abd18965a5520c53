//! The levels of `metadata.version` and what each of them allows in the metadata log.
//!
//! Owns: names and numbers of the levels, record versions by level, between which a downgrade loses nothing.
//! Does not own: which level a cluster has (`image`).
//!
//! Invariants
//! - I1 the levels in the table follow each other without a gap, so that a level is an index into it.
//!
//! Source: KIP-778; Kafka 4.3.1's `kafka-storage version-mapping`; requirement KRF-05.

use std::fmt;

/// A level of the feature `metadata.version`, from [`MetadataVersion::MINIMUM`] upwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MetadataVersion(i16);

/// Which levels a text may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stability {
    /// Levels a cluster may be formatted with.
    Production,
    /// Also levels of releases to come, as `version-mapping` lists them.
    Testing,
}

/// A text names no level. The message is Kafka's, since tools print it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Unknown metadata.version '{text}'. Supported metadata.version are: {known}")]
pub struct UnknownMetadataVersion {
    pub text: String,
    pub known: String,
}

struct Row {
    name: &'static str,
    /// Whether this level can hold metadata that the level below it cannot.
    metadata_changed: bool,
}

const fn row(name: &'static str, metadata_changed: bool) -> Row {
    Row { name, metadata_changed }
}

const FIRST_LEVEL: i16 = 7;
const ROWS: [Row; 25] = [
    row("3.3-IV3", true),
    row("3.4-IV0", true),
    row("3.5-IV0", false),
    row("3.5-IV1", false),
    row("3.5-IV2", true),
    row("3.6-IV0", false),
    row("3.6-IV1", true),
    row("3.6-IV2", true),
    row("3.7-IV0", true),
    row("3.7-IV1", false),
    row("3.7-IV2", true),
    row("3.7-IV3", false),
    row("3.7-IV4", false),
    row("3.8-IV0", false),
    row("3.9-IV0", false),
    row("4.0-IV0", false),
    row("4.0-IV1", true),
    row("4.0-IV2", false),
    row("4.0-IV3", false),
    row("4.1-IV0", false),
    row("4.1-IV1", false),
    row("4.2-IV0", false),
    row("4.2-IV1", false),
    row("4.3-IV0", true),
    row("4.4-IV0", false),
];

impl MetadataVersion {
    /// Name of the feature.
    pub const FEATURE: &'static str = "metadata.version";
    /// The oldest level that Kafka 4 can read.
    pub const MINIMUM: MetadataVersion = MetadataVersion(FIRST_LEVEL);
    /// The newest level a cluster may have, and the default of a new one.
    pub const LATEST: MetadataVersion = MetadataVersion(30);

    const V3_4_IV0: MetadataVersion = MetadataVersion(8);
    const V3_5_IV2: MetadataVersion = MetadataVersion(11);
    const V3_6_IV0: MetadataVersion = MetadataVersion(12);
    const V3_6_IV1: MetadataVersion = MetadataVersion(13);
    const V3_7_IV0: MetadataVersion = MetadataVersion(15);
    const V3_7_IV2: MetadataVersion = MetadataVersion(17);
    const V4_0_IV1: MetadataVersion = MetadataVersion(23);
    const V4_3_IV0: MetadataVersion = MetadataVersion(30);

    /// The level with this number, or `None` when no such level is known.
    pub fn from_level(level: i16) -> Option<MetadataVersion> {
        let version = MetadataVersion(level);
        version.row().map(|_| version)
    }

    /// Reads `4.3-IV0`, or `4.3` for the last production level of that release.
    pub fn parse(text: &str, stability: Stability) -> Result<MetadataVersion, UnknownMetadataVersion> {
        let named = |version: &MetadataVersion| version.name() == text;
        let released = |version: &MetadataVersion| version.is_production() && version.release() == text;
        let known: Vec<_> = all(stability).collect();
        known
            .iter()
            .find(|version| named(version))
            .or_else(|| known.iter().rfind(|version| released(version)))
            .copied()
            .ok_or_else(|| UnknownMetadataVersion {
                text: text.to_owned(),
                known: known.iter().map(|version| version.name()).collect::<Vec<_>>().join(", "),
            })
    }

    /// The number in records and on the wire.
    pub const fn level(self) -> i16 {
        self.0
    }

    /// The full name, such as `4.3-IV0`.
    pub fn name(self) -> &'static str {
        self.row().map_or("", |row| row.name)
    }

    /// The release, such as `4.3`.
    pub fn release(self) -> &'static str {
        self.name().split('-').next().unwrap_or_default()
    }

    /// Whether a cluster may be formatted with this level.
    pub fn is_production(self) -> bool {
        self <= MetadataVersion::LATEST
    }

    /// Whether going from one of the two levels to the other could lose metadata (KRF-05).
    pub fn metadata_changed_since(self, lower: MetadataVersion) -> bool {
        (lower.0 + 1..=self.0)
            .any(|level| MetadataVersion(level).row().is_some_and(|row| row.metadata_changed))
    }

    /// Version of `RegisterBrokerRecord`.
    pub fn register_broker_record_version(self) -> i16 {
        if self >= Self::V4_3_IV0 {
            4
        } else if self >= Self::V3_7_IV2 {
            3
        } else if self >= Self::V3_4_IV0 {
            2
        } else {
            1
        }
    }

    /// Version of `PartitionRecord` and of `PartitionChangeRecord`.
    pub fn partition_record_version(self) -> i16 {
        if self >= Self::V4_0_IV1 {
            2
        } else if self >= Self::V3_7_IV2 {
            1
        } else {
            0
        }
    }

    /// Whether brokers register their log directories and partitions name them (KIP-858).
    pub fn has_directories(self) -> bool {
        self >= Self::V3_7_IV2
    }

    /// Whether brokers report cordoned log directories (KIP-1066).
    pub fn has_cordoned_directories(self) -> bool {
        self >= Self::V4_3_IV0
    }

    /// Whether records may be wrapped into a transaction (KIP-868).
    pub fn has_transactions(self) -> bool {
        self >= Self::V3_6_IV1
    }

    /// Whether controllers register themselves (KIP-919).
    pub fn has_controller_registration(self) -> bool {
        self >= Self::V3_7_IV0
    }

    /// Whether SCRAM credentials can be stored (KIP-900).
    pub fn has_scram(self) -> bool {
        self >= Self::V3_5_IV2
    }

    /// Whether the state of the move away from ZooKeeper is recorded.
    pub fn has_migration_state(self) -> bool {
        self >= Self::V3_4_IV0
    }

    /// Whether a shrinking in-sync set must raise the leader epoch, as brokers before 3.6 needed it (REP-07).
    pub fn raises_leader_epoch_on_shrink(self) -> bool {
        self < Self::V3_6_IV0
    }

    fn row(self) -> Option<&'static Row> {
        ROWS.get(usize::try_from(self.0.checked_sub(FIRST_LEVEL)?).ok()?)
    }
}

/// All levels, oldest first.
fn all(stability: Stability) -> impl Iterator<Item = MetadataVersion> {
    (FIRST_LEVEL..)
        .map_while(MetadataVersion::from_level)
        .filter(move |version| stability == Stability::Testing || version.is_production())
}

impl fmt::Display for MetadataVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(level: i16) -> MetadataVersion {
        MetadataVersion::from_level(level).unwrap()
    }

    /// KRF-05
    #[test]
    fn levels_have_the_numbers_of_kafka() {
        for (level, name) in
            [(7, "3.3-IV3"), (8, "3.4-IV0"), (14, "3.6-IV2"), (20, "3.8-IV0"), (21, "3.9-IV0")]
        {
            assert_eq!(version(level).name(), name);
        }
        for (text, level) in [("4.0", 25), ("4.1", 27), ("4.2", 29), ("4.3", 30), ("4.2-IV0", 28), ("3.3", 7)]
        {
            assert_eq!(
                MetadataVersion::parse(text, Stability::Production).map(MetadataVersion::level),
                Ok(level)
            );
        }
        assert_eq!(MetadataVersion::from_level(6), None);
        assert_eq!(MetadataVersion::from_level(32), None);
        assert_eq!(MetadataVersion::from_level(i16::MIN), None);
    }

    /// KRF-05
    #[test]
    fn an_unknown_release_is_refused_with_the_list_of_known_ones() {
        let refused = MetadataVersion::parse("9.9", Stability::Production).unwrap_err().to_string();
        assert!(
            refused.starts_with("Unknown metadata.version '9.9'. Supported metadata.version are: 3.3-IV3, ")
        );
        assert!(refused.ends_with("4.2-IV1, 4.3-IV0"));
        let refused = MetadataVersion::parse("4.4", Stability::Testing).unwrap_err().to_string();
        assert!(refused.ends_with("4.3-IV0, 4.4-IV0"));
        assert_eq!(MetadataVersion::parse("4.4-IV0", Stability::Testing), Ok(version(31)));
        assert!(MetadataVersion::parse("4.4-IV0", Stability::Production).is_err());
    }

    /// KRF-05
    #[test]
    fn a_downgrade_loses_nothing_only_across_levels_without_new_metadata() {
        for (from, to) in [(29, 23), (22, 17), (10, 8), (12, 11), (16, 15)] {
            assert!(!version(from).metadata_changed_since(version(to)), "{from} to {to}");
        }
        for (from, to) in [(30, 29), (30, 25), (23, 22), (17, 16), (11, 10), (29, 7)] {
            assert!(version(from).metadata_changed_since(version(to)), "{from} to {to}");
        }
    }

    #[test]
    fn record_versions_follow_the_level() {
        let of = |level| {
            (version(level).register_broker_record_version(), version(level).partition_record_version())
        };
        assert_eq!(
            [of(7), of(8), of(16), of(17), of(23), of(30)],
            [(1, 0), (2, 0), (2, 0), (3, 1), (3, 2), (4, 2)]
        );
    }
}
