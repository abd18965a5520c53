//! Compaction of this node's logs.
//!
//! Owns: which log is next, how fast it goes, which logs are left alone after a failure.
//! Does not own: the pass over a log and its files (`storage`), the log's lock (`partition`).
//!
//! It runs on a thread of its own beside the janitor, which must not wait for it. One thread compacts one log after the
//! other, whatever `log.cleaner.threads` says: the dirtiest first, without a pause as long as one is due.
//!
//! Invariants
//! - C1 a log that could not be compacted is not tried again by this process; everything else about it goes on.
//!
//! Source: requirements CMP-01, CMP-06, CMP-07.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ottla_env::sync::{mpsc, oneshot};
use ottla_env::task;
use ottla_env::time::{Duration, Instant, hold, now, sleep, wall_now};
use ottla_metadata::config::CleanerConfig;
use ottla_model::{Offset, TopicId, TopicPartition};
use ottla_storage::{
    Compaction, CompactionError, CompactionLimits, Dirt, KeyMapLimits, Removal, RemovedFiles, no_space,
};

use crate::believed_clock::BelievedClock;
use crate::janitor::write_checkpoints;
use crate::node::Node;
use crate::partition::Partition;
use crate::partitions::Removed;

/// Longest pause at once of a pass that is throttled, so that a node that stops does not wait for it.
const HOLD_MAX: Duration = Duration::from_millis(100);

/// Compacts the logs of a node.
pub struct Compactor {
    node: Arc<Node>,
    /// By which records are too young.
    clock: BelievedClock,
    /// Logs that could not be compacted.
    given_up: HashSet<(TopicPartition, TopicId)>,
    removed: mpsc::Sender<Removed>,
    stopping: Arc<AtomicBool>,
    woken: oneshot::Receiver<()>,
}

/// Ends the work.
pub struct StopCompaction {
    stopping: Arc<AtomicBool>,
    wake: oneshot::Sender<()>,
}

impl StopCompaction {
    /// A pass that is under way ends soon; what it wrote is given up.
    pub fn stop(self) {
        self.stopping.store(true, Ordering::Relaxed);
        // Nobody listens where the work has ended.
        let _ = self.wake.send(());
    }
}

/// How a pass over a log ended.
enum Ended {
    Whole {
        cleaned_to: Offset,
        before: u64,
        after: u64,
    },
    /// The log was cut or removed meanwhile.
    Outrun,
}

impl Compactor {
    /// `removed`: files that were replaced go there.
    pub fn new(node: Arc<Node>, removed: mpsc::Sender<Removed>) -> (Compactor, StopCompaction) {
        let stopping = Arc::new(AtomicBool::new(false));
        let (wake, woken) = oneshot::channel();
        let stop = StopCompaction { stopping: Arc::clone(&stopping), wake };
        let clock = BelievedClock::new(wall_now(), now());
        (Compactor { node, clock, given_up: HashSet::new(), removed, stopping, woken }, stop)
    }

    /// Works until it is told to stop.
    pub async fn run(mut self) {
        let mut pause = self.node.config().cleaner.backoff;
        loop {
            task::select! {
                biased;
                _ = &mut self.woken => return,
                () = sleep(pause) => {}
            }
            let compacted = self.compact_dirtiest().await;
            pause = if compacted { Duration::ZERO } else { self.node.config().cleaner.backoff };
        }
    }

    /// Compacts the dirtiest log, if one is due.
    async fn compact_dirtiest(&mut self) -> bool {
        let Some((partition, dirt)) = self.dirtiest() else { return false };
        // What the checkpoint says to be on stable storage is not looked at again after a crash, gaps included.
        write_checkpoints(&self.node);
        let mut removed = Vec::new();
        let began = now();
        let ended = self.compact(&partition, &mut removed);
        for files in removed {
            let delay = u64::try_from(partition.settings().log.file_delete_delay_ms).unwrap_or(0);
            let due = now() + Duration::from_millis(delay);
            // Without a janitor the next start removes them.
            drop(self.removed.send((Removal::Segments(files), due)).await);
        }
        match ended {
            Ok(Ended::Whole { cleaned_to, before, after }) => {
                let ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
                let partition = partition.id();
                tracing::info!(%partition, %cleaned_to, dirty = dirt.dirty_bytes, before, after, ms, "a log was compacted");
                true
            }
            Ok(Ended::Outrun) => false,
            Err(error) => {
                self.on_failed(&partition, error);
                false
            }
        }
    }

    fn dirtiest(&mut self) -> Option<(Arc<Partition>, Dirt)> {
        let wall = self.clock.on_time(wall_now(), now());
        let mut dirtiest: Option<(Arc<Partition>, Dirt)> = None;
        for partition in self.node.partitions.snapshot().partitions() {
            let settings = partition.settings();
            if !settings.log.cleanup.compact || !partition.directory().is_online() {
                continue;
            }
            if !self.given_up.is_empty() && self.given_up.contains(&key_of(partition)) {
                continue;
            }
            let dirt = match partition.dirt(wall) {
                Ok(Some(dirt)) => dirt,
                Ok(None) => continue,
                Err(error) => {
                    partition.failed(&error);
                    continue;
                }
            };
            if dirt.is_corrected {
                self.correct(partition, &dirt);
            }
            let is_dirtier = dirtiest.as_ref().is_none_or(|(_, known)| dirt.cmp_share(known).is_gt());
            if dirt.is_due(&settings.log) && is_dirtier {
                dirtiest = Some((Arc::clone(partition), dirt));
            }
        }
        dirtiest
    }

    /// The checkpoint says something that the log cannot have: it is told the truth.
    fn correct(&self, partition: &Partition, dirt: &Dirt) {
        let id = partition.id();
        if let Err(error) = partition.directory().files().set_cleaned(id, dirt.first_dirty) {
            match error.is_no_space() {
                true => tracing::warn!(partition = %id, %error, "no space for the checkpoint of compaction"),
                false => partition.failed(&error.into()),
            }
        }
    }

    fn compact(
        &mut self,
        partition: &Partition,
        removed: &mut Vec<RemovedFiles>,
    ) -> Result<Ended, CompactionError> {
        let wall = self.clock.on_time(wall_now(), now());
        let Some(scope) = partition.compaction_scope(wall)? else { return Ok(Ended::Outrun) };
        let mut throttle = Throttle::new(Arc::clone(&self.node), Arc::clone(&self.stopping));
        let mut pace = |bytes| throttle.on_bytes(bytes);
        let mut compaction = scope.begin(limits(&self.node.config().cleaner), &mut pace)?;
        let (mut before, mut after) = (0, 0);
        loop {
            let Some(group) = compaction.clean_next(&mut pace)? else { break };
            let sizes = group.sizes();
            match partition.replace(group) {
                Ok(files) => removed.push(files?),
                Err(group) => {
                    group.discard()?;
                    return Ok(Ended::Outrun);
                }
            }
            (before, after) = (before + sizes.0, after + sizes.1);
        }
        finish(partition, &compaction)?;
        Ok(Ended::Whole { cleaned_to: compaction.cleaned_to(), before, after })
    }

    fn on_failed(&mut self, partition: &Partition, error: CompactionError) {
        let id = partition.id();
        match error {
            CompactionError::Stopped => {}
            CompactionError::Disk(error) if no_space(&error) => {
                tracing::warn!(partition = %id, %error, "no space to compact the log");
            }
            CompactionError::Disk(error) => partition.failed(&error),
            CompactionError::Damaged { .. }
            | CompactionError::Misplaced { .. }
            | CompactionError::Records { .. } => {
                tracing::error!(partition = %id, %error, "the log is not compacted any more");
                self.given_up.insert(key_of(partition));
            }
        }
    }
}

/// Notes how far the log is compacted, unless it is gone: another one may have its name.
fn finish(partition: &Partition, compaction: &Compaction<'_>) -> Result<(), CompactionError> {
    if partition.positions().is_none() {
        return Ok(());
    }
    let noted = partition.directory().files().set_cleaned(partition.id(), compaction.cleaned_to());
    noted.map_err(|error| CompactionError::Disk(error.into()))
}

fn key_of(partition: &Partition) -> (TopicPartition, TopicId) {
    (partition.id().clone(), partition.topic_id())
}

fn limits(config: &CleanerConfig) -> CompactionLimits {
    CompactionLimits {
        map: KeyMapLimits {
            bytes_max: config.dedupe_buffer_bytes,
            load_per_mille_max: config.load_factor_per_mille,
        },
        write_bytes: usize::try_from(config.io_buffer_bytes).unwrap_or(usize::MAX),
    }
}

/// Holds a pass so long that it stays below `log.cleaner.io.max.bytes.per.second`.
struct Throttle {
    node: Arc<Node>,
    stopping: Arc<AtomicBool>,
    account: Account,
    /// Bytes since the configuration was last looked at.
    bytes: u64,
}

/// Bytes between two looks at configuration and clock.
const LOOK_BYTES: u64 = 64 * 1024;

impl Throttle {
    fn new(node: Arc<Node>, stopping: Arc<AtomicBool>) -> Throttle {
        Throttle { node, stopping, account: Account { paid_at: now() }, bytes: 0 }
    }

    fn on_bytes(&mut self, bytes: u64) -> ControlFlow<()> {
        self.bytes += bytes;
        if self.bytes < LOOK_BYTES {
            return ControlFlow::Continue(());
        }
        let bytes = std::mem::take(&mut self.bytes);
        if let Some(rate) = self.node.config().cleaner.io_bytes_per_second_max {
            self.account.charge(bytes, rate, now());
        }
        loop {
            if self.stopping.load(Ordering::Relaxed) {
                return ControlFlow::Break(());
            }
            let left = self.account.paid_at.saturating_duration_since(now());
            if left.is_zero() {
                return ControlFlow::Continue(());
            }
            hold(left.min(HOLD_MAX));
        }
    }
}

/// Bytes that were read and written, in the time they may take. What was not used is not saved for later.
#[derive(Clone, Copy, Debug)]
struct Account {
    /// When everything so far is paid for.
    paid_at: Instant,
}

impl Account {
    fn charge(&mut self, bytes: u64, bytes_per_second: u64, at: Instant) {
        let micros = u128::from(bytes) * 1_000_000 / u128::from(bytes_per_second.max(1));
        let price = Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX));
        let from = self.paid_at.max(at);
        // A price beyond what a clock can say is none.
        self.paid_at = from.checked_add(price).unwrap_or(from);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// CMP-07: `log.cleaner.io.max.bytes.per.second`
    #[test]
    fn bytes_are_paid_for_at_the_rate_that_is_set() {
        let start = now();
        let mut account = Account { paid_at: start };
        let paid = |account: &Account| account.paid_at.duration_since(start);
        account.charge(1_000_000, 1_000_000, start);
        account.charge(500_000, 1_000_000, start);
        assert_eq!(paid(&account), Duration::from_millis(1500));
        account.charge(1_000_000, 2_000_000, start + Duration::from_secs(1));
        assert_eq!(paid(&account), Duration::from_millis(2000));
        account.charge(1_000_000, 1_000_000, start + Duration::from_secs(60));
        assert_eq!(paid(&account), Duration::from_secs(61), "an hour of rest is no credit");
        account.charge(1, 0, start);
        account.charge(u64::MAX, 1, start);
    }
}
