//! Which dynamic settings are accepted.
//!
//! Owns: the rules on the overrides of a topic, group or metrics subscription, and on dynamic settings of a broker.
//! Does not own: the operations (set, append, …) and whether the resource exists (`controller`).
//!
//! Every check looks at *all* settings the resource would have, as Kafka does.
//!
//! Source: requirements CFG-05 to CFG-07, TOP-03; refusals of Kafka 4.3.1 in its words.

use regex::Regex;

use super::layers::{topic_value, without_listener};
use super::reader::Reader;
use super::rules::{Bounded, GROUP_BOUNDS};
use super::{
    BrokerConfig, Change, ConfigError, Key, KeyTable, Layers, Settings, broker_key, broker_keys,
    client_metrics_keys, group_keys, topic_keys,
};

/// Refuses overrides that a topic may not have. `layers` are those of the node that decides.
pub fn check_topic(overrides: &Settings, layers: &Layers) -> Result<(), ConfigError> {
    check_declared(overrides, topic_keys(), "topic")?;
    let number = |name: &str| -> Result<i64, ConfigError> {
        let value = topic_value(layers, overrides, name)?;
        Ok(value.and_then(|value| value.as_integer()).unwrap_or_default())
    };
    let (min, max) = (number("min.compaction.lag.ms")?, number("max.compaction.lag.ms")?);
    if min > max {
        return Err(ConfigError::Rule(format!(
            "conflict topic config setting min.compaction.lag.ms ({min}) > max.compaction.lag.ms ({max})"
        )));
    }
    check_tiering(overrides, layers)
}

/// Tiered storage is a matter of the cluster first, and of the topic second.
fn check_tiering(overrides: &Settings, layers: &Layers) -> Result<(), ConfigError> {
    let is_tiered =
        overrides.get("remote.storage.enable").is_some_and(|text| text.trim().eq_ignore_ascii_case("true"));
    if is_tiered && !(Reader { layers }).boolean("remote.log.storage.system.enable")? {
        return Err(ConfigError::Rule(
            "Tiered Storage functionality is disabled in the broker. Topic cannot be configured with remote log \
             storage."
                .to_owned(),
        ));
    }
    Ok(())
}

/// First every name, then every value.
fn check_declared(overrides: &Settings, table: &KeyTable, resource: &'static str) -> Result<(), ConfigError> {
    if let Some(name) = overrides.keys().find(|name| !table.contains_key(name.as_str())) {
        return Err(ConfigError::UnknownName { resource, name: name.clone() });
    }
    for (name, text) in overrides {
        if let Some(key) = table.get(name.as_str()) {
            key.parse(text)?;
        }
    }
    Ok(())
}

/// Refuses overrides that a group may not have: the broker bounds many of them.
pub fn check_group(overrides: &Settings, layers: &Layers) -> Result<(), ConfigError> {
    check_declared(overrides, group_keys(), "group")?;
    let reader = Reader { layers };
    for Bounded { value, min, max, .. } in &GROUP_BOUNDS {
        let Some(key) = group_key(value) else { continue };
        let number = effective(key, overrides, layers)?;
        if number < reader.number(min)? {
            return broken(format!("{} must be greater than or equal to {min}", key.name));
        }
        if number > reader.number(max)? {
            return broken(format!("{} must be less than or equal to {max}", key.name));
        }
    }
    let keys = group_keys();
    if let Some(key) = keys.get("streams.num.standby.replicas") {
        let max = "group.streams.max.standby.replicas";
        if effective(key, overrides, layers)? > reader.number(max)? {
            return broken(format!("{} must be less than or equal to {max}", key.name));
        }
    }
    for group in ["consumer", "share", "streams"] {
        let (session, heartbeat) =
            (format!("{group}.session.timeout.ms"), format!("{group}.heartbeat.interval.ms"));
        if let (Some(longer), Some(shorter)) = (keys.get(session.as_str()), keys.get(heartbeat.as_str()))
            && effective(longer, overrides, layers)? <= effective(shorter, overrides, layers)?
        {
            return broken(format!("{session} must be greater than {heartbeat}"));
        }
    }
    Ok(())
}

fn broken<T>(text: String) -> Result<T, ConfigError> {
    Err(ConfigError::Rule(text))
}

/// The key of a group that takes its default from this key of the broker.
fn group_key(broker_key: &str) -> Option<&'static Key> {
    group_keys().get(broker_key.strip_prefix("group.")?).copied()
}

/// The number a group would work with.
fn effective(key: &Key, overrides: &Settings, layers: &Layers) -> Result<i64, ConfigError> {
    let text = match overrides.get(key.name) {
        Some(text) => Some(text.clone()),
        None => layers.inherited(key)?,
    };
    let value = text.map(|text| key.parse(&text)).transpose()?;
    Ok(value.and_then(|value| value.as_integer()).unwrap_or_default())
}

/// What a metrics subscription may match clients by.
const MATCHED: [&str; 6] = [
    "client_instance_id",
    "client_id",
    "client_software_name",
    "client_software_version",
    "client_source_address",
    "client_source_port",
];

/// Refuses settings that a subscription to client metrics may not have.
pub fn check_client_metrics(overrides: &Settings) -> Result<(), ConfigError> {
    let table = client_metrics_keys();
    if let Some(name) = overrides.keys().find(|name| !table.contains_key(name.as_str())) {
        return Err(ConfigError::Request(format!("Unknown client metrics configuration: {name}")));
    }
    for (name, text) in overrides {
        let Some(value) = table.get(name.as_str()).map(|key| key.parse(text)).transpose()? else { continue };
        if name == "interval.ms" && value.as_integer().is_some_and(|ms| !(100..=3_600_000).contains(&ms)) {
            return Err(ConfigError::Request(format!(
                "Invalid value {value} for interval.ms, interval must be between 100 and 3600000 (1 hour)"
            )));
        }
        let illegal = |pattern: &&String| {
            let legal = |(name, regex): (&str, &str)| MATCHED.contains(&name) && Regex::new(regex).is_ok();
            !pattern.split_once('=').is_some_and(legal)
        };
        if name == "match"
            && let Some(pattern) = value.items().iter().find(illegal)
        {
            return broken(format!("Illegal client matching pattern: {pattern}"));
        }
    }
    Ok(())
}

/// For whom dynamic broker settings hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BrokerLevel {
    /// This broker.
    Broker,
    /// All brokers of the cluster.
    ClusterDefault,
}

/// Keys that change on a running broker for one listener at a time only.
const PER_LISTENER_KEYS: [&str; 10] = [
    "ssl.key.password",
    "ssl.keystore.certificate.chain",
    "ssl.keystore.key",
    "ssl.keystore.location",
    "ssl.keystore.password",
    "ssl.keystore.type",
    "ssl.truststore.certificates",
    "ssl.truststore.location",
    "ssl.truststore.password",
    "ssl.truststore.type",
];

/// Keys of a listener that may also be set for the whole cluster.
const CLUSTER_LISTENER_KEYS: [&str; 3] =
    ["max.connection.creation.rate", "max.connections", "num.network.threads"];

/// Refuses dynamic settings of a level. Unknown names pass, as in Kafka. `layers` are the node's present ones.
pub fn check_broker(settings: &Settings, level: BrokerLevel, layers: &Layers) -> Result<(), ConfigError> {
    let among = |unwanted: &dyn Fn(&str) -> bool| {
        let names: Vec<&str> = settings.keys().map(String::as_str).filter(|name| unwanted(name)).collect();
        if names.is_empty() { None } else { Some(names.join(", ")) }
    };
    let is_fixed = |name: &str| broker_keys().get(name).is_some_and(|key| key.change == Change::ReadOnly);
    if let Some(names) = among(&is_fixed) {
        return refused(format!("Cannot update these configs dynamically: [{names}]"));
    }
    if let Some(names) = among(&|name| PER_LISTENER_KEYS.contains(&name)) {
        return refused(format!(
            "These security configs can be dynamically updated only per-listener using the listener prefix: [{names}]"
        ));
    }
    for (name, text) in settings {
        if let Some(key) = broker_key(name) {
            key.parse(text).or_else(|error| refused(error.to_string()))?;
        }
    }
    if level == BrokerLevel::ClusterDefault
        && let Some(names) = among(&is_of_one_broker)
    {
        return refused(format!(
            "Cannot update these configs at default cluster level, broker id must be specified: [{names}]"
        ));
    }
    let (default, own) = (layers.dynamic_default().clone(), layers.dynamic_broker().clone());
    let candidate = match level {
        BrokerLevel::Broker => layers.with_dynamic(default, settings.clone()),
        BrokerLevel::ClusterDefault => layers.with_dynamic(settings.clone(), own),
    };
    BrokerConfig::from_layers(&candidate).map(|_| ()).or_else(|error| refused(error.to_string()))?;
    check_thread_counts(layers, &candidate)
}

fn refused<T>(text: String) -> Result<T, ConfigError> {
    Err(ConfigError::Request(text))
}

/// Keys, with or without a listener, that differ from broker to broker.
fn is_of_one_broker(name: &str) -> bool {
    match without_listener(name) {
        Some(base) => !CLUSTER_LISTENER_KEYS.contains(&base),
        None => broker_keys().get(name).is_some_and(|key| key.change == Change::PerBroker),
    }
}

/// Sizes of thread pools, which Kafka lets grow and shrink by a factor of two at a time.
const THREAD_COUNTS: [&str; 8] = [
    "background.threads",
    "num.io.threads",
    "num.network.threads",
    "num.recovery.threads.per.data.dir",
    "num.replica.fetchers",
    "remote.log.manager.copier.thread.pool.size",
    "remote.log.manager.expiration.thread.pool.size",
    "remote.log.reader.threads",
];

fn check_thread_counts(present: &Layers, candidate: &Layers) -> Result<(), ConfigError> {
    let invalid = |reason: String| {
        refused(format!(
            "Invalid value org.apache.kafka.common.config.ConfigException: {reason} for configuration Invalid \
             dynamic configuration"
        ))
    };
    for name in THREAD_COUNTS {
        let (old, new) =
            (Reader { layers: present }.number(name)?, Reader { layers: candidate }.number(name)?);
        let failed = format!("Dynamic thread count update validation failed for {name}={new}");
        if new < old / 2 {
            return invalid(format!("{failed}, value should be at least half the current value {old}"));
        }
        if new > old * 2 {
            return invalid(format!(
                "{failed}, value should not be greater than double the current value {old}"
            ));
        }
    }
    let name = "log.cleaner.threads";
    let (old, new) = (Reader { layers: present }.number(name)?, Reader { layers: candidate }.number(name)?);
    if new < old / 2 {
        return invalid(format!(
            "Log cleaner threads cannot be reduced to less than half the current value {old}"
        ));
    }
    if new > old * 2 {
        return invalid(format!(
            "Log cleaner threads cannot be increased to more than double the current value {old}"
        ));
    }
    Ok(())
}
