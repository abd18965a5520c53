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

fn next_topics(before: &Topics, changes: &ImageChanges, image: &MetadataImage) -> Option<Topics> {
    let as_of = image.provenance.map(|provenance| provenance.offset);
    let mut topics = before.clone();
    let mut is_other = before.as_of.is_none();
    for topic in &changes.deleted {
        is_other |= topics.by_id(topic.id).is_some();
        topics.remove(topic.name.as_str());
    }
    let mut put = |topic: &Topic| {
        let shape = shape(topic, image);
        if topics.by_name(topic.name.as_str()).is_none_or(|known| **known != shape) {
            topics.put(Arc::new(shape));
            is_other = true;
        }
    };
    changes.created.iter().for_each(|topic| put(topic));
    changes.partitions.iter().for_each(|partition| put(&partition.topic));
    if !changes.brokers.is_empty() {
        // A broker may have come with another rack.
        image.topics.iter().for_each(|topic| put(topic));
    }
    if !changes.created.is_empty() {
        topics.grown_at = as_of;
    }
    topics.as_of = as_of;
    is_other.then_some(topics)
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
