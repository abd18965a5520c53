//! `ottla config`: show and change settings of topics, brokers and groups.
//!
//! Owns: its flags, which entries it shows; changing settings after trying all changes.
//! Does not own: the keys and their values, which the cluster checks.
//!
//! | Form | Fields |
//! |---|---|
//! | `get` | `key`, `value`, `source`, `read_only`, `sensitive` |
//! | changes | those of `plan` |

use clap::{Parser, Subcommand, ValueEnum};
use ottla_client::Admin;
use ottla_client::admin::{
    ConfigChange, ConfigEntry, ConfigResource, ConfigSource, DescribeClusterError, DescribeConfigError,
    DescribeConfigsOptions, ResourceKind,
};
use serde_json::json;

use super::connection::{ConnectionFlags, Environment, OutputFlags, key_value};
use super::on_runtime;
use super::partitions::not_there;
use super::plan::{Plan, Status, nothing_done, refuse_repeated};
use super::refusal::Refusal;
use super::report::{Column, Output, Report, Table, column, wide};
use super::similar::similar;
use super::topic::DryRun;
use crate::admin_refusal;
use crate::terminal::Terminal;

/// Show and change settings of topics, brokers and groups.
#[derive(Debug, Parser)]
#[command(name = "ottla config", bin_name = "ottla config")]
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
    /// Show settings that differ from the default, or those that are named
    Get {
        /// What the setting is of
        kind: Kind,
        /// A topic, a group, the id of a broker, or 'default' for all brokers
        name: String,
        /// Settings to show, whether they differ from the default or not
        #[arg(value_name = "KEY")]
        keys: Vec<String>,
        /// All settings
        #[arg(short, long)]
        all: bool,
    },
    /// Change settings
    Set {
        /// What the setting is of
        kind: Kind,
        /// A topic, a group, the id of a broker, or 'default' for all brokers
        name: String,
        /// Settings and their new values
        #[arg(required = true, value_name = "KEY=VALUE", value_parser = key_value)]
        settings: Vec<(String, String)>,
        #[command(flatten)]
        dry: DryRun,
    },
    /// Set settings back to their defaults
    Unset {
        /// What the setting is of
        kind: Kind,
        /// A topic, a group, the id of a broker, or 'default' for all brokers
        name: String,
        /// Settings to take back
        #[arg(required = true, value_name = "KEY")]
        keys: Vec<String>,
        #[command(flatten)]
        dry: DryRun,
    },
}

/// What has settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    Topic,
    Broker,
    Group,
}

const COLUMNS: &[Column] =
    &[column("key"), column("value"), column("source"), wide("read_only"), wide("sensitive")];

/// Runs the command.
pub fn run(flags: &Flags, terminal: &mut Terminal<'_>) -> Result<(), Refusal> {
    let environment = Environment::of_process();
    let output = flags.output.output;
    on_runtime(async {
        match &flags.action {
            Action::Get { kind, name, keys, all } => {
                let resource = resource_of(*kind, name)?;
                refuse_repeated(keys)?;
                let admin = flags.connection.admin(&environment).await?;
                check_there(&admin, &resource).await?;
                let shown = shown(&resource, entries_of(&admin, &resource).await?, (keys, *all))?;
                Report::list(table_of(shown)).print(output, terminal);
                Ok(())
            }
            Action::Set { kind, name, settings, dry } => {
                let change = (resource_of(*kind, name)?, changes_of(settings, &[])?);
                let admin = flags.connection.admin(&environment).await?;
                change_one(&admin, ("set", change, *dry), (output, terminal)).await
            }
            Action::Unset { kind, name, keys, dry } => {
                let change = (resource_of(*kind, name)?, changes_of(&[], keys)?);
                let admin = flags.connection.admin(&environment).await?;
                change_one(&admin, ("unset", change, *dry), (output, terminal)).await
            }
        }
    })
}

/// Changes the settings of one thing, which must be there.
async fn change_one(
    admin: &Admin,
    (action, change, dry): (&'static str, Change, DryRun),
    (output, terminal): (Output, &mut Terminal<'_>),
) -> Result<(), Refusal> {
    check_there(admin, &change.0).await?;
    let mut plan = Plan::new(action, kind_of(&change.0));
    apply(admin, (vec![change], dry), &mut plan, terminal).await?;
    plan.finish(output, terminal)
}

/// A topic or broker that is not there is told with those that are; of a group settings may be made before it is there.
async fn check_there(admin: &Admin, resource: &ConfigResource) -> Result<(), Refusal> {
    let name = &resource.name;
    match resource.kind {
        ResourceKind::Topic => {
            let listed = admin.list_topics().await;
            let listed =
                listed.map_err(|error| Refusal::no_answer("the topics could not be listed", &error))?;
            let names = || listed.iter().map(|topic| topic.name.as_str());
            if names().any(|known| known == name) { Ok(()) } else { Err(not_there(("topic", name), names())) }
        }
        ResourceKind::Broker if !name.is_empty() => {
            let failed =
                |error: DescribeClusterError| admin_refusal!(error, "the brokers could not be listed");
            let ids = admin.describe_cluster(false).await.map_err(failed)?.nodes;
            let ids: Vec<String> = ids.iter().map(|node| node.id.to_string()).collect();
            if ids.contains(name) {
                return Ok(());
            }
            Err(Refusal::failed(format!("there is no broker {name}"))
                .detail(format_args!("There are {}", ids.join(", ")))
                .hint("`ottla cluster nodes` shows them"))
        }
        ResourceKind::Broker
        | ResourceKind::BrokerLogger
        | ResourceKind::ClientMetrics
        | ResourceKind::Group => Ok(()),
    }
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Topic => "topic",
            Kind::Broker => "broker",
            Kind::Group => "group",
        }
    }
}

fn kind_of(resource: &ConfigResource) -> &'static str {
    match resource.kind {
        ResourceKind::Topic => "topic",
        ResourceKind::Broker => "broker",
        ResourceKind::BrokerLogger => "logger",
        ResourceKind::ClientMetrics => "client-metrics",
        ResourceKind::Group => "group",
    }
}

/// What the words mean. The default of all brokers has the empty name in the protocol.
fn resource_of(kind: Kind, name: &str) -> Result<ConfigResource, Refusal> {
    let refused = |allowed: &str| {
        Err(Refusal::usage(format!("'{name}' is no {}", kind.name()))
            .hint(format_args!("Allowed is {allowed}")))
    };
    match kind {
        _ if name.is_empty() => refused("a name that is not empty"),
        Kind::Topic => Ok(ConfigResource::new(ResourceKind::Topic, name)),
        Kind::Group => Ok(ConfigResource::new(ResourceKind::Group, name)),
        Kind::Broker if name == "default" => Ok(ConfigResource::new(ResourceKind::Broker, "")),
        Kind::Broker => match name.parse::<i32>() {
            Ok(0..) => Ok(ConfigResource::new(ResourceKind::Broker, name)),
            Ok(_) | Err(_) => refused("the id of a broker, or 'default' for what all brokers share"),
        },
    }
}

/// The entries of one resource, by name.
pub async fn entries_of(admin: &Admin, resource: &ConfigResource) -> Result<Vec<ConfigEntry>, Refusal> {
    let what = what(resource);
    let failed = |error| Refusal::no_answer(format!("the settings of {what} cannot be shown"), &error);
    let options = DescribeConfigsOptions { synonyms: false, documentation: false };
    let answers = admin.describe_configs(std::slice::from_ref(resource), options).await.map_err(failed)?;
    let mut entries = Vec::new();
    for (_, answer) in answers {
        let answer = answer.map_err(|error: DescribeConfigError| {
            admin_refusal!(error, "the settings of {what} cannot be shown")
        });
        entries.extend(answer?);
    }
    entries.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(entries)
}

/// Whether a value was set for this kind of thing itself, and is not what it would be anyway.
pub fn is_own(kind: ResourceKind, source: ConfigSource) -> bool {
    match source {
        ConfigSource::DynamicTopic
        | ConfigSource::DynamicBroker
        | ConfigSource::DynamicBrokerLogger
        | ConfigSource::DynamicClientMetrics
        | ConfigSource::DynamicGroup => true,
        ConfigSource::DynamicDefaultBroker | ConfigSource::StaticBroker => kind == ResourceKind::Broker,
        ConfigSource::Unknown | ConfigSource::Default => false,
    }
}

fn shown(
    resource: &ConfigResource,
    entries: Vec<ConfigEntry>,
    (keys, all): (&[String], bool),
) -> Result<Vec<ConfigEntry>, Refusal> {
    if let Some(unknown) = keys.iter().find(|key| entries.iter().all(|entry| entry.name != **key)) {
        return Err(no_setting(resource, unknown, &entries));
    }
    let is_shown = |entry: &ConfigEntry| match keys.is_empty() {
        true => all || is_own(resource.kind, entry.source),
        false => keys.contains(&entry.name),
    };
    Ok(entries.into_iter().filter(is_shown).collect())
}

fn no_setting(resource: &ConfigResource, key: &str, entries: &[ConfigEntry]) -> Refusal {
    let near = similar(key, entries.iter().map(|entry| entry.name.as_str()));
    Refusal::failed(format!("{} has no setting '{key}'", what(resource)))
        .reminding(&near, "`ottla config get` with --all shows which there are")
}

fn table_of(entries: Vec<ConfigEntry>) -> Table {
    let mut table = Table::new(COLUMNS);
    for entry in entries {
        let source = entry.source.name();
        table.push([
            json!(entry.name),
            json!(entry.value),
            json!(source),
            json!(entry.is_read_only),
            json!(entry.is_sensitive),
        ]);
    }
    table
}

/// The changes that were asked for; no key may be named twice.
pub fn changes_of(
    set: &[(String, String)],
    unset: &[String],
) -> Result<Vec<(String, ConfigChange)>, Refusal> {
    let set = set.iter().map(|(key, value)| (key.clone(), ConfigChange::Set(value.clone())));
    let changes: Vec<(String, ConfigChange)> =
        set.chain(unset.iter().map(|key| (key.clone(), ConfigChange::Delete))).collect();
    refuse_repeated(&changes.iter().map(|(key, _)| key.clone()).collect::<Vec<_>>())?;
    Ok(changes)
}

/// The changes of one resource: the key, and what becomes of it.
type Change = (ConfigResource, Vec<(String, ConfigChange)>);

/// The changes of each resource.
pub type Changes = Vec<Change>;

/// Whether there is anything to take back. Kafka takes every key back, also one that nobody has.
async fn is_anything_set(admin: &Admin, (resource, changes): &Change) -> Result<bool, Refusal> {
    let is_deletion = |change: &ConfigChange| matches!(change, ConfigChange::Delete);
    let deletions = || changes.iter().filter(|(_, change)| is_deletion(change)).map(|(key, _)| key);
    if deletions().next().is_none() {
        return Ok(true);
    }
    let entries = entries_of(admin, resource).await?;
    let entry = |key: &String| entries.iter().find(|entry| entry.name == *key);
    // What all brokers share is only told as far as it is set.
    let is_default = resource.kind == ResourceKind::Broker && resource.name.is_empty();
    if let Some(unknown) = deletions().find(|key| entry(key).is_none()).filter(|_| !is_default) {
        return Err(no_setting(resource, unknown, &entries));
    }
    let is_set = |entry: &ConfigEntry| match entry.source {
        ConfigSource::DynamicDefaultBroker => is_default,
        ConfigSource::StaticBroker | ConfigSource::Default => false,
        ConfigSource::DynamicTopic
        | ConfigSource::DynamicBroker
        | ConfigSource::DynamicBrokerLogger
        | ConfigSource::DynamicClientMetrics
        | ConfigSource::DynamicGroup
        | ConfigSource::Unknown => true,
    };
    Ok(changes.iter().any(|(_, change)| !is_deletion(change))
        || deletions().any(|key| entry(key).is_some_and(is_set)))
}

/// Changes settings once the cluster would take all changes; with a dry run it only asks.
pub async fn apply(
    admin: &Admin,
    (changes, dry): (Changes, DryRun),
    plan: &mut Plan,
    terminal: &mut Terminal<'_>,
) -> Result<(), Refusal> {
    let failed = |error| Refusal::no_answer("the settings were not changed", &error);
    let (mut idle, mut refusals) = (Vec::new(), Vec::new());
    for change in &changes {
        match is_anything_set(admin, change).await {
            Ok(is_set) => idle.push(!is_set),
            Err(refusal) => refusals.push(refusal),
        }
    }
    if !refusals.is_empty() {
        return nothing_done(refusals, terminal);
    }
    let tried = admin.alter_configs(&changes, true).await.map_err(failed)?;
    let refused = |resource: &ConfigResource, error: &ottla_client::admin::AlterConfigError| {
        admin_refusal!(*error, "the settings of {} were not changed", what(resource))
    };
    let refusals: Vec<Refusal> = tried
        .iter()
        .filter_map(|(resource, outcome)| Some(refused(resource, outcome.as_ref().err()?)))
        .collect();
    if !refusals.is_empty() {
        return nothing_done(refusals, terminal);
    }
    let (outcomes, status) = match dry.dry_run {
        true => (tried, Status::Planned),
        false => (admin.alter_configs(&changes, false).await.map_err(failed)?, Status::Done),
    };
    for (((resource, outcome), (_, changes)), is_idle) in outcomes.iter().zip(&changes).zip(idle) {
        let status = if is_idle { Status::Unchanged } else { status };
        let outcome = outcome.as_ref().map(|()| status).map_err(|error| refused(resource, error));
        let name = if resource.name.is_empty() { "default" } else { &resource.name };
        plan.push(name, &text_of(changes), outcome);
    }
    Ok(())
}

fn text_of(changes: &[(String, ConfigChange)]) -> String {
    let text = |(key, change): &(String, ConfigChange)| match change {
        ConfigChange::Set(value) => format!("{key}={value}"),
        ConfigChange::Delete => format!("{key}=default"),
        ConfigChange::Append(items) => format!("{key}+={items}"),
        ConfigChange::Subtract(items) => format!("{key}-={items}"),
    };
    changes.iter().map(text).collect::<Vec<_>>().join(" ")
}

fn what(resource: &ConfigResource) -> String {
    let name = &resource.name;
    match resource.kind {
        ResourceKind::Topic => format!("topic {name}"),
        ResourceKind::Broker if name.is_empty() => "all brokers".to_owned(),
        ResourceKind::Broker => format!("broker {name}"),
        ResourceKind::BrokerLogger => format!("the loggers of broker {name}"),
        ResourceKind::ClientMetrics => format!("client metrics {name}"),
        ResourceKind::Group => format!("group {name}"),
    }
}
