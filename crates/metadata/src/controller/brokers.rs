//! Registration of brokers and controllers.
//!
//! Owns: who may register, what is recorded, removal of a registration.
//! Does not own: sessions (`sessions`), fencing (`heartbeat`), leaders (`leadership`).
//!
//! Source: KIP-631, KIP-858, KIP-919, KIP-966; requirements REG-01, REG-03.

use std::collections::BTreeSet;
use std::time::Instant;

use ottla_model::{BrokerEpoch, BrokerId, DirectoryId, IncarnationId, Offset};
use ottla_protocol::messages::{
    RegisterBrokerRecord, RegisterControllerRecord, UnregisterBrokerRecord, register_broker_record,
    register_controller_record,
};

use super::leadership::{self, Fate};
use super::sessions::Sessions;
use super::view::{Decision, View};
use crate::features::{Feature, MetadataVersion, VersionRange};
use crate::image::{Broker, Endpoint};
use crate::records::MetadataRecord;

/// A broker wants to be part of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisterBroker {
    pub broker: BrokerId,
    pub cluster: String,
    pub incarnation: IncarnationId,
    pub endpoints: Vec<Endpoint>,
    /// Levels the broker supports, by feature name.
    pub features: Vec<(String, VersionRange)>,
    pub rack: Option<String>,
    pub directories: Vec<DirectoryId>,
    /// Those of them that take no new replicas (KIP-1066).
    pub cordoned: Vec<DirectoryId>,
    /// The epoch the broker had when it last went down cleanly.
    pub previous_epoch: Option<BrokerEpoch>,
    /// Whether the broker is one that would name `previous_epoch` (request version 3 and later).
    pub tells_clean_shutdown: bool,
    /// Whether the broker comes over from ZooKeeper.
    pub migrating: bool,
}

/// A controller makes itself known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisterController {
    pub controller: BrokerId,
    pub incarnation: IncarnationId,
    pub endpoints: Vec<Endpoint>,
    pub features: Vec<(String, VersionRange)>,
    pub migration_ready: bool,
}

/// Why a registration is refused. The messages are Kafka's, since operators read them in broker logs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegisterError {
    #[error("Expected cluster ID {expected}, but got cluster ID {got}")]
    InconsistentCluster { expected: String, got: String },
    #[error(
        "Another broker is registered with that broker id. If the broker was recently restarted this should self-resolve once the heartbeat manager expires the broker's session."
    )]
    Duplicate,
    #[error("Controller does not support registering ZK brokers.")]
    FromZooKeeper,
    #[error("No directories specified in request")]
    NoDirectories,
    #[error("Reserved directory ID in request")]
    ReservedDirectory,
    #[error("Duplicate directory ID in request")]
    DuplicateDirectory,
    #[error("Broker {broker} is already registered with directory {directory}")]
    DirectoryOfOther { broker: BrokerId, directory: DirectoryId },
    #[error("Request features do not contain 'metadata.version'")]
    NoMetadataVersion,
    #[error(
        "Unable to register because the broker does not support finalized version {finalized} of {feature}. The broker wants a version between {} and {}, inclusive.", range.min, range.max
    )]
    UnsupportedFeature { feature: String, finalized: i16, range: VersionRange },
    #[error("The current MetadataVersion is too old to support controller registrations.")]
    NoControllerRegistration,
}

/// The broker to be removed does not exist.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Broker ID {0} is not currently registered")]
pub struct BrokerNotRegistered(pub BrokerId);

/// Registers a broker; the answer is its epoch.
pub fn register(
    view: &View<'_>,
    sessions: &Sessions,
    request: &RegisterBroker,
    now: Instant,
) -> Result<Decision<BrokerEpoch>, RegisterError> {
    let expected = view.setup.cluster.as_str();
    if expected != request.cluster {
        let got = request.cluster.clone();
        return Err(RegisterError::InconsistentCluster { expected: expected.to_owned(), got });
    }
    let existing = view.image.cluster.broker(request.broker);
    let same_incarnation = existing.filter(|existing| existing.incarnation == request.incarnation);
    if same_incarnation.is_none()
        && existing.is_some_and(|existing| is_occupied(view, sessions, existing, now))
    {
        return Err(RegisterError::Duplicate);
    }
    if request.migrating {
        return Err(RegisterError::FromZooKeeper);
    }
    let version = view.image.features.metadata_version();
    if version.has_directories() {
        check_directories(view, request)?;
    }
    check_features(view, request)?;
    let mut records = Vec::new();
    if same_incarnation.is_none() {
        let fate = fate_of_predecessor(view, request, existing.map(AsRef::as_ref));
        records = leadership::changes(view, fate);
    }
    let record = registration(request, same_incarnation.map(AsRef::as_ref), view.next_offset, version);
    let epoch = same_incarnation.map_or_else(|| epoch_at(view.next_offset), |existing| existing.epoch);
    records.push(record.into());
    Ok(Decision { records, answer: epoch })
}

/// Whether another incarnation holds the id and may still be alive. What the log says of the controller's own node
/// is the incarnation whose place this very process took: unless it spoke since, it is gone (REG-01).
fn is_occupied(view: &View<'_>, sessions: &Sessions, existing: &Broker, now: Instant) -> bool {
    let live = sessions.is_live(existing.id, existing.epoch, now);
    live && (existing.id != view.setup.node || sessions.was_heard(existing.id, existing.epoch))
}

/// A broker that does not name the epoch in which it went down cleanly may have lost what it had not flushed. That
/// matters only where replicas outside the in-sync set are trusted (ELE-02).
fn fate_of_predecessor(
    view: &View<'_>,
    request: &RegisterBroker,
    existing: Option<&Broker>,
) -> Fate<'static> {
    let clean = request.previous_epoch.is_some()
        && request.previous_epoch == existing.map(|existing| existing.epoch)
        && request.tells_clean_shutdown;
    if clean || !view.image.features.has_eligible_leaders() {
        Fate::Left(request.broker)
    } else {
        Fate::Crashed(request.broker)
    }
}

fn epoch_at(offset: Offset) -> BrokerEpoch {
    BrokerEpoch::new(offset.value()).expect("an offset is never negative")
}

fn registration(
    request: &RegisterBroker,
    same_incarnation: Option<&Broker>,
    next_offset: Offset,
    version: MetadataVersion,
) -> RegisterBrokerRecord {
    let endpoint = |endpoint: &Endpoint| register_broker_record::BrokerEndpoint {
        name: endpoint.listener.clone(),
        host: endpoint.host.clone(),
        port: endpoint.port,
        security_protocol: endpoint.security_protocol.code(),
    };
    let feature = |(name, range): &(String, VersionRange)| register_broker_record::BrokerFeature {
        name: name.clone(),
        min_supported_version: range.min,
        max_supported_version: range.max,
    };
    let directories = if version.has_directories() { request.directories.as_slice() } else { &[] };
    RegisterBrokerRecord {
        broker_id: request.broker.value(),
        is_migrating_zk_broker: false,
        incarnation_id: request.incarnation.0,
        broker_epoch: same_incarnation.map_or(next_offset.value(), |existing| existing.epoch.value()),
        end_points: request.endpoints.iter().map(endpoint).collect(),
        features: request.features.iter().map(feature).collect(),
        rack: request.rack.clone(),
        fenced: same_incarnation.is_none_or(|existing| existing.fenced),
        in_controlled_shutdown: same_incarnation.is_some_and(|existing| existing.in_controlled_shutdown),
        log_dirs: directories.iter().map(|directory| directory.0).collect(),
        cordoned_log_dirs: version
            .has_cordoned_directories()
            .then(|| request.cordoned.iter().map(|directory| directory.0).collect()),
    }
}

fn check_directories(view: &View<'_>, request: &RegisterBroker) -> Result<(), RegisterError> {
    if request.directories.is_empty() {
        return Err(RegisterError::NoDirectories);
    }
    if request.directories.iter().any(|directory| directory.is_reserved()) {
        return Err(RegisterError::ReservedDirectory);
    }
    let distinct: BTreeSet<_> = request.directories.iter().collect();
    if distinct.len() != request.directories.len() {
        return Err(RegisterError::DuplicateDirectory);
    }
    for directory in &request.directories {
        let mut others = view.image.cluster.brokers().filter(|broker| broker.id != request.broker);
        if let Some(other) = others.find(|broker| broker.directories.contains(directory)) {
            return Err(RegisterError::DirectoryOfOther { broker: other.id, directory: *directory });
        }
    }
    Ok(())
}

/// Every finalized level must lie in what the broker supports; a feature it does not name it does not support.
fn check_features(view: &View<'_>, request: &RegisterBroker) -> Result<(), RegisterError> {
    let features = &view.image.features;
    let finalized = |name: &str| match Feature::from_name(name) {
        Ok(feature) => view.finalized_level(feature),
        Err(_) if name == MetadataVersion::FEATURE => features.metadata_version().level(),
        Err(_) => 0,
    };
    let check = |name: &str, range: VersionRange| {
        let level = finalized(name);
        if range.contains(level) {
            return Ok(());
        }
        Err(RegisterError::UnsupportedFeature { feature: name.to_owned(), finalized: level, range })
    };
    for (name, range) in &request.features {
        check(name, *range)?;
    }
    let names = |name: &str| request.features.iter().any(|(named, _)| named == name);
    if !names(MetadataVersion::FEATURE) {
        return Err(RegisterError::NoMetadataVersion);
    }
    for feature in Feature::ALL.into_iter().filter(|feature| !names(feature.name())) {
        check(feature.name(), VersionRange::DISABLED)?;
    }
    Ok(())
}

/// Removes a broker that is gone for good (REG-03).
pub fn unregister(view: &View<'_>, broker: BrokerId) -> Result<Decision<()>, BrokerNotRegistered> {
    let registered = view.image.cluster.broker(broker).ok_or(BrokerNotRegistered(broker))?;
    let mut records = leadership::changes(view, Fate::Left(broker));
    let record = UnregisterBrokerRecord { broker_id: broker.value(), broker_epoch: registered.epoch.value() };
    records.push(record.into());
    Ok(Decision { records, answer: () })
}

/// Records what a controller tells of itself (KIP-919).
pub fn register_controller(
    view: &View<'_>,
    request: &RegisterController,
) -> Result<Decision<()>, RegisterError> {
    if !view.image.features.metadata_version().has_controller_registration() {
        return Err(RegisterError::NoControllerRegistration);
    }
    let endpoint = |endpoint: &Endpoint| register_controller_record::ControllerEndpoint {
        name: endpoint.listener.clone(),
        host: endpoint.host.clone(),
        port: endpoint.port,
        security_protocol: endpoint.security_protocol.code(),
    };
    let feature = |(name, range): &(String, VersionRange)| register_controller_record::ControllerFeature {
        name: name.clone(),
        min_supported_version: range.min,
        max_supported_version: range.max,
    };
    let record = RegisterControllerRecord {
        controller_id: request.controller.value(),
        incarnation_id: request.incarnation.0,
        zk_migration_ready: request.migration_ready,
        end_points: request.endpoints.iter().map(endpoint).collect(),
        features: request.features.iter().map(feature).collect(),
    };
    Ok(Decision { records: vec![MetadataRecord::from(record)], answer: () })
}
