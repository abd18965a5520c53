//! Configurations of topics, brokers, groups and other resources.
//!
//! Owns: describing and altering them. Does not own: the client's own configuration (`config`).
//!
//! Source: Kafka protocol guide, DescribeConfigs, IncrementalAlterConfigs; KIP-226, KIP-339, KIP-569.

use std::collections::BTreeMap;

use ottla_model::BrokerId;
use ottla_protocol::messages::describe_configs_request::DescribeConfigsResource;
use ottla_protocol::messages::describe_configs_response::DescribeConfigsResourceResult;
use ottla_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use ottla_protocol::messages::{
    DescribeConfigsRequest, IncrementalAlterConfigsRequest, ListConfigResourcesRequest,
};

use super::Admin;
use super::error::operation_error;
use crate::error::{CallError, ErrorCode, ServerError};

operation_error! {
    /// Why a configuration cannot be described.
    DescribeConfigError {
        /// There is no such thing.
        NotFound = UnknownTopicOrPartition,
    }
    /// Why a configuration was not altered; nothing of it was.
    AlterConfigError {
        /// There is no such thing.
        NotFound = UnknownTopicOrPartition,
    }
    /// Why the configured resources cannot be listed.
    ListConfigResourcesError {}
}

/// What a configuration belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ResourceKind {
    /// A topic, by name.
    Topic,
    /// A broker, by id; the empty name stands for the default of all brokers.
    Broker,
    /// The loggers of a broker, by its id.
    BrokerLogger,
    /// A subscription to metrics of clients, by name (KIP-714).
    ClientMetrics,
    /// A group, by id (KIP-848).
    Group,
}

impl ResourceKind {
    fn wire(self) -> i8 {
        match self {
            ResourceKind::Topic => 2,
            ResourceKind::Broker => 4,
            ResourceKind::BrokerLogger => 8,
            ResourceKind::ClientMetrics => 16,
            ResourceKind::Group => 32,
        }
    }

    fn of_wire(number: i8) -> Option<ResourceKind> {
        match number {
            2 => Some(ResourceKind::Topic),
            4 => Some(ResourceKind::Broker),
            8 => Some(ResourceKind::BrokerLogger),
            16 => Some(ResourceKind::ClientMetrics),
            32 => Some(ResourceKind::Group),
            _ => None,
        }
    }
}

/// One thing with a configuration. The broker with the empty name stands for the default of all brokers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConfigResource {
    /// What kind of thing it is.
    pub kind: ResourceKind,
    /// Its name, in the form of its kind.
    pub name: String,
}

impl ConfigResource {
    /// The thing of this kind and name.
    pub fn new(kind: ResourceKind, name: impl Into<String>) -> ConfigResource {
        ConfigResource { kind, name: name.into() }
    }

    /// The node that alone can answer for this resource, if any.
    fn node(&self) -> Option<BrokerId> {
        match self.kind {
            ResourceKind::Broker | ResourceKind::BrokerLogger => {
                self.name.parse().ok().and_then(BrokerId::new)
            }
            ResourceKind::Topic | ResourceKind::ClientMetrics | ResourceKind::Group => None,
        }
    }
}

/// Where a value comes from, nearest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConfigSource {
    /// The broker did not say, or in a word that this client does not know.
    Unknown,
    /// Set for the topic.
    DynamicTopic,
    /// Set at run time for the broker.
    DynamicBroker,
    /// Set at run time for all brokers.
    DynamicDefaultBroker,
    /// In the properties file of the broker.
    StaticBroker,
    /// Not set: the default of the key.
    Default,
    /// Set at run time for a logger of the broker.
    DynamicBrokerLogger,
    /// Set for the subscription to metrics.
    DynamicClientMetrics,
    /// Set for the group.
    DynamicGroup,
}

impl ConfigSource {
    /// Kafka's name, such as `DYNAMIC_TOPIC_CONFIG`.
    pub fn name(self) -> &'static str {
        match self {
            ConfigSource::Unknown => "UNKNOWN",
            ConfigSource::DynamicTopic => "DYNAMIC_TOPIC_CONFIG",
            ConfigSource::DynamicBroker => "DYNAMIC_BROKER_CONFIG",
            ConfigSource::DynamicDefaultBroker => "DYNAMIC_DEFAULT_BROKER_CONFIG",
            ConfigSource::StaticBroker => "STATIC_BROKER_CONFIG",
            ConfigSource::Default => "DEFAULT_CONFIG",
            ConfigSource::DynamicBrokerLogger => "DYNAMIC_BROKER_LOGGER_CONFIG",
            ConfigSource::DynamicClientMetrics => "DYNAMIC_CLIENT_METRICS_CONFIG",
            ConfigSource::DynamicGroup => "DYNAMIC_GROUP_CONFIG",
        }
    }

    fn of_wire(number: i8) -> ConfigSource {
        match number {
            1 => ConfigSource::DynamicTopic,
            2 => ConfigSource::DynamicBroker,
            3 => ConfigSource::DynamicDefaultBroker,
            4 => ConfigSource::StaticBroker,
            5 => ConfigSource::Default,
            6 => ConfigSource::DynamicBrokerLogger,
            7 => ConfigSource::DynamicClientMetrics,
            8 => ConfigSource::DynamicGroup,
            _ => ConfigSource::Unknown,
        }
    }
}

/// One place a value could come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigSynonym {
    /// The key.
    pub name: String,
    /// Its value there; `None` where it is hidden.
    pub value: Option<String>,
    /// Where it is set.
    pub source: ConfigSource,
}

/// One key of a configuration and its present value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigEntry {
    /// The key.
    pub name: String,
    /// `None` for null, and for a value that is secret.
    pub value: Option<String>,
    /// Where the value comes from.
    pub source: ConfigSource,
    /// Whether the value is a secret, and so never shown.
    pub is_sensitive: bool,
    /// Whether it can be changed only by a restart.
    pub is_read_only: bool,
    /// All places the value could come from, nearest first.
    pub synonyms: Vec<ConfigSynonym>,
    /// The sentence of the broker on the key; `None` unless asked for.
    pub documentation: Option<String>,
}

/// One change of a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigChange {
    /// Gives the key this value.
    Set(String),
    /// Back to the default.
    Delete,
    /// Adds items to a list.
    Append(String),
    /// Takes items out of a list.
    Subtract(String),
}

impl ConfigChange {
    fn wire(&self) -> (i8, Option<String>) {
        match self {
            ConfigChange::Set(value) => (0, Some(value.clone())),
            ConfigChange::Delete => (1, None),
            ConfigChange::Append(value) => (2, Some(value.clone())),
            ConfigChange::Subtract(value) => (3, Some(value.clone())),
        }
    }
}

/// What to describe beside the values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DescribeConfigsOptions {
    /// Also tell the other places where a value is set, the one that counts first.
    pub synonyms: bool,
    /// Also tell what the keys mean.
    pub documentation: bool,
}

/// The outcome for each resource, in the order of naming.
pub type ResourceOutcomes<T, E> = Vec<(ConfigResource, Result<T, E>)>;

impl Admin {
    /// Describes the configurations of `resources`, entries in the order of the broker.
    pub async fn describe_configs(
        &self,
        resources: &[ConfigResource],
        options: DescribeConfigsOptions,
    ) -> Result<ResourceOutcomes<Vec<ConfigEntry>, DescribeConfigError>, CallError> {
        let deadline = self.deadline("describeConfigs");
        let mut outcomes = BTreeMap::new();
        for (node, group) in by_node(resources) {
            let resource = |resource: &&ConfigResource| DescribeConfigsResource {
                resource_type: resource.kind.wire(),
                resource_name: resource.name.clone(),
                configuration_keys: None,
            };
            let request = DescribeConfigsRequest {
                resources: group.iter().map(resource).collect(),
                include_synonyms: options.synonyms,
                include_documentation: options.documentation,
            };
            let response = match node {
                Some(node) => self.ask_broker(deadline, node, &request).await?,
                None => self.ask_any(deadline, &request).await?,
            };
            for result in response.results {
                let Some(kind) = ResourceKind::of_wire(result.resource_type) else { continue };
                let checked = ServerError::check(result.error_code, result.error_message.as_deref());
                let entries = || result.configs.into_iter().map(entry_of).collect();
                let outcome = checked.map(|()| entries()).map_err(DescribeConfigError::from);
                outcomes.insert(ConfigResource { kind, name: result.resource_name }, outcome);
            }
        }
        let missing = || Err(ServerError::from(ErrorCode::UnknownServerError).into());
        let outcome = |one: &ConfigResource| (one.clone(), outcomes.remove(one).unwrap_or_else(missing));
        Ok(resources.iter().map(outcome).collect())
    }

    /// Changes single keys; keys that are not named keep their values. All changes of one resource happen, or none.
    pub async fn alter_configs(
        &self,
        changes: &[(ConfigResource, Vec<(String, ConfigChange)>)],
        validate_only: bool,
    ) -> Result<ResourceOutcomes<(), AlterConfigError>, CallError> {
        let deadline = self.deadline("incrementalAlterConfigs");
        let resources: Vec<ConfigResource> = changes.iter().map(|(resource, _)| resource.clone()).collect();
        let mut outcomes = BTreeMap::new();
        for (node, group) in by_node(&resources) {
            let named = changes.iter().filter(|(resource, _)| group.contains(&resource));
            let request = IncrementalAlterConfigsRequest {
                resources: named.map(|(resource, changes)| alteration(resource, changes)).collect(),
                validate_only,
            };
            let response = match node {
                Some(node) => self.ask_broker(deadline, node, &request).await?,
                None => self.ask_any(deadline, &request).await?,
            };
            for result in response.responses {
                let Some(kind) = ResourceKind::of_wire(result.resource_type) else { continue };
                let checked = ServerError::check(result.error_code, result.error_message.as_deref());
                let resource = ConfigResource { kind, name: result.resource_name };
                outcomes.insert(resource, checked.map_err(AlterConfigError::from));
            }
        }
        let missing = || Err(ServerError::from(ErrorCode::UnknownServerError).into());
        let outcome = |one: ConfigResource| {
            let outcome = outcomes.remove(&one).unwrap_or_else(missing);
            (one, outcome)
        };
        Ok(resources.into_iter().map(outcome).collect())
    }

    /// The resources of the given kinds that have a configuration; all kinds if none is given.
    pub async fn list_config_resources(
        &self,
        kinds: &[ResourceKind],
    ) -> Result<Vec<ConfigResource>, ListConfigResourcesError> {
        let request =
            ListConfigResourcesRequest { resource_types: kinds.iter().map(|kind| kind.wire()).collect() };
        let response = self.ask_any(self.deadline("listConfigResources"), &request).await?;
        ServerError::check(response.error_code, None)?;
        let resource = |said: ottla_protocol::messages::list_config_resources_response::ConfigResource| {
            ResourceKind::of_wire(said.resource_type)
                .map(|kind| ConfigResource { kind, name: said.resource_name })
        };
        Ok(response.config_resources.into_iter().filter_map(resource).collect())
    }
}

fn by_node(resources: &[ConfigResource]) -> BTreeMap<Option<BrokerId>, Vec<&ConfigResource>> {
    let mut groups: BTreeMap<Option<BrokerId>, Vec<&ConfigResource>> = BTreeMap::new();
    for resource in resources {
        groups.entry(resource.node()).or_default().push(resource);
    }
    groups
}

fn alteration(resource: &ConfigResource, changes: &[(String, ConfigChange)]) -> AlterConfigsResource {
    let change = |(name, change): &(String, ConfigChange)| {
        let (config_operation, value) = change.wire();
        AlterableConfig { name: name.clone(), config_operation, value }
    };
    AlterConfigsResource {
        resource_type: resource.kind.wire(),
        resource_name: resource.name.clone(),
        configs: changes.iter().map(change).collect(),
    }
}

fn entry_of(said: DescribeConfigsResourceResult) -> ConfigEntry {
    let synonym = |said: ottla_protocol::messages::describe_configs_response::DescribeConfigsSynonym| {
        ConfigSynonym { name: said.name, value: said.value, source: ConfigSource::of_wire(said.source) }
    };
    ConfigEntry {
        name: said.name,
        value: said.value,
        source: ConfigSource::of_wire(said.config_source),
        is_sensitive: said.is_sensitive,
        is_read_only: said.read_only,
        synonyms: said.synonyms.into_iter().map(synonym).collect(),
        documentation: said.documentation,
    }
}
