//! Topics, brokers, loggers, groups and client metrics: what the protocol calls configured resources.
//!
//! Owns: describing and altering them. Does not own: reading the command line (`entity`, `changes`).

use std::collections::BTreeSet;

use ottla_client::Admin;
use ottla_client::admin::{ConfigEntry, ConfigResource, DescribeConfigsOptions, ResourceKind};
use ottla_client::error::CallError;
use ottla_model::TopicName;

use super::super::failure::{Failure, groups_not_listed};
use super::changes::Changes;
use super::entity::EntityType;
use crate::operation_failure;
use crate::terminal::Terminal;

/// Describes one entity, or all of the type.
pub(super) async fn describe(
    admin: &Admin,
    (kind, name): (EntityType, Option<&str>),
    all: bool,
    terminal: &mut Terminal<'_>,
) -> Result<(), Failure> {
    let names = match name {
        Some(name) => {
            if !all && !exists(admin, kind, name).await? {
                let kind = kind.singular();
                terminal.out_line(format_args!(
                    "The {kind} '{name}' doesn't exist and doesn't have dynamic config."
                ));
                return Ok(());
            }
            vec![name.to_owned()]
        }
        None => names(admin, kind).await?,
    };
    for name in names {
        match name.as_str() {
            "" => terminal.out_line(format_args!("Default configs for {} in the cluster are:", kind.name())),
            name => {
                let which = if all { "All" } else { "Dynamic" };
                terminal.out_line(format_args!("{which} configs for {} {name} are:", kind.singular()));
            }
        }
        for entry in entries(admin, (kind, &name), all).await? {
            terminal.out_line(line(&entry));
        }
    }
    Ok(())
}

/// Makes the changes of one entity.
pub(super) async fn alter(
    admin: &Admin,
    (kind, name): (EntityType, &str),
    changes: Changes,
) -> Result<(), Failure> {
    let Some((resource, _)) = kind.resource(name) else { return Ok(()) };
    let changes = [(ConfigResource::new(resource, name), changes.wire())];
    let outcomes = admin.alter_configs(&changes, false).await;
    for (_, outcome) in outcomes.map_err(|error| Failure::from(&error).in_execution())? {
        outcome.map_err(|error| operation_failure!(error).in_execution())?;
    }
    Ok(())
}

/// Only loggers that the broker has can be changed.
pub(super) async fn check_loggers(admin: &Admin, broker: &str, changes: &Changes) -> Result<(), Failure> {
    let entries = entries(admin, (EntityType::BrokerLoggers, broker), false).await?;
    let known: BTreeSet<&str> = entries.iter().map(|entry| entry.name.as_str()).collect();
    let added = changes.add.iter().map(|(key, _)| key.as_str());
    let unknown: Vec<&str> =
        changes.delete.iter().map(String::as_str).chain(added).filter(|name| !known.contains(name)).collect();
    match unknown.as_slice() {
        [] => Ok(()),
        unknown => Err(Failure::new(
            "org.apache.kafka.common.errors.InvalidConfigurationException",
            format!("Invalid broker logger(s): {}", unknown.join(",")),
        )),
    }
}

/// `  name=value sensitive=false synonyms={SOURCE:name=value, …}`
fn line(entry: &ConfigEntry) -> String {
    let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "null".to_owned());
    let synonym = |synonym: &ottla_client::admin::ConfigSynonym| {
        format!("{}:{}={}", synonym.source.name(), synonym.name, text(&synonym.value))
    };
    let synonyms: Vec<String> = entry.synonyms.iter().map(synonym).collect();
    format!(
        "  {}={} sensitive={} synonyms={{{}}}",
        entry.name,
        text(&entry.value),
        entry.is_sensitive,
        synonyms.join(", ")
    )
}

/// The settings of one entity by name: all, or those that were made for it.
async fn entries(
    admin: &Admin,
    (kind, name): (EntityType, &str),
    all: bool,
) -> Result<Vec<ConfigEntry>, Failure> {
    let Some((resource, own)) = kind.resource(name) else { return Ok(Vec::new()) };
    let options = DescribeConfigsOptions { synonyms: true, documentation: false };
    let outcomes = admin.describe_configs(&[ConfigResource::new(resource, name)], options).await;
    let mut entries = Vec::new();
    for (_, outcome) in outcomes.map_err(|error| waited(&error))? {
        entries.extend(outcome.map_err(|error| operation_failure!(error).in_execution())?);
    }
    entries.retain(|entry| all || own.is_none_or(|own| entry.source == own));
    entries.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(entries)
}

/// The tool itself stops waiting for a description, and says no more than that.
fn waited(error: &CallError) -> Failure {
    match error {
        CallError::NoNode { .. } | CallError::TimedOut { .. } => {
            Failure::silent("java.util.concurrent.TimeoutException")
        }
        CallError::Unsupported { .. }
        | CallError::TooOld { .. }
        | CallError::Connect { .. }
        | CallError::Lost { .. }
        | CallError::Malformed { .. }
        | CallError::Unwritable { .. }
        | CallError::Rejected(_)
        | CallError::Closed => Failure::from(error).in_execution(),
    }
}

async fn exists(admin: &Admin, kind: EntityType, name: &str) -> Result<bool, Failure> {
    match kind {
        EntityType::Topics => {
            TopicName::new(name).map_err(|error| {
                let class = "org.apache.kafka.common.errors.InvalidTopicException";
                Failure::new(class, error.to_string())
            })?;
        }
        EntityType::Brokers | EntityType::BrokerLoggers if name.is_empty() => return Ok(true),
        EntityType::Brokers
        | EntityType::BrokerLoggers
        | EntityType::ClientMetrics
        | EntityType::Groups
        | EntityType::Clients
        | EntityType::Users
        | EntityType::Ips => {}
    }
    Ok(names(admin, kind).await?.iter().any(|known| known == name))
}

/// All entities of a type.
async fn names(admin: &Admin, kind: EntityType) -> Result<Vec<String>, Failure> {
    let failed = |error: CallError| Failure::from(&error).in_execution();
    match kind {
        EntityType::Topics => {
            let topics = admin.list_topics().await.map_err(failed)?;
            Ok(topics.into_iter().map(|topic| topic.name).collect())
        }
        EntityType::Brokers | EntityType::BrokerLoggers => {
            let cluster = admin.describe_cluster(false).await;
            let cluster = cluster.map_err(|error| operation_failure!(error).in_execution())?;
            // Behind the brokers stands the default of all of them.
            let ids = cluster.nodes.iter().map(|node| node.id.to_string());
            Ok(ids.chain([String::new()]).collect())
        }
        EntityType::ClientMetrics => configured(admin, ResourceKind::ClientMetrics).await,
        EntityType::Groups => {
            let groups = admin.list_groups(&[], &[]).await;
            let groups = groups.map_err(|error| groups_not_listed(&error).in_execution())?;
            let mut names: BTreeSet<String> = groups.into_iter().map(|group| group.id).collect();
            names.extend(configured(admin, ResourceKind::Group).await?);
            Ok(names.into_iter().collect())
        }
        EntityType::Clients | EntityType::Users | EntityType::Ips => Ok(Vec::new()),
    }
}

/// The resources of a kind that have settings of their own.
async fn configured(admin: &Admin, kind: ResourceKind) -> Result<Vec<String>, Failure> {
    match admin.list_config_resources(&[kind]).await {
        Ok(resources) => Ok(resources.into_iter().map(|resource| resource.name).collect()),
        // An older broker does not list them; then there are none to tell of.
        Err(ottla_client::admin::ListConfigResourcesError::Call(CallError::Unsupported { .. }))
            if kind == ResourceKind::Group =>
        {
            Ok(Vec::new())
        }
        Err(error) => Err(operation_failure!(error).in_execution()),
    }
}
