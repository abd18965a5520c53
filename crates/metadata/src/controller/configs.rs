//! Changes of dynamic configuration.
//!
//! Owns: which resource may be changed, the operations on values, the records.
//! Does not own: keys, types and allowed values (`config`), permissions (`server`).
//!
//! Changes of one resource come true together or not at all; resources do not depend on each other.
//!
//! Source: KIP-133, KIP-226, KIP-339, KIP-966; Kafka 4.3.1's `kafka-configs`; requirements CFG-05 to CFG-07, ELE-02.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use ottla_model::{BrokerId, TopicName, TopicNameError};
use ottla_protocol::messages::{ClearElrRecord, ConfigRecord};

use super::topics::TooMuch;
use super::view::{Decision, MIN_IN_SYNC, RECORDS_PER_REQUEST_MAX, View};
use crate::config::{
    BrokerLevel, ConfigError, Kind, Settings, broker_keys, check_broker, check_client_metrics, check_group,
    check_topic, client_metrics_keys, group_keys, split_list, topic_keys,
};
use crate::image::ConfigResource;
use crate::records::MetadataRecord;

/// The change of one value, as it is on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigChange {
    pub key: String,
    /// 0 set, 1 delete, 2 append, 3 subtract.
    pub operation: i8,
    pub value: Option<String>,
}

/// What becomes of a resource's values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResourceChange {
    /// Only the named keys change (IncrementalAlterConfigs).
    Some(Vec<ConfigChange>),
    /// These values are all there will be (AlterConfigs, CFG-06).
    All(Vec<(String, Option<String>)>),
}

/// A resource to be changed, as the request names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlterResource {
    /// Kind of the resource (CFG-01).
    pub kind: i8,
    pub name: String,
    pub change: ResourceChange,
}

/// Resources to be changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlterConfigs {
    pub resources: Vec<AlterResource>,
    /// Decide as if, but record nothing.
    pub validate_only: bool,
}

impl AlterConfigs {
    /// What is wrong with each resource whatever it is: it must be named once, and its change must hold by itself. A
    /// broker tells this before it asks the controller.
    pub fn faults(&self) -> Vec<Option<AlterConfigError>> {
        let mut named: HashMap<(i8, &str), usize> = HashMap::new();
        for resource in &self.resources {
            *named.entry((resource.kind, &resource.name)).or_default() += 1;
        }
        let fault = |resource: &AlterResource| match named.get(&(resource.kind, &*resource.name)) {
            Some(2..) => Some(AlterConfigError::DuplicateResource),
            Some(_) | None => resource.change.check_keys().err(),
        };
        self.resources.iter().map(fault).collect()
    }
}

impl ResourceChange {
    /// Each key once, and a value where one is needed.
    fn check_keys(&self) -> Result<(), AlterConfigError> {
        let entries: Vec<(&str, bool)> = match self {
            ResourceChange::Some(changes) => changes
                .iter()
                .map(|change| (&*change.key, change.value.is_none() && change.operation != 1))
                .collect(),
            ResourceChange::All(values) => {
                values.iter().map(|(key, value)| (&**key, value.is_none())).collect()
            }
        };
        let distinct: BTreeSet<_> = entries.iter().map(|(key, _)| key).collect();
        if distinct.len() != entries.len() {
            return Err(AlterConfigError::DuplicateKeys);
        }
        let null: Vec<_> = entries.iter().filter(|(_, null)| *null).map(|(key, _)| *key).collect();
        if null.is_empty() { Ok(()) } else { Err(AlterConfigError::NullValues(null.join(", "))) }
    }
}

/// Why a resource is not changed. The messages are Kafka's, since clients print them.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum AlterConfigError {
    #[error("Each resource must appear at most once.")]
    DuplicateResource,
    #[error("Error due to duplicate config keys")]
    DuplicateKeys,
    #[error("Null value not supported for : {0}")]
    NullValues(String),
    #[error("Unknown resource type {0}")]
    UnknownResourceType(i8),
    #[error("Unknown operations type {0}")]
    UnknownOperation(i8),
    #[error("Node id must be an integer, but it is: {0}")]
    BrokerName(String),
    #[error("Unexpected broker id, expected {expected}, but received {got}")]
    OtherBroker { expected: BrokerId, got: String },
    #[error("Default topic resources are not allowed.")]
    DefaultTopic,
    #[error("Default group resources are not allowed.")]
    DefaultGroup,
    #[error(transparent)]
    TopicName(#[from] TopicNameError),
    #[error("The topic '{0}' does not exist.")]
    UnknownTopic(String),
    #[error("Can't {operation} to key {key} because its type is not LIST.")]
    NotAList { operation: &'static str, key: String },
    #[error("Broker-level min.insync.replicas cannot be altered while ELR is enabled.")]
    BrokerMinInSync,
    #[error("Cluster-level min.insync.replicas cannot be removed while ELR is enabled.")]
    ClusterMinInSync,
    #[error(
        "The cordoned.log.dirs configuration value cannot be set because it requires metadata.version >= 4.3-IV0"
    )]
    CordonedUnsupported,
    #[error(
        "The configuration value cannot be added because it exceeds the maximum value size of 32767 bytes."
    )]
    ValueTooLong,
    #[error(transparent)]
    Config(#[from] ConfigError),
}

/// Longest value in bytes: what a string of a record can hold. Kafka counts UTF-16 units and fails later where the
/// bytes are more.
const VALUE_LENGTH_MAX: usize = 32_767;

/// Key of the log directories that take no new replicas.
const CORDONED: &str = "cordoned.log.dirs";

type Outcomes = Vec<Result<(), AlterConfigError>>;

/// The values that change, by key; `None` removes.
type Changes = BTreeMap<String, Option<String>>;

/// Changes resources; the answer has one outcome per resource, in the order of the request.
pub fn alter(view: &View<'_>, request: &AlterConfigs) -> Result<Decision<Outcomes>, TooMuch> {
    let mut records = Vec::new();
    let mut outcomes = Vec::new();
    for (resource, fault) in request.resources.iter().zip(request.faults()) {
        let result = fault.map_or_else(|| alter_one(view, resource), Err);
        outcomes.push(result.map(|of_resource| records.extend(of_resource)));
    }
    records.extend(clear_eligible_leaders(view, &records));
    if records.len() > RECORDS_PER_REQUEST_MAX {
        return Err(TooMuch::Records);
    }
    if request.validate_only {
        records.clear();
    }
    Ok(Decision { records, answer: outcomes })
}

/// The records of a topic that is about to be created with these configs.
pub fn records_of_new_topic(
    view: &View<'_>,
    resource: &ConfigResource,
    configs: &Settings,
) -> Result<Vec<MetadataRecord>, AlterConfigError> {
    let changes = configs.iter().map(|(key, value)| (key.clone(), Some(value.clone()))).collect();
    check_changes(view, resource, &changes)?;
    check_values(view, resource, configs)?;
    let mut records = records_of(resource, &changes);
    records.extend(clear_eligible_leaders(view, &records));
    Ok(records)
}

fn alter_one(view: &View<'_>, request: &AlterResource) -> Result<Vec<MetadataRecord>, AlterConfigError> {
    let resource = resource_of(view, request)?;
    let present = view.image.configs.of(&resource).map(|values| values.as_ref().clone()).unwrap_or_default();
    let changes = match &request.change {
        ResourceChange::Some(changes) => incremental(&resource, &present, changes)?,
        ResourceChange::All(values) => replacement(&resource, &present, values),
    };
    check_name(&resource)?;
    let mut values = present;
    for (key, value) in &changes {
        match value {
            Some(value) => values.insert(key.clone(), value.clone()),
            None => values.remove(key),
        };
    }
    check_broker_values(view, &resource, &values)?;
    check_changes(view, &resource, &changes)?;
    check_values(view, &resource, &values)?;
    check_existence(view, &resource)?;
    Ok(records_of(&resource, &changes))
}

/// A broker's own values are changed through that broker only (CFG-04).
fn resource_of(view: &View<'_>, request: &AlterResource) -> Result<ConfigResource, AlterConfigError> {
    let name = || request.name.clone();
    match ConfigResource::new(request.kind, &request.name) {
        Some(ConfigResource::Broker(broker)) if broker != view.setup.node => {
            Err(AlterConfigError::OtherBroker { expected: view.setup.node, got: name() })
        }
        Some(resource) => Ok(resource),
        None if request.kind != BROKER_KIND => Err(AlterConfigError::UnknownResourceType(request.kind)),
        None if request.name.parse::<i32>().is_ok() => {
            Err(AlterConfigError::OtherBroker { expected: view.setup.node, got: name() })
        }
        None => Err(AlterConfigError::BrokerName(name())),
    }
}

/// Only brokers have settings that hold for all that have none of their own.
fn check_name(resource: &ConfigResource) -> Result<(), AlterConfigError> {
    match resource {
        ConfigResource::Topic(topic) if topic.is_empty() => Err(AlterConfigError::DefaultTopic),
        ConfigResource::Group(group) if group.is_empty() => Err(AlterConfigError::DefaultGroup),
        ConfigResource::Topic(_)
        | ConfigResource::Group(_)
        | ConfigResource::Broker(_)
        | ConfigResource::BrokerDefault
        | ConfigResource::ClientMetrics(_) => Ok(()),
    }
}

const TOPIC_KIND: i8 = 2;
const BROKER_KIND: i8 = 4;

/// Kafka writes values of brokers also where they stay, so that brokers load files anew that they name.
fn is_written(resource: &ConfigResource, before: Option<&String>, after: Option<&String>) -> bool {
    match resource {
        ConfigResource::Broker(_) | ConfigResource::BrokerDefault => true,
        ConfigResource::Topic(_) | ConfigResource::ClientMetrics(_) | ConfigResource::Group(_) => {
            before != after
        }
    }
}

fn incremental(
    resource: &ConfigResource,
    present: &Settings,
    changes: &[ConfigChange],
) -> Result<Changes, AlterConfigError> {
    let mut all = Changes::new();
    for change in changes {
        let before = present.get(&change.key);
        let operand = change.value.clone().unwrap_or_default();
        let after = match change.operation {
            0 => Some(operand),
            1 => None,
            2 => Some(appended(items(resource, &change.key, before, "APPEND")?, &operand)),
            3 => Some(subtracted(items(resource, &change.key, before, "SUBTRACT")?, &operand)),
            other => return Err(AlterConfigError::UnknownOperation(other)),
        };
        if is_written(resource, before, after.as_ref()) {
            all.insert(change.key.clone(), after);
        }
    }
    Ok(all)
}

fn replacement(
    resource: &ConfigResource,
    present: &Settings,
    values: &[(String, Option<String>)],
) -> Changes {
    let kept: BTreeMap<_, _> = values.iter().map(|(key, value)| (key, value)).collect();
    let gone = present.keys().filter(|key| !kept.contains_key(key)).map(|key| (key.clone(), None));
    let set = values.iter().filter(|(key, value)| is_written(resource, present.get(key), value.as_ref()));
    set.cloned().chain(gone).collect()
}

/// The items of a list to begin with: what is set, or else the default.
fn items(
    resource: &ConfigResource,
    key: &str,
    present: Option<&String>,
    operation: &'static str,
) -> Result<Vec<String>, AlterConfigError> {
    let declared = match resource {
        ConfigResource::Topic(_) => topic_keys().get(key),
        ConfigResource::Broker(_) | ConfigResource::BrokerDefault => broker_keys().get(key),
        ConfigResource::Group(_) => group_keys().get(key),
        ConfigResource::ClientMetrics(_) => client_metrics_keys().get(key),
    };
    let list = declared.filter(|declared| declared.kind == Kind::List);
    let list = list.ok_or_else(|| AlterConfigError::NotAList { operation, key: key.to_owned() })?;
    let text = present.map(String::as_str).or(list.default_text()).unwrap_or_default();
    Ok(split_list(text))
}

fn appended(mut items: Vec<String>, operand: &str) -> String {
    for item in operand.split(',') {
        if !items.iter().any(|present| present == item) {
            items.push(item.to_owned());
        }
    }
    items.join(",")
}

fn subtracted(mut items: Vec<String>, operand: &str) -> String {
    for item in operand.split(',') {
        if let Some(at) = items.iter().position(|present| present == item) {
            items.remove(at);
        }
    }
    items.join(",")
}

/// What holds for single changes whatever the values mean.
fn check_changes(
    view: &View<'_>,
    resource: &ConfigResource,
    changes: &Changes,
) -> Result<(), AlterConfigError> {
    let keeps_eligible_leaders = view.image.features.has_eligible_leaders();
    for (key, value) in changes {
        match resource {
            ConfigResource::Broker(_) if key == MIN_IN_SYNC && keeps_eligible_leaders => {
                return Err(AlterConfigError::BrokerMinInSync);
            }
            ConfigResource::BrokerDefault
                if key == MIN_IN_SYNC && value.is_none() && keeps_eligible_leaders =>
            {
                return Err(AlterConfigError::ClusterMinInSync);
            }
            ConfigResource::Broker(_) | ConfigResource::BrokerDefault
                if key == CORDONED && !view.image.features.metadata_version().has_cordoned_directories() =>
            {
                return Err(AlterConfigError::CordonedUnsupported);
            }
            ConfigResource::Topic(_)
            | ConfigResource::Broker(_)
            | ConfigResource::BrokerDefault
            | ConfigResource::ClientMetrics(_)
            | ConfigResource::Group(_) => {}
        }
        if value.as_ref().is_some_and(|value| value.len() > VALUE_LENGTH_MAX) {
            return Err(AlterConfigError::ValueTooLong);
        }
    }
    Ok(())
}

/// What holds for all values of a resource together. Brokers check theirs before anything else.
fn check_values(
    view: &View<'_>,
    resource: &ConfigResource,
    values: &Settings,
) -> Result<(), AlterConfigError> {
    match resource {
        ConfigResource::Topic(name) => {
            TopicName::new(name)?;
            check_topic(values, &view.layers())?;
        }
        ConfigResource::Group(_) => check_group(values, &view.layers())?,
        ConfigResource::ClientMetrics(name) if name.is_empty() => {
            return Err(ConfigError::Request("Subscription name can't be empty".to_owned()).into());
        }
        ConfigResource::ClientMetrics(_) => check_client_metrics(values)?,
        ConfigResource::Broker(_) | ConfigResource::BrokerDefault => {}
    }
    Ok(())
}

fn check_broker_values(
    view: &View<'_>,
    resource: &ConfigResource,
    values: &Settings,
) -> Result<(), AlterConfigError> {
    let level = match resource {
        ConfigResource::Broker(_) => BrokerLevel::Broker,
        ConfigResource::BrokerDefault => BrokerLevel::ClusterDefault,
        ConfigResource::Topic(_) | ConfigResource::Group(_) | ConfigResource::ClientMetrics(_) => {
            return Ok(());
        }
    };
    Ok(check_broker(values, level, &view.layers())?)
}

fn check_existence(view: &View<'_>, resource: &ConfigResource) -> Result<(), AlterConfigError> {
    match resource {
        ConfigResource::Topic(name) if view.image.topics.by_name(name).is_none() => {
            Err(AlterConfigError::UnknownTopic(name.clone()))
        }
        ConfigResource::Topic(_)
        | ConfigResource::Broker(_)
        | ConfigResource::BrokerDefault
        | ConfigResource::ClientMetrics(_)
        | ConfigResource::Group(_) => Ok(()),
    }
}

fn records_of(resource: &ConfigResource, changes: &Changes) -> Vec<MetadataRecord> {
    let record = |(key, value): (&String, &Option<String>)| ConfigRecord {
        resource_type: resource.kind(),
        resource_name: resource.name(),
        name: key.clone(),
        value: value.clone(),
    };
    changes.iter().map(|change| record(change).into()).collect()
}

/// Another `min.insync.replicas` changes who counts as safe: the eligible leaders are gathered anew (ELE-02).
fn clear_eligible_leaders(view: &View<'_>, records: &[MetadataRecord]) -> Vec<MetadataRecord> {
    if !view.image.features.has_eligible_leaders() {
        return Vec::new();
    }
    let changed = records.iter().filter_map(|record| {
        let MetadataRecord::Config(config) = record else { return None };
        (config.name == MIN_IN_SYNC).then_some(config)
    });
    let cleared = |config: &ConfigRecord| {
        let is_topic = config.resource_type == TOPIC_KIND;
        ClearElrRecord { topic_name: if is_topic { config.resource_name.clone() } else { String::new() } }
    };
    changed.map(|config| cleared(config).into()).collect()
}

/// What must be recorded when eligible leaders begin to be kept: from then on the cluster-wide
/// `min.insync.replicas` is fixed, and no broker has one of its own (ELE-02).
pub fn records_of_eligible_leaders(view: &View<'_>) -> Vec<MetadataRecord> {
    let configs = &view.image.configs;
    let mut records = Vec::new();
    if configs.value(&ConfigResource::BrokerDefault, MIN_IN_SYNC).is_none() {
        let fixed = view.setup.settings.value(MIN_IN_SYNC).ok().flatten();
        let value = fixed.map_or_else(|| "1".to_owned(), |value| value.to_string());
        let change = Changes::from([(MIN_IN_SYNC.to_owned(), Some(value))]);
        records.extend(records_of(&ConfigResource::BrokerDefault, &change));
    }
    let removed = Changes::from([(MIN_IN_SYNC.to_owned(), None)]);
    for (resource, values) in configs.iter() {
        if matches!(resource, ConfigResource::Broker(_)) && values.contains_key(MIN_IN_SYNC) {
            records.extend(records_of(resource, &removed));
        }
    }
    records
}
