//! Logs of coordinators that are read aside, so that the data path goes on and requests are answered meanwhile.
//!
//! Owns: the threads that read, how many of them there are, what is on its way from them to the shards.
//! Does not own: the reading itself (`replay`), what is done with it (`shard_task`).
//!
//! Source: requirement GRP-01.

use std::sync::Arc;

use ottla_env::sync::{Semaphore, mpsc};
use ottla_env::task;
use ottla_model::Offset;

use super::replay::{Replay, ReplayError, Replayed};
use crate::partition::Partition;

/// Logs that are read at once: each takes a thread and some megabytes, and they share the disks.
const LOADERS_MAX: usize = 4;
/// Parts of a log that were read and wait for their shard. One is enough to keep both sides busy.
const PARTS_MAX: usize = 1;

/// What became of the reading of a log.
pub enum Loaded {
    Part(Vec<Replayed>),
    /// It was read up to here.
    End(Offset),
    Failed(ReplayError),
}

/// Where shards have their logs read.
#[derive(Clone, Debug)]
pub struct Loaders {
    free: Arc<Semaphore>,
}

impl Default for Loaders {
    fn default() -> Loaders {
        Loaders { free: Arc::new(Semaphore::new(LOADERS_MAX)) }
    }
}

impl Loaders {
    /// Has the partition read as soon as a loader is free. If the parts end without an end, there was no thread.
    pub fn read(&self, partition: Arc<Partition>) -> mpsc::Receiver<Loaded> {
        let (parts, loaded) = mpsc::channel(PARTS_MAX);
        let free = Arc::clone(&self.free);
        drop(task::spawn(async move {
            let Ok(_busy) = free.acquire().await else { return };
            // The shard may have ended while it waited.
            if parts.is_closed() {
                return;
            }
            let reading = read_all(Replay::new(partition), parts);
            match task::spawn_dedicated("loader", reading) {
                Ok(reading) => drop(reading.await),
                Err(error) => tracing::error!(%error, "no thread to load a coordinator with"),
            }
        }));
        loaded
    }
}

/// Reads until the end, an error, or until nobody wants to know any more.
async fn read_all(mut replay: Replay, parts: mpsc::Sender<Loaded>) {
    loop {
        let (loaded, is_last) = match replay.read_on() {
            Ok(Some(part)) => (Loaded::Part(part), false),
            Ok(None) => (Loaded::End(replay.end()), true),
            Err(error) => (Loaded::Failed(error), true),
        };
        if parts.send(loaded).await.is_err() || is_last {
            return;
        }
    }
}
