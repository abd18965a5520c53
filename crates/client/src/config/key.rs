//! The declaration of every key of the clients.
//!
//! Owns: reading the embedded table `keys.tsv` into [`Key`]s.
//! Does not own: checking a value (`value`).
//!
//! Invariants
//! - I1 names are unique and sorted;
//! - I2 every default that is not "must be given" is a legal value of its key (proven by a test).

use std::sync::LazyLock;

use super::ConfigError;
use super::value::{self, Value};

/// Which of the clients a configuration is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientKind {
    /// [`Producer`](crate::Producer).
    Producer,
    /// [`Consumer`](crate::Consumer).
    Consumer,
    /// [`Admin`](crate::Admin).
    Admin,
}

/// Kafka's type of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `true` or `false`, in any case.
    Boolean,
    /// 16 bits.
    Short,
    /// 32 bits.
    Int,
    /// 64 bits.
    Long,
    /// A decimal number.
    Double,
    /// Any text.
    Text,
    /// Texts with commas between them.
    List,
    /// The name of a Java class.
    Class,
    /// A text that is never shown.
    Password,
}

/// Whether a key already does something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It does.
    Live,
    /// The part of the client it steers does not exist yet.
    Later,
    /// It names Java classes, which have no meaning here.
    Jvm,
}

/// The default of a key for one client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Default {
    /// The key does not exist for this client.
    Absent,
    MustBeGiven,
    Null,
    Text(&'static str),
}

/// The values a key may have beyond its type.
#[derive(Clone, Debug, PartialEq)]
pub enum Valid {
    Any,
    NonEmpty,
    List,
    OneOf(Vec<&'static str>),
    OneOfAnyCase(Vec<&'static str>),
    /// As `OneOf`, in any case of letters, with the message that Kafka's enum keys have.
    Either(Vec<&'static str>),
    OffsetReset,
    Range {
        min: &'static str,
        max: Option<&'static str>,
        or: Option<&'static str>,
    },
}

/// One key: its name, type, defaults, valid values, and whether it has an effect yet.
#[derive(Clone, Debug)]
pub struct Key {
    /// Kafka's name.
    pub name: &'static str,
    /// Its type.
    pub kind: Kind,
    /// What values it may have.
    pub valid: Valid,
    /// Whether it does something yet.
    pub effect: Effect,
    producer: Default,
    consumer: Default,
    admin: Default,
}

impl Key {
    /// The default this key has for `client`.
    pub fn default_for(&self, client: ClientKind) -> Default {
        match client {
            ClientKind::Producer => self.producer,
            ClientKind::Consumer => self.consumer,
            ClientKind::Admin => self.admin,
        }
    }

    /// Whether `client` has this key.
    pub fn belongs_to(&self, client: ClientKind) -> bool {
        self.default_for(client) != Default::Absent
    }

    /// Whether `client` has no default for this key.
    pub(super) fn must_be_given(&self, client: ClientKind) -> bool {
        self.default_for(client) == Default::MustBeGiven
    }

    /// The default as a value. Serializers are types of the program here, so naming none is no error.
    pub(super) fn default_value(&self, client: ClientKind) -> Result<Value, ConfigError> {
        match self.default_for(client) {
            Default::MustBeGiven if self.effect == Effect::Jvm => Ok(Value::Null),
            Default::MustBeGiven => Err(ConfigError::Missing { key: self.name }),
            Default::Absent | Default::Null => Ok(Value::Null),
            Default::Text(text) => value::parse(self, text),
        }
    }
}

static TABLE: &str = include_str!("keys.tsv");

/// All keys, sorted by name.
pub fn keys() -> &'static [Key] {
    static KEYS: LazyLock<Vec<Key>> = LazyLock::new(|| {
        let rows = TABLE.lines().filter(|line| !line.starts_with('#')).skip(1);
        rows.map(|row| key_of(row).unwrap_or_else(|| panic!("keys.tsv has a malformed row: {row}"))).collect()
    });
    &KEYS
}

fn key_of(row: &'static str) -> Option<Key> {
    let fields: Vec<&'static str> = row.split('\t').collect();
    let [name, kind, producer, consumer, admin, valid, effect] = fields[..] else { return None };
    let kind = match kind {
        "BOOLEAN" => Kind::Boolean,
        "SHORT" => Kind::Short,
        "INT" => Kind::Int,
        "LONG" => Kind::Long,
        "DOUBLE" => Kind::Double,
        "STRING" => Kind::Text,
        "LIST" => Kind::List,
        "CLASS" => Kind::Class,
        "PASSWORD" => Kind::Password,
        _ => return None,
    };
    let effect = match effect {
        "live" => Effect::Live,
        "later" => Effect::Later,
        "jvm" => Effect::Jvm,
        _ => return None,
    };
    Some(Key {
        name,
        kind,
        valid: valid_of(valid)?,
        effect,
        producer: default_of(producer),
        consumer: default_of(consumer),
        admin: default_of(admin),
    })
}

fn default_of(field: &'static str) -> Default {
    match field {
        "-" => Default::Absent,
        "!" => Default::MustBeGiven,
        "~" => Default::Null,
        "\"\"" => Default::Text(""),
        text => Default::Text(text),
    }
}

fn valid_of(field: &'static str) -> Option<Valid> {
    let choices = |text: &'static str| text.split('|').collect();
    match field {
        "any" => return Some(Valid::Any),
        "non-empty" => return Some(Valid::NonEmpty),
        "list" => return Some(Valid::List),
        "offset reset" => return Some(Valid::OffsetReset),
        _ => {}
    }
    if let Some(rest) = field.strip_prefix("one of, any case ") {
        return Some(Valid::OneOfAnyCase(choices(rest)));
    }
    if let Some(rest) = field.strip_prefix("one of ") {
        return Some(Valid::OneOf(choices(rest)));
    }
    if let Some(rest) = field.strip_prefix("either ") {
        return Some(Valid::Either(choices(rest)));
    }
    let (range, or) = match field.split_once('|') {
        Some((range, or)) => (range, Some(or)),
        None => (field, None),
    };
    let (min, max) = range.split_once("..")?;
    Some(Valid::Range { min, max: (!max.is_empty()).then_some(max), or })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_every_default_is_legal() {
        assert!(keys().windows(2).all(|pair| pair[0].name < pair[1].name));
        for key in keys() {
            for client in [ClientKind::Producer, ClientKind::Consumer, ClientKind::Admin] {
                let missing = Err(ConfigError::Missing { key: key.name });
                let answer = key.default_value(client);
                assert!(
                    answer.is_ok() || (answer == missing && key.name == "bootstrap.servers"),
                    "{}",
                    key.name
                );
            }
        }
    }

    #[test]
    fn each_client_has_as_many_keys_as_kafka_s() {
        let count = |client| keys().iter().filter(|key| key.belongs_to(client)).count();
        assert_eq!(count(ClientKind::Producer), 113);
        assert_eq!(count(ClientKind::Consumer), 116);
        assert_eq!(count(ClientKind::Admin), 91);
    }
}
