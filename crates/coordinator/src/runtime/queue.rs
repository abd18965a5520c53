//! Decisions on their way into the log, and the answers that wait for it.
//!
//! Owns: their order, the batch that is out, the release of answers and effects, the means to undo.
//! Does not own: the state that is undone.
//!
//! Invariants
//! - Q1 decisions leave the queue in the order they were made;
//! - Q2 appended decisions stand before staged ones, and their offsets ascend;
//! - Q3 a decision without records is released when all before it are committed;
//! - Q4 what is appended can no longer be undone.

use std::collections::VecDeque;
use std::time::Instant;

use ottla_model::Offset;
use ottla_mutant::mutant;

use super::shard::{Author, EncodedRecord, Reply, Shard, Unavailable};

/// Records that are appended as one batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppendBatch {
    pub records: Vec<EncodedRecord>,
    /// The transaction they are written in.
    pub author: Option<Author>,
}

/// One draft after its records were applied.
pub(super) struct Decided<S: Shard> {
    pub author: Option<Author>,
    pub records: Vec<EncodedRecord>,
    pub undos: Vec<S::Undo>,
    pub remedies: Vec<S::Remedy>,
    pub replies: Vec<Reply<S::Answer>>,
    pub effects: Vec<S::Effect>,
    pub deadline: Instant,
}

/// What may leave.
pub(super) struct Released<S: Shard> {
    pub replies: Vec<Reply<S::Answer>>,
    pub effects: Vec<S::Effect>,
}

/// What a failed append leaves to be done, the youngest first.
pub(super) struct Failed<S: Shard> {
    pub replies: Vec<Reply<S::Answer>>,
    pub undos: Vec<S::Undo>,
    pub remedies: Vec<S::Remedy>,
}

enum Fate<S: Shard> {
    /// Decided, not yet in the log.
    Staged {
        author: Option<Author>,
        records: Vec<EncodedRecord>,
        undos: Vec<S::Undo>,
        remedies: Vec<S::Remedy>,
    },
    /// In the log, the last record at this offset.
    Appended(Offset),
    /// Without records: goes with those before it.
    Following,
}

struct Waiting<S: Shard> {
    fate: Fate<S>,
    replies: Vec<Reply<S::Answer>>,
    effects: Vec<S::Effect>,
    deadline: Instant,
}

pub(super) struct Queue<S: Shard> {
    waiting: VecDeque<Waiting<S>>,
    /// The first decision of the batch that is out, and how many it has.
    out: Option<(usize, usize)>,
    high_watermark: Offset,
    /// Nothing is released before the log is committed up to here.
    loaded_end: Offset,
    batch_bytes_max: usize,
}

impl<S: Shard> Queue<S> {
    pub fn new(batch_bytes_max: usize) -> Queue<S> {
        Queue {
            waiting: VecDeque::new(),
            out: None,
            high_watermark: Offset::ZERO,
            loaded_end: Offset::ZERO,
            batch_bytes_max,
        }
    }

    pub fn on_loaded(&mut self, log_end: Offset) {
        self.loaded_end = log_end;
    }

    pub fn push(&mut self, decided: Decided<S>) {
        let Decided { author, records, undos, remedies, replies, effects, deadline } = decided;
        let fate = if records.is_empty() {
            Fate::Following
        } else {
            Fate::Staged { author, records, undos, remedies }
        };
        self.waiting.push_back(Waiting { fate, replies, effects, deadline });
    }

    /// Something that is in the log already: what is decided from now on waits for it.
    pub fn push_appended(&mut self, last_offset: Offset, deadline: Instant) {
        let is_staged = |waiting: &Waiting<S>| matches!(waiting.fate, Fate::Staged { .. });
        assert!(!self.waiting.iter().any(is_staged), "what was decided before lies before it in the log");
        let (replies, effects) = (Vec::new(), Vec::new());
        self.waiting.push_back(Waiting { fate: Fate::Appended(last_offset), replies, effects, deadline });
    }

    /// Takes as many staged decisions as fit into one batch; the first one always fits. Those of a transaction have a
    /// batch of their own.
    pub fn poll_append(&mut self) -> Option<AppendBatch> {
        if self.out.is_some() {
            return None;
        }
        let first = self.waiting.iter().position(|waiting| matches!(waiting.fate, Fate::Staged { .. }))?;
        let (mut batch, mut bytes, mut count) = (AppendBatch { records: Vec::new(), author: None }, 0, 0);
        for waiting in self.waiting.iter_mut().skip(first) {
            if let Fate::Staged { author, records, .. } = &mut waiting.fate {
                let more: usize = records.iter().map(EncodedRecord::bytes).sum();
                let is_alone = author.is_some() || batch.author.is_some();
                if count > 0 && (is_alone || bytes + more > self.batch_bytes_max) {
                    break;
                }
                bytes += more;
                batch.author = *author;
                batch.records.append(records);
            }
            count += 1;
        }
        self.out = Some((first, count));
        Some(batch)
    }

    pub fn on_appended(&mut self, last_offset: Offset) {
        let Some((first, count)) = self.out.take() else {
            panic!("an append was reported that was not asked for");
        };
        for waiting in self.waiting.iter_mut().skip(first).take(count) {
            if matches!(waiting.fate, Fate::Staged { .. }) {
                waiting.fate = Fate::Appended(last_offset);
            }
        }
    }

    /// Everything decided since the batch was decided upon a state that never was.
    pub fn on_append_failed(&mut self, why: Unavailable) -> Failed<S> {
        let Some((first, _)) = self.out.take() else {
            panic!("a failed append was reported that was not asked for");
        };
        let mut all = Failed { replies: Vec::new(), undos: Vec::new(), remedies: Vec::new() };
        for mut waiting in self.waiting.drain(first..).rev() {
            let replies = waiting.replies.drain(..).rev();
            all.replies.extend(replies.map(|reply| failed::<S>(reply, why)));
            if let Fate::Staged { undos, remedies, .. } = waiting.fate {
                all.undos.extend(undos.into_iter().rev());
                all.remedies.extend(remedies.into_iter().rev());
            }
        }
        all.replies.reverse();
        all
    }

    pub fn on_high_watermark(&mut self, high_watermark: Offset) {
        self.high_watermark = self.high_watermark.max(high_watermark);
    }

    /// The answers that may leave now, and what is to be done now.
    pub fn release(&mut self) -> Released<S> {
        let mut all = Released { replies: Vec::new(), effects: Vec::new() };
        if self.high_watermark < self.loaded_end {
            return all;
        }
        let high_watermark = self.high_watermark;
        let committed = |waiting: &mut Waiting<S>| match waiting.fate {
            Fate::Staged { .. } => false,
            Fate::Appended(last_offset) => {
                last_offset < high_watermark || mutant!(answer_groups_before_commit)
            }
            Fate::Following => true,
        };
        let mut released = 0;
        while let Some(waiting) = self.waiting.pop_front_if(committed) {
            all.replies.extend(waiting.replies);
            all.effects.extend(waiting.effects);
            released += 1;
        }
        if let Some((first, count)) = &mut self.out {
            // Decisions without records may follow right behind those that are out: they are not in front of it.
            assert!(released <= *first, "nothing that is out is committed");
            *first -= released;
            assert!(*first + *count <= self.waiting.len());
        }
        all
    }

    /// Answers that waited too long: the change may yet be committed, but its requester gives up.
    pub fn on_deadline(&mut self, now: Instant) -> Vec<Reply<S::Answer>> {
        let due = self.waiting.iter_mut().take_while(|waiting| waiting.deadline <= now);
        let late = due.flat_map(|waiting| std::mem::take(&mut waiting.replies));
        late.map(|reply| failed::<S>(reply, Unavailable::WriteFailed)).collect()
    }

    pub fn deadline(&self) -> Option<Instant> {
        self.waiting.iter().find(|waiting| !waiting.replies.is_empty()).map(|waiting| waiting.deadline)
    }

    /// Everything that waits is told `why`.
    pub fn abandon(&mut self, why: Unavailable) -> Vec<Reply<S::Answer>> {
        self.out = None;
        let all = self.waiting.drain(..).flat_map(|waiting| waiting.replies);
        all.map(|reply| failed::<S>(reply, why)).collect()
    }
}

/// The answer to a request whose records were not committed.
pub(super) fn failed<S: Shard>(reply: Reply<S::Answer>, why: Unavailable) -> Reply<S::Answer> {
    Reply { request: reply.request, answer: S::fail(reply.answer, why) }
}
