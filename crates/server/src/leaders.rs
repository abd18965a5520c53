//! Who leads a partition instead of this broker, for answers that help the client on.
//!
//! Owns: the leaders named in one answer and their endpoints.
//! Does not own: when they are named (`handlers`).
//!
//! Source: KIP-951; requirements PRD-07, FET-22.

use std::collections::BTreeMap;
use std::sync::Arc;

use ottla_metadata::image::MetadataImage;
use ottla_model::{BrokerId, LeaderEpoch, ListenerName, TopicPartition};
use ottla_protocol::produce::{CurrentLeader, NodeEndpoint};
use ottla_replication::Standing;

use crate::caller::Caller;
use crate::node::Node;
use crate::partition::Partition;
use crate::topology;

/// The leaders one answer names.
pub struct Leaders {
    image: Arc<MetadataImage>,
    listener: Arc<ListenerName>,
    /// Host, port and rack by broker.
    named: BTreeMap<BrokerId, (String, u16, Option<String>)>,
}

impl Leaders {
    pub fn new(node: &Node, caller: &Caller) -> Leaders {
        Leaders {
            image: Arc::clone(&node.image()),
            listener: Arc::clone(&caller.listener),
            named: BTreeMap::new(),
        }
    }

    /// The leader of a partition as the metadata has it; its endpoint is remembered.
    pub fn of(&mut self, id: &TopicPartition) -> Option<CurrentLeader> {
        let topic = self.image.topics.by_name(id.topic.as_str())?;
        let partition = topic.partition(id.partition)?;
        let (leader, epoch) = (partition.leader, partition.leader_epoch);
        Some(self.name(leader, epoch))
    }

    /// The leader as the replica here knows it, which may be later than the metadata; its endpoint is remembered.
    pub fn of_replica(&mut self, replica: &Partition) -> Option<CurrentLeader> {
        match replica.standing() {
            Standing::Follower { leader, epoch } => Some(self.name(leader, epoch)),
            Standing::Leader { .. } | Standing::Offline | Standing::Removed => self.of(replica.id()),
        }
    }

    fn name(&mut self, leader: Option<BrokerId>, epoch: LeaderEpoch) -> CurrentLeader {
        if let Some(leader) = leader
            && let Some(endpoint) = topology::alive_endpoint(&self.image, leader, &self.listener)
        {
            let rack = self.image.cluster.broker(leader).and_then(|broker| broker.rack.clone());
            self.named.insert(leader, (endpoint.host.clone(), endpoint.port, rack));
        }
        CurrentLeader { leader_id: leader.map_or(-1, BrokerId::value), leader_epoch: Some(epoch) }
    }

    /// The endpoints of all leaders named so far.
    pub fn endpoints(&self) -> Vec<NodeEndpoint<'_>> {
        self.named
            .iter()
            .map(|(id, (host, port, rack))| NodeEndpoint {
                node_id: id.value(),
                host,
                port: i32::from(*port),
                rack: rack.as_deref(),
            })
            .collect()
    }
}
