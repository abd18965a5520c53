//! Broker keys of topics and their logs.
//!
//! Owns: one entry per key; `key` explains the form. Does not own: what the values do.
//!
//! Source: broker settings of Kafka 4.3.1; doc sentences are our own.

use crate::config::Check::{Any, AtLeast, Between, Fraction, GzipLevel, List, ListOf, OneOf};
use crate::config::Emptiness::{MayBeEmpty, NotEmpty};
use crate::config::key::keys;

keys! {
    /// Broker keys of topics and their logs.
    LOG:

    /// Class that may veto changes of configs; a Java class cannot run in this process.
    "alter.config.policy.class.name": Class null, Any, ReadOnly, Low, Refused;
    /// Whether a topic that a client asks for by name comes into being.
    "auto.create.topics.enable": Boolean = "true", Any, ReadOnly, High, Live;
    /// Level of gzip where the broker compresses again.
    "compression.gzip.level": Int = "-1", GzipLevel, ClusterWide, Medium, Live;
    /// Level of lz4 where the broker compresses again.
    "compression.lz4.level": Int = "9", Between(1, 17), ClusterWide, Medium, Live;
    /// Codec in which batches are stored; `producer` keeps what the producer chose.
    "compression.type": String = "producer", OneOf(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]), ClusterWide, High, Live;
    /// Level of zstd where the broker compresses again.
    "compression.zstd.level": Int = "3", Between(-131072, 22), ClusterWide, Medium, Live;
    /// Log directories that get no new partitions; `*` means all.
    "cordoned.log.dirs": List = "", List(MayBeEmpty), PerBroker, Medium, Live;
    /// Class that may veto new topics; a Java class cannot run in this process.
    "create.topic.policy.class.name": Class null, Any, ReadOnly, Low, Refused;
    /// Whether clients may delete topics.
    "delete.topic.enable": Boolean = "true", Any, ReadOnly, High, Live;
    /// Pause of a cleaner that found nothing to compact.
    "log.cleaner.backoff.ms": Long = "15000", AtLeast(0), ClusterWide, Medium, Live;
    /// Memory of all cleaners for the map of keys.
    "log.cleaner.dedupe.buffer.size": Long = "134217728", Any, ClusterWide, Medium, Live;
    /// Time a tombstone or transaction marker survives compaction.
    "log.cleaner.delete.retention.ms": Long = "86400000", AtLeast(0), ClusterWide, Medium, Live;
    /// Had compaction switched off once; it always runs.
    "log.cleaner.enable": Boolean = "true", Any, ReadOnly, Medium, Moot;
    /// How full the map of keys may become.
    "log.cleaner.io.buffer.load.factor": Double = "0.9", Any, ClusterWide, Medium, Live;
    /// Memory of all cleaners for reading and writing.
    "log.cleaner.io.buffer.size": Int = "524288", AtLeast(0), ClusterWide, Medium, Live;
    /// Most bytes the cleaners read and write per second, together.
    "log.cleaner.io.max.bytes.per.second": Double = "1.7976931348623157E308", Any, ClusterWide, Medium, Live;
    /// Longest time a record may stay out of compaction.
    "log.cleaner.max.compaction.lag.ms": Long = "9223372036854775807", AtLeast(1), ClusterWide, Medium, Live;
    /// Share of a log that must be dirty before it is compacted.
    "log.cleaner.min.cleanable.ratio": Double = "0.5", Fraction(1.0), ClusterWide, Medium, Live;
    /// Least time a record stays as it is before it may be compacted.
    "log.cleaner.min.compaction.lag.ms": Long = "0", AtLeast(0), ClusterWide, Medium, Live;
    /// Cleaners that work side by side; here one compacts all logs.
    "log.cleaner.threads": Int = "1", AtLeast(0), ClusterWide, Medium, Moot;
    /// What becomes of old segments: `delete`, `compact`, both or nothing.
    "log.cleanup.policy": List = "delete", ListOf(&["compact", "delete"], MayBeEmpty), ClusterWide, Medium, Live;
    /// Data directory where `log.dirs` is unset.
    "log.dir": List = "/tmp/kafka-logs", List(NotEmpty), ReadOnly, High, Live;
    /// Time a broker has to tell the controller of a failed directory that led partitions.
    "log.dir.failure.timeout.ms": Long = "30000", AtLeast(1), ReadOnly, Low, Live;
    /// Data directories, separated by commas.
    "log.dirs": List null, List(NotEmpty), ReadOnly, High, Live;
    /// Records in a log after which it is flushed, with or without `acks=all`.
    "log.flush.interval.messages": Long = "9223372036854775807", AtLeast(1), ClusterWide, High, Live;
    /// Time after which a log with new records is flushed; `log.flush.scheduler.interval.ms` when unset.
    "log.flush.interval.ms": Long null, Any, ClusterWide, High, Live <- ["log.flush.interval.ms", "log.flush.scheduler.interval.ms"];
    /// Time between two writes of the recovery points.
    "log.flush.offset.checkpoint.interval.ms": Int = "60000", AtLeast(0), ReadOnly, High, Live;
    /// Time between two looks for logs that are due for a flush.
    "log.flush.scheduler.interval.ms": Long = "9223372036854775807", Any, ReadOnly, High, Live;
    /// Time between two writes of the log start offsets.
    "log.flush.start.offset.checkpoint.interval.ms": Int = "60000", AtLeast(0), ReadOnly, High, Live;
    /// Bytes of records between two entries of the offset index.
    "log.index.interval.bytes": Int = "4096", AtLeast(0), ClusterWide, Medium, Live;
    /// Largest size of one index file; a full index closes its segment.
    "log.index.size.max.bytes": Int = "10485760", AtLeast(4), ClusterWide, Medium, Live;
    /// Delay of the first run of retention and checkpoints after the start.
    "log.initial.task.delay.ms": Long = "30000", AtLeast(0), ReadOnly, Low, Live, unlisted;
    /// How far a record's time may lie ahead of the broker's clock.
    "log.message.timestamp.after.max.ms": Long = "3600000", AtLeast(0), ClusterWide, Medium, Live;
    /// How far a record's time may lie behind the broker's clock.
    "log.message.timestamp.before.max.ms": Long = "9223372036854775807", AtLeast(0), ClusterWide, Medium, Live;
    /// Whose time a record carries: the producer's (`CreateTime`) or the broker's (`LogAppendTime`).
    "log.message.timestamp.type": String = "CreateTime", OneOf(&["CreateTime", "LogAppendTime"]), ClusterWide, Medium, Live;
    /// Whether a new segment reserves its full size on disk.
    "log.preallocate": Boolean = "false", Any, ClusterWide, Medium, Live;
    /// Size of one partition above which its oldest segments are deleted; -1 sets no limit.
    "log.retention.bytes": Long = "-1", Any, ClusterWide, High, Live;
    /// Time between two searches for segments to delete.
    "log.retention.check.interval.ms": Long = "300000", AtLeast(1), ReadOnly, Medium, Live;
    /// Age in hours at which segments are deleted, where neither minutes nor milliseconds are set.
    "log.retention.hours": Int = "168", Any, ReadOnly, High, Live <- ["log.retention.ms", "log.retention.minutes", "log.retention.hours"];
    /// Age in minutes at which segments are deleted, where milliseconds are unset.
    "log.retention.minutes": Int null, Any, ReadOnly, High, Live <- ["log.retention.ms", "log.retention.minutes", "log.retention.hours"];
    /// Age in milliseconds at which segments are deleted; -1 keeps them for ever.
    "log.retention.ms": Long null, Any, ClusterWide, High, Live <- ["log.retention.ms", "log.retention.minutes", "log.retention.hours"];
    /// Age in hours at which the active segment is closed, where milliseconds are unset.
    "log.roll.hours": Int = "168", AtLeast(1), ReadOnly, High, Live <- ["log.roll.ms", "log.roll.hours"];
    /// Largest random number of hours taken off `log.roll.hours`.
    "log.roll.jitter.hours": Int = "0", AtLeast(0), ReadOnly, High, Live <- ["log.roll.jitter.ms", "log.roll.jitter.hours"];
    /// Largest random number of milliseconds taken off `log.roll.ms`.
    "log.roll.jitter.ms": Long null, Any, ClusterWide, High, Live <- ["log.roll.jitter.ms", "log.roll.jitter.hours"];
    /// Age in milliseconds at which the active segment is closed.
    "log.roll.ms": Long null, Any, ClusterWide, High, Live <- ["log.roll.ms", "log.roll.hours"];
    /// Size at which the active segment is closed and a new one begun.
    "log.segment.bytes": Int = "1073741824", AtLeast(1048576), ClusterWide, High, Live;
    /// Time between the removal of a segment from the log and of its files from the disk.
    "log.segment.delete.delay.ms": Long = "60000", AtLeast(0), ClusterWide, High, Live;
    /// Largest record batch the broker takes.
    "message.max.bytes": Int = "1048588", AtLeast(0), ClusterWide, High, Live;
    /// Partitions of a topic that is created without a count.
    "num.partitions": Int = "1", AtLeast(1), ReadOnly, Medium, Live;
    /// Threads per data directory that load logs at the start.
    "num.recovery.threads.per.data.dir": Int = "2", AtLeast(1), ClusterWide, High, Live;
    /// Time between two searches for idle producers.
    "producer.id.expiration.check.interval.ms": Int = "600000", AtLeast(1), ReadOnly, Low, Live, unlisted;
    /// Time after which a partition forgets an idle producer.
    "producer.id.expiration.ms": Int = "86400000", AtLeast(1), ClusterWide, Low, Live;

    /// What `acks=all` waits for: stable storage (`flushed`) or, as in Kafka, the memory of all in-sync
    /// replicas (`page-cache`). Topics may differ.
    "ottla.ack.durability": String = "flushed", OneOf(&["flushed", "page-cache"]), ReadOnly, High, Live, unlisted;
}
