//! The admin client: topics, configurations, groups, offsets and the cluster itself.
//!
//! Owns: the handle, and the ways to put a request to the right node until it is answered.
//! Does not own: what single operations say (one file each).
//!
//! Every operation is tried again until `default.api.timeout.ms` is over, as long as the failure is one that may
//! pass. An operation on several things answers for each of them; only when no node answers does it fail as a whole.

mod cluster;
mod configs;
mod describe_topics;
mod error;
mod group_members;
mod group_offsets;
mod groups;
mod log_dirs;
mod offsets;
mod producers;
mod spread;
mod topics;
mod voters;

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use ottla_env::time;
use ottla_model::{BrokerId, TopicName, TopicPartition};

pub use cluster::*;
pub use configs::*;
pub use describe_topics::*;
pub use group_members::*;
pub use group_offsets::{
    AlterGroupOffsetsError, CommittedOffset, DeleteGroupOffsetsError, ListGroupOffsetsError,
    PartitionOutcomes,
};
pub(crate) use group_offsets::{
    NAMES_UNTIL, commit_topics, committed_offsets, in_groups, offset_fetch_code, without_groups,
};
pub use groups::*;
pub use log_dirs::*;
pub use offsets::{DeleteRecordsError, ListOffsetsError, ListedOffset, OffsetSpec};
pub(crate) use offsets::{Question, read_answer};
pub use producers::*;
pub use topics::*;
pub use voters::*;

use crate::cluster::{
    Attempt, CallOptions, Cluster, ClusterImage, ClusterOptions, CoordinatorError, CoordinatorKind, Deadline,
    Shared, Target,
};
use crate::config::AdminConfig;
use crate::connection::Request;
use crate::error::{CallError, ErrorCode, error_of};

/// A client for administration. Cheap to share by reference; all operations take `&self`.
#[derive(Debug)]
pub struct Admin {
    cluster: Cluster,
    api_timeout: Duration,
}

impl Admin {
    /// Creates the client; nothing is connected before the first operation. Must be called on a runtime. Fails only
    /// if the system has no source of randomness.
    pub fn new(config: AdminConfig) -> io::Result<Admin> {
        let options = ClusterOptions { allow_auto_create: false, idle_max: None };
        Ok(Admin { api_timeout: config.api_timeout, cluster: Cluster::new(config.common, options)? })
    }

    fn shared(&self) -> &Shared {
        self.cluster.shared()
    }

    fn deadline(&self, call: &'static str) -> Deadline {
        Deadline::after(self.api_timeout, call)
    }

    /// What is left until the deadline, for requests that carry a timeout of their own.
    fn left_ms(deadline: Deadline) -> i32 {
        let left = deadline.at.saturating_duration_since(time::now());
        i32::try_from(left.as_millis()).unwrap_or(i32::MAX)
    }

    /// Waits until the nodes of the cluster are known.
    async fn known_cluster(&self, deadline: Deadline) -> Result<(), CallError> {
        self.shared().wait_for(deadline, |image| (!image.nodes.is_empty()).then_some(())).await
    }

    /// Asks any node, once it is known which there are.
    async fn ask_any<R: Request>(&self, deadline: Deadline, request: &R) -> Result<R::Response, CallError> {
        self.known_cluster(deadline).await?;
        let options = CallOptions::default();
        let mut attempts = self.shared().attempts(deadline);
        loop {
            let attempt = async {
                let Some(target) = self.shared().candidates(false).first().copied() else {
                    return Attempt::Again(CallError::NoNode { call: deadline.call });
                };
                attempt_of(self.shared().call(target, request, options).await, deadline)
            };
            if let Some(end) = attempts.make(attempt).await {
                return end;
            }
        }
    }

    /// Asks the node with this id.
    async fn ask_broker<R: Request>(
        &self,
        deadline: Deadline,
        broker: BrokerId,
        request: &R,
    ) -> Result<R::Response, CallError> {
        let options = CallOptions::default();
        self.shared().wait_for(deadline, |image| image.nodes.contains_key(&broker).then_some(())).await?;
        let mut attempts = self.shared().attempts(deadline);
        loop {
            let attempt = async {
                attempt_of(self.shared().call(Target::Broker(broker), request, options).await, deadline)
            };
            if let Some(end) = attempts.make(attempt).await {
                return end;
            }
        }
    }

    /// Asks the controller, again and at another node if it says that it is none.
    async fn ask_controller<R: Request>(
        &self,
        deadline: Deadline,
        request: &R,
        code_of: impl Fn(&R::Response) -> i16,
    ) -> Result<R::Response, CallError> {
        let mut attempts = self.shared().attempts(deadline);
        loop {
            let attempt = async {
                let controller = self.shared().wait_for(deadline, |image| image.controller).await;
                let target = match controller {
                    Ok(id) => Target::Broker(id),
                    Err(error) => return Attempt::of_call(error),
                };
                let answer = self.shared().call(target, request, CallOptions::default()).await;
                if let Ok(response) = &answer
                    && error_of(code_of(response)) == Some(ErrorCode::NotController)
                {
                    self.shared().want_news();
                    return Attempt::Again(CallError::NoNode { call: deadline.call });
                }
                attempt_of(answer, deadline)
            };
            if let Some(end) = attempts.make(attempt).await {
                return end;
            }
        }
    }

    /// Asks any broker, which forwards to the active controller, or that one where the client knows controllers only.
    async fn ask_any_or_controller<R: Request>(
        &self,
        deadline: Deadline,
        request: &R,
        code_of: impl Fn(&R::Response) -> i16,
    ) -> Result<R::Response, CallError> {
        match self.shared().config().bootstrap_is_controllers {
            true => self.ask_controller(deadline, request, code_of).await,
            false => self.ask_any(deadline, request).await,
        }
    }

    /// Asks the coordinator of a group, again after a while if it is moving. `code_of` finds the code that says so.
    async fn ask_coordinator<R: Request>(
        &self,
        deadline: Deadline,
        (group, request, version_cap): (&str, &R, i16),
        code_of: impl Fn(&R::Response) -> i16,
    ) -> Result<R::Response, GroupCallError> {
        let options = CallOptions { version_cap, ..CallOptions::default() };
        let mut attempts = self.shared().attempts(deadline);
        loop {
            let attempt = async {
                let found = self.shared().find_coordinator(CoordinatorKind::Group, group).await;
                let coordinator = match found {
                    Ok(coordinator) => coordinator,
                    // In the end there was no node to ask, as Kafka's client has it.
                    Err(CoordinatorError::Call(CallError::NoNode { .. } | CallError::Connect { .. })) => {
                        return Attempt::Again(CallError::NoNode { call: deadline.call }.into());
                    }
                    Err(error) => return GroupCallError::attempt(error.into()),
                };
                let target = Target::Broker(coordinator);
                match self.shared().call(target, request, options).await {
                    Ok(response) => match error_of(code_of(&response)) {
                        Some(code) if is_moving(code) => Attempt::Again(GroupCallError::Refused(code.into())),
                        _ => Attempt::Done(response),
                    },
                    Err(error) => GroupCallError::attempt(error.into()),
                }
            };
            if let Some(end) = attempts.make(attempt).await {
                return end;
            }
        }
    }

    /// Groups partitions by the node that leads them. Partitions whose topic is not there, or that have no leader
    /// before the deadline, are answered apart.
    async fn by_leader(
        &self,
        deadline: Deadline,
        partitions: impl IntoIterator<Item = TopicPartition>,
    ) -> Result<ByLeader, CallError> {
        let partitions: Vec<TopicPartition> = partitions.into_iter().collect();
        let mut topics: Vec<TopicName> = partitions.iter().map(|one| one.topic.clone()).collect();
        topics.dedup();
        let answers_before = self.shared().news().borrow().answers;
        for topic in &topics {
            self.shared().use_topic(topic);
        }
        let sorted = self.shared().wait_for(deadline, |image| sort_by_leader(image, &partitions)).await?;
        if sorted.refused.is_empty() {
            return Ok(sorted);
        }
        // What is not there may have come since it was last asked for.
        let news = self.shared().news();
        let fresh = |image: &ClusterImage| {
            let is_fresh = news.borrow().answers > answers_before;
            is_fresh.then(|| sort_by_leader(image, &partitions)).flatten()
        };
        self.shared().wait_for(deadline, fresh).await
    }
}

/// Partitions by the node that leads them, and those whose topic cannot be described.
#[derive(Clone, Debug, Default)]
struct ByLeader {
    led: BTreeMap<BrokerId, Vec<TopicPartition>>,
    refused: Vec<(TopicPartition, ErrorCode)>,
}

/// `None` while something may still become known.
fn sort_by_leader(image: &ClusterImage, partitions: &[TopicPartition]) -> Option<ByLeader> {
    let mut sorted = ByLeader::default();
    for partition in partitions {
        match image.topics.get(&partition.topic)? {
            Err(code) => sorted.refused.push((partition.clone(), *code)),
            Ok(topic) => match topic.partition(partition.partition) {
                None => sorted.refused.push((partition.clone(), ErrorCode::UnknownTopicOrPartition)),
                Some(info) => sorted.led.entry(info.leader?).or_default().push(partition.clone()),
            },
        }
    }
    Some(sorted)
}

/// The coordinator is starting, moving, or was looked for at the wrong node.
fn is_moving(code: ErrorCode) -> bool {
    code == ErrorCode::NotCoordinator
        || code == ErrorCode::CoordinatorNotAvailable
        || code == ErrorCode::CoordinatorLoadInProgress
}

/// An attempt whose node could not be connected to ends, when time is over, as Kafka's does: without a node.
fn attempt_of<T, E: From<CallError>>(answer: Result<T, CallError>, deadline: Deadline) -> Attempt<T, E> {
    match answer {
        Ok(value) => Attempt::Done(value),
        Err(CallError::Connect { node, reason }) => {
            tracing::debug!(%node, reason, call = deadline.call, "cannot connect");
            Attempt::Again(CallError::NoNode { call: deadline.call }.into())
        }
        Err(error) => Attempt::of_call(error),
    }
}
