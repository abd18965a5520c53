//! The task that drives one shard: commands in, batches to the partition, answers out.
//!
//! Owns: one runtime and the requests that wait for its answers.
//! Does not own: decisions (`coordinator`), the log (`partition`).
//!
//! Invariants
//! - S1 every command that came in is answered, also when the task ends;
//! - S2 one batch is in the making at a time, in the order the runtime gives them.
//!
//! Source: requirements GRP-01, GRP-04, GRP-18.

use std::collections::HashMap;
use std::sync::Arc;

use ottla_coordinator::runtime::{AppendBatch, Now, RequestId, Runtime, Shard, Unavailable};
use ottla_env::sync::{mpsc, oneshot};
use ottla_env::time::{now, sleep_until_some, wall_now};
use ottla_env::{task, time};
use ottla_model::Offset;
use ottla_protocol::compression::Encoding;
use ottla_protocol::record::{BatchBuilder, BatchOptions, BuildError, NewRecord};
use ottla_replication::{AppendRefused, Standing};
use ottla_storage::AppendError;

use super::replay::{Replayed, replay};
use crate::partition::{Partition, ProduceError};

/// Commands that may wait for one shard; a sender beyond them waits for its turn.
pub const COMMAND_QUEUE_LENGTH: usize = 256;

/// What a shard is asked.
pub enum Message<S: Shard> {
    Command(S::Command, oneshot::Sender<S::Answer>),
    /// This node no longer leads the partition, or stops.
    Stop(Unavailable),
}

/// One shard on one partition.
pub struct ShardTask<S: Shard> {
    runtime: Runtime<S>,
    partition: Arc<Partition>,
    encoding: Encoding,
    next_request: u64,
    waiting: HashMap<RequestId, oneshot::Sender<S::Answer>>,
}

fn moment() -> Now {
    Now { at: now(), wall: wall_now() }
}

impl<S: Shard> ShardTask<S> {
    pub fn new(runtime: Runtime<S>, partition: Arc<Partition>, encoding: Encoding) -> ShardTask<S> {
        ShardTask { runtime, partition, encoding, next_request: 0, waiting: HashMap::new() }
    }

    /// Loads the shard from its partition and serves it until it is stopped or nobody can ask any more.
    pub async fn run(mut self, mut messages: mpsc::Receiver<Message<S>>) {
        self.load();
        let mut committed = self.partition.committed();
        self.runtime.on_high_watermark(*committed.borrow_and_update());
        loop {
            self.drain();
            let deadline = self.runtime.deadline();
            task::select! {
                message = messages.recv() => match message {
                    Some(Message::Command(command, answer)) => self.on_command(command, answer),
                    Some(Message::Stop(why)) => return self.stop(why),
                    None => return self.stop(Unavailable::ShuttingDown),
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

    fn load(&mut self) {
        let (began, runtime) = (time::now(), &mut self.runtime);
        let (mut records, mut skipped) = (0_u64, 0_u64);
        let end = replay(&self.partition, |replayed| match replayed {
            Replayed::Record { record, producer } => {
                records += 1;
                if let Err(error) = runtime.on_record(record, producer) {
                    skipped += 1;
                    tracing::debug!(partition = %self.partition.id(), %error, "a record is left out");
                }
            }
            Replayed::Marker { producer, outcome } => runtime.on_transaction_marker(producer, outcome),
        });
        match end {
            Ok(end) => {
                let took_ms = began.elapsed().as_millis();
                if records > 0 {
                    tracing::info!(partition = %self.partition.id(), records, skipped, took_ms, "coordinator loaded");
                }
                self.runtime.on_loaded(end, moment());
            }
            Err(error) => {
                tracing::error!(partition = %self.partition.id(), %error, "coordinator cannot be loaded");
                self.runtime.on_load_failed();
            }
        }
    }

    fn on_command(&mut self, command: S::Command, answer: oneshot::Sender<S::Answer>) {
        let request = RequestId(self.next_request);
        self.next_request += 1;
        self.waiting.insert(request, answer);
        self.runtime.on_command(request, command, moment());
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
    }

    fn append(&self, batch: &AppendBatch) -> Result<Offset, Unavailable> {
        let mut bytes = self.build(batch).map_err(|error| {
            tracing::error!(partition = %self.partition.id(), %error, "coordinator records do not fit a batch");
            Unavailable::WriteRefused
        })?;
        let end = self.partition.append_internal(&mut bytes).map_err(|error| why(&error))?;
        Ok(end.previous().unwrap_or(Offset::ZERO))
    }

    fn build(&self, batch: &AppendBatch) -> Result<Vec<u8>, BuildError> {
        let timestamp = wall_now();
        let options = BatchOptions { encoding: self.encoding, ..BatchOptions::default() };
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
            AppendError::Producer(_)
            | AppendError::NotContiguous { .. }
            | AppendError::OffsetsExhausted
            | AppendError::NoSpace(_)
            | AppendError::Disk(_) => Unavailable::NotCoordinator,
        },
    }
}
