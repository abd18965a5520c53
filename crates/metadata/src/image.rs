//! What the metadata log says, as one immutable value.
//!
//! Owns: the state of topics, nodes, configuration, features and credentials at one position of the log.
//! Does not own: where the records come from (`quorum`, `snapshot`), why they were written (`controller`).
//!
//! Parts are shared between images: a new image costs the maps it changes and not a copy of everything. Records are
//! applied by `MetadataImage::apply`, which is the only writer.
//!
//! Source: KIP-631.

mod apply;
mod changes;
mod cluster;
mod configs;
mod finalized;
mod replay;
mod retained;
mod topics;

use ottla_model::{LeaderEpoch, Offset, ProducerId, Timestamp};

pub use apply::ApplyError;
pub use changes::{ImageChanges, PartitionAt};
pub use cluster::{Broker, Cluster, ControllerNode, Endpoint, NodeFeatures};
pub use configs::{ConfigResource, ConfigValues, Configs};
pub use finalized::FinalizedFeatures;
pub use replay::Replay;
pub use retained::Retained;
pub use topics::{LeaderRecovery, Partition, Replica, Topic, Topics};

/// The last record an image contains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Provenance {
    pub offset: Offset,
    pub epoch: LeaderEpoch,
    /// When the batch of that record was written.
    pub timestamp: Timestamp,
}

/// The state of the cluster at one position of the metadata log. Cheap to clone.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MetadataImage {
    /// `None` before the first record.
    pub provenance: Option<Provenance>,
    pub features: FinalizedFeatures,
    pub cluster: Cluster,
    pub topics: Topics,
    pub configs: Configs,
    /// First producer id of the block that will be given out next (IDM-10).
    pub next_producer_id: Option<ProducerId>,
    pub retained: Retained,
}

impl MetadataImage {
    /// Offset of the last record, or −1 before the first: the epoch of the finalized features (WIRE-15).
    pub fn features_epoch(&self) -> i64 {
        self.provenance.map_or(-1, |provenance| provenance.offset.value())
    }
}
