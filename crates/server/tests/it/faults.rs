//! A disk that stops working, or stands still, below one directory.
//!
//! Owns: which calls fail or wait, decided by the test while the node runs.
//! Does not own: the files; they are those of the real disk.

use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ottla_env::disk::{DirEntry, Disk, File, FileMeta, LockGuard, OpenMode, RealDisk, Space};
use parking_lot::{Condvar, Mutex};

/// What the directory does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Working,
    /// Every call fails, as of a device that is gone.
    Gone,
    /// Nothing can be written, for no space is left.
    Full,
    /// Flushes wait until the directory does something else.
    FlushesWait,
}

#[derive(Debug)]
struct Switch {
    below: PathBuf,
    state: Mutex<State>,
    changed: Condvar,
    meeting: Mutex<Meeting>,
    arrived: Condvar,
}

/// Openings of segments that wait for each other.
#[derive(Debug, Default)]
struct Meeting {
    of: &'static str,
    wanted: usize,
    patience: Duration,
    inside: usize,
    most: usize,
}

/// The real disk, but for what lies below one directory. Clones are the same disk.
#[derive(Clone, Debug)]
pub struct FaultyDisk {
    switch: Arc<Switch>,
}

impl FaultyDisk {
    pub fn new(below: &Path) -> FaultyDisk {
        let (state, changed) = (Mutex::new(State::Working), Condvar::new());
        let (meeting, arrived) = (Mutex::default(), Condvar::new());
        FaultyDisk { switch: Arc::new(Switch { below: below.to_owned(), state, changed, meeting, arrived }) }
    }

    /// From now on segments in directories of that name's beginning are opened once so many openings have come together,
    /// or after `patience`.
    pub fn meet(&self, of: &'static str, wanted: usize, patience: Duration) {
        *self.switch.meeting.lock() = Meeting { of, wanted, patience, ..Meeting::default() };
    }

    /// How many openings have come together at most.
    pub fn met(&self) -> usize {
        self.switch.meeting.lock().most
    }

    pub fn set(&self, state: State) {
        *self.switch.state.lock() = state;
        self.switch.changed.notify_all();
    }

    fn look(&self, path: &Path) -> io::Result<()> {
        if path.starts_with(&self.switch.below) { self.switch.read() } else { Ok(()) }
    }

    fn change(&self, path: &Path) -> io::Result<()> {
        if path.starts_with(&self.switch.below) { self.switch.write() } else { Ok(()) }
    }
}

impl Switch {
    fn read(&self) -> io::Result<()> {
        match *self.state.lock() {
            State::Gone => Err(io::Error::from_raw_os_error(5)),
            State::Working | State::Full | State::FlushesWait => Ok(()),
        }
    }

    fn write(&self) -> io::Result<()> {
        match *self.state.lock() {
            State::Gone => Err(io::Error::from_raw_os_error(5)),
            State::Full => Err(io::ErrorKind::StorageFull.into()),
            State::Working | State::FlushesWait => Ok(()),
        }
    }

    fn meet(&self, path: &Path) {
        let directory = path.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy();
        let is_segment = path.extension().is_some_and(|extension| extension == "log");
        let mut meeting = self.meeting.lock();
        if !is_segment || meeting.wanted == 0 || !directory.starts_with(meeting.of) {
            return;
        }
        meeting.inside += 1;
        meeting.most = meeting.most.max(meeting.inside);
        self.arrived.notify_all();
        let late = Instant::now() + meeting.patience;
        while meeting.most < meeting.wanted && !self.arrived.wait_until(&mut meeting, late).timed_out() {}
        meeting.inside -= 1;
    }

    fn flush(&self) -> io::Result<()> {
        let mut state = self.state.lock();
        while *state == State::FlushesWait {
            self.changed.wait(&mut state);
        }
        drop(state);
        self.read()
    }
}

impl Disk for FaultyDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        if !path.starts_with(&self.switch.below) {
            return RealDisk.open(path, mode);
        }
        self.switch.read()?;
        self.switch.meet(path);
        let inner = RealDisk.open(path, mode)?;
        Ok(Arc::new(FaultyFile { inner, switch: Arc::clone(&self.switch) }))
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        self.look(path)?;
        RealDisk.read_dir(path)
    }

    fn metadata(&self, path: &Path) -> io::Result<FileMeta> {
        self.look(path)?;
        RealDisk.metadata(path)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        self.look(path)?;
        RealDisk.exists(path)
    }

    fn is_dir(&self, path: &Path) -> io::Result<bool> {
        self.look(path)?;
        RealDisk.is_dir(path)
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.change(path)?;
        RealDisk.create_dir_all(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.change(to)?;
        RealDisk.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.look(path)?;
        RealDisk.remove_file(path)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        self.look(path)?;
        RealDisk.remove_dir_all(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        if path.starts_with(&self.switch.below) {
            self.switch.flush()?;
        }
        RealDisk.sync_dir(path)
    }

    fn try_lock(&self, path: &Path) -> io::Result<Option<LockGuard>> {
        self.look(path)?;
        RealDisk.try_lock(path)
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        self.look(path)?;
        RealDisk.space(path)
    }

    fn canonicalize(&self, path: &Path) -> io::Result<PathBuf> {
        self.look(path)?;
        RealDisk.canonicalize(path)
    }
}

#[derive(Debug)]
struct FaultyFile {
    inner: Arc<dyn File>,
    switch: Arc<Switch>,
}

impl File for FaultyFile {
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        self.switch.read()?;
        self.inner.read_at(buffer, position)
    }

    fn write_all_at(&self, bytes: &[u8], position: u64) -> io::Result<()> {
        self.switch.write()?;
        self.inner.write_all_at(bytes, position)
    }

    fn write_all_vectored_at(&self, slices: &[IoSlice<'_>], position: u64) -> io::Result<()> {
        self.switch.write()?;
        self.inner.write_all_vectored_at(slices, position)
    }

    fn len(&self) -> io::Result<u64> {
        self.switch.read()?;
        self.inner.len()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.switch.write()?;
        self.inner.set_len(len)
    }

    fn reserve(&self, position: u64, len: u64) -> io::Result<()> {
        self.switch.write()?;
        self.inner.reserve(position, len)
    }

    fn start_writeback(&self, position: u64, len: u64) -> io::Result<()> {
        self.inner.start_writeback(position, len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.switch.flush()?;
        self.inner.sync_data()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.switch.flush()?;
        self.inner.sync_all()
    }

    fn set_modified_ms(&self, modified_ms: i64) -> io::Result<()> {
        self.switch.write()?;
        self.inner.set_modified_ms(modified_ms)
    }

    fn descriptor(&self) -> Option<std::os::fd::BorrowedFd<'_>> {
        self.inner.descriptor()
    }
}
