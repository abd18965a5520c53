//! `kafka-topics --describe`.
//!
//! Owns: which topics and partitions are shown, and the lines they are shown in.
//! Does not own: asking for them (`ottla_client::Admin`).
//!
//! Scripts read these lines: fields stand between tabs, in Kafka's order.

use std::collections::{BTreeMap, BTreeSet};

use ottla_client::Admin;
use ottla_client::admin::{
    ConfigEntry, ConfigResource, ConfigSource, DescribeConfigsOptions, PARTITIONS_PER_ANSWER,
    PartitionDescription, Reassignment, ResourceKind, TopicDescription,
};
use ottla_model::{BrokerId, TopicId, TopicName, TopicPartition};

use super::super::failure::Failure;
use super::super::java;
use crate::jopt::Given;
use crate::operation_failure;
use crate::terminal::Terminal;

/// Options that choose partitions.
pub(super) const FILTERS: [&str; 4] = [
    "under-replicated-partitions",
    "under-min-isr-partitions",
    "at-min-isr-partitions",
    "unavailable-partitions",
];

/// What is known beside the descriptions.
struct Facts {
    configs: BTreeMap<String, Vec<ConfigEntry>>,
    reassignments: BTreeMap<TopicPartition, Reassignment>,
    live: BTreeSet<BrokerId>,
}

/// Shows the topics that the options choose.
pub(super) async fn run(admin: &Admin, given: &Given, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
    let mut topics = chosen(admin, given).await?;
    topics.sort_by(|a, b| a.name.cmp(&b.name));
    let facts = facts(admin, &topics).await?;
    for topic in &topics {
        show(topic, &facts, given, terminal);
    }
    Ok(())
}

async fn chosen(admin: &Admin, given: &Given) -> Result<Vec<TopicDescription>, Failure> {
    let of_option = |error| Failure::from(&error);
    if let Some(text) = given.value("topic-id").map_err(of_option)?.filter(|text| !text.is_empty()) {
        let id = java::uuid(text)?;
        if let Some(id) = TopicId::new(id) {
            return by_id(admin, given, (id, text)).await;
        }
    }
    let limit = given.number::<i32>("partition-size-limit-per-response").map_err(of_option)?;
    let names = super::named_topics(admin, given).await?;
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let described = admin.describe_topics(&names, limit.unwrap_or(PARTITIONS_PER_ANSWER)).await;
    let mut topics = Vec::new();
    for (_, outcome) in described.map_err(|error| Failure::from(&error))? {
        topics.push(outcome.map_err(|error| operation_failure!(error))?);
    }
    Ok(topics)
}

async fn by_id(
    admin: &Admin,
    given: &Given,
    (id, text): (TopicId, &str),
) -> Result<Vec<TopicDescription>, Failure> {
    let listed = admin.list_topics().await.map_err(|error| Failure::from(&error))?;
    let is_there = listed
        .iter()
        .any(|topic| topic.id == Some(id) && !(given.has("exclude-internal") && topic.is_internal));
    if !is_there {
        if given.has("if-exists") {
            return Ok(Vec::new());
        }
        return Err(Failure::illegal_argument(format!("TopicId '{text}' does not exist as expected")));
    }
    let described = admin.describe_topics_by_id(&[id]).await.map_err(|error| Failure::from(&error))?;
    let topics = described.into_iter().map(|(_, outcome)| outcome.map_err(|error| operation_failure!(error)));
    topics.collect()
}

async fn facts(admin: &Admin, topics: &[TopicDescription]) -> Result<Facts, Failure> {
    let resources: Vec<ConfigResource> =
        topics.iter().map(|topic| ConfigResource::new(ResourceKind::Topic, &*topic.name)).collect();
    let described = admin.describe_configs(&resources, DescribeConfigsOptions::default()).await;
    let mut configs = BTreeMap::new();
    for (resource, outcome) in described.map_err(|error| Failure::from(&error))? {
        configs.insert(resource.name, outcome.map_err(|error| operation_failure!(error))?);
    }
    // Brokers that cannot tell, or may not, move nothing that could be shown.
    let reassignments = admin.list_reassignments().await.unwrap_or_default();
    let cluster = admin.describe_cluster(false).await.map_err(|error| operation_failure!(error))?;
    let live = cluster.nodes.iter().map(|node| node.id).collect();
    Ok(Facts { configs, reassignments, live })
}

fn show(topic: &TopicDescription, facts: &Facts, given: &Given, terminal: &mut Terminal<'_>) {
    let empty = Vec::new();
    let configs = facts.configs.get(&topic.name).unwrap_or(&empty);
    let own: Vec<&ConfigEntry> =
        configs.iter().filter(|entry| entry.source != ConfigSource::Default).collect();
    if given.has("topics-with-overrides") {
        if !own.is_empty() {
            terminal.out_line(headline(topic, facts, &own));
        }
        return;
    }
    if given.count(&FILTERS) == 0 {
        terminal.out_line(headline(topic, facts, &own));
    }
    let needed = configs.iter().find(|entry| entry.name == "min.insync.replicas");
    let needed: usize = needed.and_then(|entry| entry.value.as_deref()?.parse().ok()).unwrap_or(1);
    for partition in &topic.partitions {
        if is_chosen(partition, (facts, reassignment_of(topic, partition, facts)), needed, given) {
            terminal.out_line(partition_line(topic, partition, facts));
        }
    }
}

fn reassignment_of<'a>(
    topic: &TopicDescription,
    partition: &PartitionDescription,
    facts: &'a Facts,
) -> Option<&'a Reassignment> {
    let name = TopicName::new(&topic.name).ok()?;
    facts.reassignments.get(&TopicPartition::new(name, partition.index))
}

fn is_chosen(
    partition: &PartitionDescription,
    (facts, reassignment): (&Facts, Option<&Reassignment>),
    needed: usize,
    given: &Given,
) -> bool {
    let adding = reassignment.map_or(0, |reassignment| reassignment.adding.len());
    let in_sync = partition.in_sync.len();
    let leads = partition.leader.is_some_and(|leader| facts.live.contains(&leader));
    given.count(&FILTERS) == 0
        || (given.has("under-replicated-partitions") && in_sync + adding < partition.replicas.len())
        || (given.has("under-min-isr-partitions") && in_sync < needed)
        || (given.has("at-min-isr-partitions") && in_sync == needed)
        || (given.has("unavailable-partitions") && !leads)
}

fn headline(topic: &TopicDescription, facts: &Facts, own: &[&ConfigEntry]) -> String {
    let first = topic.partitions.first();
    let adding =
        first.and_then(|first| reassignment_of(topic, first, facts)).map_or(0, |one| one.adding.len());
    let factor = first.map_or(0, |first| first.replicas.len().saturating_sub(adding));
    let configs: Vec<String> = own
        .iter()
        .map(|entry| format!("{}={}", entry.name, entry.value.as_deref().unwrap_or("null")))
        .collect();
    format!(
        "Topic: {}\tTopicId: {}\tPartitionCount: {}\tReplicationFactor: {factor}\tConfigs: {}",
        topic.name,
        topic.id.map(TopicId::uuid).unwrap_or_default(),
        topic.partitions.len(),
        configs.join(",")
    )
}

fn partition_line(topic: &TopicDescription, partition: &PartitionDescription, facts: &Facts) -> String {
    let ids = |brokers: &[BrokerId]| brokers.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let leader = partition.leader.map_or("none".to_owned(), |leader| leader.to_string());
    let mut line = format!(
        "\tTopic: {}\tPartition: {}\tLeader: {leader}\tReplicas: {}\tIsr: {}",
        topic.name,
        partition.index,
        ids(&partition.replicas),
        ids(&partition.in_sync)
    );
    if let Some(reassignment) = reassignment_of(topic, partition, facts) {
        line.push_str(&format!("\tAdding Replicas: {}", ids(&reassignment.adding)));
        line.push_str(&format!("\tRemoving Replicas: {}", ids(&reassignment.removing)));
    }
    let maybe = |brokers: &Option<Vec<BrokerId>>| brokers.as_deref().map_or("N/A".to_owned(), ids);
    line.push_str(&format!("\tElr: {}", maybe(&partition.eligible_leaders)));
    line.push_str(&format!("\tLastKnownElr: {}", maybe(&partition.last_known_eligible_leaders)));
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    /// OUT-02: `none` leads where nobody does; brokers before 3.8 say nothing of eligible leaders.
    #[test]
    fn a_partition_is_one_line_of_tabbed_fields() {
        let ids = |ids: &[i32]| -> Vec<BrokerId> { ids.iter().filter_map(|id| BrokerId::new(*id)).collect() };
        let mut partition = PartitionDescription {
            index: ottla_model::PartitionIndex::default(),
            leader: None,
            leader_epoch: None,
            replicas: ids(&[2, 1]),
            in_sync: Vec::new(),
            offline: ids(&[2]),
            eligible_leaders: Some(ids(&[1])),
            last_known_eligible_leaders: Some(ids(&[2])),
        };
        let topic = TopicDescription {
            name: "t".to_owned(),
            id: None,
            is_internal: false,
            partitions: vec![partition.clone()],
        };
        let facts = Facts { configs: BTreeMap::new(), reassignments: BTreeMap::new(), live: BTreeSet::new() };
        assert_eq!(
            partition_line(&topic, &partition, &facts),
            "\tTopic: t\tPartition: 0\tLeader: none\tReplicas: 2,1\tIsr: \tElr: 1\tLastKnownElr: 2"
        );
        partition.leader = BrokerId::new(1);
        (partition.eligible_leaders, partition.last_known_eligible_leaders) = (None, None);
        assert_eq!(
            partition_line(&topic, &partition, &facts),
            "\tTopic: t\tPartition: 0\tLeader: 1\tReplicas: 2,1\tIsr: \tElr: N/A\tLastKnownElr: N/A"
        );
    }
}
