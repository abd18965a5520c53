//! What a log remembers of one producer.
//!
//! Owns: the last batches of a producer, its epochs, the start of its open transaction.
//! Does not own: the table of producers and the checks (`producers`), the file (`snapshot`).
//!
//! Invariants
//! - I1 at most [`BATCHES_MAX`] batches are kept, oldest first, all of the present epoch.
//!
//! Source: KIP-98, KIP-360; requirements IDM-01, IDM-02, IDM-11.

use ottla_model::{Offset, ProducerEpoch, ProducerId, Sequence, Timestamp};

/// Batches kept per producer. A producer may have five requests in flight, so any of the last five may be
/// sent again (IDM-11).
pub const BATCHES_MAX: usize = 5;

/// A batch as the producer state sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerBatch {
    pub producer: ProducerId,
    pub epoch: ProducerEpoch,
    /// `None` for batches of the group coordinator, which have a producer id but no sequence.
    pub first_sequence: Option<Sequence>,
    pub last_sequence: Option<Sequence>,
    pub first_offset: Offset,
    pub last_offset: Offset,
    pub max_timestamp: Timestamp,
    pub transactional: bool,
}

impl ProducerBatch {
    /// What is kept of it.
    pub(crate) fn appended(&self) -> AppendedBatch {
        AppendedBatch {
            last_sequence: self.last_sequence,
            last_offset: self.last_offset,
            offset_delta: u32::try_from(self.last_offset.distance_from(self.first_offset))
                .unwrap_or(u32::MAX),
            timestamp: self.max_timestamp,
        }
    }
}

/// The end of a transaction as a control batch says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransactionEnd {
    pub producer: ProducerId,
    pub epoch: ProducerEpoch,
    /// Epoch of the coordinator that decided.
    pub coordinator_epoch: i32,
    pub aborted: bool,
    /// Offset of the control record.
    pub offset: Offset,
    pub timestamp: Timestamp,
    /// Whether the epoch must be above the one of the data (transaction version 2, TXN-09).
    pub epoch_was_raised: bool,
}

/// A batch that was appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AppendedBatch {
    /// `None`: the batch had no sequence.
    pub last_sequence: Option<Sequence>,
    pub last_offset: Offset,
    /// Last offset − first offset.
    pub offset_delta: u32,
    pub timestamp: Timestamp,
}

impl AppendedBatch {
    pub fn first_offset(&self) -> Offset {
        Offset::new(self.last_offset.value() - i64::from(self.offset_delta)).unwrap_or(Offset::ZERO)
    }

    /// Sequence of the first record, going back from 0 to 2³¹ − 1 where it must.
    pub fn first_sequence(&self) -> Option<Sequence> {
        let span = 1_i64 << 31;
        let last = i64::from(self.last_sequence?.value());
        let first = (last - i64::from(self.offset_delta)).rem_euclid(span);
        Sequence::new(i32::try_from(first).ok()?)
    }
}

/// State of one producer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProducerEntry {
    /// `None` as long as nothing was appended.
    pub epoch: Option<ProducerEpoch>,
    /// Epoch of the coordinator of its last transaction end.
    pub coordinator_epoch: Option<i32>,
    pub last_timestamp: Timestamp,
    /// First offset of its open transaction.
    pub transaction_first_offset: Option<Offset>,
    batches: [Option<AppendedBatch>; BATCHES_MAX],
}

impl ProducerEntry {
    /// A producer of which nothing is known.
    pub(crate) fn new() -> ProducerEntry {
        ProducerEntry {
            epoch: None,
            coordinator_epoch: None,
            last_timestamp: Timestamp::NONE,
            transaction_first_offset: None,
            batches: [None; BATCHES_MAX],
        }
    }

    /// The batches kept, oldest first.
    pub fn batches(&self) -> impl Iterator<Item = &AppendedBatch> {
        self.batches.iter().flatten()
    }

    /// The last batch of the present epoch.
    pub fn last_batch(&self) -> Option<AppendedBatch> {
        self.batches().last().copied()
    }

    /// Whether the producer's transaction of this epoch has batches here.
    pub(crate) fn is_in_transaction(&self, epoch: ProducerEpoch) -> bool {
        self.transaction_first_offset.is_some() && self.epoch == Some(epoch)
    }

    /// The batch of which `batch` is a repetition (IDM-02).
    pub(crate) fn find_duplicate(&self, batch: &ProducerBatch) -> Option<AppendedBatch> {
        if self.epoch != Some(batch.epoch) || batch.first_sequence.is_none() {
            return None;
        }
        let same = |kept: &&AppendedBatch| {
            kept.first_sequence() == batch.first_sequence && kept.last_sequence == batch.last_sequence
        };
        self.batches().find(same).copied()
    }

    pub(crate) fn add(&mut self, epoch: ProducerEpoch, batch: AppendedBatch) {
        self.enter_epoch(epoch);
        self.last_timestamp = batch.timestamp;
        match self.batches.iter_mut().find(|slot| slot.is_none()) {
            Some(free) => *free = Some(batch),
            None => {
                self.batches.rotate_left(1);
                self.batches[BATCHES_MAX - 1] = Some(batch);
            }
        }
    }

    /// Takes a batch into the kept ones that a snapshot left out; their order is that of the log.
    pub(crate) fn recall(&mut self, epoch: ProducerEpoch, batch: AppendedBatch) {
        let known = |kept: &AppendedBatch| kept.last_offset == batch.last_offset;
        if self.epoch != Some(epoch) || batch.last_sequence.is_none() || self.batches().any(known) {
            return;
        }
        let behind = self.batches().filter(|kept| kept.last_offset < batch.last_offset).count();
        match self.batches.iter().position(Option::is_none) {
            Some(free) => {
                self.batches[free] = Some(batch);
                self.batches[behind..=free].rotate_right(1);
            }
            // The oldest one goes, unless this one is older.
            None if behind == 0 => {}
            None => {
                self.batches[0] = Some(batch);
                self.batches[..behind].rotate_left(1);
            }
        }
    }

    /// Notes the end of a transaction.
    pub(crate) fn end_transaction(&mut self, end: &TransactionEnd) {
        self.enter_epoch(end.epoch);
        self.coordinator_epoch = Some(end.coordinator_epoch);
        self.transaction_first_offset = None;
        self.last_timestamp = end.timestamp;
    }

    fn enter_epoch(&mut self, epoch: ProducerEpoch) {
        if self.epoch != Some(epoch) {
            self.batches = [None; BATCHES_MAX];
            self.epoch = Some(epoch);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn appended(last_sequence: i32, last_offset: i64, offset_delta: u32) -> AppendedBatch {
        AppendedBatch {
            last_sequence: Sequence::new(last_sequence),
            last_offset: Offset::new(last_offset).unwrap(),
            offset_delta,
            timestamp: Timestamp::from_millis(last_offset),
        }
    }

    /// IDM-09
    #[test]
    fn batches_that_a_snapshot_left_out_come_back_in_their_order() {
        let mut entry = ProducerEntry::new();
        let epoch = ProducerEpoch::new(3).unwrap();
        entry.add(epoch, appended(6, 60, 0));
        let kept = |entry: &ProducerEntry| {
            entry.batches().map(|batch| batch.last_offset.value() / 10).collect::<Vec<_>>()
        };
        for (offset, expected) in [
            (1, &[1, 6][..]),
            (3, &[1, 3, 6]),
            (2, &[1, 2, 3, 6]),
            (3, &[1, 2, 3, 6]),
            (4, &[1, 2, 3, 4, 6]),
            (5, &[2, 3, 4, 5, 6]),
            (1, &[2, 3, 4, 5, 6]),
        ] {
            entry.recall(epoch, appended(offset, i64::from(offset) * 10, 0));
            assert_eq!(kept(&entry), expected);
        }
        entry.recall(ProducerEpoch::new(2).unwrap(), appended(9, 55, 0));
        assert_eq!(kept(&entry), [2, 3, 4, 5, 6], "of another epoch");
    }

    /// IDM-01, IDM-11
    #[test]
    fn the_last_five_batches_are_kept() {
        let mut entry = ProducerEntry::new();
        for at in 0..8 {
            entry.add(ProducerEpoch::ZERO, appended(at, i64::from(at), 0));
        }
        let kept: Vec<i64> = entry.batches().map(|batch| batch.last_offset.value()).collect();
        assert_eq!(kept, [3, 4, 5, 6, 7]);
        entry.add(ProducerEpoch::new(1).unwrap(), appended(0, 8, 0));
        assert_eq!(entry.batches().count(), 1, "a new epoch forgets the batches of the old one");
    }

    /// IDM-03
    #[test]
    fn the_first_sequence_of_a_batch_may_lie_before_the_wrap() {
        let batch = appended(1, 9, 4);
        assert_eq!(batch.first_sequence(), Sequence::new(i32::MAX - 2));
        assert_eq!(batch.first_offset(), Offset::new(5).unwrap());
    }
}
