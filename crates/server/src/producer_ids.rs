//! Producer ids of this broker: handed out one by one from blocks the controller gives.
//!
//! Owns: the rest of the present block. Does not own: the blocks (`metadata::controller`).
//!
//! Invariants
//! - P1 an id is handed out once; what is left of a block when the process ends is never used.
//!
//! Source: requirement IDM-10, KIP-730.

use ottla_env::sync::Semaphore;
use ottla_metadata::controller::{Answer, Command};
use ottla_model::ProducerId;
use ottla_protocol::ErrorCode;
use parking_lot::Mutex;

use crate::error_code;
use crate::node::Node;

/// The ids that are left of the present block.
#[derive(Debug)]
pub struct ProducerIds {
    left: Mutex<Option<(i64, i64)>>,
    /// One request at a time asks for the next block.
    asking: Semaphore,
}

impl Default for ProducerIds {
    fn default() -> ProducerIds {
        ProducerIds { left: Mutex::new(None), asking: Semaphore::new(1) }
    }
}

impl ProducerIds {
    /// An id nobody else has.
    pub async fn next(&self, node: &Node) -> Result<ProducerId, ErrorCode> {
        if let Some(id) = self.take() {
            return Ok(id);
        }
        let Ok(_turn) = self.asking.acquire().await else { return Err(ErrorCode::CoordinatorNotAvailable) };
        if let Some(id) = self.take() {
            return Ok(id);
        }
        // Not registered yet: clients try again.
        let epoch = node.broker_epoch().ok_or(ErrorCode::CoordinatorLoadInProgress)?;
        let command = Command::AllocateProducerIds { broker: node.identity.id, epoch: epoch.value() };
        match node.controller.ask(command).await {
            Ok(Answer::AllocateProducerIds(Ok(block))) => {
                let first = block.first.value();
                *self.left.lock() = Some((first, first.saturating_add(i64::from(block.length))));
                self.take().ok_or(ErrorCode::UnknownServerError)
            }
            Ok(Answer::AllocateProducerIds(Err(error))) => {
                tracing::warn!(%error, "no block of producer ids");
                let code = error_code::of_producer_ids(&error);
                // The broker registers again, then there are ids: clients try again.
                let stale = code == ErrorCode::StaleBrokerEpoch;
                Err(if stale { ErrorCode::CoordinatorLoadInProgress } else { code })
            }
            Ok(other) => unreachable!("a block of producer ids was answered with {other:?}"),
            Err(_) => Err(ErrorCode::CoordinatorLoadInProgress),
        }
    }

    fn take(&self) -> Option<ProducerId> {
        let mut left = self.left.lock();
        let (next, end) = (*left)?;
        if next >= end {
            return None;
        }
        *left = Some((next + 1, end));
        ProducerId::new(next)
    }
}
