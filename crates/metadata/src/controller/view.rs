//! What a decision sees.
//!
//! Owns: the borrowed context of one decision, the settings decisions depend on.
//! Does not own: the image (`image`), sessions (`sessions`), the meaning of keys (`config`).

use std::time::Duration;

use ottla_env::random::Random;
use ottla_model::{BrokerId, ClusterId, Offset, TopicName};

use super::partition_change::Surroundings;
use crate::config::{ConfigError, Layers, topic_keys};
use crate::features::Feature;
use crate::image::{ConfigResource, MetadataImage, Partition, Topic};
use crate::records::MetadataRecord;

/// Most records one request may lead to. Kafka's limit: a batch of them still fits into one append.
pub const RECORDS_PER_REQUEST_MAX: usize = 10_000;

/// What a controller is told once, when it is made.
#[derive(Clone, Debug)]
pub struct ControllerSetup {
    /// The node the controller runs on; its settings are the defaults of topics.
    pub node: BrokerId,
    pub cluster: ClusterId,
    /// The node's settings as they stand in its properties file.
    pub settings: Layers,
    /// The nodes that must support a feature before it is raised.
    pub voters: Vec<BrokerId>,
    /// How long a broker may be silent (`broker.session.timeout.ms`).
    pub session_timeout: Duration,
}

/// What was decided: records to be appended, and the answer that is given once they are committed.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision<A> {
    pub records: Vec<MetadataRecord>,
    pub answer: A,
}

/// Everything a decision may look at. It changes nothing.
#[derive(Clone, Copy)]
pub struct View<'a> {
    pub image: &'a MetadataImage,
    pub setup: &'a ControllerSetup,
    pub random: &'a dyn Random,
    /// Offset of the first record that the decision leads to.
    pub next_offset: Offset,
    /// Level of `kraft.version`, which the quorum keeps.
    pub kraft_version: i16,
}

/// Topic settings that elections depend on, where a topic does not set them itself.
#[derive(Clone, Copy, Debug)]
pub struct TopicDefaults {
    min_in_sync: usize,
    unclean_election: bool,
}

impl<A> Decision<A> {
    /// An answer that needs nothing to be recorded.
    pub fn without_records(answer: A) -> Decision<A> {
        Decision { records: Vec::new(), answer }
    }
}

impl<'a> View<'a> {
    /// The node's settings with the dynamic ones of the image.
    pub fn layers(&self) -> Layers {
        let values = |resource| self.image.configs.of(&resource).map(|values| values.as_ref().clone());
        let default = values(ConfigResource::BrokerDefault).unwrap_or_default();
        let own = values(ConfigResource::Broker(self.setup.node)).unwrap_or_default();
        self.setup.settings.with_dynamic(default, own)
    }

    /// What topics inherit. A broken value of a key counts as Kafka's default: it never came through validation.
    pub fn topic_defaults(&self) -> TopicDefaults {
        let layers = self.layers();
        let inherited =
            |key: &str| topic_keys().get(key).and_then(|key| layers.inherited(key).ok().flatten());
        let min_in_sync = inherited(MIN_IN_SYNC).and_then(|text| text.parse().ok()).unwrap_or(1);
        let unclean = inherited(UNCLEAN_ELECTION).is_some_and(|text| text == "true");
        TopicDefaults { min_in_sync, unclean_election: unclean }
    }

    /// The finalized level of a feature.
    pub fn finalized_level(&self, feature: Feature) -> i16 {
        match feature {
            Feature::Kraft => self.kraft_version,
            Feature::Transaction
            | Feature::Group
            | Feature::EligibleLeaderReplicas
            | Feature::Share
            | Feature::Streams => self.image.features.level(feature),
        }
    }

    /// A number of a broker key that has a default.
    pub fn broker_number(&self, key: &str) -> Result<i64, ConfigError> {
        let value = self.setup.settings.value(key)?;
        let text = value.map(|value| value.to_string()).unwrap_or_default();
        text.parse().map_err(|_| ConfigError::Missing { name: key.to_owned() })
    }

    /// What the change of a partition depends on, with every broker that is alive as a possible leader.
    pub fn surroundings(
        &self,
        topic: &Topic,
        partition: &'a Partition,
        defaults: TopicDefaults,
    ) -> Surroundings<'a> {
        let view = *self;
        self.surroundings_with(topic, defaults, Box::new(move |broker| view.can_lead(partition, broker)))
    }

    /// The same, with other possible leaders.
    pub fn surroundings_with<'f>(
        &self,
        topic: &Topic,
        defaults: TopicDefaults,
        may_lead: Box<dyn Fn(BrokerId) -> bool + 'f>,
    ) -> Surroundings<'f> {
        let version = self.image.features.metadata_version();
        Surroundings {
            may_lead,
            keeps_eligible_leaders: self.image.features.has_eligible_leaders(),
            min_in_sync: self.min_in_sync(&topic.name, defaults).min(topic.replication_factor()),
            has_directories: version.has_directories(),
            raises_epoch_on_shrink: version.raises_leader_epoch_on_shrink(),
        }
    }

    /// Whether replicas that may lack records may lead the topic.
    pub fn allows_unclean_election(&self, topic: &TopicName, defaults: TopicDefaults) -> bool {
        self.topic_value(topic, UNCLEAN_ELECTION).map_or(defaults.unclean_election, |text| text == "true")
    }

    fn min_in_sync(&self, topic: &TopicName, defaults: TopicDefaults) -> usize {
        self.topic_value(topic, MIN_IN_SYNC)
            .and_then(|text| text.parse().ok())
            .unwrap_or(defaults.min_in_sync)
    }

    fn topic_value(&self, topic: &TopicName, key: &str) -> Option<&'a str> {
        let values = self.image.configs.of_topic(topic.as_str())?;
        values.get(key).map(String::as_str)
    }

    /// Whether a broker can lead a partition now: alive, and its directory online.
    pub fn can_lead(&self, partition: &Partition, broker: BrokerId) -> bool {
        let directory = partition.directory(broker);
        let registered = self.image.cluster.broker(broker).filter(|broker| broker.is_active());
        registered
            .is_some_and(|broker| directory.is_some_and(|directory| broker.has_online_directory(directory)))
    }
}

/// Key of the least number of replicas in sync for a write to be accepted.
pub const MIN_IN_SYNC: &str = "min.insync.replicas";
/// Key of elections that may lose records.
pub const UNCLEAN_ELECTION: &str = "unclean.leader.election.enable";
