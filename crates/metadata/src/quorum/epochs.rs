//! Where each epoch of the metadata log begins.
//!
//! Owns: the starts of epochs, and with them the question where two logs part.
//! Does not own: the log itself.
//!
//! Invariants
//! - I1 epochs and offsets both rise from entry to entry.
//!
//! Source: KIP-595, "Fetch" and "Log Truncation"; KIP-101.

use ottla_model::{LeaderEpoch, Offset};

/// The first offset of each epoch that has records in the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EpochStarts {
    starts: Vec<(LeaderEpoch, Offset)>,
}

impl EpochStarts {
    /// Notes that a batch of an epoch begins at an offset; an epoch begins with its first batch.
    pub fn on_batch(&mut self, epoch: LeaderEpoch, base_offset: Offset) {
        match self.starts.last() {
            Some((last, _)) if *last == epoch => {}
            Some((last, start)) => {
                assert!(*last < epoch && *start < base_offset, "epochs and offsets of the metadata log rise");
                self.starts.push((epoch, base_offset));
            }
            None => self.starts.push((epoch, base_offset)),
        }
    }

    /// The last epoch that has records.
    pub fn last(&self) -> Option<LeaderEpoch> {
        self.starts.last().map(|(epoch, _)| *epoch)
    }

    /// The largest known epoch that is not above `epoch`, and where it ends in a log that ends at `log_end`.
    pub fn end_of(&self, epoch: LeaderEpoch, log_end: Offset) -> Option<(LeaderEpoch, Offset)> {
        let at = self.starts.iter().rposition(|(known, _)| *known <= epoch)?;
        let end = self.starts.get(at + 1).map_or(log_end, |(_, next_start)| *next_start);
        Some((self.starts[at].0, end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epoch(value: i32) -> LeaderEpoch {
        LeaderEpoch::new(value).unwrap()
    }

    fn offset(value: i64) -> Offset {
        Offset::new(value).unwrap()
    }

    /// KRF-02
    #[test]
    fn an_epoch_ends_where_the_next_one_begins() {
        let mut starts = EpochStarts::default();
        for (of, base) in [(1, 0), (1, 5), (3, 9), (3, 12)] {
            starts.on_batch(epoch(of), offset(base));
        }
        assert_eq!(starts.last(), Some(epoch(3)));
        assert_eq!(starts.end_of(epoch(0), offset(20)), None);
        assert_eq!(starts.end_of(epoch(1), offset(20)), Some((epoch(1), offset(9))));
        assert_eq!(starts.end_of(epoch(2), offset(20)), Some((epoch(1), offset(9))));
        assert_eq!(starts.end_of(epoch(3), offset(20)), Some((epoch(3), offset(20))));
        assert_eq!(starts.end_of(epoch(8), offset(20)), Some((epoch(3), offset(20))));
    }
}
