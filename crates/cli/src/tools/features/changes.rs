//! The changes that a command line of `kafka-features` asks for.
//!
//! Owns: reading them, each feature once. Does not own: making them.

use std::collections::BTreeMap;

use ottla_client::admin::FeatureChange;
use ottla_metadata::features::{MetadataVersion, Stability};

use super::super::failure::{Failure, Problem};
use super::super::feature_levels;
use super::{FEATURE, METADATA, RELEASE_VERSION, UNSAFE, UPGRADE};
use crate::argparse::Arguments;
use crate::terminal::Terminal;

/// The new level of a feature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Change {
    pub level: i16,
    pub how: FeatureChange,
}

/// Changes by feature.
type Changes = BTreeMap<String, Change>;

/// What `upgrade` and `downgrade` ask for.
pub(super) fn of_levels(arguments: &Arguments, terminal: &mut Terminal<'_>) -> Result<Changes, Problem> {
    let how = if arguments.command == UPGRADE { FeatureChange::Upgrade } else { downgrade(arguments) };
    if let Some(release) = arguments.value(RELEASE_VERSION) {
        if arguments.has(METADATA) || arguments.has(FEATURE) {
            let text = "Can not specify `release-version` with other feature flags.";
            return Err(Problem::Terse(text.to_owned()));
        }
        let levels = feature_levels::of_release(release);
        let levels = levels.map_err(|unknown| Problem::Terse(unknown.to_string()))?;
        // Nothing is raised to 0.
        let levels = levels.into_iter().filter(|(_, level)| how != FeatureChange::Upgrade || *level > 0);
        return Ok(levels.map(|(name, level)| (name.to_owned(), Change { level, how })).collect());
    }
    let mut changes = Changes::new();
    if let Some(version) = arguments.value(METADATA) {
        terminal.out_line(" `metadata` flag is deprecated and may be removed in a future release.");
        let version = MetadataVersion::parse(version, Stability::Testing);
        let level = version.map_err(|unknown| Problem::Terse(unknown.to_string()))?.level();
        changes.insert(MetadataVersion::FEATURE.to_owned(), Change { level, how });
    }
    for text in arguments.values(FEATURE) {
        let (name, level) = name_and_level(text)?;
        add(&mut changes, name, Change { level, how })?;
    }
    Ok(changes)
}

/// What `disable` asks for.
pub(super) fn to_disable(arguments: &Arguments) -> Result<Changes, Problem> {
    let how = downgrade(arguments);
    let mut changes = Changes::new();
    for name in arguments.values(FEATURE) {
        add(&mut changes, name.to_owned(), Change { level: 0, how })?;
    }
    Ok(changes)
}

fn downgrade(arguments: &Arguments) -> FeatureChange {
    if arguments.has(UNSAFE) { FeatureChange::UnsafeDowngrade } else { FeatureChange::SafeDowngrade }
}

fn add(changes: &mut Changes, name: String, change: Change) -> Result<(), Failure> {
    match changes.insert(name.clone(), change) {
        None => Ok(()),
        Some(_) => Err(Failure::runtime(format!("Feature {name} was specified more than once."))),
    }
}

/// Reads `feature=level`.
pub(super) fn name_and_level(text: &str) -> Result<(String, i16), Failure> {
    let refused = |why: String| Failure::runtime(format!("Can't parse feature=level string {text}: {why}"));
    let (name, level) = text.split_once('=').ok_or_else(|| refused("equals sign not found.".to_owned()))?;
    let level = level.trim();
    match level.parse() {
        Ok(number) => Ok((name.trim().to_owned(), number)),
        Err(_) => Err(refused(format!("unable to parse {level} as a short."))),
    }
}
