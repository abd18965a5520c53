//! `ottla group`: list, describe and delete groups of consumers, set and delete their offsets.
//!
//! Owns: its flags; listing and deleting.
//! Does not own: what describing shows (`describe`), new offsets (`seek`).
//!
//! | Form | Fields |
//! |---|---|
//! | `list` | `name`, `state`, `type`, `protocol` |
//! | `describe` | `name`, `state`, `type`, `assignor`, `coordinator`, `epoch`, `assignment_epoch`, `lag`, `partitions` (list of `topic`, `partition`, `committed`, `start`, `end`, `lag`, `member`, `client_id`, `host`, `leader_epoch`, `metadata`), `members` (list of `member`, `instance_id`, `client_id`, `host`, `epoch`, `partitions`) |
//! | changes | those of `plan`; `name` is the group or `TOPIC-PARTITION` |

mod describe;
mod offsets_file;
pub mod positions;
mod seek;

use clap::{Parser, Subcommand, ValueEnum};
use ottla_client::Admin;
use ottla_client::admin::{DeleteGroupError, DeleteGroupOffsetsError, GroupDescription, ListGroupsError};
use ottla_model::TopicPartition;
use serde_json::json;

use super::connection::{ConnectionFlags, Environment, OutputFlags};
use super::on_runtime;
use super::partitions::Selection;
use super::plan::{Plan, Status, nothing_done, refuse_repeated};
use super::refusal::Refusal;
use super::report::{Column, Report, Table, column};
use super::topic::{DryRun, pattern_of};
use crate::admin_refusal;
use crate::terminal::Terminal;
use seek::Seek;

/// List, describe and delete groups of consumers, set and delete their offsets.
#[derive(Debug, Parser)]
#[command(name = "ottla group", bin_name = "ottla group")]
pub struct Flags {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    connection: ConnectionFlags,
    #[command(flatten)]
    output: OutputFlags,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List groups of all kinds
    List {
        /// Regular expressions; groups whose whole name one of them matches
        patterns: Vec<String>,
        /// Only groups in this state, may be repeated
        #[arg(long = "state", value_enum, value_name = "STATE")]
        states: Vec<State>,
        /// Only groups of this type, may be repeated
        #[arg(long = "type", value_enum, value_name = "TYPE")]
        types: Vec<GroupKind>,
    },
    /// Show members, committed offsets and lag of groups
    Describe {
        /// Names of groups
        #[arg(required = true, value_name = "GROUP")]
        names: Vec<String>,
    },
    /// Delete groups and all that they have committed
    Delete {
        /// Names of groups
        #[arg(required = true, value_name = "GROUP")]
        names: Vec<String>,
        /// A group that is not there is no error
        #[arg(long)]
        if_exists: bool,
        #[command(flatten)]
        dry: DryRun,
    },
    /// Forget what a group has committed for some topics
    DeleteOffsets {
        /// Name of the group
        group: String,
        /// Topics, or some of their partitions: orders, orders:0,3, orders:0-5
        #[arg(required = true, value_name = "TOPIC[:PARTITIONS]", value_parser = Selection::parse)]
        topics: Vec<Selection>,
        #[command(flatten)]
        dry: DryRun,
    },
    /// Set where a group without members goes on reading
    Seek(Seek),
}

/// A state of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum State {
    Stable,
    Empty,
    PreparingRebalance,
    CompletingRebalance,
    Assigning,
    Reconciling,
    NotReady,
    Dead,
}

impl State {
    /// Kafka's name.
    fn name(self) -> &'static str {
        match self {
            State::Stable => "Stable",
            State::Empty => "Empty",
            State::PreparingRebalance => "PreparingRebalance",
            State::CompletingRebalance => "CompletingRebalance",
            State::Assigning => "Assigning",
            State::Reconciling => "Reconciling",
            State::NotReady => "NotReady",
            State::Dead => "Dead",
        }
    }
}

/// A type of groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum GroupKind {
    Classic,
    Consumer,
    Share,
    Streams,
}

impl GroupKind {
    /// Kafka's name.
    fn name(self) -> &'static str {
        match self {
            GroupKind::Classic => "Classic",
            GroupKind::Consumer => "Consumer",
            GroupKind::Share => "Share",
            GroupKind::Streams => "Streams",
        }
    }
}

/// Runs the command.
pub fn run(flags: &Flags, terminal: &mut Terminal<'_>) -> Result<(), Refusal> {
    let environment = Environment::of_process();
    let seek = match &flags.action {
        // What makes no sense is refused before anybody is asked.
        Action::Seek(seek) => Some(seek.resolve()?),
        Action::List { .. }
        | Action::Describe { .. }
        | Action::Delete { .. }
        | Action::DeleteOffsets { .. } => None,
    };
    on_runtime(async {
        let work = Work { admin: flags.connection.admin(&environment).await?, output: flags.output };
        match &flags.action {
            Action::List { patterns, states, types } => {
                let states: Vec<String> = states.iter().map(|state| state.name().to_owned()).collect();
                let types: Vec<String> = types.iter().map(|kind| kind.name().to_owned()).collect();
                work.list(patterns, (&states, &types), terminal).await
            }
            Action::Describe { names } => {
                refuse_repeated(names)?;
                describe::run(&work, names, terminal).await
            }
            Action::Delete { names, if_exists, dry } => {
                refuse_repeated(names)?;
                work.delete(names, (*if_exists, *dry), terminal).await
            }
            Action::DeleteOffsets { group, topics, dry } => {
                work.delete_offsets((group, topics), *dry, terminal).await
            }
            Action::Seek(_) => match seek {
                Some(seek) => seek::run(&work, seek, terminal).await,
                None => Ok(()),
            },
        }
    })
}

/// What all actions need.
struct Work {
    admin: Admin,
    output: OutputFlags,
}

const LISTED: &[Column] = &[column("name"), column("state"), column("type"), column("protocol")];

impl Work {
    async fn list(
        &self,
        patterns: &[String],
        (states, types): (&[String], &[String]),
        terminal: &mut Terminal<'_>,
    ) -> Result<(), Refusal> {
        let patterns = patterns.iter().map(|text| pattern_of(text)).collect::<Result<Vec<_>, _>>()?;
        let failed = |error: ListGroupsError| admin_refusal!(error, "the groups could not be listed");
        let mut groups = self.admin.list_groups(states, types).await.map_err(failed)?;
        groups.sort();
        let mut table = Table::new(LISTED);
        for group in groups {
            if !patterns.is_empty() && !patterns.iter().any(|pattern| pattern.is_match(&group.id)) {
                continue;
            }
            let text = |text: String| Some(text).filter(|text| !text.is_empty());
            let kind = text(group.group_type.to_ascii_lowercase());
            table.push([
                json!(group.id),
                json!(text(group.state)),
                json!(kind),
                json!(text(group.protocol_type)),
            ]);
        }
        Report::list(table).print(self.output.output, terminal);
        Ok(())
    }

    async fn delete(
        &self,
        names: &[String],
        (if_exists, dry): (bool, DryRun),
        terminal: &mut Terminal<'_>,
    ) -> Result<(), Refusal> {
        let mut plan = Plan::new("delete", "group");
        let (mut found, mut refusals) = (Vec::new(), Vec::new());
        for name in names {
            match positions::found(&self.admin, name).await {
                Ok(Some(group)) if group.members.is_empty() => {
                    let committed = positions::committed(&self.admin, name).await?.len();
                    found.push((name.clone(), format!("offsets={committed}")));
                }
                Ok(Some(group)) => refusals.push(has_members(&group, "was not deleted")),
                Ok(None) if if_exists => plan.push(name, "is not there", Ok(Status::Unchanged)),
                Ok(None) => refusals.push(positions::no_group(&self.admin, name).await),
                Err(refusal) => refusals.push(refusal),
            }
        }
        if !refusals.is_empty() {
            return nothing_done(refusals, terminal);
        }
        if dry.dry_run {
            for (name, detail) in &found {
                plan.push(name, detail, Ok(Status::Planned));
            }
            return plan.finish(self.output.output, terminal);
        }
        let (names, details): (Vec<String>, Vec<String>) = found.into_iter().unzip();
        let outcomes = self.admin.delete_groups(&names).await;
        for ((name, outcome), detail) in outcomes.into_iter().zip(details) {
            let refused = |error: DeleteGroupError| admin_refusal!(error, "group {name} was not deleted");
            plan.push(&name, &detail, outcome.map(|()| Status::Done).map_err(refused));
        }
        plan.finish(self.output.output, terminal)
    }

    async fn delete_offsets(
        &self,
        (name, topics): (&str, &[Selection]),
        dry: DryRun,
        terminal: &mut Terminal<'_>,
    ) -> Result<(), Refusal> {
        let group = positions::described(&self.admin, name).await?;
        let committed = positions::committed(&self.admin, name).await?;
        let mut plan = Plan::new("delete", "offset");
        let (mut meant, mut refusals): (Vec<&TopicPartition>, Vec<Refusal>) = (Vec::new(), Vec::new());
        for selection in topics {
            let before = meant.len();
            meant.extend(committed.keys().filter(|partition| selection.has(partition)));
            let is_read = |partition: &&TopicPartition| {
                group.members.iter().any(|member| member.assignment.contains(partition))
            };
            if meant[before..].iter().any(is_read) {
                refusals.push(has_members(&group, "keeps its offsets").hint(format_args!(
                    "Its members read {}; offsets can be deleted once none of them subscribes to it",
                    selection.topic
                )));
            } else if meant.len() == before {
                plan.push(&selection.topic, "nothing is committed", Ok(Status::Unchanged));
            }
        }
        if !refusals.is_empty() {
            return nothing_done(refusals, terminal);
        }
        meant.sort();
        meant.dedup();
        let partitions: Vec<TopicPartition> = meant.into_iter().cloned().collect();
        let mut outcomes = match dry.dry_run || partitions.is_empty() {
            true => None,
            false => {
                let failed = |error: DeleteGroupOffsetsError| {
                    admin_refusal!(error, "the offsets of group {name} were not deleted")
                };
                Some(self.admin.delete_group_offsets(name, &partitions).await.map_err(failed)?)
            }
        };
        for partition in &partitions {
            let outcome = match &mut outcomes {
                None => Ok(Status::Planned),
                Some(outcomes) => match outcomes.remove(partition) {
                    Some(Ok(())) => Ok(Status::Done),
                    Some(Err(error)) => Err(not_deleted(name, partition, &error)),
                    None => Err(unanswered(partition)),
                },
            };
            let offset = committed.get(partition).map_or(0, |committed| committed.offset.value());
            plan.push(&partition.to_string(), &format!("offset={offset}->none"), outcome);
        }
        plan.finish(self.output.output, terminal)
    }
}

fn not_deleted(group: &str, partition: &TopicPartition, error: &DeleteGroupOffsetsError) -> Refusal {
    admin_refusal!(*error, "the offset of group {group} in {partition} was not deleted")
}

/// The cluster left a partition out of its answer.
fn unanswered(partition: &TopicPartition) -> Refusal {
    Refusal::failed(format!("the cluster says nothing about {partition}"))
}

/// A group with members does not let others change it.
fn has_members(group: &GroupDescription, what: &str) -> Refusal {
    let count = group.members.len();
    let members = if count == 1 { "1 member".to_owned() } else { format!("{count} members") };
    Refusal::failed(format!("group {} {what}", group.id))
        .detail(format_args!("It has {members} and is in the state {}", group.state))
        .hint(format_args!("Stop its members first; `ottla group describe {}` shows them", group.id))
}
