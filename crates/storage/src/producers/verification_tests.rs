//! The verification of transactions before their first batch.

use ottla_model::{PartitionIndex, Sequence, TopicName, TopicPartition};

use super::*;

/// What a producer tries next, in short: epoch, first sequence, and what it knows.
struct Log {
    producers: Producers,
    partition: TopicPartition,
    next: Offset,
}

fn producer() -> ProducerId {
    ProducerId::new(7).unwrap()
}

fn epoch(value: i16) -> ProducerEpoch {
    ProducerEpoch::new(value).unwrap()
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn request(epoch_value: i16, first_sequence: i32) -> VerificationRequest {
    VerificationRequest {
        producer: producer(),
        epoch: epoch(epoch_value),
        first_sequence: Sequence::new(first_sequence),
        begins_at_zero: false,
        now: at(1000),
    }
}

impl Log {
    fn new() -> Log {
        let partition = TopicPartition::new(TopicName::new("t").unwrap(), PartitionIndex::new(0).unwrap());
        Log { producers: Producers::default(), partition, next: Offset::ZERO }
    }

    fn guard(&mut self, epoch: i16, first_sequence: i32) -> VerificationGuard {
        self.producers.begin_verification(&request(epoch, first_sequence)).unwrap().unwrap()
    }

    fn append_as(
        &mut self,
        origin: Origin,
        (epoch_value, first): (i16, i32),
        verification: Verification,
    ) -> Result<Verdict, ProducerError> {
        let batch = ProducerBatch {
            producer: producer(),
            epoch: epoch(epoch_value),
            first_sequence: Sequence::new(first),
            last_sequence: Sequence::new(first),
            first_offset: self.next,
            last_offset: self.next,
            max_timestamp: at(1000),
            transactional: true,
        };
        let mut staged = Staged::default();
        let place = Place { partition: &self.partition, origin, verification };
        let verdict = self.producers.stage_batch(&mut staged, &batch, place)?;
        if verdict == Verdict::New {
            self.producers.commit(&mut staged);
            self.next = self.next.next();
        }
        Ok(verdict)
    }

    fn append(
        &mut self,
        batch: (i16, i32),
        verification: impl Into<Option<VerificationGuard>>,
    ) -> Result<Verdict, ProducerError> {
        let verification = verification.into().map_or(Verification::NotAsked, Verification::Verified);
        self.append_as(Origin::Client, batch, verification)
    }

    fn end(&mut self, epoch_value: i16) {
        self.end_with((epoch_value, false));
    }

    fn end_with(&mut self, (epoch_value, epoch_was_raised): (i16, bool)) {
        let end = TransactionEnd {
            producer: producer(),
            epoch: epoch(epoch_value),
            coordinator_epoch: 0,
            aborted: true,
            offset: self.next,
            timestamp: at(2000),
            epoch_was_raised,
        };
        let mut staged = Staged::default();
        let verification = Verification::NotAsked;
        let place = Place { partition: &self.partition, origin: Origin::Coordinator, verification };
        self.producers.stage_end(&mut staged, &end, place).unwrap();
        self.producers.commit(&mut staged);
        self.next = self.next.next();
    }
}

fn is_unverified(result: &Result<Verdict, ProducerError>) -> bool {
    matches!(result, Err(ProducerError::NotVerified { .. }))
}

/// TXN-07: only the first batch of a transaction needs the coordinator's word.
#[test]
fn the_first_batch_needs_a_guard_and_those_behind_it_need_none() {
    let mut log = Log::new();
    assert!(is_unverified(&log.append((0, 0), None)), "nobody asked the coordinator");
    let guard = log.guard(0, 0);
    assert!(is_unverified(&log.append((0, 0), None)), "asked for, and not used");
    assert_eq!(log.append((0, 0), guard), Ok(Verdict::New));
    assert_eq!(log.producers.begin_verification(&request(0, 1)), Ok(None));
    assert_eq!(log.append((0, 1), None), Ok(Verdict::New));
    assert!(!log.producers.is_verifying());
}

/// KAFKA-14402: the word about one transaction comes late, when it has ended and the next one is about to begin.
#[test]
fn a_guard_is_worth_nothing_after_the_end_of_its_transaction() {
    let mut log = Log::new();
    let late = log.guard(0, 0);
    log.end(0);
    assert!(is_unverified(&log.append((0, 0), late)));
    let next = log.guard(0, 0);
    assert_ne!(late, next);
    assert!(is_unverified(&log.append((0, 0), late)));
    assert_eq!(log.append((0, 0), next), Ok(Verdict::New));
}

/// TXN-06: in transaction version 2 a client may begin the next transaction while the marker of the one before is on its
/// way; that marker has the epoch of the next one.
#[test]
fn the_marker_of_the_transaction_before_ends_no_verification() {
    let mut log = Log::new();
    let first = log.guard(0, 0);
    log.append((0, 0), first).unwrap();
    let next = log.guard(1, 0);
    log.end_with((1, true));
    assert_eq!(log.append((1, 0), next), Ok(Verdict::New));
    log.end_with((2, true));
    let late = log.guard(2, 0);
    log.end_with((2, true));
    assert_eq!(log.append((2, 0), late), Ok(Verdict::New), "the same marker again");
    let fenced = log.guard(3, 0);
    log.end_with((4, true));
    assert!(log.append((3, 0), fenced).is_err());
}

/// KAFKA-14402: a batch that comes after the transaction's end does not open a transaction that nobody ends.
#[test]
fn a_late_batch_does_not_begin_the_transaction_again() {
    let mut log = Log::new();
    let guard = log.guard(0, 0);
    log.append((0, 0), guard).unwrap();
    log.end(0);
    assert!(is_unverified(&log.append((0, 1), None)));
    assert_eq!(log.producers.first_unstable(), Some(Offset::ZERO), "as far as nothing is replicated");
    log.producers.on_high_watermark(log.next);
    assert_eq!(log.producers.first_unstable(), None);
}

/// Two requests of one producer that wait for the coordinator at once wait for the same word.
#[test]
fn one_producer_has_one_verification_at_a_time() {
    let mut log = Log::new();
    let (first, second) = (log.guard(0, 0), log.guard(0, 1));
    assert_eq!(first, second);
    assert_eq!(log.append((0, 0), first), Ok(Verdict::New));
    assert_eq!(log.append((0, 1), second), Ok(Verdict::New), "the transaction goes on by now");
}

/// IDM-07
#[test]
fn a_batch_does_not_overtake_one_whose_verification_is_tried_again() {
    let mut log = Log::new();
    log.guard(0, 5);
    let guard = log.guard(0, 3);
    log.guard(0, 4);
    let ahead = log.append((0, 4), guard);
    assert!(matches!(ahead, Err(ProducerError::AheadOfVerification { got: 4, lowest: 3, .. })), "{ahead:?}");
    assert_eq!(log.append((0, 3), guard), Ok(Verdict::New));
    assert_eq!(log.append((0, 4), None), Ok(Verdict::New));
}

/// IDM-07: with a new epoch the sequences begin anew.
#[test]
fn a_new_epoch_forgets_the_sequences_of_the_old_one() {
    let mut log = Log::new();
    log.guard(0, 0);
    let guard = log.guard(1, 9);
    assert_eq!(log.guard(0, 2), guard, "an older epoch changes nothing");
    assert_eq!(log.append((1, 9), guard), Ok(Verdict::New));
}

/// IDM-05: whose epoch is raised with every transaction begins each one at 0; others may begin anywhere.
#[test]
fn an_unknown_producer_of_version_two_begins_at_zero() {
    let mut log = Log::new();
    let version_two = VerificationRequest { begins_at_zero: true, ..request(0, 5) };
    let guard = log.producers.begin_verification(&version_two).unwrap().unwrap();
    let refused = log.append((0, 5), guard);
    assert!(matches!(refused, Err(ProducerError::TransactionStart { got: 5, .. })), "{refused:?}");
    let zero = VerificationRequest { begins_at_zero: true, ..request(0, 0) };
    log.producers.begin_verification(&zero).unwrap().unwrap();
    assert_eq!(log.append((0, 0), guard), Ok(Verdict::New));
    let mut log = Log::new();
    let guard = log.guard(0, 5);
    assert_eq!(log.append((0, 5), guard), Ok(Verdict::New));
}

/// TXN-12
#[test]
fn a_fenced_producer_is_told_so_before_anybody_is_asked() {
    let mut log = Log::new();
    let guard = log.guard(3, 0);
    log.append((3, 0), guard).unwrap();
    let stale = Err(ProducerError::StaleEpoch { producer: producer(), got: epoch(2), known: epoch(3) });
    assert_eq!(log.producers.begin_verification(&request(2, 0)).map(|_| ()), stale);
    assert_eq!(log.append((2, 0), None).map(|_| ()), stale, "that says more than that it is not verified");
    assert!(log.producers.begin_verification(&request(4, 0)).unwrap().is_some(), "the next epoch asks anew");
}

/// TXN-07: `transaction.partition.verification.enable` may be off; a replica takes what its leader took.
#[test]
fn nobody_is_asked_where_verification_is_off() {
    let mut log = Log::new();
    assert_eq!(log.append_as(Origin::Client, (0, 0), Verification::Off), Ok(Verdict::New));
    let mut log = Log::new();
    assert_eq!(log.append_as(Origin::Replica, (0, 0), Verification::NotAsked), Ok(Verdict::New));
    let mut log = Log::new();
    let refused = log.append_as(Origin::Coordinator, (0, -1), Verification::NotAsked);
    assert!(is_unverified(&refused), "offsets of a transaction are part of it like any record");
}

#[test]
fn a_verification_that_nobody_comes_back_with_is_forgotten() {
    let mut log = Log::new();
    let guard = log.guard(0, 0);
    log.producers.expire(at(1999), 1000);
    assert_eq!(log.guard(0, 0), guard);
    log.producers.expire(at(2000), 1000);
    assert!(!log.producers.is_verifying());
    assert_ne!(log.guard(0, 0), guard);
}
