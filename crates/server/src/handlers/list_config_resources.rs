//! ListConfigResources (API key 74): the names of everything that has configs.
//!
//! Source: requirement CFG-08, KIP-1142.

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::list_config_resources_request::ListConfigResourcesRequest;
use ottla_protocol::messages::list_config_resources_response::{ConfigResource, ListConfigResourcesResponse};
use ottla_security::Operation;

use crate::caller::Caller;
use crate::config_resources::ResourceKind;
use crate::node::Node;

/// Serves one request. Version 0 asks for client metrics only and cannot say so.
pub async fn handle(
    node: &Node,
    caller: &Caller,
    version: i16,
    request: ListConfigResourcesRequest,
) -> ListConfigResourcesResponse {
    if !node.access.may_cluster(caller, Operation::DescribeConfigs) {
        return refused(ErrorCode::ClusterAuthorizationFailed);
    }
    let kinds = match version {
        0 => vec![ResourceKind::ClientMetrics],
        _ if request.resource_types.is_empty() => ResourceKind::ALL.to_vec(),
        _ => {
            let kinds = request.resource_types.iter().map(|code| ResourceKind::from_code(*code));
            match kinds.collect::<Option<Vec<_>>>() {
                Some(kinds) => kinds,
                None => return refused(ErrorCode::UnsupportedVersion),
            }
        }
    };
    let named = |kind: ResourceKind| {
        let names = names(node, kind).into_iter();
        names.map(move |resource_name| ConfigResource { resource_name, resource_type: kind.code() })
    };
    ListConfigResourcesResponse {
        config_resources: kinds.into_iter().flat_map(named).collect(),
        ..ListConfigResourcesResponse::default()
    }
}

fn refused(error: ErrorCode) -> ListConfigResourcesResponse {
    ListConfigResourcesResponse { error_code: error.number(), ..ListConfigResourcesResponse::default() }
}

fn names(node: &Node, kind: ResourceKind) -> Vec<String> {
    let image = node.image();
    match kind {
        ResourceKind::Topic => image.topics.iter().map(|topic| topic.name.to_string()).collect(),
        ResourceKind::Broker | ResourceKind::BrokerLogger => {
            image.cluster.brokers().map(|broker| broker.id.value().to_string()).collect()
        }
        ResourceKind::ClientMetrics | ResourceKind::Group => {
            let of_kind = image.configs.iter().filter(|(resource, _)| resource.kind() == kind.code());
            of_kind.map(|(resource, _)| resource.name()).collect()
        }
    }
}
