//! What the tools on joptsimple share: which options must, may and may not stand together, help and version.
//!
//! Owns: the words of these refusals, and how a tool ends after one.
//! Does not own: reading options (`jopt`), the rules of single tools.
//!
//! Source: behaviour of Kafka 4.3.1's tools (`tests/data/offline.txt`).

use crate::jopt::{self, Given, Opt};
use crate::terminal::Terminal;

/// The release whose tools these stand in for; what `--version` prints.
pub const KAFKA_VERSION: &str = "4.3.1";

/// Prints a message and the table of options, and ends with exit code 1.
pub fn refuse(terminal: &mut Terminal<'_>, options: &[Opt], message: &str) -> u8 {
    terminal.err_line(message);
    terminal.err(jopt::table(options));
    1
}

/// Answers `--help` and `--version`, and a command line without anything.
pub fn help_or_version(
    terminal: &mut Terminal<'_>,
    given: &Given,
    (args, about): (&[String], &str),
) -> Option<u8> {
    if args.is_empty() || given.has("help") {
        return Some(refuse(terminal, given.options(), about));
    }
    if given.has("version") {
        terminal.out_line(KAFKA_VERSION);
        return Some(0);
    }
    None
}

/// Every one of `names` must be there.
pub fn require(given: &Given, names: &[&str]) -> Result<(), String> {
    match names.iter().find(|name| !given.has(name)) {
        Some(missing) => Err(format!("Missing required argument \"[{missing}]\"")),
        None => Ok(()),
    }
}

/// None of `others` may stand with `used`.
pub fn exclude(given: &Given, used: &str, others: &[&str]) -> Result<(), String> {
    if !given.has(used) {
        return Ok(());
    }
    match others.iter().find(|other| given.has(other)) {
        Some(other) => Err(format!("Option \"[{used}]\" can't be used with option \"[{other}]\"")),
        None => Ok(()),
    }
}

/// Every address must have a port.
pub fn check_addresses(addresses: &str) -> Result<(), String> {
    let has_port =
        |address: &str| address.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    match addresses.split(',').all(has_port) {
        true => Ok(()),
        false => Err("Please provide valid host:port like host1:9091,host2:9092\n".to_owned()),
    }
}

/// `[a], [b]`
pub fn bracketed(names: &[&str]) -> String {
    names.iter().map(|name| format!("[{name}]")).collect::<Vec<_>>().join(", ")
}
