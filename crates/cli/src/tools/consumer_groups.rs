//! `kafka-consumer-groups`: list, describe and delete groups of consumers, reset and delete their offsets.
//!
//! Owns: how the tool begins and ends, the values of its options, what its actions ask for in common.
//! Does not own: which options there are (`options`), the actions (`listing`, `describe`, `reset`, `deletion`),
//! which expressions there are (`ottla_coordinator::expression`), what the cluster does (`ottla_client::Admin`).
//!
//! What goes wrong once the command line is in order is told on standard output, with the exception on standard error,
//! and the tool still ends with exit code 0, as Kafka's does. What is printed in the order of a Java hash table is
//! printed in that order.
//!
//! Source: `kafka-consumer-groups.sh` of Kafka 4.3.1 (`tests/data/consumer-groups*.txt`, `tests/data/offline.txt`).

mod csv;
mod deletion;
mod describe;
mod listing;
mod moment;
mod options;
mod reset;
mod state;
mod topic_list;

use std::time::Duration;

use ottla_client::Admin;
use ottla_client::admin::{DescribeGroupError, GroupDescription, ListGroupOffsetsError};
use ottla_client::config::Properties;
use ottla_coordinator::expression;

use super::failure::Failure;
use super::hash_order::{hash_order, hash_order_of_texts};
use super::partition::Partition;
use super::{session, usage};
use crate::jopt::{self, Given};
use crate::operation_failure;
use crate::terminal::Terminal;
use options::{OPTIONS, Refusal};

/// Runs the tool.
pub fn run(args: &[String], terminal: &mut Terminal<'_>) -> u8 {
    let given = match jopt::parse(OPTIONS, args) {
        Ok(given) => given,
        Err(error) => return refuse(terminal, Refusal::from(error)),
    };
    let about = "This tool helps to list all consumer groups, describe a consumer group, delete consumer group info, or \
                 reset consumer group offsets.";
    if let Some(code) = usage::help_or_version(terminal, &given, (args, about)) {
        return code;
    }
    if let Err(refusal) = options::check(&given, terminal) {
        return refuse(terminal, refusal);
    }
    if given.has("validate-regex") {
        return match given.value("validate-regex") {
            Ok(pattern) => validate_regex(terminal, pattern.unwrap_or_default()),
            Err(error) => usage::refuse(terminal, OPTIONS, &error.to_string()),
        };
    }
    session::run("kafka-consumer-groups", async {
        match work(&given, terminal).await {
            Ok(()) => 0,
            Err(failure) => end(terminal, &failure),
        }
    })
}

fn refuse(terminal: &mut Terminal<'_>, refusal: Refusal) -> u8 {
    match refusal {
        Refusal::Usage(message) => usage::refuse(terminal, OPTIONS, &message),
        Refusal::Uncaught(failure) => {
            terminal.err_line(failure.uncaught());
            1
        }
    }
}

fn validate_regex(terminal: &mut Terminal<'_>, pattern: &str) -> u8 {
    match expression::check(pattern) {
        Ok(()) => terminal.out_line(format_args!("The regular expression `{pattern}` is valid.")),
        Err(error) => {
            terminal.out_line(format_args!("The regular expression `{pattern}` is invalid: {error}."));
        }
    }
    0
}

/// An argument that makes no sense is a question of usage, however late it is found.
fn end(terminal: &mut Terminal<'_>, failure: &Failure) -> u8 {
    if failure.is_illegal_argument() {
        return usage::refuse(terminal, OPTIONS, failure.message());
    }
    print_error(
        terminal,
        format_args!("Executing consumer group command failed due to {}", failure.message()),
    );
    terminal.err_line(failure);
    0
}

/// Tells on standard output what went wrong.
fn print_error(terminal: &mut Terminal<'_>, message: impl std::fmt::Display) {
    terminal.out_line(format_args!("\nError: {message}"));
}

async fn work(given: &Given, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
    let tool = Tool::connect(given, terminal).await?;
    if given.has("list") {
        listing::run(&tool, terminal).await
    } else if given.has("describe") {
        describe::run(&tool, terminal).await
    } else if given.has("delete") {
        deletion::delete_groups(&tool, terminal).await
    } else if given.has("reset-offsets") {
        reset::run(&tool, terminal).await
    } else {
        deletion::delete_offsets(&tool, terminal).await
    }
}

/// The options, the values of some of them, and the cluster.
struct Tool<'a> {
    given: &'a Given,
    admin: Admin,
    to_offset: Option<i64>,
    by_duration: Option<String>,
    shift_by: Option<i64>,
}

/// Most milliseconds of one call unless the command line says otherwise.
const TIMEOUT_MS: i64 = 30_000;

impl Tool<'_> {
    async fn connect<'a>(given: &'a Given, terminal: &mut Terminal<'_>) -> Result<Tool<'a>, Failure> {
        let value = |name| given.value(name).map_err(|error| Failure::from(&error));
        let number = |name| given.number::<i64>(name).map_err(|error| Failure::from(&error));
        let file = value("command-config")?.map(session::properties_of_file).transpose();
        // What cannot be read is wrapped; what makes no sense is not.
        let wrapped =
            |failure: Failure| if failure.is_illegal_argument() { failure } else { failure.in_runtime() };
        let mut properties = file.map_err(wrapped)?.unwrap_or_else(Properties::new);
        let bootstrap = value("bootstrap-server")?.unwrap_or_default();
        properties.insert("bootstrap.servers".to_owned(), bootstrap.to_owned());
        let mut config = session::admin_config(terminal, &properties).await?;
        // These may be given more than once; the first one counts.
        let to_offsets: Result<Vec<i64>, Failure> = given.values("to-offset").map(offset_of).collect();
        let to_offset = to_offsets?.first().copied();
        let by_duration = value("by-duration")?.map(str::to_owned);
        let shift_by = number("shift-by")?;
        let timeout = number("timeout")?.unwrap_or(TIMEOUT_MS);
        config.api_timeout = Duration::from_millis(u64::try_from(timeout).unwrap_or(0));
        let admin = session::create_admin(config)?;
        Ok(Tool { given, admin, to_offset, by_duration, shift_by })
    }

    /// The groups that the command line names, or all.
    async fn group_ids(&self) -> Result<Vec<String>, Failure> {
        if !self.given.has("all-groups") {
            return Ok(self.given.values("group").map(str::to_owned).collect());
        }
        let groups = listing::consumer_groups(self, &[], &listing::CONSUMER_TYPES).await;
        Ok(groups.map_err(Failure::in_runtime)?.into_iter().map(|group| group.id).collect())
    }

    /// Describes groups, in the order of a hash table. The failures are those that a Java future would have.
    async fn describe(&self, ids: &[String]) -> Vec<(String, Result<GroupDescription, NotDescribed>)> {
        let outcomes = self.admin.describe_groups(&hash_order_of_texts(ids)).await;
        let told = |(id, outcome): (String, Result<GroupDescription, DescribeGroupError>)| {
            let outcome = match outcome {
                Ok(group) => consumers_only(group),
                Err(error @ DescribeGroupError::NotFound(_)) => {
                    Err(NotDescribed::NotFound(operation_failure!(error).in_execution()))
                }
                Err(error @ (DescribeGroupError::Call(_) | DescribeGroupError::Refused(_))) => {
                    Err(NotDescribed::Failed(operation_failure!(error).in_execution()))
                }
            };
            (id, outcome)
        };
        outcomes.into_iter().map(told).collect()
    }

    /// What a group has committed, in the order of a hash table.
    async fn committed(&self, group: &str) -> Result<Vec<(Partition, Committed)>, Failure> {
        let listed = self.admin.list_group_offsets(group, None, false).await;
        let failed = |error: ListGroupOffsetsError| operation_failure!(error).in_execution().in_runtime();
        let committed = listed.map_err(failed)?.into_iter().filter_map(|(partition, offset)| {
            let offset = offset.ok()?;
            let epoch = offset.leader_epoch.map(|epoch| epoch.value());
            Some((Partition::from(&partition), Committed { offset: offset.offset.value(), epoch }))
        });
        Ok(hash_order(committed.collect(), |(partition, _)| partition.java_hash()))
    }
}

/// A position that a group has committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Committed {
    offset: i64,
    epoch: Option<i32>,
}

/// Why a group cannot be described.
enum NotDescribed {
    NotFound(Failure),
    Failed(Failure),
}

impl From<NotDescribed> for Failure {
    fn from(error: NotDescribed) -> Failure {
        match error {
            NotDescribed::NotFound(failure) | NotDescribed::Failed(failure) => failure,
        }
    }
}

/// Groups of other clients than consumers use the same coordinator.
fn consumers_only(group: GroupDescription) -> Result<GroupDescription, NotDescribed> {
    match group.protocol_type.as_str() {
        "" | "consumer" => Ok(group),
        other => {
            let message = format!("GroupId {} is not a consumer group ({other}).", group.id);
            Err(NotDescribed::Failed(Failure::illegal_argument(message).in_execution()))
        }
    }
}

fn offset_of(text: &str) -> Result<i64, Failure> {
    text.parse()
        .map_err(|_| Failure::from(&jopt::OptError::NotANumber { name: "to-offset", text: text.to_owned() }))
}

/// A line of a table: cells padded to their widths; the last one of a line may have width 0.
fn line(cells: &[(&str, usize)]) -> String {
    let cells: Vec<String> = cells.iter().map(|(text, width)| format!("{text:width$}")).collect();
    cells.join(" ")
}

/// The width of a column: that of its longest cell, and `min` at least.
fn width<'a>(min: usize, cells: impl Iterator<Item = &'a str>) -> usize {
    cells.map(|cell| cell.chars().count()).fold(min, usize::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What RE2/J says of texts, as Kafka 4.3.1's tool prints it.
    #[test]
    fn expressions_are_judged_as_by_kafka_s_tool() {
        let told = include_str!("../../tests/data/regex-syntax.tsv");
        let mut count = 0;
        for (text, verdict) in told.lines().filter_map(|row| row.split_once('\t')) {
            let ours = expression::check(text).map_or_else(|error| error.to_string(), |()| "OK".to_owned());
            assert_eq!(ours, verdict, "{text}");
            count += 1;
        }
        assert!(count > 130, "{count}");
    }
}
