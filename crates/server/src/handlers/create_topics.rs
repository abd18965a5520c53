//! CreateTopics (API key 19).
//!
//! Source: requirements TOP-01 to TOP-04, SEC-36.

use std::collections::HashMap;

use ottla_metadata::config::Asked;
use ottla_metadata::controller::{
    Answer, Command, CreateTopicError, CreateTopics, CreatedTopic, Layout, NewTopic,
};
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::create_topics_request::{CreatableTopic, CreateTopicsRequest};
use ottla_protocol::messages::create_topics_response::{
    CreatableTopicConfigs, CreatableTopicResult, CreateTopicsResponse,
};
use ottla_security::Operation;

use crate::caller::Caller;
use crate::error_code;
use crate::node::Node;
use crate::partitions::METADATA_TOPIC;

/// Serves one request.
pub async fn handle(node: &Node, caller: &Caller, request: CreateTopicsRequest) -> CreateTopicsResponse {
    // What is wrong whoever asks is left to the controller to refuse.
    let mut occurrences: HashMap<&str, usize> = HashMap::new();
    for topic in &request.topics {
        *occurrences.entry(&topic.name).or_default() += 1;
    }
    let is_asked = |topic: &CreatableTopic| {
        let twice = occurrences.get(topic.name.as_str()).is_some_and(|count| *count > 1);
        twice || topic.name == METADATA_TOPIC || node.access.may_create_topic(caller, &topic.name)
    };
    let asked: Vec<bool> = request.topics.iter().map(is_asked).collect();
    let mut asked = asked.into_iter();
    let (allowed, refused): (Vec<_>, Vec<_>) =
        request.topics.into_iter().partition(|_| asked.next().unwrap_or(false));
    let mut topics: Vec<CreatableTopicResult> = refused.into_iter().map(unauthorized).collect();
    if allowed.is_empty() {
        return CreateTopicsResponse { throttle_time_ms: 0, topics };
    }
    let names: Vec<String> = allowed.iter().map(|topic| topic.name.clone()).collect();
    let command = CreateTopics {
        topics: allowed.into_iter().map(new_topic).collect(),
        validate_only: request.validate_only,
    };
    let rows = match node.controller.ask(Command::CreateTopics(command)).await {
        Ok(Answer::CreateTopics(Ok(outcomes))) => {
            let row = |outcome: ottla_metadata::controller::TopicOutcome<CreatedTopic, CreateTopicError>| {
                match outcome.result {
                    Ok(created) => created_row(node, caller, outcome.name, &created),
                    Err(error) => {
                        failed_row(outcome.name, error_code::of_create_topic(&error), error.to_string())
                    }
                }
            };
            outcomes.into_iter().map(row).collect()
        }
        Ok(Answer::CreateTopics(Err(too_much))) => {
            all_failed(names, error_code::of_too_much(too_much), &too_much.to_string())
        }
        Ok(other) => unreachable!("a creation of topics was answered with {other:?}"),
        Err(unavailable) => all_failed(names, unavailable.code(), &unavailable.to_string()),
    };
    node.catch_up().await;
    topics.extend::<Vec<_>>(rows);
    CreateTopicsResponse { throttle_time_ms: 0, topics }
}

fn new_topic(topic: CreatableTopic) -> NewTopic {
    let manual = !topic.assignments.is_empty();
    let layout = if manual && topic.replication_factor != -1 {
        Layout::ManualAndReplicas
    } else if manual && topic.num_partitions != -1 {
        Layout::ManualAndPartitions
    } else if manual {
        let assignments = topic.assignments.into_iter();
        Layout::Manual(assignments.map(|part| (part.partition_index, part.broker_ids)).collect())
    } else {
        let (partitions, replicas) = (topic.num_partitions, topic.replication_factor);
        Layout::Counts {
            partitions: (partitions != -1).then_some(partitions),
            replicas: (replicas != -1).then_some(replicas),
        }
    };
    let configs = topic.configs.into_iter().map(|config| (config.name, config.value)).collect();
    NewTopic { name: topic.name, layout, configs }
}

/// The row of a topic that was, or would be, created, with its effective configs for those who may see them (TOP-02).
fn created_row(node: &Node, caller: &Caller, name: String, created: &CreatedTopic) -> CreatableTopicResult {
    let row = CreatableTopicResult {
        topic_id: created.id.uuid(),
        name,
        error_message: None,
        ..CreatableTopicResult::default()
    };
    if !node.access.may_topic(caller, Operation::DescribeConfigs, &row.name) {
        return CreatableTopicResult {
            topic_config_error_code: ErrorCode::TopicAuthorizationFailed.number(),
            ..row
        };
    }
    let entries = node.layers().describe_topic(&created.configs, &Asked::All);
    let config = |entry: ottla_metadata::config::Entry| CreatableTopicConfigs {
        name: entry.name,
        value: entry.value,
        read_only: entry.is_read_only,
        config_source: entry.source.code(),
        is_sensitive: entry.is_sensitive,
    };
    CreatableTopicResult {
        num_partitions: i32::try_from(created.partitions).unwrap_or(-1),
        replication_factor: i16::try_from(created.replicas).unwrap_or(-1),
        configs: Some(entries.into_iter().map(config).collect()),
        ..row
    }
}

fn unauthorized(topic: CreatableTopic) -> CreatableTopicResult {
    failed_row(topic.name, ErrorCode::TopicAuthorizationFailed, "Authorization failed.".to_owned())
}

fn all_failed(names: Vec<String>, error: ErrorCode, message: &str) -> Vec<CreatableTopicResult> {
    names.into_iter().map(|name| failed_row(name, error, message.to_owned())).collect()
}

fn failed_row(name: String, error: ErrorCode, message: String) -> CreatableTopicResult {
    CreatableTopicResult {
        name,
        error_code: error.number(),
        error_message: Some(message),
        ..CreatableTopicResult::default()
    }
}
