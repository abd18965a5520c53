//! `ottla topic trim`: delete the first records of partitions.
//!
//! Owns: its flags, the plan. Does not own: the other actions on topics (`topic`).
//!
//! An offset that a partition does not have is refused and nothing is deleted: what is gone does not come back.

use std::collections::BTreeMap;

use clap::Args;
use ottla_client::Admin;
use ottla_client::admin::{ConfigResource, DeleteRecordsError, ResourceKind};
use ottla_model::{Offset, TopicPartition};

use super::config;
use super::connection::OutputFlags;
use super::ends::{Ends, Offsets};
use super::partitions::{Selection, ends_of, offsets_at, place, resolve};
use super::plan::{Plan, Status, all_told};
use super::position::Place;
use super::refusal::Refusal;
use super::topic::DryRun;
use crate::admin_refusal;
use crate::terminal::Terminal;

/// Raw flags.
#[derive(Debug, Args)]
pub struct Trim {
    /// Topics to cut, or some of their partitions: orders, orders:0,3, orders:0-5
    #[arg(required = true, value_name = "TOPIC[:PARTITIONS]", value_parser = Selection::parse)]
    topics: Vec<Selection>,
    /// The first record to keep: offset N, +N behind the start, -N before the end, @TIME, or end to keep none
    #[arg(long, value_name = "OFFSET", allow_hyphen_values = true)]
    before: String,
    #[command(flatten)]
    dry: DryRun,
}

impl Trim {
    /// The place that is meant.
    pub fn place(&self) -> Result<Place, Refusal> {
        place(&self.before)
    }
}

/// Runs the action.
pub async fn run(
    (admin, output): (&Admin, OutputFlags),
    (trim, place): (&Trim, Place),
    terminal: &mut Terminal<'_>,
) -> Result<(), Refusal> {
    let partitions = resolve(admin, &trim.topics).await?.into_iter().collect();
    let ends = ends_of(admin, &partitions).await?;
    let wanted = offsets_at(admin, &ends, place).await?;
    let mut refusals = not_deletable(admin, &trim.topics).await?;
    refusals.extend(partitions.iter().filter_map(|partition| {
        impossible(partition, ends.get(partition).copied(), wanted.get(partition).copied())
    }));
    if !refusals.is_empty() {
        return all_told(refusals, terminal).inspect_err(|_| terminal.err_line("nothing was deleted"));
    }
    let before: BTreeMap<TopicPartition, Option<Offset>> = wanted
        .iter()
        .filter(|(partition, offset)| **offset > ends[*partition].start)
        .map(|(partition, offset)| (partition.clone(), Some(*offset)))
        .collect();
    let outcomes = match trim.dry.dry_run || before.is_empty() {
        true => None,
        false => {
            let failed = |error| Refusal::no_answer("it is not known whether records were deleted", &error);
            Some(admin.delete_records(&before).await.map_err(failed)?)
        }
    };
    let status = |partition: &TopicPartition| match (before.contains_key(partition), &outcomes) {
        (false, _) => Ok(Status::Unchanged),
        (true, None) => Ok(Status::Planned),
        (true, Some(outcomes)) => match outcomes.get(partition) {
            Some(outcome) => {
                outcome.as_ref().map(|_| Status::Done).map_err(|error| refused(partition, error))
            }
            None => Err(Refusal::failed(format!("the cluster says nothing about {partition}"))),
        },
    };
    let mut plan = Plan::new("trim", "partition");
    for (partition, text) in texts(&wanted, &ends) {
        plan.push(&partition.to_string(), &text, status(partition));
    }
    plan.finish(output.output, terminal)
}

fn texts<'a>(
    wanted: &'a Offsets,
    ends: &BTreeMap<TopicPartition, Ends>,
) -> Vec<(&'a TopicPartition, String)> {
    let text = |(partition, offset): (&'a TopicPartition, &Offset)| {
        let start = ends[partition].start;
        let after = (*offset).max(start);
        (partition, format!("start={start}->{after} records={}", after.value() - start.value()))
    };
    wanted.iter().map(text).collect()
}

/// Brokers delete records only of topics whose old records they may delete anyway.
async fn not_deletable(admin: &Admin, topics: &[Selection]) -> Result<Vec<Refusal>, Refusal> {
    const KEY: &str = "cleanup.policy";
    let mut refusals = Vec::new();
    for selection in topics {
        let resource = ConfigResource::new(ResourceKind::Topic, &*selection.topic);
        let entries = config::entries_of(admin, &resource).await?;
        let policy = entries.into_iter().find(|entry| entry.name == KEY).and_then(|entry| entry.value);
        if let Some(policy) = policy.filter(|policy| !policy.split(',').any(|word| word.trim() == "delete")) {
            refusals.push(
                Refusal::failed(format!("no records of topic {} can be deleted", selection.topic))
                    .detail(format_args!("Its {KEY} is '{policy}'"))
                    .hint(format_args!(
                        "`ottla topic alter {} -c {KEY}=compact,delete` allows it",
                        selection.topic
                    )),
            );
        }
    }
    Ok(refusals)
}

fn impossible(partition: &TopicPartition, ends: Option<Ends>, wanted: Option<Offset>) -> Option<Refusal> {
    let message = format!("the records of {partition} cannot be deleted");
    let Some((ends, wanted)) = ends.zip(wanted) else {
        return Some(Refusal::failed(message).detail("The partition has no leader"));
    };
    (wanted > ends.end).then(|| {
        Refusal::failed(message)
            .detail(format_args!("{wanted} is behind its end {}", ends.end))
            .hint("With 'end' all its records are deleted")
    })
}

fn refused(partition: &TopicPartition, error: &DeleteRecordsError) -> Refusal {
    admin_refusal!(*error, "the records of {partition} were not deleted")
}
