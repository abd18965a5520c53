//! The bytes of a snapshot.
//!
//! Owns: the order of records in a snapshot, its header and footer.
//! Does not own: the file (the server).
//!
//! Source: KIP-630, KIP-853; Kafka 4.3.1's snapshots.

use std::iter;

use ottla_model::{BrokerId, Offset, Timestamp};
use ottla_protocol::messages::{
    ConfigRecord, FeatureLevelRecord, KRaftVersionRecord, ProducerIdsRecord, RegisterBrokerRecord,
    RegisterControllerRecord, SnapshotFooterRecord, SnapshotHeaderRecord, TopicRecord,
    register_broker_record, register_controller_record,
};

use super::SnapshotId;
use crate::features::MetadataVersion;
use crate::image::{Broker, ControllerNode, MetadataImage, Topic};
use crate::quorum::{KRAFT_VERSION_DYNAMIC, Voters};
use crate::records::{
    BatchPosition, BatchWriteError, ControlContent, MetadataRecord, control_batch, record_batches,
};

/// What the quorum keeps in the log.
#[derive(Clone, Copy, Debug)]
pub struct VotersInLog<'a> {
    pub voters: &'a Voters,
    /// Level of `kraft.version`; the voters are written from 1 on.
    pub kraft_version: i16,
}

/// The snapshot of an image, with the id that its last record gives it. `None` for an image without records.
pub fn image_snapshot(
    image: &MetadataImage,
    voters: VotersInLog<'_>,
    now: Timestamp,
) -> Option<Result<(SnapshotId, Vec<u8>), BatchWriteError>> {
    let last = image.provenance?;
    let id = SnapshotId { end: last.offset.next(), epoch: last.epoch };
    let level = image.features.metadata_version();
    let content = (records_of(image), level);
    Some(records_snapshot((id, last.timestamp), Some(voters), content, now).map(|bytes| (id, bytes)))
}

/// A snapshot with these records. `last` is the time of the last record of the log that it stands for.
pub fn records_snapshot(
    (id, last): (SnapshotId, Timestamp),
    voters: Option<VotersInLog<'_>>,
    (records, level): (impl Iterator<Item = MetadataRecord>, MetadataVersion),
    now: Timestamp,
) -> Result<Vec<u8>, BatchWriteError> {
    let header = SnapshotHeaderRecord { version: 0, last_contained_log_timestamp: last.millis() };
    let mut controls = vec![ControlContent::SnapshotHeader(header)];
    if let Some(quorum) = voters.filter(|quorum| quorum.kraft_version >= KRAFT_VERSION_DYNAMIC) {
        let version = KRaftVersionRecord { version: 0, k_raft_version: quorum.kraft_version };
        controls.push(ControlContent::KraftVersion(version));
        controls.push(ControlContent::Voters(quorum.voters.to_record()));
    }
    let position = |base_offset| BatchPosition { base_offset, epoch: id.epoch, timestamp: now };
    let mut bytes = control_batch(position(Offset::ZERO), &controls)?;
    let data = Offset::ZERO.plus(u32::try_from(controls.len()).unwrap_or(u32::MAX));
    let end = record_batches(position(data), records, level, &mut bytes)?;
    let footer = ControlContent::SnapshotFooter(SnapshotFooterRecord { version: 0 });
    bytes.extend(control_batch(position(end), &[footer])?);
    Ok(bytes)
}

/// All records that make the image, in Kafka's order.
fn records_of(image: &MetadataImage) -> impl Iterator<Item = MetadataRecord> {
    let level = image.features.metadata_version();
    // The level comes first: it decides how a reader understands the rest.
    let own = level_record(MetadataVersion::FEATURE, level.level());
    let others = image.features.levels().map(|(feature, level)| level_record(feature.name(), level));
    let brokers = image.cluster.brokers().map(move |broker| broker_record(broker, level).into());
    let controllers = image.cluster.controllers().map(|controller| controller_record(controller).into());
    let topics = image.topics.ordered_by_id().flat_map(move |topic| topic_records(topic, level));
    let configs = image.configs.iter().flat_map(|(resource, values)| {
        values.iter().map(|(key, value)| {
            let record = ConfigRecord {
                resource_type: resource.kind(),
                resource_name: resource.name(),
                name: key.clone(),
                value: Some(value.clone()),
            };
            record.into()
        })
    });
    let producer_ids = image.next_producer_id.map(|next| {
        let record = ProducerIdsRecord { broker_id: -1, broker_epoch: -1, next_producer_id: next.value() };
        record.into()
    });
    iter::once(own)
        .chain(others)
        .chain(brokers)
        .chain(controllers)
        .chain(topics)
        .chain(configs)
        .chain(image.retained.quota_records())
        .chain(producer_ids)
        .chain(image.retained.credential_records())
}

fn level_record(name: &str, level: i16) -> MetadataRecord {
    FeatureLevelRecord { name: name.to_owned(), feature_level: level }.into()
}

fn broker_record(broker: &Broker, level: MetadataVersion) -> RegisterBrokerRecord {
    let endpoints = broker.endpoints.iter().map(|endpoint| register_broker_record::BrokerEndpoint {
        name: endpoint.listener.clone(),
        host: endpoint.host.clone(),
        port: endpoint.port,
        security_protocol: endpoint.security_protocol.code(),
    });
    let features = broker.features.iter().map(|(name, range)| register_broker_record::BrokerFeature {
        name: name.clone(),
        min_supported_version: range.min,
        max_supported_version: range.max,
    });
    let cordoned = broker.cordoned.as_ref().filter(|_| level.has_cordoned_directories());
    let directories = broker.directories.iter().filter(|_| level.has_directories());
    RegisterBrokerRecord {
        broker_id: broker.id.value(),
        is_migrating_zk_broker: broker.migrating && level.has_migration_state(),
        incarnation_id: broker.incarnation.0,
        broker_epoch: broker.epoch.value(),
        end_points: endpoints.collect(),
        features: features.collect(),
        rack: broker.rack.clone(),
        fenced: broker.fenced,
        in_controlled_shutdown: broker.in_controlled_shutdown,
        log_dirs: directories.map(|directory| directory.0).collect(),
        cordoned_log_dirs: cordoned.map(|all| all.iter().map(|directory| directory.0).collect()),
    }
}

fn controller_record(controller: &ControllerNode) -> RegisterControllerRecord {
    let endpoints =
        controller.endpoints.iter().map(|endpoint| register_controller_record::ControllerEndpoint {
            name: endpoint.listener.clone(),
            host: endpoint.host.clone(),
            port: endpoint.port,
            security_protocol: endpoint.security_protocol.code(),
        });
    let features =
        controller.features.iter().map(|(name, range)| register_controller_record::ControllerFeature {
            name: name.clone(),
            min_supported_version: range.min,
            max_supported_version: range.max,
        });
    RegisterControllerRecord {
        controller_id: BrokerId::value(controller.id),
        incarnation_id: controller.incarnation.0,
        zk_migration_ready: controller.migration_ready,
        end_points: endpoints.collect(),
        features: features.collect(),
    }
}

fn topic_records(topic: &Topic, level: MetadataVersion) -> impl Iterator<Item = MetadataRecord> {
    let own = TopicRecord { name: topic.name.as_str().to_owned(), topic_id: topic.id.uuid() };
    let partitions =
        topic.partitions().map(move |(index, partition)| partition.to_record(topic.id, index, level).into());
    iter::once(own.into()).chain(partitions)
}
