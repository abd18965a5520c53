//! Every config key, declared once, and how a key is found by its name.
//!
//! Owns: the tables and the look-up. Does not own: the form of an entry (`key`).
//!
//! Invariants
//! - every name stands once per resource;
//! - the tables of Kafka's keys equal the ones of Kafka 4.3.1 (`tests/data/*-keys.tsv`).

mod broker_groups;
mod broker_log;
mod broker_network;
mod broker_quorum;
mod broker_replication;
mod broker_security;
mod broker_tiering;
mod client_metrics;
mod group;
mod topic;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::Key;

/// The keys of one kind of resource, by name.
pub type KeyTable = BTreeMap<&'static str, &'static Key>;

static BROKER: LazyLock<KeyTable> = LazyLock::new(|| {
    table(&[
        broker_groups::GROUPS,
        broker_log::LOG,
        broker_network::NETWORK,
        broker_quorum::QUORUM,
        broker_replication::REPLICATION,
        broker_security::SECURITY,
        broker_tiering::TIERING,
    ])
});
static TOPIC: LazyLock<KeyTable> = LazyLock::new(|| table(&[topic::TOPIC]));
static GROUP: LazyLock<KeyTable> = LazyLock::new(|| table(&[group::GROUP]));
static CLIENT_METRICS: LazyLock<KeyTable> = LazyLock::new(|| table(&[client_metrics::CLIENT_METRICS]));

fn table(parts: &[&'static [Key]]) -> KeyTable {
    parts.iter().flat_map(|part| part.iter()).map(|key| (key.name, key)).collect()
}

/// Keys of `server.properties` and of the broker resource.
pub fn broker_keys() -> &'static KeyTable {
    &BROKER
}

/// Keys of the topic resource.
pub fn topic_keys() -> &'static KeyTable {
    &TOPIC
}

/// Keys of the group resource.
pub fn group_keys() -> &'static KeyTable {
    &GROUP
}

/// Keys of the client metrics resource.
pub fn client_metrics_keys() -> &'static KeyTable {
    &CLIENT_METRICS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_declared_once_and_its_default_is_legal() {
        let parts = [
            broker_groups::GROUPS,
            broker_log::LOG,
            broker_network::NETWORK,
            broker_quorum::QUORUM,
            broker_replication::REPLICATION,
            broker_security::SECURITY,
            broker_tiering::TIERING,
        ];
        let declared: usize = parts.iter().map(|part| part.len()).sum();
        assert_eq!(declared, broker_keys().len());
        for (part, table) in [
            (topic::TOPIC, topic_keys()),
            (group::GROUP, group_keys()),
            (client_metrics::CLIENT_METRICS, client_metrics_keys()),
        ] {
            assert_eq!(part.len(), table.len());
        }
        for table in [broker_keys(), topic_keys(), group_keys(), client_metrics_keys()] {
            for key in table.values() {
                if let Some(text) = key.default_text() {
                    assert_eq!(key.parse(text).err(), None, "{}", key.name);
                }
            }
        }
    }
}
