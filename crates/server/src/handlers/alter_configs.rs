//! AlterConfigs (API key 33) and IncrementalAlterConfigs (API key 44): dynamic configs are replaced or changed.
//!
//! Configs of loggers are this node's own and are changed here; all others go to the controller.
//!
//! Source: requirements CFG-05 to CFG-07, CFG-09, API-03, SEC-36.

use ottla_metadata::controller::{
    AlterConfigs, AlterResource, Answer, Command, ConfigChange, ResourceChange,
};
use ottla_protocol::ErrorCode;
use ottla_protocol::codec::Listener;
use ottla_protocol::messages::alter_configs_request::AlterConfigsRequest;
use ottla_protocol::messages::alter_configs_response::{self, AlterConfigsResponse};
use ottla_protocol::messages::incremental_alter_configs_request::IncrementalAlterConfigsRequest;
use ottla_protocol::messages::incremental_alter_configs_response::{self, IncrementalAlterConfigsResponse};
use ottla_security::Operation;

use crate::caller::Caller;
use crate::config_resources::{Refusal, ResourceKind};
use crate::error_code;
use crate::node::Node;

/// Serves AlterConfigs: what is not named is reset (CFG-06).
pub async fn replace(node: &Node, caller: &Caller, request: AlterConfigsRequest) -> AlterConfigsResponse {
    let resource = |resource: ottla_protocol::messages::alter_configs_request::AlterConfigsResource| {
        let values = resource.configs.into_iter().map(|config| (config.name, config.value));
        AlterResource {
            kind: resource.resource_type,
            name: resource.resource_name,
            change: ResourceChange::All(values.collect()),
        }
    };
    let resources = request.resources.into_iter().map(resource).collect();
    let outcomes =
        alter(node, caller, AlterConfigs { resources, validate_only: request.validate_only }).await;
    let responses = outcomes.into_iter().map(|outcome| {
        let (error, message) = code_of(outcome.result);
        alter_configs_response::AlterConfigsResourceResponse {
            error_code: error.number(),
            error_message: message,
            resource_type: outcome.kind,
            resource_name: outcome.name,
        }
    });
    AlterConfigsResponse { throttle_time_ms: 0, responses: responses.collect() }
}

/// Serves IncrementalAlterConfigs: only what is named changes (CFG-05).
pub async fn change(
    node: &Node,
    caller: &Caller,
    request: IncrementalAlterConfigsRequest,
) -> IncrementalAlterConfigsResponse {
    let resource =
        |resource: ottla_protocol::messages::incremental_alter_configs_request::AlterConfigsResource| {
            let changes = resource.configs.into_iter().map(|config| ConfigChange {
                key: config.name,
                operation: config.config_operation,
                value: config.value,
            });
            AlterResource {
                kind: resource.resource_type,
                name: resource.resource_name,
                change: ResourceChange::Some(changes.collect()),
            }
        };
    let resources = request.resources.into_iter().map(resource).collect();
    let outcomes =
        alter(node, caller, AlterConfigs { resources, validate_only: request.validate_only }).await;
    let responses = outcomes.into_iter().map(|outcome| {
        let (error, message) = code_of(outcome.result);
        incremental_alter_configs_response::AlterConfigsResourceResponse {
            error_code: error.number(),
            error_message: message,
            resource_type: outcome.kind,
            resource_name: outcome.name,
        }
    });
    IncrementalAlterConfigsResponse { throttle_time_ms: 0, responses: responses.collect() }
}

struct Outcome {
    kind: i8,
    name: String,
    result: Result<(), Refusal>,
}

/// Success carries a message too: Kafka's admin client does not look at it, but other readers see the empty text.
fn code_of(result: Result<(), Refusal>) -> (ErrorCode, Option<String>) {
    match result {
        Ok(()) => (ErrorCode::None, None),
        Err(refusal) => (refusal.error, refusal.message),
    }
}

async fn alter(node: &Node, caller: &Caller, request: AlterConfigs) -> Vec<Outcome> {
    let (mut outcomes, mut forwarded) = (Vec::new(), Vec::new());
    let faults = request.faults();
    for (resource, fault) in request.resources.into_iter().zip(faults) {
        if let Some(error) = fault {
            let refusal = Refusal::new(error_code::of_alter_config(&error), error.to_string());
            let (kind, name) = (resource.kind, resource.name);
            outcomes.push(Outcome { kind, name, result: Err(refusal) });
            continue;
        }
        let kind = ResourceKind::from_code(resource.kind);
        let authorized = match kind {
            Some(kind) => kind.authorize((node, caller), Operation::AlterConfigs, &resource.name),
            None => {
                let unlike = match caller.door {
                    Listener::Broker => "Unknown",
                    Listener::Controller => "Unexpected",
                };
                let message = format!("{unlike} resource type {}", resource.kind);
                Err(Refusal::new(ErrorCode::InvalidRequest, message))
            }
        };
        let here = match (authorized, kind) {
            // Kafka leaves this one to the code alone.
            (Err(refusal), Some(ResourceKind::BrokerLogger)) => Some(Err(Refusal::bare(refusal.error))),
            (Err(refusal), _) => Some(Err(refusal)),
            (Ok(()), Some(ResourceKind::BrokerLogger)) => {
                let checked = check_node(node, &resource.name);
                Some(checked.and_then(|()| node.loggers.alter(&resource.change, request.validate_only)))
            }
            (Ok(()), _) => None,
        };
        match here {
            Some(result) => outcomes.push(Outcome { kind: resource.kind, name: resource.name, result }),
            None => forwarded.push(resource),
        }
    }
    if !forwarded.is_empty() {
        outcomes.extend(forward(node, forwarded, request.validate_only).await);
        node.catch_up().await;
    }
    outcomes
}

/// Loggers are changed at their node only; the words are others than where they are described.
fn check_node(node: &Node, name: &str) -> Result<(), Refusal> {
    let mine = node.identity.id.value();
    let message = match name.parse::<i32>() {
        Ok(asked) if asked == mine => return Ok(()),
        Ok(_) => format!("Unexpected node id. Expected {mine}, but received {name}"),
        Err(_) => format!("Node id must be an integer, but it is: {name}"),
    };
    Err(Refusal::new(ErrorCode::InvalidRequest, message))
}

async fn forward(node: &Node, resources: Vec<AlterResource>, validate_only: bool) -> Vec<Outcome> {
    let named: Vec<(i8, String)> =
        resources.iter().map(|resource| (resource.kind, resource.name.clone())).collect();
    let all = |named: Vec<(i8, String)>, refusal: Refusal| {
        let row = |(kind, name)| Outcome { kind, name, result: Err(refusal.clone()) };
        named.into_iter().map(row).collect()
    };
    match node.controller.ask(Command::AlterConfigs(AlterConfigs { resources, validate_only })).await {
        Ok(Answer::AlterConfigs(Ok(results))) => {
            let refusal = |error| Refusal::new(error_code::of_alter_config(&error), error.to_string());
            let pairs = named.into_iter().zip(results);
            pairs
                .map(|((kind, name), result)| Outcome { kind, name, result: result.map_err(refusal) })
                .collect()
        }
        Ok(Answer::AlterConfigs(Err(too_much))) => {
            all(named, Refusal::new(error_code::of_too_much(too_much), too_much.to_string()))
        }
        Ok(other) => unreachable!("a change of configs was answered with {other:?}"),
        Err(unavailable) => all(named, Refusal::new(unavailable.code(), unavailable.to_string())),
    }
}
