//! What an operator decides about the replication of one partition.
//!
//! Owns: the plain values. Does not own: the keys, their defaults and their parsing (`metadata`).
//!
//! Source: `min.insync.replicas`, `replica.lag.time.max.ms`, `ottla.ack.durability`.

use std::time::Duration;

/// When a record of this broker counts as stored (`ottla.ack.durability`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AckDurability {
    /// Once it is on stable storage: the high watermark counts flushed bytes of this replica only.
    Flushed,
    /// Once it is in the page cache, as Kafka has it.
    PageCache,
}

/// Settings of one partition. They may change at any time ([`crate::Replica::on_config`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplicationConfig {
    pub durability: AckDurability,
    /// `min.insync.replicas`; the replication factor bounds it (REP-04).
    pub in_sync_min: u32,
    /// `replica.lag.time.max.ms`: how long a follower may stay behind the log end before it leaves the in-sync set.
    pub lag_max: Duration,
}

impl ReplicationConfig {
    /// Effective minimum of in-sync replicas of a partition with `replicas` copies (REP-04).
    pub fn effective_in_sync_min(&self, replicas: usize) -> usize {
        usize::try_from(self.in_sync_min).unwrap_or(usize::MAX).min(replicas)
    }
}

impl Default for ReplicationConfig {
    /// Flushed answers, one replica suffices, 30 s of lag.
    fn default() -> ReplicationConfig {
        ReplicationConfig {
            durability: AckDurability::Flushed,
            in_sync_min: 1,
            lag_max: Duration::from_secs(30),
        }
    }
}
