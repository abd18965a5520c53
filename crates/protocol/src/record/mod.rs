//! Record batches: the unit that producers send, logs keep and consumers get, byte for byte.
//!
//! Owns: the formats of batches and records, patches in place, building, what a leader accepts from a client.
//! Does not own: the codecs (`compression`), where batches are kept (`storage`).

mod batch;
mod builder;
mod control;
mod layout;
mod legacy;
mod records;
mod rewrite;
mod validate;
mod varint;

pub use batch::{Batch, BatchError, BatchMut, BatchView, Batches, RecordBuffer};
pub use builder::{
    BATCH_BYTES_MAX, BatchBuilder, BatchOptions, BatchProducer, BuildError, NewRecord, end_transaction_batch,
};
pub use control::{ControlError, ControlKind, EndTransaction};
pub use layout::{
    Attributes, BatchHeader, BatchPrefix, HEADER_BYTES, LOG_OVERHEAD_BYTES, MAGIC, PREFIX_BYTES,
    TimestampType,
};
pub use legacy::{LegacyBatch, LegacyRecords};
pub use records::{Header, Headers, Record, RecordError, RecordIter, RecordPlace, Records};
pub use rewrite::{BatchRewriter, RewriteError, Selected, write_emptied};
pub use validate::{
    AppendRules, Arrival, RECORD_ERRORS_MAX, RecordRefusal, RecordsFault, Refusal, TopicCompression,
    ValidBytes, Validated, ValidationDepth, Validator, fails_request, unpack_limits,
};
