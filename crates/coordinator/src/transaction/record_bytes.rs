//! The bytes of the records of `__transaction_state`.
//!
//! ```text
//! key    record type i16 = 0 · transactional id string
//! value  version i16 · fields                (no value: a tombstone)
//!
//! version  written
//! 0        while `transaction.version` is 0
//! 1        from 1 on: flexible, with the producer ids before and after, and the client's version
//! ```
//!
//! Owns: the translation. Does not own: the choice of versions (`record`), the encoding of fields (`ottla_protocol`).
//!
//! Source: `TransactionLogKey/Value` of Kafka 4.3; observed bytes in the tests.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ottla_model::{
    PartitionIndex, ProducerEpoch, ProducerId, Timestamp, TopicName, TopicPartition, TransactionVersion,
    TransactionalId,
};
use ottla_protocol::messages::transaction_log_value::PartitionsSchema;
use ottla_protocol::messages::{TransactionLogKey, TransactionLogValue};
use ottla_protocol::{EncodeError, Message, Reader, Writer};

use super::answer::ProducerIdentity;
use super::record::{TransactionImage, TransactionRecord, TransactionState, ValueVersion};
use crate::runtime::{EncodedRecord, Skipped};

const TRANSACTION_TYPE: i16 = 0;
/// Keys have one version; its number stands for the type on disk.
const KEY_VERSION: i16 = 0;

pub(super) fn encode(record: &TransactionRecord) -> Result<EncodedRecord, EncodeError> {
    let key = TransactionLogKey { transactional_id: record.id.as_str().to_owned() };
    let value = record.image.as_ref().map(|image| value_of(image, record.layout)).transpose()?;
    Ok(EncodedRecord { key: prefixed(TRANSACTION_TYPE, KEY_VERSION, &key)?, value })
}

pub(super) fn decode(record: &EncodedRecord) -> Result<TransactionRecord, Skipped> {
    let mut key = Reader::shared(&record.key);
    let record_type = key.i16().map_err(|_| Skipped::NoKey)?;
    if record_type != TRANSACTION_TYPE {
        return Err(Skipped::UnknownType(record_type));
    }
    let key = TransactionLogKey::decode(&mut key, KEY_VERSION).map_err(|error| malformed(&error))?;
    let id = TransactionalId::new(&key.transactional_id);
    let Some(value) = &record.value else {
        return Ok(TransactionRecord { id, image: None, layout: ValueVersion::One });
    };
    let (image, layout) = read_value(value)?;
    Ok(TransactionRecord { id, image: Some(Arc::new(image)), layout })
}

fn prefixed(prefix: i16, version: i16, message: &impl Message) -> Result<Bytes, EncodeError> {
    let mut writer = Writer::new();
    writer.put_i16(prefix);
    message.encode(&mut writer, version)?;
    Ok(writer.into_bytes())
}

fn value_of(image: &TransactionImage, layout: ValueVersion) -> Result<Bytes, EncodeError> {
    let id = |id: Option<ProducerId>| id.map_or(-1, ProducerId::value);
    let plain = TransactionLogValue {
        producer_id: image.producer.id.value(),
        producer_epoch: image.producer.epoch.value(),
        transaction_timeout_ms: i32::try_from(image.timeout.as_millis()).unwrap_or(i32::MAX),
        transaction_status: image.state.number(),
        transaction_partitions: partitions_of(image),
        transaction_last_update_timestamp_ms: image.updated_at.millis(),
        transaction_start_timestamp_ms: image.started_at.unwrap_or(Timestamp::NONE).millis(),
        ..TransactionLogValue::default()
    };
    match layout {
        ValueVersion::Zero => prefixed(0, 0, &plain),
        ValueVersion::One => {
            let full = TransactionLogValue {
                previous_producer_id: id(image.previous),
                next_producer_id: id(image.next),
                client_transaction_version: image.version.level(),
                ..plain
            };
            prefixed(1, 1, &full)
        }
    }
}

/// An id that has not begun has no list at all.
fn partitions_of(image: &TransactionImage) -> Option<Vec<PartitionsSchema>> {
    if image.state == TransactionState::Empty {
        return None;
    }
    let mut topics: BTreeMap<&TopicName, Vec<i32>> = BTreeMap::new();
    for TopicPartition { topic, partition } in &image.partitions {
        topics.entry(topic).or_default().push(partition.value());
    }
    let topics = topics.into_iter();
    let schema = |(topic, partition_ids): (&TopicName, _)| PartitionsSchema {
        topic: topic.to_string(),
        partition_ids,
    };
    Some(topics.map(schema).collect())
}

fn malformed(detail: &dyn Display) -> Skipped {
    Skipped::Malformed { record_type: TRANSACTION_TYPE, detail: detail.to_string() }
}

fn read_value(bytes: &Bytes) -> Result<(TransactionImage, ValueVersion), Skipped> {
    let mut reader = Reader::shared(bytes);
    let version = reader.i16().map_err(|error| malformed(&error))?;
    let layout = match version {
        0 => ValueVersion::Zero,
        1 => ValueVersion::One,
        version => return Err(Skipped::UnknownVersion { record_type: TRANSACTION_TYPE, version }),
    };
    let value = TransactionLogValue::decode(&mut reader, version).map_err(|error| malformed(&error))?;
    let id = ProducerId::new(value.producer_id).ok_or_else(|| malformed(&"negative producer id"))?;
    let epoch =
        ProducerEpoch::new(value.producer_epoch).ok_or_else(|| malformed(&"negative producer epoch"))?;
    let state = TransactionState::from_number(value.transaction_status).map_err(|error| malformed(&error))?;
    let timeout = u64::try_from(value.transaction_timeout_ms).unwrap_or(0);
    let started_at = Timestamp::from_millis(value.transaction_start_timestamp_ms);
    let version = TransactionVersion::from_level(value.client_transaction_version);
    let image = TransactionImage {
        producer: ProducerIdentity { id, epoch },
        previous: ProducerId::new(value.previous_producer_id),
        next: ProducerId::new(value.next_producer_id),
        last_epoch: None,
        timeout: Duration::from_millis(timeout),
        state,
        partitions: read_partitions(value.transaction_partitions.unwrap_or_default())?,
        updated_at: Timestamp::from_millis(value.transaction_last_update_timestamp_ms),
        started_at: Some(started_at).filter(|at| *at != Timestamp::NONE),
        version: version.ok_or_else(|| malformed(&"negative client version"))?,
    };
    Ok((image, layout))
}

fn read_partitions(topics: Vec<PartitionsSchema>) -> Result<BTreeSet<TopicPartition>, Skipped> {
    let mut partitions = BTreeSet::new();
    for PartitionsSchema { topic, partition_ids } in topics {
        let topic = TopicName::new(&topic).map_err(|error| malformed(&error))?;
        for index in partition_ids {
            let index = PartitionIndex::new(index).ok_or_else(|| malformed(&"negative partition"))?;
            partitions.insert(TopicPartition::new(topic.clone(), index));
        }
    }
    Ok(partitions)
}
