//! The consumer: records out of partitions, alone or as a member of a group.
//!
//! Owns: the handle that polls, rebalance listeners, automatic commits.
//! Does not own: what is fetched and when (`machine`), the wire (`driver`).
//!
//! One task fetches ahead and keeps the membership alive, also while the user works on records. A rebalance goes on
//! only inside `poll`: what is to be given up is committed there, and the listener hears of it there.

pub mod assignor;
mod chunk;
mod driver;
mod error;
mod fetcher;
mod group_calls;
pub(crate) mod group_protocol;
mod handle;
mod hooks;
mod machine;
mod member;
mod offset_calls;
mod open_batch;
mod positions;
mod record;
mod session;
mod validation;

use std::collections::BTreeSet;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ottla_env::sync::mpsc;
use ottla_env::{task, time};
use ottla_model::{TopicName, TopicPartition};
use regex::Regex;

pub use chunk::ReadError;
pub use error::{CommitError, NotAssigned, OffsetError, PollError, SubscribeError, TopicError};
pub use handle::{CommitOutcome, ConsumerHandle};
pub use hooks::{ConsumerBuilder, ConsumerInterceptor};
pub use positions::{Position, Truncation};
pub use record::{ConsumerRecord, RecordHeader, TimestampKind};

use crate::cluster::{Cluster, ClusterOptions};
use crate::config::{ConsumerConfig, IsolationLevel};
use crate::error::ErrorCode;
use chunk::{ReadRules, Unpacker};
use driver::Inner;
use hooks::Hooks;
use machine::Subscription;
use member::Event;
use positions::LostCause;

/// Commits that may wait for the one before them.
const COMMITS_WAITING_MAX: usize = 16;

/// A step of a rebalance listener.
pub type Step<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// Hears of rebalances, inside `poll`.
pub trait RebalanceListener: Send {
    /// These partitions are about to be given up: the last moment to commit for them.
    fn on_revoked<'a>(
        &'a mut self,
        consumer: &'a ConsumerHandle,
        partitions: &'a [TopicPartition],
    ) -> Step<'a> {
        let _ = (consumer, partitions);
        Box::pin(std::future::ready(()))
    }

    /// These partitions are new: the moment to seek in them.
    fn on_assigned<'a>(
        &'a mut self,
        consumer: &'a ConsumerHandle,
        partitions: &'a [TopicPartition],
    ) -> Step<'a> {
        let _ = (consumer, partitions);
        Box::pin(std::future::ready(()))
    }

    /// These partitions are with others already; nothing can be committed for them. By default as if they were given
    /// up.
    fn on_lost<'a>(&'a mut self, consumer: &'a ConsumerHandle, partitions: &'a [TopicPartition]) -> Step<'a> {
        self.on_revoked(consumer, partitions)
    }
}

/// Reads records. Its state is steered through [`Consumer::handle`].
///
/// Dropping it leaves the group to notice; call [`Consumer::close`] to commit and to leave at once.
pub struct Consumer {
    handle: ConsumerHandle,
    cluster: Cluster,
    driver: task::AbortHandle,
    listener: Option<Box<dyn RebalanceListener>>,
    unpacker: Unpacker,
    rules: ReadRules,
    commit_at: Option<Instant>,
    /// The answer about topics whose refusals were reported: each is reported once, so that a user who polls on after
    /// an error does not spin.
    reported: u64,
}

impl Consumer {
    /// Creates the consumer; nothing is connected before it is subscribed or assigned. Must be called on a runtime.
    /// Fails only if the system has no source of randomness.
    pub fn new(config: ConsumerConfig) -> io::Result<Consumer> {
        Consumer::with_hooks(config, Hooks::default())
    }

    /// Begins a consumer with interceptors of the user.
    pub fn builder(config: ConsumerConfig) -> ConsumerBuilder {
        ConsumerBuilder { config, hooks: Hooks::default() }
    }

    fn with_hooks(config: ConsumerConfig, hooks: Hooks) -> io::Result<Consumer> {
        let options = ClusterOptions { allow_auto_create: config.allow_auto_create, idle_max: None };
        let cluster = Cluster::new(config.common.clone(), options)?;
        let rules = ReadRules {
            check_crcs: config.check_crcs,
            committed_only: config.isolation == IsolationLevel::ReadCommitted,
        };
        let inner = Arc::new(Inner::new(config, Arc::clone(cluster.shared()), hooks));
        let (commits, queue) = mpsc::channel(COMMITS_WAITING_MAX);
        task::spawn(offset_calls::run_commits(Arc::clone(&inner), queue));
        let driver = task::spawn(driver::run(Arc::clone(&inner))).abort_handle();
        Ok(Consumer {
            handle: ConsumerHandle { inner, commits },
            cluster,
            driver,
            listener: None,
            unpacker: Unpacker::default(),
            rules,
            commit_at: None,
            reported: 0,
        })
    }

    /// Positions, pauses, commits and offsets.
    pub fn handle(&self) -> &ConsumerHandle {
        &self.handle
    }

    /// Sets who hears of rebalances.
    pub fn set_rebalance_listener(&mut self, listener: impl RebalanceListener + 'static) {
        self.listener = Some(Box::new(listener));
    }

    /// Consumes topics together with the other members of the group. Replaces what was subscribed or assigned.
    pub fn subscribe(&mut self, topics: impl IntoIterator<Item = TopicName>) -> Result<(), SubscribeError> {
        let topics: BTreeSet<TopicName> = topics.into_iter().collect();
        self.check_subscribable()?;
        self.cluster.shared().use_only(topics.iter().cloned());
        self.begin_subscription(Subscription::Topics(topics));
        Ok(())
    }

    /// Consumes all topics whose name the pattern matches somewhere, now and later, together with the group.
    pub fn subscribe_pattern(&mut self, pattern: Regex) -> Result<(), SubscribeError> {
        self.check_subscribable()?;
        self.cluster.shared().use_all();
        self.begin_subscription(Subscription::Pattern(pattern));
        Ok(())
    }

    fn check_subscribable(&self) -> Result<(), SubscribeError> {
        let group = self.handle.inner.config.group.as_ref().ok_or(SubscribeError::NoGroup)?;
        if group.assignors.is_empty() {
            return Err(SubscribeError::NoAssignor);
        }
        Ok(())
    }

    fn begin_subscription(&mut self, subscription: Subscription) {
        let image = self.cluster.shared().image();
        self.handle.inner.update(|machine| machine.on_subscribe(subscription, &image));
    }

    /// Consumes exactly these partitions, whatever others do. Replaces what was subscribed or assigned.
    pub fn assign(&mut self, partitions: impl IntoIterator<Item = TopicPartition>) {
        let partitions: BTreeSet<TopicPartition> = partitions.into_iter().collect();
        let topics: BTreeSet<TopicName> =
            partitions.iter().map(|partition| partition.topic.clone()).collect();
        self.cluster.shared().use_only(topics);
        self.handle.inner.update(|machine| machine.on_assign(&partitions));
    }

    /// Consumes nothing any more, and leaves the group. The listener hears that the partitions of the group are given
    /// up; nothing is committed by itself.
    pub async fn unsubscribe(&mut self) {
        self.tell_leaving().await;
        self.handle.inner.update(machine::Machine::on_unsubscribe);
    }

    /// What the listener hears before a member leaves: that it gives up its partitions, or that it has lost them.
    async fn tell_leaving(&mut self) {
        let (subscribed, is_member) = {
            let machine = self.handle.inner.machine.lock();
            let is_member = machine.member.as_ref().is_some_and(|member| member.identity().is_some());
            (matches!(machine.subscription(), Subscription::Topics(_) | Subscription::Pattern(_)), is_member)
        };
        let owned: Vec<TopicPartition> = self.handle.assignment().into_iter().collect();
        let (true, false, Some(listener)) = (subscribed, owned.is_empty(), &mut self.listener) else {
            return;
        };
        match is_member {
            true => listener.on_revoked(&self.handle, &owned).await,
            false => listener.on_lost(&self.handle, &owned).await,
        }
    }

    /// The next records: as soon as there are some, or none when `timeout` is over. At most `max.poll.records` of
    /// them, in order within each partition.
    ///
    /// Records count as consumed when `poll` is called again; that is what automatic commits commit.
    pub async fn poll(&mut self, timeout: Duration) -> Result<Vec<ConsumerRecord>, PollError> {
        let deadline = time::now() + timeout;
        // Whoever polls on at once, because of records or of an error, must not keep the tasks of this thread waiting:
        // those that bring records, heal the error, or hear a signal.
        task::yield_now().await;
        let mut arrived = self.handle.inner.arrived.subscribe();
        loop {
            self.say_alive()?;
            self.follow_group().await?;
            self.commit_in_time();
            self.check_errors()?;
            let records = self.take_records()?;
            let records = self.handle.inner.hooks.on_consume(records);
            if !records.is_empty() {
                return Ok(records);
            }
            if time::timeout_at(deadline, arrived.changed()).await.is_err() {
                return Ok(Vec::new());
            }
        }
    }

    fn say_alive(&self) -> Result<(), PollError> {
        let mut machine = self.handle.inner.machine.lock();
        if matches!(machine.subscription(), Subscription::Nothing) {
            return Err(PollError::NothingToPoll);
        }
        if let Some(member) = &mut machine.member {
            member.on_poll(time::now());
        }
        self.handle.inner.wake.notify_one();
        Ok(())
    }

    /// Does what the group wants of this member. An event counts as done only when it is, so that dropping a poll in
    /// between loses none.
    async fn follow_group(&mut self) -> Result<(), PollError> {
        loop {
            let event = self.handle.inner.machine.lock().event();
            match event {
                None => return Ok(()),
                Some(Event::GiveUp(partitions)) => {
                    self.commit_before_giving_up().await;
                    if let Some(listener) = &mut self.listener {
                        listener.on_revoked(&self.handle, &partitions).await;
                    }
                    self.handle.inner.update(machine::Machine::on_event_done);
                }
                Some(Event::Lost(partitions)) => {
                    if let Some(listener) = &mut self.listener {
                        listener.on_lost(&self.handle, &partitions).await;
                    }
                    self.handle.inner.update(machine::Machine::on_event_done);
                }
                Some(Event::Assigned(partitions)) => {
                    // The listener seeks in the new partitions, so they must be there before.
                    self.handle.inner.update(machine::Machine::on_event_done);
                    if let Some(listener) = &mut self.listener {
                        listener.on_assigned(&self.handle, &partitions).await;
                    }
                }
                Some(Event::Failed(error)) => {
                    self.handle.inner.update(machine::Machine::on_event_done);
                    return Err(PollError::Group(error));
                }
            }
        }
    }

    /// `&mut`: a future that holds `&self` could not move between threads, since a listener need not be `Sync`.
    async fn commit_before_giving_up(&mut self) {
        let commits_itself = |group: &crate::config::GroupConfig| group.auto_commit.is_some();
        if self.handle.inner.config.group.as_ref().is_some_and(commits_itself)
            && let Err(error) = self.handle.commit().await
        {
            // Others will read these records again.
            tracing::warn!(%error, "positions were not committed before partitions are given up");
        }
    }

    fn commit_in_time(&mut self) {
        let group = self.handle.inner.config.group.as_ref();
        let Some(interval) = group.and_then(|group| group.auto_commit) else { return };
        let now = time::now();
        match self.commit_at {
            Some(at) if at > now => return,
            Some(_) => {
                let offsets = self.handle.inner.machine.lock().positions.all();
                self.handle.commit_soon(offsets);
            }
            None => {}
        }
        self.commit_at = Some(now + interval);
    }

    /// Errors that the user must hear of: positions that cannot be found, topics that cannot be used.
    fn check_errors(&mut self) -> Result<(), PollError> {
        self.check_topics()?;
        let shared = self.cluster.shared();
        let mut machine = self.handle.inner.machine.lock();
        if let Some((partition, error)) = machine.poll_failure() {
            return Err(PollError::Fetch { partition, error });
        }
        let lost = machine.positions.lost();
        if let Some((partition, LostCause::OutOfRange(offset))) = lost.first() {
            return Err(PollError::OutOfRange { partition: partition.clone(), offset: *offset });
        }
        if let Some((partition, LostCause::Truncated(truncation))) = lost.first() {
            return Err(PollError::Truncated { partition: partition.clone(), truncation: *truncation });
        }
        if !lost.is_empty() {
            let partitions = lost.into_iter().map(|(partition, _)| partition).collect();
            return Err(PollError::NoOffset { partitions });
        }
        match &shared.news().borrow().failure {
            Some(error) if !error.is_retriable() => Err(error.clone().into()),
            Some(_) | None => Ok(()),
        }
    }

    /// Topics that cannot be used, as the latest answer has it.
    fn check_topics(&mut self) -> Result<(), PollError> {
        let shared = self.cluster.shared();
        let answers = shared.news().borrow().answers;
        if answers == self.reported {
            return Ok(());
        }
        let image = shared.image();
        let consumed = self.handle.inner.machine.lock().consumed_topics(&image);
        let refused = |code: ErrorCode| -> Vec<TopicName> {
            let is_refused = |name: &&TopicName| image.topics.get(*name) == Some(&Err(code));
            consumed.iter().filter(is_refused).cloned().collect()
        };
        let topics = refused(ErrorCode::InvalidTopicException);
        if !topics.is_empty() {
            self.reported = answers;
            return Err(PollError::InvalidTopics { topics });
        }
        let topics = refused(ErrorCode::TopicAuthorizationFailed);
        if !topics.is_empty() {
            // The permission may be given later.
            shared.want_news();
            self.reported = answers;
            return Err(PollError::NotAuthorized { topics });
        }
        Ok(())
    }

    fn take_records(&mut self) -> Result<Vec<ConsumerRecord>, ReadError> {
        let inner = &self.handle.inner;
        let count_max = inner.config.poll_records_max.max(1);
        let mut records = Vec::new();
        let mut freed = false;
        while records.len() < count_max {
            let taken = {
                let machine = &mut *inner.machine.lock();
                machine.fetcher.take_chunk(&machine.positions)
            };
            let Some(mut chunk) = taken else { break };
            let before = records.len();
            let read = chunk.read(count_max - before, (self.rules, &mut self.unpacker), &mut records);
            let machine = &mut *inner.machine.lock();
            match read {
                Ok((offset, has_more)) => {
                    let leader_epoch = records[before..].last().and_then(|record| record.leader_epoch);
                    let position = Position { offset, leader_epoch };
                    if !machine.positions.on_consumed(&chunk.partition, chunk.stay, position) {
                        // The partition was taken away or moved while its records were unpacked.
                        records.truncate(before);
                    }
                    if has_more {
                        machine.fetcher.put_back(chunk);
                    } else {
                        machine.fetcher.on_chunk_read(&chunk);
                        freed = true;
                    }
                }
                Err(error) => {
                    machine.fetcher.put_back(chunk);
                    if records.is_empty() {
                        return Err(error);
                    }
                    break;
                }
            }
        }
        if freed {
            inner.wake.notify_one();
        }
        Ok(records)
    }

    /// Commits where commits are automatic, leaves the group, and ends; for at most `timeout`.
    pub async fn close(mut self, timeout: Duration) {
        // Whether time was over does not matter: what is left ends when the consumer is dropped.
        let _ = time::timeout(timeout, self.finish()).await;
    }

    async fn finish(&mut self) {
        self.commit_before_giving_up().await;
        self.tell_leaving().await;
        self.handle.inner.update(machine::Machine::on_unsubscribe);
        let mut arrived = self.handle.inner.arrived.subscribe();
        loop {
            let has_left =
                |machine: &machine::Machine| machine.member.as_ref().is_none_or(member::Member::has_left);
            if has_left(&self.handle.inner.machine.lock()) {
                return;
            }
            // The sender lives in `self`, so this only ever waits.
            let _ = arrived.changed().await;
        }
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        self.driver.abort();
    }
}
