//! The task that brings this node in line with the committed metadata.
//!
//! Owns: the order partitions → coordinators → settings → image, for each published change.
//! Does not own: what is published (`controller`), the work of each part.
//!
//! The image is what requests see, and it is swapped last: a request that sees a topic finds its partitions.
//!
//! Source: architecture, "told (a value)"; requirements MD-07, OFF-06, CFG-05.

use std::sync::Arc;

use ottla_coordinator::group::PartitionsOfTopic;
use ottla_coordinator::runtime::Unavailable;
use ottla_env::sync::watch;
use ottla_metadata::config::{BrokerConfig, Layers, Settings};
use ottla_metadata::features::Feature;
use ottla_metadata::image::{ConfigResource, ImageChanges, MetadataImage, Topic};
use ottla_model::{Offset, TransactionVersion};

use crate::controller::Published;
use crate::coordinators::next_view;
use crate::internal_topics::InternalTopic;
use crate::janitor;
use crate::node::Node;
use crate::partitions::{Followed, Partitions};

/// Follows what the controller publishes.
pub struct MetadataFollower {
    node: Arc<Node>,
    partitions: Partitions,
    applied: Arc<MetadataImage>,
    /// The settings of the properties file, without anything dynamic.
    fixed: Layers,
    /// The offset of the last record that was applied.
    progress: watch::Sender<Option<Offset>>,
}

impl MetadataFollower {
    pub fn new(node: Arc<Node>, partitions: Partitions, fixed: Layers) -> MetadataFollower {
        let progress = watch::channel(None).0;
        MetadataFollower { node, partitions, applied: Arc::default(), fixed, progress }
    }

    /// Tells how far the metadata was applied.
    pub fn progress(&self) -> watch::Receiver<Option<Offset>> {
        self.progress.subscribe()
    }

    /// Applies what is published until the controller is gone. The first image is complete: what it does not know is
    /// stray.
    pub async fn run(mut self, mut published: watch::Receiver<Published>) {
        loop {
            let image = Arc::clone(&published.borrow_and_update().image);
            if image.provenance.is_some() {
                let first = self.applied.provenance.is_none();
                self.apply(image).await;
                if first {
                    self.partitions.set_strays_aside();
                    // What a recovery cut or kept is written down before anything is appended to it.
                    janitor::write_checkpoints(&self.node);
                }
            }
            if published.changed().await.is_err() {
                return;
            }
        }
    }

    async fn apply(&mut self, image: Arc<MetadataImage>) {
        let changes = ImageChanges::between(&self.applied, &image);
        self.apply_settings(&changes, &image);
        let followed = self.partitions.apply(&changes, &image);
        if let Some(view) = next_view(&self.node.groups.view(), (&changes, &image), &self.node.layers()) {
            self.node.groups.on_view(view).await;
        }
        self.tell_groups(&followed, &image).await;
        self.tell_transactions(followed, (&changes, &image)).await;
        self.node.set_image(Arc::clone(&image));
        let offset = image.provenance.map(|provenance| provenance.offset);
        self.applied = image;
        self.progress.send_replace(offset);
    }

    /// Dynamic settings of the node. A set of values that does not fit together changes nothing.
    fn apply_settings(&self, changes: &ImageChanges, image: &MetadataImage) {
        let own = ConfigResource::Broker(self.node.identity.id);
        let concerns =
            |resource: &ConfigResource| *resource == own || *resource == ConfigResource::BrokerDefault;
        if !changes.configs.iter().any(concerns) {
            return;
        }
        let values = |resource: &ConfigResource| -> Settings {
            image.configs.of(resource).map(|values| values.as_ref().clone()).unwrap_or_default()
        };
        let layers = self.fixed.with_dynamic(values(&ConfigResource::BrokerDefault), values(&own));
        match BrokerConfig::from_layers(&layers) {
            Ok(config) => {
                tracing::info!("dynamic settings of the node changed");
                self.node.set_layers(layers, config);
            }
            Err(error) => {
                tracing::error!(%error, "dynamic settings do not fit together, the former ones stay")
            }
        }
    }

    async fn tell_groups(&self, followed: &Followed, image: &MetadataImage) {
        let offsets = InternalTopic::ConsumerOffsets.name();
        if let Some(topic) = image.topics.by_name(offsets) {
            self.node.groups.on_partition_count(u32::try_from(topic.partition_count()).unwrap_or(0));
        }
        for lost in followed.lost.iter().filter(|lost| lost.topic.as_str() == offsets) {
            self.node.groups.on_lost(lost.partition, Unavailable::NotCoordinator).await;
        }
        for led in followed.led.iter().filter(|led| led.id().topic.as_str() == offsets) {
            self.node.groups.on_lead(Arc::clone(led)).await;
        }
        let gone: Vec<PartitionsOfTopic> = followed.deleted.iter().map(|topic| all_of(topic)).collect();
        if !gone.is_empty() {
            self.node.groups.forget(&gone);
        }
    }

    async fn tell_transactions(&self, followed: Followed, (changes, image): (&ImageChanges, &MetadataImage)) {
        let (node, name) = (&self.node, InternalTopic::TransactionState.name());
        let version = transaction_version(image);
        if changes.features {
            node.transactions.on_version(version).await;
        }
        if let Some(topic) = image.topics.by_name(name) {
            node.transactions.on_partition_count(u32::try_from(topic.partition_count()).unwrap_or(0));
        }
        for lost in followed.lost.iter().filter(|lost| lost.topic.as_str() == name) {
            node.transactions.on_lost(lost.partition, Unavailable::NotCoordinator).await;
        }
        for led in followed.led.into_iter().filter(|led| led.id().topic.as_str() == name) {
            node.transactions.on_lead(node, led, version).await;
        }
    }
}

fn transaction_version(image: &MetadataImage) -> TransactionVersion {
    TransactionVersion::from_level(image.features.level(Feature::Transaction)).unwrap_or_default()
}

fn all_of(topic: &Topic) -> PartitionsOfTopic {
    PartitionsOfTopic {
        topic: topic.name.clone(),
        topic_id: Some(topic.id),
        partitions: topic.partitions().map(|(index, _)| index).collect(),
    }
}
