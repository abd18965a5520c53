//! Settings of consumer groups: those of the node, and the times a group may set for itself.
//!
//! Owns: typed settings out of the layers. Does not own: which overrides are accepted (`alter`), what they do
//! (`coordinator`).
//!
//! Source: Kafka's broker and group configuration, `group.consumer.*` and `consumer.*`; requirement CGP-09.

use std::time::Duration;

use super::reader::Reader;
use super::rules::{Bounded, GROUP_BOUNDS};
use super::{ConfigError, Layers, Settings, group_keys};

/// What a node decides about consumer groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerGroupsConfig {
    /// Whether `group.coordinator.rebalance.protocols` names the protocol.
    pub is_enabled: bool,
    pub size_max: u32,
    /// The first one is the default.
    pub assignors: Vec<String>,
    pub may_upgrade: bool,
    pub may_downgrade: bool,
    pub regex_refresh_interval: Duration,
}

/// Times of one consumer group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConsumerGroupTimes {
    pub session_timeout: Duration,
    pub heartbeat_interval: Duration,
    pub assignment_interval: Duration,
}

impl ConsumerGroupsConfig {
    pub(super) fn read(reader: Reader<'_>) -> Result<ConsumerGroupsConfig, ConfigError> {
        let policy = reader.text("group.consumer.migration.policy")?.to_ascii_lowercase();
        let protocols = reader.list("group.coordinator.rebalance.protocols")?;
        Ok(ConsumerGroupsConfig {
            is_enabled: protocols.iter().any(|protocol| protocol == "consumer"),
            size_max: reader.count_u32("group.consumer.max.size")?,
            assignors: reader.list("group.consumer.assignors")?,
            may_upgrade: matches!(policy.as_str(), "bidirectional" | "upgrade"),
            may_downgrade: matches!(policy.as_str(), "bidirectional" | "downgrade"),
            regex_refresh_interval: reader.millis("group.consumer.regex.refresh.interval.ms")?,
        })
    }
}

impl ConsumerGroupTimes {
    /// The times of a group with these overrides. Those that the node's limits do not allow any more are brought into
    /// them.
    pub fn read(overrides: &Settings, layers: &Layers) -> Result<ConsumerGroupTimes, ConfigError> {
        let time = |name: &str| -> Result<Duration, ConfigError> {
            let number = within_bounds(name, overrides, layers)?;
            Ok(Duration::from_millis(u64::try_from(number).unwrap_or(0)))
        };
        Ok(ConsumerGroupTimes {
            session_timeout: time("consumer.session.timeout.ms")?,
            heartbeat_interval: time("consumer.heartbeat.interval.ms")?,
            assignment_interval: time("consumer.assignment.interval.ms")?,
        })
    }
}

fn within_bounds(name: &str, overrides: &Settings, layers: &Layers) -> Result<i64, ConfigError> {
    let Some(key) = group_keys().get(name).copied() else { return Ok(0) };
    let text = match overrides.get(name) {
        Some(text) => Some(text.clone()),
        None => layers.inherited(key)?,
    };
    let value = text.map(|text| key.parse(&text)).transpose()?;
    let number = value.and_then(|value| value.as_integer()).unwrap_or_default();
    let reader = Reader { layers };
    let of_key = |bounded: &&Bounded| bounded.value.strip_prefix("group.") == Some(name);
    match GROUP_BOUNDS.iter().find(of_key) {
        Some(Bounded { min, max, .. }) => {
            let (min, max) = (reader.number(min)?, reader.number(max)?);
            Ok(number.min(max).max(min))
        }
        None => Ok(number),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(pairs: &[(&str, &str)]) -> Settings {
        pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
    }

    fn times(overrides: &[(&str, &str)], node: &[(&str, &str)]) -> (u128, u128, u128) {
        let times = ConsumerGroupTimes::read(&settings(overrides), &Layers::new(settings(node))).unwrap();
        let millis = |time: Duration| time.as_millis();
        (millis(times.session_timeout), millis(times.heartbeat_interval), millis(times.assignment_interval))
    }

    /// CGP-09
    #[test]
    fn a_group_has_its_own_times_within_the_limits_of_the_node() {
        assert_eq!(times(&[], &[]), (45_000, 5000, 1000));
        assert_eq!(times(&[("consumer.session.timeout.ms", "50000")], &[]), (50_000, 5000, 1000));
        let node = [
            ("group.consumer.max.session.timeout.ms", "48000"),
            ("group.consumer.heartbeat.interval.ms", "6000"),
        ];
        assert_eq!(times(&[("consumer.session.timeout.ms", "50000")], &node), (48_000, 6000, 1000));
    }
}
