//! Offsets that groups have committed: list, alter, delete.
//!
//! Owns: these operations. Does not own: committing as a member (`consumer`).
//!
//! Requests name topics, not ids, since a group may hold offsets of topics that are gone.
//!
//! Source: Kafka protocol guide, OffsetFetch, OffsetCommit, OffsetDelete; KIP-709.

use std::collections::BTreeMap;

use ottla_model::{LeaderEpoch, Offset, TopicName, TopicPartition};
use ottla_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use ottla_protocol::messages::offset_delete_request::{
    OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use ottla_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use ottla_protocol::messages::offset_fetch_response::OffsetFetchResponse;
use ottla_protocol::messages::{OffsetCommitRequest, OffsetDeleteRequest, OffsetFetchRequest};

use super::error::operation_error;
use super::groups::{GroupCallError, from_group_call};
use super::{Admin, Deadline};
use crate::error::{CallError, ErrorCode, ServerError, error_of};

/// Last version of OffsetCommit and OffsetFetch that names topics instead of their ids.
pub(crate) const NAMES_UNTIL: i16 = 9;

operation_error! {
    /// Why the offsets of a group cannot be listed.
    ListGroupOffsetsError {
        /// There is no such group.
        NotFound = GroupIdNotFound,
    }
    /// Why an offset was not altered.
    AlterGroupOffsetsError {
        /// The group has members, which commit for themselves.
        HasMembers = UnknownMemberId,
    }
    /// Why an offset was not deleted.
    DeleteGroupOffsetsError {
        /// There is no such group.
        NotFound = GroupIdNotFound,
        /// Members of the group subscribe to the topic.
        Subscribed = GroupSubscribedToTopic,
    }
}
from_group_call! { ListGroupOffsetsError AlterGroupOffsetsError DeleteGroupOffsetsError }

/// A position a group has committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommittedOffset {
    /// The next record to be read.
    pub offset: Offset,
    /// Epoch of the record before it; `None` if unknown.
    pub leader_epoch: Option<LeaderEpoch>,
    /// Any text that was committed along.
    pub metadata: String,
}

impl CommittedOffset {
    /// A position without epoch and text.
    pub fn at(offset: Offset) -> CommittedOffset {
        CommittedOffset { offset, leader_epoch: None, metadata: String::new() }
    }
}

/// The outcome for each partition.
pub type PartitionOutcomes<T, E> = BTreeMap<TopicPartition, Result<T, E>>;

impl Admin {
    /// What a group has committed, for the given partitions or for all. Partitions without an offset are left out.
    pub async fn list_group_offsets(
        &self,
        group: &str,
        partitions: Option<&[TopicPartition]>,
        require_stable: bool,
    ) -> Result<PartitionOutcomes<CommittedOffset, ListGroupOffsetsError>, ListGroupOffsetsError> {
        let deadline = self.deadline("offsetFetch(api=FIND_COORDINATOR)");
        match self.fetch_offsets(deadline, group, &in_groups(group, partitions, require_stable)).await {
            // Versions before 8 have one group outside of the list.
            Err(GroupCallError::Call(CallError::Unwritable { .. })) => {
                let request = without_groups(group, partitions, require_stable);
                let response = self.fetch_offsets(deadline, group, &request).await?;
                read_offsets(group, response)
            }
            answer => read_offsets(group, answer?),
        }
    }

    async fn fetch_offsets(
        &self,
        deadline: Deadline,
        group: &str,
        request: &OffsetFetchRequest,
    ) -> Result<OffsetFetchResponse, GroupCallError> {
        self.ask_coordinator(deadline, (group, request, NAMES_UNTIL), offset_fetch_code).await
    }

    /// Commits offsets for a group without members.
    pub async fn alter_group_offsets(
        &self,
        group: &str,
        offsets: &BTreeMap<TopicPartition, CommittedOffset>,
    ) -> Result<PartitionOutcomes<(), AlterGroupOffsetsError>, AlterGroupOffsetsError> {
        let deadline = self.deadline("offsetCommit(api=FIND_COORDINATOR)");
        let request = OffsetCommitRequest {
            group_id: group.to_owned(),
            topics: commit_topics(offsets),
            ..Default::default()
        };
        let code_of = |response: &ottla_protocol::messages::OffsetCommitResponse| {
            let first = response.topics.first().and_then(|topic| topic.partitions.first());
            first.map_or(0, |partition| partition.error_code)
        };
        let response = self.ask_coordinator(deadline, (group, &request, NAMES_UNTIL), code_of).await?;
        let mut outcomes = BTreeMap::new();
        for topic in response.topics {
            for partition in topic.partitions {
                let outcome = ServerError::check(partition.error_code, None).map_err(Into::into);
                if let Some(partition) = TopicPartition::named(&topic.name, partition.partition_index) {
                    outcomes.insert(partition, outcome);
                }
            }
        }
        Ok(outcomes)
    }

    /// Deletes offsets of partitions that no member of the group subscribes to.
    pub async fn delete_group_offsets(
        &self,
        group: &str,
        partitions: &[TopicPartition],
    ) -> Result<PartitionOutcomes<(), DeleteGroupOffsetsError>, DeleteGroupOffsetsError> {
        let deadline = self.deadline("offsetDelete(api=FIND_COORDINATOR)");
        let topics = by_topic(partitions).into_iter().map(|(name, indexes)| OffsetDeleteRequestTopic {
            name,
            partitions: indexes
                .into_iter()
                .map(|partition_index| OffsetDeleteRequestPartition { partition_index })
                .collect(),
        });
        let request = OffsetDeleteRequest { group_id: group.to_owned(), topics: topics.collect() };
        let code_of = |response: &ottla_protocol::messages::OffsetDeleteResponse| response.error_code;
        let response = self.ask_coordinator(deadline, (group, &request, i16::MAX), code_of).await?;
        ServerError::check(response.error_code, None)?;
        let mut outcomes = BTreeMap::new();
        for topic in response.topics {
            for partition in topic.partitions {
                let outcome = ServerError::check(partition.error_code, None).map_err(Into::into);
                if let Some(partition) = TopicPartition::named(&topic.name, partition.partition_index) {
                    outcomes.insert(partition, outcome);
                }
            }
        }
        Ok(outcomes)
    }
}

pub(crate) fn in_groups(
    group: &str,
    partitions: Option<&[TopicPartition]>,
    require_stable: bool,
) -> OffsetFetchRequest {
    let topic = |(name, partition_indexes)| OffsetFetchRequestTopics {
        name,
        partition_indexes,
        ..Default::default()
    };
    let topics = partitions.map(|partitions| by_topic(partitions).into_iter().map(topic).collect());
    let group = OffsetFetchRequestGroup { group_id: group.to_owned(), topics, ..Default::default() };
    OffsetFetchRequest { groups: vec![group], require_stable, ..Default::default() }
}

pub(crate) fn without_groups(
    group: &str,
    partitions: Option<&[TopicPartition]>,
    require_stable: bool,
) -> OffsetFetchRequest {
    let topic = |(name, partition_indexes)| OffsetFetchRequestTopic { name, partition_indexes };
    OffsetFetchRequest {
        group_id: group.to_owned(),
        topics: partitions.map(|partitions| by_topic(partitions).into_iter().map(topic).collect()),
        require_stable,
        ..Default::default()
    }
}

/// The code that concerns the whole group, wherever the version has it.
pub(crate) fn offset_fetch_code(response: &OffsetFetchResponse) -> i16 {
    response.groups.first().map_or(response.error_code, |group| group.error_code)
}

fn read_offsets(
    group: &str,
    response: OffsetFetchResponse,
) -> Result<PartitionOutcomes<CommittedOffset, ListGroupOffsetsError>, ListGroupOffsetsError> {
    ServerError::check(offset_fetch_code(&response), None)?;
    let mut outcomes = BTreeMap::new();
    for (partition, offset) in committed_offsets(group, response) {
        match offset {
            Ok(Some(offset)) => drop(outcomes.insert(partition, Ok(offset))),
            Ok(None) => {}
            Err(code) => drop(outcomes.insert(partition, Err(ServerError::from(code).into()))),
        }
    }
    Ok(outcomes)
}

/// What an OffsetFetch answer of any version says of each partition of a group; `None` where nothing is committed.
pub(crate) fn committed_offsets(
    group: &str,
    response: OffsetFetchResponse,
) -> Vec<(TopicPartition, Result<Option<CommittedOffset>, ErrorCode>)> {
    let mut said = Vec::new();
    for topic in response.groups.into_iter().filter(|one| one.group_id == group).flat_map(|one| one.topics) {
        for one in topic.partitions {
            let position = (one.committed_offset, one.committed_leader_epoch, one.metadata);
            said.push((topic.name.clone(), one.partition_index, one.error_code, position));
        }
    }
    for topic in response.topics {
        for one in topic.partitions {
            let position = (one.committed_offset, one.committed_leader_epoch, one.metadata);
            said.push((topic.name.clone(), one.partition_index, one.error_code, position));
        }
    }
    let outcome =
        |(topic, index, code, (offset, epoch, metadata)): (String, i32, i16, (i64, i32, Option<String>))| {
            let partition = TopicPartition::named(&topic, index)?;
            let outcome = match error_of(code) {
                Some(code) => Err(code),
                None => Ok(Offset::new(offset).map(|offset| CommittedOffset {
                    offset,
                    leader_epoch: LeaderEpoch::new(epoch),
                    metadata: metadata.unwrap_or_default(),
                })),
            };
            Some((partition, outcome))
        };
    said.into_iter().filter_map(outcome).collect()
}

/// Offsets as an OffsetCommit request has them.
pub(crate) fn commit_topics(
    offsets: &BTreeMap<TopicPartition, CommittedOffset>,
) -> Vec<OffsetCommitRequestTopic> {
    let mut topics: BTreeMap<&TopicName, Vec<OffsetCommitRequestPartition>> = BTreeMap::new();
    for (partition, committed) in offsets {
        topics.entry(&partition.topic).or_default().push(OffsetCommitRequestPartition {
            partition_index: partition.partition.value(),
            committed_offset: committed.offset.value(),
            committed_leader_epoch: committed.leader_epoch.map_or(-1, LeaderEpoch::value),
            committed_metadata: Some(committed.metadata.clone()),
        });
    }
    let topic = |(name, partitions): (&TopicName, _)| OffsetCommitRequestTopic {
        name: name.to_string(),
        partitions,
        ..Default::default()
    };
    topics.into_iter().map(topic).collect()
}

/// Partition numbers by topic.
pub(crate) fn by_topic(partitions: &[TopicPartition]) -> BTreeMap<String, Vec<i32>> {
    let mut topics: BTreeMap<String, Vec<i32>> = BTreeMap::new();
    for partition in partitions {
        topics.entry(partition.topic.to_string()).or_default().push(partition.partition.value());
    }
    topics
}
