//! Ottla's own commands for people, and what `ottla` does when none is named.
//!
//! Owns: how an own command is parsed, run and ended; the texts of `ottla --help` and `ottla --version`.
//! Does not own: the names of all commands (`dispatch`), Kafka's tools (`tools`), starting nodes (`node`).
//!
//! In reading order:
//! - `refusal`, `similar`, `report`, `plan`: failures, names like those that are missing, answers and changes, as they are
//!   printed;
//! - `connection`, `context`: which cluster is meant;
//! - `known_topics`, `position`, `moment`, `ends`, `timestamp`, `partitions`: topics, places and times that are named, and
//!   the offsets they stand for;
//! - `topic` with `trim`, `config`, `group`, `offsets`, `cluster`, `explain`, `log`, `top`: one command each;
//! - `record`, `progress`, `consume`, `produce`: records in and out;
//! - `definitions`, `completion`, `manual`: what is made of the commands' definitions.

pub mod cluster;
pub mod completion;
pub mod config;
pub mod connection;
mod consume;
pub mod context;
mod definitions;
mod ends;
pub mod explain;
pub mod group;
mod known_topics;
pub mod log;
pub mod manual;
mod moment;
pub mod offsets;
mod partitions;
mod plan;
mod position;
mod produce;
mod progress;
mod record;
pub mod refusal;
pub mod report;
mod similar;
mod timestamp;
pub mod top;
pub mod topic;
mod trim;

use std::future::Future;

use clap::Parser;
use clap::error::ErrorKind;
use ottla_env::task;

use crate::dispatch::{COMMANDS, find};
use crate::terminal::Terminal;
use refusal::{Refusal, USAGE};
use similar::similar;

/// `ottla topic`
pub fn topic(args: &[String], terminal: &mut Terminal<'_>) -> u8 {
    command(args, terminal, topic::run)
}

/// `ottla config`
pub fn config(args: &[String], terminal: &mut Terminal<'_>) -> u8 {
    command(args, terminal, config::run)
}

/// `ottla consume`
pub fn consume(args: &[String], terminal: &mut Terminal<'_>) -> u8 {
    command(args, terminal, consume::run)
}

/// `ottla context`
pub fn context(args: &[String], terminal: &mut Terminal<'_>) -> u8 {
    command(args, terminal, context::run)
}

/// `ottla produce`
pub fn produce(args: &[String], terminal: &mut Terminal<'_>) -> u8 {
    command(args, terminal, produce::run)
}

/// `ottla group`
pub fn group(args: &[String], terminal: &mut Terminal<'_>) -> u8 {
    command(args, terminal, group::run)
}

/// `ottla offsets`
pub fn offsets(args: &[String], terminal: &mut Terminal<'_>) -> u8 {
    command(args, terminal, offsets::run)
}

/// `ottla cluster`
pub fn cluster(args: &[String], terminal: &mut Terminal<'_>) -> u8 {
    command(args, terminal, cluster::run)
}

/// `ottla explain`
pub fn explain(args: &[String], terminal: &mut Terminal<'_>) -> u8 {
    command(args, terminal, explain::run)
}

/// `ottla log`
pub fn log(args: &[String], terminal: &mut Terminal<'_>) -> u8 {
    command(args, terminal, log::run)
}

/// `ottla completion`
pub fn completion(args: &[String], terminal: &mut Terminal<'_>) -> u8 {
    command(args, terminal, completion::run)
}

/// `ottla man`
pub fn manual(args: &[String], terminal: &mut Terminal<'_>) -> u8 {
    command(args, terminal, manual::run)
}

/// `ottla top`
pub fn top(args: &[String], terminal: &mut Terminal<'_>) -> u8 {
    let mut ended = None;
    let code = command(args, terminal, |flags, terminal| top::run(flags, &mut ended, terminal));
    ended.unwrap_or(code)
}

/// Parses what was typed and runs the command; answers the exit code.
fn command<F: Parser>(
    args: &[String],
    terminal: &mut Terminal<'_>,
    work: impl FnOnce(&F, &mut Terminal<'_>) -> Result<(), Refusal>,
) -> u8 {
    let name = F::command().get_name().to_owned();
    let flags = match F::try_parse_from(std::iter::once(&name).chain(args)) {
        Ok(flags) => flags,
        Err(error) if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
            terminal.out(error.render());
            return 0;
        }
        Err(error) => {
            terminal.err(error.render());
            return USAGE;
        }
    };
    match work(&flags, terminal) {
        Ok(()) => 0,
        Err(refusal) => refusal.tell(terminal),
    }
}

/// Runs work that talks to a cluster, on a runtime of its own.
fn on_runtime<F: Future<Output = Result<(), Refusal>>>(work: F) -> Result<(), Refusal> {
    task::block_on(work)
        .unwrap_or_else(|error| Err(Refusal::failed("no runtime could be started").detail(error)))
}

/// Runs `ottla` with these arguments, none of which begins with the name of a command.
pub fn run(args: &[String], terminal: &mut Terminal<'_>) -> u8 {
    match args.first().map(String::as_str) {
        None | Some("--help" | "-h") => {
            help(terminal);
            0
        }
        Some("help") => help_of(args.get(1..).unwrap_or_default(), terminal),
        Some("--version" | "-V") => {
            terminal.out_line(version());
            0
        }
        Some(unknown) => unknown_command(unknown, terminal),
    }
}

/// `ottla help`, and `ottla help COMMAND`.
fn help_of(names: &[String], terminal: &mut Terminal<'_>) -> u8 {
    let Some((name, rest)) = names.split_first() else {
        help(terminal);
        return 0;
    };
    match find(name) {
        Some(command) => {
            let words: Vec<String> = rest.iter().cloned().chain(["--help".to_owned()]).collect();
            (command.run)(&words, terminal)
        }
        None => unknown_command(name, terminal),
    }
}

fn unknown_command(name: &str, terminal: &mut Terminal<'_>) -> u8 {
    let near = commands_like(name);
    let near: Vec<&str> = near.iter().map(String::as_str).collect();
    Refusal::usage(format!("there is no command '{name}'"))
        .reminding(&near, "`ottla --help` lists the commands")
        .tell(terminal)
}

/// The commands that a name may stand for. What all of Kafka's tools have in common makes no two of them alike.
fn commands_like(name: &str) -> Vec<String> {
    const KAFKAS: &str = "kafka-";
    let name = name.strip_suffix(".sh").unwrap_or(name);
    let (prefix, stem) = name.strip_prefix(KAFKAS).map_or(("", name), |stem| (KAFKAS, stem));
    let stems = COMMANDS.iter().filter_map(|command| command.name.strip_prefix(prefix));
    let near = similar(stem, stems.filter(|stem| !stem.starts_with(KAFKAS)));
    near.into_iter().map(|stem| format!("{prefix}{stem}")).collect()
}

/// One line that says what this program is.
pub fn version() -> String {
    format!("ottla {} (compatible with Apache Kafka 4.3)", env!("CARGO_PKG_VERSION"))
}

fn help(terminal: &mut Terminal<'_>) {
    terminal.out_line(version());
    terminal.out_line("\nUsage: ottla COMMAND [ARGUMENTS]\n\nCommands:");
    let width = COMMANDS.iter().map(|command| command.name.len()).max().unwrap_or(0);
    for command in COMMANDS {
        terminal.out_line(format_args!("  {:width$}  {}", command.name, command.about));
    }
    terminal.out_line(
        "\n`ottla COMMAND --help` says more. A link to ottla by the name of a command, with or without",
    );
    terminal.out_line("`.sh`, runs that command.");
}
