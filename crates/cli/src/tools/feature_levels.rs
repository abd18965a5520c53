//! Levels of features: which come with a release, and what they need of others.
//!
//! Owns: what tools print of them. Does not own: the features (`ottla_metadata::features`), reading command lines.

use ottla_metadata::features::{Feature, MetadataVersion, Stability, UnknownMetadataVersion};

use crate::terminal::Terminal;

/// Why nothing can be told of a level. The words are those of `kafka-features`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnknownLevel {
    #[error("Unknown metadata.version {0}")]
    MetadataVersion(i16),
    #[error("Unknown feature: {0}")]
    Feature(String),
    #[error("No feature:{feature} with feature level {level}")]
    Level { feature: String, level: i16 },
}

/// The levels of all features that come with a release, the metadata version first.
pub fn of_release(release: &str) -> Result<Vec<(&'static str, i16)>, UnknownMetadataVersion> {
    let version = MetadataVersion::parse(release, Stability::Testing)?;
    let others = Feature::ALL.iter().map(|feature| (feature.name(), feature.default_level(version)));
    Ok(std::iter::once((MetadataVersion::FEATURE, version.level())).chain(others).collect())
}

/// Prints which levels come with a release; without one, with the newest.
pub fn print_release(
    release: Option<&str>,
    terminal: &mut Terminal<'_>,
) -> Result<(), UnknownMetadataVersion> {
    let release = release.unwrap_or(MetadataVersion::LATEST.name());
    for (feature, level) in of_release(release)? {
        match feature {
            MetadataVersion::FEATURE => terminal.out_line(format_args!("{feature}={level} ({release})")),
            feature => terminal.out_line(format_args!("{feature}={level}")),
        }
    }
    Ok(())
}

/// Prints what a level depends on.
pub fn print_dependencies(name: &str, level: i16, terminal: &mut Terminal<'_>) -> Result<(), UnknownLevel> {
    if name == MetadataVersion::FEATURE {
        let version = MetadataVersion::from_level(level).ok_or(UnknownLevel::MetadataVersion(level))?;
        terminal.out_line(format_args!("{name}={level} ({version}) has no dependencies."));
        return Ok(());
    }
    let feature = Feature::from_name(name).map_err(|_| UnknownLevel::Feature(name.to_owned()))?;
    if level < 0 || level > feature.max_level() {
        return Err(UnknownLevel::Level { feature: name.to_owned(), level });
    }
    match feature.dependency(level) {
        None => terminal.out_line(format_args!("{name}={level} has no dependencies.")),
        Some(needed) => {
            terminal.out_line(format_args!("{name}={level} requires:"));
            terminal.out_line(format_args!("    {}={} ({needed})", MetadataVersion::FEATURE, needed.level()));
        }
    }
    Ok(())
}
