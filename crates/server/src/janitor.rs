//! The janitor: retention, closed segments, checkpoints, removal of files.
//!
//! Owns: when each kind of care is due. Does not own: the care itself (`partition::care`, `storage`).
//!
//! It runs on a thread of its own, so that removing a large file delays nobody.
//!
//! Source: requirements LOG-02, LOG-05, IDM-06; performance design 4.8, 4.10.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ottla_env::sync::{mpsc, oneshot};
use ottla_env::task;
use ottla_env::time::{Instant, now, sleep_until};
use ottla_model::{Offset, TopicPartition};
use ottla_storage::{CheckpointError, Removal, Removals};

use crate::log_directory::LogDirectory;
use crate::node::Node;
use crate::partition::Partition;
use crate::partitions::Removed;

/// How often recovery points and other positions are written while the node runs (LOG-05). Kafka writes its recovery
/// points once a minute; written more often, less is read again after a crash.
const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(5);

/// What the janitor is told.
pub struct JanitorInbox {
    /// Partitions with closed segments.
    pub care: mpsc::Receiver<TopicPartition>,
    /// Files and directories that are out of use.
    pub removed: mpsc::Receiver<Removed>,
    pub stop: oneshot::Receiver<()>,
}

/// Takes care of all logs of a node.
pub struct Janitor {
    node: Arc<Node>,
    removals: Removals,
    retention_at: Instant,
    checkpoint_at: Instant,
    producers_at: Instant,
}

impl Janitor {
    pub fn new(node: Arc<Node>) -> Janitor {
        let logs = node.config().logs;
        let start = now();
        Janitor {
            node,
            removals: Removals::new(),
            retention_at: start + logs.initial_delay,
            checkpoint_at: start + CHECKPOINT_INTERVAL,
            producers_at: start + logs.producer_expiry_check_interval,
        }
    }

    /// Works until it is told to stop.
    pub async fn run(mut self, mut inbox: JanitorInbox) {
        loop {
            let mut due = self.retention_at.min(self.checkpoint_at).min(self.producers_at);
            if let Some(removal) = self.removals.deadline() {
                due = due.min(removal);
            }
            task::select! {
                biased;
                _ = &mut inbox.stop => return,
                Some(partition) = inbox.care.recv() => self.tidy(&partition),
                Some((removal, due)) = inbox.removed.recv() => self.removals.on_removed(removal, due),
                () = sleep_until(due) => self.on_time(now()),
            }
        }
    }

    fn on_time(&mut self, at: Instant) {
        if at >= self.checkpoint_at {
            write_checkpoints(&self.node);
            self.checkpoint_at = at + CHECKPOINT_INTERVAL;
        }
        if at >= self.retention_at {
            self.apply_retention(at);
            self.retention_at = at + self.node.config().logs.retention_check_interval;
        }
        if at >= self.producers_at {
            self.expire_producers();
            self.producers_at = at + self.node.config().logs.producer_expiry_check_interval;
        }
        while let Some(removal) = self.removals.poll(at) {
            if let Err(error) = removal.run() {
                tracing::warn!(%error, "files that are out of use could not be removed");
            }
        }
    }

    fn tidy(&self, id: &TopicPartition) {
        let Some(partition) = self.node.partitions.load().partition(id).cloned() else { return };
        if let Err(error) = partition.tidy_segments() {
            partition.directory().fail(id, &error);
        }
    }

    fn apply_retention(&mut self, at: Instant) {
        for partition in self.node.partitions.snapshot().partitions() {
            // A full queue may have lost the word of a closed segment.
            if let Err(error) = partition.tidy_segments() {
                partition.directory().fail(partition.id(), &error);
                continue;
            }
            match partition.apply_retention() {
                Ok(removed) if removed.is_empty() => {}
                Ok(removed) => {
                    let segments = removed.bases().count();
                    tracing::info!(partition = %partition.id(), segments, bytes = removed.size(), "old segments are deleted");
                    let delay = u64::try_from(partition.settings().log.file_delete_delay_ms).unwrap_or(0);
                    let due = at + Duration::from_millis(delay);
                    self.removals.on_removed(Removal::Segments(removed), due);
                }
                Err(error) => partition.directory().fail(partition.id(), &error),
            }
        }
    }

    fn expire_producers(&self) {
        let expiry = self.node.config().logs.producer_expiry;
        let expiry_ms = i64::try_from(expiry.as_millis()).unwrap_or(i64::MAX);
        for partition in self.node.partitions.snapshot().partitions() {
            partition.expire_producers(expiry_ms);
        }
    }
}

/// Writes the positions of all logs into the checkpoint files of their directories.
pub fn write_checkpoints(node: &Node) {
    let table = node.partitions.snapshot();
    for directory in node.directories.iter().filter(|directory| directory.is_online()) {
        let mine = table.partitions().filter(|partition| Arc::ptr_eq(partition.directory(), directory));
        let mine: Vec<&Arc<Partition>> = mine.collect();
        if let Err(error) = write_one(directory, &mine) {
            directory.fail_whole(&std::io::Error::other(error));
        }
    }
}

fn write_one(directory: &LogDirectory, partitions: &[&Arc<Partition>]) -> Result<(), CheckpointError> {
    let mut recovery: BTreeMap<&TopicPartition, Offset> = BTreeMap::new();
    let (mut starts, mut high_watermarks) = (BTreeMap::new(), BTreeMap::new());
    for partition in partitions {
        let Some(positions) = partition.positions() else { continue };
        recovery.insert(partition.id(), positions.recovery_point);
        high_watermarks.insert(partition.id(), positions.high_watermark);
        if positions.log_start > positions.first_base {
            starts.insert(partition.id(), positions.log_start);
        }
    }
    directory.files().write_recovery_points(recovery)?;
    directory.files().write_log_starts(starts)?;
    directory.files().write_high_watermarks(high_watermarks)
}
