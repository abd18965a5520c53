//! Broker keys of tiered storage.
//!
//! Owns: one entry per key; `key` explains the form. Does not own: what the values do.
//!
//! Source: broker settings of Kafka 4.3.1; doc sentences are our own.

use crate::config::Check::{Any, AtLeast, Fraction, NonEmptyText};
use crate::config::key::keys;

keys! {
    /// Broker keys of tiered storage.
    TIERING:

    /// Whether an empty follower starts at the end of tiered storage instead of copying local data.
    "follower.fetch.last.tiered.offset.enable": Boolean = "false", Any, ClusterWide, Medium, Later;
    /// Bytes kept on local disk of a tiered partition; -2 takes `log.retention.bytes`.
    "log.local.retention.bytes": Long = "-2", AtLeast(-2), ClusterWide, Medium, Later;
    /// Time kept on local disk of a tiered partition; -2 takes `log.retention.ms`.
    "log.local.retention.ms": Long = "-2", AtLeast(-2), ClusterWide, Medium, Later;
    /// Longest wait for tiered data in one fetch.
    "remote.fetch.max.wait.ms": Int = "500", AtLeast(1), ClusterWide, Medium, Later;
    /// Longest wait for a ListOffsets that reads tiered data.
    "remote.list.offsets.request.timeout.ms": Long = "30000", AtLeast(1), ClusterWide, Medium, Later;
    /// Space on local disk for indexes of tiered segments.
    "remote.log.index.file.cache.total.size.bytes": Long = "1073741824", AtLeast(1), ClusterWide, Low, Later;
    /// Time an unused index of a tiered segment stays on local disk.
    "remote.log.index.file.cache.ttl.ms": Long = "900000", AtLeast(-1), ReadOnly, Low, Later, unlisted;
    /// Copies to tiered storage that run side by side.
    "remote.log.manager.copier.thread.pool.size": Int = "10", AtLeast(1), ClusterWide, Medium, Later;
    /// Most bytes copied to tiered storage per second.
    "remote.log.manager.copy.max.bytes.per.second": Long = "9223372036854775807", AtLeast(1), ClusterWide, Medium, Later;
    /// Number of samples kept for the quota on copies to tiered storage.
    "remote.log.manager.copy.quota.window.num": Int = "11", AtLeast(1), ReadOnly, Medium, Later;
    /// Length of one sample of the quota on copies to tiered storage.
    "remote.log.manager.copy.quota.window.size.seconds": Int = "1", AtLeast(1), ReadOnly, Medium, Later;
    /// Deletions in tiered storage that run side by side.
    "remote.log.manager.expiration.thread.pool.size": Int = "10", AtLeast(1), ClusterWide, Medium, Later;
    /// Most bytes read from tiered storage per second.
    "remote.log.manager.fetch.max.bytes.per.second": Long = "9223372036854775807", AtLeast(1), ClusterWide, Medium, Later;
    /// Number of samples kept for the quota on reads from tiered storage.
    "remote.log.manager.fetch.quota.window.num": Int = "11", AtLeast(1), ReadOnly, Medium, Later;
    /// Length of one sample of the quota on reads from tiered storage.
    "remote.log.manager.fetch.quota.window.size.seconds": Int = "1", AtLeast(1), ReadOnly, Medium, Later;
    /// Tasks of followers of tiered partitions that run side by side.
    "remote.log.manager.follower.thread.pool.size": Int = "2", AtLeast(1), ClusterWide, Medium, Later;
    /// Time between two rounds of copying to and deleting from tiered storage.
    "remote.log.manager.task.interval.ms": Long = "30000", AtLeast(1), ReadOnly, Low, Later;
    /// Longest pause before a failed task of tiered storage is repeated.
    "remote.log.manager.task.retry.backoff.max.ms": Long = "30000", AtLeast(1), ReadOnly, Low, Later, unlisted;
    /// First pause before a failed task of tiered storage is repeated.
    "remote.log.manager.task.retry.backoff.ms": Long = "500", AtLeast(1), ReadOnly, Low, Later, unlisted;
    /// Random share added to the pause before a failed task of tiered storage is repeated.
    "remote.log.manager.task.retry.jitter": Double = "0.2", Fraction(0.5), ReadOnly, Low, Later, unlisted;
    /// Size of the pool of older releases; superseded by the pools per purpose.
    "remote.log.manager.thread.pool.size": Int = "2", AtLeast(1), ReadOnly, Medium, Later;
    /// Largest metadata a storage plugin may attach to a segment.
    "remote.log.metadata.custom.metadata.max.bytes": Int = "128", AtLeast(0), ReadOnly, Low, Later;
    /// Class that keeps the metadata of tiered segments.
    "remote.log.metadata.manager.class.name": String = "org.apache.kafka.server.log.remote.metadata.storage.TopicBasedRemoteLogMetadataManager", NonEmptyText, ReadOnly, Medium, Later;
    /// Where the class that keeps the metadata of tiered segments is loaded from.
    "remote.log.metadata.manager.class.path": String null, Any, ReadOnly, Medium, Later;
    /// Prefix of the settings handed to the class that keeps the metadata of tiered segments.
    "remote.log.metadata.manager.impl.prefix": String = "rlmm.config.", NonEmptyText, ReadOnly, Medium, Later;
    /// Listener over which the metadata of tiered segments is read and written.
    "remote.log.metadata.manager.listener.name": String null, NonEmptyText, ReadOnly, Medium, Later;
    /// Most reads from tiered storage that wait.
    "remote.log.reader.max.pending.tasks": Int = "100", AtLeast(1), ReadOnly, Medium, Later;
    /// Reads from tiered storage that run side by side.
    "remote.log.reader.threads": Int = "10", AtLeast(1), ClusterWide, Medium, Later;
    /// Class that stores tiered segments.
    "remote.log.storage.manager.class.name": String null, NonEmptyText, ReadOnly, Medium, Later;
    /// Where the class that stores tiered segments is loaded from.
    "remote.log.storage.manager.class.path": String null, Any, ReadOnly, Medium, Later;
    /// Prefix of the settings handed to the class that stores tiered segments.
    "remote.log.storage.manager.impl.prefix": String = "rsm.config.", NonEmptyText, ReadOnly, Medium, Later;
    /// Whether this cluster has tiered storage.
    "remote.log.storage.system.enable": Boolean = "false", Any, ReadOnly, Medium, Later;
}
