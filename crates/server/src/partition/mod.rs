//! One partition on this node: its log and its replica machine behind one lock.
//!
//! Owns: the order in which log and machine learn of a fact, and the requests that wait here.
//! Does not own: any rule of either; which partitions exist (`partitions`), what is answered (`handlers`).
//!
//! The lock is held for an append or a lookup in memory, never across an `await` and never across a sync. What takes
//! long (reads from the device, flushes, removal of files) is taken out as a job and done without it.
//!
//! Invariants
//! - P1 the machine's log end is the log's log end whenever the lock is free;
//! - P2 a request that waits here is in `acks` or `polls` exactly as long as the machine knows it.
//!
//! Source: performance design 4.2 to 4.4.

mod append;
mod care;
mod look;
mod rest;
#[cfg(test)]
pub(crate) mod tests;
mod transactions;

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use ottla_env::sync::watch;
use ottla_env::time::{Instant, now};
use ottla_model::{LeaderEpoch, Offset, TopicId, TopicPartition};
use ottla_replication::{
    LogPositions, PartitionState, Replica, ReplicationConfig, RequestId, Standing, StateChange,
};
use ottla_storage::{KeptLog, Log};
use parking_lot::Mutex;

pub use append::{AppendRequest, Awaited, ProduceError, Producing};
pub use look::{Asker, FoundOffset, LookError, ReadOutcome, ReadRequest, waiter};
pub use transactions::Marker;

use crate::flusher::Mark;
use crate::log_directory::LogDirectory;
use crate::topic_settings::TopicSettings;
use crate::waiting::{PollWait, ProduceWait};

/// One replica of one partition.
pub struct Partition {
    id: TopicPartition,
    topic_id: TopicId,
    directory: Arc<LogDirectory>,
    settings: ArcSwap<TopicSettings>,
    state: Mutex<State>,
    flush_mark: Mark,
    /// Most partitions never have any, so the channels are made for the first one.
    followers: OnceLock<Box<Followers>>,
}

/// Those who follow a partition's watermarks.
struct Followers {
    /// Tells coordinators how far their log is committed.
    committed: watch::Sender<Offset>,
    /// Tells DeleteRecords how far all replicas have deleted.
    low_watermark: watch::Sender<Option<Offset>>,
}

struct State {
    replica: Replica,
    /// The high watermark that the log and those who follow it know of.
    committed: Offset,
    /// `None` once the directory failed or the replica was removed.
    log: Option<KeptLog>,
    /// Somebody asked for the log since the janitor last looked.
    is_used: bool,
    /// Nothing is allocated before the first request waits.
    waiting: Option<Box<Waiting>>,
}

/// Requests that wait here.
#[derive(Default)]
struct Waiting {
    acks: HashMap<RequestId, (Arc<ProduceWait>, usize)>,
    polls: HashMap<RequestId, Arc<PollWait>>,
}

/// What a partition is made of.
pub struct PartitionParts {
    pub id: TopicPartition,
    pub log: KeptLog,
    pub topic_id: TopicId,
    pub directory: Arc<LogDirectory>,
    pub settings: Arc<TopicSettings>,
    pub replica: Replica,
}

impl std::fmt::Debug for Partition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Partition({})", self.id)
    }
}

impl Partition {
    /// A partition on a log that was opened or made; it follows nobody until [`Partition::on_state`].
    pub fn new(parts: PartitionParts) -> Partition {
        Partition {
            id: parts.id,
            topic_id: parts.topic_id,
            directory: parts.directory,
            settings: ArcSwap::new(parts.settings),
            state: Mutex::new(State {
                committed: parts.replica.high_watermark(),
                replica: parts.replica,
                log: Some(parts.log),
                is_used: false,
                waiting: None,
            }),
            flush_mark: Mark::default(),
            followers: OnceLock::new(),
        }
    }

    pub fn id(&self) -> &TopicPartition {
        &self.id
    }

    pub fn topic_id(&self) -> TopicId {
        self.topic_id
    }

    pub fn directory(&self) -> &Arc<LogDirectory> {
        &self.directory
    }

    pub fn settings(&self) -> Arc<TopicSettings> {
        self.settings.load_full()
    }

    pub fn standing(&self) -> Standing {
        self.state.lock().replica.standing()
    }

    pub fn high_watermark(&self) -> Offset {
        self.state.lock().replica.high_watermark()
    }

    pub fn log_start(&self) -> Offset {
        self.state.lock().replica.log_start()
    }

    pub fn log_end(&self) -> Offset {
        self.state.lock().replica.log_end()
    }

    /// Follows the high watermark. Values may be skipped, the latest one is never missed.
    pub fn committed(&self) -> watch::Receiver<Offset> {
        self.followers(&self.state.lock()).committed.subscribe()
    }

    /// The smallest log start of all replicas; `None` where this broker does not lead.
    pub fn low_watermark(&self) -> Option<Offset> {
        self.state.lock().replica.low_watermark()
    }

    /// Follows the low watermark.
    pub fn low_watermark_moves(&self) -> watch::Receiver<Option<Offset>> {
        self.followers(&self.state.lock()).low_watermark.subscribe()
    }

    fn followers(&self, state: &State) -> &Followers {
        self.followers.get_or_init(|| {
            let committed = watch::channel(state.committed).0;
            Box::new(Followers { committed, low_watermark: watch::channel(state.replica.low_watermark()).0 })
        })
    }

    /// The controller's word on the partition.
    pub fn on_state(&self, word: &PartitionState) -> StateChange {
        let mut state = self.state.lock();
        let change = state.replica.on_state(word, now());
        if let (StateChange::Led { epoch, .. }, Some(log)) = (&change, &mut state.log) {
            match log {
                KeptLog::Open(log) => log.begin_epoch(*epoch),
                KeptLog::Resting(resting) => resting.begin_epoch(*epoch),
            }
        }
        self.settle(&mut state);
        change
    }

    /// The topic's settings changed.
    pub fn on_settings(&self, settings: Arc<TopicSettings>) {
        let mut state = self.state.lock();
        state.replica.on_config(settings.replication, now());
        if let Some(log) = opened_mut(&mut state.log) {
            log.set_config(Arc::clone(&settings.log));
        }
        self.settings.store(settings);
        self.settle(&mut state);
    }

    /// The log directory failed: everyone who waits is told, nothing is served from here any more.
    pub fn on_offline(&self) {
        let mut state = self.state.lock();
        state.log = None;
        state.replica.on_offline();
        self.settle(&mut state);
    }

    /// The replica is removed: everyone who waits is told. Returns the log, for its directory to be deleted.
    pub fn on_removed(&self) -> Option<KeptLog> {
        let mut state = self.state.lock();
        let log = state.log.take();
        state.replica.on_removed();
        self.settle(&mut state);
        log
    }

    /// Takes the log out at a clean stop; the partition then answers as one whose directory is gone.
    pub fn take_log(&self) -> Option<KeptLog> {
        let mut state = self.state.lock();
        let log = state.log.take();
        state.replica.on_offline();
        self.settle(&mut state);
        log
    }

    /// Looks whether waiting requests or lagging followers are due. Called by whoever waits, at its own deadline.
    pub fn on_deadline(&self, at: Instant) {
        let mut state = self.state.lock();
        state.replica.on_deadline(at);
        self.settle(&mut state);
    }

    /// The request is gone, or was answered otherwise.
    pub fn forget(&self, request: RequestId) {
        let mut state = self.state.lock();
        state.replica.forget(request);
        if let Some(waiting) = &mut state.waiting {
            waiting.acks.remove(&request);
            waiting.polls.remove(&request);
        }
    }

    /// The current leader epoch, where this broker leads.
    pub fn leader_epoch(&self) -> Option<LeaderEpoch> {
        match self.standing() {
            Standing::Leader { epoch } => Some(epoch),
            Standing::Follower { .. } | Standing::Offline | Standing::Removed => None,
        }
    }

    /// An operation on the log failed: the directory goes offline, unless only space is missing.
    pub fn failed(&self, error: &io::Error) {
        self.directory.fail(&self.id, error);
    }

    /// After every fact: tells the log how far it is committed, and everyone whose wait is over.
    fn settle(&self, state: &mut State) {
        let committed = state.replica.high_watermark();
        if state.committed != committed {
            state.committed = committed;
            if let Some(log) = opened_mut(&mut state.log) {
                log.on_high_watermark(committed);
                state.replica.on_first_unstable(log.first_unstable(), now());
            }
            if let Some(followers) = self.followers.get() {
                followers.committed.send_replace(committed);
            }
        }
        if let Some(followers) = self.followers.get() {
            let low = state.replica.low_watermark();
            followers.low_watermark.send_if_modified(|known| std::mem::replace(known, low) != low);
        }
        while let Some(acked) = state.replica.poll_acked() {
            let waiting = state.waiting.as_mut();
            if let Some((wait, slot)) = waiting.and_then(|waiting| waiting.acks.remove(&acked.request)) {
                wait.finish(slot, acked.outcome);
            }
        }
        while let Some(woken) = state.replica.poll_wake() {
            let waiting = state.waiting.as_mut();
            if let Some(wait) = waiting.and_then(|waiting| waiting.polls.remove(&woken.request)) {
                wait.wake();
            }
        }
    }
}

/// A log that is open.
fn opened(log: &Option<KeptLog>) -> Option<&Log> {
    log.as_ref().and_then(KeptLog::as_open)
}

/// As [`opened`].
fn opened_mut(log: &mut Option<KeptLog>) -> Option<&mut Log> {
    log.as_mut().and_then(KeptLog::as_open_mut)
}

/// The machine of a replica on a log that was just opened.
pub fn replica_of(
    me: ottla_model::BrokerId,
    log: &KeptLog,
    settings: &TopicSettings,
    checkpointed_high_watermark: Offset,
) -> Replica {
    let config: ReplicationConfig = settings.replication;
    let high_watermark = checkpointed_high_watermark.max(log.log_start()).min(log.log_end());
    let positions = LogPositions {
        start: log.log_start(),
        end: log.log_end(),
        flushed_end: log.flushed(),
        high_watermark,
        first_unstable: log.first_unstable(),
    };
    Replica::new(me, config, positions)
}
