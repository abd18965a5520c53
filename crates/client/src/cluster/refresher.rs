//! The task that keeps a client's image of the cluster fresh.
//!
//! Owns: asking nodes in turn, and telling whoever waits.
//! Does not own: when to ask (`refresh`), what an answer changes (`image`).

use std::sync::Arc;

use ottla_env::{task, time};
use ottla_model::BrokerId;
use ottla_protocol::messages::metadata_request::MetadataRequestTopic;
use ottla_protocol::messages::metadata_response::MetadataResponseBroker;
use ottla_protocol::messages::{DescribeClusterRequest, MetadataRequest, MetadataResponse};

use super::refresh::{Question, Topics};
use super::{CallOptions, Shared, Target};
use crate::error::{CallError, ErrorCode, ServerError, error_of};

/// `endpoint_type` of DescribeCluster for the controllers' own addresses.
const ENDPOINTS_OF_CONTROLLERS: i8 = 2;

/// Asks whenever a question is due, until the task is ended.
pub(super) async fn run(shared: Arc<Shared>) {
    loop {
        let (question, deadline) = shared.next_question();
        match question {
            Some(question) => ask(&shared, &question).await,
            None => task::select! {
                biased;
                () = shared.wanted.notified() => {}
                () = time::sleep_until_some(deadline) => {}
            },
        }
    }
}

/// Puts a question to the nodes in turn until one answers.
async fn ask(shared: &Shared, question: &Question) {
    let mut failure = CallError::NoNode { call: "metadata" };
    for target in shared.candidates(question.from_bootstrap) {
        match ask_one(shared, target, question).await {
            Ok(response) => return on_answer(shared, &response, question),
            Err(error) => {
                tracing::debug!(?target, %error, "metadata question failed");
                failure = error;
                // The node is alive but of the wrong kind: the others of the list will be too.
                if !failure.is_retriable() {
                    break;
                }
            }
        }
    }
    shared.refresh.lock().on_failure(time::now(), shared.random());
    shared.progress.send_modify(|progress| {
        progress.failures += 1;
        progress.failure = Some(failure);
    });
}

async fn ask_one(
    shared: &Shared,
    target: Target,
    question: &Question,
) -> Result<MetadataResponse, CallError> {
    if shared.config.bootstrap_is_controllers {
        return ask_controller(shared, target).await;
    }
    let request = MetadataRequest {
        topics: match &question.topics {
            Topics::All => None,
            Topics::Named(names) => Some(
                names
                    .iter()
                    .map(|name| MetadataRequestTopic { name: Some(name.to_string()), ..Default::default() })
                    .collect(),
            ),
        },
        allow_auto_topic_creation: shared.options.allow_auto_create,
        ..Default::default()
    };
    shared.call(target, &request, CallOptions::default()).await
}

/// Controllers do not serve Metadata; they describe themselves in DescribeCluster (KIP-919).
async fn ask_controller(shared: &Shared, target: Target) -> Result<MetadataResponse, CallError> {
    let request = DescribeClusterRequest { endpoint_type: ENDPOINTS_OF_CONTROLLERS, ..Default::default() };
    let response = shared.call(target, &request, CallOptions::default()).await?;
    let refused = ServerError::check(response.error_code, response.error_message.as_deref());
    refused.map_err(CallError::Rejected)?;
    let brokers = response.brokers.into_iter().map(|node| MetadataResponseBroker {
        node_id: node.broker_id,
        host: node.host,
        port: node.port,
        rack: node.rack,
    });
    Ok(MetadataResponse {
        brokers: brokers.collect(),
        cluster_id: Some(response.cluster_id),
        controller_id: response.controller_id,
        error_code: response.error_code,
        ..Default::default()
    })
}

fn on_answer(shared: &Shared, response: &MetadataResponse, question: &Question) {
    let now = time::now();
    if error_of(response.error_code) == Some(ErrorCode::RebootstrapRequired) {
        let mut refresh = shared.refresh.lock();
        refresh.on_failure(now, shared.random());
        refresh.on_rebootstrap_required();
        return;
    }
    let all = question.topics == Topics::All;
    let image = shared.image.load().updated(response, all);
    report_topics(response);
    let complete = is_complete(response) && !image.nodes.is_empty();
    shared.on_image(image);
    shared.refresh.lock().on_answer(complete, now, shared.random());
    shared.progress.send_modify(|progress| {
        progress.answers += 1;
        progress.failure = None;
    });
}

/// Whether asking again could heal nothing: every topic is there, or its error is final.
fn is_complete(response: &MetadataResponse) -> bool {
    let retriable = |code: i16| error_of(code).is_some_and(ErrorCode::is_retriable);
    response.topics.iter().all(|topic| {
        let leaderless = |partition: &i32| BrokerId::new(*partition).is_none();
        !retriable(topic.error_code)
            && !topic.partitions.iter().any(|partition| leaderless(&partition.leader_id))
    })
}

fn report_topics(response: &MetadataResponse) {
    for topic in &response.topics {
        if let Err(error) = ServerError::check(topic.error_code, None) {
            let name = topic.name.as_deref().unwrap_or_default();
            tracing::warn!(topic = name, code = %error.code, "topic cannot be described");
        }
    }
}
