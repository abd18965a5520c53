//! Group commit: the threads that put appended records on stable storage.
//!
//! Owns: the queue of partitions that asked for a flush, and the order of rounds.
//! Does not own: which files a partition must sync, who waits for it.
//!
//! A partition stands in the queue at most once, however many appends ask: one flush serves all who wait. What comes
//! while a partition is flushed waits for the end of that flush, and wakes no thread that could only wait, too. Flushes
//! of several partitions run at once, since the device serves them better together than one behind the other.
//!
//! Invariants
//! - F1 an append that asked for a flush before [`Flush::flush`] began is covered by that flush or a later one;
//! - F2 no two threads flush the same partition.
//!
//! Source: performance design 4.8; requirement LOG-06.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use ottla_env::sync::Notify;
use ottla_env::time::{Instant, now, sleep_until_some};
use ottla_env::{task, time};
use parking_lot::Mutex;

/// How long an append without `acks=all` on a flushed topic may stay unflushed.
pub const LAZY_FLUSH_AFTER: Duration = Duration::from_millis(10);

/// Flushes that run at once for one log directory: enough to keep the device's queue filled.
pub const FLUSH_THREADS: usize = 4;

/// Something that can be flushed: a partition, or the metadata log.
pub trait Flush: Send + Sync {
    /// Puts everything appended so far on stable storage and tells those who wait. Blocks.
    fn flush(&self);
    /// Where it stands, kept by the flusher.
    fn mark(&self) -> &Mark;
}

/// Where something stands that can be flushed.
#[derive(Debug, Default)]
pub struct Mark(AtomicU8);

/// Nobody has asked.
const IDLE: u8 = 0;
/// It is in the queue.
const QUEUED: u8 = 1;
/// A thread flushes it.
const FLUSHING: u8 = 2;
/// A thread flushes it, and somebody has asked since.
const ASKED_AGAIN: u8 = 3;

impl Mark {
    /// Somebody asks. `true`: it has to be put into the queue.
    fn ask(&self) -> bool {
        let next = |mark| match mark {
            IDLE => Some(QUEUED),
            FLUSHING => Some(ASKED_AGAIN),
            _ => None,
        };
        self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, next) == Ok(IDLE)
    }

    /// It was taken from the queue: what is asked from now on needs another flush.
    fn begin(&self) {
        self.0.store(FLUSHING, Ordering::Release);
    }

    /// It was flushed. `true`: it has to be put into the queue again.
    fn end(&self) -> bool {
        let next = |mark| Some(if mark == ASKED_AGAIN { QUEUED } else { IDLE });
        self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, next) == Ok(ASKED_AGAIN)
    }
}

#[derive(Default)]
struct Queue {
    urgent: VecDeque<Arc<dyn Flush>>,
    lazy: VecDeque<(Instant, Arc<dyn Flush>)>,
    stopping: bool,
}

/// The flusher of one log directory.
#[derive(Default)]
pub struct Flusher {
    queue: Mutex<Queue>,
    wake: Notify,
}

impl std::fmt::Debug for Flusher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let queue = self.queue.lock();
        write!(f, "Flusher({} urgent, {} lazy)", queue.urgent.len(), queue.lazy.len())
    }
}

impl Flusher {
    /// Starts the threads of a flusher named after its log directory.
    pub fn start(name: &str) -> std::io::Result<Arc<Flusher>> {
        let flusher = Arc::new(Flusher::default());
        for thread in 0..FLUSH_THREADS {
            let mine = Arc::clone(&flusher);
            drop(task::spawn_dedicated(
                &format!("flusher-{thread}-{name}"),
                async move { mine.run().await },
            )?);
        }
        Ok(flusher)
    }

    /// Asks for a flush now: somebody waits for it.
    pub fn flush_soon(&self, target: Arc<dyn Flush>) {
        if !target.mark().ask() {
            return;
        }
        self.queue.lock().urgent.push_back(target);
        self.wake.notify_one();
    }

    /// Asks for a flush within [`LAZY_FLUSH_AFTER`]: nobody waits for it.
    pub fn flush_later(&self, target: Arc<dyn Flush>) {
        let mut queue = self.queue.lock();
        queue.lazy.push_back((now() + LAZY_FLUSH_AFTER, target));
        let first = queue.lazy.len() == 1;
        drop(queue);
        if first {
            self.wake.notify_one();
        }
    }

    /// Ends the threads once the queue is empty.
    pub fn stop(&self) {
        self.queue.lock().stopping = true;
        self.wake.notify_waiters();
        self.wake.notify_one();
    }

    async fn run(&self) {
        loop {
            match self.next(time::now()) {
                Next::Flush(target) => self.flush(target),
                Next::Wait(deadline) => {
                    task::select! {
                        () = self.wake.notified() => {}
                        () = sleep_until_some(deadline) => {}
                    }
                }
                Next::Stop => {
                    self.wake.notify_one();
                    return;
                }
            }
        }
    }

    fn flush(&self, target: Arc<dyn Flush>) {
        target.mark().begin();
        target.flush();
        if target.mark().end() {
            // This thread is the next to look at the queue.
            self.queue.lock().urgent.push_back(target);
        }
    }

    fn next(&self, now: Instant) -> Next {
        let mut queue = self.queue.lock();
        while queue.lazy.front().is_some_and(|(due, _)| *due <= now) {
            let Some((_, target)) = queue.lazy.pop_front() else { break };
            if target.mark().ask() {
                queue.urgent.push_back(target);
            }
        }
        if let Some(target) = queue.urgent.pop_front() {
            if !queue.urgent.is_empty() {
                self.wake.notify_one();
            }
            return Next::Flush(target);
        }
        if queue.stopping && queue.lazy.is_empty() {
            return Next::Stop;
        }
        Next::Wait(queue.lazy.front().map(|(due, _)| *due))
    }
}

enum Next {
    Flush(Arc<dyn Flush>),
    Wait(Option<Instant>),
    Stop,
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[derive(Default)]
    struct Counted {
        flushes: AtomicUsize,
        mark: Mark,
    }

    impl Flush for Counted {
        fn flush(&self) {
            self.flushes.fetch_add(1, Ordering::SeqCst);
        }

        fn mark(&self) -> &Mark {
            &self.mark
        }
    }

    fn drain(flusher: &Flusher, at: Instant) -> usize {
        let mut flushed = 0;
        while let Next::Flush(target) = flusher.next(at) {
            flusher.flush(target);
            flushed += 1;
        }
        flushed
    }

    /// LOG-06
    #[test]
    fn one_flush_serves_all_who_asked_before_it() {
        let (flusher, target) = (Flusher::default(), Arc::new(Counted::default()));
        for _ in 0..5 {
            flusher.flush_soon(Arc::<Counted>::clone(&target));
        }
        assert_eq!(drain(&flusher, now()), 1);
        flusher.flush_soon(Arc::<Counted>::clone(&target));
        assert_eq!(drain(&flusher, now()), 1);
        assert_eq!(target.flushes.load(Ordering::SeqCst), 2);
    }

    /// LOG-06
    #[test]
    fn what_is_asked_during_a_flush_is_flushed_behind_it_and_by_nobody_else_before() {
        let (flusher, target) = (Flusher::default(), Arc::new(Counted::default()));
        flusher.flush_soon(Arc::<Counted>::clone(&target));
        let Next::Flush(taken) = flusher.next(now()) else { panic!("it is in the queue") };
        taken.mark().begin();
        flusher.flush_soon(Arc::<Counted>::clone(&target));
        assert_eq!(drain(&flusher, now()), 0, "another thread finds nothing");
        taken.flush();
        assert!(taken.mark().end(), "it goes into the queue again");
        flusher.queue.lock().urgent.push_back(taken);
        assert_eq!(drain(&flusher, now()), 1);
        assert_eq!(target.flushes.load(Ordering::SeqCst), 2);
        assert_eq!(drain(&flusher, now()), 0);
    }

    /// LOG-06
    #[test]
    fn a_lazy_flush_waits_for_its_time_unless_somebody_is_in_a_hurry() {
        let (flusher, target) = (Flusher::default(), Arc::new(Counted::default()));
        let start = now();
        flusher.flush_later(Arc::<Counted>::clone(&target));
        assert_eq!(drain(&flusher, start), 0);
        assert_eq!(drain(&flusher, start + LAZY_FLUSH_AFTER * 2), 1);
    }

    #[test]
    fn the_threads_end_when_asked() {
        let flusher = Flusher::start("test").unwrap();
        let target = Arc::new(Counted::default());
        flusher.flush_soon(Arc::<Counted>::clone(&target));
        flusher.stop();
        task::block_on(async {
            while target.flushes.load(Ordering::SeqCst) == 0 {
                task::yield_now().await;
            }
        })
        .unwrap();
    }
}
