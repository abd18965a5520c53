//! A disk whose syncs wait at a gate, or fail there.
//!
//! Owns: the gate, and which files it is for. Does not own: the files, which are real.

use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ottla_env::disk::{DirEntry, Disk, File, FileMeta, LockGuard, OpenMode, RealDisk, Space};
use parking_lot::{Condvar, Mutex};

/// Closed, no sync of a gated file returns. A test that closes it opens it before its node stops.
#[derive(Clone, Debug, Default)]
pub struct Gate(Arc<(Mutex<Position>, Condvar)>);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Position {
    #[default]
    Open,
    Closed,
    Failing,
}

impl Gate {
    pub fn close(&self) {
        self.turn(Position::Closed);
    }

    pub fn open(&self) {
        self.turn(Position::Open);
    }

    /// Every sync fails from now on.
    pub fn fail(&self) {
        self.turn(Position::Failing);
    }

    fn turn(&self, position: Position) {
        *self.0.0.lock() = position;
        self.0.1.notify_all();
    }

    fn pass(&self) -> io::Result<()> {
        let mut position = self.0.0.lock();
        while *position == Position::Closed {
            self.0.1.wait(&mut position);
        }
        if *position == Position::Failing { Err(io::Error::other("the device is gone")) } else { Ok(()) }
    }
}

/// The real disk; files below a directory of this name are gated.
#[derive(Debug)]
pub struct GatedDisk {
    pub gate: Gate,
    pub directory: &'static str,
}

#[derive(Debug)]
struct GatedFile {
    file: Arc<dyn File>,
    gate: Option<Gate>,
}

impl GatedFile {
    fn pass(&self) -> io::Result<()> {
        self.gate.as_ref().map_or(Ok(()), Gate::pass)
    }
}

impl Disk for GatedDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        let gated = path.ancestors().skip(1).any(|directory| directory.ends_with(self.directory));
        let gate = gated.then(|| self.gate.clone());
        Ok(Arc::new(GatedFile { file: RealDisk.open(path, mode)?, gate }))
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        RealDisk.read_dir(path)
    }

    fn metadata(&self, path: &Path) -> io::Result<FileMeta> {
        RealDisk.metadata(path)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        RealDisk.exists(path)
    }

    fn is_dir(&self, path: &Path) -> io::Result<bool> {
        RealDisk.is_dir(path)
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        RealDisk.create_dir_all(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealDisk.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove_file(path)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove_dir_all(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        RealDisk.sync_dir(path)
    }

    fn try_lock(&self, path: &Path) -> io::Result<Option<LockGuard>> {
        RealDisk.try_lock(path)
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        RealDisk.space(path)
    }

    fn canonicalize(&self, path: &Path) -> io::Result<PathBuf> {
        RealDisk.canonicalize(path)
    }
}

impl File for GatedFile {
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        self.file.read_at(buffer, position)
    }

    fn write_all_at(&self, bytes: &[u8], position: u64) -> io::Result<()> {
        self.file.write_all_at(bytes, position)
    }

    fn write_all_vectored_at(&self, slices: &[IoSlice<'_>], position: u64) -> io::Result<()> {
        self.file.write_all_vectored_at(slices, position)
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn reserve(&self, position: u64, len: u64) -> io::Result<()> {
        self.file.reserve(position, len)
    }

    fn start_writeback(&self, position: u64, len: u64) -> io::Result<()> {
        self.file.start_writeback(position, len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.pass()?;
        self.file.sync_data()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.pass()?;
        self.file.sync_all()
    }

    fn set_modified_ms(&self, modified_ms: i64) -> io::Result<()> {
        self.file.set_modified_ms(modified_ms)
    }

    fn descriptor(&self) -> Option<std::os::fd::BorrowedFd<'_>> {
        self.file.descriptor()
    }
}
