//! `kafka-broker-api-versions`: which APIs every broker has, in which versions.
//!
//! Owns: its options, what it prints. Does not own: asking brokers (`ottla_client::Admin`).
//!
//! Source: `kafka-broker-api-versions.sh` of Kafka 4.3.1 (`tests/data/broker-api-versions.txt`, `tests/data/refused.txt`).

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use ottla_client::config::AdminConfig;
use ottla_client::{Admin, ApiVersions, Node};
use ottla_protocol::ApiKey;
use ottla_protocol::codec::Listener;

use super::failure::{self, Failure, Problem, of_config};
use super::{session, usage};
use crate::jopt::{self, Given, Opt, flag, value};
use crate::terminal::Terminal;

/// The tool's client waits so long for one answer, unless the file says otherwise.
const REQUEST_TIMEOUT_MS: &str = "5000";

const OPTIONS: &[Opt] = &[
    value(
        "bootstrap-server",
        "String: server(s) to use for bootstrapping",
        "REQUIRED: The brokers to connect to, as host:port.",
    ),
    value(
        "command-config",
        "String: command config property file",
        "A properties file for the admin client.",
    ),
    flag("help", "Print usage information."),
    flag("version", "Display Kafka version."),
];

/// Runs the tool.
pub fn run(args: &[String], terminal: &mut Terminal<'_>) -> u8 {
    let given = match jopt::parse(OPTIONS, args) {
        Ok(given) => given,
        Err(error) => return failure::crash(terminal, &Failure::from(&error)),
    };
    let about = "This tool helps to retrieve broker version information.";
    if let Some(code) = usage::help_or_version(terminal, &given, (args, about)) {
        return code;
    }
    if let Err(message) = usage::require(&given, &["bootstrap-server"]) {
        return usage::refuse(terminal, OPTIONS, &message);
    }
    session::run("kafka-broker-api-versions", async {
        let ended = work(&given, terminal).await;
        failure::end(terminal, ended)
    })
}

async fn work(given: &Given, terminal: &mut Terminal<'_>) -> Result<(), Problem> {
    let config = config(given)?;
    session::check_addresses(terminal, &config.common).await?;
    let bootstrap = config.common.bootstrap.iter().zip(1..);
    let bootstrap: Vec<String> = bootstrap
        .map(|(endpoint, at)| format!("{endpoint} (id: -{at} rack: null isFenced: false)"))
        .collect();
    let admin = Admin::new(config).map_err(|error| Failure::new("java.io.IOException", error.to_string()))?;
    let unanswered =
        |_| Failure::runtime(format!("Request METADATA failed on brokers [{}]", bootstrap.join(", ")));
    for node in admin.nodes().await.map_err(unanswered)? {
        let versions = admin.describe_node(Some(node.id)).await;
        let said = match versions {
            Ok(versions) => table(&versions),
            Err(error) => format!("ERROR: {}", Failure::from(&error)),
        };
        terminal.out_line(format_args!("{} -> {said}", name(&node)));
    }
    Ok(())
}

/// The tool has a client of its own, which knows fewer settings and asks once.
fn config(given: &Given) -> Result<AdminConfig, Failure> {
    let mut properties = session::properties_of(given, &[])?;
    let timeout = properties.entry("request.timeout.ms".to_owned()).or_insert(REQUEST_TIMEOUT_MS.to_owned());
    let timeout = timeout.clone();
    properties.insert("default.api.timeout.ms".to_owned(), timeout);
    AdminConfig::from_properties(&properties).map_err(|error| of_config(&error))
}

/// A broker as Java's client writes it. Metadata does not tell whether one is fenced.
fn name(node: &Node) -> String {
    let rack = node.rack.as_deref().unwrap_or("null");
    format!("{} (id: {} rack: {rack} isFenced: false)", node.endpoint, node.id)
}

fn table(versions: &ApiVersions) -> String {
    let offered: BTreeMap<i16, RangeInclusive<i16>> = versions.all().collect();
    let ours = ApiKey::ALL.iter().filter(|api| api.is_served_by(Listener::Broker));
    let mut lines: BTreeMap<i16, String> =
        ours.map(|api| (api.number(), format!("{}({}): UNSUPPORTED", api.name(), api.number()))).collect();
    lines.extend(offered.iter().map(|(number, range)| (*number, line(*number, range))));
    let lines: Vec<String> = lines.into_values().map(|line| format!("\t{line}")).collect();
    format!("(\n{}\n)", lines.join(",\n"))
}

fn line(number: i16, offered: &RangeInclusive<i16>) -> String {
    let (min, max) = (*offered.start(), *offered.end());
    let range = if min == max { min.to_string() } else { format!("{min} to {max}") };
    let Some(api) = ApiKey::from_number(number) else { return format!("UNKNOWN({number}): {range}") };
    let known = api.versions();
    let usable = if *known.end() < min {
        "unusable: node too new".to_owned()
    } else if max < *known.start() {
        "unusable: node too old".to_owned()
    } else {
        format!("usable: {}", max.min(*known.end()))
    };
    format!("{}({number}): {range} [{usable}]", api.name())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// OUT-04
    #[test]
    fn an_api_is_shown_with_its_range_and_what_can_be_used_of_it() {
        assert_eq!(line(0, &(0..=13)), "Produce(0): 0 to 13 [usable: 13]");
        assert_eq!(line(1, &(4..=99)), "Fetch(1): 4 to 99 [usable: 18]");
        assert_eq!(line(46, &(0..=0)), "ListPartitionReassignments(46): 0 [usable: 0]");
        assert_eq!(line(8, &(0..=1)), "OffsetCommit(8): 0 to 1 [unusable: node too old]");
        assert_eq!(line(8, &(90..=91)), "OffsetCommit(8): 90 to 91 [unusable: node too new]");
        assert_eq!(line(999, &(0..=1)), "UNKNOWN(999): 0 to 1");
    }

    #[test]
    fn what_a_broker_lacks_is_shown_too() {
        let table = table(&ApiVersions::default());
        assert!(table.starts_with("(\n\tProduce(0): UNSUPPORTED,\n") && table.ends_with("UNSUPPORTED\n)"));
        assert!(!table.contains("Vote("));
    }
}
