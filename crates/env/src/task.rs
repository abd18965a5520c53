//! Tasks, threads and signals.
//!
//! Owns: how the process runs its work: the shared runtime of the data path, threads of their own for what
//! must not share it, and the signals of the operating system.
//! Does not own: what runs.
//!
//! In a simulation (feature `sim`) everything is a task of the simulated host, and no signal ever comes.

use std::future::Future;
use std::io;
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::task::{Context, Poll};

use parking_lot::Mutex;
use tokio::runtime::Builder;
use tokio::sync::oneshot;

/// `select!` without `biased;` draws its branch by chance that no seed replays: always write `biased;`.
pub use tokio::{join, pin, select, try_join};

pub use tokio::task::{AbortHandle, JoinError, JoinHandle, JoinSet, yield_now};

/// Runs a future on the current runtime. Dropping the handle leaves it running.
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    tokio::spawn(future)
}

/// Runs the process's work on the shared runtime and returns what it returns. `workers`: threads of the
/// data path; none given means one for each core the process may use. What still runs afterwards is dropped.
pub fn run<F: Future>(workers: Option<NonZeroUsize>, future: F) -> io::Result<F::Output> {
    let mut builder = Builder::new_multi_thread();
    builder.enable_all().thread_name("ottla-worker");
    builder.worker_threads(workers.unwrap_or_else(cores).get());
    let runtime = builder.build()?;
    let output = runtime.block_on(future);
    runtime.shutdown_background();
    Ok(output)
}

/// Runs a future on this thread alone, as command-line tools and tests do.
pub fn block_on<F: Future>(future: F) -> io::Result<F::Output> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let output = runtime.block_on(future);
    runtime.shutdown_background();
    Ok(output)
}

/// Cores the process may use, by affinity and cgroup; 1 when the system does not say.
pub fn cores() -> NonZeroUsize {
    std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

/// Work on a thread of its own. Dropping it leaves the thread running.
#[derive(Debug)]
pub struct Dedicated<T> {
    outcome: oneshot::Receiver<T>,
}

/// The work of a dedicated thread panicked, or its runtime was shut down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the thread ended without a result")]
pub struct Ended;

impl<T> Future for Dedicated<T> {
    type Output = Result<T, Ended>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.outcome).poll(context).map(|outcome| outcome.map_err(|_| Ended))
    }
}

/// Runs a future on a thread of its own with a runtime of its own, so that it may block (on a disk) or must
/// not be delayed by the data path (the quorum). `name` is cut to 15 bytes by Linux.
pub fn spawn_dedicated<F>(name: &str, future: F) -> io::Result<Dedicated<F::Output>>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let (sender, outcome) = oneshot::channel();
    let report = async move {
        // Nobody may be waiting any more, which is no error.
        let _ = sender.send(future.await);
    };
    #[cfg(feature = "sim")]
    if turmoil::in_simulation() {
        tokio::spawn(report);
        return Ok(Dedicated { outcome });
    }
    let runtime = Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name(name.to_owned()).spawn(move || runtime.block_on(report))?;
    Ok(Dedicated { outcome })
}

/// Does what may block for a moment on a thread that is there for such work, and returns its result. In a simulation it
/// happens on the calling thread.
pub async fn apart<R: Send + 'static>(work: impl FnOnce() -> R + Send + 'static) -> Result<R, Ended> {
    #[cfg(feature = "sim")]
    if turmoil::in_simulation() {
        return Ok(work());
    }
    tokio::task::spawn_blocking(work).await.map_err(|_| Ended)
}

/// Does `work` on every item, on so many threads at once, and returns the results in the order of the items. Blocks
/// until all of them are there. In a simulation it all happens on the calling thread.
pub fn in_parallel<T: Send, R: Send>(
    threads: NonZeroUsize,
    items: Vec<T>,
    work: impl Fn(T) -> R + Sync,
) -> Vec<R> {
    #[cfg(feature = "sim")]
    if turmoil::in_simulation() {
        return items.into_iter().map(work).collect();
    }
    let threads = threads.get().min(items.len());
    if threads <= 1 {
        return items.into_iter().map(work).collect();
    }
    let waiting = Mutex::new(items.into_iter().enumerate());
    let done = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let Some((at, item)) = waiting.lock().next() else { return };
                    let result = work(item);
                    done.lock().push((at, result));
                }
            });
        }
    });
    let mut done = done.into_inner();
    done.sort_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, result)| result).collect()
}

/// A request of the operating system to this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM: stop cleanly.
    Terminate,
    /// SIGINT (Ctrl-C): stop cleanly.
    Interrupt,
    /// SIGHUP: the terminal is gone, or "read the configuration again".
    Hangup,
}

/// The signals sent to this process from now on. Once it exists they no longer end the process by themselves.
#[derive(Debug)]
pub struct Signals {
    /// None in a simulation.
    sources: Option<Sources>,
}

#[derive(Debug)]
struct Sources {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    hangup: tokio::signal::unix::Signal,
}

impl Signals {
    /// Takes over SIGTERM, SIGINT and SIGHUP. Needs a running runtime.
    pub fn listen() -> io::Result<Signals> {
        use tokio::signal::unix::{SignalKind, signal};
        #[cfg(feature = "sim")]
        if turmoil::in_simulation() {
            return Ok(Signals { sources: None });
        }
        Ok(Signals {
            sources: Some(Sources {
                terminate: signal(SignalKind::terminate())?,
                interrupt: signal(SignalKind::interrupt())?,
                hangup: signal(SignalKind::hangup())?,
            }),
        })
    }

    /// The next signal. Several of one kind that came meanwhile count once.
    pub async fn next(&mut self) -> Signal {
        let Some(sources) = &mut self.sources else { return std::future::pending().await };
        tokio::select! {
            biased;
            _ = sources.terminate.recv() => Signal::Terminate,
            _ = sources.interrupt.recv() => Signal::Interrupt,
            _ = sources.hangup.recv() => Signal::Hangup,
        }
    }

    /// Waits until the process shall stop; SIGHUP is passed over.
    pub async fn stop(&mut self) -> Signal {
        loop {
            match self.next().await {
                signal @ (Signal::Terminate | Signal::Interrupt) => return signal,
                Signal::Hangup => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dedicated_work_runs_on_a_thread_of_its_name_and_may_use_timers() {
        let name = block_on(async {
            spawn_dedicated("ottla-test", async {
                crate::time::sleep(crate::time::Duration::ZERO).await;
                std::thread::current().name().map(str::to_owned)
            })
            .unwrap()
            .await
        });
        assert_eq!(name.unwrap(), Ok(Some("ottla-test".to_owned())));
    }

    #[test]
    fn a_panic_in_dedicated_work_is_seen_by_whoever_waits() {
        let work = async { assert!(std::hint::black_box(false), "this panic is part of the test") };
        let outcome = block_on(async { spawn_dedicated("ottla-panic", work).unwrap().await });
        assert_eq!(outcome.unwrap(), Err(Ended));
    }

    #[test]
    fn parallel_work_keeps_the_order_of_its_items_and_takes_no_more_threads_than_allowed() {
        let seen = Mutex::new(std::collections::HashSet::new());
        let two = NonZeroUsize::new(2).unwrap();
        let squares = in_parallel(two, (0..50_u64).collect(), |number| {
            seen.lock().insert(std::thread::current().id());
            number * number
        });
        assert_eq!(squares, (0..50_u64).map(|number| number * number).collect::<Vec<_>>());
        assert!(seen.lock().len() <= 2);
        assert_eq!(in_parallel(two, Vec::<u8>::new(), |byte| byte), Vec::<u8>::new());
    }

    #[test]
    fn parallel_work_does_not_wait_for_its_neighbours() {
        let meeting = std::sync::Barrier::new(2);
        // Each waits for the other one: on one thread this would never end.
        in_parallel(NonZeroUsize::new(2).unwrap(), vec![0, 1], |_| meeting.wait().is_leader());
    }

    #[test]
    fn work_on_the_shared_runtime_has_the_workers_asked_for() {
        let two = NonZeroUsize::new(2);
        let count = run(two, async { tokio::runtime::Handle::current().metrics().num_workers() });
        assert_eq!(count.unwrap(), 2);
        assert_eq!(run(None, async { spawn(async { 7 }).await.unwrap() }).unwrap(), 7);
    }

    #[test]
    fn a_hangup_does_not_stop_the_process_and_a_termination_does() {
        use rustix::process::{Signal as Number, getpid, kill_process};
        let got = block_on(async {
            let mut signals = Signals::listen().unwrap();
            kill_process(getpid(), Number::HUP).unwrap();
            assert_eq!(signals.next().await, Signal::Hangup);
            kill_process(getpid(), Number::HUP).unwrap();
            kill_process(getpid(), Number::TERM).unwrap();
            signals.stop().await
        });
        assert_eq!(got.unwrap(), Signal::Terminate);
    }
}
