//! A partition is verified, or added, before the first batch of a transaction.
//!
//! Owns: the order guard → question → what to append with. Does not own: the guards (`storage`), the answer
//! (`enrolment`), what is told for it (`admission`, `handlers`).
//!
//! Source: KIP-890; requirements TXN-06, TXN-07.

use std::sync::Arc;

use ottla_model::{TransactionalId, Verification, VerificationGuard};
use ottla_protocol::ErrorCode;
use ottla_storage::VerificationRequest;

use super::enrolment::{Enrolment, EnrolmentKind, enrol};
use crate::error_code;
use crate::node::Node;
use crate::partition::Partition;

/// A partition that the coordinator is to be asked about.
pub struct Candidate {
    partition: Arc<Partition>,
    request: VerificationRequest,
    guard: VerificationGuard,
}

/// Whose transaction it is, and what is asked of its coordinator.
#[derive(Clone, Debug)]
pub struct Asking {
    pub id: TransactionalId,
    pub kind: EnrolmentKind,
}

impl Candidate {
    /// `None`: the transaction goes on in the partition, so nobody need be asked.
    pub fn look(
        partition: Arc<Partition>,
        request: VerificationRequest,
    ) -> Result<Option<Candidate>, ErrorCode> {
        let guard = partition.begin_verification(&request).map_err(|error| error_code::of_produce(&error))?;
        Ok(guard.map(|guard| Candidate { partition, request, guard }))
    }
}

/// Asks the coordinator about partitions that one producer writes to: for each, in order, what to append with, or the
/// code of the refusal.
pub async fn ask(
    node: &Node,
    asking: Asking,
    candidates: &[Candidate],
) -> Vec<Result<Verification, ErrorCode>> {
    let Some(first) = candidates.first() else { return Vec::new() };
    let enrolment = Enrolment {
        id: asking.id,
        producer: first.request.producer,
        epoch: first.request.epoch,
        partitions: candidates.iter().map(|candidate| candidate.partition.id().clone()).collect(),
        kind: asking.kind,
    };
    let answers = enrol(node, enrolment).await;
    let verifies = node.config().transactions.verifies_partitions;
    let outcome = |candidate: &Candidate| {
        let answer = answers.iter().find(|(partition, _)| partition == candidate.partition.id());
        let code = answer.map_or(ErrorCode::UnknownServerError, |(_, code)| *code);
        let known = if verifies { Verification::Verified(candidate.guard) } else { Verification::Off };
        if code.is_none() { Ok(known) } else { Err(code) }
    };
    candidates.iter().map(outcome).collect()
}
