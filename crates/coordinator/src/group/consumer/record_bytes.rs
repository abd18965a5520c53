//! The bytes of a consumer group's records.
//!
//! ```text
//! type  key                                       value, version 0
//! 3     group string                              epoch, hash of the topics' metadata
//! 4     group string                              (removed by this version, never written)
//! 5     group string · member string              what the member said
//! 6     group string                              epoch and time of the target assignment
//! 7     group string · member string              the member's target
//! 8     group string · member string              what the member has
//! 16    group string · regular expression string  topics, version, time
//! ```
//!
//! Owns: the translation. Does not own: the encoding of fields (`ottla_protocol`).
//!
//! Source: `ConsumerGroup*Key/Value` of Kafka 4.3; observed bytes in `tests/data`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ottla_model::{
    GroupId, GroupInstanceId, MemberId, PartitionIndex, ProtocolName, Timestamp, TopicId, Uuid,
};
use ottla_protocol::messages::{
    ConsumerGroupCurrentMemberAssignmentKey, ConsumerGroupCurrentMemberAssignmentValue,
    ConsumerGroupMemberMetadataKey, ConsumerGroupMemberMetadataValue, ConsumerGroupMetadataKey,
    ConsumerGroupMetadataValue, ConsumerGroupPartitionMetadataKey, ConsumerGroupRegularExpressionKey,
    ConsumerGroupRegularExpressionValue, ConsumerGroupTargetAssignmentMemberKey,
    ConsumerGroupTargetAssignmentMemberValue, ConsumerGroupTargetAssignmentMetadataKey,
    ConsumerGroupTargetAssignmentMetadataValue, consumer_group_current_member_assignment_value as current,
    consumer_group_member_metadata_value as metadata,
    consumer_group_target_assignment_member_value as target,
};
use ottla_protocol::{EncodeError, Message, Reader};

use super::super::member::Protocol;
use super::super::record_bytes::{malformed, prefixed, read_value};
use super::record::{
    ClassicSubscriber, ConsumerChange, ConsumerRecord, CurrentAssignment, GroupEpoch, IdPartition,
    MemberEpoch, MemberState, ResolvedRegex, Subscriber, TargetEpoch,
};
use crate::runtime::{EncodedRecord, Skipped};

const EPOCH: i16 = 3;
const PARTITION_METADATA: i16 = 4;
const MEMBER: i16 = 5;
const TARGET_EPOCH: i16 = 6;
const TARGET: i16 = 7;
const CURRENT: i16 = 8;
const REGEX: i16 = 16;

/// All keys and values have one version.
const VERSION: i16 = 0;

/// Whether records of the type belong to consumer groups.
pub(in super::super) fn is_ours(record_type: i16) -> bool {
    matches!(record_type, EPOCH..=CURRENT | REGEX)
}

pub(in super::super) fn encode(record: &ConsumerRecord) -> Result<EncodedRecord, EncodeError> {
    let group_id = record.group.as_str().to_owned();
    let text = |member: &MemberId| member.as_str().to_owned();
    let (key, value) = match &record.change {
        ConsumerChange::Epoch(value) => {
            let key = prefixed(EPOCH, VERSION, &ConsumerGroupMetadataKey { group_id })?;
            let value = value.map(|value| ConsumerGroupMetadataValue {
                epoch: value.epoch.value(),
                metadata_hash: value.metadata_hash,
            });
            (key, written(value)?)
        }
        ConsumerChange::PartitionMetadata(value) => (
            prefixed(PARTITION_METADATA, VERSION, &ConsumerGroupPartitionMetadataKey { group_id })?,
            value.clone(),
        ),
        ConsumerChange::Member { member, value } => {
            let key = ConsumerGroupMemberMetadataKey { group_id, member_id: text(member) };
            (prefixed(MEMBER, VERSION, &key)?, written(value.as_ref().map(|value| member_value(value)))?)
        }
        ConsumerChange::TargetEpoch(value) => {
            let key = ConsumerGroupTargetAssignmentMetadataKey { group_id };
            let value = value.map(|value| ConsumerGroupTargetAssignmentMetadataValue {
                assignment_epoch: value.epoch.value(),
                assignment_timestamp: value.at.map_or(0, Timestamp::millis),
            });
            (prefixed(TARGET_EPOCH, VERSION, &key)?, written(value)?)
        }
        ConsumerChange::Target { member, value } => {
            let key = ConsumerGroupTargetAssignmentMemberKey { group_id, member_id: text(member) };
            (prefixed(TARGET, VERSION, &key)?, written(value.as_ref().map(|value| target_value(value)))?)
        }
        ConsumerChange::Current { member, value } => {
            let key = ConsumerGroupCurrentMemberAssignmentKey { group_id, member_id: text(member) };
            (prefixed(CURRENT, VERSION, &key)?, written(value.as_ref().map(|value| current_value(value)))?)
        }
        ConsumerChange::Regex { pattern, value } => {
            let key = ConsumerGroupRegularExpressionKey { group_id, regular_expression: pattern.to_string() };
            let value = value.as_ref().map(|value| ConsumerGroupRegularExpressionValue {
                topics: value.topics.iter().cloned().collect(),
                version: value.version,
                timestamp: value.at.millis(),
            });
            (prefixed(REGEX, VERSION, &key)?, written(value)?)
        }
    };
    Ok(EncodedRecord { key, value })
}

fn written<M: Message>(value: Option<M>) -> Result<Option<Bytes>, EncodeError> {
    value.map(|value| prefixed(VERSION, VERSION, &value)).transpose()
}

/// A record whose type is [`is_ours`]; `key` stands behind the type.
pub(in super::super) fn decode(
    record_type: i16,
    key: &mut Reader<'_>,
    value: Option<&Bytes>,
) -> Result<ConsumerRecord, Skipped> {
    let (group, change) = match record_type {
        EPOCH => {
            let key: ConsumerGroupMetadataKey = read_key(record_type, key)?;
            (key.group_id, ConsumerChange::Epoch(value.map(read_epoch).transpose()?))
        }
        PARTITION_METADATA => {
            let key: ConsumerGroupPartitionMetadataKey = read_key(record_type, key)?;
            (key.group_id, ConsumerChange::PartitionMetadata(value.cloned()))
        }
        MEMBER => {
            let key: ConsumerGroupMemberMetadataKey = read_key(record_type, key)?;
            let (member, value) = (MemberId::new(&key.member_id), value.map(read_member).transpose()?);
            (key.group_id, ConsumerChange::Member { member, value })
        }
        TARGET_EPOCH => {
            let key: ConsumerGroupTargetAssignmentMetadataKey = read_key(record_type, key)?;
            (key.group_id, ConsumerChange::TargetEpoch(value.map(read_target_epoch).transpose()?))
        }
        TARGET => {
            let key: ConsumerGroupTargetAssignmentMemberKey = read_key(record_type, key)?;
            let (member, value) = (MemberId::new(&key.member_id), value.map(read_target).transpose()?);
            (key.group_id, ConsumerChange::Target { member, value })
        }
        CURRENT => {
            let key: ConsumerGroupCurrentMemberAssignmentKey = read_key(record_type, key)?;
            let (member, value) = (MemberId::new(&key.member_id), value.map(read_current).transpose()?);
            (key.group_id, ConsumerChange::Current { member, value })
        }
        REGEX => {
            let key: ConsumerGroupRegularExpressionKey = read_key(record_type, key)?;
            let value = value.map(read_regex).transpose()?;
            (key.group_id, ConsumerChange::Regex { pattern: Arc::from(key.regular_expression), value })
        }
        other => return Err(Skipped::UnknownType(other)),
    };
    Ok(ConsumerRecord { group: GroupId::new(&group), change })
}

fn read_key<M: Message>(record_type: i16, key: &mut Reader<'_>) -> Result<M, Skipped> {
    M::decode(key, VERSION).map_err(|error| malformed(record_type, &error))
}

fn millis(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis()).unwrap_or(i32::MAX)
}

fn duration(millis: i32) -> Option<Duration> {
    u64::try_from(millis).ok().map(Duration::from_millis)
}

fn read_epoch(bytes: &Bytes) -> Result<GroupEpoch, Skipped> {
    let value: ConsumerGroupMetadataValue = read_value(EPOCH, bytes)?;
    Ok(GroupEpoch { epoch: MemberEpoch::new(value.epoch), metadata_hash: value.metadata_hash })
}

fn read_target_epoch(bytes: &Bytes) -> Result<TargetEpoch, Skipped> {
    let value: ConsumerGroupTargetAssignmentMetadataValue = read_value(TARGET_EPOCH, bytes)?;
    let at = Some(value.assignment_timestamp).filter(|at| *at != 0).map(Timestamp::from_millis);
    Ok(TargetEpoch { epoch: MemberEpoch::new(value.assignment_epoch), at })
}

fn member_value(member: &Subscriber) -> ConsumerGroupMemberMetadataValue {
    let protocol = |protocol: &Protocol| metadata::ClassicProtocol {
        name: protocol.name.as_str().to_owned(),
        metadata: protocol.metadata.clone(),
    };
    ConsumerGroupMemberMetadataValue {
        instance_id: member.instance.as_ref().map(|instance| instance.as_str().to_owned()),
        rack_id: member.rack.as_ref().map(|rack| rack.to_string()),
        client_id: member.client_id.to_string(),
        client_host: member.client_host.to_string(),
        subscribed_topic_names: member.names.iter().cloned().collect(),
        subscribed_topic_regex: Some(member.regex.to_string()),
        rebalance_timeout_ms: member.rebalance_timeout.map_or(-1, millis),
        server_assignor: member.assignor.as_ref().map(|name| name.to_string()),
        classic_member_metadata: member.classic.as_ref().map(|classic| metadata::ClassicMemberMetadata {
            session_timeout_ms: millis(classic.session_timeout),
            supported_protocols: classic.protocols.iter().map(protocol).collect(),
        }),
    }
}

fn read_member(bytes: &Bytes) -> Result<Arc<Subscriber>, Skipped> {
    let value: ConsumerGroupMemberMetadataValue = read_value(MEMBER, bytes)?;
    let protocol = |protocol: metadata::ClassicProtocol| Protocol {
        name: ProtocolName::new(&protocol.name),
        metadata: protocol.metadata,
    };
    Ok(Arc::new(Subscriber {
        instance: value.instance_id.as_deref().map(GroupInstanceId::new),
        rack: value.rack_id.map(Arc::from),
        client_id: Arc::from(value.client_id),
        client_host: Arc::from(value.client_host),
        names: value.subscribed_topic_names.into_iter().collect(),
        regex: Arc::from(value.subscribed_topic_regex.unwrap_or_default()),
        rebalance_timeout: duration(value.rebalance_timeout_ms),
        assignor: value.server_assignor.map(Arc::from),
        classic: value.classic_member_metadata.map(|classic| ClassicSubscriber {
            session_timeout: duration(classic.session_timeout_ms).unwrap_or_default(),
            protocols: classic.supported_protocols.into_iter().map(protocol).collect(),
        }),
    }))
}

fn target_value(target: &BTreeSet<IdPartition>) -> ConsumerGroupTargetAssignmentMemberValue {
    let mut topics: Vec<target::TopicPartition> = Vec::new();
    for IdPartition { topic, partition } in target {
        match topics.last_mut().filter(|last| last.topic_id == topic.uuid()) {
            Some(last) => last.partitions.push(partition.value()),
            None => topics
                .push(target::TopicPartition { topic_id: topic.uuid(), partitions: vec![partition.value()] }),
        }
    }
    ConsumerGroupTargetAssignmentMemberValue { topic_partitions: topics }
}

fn read_target(bytes: &Bytes) -> Result<Arc<BTreeSet<IdPartition>>, Skipped> {
    let value: ConsumerGroupTargetAssignmentMemberValue = read_value(TARGET, bytes)?;
    let mut target = BTreeSet::new();
    for topic in value.topic_partitions {
        for partition in topic.partitions {
            target
                .insert(id_partition(topic.topic_id, partition).map_err(|error| malformed(TARGET, &error))?);
        }
    }
    Ok(Arc::new(target))
}

fn id_partition(topic: Uuid, partition: i32) -> Result<IdPartition, impl Display> {
    let topic = TopicId::new(topic).ok_or("the topic has no id")?;
    let partition = PartitionIndex::new(partition).ok_or("negative partition")?;
    Ok::<IdPartition, &'static str>(IdPartition { topic, partition })
}

fn state_number(state: MemberState) -> i8 {
    match state {
        MemberState::Stable => 0,
        MemberState::UnrevokedPartitions => 1,
        MemberState::UnreleasedPartitions => 2,
        MemberState::Unknown(number) => number,
    }
}

fn state_of(number: i8) -> MemberState {
    match number {
        0 => MemberState::Stable,
        1 => MemberState::UnrevokedPartitions,
        2 => MemberState::UnreleasedPartitions,
        other => MemberState::Unknown(other),
    }
}

fn current_value(value: &CurrentAssignment) -> ConsumerGroupCurrentMemberAssignmentValue {
    ConsumerGroupCurrentMemberAssignmentValue {
        member_epoch: value.epoch.value(),
        previous_member_epoch: value.previous_epoch.value(),
        state: state_number(value.state),
        assigned_partitions: with_epochs(&value.assigned),
        partitions_pending_revocation: with_epochs(&value.revoking),
    }
}

fn with_epochs(partitions: &BTreeMap<IdPartition, MemberEpoch>) -> Vec<current::TopicPartitions> {
    let mut topics: Vec<current::TopicPartitions> = Vec::new();
    for (IdPartition { topic, partition }, epoch) in partitions {
        match topics.last_mut().filter(|last| last.topic_id == topic.uuid()) {
            Some(last) => {
                last.partitions.push(partition.value());
                last.assignment_epochs.get_or_insert_default().push(epoch.value());
            }
            None => topics.push(current::TopicPartitions {
                topic_id: topic.uuid(),
                partitions: vec![partition.value()],
                assignment_epochs: Some(vec![epoch.value()]),
            }),
        }
    }
    topics
}

fn read_current(bytes: &Bytes) -> Result<Arc<CurrentAssignment>, Skipped> {
    let value: ConsumerGroupCurrentMemberAssignmentValue = read_value(CURRENT, bytes)?;
    let epoch = MemberEpoch::new(value.member_epoch);
    Ok(Arc::new(CurrentAssignment {
        epoch,
        previous_epoch: MemberEpoch::new(value.previous_member_epoch),
        state: state_of(value.state),
        assigned: read_with_epochs(value.assigned_partitions, epoch)?,
        revoking: read_with_epochs(value.partitions_pending_revocation, epoch)?,
    }))
}

/// Brokers before 4.3 wrote no epochs: the member's own stands for them.
fn read_with_epochs(
    topics: Vec<current::TopicPartitions>,
    member_epoch: MemberEpoch,
) -> Result<BTreeMap<IdPartition, MemberEpoch>, Skipped> {
    let mut partitions = BTreeMap::new();
    for topic in topics {
        let epochs = topic.assignment_epochs.unwrap_or_default();
        for (at, partition) in topic.partitions.into_iter().enumerate() {
            let partition =
                id_partition(topic.topic_id, partition).map_err(|error| malformed(CURRENT, &error))?;
            partitions.insert(partition, epochs.get(at).copied().map_or(member_epoch, MemberEpoch::new));
        }
    }
    Ok(partitions)
}

fn read_regex(bytes: &Bytes) -> Result<Arc<ResolvedRegex>, Skipped> {
    let value: ConsumerGroupRegularExpressionValue = read_value(REGEX, bytes)?;
    Ok(Arc::new(ResolvedRegex {
        topics: value.topics.into_iter().collect(),
        version: value.version,
        at: Timestamp::from_millis(value.timestamp),
    }))
}
