//! TxnOffsetCommit (API key 28): a transaction stores how far a group has read; it takes effect when it commits.
//!
//! Source: KIP-98, KIP-447, KIP-890; requirements TXN-03, TXN-06, TXN-07, COF-02, TRAP-23.

use ottla_coordinator::group::{
    CommitOffsets, CommitPartition, CommitTopic, CommittedPosition, GroupAnswer, GroupCommand,
};
use ottla_coordinator::runtime::Author;
use ottla_env::time::wall_now;
use ottla_metadata::image::MetadataImage;
use ottla_model::{
    GenerationId, GroupId, GroupInstanceId, LeaderEpoch, MemberId, PartitionIndex, ProducerEpoch, ProducerId,
    TransactionalId, Verification,
};
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequest, TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use ottla_protocol::messages::txn_offset_commit_response::{
    TxnOffsetCommitResponse, TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};
use ottla_security::Operation;
use ottla_storage::VerificationRequest;

use crate::caller::Caller;
use crate::error_code;
use crate::internal_topics::InternalTopic;
use crate::node::Node;
use crate::transactions::verifying::{self, Asking, Candidate};
use crate::transactions::{self, EnrolmentKind};

/// First version whose clients know TRANSACTION_ABORTABLE.
const FIRST_WITH_ABORTABLE: i16 = 4;
/// First version that makes the group's partition part of the transaction (transaction version 2).
const FIRST_THAT_ADDS: i16 = 5;
/// First version whose clients survive COORDINATOR_LOAD_IN_PROGRESS (KAFKA-7296).
const FIRST_WITH_LOADING: i16 = 2;

/// Rows of the answer by topic, in the order in which topics were met.
#[derive(Default)]
struct Rows(Vec<TxnOffsetCommitResponseTopic>);

impl Rows {
    fn add(&mut self, topic: &str, partition_index: i32, error: ErrorCode) {
        let row = TxnOffsetCommitResponsePartition { partition_index, error_code: error.number() };
        match self.0.iter_mut().find(|known| known.name == topic) {
            Some(known) => known.partitions.push(row),
            None => {
                let name = topic.to_owned();
                self.0.push(TxnOffsetCommitResponseTopic { name, partitions: vec![row] });
            }
        }
    }

    fn add_all<'a>(
        &mut self,
        topics: impl IntoIterator<Item = &'a TxnOffsetCommitRequestTopic>,
        error: ErrorCode,
    ) {
        for topic in topics {
            for partition in &topic.partitions {
                self.add(&topic.name, partition.partition_index, error);
            }
        }
    }
}

/// Serves one request.
pub async fn handle(
    node: &Node,
    caller: &Caller,
    version: i16,
    request: TxnOffsetCommitRequest,
) -> TxnOffsetCommitResponse {
    let mut rows = Rows::default();
    if !node.access.may_transactional_id(caller, Operation::Write, &request.transactional_id) {
        rows.add_all(&request.topics, ErrorCode::TransactionalIdAuthorizationFailed);
    } else if !node.access.may_group(caller, Operation::Read, &request.group_id) {
        rows.add_all(&request.topics, ErrorCode::GroupAuthorizationFailed);
    } else {
        let image = node.image().clone();
        let mut topics = Vec::new();
        for topic in &request.topics {
            topics.extend(check_topic((node, caller, &image), topic, &mut rows));
        }
        if !topics.is_empty() {
            commit(node, version, (&request, topics), &mut rows).await;
        }
    }
    TxnOffsetCommitResponse { throttle_time_ms: 0, topics: rows.0 }
}

/// The part of a topic that can be committed; the rest has its rows then.
fn check_topic(
    (node, caller, image): (&Node, &Caller, &MetadataImage),
    topic: &TxnOffsetCommitRequestTopic,
    rows: &mut Rows,
) -> Option<CommitTopic> {
    if !node.access.may_topic(caller, Operation::Read, &topic.name) {
        rows.add_all([topic], ErrorCode::TopicAuthorizationFailed);
        return None;
    }
    let Some(known) = image.topics.by_name(&topic.name) else {
        rows.add_all([topic], ErrorCode::UnknownTopicOrPartition);
        return None;
    };
    let mut partitions = Vec::with_capacity(topic.partitions.len());
    for asked in &topic.partitions {
        match known.numbered(asked.partition_index) {
            Some((index, _)) => partitions.push(commit_partition(index, asked)),
            None => rows.add(&topic.name, asked.partition_index, ErrorCode::UnknownTopicOrPartition),
        }
    }
    // Kafka stores no topic id with an offset of a transaction.
    let commit = CommitTopic { topic: known.name.clone(), topic_id: None, partitions };
    (!commit.partitions.is_empty()).then_some(commit)
}

fn commit_partition(partition: PartitionIndex, asked: &TxnOffsetCommitRequestPartition) -> CommitPartition {
    CommitPartition {
        partition,
        position: CommittedPosition(asked.committed_offset),
        leader_epoch: LeaderEpoch::new(asked.committed_leader_epoch),
        metadata: asked.committed_metadata.clone().unwrap_or_default(),
    }
}

async fn commit(
    node: &Node,
    version: i16,
    (request, topics): (&TxnOffsetCommitRequest, Vec<CommitTopic>),
    rows: &mut Rows,
) {
    let all: Vec<(String, Vec<PartitionIndex>)> = topics
        .iter()
        .map(|topic| {
            let partitions = topic.partitions.iter().map(|partition| partition.partition);
            (topic.topic.as_str().to_owned(), partitions.collect())
        })
        .collect();
    let committed = match author(node, version, request).await {
        Ok(author) => ask(node, request, (author, topics)).await,
        Err(error) => Err(error),
    };
    match committed {
        Ok(committed) => {
            for (topic, partition, error) in committed {
                rows.add(&topic, partition.value(), error);
            }
        }
        Err(error) => {
            let is_unknown_to_client =
                error == ErrorCode::CoordinatorLoadInProgress && version < FIRST_WITH_LOADING;
            let error = if is_unknown_to_client { ErrorCode::CoordinatorNotAvailable } else { error };
            for (topic, partitions) in all {
                partitions.iter().for_each(|index| rows.add(&topic, index.value(), error));
            }
        }
    }
}

/// Who writes the offsets, once the coordinator of the transaction knows that the group's partition is part of it.
async fn author(node: &Node, version: i16, request: &TxnOffsetCommitRequest) -> Result<Author, ErrorCode> {
    if node.groups.is_stopping() {
        return Err(ErrorCode::CoordinatorNotAvailable);
    }
    let group = GroupId::new(&request.group_id);
    if group.is_empty() {
        return Err(ErrorCode::InvalidGroupId);
    }
    let producer = ProducerId::new(request.producer_id).ok_or(ErrorCode::InvalidProducerIdMapping)?;
    let epoch = ProducerEpoch::new(request.producer_epoch).ok_or(ErrorCode::InvalidProducerEpoch)?;
    let index = node.groups.partition_of(&group).ok_or(ErrorCode::NotCoordinator)?;
    let kind = if version >= FIRST_THAT_ADDS { EnrolmentKind::Add } else { EnrolmentKind::Verify };
    if kind == EnrolmentKind::Verify && !node.config().transactions.verifies_partitions {
        return Ok(Author { producer, epoch, verification: Verification::Off });
    }
    let topic = InternalTopic::ConsumerOffsets.name();
    let partition = node.local_partition(topic, index.value()).map_err(of_partition)?;
    let verification = VerificationRequest {
        producer,
        epoch,
        first_sequence: None,
        begins_at_zero: kind == EnrolmentKind::Add,
        now: wall_now(),
    };
    let Some(candidate) = Candidate::look(partition, verification).map_err(of_partition)? else {
        return Ok(Author { producer, epoch, verification: Verification::NotAsked });
    };
    let asking = Asking { id: TransactionalId::new(&request.transactional_id), kind };
    let mut outcomes = verifying::ask(node, asking, &[candidate]).await;
    match outcomes.pop().unwrap_or(Err(ErrorCode::UnknownServerError)) {
        Ok(verification) => Ok(Author { producer, epoch, verification }),
        Err(code) => Err(of_partition(transactions::told_to_producer(code, version >= FIRST_WITH_ABORTABLE))),
    }
}

/// What the group's partition, or the question about it, means to a client of the group coordinator (GRP-18).
fn of_partition(error: ErrorCode) -> ErrorCode {
    let moved = [ErrorCode::NotLeaderOrFollower, ErrorCode::KafkaStorageError];
    let gone = [ErrorCode::UnknownTopicOrPartition, ErrorCode::NotEnoughReplicas, ErrorCode::RequestTimedOut];
    if moved.contains(&error) {
        ErrorCode::NotCoordinator
    } else if gone.contains(&error) {
        ErrorCode::CoordinatorNotAvailable
    } else if error == ErrorCode::NetworkException {
        // It makes clients try again without looking for the coordinator.
        ErrorCode::CoordinatorLoadInProgress
    } else {
        error
    }
}

/// What the group coordinator said of each partition.
async fn ask(
    node: &Node,
    request: &TxnOffsetCommitRequest,
    (author, topics): (Author, Vec<CommitTopic>),
) -> Result<Vec<(String, PartitionIndex, ErrorCode)>, ErrorCode> {
    let command = CommitOffsets {
        group: GroupId::new(&request.group_id),
        // Of a transaction no version is too old for members with epochs.
        speaks_of_epochs: true,
        generation: GenerationId::new(request.generation_id),
        member: MemberId::new(&request.member_id),
        instance: request.group_instance_id.as_deref().map(GroupInstanceId::new),
        retention: None,
        transaction: Some(author),
        topics,
    };
    let GroupAnswer::CommitOffsets(committed) = node.groups.ask(GroupCommand::CommitOffsets(command)).await
    else {
        unreachable!("a commit is answered as one");
    };
    let topics = committed.map_err(|error| error_code::of_transactional_commit(&error))?;
    let mut rows = Vec::new();
    for topic in topics {
        for partition in topic.partitions {
            let result = partition.result.as_ref();
            let error = result.map_or_else(error_code::of_commit_partition, |()| ErrorCode::None);
            rows.push((topic.topic.as_str().to_owned(), partition.partition, error));
        }
    }
    Ok(rows)
}
