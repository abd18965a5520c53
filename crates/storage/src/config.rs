//! What a topic's configuration says about its logs.
//!
//! Owns: the plain values a log works with, with Kafka's defaults.
//! Does not own: names, parsing and defaults of configuration keys (`metadata`); limits on records (`protocol`).
//!
//! Source: Kafka's topic configuration reference; requirements LOG-01, LOG-02, LOG-05, LOG-06.

/// Settings of one log. A field is named after its topic key, with the unit last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// `segment.bytes`: size at which the active segment is closed.
    pub segment_bytes: u32,
    /// `segment.ms`: age of its first record at which the active segment is closed.
    pub segment_ms: i64,
    /// `segment.jitter.ms`: how much earlier at most, so that not all segments roll at once.
    pub segment_jitter_ms: i64,
    /// `segment.index.bytes`: size at which an index is full.
    pub segment_index_bytes: u32,
    /// `index.interval.bytes`: bytes of batches between two index entries.
    pub index_interval_bytes: u32,
    /// `cleanup.policy`.
    pub cleanup: CleanupPolicy,
    /// `retention.ms`; `None` stands for −1: no limit.
    pub retention_ms: Option<i64>,
    /// `retention.bytes`; `None` stands for −1: no limit.
    pub retention_bytes: Option<u64>,
    /// `file.delete.delay.ms`: how long a removed file is kept.
    pub file_delete_delay_ms: i64,
    /// `flush.messages`: unflushed records at which a flush is asked for; `None` means never.
    pub flush_messages: Option<u64>,
    /// `flush.ms`: age of unflushed records at which a flush is asked for; `None` means never.
    pub flush_ms: Option<i64>,
    /// `preallocate`: reserve a segment's whole space when it is begun.
    pub preallocate: bool,
    /// `ottla.ack.durability`.
    pub durability: Durability,
    /// `delete.retention.ms`: how long compaction keeps tombstones.
    pub delete_retention_ms: i64,
    /// `min.compaction.lag.ms`: age below which a record is not compacted.
    pub min_compaction_lag_ms: i64,
    /// `max.compaction.lag.ms`: age above which a record must have been compacted.
    pub max_compaction_lag_ms: i64,
    /// `min.cleanable.dirty.ratio` in thousandths.
    pub min_cleanable_dirty_per_mille: u16,
}

/// What may be removed from a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CleanupPolicy {
    /// Old segments are deleted, by time and size.
    pub delete: bool,
    /// Only the last record of each key is kept.
    pub compact: bool,
}

/// When an `acks=all` append counts as kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// When it lies on stable storage.
    Flushed,
    /// When it lies in the page cache, as in Kafka.
    PageCache,
}

impl Default for LogConfig {
    /// Kafka's defaults; durability is ours.
    fn default() -> LogConfig {
        LogConfig {
            segment_bytes: 1024 * 1024 * 1024,
            segment_ms: 7 * 24 * 60 * 60 * 1000,
            segment_jitter_ms: 0,
            segment_index_bytes: 10 * 1024 * 1024,
            index_interval_bytes: 4096,
            cleanup: CleanupPolicy { delete: true, compact: false },
            retention_ms: Some(7 * 24 * 60 * 60 * 1000),
            retention_bytes: None,
            file_delete_delay_ms: 60_000,
            flush_messages: None,
            flush_ms: None,
            preallocate: false,
            durability: Durability::Flushed,
            delete_retention_ms: 24 * 60 * 60 * 1000,
            min_compaction_lag_ms: 0,
            max_compaction_lag_ms: i64::MAX,
            min_cleanable_dirty_per_mille: 500,
        }
    }
}
