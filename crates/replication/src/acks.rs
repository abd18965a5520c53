//! Produce requests that wait for replication (`acks=all`) on one partition.
//!
//! Owns: the order and the deadline of waiting requests.
//! Does not own: the log, the replicas, the clock, the socket.
//!
//! Invariants
//! - A1 waiting requests are sorted by `last_offset` (a repeated batch waits beside the first attempt);
//! - A2 no waiting request is below the high watermark;
//! - A3 every admitted request yields exactly one outcome, unless it is forgotten.
//!
//! Source: Kafka protocol guide, Produce, field `acks`; requirement PRD-19.

use std::collections::VecDeque;
use std::time::Instant;

use ottla_model::Offset;

use crate::RequestId;
use crate::role::Standing;

/// A request that was appended and waits until its last record is committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ack {
    pub request: RequestId,
    /// Offset of the last record of the request.
    pub last_offset: Offset,
    /// When the caller gives up (`timeout_ms` of the request); the records stay in the log.
    pub deadline: Instant,
}

/// What a waiting request is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AckOutcome {
    /// The records are committed.
    Committed,
    /// The records are committed, but by fewer in-sync replicas than the topic asks for.
    TooFewInSync { in_sync: usize, in_sync_min: usize },
    /// The deadline came first.
    TimedOut,
    /// This broker stopped leading the partition; the records may or may not survive.
    Lost(Standing),
}

/// The end of one wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acked {
    pub request: RequestId,
    pub outcome: AckOutcome,
}

#[derive(Default)]
pub(crate) struct PendingAcks {
    waiting: VecDeque<Ack>,
    outcomes: VecDeque<Acked>,
    /// No waiting request expires before this moment.
    earliest: Option<Instant>,
}

impl PendingAcks {
    /// Parks a request whose last record is not committed yet.
    pub fn wait(&mut self, ack: Ack) {
        let place = self.waiting.partition_point(|other| other.last_offset <= ack.last_offset);
        self.waiting.insert(place, ack);
        self.earliest = Some(self.earliest.map_or(ack.deadline, |earliest| earliest.min(ack.deadline)));
    }

    /// The high watermark moved. It is exclusive: the record *below* it is committed.
    pub fn on_high_watermark(&mut self, high_watermark: Offset, outcome: AckOutcome) {
        while let Some(ack) = self.waiting.pop_front_if(|ack| ack.last_offset < high_watermark) {
            self.outcomes.push_back(Acked { request: ack.request, outcome });
        }
        if self.waiting.is_empty() {
            self.earliest = None;
        }
        debug_assert!(self.waiting.iter().all(|ack| ack.last_offset >= high_watermark));
        debug_assert!(self.waiting.iter().is_sorted_by_key(|ack| ack.last_offset));
    }

    /// This broker no longer leads: nobody will learn here what becomes of the records.
    pub fn on_lost(&mut self, standing: Standing) {
        let lost = AckOutcome::Lost(standing);
        self.outcomes.extend(self.waiting.drain(..).map(|ack| Acked { request: ack.request, outcome: lost }));
        self.earliest = None;
    }

    pub fn on_deadline(&mut self, now: Instant) {
        if self.earliest.is_none_or(|earliest| now < earliest) {
            return;
        }
        let outcomes = &mut self.outcomes;
        self.waiting.retain(|ack| {
            let waits = now < ack.deadline;
            if !waits {
                outcomes.push_back(Acked { request: ack.request, outcome: AckOutcome::TimedOut });
            }
            waits
        });
        self.earliest = self.waiting.iter().map(|ack| ack.deadline).min();
    }

    /// The request's connection is gone: it needs no outcome.
    pub fn forget(&mut self, request: RequestId) {
        self.waiting.retain(|ack| ack.request != request);
        self.outcomes.retain(|acked| acked.request != request);
        if self.waiting.is_empty() {
            self.earliest = None;
        }
    }

    pub fn poll_outcome(&mut self) -> Option<Acked> {
        self.outcomes.pop_front()
    }

    /// No request expires before this moment; one may expire later only.
    pub fn deadline(&self) -> Option<Instant> {
        self.earliest
    }

    pub fn len(&self) -> usize {
        self.waiting.len()
    }
}
