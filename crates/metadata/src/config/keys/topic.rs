//! Keys of topics.
//!
//! Owns: one entry per key; `key` explains the form. Does not own: what the values do.
//!
//! Source: topic settings of Kafka 4.3.1; doc sentences are our own.

use crate::config::Check::{Any, AtLeast, Between, Fraction, GzipLevel, ListOf, OneOf, ThrottledReplicas};
use crate::config::Emptiness::MayBeEmpty;
use crate::config::key::keys;

keys! {
    /// Keys of topics.
    TOPIC:

    /// What becomes of old segments: `delete`, `compact`, both or nothing. Compaction itself comes later.
    "cleanup.policy": List = "delete", ListOf(&["compact", "delete"], MayBeEmpty), Resource, Medium, Live <- ["log.cleanup.policy"];
    /// Level of gzip where the broker compresses again.
    "compression.gzip.level": Int = "-1", GzipLevel, Resource, Medium, Live <- ["compression.gzip.level"];
    /// Level of lz4 where the broker compresses again.
    "compression.lz4.level": Int = "9", Between(1, 17), Resource, Medium, Live <- ["compression.lz4.level"];
    /// Codec in which batches are stored; `producer` keeps what the producer chose.
    "compression.type": String = "producer", OneOf(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]), Resource, Medium, Live <- ["compression.type"];
    /// Level of zstd where the broker compresses again.
    "compression.zstd.level": Int = "3", Between(-131072, 22), Resource, Medium, Live <- ["compression.zstd.level"];
    /// Time a tombstone or transaction marker survives compaction.
    "delete.retention.ms": Long = "86400000", AtLeast(0), Resource, Medium, Live <- ["log.cleaner.delete.retention.ms"];
    /// Time between the removal of a segment from the log and of its files from the disk.
    "file.delete.delay.ms": Long = "60000", AtLeast(0), Resource, Medium, Live <- ["log.segment.delete.delay.ms"];
    /// Records after which the log is flushed, with or without `acks=all`.
    "flush.messages": Long = "9223372036854775807", AtLeast(1), Resource, Medium, Live <- ["log.flush.interval.messages"];
    /// Time after which a log with new records is flushed.
    "flush.ms": Long = "9223372036854775807", AtLeast(0), Resource, Medium, Live <- ["log.flush.interval.ms", "log.flush.scheduler.interval.ms"];
    /// Replicas whose copying is throttled at the follower.
    "follower.replication.throttled.replicas": List = "", ThrottledReplicas, Resource, Medium, Later;
    /// Bytes of records between two entries of the offset index.
    "index.interval.bytes": Int = "4096", AtLeast(0), Resource, Medium, Live <- ["log.index.interval.bytes"];
    /// Segment size for tests, below the ordinary minimum.
    "internal.segment.bytes": Int null, Any, Resource, Medium, Later, unlisted;
    /// Replicas whose copying is throttled at the leader.
    "leader.replication.throttled.replicas": List = "", ThrottledReplicas, Resource, Medium, Later;
    /// Bytes kept on local disk of a tiered partition; -2 takes `retention.bytes`.
    "local.retention.bytes": Long = "-2", AtLeast(-2), Resource, Medium, Later <- ["log.local.retention.bytes"];
    /// Time kept on local disk of a tiered partition; -2 takes `retention.ms`.
    "local.retention.ms": Long = "-2", AtLeast(-2), Resource, Medium, Later <- ["log.local.retention.ms"];
    /// Longest time a record may stay out of compaction.
    "max.compaction.lag.ms": Long = "9223372036854775807", AtLeast(1), Resource, Medium, Live <- ["log.cleaner.max.compaction.lag.ms"];
    /// Largest record batch the topic takes.
    "max.message.bytes": Int = "1048588", AtLeast(0), Resource, Medium, Live <- ["message.max.bytes"];
    /// How far a record's time may lie ahead of the broker's clock.
    "message.timestamp.after.max.ms": Long = "3600000", AtLeast(0), Resource, Medium, Live <- ["log.message.timestamp.after.max.ms"];
    /// How far a record's time may lie behind the broker's clock.
    "message.timestamp.before.max.ms": Long = "9223372036854775807", AtLeast(0), Resource, Medium, Live <- ["log.message.timestamp.before.max.ms"];
    /// Whose time a record carries: the producer's (`CreateTime`) or the broker's (`LogAppendTime`).
    "message.timestamp.type": String = "CreateTime", OneOf(&["CreateTime", "LogAppendTime"]), Resource, Medium, Live <- ["log.message.timestamp.type"];
    /// Share of the log that must be dirty before it is compacted.
    "min.cleanable.dirty.ratio": Double = "0.5", Fraction(1.0), Resource, Medium, Live <- ["log.cleaner.min.cleanable.ratio"];
    /// Least time a record stays as it is before it may be compacted.
    "min.compaction.lag.ms": Long = "0", AtLeast(0), Resource, Medium, Live <- ["log.cleaner.min.compaction.lag.ms"];
    /// Replicas that must be in sync before `acks=all` is accepted.
    "min.insync.replicas": Int = "1", AtLeast(1), Resource, Medium, Live <- ["min.insync.replicas"];
    /// Whether a new segment reserves its full size on disk.
    "preallocate": Boolean = "false", Any, Resource, Medium, Live <- ["log.preallocate"];
    /// Whether a tiered topic stops copying to tiered storage.
    "remote.log.copy.disable": Boolean = "false", Any, Resource, Medium, Later;
    /// Whether tiered data is deleted when tiering is switched off.
    "remote.log.delete.on.disable": Boolean = "false", Any, Resource, Medium, Later;
    /// Whether the topic is tiered.
    "remote.storage.enable": Boolean = "false", Any, Resource, Medium, Later;
    /// Size of one partition above which its oldest segments are deleted; -1 sets no limit.
    "retention.bytes": Long = "-1", Any, Resource, Medium, Live <- ["log.retention.bytes"];
    /// Age at which segments are deleted; -1 keeps them for ever.
    "retention.ms": Long = "604800000", AtLeast(-1), Resource, Medium, Live <- ["log.retention.ms", "log.retention.minutes", "log.retention.hours"];
    /// Size at which the active segment is closed and a new one begun.
    "segment.bytes": Int = "1073741824", AtLeast(1048576), Resource, Medium, Live <- ["log.segment.bytes"];
    /// Largest size of one index file; a full index closes its segment.
    "segment.index.bytes": Int = "10485760", AtLeast(4), Resource, Medium, Live <- ["log.index.size.max.bytes"];
    /// Largest random time taken off `segment.ms`.
    "segment.jitter.ms": Long = "0", AtLeast(0), Resource, Medium, Live <- ["log.roll.jitter.ms", "log.roll.jitter.hours"];
    /// Age at which the active segment is closed.
    "segment.ms": Long = "604800000", AtLeast(1), Resource, Medium, Live <- ["log.roll.ms", "log.roll.hours"];
    /// Whether a replica outside the in-sync set may lead as the last resort.
    "unclean.leader.election.enable": Boolean = "false", Any, Resource, Medium, Later <- ["unclean.leader.election.enable"];

    /// What `acks=all` waits for on this topic: stable storage (`flushed`) or, as in Kafka, the memory of all
    /// in-sync replicas (`page-cache`).
    "ottla.ack.durability": String = "flushed", OneOf(&["flushed", "page-cache"]), Resource, High, Live <- ["ottla.ack.durability"], unlisted;
    /// How much of a batch is checked: every record as in Kafka (`full`), or the batch header only (`header`).
    "ottla.record.validation": String = "full", OneOf(&["full", "header"]), Resource, Medium, Live, unlisted;
}
