//! The bytes of the records of `__consumer_offsets`.
//!
//! ```text
//! key    record type i16 · fields            (the type stands where a version would)
//! value  version i16 · fields                (no value: a tombstone)
//!
//! type  key                                   value versions   written
//! 0, 1  group string · topic string · i32     0..=4            4, or 1 with an expiry of its own
//! 2     group string                          0..=4            3
//! 3…8, 16  of consumer groups: `consumer::record_bytes`
//! ```
//!
//! Owns: the choice of versions, the translation. Does not own: the encoding of fields (`ottla_protocol`).
//!
//! Source: `OffsetCommitKey/Value`, `GroupMetadataKey/Value` of Kafka 4.3; observed bytes in `tests/data`.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ottla_model::{
    GenerationId, GroupId, GroupInstanceId, LeaderEpoch, MemberId, PartitionIndex, ProtocolName,
    ProtocolType, Timestamp, TopicId, TopicName, Uuid,
};
use ottla_protocol::messages::{
    GroupMetadataKey, GroupMetadataValue, OffsetCommitKey, OffsetCommitValue, group_metadata_value,
};
use ottla_protocol::{EncodeError, Message, Reader, Writer};

use super::consumer;
use super::record::{CommittedPosition, GroupImage, GroupRecord, MemberImage, OffsetEntry, OffsetKey};
use crate::runtime::{EncodedRecord, Skipped};

/// Offset commits of brokers before 0.9 had this type; the fields are the same.
const OFFSET_TYPE_OLD: i16 = 0;
const OFFSET_TYPE: i16 = 1;
const GROUP_TYPE: i16 = 2;

/// Keys have one version each; its number stands for the type on disk.
const KEY_VERSION: i16 = 0;
const OFFSET_VERSION: i16 = 4;
/// The only version that holds an expiry.
const OFFSET_VERSION_WITH_EXPIRY: i16 = 1;
const GROUP_VERSION: i16 = 3;

pub(super) fn encode(record: &GroupRecord) -> Result<EncodedRecord, EncodeError> {
    match record {
        GroupRecord::Offset { key, value } => {
            let key = OffsetCommitKey {
                group: key.group.as_str().to_owned(),
                topic: key.topic.as_str().to_owned(),
                partition: key.partition.value(),
            };
            let value = value.as_ref().map(|entry| offset_value(entry)).transpose()?;
            Ok(EncodedRecord { key: prefixed(OFFSET_TYPE, KEY_VERSION, &key)?, value })
        }
        GroupRecord::Group { group, image } => {
            let key = GroupMetadataKey { group: group.as_str().to_owned() };
            let value = image.as_ref().map(|image| group_value(image)).transpose()?;
            Ok(EncodedRecord { key: prefixed(GROUP_TYPE, KEY_VERSION, &key)?, value })
        }
        GroupRecord::Consumer(record) => consumer::encode(record),
    }
}

pub(super) fn decode(record: &EncodedRecord) -> Result<GroupRecord, Skipped> {
    let mut key = Reader::shared(&record.key);
    let record_type = key.i16().map_err(|_| Skipped::NoKey)?;
    match record_type {
        OFFSET_TYPE_OLD | OFFSET_TYPE => {
            let key = OffsetCommitKey::decode(&mut key, KEY_VERSION)
                .map_err(|error| malformed(record_type, &error))?;
            let value = record.value.as_ref().map(|value| read_offset(record_type, value)).transpose()?;
            Ok(GroupRecord::Offset { key: offset_key(record_type, &key)?, value })
        }
        GROUP_TYPE => {
            let key = GroupMetadataKey::decode(&mut key, KEY_VERSION)
                .map_err(|error| malformed(record_type, &error))?;
            let image = record.value.as_ref().map(read_group).transpose()?;
            Ok(GroupRecord::Group { group: GroupId::new(&key.group), image })
        }
        ours if consumer::is_ours(ours) => {
            consumer::decode(ours, &mut key, record.value.as_ref()).map(GroupRecord::Consumer)
        }
        other => Err(Skipped::UnknownType(other)),
    }
}

pub(super) fn prefixed(prefix: i16, version: i16, message: &impl Message) -> Result<Bytes, EncodeError> {
    let mut writer = Writer::new();
    writer.put_i16(prefix);
    message.encode(&mut writer, version)?;
    Ok(writer.into_bytes())
}

fn offset_value(entry: &OffsetEntry) -> Result<Bytes, EncodeError> {
    let version = if entry.expires_at.is_some() { OFFSET_VERSION_WITH_EXPIRY } else { OFFSET_VERSION };
    // Version 1 has neither epoch nor topic id; Kafka drops them too.
    let has_all = version == OFFSET_VERSION;
    let value = OffsetCommitValue {
        offset: entry.position.0,
        leader_epoch: entry.leader_epoch.filter(|_| has_all).map_or(-1, LeaderEpoch::value),
        metadata: entry.metadata.to_string(),
        commit_timestamp: entry.committed_at.millis(),
        expire_timestamp: entry.expires_at.map_or(-1, Timestamp::millis),
        topic_id: entry.topic_id.filter(|_| has_all).map_or(Uuid::ZERO, TopicId::uuid),
    };
    prefixed(version, version, &value)
}

fn group_value(image: &GroupImage) -> Result<Bytes, EncodeError> {
    let text = |id: &MemberId| id.as_str().to_owned();
    let members = image.members.iter().map(|member| group_metadata_value::MemberMetadata {
        member_id: text(&member.member),
        group_instance_id: member.instance.as_ref().map(|instance| instance.as_str().to_owned()),
        client_id: member.client_id.to_string(),
        client_host: member.client_host.to_string(),
        rebalance_timeout: millis(member.rebalance_timeout),
        session_timeout: millis(member.session_timeout),
        subscription: member.subscription.clone(),
        assignment: member.assignment.clone(),
    });
    let value = GroupMetadataValue {
        protocol_type: image.protocol_type.as_ref().map_or("", ProtocolType::as_str).to_owned(),
        generation: image.generation.value(),
        protocol: image.protocol.as_ref().map(|name| name.as_str().to_owned()),
        leader: image.leader.as_ref().map(text),
        current_state_timestamp: image.since.map_or(-1, Timestamp::millis),
        members: members.collect(),
    };
    prefixed(GROUP_VERSION, GROUP_VERSION, &value)
}

fn millis(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis()).unwrap_or(i32::MAX)
}

pub(super) fn malformed(record_type: i16, detail: &dyn std::fmt::Display) -> Skipped {
    Skipped::Malformed { record_type, detail: detail.to_string() }
}

pub(super) fn read_value<M: Message>(record_type: i16, bytes: &Bytes) -> Result<M, Skipped> {
    let mut reader = Reader::shared(bytes);
    let version = reader.i16().map_err(|error| malformed(record_type, &error))?;
    if !M::VERSIONS.contains(&version) {
        return Err(Skipped::UnknownVersion { record_type, version });
    }
    M::decode(&mut reader, version).map_err(|error| malformed(record_type, &error))
}

fn offset_key(record_type: i16, key: &OffsetCommitKey) -> Result<OffsetKey, Skipped> {
    let partition = PartitionIndex::new(key.partition);
    Ok(OffsetKey {
        group: GroupId::new(&key.group),
        topic: TopicName::new(&key.topic).map_err(|error| malformed(record_type, &error))?,
        partition: partition.ok_or_else(|| malformed(record_type, &"negative partition"))?,
    })
}

fn read_offset(record_type: i16, bytes: &Bytes) -> Result<Arc<OffsetEntry>, Skipped> {
    let value: OffsetCommitValue = read_value(record_type, bytes)?;
    Ok(Arc::new(OffsetEntry {
        position: CommittedPosition(value.offset),
        leader_epoch: LeaderEpoch::new(value.leader_epoch),
        metadata: value.metadata.into_boxed_str(),
        committed_at: Timestamp::from_millis(value.commit_timestamp),
        expires_at: (value.expire_timestamp != -1).then(|| Timestamp::from_millis(value.expire_timestamp)),
        topic_id: TopicId::new(value.topic_id),
    }))
}

fn read_group(bytes: &Bytes) -> Result<Arc<GroupImage>, Skipped> {
    let value: GroupMetadataValue = read_value(GROUP_TYPE, bytes)?;
    let generation = GenerationId::new(value.generation);
    let members = value.members.iter().map(read_member).collect();
    Ok(Arc::new(GroupImage {
        protocol_type: (!value.protocol_type.is_empty()).then(|| ProtocolType::new(&value.protocol_type)),
        generation: generation.ok_or_else(|| malformed(GROUP_TYPE, &"negative generation"))?,
        protocol: value.protocol.as_deref().map(ProtocolName::new),
        leader: value.leader.as_deref().map(MemberId::new),
        since: (value.current_state_timestamp != -1)
            .then(|| Timestamp::from_millis(value.current_state_timestamp)),
        members,
    }))
}

/// Version 0 knew no rebalance timeout: the session timeout stands for it.
fn read_member(member: &group_metadata_value::MemberMetadata) -> MemberImage {
    let time = |millis: i32| Duration::from_millis(u64::try_from(millis).unwrap_or(0));
    let rebalance_timeout =
        if member.rebalance_timeout == -1 { member.session_timeout } else { member.rebalance_timeout };
    MemberImage {
        member: MemberId::new(&member.member_id),
        instance: member.group_instance_id.as_deref().map(GroupInstanceId::new),
        client_id: Arc::from(member.client_id.as_str()),
        client_host: Arc::from(member.client_host.as_str()),
        rebalance_timeout: time(rebalance_timeout),
        session_timeout: time(member.session_timeout),
        subscription: member.subscription.clone(),
        assignment: member.assignment.clone(),
    }
}
