//! `kafka-features`: levels of features, shown and changed.
//!
//! Owns: its flags, what it prints.
//! Does not own: which changes are meant (`changes`), the features (`ottla_metadata::features`), asking the cluster
//! (`ottla_client::Admin`).
//!
//! Of any failure the tool says the message alone.
//!
//! Source: `kafka-features.sh` of Kafka 4.3.1 (`tests/data/features.txt`, `tests/data/refused.txt`).

mod changes;

use std::collections::BTreeMap;

use ottla_client::admin::FeatureChange;
use ottla_client::config::Properties;
use ottla_client::{Admin, ApiVersions};
use ottla_metadata::features::MetadataVersion;
use ottla_model::BrokerId;

use super::failure::{Failure, Problem};
use super::{feature_levels, session};
use crate::argparse::{Arguments, Flag, Parsed, Presence, Program, Subcommand};
use crate::operation_failure;
use crate::terminal::Terminal;
use changes::Change;

const BOOTSTRAP_SERVER: &str = "bootstrap-server";
const BOOTSTRAP_CONTROLLER: &str = "bootstrap-controller";
const COMMAND_CONFIG: &str = "command-config";
const NODE_ID: &str = "node-id";
const METADATA: &str = "metadata";
const RELEASE_VERSION: &str = "release-version";
const FEATURE: &str = "feature";
const UNSAFE: &str = "unsafe";
const DRY_RUN: &str = "dry-run";

const DESCRIBE: &str = "describe";
const UPGRADE: &str = "upgrade";
const DOWNGRADE: &str = "downgrade";
const DISABLE: &str = "disable";
const VERSION_MAPPING: &str = "version-mapping";
const FEATURE_DEPENDENCIES: &str = "feature-dependencies";

const METADATA_FLAG: Flag = Flag::value(METADATA, "DEPRECATED: the metadata version, such as 3.3-IV3.");
const RELEASE_FLAG: Flag = Flag::value(RELEASE_VERSION, "Take the levels of this release for all features.");
const FEATURE_FLAG: Flag =
    Flag::value(FEATURE, "A feature and its new level, such as metadata.version=25; may be repeated.");
const UNSAFE_FLAG: Flag = Flag::nothing(UNSAFE, "Do it even if metadata are lost.");
const DRY_RUN_FLAG: Flag = Flag::nothing(DRY_RUN, "Check what would happen, and change nothing.");

static PROGRAM: Program = Program {
    name: "kafka-features",
    about: "This tool manages feature flags in Kafka.",
    flags: &[
        Flag::value(BOOTSTRAP_SERVER, "The brokers to connect to, as host:port.")
            .presence(Presence::AtMostOne),
        Flag::value(BOOTSTRAP_CONTROLLER, "The controllers to connect to, as host:port.")
            .presence(Presence::AtMostOne),
        Flag::value(COMMAND_CONFIG, "A properties file for the admin client."),
    ],
    commands: &[
        Subcommand {
            name: DESCRIBE,
            about: "Show the features and their levels.",
            flags: &[Flag::number(NODE_ID, "The node to ask; any node if not given.")],
        },
        Subcommand {
            name: UPGRADE,
            about: "Raise levels of features.",
            flags: &[METADATA_FLAG, RELEASE_FLAG, FEATURE_FLAG, DRY_RUN_FLAG],
        },
        Subcommand {
            name: DOWNGRADE,
            about: "Lower levels of features.",
            flags: &[METADATA_FLAG, RELEASE_FLAG, FEATURE_FLAG, UNSAFE_FLAG, DRY_RUN_FLAG],
        },
        Subcommand {
            name: DISABLE,
            about: "Lower levels of features to 0.",
            flags: &[Flag::value(FEATURE, "The feature; may be repeated."), UNSAFE_FLAG, DRY_RUN_FLAG],
        },
        Subcommand {
            name: VERSION_MAPPING,
            about: "Tell the levels of all features that come with a release; without a flag, with the newest one.",
            flags: &[Flag::value(RELEASE_VERSION, "The release, from 3.3-IV3 on.")],
        },
        Subcommand {
            name: FEATURE_DEPENDENCIES,
            about: "Tell what levels of features need of others.",
            flags: &[Flag::value(
                FEATURE,
                "A feature and its level, such as metadata.version=25; may be repeated.",
            )
            .presence(Presence::Required)],
        },
    ],
};

/// Runs the tool.
pub fn run(args: &[String], terminal: &mut Terminal<'_>) -> u8 {
    let arguments = match PROGRAM.parse(args) {
        Ok(Parsed::Help(text)) => {
            terminal.out(text);
            return 0;
        }
        Ok(Parsed::Command(arguments)) => arguments,
        Err(error) => return refuse(terminal, error.message()),
    };
    if !matches!(arguments.command, VERSION_MAPPING | FEATURE_DEPENDENCIES)
        && !arguments.has(BOOTSTRAP_SERVER)
        && !arguments.has(BOOTSTRAP_CONTROLLER)
    {
        return refuse(terminal, "You must specify either --bootstrap-controller or --bootstrap-server.");
    }
    session::run("kafka-features", async {
        match work(&arguments, terminal).await {
            Ok(()) => 0,
            Err(problem) => {
                match problem {
                    Problem::Terse(sentence) => terminal.err_line(sentence),
                    Problem::Failed(failure) => terminal.err_line(failure.message()),
                }
                1
            }
        }
    })
}

/// Refuses a command line. The tool ends no line here.
fn refuse(terminal: &mut Terminal<'_>, message: &str) -> u8 {
    terminal.err(format_args!("Command line error: {message}. Type --help for help."));
    1
}

async fn work(arguments: &Arguments, terminal: &mut Terminal<'_>) -> Result<(), Problem> {
    match arguments.command {
        VERSION_MAPPING => {
            let printed = feature_levels::print_release(arguments.value(RELEASE_VERSION), terminal);
            return printed.map_err(|unknown| Problem::Terse(unknown.to_string()));
        }
        FEATURE_DEPENDENCIES => {
            return arguments.values(FEATURE).try_for_each(|text| {
                let (name, level) = changes::name_and_level(text)?;
                let printed = feature_levels::print_dependencies(&name, level, terminal);
                printed.map_err(|unknown| Problem::Terse(unknown.to_string()))
            });
        }
        _ => {}
    }
    let file = arguments.value(COMMAND_CONFIG);
    let mut properties = file.map_or_else(|| Ok(Properties::new()), session::properties_of_file)?;
    session::set_addresses(
        &mut properties,
        arguments.value(BOOTSTRAP_SERVER),
        arguments.value(BOOTSTRAP_CONTROLLER),
    );
    let admin = session::admin(terminal, &properties).await?;
    match arguments.command {
        DESCRIBE => describe(&admin, arguments.number(NODE_ID), terminal).await,
        DISABLE => {
            let changes = changes::to_disable(arguments)?;
            update(&admin, arguments, &changes, terminal).await
        }
        _ => {
            let changes = changes::of_levels(arguments, terminal)?;
            update(&admin, arguments, &changes, terminal).await
        }
    }
}

async fn describe(admin: &Admin, node: Option<i32>, terminal: &mut Terminal<'_>) -> Result<(), Problem> {
    let said = admin.describe_node(node.and_then(BrokerId::new)).await;
    let said = said.map_err(|error| Failure::from(&error).in_execution())?;
    terminal.out(table(&said));
    Ok(())
}

fn table(said: &ApiVersions) -> String {
    let epoch = said.finalized_epoch.map_or("-".to_owned(), |epoch| epoch.to_string());
    let line = |(feature, supported): (&String, &ottla_client::FeatureRange)| {
        let finalized = said.finalized_features.get(feature).map_or(0, |range| range.max);
        let text = |level: i16| level_text(feature, level);
        format!(
            "Feature: {feature:40}  SupportedMinVersion: {:15}  SupportedMaxVersion: {:15}  FinalizedVersionLevel: \
             {:15}  Epoch: {epoch}\n",
            text(supported.min),
            text(supported.max),
            text(finalized)
        )
    };
    said.supported_features.iter().map(line).collect()
}

/// Metadata versions are shown by name.
fn level_text(feature: &str, level: i16) -> String {
    if feature != MetadataVersion::FEATURE {
        return level.to_string();
    }
    MetadataVersion::from_level(level).map_or(format!("UNKNOWN {level}"), |version| version.to_string())
}

async fn update(
    admin: &Admin,
    arguments: &Arguments,
    changes: &BTreeMap<String, Change>,
    terminal: &mut Terminal<'_>,
) -> Result<(), Problem> {
    let (operation, dry_run) = (arguments.command, arguments.has(DRY_RUN));
    if changes.is_empty() {
        return Err(Problem::Terse(format!("You must specify at least one feature to {operation}")));
    }
    let updates: Vec<(String, i16, FeatureChange)> =
        changes.iter().map(|(name, change)| (name.clone(), change.level, change.how)).collect();
    let outcomes: Vec<Option<Failure>> = match admin.update_features(&updates, dry_run).await {
        Ok(outcomes) => outcomes
            .into_iter()
            .map(|(_, outcome)| outcome.err().map(|error| operation_failure!(error)))
            .collect(),
        Err(error) => updates.iter().map(|_| Some(operation_failure!(error))).collect(),
    };
    let failed = outcomes.iter().flatten().count();
    for ((name, level, _), outcome) in updates.iter().zip(&outcomes) {
        terminal.out_line(told((operation, dry_run), (name, *level), outcome.as_ref()));
    }
    match failed {
        0 => Ok(()),
        failed => Err(Problem::Terse(format!("{failed} out of {} operation(s) failed.", updates.len()))),
    }
}

/// One line about one feature.
fn told((operation, dry_run): (&str, bool), (name, level): (&str, i16), failure: Option<&Failure>) -> String {
    let goal = if operation == DISABLE { String::new() } else { format!(" to {level}") };
    match failure {
        Some(failure) => {
            let could = if dry_run { "Can" } else { "Could" };
            format!("{could} not {operation} {name}{goal}. {}", failure.message())
        }
        None => {
            let done = if dry_run { "can be" } else { "was" };
            format!("{name} {done} {}d{goal}.", operation)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feature_that_was_never_finalized_is_at_0_and_an_unknown_version_has_its_number() {
        use ottla_client::FeatureRange;
        let mut said = ApiVersions::default();
        said.supported_features.insert("metadata.version".to_owned(), FeatureRange { min: 7, max: 99 });
        let line = table(&said);
        assert!(
            line.contains("SupportedMinVersion: 3.3-IV3          SupportedMaxVersion: UNKNOWN 99 "),
            "{line}"
        );
        assert!(line.ends_with("FinalizedVersionLevel: UNKNOWN 0        Epoch: -\n"), "{line}");
        said.supported_features.insert("a".to_owned(), FeatureRange { min: 0, max: 1 });
        assert!(table(&said).starts_with(&format!("Feature: a{}  SupportedMinVersion: 0", " ".repeat(39))));
    }

    #[test]
    fn what_became_of_a_feature_is_told_in_the_words_of_the_operation() {
        let failure = Failure::runtime("no.");
        for (operation, dry_run, failure, line) in [
            (UPGRADE, false, None, "f was upgraded to 3."),
            (UPGRADE, true, None, "f can be upgraded to 3."),
            (DOWNGRADE, true, Some(&failure), "Can not downgrade f to 3. no."),
            (DISABLE, false, None, "f was disabled."),
            (DISABLE, false, Some(&failure), "Could not disable f. no."),
        ] {
            assert_eq!(told((operation, dry_run), ("f", 3), failure), line);
        }
    }
}
