//! A disk that asks before each operation: whoever watches may fail it, or let it wait.
//!
//! Owns: what is asked. Does not own: the files (another disk), the decision (a test).

use std::fmt::Debug;
use std::io::{self, IoSlice};
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ottla_env::disk::{DirEntry, Disk, File, FileMeta, LockGuard, OpenMode, Space};

/// What is about to be done with a path, or with an open file of that path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    Open,
    /// Names, lengths, attributes and locks.
    Look,
    Read,
    /// Bytes, lengths, space, attributes.
    Write,
    /// A name is made, replaced.
    Create,
    Remove,
    /// Data or names are made durable.
    Sync,
}

/// Whoever is asked.
pub trait Watch: Send + Sync + Debug {
    /// The operation is done when this returns `Ok`; it may take its time.
    fn before(&self, operation: Operation, path: &Path) -> io::Result<()>;

    /// Whether what an open file holds can be read without the device.
    fn is_resident(&self, _path: &Path) -> bool {
        true
    }
}

/// Another disk under watch.
#[derive(Debug)]
pub struct WatchedDisk<D, W> {
    disk: D,
    watch: Arc<W>,
}

impl<D, W> WatchedDisk<D, W> {
    pub fn new(disk: D, watch: Arc<W>) -> WatchedDisk<D, W> {
        WatchedDisk { disk, watch }
    }
}

impl<D: Disk, W: Watch + 'static> Disk for WatchedDisk<D, W> {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        self.watch.before(Operation::Open, path)?;
        let file = self.disk.open(path, mode)?;
        Ok(Arc::new(WatchedFile { file, path: path.to_owned(), watch: Arc::clone(&self.watch) }))
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        self.watch.before(Operation::Look, path)?;
        self.disk.read_dir(path)
    }

    fn metadata(&self, path: &Path) -> io::Result<FileMeta> {
        self.watch.before(Operation::Look, path)?;
        self.disk.metadata(path)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        self.watch.before(Operation::Look, path)?;
        self.disk.exists(path)
    }

    fn is_dir(&self, path: &Path) -> io::Result<bool> {
        self.watch.before(Operation::Look, path)?;
        self.disk.is_dir(path)
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.watch.before(Operation::Create, path)?;
        self.disk.create_dir_all(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.watch.before(Operation::Create, to)?;
        self.disk.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.watch.before(Operation::Remove, path)?;
        self.disk.remove_file(path)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        self.watch.before(Operation::Remove, path)?;
        self.disk.remove_dir_all(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.watch.before(Operation::Sync, path)?;
        self.disk.sync_dir(path)
    }

    fn sync_file_system(&self, path: &Path) -> io::Result<()> {
        self.watch.before(Operation::Sync, path)?;
        self.disk.sync_file_system(path)
    }

    fn try_lock(&self, path: &Path) -> io::Result<Option<LockGuard>> {
        self.watch.before(Operation::Look, path)?;
        self.disk.try_lock(path)
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        self.watch.before(Operation::Look, path)?;
        self.disk.space(path)
    }

    fn canonicalize(&self, path: &Path) -> io::Result<PathBuf> {
        self.watch.before(Operation::Look, path)?;
        self.disk.canonicalize(path)
    }
}

#[derive(Debug)]
struct WatchedFile<W> {
    file: Arc<dyn File>,
    path: PathBuf,
    watch: Arc<W>,
}

impl<W: Watch> WatchedFile<W> {
    fn before(&self, operation: Operation) -> io::Result<&dyn File> {
        self.watch.before(operation, &self.path)?;
        Ok(self.file.as_ref())
    }
}

impl<W: Watch> File for WatchedFile<W> {
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        self.before(Operation::Read)?.read_at(buffer, position)
    }

    fn read_at_resident(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        if !self.watch.is_resident(&self.path) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.read_at(buffer, position)
    }

    fn is_resident(&self, _position: u64, _len: u64) -> io::Result<bool> {
        Ok(self.watch.is_resident(&self.path))
    }

    fn write_all_at(&self, bytes: &[u8], position: u64) -> io::Result<()> {
        self.before(Operation::Write)?.write_all_at(bytes, position)
    }

    fn write_all_vectored_at(&self, slices: &[IoSlice<'_>], position: u64) -> io::Result<()> {
        self.before(Operation::Write)?.write_all_vectored_at(slices, position)
    }

    fn len(&self) -> io::Result<u64> {
        self.before(Operation::Look)?.len()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.before(Operation::Write)?.set_len(len)
    }

    fn reserve(&self, position: u64, len: u64) -> io::Result<()> {
        self.before(Operation::Write)?.reserve(position, len)
    }

    fn start_writeback(&self, position: u64, len: u64) -> io::Result<()> {
        self.file.start_writeback(position, len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.before(Operation::Sync)?.sync_data()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.before(Operation::Sync)?.sync_all()
    }

    fn set_modified_ms(&self, modified_ms: i64) -> io::Result<()> {
        self.before(Operation::Write)?.set_modified_ms(modified_ms)
    }

    /// What is sent by descriptor is not watched.
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.file.descriptor()
    }
}
