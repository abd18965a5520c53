//! CreatePartitions (API key 37): more partitions for existing topics.
//!
//! Source: requirement TOP-06, TRAP-34, SEC-36.

use std::collections::HashMap;

use ottla_metadata::controller::{Answer, Command, CreatePartitions, CreatePartitionsError, GrowTopic};
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::create_partitions_request::{CreatePartitionsRequest, CreatePartitionsTopic};
use ottla_protocol::messages::create_partitions_response::{
    CreatePartitionsResponse, CreatePartitionsTopicResult,
};
use ottla_security::Operation;

use crate::caller::Caller;
use crate::error_code;
use crate::node::Node;

/// Serves one request. Every topic asked for has one row.
pub async fn handle(
    node: &Node,
    caller: &Caller,
    request: CreatePartitionsRequest,
) -> CreatePartitionsResponse {
    let mut occurrences: HashMap<String, usize> = HashMap::new();
    for topic in &request.topics {
        *occurrences.entry(topic.name.clone()).or_default() += 1;
    }
    let (mut results, mut wanted) = (Vec::new(), Vec::new());
    for topic in request.topics {
        match occurrences.get(&topic.name) {
            Some(1) if node.access.may_topic(caller, Operation::Alter, &topic.name) => {
                wanted.push(grow(topic))
            }
            Some(1) => {
                results.push(row(topic.name, ErrorCode::TopicAuthorizationFailed, None));
            }
            Some(_) => {
                occurrences.remove(&topic.name);
                results.push(row(
                    topic.name,
                    ErrorCode::InvalidRequest,
                    Some("Duplicate topic name.".to_owned()),
                ));
            }
            None => {}
        }
    }
    if !wanted.is_empty() {
        let command = CreatePartitions { topics: wanted, validate_only: request.validate_only };
        results.extend(ask(node, command).await);
        node.catch_up().await;
    }
    CreatePartitionsResponse { throttle_time_ms: 0, results }
}

async fn ask(node: &Node, command: CreatePartitions) -> Vec<CreatePartitionsTopicResult> {
    let names: Vec<String> = command.topics.iter().map(|topic| topic.name.clone()).collect();
    let all = |error: ErrorCode, message: String| {
        names.into_iter().map(|name| row(name, error, Some(message.clone()))).collect()
    };
    match node.controller.ask(Command::CreatePartitions(command)).await {
        Ok(Answer::CreatePartitions(Ok(outcomes))) => outcomes
            .into_iter()
            .map(|outcome| match outcome.result {
                Ok(()) => row(outcome.name, ErrorCode::None, None),
                // Kafka leaves this one to the code alone.
                Err(CreatePartitionsError::UnknownTopic) => {
                    row(outcome.name, ErrorCode::UnknownTopicOrPartition, None)
                }
                Err(error) => {
                    let (code, message) = (error_code::of_create_partitions(&error), error.to_string());
                    // A message that only repeats the code is not sent.
                    let message = Some(message).filter(|message| message != code.message());
                    row(outcome.name, code, message)
                }
            })
            .collect(),
        Ok(Answer::CreatePartitions(Err(too_much))) => {
            all(error_code::of_too_much(too_much), too_much.to_string())
        }
        Ok(other) => unreachable!("a creation of partitions was answered with {other:?}"),
        Err(unavailable) => all(unavailable.code(), unavailable.to_string()),
    }
}

fn grow(topic: CreatePartitionsTopic) -> GrowTopic {
    let assignments = topic.assignments;
    GrowTopic {
        name: topic.name,
        count: topic.count,
        assignments: assignments.map(|parts| parts.into_iter().map(|part| part.broker_ids).collect()),
    }
}

fn row(name: String, error: ErrorCode, error_message: Option<String>) -> CreatePartitionsTopicResult {
    CreatePartitionsTopicResult { name, error_code: error.number(), error_message }
}
