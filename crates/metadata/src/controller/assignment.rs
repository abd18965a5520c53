//! Brokers that a request or the placement gives to a partition.
//!
//! Owns: the checks of a manual assignment, the directory of a new replica, who is in sync at birth.
//! Does not own: the choice of brokers (`placement`).
//!
//! Source: KIP-36, KIP-858; requirements TOP-01, TOP-06.

use ottla_model::{BrokerId, DirectoryId};

use super::placement::UsableBroker;
use super::view::View;

/// Why a manual assignment is refused. The messages are Kafka's, since clients print them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AssignmentError {
    #[error("Found multiple manual partition assignments for partition {0}")]
    DuplicatePartition(i32),
    #[error("The manual partition assignment includes an empty replica list.")]
    Empty,
    #[error("The manual partition assignment includes broker {0}, but no such broker is registered.")]
    UnknownBroker(i32),
    #[error("The manual partition assignment includes the broker {0} more than once.")]
    DuplicateBroker(i32),
    #[error(
        "The manual partition assignment includes a partition with {got} replica(s), but this is not consistent with previous partitions, which have {expected} replica(s)."
    )]
    ReplicaCount { got: usize, expected: usize },
    #[error(
        "All brokers specified in the manual partition assignment for partition {0} are fenced or in controlled shutdown."
    )]
    AllFenced(i32),
    #[error("partitions should be a consecutive 0-based integer sequence")]
    NotConsecutive,
    #[error(
        "Attempted to add {wanted} additional partition(s), but only {got} assignment(s) were specified."
    )]
    Count { wanted: usize, got: usize },
}

/// The brokers of one partition, checked. `replicas` is the count that earlier partitions have.
pub fn check(
    view: &View<'_>,
    brokers: &[i32],
    replicas: Option<usize>,
) -> Result<Vec<BrokerId>, AssignmentError> {
    if brokers.is_empty() {
        return Err(AssignmentError::Empty);
    }
    let mut sorted = brokers.to_vec();
    sorted.sort_unstable();
    for (at, number) in sorted.iter().enumerate() {
        let registered = BrokerId::new(*number).and_then(|id| view.image.cluster.broker(id));
        if registered.is_none() {
            return Err(AssignmentError::UnknownBroker(*number));
        }
        if at > 0 && sorted[at - 1] == *number {
            return Err(AssignmentError::DuplicateBroker(*number));
        }
    }
    match replicas {
        Some(expected) if expected != brokers.len() => {
            Err(AssignmentError::ReplicaCount { got: brokers.len(), expected })
        }
        Some(_) | None => Ok(brokers.iter().copied().filter_map(BrokerId::new).collect()),
    }
}

/// Those of the brokers that can be in sync from the start.
pub fn active(view: &View<'_>, brokers: &[BrokerId]) -> Vec<BrokerId> {
    brokers.iter().copied().filter(|broker| view.image.cluster.is_active(*broker)).collect()
}

/// The directory that a new replica on a broker is put into.
pub fn directory(view: &View<'_>, broker: BrokerId) -> DirectoryId {
    if !view.image.features.metadata_version().has_directories() {
        return DirectoryId::MIGRATING;
    }
    view.image.cluster.broker(broker).map_or(DirectoryId::UNASSIGNED, |broker| broker.default_directory())
}

/// Brokers that new replicas may be placed on.
pub fn usable_brokers(view: &View<'_>) -> Vec<UsableBroker> {
    let leaving = |fenced: bool, shutting_down: bool| shutting_down && !fenced;
    let brokers = view.image.cluster.brokers();
    brokers
        .filter(|broker| {
            !leaving(broker.fenced, broker.in_controlled_shutdown) && broker.takes_new_replicas()
        })
        .map(|broker| UsableBroker { id: broker.id, rack: broker.rack.clone(), fenced: broker.fenced })
        .collect()
}
