//! `kafka-storage`: formats data directories and tells what is in them.
//!
//! Owns: the way from a command line to one of the commands; what is printed when a command fails.
//! Does not own: the bytes of a formatted directory (`ottla_metadata::bootstrap`, `ottla_storage`).
//!
//! Source: requirement STG-01; the tool of Kafka 4.3.1 (`tests/data/storage.txt`).

mod features;
mod flags;
mod format;
mod info;
mod scram;
mod voters;

use std::path::Path;

use ottla_env::random::{OsRandom, Random};
use ottla_metadata::config::ConfigError;

use crate::argparse::{Arguments, Parsed};
use crate::settings::{self, NodeSettings, SettingsError};
use crate::terminal::Terminal;
use crate::tools::failure::Failure;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// Kafka prints the sentence alone.
    #[error("{0}")]
    Terse(String),
    /// Kafka lets an exception end the tool.
    #[error("{}", .0.uncaught())]
    Uncaught(Failure),
    /// The problems are printed already.
    #[error("")]
    Told,
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Problem {
        Problem::Uncaught(failure)
    }
}

/// Runs the tool.
pub fn run(args: &[String], terminal: &mut Terminal<'_>) -> u8 {
    let arguments = match flags::PROGRAM.parse(args) {
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
    match command(&arguments, terminal) {
        Ok(()) => 0,
        Err(Problem::Told) => 1,
        Err(failure @ (Problem::Terse(_) | Problem::Uncaught(_))) => {
            terminal.err_line(failure);
            1
        }
    }
}

fn command(arguments: &Arguments, terminal: &mut Terminal<'_>) -> Result<(), Problem> {
    match arguments.command {
        flags::INFO => info::run(&settings_of(arguments)?, terminal),
        flags::FORMAT => format::run(arguments, &settings_of(arguments)?, terminal),
        flags::VERSION_MAPPING => features::version_mapping(arguments, terminal),
        flags::FEATURE_DEPENDENCIES => features::dependencies(arguments, terminal),
        _ => {
            terminal.out_line(system_random()?.kafka_uuid());
            Ok(())
        }
    }
}

fn system_random() -> Result<OsRandom, Problem> {
    OsRandom::new().map_err(|error| Problem::Terse(format!("the system gives no random numbers: {error}")))
}

fn settings_of(arguments: &Arguments) -> Result<NodeSettings, Problem> {
    let path = Path::new(arguments.value(flags::CONFIG).unwrap_or_default());
    settings::load(path, &[]).map_err(|error| {
        let of_config = |class, error: ConfigError| Problem::Uncaught(Failure::new(class, error.to_string()));
        match error {
            SettingsError::File { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
                Failure::new("java.nio.file.NoSuchFileException", path.display().to_string()).into()
            }
            SettingsError::Config { source: source @ ConfigError::Requirement(_), .. } => {
                of_config("java.lang.IllegalArgumentException", source)
            }
            // Kafka has no such refusals, so there are no words of its to keep.
            SettingsError::Config { source, .. }
                if matches!(
                    source,
                    ConfigError::Unsupported { .. } | ConfigError::UnsupportedProtocol { .. }
                ) =>
            {
                Problem::Terse(source.to_string())
            }
            SettingsError::Config { source, .. } => {
                of_config("org.apache.kafka.common.config.ConfigException", source)
            }
            error @ (SettingsError::File { .. }
            | SettingsError::Text { .. }
            | SettingsError::Reference { .. }) => Problem::Terse(error.to_string()),
        }
    })
}
