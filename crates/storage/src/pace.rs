//! When the janitor has something to do: writing recovery points, removing files whose time has come.
//!
//! Owns: these two decisions. Does not own: the work, the clock, the thread.
//!
//! Source: performance design 4.8, 4.10; requirement LOG-05, `file.delete.delay.ms`.

use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, Instant};

use crate::log::{DeletedLog, RemovedFiles};

/// Flushed bytes after which recovery points are written: what is beyond is read again after a crash, and a
/// disk reads this much in a third of a second.
pub const CHECKPOINT_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Longest time between an append and the checkpoint that covers it.
pub const CHECKPOINT_AFTER: Duration = Duration::from_secs(5);

/// Decides when the recovery points of a data directory are written.
#[derive(Debug, Default)]
pub struct CheckpointPace {
    bytes: u64,
    since: Option<Instant>,
}

impl CheckpointPace {
    pub fn new() -> CheckpointPace {
        CheckpointPace::default()
    }

    /// Bytes were appended to some log of the directory.
    pub fn on_appended(&mut self, bytes: u64, now: Instant) {
        self.bytes = self.bytes.saturating_add(bytes);
        self.since.get_or_insert(now);
    }

    /// Whether to write the recovery points now; if so, the count begins anew.
    pub fn poll(&mut self, now: Instant) -> bool {
        let due =
            self.deadline().is_some_and(|deadline| deadline <= now) || self.bytes >= CHECKPOINT_BYTES_MAX;
        if due {
            *self = CheckpointPace::default();
        }
        due
    }

    /// When to ask at the latest.
    pub fn deadline(&self) -> Option<Instant> {
        self.since.map(|since| since + CHECKPOINT_AFTER)
    }
}

/// Something that is out of use and lies on disk yet.
#[derive(Debug)]
pub enum Removal {
    Segments(RemovedFiles),
    Log(DeletedLog),
}

impl Removal {
    /// Removes it. Slow for large files.
    pub fn run(self) -> io::Result<()> {
        match self {
            Removal::Segments(files) => files.remove(),
            Removal::Log(log) => log.remove(),
        }
    }
}

/// What waits for `file.delete.delay.ms`.
#[derive(Debug, Default)]
pub struct Removals {
    waiting: BTreeMap<(Instant, u64), Removal>,
    count: u64,
}

impl Removals {
    pub fn new() -> Removals {
        Removals::default()
    }

    /// Something is out of use; it may be removed at `due`.
    pub fn on_removed(&mut self, removal: Removal, due: Instant) {
        self.count += 1;
        self.waiting.insert((due, self.count), removal);
    }

    /// The next thing whose time has come.
    pub fn poll(&mut self, now: Instant) -> Option<Removal> {
        let ((due, at), _) = self.waiting.first_key_value()?;
        let key = (*due, *at);
        if key.0 <= now { self.waiting.remove(&key) } else { None }
    }

    /// When the next thing's time comes.
    pub fn deadline(&self) -> Option<Instant> {
        self.waiting.first_key_value().map(|((due, _), _)| *due)
    }

    /// Things that wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// LOG-05
    #[test]
    fn recovery_points_are_written_after_five_seconds_or_many_bytes() {
        let start = Instant::now();
        let mut pace = CheckpointPace::new();
        assert!(!pace.poll(start) && pace.deadline().is_none());
        pace.on_appended(1, start);
        pace.on_appended(1, start + Duration::from_secs(4));
        assert!(!pace.poll(start + Duration::from_secs(4)));
        assert!(pace.poll(start + CHECKPOINT_AFTER));
        assert!(!pace.poll(start + CHECKPOINT_AFTER * 2), "nothing was appended since");
        pace.on_appended(CHECKPOINT_BYTES_MAX, start);
        assert!(pace.poll(start));
    }

    #[test]
    fn files_are_removed_in_the_order_of_their_times() {
        let start = Instant::now();
        let mut removals = Removals::new();
        for seconds in [3, 1, 1] {
            let due = start + Duration::from_secs(seconds);
            removals.on_removed(Removal::Segments(RemovedFiles::default()), due);
        }
        assert!(removals.poll(start).is_none());
        assert_eq!(removals.deadline(), Some(start + Duration::from_secs(1)));
        let soon = start + Duration::from_secs(2);
        assert!(removals.poll(soon).is_some() && removals.poll(soon).is_some());
        assert!(removals.poll(soon).is_none());
        assert_eq!(removals.len(), 1);
    }
}
