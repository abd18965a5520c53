//! Group commit: the threads that put appended records on stable storage.
//!
//! Owns: the queue of partitions that asked for a flush, and the order of rounds.
//! Does not own: which files a partition must sync, who waits for it.
//!
//! A partition stands in the queue at most once, however many appends ask: one flush serves all who wait. Several
//! flushes run at once, since the device serves them better together than one behind the other.
//!
//! Invariants
//! - F1 an append that asked for a flush before [`Flush::flush`] began is covered by that flush or a later one.
//!
//! Source: performance design 4.8; requirement LOG-06.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
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
    /// The mark "stands in the queue", kept by the flusher.
    fn queued(&self) -> &AtomicBool;
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
        if target.queued().swap(true, Ordering::AcqRel) {
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
                Next::Flush(target) => {
                    // Cleared first: an append that comes during the flush asks for another one.
                    target.queued().store(false, Ordering::Release);
                    target.flush();
                }
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

    fn next(&self, now: Instant) -> Next {
        let mut queue = self.queue.lock();
        while queue.lazy.front().is_some_and(|(due, _)| *due <= now) {
            let Some((_, target)) = queue.lazy.pop_front() else { break };
            if !target.queued().swap(true, Ordering::AcqRel) {
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
        queued: AtomicBool,
    }

    impl Flush for Counted {
        fn flush(&self) {
            self.flushes.fetch_add(1, Ordering::SeqCst);
        }

        fn queued(&self) -> &AtomicBool {
            &self.queued
        }
    }

    fn drain(flusher: &Flusher, at: Instant) -> usize {
        let mut flushed = 0;
        while let Next::Flush(target) = flusher.next(at) {
            target.queued().store(false, Ordering::Release);
            target.flush();
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
