//! What an operator decides about the coordinators.
//!
//! Owns: the plain values and Kafka's defaults for them. Does not own: the keys and their parsing (`metadata`).
//!
//! Source: Kafka's broker configuration, `offsets.*`, `group.*`, `transaction.*` and `transactional.id.*`.

use std::time::Duration;

use crate::group::{Assignor, MigrationPolicy};
use crate::runtime::RuntimeConfig;

/// Settings of the group coordinator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupConfig {
    /// `group.min.session.timeout.ms`
    pub session_timeout_min: Duration,
    /// `group.max.session.timeout.ms`
    pub session_timeout_max: Duration,
    /// `group.initial.rebalance.delay.ms`: how long a group that had no members waits for more of them.
    pub initial_rebalance_delay: Duration,
    /// `group.max.size`: most members of one group.
    pub members_max: usize,
    /// `offset.metadata.max.bytes`: longest text a client may store with an offset, in UTF-16 units as in Kafka.
    pub offset_metadata_length_max: usize,
    /// `offsets.retention.minutes`
    pub offsets_retention: Duration,
    /// `offsets.retention.check.interval.ms`
    pub offsets_retention_check_interval: Duration,
    /// `offsets.commit.timeout.ms`
    pub commit_timeout: Duration,
    pub consumer: ConsumerConfig,
}

/// Settings of consumer groups that stay as they are while the node runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConsumerConfig {
    /// `group.consumer.max.size`
    pub members_max: usize,
    /// `group.consumer.migration.policy`
    pub migration: MigrationPolicy,
    /// `group.consumer.assignors`
    pub assignors: Assignors,
    /// `group.consumer.regex.refresh.interval.ms`: how long topics of a regular expression are believed.
    pub regex_refresh_interval: Duration,
}

/// The assignors members may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Assignors {
    /// For groups whose members ask for none.
    pub first: Assignor,
    pub second: Option<Assignor>,
}

impl Assignors {
    pub(crate) fn iter(self) -> impl Iterator<Item = Assignor> {
        std::iter::once(self.first).chain(self.second)
    }
}

impl Default for ConsumerConfig {
    /// Kafka's defaults.
    fn default() -> ConsumerConfig {
        ConsumerConfig {
            members_max: 2_147_483_647,
            migration: MigrationPolicy::Bidirectional,
            assignors: Assignors { first: Assignor::Uniform, second: Some(Assignor::Range) },
            regex_refresh_interval: Duration::from_secs(10 * 60),
        }
    }
}

impl GroupConfig {
    /// The part that concerns the runtime.
    pub fn runtime(&self) -> RuntimeConfig {
        RuntimeConfig { commit_timeout: self.commit_timeout, ..RuntimeConfig::default() }
    }
}

impl Default for GroupConfig {
    /// Kafka's defaults.
    fn default() -> GroupConfig {
        GroupConfig {
            session_timeout_min: Duration::from_secs(6),
            session_timeout_max: Duration::from_secs(30 * 60),
            initial_rebalance_delay: Duration::from_secs(3),
            members_max: 2_147_483_647,
            offset_metadata_length_max: 4096,
            offsets_retention: Duration::from_secs(7 * 24 * 60 * 60),
            offsets_retention_check_interval: Duration::from_secs(10 * 60),
            commit_timeout: Duration::from_secs(5),
            consumer: ConsumerConfig::default(),
        }
    }
}

/// Settings of the transaction coordinator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransactionConfig {
    /// `transaction.max.timeout.ms`: longest timeout a producer may ask for.
    pub timeout_max: Duration,
    /// `transaction.abort.timed.out.transaction.cleanup.interval.ms`
    pub abort_scan_interval: Duration,
    /// `transactional.id.expiration.ms`
    pub id_expiration: Duration,
    /// `transaction.remove.expired.transaction.cleanup.interval.ms`
    pub removal_scan_interval: Duration,
    /// `request.timeout.ms` of the broker, which is how long Kafka waits for `__transaction_state`.
    pub commit_timeout: Duration,
}

impl TransactionConfig {
    /// The part that concerns the runtime.
    pub fn runtime(&self) -> RuntimeConfig {
        RuntimeConfig { commit_timeout: self.commit_timeout, ..RuntimeConfig::default() }
    }
}

impl Default for TransactionConfig {
    /// Kafka's defaults.
    fn default() -> TransactionConfig {
        TransactionConfig {
            timeout_max: Duration::from_secs(15 * 60),
            abort_scan_interval: Duration::from_secs(10),
            id_expiration: Duration::from_secs(7 * 24 * 60 * 60),
            removal_scan_interval: Duration::from_secs(60 * 60),
            commit_timeout: Duration::from_secs(30),
        }
    }
}
