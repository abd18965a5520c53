//! `kafka-groups`: list groups of all kinds.
//!
//! Owns: its options, which groups are shown, the table. Does not own: asking brokers (`ottla_client::Admin`).
//!
//! Source: `kafka-groups.sh` of Kafka 4.3.1 (`tests/data/groups.txt`, `tests/data/refused.txt`).

use std::time::Duration;

use ottla_client::Admin;
use ottla_client::admin::GroupListing;
use ottla_client::config::Properties;
use ottla_client::error::CallError;
use ottla_env::time;

use super::failure::{self, Failure, log};
use super::{session, usage};
use crate::jopt::{self, Given, Opt, flag, value};
use crate::operation_failure;
use crate::terminal::Terminal;

/// The name under which the tool's errors are logged.
const LOGGER: &str = "org.apache.kafka.tools.GroupsCommand";

/// The tool waits no longer for the list.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// Columns of the table are at least so wide.
const COLUMN_WIDTH_MIN: usize = 20;

const OPTIONS: &[Opt] = &[
    value(
        "bootstrap-server",
        "String: server to connect to",
        "REQUIRED: The brokers to connect to, as host:port.",
    ),
    value(
        "command-config",
        "String: command config property file",
        "A properties file for the admin client.",
    ),
    flag(
        "consumer",
        "Only groups of consumers: those of type consumer, and classic ones of the protocol consumer or of none.",
    ),
    value("group-type", "String: type", "Only groups of this type: classic, consumer, share or streams."),
    flag("help", "Print usage information."),
    flag("list", "List the groups."),
    value("protocol", "String: protocol", "Only groups of this protocol."),
    flag("share", "Only share groups."),
    flag("streams", "Only streams groups."),
    flag("version", "Display Kafka version."),
];

/// Types of groups, as the table shows them.
const TYPES: [&str; 4] = ["Classic", "Consumer", "Share", "Streams"];

/// Runs the tool.
pub fn run(args: &[String], terminal: &mut Terminal<'_>) -> u8 {
    let given = match jopt::parse(OPTIONS, args) {
        Ok(given) => given,
        Err(error) => return usage::refuse(terminal, OPTIONS, &error.to_string()),
    };
    if given.count(&["bootstrap-server", "help", "version"]) == 0 {
        return usage::refuse(terminal, OPTIONS, "Missing required option(s) [bootstrap-server]");
    }
    let about = "This tool helps to list groups of all types.";
    if let Some(code) = usage::help_or_version(terminal, &given, (args, about)) {
        return code;
    }
    if !given.has("list") {
        return usage::refuse(terminal, OPTIONS, "Command must include exactly one action: --list.");
    }
    let group_type = match group_type(&given) {
        Ok(group_type) => group_type,
        Err(failure) => return failure::crash(terminal, &failure),
    };
    if let Err(message) = check_usage(&given) {
        return usage::refuse(terminal, OPTIONS, &message);
    }
    session::run("kafka-groups", work(&given, group_type, terminal))
}

fn group_type(given: &Given) -> Result<Option<&'static str>, Failure> {
    let Some(text) = given.value("group-type").map_err(|error| Failure::from(&error))? else {
        return Ok(None);
    };
    match TYPES.iter().find(|known| known.eq_ignore_ascii_case(text)) {
        Some(known) => Ok(Some(known)),
        None => Err(Failure::illegal_argument("--group-type must be a valid group type.")),
    }
}

fn check_usage(given: &Given) -> Result<(), String> {
    usage::exclude(given, "consumer", &["group-type", "protocol", "share", "streams"])?;
    usage::exclude(given, "share", &["consumer", "group-type", "protocol", "streams"])?;
    usage::exclude(given, "streams", &["consumer", "group-type", "protocol", "share"])
}

async fn work(given: &Given, group_type: Option<&str>, terminal: &mut Terminal<'_>) -> u8 {
    let properties = match session::properties_of(given, &[]) {
        Ok(properties) => properties,
        Err(failure) => return failure::crash(terminal, &failure),
    };
    match list((given, &properties), group_type, terminal).await {
        Ok(()) => 0,
        Err(failure) => {
            let message = failure.message();
            terminal.out_line(format_args!("Error while executing groups command : {message}"));
            log(terminal, "ERROR", format_args!("{failure}\n"), LOGGER);
            1
        }
    }
}

async fn list(
    (given, properties): (&Given, &Properties),
    group_type: Option<&str>,
    terminal: &mut Terminal<'_>,
) -> Result<(), Failure> {
    let admin = session::admin(terminal, properties).await?;
    let Ok(listed) = time::timeout(WAIT_MAX, all_groups(&admin)).await else {
        return Err(Failure::silent("java.util.concurrent.TimeoutException"));
    };
    let mut groups = listed?;
    let protocol = given.value("protocol").map_err(|error| Failure::from(&error))?;
    groups.retain(|group| is_wanted(group, given, (group_type, protocol)));
    terminal.out(table(&groups));
    Ok(())
}

async fn all_groups(admin: &Admin) -> Result<Vec<GroupListing>, Failure> {
    admin.nodes().await.map_err(|error| {
        let cause = match &error {
            CallError::NoNode { .. } => Failure::from(&CallError::NoNode { call: "findAllBrokers" }),
            CallError::TimedOut { .. }
            | CallError::Connect { .. }
            | CallError::Lost { .. }
            | CallError::Unsupported { .. }
            | CallError::TooOld { .. }
            | CallError::Malformed { .. }
            | CallError::Unwritable { .. }
            | CallError::Rejected(_)
            | CallError::Closed => Failure::from(&error),
        };
        cause.causing("org.apache.kafka.common.KafkaException", "Failed to find brokers to send ListGroups")
    })?;
    let mut groups = admin.list_groups(&[], &[]).await.map_err(|error| operation_failure!(error))?;
    for group in &mut groups {
        group.group_type = type_of(&group.group_type);
    }
    Ok(groups)
}

/// Brokers send types in small letters, or none.
fn type_of(said: &str) -> String {
    let known = TYPES.iter().find(|known| known.eq_ignore_ascii_case(said));
    known.copied().unwrap_or(if said.is_empty() { "" } else { "Unknown" }).to_owned()
}

fn is_wanted(
    group: &GroupListing,
    given: &Given,
    (group_type, protocol): (Option<&str>, Option<&str>),
) -> bool {
    let is = |wanted: &str| group.group_type == wanted;
    if group_type.is_some() || protocol.is_some() {
        return group_type.is_none_or(is) && protocol.is_none_or(|wanted| group.protocol_type == wanted);
    }
    if given.has("consumer") {
        return group.protocol_type == "consumer" || group.protocol_type.is_empty() || is("Consumer");
    }
    (is("Share") || !given.has("share")) && (is("Streams") || !given.has("streams"))
}

fn table(groups: &[GroupListing]) -> String {
    let cells = groups.iter().flat_map(|group| [&group.id, &group.group_type, &group.protocol_type]);
    let widest = cells.map(|cell| cell.encode_utf16().count()).max().unwrap_or(0);
    let width = widest.max(COLUMN_WIDTH_MIN);
    let mut text = format!("{:width$} {:width$} {:width$}\n", "GROUP", "TYPE", "PROTOCOL");
    for group in groups {
        for cell in [&group.id, &group.group_type, &group.protocol_type] {
            text.push_str(&format!("{cell:width$} "));
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn groups() -> Vec<GroupListing> {
        let group = |id: &str, group_type: &str, protocol: &str| GroupListing {
            id: id.to_owned(),
            protocol_type: protocol.to_owned(),
            state: "Empty".to_owned(),
            group_type: group_type.to_owned(),
        };
        vec![
            group("c", "Classic", "consumer"),
            group("k", "Classic", "connect"),
            group("n", "Consumer", "consumer"),
            group("o", "Classic", ""),
            group("s", "Share", "share"),
            group("t", "Streams", "streams"),
        ]
    }

    fn chosen(flags: &str) -> String {
        let args: Vec<String> = flags.split_whitespace().map(str::to_owned).collect();
        let given = jopt::parse(OPTIONS, &args).unwrap();
        let filters = (group_type(&given).unwrap(), given.value("protocol").unwrap());
        groups().iter().filter(|group| is_wanted(group, &given, filters)).map(|group| &*group.id).collect()
    }

    #[test]
    fn groups_are_chosen_by_type_protocol_or_kind() {
        for (flags, ids) in [
            ("", "cknost"),
            ("--consumer", "cno"),
            ("--share", "s"),
            ("--streams", "t"),
            ("--group-type CLASSIC", "cko"),
            ("--protocol consumer", "cn"),
            ("--group-type classic --protocol consumer", "c"),
            ("--protocol nothing", ""),
        ] {
            assert_eq!(chosen(flags), ids, "{flags}");
        }
    }

    #[test]
    fn columns_are_as_wide_as_the_widest_cell_of_all() {
        let mut groups = groups();
        groups.truncate(1);
        groups[0].id = "a".repeat(23);
        let rows: Vec<usize> = table(&groups).lines().map(str::len).collect();
        assert_eq!(rows, [3 * 23 + 2, 3 * 23 + 3]);
    }
}
