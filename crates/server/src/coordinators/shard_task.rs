//! The task that drives one shard: commands in, batches to the partition, answers and effects out.
//!
//! Owns: one runtime and the requests that wait for its answers.
//! Does not own: decisions (`coordinator`), the log (`partition`), what becomes of effects.
//!
//! Invariants
//! - S1 every command that came in is answered, also when the task ends;
//! - S2 one batch is in the making at a time, in the order the runtime gives them.
//!
//! Source: requirements GRP-01, GRP-04, GRP-18.

use std::collections::HashMap;
use std::sync::Arc;

use ottla_coordinator::runtime::{
    AppendBatch, DecidedTransaction, Now, RequestId, Runtime, Shard, Stage, Unavailable,
};
use ottla_env::sync::{mpsc, oneshot};
use ottla_env::time::{now, sleep_until_some, wall_now};
use ottla_env::{task, time};
use ottla_model::{Offset, Sequence, Verification};
use ottla_protocol::compression::Encoding;
use ottla_protocol::record::{BatchBuilder, BatchOptions, BatchProducer, BuildError, NewRecord};
use ottla_replication::{AppendRefused, Standing};
use ottla_storage::{AppendError, ProducerError};

use super::loading::{Loaded, Loaders};
use super::replay::{ReplayError, Replayed};
use crate::partition::{Awaited, LookError, Marker, Partition, ProduceError, Producing};
use crate::waiting::ProduceWait;

/// Commands that may wait for one shard; a sender beyond them waits for its turn.
pub const COMMAND_QUEUE_LENGTH: usize = 256;

/// What a shard is asked.
pub enum Message<S: Shard> {
    Command(S::Command, oneshot::Sender<S::Answer>),
    /// A transaction that wrote to the partition was decided.
    Marker(MarkerJob, oneshot::Sender<Result<Awaited, MarkerError>>),
    /// This node no longer leads the partition, or stops.
    Stop(Unavailable),
}

/// A marker on its way into a coordinator's log, and where its outcome is reported.
#[derive(Clone, Debug)]
pub struct MarkerJob {
    pub marker: Marker,
    pub wait: Arc<ProduceWait>,
    pub slot: usize,
    pub request: ottla_replication::RequestId,
    pub deadline: time::Instant,
}

/// Why a coordinator's log did not take a marker.
#[derive(Debug, thiserror::Error)]
pub enum MarkerError {
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    #[error(transparent)]
    Append(#[from] ProduceError),
}

/// Records of a log that were read, and those among them that say nothing to this version.
#[derive(Clone, Copy, Default)]
struct Counts {
    records: u64,
    skipped: u64,
}

/// What all shards of a kind have in common.
#[derive(Clone, Debug)]
pub struct ShardParts {
    /// How records are compressed.
    pub encoding: Encoding,
    pub loaders: Loaders,
}

/// Takes what a shard wants done outside. It must not wait.
pub type Outlet<S> = Box<dyn FnMut(<S as Shard>::Effect) + Send>;

/// One shard on one partition.
pub struct ShardTask<S: Shard> {
    runtime: Runtime<S>,
    partition: Arc<Partition>,
    encoding: Encoding,
    loaders: Loaders,
    outlet: Outlet<S>,
    next_request: u64,
    waiting: HashMap<RequestId, oneshot::Sender<S::Answer>>,
}

fn moment() -> Now {
    Now { at: now(), wall: wall_now() }
}

impl<S: Shard> ShardTask<S> {
    pub fn new(
        runtime: Runtime<S>,
        partition: Arc<Partition>,
        (parts, outlet): (&ShardParts, Outlet<S>),
    ) -> ShardTask<S> {
        let ShardParts { encoding, loaders } = parts.clone();
        let waiting = HashMap::new();
        ShardTask { runtime, partition, encoding, loaders, outlet, next_request: 0, waiting }
    }

    /// Loads the shard from its partition and serves it until it is stopped or nobody can ask any more.
    pub async fn run(mut self, mut messages: mpsc::Receiver<Message<S>>) {
        if let Err(why) = self.load(&mut messages).await {
            return self.stop(why);
        }
        let mut committed = self.partition.committed();
        self.runtime.on_high_watermark(*committed.borrow_and_update());
        loop {
            self.drain();
            let deadline = self.runtime.deadline();
            task::select! {
                message = messages.recv() => if let Err(why) = self.on_message(message) {
                    return self.stop(why);
                },
                changed = committed.changed() => {
                    if changed.is_err() {
                        return self.stop(Unavailable::NotCoordinator);
                    }
                    let high_watermark = *committed.borrow_and_update();
                    self.runtime.on_high_watermark(high_watermark);
                }
                () = sleep_until_some(deadline) => self.runtime.on_deadline(moment()),
            }
        }
    }

    /// Reads the log. Whoever asks meanwhile is told so (GRP-01).
    async fn load(&mut self, messages: &mut mpsc::Receiver<Message<S>>) -> Result<(), Unavailable> {
        let (began, mut counts) = (time::now(), Counts::default());
        let mut log = self.loaders.read(Arc::clone(&self.partition));
        loop {
            self.drain();
            task::select! {
                biased;
                loaded = log.recv() => match loaded {
                    Some(Loaded::Part(part)) => {
                        self.apply(part, &mut counts);
                        self.answer_waiting(messages)?;
                    }
                    Some(Loaded::End(end)) => {
                        let (Counts { records, skipped }, took_ms) = (counts, began.elapsed().as_millis());
                        if records > 0 {
                            tracing::info!(partition = %self.partition.id(), records, skipped, took_ms, "coordinator loaded");
                        }
                        self.runtime.on_loaded(end, moment());
                        return Ok(());
                    }
                    Some(Loaded::Failed(ReplayError::Look(LookError::Refused(why)))) => {
                        tracing::debug!(partition = %self.partition.id(), %why, "a coordinator is not loaded any more");
                        self.runtime.on_load_failed();
                        return Ok(());
                    }
                    Some(Loaded::Failed(error)) => {
                        tracing::error!(partition = %self.partition.id(), %error, "coordinator cannot be loaded");
                        self.runtime.on_load_failed();
                        return Ok(());
                    }
                    None => {
                        self.runtime.on_load_failed();
                        return Ok(());
                    }
                },
                message = messages.recv() => self.on_message(message)?,
            }
        }
    }

    /// Between two parts of the log everybody who waits gets an answer, also when the next part is there already.
    fn answer_waiting(&mut self, messages: &mut mpsc::Receiver<Message<S>>) -> Result<(), Unavailable> {
        for _ in 0..COMMAND_QUEUE_LENGTH {
            let Ok(message) = messages.try_recv() else { break };
            self.on_message(Some(message))?;
        }
        Ok(())
    }

    fn apply(&mut self, part: Vec<Replayed>, counts: &mut Counts) {
        for replayed in part {
            match replayed {
                Replayed::Record { record, producer } => {
                    counts.records += 1;
                    if let Err(error) = self.runtime.on_record(record, producer) {
                        counts.skipped += 1;
                        tracing::debug!(partition = %self.partition.id(), %error, "a record is left out");
                    }
                }
                Replayed::Marker { producer, outcome } => {
                    self.runtime.on_transaction_marker(producer, outcome);
                }
            }
        }
    }

    /// `Err`: the task ends.
    fn on_message(&mut self, message: Option<Message<S>>) -> Result<(), Unavailable> {
        match message {
            Some(Message::Command(command, answer)) => {
                self.on_command(command, answer);
                Ok(())
            }
            Some(Message::Marker(job, answer)) => {
                // Whoever asked may be gone; the marker stands all the same.
                drop(answer.send(self.on_marker(&job)));
                Ok(())
            }
            Some(Message::Stop(why)) => Err(why),
            None => Err(Unavailable::ShuttingDown),
        }
    }

    fn on_command(&mut self, command: S::Command, answer: oneshot::Sender<S::Answer>) {
        let request = RequestId(self.next_request);
        self.next_request += 1;
        self.waiting.insert(request, answer);
        self.runtime.on_command(request, command, moment());
    }

    /// What was decided before lies in the log already: nothing is kept back between two messages.
    fn on_marker(&mut self, job: &MarkerJob) -> Result<Awaited, MarkerError> {
        match self.runtime.stage() {
            Stage::Active => {}
            Stage::Loading => return Err(Unavailable::Loading.into()),
            Stage::Failed | Stage::Unloaded => return Err(Unavailable::NotCoordinator.into()),
        }
        let MarkerJob { marker, wait, slot, request, deadline } = job;
        let producing = Producing { wait, slot: *slot, request: *request, deadline: *deadline };
        let appended = self.partition.append_marker(marker, &producing)?;
        let decided = DecidedTransaction { producer: marker.producer, outcome: marker.outcome };
        self.runtime.on_marker_appended(decided, appended.last_offset, moment());
        Ok(appended)
    }

    fn stop(mut self, why: Unavailable) {
        self.runtime.on_unloaded(why);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(batch) = self.runtime.poll_append() {
            match self.append(&batch) {
                Ok(last_offset) => self.runtime.on_appended(last_offset),
                Err(why) => self.runtime.on_append_failed(why, moment()),
            }
            let committed = *self.partition.committed().borrow();
            self.runtime.on_high_watermark(committed);
        }
        while let Some(reply) = self.runtime.poll_reply() {
            if let Some(waiting) = self.waiting.remove(&reply.request) {
                // Whoever asked may be gone; then nobody misses the answer.
                drop(waiting.send(reply.answer));
            }
        }
        while let Some(effect) = self.runtime.poll_effect() {
            (self.outlet)(effect);
        }
    }

    fn append(&self, batch: &AppendBatch) -> Result<Offset, Unavailable> {
        let mut bytes = self.build(batch).map_err(|error| {
            tracing::error!(partition = %self.partition.id(), %error, "coordinator records do not fit a batch");
            Unavailable::WriteRefused
        })?;
        let verification = batch.author.map_or(Verification::NotAsked, |author| author.verification);
        let end = self.partition.append_internal(&mut bytes, verification).map_err(|error| why(&error))?;
        Ok(end.previous().unwrap_or(Offset::ZERO))
    }

    fn build(&self, batch: &AppendBatch) -> Result<Vec<u8>, BuildError> {
        let timestamp = wall_now();
        // Kafka begins every batch of a transaction at sequence 0.
        let base_sequence = Some(Sequence::ZERO);
        let producer = batch.author.map(|author| BatchProducer {
            id: author.producer,
            epoch: author.epoch,
            base_sequence,
        });
        let options = BatchOptions {
            encoding: self.encoding,
            transactional: producer.is_some(),
            producer,
            ..BatchOptions::default()
        };
        let mut builder = BatchBuilder::new(options)?;
        for record in &batch.records {
            builder.append(NewRecord {
                timestamp,
                key: Some(&record.key),
                value: record.value.as_deref(),
                headers: &[],
            })?;
        }
        builder.finish()
    }
}

/// GRP-18: what a failed append means to those who wait for it.
fn why(error: &ProduceError) -> Unavailable {
    match error {
        ProduceError::Refused(AppendRefused::TooFewInSync { .. }) => Unavailable::WriteFailed,
        ProduceError::Refused(AppendRefused::Unavailable(standing)) => match standing {
            Standing::Removed => Unavailable::WriteFailed,
            Standing::Leader { .. } | Standing::Follower { .. } | Standing::Offline => {
                Unavailable::NotCoordinator
            }
        },
        ProduceError::Invalid { .. } => Unavailable::WriteRefused,
        ProduceError::Append { error, .. } => match error {
            AppendError::TooLarge { .. } | AppendError::Malformed { .. } => Unavailable::WriteRefused,
            AppendError::Producer(error) => match error {
                ProducerError::FencedEpoch { .. } | ProducerError::StaleEpoch { .. } => {
                    Unavailable::ProducerFenced
                }
                ProducerError::NotVerified { .. } | ProducerError::TransactionOpen { .. } => {
                    Unavailable::NotInTransaction
                }
                // Only clients' sequences are checked, and only markers name a coordinator.
                ProducerError::OutOfOrder { .. }
                | ProducerError::EpochStart { .. }
                | ProducerError::TransactionStart { .. }
                | ProducerError::AheadOfVerification { .. }
                | ProducerError::CoordinatorFenced { .. } => Unavailable::WriteRefused,
            },
            AppendError::NotContiguous { .. }
            | AppendError::OffsetsExhausted
            | AppendError::NoSpace(_)
            | AppendError::Disk(_) => Unavailable::NotCoordinator,
        },
    }
}
