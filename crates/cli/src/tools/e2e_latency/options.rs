//! The command line of `kafka-e2e-latency`.
//!
//! Owns: the options, the older form without names, the rules of single values.
//! Does not own: what is done with them (`e2e_latency`).

use ottla_client::config::Properties;

use super::super::failure::Failure;
use super::super::{session, usage};
use super::payload::Sizes;
use crate::jopt::{Given, Opt, OptError, flag, maybe_number, maybe_value, value};
use crate::terminal::Terminal;

pub(super) const OPTIONS: &[Opt] = &[
    value(
        "bootstrap-server",
        "String: bootstrap-server",
        "REQUIRED: The brokers to connect to, as HOST1:PORT1,HOST2:PORT2.",
    ),
    maybe_value("command-config", "String: config-file", "A properties file for all clients of the tool."),
    flag("help", "Print usage information."),
    maybe_number("num-headers", "Integer: count", "Headers of each record. Default: 0."),
    value("num-records", "Integer: count", "REQUIRED: How many records to send."),
    value("producer-acks", "String: producer-acks", "REQUIRED: The acks of the producer: 1 or all."),
    maybe_number("record-header-key-size", "Integer: bytes", "Bytes of the key of each header. Default: 0."),
    maybe_number(
        "record-header-size",
        "Integer: bytes",
        "Bytes of the value of each header; -1 for no value. Default: 0.",
    ),
    maybe_number("record-key-size", "Integer: bytes", "Bytes of each key. Default: 0, no key."),
    value("record-size", "Integer: bytes", "REQUIRED: Bytes of each value."),
    value("topic", "String: topic-name", "REQUIRED: The topic to use; it is created if it is not there."),
    flag("version", "Display Kafka version."),
];

const REQUIRED: [&str; 5] = ["bootstrap-server", "topic", "num-records", "producer-acks", "record-size"];

/// What the command line asks for.
pub(super) struct Plan {
    pub bootstrap: String,
    pub topic: String,
    pub records: u64,
    pub acks: String,
    pub sizes: Sizes,
    pub of_file: Properties,
}

/// Why it cannot be done.
pub(super) enum Refusal {
    /// With the table of options.
    Usage(String),
    Failure(Failure),
}

impl From<OptError> for Refusal {
    fn from(error: OptError) -> Refusal {
        Refusal::Failure(Failure::from(&error))
    }
}

/// The arguments with names before them: the older form has five or six values without.
pub(super) fn named(args: &[String], terminal: &mut Terminal<'_>) -> Result<Vec<String>, String> {
    let is_named = |arg: &String| arg.strip_prefix("--").is_some_and(|name| REQUIRED.contains(&name));
    if args.is_empty() || args.iter().any(is_named) {
        return Ok(args.to_vec());
    }
    if !(REQUIRED.len()..=REQUIRED.len() + 1).contains(&args.len()) {
        return Err(format!(
            "Invalid number of arguments. Expected 5 or 6 positional arguments, but got {}. Usage: bootstrap-server \
             topic num-records producer-acks record-size [optional] command-config",
            args.len()
        ));
    }
    terminal.out_line(
        "WARNING: Positional argument usage is deprecated and will be removed in Apache Kafka 5.0. Please use named \
         arguments instead: --bootstrap-server, --topic, --num-records, --producer-acks, --record-size, \
         --command-config",
    );
    let names = REQUIRED.iter().copied().chain(["command-config"]);
    Ok(names.zip(args).flat_map(|(name, value)| [format!("--{name}"), value.clone()]).collect())
}

pub(super) fn plan(given: &Given) -> Result<Plan, Refusal> {
    usage::require(given, &REQUIRED).map_err(Refusal::Usage)?;
    let acks = given.value("producer-acks")?.unwrap_or_default();
    if !["1", "all"].contains(&acks) {
        return Err(Refusal::Usage(
            "Invalid value for --producer-acks. Latency testing requires synchronous acknowledgement. Please use '1' or \
             'all'."
                .to_owned(),
        ));
    }
    let records = match given.number::<i32>("num-records")?.map(u64::try_from) {
        Some(Ok(records @ 1..)) => records,
        Some(_) | None => {
            return Err(Refusal::Usage("Value for --num-records must be a positive integer.".to_owned()));
        }
    };
    let sizes = sizes(given)?;
    let of_file = match given.value("command-config")?.filter(|path| !path.trim().is_empty()) {
        Some(path) => session::properties_of_file(path).map_err(Refusal::Failure)?,
        None => Properties::new(),
    };
    Ok(Plan {
        bootstrap: given.value("bootstrap-server")?.unwrap_or_default().to_owned(),
        topic: given.value("topic")?.unwrap_or_default().to_owned(),
        records,
        acks: acks.to_owned(),
        sizes,
        of_file,
    })
}

fn sizes(given: &Given) -> Result<Sizes, Refusal> {
    let value = size("record-size", given.number::<i32>("record-size")?.unwrap_or(0))?;
    let optional = |name| given.number::<i32>(name).map(|number| number.unwrap_or(0));
    let key = size("record-key-size", optional("record-key-size")?)?;
    let header_key = size("record-header-key-size", optional("record-header-key-size")?)?;
    let header_value = match optional("record-header-size")? {
        -1 => None,
        bytes => Some(usize::try_from(bytes).map_err(|_| {
            let text =
                "Value for --record-header-size must be a non-negative integer or -1 for null header value.";
            Refusal::Usage(text.to_owned())
        })?),
    };
    let headers = size("num-headers", optional("num-headers")?)?;
    Ok(Sizes { value, key, headers, header_key, header_value })
}

fn size(name: &str, bytes: i32) -> Result<usize, Refusal> {
    usize::try_from(bytes)
        .map_err(|_| Refusal::Usage(format!("Value for --{name} must be a non-negative integer.")))
}
