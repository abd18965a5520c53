//! `ottla topic`: list, describe, create, delete and change topics.
//!
//! Owns: its flags, what it shows, that nothing of several changes is made unless all of them can be.
//! Does not own: settings of other things than topics (`config`).
//!
//! | Form | Fields |
//! |---|---|
//! | `list` | `name`, `partitions`, `replicas`, `id`, `internal` |
//! | `describe` | `name`, `id`, `internal`, `partitions` (list of `partition`, `leader`, `leader_epoch`, `replicas`, `in_sync`, `offline`), `configs` (object) |
//! | changes | those of `plan` |

use std::collections::BTreeMap;

use clap::{Args, Parser, Subcommand};
use ottla_client::Admin;
use ottla_client::admin::{
    ConfigResource, CreateTopicError, CreatedTopic, DeleteTopicError, DescribeTopicError, Layout,
    NewPartitions, NewTopic, ResourceKind, TopicDescription,
};
use ottla_model::TopicName;
use regex::Regex;
use serde_json::{Map, Value, json};

use super::config;
use super::connection::{ConnectionFlags, Environment, OutputFlags, key_value};
use super::on_runtime;
use super::partitions::{describe, no_topic};
use super::plan::{Plan, Status, all_told, nothing_done, refuse_repeated};
use super::refusal::Refusal;
use super::report::{Column, Report, Table, column, wide};
use super::trim::Trim;
use crate::admin_refusal;
use crate::terminal::Terminal;

/// List, describe, create, change and delete topics.
#[derive(Debug, Parser)]
#[command(name = "ottla topic", bin_name = "ottla topic")]
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
    /// List topics
    List {
        /// Regular expressions; topics whose whole name one of them matches
        patterns: Vec<String>,
        /// The brokers' own topics too
        #[arg(long)]
        internal: bool,
    },
    /// Show partitions and settings of topics
    Describe {
        /// Names of topics
        #[arg(required = true, value_name = "TOPIC")]
        names: Vec<String>,
    },
    /// Create topics
    Create(Create),
    /// Delete topics and all their records
    Delete {
        /// Names of topics
        #[arg(required = true, value_name = "TOPIC")]
        names: Vec<String>,
        /// A topic that is not there is no error
        #[arg(long)]
        if_exists: bool,
        #[command(flatten)]
        dry: DryRun,
    },
    /// Change settings of topics
    Alter(Alter),
    /// Give topics more partitions
    AddPartitions(AddPartitions),
    /// Delete the first records of partitions
    Trim(Trim),
}

/// Whether anything is changed.
#[derive(Clone, Copy, Debug, Args)]
pub struct DryRun {
    /// Show what would be done, and whether the cluster would take it; change nothing
    #[arg(long)]
    pub dry_run: bool,
}

#[derive(Debug, Args)]
struct Create {
    /// Names for the topics
    #[arg(required = true, value_name = "TOPIC")]
    names: Vec<String>,
    /// Partitions of each topic; the brokers' default without it
    #[arg(short, long, value_name = "COUNT", value_parser = clap::value_parser!(i32).range(1..))]
    partitions: Option<i32>,
    /// Copies of each partition; the brokers' default without it
    #[arg(short, long, value_name = "COUNT", value_parser = clap::value_parser!(i16).range(1..))]
    replicas: Option<i16>,
    /// A setting of the topics, may be repeated
    #[arg(short, long = "config", value_name = "KEY=VALUE", value_parser = key_value)]
    configs: Vec<(String, String)>,
    /// A topic that is there already is no error
    #[arg(long)]
    if_not_exists: bool,
    #[command(flatten)]
    dry: DryRun,
}

#[derive(Debug, Args)]
struct Alter {
    /// Names of topics
    #[arg(required = true, value_name = "TOPIC")]
    names: Vec<String>,
    /// A setting to change, may be repeated
    #[arg(short, long = "config", value_name = "KEY=VALUE", value_parser = key_value,
          required_unless_present = "unset")]
    configs: Vec<(String, String)>,
    /// A setting to go back to its default, may be repeated
    #[arg(short, long, value_name = "KEY")]
    unset: Vec<String>,
    /// A topic that is not there is no error
    #[arg(long)]
    if_exists: bool,
    #[command(flatten)]
    dry: DryRun,
}

#[derive(Debug, Args)]
struct AddPartitions {
    /// Names of topics
    #[arg(required = true, value_name = "TOPIC")]
    names: Vec<String>,
    /// How many to add to each topic
    #[arg(short, long, value_name = "COUNT", value_parser = clap::value_parser!(i32).range(1..),
          required_unless_present = "total", conflicts_with = "total")]
    count: Option<i32>,
    /// How many each topic shall have in the end
    #[arg(short, long, value_name = "COUNT", value_parser = clap::value_parser!(i32).range(1..))]
    total: Option<i32>,
    /// A topic that is not there is no error
    #[arg(long)]
    if_exists: bool,
    #[command(flatten)]
    dry: DryRun,
}

/// Runs the command.
pub fn run(flags: &Flags, terminal: &mut Terminal<'_>) -> Result<(), Refusal> {
    let environment = Environment::of_process();
    on_runtime(async {
        let admin = flags.connection.admin(&environment).await?;
        let work = Work { admin, output: flags.output };
        match &flags.action {
            Action::List { patterns, internal } => work.list(patterns, *internal, terminal).await,
            Action::Describe { names } => work.describe(names, terminal).await,
            Action::Create(create) => work.create(create, terminal).await,
            Action::Delete { names, if_exists, dry } => {
                work.delete(names, (*if_exists, dry.dry_run), terminal).await
            }
            Action::Alter(alter) => work.alter(alter, terminal).await,
            Action::AddPartitions(add) => work.add_partitions(add, terminal).await,
            Action::Trim(trim) => {
                super::trim::run((&work.admin, work.output), (trim, trim.place()?), terminal).await
            }
        }
    })
}

struct Work {
    admin: Admin,
    output: OutputFlags,
}

const LISTED: &[Column] =
    &[column("name"), column("partitions"), column("replicas"), wide("id"), wide("internal")];
const SUMMARY: &[Column] =
    &[column("name"), column("id"), column("internal"), column("partitions"), column("replicas")];
const PARTITIONS: &[Column] = &[
    column("partition"),
    column("leader"),
    column("leader_epoch"),
    column("replicas"),
    column("in_sync"),
    wide("offline"),
];
const PARTITIONS_OF_ALL: &[Column] = &[
    column("topic"),
    column("partition"),
    column("leader"),
    column("leader_epoch"),
    column("replicas"),
    column("in_sync"),
    column("offline"),
];
const SETTINGS: &[Column] = &[column("config"), column("value")];

impl Work {
    async fn list(
        &self,
        patterns: &[String],
        with_internal: bool,
        terminal: &mut Terminal<'_>,
    ) -> Result<(), Refusal> {
        let patterns: Vec<Regex> = patterns.iter().map(|text| pattern_of(text)).collect::<Result<_, _>>()?;
        let failed = |error| Refusal::no_answer("the topics could not be listed", &error);
        let listed = self.admin.list_topics().await.map_err(failed)?;
        let is_wanted =
            |name: &str| patterns.is_empty() || patterns.iter().any(|pattern| pattern.is_match(name));
        let names: Vec<String> = listed
            .into_iter()
            .filter(|topic| (with_internal || !topic.is_internal) && is_wanted(&topic.name))
            .map(|topic| topic.name)
            .collect();
        let mut table = Table::new(LISTED);
        for (_, outcome) in describe(&self.admin, &names).await? {
            // One that went away in the meantime is not listed.
            let Ok(topic) = outcome else { continue };
            table.push([
                json!(topic.name),
                json!(topic.partitions.len()),
                replicas_of(&topic),
                json!(topic.id.map(|id| id.to_string())),
                json!(topic.is_internal),
            ]);
        }
        Report::list(table).print(self.output.output, terminal);
        Ok(())
    }

    async fn describe(&self, names: &[String], terminal: &mut Terminal<'_>) -> Result<(), Refusal> {
        refuse_repeated(names)?;
        let (mut sections, mut documents, mut refusals) = (Vec::new(), Vec::new(), Vec::new());
        let mut all = Table::new(PARTITIONS_OF_ALL);
        for (name, outcome) in describe(&self.admin, names).await? {
            let topic = match outcome {
                Ok(topic) => topic,
                Err(DescribeTopicError::NotFound(_)) => {
                    refusals.push(no_topic(&self.admin, &name).await);
                    continue;
                }
                Err(error) => {
                    refusals.push(admin_refusal!(error, "topic {name} cannot be described"));
                    continue;
                }
            };
            let resource = ConfigResource::new(ResourceKind::Topic, &*name);
            let settings = config::entries_of(&self.admin, &resource).await?;
            let settings: BTreeMap<String, Option<String>> = settings
                .into_iter()
                .filter(|entry| config::is_own(ResourceKind::Topic, entry.source))
                .map(|entry| (entry.name, entry.value))
                .collect();
            documents.push(document_of(&topic, &settings));
            add_sections(&topic, &settings, (&mut sections, &mut all));
        }
        if !documents.is_empty() {
            let report = Report::of_sections(Value::Array(documents), sections, all);
            report.print(self.output.output, terminal);
        }
        all_told(refusals, terminal)
    }

    async fn create(&self, create: &Create, terminal: &mut Terminal<'_>) -> Result<(), Refusal> {
        check_names(&create.names)?;
        let layout = Layout::Counts { partitions: create.partitions, replication_factor: create.replicas };
        let configs: BTreeMap<String, String> = create.configs.iter().cloned().collect();
        let topic =
            |name: &String| NewTopic { name: name.clone(), layout: layout.clone(), configs: configs.clone() };
        let topics: Vec<NewTopic> = create.names.iter().map(topic).collect();
        let mut plan = Plan::new("create", "topic");
        let (mut creatable, mut refusals) = (Vec::new(), Vec::new());
        for (topic, outcome) in self.create_topics(topics, true).await? {
            match outcome {
                Ok(created) => creatable.push((topic, created)),
                Err(CreateTopicError::AlreadyExists(_)) if create.if_not_exists => {
                    plan.push(&topic.name, "is there already", Ok(Status::Unchanged));
                }
                Err(error) => refusals.push(not_created(&topic.name, &error)),
            }
        }
        if !refusals.is_empty() {
            return nothing_done(refusals, terminal);
        }
        if create.dry.dry_run || creatable.is_empty() {
            for (topic, created) in &creatable {
                plan.push(&topic.name, &layout_text(created, &configs), Ok(Status::Planned));
            }
            return plan.finish(self.output.output, terminal);
        }
        let topics = creatable.into_iter().map(|(topic, _)| topic).collect();
        for (topic, outcome) in self.create_topics(topics, false).await? {
            match outcome {
                Ok(created) => plan.push(&topic.name, &layout_text(&created, &configs), Ok(Status::Done)),
                Err(error) => plan.push(&topic.name, "", Err(not_created(&topic.name, &error))),
            }
        }
        plan.finish(self.output.output, terminal)
    }

    /// Creates topics, or only tries whether they could be.
    async fn create_topics(
        &self,
        topics: Vec<NewTopic>,
        is_try: bool,
    ) -> Result<Vec<(NewTopic, Result<CreatedTopic, CreateTopicError>)>, Refusal> {
        let failed = |error| Refusal::no_answer("the topics were not created", &error);
        let outcomes = self.admin.create_topics(&topics, is_try).await.map_err(failed)?;
        Ok(topics.into_iter().zip(outcomes.into_iter().map(|(_, outcome)| outcome)).collect())
    }

    async fn delete(
        &self,
        names: &[String],
        (if_exists, is_dry): (bool, bool),
        terminal: &mut Terminal<'_>,
    ) -> Result<(), Refusal> {
        let mut plan = Plan::new("delete", "topic");
        let found = self.existing(names, (if_exists, &mut plan), terminal).await?;
        let details: Vec<String> =
            found.iter().map(|topic| format!("partitions={}", topic.partitions.len())).collect();
        if is_dry || found.is_empty() {
            for (topic, detail) in found.iter().zip(&details) {
                plan.push(&topic.name, detail, Ok(Status::Planned));
            }
            return plan.finish(self.output.output, terminal);
        }
        let names: Vec<String> = found.into_iter().map(|topic| topic.name).collect();
        let failed = |error| Refusal::no_answer("the topics were not deleted", &error);
        let outcomes = self.admin.delete_topics(&names).await.map_err(failed)?;
        for ((name, outcome), detail) in outcomes.into_iter().zip(details) {
            let refused = |error: DeleteTopicError| admin_refusal!(error, "topic {name} was not deleted");
            plan.push(&name, &detail, outcome.map(|()| Status::Done).map_err(refused));
        }
        plan.finish(self.output.output, terminal)
    }

    async fn alter(&self, alter: &Alter, terminal: &mut Terminal<'_>) -> Result<(), Refusal> {
        let mut plan = Plan::new("alter", "topic");
        let changes = config::changes_of(&alter.configs, &alter.unset)?;
        let found = self.existing(&alter.names, (alter.if_exists, &mut plan), terminal).await?;
        let resource = |topic: TopicDescription| ConfigResource::new(ResourceKind::Topic, topic.name);
        let of_all: config::Changes =
            found.into_iter().map(|topic| (resource(topic), changes.clone())).collect();
        config::apply(&self.admin, (of_all, alter.dry), &mut plan, terminal).await?;
        plan.finish(self.output.output, terminal)
    }

    async fn add_partitions(&self, add: &AddPartitions, terminal: &mut Terminal<'_>) -> Result<(), Refusal> {
        let mut plan = Plan::new("add-partitions", "topic");
        let found = self.existing(&add.names, (add.if_exists, &mut plan), terminal).await?;
        let mut wanted = Vec::new();
        for topic in found {
            let there = i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX);
            let total = add.total.unwrap_or_else(|| there.saturating_add(add.count.unwrap_or(0)));
            let detail = format!("partitions={there}->{total}");
            if total == there {
                plan.push(&topic.name, &detail, Ok(Status::Unchanged));
            } else {
                wanted.push((NewPartitions { topic: topic.name, total, assignments: None }, detail));
            }
        }
        let (topics, details): (Vec<NewPartitions>, Vec<String>) = wanted.into_iter().unzip();
        let failed = |error| Refusal::no_answer("the partitions were not added", &error);
        for is_try in [true, false] {
            let outcomes = self.admin.create_partitions(&topics, is_try).await.map_err(failed)?;
            let outcomes = outcomes.into_iter().map(|(name, outcome)| {
                let outcome = outcome
                    .map_err(|error| admin_refusal!(error, "topic {name} did not get more partitions"));
                (name, outcome)
            });
            let (ends_here, status) =
                if is_try { (add.dry.dry_run, Status::Planned) } else { (true, Status::Done) };
            let outcomes: Vec<(String, Result<(), Refusal>)> = outcomes.collect();
            if is_try && outcomes.iter().any(|(_, outcome)| outcome.is_err()) {
                let refusals = outcomes.into_iter().filter_map(|(_, outcome)| outcome.err()).collect();
                return nothing_done(refusals, terminal);
            }
            if ends_here {
                for ((name, outcome), detail) in outcomes.into_iter().zip(&details) {
                    plan.push(&name, detail, outcome.map(|()| status));
                }
                break;
            }
        }
        plan.finish(self.output.output, terminal)
    }

    /// The topics with these names. One that is not there is an error and nothing is done, or it is unchanged.
    async fn existing(
        &self,
        names: &[String],
        (if_exists, plan): (bool, &mut Plan),
        terminal: &mut Terminal<'_>,
    ) -> Result<Vec<TopicDescription>, Refusal> {
        refuse_repeated(names)?;
        let (mut found, mut refusals) = (Vec::new(), Vec::new());
        for (name, outcome) in describe(&self.admin, names).await? {
            match outcome {
                Ok(topic) => found.push(topic),
                Err(DescribeTopicError::NotFound(_)) if if_exists => {
                    plan.push(&name, "is not there", Ok(Status::Unchanged));
                }
                Err(DescribeTopicError::NotFound(_)) => {
                    let refusal = no_topic(&self.admin, &name).await;
                    refusals.push(refusal.detail("With --if-exists that is no error"));
                }
                Err(error) => refusals.push(admin_refusal!(error, "topic {name} cannot be described")),
            }
        }
        match refusals.is_empty() {
            true => Ok(found),
            false => nothing_done(refusals, terminal).map(|()| found),
        }
    }
}

fn not_created(name: &str, error: &CreateTopicError) -> Refusal {
    let refusal = admin_refusal!(*error, "topic {name} was not created");
    match error {
        CreateTopicError::AlreadyExists(_) => refusal.hint("With --if-not-exists that is no error"),
        CreateTopicError::InvalidName(_) | CreateTopicError::Call(_) | CreateTopicError::Refused(_) => {
            refusal
        }
    }
}

/// A pattern for whole names.
pub fn pattern_of(text: &str) -> Result<Regex, Refusal> {
    Regex::new(&format!("^(?:{text})$")).map_err(|error| Refusal::no_regex(text, &error))
}

fn check_names(names: &[String]) -> Result<(), Refusal> {
    refuse_repeated(names)?;
    for name in names {
        TopicName::new(name).map_err(|error| {
            Refusal::usage(format!("'{name}' is no name for a topic"))
                .detail(error)
                .hint("Allowed are up to 249 ASCII letters, digits, '.', '_' and '-'")
        })?;
    }
    Ok(())
}

/// Copies of each partition, which are as many as those of the first one.
fn replicas_of(topic: &TopicDescription) -> Value {
    json!(topic.partitions.first().map(|partition| partition.replicas.len()))
}

fn layout_text(created: &CreatedTopic, configs: &BTreeMap<String, String>) -> String {
    let partitions = created.partitions.map(|count| format!("partitions={count}"));
    let replicas = created.replication_factor.map(|count| format!("replicas={count}"));
    let configs = configs.iter().map(|(key, value)| format!("{key}={value}"));
    partitions.into_iter().chain(replicas).chain(configs).collect::<Vec<_>>().join(" ")
}

fn document_of(topic: &TopicDescription, settings: &BTreeMap<String, Option<String>>) -> Value {
    let mut partitions = Table::new(&PARTITIONS_OF_ALL[1..]);
    for partition in partition_cells(topic) {
        partitions.push(partition);
    }
    json!({
        "name": topic.name,
        "id": topic.id.map(|id| id.to_string()),
        "internal": topic.is_internal,
        "partitions": partitions.objects(),
        "configs": settings.iter().map(|(key, value)| (key.clone(), json!(value))).collect::<Map<_, _>>(),
    })
}

fn partition_cells(topic: &TopicDescription) -> impl Iterator<Item = [Value; 6]> {
    topic.partitions.iter().map(|partition| {
        let ids = |brokers: &[ottla_model::BrokerId]| {
            json!(brokers.iter().map(|id| id.value()).collect::<Vec<_>>())
        };
        [
            json!(partition.index.value()),
            json!(partition.leader.map(|leader| leader.value())),
            json!(partition.leader_epoch.map(|epoch| epoch.value())),
            ids(&partition.replicas),
            ids(&partition.in_sync),
            ids(&partition.offline),
        ]
    })
}

fn add_sections(
    topic: &TopicDescription,
    settings: &BTreeMap<String, Option<String>>,
    (sections, all): (&mut Vec<(Option<String>, Table)>, &mut Table),
) {
    let mut summary = Table::new(SUMMARY);
    summary.push([
        json!(topic.name),
        json!(topic.id.map(|id| id.to_string())),
        json!(topic.is_internal),
        json!(topic.partitions.len()),
        replicas_of(topic),
    ]);
    sections.push((None, summary));
    let mut partitions = Table::new(PARTITIONS);
    for cells in partition_cells(topic) {
        let [index, leader, epoch, replicas, in_sync, offline] = cells.clone();
        all.push([json!(topic.name), index, leader, epoch, replicas, in_sync, offline]);
        partitions.push(cells);
    }
    sections.push((None, partitions));
    if !settings.is_empty() {
        let mut table = Table::new(SETTINGS);
        for (key, value) in settings {
            table.push([json!(key), json!(value)]);
        }
        sections.push((None, table));
    }
}
