//! `ottla completion`: what shells offer while a command line is typed.
//!
//! Owns: which names are offered where. Does not own: the shells' scripts (`clap_complete`), the commands
//! (`definitions`).
//!
//! A shell calls this program for every key press of Tab, with the variable `OTTLA_COMPLETE` set; the script that it needs for
//! that is what the command prints. Names of topics and groups are asked of the cluster that the line means. It has
//! `CLUSTER_MS` to answer; without an answer nothing is offered and nothing is said.
//!
//! What is offered for an argument is told by the name of its value: `TOPIC`, `TOPIC[:PARTITIONS]`, `GROUP`, `CONTEXT`,
//! `KEY`, `ERROR`.

use std::ffi::OsStr;
use std::path::Path;

use clap::{Arg, Command, Parser, ValueEnum};
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};
use clap_complete::env::{CompleteEnv, EnvCompleter, Shells};
use ottla_client::Admin;
use ottla_env::task;
use ottla_metadata::config::{broker_keys, group_keys, topic_keys};
use ottla_protocol::ErrorCode;

use super::connection::{ConnectionFlags, Environment};
use super::context::Contexts;
use super::definitions;
use super::refusal::Refusal;
use crate::terminal::Terminal;

/// Most milliseconds that a cluster may take: somebody waits at the keyboard.
const CLUSTER_MS: &str = "800";
/// The variable by which a shell asks.
const VARIABLE: &str = "OTTLA_COMPLETE";

/// Print the script that makes a shell complete commands of ottla.
#[derive(Debug, Parser)]
#[command(
    name = "ottla completion",
    bin_name = "ottla completion",
    after_help = "bash: source <(ottla completion bash)\n\
                  zsh: source <(ottla completion zsh)\n\
                  fish: ottla completion fish | source\n\
                  powershell: ottla completion powershell | Out-String | Invoke-Expression\n\n\
                  Put the line into the file that your shell reads at its start, such as ~/.bashrc."
)]
pub struct Flags {
    /// The shell that is to complete commands
    shell: Shell,
}

/// A shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
    Powershell,
    Elvish,
}

impl Shell {
    fn name(self) -> &'static str {
        match self {
            Shell::Bash => "bash",
            Shell::Zsh => "zsh",
            Shell::Fish => "fish",
            Shell::Powershell => "powershell",
            Shell::Elvish => "elvish",
        }
    }
}

/// Runs the command.
pub fn run(flags: &Flags, terminal: &mut Terminal<'_>) -> Result<(), Refusal> {
    let name = flags.shell.name();
    let failed = |reason: &str| Refusal::failed(format!("there is no script for {name}")).detail(reason);
    let program = std::env::current_exe().map_err(|error| failed(&error.to_string()))?;
    let shells = Shells::builtins();
    let shell = shells.completer(name).ok_or_else(|| failed("The shell is not known"))?;
    let mut script = Vec::new();
    let written = EnvCompleter::write_registration(
        shell,
        VARIABLE,
        "ottla",
        "ottla",
        &program.to_string_lossy(),
        &mut script,
    );
    written.map_err(|error| failed(&error.to_string()))?;
    terminal.out_bytes(&script);
    Ok(())
}

/// Answers a shell that asks, and whether one has asked.
pub fn answer(args: &[String], directory: Option<&Path>) -> bool {
    let asks = std::env::var(VARIABLE).is_ok_and(|shell| Shells::builtins().completer(&shell).is_some());
    // A shell has no use for errors while a line is being typed.
    asks && CompleteEnv::with_factory(|| with_names(definitions::all()))
        .var(VARIABLE)
        .bin("ottla")
        .try_complete(args, directory)
        .unwrap_or(true)
}

/// The commands with what is offered for values.
fn with_names(command: Command) -> Command {
    let command = command.mut_args(|arg| match offered(&arg) {
        Some(completer) => arg.add(completer),
        None => arg,
    });
    command.mut_subcommands(with_names)
}

fn offered(arg: &Arg) -> Option<ArgValueCompleter> {
    if arg.get_id() == "context" {
        return Some(ArgValueCompleter::new(contexts));
    }
    match arg.get_value_names()?.first()?.as_str() {
        "TOPIC" | "TOPIC[:PARTITIONS]" => Some(ArgValueCompleter::new(topics)),
        "GROUP" => Some(ArgValueCompleter::new(groups)),
        "CONTEXT" => Some(ArgValueCompleter::new(contexts)),
        "KEY" => Some(ArgValueCompleter::new(keys)),
        "ERROR" => Some(ArgValueCompleter::new(errors)),
        _ => None,
    }
}

fn contexts(typed: &OsStr) -> Vec<CompletionCandidate> {
    let contexts = Contexts::read(&Environment::of_process()).unwrap_or_default();
    beginning_with(typed, contexts.names().map(str::to_owned))
}

fn keys(typed: &OsStr) -> Vec<CompletionCandidate> {
    let tables = [topic_keys(), broker_keys(), group_keys()];
    beginning_with(typed, tables.into_iter().flat_map(|table| table.keys().map(|key| (*key).to_owned())))
}

fn errors(typed: &OsStr) -> Vec<CompletionCandidate> {
    let names = beginning_with(typed, ErrorCode::ALL.iter().map(|code| code.name().to_owned()));
    // Settings are explained too, but there are too many of them to be offered at once.
    if typed.is_empty() { names } else { names.into_iter().chain(keys(typed)).collect() }
}

fn topics(typed: &OsStr) -> Vec<CompletionCandidate> {
    let names = asked(async |admin: Admin| {
        let topics = admin.list_topics().await.unwrap_or_default();
        topics.into_iter().map(|topic| topic.name).collect()
    });
    beginning_with(typed, names.into_iter())
}

fn groups(typed: &OsStr) -> Vec<CompletionCandidate> {
    let names = asked(async |admin: Admin| {
        let groups = admin.list_groups(&[], &[]).await.unwrap_or_default();
        groups.into_iter().map(|group| group.id).collect()
    });
    beginning_with(typed, names.into_iter())
}

fn beginning_with(typed: &OsStr, names: impl Iterator<Item = String>) -> Vec<CompletionCandidate> {
    let typed = typed.to_string_lossy();
    let mut names: Vec<String> = names.filter(|name| name.starts_with(&*typed)).collect();
    names.sort();
    names.dedup();
    names.into_iter().map(CompletionCandidate::new).collect()
}

/// Asks the cluster that the line means; nothing if it cannot be found in time.
fn asked<F: Future<Output = Vec<String>>>(question: impl FnOnce(Admin) -> F) -> Vec<String> {
    let words: Vec<String> = std::env::args().collect();
    let flags = connection_of(&words);
    let answer = task::block_on(async {
        match flags.admin(&Environment::of_process()).await {
            Ok(admin) => question(admin).await,
            Err(_) => Vec::new(),
        }
    });
    answer.unwrap_or_default()
}

/// The flags of the connection among the words of a line that is not finished.
fn connection_of(words: &[String]) -> ConnectionFlags {
    let value = |names: [&str; 2]| {
        let behind = |at: usize, name: &str| match words[at].strip_prefix(name)? {
            "" => words.get(at + 1).cloned(),
            joined => joined.strip_prefix('=').map(str::to_owned),
        };
        let mut found = (0..words.len()).filter_map(|at| names.iter().find_map(|name| behind(at, name)));
        found.next_back()
    };
    let keys = ["default.api.timeout.ms", "request.timeout.ms", "socket.connection.setup.timeout.ms"];
    ConnectionFlags {
        bootstrap: value(["--bootstrap", "-b"]),
        context: value(["--context", "--context"]),
        timeout: 1,
        settings: keys.map(|key| (key.to_owned(), CLUSTER_MS.to_owned())).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cluster_is_that_of_the_line() {
        let of = |line: &str| {
            let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            let flags = connection_of(&words);
            (flags.bootstrap.unwrap_or_default(), flags.context.unwrap_or_default())
        };
        let pair = |bootstrap: &str, context: &str| (bootstrap.to_owned(), context.to_owned());
        assert_eq!(of("ottla -- ottla topic describe -b h:1 or"), pair("h:1", ""));
        assert_eq!(of("ottla -- ottla topic --bootstrap=h:1 describe --context dev "), pair("h:1", "dev"));
        assert_eq!(of("ottla -- ottla topic describe or"), pair("", ""));
    }
}
