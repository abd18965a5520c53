//! The positions of one log that decide what is committed and what may be read.
//!
//! Owns: their order. Does not own: the log, the other replicas.
//!
//! Invariants
//! - W1 log start ≤ last stable offset ≤ high watermark ≤ log end (TRAP-43);
//! - W2 flushed end ≤ log end;
//! - W3 the high watermark moves back only when the log is cut below it, never on a leader.
//!
//! Source: requirements REP-03 and FET-17.

use ottla_model::Offset;
use ottla_mutant::mutant;

use crate::AckDurability;

/// What the log knows about itself when a replica is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogPositions {
    /// First offset that is still there.
    pub start: Offset,
    /// The offset the next record will get.
    pub end: Offset,
    /// Everything below is on stable storage.
    pub flushed_end: Offset,
    /// The checkpointed high watermark; moved into `start..=end` when it lies outside.
    pub high_watermark: Offset,
    /// First offset of the oldest transaction that is undecided, or decided above the high watermark.
    pub first_unstable: Option<Offset>,
}

/// The three offsets a reader may be limited by, at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    pub log_end: Offset,
    pub high_watermark: Offset,
    pub last_stable: Offset,
}

pub(crate) struct Watermarks {
    positions: LogPositions,
}

impl Watermarks {
    pub fn new(positions: LogPositions) -> Watermarks {
        let high_watermark = positions.high_watermark.clamp(positions.start, positions.end);
        let watermarks = Watermarks { positions: LogPositions { high_watermark, ..positions } };
        watermarks.assert_ordered();
        watermarks
    }

    pub fn start(&self) -> Offset {
        self.positions.start
    }

    pub fn end(&self) -> Offset {
        self.positions.end
    }

    pub fn high_watermark(&self) -> Offset {
        self.positions.high_watermark
    }

    /// Smaller of the high watermark and the first undecided record, never below the log start.
    pub fn last_stable(&self) -> Offset {
        let first = self.positions.first_unstable.filter(|_| !mutant!(read_undecided_transactions));
        let first = first.unwrap_or(self.positions.high_watermark);
        first.clamp(self.positions.start, self.positions.high_watermark)
    }

    pub fn limits(&self) -> Limits {
        Limits {
            log_end: self.positions.end,
            high_watermark: self.positions.high_watermark,
            last_stable: self.last_stable(),
        }
    }

    /// How far this replica itself counts for the high watermark.
    pub fn stored_end(&self, durability: AckDurability) -> Offset {
        match durability {
            AckDurability::Flushed if !mutant!(ack_before_flush) => self.positions.flushed_end,
            AckDurability::Flushed | AckDurability::PageCache => self.positions.end,
        }
    }

    pub fn on_appended(&mut self, end: Offset) {
        assert!(self.positions.end <= end, "an append never shortens the log");
        self.positions.end = end;
    }

    /// Flush results may arrive out of order, and late ones may speak of a part that was cut off since.
    pub fn on_flushed(&mut self, flushed_end: Offset) {
        let within = flushed_end.min(self.positions.end);
        self.positions.flushed_end = self.positions.flushed_end.max(within);
    }

    /// Retention and DeleteRecords delete only below the high watermark of a leader. A follower takes its
    /// leader's log start, which may lie above what it knows as the high watermark.
    pub fn on_log_start(&mut self, start: Offset) {
        assert!(start <= self.positions.end, "the log start never passes the log end");
        self.positions.start = self.positions.start.max(start);
        self.positions.high_watermark = self.positions.high_watermark.max(self.positions.start);
        self.positions.flushed_end = self.positions.flushed_end.max(self.positions.start);
        self.assert_ordered();
    }

    /// The log was cut: it now ends at `end`.
    pub fn on_truncated(&mut self, end: Offset) {
        self.positions.end = end;
        self.positions.start = self.positions.start.min(end);
        self.positions.flushed_end = self.positions.flushed_end.min(end);
        self.positions.high_watermark = self.positions.high_watermark.min(end);
        self.assert_ordered();
    }

    pub fn on_first_unstable(&mut self, first_unstable: Option<Offset>) {
        self.positions.first_unstable = first_unstable;
    }

    /// Moves the high watermark up to `candidate`, never down, never above the log end.
    pub fn raise_high_watermark(&mut self, candidate: Offset) {
        let within = candidate.min(self.positions.end);
        self.positions.high_watermark = self.positions.high_watermark.max(within);
        self.assert_ordered();
    }

    fn assert_ordered(&self) {
        assert!(self.positions.start <= self.last_stable());
        assert!(self.last_stable() <= self.positions.high_watermark);
        assert!(self.positions.high_watermark <= self.positions.end);
        assert!(self.positions.flushed_end <= self.positions.end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(value: i64) -> Offset {
        Offset::new(value).unwrap()
    }

    fn opened(high_watermark: i64) -> Watermarks {
        Watermarks::new(LogPositions {
            start: at(10),
            end: at(20),
            flushed_end: at(15),
            high_watermark: at(high_watermark),
            first_unstable: None,
        })
    }

    /// TRAP-43
    #[test]
    fn a_checkpointed_high_watermark_outside_the_log_is_moved_into_it() {
        assert_eq!(opened(3).high_watermark(), at(10));
        assert_eq!(opened(15).high_watermark(), at(15));
        assert_eq!(opened(99).high_watermark(), at(20));
    }

    /// FET-17
    #[test]
    fn the_last_stable_offset_is_the_smaller_of_high_watermark_and_oldest_undecided_transaction() {
        let mut watermarks = opened(18);
        watermarks.on_first_unstable(Some(at(13)));
        assert_eq!(watermarks.last_stable(), at(13));
        watermarks.on_first_unstable(Some(at(19)));
        assert_eq!(watermarks.last_stable(), at(18));
        watermarks.on_first_unstable(None);
        assert_eq!(watermarks.last_stable(), at(18));
    }

    /// TRAP-43
    #[test]
    fn a_cut_takes_the_watermarks_with_it() {
        let mut watermarks = opened(18);
        watermarks.on_truncated(at(12));
        assert_eq!(watermarks.high_watermark(), at(12));
        assert_eq!(watermarks.stored_end(AckDurability::Flushed), at(12));
        watermarks.on_flushed(at(20));
        assert_eq!(watermarks.stored_end(AckDurability::Flushed), at(12));
    }

    /// REP-03
    #[test]
    fn the_high_watermark_never_moves_back() {
        let mut watermarks = opened(18);
        watermarks.raise_high_watermark(at(14));
        assert_eq!(watermarks.high_watermark(), at(18));
        watermarks.raise_high_watermark(at(25));
        assert_eq!(watermarks.high_watermark(), at(20));
    }
}
