//! Topics that requests need are created in the background.
//!
//! Owns: one task that asks the controller, the list of what is asked for already.
//! Does not own: who may cause it (`handlers`), what the controller says (`metadata`).
//!
//! Source: requirements MD-07, LSN-04, TRAP-28.

use std::sync::Arc;

use ottla_env::sync::mpsc;
use ottla_metadata::controller::{Answer, Command, CreateTopicError, CreateTopics, Layout, NewTopic};

use crate::node::{Node, Wanted};

/// Topics created with one request to the controller.
const TOPICS_PER_REQUEST: usize = 64;

/// Creates what is asked for until nobody can ask any more.
pub async fn run(node: Arc<Node>, mut wanted: mpsc::Receiver<Wanted>) {
    while let Some(first) = wanted.recv().await {
        let mut batch = vec![first];
        while batch.len() < TOPICS_PER_REQUEST {
            let Ok(next) = wanted.try_recv() else { break };
            if !batch.contains(&next) {
                batch.push(next);
            }
        }
        create(&node, batch).await;
    }
}

async fn create(node: &Node, batch: Vec<Wanted>) {
    let config = node.config();
    let new_topic = |wanted: Wanted| match wanted {
        Wanted::Internal(internal) => internal.new_topic(&config),
        Wanted::Topic(name) => NewTopic {
            name: name.to_string(),
            layout: Layout::Counts { partitions: None, replicas: None },
            configs: Vec::new(),
        },
    };
    let topics = batch.into_iter().map(new_topic).collect();
    drop(config);
    let command = Command::CreateTopics(CreateTopics { topics, validate_only: false });
    match node.controller.ask(command).await {
        Ok(Answer::CreateTopics(Ok(outcomes))) => {
            for outcome in outcomes {
                match outcome.result {
                    Ok(_) => tracing::info!(topic = outcome.name, "topic created on demand"),
                    Err(CreateTopicError::Exists(_)) => {}
                    Err(error) => {
                        tracing::warn!(topic = outcome.name, %error, "a topic cannot be created on demand");
                    }
                }
            }
        }
        Ok(Answer::CreateTopics(Err(error))) => tracing::warn!(%error, "topics cannot be created on demand"),
        Ok(other) => unreachable!("a creation of topics was answered with {other:?}"),
        Err(error) => tracing::warn!(%error, "topics cannot be created on demand"),
    }
}
