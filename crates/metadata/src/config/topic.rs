//! The settings of one topic as types.
//!
//! Owns: `TopicConfig`, effective: overrides of the topic over what the broker says.
//! Does not own: rules on overrides (`alter`), keys that have no effect yet.
//!
//! Source: the key's own entry names what each field means; a field is named after its key, with the unit last.

use super::layers::topic_value;
use super::{AckDurability, ConfigError, Layers, Settings, Value};

/// One topic's settings. Made again whenever its overrides or the broker's settings change.
#[derive(Clone, Debug, PartialEq)]
pub struct TopicConfig {
    pub cleanup: CleanupPolicy,
    pub compression: TopicCompression,
    pub compression_gzip_level: i32,
    pub compression_lz4_level: i32,
    pub compression_zstd_level: i32,
    pub delete_retention_ms: i64,
    pub file_delete_delay_ms: i64,
    /// `flush.messages`; `None`: never by count.
    pub flush_messages: Option<u64>,
    /// `flush.ms`; `None`: never by time.
    pub flush_ms: Option<i64>,
    pub index_interval_bytes: u32,
    pub max_compaction_lag_ms: i64,
    pub max_message_bytes: u32,
    pub timestamp_type: TimestampType,
    pub timestamp_after_max_ms: i64,
    pub timestamp_before_max_ms: i64,
    pub min_cleanable_dirty_ratio: f64,
    pub min_compaction_lag_ms: i64,
    pub min_in_sync: u32,
    pub preallocate: bool,
    /// `None`: no limit.
    pub retention_bytes: Option<u64>,
    /// `None`: for ever.
    pub retention_ms: Option<i64>,
    /// `internal.segment.bytes` where it is set, as Kafka's tests do.
    pub segment_bytes: u32,
    pub segment_index_bytes: u32,
    pub segment_jitter_ms: i64,
    pub segment_ms: i64,
    pub unclean_leader_election: bool,
    pub ack_durability: AckDurability,
    pub record_validation: RecordValidation,
}

/// What becomes of old segments. Neither: nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CleanupPolicy {
    pub delete: bool,
    pub compact: bool,
}

/// In which codec batches are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TopicCompression {
    /// The one the producer chose.
    Producer,
    Uncompressed,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

/// Whose time a record carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimestampType {
    CreateTime,
    LogAppendTime,
}

/// How much of a batch is checked (`ottla.record.validation`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordValidation {
    /// Every record, as in Kafka.
    Full,
    /// The header of the batch and its checksum.
    Header,
}

/// Reads the effective values of one topic. Asking for a key as another type than it is declared with is a mistake
/// in this file, which its test finds.
#[derive(Clone, Copy)]
struct TopicReader<'a> {
    layers: &'a Layers,
    overrides: &'a Settings,
}

impl TopicReader<'_> {
    fn value(&self, name: &str) -> Result<Option<Value>, ConfigError> {
        topic_value(self.layers, self.overrides, name)
    }

    fn long(&self, name: &str) -> Result<i64, ConfigError> {
        let number = self.value(name)?.and_then(|value| value.as_integer());
        Ok(number.unwrap_or_else(|| panic!("{name} is not a number")))
    }

    fn level(&self, name: &str) -> Result<i32, ConfigError> {
        Ok(i32::try_from(self.long(name)?).unwrap_or(0))
    }

    /// A size or count that the key's check keeps at or above 0.
    fn count(&self, name: &str) -> Result<u32, ConfigError> {
        Ok(u32::try_from(self.long(name)?).unwrap_or(0))
    }

    /// A count or time where the largest number means "never".
    fn unless_max(&self, name: &str) -> Result<Option<i64>, ConfigError> {
        Ok(Some(self.long(name)?).filter(|number| *number < i64::MAX))
    }

    fn boolean(&self, name: &str) -> Result<bool, ConfigError> {
        match self.value(name)? {
            Some(Value::Boolean(value)) => Ok(value),
            _ => panic!("{name} is not a BOOLEAN"),
        }
    }

    fn double(&self, name: &str) -> Result<f64, ConfigError> {
        match self.value(name)? {
            Some(Value::Double(value)) => Ok(value),
            _ => panic!("{name} is not a DOUBLE"),
        }
    }

    fn text(&self, name: &str) -> Result<String, ConfigError> {
        Ok(self.value(name)?.map(|value| value.to_string()).unwrap_or_default())
    }

    fn cleanup(&self) -> Result<CleanupPolicy, ConfigError> {
        let value = self.value("cleanup.policy")?;
        let has =
            |policy: &str| value.as_ref().is_some_and(|it| it.items().iter().any(|item| item == policy));
        Ok(CleanupPolicy { delete: has("delete"), compact: has("compact") })
    }

    fn compression(&self) -> Result<TopicCompression, ConfigError> {
        Ok(match self.text("compression.type")?.as_str() {
            "uncompressed" => TopicCompression::Uncompressed,
            "gzip" => TopicCompression::Gzip,
            "snappy" => TopicCompression::Snappy,
            "lz4" => TopicCompression::Lz4,
            "zstd" => TopicCompression::Zstd,
            _ => TopicCompression::Producer,
        })
    }

    fn segment_bytes(&self) -> Result<u32, ConfigError> {
        match self.value("internal.segment.bytes")?.and_then(|value| value.as_integer()) {
            Some(bytes) => Ok(u32::try_from(bytes).unwrap_or(0)),
            None => self.count("segment.bytes"),
        }
    }
}

impl TopicConfig {
    /// The effective settings of a topic with these overrides on a node with these layers.
    pub fn resolve(layers: &Layers, overrides: &Settings) -> Result<TopicConfig, ConfigError> {
        let reader = TopicReader { layers, overrides };
        let log_append_time = reader.text("message.timestamp.type")? == "LogAppendTime";
        let header_only = reader.text("ottla.record.validation")? == "header";
        Ok(TopicConfig {
            cleanup: reader.cleanup()?,
            compression: reader.compression()?,
            compression_gzip_level: reader.level("compression.gzip.level")?,
            compression_lz4_level: reader.level("compression.lz4.level")?,
            compression_zstd_level: reader.level("compression.zstd.level")?,
            delete_retention_ms: reader.long("delete.retention.ms")?,
            file_delete_delay_ms: reader.long("file.delete.delay.ms")?,
            flush_messages: reader.unless_max("flush.messages")?.and_then(|count| u64::try_from(count).ok()),
            flush_ms: reader.unless_max("flush.ms")?,
            index_interval_bytes: reader.count("index.interval.bytes")?,
            max_compaction_lag_ms: reader.long("max.compaction.lag.ms")?,
            max_message_bytes: reader.count("max.message.bytes")?,
            timestamp_type: if log_append_time {
                TimestampType::LogAppendTime
            } else {
                TimestampType::CreateTime
            },
            timestamp_after_max_ms: reader.long("message.timestamp.after.max.ms")?,
            timestamp_before_max_ms: reader.long("message.timestamp.before.max.ms")?,
            min_cleanable_dirty_ratio: reader.double("min.cleanable.dirty.ratio")?,
            min_compaction_lag_ms: reader.long("min.compaction.lag.ms")?,
            min_in_sync: reader.count("min.insync.replicas")?,
            preallocate: reader.boolean("preallocate")?,
            retention_bytes: u64::try_from(reader.long("retention.bytes")?).ok(),
            retention_ms: Some(reader.long("retention.ms")?).filter(|age| *age >= 0),
            segment_bytes: reader.segment_bytes()?,
            segment_index_bytes: reader.count("segment.index.bytes")?,
            segment_jitter_ms: reader.long("segment.jitter.ms")?,
            segment_ms: reader.long("segment.ms")?,
            unclean_leader_election: reader.boolean("unclean.leader.election.enable")?,
            ack_durability: AckDurability::from_text(&reader.text("ottla.ack.durability")?),
            record_validation: if header_only { RecordValidation::Header } else { RecordValidation::Full },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> Settings {
        let pairs = text.split_whitespace().filter_map(|pair| pair.split_once('='));
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    fn resolve(broker: &str, topic: &str) -> TopicConfig {
        TopicConfig::resolve(&Layers::new(settings(broker)), &settings(topic)).unwrap()
    }

    #[test]
    fn a_topic_without_overrides_has_kafka_s_defaults() {
        let config = resolve("", "");
        assert_eq!(config.cleanup, CleanupPolicy { delete: true, compact: false });
        assert_eq!((config.retention_ms, config.retention_bytes), (Some(604_800_000), None));
        assert_eq!((config.flush_messages, config.flush_ms), (None, None));
        assert_eq!((config.segment_bytes, config.max_message_bytes), (1_073_741_824, 1_048_588));
        assert_eq!(config.ack_durability, AckDurability::Flushed);
        assert_eq!(config.record_validation, RecordValidation::Full);
    }

    /// LOG-06: durability per broker and per topic.
    #[test]
    fn an_override_wins_over_the_broker_and_the_broker_over_the_default() {
        let lazy = "ottla.ack.durability=page-cache";
        assert_eq!(resolve(lazy, "").ack_durability, AckDurability::PageCache);
        assert_eq!(resolve(lazy, "ottla.ack.durability=flushed").ack_durability, AckDurability::Flushed);
        assert_eq!(resolve("message.max.bytes=7", "").max_message_bytes, 7);
        assert_eq!(resolve("message.max.bytes=7", "max.message.bytes=8").max_message_bytes, 8);
        assert_eq!(resolve("log.retention.minutes=2", "").retention_ms, Some(120_000));
        assert_eq!(resolve("log.retention.minutes=2", "retention.ms=-1").retention_ms, None);
        assert_eq!(resolve("", "internal.segment.bytes=100").segment_bytes, 100);
        assert_eq!(resolve("", "cleanup.policy=").cleanup, CleanupPolicy { delete: false, compact: false });
    }
}
