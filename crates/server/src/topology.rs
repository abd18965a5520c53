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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{caller, image};

    /// What a client of a listener is told of the partitions of `t`, in the order of the index.
    fn rows(listener: &str, strictness: Strictness) -> Vec<String> {
        let image = image();
        let topic = image.topics.by_name("t").unwrap();
        let row = |row: PartitionRow| {
            let PartitionRow { error, index, leader, leader_epoch, replicas, in_sync, offline } = row;
            format!("{index} {error:?} {leader}@{leader_epoch} {replicas:?} {in_sync:?} {offline:?}")
        };
        partition_rows(&image, topic, &caller(listener).listener, strictness).into_iter().map(row).collect()
    }

    const NEW: Strictness = Strictness { missing_replicas: false, missing_listener: true };

    /// MD-02, MD-03: who is fenced or has no such listener is not listed, and never named as the controller.
    #[test]
    fn only_brokers_that_can_be_reached_are_told() {
        let image = image();
        let told = |listener: &str| -> Vec<String> {
            let listener = caller(listener).listener;
            alive_brokers(&image, &listener)
                .map(|(broker, at)| format!("{} {}", broker.id, at.host))
                .collect()
        };
        assert_eq!(told("IN"), ["1 in.1", "2 in.2"]);
        assert_eq!(told("OUT"), ["1 out.1"]);
        assert!(told("OTHER").is_empty());
        let controllers = |listener: &str| -> Vec<i32> {
            let listener = caller(listener).listener;
            (0..4).map(|draw| some_alive_broker(&image, &listener, draw)).collect()
        };
        assert_eq!(controllers("IN"), [1, 2, 1, 2]);
        assert_eq!(controllers("OUT"), [1; 4]);
        assert_eq!(controllers("OTHER"), [-1; 4]);
    }

    /// MD-05, MD-11, TRAP-30: every partition is told, with its epoch, also where nobody leads or can be reached.
    #[test]
    fn a_partition_without_a_leader_within_reach_is_told_with_the_reason() {
        assert_eq!(
            rows("IN", NEW),
            [
                "0 None 1@7 [1, 2] [1, 2] []",
                "1 None 2@7 [2, 1] [2] []",
                "2 ListenerNotFound -1@7 [3, 1] [3] [3]",
                "3 LeaderNotAvailable -1@7 [3, 4] [] [3, 4]",
            ]
        );
        assert_eq!(
            rows("OUT", NEW),
            [
                "0 None 1@7 [1, 2] [1, 2] []",
                "1 ListenerNotFound -1@7 [2, 1] [2] []",
                "2 ListenerNotFound -1@7 [3, 1] [3] [3]",
                "3 LeaderNotAvailable -1@7 [3, 4] [] [3, 4]",
            ]
        );
    }

    /// MD-05
    #[test]
    fn older_versions_hear_of_missing_listeners_in_their_own_way() {
        let errors = |strictness| -> Vec<String> {
            let error = |row: String| row.split(' ').nth(1).unwrap().to_owned();
            rows("OUT", strictness).into_iter().map(error).collect()
        };
        let before_6 = Strictness { missing_replicas: false, missing_listener: false };
        assert_eq!(
            errors(before_6),
            ["None", "LeaderNotAvailable", "LeaderNotAvailable", "LeaderNotAvailable"]
        );
        let first = Strictness { missing_replicas: true, missing_listener: false };
        assert_eq!(rows("OUT", first)[0], "0 ReplicaNotAvailable 1@7 [1] [1] []");
        assert_eq!(rows("IN", first)[0], "0 None 1@7 [1, 2] [1, 2] []");
    }
}
