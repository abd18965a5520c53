//! Rules between the keys of one node.
//!
//! Owns: which values may not stand together, and the settings of security that cannot be honoured yet.
//! Does not own: rules of one value (`check`), of listeners (`listeners`), of topics (`topic`).
//!
//! Source: refusals of Kafka 4.3.1 in its words, recorded in `tests/data/node-verdicts.txt`; security settings are
//! refused because a node that ignored them would be less safe than its operator believes.

use super::layers::broker_key;
use super::reader::Reader;
use super::{ConfigError, Default, Effect, Layers};

/// Refuses the first setting whose text is no legal value of its key.
pub(crate) fn ensure_values_parse(layers: &Layers) -> Result<(), ConfigError> {
    for (name, text) in layers.effective() {
        if let Some(key) = broker_key(name) {
            key.parse(text)?;
        }
    }
    Ok(())
}

/// Refuses a security setting that this release does not honour: a key of TLS, SASL or authorization, or a Java class
/// that decides about access, with another value than its default.
pub(crate) fn ensure_security_is_honoured(layers: &Layers) -> Result<(), ConfigError> {
    for (name, text) in layers.effective() {
        let Some(key) = broker_key(name).filter(|key| key.effect == Effect::Refused) else { continue };
        let is_default = match key.default {
            Default::Required | Default::Null => false,
            Default::Text(default) => key.parse(text)? == key.parse(default)?,
        };
        if !is_default {
            return Err(ConfigError::Unsupported { name: name.clone() });
        }
    }
    Ok(())
}

/// A rule on the node as a whole.
type Rule = fn(Reader<'_>) -> Result<(), ConfigError>;

const RULES: [Rule; 11] = [
    ids_agree,
    segments_have_an_age,
    retention_is_not_zero,
    replication_times_fit,
    queue_holds_one_request,
    connection_limits_fit,
    codecs_are_known,
    cleaners_have_memory,
    group_limits_fit,
    protocols_include_classic,
    cordoned_dirs_are_log_dirs,
];

/// Applies all rules; the first that is broken is told.
pub(crate) fn ensure_rules(reader: Reader<'_>) -> Result<(), ConfigError> {
    RULES.iter().try_for_each(|rule| rule(reader))
}

fn broken<T>(text: String) -> Result<T, ConfigError> {
    Err(ConfigError::Rule(text))
}

fn requirement<T>(text: String) -> Result<T, ConfigError> {
    Err(ConfigError::Requirement(text))
}

fn ids_agree(reader: Reader<'_>) -> Result<(), ConfigError> {
    if reader.number("node.id")? != reader.number("broker.id")? {
        return broken("You must set `node.id` to the same value as `broker.id`.".to_owned());
    }
    Ok(())
}

fn segments_have_an_age(reader: Reader<'_>) -> Result<(), ConfigError> {
    for (name, min) in [("log.roll.ms", 1), ("log.roll.jitter.ms", 0)] {
        if reader.optional_number(name)?.is_some_and(|age| age < min) {
            return requirement(format!("{name} must be greater than or equal to {min}"));
        }
    }
    Ok(())
}

fn retention_is_not_zero(reader: Reader<'_>) -> Result<(), ConfigError> {
    let first = ["log.retention.ms", "log.retention.minutes", "log.retention.hours"];
    for name in first {
        match reader.optional_number(name)? {
            Some(0) => {
                return requirement(
                    "log.retention.ms must be unlimited (-1) or, greater than or equal to 1".to_owned(),
                );
            }
            Some(_) => return Ok(()),
            None => {}
        }
    }
    Ok(())
}

fn replication_times_fit(reader: Reader<'_>) -> Result<(), ConfigError> {
    let wait = reader.number("replica.fetch.wait.max.ms")?;
    if reader.number("replica.socket.timeout.ms")? < wait {
        return requirement(
            "replica.socket.timeout.ms should always be at least replica.fetch.wait.max.ms to prevent \
             unnecessary socket timeouts"
                .to_owned(),
        );
    }
    if wait > reader.number("replica.lag.time.max.ms")? {
        return requirement(
            "replica.fetch.wait.max.ms should always be less than or equal to replica.lag.time.max.ms to \
             prevent frequent changes in ISR"
                .to_owned(),
        );
    }
    Ok(())
}

fn queue_holds_one_request(reader: Reader<'_>) -> Result<(), ConfigError> {
    let queued = reader.number("queued.max.request.bytes")?;
    if queued > 0 && queued < reader.number("socket.request.max.bytes")? {
        return requirement(
            "queued.max.request.bytes must be larger or equal to socket.request.max.bytes".to_owned(),
        );
    }
    Ok(())
}

fn connection_limits_fit(reader: Reader<'_>) -> Result<(), ConfigError> {
    let overrides = per_ip_overrides(&reader.text("max.connections.per.ip.overrides")?)?;
    if reader.number("max.connections.per.ip")? == 0 && overrides.is_empty() {
        return requirement(
            "max.connections.per.ip can be set to zero only if max.connections.per.ip.overrides property is \
             set."
                .to_owned(),
        );
    }
    let (delay, idle) = (
        reader.number("connection.failed.authentication.delay.ms")?,
        reader.number("connections.max.idle.ms")?,
    );
    if idle >= 0 && delay >= idle {
        return requirement(format!(
            "connection.failed.authentication.delay.ms={delay} should always be less than \
             connections.max.idle.ms={idle} to prevent failed authentication responses from timing out"
        ));
    }
    Ok(())
}

/// Reads `host:count,...`; the last of equal hosts counts.
pub(crate) fn per_ip_overrides(text: &str) -> Result<Vec<(String, u32)>, ConfigError> {
    let name = "max.connections.per.ip.overrides";
    let mut overrides: Vec<(String, u32)> = Vec::new();
    for entry in super::split_list(text) {
        let Some((host, count)) = entry.rsplit_once(':') else {
            return broken(format!(
                "Error parsing configuration property '{name}': {entry} is not host:count"
            ));
        };
        let is_host =
            |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'%' | b'.' | b'_' | b':');
        if !host.bytes().all(is_host) {
            return broken(format!("{name} contains invalid addresses : {host}"));
        }
        let Ok(count) = super::java_trim(count).parse() else {
            return broken(format!("Error parsing configuration property '{name}': {count} is not a count"));
        };
        overrides.retain(|(known, _)| known != host);
        overrides.push((host.to_owned(), count));
    }
    Ok(overrides)
}

fn codecs_are_known(reader: Reader<'_>) -> Result<(), ConfigError> {
    for name in ["offsets.topic.compression.codec", "share.coordinator.state.topic.compression.codec"] {
        let id = reader.number(name)?;
        if !(0..=4).contains(&id) {
            return broken(format!("Unknown compression type id: {id}"));
        }
    }
    Ok(())
}

fn cleaners_have_memory(reader: Reader<'_>) -> Result<(), ConfigError> {
    let threads = reader.number("log.cleaner.threads")?;
    if threads == 0 {
        return broken("log.cleaner.threads must be at least 1".to_owned());
    }
    if reader.number("log.cleaner.dedupe.buffer.size")? / threads <= 1024 * 1024 {
        return requirement(
            "log.cleaner.dedupe.buffer.size must be at least 1MB per cleaner thread.".to_owned(),
        );
    }
    Ok(())
}

/// A default, and the bounds that groups may move it in.
pub(crate) struct Bounded {
    pub value: &'static str,
    pub min: &'static str,
    pub max: &'static str,
    /// What Kafka names when the value is above its maximum: some rules speak of the maximum, some of the value.
    above: Above,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Above {
    ValueMustBeLess,
    MaxMustBeGreater,
}

macro_rules! bounded {
    ($group:literal, $name:literal, $above:ident) => {
        Bounded {
            value: concat!("group.", $group, ".", $name),
            min: concat!("group.", $group, ".min.", $name),
            max: concat!("group.", $group, ".max.", $name),
            above: Above::$above,
        }
    };
}

pub(crate) const GROUP_BOUNDS: [Bounded; 12] = [
    bounded!("consumer", "heartbeat.interval.ms", ValueMustBeLess),
    bounded!("consumer", "session.timeout.ms", ValueMustBeLess),
    bounded!("consumer", "assignment.interval.ms", ValueMustBeLess),
    bounded!("share", "heartbeat.interval.ms", ValueMustBeLess),
    bounded!("share", "session.timeout.ms", ValueMustBeLess),
    bounded!("share", "assignment.interval.ms", ValueMustBeLess),
    bounded!("share", "record.lock.duration.ms", MaxMustBeGreater),
    bounded!("share", "delivery.count.limit", MaxMustBeGreater),
    bounded!("share", "partition.max.record.locks", MaxMustBeGreater),
    bounded!("streams", "heartbeat.interval.ms", ValueMustBeLess),
    bounded!("streams", "session.timeout.ms", ValueMustBeLess),
    bounded!("streams", "assignment.interval.ms", ValueMustBeLess),
];

/// Heartbeats that must come more often than the session times out.
const HEARTBEATS: [(&str, &str); 3] = [
    ("group.consumer.heartbeat.interval.ms", "group.consumer.session.timeout.ms"),
    ("group.share.heartbeat.interval.ms", "group.share.session.timeout.ms"),
    ("group.streams.heartbeat.interval.ms", "group.streams.session.timeout.ms"),
];

fn group_limits_fit(reader: Reader<'_>) -> Result<(), ConfigError> {
    for Bounded { value, min, max, above } in &GROUP_BOUNDS {
        ensure_at_least(reader, max, min)?;
        ensure_at_least(reader, value, min)?;
        match above {
            Above::ValueMustBeLess => ensure_at_most(reader, value, max)?,
            Above::MaxMustBeGreater => ensure_at_least(reader, max, value)?,
        }
    }
    for (heartbeat, session) in HEARTBEATS {
        if reader.number(heartbeat)? >= reader.number(session)? {
            return broken(format!("{heartbeat} must be less than {session}"));
        }
    }
    ensure_at_least(reader, "group.share.max.share.sessions", "group.share.max.size")?;
    ensure_at_most(reader, "group.streams.num.standby.replicas", "group.streams.max.standby.replicas")
}

fn ensure_at_least(reader: Reader<'_>, name: &str, bound: &str) -> Result<(), ConfigError> {
    if reader.number(name)? < reader.number(bound)? {
        return broken(format!("{name} must be greater than or equal to {bound}"));
    }
    Ok(())
}

fn ensure_at_most(reader: Reader<'_>, name: &str, bound: &str) -> Result<(), ConfigError> {
    if reader.number(name)? > reader.number(bound)? {
        return broken(format!("{name} must be less than or equal to {bound}"));
    }
    Ok(())
}

/// The assignors this implementation brings along; Kafka looks others up as Java classes.
const CONSUMER_ASSIGNORS: [&str; 2] = ["uniform", "range"];
const SHARE_ASSIGNORS: [&str; 1] = ["simple"];

fn protocols_include_classic(reader: Reader<'_>) -> Result<(), ConfigError> {
    let lists = [
        ("group.consumer.assignors", CONSUMER_ASSIGNORS.as_slice()),
        ("group.share.assignors", SHARE_ASSIGNORS.as_slice()),
    ];
    for (name, known) in lists {
        if let Some(other) = reader.list(name)?.iter().find(|item| !known.contains(&item.as_str())) {
            return broken(format!("Class {other} cannot be found"));
        }
    }
    let protocols = reader.list("group.coordinator.rebalance.protocols")?;
    if !protocols.iter().any(|protocol| protocol == "classic") {
        return broken("Disabling the 'classic' protocol is not supported.".to_owned());
    }
    Ok(())
}

fn cordoned_dirs_are_log_dirs(reader: Reader<'_>) -> Result<(), ConfigError> {
    let cordoned = reader.list("cordoned.log.dirs")?;
    if cordoned.iter().any(|dir| dir == "*") {
        if cordoned.len() > 1 {
            return requirement(
                "When cordoned.log.dirs is set to *, it must not contain other values".to_owned(),
            );
        }
        return Ok(());
    }
    let dirs = log_dirs(reader)?;
    let missing: Vec<&str> = cordoned.iter().filter(|dir| !dirs.contains(dir)).map(String::as_str).collect();
    if !missing.is_empty() {
        return requirement(format!(
            "All entries in cordoned.log.dirs must be present in log.dirs or log.dir. Missing entries : {}",
            missing.join(", ")
        ));
    }
    Ok(())
}

/// The data directories: `log.dirs`, or `log.dir` where it is unset.
pub(crate) fn log_dirs(reader: Reader<'_>) -> Result<Vec<String>, ConfigError> {
    match reader.optional_list("log.dirs")? {
        Some(dirs) => Ok(dirs),
        None => reader.list("log.dir"),
    }
}
