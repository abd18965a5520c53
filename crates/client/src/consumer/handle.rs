//! What can be asked of a consumer beside its records.
//!
//! Owns: positions, pauses, commits and offsets, for the user and for a rebalance listener.
//! Does not own: polling and subscribing (`consumer`).

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use ottla_env::sync::{mpsc, oneshot};
use ottla_env::time;
use ottla_model::{Offset, Timestamp, TopicName, TopicPartition};

use super::driver::Inner;
use super::error::{CommitError, NotAssigned, OffsetError, TopicError};
use super::machine::Machine;
use super::offset_calls::{self, Commit, Committed};
use super::positions::{Position, Positions};
use crate::admin::{CommittedOffset, ListedOffset, OffsetSpec};
use crate::cluster::{Deadline, TopicInfo};
use crate::config::{IsolationLevel, OffsetReset};

/// The outcome of a commit that is on its way. Dropping it changes nothing.
#[derive(Debug)]
#[must_use = "a commit may fail; drop its outcome on purpose where that does not matter"]
pub struct CommitOutcome(oneshot::Receiver<Result<(), CommitError>>);

impl Future for CommitOutcome {
    type Output = Result<(), CommitError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context).map(|said| said.unwrap_or(Err(CommitError::Closed)))
    }
}

/// Steers a [`Consumer`](super::Consumer) from anywhere. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ConsumerHandle {
    pub(super) inner: Arc<Inner>,
    pub(super) commits: mpsc::Sender<Commit>,
}

impl ConsumerHandle {
    /// The partitions that are assigned now.
    pub fn assignment(&self) -> BTreeSet<TopicPartition> {
        self.inner.machine.lock().positions.partitions().cloned().collect()
    }

    /// The topics that are consumed as a member of a group: those that were named, or that the pattern matches now.
    /// Empty where nothing is subscribed.
    pub fn subscription(&self) -> BTreeSet<TopicName> {
        let image = self.inner.cluster.image();
        self.inner.machine.lock().subscribed_topics(&image)
    }

    /// Makes the group spread its partitions anew, once this consumer polls again; without effect while a rebalance is
    /// under way or where nothing is subscribed (KIP-568).
    pub fn enforce_rebalance(&self) {
        self.inner.update(Machine::on_rebalance_wanted);
    }

    /// A topic as the cluster describes it: partitions, leaders, replicas. Waits, at most `default.api.timeout.ms`,
    /// until it is known; may be as old as `metadata.max.age.ms`.
    pub async fn topic_info(&self, topic: &TopicName) -> Result<Arc<TopicInfo>, TopicError> {
        self.inner.cluster.use_topic(topic);
        let known = self.inner.cluster.wait_for(self.deadline("partitionsFor"), |image| {
            match image.topics.get(topic)? {
                Ok(topic) => Some(Ok(Arc::clone(topic))),
                Err(code) if code.is_retriable() => None,
                Err(code) => Some(Err(*code)),
            }
        });
        match known.await {
            Ok(Ok(topic)) => Ok(topic),
            Ok(Err(code)) => Err(TopicError::Refused(code.into())),
            Err(error) => match self.inner.cluster.image().topics.get(topic) {
                Some(Err(code)) => Err(TopicError::Refused((*code).into())),
                Some(Ok(_)) | None => Err(error.into()),
            },
        }
    }

    /// Continues at `offset`. Nothing is asked of the cluster before the next poll.
    pub fn seek(&self, partition: &TopicPartition, offset: Offset) -> Result<(), NotAssigned> {
        let position = Position { offset, leader_epoch: None };
        self.on_position(partition, |positions| positions.on_seek(partition, position))
    }

    /// Continues at the first record there is.
    pub fn seek_to_beginning(&self, partition: &TopicPartition) -> Result<(), NotAssigned> {
        self.on_position(partition, |positions| positions.on_seek_to(partition, OffsetReset::Earliest))
    }

    /// Continues behind the last record there is.
    pub fn seek_to_end(&self, partition: &TopicPartition) -> Result<(), NotAssigned> {
        self.on_position(partition, |positions| positions.on_seek_to(partition, OffsetReset::Latest))
    }

    /// Leaves a partition out until it is resumed; it stays assigned.
    pub fn pause(&self, partition: &TopicPartition) -> Result<(), NotAssigned> {
        self.on_position(partition, |positions| positions.on_paused(partition, true))
    }

    /// Ends a pause.
    pub fn resume(&self, partition: &TopicPartition) -> Result<(), NotAssigned> {
        self.on_position(partition, |positions| positions.on_paused(partition, false))
    }

    /// The partitions that are paused.
    pub fn paused(&self) -> BTreeSet<TopicPartition> {
        let machine = self.inner.machine.lock();
        let paused = machine.positions.iter().filter(|(_, assigned)| assigned.paused);
        paused.map(|(partition, _)| partition.clone()).collect()
    }

    fn on_position(
        &self,
        partition: &TopicPartition,
        change: impl FnOnce(&mut Positions) -> bool,
    ) -> Result<(), NotAssigned> {
        match self.inner.update(|machine| change(&mut machine.positions)) {
            true => Ok(()),
            false => Err(NotAssigned(partition.clone())),
        }
    }

    /// The offset of the next record of an assigned partition; found out if need be.
    pub async fn position(&self, partition: &TopicPartition) -> Result<Offset, OffsetError> {
        let after = self.inner.config.api_timeout;
        let deadline = time::now() + after;
        let mut arrived = self.inner.arrived.subscribe();
        loop {
            {
                let machine = self.inner.machine.lock();
                if machine.positions.get(partition).is_none() {
                    return Err(OffsetError::NotAssigned { partition: partition.clone() });
                }
                if let Some(position) = machine.positions.position(partition) {
                    return Ok(position.offset);
                }
            }
            if time::timeout_at(deadline, arrived.changed()).await.is_err() {
                return Err(OffsetError::TimedOut { partition: partition.clone(), after });
            }
        }
    }

    /// How many records lie between the position and the end, as the last answer of the broker told it.
    pub fn lag(&self, partition: &TopicPartition) -> Option<u64> {
        let machine = self.inner.machine.lock();
        let watermarks = machine.positions.get(partition)?.watermarks;
        let end = match self.inner.config.isolation {
            IsolationLevel::ReadUncommitted => watermarks.high_watermark?,
            IsolationLevel::ReadCommitted => watermarks.last_stable?,
        };
        Some(end.distance_from(machine.positions.position(partition)?.offset))
    }

    /// Commits the positions of all partitions and waits for the outcome.
    pub async fn commit(&self) -> Result<(), CommitError> {
        let offsets = self.inner.machine.lock().positions.all();
        self.commit_offsets(offsets).await
    }

    /// Commits these offsets and waits for the outcome.
    pub async fn commit_offsets(
        &self,
        offsets: BTreeMap<TopicPartition, CommittedOffset>,
    ) -> Result<(), CommitError> {
        self.commit_offsets_async(offsets).await?.await
    }

    /// Commits the positions of all partitions soon, behind earlier commits. A failure is logged; the receiver tells
    /// the outcome to whoever wants to know.
    pub async fn commit_async(&self) -> Result<CommitOutcome, CommitError> {
        let offsets = self.inner.machine.lock().positions.all();
        self.commit_offsets_async(offsets).await
    }

    /// Commits these offsets soon, behind earlier commits. Waits only where too many commits wait already.
    pub async fn commit_offsets_async(
        &self,
        offsets: BTreeMap<TopicPartition, CommittedOffset>,
    ) -> Result<CommitOutcome, CommitError> {
        let (reply, outcome) = oneshot::channel();
        let commit = Commit { offsets, deadline: self.commit_deadline(), reply: Some(reply) };
        self.commits.send(commit).await.map_err(|_| CommitError::Closed)?;
        Ok(CommitOutcome(outcome))
    }

    fn commit_deadline(&self) -> Deadline {
        Deadline::after(self.inner.config.api_timeout, "commit")
    }

    /// Commits positions without waiting; a commit is left out while too many others wait, since the next one
    /// includes it.
    pub(super) fn commit_soon(&self, offsets: Committed) {
        let commit = Commit { offsets, deadline: self.commit_deadline(), reply: None };
        if self.commits.try_send(commit).is_err() {
            tracing::debug!("an automatic commit is left out: earlier ones are not done");
        }
    }

    /// What the group has committed for these partitions; those without an offset are left out.
    pub async fn committed(
        &self,
        partitions: &[TopicPartition],
    ) -> Result<BTreeMap<TopicPartition, CommittedOffset>, OffsetError> {
        offset_calls::committed(&self.inner, partitions, self.deadline("committed")).await
    }

    /// For each partition the first record with the given time or a later one; `None` without such a record.
    pub async fn offsets_for_times(
        &self,
        times: &BTreeMap<TopicPartition, Timestamp>,
    ) -> Result<BTreeMap<TopicPartition, Option<ListedOffset>>, OffsetError> {
        let wanted =
            times.iter().map(|(partition, time)| (partition.clone(), OffsetSpec::AtTime(*time))).collect();
        offset_calls::list_offsets(&self.inner, &wanted, self.deadline("offsetsForTimes")).await
    }

    /// The first offset of each partition.
    pub async fn beginning_offsets(
        &self,
        partitions: &[TopicPartition],
    ) -> Result<BTreeMap<TopicPartition, Offset>, OffsetError> {
        self.ends(partitions, OffsetSpec::Earliest).await
    }

    /// The offset behind the last record of each partition, as far as this consumer may see.
    pub async fn end_offsets(
        &self,
        partitions: &[TopicPartition],
    ) -> Result<BTreeMap<TopicPartition, Offset>, OffsetError> {
        self.ends(partitions, OffsetSpec::Latest).await
    }

    async fn ends(
        &self,
        partitions: &[TopicPartition],
        spec: OffsetSpec,
    ) -> Result<BTreeMap<TopicPartition, Offset>, OffsetError> {
        let wanted = partitions.iter().map(|partition| (partition.clone(), spec)).collect();
        let found = offset_calls::list_offsets(&self.inner, &wanted, self.deadline("offsets")).await?;
        let offset = |(partition, found): (TopicPartition, Option<ListedOffset>)| {
            (partition, found.map_or(Offset::ZERO, |found| found.offset))
        };
        Ok(found.into_iter().map(offset).collect())
    }

    fn deadline(&self, call: &'static str) -> Deadline {
        Deadline::after(self.inner.config.api_timeout, call)
    }
}
