//! What the group coordinator is told of the cluster.
//!
//! Owns: the topics and the settings of groups, made out of the metadata, change by change.
//! Does not own: what groups make of it (`coordinator`).
//!
//! A topic that did not change keeps its place in memory: that is how a group sees that nothing happened to it.
//!
//! Source: requirements CGP-06, CGP-09.

use std::sync::Arc;

use ottla_coordinator::group::{ClusterView, ConsumerSettings, ConsumerTimes, TopicShape, Topics};
use ottla_metadata::config::{ConsumerGroupTimes, Layers, Settings};
use ottla_metadata::image::{ConfigResource, ImageChanges, MetadataImage, Topic};
use ottla_model::GroupId;

/// The next view, if anything that groups look at is not what it was.
pub fn next_view(
    before: &ClusterView,
    (changes, image): (&ImageChanges, &MetadataImage),
    layers: &Layers,
) -> Option<ClusterView> {
    let topics = next_topics(&before.topics, changes, image);
    let concerns_groups = |resource: &ConfigResource| match resource {
        ConfigResource::Group(_) | ConfigResource::Broker(_) | ConfigResource::BrokerDefault => true,
        ConfigResource::Topic(_) | ConfigResource::ClientMetrics(_) => false,
    };
    let is_first = before.topics.as_of.is_none();
    let settings = (is_first || changes.configs.iter().any(concerns_groups)).then(|| settings(image, layers));
    if topics.is_none() && settings.as_ref().is_none_or(|settings| *settings == *before.settings) {
        return None;
    }
    Some(ClusterView {
        topics: topics.map_or_else(|| before.topics.clone(), Arc::new),
        settings: settings.map_or_else(|| before.settings.clone(), Arc::new),
    })
}

/// `None` where no topic is another. Then nothing is copied, and of a topic each partition may have changed.
fn next_topics(before: &Topics, changes: &ImageChanges, image: &MetadataImage) -> Option<Topics> {
    let as_of = image.provenance.map(|provenance| provenance.offset);
    let gone: Vec<&Topic> = changes
        .deleted
        .iter()
        .map(|topic| &**topic)
        .filter(|topic| before.by_id(topic.id).is_some())
        .collect();
    let is_other =
        |shape: &TopicShape| before.by_name(shape.name().as_str()).is_none_or(|known| **known != *shape);
    let others: Vec<TopicShape> =
        touched(changes, image).into_iter().map(|topic| shape(topic, image)).filter(is_other).collect();
    if before.as_of.is_some() && gone.is_empty() && others.is_empty() {
        return None;
    }
    let mut topics = before.clone();
    gone.into_iter().for_each(|topic| topics.remove(topic.name.as_str()));
    others.into_iter().for_each(|shape| topics.put(Arc::new(shape)));
    if !changes.created.is_empty() {
        topics.grown_at = as_of;
    }
    topics.as_of = as_of;
    Some(topics)
}

/// The topics that may be others, each once.
fn touched<'a>(changes: &'a ImageChanges, image: &'a MetadataImage) -> Vec<&'a Topic> {
    if !changes.brokers.is_empty() {
        // A broker may have come with another rack.
        return image.topics.iter().map(|topic| &**topic).collect();
    }
    let created = changes.created.iter().map(|topic| &**topic);
    let mut topics: Vec<&Topic> =
        created.chain(changes.partitions.iter().map(|partition| &*partition.topic)).collect();
    topics.sort_unstable_by_key(|topic| topic.id);
    topics.dedup_by_key(|topic| topic.id);
    topics
}

fn shape(topic: &Topic, image: &MetadataImage) -> TopicShape {
    let racks = topic.partitions().map(|(_, partition)| {
        let racks = partition.brokers().filter_map(|id| image.cluster.broker(id)?.rack.clone());
        racks.collect()
    });
    TopicShape::new(topic.id, topic.name.clone(), racks.collect())
}

/// Groups whose settings cannot be read have those of all others.
fn settings(image: &MetadataImage, layers: &Layers) -> ConsumerSettings {
    let times = |overrides: &Settings| {
        let times = ConsumerGroupTimes::read(overrides, layers).ok()?;
        Some(ConsumerTimes {
            session_timeout: times.session_timeout,
            heartbeat_interval: times.heartbeat_interval,
            assignment_interval: times.assignment_interval,
        })
    };
    let common = times(&Settings::new()).unwrap_or_default();
    let mut of_group = std::collections::BTreeMap::new();
    for (resource, values) in image.configs.iter() {
        if let ConfigResource::Group(group) = resource
            && let Some(times) = times(values)
        {
            of_group.insert(GroupId::new(group), times);
        }
    }
    ConsumerSettings { common, of_group }
}
