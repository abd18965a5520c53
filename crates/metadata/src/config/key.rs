//! What is declared about one config key, and the macro that declares many.
//!
//! Owns: `Key`, its parts, `keys!`. Does not own: the declarations themselves (`keys/`).
//!
//! One entry looks like this; everything that is known of a key stands in it (style rule 20):
//! ```text
//! /// Size at which the active segment is closed and a new one begun.
//! "log.segment.bytes": Int = "1073741824", AtLeast(1048576), ClusterWide, High, Live;
//! ```
//! `required` and `null` stand in for a default. `<- ["name", ...]` behind the effect names the broker keys
//! a topic or group takes its default from, in the order in which they win. `unlisted` keeps a key out of
//! DescribeConfigs until it is set.

use super::{Check, ConfigError, Kind, Value};

/// One config key.
#[derive(Debug)]
pub struct Key {
    pub name: &'static str,
    pub kind: Kind,
    pub default: Default,
    pub check: Check,
    pub change: Change,
    pub importance: Importance,
    pub effect: Effect,
    /// Broker keys that stand in for this one, in the order in which they win.
    pub synonyms: &'static [Synonym],
    pub listing: Listing,
    /// Sentences of the reference, each line with a leading space.
    pub doc_lines: &'static [&'static str],
}

/// What holds where nobody set the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Default {
    /// Nothing: a node does not start without it.
    Required,
    /// No value.
    Null,
    /// This text, read like a configured one.
    Text(&'static str),
}

/// Whether and at which level a broker key can be changed while the node runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    ReadOnly,
    PerBroker,
    ClusterWide,
    /// A key of a topic, group or metrics subscription: changed by altering that resource.
    Resource,
}

impl Change {
    /// Kafka's name of the mode.
    pub const fn name(self) -> &'static str {
        match self {
            Change::ReadOnly => "read-only",
            Change::PerBroker => "per-broker",
            Change::ClusterWide => "cluster-wide",
            Change::Resource => "per-resource",
        }
    }
}

/// Kafka's ranking of keys for the reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Importance {
    High,
    Medium,
    Low,
}

impl Importance {
    pub const fn name(self) -> &'static str {
        match self {
            Importance::High => "high",
            Importance::Medium => "medium",
            Importance::Low => "low",
        }
    }
}

/// What setting the key does in this release. The reference page shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It works.
    Live,
    /// Accepted and shown; what it governs is not built yet.
    Later,
    /// Accepted and shown; what it governs does not exist in this implementation.
    Moot,
    /// A node that is given another value than the default refuses to start: ignoring it would be unsafe.
    Refused,
}

/// A broker key that stands in for another key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Synonym {
    pub name: &'static str,
    pub unit: Unit,
}

/// In which unit a synonym counts, where the key itself counts milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    Same,
    Minutes,
    Hours,
}

impl Unit {
    /// Milliseconds of one unit; 1 where there is nothing to convert.
    pub const fn factor(self) -> i64 {
        match self {
            Unit::Same => 1,
            Unit::Minutes => 60 * 1000,
            Unit::Hours => 60 * 60 * 1000,
        }
    }
}

impl Synonym {
    pub(crate) const fn new(name: &'static str) -> Synonym {
        let unit = match name.as_bytes() {
            [.., b'.', b'm', b'i', b'n', b'u', b't', b'e', b's'] => Unit::Minutes,
            [.., b'.', b'h', b'o', b'u', b'r', b's'] => Unit::Hours,
            _ => Unit::Same,
        };
        Synonym { name, unit }
    }
}

/// Whether DescribeConfigs shows the key to somebody who did not ask for it by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listing {
    Always,
    /// Kafka's internal keys and our own: only where they are set.
    WhenSet,
}

impl Key {
    /// Reads and checks a text for this key. As in Kafka, an item that a list names twice counts once.
    pub fn parse(&self, text: &str) -> Result<Value, ConfigError> {
        let mut value = Value::parse(self.name, text, self.kind)?;
        if self.check.wants_distinct_items() {
            value.keep_first_of_equal_items();
        }
        self.check.ensure(self.name, &value)?;
        Ok(value)
    }

    /// The default as it is written, if there is one.
    pub const fn default_text(&self) -> Option<&'static str> {
        match self.default {
            Default::Required | Default::Null => None,
            Default::Text(text) => Some(text),
        }
    }

    /// The sentences of the reference.
    pub fn doc(&self) -> String {
        let lines: Vec<&str> = self.doc_lines.iter().map(|line| line.trim()).collect();
        lines.join(" ")
    }

    /// Whether the key is ours and not Kafka's.
    pub fn is_own(&self) -> bool {
        self.name.starts_with("ottla.")
    }
}

macro_rules! keys {
    ($(#[$table_doc:meta])* $table:ident: $(
        $(#[doc = $doc:literal])+
        $name:literal: $kind:ident $(= $default:literal)? $($absent:ident)?,
        $check:expr, $change:ident, $importance:ident, $effect:ident
        $(<- [$($synonym:literal),+])? $(, $unlisted:ident)?;
    )+) => {
        $(#[$table_doc])*
        pub(crate) static $table: &[$crate::config::Key] = &[$(
            $crate::config::Key {
                name: $name,
                kind: $crate::config::Kind::$kind,
                default: keys!(@default $($default)? $($absent)?),
                check: $check,
                change: $crate::config::Change::$change,
                importance: $crate::config::Importance::$importance,
                effect: $crate::config::Effect::$effect,
                synonyms: &[$($($crate::config::Synonym::new($synonym)),+)?],
                listing: keys!(@listing $($unlisted)?),
                doc_lines: &[$($doc),+],
            }
        ),+];
    };
    (@default required) => { $crate::config::Default::Required };
    (@default null) => { $crate::config::Default::Null };
    (@default $text:literal) => { $crate::config::Default::Text($text) };
    (@listing) => { $crate::config::Listing::Always };
    (@listing unlisted) => { $crate::config::Listing::WhenSet };
}
pub(crate) use keys;
