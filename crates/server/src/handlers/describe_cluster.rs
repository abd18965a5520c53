//! DescribeCluster (API key 60): who is in the cluster.
//!
//! Source: requirement TOP-09, KIP-700, KIP-919.

use ottla_metadata::image::{Endpoint, MetadataImage};
use ottla_protocol::ErrorCode;
use ottla_protocol::codec::Listener;
use ottla_protocol::messages::describe_cluster_request::DescribeClusterRequest;
use ottla_protocol::messages::describe_cluster_response::{DescribeClusterBroker, DescribeClusterResponse};

use crate::access::NOT_ASKED;
use crate::caller::Caller;
use crate::node::Node;
use crate::topology;

/// The endpoint types a request may ask for.
const BROKERS: i8 = 1;
const CONTROLLERS: i8 = 2;

/// Serves one request.
pub async fn handle(
    node: &Node,
    caller: &Caller,
    version: i16,
    request: DescribeClusterRequest,
) -> DescribeClusterResponse {
    if let Some((error, message)) = mismatch(caller.door, version, request.endpoint_type) {
        return DescribeClusterResponse {
            error_code: error.number(),
            error_message: Some(message),
            ..DescribeClusterResponse::default()
        };
    }
    let image = node.image();
    let (brokers, controller_id) = match caller.door {
        Listener::Broker => {
            let controller = topology::some_alive_broker(&image, &caller.listener, node.random.bits());
            (brokers(&image, caller, request.include_fenced_brokers), controller)
        }
        Listener::Controller => (controllers(&image, caller), node.controller.leader_id()),
    };
    let operations = if request.include_cluster_authorized_operations {
        node.access.cluster_operations(caller)
    } else {
        NOT_ASKED
    };
    DescribeClusterResponse {
        endpoint_type: request.endpoint_type,
        cluster_id: node.identity.cluster_id.to_string(),
        controller_id,
        brokers,
        cluster_authorized_operations: operations,
        ..DescribeClusterResponse::default()
    }
}

fn mismatch(door: Listener, version: i16, asked: i8) -> Option<(ErrorCode, String)> {
    let name = |kind| if kind == CONTROLLERS { "CONTROLLER" } else { "BROKER" };
    let served = match door {
        Listener::Broker => BROKERS,
        Listener::Controller => CONTROLLERS,
    };
    let old = version == 0;
    if asked != BROKERS && asked != CONTROLLERS {
        let error = if old { ErrorCode::InvalidRequest } else { ErrorCode::UnsupportedEndpointType };
        return Some((error, format!("Unsupported endpoint type {asked}")));
    }
    if asked != served {
        let error = if old { ErrorCode::InvalidRequest } else { ErrorCode::MismatchedEndpointType };
        let (served, asked) = (name(served), name(asked));
        let message = format!(
            "The request was sent to an endpoint of type {served}, but we wanted an endpoint of type {asked}"
        );
        return Some((error, message));
    }
    None
}

fn brokers(image: &MetadataImage, caller: &Caller, fenced_too: bool) -> Vec<DescribeClusterBroker> {
    let wanted = image.cluster.brokers().filter(|broker| fenced_too || !broker.fenced);
    wanted
        .filter_map(|broker| {
            let endpoint = broker.endpoint(caller.listener.as_str())?;
            Some(DescribeClusterBroker {
                rack: broker.rack.clone(),
                is_fenced: broker.fenced,
                ..row(broker.id.value(), endpoint)
            })
        })
        .collect()
}

fn controllers(image: &MetadataImage, caller: &Caller) -> Vec<DescribeClusterBroker> {
    let by_name = |endpoints: &[Endpoint]| {
        endpoints.iter().find(|endpoint| endpoint.listener == caller.listener.as_str()).cloned()
    };
    image
        .cluster
        .controllers()
        .filter_map(|controller| Some(row(controller.id.value(), &by_name(&controller.endpoints)?)))
        .collect()
}

fn row(id: i32, endpoint: &Endpoint) -> DescribeClusterBroker {
    DescribeClusterBroker {
        broker_id: id,
        host: endpoint.host.clone(),
        port: i32::from(endpoint.port),
        ..DescribeClusterBroker::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{caller, image};

    /// TOP-09: a fenced broker is shown to those who ask for it, and only with its listener.
    #[test]
    fn fenced_brokers_are_told_to_who_asks_for_them() {
        let told = |listener: &str, fenced_too: bool| -> Vec<String> {
            let rows = brokers(&image(), &caller(listener), fenced_too).into_iter();
            rows.map(|row| format!("{} {} {:?} {}", row.broker_id, row.host, row.rack, row.is_fenced))
                .collect()
        };
        let rack = |id: i32| format!("Some(\"r{id}\")");
        let (one, two) = (format!("1 in.1 {} false", rack(1)), format!("2 in.2 {} false", rack(2)));
        let three = format!("3 in.3 {} true", rack(3));
        assert_eq!(told("IN", false), [one.clone(), two.clone()]);
        assert_eq!(told("IN", true), [one, two, three]);
        assert_eq!(told("OUT", true).len(), 2);
    }

    /// TOP-09
    #[test]
    fn a_listener_answers_only_for_its_own_kind() {
        assert_eq!(mismatch(Listener::Broker, 1, BROKERS), None);
        assert_eq!(mismatch(Listener::Controller, 1, CONTROLLERS), None);
        let (error, message) = mismatch(Listener::Broker, 1, CONTROLLERS).unwrap();
        assert_eq!(error, ErrorCode::MismatchedEndpointType);
        assert!(message.ends_with("type BROKER, but we wanted an endpoint of type CONTROLLER"));
        assert_eq!(mismatch(Listener::Broker, 0, CONTROLLERS).unwrap().0, ErrorCode::InvalidRequest);
        assert_eq!(mismatch(Listener::Broker, 1, 9).unwrap().0, ErrorCode::UnsupportedEndpointType);
    }
}
