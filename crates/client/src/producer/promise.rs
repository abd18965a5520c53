//! What became of a batch, for everybody who has a record in it.
//!
//! Owns: `Promise` (one per batch) and `Delivery` (one per record).
//! Does not own: when a batch is settled (`machine`).
//!
//! Invariants
//! - I1 a promise is settled once and never changes again;
//! - I2 callbacks are called before the promise counts as settled for those who wait;
//! - I3 whoever looked before it was settled is woken when it is: looking and leaving a waker happen under one lock.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use ottla_model::{Offset, PartitionIndex, Timestamp, TopicName};
use parking_lot::Mutex;

use super::error::DeliveryError;

/// Where a record went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordMetadata {
    /// The topic.
    pub topic: TopicName,
    /// The partition, given or chosen.
    pub partition: PartitionIndex,
    /// `None` with `acks=0`, and where the broker recognised a batch it had forgotten the offsets of.
    pub offset: Option<Offset>,
    /// The time of the record; that of the broker where the topic wants it.
    pub timestamp: Timestamp,
}

/// A batch that the cluster has taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    pub base_offset: Option<Offset>,
    /// The broker's time, on topics with `LogAppendTime`.
    pub append_time: Option<Timestamp>,
}

/// What became of a batch.
#[derive(Clone, Debug)]
pub(crate) enum Settled {
    Stored(Stored),
    Failed(DeliveryError),
    /// It was too large and went on as several; each with the number of its first record in the old one.
    Split(Vec<(u32, Arc<Promise>)>),
}

/// The settlement of one batch, now or later.
#[derive(Debug, Default)]
pub(crate) struct Promise {
    state: Mutex<State>,
}

#[derive(Debug)]
enum State {
    Open { wakers: Vec<Waker>, watchers: Vec<Watcher> },
    Settled(Settled),
}

impl Default for State {
    fn default() -> State {
        State::Open { wakers: Vec::new(), watchers: Vec::new() }
    }
}

type Callback = Box<dyn FnOnce(Result<RecordMetadata, DeliveryError>) + Send>;

/// A callback for one record of the batch.
struct Watcher {
    place: Place,
    callback: Callback,
}

impl fmt::Debug for Watcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Watcher").field(&self.place).finish()
    }
}

impl Watcher {
    /// Calls back, or follows the record into its part of the batch.
    fn hear(self, settled: &Settled) {
        let Watcher { place, callback } = self;
        match place.end(settled) {
            Ok(outcome) => {
                // A callback of the user must not keep others from hearing of their records.
                let call = std::panic::AssertUnwindSafe(|| callback(outcome));
                if std::panic::catch_unwind(call).is_err() {
                    tracing::error!("a callback for a record panicked");
                }
            }
            Err((place, part)) => part.watch(Watcher { place, callback }),
        }
    }
}

impl Promise {
    /// Settles the promise: calls the callbacks, then wakes who waits for it.
    pub(crate) fn settle(&self, settled: Settled) {
        let wakers = loop {
            let heard = {
                let mut state = self.state.lock();
                let State::Open { wakers, watchers } = &mut *state else { panic!("a batch is settled once") };
                if watchers.is_empty() {
                    let wakers = std::mem::take(wakers);
                    *state = State::Settled(settled);
                    break wakers;
                }
                std::mem::take(watchers)
            };
            heard.into_iter().for_each(|watcher| watcher.hear(&settled));
        };
        for waker in wakers {
            waker.wake();
        }
    }

    /// Calls back when the promise is settled, at once if it is.
    fn watch(&self, watcher: Watcher) {
        let settled = {
            match &mut *self.state.lock() {
                State::Open { watchers, .. } => return watchers.push(watcher),
                State::Settled(settled) => settled.clone(),
            }
        };
        watcher.hear(&settled);
    }

    fn poll(&self, context: &Context<'_>) -> Poll<Settled> {
        match &mut *self.state.lock() {
            State::Settled(settled) => Poll::Ready(settled.clone()),
            State::Open { wakers, .. } => {
                if !wakers.iter().any(|waker| waker.will_wake(context.waker())) {
                    wakers.push(context.waker().clone());
                }
                Poll::Pending
            }
        }
    }

    /// Waits until the batch and whatever it was split into are settled; the outcome does not matter.
    pub(crate) async fn settled(self: Arc<Self>) {
        let mut open = vec![self];
        while let Some(promise) = open.pop() {
            let settled = std::future::poll_fn(|context| promise.poll(context)).await;
            if let Settled::Split(parts) = settled {
                open.extend(parts.into_iter().map(|(_, part)| part));
            }
        }
    }
}

/// Which record of which batch, and where that goes.
#[derive(Clone, Debug)]
struct Place {
    topic: TopicName,
    partition: PartitionIndex,
    /// Number of the record in its batch.
    index: u32,
    timestamp: Timestamp,
}

impl Place {
    /// What the end of the batch means for the record; `Err` names its place in the part in which it goes on.
    fn end(self, settled: &Settled) -> Result<Result<RecordMetadata, DeliveryError>, (Place, Arc<Promise>)> {
        match settled {
            Settled::Stored(stored) => Ok(Ok(RecordMetadata {
                topic: self.topic,
                partition: self.partition,
                offset: stored.base_offset.map(|base| base.plus(self.index)),
                timestamp: stored.append_time.unwrap_or(self.timestamp),
            })),
            Settled::Failed(error) => Ok(Err(error.clone().of_record(self.index))),
            Settled::Split(parts) => {
                let part = parts.iter().rev().find(|(first, _)| *first <= self.index);
                let (first, promise) = part.expect("the parts of a batch have all of its records");
                Err((Place { index: self.index - first, ..self }, Arc::clone(promise)))
            }
        }
    }
}

/// The delivery of one record: a future of where it went, or why it did not. Dropping it changes nothing.
#[derive(Clone, Debug)]
#[must_use = "a delivery says whether the record arrived; drop it on purpose where that does not matter"]
pub struct Delivery {
    place: Place,
    promise: Arc<Promise>,
}

impl Delivery {
    pub(super) fn new(
        (topic, partition): (TopicName, PartitionIndex),
        (promise, index): (Arc<Promise>, u32),
        timestamp: Timestamp,
    ) -> Delivery {
        Delivery { place: Place { topic, partition, index, timestamp }, promise }
    }

    /// The topic the record was sent to.
    pub fn topic(&self) -> &TopicName {
        &self.place.topic
    }

    /// The partition the record was put into.
    pub fn partition(&self) -> PartitionIndex {
        self.place.partition
    }

    /// Calls `callback` with the outcome, once: when the delivery ends, or at once if it has ended. Callbacks of
    /// records of one partition that were sent by one task are called in the order of sending. They run in the task
    /// that reads answers, so they must not block; a callback that panics is logged.
    pub fn on_end(&self, callback: impl FnOnce(Result<RecordMetadata, DeliveryError>) + Send + 'static) {
        self.clone().end_with(callback);
    }

    /// As [`Delivery::on_end`], for a delivery that nobody else looks at.
    pub(super) fn end_with(
        self,
        callback: impl FnOnce(Result<RecordMetadata, DeliveryError>) + Send + 'static,
    ) {
        self.promise.watch(Watcher { place: self.place, callback: Box::new(callback) });
    }
}

impl Future for Delivery {
    type Output = Result<RecordMetadata, DeliveryError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            let Poll::Ready(settled) = self.promise.poll(context) else { return Poll::Pending };
            match self.place.clone().end(&settled) {
                Ok(outcome) => return Poll::Ready(outcome),
                Err((place, promise)) => *self = Delivery { place, promise },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Counter(AtomicU32);

    impl Wake for Counter {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn delivery(promise: &Arc<Promise>, index: u32) -> Delivery {
        let topic = TopicName::new("t").unwrap();
        let place = (topic, PartitionIndex::default());
        Delivery::new(place, (Arc::clone(promise), index), Timestamp::from_millis(5))
    }

    fn stored(offset: i64) -> Settled {
        Settled::Stored(Stored { base_offset: Offset::new(offset), append_time: None })
    }

    #[test]
    fn every_record_of_a_batch_is_woken_and_gets_its_own_offset() {
        let promise = Arc::new(Promise::default());
        let counters = [Arc::new(Counter::default()), Arc::new(Counter::default())];
        let mut deliveries = [delivery(&promise, 0), delivery(&promise, 3)];
        for (delivery, counter) in deliveries.iter_mut().zip(&counters) {
            let waker = Waker::from(Arc::clone(counter));
            for _ in 0..2 {
                assert!(Pin::new(&mut *delivery).poll(&mut Context::from_waker(&waker)).is_pending());
            }
        }
        promise.settle(stored(100));
        assert_eq!(counters.map(|counter| counter.0.load(Ordering::SeqCst)), [1, 1]);
        let offsets = deliveries.map(|mut delivery| {
            match Pin::new(&mut delivery).poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(Ok(metadata)) => metadata.offset.unwrap().value(),
                Poll::Ready(Err(error)) => panic!("{error}"),
                Poll::Pending => panic!("the batch is settled"),
            }
        });
        assert_eq!(offsets, [100, 103]);
    }

    /// A panic of one callback does not reach the others.
    #[test]
    fn callbacks_hear_of_their_record_in_order_wherever_its_batch_went() {
        let (old, first, second): (Arc<Promise>, Arc<Promise>, Arc<Promise>) = Default::default();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let listen = |promise: &Arc<Promise>, index| {
            let heard = Arc::clone(&heard);
            delivery(promise, index).on_end(move |outcome| {
                heard.lock().push(outcome.map(|metadata| metadata.offset.unwrap().value()).ok());
            });
        };
        listen(&old, 1);
        delivery(&old, 1).on_end(|_| panic!("on purpose"));
        listen(&old, 2);
        // The second part may end before it is known that there is one.
        second.settle(stored(7));
        old.settle(Settled::Split(vec![(0, Arc::clone(&first)), (2, Arc::clone(&second))]));
        assert_eq!(*heard.lock(), [Some(7)]);
        first.settle(Settled::Failed(DeliveryError::Closed));
        listen(&old, 3);
        assert_eq!(*heard.lock(), [Some(7), None, Some(8)]);
    }

    #[test]
    fn a_record_follows_its_batch_when_that_is_split() {
        let (old, first, second) = (Arc::default(), Arc::default(), Arc::default());
        let mut third_record: Delivery = delivery(&old, 2);
        Promise::settle(&old, Settled::Split(vec![(0, Arc::clone(&first)), (2, Arc::clone(&second))]));
        let mut context = Context::from_waker(Waker::noop());
        assert!(Pin::new(&mut third_record).poll(&mut context).is_pending());
        Promise::settle(&second, stored(7));
        let Poll::Ready(Ok(metadata)) = Pin::new(&mut third_record).poll(&mut context) else { panic!() };
        assert_eq!(metadata.offset, Offset::new(7));
    }
}
