//! Brokers and controllers, as the committed metadata has them.
//!
//! Owns: registrations and how a change record alters them.
//! Does not own: sessions, which are not recorded (`controller`).
//!
//! Source: `RegisterBrokerRecord`, `RegisterControllerRecord`, KIP-631, KIP-919; requirements REG-01 to REG-04.

use std::collections::BTreeMap;
use std::sync::Arc;

use ottla_model::{BrokerEpoch, BrokerId, DirectoryId, IncarnationId, Offset, SecurityProtocol};

use crate::features::VersionRange;

/// Where a listener of a node can be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Name of the listener, such as `PLAINTEXT`.
    pub listener: String,
    pub host: String,
    pub port: u16,
    pub security_protocol: SecurityProtocol,
}

/// Levels a node supports, by feature name.
pub type NodeFeatures = BTreeMap<String, VersionRange>;

/// A broker the cluster knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broker {
    pub id: BrokerId,
    pub epoch: BrokerEpoch,
    pub incarnation: IncarnationId,
    /// In the order of registration.
    pub endpoints: Vec<Endpoint>,
    pub features: NodeFeatures,
    pub rack: Option<String>,
    pub fenced: bool,
    pub in_controlled_shutdown: bool,
    /// Whether the broker came over from ZooKeeper; only kept for older records.
    pub migrating: bool,
    /// Online log directories, sorted.
    pub directories: Vec<DirectoryId>,
    /// Directories that take no new replicas (KIP-1066); `None` until the broker told.
    pub cordoned: Option<Vec<DirectoryId>>,
    /// Where the registration lies in the log: a broker is unfenced once it has read that far (REG-02).
    pub registered_at: Offset,
}

/// A controller the cluster knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControllerNode {
    pub id: BrokerId,
    pub incarnation: IncarnationId,
    pub migration_ready: bool,
    /// In the order of registration.
    pub endpoints: Vec<Endpoint>,
    pub features: NodeFeatures,
}

/// All nodes. Cheap to clone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cluster {
    pub(super) brokers: Arc<BTreeMap<BrokerId, Arc<Broker>>>,
    pub(super) controllers: Arc<BTreeMap<BrokerId, Arc<ControllerNode>>>,
}

impl Broker {
    /// The endpoint of a listener.
    pub fn endpoint(&self, listener: &str) -> Option<&Endpoint> {
        self.endpoints.iter().find(|endpoint| endpoint.listener == listener)
    }

    /// Whether the broker may lead and follow: neither fenced nor on its way out.
    pub fn is_active(&self) -> bool {
        !self.fenced && !self.in_controlled_shutdown
    }

    /// Whether a replica in this directory can be used.
    pub fn has_online_directory(&self, directory: DirectoryId) -> bool {
        match directory {
            DirectoryId::UNASSIGNED | DirectoryId::MIGRATING => true,
            DirectoryId::LOST => false,
            // A broker that registered before there were directory ids says nothing about them.
            _ => self.directories.is_empty() || self.directories.contains(&directory),
        }
    }

    /// Whether some directory takes new replicas.
    pub fn takes_new_replicas(&self) -> bool {
        match &self.cordoned {
            None => true,
            Some(cordoned) => {
                self.directories.is_empty()
                    || self.directories.iter().any(|directory| !cordoned.contains(directory))
            }
        }
    }

    /// Where a new replica goes: the only directory, or "not yet assigned".
    pub fn default_directory(&self) -> DirectoryId {
        match self.directories.as_slice() {
            [] => DirectoryId::MIGRATING,
            [only] => *only,
            [_, _, ..] => DirectoryId::UNASSIGNED,
        }
    }
}

impl Cluster {
    /// The broker with this id.
    pub fn broker(&self, id: BrokerId) -> Option<&Arc<Broker>> {
        self.brokers.get(&id)
    }

    /// All brokers, ascending.
    pub fn brokers(&self) -> impl Iterator<Item = &Arc<Broker>> {
        self.brokers.values()
    }

    /// Brokers that clients may see: those that are not fenced (MD-02).
    pub fn unfenced(&self) -> impl Iterator<Item = &Arc<Broker>> {
        self.brokers().filter(|broker| !broker.fenced)
    }

    /// Whether the broker is registered and neither fenced nor shutting down.
    pub fn is_active(&self, id: BrokerId) -> bool {
        self.broker(id).is_some_and(|broker| broker.is_active())
    }

    /// The controller with this id.
    pub fn controller(&self, id: BrokerId) -> Option<&Arc<ControllerNode>> {
        self.controllers.get(&id)
    }

    /// All registered controllers, ascending.
    pub fn controllers(&self) -> impl Iterator<Item = &Arc<ControllerNode>> {
        self.controllers.values()
    }
}
