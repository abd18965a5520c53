//! What a client is told of brokers and partitions, read from the metadata image.
//!
//! Owns: which brokers are alive for a listener, how a partition's state looks in an answer, with its error.
//! Does not own: the image (`metadata`), permissions, the form of the answers (`handlers`).
//!
//! Source: requirements MD-02, MD-03, MD-05, LSN-04.

use ottla_metadata::image::{Broker, Endpoint, MetadataImage, Partition, Topic};
use ottla_model::{BrokerId, ListenerName, PartitionIndex};
use ottla_protocol::ErrorCode;

/// How strictly an answer reports endpoints that are not there; it depends on the request's version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Strictness {
    /// Metadata 0 leaves out replicas without an endpoint and says so.
    pub missing_replicas: bool,
    /// Metadata 6 and later tell a missing listener from a missing leader.
    pub missing_listener: bool,
}

/// A partition as an answer shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionRow {
    pub error: ErrorCode,
    pub index: i32,
    /// −1: none that this client could reach.
    pub leader: i32,
    pub leader_epoch: i32,
    pub replicas: Vec<i32>,
    pub in_sync: Vec<i32>,
    pub offline: Vec<i32>,
}

/// The endpoint of a broker that is alive and listens there.
pub fn alive_endpoint<'a>(
    image: &'a MetadataImage,
    id: BrokerId,
    listener: &ListenerName,
) -> Option<&'a Endpoint> {
    let broker = image.cluster.broker(id).filter(|broker| !broker.fenced)?;
    broker.endpoint(listener.as_str())
}

/// The brokers that are alive and listen there, by id (MD-02).
pub fn alive_brokers<'a>(
    image: &'a MetadataImage,
    listener: &'a ListenerName,
) -> impl Iterator<Item = (&'a Broker, &'a Endpoint)> {
    image.cluster.unfenced().filter_map(|broker| Some((broker.as_ref(), broker.endpoint(listener.as_str())?)))
}

/// A broker that clients may take for the controller: any live one, since each forwards (MD-03). −1 if there is none.
pub fn some_alive_broker(image: &MetadataImage, listener: &ListenerName, draw: u64) -> i32 {
    let count = u64::try_from(alive_brokers(image, listener).count()).unwrap_or(0);
    let Some(at) = draw.checked_rem(count) else { return -1 };
    let at = usize::try_from(at).unwrap_or(0);
    alive_brokers(image, listener).nth(at).map_or(-1, |(broker, _)| broker.id.value())
}

/// The rows of all partitions of a topic, by index.
pub fn partition_rows(
    image: &MetadataImage,
    topic: &Topic,
    listener: &ListenerName,
    strictness: Strictness,
) -> Vec<PartitionRow> {
    topic
        .partitions()
        .map(|(index, partition)| partition_row(image, (index, partition), listener, strictness))
        .collect()
}

/// The row of one partition (MD-05).
pub fn partition_row(
    image: &MetadataImage,
    (index, partition): (PartitionIndex, &Partition),
    listener: &ListenerName,
    strictness: Strictness,
) -> PartitionRow {
    let reachable = |id: &BrokerId| alive_endpoint(image, *id, listener).is_some();
    let shown = |ids: &mut dyn Iterator<Item = BrokerId>| -> Vec<i32> {
        ids.filter(|id| !strictness.missing_replicas || reachable(id)).map(BrokerId::value).collect()
    };
    let replicas = shown(&mut partition.brokers());
    let in_sync = shown(&mut partition.in_sync.iter().copied());
    let offline = offline_replicas(image, partition);
    let leader = partition.leader.filter(reachable);
    let error = match leader {
        None => leader_error(image, partition.leader, strictness),
        Some(_) if replicas.len() < partition.replicas.len() || in_sync.len() < partition.in_sync.len() => {
            ErrorCode::ReplicaNotAvailable
        }
        Some(_) => ErrorCode::None,
    };
    PartitionRow {
        error,
        index: index.value(),
        leader: leader.map_or(-1, BrokerId::value),
        leader_epoch: partition.leader_epoch.value(),
        replicas,
        in_sync,
        offline,
    }
}

/// Replicas on brokers that are not alive, or in directories that failed.
pub fn offline_replicas(image: &MetadataImage, partition: &Partition) -> Vec<i32> {
    let online = |id: BrokerId, directory| {
        let broker = image.cluster.broker(id).filter(|broker| !broker.fenced);
        broker.is_some_and(|broker| broker.has_online_directory(directory))
    };
    let offline = partition.replicas.iter().filter(|replica| !online(replica.broker, replica.directory));
    offline.map(|replica| replica.broker.value()).collect()
}

fn leader_error(image: &MetadataImage, leader: Option<BrokerId>, strictness: Strictness) -> ErrorCode {
    let known = leader.is_some_and(|id| image.cluster.broker(id).is_some());
    if known && strictness.missing_listener {
        ErrorCode::ListenerNotFound
    } else {
        ErrorCode::LeaderNotAvailable
    }
}
