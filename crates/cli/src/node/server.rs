//! `ottla server CONFIG`, also known as `kafka-server-start`: a node with the settings of a properties file.
//!
//! Owns: its flags, and the one line that says why a node does not start.
//! Does not own: the settings (`settings`), the node (`super`).

use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
use ottla_server::loggers::LogLevel;

use super::{NodeError, daemon, one_line};
use crate::logging::{self, Format, Levels, Setup, Target};
use crate::settings;
use crate::terminal::Terminal;
use crate::tools::usage::KAFKA_VERSION;

/// Starts a node with the settings of a properties file and runs it until SIGTERM or Ctrl-C.
#[derive(Debug, Parser)]
#[command(name = "ottla server", disable_version_flag = true)]
struct Flags {
    /// The properties file, such as config/server.properties.
    config: PathBuf,
    /// A setting that wins over the file; may be repeated.
    #[arg(long = "override", value_name = "PROPERTY=VALUE", value_parser = property)]
    overrides: Vec<(String, String)>,
    /// Run in the background; what would be printed goes to server.out in $LOG_DIR or logs/.
    #[arg(long)]
    daemon: bool,
    /// The form of the log: text or json. $OTTLA_LOG_FORMAT says the same.
    #[arg(long, value_name = "FORM")]
    log_format: Option<String>,
}

/// Reads `name=value`. As in Kafka, a name alone has the empty value.
fn property(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    if name.is_empty() {
        Err("a property has a name".to_owned())
    } else {
        Ok((name.to_owned(), value.to_owned()))
    }
}

/// Runs `kafka-server-start`.
pub fn run_script(args: &[String], terminal: &mut Terminal<'_>) -> u8 {
    if args.iter().any(|arg| arg == "--version") {
        terminal.out_line(KAFKA_VERSION);
        return 0;
    }
    run(args, terminal)
}

/// What parses the flags.
pub fn definition() -> clap::Command {
    Flags::command()
}

/// Runs `ottla server`.
pub fn run(args: &[String], terminal: &mut Terminal<'_>) -> u8 {
    if args.is_empty() {
        let usage = "USAGE: kafka-server-start [-daemon] server.properties [--override property=value]*";
        terminal.out_line(usage);
        return 1;
    }
    let flags = match parse(args) {
        Ok(flags) => flags,
        Err(error) if error.kind() == ErrorKind::DisplayHelp => {
            terminal.out(error.render());
            return 0;
        }
        Err(error) => {
            terminal.err(error.render());
            return 1;
        }
    };
    let outcome = if flags.daemon { daemon::start(args).map_err(NodeError::from) } else { serve(flags) };
    match outcome {
        Ok(()) => 0,
        // The log has told it.
        Err(NodeError::Start(_) | NodeError::Failed(_)) => 1,
        Err(error) => {
            terminal.err_line(format_args!("ottla: {}", one_line(&error)));
            1
        }
    }
}

fn parse(args: &[String]) -> Result<Flags, clap::Error> {
    // Kafka's script takes this flag with one dash, before everything else.
    let args = args.iter().map(|arg| if arg == "-daemon" { "--daemon" } else { arg.as_str() });
    Flags::try_parse_from(std::iter::once("ottla server").chain(args))
}

fn serve(flags: Flags) -> Result<(), NodeError> {
    let (format, levels) = logging::from_environment(Levels::all(LogLevel::Info))?;
    let asked = flags.log_format.map(|name| Format::from_name(&name, "--log-format")).transpose()?;
    let format = asked.or(format).unwrap_or_default();
    let node = settings::load(&flags.config, &flags.overrides)?;
    let log = logging::start(Setup { format, target: Target::Stdout, levels });
    let config = flags.config.display();
    tracing::info!(version = env!("CARGO_PKG_VERSION"), node_id = %node.config.node_id, %config, "starting");
    for advice in &node.advice {
        tracing::warn!("{advice}");
    }
    super::run(node.layers, log, |_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(text: &str) -> Result<Flags, String> {
        let args: Vec<_> = text.split_whitespace().map(str::to_owned).collect();
        parse(&args).map_err(|error| error.to_string())
    }

    #[test]
    fn the_flags_of_kafkas_script_are_understood() {
        let flags = flags("-daemon server.properties --override a=b=c --override d").unwrap();
        assert!(flags.daemon);
        assert_eq!(flags.config, PathBuf::from("server.properties"));
        let expected = [("a", "b=c"), ("d", "")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(flags.overrides, expected);
    }

    #[test]
    fn other_arguments_are_refused() {
        assert!(
            flags("a.properties b.properties").unwrap_err().contains("unexpected argument 'b.properties'")
        );
        assert!(flags("a.properties --override =1").unwrap_err().contains("a property has a name"));
        assert!(flags("--override a=1").is_err());
    }
}
