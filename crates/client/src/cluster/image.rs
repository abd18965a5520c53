//! What a client knows of the cluster: nodes, topics, leaders.
//!
//! Owns: the immutable image and how a Metadata answer changes it.
//! Does not own: when to ask (`refresh`), whom (`cluster`).
//!
//! Invariants
//! - I1 partition numbers of a topic are 0, 1, … without gaps;
//! - I2 the leader epoch of a partition never goes back while the topic keeps its id (KIP-320): an old answer of a
//!   node that lags behind does not replace a newer one.
//!
//! Source: Kafka protocol guide, Metadata; KIP-320, KIP-516.

use std::collections::BTreeMap;
use std::sync::Arc;

use ottla_model::{BrokerId, LeaderEpoch, PartitionIndex, TopicId, TopicName, TopicPartition};
use ottla_protocol::messages::MetadataResponse;
use ottla_protocol::messages::metadata_response::{MetadataResponsePartition, MetadataResponseTopic};

use crate::config::Endpoint;
use crate::error::{ErrorCode, error_of};

/// A broker or controller of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its `node.id`.
    pub id: BrokerId,
    /// Where clients reach it.
    pub endpoint: Endpoint,
    /// Its `broker.rack`, where it has one.
    pub rack: Option<String>,
}

impl Node {
    /// The node that an answer names so, unless the name is malformed.
    pub(crate) fn named((id, host, port): (i32, &str, i32), rack: Option<&str>) -> Option<Node> {
        let endpoint = Endpoint { host: host.to_owned(), port: u16::try_from(port).ok()? };
        Some(Node { id: BrokerId::new(id)?, endpoint, rack: rack.map(str::to_owned) })
    }
}

/// Who leads a partition, and who copies it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionInfo {
    /// `None` while there is none.
    pub leader: Option<BrokerId>,
    /// The epoch of the leader; `None` from brokers that do not say.
    pub leader_epoch: Option<LeaderEpoch>,
    /// Who has a copy, the preferred leader first.
    pub replicas: Vec<BrokerId>,
    /// Who has all of it.
    pub in_sync: Vec<BrokerId>,
    /// Whose copy cannot be reached.
    pub offline: Vec<BrokerId>,
}

/// A topic and its partitions, by number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicInfo {
    /// Its name.
    pub name: TopicName,
    /// `None` from nodes before topic ids.
    pub id: Option<TopicId>,
    /// Whether it is one of the broker's own.
    pub is_internal: bool,
    /// Its partitions, by number.
    pub partitions: Vec<PartitionInfo>,
}

impl TopicInfo {
    /// The partition with this number.
    pub fn partition(&self, index: PartitionIndex) -> Option<&PartitionInfo> {
        self.partitions.get(usize::try_from(index.value()).ok()?)
    }

    /// How many partitions there are.
    pub fn partition_count(&self) -> u32 {
        u32::try_from(self.partitions.len()).unwrap_or(u32::MAX)
    }

    /// All partitions with their numbers.
    pub fn iter(&self) -> impl Iterator<Item = (PartitionIndex, &PartitionInfo)> {
        (0..).filter_map(PartitionIndex::new).zip(&self.partitions)
    }
}

/// One moment of the cluster, as a broker described it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterImage {
    pub cluster_id: Option<String>,
    pub controller: Option<BrokerId>,
    pub nodes: BTreeMap<BrokerId, Arc<Node>>,
    /// Topics that were asked for, or why a topic is not there.
    pub topics: BTreeMap<TopicName, Result<Arc<TopicInfo>, ErrorCode>>,
}

impl ClusterImage {
    /// The topic, if it is known and there.
    pub fn topic(&self, name: &TopicName) -> Option<&Arc<TopicInfo>> {
        self.topics.get(name).and_then(|known| known.as_ref().ok())
    }

    /// The partition, if its topic is known and has it.
    pub fn partition(&self, partition: &TopicPartition) -> Option<&PartitionInfo> {
        self.topic(&partition.topic)?.partition(partition.partition)
    }

    /// The node that leads the partition.
    pub fn leader_of(&self, partition: &TopicPartition) -> Option<&Arc<Node>> {
        self.nodes.get(&self.partition(partition)?.leader?)
    }

    /// The topic with this id.
    pub fn topic_by_id(&self, id: TopicId) -> Option<&Arc<TopicInfo>> {
        self.topics.values().filter_map(|known| known.as_ref().ok()).find(|topic| topic.id == Some(id))
    }

    /// This image after a Metadata answer. An answer to a question for `all` topics also says which are gone;
    /// other topics stay as they were.
    pub(crate) fn updated(&self, response: &MetadataResponse, all: bool) -> ClusterImage {
        let nodes = response.brokers.iter().filter_map(|broker| {
            let node = Node::named((broker.node_id, &broker.host, broker.port), broker.rack.as_deref())?;
            Some((node.id, Arc::new(node)))
        });
        let mut topics = if all { BTreeMap::new() } else { self.topics.clone() };
        for topic in &response.topics {
            let Some(name) = topic.name.as_deref().and_then(|name| TopicName::new(name).ok()) else {
                continue;
            };
            let known = match error_of(topic.error_code) {
                Some(code) => Err(code),
                None => Ok(Arc::new(self.updated_topic(&name, topic))),
            };
            topics.insert(name, known);
        }
        ClusterImage {
            cluster_id: response.cluster_id.clone(),
            controller: BrokerId::new(response.controller_id),
            nodes: nodes.collect(),
            topics,
        }
    }

    fn updated_topic(&self, name: &TopicName, topic: &MetadataResponseTopic) -> TopicInfo {
        let id = TopicId::new(topic.topic_id);
        let earlier = self.topic(name).filter(|earlier| earlier.id == id);
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for index in (0..).map_while(PartitionIndex::new).take(topic.partitions.len()) {
            let said = topic.partitions.iter().find(|one| one.partition_index == index.value());
            let known = earlier.and_then(|earlier| earlier.partition(index));
            partitions.push(newer_of(known, said));
        }
        TopicInfo { name: name.clone(), id, is_internal: topic.is_internal, partitions }
    }

    /// This image with another leader of one partition, as Produce and Fetch answers hint (KIP-951); `None` when
    /// the hint is not newer than what is known.
    pub(crate) fn with_leader(
        &self,
        partition: &TopicPartition,
        leader: &Arc<Node>,
        epoch: LeaderEpoch,
    ) -> Option<ClusterImage> {
        let topic = self.topic(&partition.topic)?;
        let known = topic.partition(partition.partition)?;
        if known.leader_epoch.is_some_and(|known| known >= epoch) {
            return None;
        }
        let mut topic = TopicInfo::clone(topic);
        let place = topic.partitions.get_mut(usize::try_from(partition.partition.value()).ok()?)?;
        place.leader = Some(leader.id);
        place.leader_epoch = Some(epoch);
        let mut image = self.clone();
        image.nodes.insert(leader.id, Arc::clone(leader));
        image.topics.insert(partition.topic.clone(), Ok(Arc::new(topic)));
        Some(image)
    }
}

/// What is said now, unless it is older than what is known.
fn newer_of(known: Option<&PartitionInfo>, said: Option<&MetadataResponsePartition>) -> PartitionInfo {
    let said = said.map_or_else(leaderless, partition_of);
    match known {
        Some(known) if known.leader_epoch > said.leader_epoch && said.leader_epoch.is_some() => known.clone(),
        _ => said,
    }
}

fn leaderless() -> PartitionInfo {
    PartitionInfo { leader: None, leader_epoch: None, replicas: vec![], in_sync: vec![], offline: vec![] }
}

fn partition_of(said: &MetadataResponsePartition) -> PartitionInfo {
    let brokers = |ids: &[i32]| ids.iter().copied().filter_map(BrokerId::new).collect();
    PartitionInfo {
        leader: BrokerId::new(said.leader_id),
        leader_epoch: LeaderEpoch::new(said.leader_epoch),
        replicas: brokers(&said.replica_nodes),
        in_sync: brokers(&said.isr_nodes),
        offline: brokers(&said.offline_replicas),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use ottla_model::Uuid;
    use ottla_protocol::messages::metadata_response::MetadataResponseBroker;

    use super::*;

    /// A topic, a byte for its id, and `(leader, epoch)` of each partition.
    pub(crate) type Said<'a> = (&'a str, u8, &'a [(i32, i32)]);

    /// An answer with brokers 1 and 2, and topics with the given `(leader, epoch)` of each partition.
    pub(crate) fn answer(topics: &[Said<'_>]) -> MetadataResponse {
        let broker =
            |node_id| MetadataResponseBroker { node_id, host: "h".to_owned(), port: 9092, rack: None };
        let topic = |(name, id, leaders): &Said<'_>| MetadataResponseTopic {
            name: Some((*name).to_owned()),
            topic_id: Uuid::from_bytes([*id; 16]),
            partitions: (0..)
                .zip(*leaders)
                .map(|(partition_index, (leader_id, leader_epoch))| MetadataResponsePartition {
                    partition_index,
                    leader_id: *leader_id,
                    leader_epoch: *leader_epoch,
                    ..Default::default()
                })
                .collect(),
            ..Default::default()
        };
        MetadataResponse {
            brokers: vec![broker(1), broker(2)],
            topics: topics.iter().map(topic).collect(),
            ..Default::default()
        }
    }

    pub(crate) fn name(text: &str) -> TopicName {
        TopicName::new(text).unwrap()
    }

    fn leader(image: &ClusterImage, topic: &str) -> i32 {
        let partition = TopicPartition::new(name(topic), PartitionIndex::default());
        image.leader_of(&partition).map_or(-1, |node| node.id.value())
    }

    /// KIP-320
    #[test]
    fn a_leader_of_an_older_epoch_does_not_come_back() {
        let image = ClusterImage::default().updated(&answer(&[("t", 1, &[(1, 5)])]), false);
        let image = image.updated(&answer(&[("t", 1, &[(2, 4)])]), false);
        assert_eq!(leader(&image, "t"), 1);
        let image = image.updated(&answer(&[("t", 1, &[(2, 6)])]), false);
        assert_eq!(leader(&image, "t"), 2);
    }

    /// KIP-516
    #[test]
    fn a_topic_created_again_begins_with_any_epoch() {
        let image = ClusterImage::default().updated(&answer(&[("t", 1, &[(1, 5)])]), false);
        let image = image.updated(&answer(&[("t", 2, &[(2, 0)])]), false);
        assert_eq!(leader(&image, "t"), 2);
    }

    #[test]
    fn an_answer_for_all_topics_forgets_those_it_does_not_name() {
        let image =
            ClusterImage::default().updated(&answer(&[("a", 1, &[(1, 0)]), ("b", 2, &[(1, 0)])]), true);
        let some = image.updated(&answer(&[("a", 1, &[(1, 0)])]), false);
        assert!(some.topic(&name("b")).is_some());
        let all = image.updated(&answer(&[("a", 1, &[(1, 0)])]), true);
        assert!(all.topic(&name("b")).is_none());
    }

    #[test]
    fn a_topic_that_cannot_be_described_keeps_the_reason() {
        let mut said = answer(&[("t", 1, &[])]);
        said.topics[0].error_code = 3;
        let image = ClusterImage::default().updated(&said, false);
        assert_eq!(image.topics[&name("t")], Err(ErrorCode::UnknownTopicOrPartition));
    }

    /// KIP-951
    #[test]
    fn a_hint_of_a_newer_leader_is_taken_and_an_older_one_is_not() {
        let image = ClusterImage::default().updated(&answer(&[("t", 1, &[(1, 5)])]), false);
        let partition = TopicPartition::new(name("t"), PartitionIndex::default());
        let two = Arc::clone(&image.nodes[&BrokerId::new(2).unwrap()]);
        assert!(image.with_leader(&partition, &two, LeaderEpoch::new(5).unwrap()).is_none());
        let hinted = image.with_leader(&partition, &two, LeaderEpoch::new(6).unwrap()).unwrap();
        assert_eq!(leader(&hinted, "t"), 2);
    }
}
