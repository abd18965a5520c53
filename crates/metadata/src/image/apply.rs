//! What each record does to the image.
//!
//! Owns: the only code that changes an image.
//! Does not own: transactions (`replay`), the decision that led to a record (`controller`).
//!
//! A record that contradicts the image means that the log is damaged or that a node before us was wrong: it is an
//! error that the caller must not pass over.
//!
//! Source: KIP-631, KIP-858, KIP-966, KIP-1066.

use std::collections::BTreeSet;
use std::sync::Arc;

use ottla_model::{
    BrokerEpoch, BrokerId, DirectoryId, IncarnationId, LeaderEpoch, Offset, PartitionEpoch, PartitionIndex,
    ProducerId, SecurityProtocol, TopicId, TopicName, Uuid,
};
use ottla_protocol::messages::{
    BrokerRegistrationChangeRecord, ClearElrRecord, ConfigRecord, FeatureLevelRecord, PartitionChangeRecord,
    PartitionRecord, ProducerIdsRecord, RegisterBrokerRecord, RegisterControllerRecord, TopicRecord,
    register_broker_record, register_controller_record,
};

use super::{Broker, ConfigResource, ControllerNode, Endpoint, MetadataImage, Partition, Replica, Topic};
use crate::features::{Feature, MetadataVersion, VersionRange};
use crate::records::{MetadataRecord, code};

/// Why a record cannot be applied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    #[error("{kind} at {at} has the field {field} with a value that means nothing")]
    Field { kind: &'static str, field: &'static str, at: Offset },
    #[error("{kind} at {at} names the topic {topic}, which does not exist")]
    UnknownTopic { kind: &'static str, topic: String, at: Offset },
    #[error("TopicRecord at {at} creates the topic {topic}, which exists")]
    TopicExists { topic: String, at: Offset },
    #[error(
        "{kind} at {at} names partition {partition} of the topic {topic}, which does not exist or leaves a gap"
    )]
    UnknownPartition { kind: &'static str, topic: String, partition: i32, at: Offset },
    #[error("{kind} at {at} names the broker {broker} with epoch {epoch}, which is not registered")]
    UnknownBroker { kind: &'static str, broker: i32, epoch: i64, at: Offset },
    #[error("FeatureLevelRecord at {at} sets {feature} to {level}, which this program does not support")]
    UnsupportedFeature { feature: String, level: i16, at: Offset },
    #[error("ProducerIdsRecord at {at} goes back to {next} from {present}")]
    ProducerIdsGoBack { next: i64, present: i64, at: Offset },
    #[error("a transaction begins at {at} inside the one that began at {open}")]
    TransactionOpen { at: Offset, open: Offset },
    #[error("a transaction ends at {at} though none is open")]
    NoTransaction { at: Offset },
}

type Applied = Result<(), ApplyError>;

impl MetadataImage {
    /// Applies the record at an offset. Records of transactions are not for an image: see [`super::Replay`].
    pub(super) fn apply(&mut self, record: &MetadataRecord, at: Offset) -> Applied {
        match record {
            MetadataRecord::Topic(record) => self.create_topic(record, at),
            MetadataRecord::RemoveTopic(record) => self.remove_topic(record.topic_id, at),
            MetadataRecord::Partition(record) => self.put_partition(record, at),
            MetadataRecord::PartitionChange(record) => self.change_partition(record, at),
            MetadataRecord::ClearElr(record) => self.clear_eligible_leaders(record, at),
            MetadataRecord::Config(record) => self.set_config(record, at),
            MetadataRecord::FeatureLevel(record) => self.set_feature(record, at),
            MetadataRecord::ProducerIds(record) => self.set_producer_ids(record, at),
            MetadataRecord::RegisterBroker(record) => self.register_broker(record, at),
            MetadataRecord::UnregisterBroker(record) => {
                self.broker_at_epoch("UnregisterBrokerRecord", (record.broker_id, record.broker_epoch), at)?;
                let id = broker_id(record.broker_id, "UnregisterBrokerRecord", at)?;
                Arc::make_mut(&mut self.cluster.brokers).remove(&id);
                Ok(())
            }
            MetadataRecord::BrokerRegistrationChange(record) => self.change_broker(record, at),
            MetadataRecord::FenceBroker(record) => {
                self.broker_at_epoch("FenceBrokerRecord", (record.id, record.epoch), at)?.fenced = true;
                Ok(())
            }
            MetadataRecord::UnfenceBroker(record) => {
                self.broker_at_epoch("UnfenceBrokerRecord", (record.id, record.epoch), at)?.fenced = false;
                Ok(())
            }
            MetadataRecord::RegisterController(record) => self.register_controller(record, at),
            MetadataRecord::AccessControlEntry(_)
            | MetadataRecord::RemoveAccessControlEntry(_)
            | MetadataRecord::ClientQuota(_)
            | MetadataRecord::UserScramCredential(_)
            | MetadataRecord::RemoveUserScramCredential(_)
            | MetadataRecord::DelegationToken(_)
            | MetadataRecord::RemoveDelegationToken(_) => self.retain(record),
            MetadataRecord::NoOp(_)
            | MetadataRecord::ZkMigrationState(_)
            | MetadataRecord::BeginTransaction(_)
            | MetadataRecord::EndTransaction(_)
            | MetadataRecord::AbortTransaction(_) => Ok(()),
        }
    }

    fn retain(&mut self, record: &MetadataRecord) -> Applied {
        let retained = &mut self.retained;
        if let MetadataRecord::AccessControlEntry(record) = record {
            retained.put_acl(record);
        } else if let MetadataRecord::RemoveAccessControlEntry(record) = record {
            retained.remove_acl(record.id);
        } else if let MetadataRecord::ClientQuota(record) = record {
            retained.put_quota(record);
        } else if let MetadataRecord::UserScramCredential(record) = record {
            retained.put_scram(record);
        } else if let MetadataRecord::RemoveUserScramCredential(record) = record {
            retained.remove_scram(record);
        } else if let MetadataRecord::DelegationToken(record) = record {
            retained.put_token(record);
        } else if let MetadataRecord::RemoveDelegationToken(record) = record {
            retained.remove_token(&record.token_id);
        }
        Ok(())
    }
}

/// Topics and partitions.
impl MetadataImage {
    fn create_topic(&mut self, record: &TopicRecord, at: Offset) -> Applied {
        let kind = "TopicRecord";
        let name = TopicName::new(&record.name).map_err(|_| ApplyError::Field { kind, field: "Name", at })?;
        let id = TopicId::new(record.topic_id).ok_or(ApplyError::Field { kind, field: "TopicId", at })?;
        if self.topics.by_name(&record.name).is_some() || self.topics.by_id(id).is_some() {
            return Err(ApplyError::TopicExists { topic: record.name.clone(), at });
        }
        self.topics.create(Topic::new(name, id));
        Ok(())
    }

    fn remove_topic(&mut self, id: Uuid, at: Offset) -> Applied {
        let topic = TopicId::new(id).and_then(|id| self.topics.remove(id));
        let topic = topic.ok_or_else(|| ApplyError::UnknownTopic {
            kind: "RemoveTopicRecord",
            topic: id.to_string(),
            at,
        })?;
        self.configs.remove(&ConfigResource::Topic(topic.name.as_str().to_owned()));
        Ok(())
    }

    fn put_partition(&mut self, record: &PartitionRecord, at: Offset) -> Applied {
        let named =
            Named { kind: "PartitionRecord", topic: record.topic_id, partition: record.partition_id, at };
        let partition = partition_of(record, at)?;
        self.replace(named, |_| Some(Ok(partition)))
    }

    fn change_partition(&mut self, record: &PartitionChangeRecord, at: Offset) -> Applied {
        let named = Named {
            kind: "PartitionChangeRecord",
            topic: record.topic_id,
            partition: record.partition_id,
            at,
        };
        self.replace(named, |present| present.map(|present| merge(present, record, at)))
    }

    fn clear_eligible_leaders(&mut self, record: &ClearElrRecord, at: Offset) -> Applied {
        let kind = "ClearElrRecord";
        let topics: Vec<_> = if record.topic_name.is_empty() {
            self.topics.iter().cloned().collect()
        } else {
            let unknown = || ApplyError::UnknownTopic { kind, topic: record.topic_name.clone(), at };
            vec![self.topics.by_name(&record.topic_name).cloned().ok_or_else(unknown)?]
        };
        for topic in topics {
            for (index, partition) in topic.partitions() {
                if partition.eligible_leaders.is_empty() && partition.last_known_leaders.is_empty() {
                    continue;
                }
                let change = PartitionChangeRecord {
                    topic_id: topic.id.uuid(),
                    partition_id: index.value(),
                    eligible_leader_replicas: Some(Vec::new()),
                    last_known_elr: Some(Vec::new()),
                    ..PartitionChangeRecord::default()
                };
                self.change_partition(&change, at)?;
            }
        }
        Ok(())
    }

    /// Replaces the state of one partition by what `change` makes of the present one.
    fn replace(
        &mut self,
        named: Named,
        change: impl FnOnce(Option<&Partition>) -> Option<Result<Partition, ApplyError>>,
    ) -> Applied {
        let topic = TopicId::new(named.topic).and_then(|id| self.topics.topic_mut(id));
        let topic = topic.ok_or_else(|| named.unknown_topic())?;
        let unknown = named.unknown_partition(&topic.name);
        let index = PartitionIndex::new(named.partition).ok_or_else(&unknown)?;
        let partition = change(topic.partition(index).map(Arc::as_ref)).ok_or_else(&unknown)??;
        if topic.put(index, partition) { Ok(()) } else { Err(unknown()) }
    }
}

/// The partition that a record speaks of.
#[derive(Clone, Copy)]
struct Named {
    kind: &'static str,
    topic: Uuid,
    partition: i32,
    at: Offset,
}

impl Named {
    fn unknown_topic(self) -> ApplyError {
        ApplyError::UnknownTopic { kind: self.kind, topic: self.topic.to_string(), at: self.at }
    }

    fn unknown_partition(self, topic: &TopicName) -> impl Fn() -> ApplyError + use<> {
        let Named { kind, partition, at, .. } = self;
        let topic = topic.clone();
        move || ApplyError::UnknownPartition { kind, topic: topic.to_string(), partition, at }
    }
}

fn partition_of(record: &PartitionRecord, at: Offset) -> Result<Partition, ApplyError> {
    let bad = |field| ApplyError::Field { kind: "PartitionRecord", field, at };
    let brokers = |numbers: &[i32], field| code::to_brokers(numbers).ok_or_else(|| bad(field));
    let replicas = brokers(&record.replicas, "Replicas")?;
    let eligible = record.eligible_leader_replicas.as_deref().unwrap_or_default();
    Ok(Partition {
        replicas: located(&replicas, &record.directories).ok_or_else(|| bad("Directories"))?,
        in_sync: brokers(&record.isr, "Isr")?,
        removing: brokers(&record.removing_replicas, "RemovingReplicas")?,
        adding: brokers(&record.adding_replicas, "AddingReplicas")?,
        leader: BrokerId::new(record.leader),
        leader_recovery: code::to_leader_recovery(record.leader_recovery_state)
            .ok_or_else(|| bad("LeaderRecoveryState"))?,
        leader_epoch: LeaderEpoch::new(record.leader_epoch).ok_or_else(|| bad("LeaderEpoch"))?,
        partition_epoch: PartitionEpoch::new(record.partition_epoch).ok_or_else(|| bad("PartitionEpoch"))?,
        eligible_leaders: brokers(eligible, "EligibleLeaderReplicas")?,
        last_known_leaders: brokers(record.last_known_elr.as_deref().unwrap_or_default(), "LastKnownElr")?,
    })
}

/// Records of before there were directory ids name none; then nobody knows where the replicas lie.
fn located(brokers: &[BrokerId], directories: &[Uuid]) -> Option<Vec<Replica>> {
    let unknown = directories.iter().all(|id| *id == DirectoryId::MIGRATING.0);
    if !unknown && directories.len() != brokers.len() {
        return None;
    }
    let directory = |at| match directories.get(at) {
        Some(id) if !unknown => DirectoryId(*id),
        Some(_) | None => DirectoryId::MIGRATING,
    };
    Some(
        brokers
            .iter()
            .enumerate()
            .map(|(at, broker)| Replica { broker: *broker, directory: directory(at) })
            .collect(),
    )
}

impl Partition {
    /// The partition after a change, or `None` when the record means nothing.
    pub fn merged(&self, record: &PartitionChangeRecord) -> Option<Partition> {
        merge(self, record, Offset::ZERO).ok()
    }
}

fn merge(present: &Partition, record: &PartitionChangeRecord, at: Offset) -> Result<Partition, ApplyError> {
    let mut partition = present.clone();
    let bad = |field| ApplyError::Field { kind: "PartitionChangeRecord", field, at };
    let set = |slot: &mut Vec<BrokerId>, numbers: &Option<Vec<i32>>, field| {
        if let Some(numbers) = numbers {
            *slot = code::to_brokers(numbers).ok_or_else(|| bad(field))?;
        }
        Ok(())
    };
    if record.replicas.is_some() || record.directories.is_some() {
        let mut brokers: Vec<_> = present.brokers().collect();
        set(&mut brokers, &record.replicas, "Replicas")?;
        let known: Vec<_> = present.replicas.iter().map(|replica| replica.directory.0).collect();
        let directories = record.directories.as_deref().unwrap_or(&known);
        partition.replicas = located(&brokers, directories).ok_or_else(|| bad("Directories"))?;
    }
    set(&mut partition.in_sync, &record.isr, "Isr")?;
    set(&mut partition.removing, &record.removing_replicas, "RemovingReplicas")?;
    set(&mut partition.adding, &record.adding_replicas, "AddingReplicas")?;
    set(&mut partition.eligible_leaders, &record.eligible_leader_replicas, "EligibleLeaderReplicas")?;
    set(&mut partition.last_known_leaders, &record.last_known_elr, "LastKnownElr")?;
    if record.leader != code::LEADER_UNCHANGED {
        partition.leader = BrokerId::new(record.leader);
        partition.leader_epoch = present.leader_epoch.next();
    }
    if record.leader_recovery_state != code::LEADER_RECOVERY_UNCHANGED {
        partition.leader_recovery = code::to_leader_recovery(record.leader_recovery_state)
            .ok_or_else(|| bad("LeaderRecoveryState"))?;
    }
    partition.partition_epoch = present.partition_epoch.next();
    Ok(partition)
}

/// Configuration, features, producer ids.
impl MetadataImage {
    fn set_config(&mut self, record: &ConfigRecord, at: Offset) -> Applied {
        let resource = ConfigResource::new(record.resource_type, &record.resource_name);
        let bad = ApplyError::Field { kind: "ConfigRecord", field: "ResourceType", at };
        self.configs.set(resource.ok_or(bad)?, &record.name, record.value.as_deref());
        Ok(())
    }

    fn set_feature(&mut self, record: &FeatureLevelRecord, at: Offset) -> Applied {
        let level = record.feature_level;
        let unsupported = || ApplyError::UnsupportedFeature { feature: record.name.clone(), level, at };
        if record.name == MetadataVersion::FEATURE {
            let version = MetadataVersion::from_level(level).filter(|version| version.is_production());
            self.features.metadata_version = Some(version.ok_or_else(unsupported)?);
            return Ok(());
        }
        let feature = Feature::from_name(&record.name).map_err(|_| unsupported())?;
        if !(VersionRange { min: 0, max: feature.max_level() }).contains(level) {
            return Err(unsupported());
        }
        match (feature, level) {
            // The quorum keeps it in control records of its own.
            (Feature::Kraft, _) => {}
            (_, 0) => {
                self.features.levels.remove(&feature);
            }
            (_, level) => {
                self.features.levels.insert(feature, level);
            }
        }
        Ok(())
    }

    fn set_producer_ids(&mut self, record: &ProducerIdsRecord, at: Offset) -> Applied {
        let bad = ApplyError::Field { kind: "ProducerIdsRecord", field: "NextProducerId", at };
        let next = ProducerId::new(record.next_producer_id).ok_or(bad)?;
        match self.next_producer_id {
            Some(present) if next <= present => {
                Err(ApplyError::ProducerIdsGoBack { next: next.value(), present: present.value(), at })
            }
            Some(_) | None => {
                self.next_producer_id = Some(next);
                Ok(())
            }
        }
    }
}

/// Nodes.
impl MetadataImage {
    fn register_broker(&mut self, record: &RegisterBrokerRecord, at: Offset) -> Applied {
        let kind = "RegisterBrokerRecord";
        let bad = |field| ApplyError::Field { kind, field, at };
        let id = broker_id(record.broker_id, kind, at)?;
        let endpoint = |endpoint: &register_broker_record::BrokerEndpoint| {
            Some(Endpoint {
                listener: endpoint.name.clone(),
                host: endpoint.host.clone(),
                port: endpoint.port,
                security_protocol: SecurityProtocol::from_code(endpoint.security_protocol)?,
            })
        };
        let endpoints = record.end_points.iter().map(endpoint).collect::<Option<Vec<_>>>();
        let feature = |feature: &register_broker_record::BrokerFeature| {
            let range =
                VersionRange { min: feature.min_supported_version, max: feature.max_supported_version };
            (feature.name.clone(), range)
        };
        let broker = Broker {
            id,
            epoch: BrokerEpoch::new(record.broker_epoch).ok_or_else(|| bad("BrokerEpoch"))?,
            incarnation: IncarnationId(record.incarnation_id),
            endpoints: endpoints.ok_or_else(|| bad("SecurityProtocol"))?,
            features: record.features.iter().map(feature).collect(),
            rack: record.rack.clone(),
            fenced: record.fenced,
            in_controlled_shutdown: record.in_controlled_shutdown,
            migrating: record.is_migrating_zk_broker,
            directories: sorted(&record.log_dirs),
            cordoned: record.cordoned_log_dirs.as_deref().map(sorted),
            registered_at: at,
        };
        Arc::make_mut(&mut self.cluster.brokers).insert(id, Arc::new(broker));
        Ok(())
    }

    fn change_broker(&mut self, record: &BrokerRegistrationChangeRecord, at: Offset) -> Applied {
        let kind = "BrokerRegistrationChangeRecord";
        let bad = |field| ApplyError::Field { kind, field, at };
        if !(-1..=1).contains(&record.fenced) {
            return Err(bad("Fenced"));
        }
        if !(0..=1).contains(&record.in_controlled_shutdown) {
            return Err(bad("InControlledShutdown"));
        }
        let broker = self.broker_at_epoch(kind, (record.broker_id, record.broker_epoch), at)?;
        broker.fenced = match record.fenced {
            0 => broker.fenced,
            change => change > 0,
        };
        broker.in_controlled_shutdown |= record.in_controlled_shutdown == 1;
        if !record.log_dirs.is_empty() {
            broker.directories = sorted(&record.log_dirs);
        }
        if let Some(cordoned) = &record.cordoned_log_dirs {
            broker.cordoned = Some(sorted(cordoned));
        }
        Ok(())
    }

    fn register_controller(&mut self, record: &RegisterControllerRecord, at: Offset) -> Applied {
        let kind = "RegisterControllerRecord";
        let id = broker_id(record.controller_id, kind, at)?;
        let endpoint = |endpoint: &register_controller_record::ControllerEndpoint| {
            Some(Endpoint {
                listener: endpoint.name.clone(),
                host: endpoint.host.clone(),
                port: endpoint.port,
                security_protocol: SecurityProtocol::from_code(endpoint.security_protocol)?,
            })
        };
        let endpoints = record.end_points.iter().map(endpoint).collect::<Option<Vec<_>>>();
        let feature = |feature: &register_controller_record::ControllerFeature| {
            let range =
                VersionRange { min: feature.min_supported_version, max: feature.max_supported_version };
            (feature.name.clone(), range)
        };
        let controller = ControllerNode {
            id,
            incarnation: IncarnationId(record.incarnation_id),
            migration_ready: record.zk_migration_ready,
            endpoints: endpoints.ok_or(ApplyError::Field { kind, field: "SecurityProtocol", at })?,
            features: record.features.iter().map(feature).collect(),
        };
        Arc::make_mut(&mut self.cluster.controllers).insert(id, Arc::new(controller));
        Ok(())
    }

    /// The broker that a record speaks of; a record of another incarnation must not touch it.
    fn broker_at_epoch(
        &mut self,
        kind: &'static str,
        (broker, epoch): (i32, i64),
        at: Offset,
    ) -> Result<&mut Broker, ApplyError> {
        let unknown = ApplyError::UnknownBroker { kind, broker, epoch, at };
        let id = broker_id(broker, kind, at)?;
        match Arc::make_mut(&mut self.cluster.brokers).get_mut(&id) {
            Some(broker) if broker.epoch.value() == epoch => Ok(Arc::make_mut(broker)),
            Some(_) | None => Err(unknown),
        }
    }
}

fn broker_id(number: i32, kind: &'static str, at: Offset) -> Result<BrokerId, ApplyError> {
    BrokerId::new(number).ok_or(ApplyError::Field { kind, field: "BrokerId", at })
}

fn sorted(directories: &[Uuid]) -> Vec<DirectoryId> {
    directories.iter().map(|id| DirectoryId(*id)).collect::<BTreeSet<_>>().into_iter().collect()
}
