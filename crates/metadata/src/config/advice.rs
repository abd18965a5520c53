//! What an operator should know of a configuration that is accepted.
//!
//! Owns: unknown names and the nearest known one, names of earlier releases, settings without effect.
//! Does not own: refusals (`broker`), the log the advice is written to (`server`).
//!
//! Source: requirements CFG-10 and CFG-20.

use std::fmt;

use super::layers::broker_key;
use super::{Effect, Settings, broker_keys};

/// One remark on a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Advice {
    /// Nobody declared the name.
    Unknown { name: String, nearest: Option<&'static str> },
    /// Kafka 4.0 removed the key.
    Removed { name: String },
    /// Its effect comes in a later release.
    Later { name: String },
    /// It governs something this implementation does not have.
    Moot { name: String },
    /// A value with a reference whose provider is not declared.
    Reference { name: String, provider: String },
}

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Advice::Unknown { name, nearest: Some(nearest) } => {
                write!(f, "unknown setting {name} is ignored; did you mean {nearest}?")
            }
            Advice::Unknown { name, nearest: None } => write!(f, "unknown setting {name} is ignored"),
            Advice::Removed { name } => {
                write!(f, "setting {name} is ignored: Kafka 4.0 removed it")
            }
            Advice::Later { name } => write!(f, "setting {name} is accepted, but has no effect yet"),
            Advice::Moot { name } => {
                write!(f, "setting {name} is accepted, but governs nothing in this implementation")
            }
            Advice::Reference { name, provider } => write!(
                f,
                "the value of {name} is taken as it stands: config.providers does not name '{provider}'"
            ),
        }
    }
}

/// Keys that Kafka had before 4.0. Names that end in a dot stand for all that begin so.
const REMOVED: [&str; 18] = [
    "auto.include.jmx.reporter",
    "broker.id.generation.enable",
    "control.plane.listener.name",
    "controlled.shutdown.max.retries",
    "controlled.shutdown.retry.backoff.ms",
    "delegation.token.master.key",
    "inter.broker.protocol.version",
    "leader.imbalance.per.broker.percentage",
    "log.message.downconversion.enable",
    "log.message.format.version",
    "log.message.timestamp.difference.max.ms",
    "message.downconversion.enable",
    "message.format.version",
    "offsets.commit.required.acks",
    "password.encoder.",
    "reserved.broker.max.id",
    "zookeeper.",
    "zookeeper.metadata.migration.",
];

/// Settings of plugins, which are no keys of the broker but are looked up by their names.
const PLUGIN_PREFIXES: [&str; 3] = ["config.providers.", "rlmm.config.", "rsm.config."];

/// What to tell of the settings of a properties file, in the order of names.
pub fn advise(settings: &Settings) -> Vec<Advice> {
    let mut advice = Vec::new();
    for (name, value) in settings {
        advice.extend(advise_on_name(name));
        advice.extend(advise_on_reference(name, value, settings));
    }
    advice
}

fn advise_on_name(name: &str) -> Option<Advice> {
    let owned = name.to_owned();
    match broker_key(name).map(|key| key.effect) {
        Some(Effect::Live | Effect::Refused) => None,
        Some(Effect::Later) => Some(Advice::Later { name: owned }),
        Some(Effect::Moot) => Some(Advice::Moot { name: owned }),
        None if PLUGIN_PREFIXES.iter().any(|prefix| name.starts_with(prefix)) => None,
        None if is_removed(name) => Some(Advice::Removed { name: owned }),
        None => Some(Advice::Unknown { nearest: nearest_key(name), name: owned }),
    }
}

fn is_removed(name: &str) -> bool {
    REMOVED.iter().any(|key| *key == name || (key.ends_with('.') && name.starts_with(key)))
}

fn advise_on_reference(name: &str, value: &str, settings: &Settings) -> Option<Advice> {
    let (_, reference) = value.split_once("${")?;
    let (inner, _) = reference.split_once('}')?;
    let (provider, _) = inner.split_once(':')?;
    let declared = super::split_list(settings.get("config.providers").map_or("", String::as_str));
    if declared.iter().any(|name| name == provider) {
        return None;
    }
    Some(Advice::Reference { name: name.to_owned(), provider: provider.to_owned() })
}

/// The declared broker key that is fewest edits away, if that is few for the length of the name.
pub fn nearest_key(name: &str) -> Option<&'static str> {
    let edits_max = (name.chars().count() / 4).clamp(1, 5);
    let candidates = broker_keys().keys().map(|key| (edits(name, key), *key));
    candidates.filter(|(edits, _)| *edits <= edits_max).min().map(|(_, key)| key)
}

/// Insertions, deletions and substitutions that turn one text into the other.
fn edits(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (before, character) in from.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], before + 1);
        for (at, other) in to.iter().enumerate() {
            let substituted = diagonal + usize::from(character != *other);
            diagonal = row[at + 1];
            row[at + 1] = substituted.min(diagonal + 1).min(row[at] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn advice(pairs: &[(&str, &str)]) -> Vec<String> {
        let settings = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        advise(&settings).iter().map(Advice::to_string).collect()
    }

    /// CFG-10
    #[test]
    fn an_unknown_name_is_told_with_the_nearest_known_one() {
        let cases = [
            ("log.retention.hour", "did you mean log.retention.hours?"),
            ("log.dir.", "did you mean log.dir?"),
            ("num.partition", "did you mean num.partitions?"),
            ("auto.create.topic.enabled", "did you mean auto.create.topics.enable?"),
            ("ottla.ack.durabilty", "did you mean ottla.ack.durability?"),
        ];
        for (name, hint) in cases {
            assert_eq!(advice(&[(name, "1")]), [format!("unknown setting {name} is ignored; {hint}")]);
        }
        assert_eq!(advice(&[("my.company.tag", "1")]), ["unknown setting my.company.tag is ignored"]);
    }

    /// CFG-20
    #[test]
    fn keys_of_earlier_releases_only_warn() {
        for name in ["zookeeper.connect", "inter.broker.protocol.version", "offsets.commit.required.acks"] {
            assert_eq!(advice(&[(name, "1")]), [format!("setting {name} is ignored: Kafka 4.0 removed it")]);
        }
    }

    #[test]
    fn settings_without_effect_are_named_and_others_are_not() {
        assert_eq!(
            advice(&[("num.io.threads", "8"), ("remote.log.reader.threads", "9")]),
            [
                "setting num.io.threads is accepted, but governs nothing in this implementation",
                "setting remote.log.reader.threads is accepted, but has no effect yet",
            ]
        );
        assert!(advice(&[("num.partitions", "3"), ("listener.name.a.max.connections", "5")]).is_empty());
        assert!(advice(&[("config.providers.env.class", "x")]).is_empty());
    }

    /// CFG-10
    #[test]
    fn a_reference_without_its_provider_is_told() {
        assert_eq!(
            advice(&[("node.id", "${env:ID}")]),
            ["the value of node.id is taken as it stands: config.providers does not name 'env'"]
        );
    }

    #[test]
    fn edits_are_counted() {
        assert_eq!(edits("kitten", "sitting"), 3);
        assert_eq!(edits("", "abc"), 3);
        assert_eq!(edits("abc", "abc"), 0);
    }
}
