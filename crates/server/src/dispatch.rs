//! From a request to its handler and back to a frame.
//!
//! Owns: which handler serves which API, decoding of bodies, encoding of answers.
//! Does not own: the handlers, the order of answers (`protocol::connection`), sockets.
//!
//! Source: requirements WIRE-05, API-02.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use ottla_protocol::connection::Request;
use ottla_protocol::messages::{self, ApiKey};
use ottla_protocol::reply::{Reply, ReplyHead};
use ottla_protocol::{DecodeError, EncodeError, Message, Reader};

use crate::caller::Caller;
use crate::fetch::answer::{AnswerError, FileReply};
use crate::handlers;
use crate::node::Node;
use crate::unwritable::Unwritable;

/// Why a request has no answer. Unless it wants none, the connection ends.
#[derive(Debug, thiserror::Error)]
pub enum DispatchError {
    #[error("the body of the request cannot be read: {0}")]
    Body(#[from] DecodeError),
    #[error("the answer cannot be written: {0}")]
    Answer(#[from] EncodeError),
    #[error("the records of the answer cannot be read: {0}")]
    Records(#[from] std::io::Error),
    /// Produce with `acks=0` was carried out.
    #[error("no answer is wanted")]
    NotWanted,
    /// Produce with `acks=0` failed: the client learns it by the end of the connection (PRD-19).
    #[error("a request that wants no answer failed")]
    Unacknowledged,
    /// The listener does not offer the API; the connection machine lets no such request through.
    #[error("{0:?} is not served here")]
    NotServed(ApiKey),
}

impl From<AnswerError> for DispatchError {
    fn from(error: AnswerError) -> DispatchError {
        match error {
            AnswerError::Encode(error) => DispatchError::Answer(error),
            AnswerError::Read(error) => DispatchError::Records(error),
        }
    }
}

fn body<M: Message>(request: &Request) -> Result<M, DecodeError> {
    M::decode(&mut Reader::new(request.body_bytes()), request.version)
}

fn framed<M: Message>(head: ReplyHead, answer: &M) -> Result<FileReply, DispatchError> {
    Ok(Reply::Bytes(head.frame(answer)?))
}

/// The same for an answer that repeats what the client sent, and may become too long for the wire.
fn framed_or_failed<A: Unwritable>(head: ReplyHead, mut answer: A) -> Result<FileReply, DispatchError> {
    if let Ok(frame) = head.frame(&answer) {
        return Ok(Reply::Bytes(frame));
    }
    answer.fail(head.version);
    framed(head, &answer)
}

/// The answer to a request, as it is made.
pub type Answering = Pin<Box<dyn Future<Output = Result<FileReply, DispatchError>> + Send>>;

/// Serves every API but Produce and Fetch, which the connection begins itself (see [`handlers::produce`] and
/// [`handlers::fetch`]). What is asked for often has a future of its own, as small as it can be.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "each table has a part of the APIs; the rest is not served"
)]
pub fn serve(node: Arc<Node>, caller: Caller, request: Request) -> Answering {
    match request.api {
        ApiKey::Metadata => Box::pin(async move {
            let (head, v) = (request.reply_head(), request.version);
            framed(head, &handlers::metadata::handle(&node, &caller, v, body(&request)?).await)
        }),
        ApiKey::JoinGroup
        | ApiKey::SyncGroup
        | ApiKey::Heartbeat
        | ApiKey::LeaveGroup
        | ApiKey::OffsetCommit
        | ApiKey::OffsetFetch
        | ApiKey::OffsetDelete
        | ApiKey::TxnOffsetCommit
        | ApiKey::DescribeGroups
        | ApiKey::ListGroups
        | ApiKey::DeleteGroups
        | ApiKey::ConsumerGroupHeartbeat
        | ApiKey::ConsumerGroupDescribe
        | ApiKey::FindCoordinator => Box::pin(async move { serve_group(&node, &caller, &request).await }),
        ApiKey::InitProducerId
        | ApiKey::AddPartitionsToTxn
        | ApiKey::AddOffsetsToTxn
        | ApiKey::EndTxn
        | ApiKey::DescribeTransactions
        | ApiKey::ListTransactions => {
            Box::pin(async move { serve_transaction(&node, &caller, &request).await })
        }
        ApiKey::CreateTopics
        | ApiKey::DeleteTopics
        | ApiKey::CreatePartitions
        | ApiKey::ElectLeaders
        | ApiKey::AlterPartitionReassignments
        | ApiKey::ListPartitionReassignments
        | ApiKey::AlterConfigs
        | ApiKey::IncrementalAlterConfigs
        | ApiKey::UpdateFeatures
        | ApiKey::DescribeQuorum => Box::pin(async move { serve_controller(&node, &caller, &request).await }),
        _ => Box::pin(async move { serve_facts(&node, &caller, &request).await }),
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "each table has a part of the APIs; the rest is not served"
)]
async fn serve_group(
    node: &Arc<Node>,
    caller: &Caller,
    request: &Request,
) -> Result<FileReply, DispatchError> {
    use handlers as h;
    let (head, v) = (request.reply_head(), request.version);
    match request.api {
        ApiKey::JoinGroup => {
            framed_or_failed(head, h::join_group::handle(node, caller, v, body(request)?).await)
        }
        ApiKey::SyncGroup => framed(head, &h::sync_group::handle(node, caller, v, body(request)?).await),
        ApiKey::Heartbeat => framed(head, &h::heartbeat::handle(node, caller, body(request)?).await),
        ApiKey::LeaveGroup => framed(head, &h::leave_group::handle(node, caller, v, body(request)?).await),
        ApiKey::OffsetCommit => {
            framed(head, &h::offset_commit::handle(node, caller, v, body(request)?).await)
        }
        ApiKey::OffsetFetch => framed(head, &h::offset_fetch::handle(node, caller, v, body(request)?).await),
        ApiKey::TxnOffsetCommit => {
            framed(head, &h::txn_offset_commit::handle(node, caller, v, body(request)?).await)
        }
        ApiKey::OffsetDelete => framed(head, &h::offset_delete::handle(node, caller, body(request)?).await),
        ApiKey::DescribeGroups => {
            framed_or_failed(head, h::describe_groups::handle(node, caller, v, body(request)?).await)
        }
        ApiKey::ListGroups => framed(head, &h::list_groups::handle(node, caller, body(request)?).await),
        ApiKey::DeleteGroups => framed(head, &h::delete_groups::handle(node, caller, body(request)?).await),
        ApiKey::ConsumerGroupHeartbeat => {
            framed(head, &h::consumer_group_heartbeat::handle(node, caller, v, body(request)?).await)
        }
        ApiKey::ConsumerGroupDescribe => {
            framed_or_failed(head, h::consumer_group_describe::handle(node, caller, body(request)?).await)
        }
        ApiKey::FindCoordinator => {
            framed(head, &h::find_coordinator::handle(node, caller, v, body(request)?).await)
        }
        other => Err(DispatchError::NotServed(other)),
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "each table has a part of the APIs; the rest is not served"
)]
async fn serve_transaction(
    node: &Arc<Node>,
    caller: &Caller,
    request: &Request,
) -> Result<FileReply, DispatchError> {
    use handlers as h;
    let (head, v) = (request.reply_head(), request.version);
    match request.api {
        ApiKey::InitProducerId => {
            framed(head, &h::init_producer_id::handle(node, caller, v, body(request)?).await)
        }
        ApiKey::AddPartitionsToTxn => {
            framed(head, &h::add_partitions_to_txn::handle(node, caller, v, body(request)?).await)
        }
        ApiKey::AddOffsetsToTxn => {
            framed(head, &h::add_offsets_to_txn::handle(node, caller, v, body(request)?).await)
        }
        ApiKey::EndTxn => framed(head, &h::end_txn::handle(node, caller, v, body(request)?).await),
        ApiKey::DescribeTransactions => {
            framed(head, &h::describe_transactions::handle(node, caller, body(request)?).await)
        }
        ApiKey::ListTransactions => {
            framed(head, &h::list_transactions::handle(node, caller, body(request)?).await)
        }
        other => Err(DispatchError::NotServed(other)),
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "each table has a part of the APIs; the rest is not served"
)]
async fn serve_controller(
    node: &Arc<Node>,
    caller: &Caller,
    request: &Request,
) -> Result<FileReply, DispatchError> {
    use handlers as h;
    let (head, v) = (request.reply_head(), request.version);
    match request.api {
        ApiKey::CreateTopics => {
            framed_or_failed(head, h::create_topics::handle(node, caller, body(request)?).await)
        }
        ApiKey::DeleteTopics => {
            framed(head, &h::delete_topics::handle(node, caller, v, body(request)?).await)
        }
        ApiKey::CreatePartitions => {
            framed(head, &h::create_partitions::handle(node, caller, body(request)?).await)
        }
        ApiKey::ElectLeaders => {
            framed_or_failed(head, h::elect_leaders::handle(node, caller, v, body(request)?).await)
        }
        ApiKey::AlterPartitionReassignments => {
            let answer = h::alter_partition_reassignments::handle(node, caller, body(request)?).await;
            framed_or_failed(head, answer)
        }
        ApiKey::ListPartitionReassignments => {
            framed(head, &h::list_partition_reassignments::handle(node, caller, body(request)?).await)
        }
        ApiKey::AlterConfigs => {
            framed_or_failed(head, h::alter_configs::replace(node, caller, body(request)?).await)
        }
        ApiKey::IncrementalAlterConfigs => {
            framed_or_failed(head, h::alter_configs::change(node, caller, body(request)?).await)
        }
        ApiKey::UpdateFeatures => {
            framed_or_failed(head, h::update_features::handle(node, caller, v, body(request)?).await)
        }
        ApiKey::DescribeQuorum => {
            framed(head, &h::describe_quorum::handle(node, caller, v, body(request)?).await)
        }
        other => Err(DispatchError::NotServed(other)),
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "each table has a part of the APIs; the rest is not served"
)]
async fn serve_facts(
    node: &Arc<Node>,
    caller: &Caller,
    request: &Request,
) -> Result<FileReply, DispatchError> {
    use handlers as h;
    let (head, v) = (request.reply_head(), request.version);
    match request.api {
        ApiKey::ApiVersions => framed(head, &h::api_versions::handle(node, caller, v, body(request)?).await),
        ApiKey::ListOffsets => framed(head, &h::list_offsets::handle(node, caller, v, body(request)?).await),
        ApiKey::OffsetForLeaderEpoch => {
            framed(head, &h::offset_for_leader_epoch::handle(node, caller, body(request)?).await)
        }
        ApiKey::DeleteRecords => framed(head, &h::delete_records::handle(node, caller, body(request)?).await),
        ApiKey::DescribeConfigs => {
            framed_or_failed(head, h::describe_configs::handle(node, caller, body(request)?).await)
        }
        ApiKey::ListConfigResources => {
            framed(head, &h::list_config_resources::handle(node, caller, v, body(request)?).await)
        }
        ApiKey::DescribeLogDirs => {
            framed(head, &h::describe_log_dirs::handle(node, caller, v, body(request)?).await)
        }
        ApiKey::DescribeCluster => {
            framed(head, &h::describe_cluster::handle(node, caller, v, body(request)?).await)
        }
        ApiKey::DescribeProducers => {
            framed_or_failed(head, h::describe_producers::handle(node, caller, body(request)?).await)
        }
        ApiKey::WriteTxnMarkers => {
            framed(head, &h::write_txn_markers::handle(node, caller, body(request)?).await)
        }
        ApiKey::DescribeTopicPartitions => {
            framed(head, &h::describe_topic_partitions::handle(node, caller, body(request)?).await)
        }
        ApiKey::SaslHandshake => {
            body::<messages::SaslHandshakeRequest>(request)?;
            framed(head, &h::sasl::handshake())
        }
        ApiKey::SaslAuthenticate => {
            body::<messages::SaslAuthenticateRequest>(request)?;
            framed(head, &h::sasl::authenticate())
        }
        other => Err(DispatchError::NotServed(other)),
    }
}
