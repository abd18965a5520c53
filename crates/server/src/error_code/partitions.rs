//! Codes of what partitions refuse.
//!
//! Owns: one function per error enum, exhaustively; which epochs that requests name are none.
//! Does not own: the errors; the codes (`protocol`).
//!
//! Source: requirements PRD-05 to PRD-14, IDM-02 to IDM-08, FET-15, FET-30, LO-03.

use ottla_model::LeaderEpoch;
use ottla_protocol::ErrorCode;
use ottla_protocol::record::{RecordsFault, Refusal};
use ottla_replication::{AckOutcome, AppendRefused, ReadRefused, Standing};
use ottla_storage::{AppendError, LookupError, ProducerError, ReadError};

use crate::partition::{LookError, ProduceError};

/// The epoch of the leader that a request believes in. Only -1 stands for none; anything below is an old one.
pub fn believed_epoch(told: i32) -> Result<Option<LeaderEpoch>, ErrorCode> {
    if told < -1 { Err(ErrorCode::FencedLeaderEpoch) } else { Ok(LeaderEpoch::new(told)) }
}

/// What a broker is for the partition, to somebody who needs it to lead.
pub fn of_standing(standing: Standing) -> ErrorCode {
    match standing {
        Standing::Leader { .. } | Standing::Follower { .. } => ErrorCode::NotLeaderOrFollower,
        Standing::Offline => ErrorCode::KafkaStorageError,
        Standing::Removed => ErrorCode::UnknownTopicOrPartition,
    }
}

pub fn of_produce(error: &ProduceError) -> ErrorCode {
    match error {
        ProduceError::Refused(refused) => match refused {
            AppendRefused::Unavailable(standing) => of_standing(*standing),
            AppendRefused::TooFewInSync { .. } => ErrorCode::NotEnoughReplicas,
        },
        ProduceError::Invalid { error, .. } => of_refusal(error),
        ProduceError::Append { error, .. } => of_append(error),
    }
}

/// What became of an append that was to be committed.
pub fn of_ack(outcome: AckOutcome) -> ErrorCode {
    match outcome {
        AckOutcome::Committed => ErrorCode::None,
        AckOutcome::TooFewInSync { .. } => ErrorCode::NotEnoughReplicasAfterAppend,
        AckOutcome::Lost(standing) => of_standing(standing),
        AckOutcome::TimedOut => ErrorCode::RequestTimedOut,
    }
}

fn of_refusal(error: &Refusal) -> ErrorCode {
    match error {
        Refusal::NoBatch
        | Refusal::Magic { .. }
        | Refusal::SeveralBatches
        | Refusal::BaseOffset { .. }
        | Refusal::Count { .. }
        | Refusal::Control
        | Refusal::NoSequence
        | Refusal::Malformed(_)
        | Refusal::Records { fault: RecordsFault::Record, .. } => ErrorCode::InvalidRecord,
        Refusal::Records { fault: RecordsFault::Timestamp, .. } => ErrorCode::InvalidTimestamp,
        Refusal::ZstdTooEarly { .. } => ErrorCode::UnsupportedCompressionType,
        Refusal::Corrupt(_) => ErrorCode::CorruptMessage,
        Refusal::TooLarge { .. } => ErrorCode::MessageTooLarge,
        Refusal::Codec(_) | Refusal::Compression(_) => ErrorCode::UnknownServerError,
    }
}

fn of_append(error: &AppendError) -> ErrorCode {
    match error {
        AppendError::Producer(error) => of_producer(error),
        AppendError::TooLarge { .. } => ErrorCode::RecordListTooLarge,
        AppendError::Malformed { .. } => ErrorCode::CorruptMessage,
        AppendError::NotContiguous { .. } | AppendError::OffsetsExhausted => ErrorCode::UnknownServerError,
        AppendError::NoSpace(_) | AppendError::Disk(_) => ErrorCode::KafkaStorageError,
    }
}

fn of_producer(error: &ProducerError) -> ErrorCode {
    match error {
        ProducerError::FencedEpoch { .. } | ProducerError::StaleEpoch { .. } => {
            ErrorCode::InvalidProducerEpoch
        }
        ProducerError::OutOfOrder { .. }
        | ProducerError::EpochStart { .. }
        | ProducerError::TransactionStart { .. }
        | ProducerError::AheadOfVerification { .. } => ErrorCode::OutOfOrderSequenceNumber,
        ProducerError::NotVerified { .. } | ProducerError::TransactionOpen { .. } => {
            ErrorCode::InvalidTxnState
        }
        ProducerError::CoordinatorFenced { .. } => ErrorCode::TransactionCoordinatorFenced,
    }
}

fn of_read_refused(error: &ReadRefused) -> ErrorCode {
    match error {
        ReadRefused::Unavailable(standing) => of_standing(*standing),
        ReadRefused::UnknownReplica(_) => ErrorCode::NotLeaderOrFollower,
        ReadRefused::FencedEpoch { .. } => ErrorCode::FencedLeaderEpoch,
        ReadRefused::UnknownEpoch { .. } => ErrorCode::UnknownLeaderEpoch,
        ReadRefused::OutOfRange { .. } => ErrorCode::OffsetOutOfRange,
    }
}

pub fn of_look(error: &LookError) -> ErrorCode {
    match error {
        LookError::Refused(refused) => of_read_refused(refused),
        LookError::NotKnownYet(_) => ErrorCode::OffsetNotAvailable,
        LookError::EpochUndetermined(_) => ErrorCode::OffsetOutOfRange,
        LookError::Read(ReadError::OutOfRange { .. }) => ErrorCode::OffsetOutOfRange,
        // A consumer tells its application, and does not ask for the same bytes for ever.
        LookError::Read(
            ReadError::Damaged { .. }
            | ReadError::Misplaced { .. }
            | ReadError::Short { .. }
            | ReadError::Altered { .. }
            | ReadError::Astray { .. }
            | ReadError::Replaced { .. },
        ) => ErrorCode::CorruptMessage,
        LookError::Read(ReadError::Disk(_)) | LookError::NotResident(_) => ErrorCode::KafkaStorageError,
        LookError::Lookup(
            LookupError::Disk(_)
            | LookupError::Damaged { .. }
            | LookupError::Records { .. }
            | LookupError::Replaced { .. },
        ) => ErrorCode::KafkaStorageError,
    }
}
