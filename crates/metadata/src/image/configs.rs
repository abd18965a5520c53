//! Dynamic configuration, as the committed metadata has it.
//!
//! Owns: which values are set on which resource.
//! Does not own: which keys exist and what they mean (`config`), static configuration (`server`).
//!
//! Source: `ConfigRecord`; requirement CFG-01.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use ottla_model::BrokerId;

/// What a configuration belongs to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConfigResource {
    /// A topic, by name.
    Topic(String),
    /// All brokers: the empty broker name.
    BrokerDefault,
    Broker(BrokerId),
    /// A subscription of client metrics, by name.
    ClientMetrics(String),
    /// A group, by id.
    Group(String),
}

/// The values set on one resource, by key.
pub type ConfigValues = BTreeMap<String, String>;

/// All dynamic values. Cheap to clone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Configs {
    pub(super) by_resource: Arc<BTreeMap<ConfigResource, Arc<ConfigValues>>>,
}

impl ConfigResource {
    /// The resource that a record or request names, or `None` when there is no such kind or broker.
    pub fn new(kind: i8, name: &str) -> Option<ConfigResource> {
        match kind {
            2 => Some(ConfigResource::Topic(name.to_owned())),
            4 if name.is_empty() => Some(ConfigResource::BrokerDefault),
            4 => name.parse().ok().and_then(BrokerId::new).map(ConfigResource::Broker),
            16 => Some(ConfigResource::ClientMetrics(name.to_owned())),
            32 => Some(ConfigResource::Group(name.to_owned())),
            _ => None,
        }
    }

    /// The kind's number in records and requests (CFG-01).
    pub fn kind(&self) -> i8 {
        match self {
            ConfigResource::Topic(_) => 2,
            ConfigResource::BrokerDefault | ConfigResource::Broker(_) => 4,
            ConfigResource::ClientMetrics(_) => 16,
            ConfigResource::Group(_) => 32,
        }
    }

    /// The name in records and requests.
    pub fn name(&self) -> String {
        match self {
            ConfigResource::Topic(name)
            | ConfigResource::ClientMetrics(name)
            | ConfigResource::Group(name) => name.clone(),
            ConfigResource::BrokerDefault => String::new(),
            ConfigResource::Broker(broker) => broker.to_string(),
        }
    }
}

impl fmt::Display for ConfigResource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConfigResource::Topic(name) => write!(f, "topic {name}"),
            ConfigResource::BrokerDefault => write!(f, "all brokers"),
            ConfigResource::Broker(broker) => write!(f, "broker {broker}"),
            ConfigResource::ClientMetrics(name) => write!(f, "client metrics {name}"),
            ConfigResource::Group(group) => write!(f, "group {group}"),
        }
    }
}

impl Configs {
    /// The values set on a resource; none is the same as an empty map.
    pub fn of(&self, resource: &ConfigResource) -> Option<&Arc<ConfigValues>> {
        self.by_resource.get(resource)
    }

    /// One value set on a resource.
    pub fn value(&self, resource: &ConfigResource, key: &str) -> Option<&str> {
        self.of(resource)?.get(key).map(String::as_str)
    }

    /// The values set on a topic.
    pub fn of_topic(&self, topic: &str) -> Option<&Arc<ConfigValues>> {
        self.of(&ConfigResource::Topic(topic.to_owned()))
    }

    /// All resources that have a value, with their values.
    pub fn iter(&self) -> impl Iterator<Item = (&ConfigResource, &Arc<ConfigValues>)> {
        self.by_resource.iter()
    }

    pub(super) fn set(&mut self, resource: ConfigResource, key: &str, value: Option<&str>) {
        let resources = Arc::make_mut(&mut self.by_resource);
        let values = Arc::make_mut(resources.entry(resource.clone()).or_default());
        match value {
            Some(value) => {
                values.insert(key.to_owned(), value.to_owned());
            }
            None => {
                values.remove(key);
            }
        }
        if values.is_empty() {
            resources.remove(&resource);
        }
    }

    pub(super) fn remove(&mut self, resource: &ConfigResource) {
        if self.by_resource.contains_key(resource) {
            Arc::make_mut(&mut self.by_resource).remove(resource);
        }
    }
}
