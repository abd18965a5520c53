//! Metadata (API key 3): brokers, topics and partitions, with auto-creation.
//!
//! Source: requirements MD-01 to MD-09, MD-11, SEC-36.

use std::collections::HashSet;
use std::sync::Arc;

use ottla_metadata::image::{MetadataImage, Topic};
use ottla_model::{TopicId, TopicName, Uuid};
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::metadata_request::{MetadataRequest, MetadataRequestTopic};
use ottla_protocol::messages::metadata_response::{
    MetadataResponse, MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use ottla_security::{Operation, ResourceType};

use crate::access::NOT_ASKED;
use crate::caller::Caller;
use crate::node::Node;
use crate::topology::{self, Strictness};

/// Serves one request.
pub async fn handle(
    node: &Node,
    caller: &Caller,
    version: i16,
    request: MetadataRequest,
) -> MetadataResponse {
    let image = node.image();
    let topics = match topics_of(&request, version) {
        Err(refused) => return MetadataResponse { topics: refused, ..MetadataResponse::default() },
        Ok(None) => all_topics((node, caller), version, &image, &request),
        Ok(Some(asked)) => named_topics((node, caller), version, &image, (&request, asked)),
    };
    let cluster_operations = if request.include_cluster_authorized_operations {
        node.access.cluster_operations(caller)
    } else {
        NOT_ASKED
    };
    MetadataResponse {
        throttle_time_ms: 0,
        brokers: topology::alive_brokers(&image, &caller.listener)
            .map(|(broker, endpoint)| MetadataResponseBroker {
                node_id: broker.id.value(),
                host: endpoint.host.clone(),
                port: i32::from(endpoint.port),
                rack: broker.rack.clone(),
            })
            .collect(),
        cluster_id: Some(node.identity.cluster_id.to_string()),
        controller_id: topology::some_alive_broker(&image, &caller.listener, node.random.bits()),
        topics,
        cluster_authorized_operations: cluster_operations,
        error_code: 0,
    }
}

/// What the request asks for: `None` stands for all topics. Names may be missing and ids present only since 12.
fn topics_of(
    request: &MetadataRequest,
    version: i16,
) -> Result<Option<&[MetadataRequestTopic]>, Vec<MetadataResponseTopic>> {
    let Some(topics) = &request.topics else { return Ok(None) };
    if version == 0 && topics.is_empty() {
        return Ok(None);
    }
    let illegal = |topic: &MetadataRequestTopic| topic.name.is_none() || !topic.topic_id.is_zero();
    if version < 12 && topics.iter().any(illegal) {
        let refuse = |topic: &MetadataRequestTopic| MetadataResponseTopic {
            error_code: ErrorCode::InvalidRequest.number(),
            name: Some(topic.name.clone().unwrap_or_default()),
            topic_id: topic.topic_id,
            ..MetadataResponseTopic::default()
        };
        return Err(topics.iter().map(refuse).collect());
    }
    Ok(Some(topics))
}

fn all_topics(
    (node, caller): (&Node, &Caller),
    version: i16,
    image: &MetadataImage,
    request: &MetadataRequest,
) -> Vec<MetadataResponseTopic> {
    let visible =
        |topic: &&Arc<Topic>| node.access.may_topic(caller, Operation::Describe, topic.name.as_str());
    let rows = image.topics.iter().filter(visible);
    rows.map(|topic| topic_row(node, caller, version, (image, request, topic))).collect()
}

fn named_topics(
    (node, caller): (&Node, &Caller),
    version: i16,
    image: &MetadataImage,
    (request, asked): (&MetadataRequest, &[MetadataRequestTopic]),
) -> Vec<MetadataResponseTopic> {
    let by_id = asked.iter().any(|topic| !topic.topic_id.is_zero());
    let (mut rows, mut missing, mut seen) = (Vec::with_capacity(asked.len()), Vec::new(), HashSet::new());
    // A request with one id asks by ids alone: Kafka does not look at what has none.
    for wanted in asked.iter().filter(|topic| !by_id || !topic.topic_id.is_zero()) {
        let known = if by_id {
            TopicId::new(wanted.topic_id).and_then(|id| image.topics.by_id(id))
        } else {
            image.topics.by_name(wanted.name.as_deref().unwrap_or_default())
        };
        let name = match (known, by_id) {
            (Some(topic), _) => topic.name.as_str(),
            (None, true) => {
                rows.push(unknown_id(wanted.topic_id));
                continue;
            }
            (None, false) => wanted.name.as_deref().unwrap_or_default(),
        };
        if !seen.insert(name.to_owned()) {
            continue;
        }
        if !node.access.may_topic(caller, Operation::Describe, name) {
            rows.push(refused(by_id, (name, wanted.topic_id)));
        } else if let Some(topic) = known {
            rows.push(topic_row(node, caller, version, (image, request, topic)));
        } else {
            missing.push(name.to_owned());
        }
    }
    rows.extend(missing.into_iter().map(|name| missing_topic(node, caller, (version, request), name)));
    rows
}

fn topic_row(
    node: &Node,
    caller: &Caller,
    version: i16,
    (image, request, topic): (&MetadataImage, &MetadataRequest, &Topic),
) -> MetadataResponseTopic {
    let strictness = Strictness { missing_replicas: version == 0, missing_listener: version >= 6 };
    let rows = topology::partition_rows(image, topic, &caller.listener, strictness);
    let operations = operations_on(node, caller, request, topic.name.as_str());
    MetadataResponseTopic {
        error_code: 0,
        name: Some(topic.name.to_string()),
        topic_id: topic.id.uuid(),
        is_internal: topic.name.is_internal(),
        partitions: rows
            .into_iter()
            .map(|row| MetadataResponsePartition {
                error_code: row.error.number(),
                partition_index: row.index,
                leader_id: row.leader,
                leader_epoch: row.leader_epoch,
                replica_nodes: row.replicas,
                isr_nodes: row.in_sync,
                offline_replicas: row.offline,
            })
            .collect(),
        topic_authorized_operations: operations,
    }
}

/// A topic that does not exist: it is created in the background where that is wanted and allowed (MD-06, MD-07).
fn missing_topic(
    node: &Node,
    caller: &Caller,
    (version, request): (i16, &MetadataRequest),
    name: String,
) -> MetadataResponseTopic {
    let create = (version < 4 || request.allow_auto_topic_creation) && node.settings().auto_create_topics;
    let mut operations = operations_on(node, caller, request, &name);
    let error = if create && !node.access.may_create_topic(caller, &name) {
        operations = NOT_ASKED;
        ErrorCode::TopicAuthorizationFailed
    } else {
        match TopicName::new(&name) {
            Err(_) => ErrorCode::InvalidTopicException,
            Ok(topic) => {
                if create {
                    node.auto_create(topic);
                }
                ErrorCode::UnknownTopicOrPartition
            }
        }
    };
    MetadataResponseTopic {
        error_code: error.number(),
        is_internal: TopicName::new(&name).is_ok_and(|topic| topic.is_internal()),
        name: Some(name),
        topic_authorized_operations: operations,
        ..MetadataResponseTopic::default()
    }
}

/// What the caller may do with a topic, also with one that is not there.
fn operations_on(node: &Node, caller: &Caller, request: &MetadataRequest, topic: &str) -> i32 {
    if request.include_topic_authorized_operations {
        node.access.authorized_operations(caller, ResourceType::Topic, topic)
    } else {
        NOT_ASKED
    }
}

fn unknown_id(id: Uuid) -> MetadataResponseTopic {
    MetadataResponseTopic {
        error_code: ErrorCode::UnknownTopicId.number(),
        name: None,
        topic_id: id,
        ..MetadataResponseTopic::default()
    }
}

/// A topic the caller may not know of: by name without its id, by id without its name (MD-08).
fn refused(by_id: bool, (name, id): (&str, Uuid)) -> MetadataResponseTopic {
    let error = ErrorCode::TopicAuthorizationFailed.number();
    let (name, topic_id) = if by_id { (None, id) } else { (Some(name.to_owned()), Uuid::ZERO) };
    MetadataResponseTopic { error_code: error, name, topic_id, ..MetadataResponseTopic::default() }
}
