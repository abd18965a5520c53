//! The batches of one partition: those that wait, those in flight, and the sequence numbers of both.
//!
//! Owns: their order, stamping, what an answer means for the batches behind.
//! Does not own: which partition is served when, requests in flight per node (`machine`).
//!
//! Invariants
//! - I1 `waiting` is sorted by `order`; only its last batch is open;
//! - I2 sequences are given in the order of batches, and a stamped batch is sent only while no earlier one is
//!   undecided: so two batches are never swapped, whatever is lost or repeated;
//! - I3 a sequence is given to another batch only if its first bearer was certainly not stored, so nothing is
//!   stored twice;
//! - I4 batches of two identities, or for two leaders, are never in flight at the same time.
//!
//! An idempotent producer whose sequence has a hole goes on under its next epoch, once nothing is in flight any more:
//! the broker then begins at 0 again (IDM-04).
//!
//! Source: KIP-98, KIP-360; requirements IDM-02 to IDM-05.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use ottla_model::{BrokerId, Sequence, TopicPartition};
use ottla_protocol::compression::Encoding;
use ottla_protocol::record::{BuildError, NewRecord};

use super::batch::{Batch, Identity, Stamp};
use super::error::DeliveryError;
use super::promise::Stored;

/// What an attempt to send a batch came to.
#[derive(Clone, Debug)]
pub(crate) enum Verdict {
    Stored(Stored),
    /// To be sent again. `ambiguous`: it may have been stored nevertheless.
    Again {
        ambiguous: bool,
        error: DeliveryError,
        wait: Duration,
    },
    /// Certainly not stored, and sending it again would not help.
    Refused(DeliveryError),
    /// The broker does not expect this sequence, or this identity.
    OutOfSequence {
        forgotten: bool,
        error: DeliveryError,
    },
    /// Too large for the topic; smaller batches may pass.
    TooLarge(DeliveryError),
}

/// The end of a batch for those who wait for it.
#[derive(Debug)]
pub(crate) enum End<T> {
    Stored(Stored),
    Failed(DeliveryError),
    /// It goes on as these; each with the number of its first record.
    Split(Vec<(u32, T)>),
    /// It was settled before, while it was in flight; only its bytes come back.
    Returned,
}

/// A batch that has come to an end, and the bytes of the buffer it gives back.
#[derive(Debug)]
pub(crate) struct Settlement<T> {
    pub token: T,
    pub end: End<T>,
    pub released: usize,
}

/// How long batches wait and are tried.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    pub linger: Duration,
    pub delivery_timeout: Duration,
    pub retries: u32,
}

/// What batches are made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub batch_bytes: usize,
    pub encoding: Encoding,
}

/// What a verdict is judged by, and where batches that end go.
pub(crate) struct Context<'a, T> {
    pub patience: &'a Patience,
    pub shape: &'a Shape,
    pub now: Instant,
    pub settled: &'a mut VecDeque<Settlement<T>>,
}

/// The outcome of adding a record.
#[derive(Debug)]
pub(crate) struct Appended<T> {
    pub token: T,
    pub index: u32,
    /// Whether there is more to send, or sooner, than before.
    pub is_news: bool,
}

/// Places in the order that every batch takes, so that the parts of a split one have places of their own. Each split
/// halves them; a batch that cannot be halved any more is refused.
pub(crate) const ORDER_SPAN: u64 = 1 << 20;

struct InFlight<T> {
    token: T,
    is_stamped: bool,
    created: Instant,
    records: u32,
    /// Its time was over before an answer came: whoever waited for it was told so.
    is_given_up: bool,
}

/// The queue of one partition.
pub(crate) struct PartitionQueue<T> {
    partition: TopicPartition,
    waiting: VecDeque<Batch<T>>,
    in_flight: BTreeMap<u64, InFlight<T>>,
    /// Where the batches in flight went.
    node: Option<BrokerId>,
    next_order: u64,
    /// Under which identity sequences are given, and the next one.
    sequence: Option<(Identity, Sequence)>,
    /// Whether the broker has taken a batch of this identity. Before that it takes any sequence (IDM-05), so a second
    /// batch must not overtake the first.
    is_confirmed: bool,
    /// The last batch that was given up although it may have been stored: the broker may or may not expect what
    /// follows it.
    doubt: Option<u64>,
    /// A sequence will never arrive: go on under another epoch as soon as nothing is in flight.
    has_hole: bool,
}

impl<T: Clone + Default> PartitionQueue<T> {
    pub(crate) fn new(partition: TopicPartition) -> PartitionQueue<T> {
        PartitionQueue {
            partition,
            waiting: VecDeque::new(),
            in_flight: BTreeMap::new(),
            node: None,
            next_order: 0,
            sequence: None,
            is_confirmed: false,
            doubt: None,
            has_hole: false,
        }
    }

    pub(crate) fn partition(&self) -> &TopicPartition {
        &self.partition
    }

    /// Whether nothing waits and nothing is in flight.
    pub(crate) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.in_flight.is_empty()
    }

    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Bytes of the first waiting batch.
    pub(crate) fn first_bytes(&self) -> usize {
        self.waiting.front().map_or(0, Batch::bytes)
    }

    /// Everybody who waits for a batch of this partition.
    pub(crate) fn tokens(&self) -> impl Iterator<Item = T> {
        let in_flight = self.in_flight.values().map(|batch| batch.token.clone());
        in_flight.chain(self.waiting.iter().map(|batch| batch.token.clone()))
    }

    /// Adds a record that holds `reserved` bytes of the buffer. The time is asked for only when a batch begins.
    pub(crate) fn append(
        &mut self,
        (record, reserved): (NewRecord<'_>, usize),
        shape: &Shape,
        now: impl FnOnce() -> Instant,
    ) -> Result<Appended<T>, BuildError> {
        let begins = !self.waiting.back().is_some_and(|last| last.has_room(&record, shape.batch_bytes));
        if begins {
            let batch = Batch::new(T::default(), self.next_order, now(), shape.encoding)?;
            self.next_order += ORDER_SPAN;
            self.waiting.push_back(batch);
        }
        let last = self.waiting.back_mut().expect("a batch was just made sure of");
        let outcome = last.append(record, reserved);
        let appended = outcome.map(|index| Appended {
            token: last.token.clone(),
            index,
            is_news: begins || last.bytes() >= shape.batch_bytes,
        });
        if appended.is_err() && last.records == 0 {
            self.waiting.pop_back();
        }
        appended
    }

    /// When the first waiting batch may be sent as far as time is concerned. `hurry` leaves the linger out.
    pub(crate) fn ready_at(&self, patience: &Patience, shape: &Shape, hurry: bool) -> Option<Instant> {
        let first = self.waiting.front()?;
        let is_full = self.waiting.len() > 1 || first.bytes() >= shape.batch_bytes || first.attempts > 0;
        let linger = if is_full || hurry { Duration::ZERO } else { patience.linger };
        let lingered = first.created + linger;
        Some(first.not_before.map_or(lingered, |not_before| lingered.max(not_before)))
    }

    /// When the oldest batch is given up, be it waiting or in flight.
    pub(crate) fn expires_at(&self, patience: &Patience) -> Option<Instant> {
        let in_flight = self.in_flight.values().filter(|batch| !batch.is_given_up);
        let created = self.waiting.front().map(|first| first.created);
        let oldest = in_flight.map(|batch| batch.created).chain(created).min();
        oldest.map(|created| created + patience.delivery_timeout)
    }

    /// Whether the first waiting batch may go to `leader` now as far as order is concerned. `identity` is that of
    /// an idempotent producer.
    pub(crate) fn may_send(&self, leader: BrokerId, identity: Option<Identity>) -> bool {
        let Some(first) = self.waiting.front() else { return false };
        if !self.in_flight.is_empty() && self.node != Some(leader) {
            return false;
        }
        let Some(identity) = identity else { return true };
        if self.has_hole {
            return self.in_flight.is_empty();
        }
        match first.stamp {
            Some(_) => self.in_flight.first_key_value().is_none_or(|(order, _)| *order > first.order),
            None => match self.sequence {
                Some((current, _)) if current == identity => self.is_confirmed || self.in_flight.is_empty(),
                Some(_) | None => !self.has_stamped(),
            },
        }
    }

    /// Takes the first waiting batch to send it to `leader`; `may_send` has allowed it.
    pub(crate) fn take(&mut self, leader: BrokerId, identity: Option<Identity>) -> Option<Batch<T>> {
        if self.has_hole && self.in_flight.is_empty() {
            self.begin_anew();
        }
        let mut batch = self.waiting.pop_front()?;
        if let (Some(identity), None) = (identity, batch.stamp) {
            batch.stamp = Some(self.next_stamp(identity, batch.records));
        }
        batch.attempts += 1;
        let in_flight = InFlight {
            token: batch.token.clone(),
            is_stamped: batch.stamp.is_some(),
            created: batch.created,
            records: batch.records,
            is_given_up: false,
        };
        self.in_flight.insert(batch.order, in_flight);
        self.node = Some(leader);
        Some(batch)
    }

    /// An attempt came to its end. Answers the identity that cannot be used any more, if so.
    pub(crate) fn on_verdict(
        &mut self,
        mut batch: Batch<T>,
        verdict: Verdict,
        context: Context<'_, T>,
    ) -> Option<Identity> {
        let Context { patience, shape, now, settled } = context;
        if self.in_flight.remove(&batch.order).is_some_and(|sent| sent.is_given_up) {
            let outdated = self.on_late_verdict(&mut batch, &verdict);
            settled.push_back(settlement(batch, End::Returned));
            return outdated;
        }
        match verdict {
            Verdict::Stored(stored) => {
                self.on_stored(&batch);
                settled.push_back(settlement(batch, End::Stored(stored)));
                None
            }
            Verdict::Again { ambiguous, error, wait } => {
                batch.maybe_stored |= ambiguous;
                let expired = now >= batch.created + patience.delivery_timeout;
                if expired || batch.attempts > patience.retries {
                    return self.give_up(batch, error, settled);
                }
                batch.not_before = Some(now + wait);
                self.put_back(batch);
                None
            }
            Verdict::Refused(error) => self.give_up(batch, error, settled),
            Verdict::OutOfSequence { forgotten, error } => {
                let Some(stamp) = batch.stamp else { return self.give_up(batch, error, settled) };
                if !self.is_first_undecided(batch.order) {
                    // An earlier batch is still on its way; the broker only waits for that.
                    self.put_back(batch);
                    return None;
                }
                // With doubt about an earlier batch, or a broker that forgot the producer, this batch is certainly
                // not stored and may go on. Otherwise the broker lost what it had acknowledged: that is reported.
                let explained = self.doubt.is_some() || forgotten || self.has_hole;
                self.has_hole = true;
                if explained {
                    self.put_back(batch);
                } else {
                    settled.push_back(settlement(batch, End::Failed(error)));
                }
                Some(stamp.identity)
            }
            Verdict::TooLarge(error) => match batch.split(shape.encoding, T::default) {
                None => self.give_up(batch, error, settled),
                Some(parts) => {
                    let outdated = self.on_certain_loss(&batch);
                    self.replace(batch, parts, settled);
                    outdated
                }
            },
        }
    }

    /// The broker took a batch in its turn, so what came before it was stored, too.
    fn on_stored(&mut self, batch: &Batch<T>) {
        self.doubt = self.doubt.filter(|doubtful| *doubtful > batch.order);
        let identity = self.sequence.map(|(identity, _)| identity);
        self.is_confirmed |= identity.is_some() && batch.stamp.map(|stamp| stamp.identity) == identity;
    }

    /// An attempt ended after its batch was given up: it is not sent again, but the sequences behind it depend on
    /// whether it was stored. Answers the identity that cannot be used any more, if so.
    fn on_late_verdict(&mut self, batch: &mut Batch<T>, verdict: &Verdict) -> Option<Identity> {
        match verdict {
            Verdict::Stored(_) => {
                self.on_stored(batch);
                None
            }
            Verdict::Again { ambiguous, .. } => {
                batch.maybe_stored |= *ambiguous;
                self.on_loss(batch)
            }
            Verdict::OutOfSequence { .. } if self.is_first_undecided(batch.order) => {
                self.has_hole = true;
                batch.stamp.map(|stamp| stamp.identity)
            }
            Verdict::OutOfSequence { .. } | Verdict::Refused(_) | Verdict::TooLarge(_) => self.on_loss(batch),
        }
    }

    /// Gives up batches whose time is over, waiting or in flight. The bytes of those in flight come back with the end
    /// of their attempt. Answers the identity that cannot be used any more, if so.
    pub(crate) fn expire(
        &mut self,
        patience: &Patience,
        now: Instant,
        settled: &mut VecDeque<Settlement<T>>,
    ) -> Option<Identity> {
        let partition = self.partition.clone();
        let expired = |records, maybe_stored| DeliveryError::Expired {
            partition: partition.clone(),
            records,
            after: patience.delivery_timeout,
            maybe_stored,
        };
        let is_over = |created: Instant| created + patience.delivery_timeout <= now;
        for sent in self.in_flight.values_mut().filter(|sent| !sent.is_given_up && is_over(sent.created)) {
            sent.is_given_up = true;
            let end = End::Failed(expired(sent.records, true));
            settled.push_back(Settlement { token: sent.token.clone(), end, released: 0 });
        }
        let mut outdated = None;
        while self.waiting.front().is_some_and(|first| is_over(first.created)) {
            let Some(batch) = self.waiting.pop_front() else { break };
            let error = expired(batch.records, batch.maybe_stored);
            outdated = self.give_up(batch, error, settled).or(outdated);
        }
        outdated
    }

    /// Fails everything that waits.
    pub(crate) fn fail_waiting(&mut self, error: &DeliveryError, settled: &mut VecDeque<Settlement<T>>) {
        for batch in self.waiting.drain(..) {
            settled.push_back(settlement(batch, End::Failed(error.clone())));
        }
    }

    fn give_up(
        &mut self,
        batch: Batch<T>,
        error: DeliveryError,
        settled: &mut VecDeque<Settlement<T>>,
    ) -> Option<Identity> {
        let outdated = self.on_loss(&batch);
        settled.push_back(settlement(batch, End::Failed(error)));
        outdated
    }

    /// A batch will not come again; it may have been stored.
    fn on_loss(&mut self, batch: &Batch<T>) -> Option<Identity> {
        if !batch.maybe_stored {
            return self.on_certain_loss(batch);
        }
        if batch.stamp.is_some() {
            self.doubt = self.doubt.max(Some(batch.order));
        }
        None
    }

    /// A batch was certainly not stored and will not come again: its sequence is free if none was given behind it,
    /// and a hole otherwise.
    fn on_certain_loss(&mut self, batch: &Batch<T>) -> Option<Identity> {
        let stamp = batch.stamp?;
        let is_last = !self.has_stamped_behind(batch.order) && !self.has_hole;
        match &mut self.sequence {
            Some((identity, next)) if is_last && *identity == stamp.identity => {
                *next = stamp.base_sequence;
                None
            }
            _ => {
                self.has_hole = true;
                Some(stamp.identity)
            }
        }
    }

    fn replace(&mut self, whole: Batch<T>, parts: [Batch<T>; 2], settled: &mut VecDeque<Settlement<T>>) {
        let [mut first, mut second] = parts;
        // The parts share the places that were kept for the whole.
        let half = whole.span / 2;
        (first.order, first.span) = (whole.order, half);
        (second.order, second.span) = (whole.order + half, whole.span - half);
        let names = vec![(0, first.token.clone()), (first.records, second.token.clone())];
        settled.push_back(Settlement { token: whole.token, end: End::Split(names), released: 0 });
        self.put_back(second);
        self.put_back(first);
    }

    fn put_back(&mut self, batch: Batch<T>) {
        let at = self.waiting.partition_point(|waiting| waiting.order < batch.order);
        self.waiting.insert(at, batch);
    }

    fn begin_anew(&mut self) {
        for batch in &mut self.waiting {
            batch.stamp = None;
        }
        self.sequence = None;
        self.is_confirmed = false;
        self.doubt = None;
        self.has_hole = false;
    }

    fn next_stamp(&mut self, identity: Identity, records: u32) -> Stamp {
        let base_sequence = match self.sequence {
            Some((current, next)) if current == identity => next,
            _ => {
                self.doubt = None;
                self.is_confirmed = false;
                Sequence::ZERO
            }
        };
        self.sequence = Some((identity, base_sequence.plus(records)));
        Stamp { identity, base_sequence }
    }

    fn has_stamped(&self) -> bool {
        self.in_flight.values().any(|batch| batch.is_stamped)
            || self.waiting.iter().any(|batch| batch.stamp.is_some())
    }

    fn has_stamped_behind(&self, order: u64) -> bool {
        self.in_flight.range(order..).any(|(_, batch)| batch.is_stamped)
            || self.waiting.iter().any(|batch| batch.order > order && batch.stamp.is_some())
    }

    fn is_first_undecided(&self, order: u64) -> bool {
        self.in_flight.range(..order).next().is_none()
            && !self.waiting.iter().any(|batch| batch.order < order && batch.stamp.is_some())
    }
}

fn settlement<T>(batch: Batch<T>, end: End<T>) -> Settlement<T> {
    Settlement { token: batch.token, end, released: batch.reserved }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use ottla_model::{PartitionIndex, ProducerEpoch, ProducerId, Timestamp, TopicName};

    use super::*;
    use crate::error::ErrorCode;

    thread_local! {
        static NEXT: Cell<usize> = const { Cell::new(0) };
    }

    /// Numbers batches in the order in which they begin.
    #[derive(Clone, Debug, PartialEq)]
    struct Number(usize);

    impl Default for Number {
        fn default() -> Number {
            Number(NEXT.replace(NEXT.get() + 1))
        }
    }

    const PATIENCE: Patience = Patience {
        linger: Duration::from_millis(5),
        delivery_timeout: Duration::from_secs(120),
        retries: u32::MAX,
    };
    /// Every record is a batch of its own.
    const SHAPE: Shape = Shape { batch_bytes: 0, encoding: Encoding::None };

    /// A queue whose batches are called a, b, c … in the order of their beginning.
    struct World {
        queue: PartitionQueue<Number>,
        epoch: i16,
        now: Instant,
        in_flight: Vec<Batch<Number>>,
        said: Vec<String>,
    }

    fn name(number: &Number) -> char {
        char::from(b'a' + u8::try_from(number.0).unwrap())
    }

    impl World {
        fn new() -> World {
            NEXT.set(0);
            let topic = TopicName::new("t").unwrap();
            let partition = TopicPartition::new(topic, PartitionIndex::default());
            let queue = PartitionQueue::new(partition);
            World { queue, epoch: 0, now: Instant::now(), in_flight: vec![], said: vec![] }
        }

        fn identity(&self) -> Identity {
            let epoch = ProducerEpoch::new(self.epoch).unwrap();
            Identity { id: ProducerId::new(7).unwrap(), epoch }
        }

        /// Commands: `put` a batch (`put N`: with N records), `send` to leader 1 (`send 2`: to leader 2), how an attempt
        /// ended (`ok`, `again`, `lost`, `refuse`, `oos`, `forgot`, `large` with the batch's name), `expire`.
        fn run(&mut self, command: &str) {
            let mut words = command.split_whitespace();
            let (verb, object) = (words.next().unwrap(), words.next());
            match verb {
                "put" => self.put(object.map_or(1, |count| count.parse().unwrap())),
                "send" => self.send(object.map_or(1, |leader| leader.parse().unwrap())),
                "expire" => {
                    self.now += PATIENCE.delivery_timeout;
                    let mut settled = VecDeque::new();
                    let outdated = self.queue.expire(&PATIENCE, self.now, &mut settled);
                    self.note(outdated, settled);
                }
                verb => self.end(verb, object.unwrap().chars().next().unwrap()),
            }
        }

        fn put(&mut self, records: u32) {
            let timestamp = Timestamp::from_millis(1);
            let record = NewRecord { timestamp, key: None, value: Some(b"v"), headers: &[] };
            let shape = Shape { batch_bytes: if records > 1 { 10_000 } else { 0 }, ..SHAPE };
            for _ in 0..records {
                self.queue.append((record, 10), &shape, || self.now).unwrap();
            }
        }

        fn send(&mut self, leader: i32) {
            let leader = BrokerId::new(leader).unwrap();
            let identity = Some(self.identity());
            if !self.queue.may_send(leader, identity) {
                return self.said.push("-".to_owned());
            }
            let mut batch = self.queue.take(leader, identity).unwrap();
            batch.seal().unwrap();
            let stamp = batch.stamp.unwrap();
            let epoch = stamp.identity.epoch;
            self.said.push(format!("{}@{epoch}/{}", name(&batch.token), stamp.base_sequence));
            self.in_flight.push(batch);
        }

        fn end(&mut self, verb: &str, batch: char) {
            let at = self.in_flight.iter().position(|one| name(&one.token) == batch).unwrap();
            let batch = self.in_flight.remove(at);
            let error = DeliveryError::refused(ErrorCode::UnknownServerError.into());
            let again = |ambiguous, error| Verdict::Again { ambiguous, error, wait: Duration::ZERO };
            let verdict = match verb {
                "ok" => Verdict::Stored(Stored { base_offset: None, append_time: None }),
                "again" => again(false, error),
                "lost" => again(true, error),
                "refuse" => Verdict::Refused(error),
                "oos" => Verdict::OutOfSequence { forgotten: false, error },
                "forgot" => Verdict::OutOfSequence { forgotten: true, error },
                "large" => Verdict::TooLarge(error),
                other => panic!("no such command: {other}"),
            };
            let mut settled = VecDeque::new();
            let (patience, shape) = (&PATIENCE, &SHAPE);
            let context = Context { patience, shape, now: self.now, settled: &mut settled };
            let outdated = self.queue.on_verdict(batch, verdict, context);
            self.note(outdated, settled);
        }

        fn note(&mut self, outdated: Option<Identity>, settled: VecDeque<Settlement<Number>>) {
            if outdated == Some(self.identity()) {
                self.epoch += 1;
            }
            for settlement in settled {
                let end = match settlement.end {
                    End::Stored(_) => "stored".to_owned(),
                    End::Failed(_) => "failed".to_owned(),
                    End::Returned => "returned".to_owned(),
                    End::Split(parts) => {
                        let names: Vec<String> =
                            parts.iter().map(|(first, part)| format!("{}:{first}", name(part))).collect();
                        format!("split into {}", names.join(" "))
                    }
                };
                self.said.push(format!("{} {end}", name(&settlement.token)));
            }
        }
    }

    #[track_caller]
    fn check(script: &str, expected: &str) {
        let mut world = World::new();
        script.split('|').for_each(|command| world.run(command.trim()));
        assert_eq!(world.said.join(", "), expected, "{script}");
    }

    /// IDM-05: a broker without state takes any sequence, so the second batch waits for the first answer.
    #[test]
    fn batches_are_sent_one_behind_the_other_once_the_broker_knows_the_producer() {
        check("put | put | send | send", "a@0/0, -");
        check(
            "put | put | put | send | ok a | send | send | ok c | ok b",
            "a@0/0, a stored, b@0/1, c@0/2, c stored, b stored",
        );
    }

    const WARM: &str = "put | send | ok a";
    const WARMED: &str = "a@0/0, a stored";

    #[track_caller]
    fn check_warm(script: &str, expected: &str) {
        check(&format!("{WARM} | {script}"), &format!("{WARMED}, {expected}"));
    }

    #[test]
    fn a_batch_behind_one_that_is_sent_again_waits_for_it() {
        check_warm(
            "put | put | send | send | again b | oos c | send | send | ok b | send | ok c",
            "b@0/1, c@0/2, b@0/1, -, b stored, c@0/2, c stored",
        );
    }

    /// IDM-02: the broker recognises the batch by its sequence, so nothing is stored twice.
    #[test]
    fn an_attempt_without_answer_is_repeated_under_the_same_sequence() {
        check_warm("put | send | lost b | send | ok b", "b@0/1, b@0/1, b stored");
    }

    /// IDM-04
    #[test]
    fn behind_a_hole_the_next_epoch_begins_once_nothing_is_in_flight() {
        check_warm(
            "put | put | put | send | send | send | refuse b | oos c | send | oos d | send | send | ok c | send",
            "b@0/1, c@0/2, d@0/3, b failed, -, c@1/0, -, c stored, d@1/1",
        );
    }

    #[test]
    fn the_sequence_of_a_refused_batch_is_given_to_the_next_if_none_is_behind_it() {
        check_warm("put | put | send | refuse b | send | ok c", "b@0/1, b failed, c@0/1, c stored");
    }

    #[test]
    fn a_batch_given_up_in_doubt_leaves_its_sequence_unused_until_the_broker_decides() {
        check_warm("put | send | lost b | expire | put | send | ok c", "b@0/1, b failed, c@0/2, c stored");
        check_warm(
            "put | send | lost b | expire | put | send | oos c | send | ok c",
            "b@0/1, b failed, c@0/2, c@1/0, c stored",
        );
    }

    /// `delivery.timeout.ms` also ends the wait for an answer; nothing is sent again and nothing is overtaken.
    #[test]
    fn a_batch_in_flight_is_given_up_in_time_and_its_answer_only_returns_its_bytes() {
        check_warm("put | send | expire | ok b", "b@0/1, b failed, b returned");
        check_warm(
            "put | send | expire | put | send | ok b | ok c",
            "b@0/1, b failed, c@0/2, b returned, c stored",
        );
        check_warm(
            "put | send | expire | lost b | put | send | oos c | send | ok c",
            "b@0/1, b failed, b returned, c@0/2, c@1/0, c stored",
        );
        check_warm("put | send | expire | again b | put | send", "b@0/1, b failed, b returned, c@0/1");
        check_warm(
            "put | send | expire | put | send | again b | oos c | send | ok c",
            "b@0/1, b failed, c@0/2, b returned, c@1/0, c stored",
        );
    }

    #[test]
    fn a_batch_that_certainly_was_not_stored_expires_without_a_trace() {
        check_warm("put | send | again b | expire | put | send", "b@0/1, b failed, c@0/1");
    }

    #[test]
    fn lost_data_at_the_broker_are_reported_and_do_not_stop_the_producer() {
        check_warm("put | put | send | oos b | send | ok c", "b@0/1, b failed, c@1/0, c stored");
    }

    /// IDM-06, KIP-360
    #[test]
    fn a_broker_that_forgot_the_producer_is_told_under_the_next_epoch() {
        check_warm("put | send | forgot b | send | ok b", "b@0/1, b@1/0, b stored");
    }

    #[test]
    fn batches_for_a_new_leader_wait_for_those_at_the_old_one() {
        check_warm("put | put | send 1 | send 2 | again b | send 2", "b@0/1, -, b@0/1");
    }

    #[test]
    fn a_batch_too_large_goes_on_as_two_in_its_place() {
        check_warm(
            "put 3 | put | send | large b | send | send | send | ok c | ok d",
            "b@0/1, b split into d:0 e:1, d@0/1, e@0/2, c@0/4, c stored, d stored",
        );
    }

    #[test]
    fn a_single_record_too_large_is_refused() {
        check_warm("put | send | large b", "b@0/1, b failed");
    }

    #[test]
    fn a_batch_lingers_unless_it_is_full_or_somebody_is_in_a_hurry() {
        let mut world = World::new();
        world.put(2);
        let roomy = Shape { batch_bytes: 10_000, ..SHAPE };
        let lingered = world.now + PATIENCE.linger;
        assert_eq!(world.queue.ready_at(&PATIENCE, &roomy, false), Some(lingered));
        assert_eq!(world.queue.ready_at(&PATIENCE, &roomy, true), Some(world.now));
        assert_eq!(
            world.queue.ready_at(&PATIENCE, &SHAPE, false),
            Some(world.now),
            "it is full by this shape"
        );
    }
}
