//! A disk that stops working, or stands still, below one directory.
//!
//! Owns: which calls fail or wait, decided by the test while the node runs.
//! Does not own: the files; they are those of the real disk.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ottla_env::disk::{Disk, RealDisk};
use ottla_testkit::watched_disk::{Operation, Watch, WatchedDisk};
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
    /// Flushes fail, and only they.
    FlushesFail,
    /// No segment is in memory until it has been read.
    Cold,
    /// No segment is ever in memory.
    Scarce,
    /// One flush fails, and the next ones do not: the system has forgotten what it could not write.
    OneFlushFails,
}

#[derive(Debug)]
struct Switch {
    below: PathBuf,
    state: Mutex<State>,
    changed: Condvar,
    meeting: Mutex<Meeting>,
    arrived: Condvar,
    /// Names of files that found no space.
    without_space: Mutex<Vec<String>>,
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
        let (below, without_space) = (below.to_owned(), Mutex::default());
        FaultyDisk { switch: Arc::new(Switch { below, state, changed, meeting, arrived, without_space }) }
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

    pub fn state(&self) -> State {
        *self.switch.state.lock()
    }

    /// How often files whose names begin so have found no space.
    pub fn times_without_space(&self, name: &str) -> usize {
        self.switch.without_space.lock().iter().filter(|known| known.starts_with(name)).count()
    }

    pub fn set(&self, state: State) {
        *self.switch.state.lock() = state;
        self.switch.changed.notify_all();
    }

    /// For a node.
    pub fn disk(&self) -> Option<Arc<dyn Disk>> {
        Some(Arc::new(WatchedDisk::new(RealDisk, Arc::clone(&self.switch))))
    }
}

impl Watch for Switch {
    fn before(&self, operation: Operation, path: &Path) -> io::Result<()> {
        if !path.starts_with(&self.below) {
            return Ok(());
        }
        match operation {
            Operation::Open => {
                self.check(operation, path)?;
                self.meet(path);
                Ok(())
            }
            Operation::Sync => {
                let mut state = self.state.lock();
                while *state == State::FlushesWait {
                    self.changed.wait(&mut state);
                }
                drop(state);
                self.check(operation, path)
            }
            Operation::Read => {
                self.warm(path);
                self.check(operation, path)
            }
            Operation::Look | Operation::Write | Operation::Create | Operation::Remove => {
                self.check(operation, path)
            }
        }
    }

    fn is_resident(&self, path: &Path) -> bool {
        let state = *self.state.lock();
        !(path.starts_with(&self.below) && is_segment(path) && matches!(state, State::Cold | State::Scarce))
    }
}

fn is_segment(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "log")
}

impl Switch {
    fn check(&self, operation: Operation, path: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        match *state {
            State::OneFlushFails if operation == Operation::Sync => {
                *state = State::Working;
                Err(io::Error::from_raw_os_error(5))
            }
            State::Gone => Err(io::Error::from_raw_os_error(5)),
            State::Full if matches!(operation, Operation::Write | Operation::Create) => {
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                self.without_space.lock().push(name);
                Err(io::ErrorKind::StorageFull.into())
            }
            State::FlushesFail if operation == Operation::Sync => Err(io::Error::other("the device is gone")),
            State::Working
            | State::Full
            | State::FlushesWait
            | State::FlushesFail
            | State::Cold
            | State::Scarce
            | State::OneFlushFails => Ok(()),
        }
    }

    fn warm(&self, path: &Path) {
        let mut state = self.state.lock();
        if *state == State::Cold && is_segment(path) {
            *state = State::Working;
        }
    }

    fn meet(&self, path: &Path) {
        let directory = path.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy();
        let mut meeting = self.meeting.lock();
        if !is_segment(path) || meeting.wanted == 0 || !directory.starts_with(meeting.of) {
            return;
        }
        meeting.inside += 1;
        meeting.most = meeting.most.max(meeting.inside);
        self.arrived.notify_all();
        let late = Instant::now() + meeting.patience;
        while meeting.most < meeting.wanted && !self.arrived.wait_until(&mut meeting, late).timed_out() {}
        meeting.inside -= 1;
    }
}
