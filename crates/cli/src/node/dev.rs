//! `ottla dev`: a node to try things with.
//!
//! Owns: its settings, its directory where none is given, what it tells the user.
//! Does not own: the node (`super`).
//!
//! Invariants
//! - I1 a directory that this command made is gone when it ends, whether it ends well or not.

use std::path::{Path, PathBuf};

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
use ottla_env::disk::{Disk, RealDisk};
use ottla_env::random::{OsRandom, Random};
use ottla_metadata::config::Settings;
use ottla_server::RunningNode;
use ottla_server::loggers::LogLevel;

use super::{NodeError, one_line};
use crate::logging::{self, Levels, Setup, Target};
use crate::settings;
use crate::terminal::Terminal;

/// Starts a node to try things with, on this machine only. Without --data its data is gone when it ends.
#[derive(Debug, Parser)]
#[command(name = "ottla dev")]
struct Flags {
    /// Port for clients; the next one is the controller's. With 0 the system chooses both.
    #[arg(long, default_value_t = 9092, value_parser = clap::value_parser!(u16).range(..65535))]
    port: u16,
    /// A directory that keeps the data.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

/// The directory of the data; a borrowed one is removed at the end.
struct Data {
    path: PathBuf,
    is_borrowed: bool,
}

impl Drop for Data {
    fn drop(&mut self) {
        if self.is_borrowed
            && let Err(error) = RealDisk.remove_dir_all(&self.path)
        {
            tracing::warn!(path = %self.path.display(), %error, "the directory could not be removed");
        }
    }
}

/// What parses the flags.
pub fn definition() -> clap::Command {
    Flags::command()
}

/// Runs the command.
pub fn run(args: &[String], terminal: &mut Terminal<'_>) -> u8 {
    let flags =
        match Flags::try_parse_from(std::iter::once("ottla dev").chain(args.iter().map(String::as_str))) {
            Ok(flags) => flags,
            Err(error) if error.kind() == ErrorKind::DisplayHelp => {
                terminal.out(error.render());
                return 0;
            }
            Err(error) => {
                terminal.err(error.render());
                return 2;
            }
        };
    match serve(flags, terminal) {
        Ok(()) => 0,
        // The log has told it.
        Err(NodeError::Start(_) | NodeError::Failed(_)) => 1,
        Err(error) => {
            terminal.err_line(format_args!("ottla: {}", one_line(&error)));
            1
        }
    }
}

fn serve(flags: Flags, terminal: &mut Terminal<'_>) -> Result<(), NodeError> {
    let (format, levels) = logging::from_environment(Levels::all(LogLevel::Warn))?;
    let data = data(flags.data)?;
    let settings = settings::resolve(node_settings(flags.port, &data.path), Path::new("ottla dev"))?;
    let format = format.unwrap_or_default();
    let log = logging::start(Setup { format, target: Target::Stderr, levels });
    let outcome = super::run(settings.layers, log, |node| greet(node, &data, terminal));
    if outcome.is_ok() {
        terminal.out_line(if data.is_borrowed { "\nStopped; the data is gone." } else { "\nStopped." });
    }
    outcome
}

fn data(given: Option<PathBuf>) -> Result<Data, NodeError> {
    match given {
        Some(path) => Ok(Data { path, is_borrowed: false }),
        None => {
            let name = format!("ottla-dev-{}", OsRandom::new()?.kafka_uuid());
            let data = Data { path: std::env::temp_dir().join(name), is_borrowed: true };
            RealDisk.create_dir_all(&data.path)?;
            Ok(data)
        }
    }
}

/// One node that is everything, for clients on this machine.
fn node_settings(port: u16, data: &Path) -> Settings {
    let controller_port = if port == 0 { 0 } else { port + 1 };
    let listeners = format!("PLAINTEXT://localhost:{port},CONTROLLER://localhost:{controller_port}");
    let settings = [
        ("process.roles", "broker,controller".to_owned()),
        ("node.id", "1".to_owned()),
        ("controller.quorum.bootstrap.servers", format!("localhost:{controller_port}")),
        ("controller.listener.names", "CONTROLLER".to_owned()),
        ("listeners", listeners.clone()),
        ("advertised.listeners", listeners),
        ("log.dirs", data.display().to_string()),
        ("offsets.topic.replication.factor", "1".to_owned()),
        ("transaction.state.log.replication.factor", "1".to_owned()),
        ("transaction.state.log.min.isr", "1".to_owned()),
        ("share.coordinator.state.topic.replication.factor", "1".to_owned()),
        ("share.coordinator.state.topic.min.isr", "1".to_owned()),
        ("group.initial.rebalance.delay.ms", "0".to_owned()),
    ];
    settings.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn greet(node: &RunningNode, data: &Data, terminal: &mut Terminal<'_>) {
    let port_of = |name: &str| {
        let found = node.addresses().iter().find(|(listener, _)| listener.as_str() == name);
        found.map_or(0, |(_, address)| address.port())
    };
    let (server, controller) = (format!("localhost:{}", port_of("PLAINTEXT")), port_of("CONTROLLER"));
    let ottla = std::env::args().next().unwrap_or_else(|| "ottla".to_owned());
    let fate = if data.is_borrowed { "gone when this ends" } else { "kept" };
    terminal.out_line(format_args!("Ottla serves Kafka clients at {server}\n"));
    terminal.out_line(format_args!("  bootstrap servers  {server}"));
    terminal.out_line(format_args!("  controller         localhost:{controller}"));
    terminal.out_line(format_args!("  cluster id         {}", node.cluster_id()));
    terminal.out_line(format_args!("  data               {} ({fate})\n", data.path.display()));
    terminal.out_line("Try, in another terminal:\n");
    for command in [
        "kafka-topics --create --topic my-first-topic --partitions 3",
        "kafka-console-producer --topic my-first-topic",
        "kafka-console-consumer --topic my-first-topic --from-beginning",
    ] {
        terminal.out_line(format_args!("  {ottla} {command} --bootstrap-server {server}"));
    }
    terminal.out_line("\nCtrl-C stops it.");
    terminal.flush();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_settings_are_accepted_and_need_no_advice() {
        for port in [0, 9092, 65534] {
            let settings =
                settings::resolve(node_settings(port, Path::new("/tmp/x y")), Path::new("dev")).unwrap();
            assert_eq!(settings.config.log_dirs, [PathBuf::from("/tmp/x y")]);
            assert_eq!(settings.config.listeners.broker[0].port, port);
        }
    }

    #[test]
    fn a_borrowed_directory_is_gone_at_the_end() {
        let data = data(None).unwrap();
        let path = data.path.clone();
        assert!(RealDisk.is_dir(&path).unwrap());
        drop(data);
        assert!(!RealDisk.exists(&path).unwrap());
    }
}
