//! What became of a batch, for everybody who has a record in it.
//!
//! Owns: `Promise` (one per batch) and `Delivery` (one per record).
//! Does not own: when a batch is settled (`machine`).
//!
//! Invariants
//! - I1 a promise is settled once and never changes again;
//! - I2 whoever looked before it was settled is woken when it is: looking and leaving a waker happen under one lock.

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
    pub topic: TopicName,
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
    Open(Vec<Waker>),
    Settled(Settled),
}

impl Default for State {
    fn default() -> State {
        State::Open(Vec::new())
    }
}

impl Promise {
    /// Settles the promise and wakes who waits for it.
    pub(crate) fn settle(&self, settled: Settled) {
        let wakers = {
            let mut state = self.state.lock();
            match &mut *state {
                State::Open(wakers) => {
                    let wakers = std::mem::take(wakers);
                    *state = State::Settled(settled);
                    wakers
                }
                State::Settled(_) => panic!("a batch is settled once"),
            }
        };
        for waker in wakers {
            waker.wake();
        }
    }

    fn poll(&self, context: &Context<'_>) -> Poll<Settled> {
        match &mut *self.state.lock() {
            State::Settled(settled) => Poll::Ready(settled.clone()),
            State::Open(wakers) => {
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

/// The delivery of one record: a future of where it went, or why it did not. Dropping it changes nothing.
#[derive(Clone, Debug)]
#[must_use = "a delivery says whether the record arrived; drop it on purpose where that does not matter"]
pub struct Delivery {
    topic: TopicName,
    partition: PartitionIndex,
    promise: Arc<Promise>,
    /// Number of the record in its batch.
    index: u32,
    timestamp: Timestamp,
}

impl Delivery {
    pub(super) fn new(
        (topic, partition): (TopicName, PartitionIndex),
        (promise, index): (Arc<Promise>, u32),
        timestamp: Timestamp,
    ) -> Delivery {
        Delivery { topic, partition, promise, index, timestamp }
    }

    /// The partition the record was put into.
    pub fn partition(&self) -> PartitionIndex {
        self.partition
    }

    fn metadata(&self, stored: Stored) -> RecordMetadata {
        RecordMetadata {
            topic: self.topic.clone(),
            partition: self.partition,
            offset: stored.base_offset.map(|base| base.plus(self.index)),
            timestamp: stored.append_time.unwrap_or(self.timestamp),
        }
    }
}

impl Future for Delivery {
    type Output = Result<RecordMetadata, DeliveryError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            match self.promise.poll(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Settled::Stored(stored)) => return Poll::Ready(Ok(self.metadata(stored))),
                Poll::Ready(Settled::Failed(error)) => return Poll::Ready(Err(error.of_record(self.index))),
                Poll::Ready(Settled::Split(parts)) => {
                    let part = parts.into_iter().rev().find(|(first, _)| *first <= self.index);
                    let (first, promise) = part.expect("the parts of a batch have all of its records");
                    self.index -= first;
                    self.promise = promise;
                }
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
