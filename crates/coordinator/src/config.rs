//! What an operator decides about the group coordinator.
//!
//! Owns: the plain values and Kafka's defaults for them. Does not own: the keys and their parsing (`metadata`).
//!
//! Source: Kafka's broker configuration, `offsets.*` and `group.*`.

use std::time::Duration;

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
        }
    }
}
