//! Where the settings of a node come from: its properties file, the cluster's dynamic default, its own dynamic
//! settings; and which of them wins.
//!
//! Owns: the three layers, the synonyms of broker keys, effective values, what topics and groups inherit.
//! Does not own: topic overrides (the image holds them), what DescribeConfigs shows (`describe`).
//!
//! Invariants
//! - I1 `node.id` and `broker.id` are both present where one of them was set;
//! - I2 a dynamic setting hides every synonym of a lower layer, as `log.retention.ms` hides `log.retention.hours`.
//!
//! Source: behaviour of DynamicBrokerConfig of Kafka 4.3.1 (`tests/data/synonyms-*.tsv`, `tests/data/describe/`).

use std::collections::BTreeMap;

use super::{ConfigError, Default, Key, Synonym, Unit, Value, broker_keys, topic_keys};

/// Settings as they are written: key and text, in the order of keys.
pub type Settings = BTreeMap<String, String>;

/// The settings of one node in three layers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layers {
    fixed: Settings,
    dynamic_default: Settings,
    dynamic_broker: Settings,
    effective: Settings,
}

/// Keys that may be given per listener *and* SASL mechanism.
const MECHANISM_KEYS: [&str; 5] = [
    "connections.max.reauth.ms",
    "sasl.jaas.config",
    "sasl.login.callback.handler.class",
    "sasl.login.class",
    "sasl.server.callback.handler.class",
];

impl Layers {
    /// The settings of a properties file, without anything dynamic.
    pub fn new(mut fixed: Settings) -> Layers {
        match (fixed.get("node.id").cloned(), fixed.get("broker.id").cloned()) {
            (Some(id), None) => fixed.insert("broker.id".to_owned(), id),
            (None, Some(id)) => fixed.insert("node.id".to_owned(), id),
            (Some(_), Some(_)) | (None, None) => None,
        };
        let effective = fixed.clone();
        Layers { fixed, dynamic_default: Settings::new(), dynamic_broker: Settings::new(), effective }
    }

    /// The same node with other dynamic settings: the cluster's default and its own.
    #[must_use]
    pub fn with_dynamic(&self, dynamic_default: Settings, dynamic_broker: Settings) -> Layers {
        let mut effective = self.fixed.clone();
        overlay(&mut effective, &dynamic_default);
        overlay(&mut effective, &dynamic_broker);
        Layers { fixed: self.fixed.clone(), dynamic_default, dynamic_broker, effective }
    }

    /// What stands in the properties file.
    pub fn fixed(&self) -> &Settings {
        &self.fixed
    }

    /// The cluster-wide dynamic default.
    pub fn dynamic_default(&self) -> &Settings {
        &self.dynamic_default
    }

    /// The dynamic settings of this node.
    pub fn dynamic_broker(&self) -> &Settings {
        &self.dynamic_broker
    }

    /// Every setting somebody made, in the layer that wins.
    pub fn effective(&self) -> &Settings {
        &self.effective
    }

    /// Whether somebody set the key, in whatever layer.
    pub fn is_set(&self, name: &str) -> bool {
        self.effective.contains_key(name)
    }

    /// The value of a broker key: what is set, or its default; `None` where neither exists.
    /// A key that nobody declared has its text as value.
    pub fn value(&self, name: &str) -> Result<Option<Value>, ConfigError> {
        let Some(key) = broker_keys().get(name) else {
            return Ok(self.effective.get(name).map(|text| Value::String(text.clone())));
        };
        match (self.effective.get(name).map(String::as_str), key.default) {
            (Some(text), _) | (None, Default::Text(text)) => key.parse(text).map(Some),
            (None, Default::Null) => Ok(None),
            (None, Default::Required) => Err(ConfigError::Missing { name: name.to_owned() }),
        }
    }

    /// The text a topic or group key has where the resource itself does not set it: that of the first synonym
    /// with a value, in the unit of the key, or else the key's own default.
    pub fn inherited(&self, key: &Key) -> Result<Option<String>, ConfigError> {
        for synonym in key.synonyms {
            if let Some(value) = self.value(synonym.name)? {
                return Ok(Some(convert(synonym, &value)));
            }
        }
        Ok(key.default_text().map(str::to_owned))
    }
}

/// The value of a synonym in the unit of the key it stands in for.
fn convert(synonym: &Synonym, value: &Value) -> String {
    let Some(count) = value.as_integer() else { return value.to_string() };
    // Every negative retention time means "for ever", in whatever unit it is given.
    if synonym.name.starts_with("log.retention.") && synonym.name != "log.retention.bytes" && count < 0 {
        return "-1".to_owned();
    }
    match synonym.unit {
        Unit::Same => count.to_string(),
        Unit::Minutes | Unit::Hours => count.saturating_mul(synonym.unit.factor()).to_string(),
    }
}

/// Puts `above` over `below`; every setting removes its synonyms first (I2).
fn overlay(below: &mut Settings, above: &Settings) {
    for (name, text) in above {
        if let Some(key) = broker_keys().get(name.as_str()) {
            for synonym in key.synonyms {
                below.remove(synonym.name);
            }
        }
        below.insert(name.clone(), text.clone());
    }
}

/// The value of a topic key: its override, or what the topic inherits.
pub(crate) fn topic_value(
    layers: &Layers,
    overrides: &Settings,
    name: &str,
) -> Result<Option<Value>, ConfigError> {
    let Some(key) = topic_keys().get(name) else { return Ok(None) };
    let text = match overrides.get(name) {
        Some(text) => Some(text.clone()),
        None => layers.inherited(key)?,
    };
    text.map(|text| key.parse(&text)).transpose()
}

/// The declared key behind a name of the broker resource, which may carry a listener and a mechanism:
/// `listener.name.external.scram-sha-512.sasl.jaas.config` is a `sasl.jaas.config`.
pub fn broker_key(name: &str) -> Option<&'static Key> {
    let keys = broker_keys();
    keys.get(name).or_else(|| keys.get(without_listener(name)?)).copied()
}

/// The key behind the prefix `listener.name.<listener>.`, and behind `<mechanism>.` where there is one.
pub(crate) fn without_listener(name: &str) -> Option<&str> {
    let (_, base) = name.strip_prefix("listener.name.")?.split_once('.')?;
    Some(MECHANISM_KEYS.into_iter().find(|key| base.ends_with(key)).unwrap_or(base))
}

/// All names under which a broker setting is looked for, in the order in which they win.
pub(crate) fn broker_synonyms(name: &str) -> Vec<&str> {
    match broker_keys().get(name) {
        Some(key) if !key.synonyms.is_empty() => key.synonyms.iter().map(|synonym| synonym.name).collect(),
        Some(_) => vec![name],
        None => std::iter::once(name).chain(without_listener(name)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> Settings {
        text.split_whitespace()
            .filter_map(|pair| pair.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }

    fn inherited(layers: &Layers, topic_key: &str) -> String {
        let key = topic_keys()[topic_key];
        layers.inherited(key).unwrap().unwrap_or_else(|| "null".to_owned())
    }

    /// CFG-02
    #[test]
    fn a_topic_takes_its_retention_from_the_finest_unit_that_is_set() {
        let cases = [
            ("", "604800000"),
            ("log.retention.hours=1", "3600000"),
            ("log.retention.hours=1 log.retention.minutes=2", "120000"),
            ("log.retention.hours=1 log.retention.minutes=2 log.retention.ms=3", "3"),
            ("log.retention.hours=-5", "-1"),
            ("log.retention.ms=-2", "-1"),
        ];
        for (fixed, expected) in cases {
            assert_eq!(inherited(&Layers::new(settings(fixed)), "retention.ms"), expected, "{fixed}");
        }
        let layers = Layers::new(settings("log.roll.hours=2 log.roll.jitter.hours=1"));
        assert_eq!(inherited(&layers, "segment.ms"), "7200000");
        assert_eq!(inherited(&layers, "segment.jitter.ms"), "3600000");
        let layers = Layers::new(settings("log.flush.scheduler.interval.ms=5"));
        assert_eq!(inherited(&layers, "flush.ms"), "5");
    }

    /// CFG-02
    #[test]
    fn a_dynamic_setting_hides_the_synonyms_below_it() {
        let layers = Layers::new(settings("log.retention.minutes=2"))
            .with_dynamic(settings("log.retention.ms=7"), Settings::new());
        assert!(!layers.is_set("log.retention.minutes"));
        assert_eq!(inherited(&layers, "retention.ms"), "7");
        let layers = layers.with_dynamic(settings("message.max.bytes=3"), settings("message.max.bytes=2"));
        assert_eq!(layers.value("message.max.bytes"), Ok(Some(Value::Int(2))));
        assert_eq!(inherited(&layers, "retention.ms"), "120000", "the dynamic default is gone");
    }

    #[test]
    fn node_id_and_broker_id_are_one() {
        for text in ["node.id=3", "broker.id=3"] {
            let layers = Layers::new(settings(text));
            assert_eq!(layers.value("node.id"), Ok(Some(Value::Int(3))));
            assert_eq!(layers.value("broker.id"), Ok(Some(Value::Int(3))));
        }
        let missing = Layers::default().value("node.id").unwrap_err();
        assert_eq!(
            missing.to_string(),
            "Missing required configuration \"node.id\" which has no default value."
        );
    }

    /// LSN-02
    #[test]
    fn a_listener_prefix_leads_to_the_key_behind_it() {
        let behind = |name: &str| broker_key(name).map(|key| key.name);
        assert_eq!(behind("listener.name.external.ssl.keystore.location"), Some("ssl.keystore.location"));
        assert_eq!(behind("listener.name.a.scram-sha-512.sasl.jaas.config"), Some("sasl.jaas.config"));
        assert_eq!(behind("listener.name.external.max.connections"), Some("max.connections"));
        assert_eq!(behind("listener.name.external.bogus"), None);
        assert_eq!(
            broker_synonyms("listener.name.x.max.connections"),
            ["listener.name.x.max.connections", "max.connections"]
        );
    }
}
