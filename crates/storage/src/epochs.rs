//! Which leader epoch wrote which part of a log.
//!
//! Owns: the list of epochs with their first offsets, its lookups and truncations.
//! Does not own: the file it is kept in (`checkpoint`), who becomes leader.
//!
//! Invariants
//! - I1 epochs and first offsets both grow strictly along the list.
//!
//! Source: KIP-101, KIP-279; requirements FET-32, REP-07.

use ottla_model::{LeaderEpoch, Offset};

/// The first offset of a leader epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochStart {
    pub epoch: LeaderEpoch,
    pub start: Offset,
}

/// The end of a leader epoch: the offset behind its last record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochEnd {
    pub epoch: LeaderEpoch,
    pub end: Offset,
}

/// The leader epochs of one log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Epochs {
    entries: Vec<EpochStart>,
}

impl Epochs {
    /// The list from entries in any state: what breaks the order is left out, as if assigned one by one.
    pub(crate) fn from_entries(entries: impl IntoIterator<Item = EpochStart>) -> Epochs {
        let mut epochs = Epochs::default();
        for entry in entries {
            epochs.assign(entry.epoch, entry.start);
        }
        epochs
    }

    pub(crate) fn entries(&self) -> &[EpochStart] {
        &self.entries
    }

    pub(crate) fn latest(&self) -> Option<EpochStart> {
        self.entries.last().copied()
    }

    /// The epoch that wrote `offset`, as far as is known.
    pub(crate) fn epoch_of(&self, offset: Offset) -> Option<LeaderEpoch> {
        let behind = self.entries.partition_point(|entry| entry.start <= offset);
        Some(self.entries.get(behind.checked_sub(1)?)?.epoch)
    }

    /// Notes that `epoch` begins at `start`; true when that is news.
    ///
    /// Entries that contradict it (same or later epoch, same or later offset) are dropped.
    pub(crate) fn assign(&mut self, epoch: LeaderEpoch, start: Offset) -> bool {
        if let Some(last) = self.latest()
            && last.epoch == epoch
            && last.start <= start
        {
            return false;
        }
        self.entries.retain(|entry| entry.epoch < epoch && entry.start < start);
        self.entries.push(EpochStart { epoch, start });
        self.assert_ordered();
        true
    }

    /// The log now ends at `end`; true when that changed the list.
    pub(crate) fn truncate_from_end(&mut self, end: Offset) -> bool {
        let before = self.entries.len();
        self.entries.retain(|entry| entry.start < end);
        self.entries.len() != before
    }

    /// The log now begins at `start`; true when that changed the list.
    ///
    /// The epoch that wrote `start` stays, and begins there.
    pub(crate) fn truncate_from_start(&mut self, start: Offset) -> bool {
        let behind = self.entries.partition_point(|entry| entry.start <= start);
        let Some(covering) = behind.checked_sub(1) else { return false };
        if self.entries[covering].start == start && covering == 0 {
            return false;
        }
        self.entries.drain(..covering);
        self.entries[0].start = start;
        self.assert_ordered();
        true
    }

    pub(crate) fn clear(&mut self) {
        self.entries.clear();
    }

    /// The end of `epoch` in a log that ends at `log_end`, as OffsetForLeaderEpoch answers it (FET-32).
    ///
    /// `None` when the epoch is later than all known ones: nothing can be said.
    pub(crate) fn end_of(&self, epoch: LeaderEpoch, log_end: Offset) -> Option<EpochEnd> {
        let latest = self.latest()?;
        if latest.epoch == epoch {
            return Some(EpochEnd { epoch, end: log_end });
        }
        let higher = self.entries.partition_point(|entry| entry.epoch <= epoch);
        let end = self.entries.get(higher)?.start;
        let epoch = higher.checked_sub(1).map_or(epoch, |floor| self.entries[floor].epoch);
        Some(EpochEnd { epoch, end })
    }

    fn assert_ordered(&self) {
        debug_assert!(
            self.entries
                .windows(2)
                .all(|pair| pair[0].epoch < pair[1].epoch && pair[0].start < pair[1].start)
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epochs(entries: &[(i32, i64)]) -> Epochs {
        Epochs::from_entries(entries.iter().map(|(epoch, start)| EpochStart {
            epoch: LeaderEpoch::new(*epoch).unwrap(),
            start: Offset::new(*start).unwrap(),
        }))
    }

    fn end(epochs: &Epochs, epoch: i32) -> Option<(i32, i64)> {
        let end = epochs.end_of(LeaderEpoch::new(epoch).unwrap(), Offset::new(100).unwrap());
        end.map(|end| (end.epoch.value(), end.end.value()))
    }

    /// FET-32, TRAP-17
    #[test]
    fn the_end_of_an_epoch_is_the_start_of_the_next_one() {
        let epochs = epochs(&[(2, 10), (4, 30), (7, 50)]);
        assert_eq!(end(&epochs, 7), Some((7, 100)), "the latest epoch ends at the log's end");
        assert_eq!(end(&epochs, 8), None, "a later epoch is unknown");
        assert_eq!(end(&epochs, 4), Some((4, 50)));
        assert_eq!(end(&epochs, 5), Some((4, 50)), "the largest epoch not above the asked one answers");
        assert_eq!(end(&epochs, 2), Some((2, 30)));
        assert_eq!(end(&epochs, 1), Some((1, 10)), "an epoch before all known ones ends where they begin");
        assert_eq!(end(&Epochs::default(), 0), None);
    }

    /// REP-07
    #[test]
    fn a_new_epoch_drops_what_contradicts_it() {
        let mut list = epochs(&[(1, 0), (2, 10), (3, 20)]);
        assert!(!list.assign(LeaderEpoch::new(3).unwrap(), Offset::new(25).unwrap()));
        assert!(list.assign(LeaderEpoch::new(5).unwrap(), Offset::new(10).unwrap()));
        assert_eq!(list, epochs(&[(1, 0), (5, 10)]));
        assert!(list.assign(LeaderEpoch::new(5).unwrap(), Offset::new(4).unwrap()));
        assert_eq!(list, epochs(&[(1, 0), (5, 4)]));
    }

    /// LOG-03
    #[test]
    fn the_list_follows_both_ends_of_the_log() {
        let offset = |value| Offset::new(value).unwrap();
        let mut list = epochs(&[(1, 0), (2, 10), (3, 20)]);
        assert!(!list.truncate_from_end(offset(21)));
        assert!(list.truncate_from_end(offset(20)));
        assert_eq!(list, epochs(&[(1, 0), (2, 10)]));
        assert!(list.truncate_from_start(offset(4)));
        assert_eq!(list, epochs(&[(1, 4), (2, 10)]));
        assert!(list.truncate_from_start(offset(15)));
        assert_eq!(list, epochs(&[(2, 15)]));
        assert!(!list.truncate_from_start(offset(15)));
        assert_eq!(list.epoch_of(offset(14)), None);
        assert_eq!(list.epoch_of(offset(15)), LeaderEpoch::new(2));
    }
}
