//! What `ottla` does when no command is named: help, version, and a word about names it does not know.
//!
//! Owns: the texts of `ottla --help` and `ottla --version`.
//! Does not own: the commands (`dispatch`).

use crate::dispatch::COMMANDS;
use crate::terminal::Terminal;

/// Runs `ottla` with these arguments, none of which begins with the name of a command.
pub fn run(args: &[String], terminal: &mut Terminal<'_>) -> u8 {
    match args.first().map(String::as_str) {
        None | Some("--help" | "-h" | "help") => {
            help(terminal);
            0
        }
        Some("--version" | "-V") => {
            terminal.out_line(version());
            0
        }
        Some(unknown) => {
            terminal.err_line(format_args!("ottla: there is no command '{unknown}'"));
            terminal.err_line("`ottla --help` lists the commands.");
            2
        }
    }
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
