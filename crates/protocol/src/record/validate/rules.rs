//! What a leader asks of the batch that a client sends, and what it answers.
//!
//! Owns: `AppendRules` in, `Validated` or `Refusal` out, the wording that clients see.
//! Does not own: the checks (`validate`), the wire code of each refusal (`server`).
//!
//! Wire codes that Kafka 4.3.1 gives are named at each variant of `Refusal`; observed, not read.
//!
//! Source: requirements PRD-05 to PRD-17; behaviour of Apache Kafka 4.3.1.

use ottla_model::{Timestamp, TopicPartition};

use super::scan::ScanError;
use crate::compression::{Compression, CompressionError, Encoding, UnknownCodec, UnpackLimits};
use crate::record::batch::BatchError;
use crate::record::builder::BATCH_BYTES_MAX;
use crate::record::layout::{BatchHeader, TimestampType};
use crate::record::records::RecordError;

/// Most record errors that a refusal lists. Kafka lists all; a hostile batch can have one per few bytes, and each
/// costs a line of text.
pub const RECORD_ERRORS_MAX: usize = 1000;

/// `compression.type` of a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TopicCompression {
    /// Keep what the producer chose.
    Producer,
    /// Bring every batch to this codec.
    Fixed(Encoding),
}

impl TopicCompression {
    /// How a batch that came with `codec` must lie in the log.
    pub(super) fn target(self, codec: Compression) -> Encoding {
        match self {
            TopicCompression::Producer => Encoding::with_default_level(codec),
            TopicCompression::Fixed(encoding) => encoding,
        }
    }
}

/// How far the records themselves are checked (`ottla.record.validation`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValidationDepth {
    /// Every record, inside compressed batches too, as Kafka does.
    Full,
    /// The header and its checksum; records only where something else needs them (compacted topics, a change of
    /// codec).
    Header,
}

/// The topic's rules for what is appended to one of its partitions.
#[derive(Clone, Debug)]
pub struct AppendRules {
    pub compression: TopicCompression,
    pub timestamp_type: TimestampType,
    /// `message.timestamp.before.max.ms`, ≥ 0.
    pub timestamp_before_ms_max: i64,
    /// `message.timestamp.after.max.ms`, ≥ 0.
    pub timestamp_after_ms_max: i64,
    /// Whether `cleanup.policy` contains `compact`.
    pub compacted: bool,
    /// `max.message.bytes`, of a whole batch.
    pub batch_bytes_max: usize,
    pub depth: ValidationDepth,
    /// What unpacking one batch may cost.
    pub unpack: UnpackLimits,
}

/// Least bytes that a compressed batch may unpack to, however small `max.message.bytes` is.
const UNPACKED_BYTES_FLOOR: u64 = 64 * 1024 * 1024;
/// A compressed batch may unpack to this many times `max.message.bytes` (TRAP-38).
const UNPACKED_FACTOR: u64 = 64;

/// The limit that Ottla uses for batches of a topic with this `max.message.bytes`. Kafka has none: unpacking streams
/// there too, so what it bounds is time, not memory.
pub fn unpack_limits(batch_bytes_max: usize) -> UnpackLimits {
    let scaled =
        u64::try_from(batch_bytes_max.min(BATCH_BYTES_MAX)).unwrap_or(0).saturating_mul(UNPACKED_FACTOR);
    UnpackLimits::bytes(scaled.max(UNPACKED_BYTES_FLOOR))
}

/// The request that brought a batch.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    /// Named in the errors that clients see.
    pub partition: &'a TopicPartition,
    /// Version of the Produce request.
    pub version: i16,
    /// The leader's clock.
    pub now: Timestamp,
}

/// A batch that may be appended, once the leader has stamped base offset and epoch.
#[derive(Debug)]
pub struct Validated<'a> {
    /// The header of `bytes`. Range and count agree, are positive, and match the records.
    pub header: BatchHeader,
    pub bytes: ValidBytes<'a>,
    /// What the answer says as `log_append_time`, where the topic's timestamps are the leader's.
    pub log_append_time: Option<Timestamp>,
    /// Offset delta of the first record that has the largest timestamp; `None` where records were not looked at.
    pub max_timestamp_delta: Option<u32>,
}

/// The bytes to append.
#[derive(Debug)]
pub enum ValidBytes<'a> {
    /// The client's own; at most flags, timestamp and checksum of the header were changed.
    AsSent(&'a mut [u8]),
    /// Written anew: another codec, or offset deltas that were not 0, 1, ….
    Rebuilt(Vec<u8>),
}

impl ValidBytes<'_> {
    /// The batch, to be stamped.
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        match self {
            ValidBytes::AsSent(bytes) => bytes,
            ValidBytes::Rebuilt(bytes) => bytes,
        }
    }
}

/// Why one record of a batch was refused. Clients show the message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordRefusal {
    /// Position of the record in its batch, from 0.
    pub batch_index: i32,
    pub message: String,
}

impl std::fmt::Display for RecordRefusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RecordError(batchIndex={}, message='{}')", self.batch_index, self.message)
    }
}

/// What is wrong with the records of a `Refusal::Records`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordsFault {
    /// At least one timestamp. It wins over the other (PRD-14). INVALID_TIMESTAMP.
    Timestamp,
    /// Keys only. INVALID_RECORD.
    Record,
}

/// Why a batch is not appended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// INVALID_RECORD.
    #[error("the records hold no whole batch")]
    NoBatch,
    /// INVALID_RECORD.
    #[error("batches of magic {got} are no longer taken from clients")]
    Magic { got: u8 },
    /// INVALID_RECORD.
    #[error("more than one batch for one partition")]
    SeveralBatches,
    /// UNSUPPORTED_COMPRESSION_TYPE.
    #[error("zstd in a produce request of version {version}; it begins with version 7")]
    ZstdTooEarly { version: i16 },
    /// CORRUPT_MESSAGE. Where magic or length are at fault, Kafka fails every partition of the request.
    #[error("the batch is corrupt: {0}")]
    Corrupt(BatchError),
    /// INVALID_RECORD.
    #[error("base offset {got} of a client's batch is not 0")]
    BaseOffset { got: i64 },
    /// MESSAGE_TOO_LARGE.
    #[error("a batch of {size} bytes is larger than the allowed {max}")]
    TooLarge { size: usize, max: usize },
    /// UNKNOWN_SERVER_ERROR.
    #[error(transparent)]
    Codec(#[from] UnknownCodec),
    /// INVALID_RECORD.
    #[error(
        "last offset delta {last_offset_delta} and record count {record_count} do not agree or are not positive"
    )]
    Count { last_offset_delta: i32, record_count: i32 },
    /// INVALID_RECORD.
    #[error("a client may not write control records")]
    Control,
    /// INVALID_RECORD.
    #[error("a batch with a producer id has no sequence")]
    NoSequence,
    /// INVALID_RECORD.
    #[error("the records are malformed: {0}")]
    Malformed(RecordError),
    /// UNKNOWN_SERVER_ERROR, as for every failure of a codec in Kafka.
    #[error(transparent)]
    Compression(CompressionError),
    /// Code by `fault`; the message is that of the partition, the errors are those of its records (PRD-14).
    #[error("{message}")]
    Records { fault: RecordsFault, errors: Vec<RecordRefusal>, message: String },
}

impl Refusal {
    /// Whether the answer names the log's start offset (else −1): Kafka knows it once it has asked the log (PRD-18).
    pub fn tells_log_start(&self) -> bool {
        match self {
            Refusal::NoBatch
            | Refusal::Magic { .. }
            | Refusal::SeveralBatches
            | Refusal::ZstdTooEarly { .. }
            | Refusal::Corrupt(_)
            | Refusal::TooLarge { .. } => false,
            Refusal::BaseOffset { .. }
            | Refusal::Codec(_)
            | Refusal::Count { .. }
            | Refusal::Control
            | Refusal::NoSequence
            | Refusal::Malformed(_)
            | Refusal::Compression(_)
            | Refusal::Records { .. } => true,
        }
    }
}

impl From<ScanError> for Refusal {
    fn from(error: ScanError) -> Refusal {
        match error {
            ScanError::Record(error) => Refusal::Malformed(error),
            ScanError::Compression(error) => Refusal::Compression(error),
        }
    }
}
