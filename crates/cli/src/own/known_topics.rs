//! Topics that a command names: that they are there, with how many partitions.
//!
//! Owns: the question, the refusal.
//! Does not own: showing and changing topics (`topic`), offsets (`ends`), which names are alike (`similar`).

use std::collections::BTreeMap;

use ottla_client::Admin;
use ottla_client::admin::DescribeTopicError;
use ottla_model::{PartitionIndex, TopicName};
use regex::Regex;

use super::partitions::describe;
use super::refusal::Refusal;
use super::similar::similar;
use crate::admin_refusal;

/// Topics and their partitions.
pub type KnownTopics = BTreeMap<TopicName, Vec<PartitionIndex>>;

/// The topics with these names, each of which must be there.
pub async fn named(admin: &Admin, names: &[String]) -> Result<KnownTopics, Refusal> {
    for name in names {
        TopicName::new(name)
            .map_err(|error| Refusal::usage(format!("'{name}' is no name for a topic")).detail(error))?;
    }
    let mut known = KnownTopics::new();
    for (name, outcome) in describe(admin, names).await? {
        let topic = match outcome {
            Ok(topic) => topic,
            Err(DescribeTopicError::NotFound(_)) => return Err(unknown(admin, &name).await),
            Err(error) => return Err(admin_refusal!(error, "topic {name} cannot be described")),
        };
        if let Ok(name) = TopicName::new(&topic.name) {
            known.insert(name, topic.partitions.iter().map(|partition| partition.index).collect());
        }
    }
    Ok(known)
}

/// The topics that one of the patterns matches; there must be one. The brokers' own need a pattern with their name.
pub async fn matching(admin: &Admin, patterns: &[Regex]) -> Result<KnownTopics, Refusal> {
    let failed = |error| Refusal::no_answer("the topics could not be listed", &error);
    let listed = admin.list_topics().await.map_err(failed)?;
    let is_wanted = |name: &str| patterns.iter().any(|pattern| pattern.is_match(name));
    let names = listed.into_iter().filter(|topic| !topic.is_internal && is_wanted(&topic.name));
    let names: Vec<String> = names.map(|topic| topic.name).collect();
    match names.is_empty() {
        true => Err(Refusal::failed("no topic has a name that matches")
            .detail("Patterns are for whole names, and pass over the brokers' own topics")
            .hint("`ottla topic list` shows which there are")),
        false => named(admin, &names).await,
    }
}

/// The refusal of a topic that is not there.
async fn unknown(admin: &Admin, name: &str) -> Refusal {
    // Without a list the refusal is as right, only less helpful.
    let listed = admin.list_topics().await.unwrap_or_default();
    let near = similar(name, listed.iter().map(|topic| topic.name.as_str()));
    let otherwise = format!("`ottla topic list` shows which there are; `ottla topic create {name}` makes it");
    Refusal::failed(format!("there is no topic '{name}'")).reminding(&near, &otherwise)
}
