//! Topics that a command names: that they are there, with how many partitions.
//!
//! Owns: the question, and the refusal that names a similar topic.
//! Does not own: showing and changing topics (`topic`), offsets (`ends`).

use std::collections::BTreeMap;

use ottla_client::Admin;
use ottla_client::admin::DescribeTopicError;
use ottla_model::{PartitionIndex, TopicName};
use regex::Regex;

use super::partitions::describe;
use super::refusal::Refusal;
use crate::admin_refusal;

/// How alike two names must be to be taken for each other, of 1 for equal ones.
const ALIKE: f64 = 0.7;

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
    let refusal = Refusal::failed(format!("there is no topic '{name}'"));
    // Without a list the refusal is as right, only less helpful.
    let listed = admin.list_topics().await.unwrap_or_default();
    match similar(name, listed.iter().map(|topic| topic.name.as_str())) {
        Some(other) => refusal.hint(format_args!("Is '{other}' meant?")),
        None => refusal.hint(format_args!(
            "`ottla topic list` shows which there are; `ottla topic create {name}` makes it"
        )),
    }
}

/// The name that is most like this one, if it is alike enough.
fn similar<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let small = name.to_ascii_lowercase();
    let rated = known.map(|other| (strsim::jaro_winkler(&small, &other.to_ascii_lowercase()), other));
    let best = rated.max_by(|(one, _), (other, _)| one.total_cmp(other))?;
    (best.0 > ALIKE).then_some(best.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_taken_for_another_only_if_they_are_alike() {
        let known = ["orders", "bills", "orders-archive", "Customer.Events"];
        for (name, expected) in [
            ("ordres", Some("orders")),
            ("order", Some("orders")),
            ("customer.events", Some("Customer.Events")),
            ("bill", Some("bills")),
            ("xyz", None),
            ("payments", None),
        ] {
            assert_eq!(similar(name, known.into_iter()), expected, "{name}");
        }
        assert_eq!(similar("a", std::iter::empty()), None);
    }
}
