//! The end of a transaction is written into partitions of this node.
//!
//! Owns: which way a marker takes into a partition, the wait until it is committed.
//! Does not own: who may ask for it (`handlers`), whether the log takes it (`storage`), what it means to a group
//! (`coordinator`).
//!
//! Source: KIP-98, KAFKA-19999; requirements TXN-09, COF-02.

use std::sync::Arc;

use ottla_coordinator::runtime::Unavailable;
use ottla_env::time::{Instant, now};
use ottla_model::TopicPartition;
use ottla_protocol::ErrorCode;
use ottla_replication::{AckOutcome, RequestId, Standing};

use crate::coordinators::{MarkerError, MarkerJob};
use crate::error_code;
use crate::internal_topics::InternalTopic;
use crate::node::Node;
use crate::partition::{Marker, Partition, Producing};
use crate::waiting::ProduceWait;

/// A marker that lies in the log.
struct Written {
    partition: Arc<Partition>,
    request: RequestId,
    /// Its outcome comes through the wait.
    must_wait: bool,
}

/// Markers that were appended and wait to be committed.
pub struct Writing {
    rows: Vec<(TopicPartition, Result<Written, ErrorCode>)>,
    wait: Arc<ProduceWait>,
    deadline: Instant,
}

/// Writes a marker into each of the partitions, as with `acks=all`, and says for each what became of it.
pub async fn write(
    node: &Node,
    marker: Marker,
    partitions: Vec<TopicPartition>,
) -> Vec<(TopicPartition, ErrorCode)> {
    begin(node, marker, partitions).await.finish().await
}

/// Appends a marker to each of the partitions, as with `acks=all`; what became of it [`Writing::finish`] tells.
pub async fn begin(node: &Node, marker: Marker, partitions: Vec<TopicPartition>) -> Writing {
    let deadline = now() + node.config().network.request_timeout;
    let wait = Arc::new(ProduceWait::new(partitions.len()));
    let mut rows = Vec::with_capacity(partitions.len());
    for (slot, id) in partitions.into_iter().enumerate() {
        let request = node.request_ids.next();
        let job = MarkerJob { marker, wait: Arc::clone(&wait), slot, request, deadline };
        let written = append(node, &id, job).await;
        rows.push((id, written));
    }
    Writing { rows, wait, deadline }
}

impl Writing {
    /// Waits until the markers are committed, and says for each what became of it.
    pub async fn finish(self) -> Vec<(TopicPartition, ErrorCode)> {
        let Writing { rows, wait, deadline } = self;
        if !wait.done(deadline).await {
            for written in rows.iter().filter_map(|(_, written)| written.as_ref().ok()) {
                written.partition.on_deadline(now());
                written.partition.forget(written.request);
            }
        }
        let rows = rows.into_iter().enumerate().map(|(slot, (id, written))| {
            let code = match written {
                Err(code) => code,
                Ok(written) if !written.must_wait => ErrorCode::None,
                Ok(_) => error_code::of_ack(wait.outcome(slot).unwrap_or(AckOutcome::TimedOut)),
            };
            (id, code)
        });
        rows.collect()
    }
}

/// A partition that is not here, or whose directory failed, is unknown (as in Kafka): nobody need wait for it.
async fn append(node: &Node, id: &TopicPartition, job: MarkerJob) -> Result<Written, ErrorCode> {
    let found = node.local_partition(id.topic.as_str(), id.partition.value()).ok();
    let is_online = |partition: &Arc<Partition>| match partition.standing() {
        Standing::Leader { .. } | Standing::Follower { .. } => true,
        Standing::Offline | Standing::Removed => false,
    };
    let partition = found.filter(is_online).ok_or(ErrorCode::UnknownTopicOrPartition)?;
    let request = job.request;
    let appended = if InternalTopic::from_name(id.topic.as_str()) == Some(InternalTopic::ConsumerOffsets) {
        node.groups.end_transaction(id.partition, job).await
    } else {
        let MarkerJob { marker, wait, slot, request, deadline } = job;
        let producing = Producing { wait: &wait, slot, request, deadline };
        partition.append_marker(&marker, &producing).map_err(MarkerError::from)
    };
    match appended {
        Ok(appended) => Ok(Written { partition, request, must_wait: appended.must_wait }),
        Err(error) => Err(code_of(&error)),
    }
}

/// The coordinator of transactions does not expect the codes of a group coordinator: one that is not ready leads the
/// partition not yet.
fn code_of(error: &MarkerError) -> ErrorCode {
    match error {
        MarkerError::Unavailable(
            Unavailable::Loading | Unavailable::NotCoordinator | Unavailable::ShuttingDown,
        ) => ErrorCode::NotLeaderOrFollower,
        MarkerError::Unavailable(why) => error_code::of_unavailable(*why),
        MarkerError::Append(error) => error_code::of_produce(error),
    }
}
