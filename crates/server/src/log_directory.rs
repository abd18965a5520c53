//! One log directory of this node: its flusher, and whether it still works.
//!
//! Owns: the switch from online to offline, told once; what the janitor should look at next.
//! Does not own: the partitions in it (`partitions`), what the node does about a failure (`node`).
//!
//! Invariants
//! - D1 a directory that failed never comes back in this process: the system has forgotten pages it could not write;
//! - D2 its failure is reported exactly once;
//! - D3 checkpoints are written only while all logs are open: at other times they would say less than what stands there.
//!
//! Source: requirement LOG-07; reliability 2.1.

use std::io;
use std::path::Path;
use std::sync::Arc;

use ottla_env::sync::mpsc;
use ottla_model::{DirectoryId, TopicPartition};
use ottla_storage::LogDir;
use parking_lot::{Mutex, MutexGuard};

use crate::flusher::Flusher;
use crate::formatting::Identified;
use crate::startup::chain;

/// Most partitions that wait for the janitor at once; those beyond are found by its next round.
pub const CARE_QUEUE_LENGTH: usize = 1024;

/// A log directory that is in use.
#[derive(Debug)]
pub struct LogDirectory {
    files: LogDir,
    id: DirectoryId,
    keeps_partitions: bool,
    /// Held while the checkpoints are written: two writers would take each other's new file away.
    checkpoints: Mutex<Checkpoints>,
    flusher: Arc<Flusher>,
    failures: mpsc::Sender<DirectoryId>,
    care: mpsc::Sender<TopicPartition>,
}

/// Whether the checkpoints of a directory may be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Checkpoints {
    /// The logs of the earlier run are being opened: what stands there is all that is known of them.
    Standing,
    Following,
    /// The last ones were written; the logs are closed.
    Final,
}

/// The turn to write checkpoints, as long as it is held.
pub struct CheckpointTurn<'a>(#[expect(dead_code, reason = "held, not read")] MutexGuard<'a, Checkpoints>);

/// Where a directory reports to.
#[derive(Clone, Debug)]
pub struct Reports {
    /// One message per directory that failed; its capacity is the number of directories.
    pub failures: mpsc::Sender<DirectoryId>,
    /// Partitions with work for the janitor.
    pub care: mpsc::Sender<TopicPartition>,
}

impl LogDirectory {
    /// `keeps_partitions`: it is one of `log.dirs`, and not the metadata's alone.
    pub fn new(
        Identified { files, id }: Identified,
        keeps_partitions: bool,
        flusher: Arc<Flusher>,
        reports: Reports,
    ) -> LogDirectory {
        let Reports { failures, care } = reports;
        LogDirectory {
            files,
            id,
            keeps_partitions,
            checkpoints: Mutex::new(Checkpoints::Standing),
            flusher,
            failures,
            care,
        }
    }

    pub fn path(&self) -> &Path {
        self.files.path()
    }

    /// The directory's files.
    pub fn files(&self) -> &LogDir {
        &self.files
    }

    pub fn id(&self) -> DirectoryId {
        self.id
    }

    pub fn keeps_partitions(&self) -> bool {
        self.keeps_partitions
    }

    /// All logs of the earlier run are open: from now on checkpoints may be written.
    pub fn on_logs_open(&self) {
        let mut checkpoints = self.checkpoints.lock();
        if *checkpoints == Checkpoints::Standing {
            *checkpoints = Checkpoints::Following;
        }
    }

    /// The turn to write the checkpoints; `None` before the logs are open and after they were closed (D3). What is
    /// written is looked up under it, so that it is never older than what stands there.
    pub fn checkpoint_turn(&self) -> Option<CheckpointTurn<'_>> {
        let checkpoints = self.checkpoints.lock();
        (*checkpoints == Checkpoints::Following).then_some(CheckpointTurn(checkpoints))
    }

    /// The last turn: the logs are closed under it.
    pub fn last_checkpoint_turn(&self) -> Option<CheckpointTurn<'_>> {
        let mut checkpoints = self.checkpoints.lock();
        let before = std::mem::replace(&mut *checkpoints, Checkpoints::Final);
        (before == Checkpoints::Following).then_some(CheckpointTurn(checkpoints))
    }

    pub fn flusher(&self) -> &Flusher {
        &self.flusher
    }

    pub fn is_online(&self) -> bool {
        self.files.is_online()
    }

    /// An operation in this directory failed. Told to the node once, however many see it.
    pub fn fail(&self, partition: &TopicPartition, error: &io::Error) {
        if !self.files.fail(error) {
            return;
        }
        let path = self.path().display();
        tracing::error!(%path, %partition, error = %chain(error), "the log directory failed and goes offline");
        // The channel holds one message per directory, so it cannot be full.
        if self.failures.try_send(self.id).is_err() {
            tracing::warn!(%path, "the node is stopping, the failure is not reported");
        }
    }

    /// The directory as a whole cannot be read.
    pub fn fail_whole(&self, error: &io::Error) {
        if !self.files.fail(error) {
            return;
        }
        let path = self.path().display();
        tracing::error!(%path, error = %chain(error), "the log directory cannot be used and goes offline");
        if self.failures.try_send(self.id).is_err() {
            tracing::warn!(%path, "the node is stopping, the failure is not reported");
        }
    }

    /// The partition has closed segments or needs space reserved.
    pub fn care_for(&self, partition: &TopicPartition) {
        // A full queue loses nothing: the janitor's regular round sees every partition.
        drop(self.care.try_send(partition.clone()));
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    /// Reliability 2.1: what is logged of a directory that fails is enough to find out why.
    #[test]
    fn a_failure_is_told_with_all_that_caused_it() {
        #[derive(Debug, thiserror::Error)]
        #[error("the log cannot be opened")]
        struct Opening(#[source] io::Error);
        let error = io::Error::other(Opening(io::Error::other("segment 7 is missing")));
        assert_eq!(super::chain(&error), "the log cannot be opened: segment 7 is missing");
    }

    /// LOG-04: a node that is killed before it knows its logs leaves the checkpoints of the run before.
    #[test]
    fn checkpoints_are_written_only_while_all_logs_are_open() {
        let directory = crate::partition::tests::directory();
        assert!(directory.checkpoint_turn().is_none(), "the logs are still being opened");
        directory.on_logs_open();
        assert!(directory.checkpoint_turn().is_some());
        assert!(directory.last_checkpoint_turn().is_some());
        assert!(directory.checkpoint_turn().is_none() && directory.last_checkpoint_turn().is_none());
        directory.on_logs_open();
        assert!(directory.checkpoint_turn().is_none(), "what is closed stays closed");
    }
}
