//! The end of a transaction is written into partitions of this node.
//!
//! Owns: the bytes of a marker, the wait until it is committed.
//! Does not own: who may ask for it (`handlers`), whether the log takes it (`storage`).
//!
//! Source: KIP-98; requirement TXN-09.

use ottla_coordinator::runtime::TransactionOutcome;
use ottla_env::time::{timeout, wall_now};
use ottla_model::{ProducerEpoch, ProducerId, TopicPartition, Verification};
use ottla_protocol::ErrorCode;
use ottla_protocol::record::{
    BatchBuilder, BatchOptions, BatchProducer, BuildError, ControlKind, EndTransaction,
};

use crate::error_code;
use crate::node::Node;

/// The end of a producer's transaction, for one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marker {
    pub producer: ProducerId,
    pub epoch: ProducerEpoch,
    pub outcome: TransactionOutcome,
    /// Epoch of the transaction coordinator that decided; fences earlier ones.
    pub coordinator_epoch: i32,
    /// Whether the producer's epoch was raised for the marker (transaction version 2).
    pub epoch_was_raised: bool,
}

/// Writes a marker into each of the partitions, as with `acks=all`, and says for each what became of it.
pub async fn write(
    node: &Node,
    marker: Marker,
    partitions: Vec<TopicPartition>,
) -> Vec<(TopicPartition, ErrorCode)> {
    let mut rows = Vec::with_capacity(partitions.len());
    for partition in partitions {
        let written = write_one(node, &marker, &partition).await;
        rows.push((partition, written.err().unwrap_or(ErrorCode::None)));
    }
    rows
}

async fn write_one(node: &Node, marker: &Marker, id: &TopicPartition) -> Result<(), ErrorCode> {
    let partition = node.local_partition(id.topic.as_str(), id.partition.value())?;
    let mut batch = batch(marker).map_err(|_| ErrorCode::UnknownServerError)?;
    let end = partition
        .append_internal(&mut batch, Verification::NotAsked)
        .map_err(|error| error_code::of_produce(&error))?;
    let mut committed = partition.committed();
    let wait =
        timeout(node.config().network.request_timeout, committed.wait_for(|point| *point >= end)).await;
    match wait {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(_)) => Err(ErrorCode::NotLeaderOrFollower),
        Err(_) => Err(ErrorCode::RequestTimedOut),
    }
}

fn batch(marker: &Marker) -> Result<Vec<u8>, BuildError> {
    let mut builder = BatchBuilder::new(BatchOptions {
        producer: Some(BatchProducer { id: marker.producer, epoch: marker.epoch, base_sequence: None }),
        transactional: true,
        control: true,
        ..BatchOptions::default()
    })?;
    let kind = match marker.outcome {
        TransactionOutcome::Committed => ControlKind::Commit,
        TransactionOutcome::Aborted => ControlKind::Abort,
    };
    let end = EndTransaction { coordinator_epoch: marker.coordinator_epoch };
    builder.append_control(wall_now(), kind, &end.value())?;
    builder.finish()
}
