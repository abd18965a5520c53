//! Files of segments, opened at the first use and closed again when too many are open.
//!
//! Owns: the bound on open files, the paths of a segment's files through renames.
//! Does not own: what is read or written.
//!
//! Invariants
//! - I1 a handle that was given out stays usable after its slot was emptied, the file renamed or removed:
//!   whoever sends from it holds it;
//! - I2 about `open_max` slots hold a handle; a handle in use elsewhere does not count.
//!
//! The slots are emptied in the order of a clock: a slot used since the hand last passed is spared once.
//! Closing a file with unwritten pages loses nothing: the pages belong to the inode, and an error of writing
//! them that nobody has seen yet is reported to the next `sync_data` of any handle.
//!
//! Source: performance design 4.10 (file descriptors are few, opening costs 5.7 µs).

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use ottla_env::disk::{Disk, File, OpenMode};
use ottla_model::Offset;
use parking_lot::{Mutex, RwLock};

use crate::names::{FileKind, FileStage, SegmentFileName};
use crate::readers::Readers;

/// A disk, and the bound on the files that are kept open on it.
#[derive(Debug)]
pub struct FileCache {
    disk: Arc<dyn Disk>,
    open_max: usize,
    open: AtomicUsize,
    clock: Mutex<VecDeque<(Weak<SegmentFiles>, FileKind)>>,
}

impl FileCache {
    /// `open_max`: files kept open at most; a caller takes it from the process' limit on descriptors.
    pub fn new(disk: Arc<dyn Disk>, open_max: usize) -> Arc<FileCache> {
        let clock = Mutex::new(VecDeque::new());
        Arc::new(FileCache { disk, open_max: open_max.max(1), open: AtomicUsize::new(0), clock })
    }

    /// The disk the files lie on.
    pub fn disk(&self) -> &dyn Disk {
        &*self.disk
    }

    /// Handles that the cache holds now.
    pub fn open_count(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Notes a slot that was just filled, and empties others while there are too many.
    ///
    /// Called without any slot's lock: emptying takes the lock of another slot.
    fn on_opened(&self, files: &Arc<SegmentFiles>, kind: FileKind) {
        self.open.fetch_add(1, Ordering::Relaxed);
        let mut clock = self.clock.lock();
        clock.push_back((Arc::downgrade(files), kind));
        // Twice round: the first pass may only take the marks away.
        let mut steps = clock.len() * 2;
        while self.open.load(Ordering::Relaxed) > self.open_max && steps > 0 {
            steps -= 1;
            let Some((weak, kind)) = clock.pop_front() else { break };
            let Some(files) = weak.upgrade() else { continue };
            let slot = files.slot(kind);
            if slot.used.swap(false, Ordering::Relaxed) {
                clock.push_back((weak, kind));
            } else {
                slot.empty(self);
            }
        }
        // Slots of dropped or emptied segments leave entries behind; their number stays in proportion.
        if clock.len() > 2 * self.open_max + 64 {
            clock.retain(|(weak, kind)| {
                weak.upgrade().is_some_and(|files| files.slot(*kind).handle.lock().is_some())
            });
        }
    }
}

/// A partition's directory; the path changes when the directory is renamed.
#[derive(Debug)]
pub(crate) struct PartitionDirectory {
    pub(crate) cache: Arc<FileCache>,
    path: RwLock<PathBuf>,
    /// The log is out of use.
    left: AtomicBool,
}

impl PartitionDirectory {
    pub(crate) fn new(cache: Arc<FileCache>, path: PathBuf) -> Arc<PartitionDirectory> {
        Arc::new(PartitionDirectory { cache, path: RwLock::new(path), left: AtomicBool::new(false) })
    }

    pub(crate) fn disk(&self) -> &dyn Disk {
        self.cache.disk()
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.path.read().clone()
    }

    pub(crate) fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path.read().join(name)
    }

    /// Whether the log is out of use.
    pub(crate) fn is_left(&self) -> bool {
        self.left.load(Ordering::Acquire)
    }

    /// Renames the directory for good: its log is out of use. Makes both the old and the new name durable.
    pub(crate) fn leave(&self, to: PathBuf) -> io::Result<()> {
        self.left.store(true, Ordering::Release);
        let mut path = self.path.write();
        self.disk().rename(&path, &to)?;
        *path = to;
        match path.parent() {
            Some(parent) => self.disk().sync_dir(parent),
            None => Ok(()),
        }
    }
}

/// The files of one segment.
#[derive(Debug)]
pub(crate) struct SegmentFiles {
    pub(crate) directory: Arc<PartitionDirectory>,
    pub(crate) base: Offset,
    pub(crate) readers: Readers,
    /// Which names the files have. Held while they are renamed, so that nobody looks for a name in between.
    stage: Mutex<FileStage>,
    /// Out of use because another segment stands in its place.
    replaced: AtomicBool,
    log: Slot,
    offset_index: Slot,
    time_index: Slot,
    txn_index: Slot,
}

#[derive(Debug, Default)]
struct Slot {
    handle: Mutex<Option<Arc<dyn File>>>,
    used: AtomicBool,
}

impl Slot {
    fn empty(&self, cache: &FileCache) {
        if self.handle.lock().take().is_some() {
            cache.open.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl SegmentFiles {
    pub(crate) fn new(directory: Arc<PartitionDirectory>, base: Offset) -> Arc<SegmentFiles> {
        SegmentFiles::at_stage(directory, base, FileStage::Live)
    }

    /// The files of a segment that compaction writes.
    pub(crate) fn cleaned(directory: Arc<PartitionDirectory>, base: Offset) -> Arc<SegmentFiles> {
        SegmentFiles::at_stage(directory, base, FileStage::Cleaned)
    }

    fn at_stage(directory: Arc<PartitionDirectory>, base: Offset, stage: FileStage) -> Arc<SegmentFiles> {
        Arc::new(SegmentFiles {
            directory,
            base,
            readers: Readers::default(),
            stage: Mutex::new(stage),
            replaced: AtomicBool::new(false),
            log: Slot::default(),
            offset_index: Slot::default(),
            time_index: Slot::default(),
            txn_index: Slot::default(),
        })
    }

    /// The open file; created when it is an index that is not there.
    pub(crate) fn open(self: &Arc<SegmentFiles>, kind: FileKind) -> io::Result<Arc<dyn File>> {
        let slot = self.slot(kind);
        slot.used.store(true, Ordering::Relaxed);
        let handle = {
            let mut held = slot.handle.lock();
            if let Some(handle) = &*held {
                return Ok(Arc::clone(handle));
            }
            let disk = self.directory.disk();
            let stage = self.stage.lock();
            let path = self.path_at(kind, *stage);
            // An index that is missing is an empty one; but nothing is made anew of a segment that is out of use.
            let may_create =
                kind != FileKind::Log && *stage != FileStage::Deleted && !self.directory.is_left();
            let handle = match disk.open(&path, OpenMode::Write) {
                Err(error) if error.kind() == io::ErrorKind::NotFound && may_create => {
                    disk.open(&path, OpenMode::Create)?
                }
                opened => opened?,
            };
            *held = Some(Arc::clone(&handle));
            handle
        };
        self.directory.cache.on_opened(self, kind);
        Ok(handle)
    }

    /// Makes the files that every segment has, and keeps the segment open: it is about to be written to.
    pub(crate) fn create(self: &Arc<SegmentFiles>) -> io::Result<()> {
        let log = self.make()?;
        *self.log.handle.lock() = Some(log);
        self.log.used.store(true, Ordering::Relaxed);
        self.directory.cache.on_opened(self, FileKind::Log);
        Ok(())
    }

    /// Makes the files that every segment has, empty. What an attempt that failed left behind is reused; a segment
    /// with content is an error.
    pub(crate) fn make(&self) -> io::Result<Arc<dyn File>> {
        let disk = self.directory.disk();
        let log = match disk.open(&self.path(FileKind::Log), OpenMode::CreateNew) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => self.reuse()?,
            made => made?,
        };
        for kind in [FileKind::OffsetIndex, FileKind::TimeIndex] {
            disk.open(&self.path(kind), OpenMode::Truncate)?;
        }
        Ok(log)
    }

    fn reuse(&self) -> io::Result<Arc<dyn File>> {
        let path = self.path(FileKind::Log);
        let log = self.directory.disk().open(&path, OpenMode::Write)?;
        if !log.is_empty()? {
            let text = format!("segment {} has content already", path.display());
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, text));
        }
        crate::small_file::remove(self.directory.disk(), &self.path(FileKind::TxnIndex))?;
        Ok(log)
    }

    /// Whether the segment, or its whole log, is out of use: its files may be gone at any time.
    pub(crate) fn is_out_of_use(&self) -> bool {
        *self.stage.lock() == FileStage::Deleted || self.directory.is_left()
    }

    /// Whether another segment stands in its place: what it held is to be looked for there.
    pub(crate) fn is_replaced(&self) -> bool {
        self.replaced.load(Ordering::Acquire)
    }

    pub(crate) fn path(&self, kind: FileKind) -> PathBuf {
        let stage = *self.stage.lock();
        self.path_at(kind, stage)
    }

    fn path_at(&self, kind: FileKind, stage: FileStage) -> PathBuf {
        self.directory.join(SegmentFileName { base: self.base, kind, stage }.to_string())
    }

    /// Gives every file of the segment its "deleted" ending, durably; a file that is not there is passed over.
    ///
    /// The segment itself goes first: a crash must not leave it without the indexes that belong to it.
    pub(crate) fn mark_deleted(&self) -> io::Result<()> {
        self.rename_all(FileStage::Deleted, &FileKind::ALL)
    }

    /// As [`SegmentFiles::mark_deleted`], where another segment stands in its place. `keeps_snapshot`: the producer
    /// snapshot at its first offset stays in use.
    pub(crate) fn mark_replaced(&self, keeps_snapshot: bool) -> io::Result<()> {
        self.replaced.store(true, Ordering::Release);
        let kinds = if keeps_snapshot { &FileKind::OF_SEGMENT[..] } else { &FileKind::ALL[..] };
        self.rename_all(FileStage::Deleted, kinds)
    }

    /// What compaction has written is complete.
    pub(crate) fn mark_swap(&self) -> io::Result<()> {
        self.rename_all(FileStage::Swap, &FileKind::OF_SEGMENT)?;
        self.directory.disk().sync_dir(&self.directory.path())
    }

    /// What compaction has written takes its place for good.
    pub(crate) fn mark_live(&self) -> io::Result<()> {
        self.rename_all(FileStage::Live, &FileKind::OF_SEGMENT)?;
        self.directory.disk().sync_dir(&self.directory.path())
    }

    fn rename_all(&self, to: FileStage, kinds: &[FileKind]) -> io::Result<()> {
        let mut stage = self.stage.lock();
        let from = std::mem::replace(&mut *stage, to);
        let disk = self.directory.disk();
        for kind in kinds.iter().copied() {
            match disk.rename(&self.path_at(kind, from), &self.path_at(kind, to)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                other => other?,
            }
            if kind == FileKind::Log {
                disk.sync_dir(&self.directory.path())?;
            }
        }
        Ok(())
    }

    /// Removes the files of a segment that was marked.
    pub(crate) fn remove(&self) -> io::Result<()> {
        for kind in FileKind::ALL {
            crate::small_file::remove(self.directory.disk(), &self.path(kind))?;
        }
        Ok(())
    }

    /// Closes what is open; handles given out stay usable.
    pub(crate) fn close(&self) {
        self.readers.forget();
        for slot in [&self.log, &self.offset_index, &self.time_index, &self.txn_index] {
            slot.empty(&self.directory.cache);
        }
    }

    fn slot(&self, kind: FileKind) -> &Slot {
        match kind {
            FileKind::Log => &self.log,
            FileKind::OffsetIndex => &self.offset_index,
            FileKind::TimeIndex => &self.time_index,
            // Snapshots are read and written as a whole and never opened through a segment.
            FileKind::TxnIndex | FileKind::Snapshot => &self.txn_index,
        }
    }
}

impl Drop for SegmentFiles {
    fn drop(&mut self) {
        self.close();
    }
}
