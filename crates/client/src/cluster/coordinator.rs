//! Which broker coordinates a group.
//!
//! Owns: FindCoordinator, for several groups in one request where the broker can (KIP-699), else one by one.
//! Does not own: how long an answer is believed (the caller asks again after NOT_COORDINATOR).
//!
//! Source: Kafka protocol guide, FindCoordinator; requirement TRAP-29.

use std::sync::Arc;

use ottla_model::BrokerId;
use ottla_protocol::messages::FindCoordinatorRequest;
use ottla_protocol::messages::find_coordinator_response::Coordinator;

use super::image::Node;
use super::{CallOptions, ClusterImage, Lane, Shared};
use crate::config::Endpoint;
use crate::connection::Request;
use crate::error::{CallError, ServerError};

/// First version of FindCoordinator that takes several keys.
const BATCHED_SINCE: i16 = 4;

/// What is coordinated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CoordinatorKind {
    Group,
}

impl CoordinatorKind {
    fn wire(self) -> i8 {
        match self {
            CoordinatorKind::Group => 0,
        }
    }
}

/// Why no coordinator is known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CoordinatorError {
    #[error(transparent)]
    Call(#[from] CallError),
    #[error(transparent)]
    Refused(#[from] ServerError),
}

impl Shared {
    /// Asks some broker who coordinates each of `keys`; the answers are in the order of the keys. Every node that
    /// is named becomes part of the image, so that it can be connected to.
    pub(crate) async fn find_coordinators(
        &self,
        kind: CoordinatorKind,
        keys: &[String],
    ) -> Result<Vec<Result<BrokerId, ServerError>>, CallError> {
        let target = self.candidates(false).first().copied();
        let target = target.ok_or(CallError::NoNode { call: "findCoordinator" })?;
        let connection = self.connect(target, Lane::Control).await?;
        let version = connection.version_of::<FindCoordinatorRequest>(i16::MAX)?;
        let options = CallOptions { version_cap: version, ..CallOptions::default() };
        let mut found = Vec::with_capacity(keys.len());
        if version >= BATCHED_SINCE {
            let request = FindCoordinatorRequest {
                key_type: kind.wire(),
                coordinator_keys: keys.to_vec(),
                ..Default::default()
            };
            let response = self.call(target, &request, options).await?;
            for key in keys {
                let answer = response.coordinators.iter().find(|coordinator| coordinator.key == *key);
                found.push(match answer {
                    Some(coordinator) => self.known_coordinator(coordinator),
                    None => return Err(missing(key, connection.node())),
                });
            }
            return Ok(found);
        }
        for key in keys {
            let request =
                FindCoordinatorRequest { key: key.clone(), key_type: kind.wire(), ..Default::default() };
            let response = self.call(target, &request, options).await?;
            let coordinator = Coordinator {
                key: key.clone(),
                node_id: response.node_id,
                host: response.host,
                port: response.port,
                error_code: response.error_code,
                error_message: response.error_message,
            };
            found.push(self.known_coordinator(&coordinator));
        }
        Ok(found)
    }

    /// Asks for one key.
    pub(crate) async fn find_coordinator(
        &self,
        kind: CoordinatorKind,
        key: &str,
    ) -> Result<BrokerId, CoordinatorError> {
        let found = self.find_coordinators(kind, &[key.to_owned()]).await?;
        match found.into_iter().next() {
            Some(found) => Ok(found?),
            None => Err(CallError::NoNode { call: "findCoordinator" }.into()),
        }
    }

    fn known_coordinator(&self, coordinator: &Coordinator) -> Result<BrokerId, ServerError> {
        ServerError::check(coordinator.error_code, coordinator.error_message.as_deref())?;
        let node = BrokerId::new(coordinator.node_id).zip(u16::try_from(coordinator.port).ok());
        let Some((id, port)) = node else {
            return Err(crate::error::ErrorCode::CoordinatorNotAvailable.into());
        };
        let endpoint = Endpoint { host: coordinator.host.clone(), port };
        self.image.rcu(|image| match image.nodes.contains_key(&id) {
            true => Arc::clone(image),
            false => {
                let mut image = ClusterImage::clone(image);
                image.nodes.insert(id, Arc::new(Node { id, endpoint: endpoint.clone(), rack: None }));
                Arc::new(image)
            }
        });
        Ok(id)
    }
}

fn missing(key: &str, node: &Endpoint) -> CallError {
    CallError::Malformed {
        api: crate::error::api_name(FindCoordinatorRequest::KEY),
        node: node.clone(),
        reason: format!("it does not name the coordinator of '{key}'"),
    }
}
