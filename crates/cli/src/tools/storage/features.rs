//! `kafka-storage version-mapping` and `feature-dependencies`.
//!
//! Owns: reading `feature=version`, and the words of refusals. Does not own: what is printed (`feature_levels`).

use super::super::feature_levels::{UnknownLevel, print_dependencies, print_release};
use super::{Problem, flags};
use crate::argparse::Arguments;
use crate::terminal::Terminal;

/// Prints which levels come with a release.
pub fn version_mapping(arguments: &Arguments, terminal: &mut Terminal<'_>) -> Result<(), Problem> {
    let printed = print_release(arguments.value(flags::RELEASE_VERSION), terminal);
    printed.map_err(|unknown| Problem::Terse(unknown.to_string()))
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
    match print_dependencies(name, number, terminal) {
        Ok(()) => Ok(()),
        Err(UnknownLevel::Level { feature, level }) => {
            terse(format!("Feature level {level} is not supported for feature {feature}"))
        }
        Err(unknown @ (UnknownLevel::MetadataVersion(_) | UnknownLevel::Feature(_))) => {
            terse(unknown.to_string())
        }
    }
}
