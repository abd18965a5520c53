//! Command lines that Kafka's tools parse with argparse4j, from the words to a plan.
//!
//! Owns: asking for help and its exit code, how a refusal is told, options under their old names.
//! Does not own: the parser (`argparse::single`), the options and their rules (each tool).

use ottla_client::config::Properties;

use super::failure::Failure;
use super::session;
use crate::argparse::UsageError;
use crate::argparse::single::{Given, Parsed, Parser};
use crate::terminal::Terminal;

/// Why a command line is refused.
pub enum Refusal {
    /// The parser's own way: a line of usage and the reason.
    Usage(UsageError),
    /// An exception that Kafka's tool does not catch.
    Uncaught(Failure),
}

impl From<UsageError> for Refusal {
    fn from(error: UsageError) -> Refusal {
        Refusal::Usage(error)
    }
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Refusal {
        Refusal::Uncaught(failure)
    }
}

/// What a command line asks for, as `plan` makes it. `Err` is the exit code where nothing is left to be done.
pub fn planned<P>(
    parser: &'static Parser,
    args: &[String],
    terminal: &mut Terminal<'_>,
    plan: impl FnOnce(Given, &mut Terminal<'_>) -> Result<P, Refusal>,
) -> Result<P, u8> {
    if args.is_empty() {
        terminal.out(parser.help());
        return Err(0);
    }
    let planned = match parser.parse(args) {
        Ok(Parsed::Help(help)) => {
            // Kafka's tools take asking for help for an error.
            terminal.out(help);
            return Err(1);
        }
        Ok(Parsed::Given(given)) => plan(given, terminal),
        Err(refused) => Err(Refusal::Usage(refused)),
    };
    planned.map_err(|refusal| {
        match refusal {
            Refusal::Usage(refused) => terminal.err_line(refused),
            Refusal::Uncaught(failure) => terminal.err_line(failure.uncaught()),
        }
        1
    })
}

/// Tells that an option has another name now.
pub fn tell_renamed(terminal: &mut Terminal<'_>, (old, new): (&str, &str)) {
    terminal.out_line(format_args!(
        "Option --{old} has been deprecated and will be removed in a future version. Use --{new} instead."
    ));
}

/// The properties of the file that `--command-config` names, or the option under its `old` name.
pub fn properties_of_file(
    parser: &'static Parser,
    given: &Given,
    old: &str,
    terminal: &mut Terminal<'_>,
) -> Result<Properties, Refusal> {
    const NEW: &str = "command-config";
    if given.has(old) && given.has(NEW) {
        return Err(parser.refused(&format!("Options --{old} and --{NEW} are mutually exclusive.")).into());
    }
    if given.has(old) {
        tell_renamed(terminal, (old, NEW));
    }
    let path = given.value(old).or(given.value(NEW));
    let properties = path.map_or_else(|| Ok(Properties::new()), session::properties_of_file);
    properties.map_err(|failure| match failure.is_illegal_argument() {
        true => failure.into(),
        false => parser.refused(failure.message()).into(),
    })
}
