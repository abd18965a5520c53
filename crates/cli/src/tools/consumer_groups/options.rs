//! The options of `kafka-consumer-groups`, and which of them may stand together.
//!
//! Owns: the options and these rules, in the order in which Kafka's tool checks them.
//! Does not own: what the options do.

use super::super::failure::Failure;
use super::super::usage;
use crate::jopt::{Given, Opt, OptError, flag, maybe_value, value};
use crate::terminal::Terminal;

pub(super) const OPTIONS: &[Opt] = &[
    flag("all-groups", "With --describe, --delete or --reset-offsets: all groups of consumers."),
    flag("all-topics", "With --reset-offsets: all topics of which the group has offsets."),
    value(
        "bootstrap-server",
        "String: server to connect to",
        "REQUIRED, except with --validate-regex: The brokers to connect to, as host:port.",
    ),
    value(
        "by-duration",
        "String: duration",
        "With --reset-offsets: to the time so long ago, as PnDTnHnMnS.",
    ),
    value(
        "command-config",
        "String: command config property file",
        "A properties file for the admin client.",
    ),
    flag("delete", "Delete groups that have no members, with their offsets."),
    flag("delete-offsets", "Delete the offsets of a group for the topics of --topic."),
    flag("describe", "Show the offsets, members or state of groups."),
    flag("dry-run", "With --reset-offsets: only show the new offsets."),
    flag("execute", "With --reset-offsets: reset the offsets. Without it they are only shown."),
    flag("export", "With --reset-offsets: print the new offsets as CSV, which --from-file takes."),
    value(
        "from-file",
        "String: path to CSV file",
        "With --reset-offsets: to the offsets in a file of lines topic,partition,offset, or \
         group,topic,partition,offset.",
    ),
    value("group", "String: consumer group", "The group. May be repeated."),
    flag("help", "Print usage information."),
    flag("list", "List all groups of consumers."),
    flag("members", "With --describe: the members of the group.").only_with(&["describe"]),
    flag("offsets", "With --describe: the offsets of the group, and how far behind the end they are. The default.")
        .only_with(&["describe"]),
    flag(
        "reset-offsets",
        "Reset the offsets of groups without members. Needs a scope (--topic, --all-topics) and one of --to-datetime, \
         --by-duration, --to-earliest, --to-latest, --shift-by, --from-file, --to-current, --to-offset.",
    ),
    value(
        "shift-by",
        "Long: number-of-offsets",
        "With --reset-offsets: by so many offsets ahead, or back where the number is negative.",
    ),
    maybe_value(
        "state",
        "String",
        "With --describe: the state of the group. With --list: the state of each group; with a value, as stable,empty: \
         only groups in one of these states.",
    )
    .only_with(&["describe", "list"]),
    value("timeout", "Long: timeout (ms)", "Most milliseconds that one call may take. Default: 30000."),
    flag("to-current", "With --reset-offsets: to the committed offsets; to the end where there are none."),
    value(
        "to-datetime",
        "String: datetime",
        "With --reset-offsets: to a time, as YYYY-MM-DDTHH:mm:SS.sss with or without a zone; the default is UTC.",
    ),
    flag("to-earliest", "With --reset-offsets: to the first records."),
    flag("to-latest", "With --reset-offsets: to the ends."),
    value("to-offset", "Long: offset", "With --reset-offsets: to this offset."),
    value(
        "topic",
        "String: topic",
        "With --reset-offsets or --delete-offsets: a topic, or some of its partitions, as topic1:0,1,2. May be \
         repeated.",
    ),
    maybe_value(
        "type",
        "String",
        "With --list: the type of each group; with a value, as classic,consumer: only groups of one of these types.",
    )
    .only_with(&["list"]),
    value("validate-regex", "String: regex", "Check a regular expression of the syntax of RE2."),
    flag("verbose", "With --describe: show more.").only_with(&["describe"]),
    flag("version", "Display Kafka version."),
];

const ACTIONS: [&str; 6] =
    ["list", "describe", "delete", "reset-offsets", "delete-offsets", "validate-regex"];

/// What offsets are reset to, in the order of Kafka's hash table.
pub(super) const SCENARIOS: [&str; 8] = [
    "to-offset",
    "to-current",
    "to-datetime",
    "from-file",
    "by-duration",
    "to-earliest",
    "to-latest",
    "shift-by",
];

/// Why a command line is refused.
pub(super) enum Refusal {
    /// With the table of options.
    Usage(String),
    /// As an exception that nobody caught.
    Uncaught(Failure),
}

impl From<OptError> for Refusal {
    fn from(error: OptError) -> Refusal {
        Refusal::Uncaught(Failure::from(&error))
    }
}

impl From<String> for Refusal {
    fn from(message: String) -> Refusal {
        Refusal::Usage(message)
    }
}

/// Checks the command line as a whole.
pub(super) fn check(given: &Given, terminal: &mut Terminal<'_>) -> Result<(), Refusal> {
    if !given.has("validate-regex") {
        usage::require(given, &["bootstrap-server"])?;
    }
    if given.has("describe") {
        check_describe(given)?;
    }
    if given.has("delete") {
        takes_groups(given, "delete")?;
        if given.has("topic") {
            let message =
                "The consumer does not support topic-specific offset deletion from a consumer group.";
            return Err(message.to_owned().into());
        }
    }
    if given.has("delete-offsets") && !(given.has("group") && given.has("topic")) {
        return Err(format!(
            "Option [delete-offsets] takes the following options: {}",
            usage::bracketed(&["group", "topic"])
        )
        .into());
    }
    if given.has("reset-offsets") {
        check_reset(given, terminal)?;
    }
    usage::exclude(given, "group", &["all-groups"])?;
    usage::exclude(given, "group", &["list"])?;
    usage::exclude(given, "topic", &["describe", "list"])?;
    match given.count(&ACTIONS) {
        1 => Ok(()),
        _ => {
            let actions: Vec<String> = ACTIONS.iter().map(|action| format!("--{action}")).collect();
            Err(format!("Command must include exactly one action: {}", actions.join(", ")).into())
        }
    }
}

fn takes_groups(given: &Given, action: &str) -> Result<(), Refusal> {
    match given.count(&["group", "all-groups"]) {
        0 => Err(format!(
            "Option [{action}] takes one of these options: {}",
            usage::bracketed(&["group", "all-groups"])
        )
        .into()),
        _ => Ok(()),
    }
}

fn check_describe(given: &Given) -> Result<(), Refusal> {
    takes_groups(given, "describe")?;
    let parts = ["members", "offsets", "state"];
    if given.count(&parts) > 1 {
        return Err(format!(
            "Option [describe] takes at most one of these options: {}",
            usage::bracketed(&parts)
        )
        .into());
    }
    match given.value("state")? {
        Some(_) => Err("Option [describe] does not take a value for [state]".to_owned().into()),
        None => Ok(()),
    }
}

fn check_reset(given: &Given, terminal: &mut Terminal<'_>) -> Result<(), Refusal> {
    if given.has("dry-run") && given.has("execute") {
        let message = "Option [reset-offsets] only accepts one of [execute] and [dry-run]";
        return Err(message.to_owned().into());
    }
    if !given.has("dry-run") && !given.has("execute") {
        terminal.err_line(
            "WARN: No action will be performed as the --execute option is missing. In version 5.0, this command will \
             require either --dry-run or --execute to be specified. You should add the --dry-run option explicitly if \
             you are scripting this command and want to keep the current default behavior without prompting.",
        );
    }
    takes_groups(given, "reset-offsets")?;
    let checked = [
        "to-offset",
        "to-datetime",
        "by-duration",
        "to-earliest",
        "to-latest",
        "to-current",
        "shift-by",
        "from-file",
    ];
    for scenario in checked {
        let others: Vec<&str> = SCENARIOS.into_iter().filter(|other| *other != scenario).collect();
        usage::exclude(given, scenario, &others)?;
    }
    Ok(())
}
