//! `kafka-metadata-quorum`: the state of the metadata quorum, and who belongs to it.
//!
//! Owns: its flags, adding and removing controllers.
//! Does not own: what is shown (`describe`), what the settings of a controller say of it (`controller`), asking the
//! cluster (`ottla_client::Admin`).
//!
//! Source: `kafka-metadata-quorum.sh` of Kafka 4.3.1 (`tests/data/metadata-quorum.txt`, `tests/data/refused.txt`).

mod controller;
mod describe;

use std::path::Path;

use ottla_client::Admin;
use ottla_client::admin::Voter;
use ottla_client::config::Properties;
use ottla_model::BrokerId;

use super::failure::{self, Problem};
use super::{java, session};
use crate::argparse::{Arguments, Flag, Parsed, Presence, Program, Subcommand};
use crate::operation_failure;
use crate::terminal::Terminal;
use controller::Controller;

const BOOTSTRAP_SERVER: &str = "bootstrap-server";
const BOOTSTRAP_CONTROLLER: &str = "bootstrap-controller";
const COMMAND_CONFIG: &str = "command-config";
const STATUS: &str = "status";
const REPLICATION: &str = "replication";
const HUMAN_READABLE: &str = "human-readable";
const CONTROLLER_ID: &str = "controller-id";
const DIRECTORY_ID: &str = "controller-directory-id";
const DRY_RUN: &str = "dry-run";

const DESCRIBE_COMMAND: &str = "describe";
const ADD_COMMAND: &str = "add-controller";

const DRY_RUN_FLAG: Flag = Flag::nothing(DRY_RUN, "Tell what would be done, and do nothing.");

static PROGRAM: Program = Program {
    name: "kafka-metadata-quorum",
    about: "This tool describes kraft metadata quorum status.",
    flags: &[
        Flag::value(BOOTSTRAP_SERVER, "The brokers to connect to, as host:port.")
            .presence(Presence::ExactlyOne),
        Flag::value(BOOTSTRAP_CONTROLLER, "The controllers to connect to, as host:port.")
            .presence(Presence::ExactlyOne),
        Flag::value(
            COMMAND_CONFIG,
            "A properties file for the admin client; with add-controller, that of the controller.",
        ),
    ],
    commands: &[
        Subcommand {
            name: DESCRIBE_COMMAND,
            about: "Show the state of the quorum.",
            flags: &[
                Flag::nothing(STATUS, "A summary."),
                Flag::nothing(REPLICATION, "How far every controller and observer is."),
                Flag::nothing(HUMAN_READABLE, "With --replication: how long ago instead of when."),
            ],
        },
        Subcommand {
            name: ADD_COMMAND,
            about: "Let a controller vote that follows the quorum.",
            flags: &[DRY_RUN_FLAG],
        },
        Subcommand {
            name: "remove-controller",
            about: "Take the vote of a controller.",
            flags: &[
                Flag::number(CONTROLLER_ID, "The id of the controller.")
                    .short('i')
                    .presence(Presence::Required),
                Flag::value(DIRECTORY_ID, "The id of its metadata directory.")
                    .short('d')
                    .presence(Presence::Required),
                DRY_RUN_FLAG,
            ],
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
        Err(error) => {
            terminal.err_line(error);
            return 1;
        }
    };
    session::run("kafka-metadata-quorum", async {
        let ended = work(&arguments, terminal).await;
        failure::end(terminal, ended)
    })
}

async fn work(arguments: &Arguments, terminal: &mut Terminal<'_>) -> Result<(), Problem> {
    let mut properties = match arguments.value(COMMAND_CONFIG) {
        Some(path) if !Path::new(path).exists() => {
            return Err(terse(format!("Properties file {path} does not exists!")));
        }
        Some(path) => session::properties_of_file(path)?,
        None => Properties::new(),
    };
    let addresses = (arguments.value(BOOTSTRAP_SERVER), arguments.value(BOOTSTRAP_CONTROLLER));
    session::set_addresses(&mut properties, addresses.0, addresses.1);
    let admin = session::admin(terminal, &properties).await?;
    match arguments.command {
        DESCRIBE_COMMAND => match (arguments.has(STATUS), arguments.has(REPLICATION)) {
            (true, true) => Err(terse(
                "Only one of --status or --replication should be specified with describe sub-command",
            )),
            (false, true) => describe::replication(&admin, arguments.has(HUMAN_READABLE), terminal).await,
            (true, false) if arguments.has(HUMAN_READABLE) => {
                Err(terse("The option --human-readable is only supported along with --replication"))
            }
            (true, false) => describe::status(&admin, terminal).await,
            (false, false) => {
                Err(terse("One of --status or --replication must be specified with describe sub-command"))
            }
        },
        ADD_COMMAND if !arguments.has(COMMAND_CONFIG) => Err(terse(
            "You must supply the configuration file of the controller you are adding when using add-controller.",
        )),
        ADD_COMMAND => {
            let controller = Controller::of_settings(&properties)?;
            add(&admin, &controller, arguments.has(DRY_RUN), terminal).await
        }
        _ => remove(&admin, arguments, terminal).await,
    }
}

fn terse(sentence: impl Into<String>) -> Problem {
    Problem::Terse(sentence.into())
}

async fn add(
    admin: &Admin,
    controller: &Controller,
    dry_run: bool,
    terminal: &mut Terminal<'_>,
) -> Result<(), Problem> {
    if !dry_run {
        let added = admin.add_voter(controller.voter, &controller.listeners).await;
        added.map_err(|error| operation_failure!(error).in_execution())?;
    }
    let done = if dry_run { "DRY RUN of adding" } else { "Added" };
    terminal.out_line(format_args!("{done} {controller}"));
    Ok(())
}

async fn remove(admin: &Admin, arguments: &Arguments, terminal: &mut Terminal<'_>) -> Result<(), Problem> {
    let number = arguments.number(CONTROLLER_ID).unwrap_or_default();
    let Some(id) = BrokerId::new(number) else {
        return Err(terse(format!("Invalid negative --controller-id: {number}")));
    };
    let directory = java::uuid(arguments.value(DIRECTORY_ID).unwrap_or_default()).map_err(|failure| {
        terse(format!("Failed to parse --controller-directory-id: {}", failure.message()))
    })?;
    if !arguments.has(DRY_RUN) {
        let removed = admin.remove_voter(Voter { id, directory }).await;
        removed.map_err(|error| operation_failure!(error).in_execution())?;
    }
    // Kafka's tool writes one blank more than it should.
    let done = if arguments.has(DRY_RUN) { "DRY RUN of removing " } else { "Removed " };
    terminal.out_line(format_args!("{done} KRaft controller {id} with directory id {directory}"));
    Ok(())
}
