//! One partition's log on disk, in Kafka's files and bytes.
//!
//! Owns: segments, indexes, producer state, checkpoints, recovery, retention, compaction, data directories.
//! Does not own: replicas, requests, threads.

mod checkpoint;
mod clean_shutdown;
mod compaction;
mod config;
mod epochs;
mod file_cache;
mod index;
pub mod inspect;
mod log;
mod log_dir;
mod meta_properties;
pub mod names;
mod pace;
mod partition_metadata;
mod producers;
mod readers;
mod recovery;
mod scan;
mod seal;
mod segment;
mod small_file;
mod sound;
mod txn_index;

pub use checkpoint::{CheckpointError, PartitionOffsets, no_space, read_offsets, write_offsets};
pub use compaction::{
    CleanedGroup, Compaction, CompactionBounds, CompactionError, CompactionLimits, CompactionScope, Dirt,
    KeyMapLimits, Pace, SwapJob,
};
pub use config::{CleanupPolicy, Durability, LogConfig};
pub use epochs::{EpochEnd, EpochStart};
pub use file_cache::FileCache;
pub use log::{
    AppendError, Appended, CheckpointedAt, Closed, DeletedLog, FlushJob, FollowerAppend, FoundTimestamp,
    KeptLog, LeaderAppend, LeaderAppended, Log, LogPlace, LogRead, LogSlice, LookupError, ReadError,
    ReadLimits, ReadPlan, RemovedFiles, ReserveJob, RestingLog, Retention, TimestampSearch,
};
pub use log_dir::{FoundLog, LogDir, LogDirError, LogDirListing, LogOptions, choose_log_dir};
pub use meta_properties::{ForeignDirectory, MetaProperties, MetaPropertiesError};
pub use pace::{CHECKPOINT_AFTER, CHECKPOINT_BYTES_MAX, CheckpointPace, Removal, Removals};
pub use partition_metadata::PartitionMetadataError;
pub use producers::{
    AppendedBatch, BATCHES_MAX, CompletedTransaction, Origin, ProducerBatch, ProducerEntry, ProducerError,
    SnapshotError, TransactionEnd, VerificationRequest,
};
pub use recovery::{BadBatch, Cut, Known, OpenError, Report};
pub use seal::SealJob;
pub use small_file::{read as read_small_file, replace as replace_small_file};
pub use txn_index::AbortedTransaction;
