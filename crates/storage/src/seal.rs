//! What is left to do for a segment that was closed, by another thread than the one that appends.
//!
//! Owns: writing indexes and producer snapshot, giving back reserved space, making it all durable.
//! Does not own: when a segment is closed (`segment`), who runs the job (`server`).
//!
//! Until the job is done the recovery point stays inside the segment, so that after a crash Kafka and we
//! rebuild what is missing.
//!
//! Source: performance design 4.8, 4.10; requirement 8.1.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use ottla_env::disk::{Disk, File, OpenMode};
use ottla_model::Offset;
use parking_lot::Mutex;

use crate::file_cache::SegmentFiles;
use crate::index::IndexBytes;
use crate::names::FileKind;

/// A producer snapshot to be written.
#[derive(Clone, Debug)]
pub(crate) struct SnapshotFile {
    pub(crate) path: PathBuf,
    pub(crate) bytes: Vec<u8>,
}

/// Work on a closed segment. Run it without the log's lock, then hand it
/// back to the log.
#[derive(Debug)]
#[must_use]
pub struct SealJob {
    pub(crate) files: Arc<SegmentFiles>,
    /// Length of the closed segment.
    pub(crate) len: u64,
    pub(crate) offsets: IndexBytes,
    pub(crate) times: IndexBytes,
    pub(crate) snapshot: Option<SnapshotFile>,
    pub(crate) gate: Gate,
}

/// Shut by the log when the segment is cut or removed: the job then does nothing. Whoever shuts it waits for a
/// job that is under way.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gate(Arc<Mutex<bool>>);

impl Gate {
    pub(crate) fn shut(&self) {
        *self.0.lock() = true;
    }

    pub(crate) fn is_of(&self, other: &Gate) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl SealJob {
    /// Base offset of the segment.
    pub fn base(&self) -> Offset {
        self.files.base
    }

    /// Does the work. An error means that the data directory has failed.
    pub fn run(&self) -> io::Result<()> {
        let shut = self.gate.0.lock();
        if *shut {
            return Ok(());
        }
        let offsets = self.files.open(FileKind::OffsetIndex)?;
        let times = self.files.open(FileKind::TimeIndex)?;
        self.offsets.write(&*offsets)?;
        self.times.write(&*times)?;
        offsets.sync_all()?;
        times.sync_all()?;
        if let Some(snapshot) = &self.snapshot {
            snapshot.write(self.files.directory.disk())?.sync_all()?;
        }
        // Setting the length it has gives back space that was reserved behind the end.
        self.files.open(FileKind::Log)?.set_len(self.len)?;
        self.files.directory.disk().sync_dir(&self.files.directory.path())
    }
}

impl SnapshotFile {
    /// Writes the snapshot; the file is to be synced where it must be durable.
    pub(crate) fn write(&self, disk: &dyn Disk) -> io::Result<Arc<dyn File>> {
        let file = disk.open(&self.path, OpenMode::Truncate)?;
        file.write_all_at(&self.bytes, 0)?;
        Ok(file)
    }
}
