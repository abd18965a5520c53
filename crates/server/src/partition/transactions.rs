//! What a partition has to do with transactions: their verification before the first batch, their markers.
//!
//! Owns: the order lead? → ask the log; the bytes of a marker in this topic.
//! Does not own: the checks (`storage`), whom to ask (`transactions`), what a marker means to a coordinator.
//!
//! Source: KIP-98, KIP-890; requirements TXN-07, TXN-09.

use std::sync::Arc;

use ottla_coordinator::runtime::TransactionOutcome;
use ottla_env::time::wall_now;
use ottla_model::{ProducerEpoch, ProducerId, Verification, VerificationGuard};
use ottla_protocol::record::{
    BatchBuilder, BatchOptions, BatchProducer, BuildError, ControlKind, EndTransaction, TimestampType,
};
use ottla_replication::AppendRefused;
use ottla_storage::{AppendError, LeaderAppend, Origin, VerificationRequest};

use super::append::Awaited;
use super::{Partition, ProduceError, Producing};

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

impl Partition {
    /// The guard that the first batch of a transaction is appended with, once the coordinator said that this partition is
    /// part of it. `None`: the transaction goes on here, nobody need be asked.
    pub fn begin_verification(
        &self,
        request: &VerificationRequest,
    ) -> Result<Option<VerificationGuard>, ProduceError> {
        let mut state = self.state.lock();
        state.replica.may_append()?;
        let log_start = state.replica.log_start();
        match self.log_in(&mut state) {
            Some(log) => log
                .begin_verification(request)
                .map_err(|error| ProduceError::Append { error: AppendError::Producer(error), log_start }),
            None => Err(AppendRefused::Unavailable(state.replica.standing()).into()),
        }
    }

    /// Appends a marker as with `acks=all`.
    pub fn append_marker(
        self: &Arc<Partition>,
        marker: &Marker,
        producing: &Producing<'_>,
    ) -> Result<Awaited, ProduceError> {
        let mut batch =
            self.marker_batch(marker).unwrap_or_else(|error| panic!("a marker of one record: {error}"));
        let append = |epoch| LeaderAppend {
            epoch,
            origin: Origin::Coordinator,
            verification: Verification::NotAsked,
            marker_epoch_was_raised: marker.epoch_was_raised,
            now: wall_now(),
        };
        self.append_and_wait(&mut batch, append, producing)
    }

    /// In a topic that stamps records with the broker's time, a marker is stamped as well.
    fn marker_batch(&self, marker: &Marker) -> Result<Vec<u8>, BuildError> {
        let timestamp = wall_now();
        let log_append_time = match self.settings.load().rules.timestamp_type {
            TimestampType::LogAppendTime => Some(timestamp),
            TimestampType::CreateTime => None,
        };
        let mut builder = BatchBuilder::new(BatchOptions {
            log_append_time,
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
        builder.append_control(timestamp, kind, &end.value())?;
        builder.finish()
    }
}
