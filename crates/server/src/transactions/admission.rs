//! Whether the batches of a transactional Produce request may be appended.
//!
//! Owns: which partitions of a request need a question, what a producer is told instead of an append.
//! Does not own: the question (`verifying`), the append (`handlers::produce`).
//!
//! A partition where the transaction goes on already needs no question: such a request is appended at once, like any
//! other. Only the first batch of a transaction in a partition waits for the coordinator.
//!
//! Source: KIP-890; requirements IDM-05, IDM-07, TXN-06, TXN-07, TXN-12.

use std::sync::Arc;

use ottla_env::time::wall_now;
use ottla_model::{ProducerEpoch, ProducerId, Sequence, TransactionalId, Verification};
use ottla_protocol::ErrorCode;
use ottla_storage::VerificationRequest;

use super::enrolment::EnrolmentKind;
use super::told_to_producer;
use super::verifying::{self, Asking, Candidate};
use crate::node::Node;
use crate::partition::Partition;

/// First Produce version whose clients know TRANSACTION_ABORTABLE.
const FIRST_WITH_ABORTABLE: i16 = 11;
/// First Produce version that makes its partitions part of the transaction (transaction version 2).
const FIRST_THAT_ADDS: i16 = 12;

/// An error, and its words where it has its own.
pub type Refused = (ErrorCode, Option<String>);

/// A transactional batch of a request that could be appended.
pub struct TransactionalBatch {
    /// Its place among the partitions of the request.
    pub slot: usize,
    pub partition: Arc<Partition>,
    pub producer: ProducerId,
    pub epoch: ProducerEpoch,
    pub first_sequence: Option<Sequence>,
}

/// What is known of each partition of a request, in its order.
pub struct Admission(Vec<Result<Verification, Refused>>);

/// What a look at the partitions found.
pub enum Looked {
    /// Nobody need be asked.
    Admitted(Admission),
    /// More than one producer wrote the batches: nothing is appended.
    Mixed,
    /// The coordinator is to be asked.
    MustAsk(Question),
}

/// Partitions that the coordinator is asked about.
pub struct Question {
    admission: Admission,
    asking: Asking,
    /// Their places among the partitions of the request.
    slots: Vec<usize>,
    candidates: Vec<Candidate>,
    version: i16,
}

impl Admission {
    /// Nothing is known of so many partitions.
    fn of_none(partitions: usize) -> Admission {
        Admission(vec![Ok(Verification::NotAsked); partitions])
    }

    /// What the partition at `slot` is appended with, or what is told instead.
    pub fn of(&self, slot: usize) -> Result<Verification, Refused> {
        self.0.get(slot).cloned().unwrap_or(Ok(Verification::NotAsked))
    }

    fn set(&mut self, slot: usize, known: Result<Verification, Refused>) {
        if let Some(place) = self.0.get_mut(slot) {
            *place = known;
        }
    }
}

/// Looks which partitions of a request need a question. `partitions` is how many it has.
pub fn look(
    node: &Node,
    (id, version): (&str, i16),
    (partitions, batches): (usize, Vec<TransactionalBatch>),
) -> Looked {
    let mut admission = Admission::of_none(partitions);
    let Some(first) = batches.first() else { return Looked::Admitted(admission) };
    let (producer, epoch) = (first.producer, first.epoch);
    if batches.iter().any(|batch| (batch.producer, batch.epoch) != (producer, epoch)) {
        return Looked::Mixed;
    }
    let kind = if version >= FIRST_THAT_ADDS { EnrolmentKind::Add } else { EnrolmentKind::Verify };
    if kind == EnrolmentKind::Verify && !node.config().transactions.verifies_partitions {
        batches.iter().for_each(|batch| admission.set(batch.slot, Ok(Verification::Off)));
        return Looked::Admitted(admission);
    }
    let (mut slots, mut candidates) = (Vec::new(), Vec::new());
    for TransactionalBatch { slot, partition, first_sequence, .. } in batches {
        let begins_at_zero = kind == EnrolmentKind::Add;
        let request =
            VerificationRequest { producer, epoch, first_sequence, begins_at_zero, now: wall_now() };
        match Candidate::look(partition, request) {
            Ok(None) => {}
            Ok(Some(candidate)) => {
                slots.push(slot);
                candidates.push(candidate);
            }
            Err(code) => admission.set(slot, Err((code, None))),
        }
    }
    if candidates.is_empty() {
        return Looked::Admitted(admission);
    }
    let asking = Asking { id: TransactionalId::new(id), kind };
    Looked::MustAsk(Question { admission, asking, slots, candidates, version })
}

impl Question {
    /// Asks the coordinator.
    pub async fn ask(self, node: &Node) -> Admission {
        let Question { mut admission, asking, slots, candidates, version } = self;
        let outcomes = verifying::ask(node, asking, &candidates).await;
        for (slot, outcome) in slots.into_iter().zip(outcomes) {
            admission.set(slot, outcome.map_err(|code| told(code, version)));
        }
        admission
    }
}

/// What a producer is told for what the coordinator answered. A coordinator that is not there for the moment is told as
/// too few replicas, which makes every client try again without asking where the partition is.
fn told(code: ErrorCode, version: i16) -> Refused {
    let code = told_to_producer(code, version >= FIRST_WITH_ABORTABLE);
    let passing = [
        ErrorCode::NetworkException,
        ErrorCode::CoordinatorLoadInProgress,
        ErrorCode::CoordinatorNotAvailable,
        ErrorCode::NotCoordinator,
    ];
    // The transaction before is still being ended, which only newer clients know to wait for.
    let is_early = code == ErrorCode::ConcurrentTransactions && version < FIRST_THAT_ADDS;
    if passing.contains(&code) || is_early {
        let name = code.name();
        let words = "Unable to verify the partition has been added to the transaction. Underlying error:";
        return (ErrorCode::NotEnoughReplicas, Some(format!("{words} {name}")));
    }
    let words = "Partition was not added to the transaction";
    (code, (code == ErrorCode::InvalidTxnState).then(|| words.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// TXN-06, TXN-07: codes by the version of the request.
    #[test]
    fn the_coordinators_errors_are_told_in_words_that_the_client_knows() {
        use ErrorCode as C;
        for (code, expected) in [
            (C::None, [C::None; 3]),
            (C::TransactionAbortable, [C::InvalidTxnState, C::TransactionAbortable, C::TransactionAbortable]),
            (C::ProducerFenced, [C::InvalidProducerEpoch; 3]),
            (C::InvalidProducerIdMapping, [C::InvalidProducerIdMapping; 3]),
            (C::InvalidTxnState, [C::InvalidTxnState; 3]),
            (C::NotCoordinator, [C::NotEnoughReplicas; 3]),
            (C::CoordinatorLoadInProgress, [C::NotEnoughReplicas; 3]),
            (C::CoordinatorNotAvailable, [C::NotEnoughReplicas; 3]),
            (C::NetworkException, [C::NotEnoughReplicas; 3]),
            (
                C::ConcurrentTransactions,
                [C::NotEnoughReplicas, C::NotEnoughReplicas, C::ConcurrentTransactions],
            ),
        ] {
            assert_eq!([10, 11, 12].map(|version| told(code, version).0), expected, "{code:?}");
        }
        let words = |code| told(code, 11).1.unwrap_or_default();
        assert_eq!(words(C::InvalidTxnState), "Partition was not added to the transaction");
        assert_eq!(
            words(C::ConcurrentTransactions),
            "Unable to verify the partition has been added to the transaction. Underlying error: \
             CONCURRENT_TRANSACTIONS"
        );
        assert_eq!(words(C::ProducerFenced), "");
    }
}
