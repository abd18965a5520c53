//! Offsets of partitions: where they begin and end, where a time lies; deleting records.
//!
//! Owns: ListOffsets and DeleteRecords, sent to the leaders of the partitions.
//! Does not own: offsets of groups (`group_offsets`).
//!
//! Source: Kafka protocol guide, ListOffsets, DeleteRecords; KIP-734, KIP-405, KIP-1005.

use std::collections::BTreeMap;

use ottla_model::{BrokerId, LeaderEpoch, Offset, Timestamp, TopicPartition};
use ottla_protocol::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use ottla_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use ottla_protocol::messages::list_offsets_response::ListOffsetsPartitionResponse;
use ottla_protocol::messages::{DeleteRecordsRequest, ListOffsetsRequest, ListOffsetsResponse};

use super::error::operation_error;
use super::{Admin, PartitionOutcomes};
use crate::cluster::{CallOptions, Shared, Target};
use crate::config::IsolationLevel;
use crate::connection::Request;
use crate::error::{CallError, ErrorCode, ServerError, api_name};

operation_error! {
    /// Why the offset of a partition cannot be told.
    ListOffsetsError {
        /// There is no such topic or partition.
        NotFound = UnknownTopicOrPartition,
    }
    /// Why records were not deleted.
    DeleteRecordsError {
        /// There is no such topic or partition.
        NotFound = UnknownTopicOrPartition,
        /// The partition has no such offset.
        OutOfRange = OffsetOutOfRange,
    }
}

/// Which offset is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetSpec {
    /// The first record there is.
    Earliest,
    /// Behind the last record that may be seen.
    Latest,
    /// The record with the largest timestamp.
    MaxTimestamp,
    /// The first record with this timestamp or a later one.
    AtTime(Timestamp),
    /// The earliest offset on the broker's own disk (tiered storage).
    EarliestLocal,
    /// The latest offset in the tiered storage.
    LatestTiered,
    /// The earliest offset that waits to go to the tiered storage.
    EarliestPendingUpload,
}

impl OffsetSpec {
    /// The timestamp that stands for it on the wire, and the first version that knows it.
    fn wire(self) -> (i64, i16) {
        match self {
            OffsetSpec::Latest => (-1, 0),
            OffsetSpec::Earliest => (-2, 0),
            OffsetSpec::MaxTimestamp => (-3, 7),
            OffsetSpec::EarliestLocal => (-4, 8),
            OffsetSpec::LatestTiered => (-5, 9),
            OffsetSpec::EarliestPendingUpload => (-6, 11),
            OffsetSpec::AtTime(time) => (time.millis(), 0),
        }
    }
}

/// The offset that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListedOffset {
    /// The offset that was looked for.
    pub offset: Offset,
    /// Timestamp of the record there, where the question was about time.
    pub timestamp: Option<Timestamp>,
    /// Epoch of the record; `None` if unknown.
    pub leader_epoch: Option<LeaderEpoch>,
}

impl Admin {
    /// Finds an offset in each partition; `None` where no record answers the question.
    pub async fn list_offsets(
        &self,
        wanted: &BTreeMap<TopicPartition, OffsetSpec>,
        isolation: IsolationLevel,
    ) -> Result<PartitionOutcomes<Option<ListedOffset>, ListOffsetsError>, CallError> {
        let deadline = self.deadline("listOffsets(api=LIST_OFFSETS)");
        let ask = |leader, partitions: Vec<TopicPartition>| async move {
            let mut question = Question::new(&partitions, wanted, isolation);
            question.request.timeout_ms = Admin::left_ms(deadline);
            question.ask_once(self.shared(), leader).await.map(read_answer)
        };
        let names = ("listOffsets(api=METADATA)", deadline);
        self.ask_leaders(names, wanted.keys().cloned(), ask).await
    }

    /// Deletes all records below the given offsets; `None` means below the high watermark. Answers the new first
    /// offset of each partition.
    pub async fn delete_records(
        &self,
        before: &BTreeMap<TopicPartition, Option<Offset>>,
    ) -> Result<PartitionOutcomes<Offset, DeleteRecordsError>, CallError> {
        let deadline = self.deadline("deleteRecords(api=DELETE_RECORDS)");
        let ask = |leader, partitions: Vec<TopicPartition>| async move {
            let request = DeleteRecordsRequest {
                topics: delete_topics(&partitions, before),
                timeout_ms: Admin::left_ms(deadline),
            };
            let response =
                self.shared().call(Target::Broker(leader), &request, CallOptions::default()).await?;
            let said = response.topics.into_iter().flat_map(|topic| {
                let name = topic.name;
                topic.partitions.into_iter().filter_map(move |said| {
                    let low = Offset::new(said.low_watermark).unwrap_or_default();
                    let outcome = ServerError::check(said.error_code, None).map(|()| low);
                    Some((TopicPartition::named(&name, said.partition_index)?, outcome))
                })
            });
            Ok(said.collect())
        };
        self.ask_leaders(("deleteRecords(api=METADATA)", deadline), before.keys().cloned(), ask).await
    }
}

/// One ListOffsets request and the version it needs.
pub(crate) struct Question {
    request: ListOffsetsRequest,
    version_min: i16,
}

impl Question {
    pub(crate) fn new(
        partitions: &[TopicPartition],
        wanted: &BTreeMap<TopicPartition, OffsetSpec>,
        isolation: IsolationLevel,
    ) -> Question {
        let mut version_min = 0;
        let mut topics: BTreeMap<String, Vec<ListOffsetsPartition>> = BTreeMap::new();
        for partition in partitions {
            let Some(spec) = wanted.get(partition) else { continue };
            let (timestamp, since) = spec.wire();
            version_min = version_min.max(since);
            topics.entry(partition.topic.to_string()).or_default().push(ListOffsetsPartition {
                partition_index: partition.partition.value(),
                timestamp,
                ..Default::default()
            });
        }
        let topics = topics.into_iter().map(|(name, partitions)| ListOffsetsTopic { name, partitions });
        let request = ListOffsetsRequest {
            replica_id: -1,
            isolation_level: isolation.wire(),
            topics: topics.collect(),
            timeout_ms: 0,
        };
        Question { request, version_min }
    }

    /// Asks one node once.
    pub(crate) async fn ask_once(
        &self,
        shared: &Shared,
        node: BrokerId,
    ) -> Result<ListOffsetsResponse, CallError> {
        let options = CallOptions::default();
        let connection = shared.connect(Target::Broker(node), options.lane).await?;
        let version = connection.version_of::<ListOffsetsRequest>(i16::MAX)?;
        if version < self.version_min {
            return Err(CallError::TooOld {
                api: api_name(ListOffsetsRequest::KEY),
                feature: "this kind of offset",
            });
        }
        connection.send(&self.request, version, None)?.wait().await
    }
}

/// What an answer says of each partition.
pub(crate) fn read_answer(
    response: ListOffsetsResponse,
) -> Vec<(TopicPartition, Result<Option<ListedOffset>, ServerError>)> {
    let said = response.topics.into_iter().flat_map(|topic| {
        let name = topic.name;
        topic.partitions.into_iter().filter_map(move |said| {
            let partition = TopicPartition::named(&name, said.partition_index)?;
            Some((partition, listed(&said)))
        })
    });
    said.collect()
}

fn listed(said: &ListOffsetsPartitionResponse) -> Result<Option<ListedOffset>, ServerError> {
    ServerError::check(said.error_code, None)?;
    Ok(Offset::new(said.offset).map(|offset| ListedOffset {
        offset,
        timestamp: (said.timestamp >= 0).then(|| Timestamp::from_millis(said.timestamp)),
        leader_epoch: LeaderEpoch::new(said.leader_epoch),
    }))
}

fn delete_topics(
    partitions: &[TopicPartition],
    before: &BTreeMap<TopicPartition, Option<Offset>>,
) -> Vec<DeleteRecordsTopic> {
    let mut topics: BTreeMap<String, Vec<DeleteRecordsPartition>> = BTreeMap::new();
    for partition in partitions {
        let offset = before.get(partition).copied().flatten();
        topics.entry(partition.topic.to_string()).or_default().push(DeleteRecordsPartition {
            partition_index: partition.partition.value(),
            offset: offset.map_or(-1, Offset::value),
        });
    }
    topics.into_iter().map(|(name, partitions)| DeleteRecordsTopic { name, partitions }).collect()
}

impl From<ErrorCode> for ListOffsetsError {
    fn from(code: ErrorCode) -> ListOffsetsError {
        ServerError::from(code).into()
    }
}
