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

/// Nothing is allocated before the first request waits: most replicas never see one.
#[derive(Default)]
pub(crate) struct PendingAcks(Option<Box<Queues>>);

#[derive(Default)]
struct Queues {
    waiting: VecDeque<Ack>,
    outcomes: VecDeque<Acked>,
    /// No waiting request expires before this moment.
    earliest: Option<Instant>,
}

impl PendingAcks {
    /// Parks a request whose last record is not committed yet.
    pub fn wait(&mut self, ack: Ack) {
        let queues = self.0.get_or_insert_default();
        let place = queues.waiting.partition_point(|other| other.last_offset <= ack.last_offset);
        queues.waiting.insert(place, ack);
        queues.earliest = Some(queues.earliest.map_or(ack.deadline, |earliest| earliest.min(ack.deadline)));
    }

    /// The high watermark moved. It is exclusive: the record *below* it is committed.
    pub fn on_high_watermark(&mut self, high_watermark: Offset, outcome: AckOutcome) {
        let Some(queues) = &mut self.0 else { return };
        while let Some(ack) = queues.waiting.pop_front_if(|ack| ack.last_offset < high_watermark) {
            queues.outcomes.push_back(Acked { request: ack.request, outcome });
        }
        if queues.waiting.is_empty() {
            queues.earliest = None;
        }
        debug_assert!(queues.waiting.iter().all(|ack| ack.last_offset >= high_watermark));
        debug_assert!(queues.waiting.iter().is_sorted_by_key(|ack| ack.last_offset));
    }

    /// This broker no longer leads: nobody will learn here what becomes of the records.
    pub fn on_lost(&mut self, standing: Standing) {
        let Some(queues) = &mut self.0 else { return };
        let outcome = AckOutcome::Lost(standing);
        queues.outcomes.extend(queues.waiting.drain(..).map(|ack| Acked { request: ack.request, outcome }));
        queues.earliest = None;
    }

    pub fn on_deadline(&mut self, now: Instant) {
        let Some(queues) = &mut self.0 else { return };
        if queues.earliest.is_none_or(|earliest| now < earliest) {
            return;
        }
        let Queues { waiting, outcomes, earliest } = &mut **queues;
        waiting.retain(|ack| {
            let waits = now < ack.deadline;
            if !waits {
                outcomes.push_back(Acked { request: ack.request, outcome: AckOutcome::TimedOut });
            }
            waits
        });
        *earliest = waiting.iter().map(|ack| ack.deadline).min();
    }

    /// The request's connection is gone: it needs no outcome.
    pub fn forget(&mut self, request: RequestId) {
        let Some(queues) = &mut self.0 else { return };
        queues.waiting.retain(|ack| ack.request != request);
        queues.outcomes.retain(|acked| acked.request != request);
        if queues.waiting.is_empty() {
            queues.earliest = None;
        }
    }

    pub fn poll_outcome(&mut self) -> Option<Acked> {
        self.0.as_mut()?.outcomes.pop_front()
    }

    /// No request expires before this moment; one may expire later only.
    pub fn deadline(&self) -> Option<Instant> {
        self.0.as_ref()?.earliest
    }

    pub fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |queues| queues.waiting.len())
    }
}
