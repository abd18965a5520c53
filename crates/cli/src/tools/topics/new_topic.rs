//! The topic that `kafka-topics --create` describes.
//!
//! Owns: reading it from the options, the checks that Kafka's tool makes before it asks the cluster.
//! Does not own: creating it.

use std::collections::{BTreeMap, BTreeSet};

use ottla_client::admin::{Layout, NewTopic};
use ottla_metadata::config::{Layers, Settings, check_topic, topic_keys};
use ottla_model::BrokerId;

use super::super::failure::Failure;
use crate::jopt::Given;

/// Reads the topic from the options.
pub(super) fn parse(given: &Given) -> Result<NewTopic, Failure> {
    let of_option = |error| Failure::from(&error);
    let name = given.value("topic").map_err(of_option)?.unwrap_or_default().to_owned();
    let partitions = given.number::<i32>("partitions").map_err(of_option)?;
    let factor = given.number::<i32>("replication-factor").map_err(of_option)?;
    let assignment = given.value("replica-assignment").map_err(of_option)?;
    let layout = match assignment {
        Some(text) => Layout::Assigned(parse_assignment(text)?),
        None => Layout::Counts { partitions, replication_factor: factor.map(checked_factor).transpose()? },
    };
    Ok(NewTopic { name, layout, configs: parse_configs(given)? })
}

fn checked_factor(factor: i32) -> Result<i16, Failure> {
    i16::try_from(factor).ok().filter(|factor| *factor >= 1).ok_or_else(|| {
        let message = format!("The replication factor must be between 1 and {} inclusive", i16::MAX);
        Failure::illegal_argument(message)
    })
}

/// Checks what the cluster is not asked about.
pub(super) fn check(topic: &NewTopic) -> Result<(), Failure> {
    if let Layout::Counts { partitions: Some(..1), .. } = topic.layout {
        return Err(Failure::illegal_argument("The partitions must be greater than 0"));
    }
    let settings: Settings = topic.configs.clone().into_iter().collect();
    let unknown = settings.keys().find(|name| !topic_keys().contains_key(name.as_str()));
    if let Some(unknown) = unknown {
        let class = "org.apache.kafka.common.errors.InvalidConfigurationException";
        return Err(Failure::new(class, format!("Unknown topic config name: {unknown}")));
    }
    let checked = check_topic(&settings, &Layers::new(Settings::new()));
    checked.map_err(|error| Failure::new("org.apache.kafka.common.config.ConfigException", error.to_string()))
}

/// Reads `1:2,2:3`: the replicas of partition after partition.
pub(super) fn parse_assignment(text: &str) -> Result<Vec<Vec<BrokerId>>, Failure> {
    let mut partitions: Vec<Vec<BrokerId>> = Vec::new();
    for list in text.split(',') {
        let mut replicas = Vec::new();
        for id in list.split(':') {
            let number = id.trim().parse().ok().and_then(BrokerId::new);
            let bad = || {
                Failure::new(
                    "java.lang.NumberFormatException",
                    format!("For input string: \"{}\"", id.trim()),
                )
            };
            replicas.push(number.ok_or_else(bad)?);
        }
        let distinct: BTreeSet<BrokerId> = replicas.iter().copied().collect();
        if distinct.len() < replicas.len() {
            let repeated = |id: &&BrokerId| replicas.iter().filter(|other| other == id).count() > 1;
            let repeated: Vec<String> = distinct.iter().filter(repeated).map(ToString::to_string).collect();
            let message =
                format!("Partition replica lists may not contain duplicate entries: {}", repeated.join(","));
            return Err(Failure::new("org.apache.kafka.tools.AdminCommandFailedException", message));
        }
        if partitions.first().is_some_and(|first| first.len() != replicas.len()) {
            let ids: Vec<String> = replicas.iter().map(ToString::to_string).collect();
            let message = format!(
                "Partition {} has different replication factor: [{}]",
                partitions.len(),
                ids.join(", ")
            );
            return Err(Failure::new("org.apache.kafka.server.common.AdminOperationException", message));
        }
        partitions.push(replicas);
    }
    Ok(partitions)
}

fn parse_configs(given: &Given) -> Result<BTreeMap<String, String>, Failure> {
    let mut configs = BTreeMap::new();
    for text in given.values("config") {
        let Some((key, value)) = text.split_once('=') else {
            return Err(Failure::illegal_argument(
                "requirement failed: Invalid topic config: all configs to be added must be in the format \"key=val\".",
            ));
        };
        configs.insert(key.trim().to_owned(), value.trim().to_owned());
    }
    Ok(configs)
}
