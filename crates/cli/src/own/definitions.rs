//! All commands with clap's definitions as one tree, for what is made of them: completions and manual pages.
//!
//! Owns: the list of definitions. Does not own: the definitions (the commands), which command runs (`dispatch`).

use clap::{Command, CommandFactory};

use super::{
    cluster, completion, config, consume, context, explain, group, log, manual, offsets, produce, top, topic,
};
use crate::dispatch::COMMANDS;
use crate::node;

/// A command's name in `dispatch`, and what parses its flags.
type Definition = (&'static str, fn() -> Command);

/// Commands that clap parses. Kafka's own tools are parsed as Kafka's tools are, and are not among them.
pub const DEFINITIONS: &[Definition] = &[
    ("dev", node::dev::definition),
    ("server", node::server::definition),
    ("topic", topic::Flags::command),
    ("config", config::Flags::command),
    ("produce", produce::Flags::command),
    ("consume", consume::Flags::command),
    ("group", group::Flags::command),
    ("offsets", offsets::Flags::command),
    ("cluster", cluster::Flags::command),
    ("top", top::Flags::command),
    ("log", log::Flags::command),
    ("explain", explain::Flags::command),
    ("context", context::Flags::command),
    ("completion", completion::Flags::command),
    ("man", manual::Flags::command),
];

/// The command with clap's definition of this name, as part of the tree.
fn defined(name: &'static str) -> Option<Command> {
    let (name, definition) = DEFINITIONS.iter().find(|(known, _)| *known == name)?;
    Some(definition().name(*name).bin_name(format!("ottla {name}")).display_name(format!("ottla-{name}")))
}

/// `ottla` with the commands that have definitions.
pub fn own() -> Command {
    let commands = COMMANDS.iter().filter_map(|command| defined(command.name));
    root().subcommands(commands)
}

/// `ottla` with all commands; those of Kafka take anything.
pub fn all() -> Command {
    let any = |command: &crate::dispatch::Command| {
        let args = clap::Arg::new("args").num_args(0..).trailing_var_arg(true).allow_hyphen_values(true);
        Command::new(command.name).about(command.about).arg(args).disable_help_flag(true)
    };
    root().subcommands(COMMANDS.iter().map(|command| defined(command.name).unwrap_or_else(|| any(command))))
}

fn root() -> Command {
    Command::new("ottla")
        .bin_name("ottla")
        .about("A Kafka-compatible platform in one binary")
        .version(env!("CARGO_PKG_VERSION"))
        .subcommand_required(true)
        .disable_help_subcommand(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_argument_says_what_it_is() {
        fn silent(command: &Command) -> Vec<String> {
            let own = command.get_arguments().filter(|argument| argument.get_help().is_none());
            let own = own.map(|argument| format!("{} {}", command.get_name(), argument.get_id()));
            own.chain(command.get_subcommands().flat_map(silent)).collect()
        }
        let found: Vec<String> = DEFINITIONS.iter().flat_map(|(_, of)| silent(&of())).collect();
        assert_eq!(found, [""; 0]);
    }

    #[test]
    fn every_command_but_kafka_s_has_a_definition_that_holds() {
        for command in COMMANDS {
            let is_defined = DEFINITIONS.iter().any(|(name, _)| *name == command.name);
            assert_eq!(is_defined, !command.name.starts_with("kafka-"), "{}", command.name);
        }
        assert!(DEFINITIONS.iter().all(|(name, _)| COMMANDS.iter().any(|command| command.name == *name)));
        all().debug_assert();
        own().debug_assert();
    }
}
