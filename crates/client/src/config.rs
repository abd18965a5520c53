//! Configuration of the clients, under Kafka's property names.
//!
//! Owns: the sets of properties a user gives, and the typed configurations made of them.
//! Does not own: reading property files and flags (`cli`).
//!
//! Invariants
//! - I1 every key is declared once, in `config/keys.tsv`, with its defaults and valid values;
//! - I2 a typed configuration is made of checked values only.
//!
//! Source: the `ConfigDef` of the producer, consumer and admin client of Kafka 4.3.1.

mod admin;
mod cluster_access;
mod consumer;
mod iso_duration;
mod key;
mod producer;
mod value;

use std::collections::BTreeMap;

pub use admin::AdminConfig;
pub use cluster_access::{BackoffConfig, CommonConfig, Endpoint, RecoveryStrategy};
pub use consumer::{AssignorKind, ConsumerConfig, GroupConfig, IsolationLevel, OffsetReset};
pub use iso_duration::{SignedDuration, parse_iso_duration, parse_signed_iso_duration};
pub use key::{ClientKind, Effect, Key, Kind, keys};
pub use producer::{Acks, PartitionerKind, ProducerConfig};
pub use value::Value;

/// Properties as a user gives them: names and texts.
pub type Properties = BTreeMap<String, String>;

/// Why a configuration is refused. The text is Kafka's where Kafka has one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A key without a default was not given.
    #[error("Missing required configuration \"{key}\" which has no default value.")]
    Missing { key: &'static str },
    /// The value is not of the key's type, or none of those it may have.
    #[error("Invalid value {value} for configuration {key}: {reason}")]
    Invalid { key: &'static str, value: String, reason: String },
    /// A list that needs elements has none.
    #[error("Configuration '{key}' must not be empty. Valid values include: any non-empty value")]
    EmptyList { key: &'static str },
    /// A list has an empty element.
    #[error("Configuration '{key}' values must not be empty.")]
    EmptyElement { key: &'static str },
    /// An address is not `host:port`.
    #[error("Invalid url in {key}: {url}")]
    Address { key: &'static str, url: String },
    /// The port of an address is out of range.
    #[error("Invalid port in {key}: {url}")]
    Port { key: &'static str, url: String },
    /// Two keys do not go together.
    #[error("{0}")]
    Contradiction(&'static str),
    /// `max.in.flight.requests.per.connection` is too large for idempotence.
    #[error(
        "To use the idempotent producer, max.in.flight.requests.per.connection must be set to at most 5. \
         Current value is {got}."
    )]
    TooManyInFlight { got: u32 },
    /// `group.instance.id` has characters that it may not have.
    #[error(
        "Group instance id is invalid: '{0}' contains one or more characters other than ASCII alphanumerics, \
         '.', '_' and '-'"
    )]
    GroupInstanceId(String),
    /// `partition.assignment.strategy` names an assignor that is none of Kafka's.
    #[error(
        "'{name}' is none of the assignors this client knows: range, roundrobin, sticky, cooperative-sticky"
    )]
    UnknownAssignor { name: String },
    /// Kafka has this, and this client does not yet.
    #[error("{key}={value} is not supported yet; {allowed}")]
    Unsupported { key: &'static str, value: String, allowed: &'static str },
}

/// The checked values of all keys of one kind of client.
#[derive(Clone, Debug)]
pub(crate) struct Values {
    values: BTreeMap<&'static str, Value>,
    given: Vec<&'static str>,
}

impl Values {
    /// Checks `properties` against the keys of `client`; what is not given gets its default.
    pub(crate) fn parse(client: ClientKind, properties: &Properties) -> Result<Values, ConfigError> {
        let mut values = BTreeMap::new();
        let mut given = Vec::new();
        for key in keys().iter().filter(|key| key.belongs_to(client)) {
            let value = match properties.get(key.name) {
                Some(text) => {
                    given.push(key.name);
                    let value = value::parse(key, text)?;
                    // A list that must be given must also have something in it.
                    if value == Value::List(Vec::new()) && key.must_be_given(client) {
                        return Err(ConfigError::EmptyList { key: key.name });
                    }
                    value
                }
                None => key.default_value(client)?,
            };
            values.insert(key.name, value);
        }
        Ok(Values { values, given })
    }

    /// Whether the user gave the key; a default does not count.
    pub(crate) fn is_given(&self, name: &str) -> bool {
        self.given.contains(&name)
    }

    /// The value of a key; asking for a key that is not declared is an error of ours.
    pub(crate) fn value(&self, name: &str) -> &Value {
        self.values.get(name).unwrap_or_else(|| panic!("{name} is not declared in keys.tsv for this client"))
    }

    pub(crate) fn integer(&self, name: &str) -> i64 {
        match self.value(name) {
            Value::Integer(number) => *number,
            Value::Null => 0,
            other @ (Value::Decimal(_) | Value::Boolean(_) | Value::Text(_) | Value::List(_)) => {
                panic!("{name} is declared as {other:?}, not as an integer")
            }
        }
    }

    /// An integer that may not be negative; −1 and below read as 0.
    pub(crate) fn count(&self, name: &str) -> u64 {
        u64::try_from(self.integer(name)).unwrap_or(0)
    }

    pub(crate) fn size(&self, name: &str) -> usize {
        usize::try_from(self.integer(name)).unwrap_or(0)
    }

    pub(crate) fn int32(&self, name: &str) -> i32 {
        i32::try_from(self.integer(name)).unwrap_or(i32::MAX)
    }

    /// A key whose unit is milliseconds.
    pub(crate) fn millis(&self, name: &str) -> std::time::Duration {
        std::time::Duration::from_millis(self.count(name))
    }

    pub(crate) fn boolean(&self, name: &str) -> bool {
        matches!(self.value(name), Value::Boolean(true))
    }

    /// A text, or `None` where the key is null.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        match self.value(name) {
            Value::Text(text) => Some(text),
            Value::Null | Value::Integer(_) | Value::Decimal(_) | Value::Boolean(_) | Value::List(_) => None,
        }
    }

    pub(crate) fn list(&self, name: &str) -> &[String] {
        match self.value(name) {
            Value::List(list) => list,
            Value::Null | Value::Integer(_) | Value::Decimal(_) | Value::Boolean(_) | Value::Text(_) => &[],
        }
    }
}

/// Names among `properties` that are no key of `client`; Kafka warns of them and goes on.
pub fn unknown_keys(client: ClientKind, properties: &Properties) -> Vec<String> {
    let known = |name: &str| keys().iter().any(|key| key.name == name && key.belongs_to(client));
    properties.keys().filter(|name| !known(name)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_one(client: ClientKind, key: &str, text: &str) -> Result<Value, ConfigError> {
        let mut properties = Properties::new();
        properties.insert("bootstrap.servers".to_owned(), "h:1".to_owned());
        properties.insert(key.to_owned(), text.to_owned());
        Values::parse(client, &properties).map(|values| values.value(key).clone())
    }

    fn clients(letters: &str) -> impl Iterator<Item = ClientKind> + '_ {
        letters.chars().map(|letter| match letter {
            'p' => ClientKind::Producer,
            'c' => ClientKind::Consumer,
            'a' => ClientKind::Admin,
            other => panic!("no client has the letter {other}"),
        })
    }

    /// The answers of the `ConfigDef`s of Kafka 4.3.1, recorded from its classes.
    #[test]
    fn every_key_takes_and_refuses_what_kafka_does() {
        let recorded = include_str!("../tests/data/config-answers.tsv");
        let mut checked = 0;
        for line in recorded.lines().skip(1) {
            let fields: Vec<&str> = line.split('\t').collect();
            let [letters, key, text, verdict, answer] = fields[..] else { panic!("bad line: {line}") };
            let text = text.strip_prefix('<').and_then(|text| text.strip_suffix('>')).unwrap();
            for client in clients(letters) {
                match parse_one(client, key, text) {
                    Ok(value) => assert_eq!((verdict, value.to_string().as_str()), ("ok", answer), "{line}"),
                    Err(error) => {
                        assert_eq!((verdict, error.to_string().as_str()), ("error", answer), "{line}");
                    }
                }
                checked += 1;
            }
        }
        assert!(checked > 1000, "only {checked} answers were compared");
    }

    #[test]
    fn a_key_without_default_must_be_given() {
        let error = Values::parse(ClientKind::Producer, &Properties::new()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "Missing required configuration \"bootstrap.servers\" which has no default value."
        );
    }

    #[test]
    fn an_unknown_key_is_reported_and_not_refused() {
        let properties = Properties::from([("linger.sm".to_owned(), "1".to_owned())]);
        assert_eq!(unknown_keys(ClientKind::Producer, &properties), ["linger.sm"]);
    }
}
