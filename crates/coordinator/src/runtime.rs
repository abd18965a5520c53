//! One shard of coordination: a state machine whose memory is one partition of an internal topic.
//!
//! Owns: the life of the shard (loading, active, failed, unloaded), the batches of records on their way to the log,
//! the answers that wait for them.
//! Does not own: what the records mean ([`Shard`]), the log, the replication of the log.
//!
//! How the server drives it: while loading, [`Runtime::on_record`] for every record of the log, then
//! [`Runtime::on_loaded`]. After any call, drain [`Runtime::poll_append`] (append, then [`Runtime::on_appended`] or
//! [`Runtime::on_append_failed`]), [`Runtime::poll_reply`] and [`Runtime::poll_effect`]. [`Runtime::on_high_watermark`]
//! when the log commits, [`Runtime::on_deadline`] at [`Runtime::deadline`].
//!
//! Invariants
//! - R1 every admitted request is answered exactly once;
//! - R2 no answer and no effect leaves before everything it was decided upon is committed;
//! - R3 the shard's replicated state is what replaying the log gives, once all batches are committed.
//!
//! Source: requirements GRP-01, GRP-04, GRP-18, COF-03; architecture, "Coordinators".

mod queue;
mod shard;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use ottla_model::{Offset, ProducerId};

pub use queue::AppendBatch;
pub use shard::{
    Asked, Author, DecidedTransaction, Draft, EncodedRecord, FailedWrite, Now, Outbox, Reply, RequestId,
    Shard, Skipped, TransactionOutcome, Unavailable,
};

use queue::{Decided, Queue};

/// Limits of one shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RuntimeConfig {
    /// `offsets.commit.timeout.ms`: how long an answer waits for its records to be committed.
    pub commit_timeout: Duration,
    /// Most bytes of keys and values in one append. Below the smallest `max.message.bytes` an operator would set on
    /// an internal topic; the records of one request always go together, however many they are.
    pub batch_bytes_max: usize,
}

impl Default for RuntimeConfig {
    /// 5 s, and 512 KiB: half of the default of `max.message.bytes`.
    fn default() -> RuntimeConfig {
        RuntimeConfig { commit_timeout: Duration::from_secs(5), batch_bytes_max: 512 * 1024 }
    }
}

/// The lives of a shard, for those who ask why it does not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    Loading,
    Active,
    /// The log could not be read.
    Failed,
    /// This broker stopped leading the partition, or shuts down.
    Unloaded,
}

/// A shard and the log position of everything it promised.
pub struct Runtime<S: Shard> {
    shard: S,
    config: RuntimeConfig,
    stage: Stage,
    queue: Queue<S>,
    replies: VecDeque<Reply<S::Answer>>,
    effects: VecDeque<S::Effect>,
    /// Commands that wait for the log to be read.
    held: Vec<Asked<S::Command>>,
}

impl<S: Shard> Runtime<S> {
    /// A shard that has read nothing yet.
    pub fn new(shard: S, config: RuntimeConfig) -> Runtime<S> {
        let queue = Queue::new(config.batch_bytes_max);
        let (replies, effects, held) = (VecDeque::new(), VecDeque::new(), Vec::new());
        Runtime { shard, config, stage: Stage::Loading, queue, replies, effects, held }
    }

    /// One record of the log, in order. What this version does not know is skipped (COF-03).
    pub fn on_record(&mut self, record: EncodedRecord, producer: Option<ProducerId>) -> Result<(), Skipped> {
        assert_eq!(self.stage, Stage::Loading, "records are replayed before the shard answers");
        let record = S::decode(&record)?;
        self.shard.apply(&record, producer);
        Ok(())
    }

    /// The log says that a transaction which wrote to this partition was decided.
    pub fn on_transaction_marker(&mut self, producer: ProducerId, outcome: TransactionOutcome) {
        self.shard.on_transaction_marker(producer, outcome);
    }

    /// A transaction which wrote to this partition was decided: its marker lies in the log at `offset`, and will be
    /// committed or be lost with all that is behind it. All batches before it have been reported.
    pub fn on_marker_appended(&mut self, decided: DecidedTransaction, offset: Offset, now: Now) {
        assert_eq!(self.stage, Stage::Active, "whoever appends has read the log");
        self.shard.on_transaction_marker(decided.producer, decided.outcome);
        self.queue.push_appended(offset, now.at + self.config.commit_timeout);
    }

    /// The log was read up to `log_end`. From now on requests are decided; their answers wait until the log is
    /// committed up to there.
    pub fn on_loaded(&mut self, log_end: Offset, now: Now) {
        assert_eq!(self.stage, Stage::Loading, "a shard is loaded once");
        self.stage = Stage::Active;
        self.queue.on_loaded(log_end);
        let mut outbox = Outbox::default();
        self.shard.on_loaded(now, &mut outbox);
        self.submit(outbox, now);
        for Asked { request, command } in std::mem::take(&mut self.held) {
            self.on_command(request, command, now);
        }
    }

    /// The log could not be read.
    pub fn on_load_failed(&mut self) {
        assert_eq!(self.stage, Stage::Loading, "only a load can fail");
        self.stage = Stage::Failed;
        self.refuse_held(Unavailable::NotCoordinator);
    }

    /// This broker stopped leading the partition, or shuts down: all who wait are told, the state is worthless.
    pub fn on_unloaded(&mut self, why: Unavailable) {
        if self.stage == Stage::Unloaded {
            return;
        }
        self.stage = Stage::Unloaded;
        self.refuse_held(why);
        self.effects.clear();
        self.replies.extend(self.queue.abandon(why));
        self.replies.extend(self.shard.close(why));
    }

    /// A request arrived.
    pub fn on_command(&mut self, request: RequestId, command: S::Command, now: Now) {
        if let Err(answer) = self.shard.precheck(&command) {
            return self.replies.push_back(Reply { request, answer });
        }
        let why = match self.stage {
            Stage::Active => {
                let mut outbox = Outbox::default();
                self.shard.on_command(Asked { request, command }, now, &mut outbox);
                return self.submit(outbox, now);
            }
            Stage::Loading if S::outlasts_loading(&command) => {
                return self.held.push(Asked { request, command });
            }
            Stage::Loading => Unavailable::Loading,
            Stage::Failed | Stage::Unloaded => Unavailable::NotCoordinator,
        };
        self.replies.push_back(Reply { request, answer: S::refuse(&command, why) });
    }

    /// Records to append as one batch. At most one batch is out at a time.
    pub fn poll_append(&mut self) -> Option<AppendBatch> {
        self.queue.poll_append()
    }

    /// The batch lies in the log; its last record has `last_offset`.
    pub fn on_appended(&mut self, last_offset: Offset) {
        self.queue.on_appended(last_offset);
        self.release();
    }

    /// The batch is not in the log and will not be: what it changed is undone, with all that was decided after it.
    pub fn on_append_failed(&mut self, why: Unavailable, now: Now) {
        let failed = self.queue.on_append_failed(why);
        self.replies.extend(failed.replies);
        for undo in failed.undos {
            self.shard.undo(undo);
        }
        self.set_right(failed.remedies, why, now);
    }

    /// The log is committed below `high_watermark`.
    pub fn on_high_watermark(&mut self, high_watermark: Offset) {
        self.queue.on_high_watermark(high_watermark);
        self.release();
    }

    /// Time went on.
    pub fn on_deadline(&mut self, now: Now) {
        self.replies.extend(self.queue.on_deadline(now.at));
        if self.stage == Stage::Active && self.shard.deadline().is_some_and(|at| at <= now.at) {
            let mut outbox = Outbox::default();
            self.shard.on_deadline(now, &mut outbox);
            self.submit(outbox, now);
        }
    }

    /// When [`Runtime::on_deadline`] is due. It may turn out that nothing was.
    pub fn deadline(&self) -> Option<Instant> {
        let shard = if self.stage == Stage::Active { self.shard.deadline() } else { None };
        [self.queue.deadline(), shard].into_iter().flatten().min()
    }

    /// The next answer that may leave.
    pub fn poll_reply(&mut self) -> Option<Reply<S::Answer>> {
        self.replies.pop_front()
    }

    /// The next thing to do outside.
    pub fn poll_effect(&mut self) -> Option<S::Effect> {
        self.effects.pop_front()
    }

    pub fn stage(&self) -> Stage {
        self.stage
    }

    /// The state machine, to look at.
    pub fn shard(&self) -> &S {
        &self.shard
    }

    fn refuse_held(&mut self, why: Unavailable) {
        for Asked { request, command } in self.held.drain(..) {
            self.replies.push_back(Reply { request, answer: S::refuse(&command, why) });
        }
    }

    fn submit(&mut self, outbox: Outbox<S>, now: Now) {
        let deadline = now.at + self.config.commit_timeout;
        for Draft { author, records, remedies, replies, effects } in outbox.into_drafts() {
            let encoded: Result<Vec<EncodedRecord>, _> = records.iter().map(S::encode).collect();
            let Ok(encoded) = encoded else {
                let why = Unavailable::WriteRefused;
                let failed = replies.into_iter().map(|reply| queue::failed::<S>(reply, why));
                self.replies.extend(failed);
                self.set_right(remedies, why, now);
                continue;
            };
            let producer = author.map(|author| author.producer);
            let undos = records.iter().map(|record| self.shard.apply(record, producer)).collect();
            self.queue.push(Decided {
                author,
                records: encoded,
                undos,
                remedies,
                replies,
                effects,
                deadline,
            });
        }
        self.release();
    }

    fn release(&mut self) {
        let released = self.queue.release();
        self.replies.extend(released.replies);
        self.effects.extend(released.effects);
    }

    fn set_right(&mut self, remedies: Vec<S::Remedy>, why: Unavailable, now: Now) {
        for remedy in remedies {
            let mut outbox = Outbox::default();
            self.shard.remedy(FailedWrite { remedy, why }, now, &mut outbox);
            self.submit(outbox, now);
        }
    }
}
