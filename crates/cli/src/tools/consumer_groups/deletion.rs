//! `kafka-consumer-groups --delete` and `--delete-offsets`.
//!
//! Owns: what is deleted, and what is told of it.
//! Does not own: deleting (`ottla_client::Admin`).

use std::collections::BTreeMap;

use ottla_client::admin::{DeleteGroupOffsetsError, PARTITIONS_PER_ANSWER};
use ottla_client::error::{ErrorCode, ServerError};
use ottla_model::{TopicPartition, java_string_hash};

use super::super::failure::Failure;
use super::super::hash_order::{hash_order, hash_order_of_texts};
use super::super::partition::Partition;
use super::topic_list::parse_topics;
use super::{Tool, line, print_error, width};
use crate::operation_failure;
use crate::terminal::Terminal;

/// Deletes whole groups.
pub(super) async fn delete_groups(tool: &Tool<'_>, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
    let ids = hash_order_of_texts(&tool.group_ids().await?);
    let (mut deleted, mut failed) = (Vec::new(), Vec::new());
    for (id, outcome) in tool.admin.delete_groups(&ids).await {
        match outcome {
            Ok(()) => deleted.push(id),
            Err(error) => failed.push((id, operation_failure!(error))),
        }
    }
    // Each kind is kept in a table of its own.
    let deleted = hash_order(deleted, |id| java_string_hash(id));
    let quoted: Vec<String> = deleted.iter().map(|id| format!("'{id}'")).collect();
    let quoted = quoted.join(", ");
    if failed.is_empty() {
        terminal.out_line(format_args!("Deletion of requested consumer groups ({quoted}) was successful."));
        return Ok(());
    }
    print_error(terminal, "Deletion of some consumer groups failed:");
    for (id, failure) in hash_order(failed, |(id, _)| java_string_hash(id)) {
        let reason = failure.headline();
        terminal.out_line(format_args!("* Group '{id}' could not be deleted due to: {reason}"));
    }
    if !deleted.is_empty() {
        terminal.out_line(format_args!("\nThese consumer groups were deleted successfully: {quoted}"));
    }
    Ok(())
}

/// What became of each partition, and of the request.
type Outcomes = BTreeMap<Partition, Option<Failure>>;

/// Deletes offsets of one group.
pub(super) async fn delete_offsets(tool: &Tool<'_>, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
    let group = tool.given.value("group").map_err(|error| Failure::from(&error))?.unwrap_or_default();
    let (partitions, topics) = parse_topics(tool.given.values("topic"))?;
    let mut outcomes = Outcomes::new();
    let partitions = with_all_partitions(tool, (partitions, topics), &mut outcomes).await;
    let error = delete(tool, (group, &partitions), &mut outcomes).await;
    match error.map(|error| error.code) {
        None => {
            terminal.out_line(format_args!("Request succeeded for deleting offsets from group {group}."));
        }
        Some(
            code @ (ErrorCode::InvalidGroupId
            | ErrorCode::GroupIdNotFound
            | ErrorCode::GroupAuthorizationFailed
            | ErrorCode::NonEmptyGroup),
        ) => print_error(terminal, code.message()),
        Some(
            ErrorCode::GroupSubscribedToTopic
            | ErrorCode::TopicAuthorizationFailed
            | ErrorCode::UnknownTopicOrPartition,
        ) => print_error(terminal, "Encountered some partition-level error, see the follow-up details."),
        Some(code) => print_error(terminal, format_args!("Encountered some unknown error: {}", code.name())),
    }
    show(&outcomes, terminal);
    Ok(())
}

/// Adds the partitions of whole topics; a topic that cannot be described has its outcome already.
async fn with_all_partitions(
    tool: &Tool<'_>,
    (partitions, topics): (Vec<Partition>, Vec<String>),
    outcomes: &mut Outcomes,
) -> Vec<Partition> {
    let mut partitions = partitions;
    if !topics.is_empty() {
        let described = tool.admin.describe_topics(&topics, PARTITIONS_PER_ANSWER).await;
        let failed = |topic: &String| Partition::new(topic, -1);
        match described {
            Err(error) => {
                let failure = Failure::from(&error);
                outcomes.extend(topics.iter().map(|topic| (failed(topic), Some(failure.clone()))));
            }
            Ok(described) => {
                for (topic, outcome) in described {
                    match outcome {
                        Ok(topic) => partitions.extend(
                            topic.partitions.iter().map(|it| Partition::new(&topic.name, it.index.value())),
                        ),
                        Err(error) => {
                            outcomes.insert(failed(&topic), Some(operation_failure!(error)));
                        }
                    }
                }
            }
        }
    }
    partitions.sort();
    partitions.dedup();
    hash_order(partitions, Partition::java_hash)
}

/// Deletes the offsets of the partitions. Answers the error of the request, or the first of a partition.
async fn delete(
    tool: &Tool<'_>,
    (group, partitions): (&str, &[Partition]),
    outcomes: &mut Outcomes,
) -> Option<ServerError> {
    let asked: Vec<TopicPartition> = partitions.iter().filter_map(Partition::checked).collect();
    let told = match tool.admin.delete_group_offsets(group, &asked).await {
        Ok(told) => told,
        Err(error) => {
            let failure = operation_failure!(error);
            outcomes.extend(partitions.iter().map(|it| (it.clone(), Some(failure.clone()))));
            let timed_out = || ServerError::from(ErrorCode::RequestTimedOut);
            return Some(error.refusal().cloned().unwrap_or_else(timed_out));
        }
    };
    let mut first = None;
    for partition in partitions {
        let outcome = partition.checked().and_then(|checked| told.get(&checked).cloned());
        // What can have no offsets is not asked for.
        let missing =
            || Err(DeleteGroupOffsetsError::from(ServerError::from(ErrorCode::UnknownTopicOrPartition)));
        let error = outcome.unwrap_or_else(missing).err();
        let refusal = error.as_ref().and_then(|error| error.refusal().cloned());
        first = first.or(refusal);
        outcomes.insert(partition.clone(), error.map(|error| operation_failure!(error)));
    }
    first
}

/// `TOPIC PARTITION STATUS`, in the order of the topic's name with the number behind it.
fn show(outcomes: &Outcomes, terminal: &mut Terminal<'_>) {
    let topic_width = width(15, outcomes.keys().map(|partition| partition.topic.as_str()));
    let table_line = |topic: &str, partition: &str, status: &str| {
        line(&[(topic, topic_width), (partition, 10), (status, 15)])
    };
    terminal.out_line(format_args!("\n{}", table_line("TOPIC", "PARTITION", "STATUS")));
    let mut sorted: Vec<(&Partition, &Option<Failure>)> = outcomes.iter().collect();
    sorted.sort_by_cached_key(|(partition, _)| format!("{}{}", partition.topic, partition.index));
    for (partition, failure) in sorted {
        let number = if partition.index < 0 { "-".to_owned() } else { partition.index.to_string() };
        let status = match failure {
            Some(failure) => format!("Error: {}", failure.headline()),
            None => "Successful".to_owned(),
        };
        terminal.out_line(table_line(&partition.topic, &number, &status));
    }
}
