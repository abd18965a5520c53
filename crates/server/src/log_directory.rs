//! One log directory of this node: its flusher, and whether it still works.
//!
//! Owns: the switch from online to offline, told once; what the janitor should look at next.
//! Does not own: the partitions in it (`partitions`), what the node does about a failure (`node`).
//!
//! Invariants
//! - D1 a directory that failed never comes back in this process: the system has forgotten pages it could not write;
//! - D2 its failure is reported exactly once.
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

/// Most partitions that wait for the janitor at once; those beyond are found by its next round.
pub const CARE_QUEUE_LENGTH: usize = 1024;

/// A log directory that is in use.
#[derive(Debug)]
pub struct LogDirectory {
    files: LogDir,
    id: DirectoryId,
    keeps_partitions: bool,
    /// Held while the checkpoints are written: two writers would take each other's new file away.
    checkpoints: Mutex<()>,
    flusher: Arc<Flusher>,
    failures: mpsc::Sender<DirectoryId>,
    care: mpsc::Sender<TopicPartition>,
}

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
        LogDirectory { files, id, keeps_partitions, checkpoints: Mutex::new(()), flusher, failures, care }
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

    /// The turn to write the checkpoints. What is written is looked up under it, so that it is never older than what
    /// stands there.
    pub fn checkpoint_turn(&self) -> MutexGuard<'_, ()> {
        self.checkpoints.lock()
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
        tracing::error!(%path, %partition, %error, "the log directory failed and goes offline");
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
        tracing::error!(path = %self.path().display(), %error, "the log directory cannot be used and goes offline");
        if self.failures.try_send(self.id).is_err() {
            tracing::warn!("the node is stopping, the failure is not reported");
        }
    }

    /// The partition has closed segments or needs space reserved.
    pub fn care_for(&self, partition: &TopicPartition) {
        // A full queue loses nothing: the janitor's regular round sees every partition.
        drop(self.care.try_send(partition.clone()));
    }
}
