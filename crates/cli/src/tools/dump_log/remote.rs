//! Records of `__remote_log_metadata` as Kafka's tool shows them: as Java prints the objects.
//!
//! Owns: these texts. Does not own: the records (`ottla_protocol::messages`), tiering.
//!
//! Source: KIP-405; behaviour of `kafka-dump-log` of Kafka 4.3.1.

use std::collections::BTreeMap;
use std::fmt::Display;

use bytes::Bytes;
use ottla_model::Uuid;
use ottla_protocol::codec::RecordSet;
use ottla_protocol::messages::{
    RemoteLogRecord, RemoteLogSegmentMetadataRecord, RemoteLogSegmentMetadataSnapshotRecord,
    RemoteLogSegmentMetadataUpdateRecord, RemotePartitionDeleteMetadataRecord,
};

use super::decoder::Unreadable;

/// The text of a record.
pub fn show(value: &[u8]) -> Result<String, Unreadable> {
    if value.is_empty() {
        return Err(Unreadable::Words("Error while reading frame version"));
    }
    let (record, _) = RemoteLogRecord::decode_framed(value)?;
    Ok(match &record {
        RemoteLogRecord::RemoteLogSegmentMetadata(record) => segment(record),
        RemoteLogRecord::RemoteLogSegmentMetadataUpdate(record) => update(record),
        RemoteLogRecord::RemotePartitionDeleteMetadata(record) => deletion(record),
        RemoteLogRecord::RemoteLogSegmentMetadataSnapshot(record) => snapshot(record),
    })
}

fn segment(record: &RemoteLogSegmentMetadataRecord) -> String {
    let id = &record.remote_log_segment_id;
    let partition = &id.topic_id_partition;
    let epochs = record.segment_leader_epochs.iter().map(|entry| (entry.leader_epoch, entry.offset));
    format!(
        "RemoteLogSegmentMetadata{{remoteLogSegmentId={}, startOffset={}, endOffset={}, brokerId={}, \
         maxTimestampMs={}, eventTimestampMs={}, segmentLeaderEpochs={}, segmentSizeInBytes={}, customMetadata={}, \
         state={}, txnIdxEmpty={}}}",
        segment_id(topic_partition(partition.id, &partition.name, partition.partition), id.id),
        record.start_offset,
        record.end_offset,
        record.broker_id,
        record.max_timestamp_ms,
        record.event_timestamp_ms,
        map(epochs),
        record.segment_size_in_bytes,
        custom(record.custom_metadata.as_ref()),
        segment_state(record.remote_log_segment_state),
        record.txn_index_empty
    )
}

fn update(record: &RemoteLogSegmentMetadataUpdateRecord) -> String {
    let id = &record.remote_log_segment_id;
    let partition = &id.topic_id_partition;
    format!(
        "RemoteLogSegmentMetadataUpdate{{remoteLogSegmentId={}, customMetadata={}, state={}, eventTimestampMs={}, \
         brokerId={}}}",
        segment_id(topic_partition(partition.id, &partition.name, partition.partition), id.id),
        custom(record.custom_metadata.as_ref()),
        segment_state(record.remote_log_segment_state),
        record.event_timestamp_ms,
        record.broker_id
    )
}

fn deletion(record: &RemotePartitionDeleteMetadataRecord) -> String {
    let partition = &record.topic_id_partition;
    let state = match record.remote_partition_delete_state {
        0 => "DELETE_PARTITION_MARKED",
        1 => "DELETE_PARTITION_STARTED",
        2 => "DELETE_PARTITION_FINISHED",
        _ => "null",
    };
    format!(
        "RemotePartitionDeleteMetadata{{topicPartition={}, state={state}, eventTimestampMs={}, brokerId={}}}",
        topic_partition(partition.id, &partition.name, partition.partition),
        record.event_timestamp_ms,
        record.broker_id
    )
}

fn snapshot(record: &RemoteLogSegmentMetadataSnapshotRecord) -> String {
    let epochs = record.segment_leader_epochs.iter().map(|entry| (entry.leader_epoch, entry.offset));
    format!(
        "RemoteLogSegmentMetadataSnapshot{{segmentId={}, startOffset={}, endOffset={}, maxTimestampMs={}, \
         segmentLeaderEpochs={}, segmentSizeInBytes={}, customMetadata={}, state={}, txnIdxEmpty={}}}",
        record.segment_id,
        record.start_offset,
        record.end_offset,
        record.max_timestamp_ms,
        map(epochs),
        record.segment_size_in_bytes,
        custom(record.custom_metadata.as_ref()),
        segment_state(record.remote_log_segment_state),
        record.txn_index_empty
    )
}

fn topic_partition(topic: Uuid, name: &str, partition: i32) -> String {
    format!("{topic}:{name}-{partition}")
}

fn segment_id(partition: String, id: Uuid) -> String {
    format!("RemoteLogSegmentId{{topicIdPartition={partition}, id={id}}}")
}

/// A Java map that is sorted by key.
fn map<K: Ord + Display, V: Display>(entries: impl Iterator<Item = (K, V)>) -> String {
    let sorted: BTreeMap<K, V> = entries.collect();
    let texts: Vec<_> = sorted.iter().map(|(key, value)| format!("{key}={value}")).collect();
    format!("{{{}}}", texts.join(", "))
}

fn custom(bytes: Option<&Bytes>) -> String {
    match bytes {
        Some(bytes) => format!("Optional[CustomMetadata{{{} bytes}}]", bytes.len()),
        None => "Optional.empty".to_owned(),
    }
}

fn segment_state(number: i8) -> &'static str {
    match number {
        0 => "COPY_SEGMENT_STARTED",
        1 => "COPY_SEGMENT_FINISHED",
        2 => "DELETE_SEGMENT_STARTED",
        3 => "DELETE_SEGMENT_FINISHED",
        _ => "null",
    }
}
