//! What the transaction coordinator decided is carried out: markers are written to the partitions of a transaction.
//!
//! Owns: which partitions still lack their marker, and how often that is tried.
//! Does not own: the decision (`coordinator`), how one marker is written (`markers`).
//!
//! A marker is tried until it lies in the log, the partition is gone, or another coordinator has taken over: nobody else
//! would end the transaction there.
//!
//! Source: KIP-98; requirements TXN-09, TXN-14.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use ottla_coordinator::transaction::{
    Expire, Marked, Marking, ProducerIdentity, TransactionCommand, TransactionEffect,
};
use ottla_env::task;
use ottla_env::time::sleep;
use ottla_model::{LeaderEpoch, TopicPartition, TransactionalId};
use ottla_protocol::ErrorCode;

use super::markers;
use crate::node::Node;
use crate::partition::{Marker, Partition};

/// Pause between two attempts, which grows up to the second.
const BACKOFF: Duration = Duration::from_millis(20);
const BACKOFF_MAX: Duration = Duration::from_secs(1);

/// Begins what a coordinator wants done. `coordinator` is the partition it lives in.
pub fn carry_out(node: &Arc<Node>, coordinator: &Arc<Partition>, effect: TransactionEffect) {
    let node = Arc::clone(node);
    match effect {
        TransactionEffect::Mark(marking) => {
            // Without an epoch it has just ended; the one after it begins anew.
            let Some(epoch) = coordinator.leader_epoch() else { return };
            let job = Job { node, coordinator: Arc::clone(coordinator), epoch, marking };
            drop(task::spawn(job.run()));
        }
        TransactionEffect::FetchProducerId { id, producer } => {
            drop(task::spawn(fetch_producer_id(node, id, producer)));
        }
    }
}

/// An attempt that fails is made again with the next look at transactions that ran out of time.
async fn fetch_producer_id(node: Arc<Node>, id: TransactionalId, producer: ProducerIdentity) {
    match node.producer_ids.next(&node).await {
        Ok(fresh) => {
            let command = TransactionCommand::Expire(Expire { id, producer, fresh });
            drop(node.transactions.ask(&node, command).await);
        }
        Err(code) => tracing::warn!(%id, ?code, "no producer id to abort a transaction with"),
    }
}

/// Markers of one transaction.
struct Job {
    node: Arc<Node>,
    coordinator: Arc<Partition>,
    epoch: LeaderEpoch,
    marking: Marking,
}

/// What became of one marker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Attempt {
    /// It lies in the log, or need not.
    Done,
    Later,
    /// Another coordinator has written there already.
    Superseded,
}

impl Job {
    async fn run(mut self) {
        let mut backoff = BACKOFF;
        loop {
            let mut done = BTreeSet::new();
            for (partition, attempt) in self.attempt().await {
                match attempt {
                    Attempt::Done => drop(done.insert(partition)),
                    Attempt::Later => {}
                    Attempt::Superseded => return,
                }
            }
            self.marking.partitions.retain(|partition| !done.contains(partition));
            if !done.is_empty() {
                self.report(done).await;
            }
            if self.marking.partitions.is_empty() || !self.is_in_office() {
                return;
            }
            sleep(backoff).await;
            backoff = (backoff * 2).min(BACKOFF_MAX);
        }
    }

    async fn attempt(&self) -> Vec<(TopicPartition, Attempt)> {
        let marker = Marker {
            producer: self.marking.producer.id,
            epoch: self.marking.producer.epoch,
            outcome: self.marking.outcome,
            coordinator_epoch: self.epoch.value(),
            epoch_was_raised: self.marking.version.bumps_epochs(),
        };
        let (here, gone) =
            self.marking.partitions.iter().cloned().partition(|partition| self.exists(partition));
        let written = markers::write(&self.node, marker, here).await;
        let attempts = written.into_iter().map(|(partition, code)| {
            if code != ErrorCode::None {
                tracing::debug!(id = %self.marking.id, %partition, ?code, "a marker is not written");
            }
            (partition, judge(code))
        });
        let gone: Vec<TopicPartition> = gone;
        attempts.chain(gone.into_iter().map(|partition| (partition, Attempt::Done))).collect()
    }

    /// A partition that is deleted has nobody to tell.
    fn exists(&self, partition: &TopicPartition) -> bool {
        let image = self.node.image();
        let topic = image.topics.by_name(partition.topic.as_str());
        topic.is_some_and(|topic| topic.partition(partition.partition).is_some())
    }

    /// Whether the coordinator that decided still is one.
    fn is_in_office(&self) -> bool {
        !self.node.transactions.is_stopping() && self.coordinator.leader_epoch() == Some(self.epoch)
    }

    async fn report(&self, partitions: BTreeSet<TopicPartition>) {
        let marked = Marked { id: self.marking.id.clone(), producer: self.marking.producer, partitions };
        // A coordinator that ended begins anew elsewhere, and has the markers written once more.
        drop(self.node.transactions.ask(&self.node, TransactionCommand::Marked(marked)).await);
    }
}

/// What the answer of a partition means.
fn judge(code: ErrorCode) -> Attempt {
    // A partition that knows a later epoch of the producer has nothing of this transaction open.
    if code == ErrorCode::None || code == ErrorCode::InvalidProducerEpoch {
        Attempt::Done
    } else if code == ErrorCode::TransactionCoordinatorFenced {
        Attempt::Superseded
    } else {
        Attempt::Later
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// TXN-09
    #[test]
    fn a_marker_is_tried_again_unless_the_answer_settles_it() {
        assert_eq!(judge(ErrorCode::None), Attempt::Done);
        assert_eq!(judge(ErrorCode::InvalidProducerEpoch), Attempt::Done);
        assert_eq!(judge(ErrorCode::TransactionCoordinatorFenced), Attempt::Superseded);
        for code in
            [ErrorCode::NotLeaderOrFollower, ErrorCode::UnknownTopicOrPartition, ErrorCode::RequestTimedOut]
        {
            assert_eq!(judge(code), Attempt::Later, "{code:?}");
        }
    }
}
