//! The checks of a leader's append, and the record of transactions.

use ottla_model::{PartitionIndex, Sequence, TopicName, TopicPartition};

use super::*;

struct Table {
    producers: Producers,
    partition: TopicPartition,
    next: Offset,
    /// What batches are appended with.
    verification: Verification,
}

/// A batch of producer 7 in short: epoch, first sequence, records.
fn batch(epoch: i16, first_sequence: i32, records: u32) -> ProducerBatch {
    let first_sequence = Sequence::new(first_sequence);
    ProducerBatch {
        producer: ProducerId::new(7).unwrap(),
        epoch: ProducerEpoch::new(epoch).unwrap(),
        first_sequence,
        last_sequence: first_sequence.map(|first| first.plus(records - 1)),
        first_offset: Offset::ZERO,
        last_offset: Offset::ZERO.plus(records - 1),
        max_timestamp: Timestamp::from_millis(1000),
        transactional: false,
    }
}

fn of_producer(producer: i64, batch: ProducerBatch) -> ProducerBatch {
    ProducerBatch { producer: ProducerId::new(producer).unwrap(), ..batch }
}

fn transactional(batch: ProducerBatch) -> ProducerBatch {
    ProducerBatch { transactional: true, ..batch }
}

impl Table {
    fn new() -> Table {
        let partition = TopicPartition::new(TopicName::new("t").unwrap(), PartitionIndex::new(0).unwrap());
        Table {
            producers: Producers::default(),
            partition,
            next: Offset::ZERO,
            verification: Verification::Off,
        }
    }

    fn append_as(&mut self, origin: Origin, mut batch: ProducerBatch) -> Result<Verdict, ProducerError> {
        let records = batch.last_offset.distance_from(batch.first_offset);
        batch.first_offset = self.next;
        batch.last_offset = self.next.plus(u32::try_from(records).unwrap());
        let mut staged = Staged::default();
        let place = Place { partition: &self.partition, origin, verification: self.verification };
        let verdict = self.producers.stage_batch(&mut staged, &batch, place)?;
        if verdict == Verdict::New {
            self.producers.commit(&mut staged);
            self.next = batch.last_offset.next();
        }
        Ok(verdict)
    }

    fn append(&mut self, batch: ProducerBatch) -> Result<Verdict, ProducerError> {
        self.append_as(Origin::Client, batch)
    }

    fn end(&mut self, end: TransactionEnd) -> Result<Vec<CompletedTransaction>, ProducerError> {
        let mut staged = Staged::default();
        let place = Place {
            partition: &self.partition,
            origin: Origin::Coordinator,
            verification: Verification::NotAsked,
        };
        let end = TransactionEnd { offset: self.next, ..end };
        self.producers.stage_end(&mut staged, &end, place)?;
        self.producers.commit(&mut staged);
        self.next = self.next.next();
        Ok(staged.completed)
    }
}

fn end(producer: i64, epoch: i16, aborted: bool) -> TransactionEnd {
    TransactionEnd {
        producer: ProducerId::new(producer).unwrap(),
        epoch: ProducerEpoch::new(epoch).unwrap(),
        coordinator_epoch: 0,
        aborted,
        offset: Offset::ZERO,
        timestamp: Timestamp::from_millis(2000),
        epoch_was_raised: false,
    }
}

/// IDM-02, IDM-11, TRAP-09
#[test]
fn any_of_the_last_five_batches_is_recognised() {
    let mut table = Table::new();
    for first in 0..6 {
        assert_eq!(table.append(batch(0, first * 2, 2)), Ok(Verdict::New));
    }
    for first in 1..6 {
        let Ok(Verdict::Duplicate(known)) = table.append(batch(0, first * 2, 2)) else {
            panic!("batch {first} is remembered")
        };
        assert_eq!(known.first_offset(), Offset::new(i64::from(first) * 2).unwrap());
    }
    let forgotten = table.append(batch(0, 0, 2));
    assert!(matches!(forgotten, Err(ProducerError::OutOfOrder { got: 0, last: 11, .. })));
    let another_range = table.append(batch(0, 8, 3));
    assert!(matches!(another_range, Err(ProducerError::OutOfOrder { got: 8, .. })));
}

/// IDM-03
#[test]
fn sequences_follow_each_other_across_the_wrap() {
    let mut table = Table::new();
    assert_eq!(table.append(batch(0, i32::MAX - 1, 3)), Ok(Verdict::New));
    assert!(matches!(table.append(batch(0, 2, 1)), Err(ProducerError::OutOfOrder { last: 0, .. })));
    assert_eq!(table.append(batch(0, 1, 1)), Ok(Verdict::New));
    assert!(matches!(table.append(batch(0, i32::MAX - 1, 3)), Ok(Verdict::Duplicate(_))));
}

/// IDM-04
#[test]
fn a_new_epoch_begins_at_sequence_zero_and_fences_the_old_one() {
    let mut table = Table::new();
    assert_eq!(table.append(batch(3, 0, 5)), Ok(Verdict::New));
    assert!(matches!(table.append(batch(4, 5, 1)), Err(ProducerError::EpochStart { got: 5, .. })));
    assert_eq!(table.append(batch(4, 0, 1)), Ok(Verdict::New));
    assert!(matches!(table.append(batch(3, 5, 1)), Err(ProducerError::FencedEpoch { .. })));
    assert_eq!(table.append(batch(4, 1, 1)), Ok(Verdict::New));
}

/// IDM-05, TRAP-09
#[test]
fn an_unknown_producer_may_begin_anywhere() {
    let mut table = Table::new();
    assert_eq!(table.append(batch(9, 4711, 1)), Ok(Verdict::New));
    assert!(matches!(table.append(batch(9, 4713, 1)), Err(ProducerError::OutOfOrder { .. })));
}

/// IDM-06
#[test]
fn a_silent_producer_is_forgotten_unless_its_transaction_is_open() {
    let mut table = Table::new();
    table.append(batch(0, 0, 1)).unwrap();
    table.append(transactional(of_producer(8, batch(0, 0, 1)))).unwrap();
    let at = |millis| Timestamp::from_millis(millis);
    assert_eq!(table.producers.expire(at(1999), 1000), 0);
    assert_eq!(table.producers.expire(at(2000), 1000), 1);
    assert_eq!(table.producers.len(), 1);
    assert_eq!(table.append(batch(0, 99, 1)), Ok(Verdict::New));
}

/// IDM-09: what was replicated was checked by the leader.
#[test]
fn a_follower_takes_what_its_leader_took() {
    let mut table = Table::new();
    for batch in [batch(5, 10, 1), batch(5, 0, 1), batch(2, 7, 1)] {
        assert_eq!(table.append_as(Origin::Replica, batch), Ok(Verdict::New));
    }
    let twice = table.append_as(Origin::Replica, batch(2, 7, 1));
    assert_eq!(twice, Ok(Verdict::New), "repetitions are for the leader to find");
}

/// IDM-08
#[test]
fn a_plain_batch_within_a_transaction_is_refused() {
    let mut table = Table::new();
    table.append(transactional(batch(0, 0, 1))).unwrap();
    let refused = table.append(batch(0, 1, 1));
    assert!(matches!(refused, Err(ProducerError::TransactionOpen { .. })));
    assert_eq!(table.append(transactional(batch(0, 1, 1))), Ok(Verdict::New));
}

/// FET-17
#[test]
fn the_stable_offset_is_the_first_of_the_oldest_open_transaction() {
    let mut table = Table::new();
    let offset = |value| Offset::new(value).unwrap();
    table.append(batch(0, 0, 3)).unwrap();
    assert_eq!(table.producers.first_unstable(), None);
    table.append(transactional(of_producer(8, batch(0, 0, 2)))).unwrap();
    table.append(transactional(of_producer(9, batch(0, 0, 2)))).unwrap();
    assert_eq!(table.producers.first_unstable(), Some(offset(3)));
    let completed = table.end(end(8, 0, true)).unwrap();
    let aborted = CompletedTransaction {
        producer: ProducerId::new(8).unwrap(),
        first_offset: offset(3),
        last_offset: offset(7),
        aborted: true,
        last_stable_offset: offset(5),
    };
    assert_eq!(completed, [aborted]);
    table.producers.on_high_watermark(offset(7));
    assert_eq!(table.producers.first_unstable(), Some(offset(3)), "the marker is not replicated yet");
    table.producers.on_high_watermark(offset(8));
    assert_eq!(table.producers.first_unstable(), Some(offset(5)));
    assert_eq!(table.end(end(9, 0, false)).unwrap()[0].last_stable_offset, offset(9));
    table.producers.on_high_watermark(offset(9));
    assert_eq!(table.producers.first_unstable(), None);
    assert_eq!(table.end(end(9, 0, false)).unwrap(), [], "a marker without data completes nothing");
}

/// TXN-09
#[test]
fn a_marker_of_version_two_has_a_raised_epoch() {
    let raised = |epoch| TransactionEnd { epoch_was_raised: true, ..end(7, epoch, false) };
    let mut table = Table::new();
    table.append(transactional(batch(3, 0, 1))).unwrap();
    let refused = table.end(raised(3)).unwrap_err();
    assert!(matches!(refused, ProducerError::FencedEpoch { comparison: "<=", version: 2, .. }));
    assert_eq!(table.end(raised(4)).unwrap().len(), 1);
    assert_eq!(table.end(raised(4)), Ok(Vec::new()), "the same marker again is written again");
    assert!(matches!(table.append(batch(3, 1, 1)), Err(ProducerError::FencedEpoch { .. })));
    assert_eq!(table.append(transactional(batch(4, 0, 1))), Ok(Verdict::New));
}

/// TXN-09
#[test]
fn a_marker_of_an_old_coordinator_is_refused() {
    let of_coordinator = |coordinator_epoch| TransactionEnd { coordinator_epoch, ..end(7, 0, false) };
    let mut table = Table::new();
    table.end(of_coordinator(5)).unwrap();
    let refused = table.end(of_coordinator(4));
    assert!(matches!(refused, Err(ProducerError::CoordinatorFenced { got: 4, known: 5, .. })));
    table.end(of_coordinator(6)).unwrap();
}

/// IDM-09: only the last batch of each producer survives a restart, and open transactions do.
#[test]
fn a_snapshot_brings_back_the_last_batch_and_open_transactions() {
    let mut table = Table::new();
    table.append(batch(1, 0, 2)).unwrap();
    table.append(batch(1, 2, 2)).unwrap();
    table.append(transactional(of_producer(8, batch(0, 0, 1)))).unwrap();
    let mut restored = Table::new();
    restored.producers.restore(decode_snapshot(&table.producers.snapshot()).unwrap());
    assert_eq!(restored.producers.snapshot(), table.producers.snapshot());
    assert_eq!(restored.producers.first_unstable(), Offset::new(4));
    assert!(matches!(restored.append(batch(1, 2, 2)), Ok(Verdict::Duplicate(_))));
    assert!(matches!(restored.append(batch(1, 0, 2)), Err(ProducerError::OutOfOrder { .. })));
    assert_eq!(restored.append(batch(1, 4, 2)), Ok(Verdict::New));
}
