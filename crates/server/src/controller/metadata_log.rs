//! The metadata log of this node: `__cluster_metadata-0` and what lies beside it.
//!
//! Owns: batches to and from the log, `quorum-state`, snapshot files by name.
//! Does not own: what is in them (`metadata`), the log's own files (`storage`).
//!
//! Source: requirements KRF-02, KRF-07; broker requirements 8.1, files of `__cluster_metadata-0`.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ottla_env::disk::{Disk, OpenMode};
use ottla_env::time::wall_now;
use ottla_metadata::records::{BatchReadError, MetadataBatch, read_batches};
use ottla_metadata::snapshot::{SnapshotFile, SnapshotId};
use ottla_model::{LeaderEpoch, Offset, Timestamp, Verification};
use ottla_storage::{
    AppendError, LeaderAppend, Log, Origin, ReadError, ReadLimits, Retention, replace_small_file,
};

/// Bytes read at once at the start.
const READ_BYTES: u32 = 8 * 1024 * 1024;

/// Space that is kept for the metadata log alone, in bytes: more than an hour of an idle cluster on a disk that data has
/// filled.
const RESERVED_BYTES: u64 = 1024 * 1024;

const QUORUM_STATE: &str = "quorum-state";

/// Why the metadata log cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MetadataLogError {
    #[error("cannot access the metadata log")]
    Disk(#[from] io::Error),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("the metadata log is damaged behind offset {at}: {error}")]
    Batch { at: Offset, error: BatchReadError },
    #[error("cannot append to the metadata log")]
    Append(#[from] AppendError),
    #[error("a batch for offset {expected} was given to a metadata log that ends at {end}")]
    Misplaced { expected: Offset, end: Offset },
}

/// The log with its directory.
#[derive(Debug)]
pub struct MetadataLog {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    log: Log,
}

impl MetadataLog {
    pub fn new(disk: Arc<dyn Disk>, log: Log) -> MetadataLog {
        MetadataLog { disk, directory: log.directory(), log }
    }

    pub fn end(&self) -> Offset {
        self.log.log_end()
    }

    pub fn start(&self) -> Offset {
        self.log.log_start()
    }

    /// Bytes of all batches.
    pub fn size(&self) -> u64 {
        self.log.size()
    }

    /// Reads every batch from `from` on.
    pub fn read_all(
        &self,
        from: Offset,
        mut each: impl FnMut(MetadataBatch),
    ) -> Result<(), MetadataLogError> {
        let mut at = from.max(self.log.log_start());
        while at < self.log.log_end() {
            let limits = ReadLimits {
                bytes_max: READ_BYTES,
                upper_bound: self.log.log_end(),
                at_least_one_batch: true,
            };
            let read = self.log.read(at, limits)?;
            let mut bytes = Vec::new();
            for slice in &read.slices {
                let start = bytes.len();
                bytes.resize(start + usize::try_from(slice.len).unwrap_or(0), 0);
                slice.file.read_at(&mut bytes[start..], slice.position)?;
            }
            let batches = read_batches(&bytes).map_err(|error| MetadataLogError::Batch { at, error })?;
            // A read begins with the whole batch that contains `at`; what lies before was read already.
            batches.into_iter().filter(|batch| batch.position.base_offset >= at).for_each(&mut each);
            if read.end <= at {
                break;
            }
            at = read.end;
        }
        Ok(())
    }

    /// Appends a batch of the quorum, which belongs exactly at the end.
    pub fn append(
        &mut self,
        mut batch: Vec<u8>,
        base_offset: Offset,
        epoch: LeaderEpoch,
    ) -> Result<(), MetadataLogError> {
        if base_offset != self.log.log_end() {
            return Err(MetadataLogError::Misplaced { expected: base_offset, end: self.log.log_end() });
        }
        if self.log.latest_epoch().is_none_or(|latest| latest.epoch < epoch) {
            self.log.begin_epoch(epoch);
        }
        let append = LeaderAppend {
            epoch,
            origin: Origin::Coordinator,
            verification: Verification::NotAsked,
            marker_epoch_was_raised: false,
            now: wall_now(),
        };
        self.log.append_as_leader(&mut batch, &append)?;
        Ok(())
    }

    /// Brings everything appended to stable storage.
    pub fn flush(&mut self) -> Result<(), MetadataLogError> {
        if let Some(job) = self.log.flush_job()? {
            job.run()?;
            self.log.on_flushed(&job);
        }
        while let Some(job) = self.log.seal_job() {
            job.run()?;
            self.log.on_sealed(&job);
        }
        Ok(self.log.keep_reserved(RESERVED_BYTES)?)
    }

    /// The content of `quorum-state`, if there is such a file.
    pub fn read_quorum_state(&self) -> Result<Option<Vec<u8>>, MetadataLogError> {
        read_file(self.disk.as_ref(), &self.quorum_state_path()).map_err(MetadataLogError::from)
    }

    pub fn quorum_state_path(&self) -> PathBuf {
        self.directory.join(QUORUM_STATE)
    }

    /// Replaces `quorum-state` on stable storage.
    pub fn write_quorum_state(&self, content: &[u8]) -> Result<(), MetadataLogError> {
        self.replace(QUORUM_STATE, content)
    }

    /// The snapshots in the directory, the newest last.
    pub fn snapshots(&self) -> Result<Vec<SnapshotId>, MetadataLogError> {
        let entries = self.disk.read_dir(&self.directory)?;
        let mut ids: Vec<SnapshotId> =
            entries.iter().filter_map(|entry| SnapshotId::from_file_name(&entry.name)).collect();
        ids.sort_unstable();
        Ok(ids)
    }

    /// The snapshots with size and age.
    pub fn snapshot_files(&self) -> Result<Vec<SnapshotFile>, MetadataLogError> {
        let file = |id: SnapshotId| {
            let meta = self.disk.metadata(&self.directory.join(id.file_name()))?;
            // A snapshot is written right after its last record, so its file is as old as that.
            Ok(SnapshotFile { id, bytes: meta.len, last_timestamp: Timestamp::from_millis(meta.modified_ms) })
        };
        self.snapshots()?.into_iter().map(file).collect()
    }

    /// The bytes of a snapshot.
    pub fn read_snapshot(&self, id: SnapshotId) -> Result<Vec<u8>, MetadataLogError> {
        let bytes = read_file(self.disk.as_ref(), &self.snapshot_path(id))?;
        bytes.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound).into())
    }

    pub fn snapshot_path(&self, id: SnapshotId) -> PathBuf {
        self.directory.join(id.file_name())
    }

    /// Writes a snapshot to stable storage.
    pub fn write_snapshot(&self, id: SnapshotId, bytes: &[u8]) -> Result<(), MetadataLogError> {
        self.replace(&id.file_name(), bytes)
    }

    /// Removes snapshots and the log before a snapshot that is kept (KRF-07).
    pub fn remove_before(&mut self, keep: SnapshotId) -> Result<(), MetadataLogError> {
        for old in self.snapshots()?.into_iter().filter(|id| *id < keep) {
            self.disk.remove_file(&self.directory.join(old.file_name()))?;
        }
        if keep.end > self.log.log_start() {
            self.log.move_log_start(keep.end.min(self.log.log_end()));
            let retention = Retention { now: wall_now(), high_watermark: self.log.log_end() };
            self.log.apply_retention(retention)?.remove()?;
        }
        Ok(())
    }

    /// Leaves the log as after a clean stop.
    pub fn close(self) -> Result<(), MetadataLogError> {
        self.log.close()?;
        Ok(())
    }

    fn replace(&self, name: &str, content: &[u8]) -> Result<(), MetadataLogError> {
        Ok(replace_small_file(self.disk.as_ref(), &self.directory.join(name), content)?)
    }
}

/// The content of a file; `None` where there is none.
pub fn read_file(disk: &dyn Disk, path: &Path) -> io::Result<Option<Vec<u8>>> {
    if !disk.exists(path)? {
        return Ok(None);
    }
    let file = disk.open(path, OpenMode::Read)?;
    let mut bytes = vec![0; usize::try_from(file.len()?).unwrap_or(0)];
    let read = file.read_at(&mut bytes, 0)?;
    bytes.truncate(read);
    Ok(Some(bytes))
}
