//! DescribeConfigs (API key 32): the effective configs of topics, brokers and groups, and where they come from.
//!
//! Source: requirements CFG-01 to CFG-04, CFG-09, SEC-36.

use ottla_metadata::config::{Asked, Entry, Settings};
use ottla_metadata::image::ConfigResource;
use ottla_model::TopicName;
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::describe_configs_request::{DescribeConfigsRequest, DescribeConfigsResource};
use ottla_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResponse, DescribeConfigsResult, DescribeConfigsSynonym,
};
use ottla_security::Operation;

use crate::caller::Caller;
use crate::config_resources::{Refusal, ResourceKind};
use crate::node::Node;

/// Serves one request.
pub async fn handle(
    node: &Node,
    caller: &Caller,
    request: DescribeConfigsRequest,
) -> DescribeConfigsResponse {
    let (synonyms, documentation) = (request.include_synonyms, request.include_documentation);
    let kind = |resource: &DescribeConfigsResource| ResourceKind::from_code(resource.resource_type);
    let kinds: Option<Vec<ResourceKind>> = request.resources.iter().map(kind).collect();
    let describe = |(at, resource): (usize, DescribeConfigsResource)| {
        let (code, name) = (resource.resource_type, resource.resource_name.clone());
        let described = match &kinds {
            Some(kinds) => entries(node, caller, (kinds[at], resource)),
            // A kind of resource that there is not refuses the request as a whole.
            None => Err(Refusal::usual(ErrorCode::InvalidRequest)),
        };
        let (error, configs) = match described {
            Ok(entries) => (None, entries),
            Err(refusal) => (Some(refusal), Vec::new()),
        };
        DescribeConfigsResult {
            error_code: error.as_ref().map_or(0, |refusal| refusal.error.number()),
            // Kafka says nothing by an empty text here.
            error_message: Some(error.and_then(|refusal| refusal.message).unwrap_or_default()),
            resource_type: code,
            resource_name: name,
            configs: configs.into_iter().map(|entry| row(entry, synonyms, documentation)).collect(),
        }
    };
    let results = request.resources.into_iter().enumerate().map(describe).collect();
    DescribeConfigsResponse { throttle_time_ms: 0, results }
}

fn entries(
    node: &Node,
    caller: &Caller,
    (kind, resource): (ResourceKind, DescribeConfigsResource),
) -> Result<Vec<Entry>, Refusal> {
    let name = resource.resource_name.as_str();
    kind.authorize((node, caller), Operation::DescribeConfigs, name)?;
    let asked = Asked::from_request(resource.configuration_keys);
    let layers = node.layers();
    match kind {
        ResourceKind::Topic => {
            let topic = TopicName::new(name)
                .map_err(|error| Refusal::new(ErrorCode::InvalidTopicException, error.to_string()))?;
            let image = node.image();
            if image.topics.by_name(topic.as_str()).is_none() {
                return Err(Refusal::bare(ErrorCode::UnknownTopicOrPartition));
            }
            let overrides = image.configs.of_topic(topic.as_str()).map(|values| values.as_ref().clone());
            Ok(layers.describe_topic(&overrides.unwrap_or_default(), &asked))
        }
        ResourceKind::Broker if name.is_empty() => Ok(layers.describe_cluster_default(&asked)),
        ResourceKind::Broker => {
            kind.check_broker(node, name)?;
            Ok(layers.describe_broker(&asked))
        }
        ResourceKind::BrokerLogger => {
            kind.check_broker(node, name)?;
            Ok(node.loggers.describe(&asked))
        }
        ResourceKind::ClientMetrics | ResourceKind::Group if name.is_empty() => {
            let what = if kind == ResourceKind::Group { "Group" } else { "Client metrics subscription" };
            Err(Refusal::new(ErrorCode::InvalidRequest, format!("{what} name must not be empty")))
        }
        ResourceKind::ClientMetrics => {
            Ok(layers.describe_client_metrics(&overrides(node, kind, name), &asked))
        }
        ResourceKind::Group => Ok(layers.describe_group(&overrides(node, kind, name), &asked)),
    }
}

fn overrides(node: &Node, kind: ResourceKind, name: &str) -> Settings {
    let image = node.image();
    let resource = ConfigResource::new(kind.code(), name);
    let values = resource.and_then(|resource| image.configs.of(&resource).cloned());
    values.map(|values| values.as_ref().clone()).unwrap_or_default()
}

fn row(entry: Entry, synonyms: bool, documentation: bool) -> DescribeConfigsResourceResult {
    let synonym = |synonym: ottla_metadata::config::EntrySynonym| DescribeConfigsSynonym {
        name: synonym.name,
        value: synonym.value,
        source: synonym.source.code(),
    };
    DescribeConfigsResourceResult {
        name: entry.name,
        value: entry.value,
        read_only: entry.is_read_only,
        config_source: entry.source.code(),
        is_sensitive: entry.is_sensitive,
        synonyms: if synonyms { entry.synonyms.into_iter().map(synonym).collect() } else { Vec::new() },
        config_type: entry.kind.map_or(0, |kind| kind.code()),
        documentation: documentation.then_some(entry.documentation),
    }
}
