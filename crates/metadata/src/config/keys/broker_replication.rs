//! Broker keys of replication, leader election and transactions.
//!
//! Owns: one entry per key; `key` explains the form. Does not own: what the values do.
//!
//! Source: broker settings of Kafka 4.3.1; doc sentences are our own.

use crate::config::Check::{Any, AtLeast};
use crate::config::key::keys;

keys! {
    /// Broker keys of replication, leader election and transactions.
    REPLICATION:

    /// Longest total time the broker retries adding a partition to a transaction while an earlier one still
    /// completes.
    "add.partitions.to.txn.retry.backoff.max.ms": Int = "100", AtLeast(0), ReadOnly, High, Live;
    /// Pause between two attempts to add a partition to a transaction.
    "add.partitions.to.txn.retry.backoff.ms": Int = "20", AtLeast(1), ReadOnly, High, Live;
    /// Number of samples kept for the quota of moves between log directories.
    "alter.log.dirs.replication.quota.window.num": Int = "11", AtLeast(1), ReadOnly, Low, Later;
    /// Length of one sample of the quota of moves between log directories.
    "alter.log.dirs.replication.quota.window.size.seconds": Int = "1", AtLeast(1), ReadOnly, Low, Later;
    /// Whether leadership moves back to the preferred replica by itself.
    "auto.leader.rebalance.enable": Boolean = "true", Any, ReadOnly, High, Later;
    /// Replicas of a topic that is created without a count.
    "default.replication.factor": Int = "1", Any, ReadOnly, Medium, Live;
    /// Time between two looks at whether leaders should move back.
    "leader.imbalance.check.interval.seconds": Long = "300", AtLeast(1), ReadOnly, High, Later;
    /// Replicas that must be in sync before `acks=all` is accepted.
    "min.insync.replicas": Int = "1", AtLeast(1), ClusterWide, High, Live;
    /// Threads that move replicas between log directories.
    "num.replica.alter.log.dirs.threads": Int null, Any, ReadOnly, High, Later;
    /// Connections per leader over which followers copy.
    "num.replica.fetchers": Int = "1", AtLeast(1), ClusterWide, High, Later;
    /// Pause of a follower after a failed fetch.
    "replica.fetch.backoff.ms": Int = "1000", AtLeast(0), ReadOnly, Medium, Later;
    /// Most bytes of one partition in a follower's fetch.
    "replica.fetch.max.bytes": Int = "1048576", AtLeast(0), ReadOnly, Medium, Later;
    /// Bytes a follower's fetch waits for.
    "replica.fetch.min.bytes": Int = "1", Any, ReadOnly, High, Later;
    /// Most bytes in one answer to a follower's fetch.
    "replica.fetch.response.max.bytes": Int = "10485760", AtLeast(0), ReadOnly, Medium, Later;
    /// Longest wait of a follower's fetch.
    "replica.fetch.wait.max.ms": Int = "500", Any, ReadOnly, High, Later;
    /// Time between two writes of the high watermarks.
    "replica.high.watermark.checkpoint.interval.ms": Long = "5000", Any, ReadOnly, High, Live;
    /// Time without having caught up after which a follower leaves the in-sync set.
    "replica.lag.time.max.ms": Long = "30000", Any, ReadOnly, High, Live;
    /// How a replica is chosen for a consumer with a rack.
    "replica.selector.class": String null, Any, ReadOnly, Medium, Later;
    /// Receive buffer of a follower's connection.
    "replica.socket.receive.buffer.bytes": Int = "65536", Any, ReadOnly, High, Later;
    /// Time after which an unanswered request of a follower is given up.
    "replica.socket.timeout.ms": Int = "30000", Any, ReadOnly, High, Later;
    /// Number of samples kept for the replication quota.
    "replication.quota.window.num": Int = "11", AtLeast(1), ReadOnly, Low, Later;
    /// Length of one sample of the replication quota.
    "replication.quota.window.size.seconds": Int = "1", AtLeast(1), ReadOnly, Low, Later;
    /// Time between two searches for transactions that ran out of time.
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": Int = "10000", AtLeast(1), ReadOnly, Low, Live;
    /// Largest transaction timeout a producer may ask for.
    "transaction.max.timeout.ms": Int = "900000", AtLeast(1), ReadOnly, High, Live;
    /// Whether a partition asks the coordinator before the first write of a transaction.
    "transaction.partition.verification.enable": Boolean = "true", Any, ClusterWide, Low, Live;
    /// Time between two searches for expired transactional ids.
    "transaction.remove.expired.transaction.cleanup.interval.ms": Int = "3600000", AtLeast(1), ReadOnly, Low, Live;
    /// Bytes read at a time while a transaction coordinator loads.
    "transaction.state.log.load.buffer.size": Int = "5242880", AtLeast(1), ReadOnly, High, Later;
    /// Replicas of `__transaction_state` that must be in sync.
    "transaction.state.log.min.isr": Int = "2", AtLeast(1), ReadOnly, High, Live;
    /// Partitions of `__transaction_state`; not to be changed once it exists.
    "transaction.state.log.num.partitions": Int = "50", AtLeast(1), ReadOnly, High, Live;
    /// Replicas of `__transaction_state`.
    "transaction.state.log.replication.factor": Short = "3", AtLeast(1), ReadOnly, High, Live;
    /// Segment size of `__transaction_state`.
    "transaction.state.log.segment.bytes": Int = "104857600", AtLeast(1), ReadOnly, High, Live;
    /// Whether transactions may outlive any timeout, as two-phase commit needs it.
    "transaction.two.phase.commit.enable": Boolean = "false", Any, ReadOnly, Low, Later;
    /// Time after which an unused transactional id is forgotten.
    "transactional.id.expiration.ms": Int = "604800000", AtLeast(1), ReadOnly, High, Live;
    /// Whether a replica outside the in-sync set may lead as the last resort.
    "unclean.leader.election.enable": Boolean = "false", Any, ClusterWide, High, Later;
    /// Time between two looks for partitions that need an unclean election.
    "unclean.leader.election.interval.ms": Long = "300000", AtLeast(1), ReadOnly, Medium, Later, unlisted;

    // Throttles of replication. Kafka takes them from dynamic configuration only.

    /// Most bytes per second that followers on this broker copy of throttled replicas.
    "follower.replication.throttled.rate": Long = "9223372036854775807", AtLeast(0), ClusterWide, Medium, Later, unlisted;
    /// Most bytes per second that leaders on this broker send to throttled replicas.
    "leader.replication.throttled.rate": Long = "9223372036854775807", AtLeast(0), ClusterWide, Medium, Later, unlisted;
    /// Most bytes per second that moves between log directories of this broker copy.
    "replica.alter.log.dirs.io.max.bytes.per.second": Long = "9223372036854775807", AtLeast(0), ClusterWide, Medium, Later, unlisted;
}
