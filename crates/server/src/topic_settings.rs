//! A topic's settings in the terms of those who work with them.
//!
//! Owns: the translation of a topic's configuration for log, replica machine and record checks.
//! Does not own: keys, defaults and inheritance (`metadata::config`).

use std::sync::Arc;
use std::time::Duration;

use ottla_metadata::config::{
    AckDurability, ConfigError, Layers, RecordValidation, Settings, TimestampType, TopicCompression,
    TopicConfig,
};
use ottla_protocol::compression::{Encoding, GzipLevel, Lz4Level, ZstdLevel};
use ottla_protocol::record::{self, AppendRules, ValidationDepth, unpack_limits};
use ottla_replication::ReplicationConfig;
use ottla_storage::{CleanupPolicy, Durability, LogConfig};

/// What the partitions of a topic are run by.
#[derive(Clone, Debug)]
pub struct TopicSettings {
    pub log: Arc<LogConfig>,
    pub replication: ReplicationConfig,
    /// What is asked of records.
    pub rules: AppendRules,
}

impl TopicSettings {
    /// The settings of a topic with these overrides, on a broker with these layers.
    pub fn resolve(
        layers: &Layers,
        overrides: &Settings,
        lag_max: Duration,
    ) -> Result<TopicSettings, ConfigError> {
        let config = TopicConfig::resolve(layers, overrides)?;
        let durability = match config.ack_durability {
            AckDurability::Flushed => ottla_replication::AckDurability::Flushed,
            AckDurability::PageCache => ottla_replication::AckDurability::PageCache,
        };
        let replication = ReplicationConfig { durability, in_sync_min: config.min_in_sync, lag_max };
        Ok(TopicSettings { log: Arc::new(log_config(&config)), replication, rules: rules(&config) })
    }
}

fn rules(config: &TopicConfig) -> AppendRules {
    let batch_bytes_max = usize::try_from(config.max_message_bytes).unwrap_or(usize::MAX);
    AppendRules {
        compression: compression(config),
        timestamp_type: match config.timestamp_type {
            TimestampType::CreateTime => record::TimestampType::CreateTime,
            TimestampType::LogAppendTime => record::TimestampType::LogAppendTime,
        },
        timestamp_before_ms_max: config.timestamp_before_max_ms,
        timestamp_after_ms_max: config.timestamp_after_max_ms,
        compacted: config.cleanup.compact,
        batch_bytes_max,
        depth: match config.record_validation {
            RecordValidation::Full => ValidationDepth::Full,
            RecordValidation::Header => ValidationDepth::Header,
        },
        unpack: unpack_limits(batch_bytes_max),
    }
}

fn compression(config: &TopicConfig) -> record::TopicCompression {
    let fixed = record::TopicCompression::Fixed;
    match config.compression {
        TopicCompression::Producer => record::TopicCompression::Producer,
        TopicCompression::Uncompressed => fixed(Encoding::None),
        TopicCompression::Gzip => {
            fixed(Encoding::Gzip(GzipLevel::new(config.compression_gzip_level).unwrap_or_default()))
        }
        TopicCompression::Snappy => fixed(Encoding::Snappy),
        TopicCompression::Lz4 => {
            fixed(Encoding::Lz4(Lz4Level::new(config.compression_lz4_level).unwrap_or_default()))
        }
        TopicCompression::Zstd => {
            fixed(Encoding::Zstd(ZstdLevel::new(config.compression_zstd_level).unwrap_or_default()))
        }
    }
}

fn log_config(config: &TopicConfig) -> LogConfig {
    LogConfig {
        segment_bytes: config.segment_bytes,
        // What must be compacted by then must be closed by then.
        segment_ms: match config.cleanup.compact {
            true => config.segment_ms.min(config.max_compaction_lag_ms),
            false => config.segment_ms,
        },
        segment_jitter_ms: config.segment_jitter_ms,
        segment_index_bytes: config.segment_index_bytes,
        index_interval_bytes: config.index_interval_bytes,
        cleanup: CleanupPolicy { delete: config.cleanup.delete, compact: config.cleanup.compact },
        retention_ms: config.retention_ms,
        retention_bytes: config.retention_bytes,
        file_delete_delay_ms: config.file_delete_delay_ms,
        flush_messages: config.flush_messages,
        flush_ms: config.flush_ms,
        preallocate: config.preallocate,
        durability: match config.ack_durability {
            AckDurability::Flushed => Durability::Flushed,
            AckDurability::PageCache => Durability::PageCache,
        },
        delete_retention_ms: config.delete_retention_ms,
        min_compaction_lag_ms: config.min_compaction_lag_ms,
        max_compaction_lag_ms: config.max_compaction_lag_ms,
        min_cleanable_dirty_per_mille: per_mille(config.min_cleanable_dirty_ratio),
    }
}

/// A ratio between 0 and 1 in thousandths.
fn per_mille(ratio: f64) -> u16 {
    let text = format!("{:.0}", (ratio * 1000.0).clamp(0.0, 1000.0));
    text.parse().unwrap_or(500)
}
