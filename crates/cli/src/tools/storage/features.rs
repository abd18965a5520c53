//! `kafka-storage version-mapping` and `feature-dependencies`.
//!
//! Owns: their output. Does not own: the features (`ottla_metadata::features`).

use ottla_metadata::features::{Feature, MetadataVersion, Stability};

use super::{Problem, flags};
use crate::argparse::Arguments;
use crate::terminal::Terminal;

/// Prints which levels come with a release.
pub fn version_mapping(arguments: &Arguments, terminal: &mut Terminal<'_>) -> Result<(), Problem> {
    let release = arguments.value(flags::RELEASE_VERSION).unwrap_or(MetadataVersion::LATEST.name());
    let version = MetadataVersion::parse(release, Stability::Testing)
        .map_err(|unknown| Problem::Terse(unknown.to_string()))?;
    terminal.out_line(format_args!("{}={} ({release})", MetadataVersion::FEATURE, version.level()));
    for feature in Feature::ALL {
        terminal.out_line(format_args!("{feature}={}", feature.default_level(version)));
    }
    Ok(())
}

/// Prints what the given levels depend on.
pub fn dependencies(arguments: &Arguments, terminal: &mut Terminal<'_>) -> Result<(), Problem> {
    arguments.values(flags::FEATURE).try_for_each(|text| dependencies_of(text, terminal))
}

fn dependencies_of(text: &str, terminal: &mut Terminal<'_>) -> Result<(), Problem> {
    let terse = |text: String| Err(Problem::Terse(text));
    let mut parts = text.split('=');
    let (Some(name), Some(level), None) = (parts.next(), parts.next(), parts.next()) else {
        return terse(format!(
            "Invalid feature format: {text}. Expected format: 'feature=version' (e.g. 'group.version=1')"
        ));
    };
    let Ok(number) = level.parse::<i16>() else {
        return terse(format!("Invalid version format: {level} for feature {name}"));
    };
    if name == MetadataVersion::FEATURE {
        let Some(version) = MetadataVersion::from_level(number) else {
            return terse(format!("Unknown metadata.version {number}"));
        };
        terminal.out_line(format_args!("{name}={number} ({version}) has no dependencies."));
        return Ok(());
    }
    let Ok(feature) = Feature::from_name(name) else { return terse(format!("Unknown feature: {name}")) };
    if number < 0 || number > feature.max_level() {
        return terse(format!("Feature level {number} is not supported for feature {name}"));
    }
    match feature.dependency(number) {
        None => terminal.out_line(format_args!("{name}={number} has no dependencies.")),
        Some(needed) => {
            terminal.out_line(format_args!("{name}={number} requires:"));
            terminal.out_line(format_args!("    {}={} ({needed})", MetadataVersion::FEATURE, needed.level()));
        }
    }
    Ok(())
}
