//! The janitor: retention, closed segments, checkpoints, flushes by time, removal of files.
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
use ottla_env::time::{Instant, now, sleep_until, wall_now};
use ottla_metadata::config::LogsConfig;
use ottla_model::{Offset, PartitionIndex, TopicName, TopicPartition};
use ottla_mutant::mutant;
use ottla_storage::{CheckpointError, Removal, Removals, no_space};

use crate::believed_clock::BelievedClock;
use crate::log_directory::LogDirectory;
use crate::node::Node;
use crate::partition::Partition;
use crate::partitions::{METADATA_TOPIC, Removed};

/// How often recovery points and other positions are written at least while the node runs (LOG-05). Kafka writes its
/// recovery points once a minute; written more often, less is read again after a crash.
const CHECKPOINT_INTERVAL_MAX: Duration = Duration::from_secs(5);

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
    /// By which data is too old.
    clock: BelievedClock,
    retention_at: Instant,
    checkpoint_at: Instant,
    producers_at: Instant,
    /// `None`: never again.
    flush_at: Option<Instant>,
}

impl Janitor {
    pub fn new(node: Arc<Node>) -> Janitor {
        let logs = node.config().logs;
        let start = now();
        Janitor {
            node,
            removals: Removals::new(),
            clock: BelievedClock::new(wall_now(), start),
            retention_at: start + logs.initial_delay,
            checkpoint_at: start + checkpoint_interval(&logs),
            producers_at: start + logs.producer_expiry_check_interval,
            flush_at: next_flush(start + logs.initial_delay, &logs),
        }
    }

    /// Works until it is told to stop.
    pub async fn run(mut self, mut inbox: JanitorInbox) {
        loop {
            let mut due = self.retention_at.min(self.checkpoint_at).min(self.producers_at);
            for at in [self.removals.deadline(), self.flush_at].into_iter().flatten() {
                due = due.min(at);
            }
            task::select! {
                biased;
                _ = &mut inbox.stop => return,
                // Before the closed segments: of a fast log there is always one more, and each takes a sync.
                () = sleep_until(due) => self.on_time(now()),
                Some(partition) = inbox.care.recv() => self.tidy(&partition),
                Some((removal, due)) = inbox.removed.recv() => self.removals.on_removed(removal, due),
            }
        }
    }

    fn on_time(&mut self, at: Instant) {
        let logs = self.node.config().logs;
        if at >= self.checkpoint_at {
            write_checkpoints(&self.node);
            self.checkpoint_at = at + checkpoint_interval(&logs);
        }
        if at >= self.retention_at {
            self.apply_retention(at);
            self.retention_at = at + logs.retention_check_interval;
        }
        if at >= self.producers_at {
            self.expire_producers(at);
            self.producers_at = at + logs.producer_expiry_check_interval;
        }
        if self.flush_at.is_some_and(|due| at >= due) {
            self.flush_old();
            self.flush_at = next_flush(at, &logs);
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
            on_failed_care(&partition, &error);
        }
    }

    fn apply_retention(&mut self, at: Instant) {
        let wall = self.clock.on_time(wall_now(), at);
        for partition in self.node.partitions.snapshot().partitions() {
            // A full queue may have lost the word of a closed segment.
            if let Err(error) = partition.tidy_segments() {
                on_failed_care(partition, &error);
                continue;
            }
            match partition.apply_retention(wall) {
                Ok(removed) if removed.is_empty() => {}
                Ok(removed) => {
                    let segments = removed.bases().count();
                    tracing::info!(partition = %partition.id(), segments, bytes = removed.size(), "old segments are deleted");
                    let delay = u64::try_from(partition.settings().log.file_delete_delay_ms).unwrap_or(0);
                    let due = at + Duration::from_millis(delay);
                    self.removals.on_removed(Removal::Segments(removed), due);
                }
                Err(error) => on_failed_care(partition, &error),
            }
            partition.rest_if_unused();
        }
    }

    /// `flush.ms`: what lies too long is flushed, also where nothing is appended any more (LOG-05).
    fn flush_old(&self) {
        for partition in self.node.partitions.snapshot().partitions() {
            if partition.is_flush_due() {
                partition.directory().flusher().flush_soon(Arc::<Partition>::clone(partition));
            }
        }
    }

    fn expire_producers(&mut self, at: Instant) {
        let wall = self.clock.on_time(wall_now(), at);
        let expiry = self.node.config().logs.producer_expiry;
        let expiry_ms = i64::try_from(expiry.as_millis()).unwrap_or(i64::MAX);
        for partition in self.node.partitions.snapshot().partitions() {
            partition.expire_producers(wall, expiry_ms);
        }
    }
}

/// What only lacks space is tried again in the next round; any other failure takes the directory offline.
fn on_failed_care(partition: &Partition, error: &std::io::Error) {
    match no_space(error) {
        true => tracing::warn!(partition = %partition.id(), %error, "no space to take care of the partition"),
        false => partition.directory().fail(partition.id(), error),
    }
}

/// All positions are written together, as often as the most frequent of Kafka's three intervals asks for. An interval
/// of 0 asks for nothing.
fn checkpoint_interval(logs: &LogsConfig) -> Duration {
    let asked = [logs.recovery_point_interval, logs.log_start_interval, logs.high_watermark_interval];
    let asked = asked.into_iter().filter(|interval| !interval.is_zero());
    asked.fold(CHECKPOINT_INTERVAL_MAX, Duration::min)
}

/// When logs are looked at for a flush after `at`. The default interval is longer than any process lives; an interval
/// of 0 asks for nothing.
fn next_flush(at: Instant, logs: &LogsConfig) -> Option<Instant> {
    let interval = Some(logs.flush_check_interval).filter(|interval| !interval.is_zero());
    interval.and_then(|interval| at.checked_add(interval))
}

/// Writes the positions of all logs into the checkpoint files of their directories.
pub fn write_checkpoints(node: &Node) {
    for directory in node.directories.iter().filter(|directory| directory.is_online()) {
        let Some(_turn) = directory.checkpoint_turn() else { continue };
        let table = node.partitions.snapshot();
        let mine = table.partitions().filter(|partition| Arc::ptr_eq(partition.directory(), directory));
        match write_one((node, directory), mine) {
            Ok(()) => {}
            Err(error) if error.is_no_space() => {
                let path = directory.path().display();
                tracing::warn!(%path, %error, "no space for the checkpoints; those of before stand");
            }
            Err(error) => directory.fail_whole(&error.into()),
        }
    }
}

/// The recovery point of the metadata log, in the directory that has it. What the image says is committed, and so it is
/// on stable storage here: where the log ends before it at a start, it is damaged, and a node that believed it would
/// take the topics of its partitions for deleted ones.
pub fn metadata_recovery_point(node: &Node, directory: &LogDirectory) -> Option<(TopicPartition, Offset)> {
    let name = TopicName::new(METADATA_TOPIC).ok()?;
    let known = node.image().provenance?.offset;
    let is_there = *directory.path() == *node.config().metadata_log.dir;
    (is_there && !mutant!(forget_metadata_recovery_point))
        .then(|| (TopicPartition::new(name, PartitionIndex::default()), known.next()))
}

fn write_one<'a>(
    (node, directory): (&Node, &LogDirectory),
    partitions: impl Iterator<Item = &'a Arc<Partition>>,
) -> Result<(), CheckpointError> {
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
    let metadata = metadata_recovery_point(node, directory);
    let metadata = metadata.as_ref().map(|(metadata, point)| (metadata, *point));
    directory.files().write_recovery_points(recovery.into_iter().chain(metadata))?;
    directory.files().write_log_starts(starts)?;
    directory.files().write_high_watermarks(high_watermarks)
}
