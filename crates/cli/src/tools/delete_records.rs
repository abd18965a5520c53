//! `kafka-delete-records`: delete the first records of partitions.
//!
//! Owns: its options, what it prints.
//! Does not own: the file with the offsets (`offsets_file`), deleting (`ottla_client::Admin`).
//!
//! A partition that is not there is refused at once, where Kafka's tool asks for it until its time is over.
//!
//! Source: `kafka-delete-records.sh` of Kafka 4.3.1 (`tests/data/delete-records.txt`, `tests/data/offline.txt`).

mod offsets_file;

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use ottla_client::Admin;
use ottla_client::error::{ErrorCode, ServerError};
use ottla_model::{Offset, PartitionIndex, TopicName, TopicPartition};

use super::failure::{self, Failure, Problem};
use super::{json_input, session, usage};
use crate::jopt::{self, Given, Opt, flag, value};
use crate::operation_failure;
use crate::settings::read_file;
use crate::terminal::Terminal;
use offsets_file::Wanted;

const OPTIONS: &[Opt] = &[
    value(
        "bootstrap-server",
        "String: server(s) to use for bootstrapping",
        "REQUIRED: The brokers to connect to, as host:port.",
    ),
    value(
        "command-config",
        "String: command config property file path",
        "A properties file for the admin client.",
    ),
    flag("help", "Print usage information."),
    value(
        "offset-json-file",
        "String: Offset json file path",
        "REQUIRED: A file with the first offset to keep of each partition, or -1 to keep nothing: {\"partitions\": \
         [{\"topic\": \"foo\", \"partition\": 1, \"offset\": 1}], \"version\": 1}",
    ),
    flag("version", "Display Kafka version."),
];

/// Runs the tool.
pub fn run(args: &[String], terminal: &mut Terminal<'_>) -> u8 {
    let given = match jopt::parse(OPTIONS, args) {
        Ok(given) => given,
        Err(error) => return failure::crash(terminal, &Failure::from(&error)),
    };
    let about = "This tool helps to delete records of the given partitions down to the specified offset.";
    if let Some(code) = usage::help_or_version(terminal, &given, (args, about)) {
        return code;
    }
    if let Err(message) = usage::require(&given, &["bootstrap-server", "offset-json-file"]) {
        return usage::refuse(terminal, OPTIONS, &message);
    }
    session::run("kafka-delete-records", async {
        let ended = work(&given, terminal).await;
        failure::end(terminal, ended)
    })
}

async fn work(given: &Given, terminal: &mut Terminal<'_>) -> Result<(), Problem> {
    let admin = session::admin_of(given, &[], terminal).await?;
    let path = given.value("offset-json-file").map_err(|error| Problem::from(&error))?.unwrap_or_default();
    let bytes = read_file(Path::new(path)).map_err(|error| unreadable(path, &error))?;
    let wanted = offsets_file::parse(&String::from_utf8_lossy(&bytes))?;
    terminal.out_line("Executing records delete operation");
    let outcomes = delete(&admin, &wanted, terminal).await;
    terminal.out_line("Records delete operation completed:");
    for (partition, outcome) in outcomes {
        match outcome {
            Ok(first) => terminal.out_line(format_args!("partition: {partition}\tlow_watermark: {first}")),
            Err(failure) => terminal.out_line(format_args!("partition: {partition}\terror: {failure}")),
        }
    }
    Ok(())
}

fn unreadable(path: &str, error: &io::Error) -> Failure {
    json_input::unreadable(path, error).causing("java.io.IOException", format!("Unable to read file {path}"))
}

/// Deletes; answers the new first offset of each partition, in the order of the file.
async fn delete(
    admin: &Admin,
    wanted: &[Wanted],
    terminal: &mut Terminal<'_>,
) -> Vec<(String, Result<Offset, Failure>)> {
    let mut before = BTreeMap::new();
    let checked: Vec<Result<TopicPartition, Failure>> =
        wanted.iter().map(|one| check(one, terminal)).collect();
    for (one, partition) in wanted.iter().zip(&checked) {
        if let Ok(partition) = partition {
            before.insert(partition.clone(), Offset::new(one.offset));
        }
    }
    let mut deleted = BTreeMap::new();
    match admin.delete_records(&before).await {
        Ok(outcomes) => deleted.extend(outcomes.into_iter().map(|(partition, outcome)| {
            let outcome = outcome.map_err(|error| {
                if let Some(refusal) = error.refusal() {
                    log_refusal(terminal, &partition.to_string(), refusal.code);
                }
                operation_failure!(error)
            });
            (partition, outcome)
        })),
        Err(error) => {
            deleted.extend(before.into_keys().map(|partition| (partition, Err(Failure::from(&error)))));
        }
    }
    let silent = Failure::from(&ServerError::from(ErrorCode::UnknownServerError));
    let outcomes = wanted.iter().zip(checked).map(|(one, partition)| {
        let outcome =
            partition.and_then(|partition| deleted.remove(&partition).unwrap_or(Err(silent.clone())));
        (one.to_string(), outcome)
    });
    outcomes.collect()
}

/// Refuses what no cluster has or accepts.
fn check(wanted: &Wanted, terminal: &mut Terminal<'_>) -> Result<TopicPartition, Failure> {
    let refused = |code: ErrorCode| Failure::from(&ServerError::from(code));
    let Ok(topic) = TopicName::new(&wanted.topic) else {
        return Err(Failure::new(
            &failure::class_of(ErrorCode::InvalidTopicException),
            format!(
                "Failed to fetch metadata for partition {wanted} due to invalid topic `{}`",
                wanted.topic
            ),
        ));
    };
    let Some(partition) = PartitionIndex::new(wanted.partition) else {
        return Err(refused(ErrorCode::UnknownTopicOrPartition));
    };
    if wanted.offset < -1 {
        log_refusal(terminal, &wanted.to_string(), ErrorCode::OffsetOutOfRange);
        return Err(refused(ErrorCode::OffsetOutOfRange));
    }
    Ok(TopicPartition::new(topic, partition))
}

fn log_refusal(terminal: &mut Terminal<'_>, partition: &str, code: ErrorCode) {
    failure::log_handler(terminal, ("adminclient-1", "DeleteRecords"), partition, code);
}
