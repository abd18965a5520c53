//! DeleteTopics (API key 20): by name, or by id since version 6.
//!
//! Source: requirement TOP-05, SEC-36.

use ottla_metadata::controller::{Answer, Command, DeleteTopicError, DeletionDisabled, TopicRef};
use ottla_metadata::image::MetadataImage;
use ottla_model::{TopicId, Uuid};
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::delete_topics_request::DeleteTopicsRequest;
use ottla_protocol::messages::delete_topics_response::{DeletableTopicResult, DeleteTopicsResponse};
use ottla_security::Operation;

use crate::caller::Caller;
use crate::error_code;
use crate::node::Node;

/// First version that has a code for "topics cannot be deleted here".
const FIRST_WITH_DISABLED: i16 = 3;

/// Serves one request.
pub async fn handle(
    node: &Node,
    caller: &Caller,
    version: i16,
    request: DeleteTopicsRequest,
) -> DeleteTopicsResponse {
    let image = node.image();
    let (mut responses, mut wanted) = (Vec::new(), Vec::new());
    let by_name = request.topic_names.into_iter().map(|name| (Some(name), Uuid::ZERO));
    let either = request.topics.into_iter().map(|topic| (topic.name, topic.topic_id));
    if !node.config().topics.may_be_deleted {
        let code = disabled(version).number();
        let row =
            |(name, topic_id)| DeletableTopicResult { name, topic_id, error_code: code, error_message: None };
        return DeleteTopicsResponse {
            throttle_time_ms: 0,
            responses: by_name.chain(either).map(row).collect(),
        };
    }
    for (name, id) in by_name.chain(either) {
        match (name, TopicId::new(id)) {
            (None, None) => {
                responses.push(both_or_neither(None, id, "Neither topic name nor id were specified."))
            }
            (Some(name), Some(_)) => {
                let message = "You may not specify both topic name and topic id.";
                responses.push(both_or_neither(Some(name), id, message));
            }
            (Some(name), None) => wanted.push(TopicRef::Name(name)),
            (None, Some(id)) => wanted.push(TopicRef::Id(id)),
        }
    }
    let (allowed, refused): (Vec<_>, Vec<_>) =
        wanted.into_iter().partition(|topic| may_delete(node, caller, &image, topic));
    responses.extend(refused.into_iter().map(|topic| unauthorized(node, caller, &image, topic)));
    if !allowed.is_empty() {
        responses.extend(delete(node, version, allowed).await);
        node.catch_up().await;
    }
    DeleteTopicsResponse { throttle_time_ms: 0, responses }
}

fn disabled(version: i16) -> ErrorCode {
    if version >= FIRST_WITH_DISABLED { ErrorCode::TopicDeletionDisabled } else { ErrorCode::InvalidRequest }
}

async fn delete(node: &Node, version: i16, topics: Vec<TopicRef>) -> Vec<DeletableTopicResult> {
    match node.controller.ask(Command::DeleteTopics(topics.clone())).await {
        Ok(Answer::DeleteTopics(Ok(outcomes))) => {
            let row = |(topic, result): ottla_metadata::controller::DeleteOutcome| match result {
                Ok(deleted) => DeletableTopicResult {
                    name: Some(deleted.name.to_string()),
                    topic_id: deleted.id.uuid(),
                    ..DeletableTopicResult::default()
                },
                Err(error) => refused(topic, &error),
            };
            outcomes.into_iter().map(row).collect()
        }
        Ok(Answer::DeleteTopics(Err(DeletionDisabled))) => {
            topics.into_iter().map(|topic| failed(topic, disabled(version), None)).collect()
        }
        Ok(other) => unreachable!("a deletion of topics was answered with {other:?}"),
        Err(unavailable) => {
            let row = |topic| failed(topic, unavailable.code(), Some(unavailable.to_string()));
            topics.into_iter().map(row).collect()
        }
    }
}

/// A topic that does not exist is left to the controller to refuse, unless the caller may not know of it.
fn may_delete(node: &Node, caller: &Caller, image: &MetadataImage, topic: &TopicRef) -> bool {
    let Some(name) = name_of(image, topic) else { return true };
    let operation =
        if image.topics.by_name(&name).is_some() { Operation::Delete } else { Operation::Describe };
    node.access.may_topic(caller, operation, &name)
}

/// Who asks by id and may not describe the topic does not learn its name.
fn unauthorized(
    node: &Node,
    caller: &Caller,
    image: &MetadataImage,
    topic: TopicRef,
) -> DeletableTopicResult {
    let error = ErrorCode::TopicAuthorizationFailed;
    let name = name_of(image, &topic);
    let mut row = failed(topic, error, Some(error.message().to_owned()));
    row.name =
        row.name.or_else(|| name.filter(|name| node.access.may_topic(caller, Operation::Describe, name)));
    row
}

fn name_of(image: &MetadataImage, topic: &TopicRef) -> Option<String> {
    match topic {
        TopicRef::Name(name) => Some(name.clone()),
        TopicRef::Id(id) => image.topics.by_id(*id).map(|topic| topic.name.to_string()),
    }
}

/// A name whose topic is also named by its id is answered with that id.
fn refused(topic: TopicRef, error: &DeleteTopicError) -> DeletableTopicResult {
    let row = failed(topic, error_code::of_delete_topic(error), Some(error.to_string()));
    match error {
        DeleteTopicError::DuplicateOfId(id) => DeletableTopicResult { topic_id: id.uuid(), ..row },
        DeleteTopicError::DuplicateName
        | DeleteTopicError::DuplicateId
        | DeleteTopicError::UnknownName
        | DeleteTopicError::UnknownId => row,
    }
}

fn failed(topic: TopicRef, error: ErrorCode, error_message: Option<String>) -> DeletableTopicResult {
    let (name, topic_id) = match topic {
        TopicRef::Name(name) => (Some(name), Uuid::ZERO),
        TopicRef::Id(id) => (None, id.uuid()),
    };
    DeletableTopicResult { name, topic_id, error_code: error.number(), error_message }
}

fn both_or_neither(name: Option<String>, topic_id: Uuid, message: &str) -> DeletableTopicResult {
    let error_code = ErrorCode::InvalidRequest.number();
    DeletableTopicResult { name, topic_id, error_code, error_message: Some(message.to_owned()) }
}
