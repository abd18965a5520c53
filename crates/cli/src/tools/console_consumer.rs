//! `kafka-console-consumer`: records of topics on standard output.
//!
//! Owns: its options, the loop over records, how it ends.
//! Does not own: what a record looks like (`formatter`, `coordinator_records`), the consumer (`ottla_client`).
//!
//! Source: `kafka-console-consumer.sh` of Kafka 4.3.1 (`tests/data/console.txt`, `tests/data/offline.txt`).

mod coordinator_records;
mod deserializer;
mod formatter;
mod options;
mod reading;

use ottla_client::config::ConsumerConfig;

use super::clients;
use super::failure::{Failure, log};
use super::{session, usage};
use crate::jopt::{self, Given};
use crate::terminal::Terminal;
use options::{OPTIONS, Plan, Refusal};

/// The name under which the tool's errors are logged.
const LOGGER: &str = "org.apache.kafka.tools.consumer.ConsoleConsumer";

/// Runs the tool.
pub fn run(args: &[String], terminal: &mut Terminal<'_>) -> u8 {
    let given = match jopt::parse(OPTIONS, args) {
        Ok(given) => given,
        Err(error) => return usage::refuse(terminal, OPTIONS, &error.to_string()),
    };
    let about = "This tool helps to read data from Kafka topics and outputs it to standard output.";
    if let Some(code) = usage::help_or_version(terminal, &given, (args, about)) {
        return code;
    }
    if let Err(message) = options::check_usage(&given) {
        return usage::refuse(terminal, OPTIONS, &message);
    }
    options::warn_of_deprecated(&given, terminal);
    match options::plan(&given) {
        Ok(plan) => start(&given, plan, terminal),
        Err(Refusal::Usage(message)) => usage::refuse(terminal, OPTIONS, &message),
        Err(Refusal::Plain(message)) => {
            terminal.err_line(message);
            1
        }
        Err(Refusal::Uncaught(failure)) => {
            terminal.err_line(format_args!("Exception in thread \"main\" {failure}"));
            1
        }
    }
}

fn start(given: &Given, plan: Plan, terminal: &mut Terminal<'_>) -> u8 {
    for class in &plan.unknown_classes {
        let text = format!("Unable to instantiate a deserializer from {}", class.0);
        log(terminal, "ERROR", text, "org.apache.kafka.tools.consumer.DefaultMessageFormatter");
        terminal.err_line(Failure::new("java.lang.ClassNotFoundException", &*class.0));
    }
    let config = match ConsumerConfig::from_properties(&plan.properties) {
        Ok(config) => config,
        Err(error) => return unknown_error(terminal, &clients::failure_of(&error, "consumer")),
    };
    let max = match given.number::<i64>("max-messages") {
        Ok(max) => max,
        Err(error) => {
            let code = unknown_error(terminal, &Failure::from(&error));
            terminal.err_line("Processed a total of 0 messages");
            return code;
        }
    };
    session::run("kafka-console-consumer", reading::run(plan, (config, max), terminal))
}

/// What the tool says of an error that nothing else is said of.
fn unknown_error(terminal: &mut Terminal<'_>, failure: &Failure) -> u8 {
    log(terminal, "ERROR", "Unknown error when running consumer: ", LOGGER);
    terminal.err_line(failure);
    1
}
