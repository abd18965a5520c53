//! What DescribeConfigs tells of a topic, a broker, a group or a metrics subscription.
//!
//! Owns: which entries there are, their effective value, its source and the synonyms in Kafka's order.
//! Does not own: permissions, unknown resources, the wire message (`server`).
//!
//! Invariants
//! - entries are sorted by name (Kafka's order is that of a hash map);
//! - no sensitive value leaves this file.
//!
//! Source: requirements CFG-01 to CFG-04; `tests/data/describe/` holds Kafka's answers.

use super::layers::{broker_key, broker_synonyms};
use super::{
    Change, Key, KeyTable, Kind, Layers, Listing, Settings, broker_keys, client_metrics_keys, group_keys,
    topic_keys,
};

/// Where a value comes from, with the number on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    DynamicTopic,
    DynamicBroker,
    DynamicDefaultBroker,
    StaticBroker,
    Default,
    DynamicBrokerLogger,
    DynamicClientMetrics,
    DynamicGroup,
}

impl Source {
    /// The number of the source in DescribeConfigs.
    pub const fn code(self) -> i8 {
        match self {
            Source::DynamicTopic => 1,
            Source::DynamicBroker => 2,
            Source::DynamicDefaultBroker => 3,
            Source::StaticBroker => 4,
            Source::Default => 5,
            Source::DynamicBrokerLogger => 6,
            Source::DynamicClientMetrics => 7,
            Source::DynamicGroup => 8,
        }
    }
}

/// One config of a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub name: String,
    /// The effective value; `None` where there is none or it must not be shown.
    pub value: Option<String>,
    pub source: Source,
    pub is_sensitive: bool,
    pub is_read_only: bool,
    /// `None` for a key that nobody declared.
    pub kind: Option<Kind>,
    /// Every layer that sets the key or one of its synonyms, the winner first.
    pub synonyms: Vec<EntrySynonym>,
    /// The reference's sentences, empty for a key that nobody declared.
    pub documentation: String,
}

/// One layer in which a value stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntrySynonym {
    pub name: String,
    pub value: Option<String>,
    pub source: Source,
}

/// Which configs of a resource are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    All,
    /// These names; unknown ones are skipped.
    Names(Vec<String>),
}

impl Asked {
    /// Reads the list of a request: null and empty both mean everything.
    pub fn from_request(names: Option<Vec<String>>) -> Asked {
        match names {
            None => Asked::All,
            Some(names) if names.is_empty() => Asked::All,
            Some(names) => Asked::Names(names),
        }
    }

    fn by_name(&self, name: &str) -> bool {
        match self {
            Asked::All => false,
            Asked::Names(names) => names.iter().any(|asked| asked == name),
        }
    }

    /// Whether an entry is wanted, given whether it is listed for everybody.
    fn wants(&self, name: &str, is_listed: bool) -> bool {
        match self {
            Asked::All => is_listed,
            Asked::Names(_) => self.by_name(name),
        }
    }
}

/// The names of a table that are wanted, and those that are set without being declared.
fn wanted<'a>(table: &KeyTable, set: &'a Settings, asked: &Asked) -> Vec<(&'a str, Option<&'static Key>)>
where
    'static: 'a,
{
    let mut names: Vec<(&'a str, Option<&'static Key>)> = table
        .values()
        .filter(|key| {
            let is_listed = key.listing == Listing::Always || set.contains_key(key.name);
            // Kafka's internal keys exist only where they are set; ours can be asked for.
            let exists = is_listed || key.is_own();
            exists && asked.wants(key.name, is_listed)
        })
        .map(|key| (key.name, Some(*key)))
        .collect();
    let undeclared = set.keys().filter(|name| !table.contains_key(name.as_str()) && asked.wants(name, true));
    names.extend(undeclared.map(|name| (name.as_str(), None)));
    names.sort_unstable_by_key(|(name, _)| *name);
    names
}

impl Layers {
    /// The configs of a topic with these overrides.
    pub fn describe_topic(&self, overrides: &Settings, asked: &Asked) -> Vec<Entry> {
        let describe = |(name, key): (&str, Option<&'static Key>)| {
            let mut synonyms = match key.and_then(|key| key.synonyms.first()) {
                Some(synonym) => self.synonyms_of(synonym.name, is_sensitive(key)),
                None => Vec::new(),
            };
            let value = self.resource_value(name, key, overrides);
            add_override(&mut synonyms, overrides, (name, value.clone(), Source::DynamicTopic));
            resource_entry(name, key, value, synonyms)
        };
        wanted(topic_keys(), overrides, asked).into_iter().map(describe).collect()
    }

    /// The configs of a group with these overrides.
    pub fn describe_group(&self, overrides: &Settings, asked: &Asked) -> Vec<Entry> {
        let describe = |(name, key): (&str, Option<&'static Key>)| {
            let mut synonyms = match key.map(|key| (key.synonyms.first(), key.default_text())) {
                Some((Some(synonym), _)) => self.synonyms_of(synonym.name, is_sensitive(key)),
                Some((None, Some(default))) => vec![EntrySynonym {
                    name: name.to_owned(),
                    value: Some(default.to_owned()),
                    source: Source::Default,
                }],
                Some((None, None)) | None => Vec::new(),
            };
            let value = self.resource_value(name, key, overrides);
            add_override(&mut synonyms, overrides, (name, value.clone(), Source::DynamicGroup));
            resource_entry(name, key, value, synonyms)
        };
        wanted(group_keys(), overrides, asked).into_iter().map(describe).collect()
    }

    /// The configs of a subscription to client metrics, which inherits nothing from the broker.
    pub fn describe_client_metrics(&self, overrides: &Settings, asked: &Asked) -> Vec<Entry> {
        let describe = |(name, key): (&str, Option<&'static Key>)| {
            let value = self.resource_value(name, key, overrides);
            let mut synonyms = Vec::new();
            add_override(&mut synonyms, overrides, (name, value.clone(), Source::DynamicClientMetrics));
            resource_entry(name, key, value, synonyms)
        };
        wanted(client_metrics_keys(), overrides, asked).into_iter().map(describe).collect()
    }

    /// The configs of this broker.
    pub fn describe_broker(&self, asked: &Asked) -> Vec<Entry> {
        let describe = |(name, _): (&str, Option<&'static Key>)| {
            let effective = match self.value(name) {
                Ok(value) => value.map(|value| value.to_string()),
                Err(_) => self.effective().get(name).cloned(),
            };
            let key = broker_key(name);
            broker_entry(name, effective, self.synonyms_of(name, is_sensitive(key)))
        };
        wanted(broker_keys(), self.effective(), asked).into_iter().map(describe).collect()
    }

    /// The configs of the cluster's dynamic default: only what is set there (CFG-04).
    pub fn describe_cluster_default(&self, asked: &Asked) -> Vec<Entry> {
        let describe = |(name, text): (&String, &String)| {
            let mut synonyms = self.synonyms_of(name, is_sensitive(broker_key(name)));
            synonyms.retain(|synonym| synonym.source == Source::DynamicDefaultBroker);
            broker_entry(name, Some(text.clone()), synonyms)
        };
        self.dynamic_default().iter().filter(|(name, _)| asked.wants(name, true)).map(describe).collect()
    }

    /// The effective value of a resource's key: its override, or what it inherits.
    fn resource_value(&self, name: &str, key: Option<&'static Key>, overrides: &Settings) -> Option<String> {
        let key = key?;
        let text = match overrides.get(name) {
            Some(text) => Some(text.clone()),
            None => self.inherited(key).ok().flatten(),
        };
        let printed = |text: String| key.parse(&text).map(|value| value.to_string()).unwrap_or(text);
        text.map(printed)
    }

    /// Every layer that sets the broker key or a synonym of it. Synonyms before the key's own name are left out,
    /// and with them all the rest where the key itself stands in no layer; so does Kafka.
    fn synonyms_of(&self, name: &str, sensitive: bool) -> Vec<EntrySynonym> {
        let names = broker_synonyms(name);
        let layers = [
            (self.dynamic_broker(), Source::DynamicBroker),
            (self.dynamic_default(), Source::DynamicDefaultBroker),
            (self.fixed(), Source::StaticBroker),
        ];
        let mut found = Vec::new();
        let mut add = |name: &str, text: &str, source: Source| {
            let value = if sensitive { None } else { Some(text.to_owned()) };
            found.push(EntrySynonym { name: name.to_owned(), value, source });
        };
        for (settings, source) in layers {
            for synonym in &names {
                if let Some(text) = settings.get(*synonym) {
                    add(synonym, text, source);
                }
            }
        }
        for synonym in &names {
            if let Some(text) = broker_keys().get(synonym).and_then(|key| key.default_text()) {
                add(synonym, text, Source::Default);
            }
        }
        let first = found.iter().position(|synonym| synonym.name == name).unwrap_or(found.len());
        found.split_off(first)
    }
}

/// A value nobody knows the type of may be a secret.
fn is_sensitive(key: Option<&Key>) -> bool {
    key.is_none_or(|key| key.kind.is_sensitive())
}

/// Puts the override of the resource before the layers of the broker.
fn add_override(
    synonyms: &mut Vec<EntrySynonym>,
    overrides: &Settings,
    (name, value, source): (&str, Option<String>, Source),
) {
    if overrides.contains_key(name) {
        synonyms.insert(0, EntrySynonym { name: name.to_owned(), value, source });
    }
}

fn resource_entry(
    name: &str,
    key: Option<&'static Key>,
    value: Option<String>,
    synonyms: Vec<EntrySynonym>,
) -> Entry {
    let is_sensitive = is_sensitive(key);
    Entry {
        name: name.to_owned(),
        value: if is_sensitive { None } else { value },
        source: synonyms.first().map_or(Source::Default, |first| first.source),
        is_sensitive,
        is_read_only: false,
        kind: key.map(|key| key.kind),
        synonyms,
        documentation: key.map(Key::doc).unwrap_or_default(),
    }
}

fn broker_entry(name: &str, value: Option<String>, synonyms: Vec<EntrySynonym>) -> Entry {
    // Kafka looks at the name as it stands, so a key with a listener's prefix shows as read-only.
    let is_read_only = broker_keys().get(name).is_none_or(|key| key.change == Change::ReadOnly);
    Entry { is_read_only, ..resource_entry(name, broker_key(name), value, synonyms) }
}
