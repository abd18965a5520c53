//! A disk that loses what was not synced.
//!
//! Owns: `SimDisk`, an `env::disk::Disk` in memory that keeps apart what programs see and what the device has,
//! and does to the difference what power cuts and failing devices do.
//! Does not own: when something goes wrong; the test says so.
//!
//! The model, worse than most real disks on purpose:
//! - bytes are on the device after `sync_data` or `sync_all` of their file, names after `sync_dir` of their
//!   directory; a file whose name was lost is lost, synced or not;
//! - [`SimDisk::crash`] decides for each unsynced 4 KiB block by itself whether it is there, missing, older, or
//!   torn at 512-byte sectors, and likewise for each unsynced change of a name;
//! - [`SimDisk::kill`] ends the process only: what was written stays;
//! - after a failed sync the data counts as clean but never reached the device.
//!
//! Everything follows from the seeds: equal calls with equal seeds give equal bytes.

mod content;
mod faults;
mod file;
mod names;

pub use faults::{Counts, Delays};

use std::collections::BTreeSet;
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ottla_env::clock::Clock;
use ottla_env::disk::{DirEntry, Disk, File, FileMeta, LockGuard, OpenMode, Space};
use parking_lot::Mutex;

use self::content::BLOCK_BYTES;
use self::faults::{Faults, Operation};
use self::file::{FileNode, SimFile};
use self::names::{Entry, Tree};
use crate::clock::SimClock;
use crate::random::SeededRandom;

/// What a disk without a limit says it has.
const SPACE_BYTES: u64 = 1 << 40;

/// A simulated disk. Clones are the same disk.
#[derive(Clone, Debug)]
pub struct SimDisk {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    tree: Tree,
    faults: Faults,
    counts: Counts,
    /// Decides what a failed sync leaves in the cache.
    random: SeededRandom,
    clock: Option<Arc<SimClock>>,
    locks: BTreeSet<PathBuf>,
    /// Counts the crashes; handles and locks of an earlier life are dead.
    life: u64,
}

impl State {
    /// Counts a call and lets its time pass; an error if it is refused.
    fn admit(&mut self, operation: Operation) -> io::Result<()> {
        self.counts.add(operation);
        if let Some(clock) = &self.clock {
            clock.advance(self.faults.delays.of(operation));
        }
        self.faults.admit(operation)
    }

    fn now_ms(&self) -> Option<i64> {
        self.clock.as_ref().map(|clock| clock.now().millis())
    }

    /// Blocks that may still be taken. The caller holds the lock of `own`, which has `own_blocks`.
    fn free_blocks(&self, own_blocks: u64, own: &Arc<FileNode>) -> u64 {
        let Some(max) = self.faults.space_max else { return u64::MAX };
        let others = self.tree.files().into_iter().filter(|node| !Arc::ptr_eq(node, own));
        let used: u64 = others.map(|node| node.content.lock().allocated()).sum();
        (max / BLOCK_BYTES as u64).saturating_sub(used + own_blocks)
    }
}

impl SimDisk {
    /// An empty disk.
    pub fn new(seed: u64) -> SimDisk {
        let state = State {
            tree: Tree::new(),
            faults: Faults::default(),
            counts: Counts::default(),
            random: SeededRandom::new(seed),
            clock: None,
            locks: BTreeSet::new(),
            life: 0,
        };
        SimDisk { shared: Arc::new(Shared { state: Mutex::new(state) }) }
    }

    /// An empty disk that takes modification times from a clock and moves it by its [`Delays`].
    pub fn with_clock(seed: u64, clock: Arc<SimClock>) -> SimDisk {
        let disk = SimDisk::new(seed);
        disk.shared.state.lock().clock = Some(clock);
        disk
    }

    /// Makes a directory with its parents and makes their names durable, as an operator has done before the
    /// node starts.
    pub fn prepare_dir(&self, path: &Path) -> io::Result<()> {
        self.create_dir_all(path)?;
        path.ancestors().try_for_each(|dir| self.sync_dir(dir))
    }

    /// The power is cut and comes back: unsynced data and names survive by chance, every handle and lock is
    /// dead, and faults of the power and of syncs are over.
    pub fn crash(&self, seed: u64) {
        let random = SeededRandom::new(seed);
        let mut state = self.shared.state.lock();
        for node in state.tree.crash(&random) {
            node.content.lock().crash(&random);
        }
        state.faults.steps_until_power_off = None;
        state.faults.syncs_until_failure = None;
        state.end_life();
    }

    /// The process is killed: every handle and lock is dead; what was written stays as it is, unsynced.
    pub fn kill(&self) {
        self.shared.state.lock().end_life();
    }

    /// The power goes off after so many more steps (writes, changes of lengths and names, syncs): whatever
    /// comes then fails, until [`SimDisk::crash`].
    pub fn cut_power_after(&self, steps: u64) {
        self.shared.state.lock().faults.steps_until_power_off = Some(steps);
    }

    /// The nth sync of a file or directory from now on, counted from 1, fails with EIO.
    pub fn fail_sync(&self, nth: u64) {
        self.shared.state.lock().faults.syncs_until_failure = Some(nth.saturating_sub(1));
    }

    /// Reads that touch the range of a file fail with EIO. The file must exist.
    pub fn fail_reads(&self, path: &Path, range: Range<u64>) -> io::Result<()> {
        let node = self.shared.state.lock().tree.find_file(path)?;
        node.unreadable.lock().push(range);
        Ok(())
    }

    /// Changes bytes of a file as a decaying medium does: unseen by any call, and already durable.
    pub fn damage(&self, path: &Path, position: u64, bytes: &[u8]) -> io::Result<()> {
        let node = self.shared.state.lock().tree.find_file(path)?;
        node.content.lock().damage(position, bytes);
        Ok(())
    }

    /// Gives the disk so many bytes in all (rounded down to blocks), or as many as wanted.
    pub fn limit_space(&self, bytes: Option<u64>) {
        self.shared.state.lock().faults.space_max = bytes;
    }

    /// Makes every change fail with EROFS, or lets them succeed again.
    pub fn set_read_only(&self, read_only: bool) {
        self.shared.state.lock().faults.read_only = read_only;
    }

    /// Makes every call fail with EIO, or lets them succeed again.
    pub fn set_gone(&self, gone: bool) {
        self.shared.state.lock().faults.gone = gone;
    }

    /// Makes calls take virtual time; does nothing on a disk without a clock.
    pub fn slow_down(&self, delays: Delays) {
        self.shared.state.lock().faults.delays = delays;
    }

    /// Calls made so far.
    pub fn counts(&self) -> Counts {
        self.shared.state.lock().counts
    }

    /// Whether a crash could not change the bytes of a file.
    pub fn is_synced(&self, path: &Path) -> io::Result<bool> {
        let node = self.shared.state.lock().tree.find_file(path)?;
        let unsynced = node.content.lock().has_unsynced();
        Ok(!unsynced)
    }

    /// Runs a call on the tree, after all that may refuse it.
    fn call<T>(&self, operation: Operation, body: impl FnOnce(&mut State) -> io::Result<T>) -> io::Result<T> {
        let mut state = self.shared.state.lock();
        state.admit(operation)?;
        body(&mut state)
    }
}

impl State {
    fn end_life(&mut self) {
        self.life += 1;
        self.locks.clear();
    }

    fn open(&mut self, path: &Path, mode: OpenMode) -> io::Result<Arc<FileNode>> {
        match (self.tree.find(path), mode) {
            (Ok(_), OpenMode::CreateNew) => Err(ErrorKind::AlreadyExists.into()),
            (Ok(Entry::Dir(_)), _) => Err(ErrorKind::IsADirectory.into()),
            (Ok(Entry::File(node)), OpenMode::Truncate) => {
                self.admit(Operation::Resize)?;
                node.content.lock().set_len(0);
                Ok(node)
            }
            (Ok(Entry::File(node)), OpenMode::Read | OpenMode::Write | OpenMode::Create) => Ok(node),
            (Err(error), OpenMode::Read | OpenMode::Write) => Err(error),
            (Err(error), OpenMode::Create | OpenMode::CreateNew | OpenMode::Truncate) => {
                if error.kind() != ErrorKind::NotFound {
                    return Err(error);
                }
                self.admit(Operation::Name)?;
                let node = Arc::new(FileNode::default());
                *node.modified_ms.lock() = self.now_ms().unwrap_or(0);
                self.tree.put_file(path, Arc::clone(&node))?;
                Ok(node)
            }
        }
    }
}

impl Disk for SimDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        self.call(Operation::Open, |state| {
            let node = state.open(path, mode)?;
            let file = SimFile {
                shared: Arc::clone(&self.shared),
                node,
                life: state.life,
                writable: mode != OpenMode::Read,
            };
            Ok(Arc::new(file) as Arc<dyn File>)
        })
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        self.call(Operation::Look, |state| {
            let dir = state.tree.find_dir(path)?;
            let entry = |(name, entry): (&String, &Entry)| DirEntry {
                name: name.clone(),
                is_dir: matches!(entry, Entry::Dir(_)),
            };
            Ok(state.tree.names(dir).iter().map(entry).collect())
        })
    }

    fn metadata(&self, path: &Path) -> io::Result<FileMeta> {
        self.call(Operation::Look, |state| match state.tree.find(path)? {
            Entry::Dir(_) => Ok(FileMeta { len: 0, modified_ms: 0 }),
            Entry::File(node) => {
                let len = node.content.lock().len();
                Ok(FileMeta { len, modified_ms: *node.modified_ms.lock() })
            }
        })
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        self.call(Operation::Look, |state| match state.tree.find(path) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        })
    }

    fn is_dir(&self, path: &Path) -> io::Result<bool> {
        self.call(Operation::Look, |state| match state.tree.find(path) {
            Ok(Entry::Dir(_)) => Ok(true),
            Ok(Entry::File(_)) => Ok(false),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        })
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.call(Operation::Name, |state| state.tree.make_dirs(path))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.call(Operation::Name, |state| state.tree.rename(from, to))
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.call(Operation::Name, |state| state.tree.remove_file(path))
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        self.call(Operation::Name, |state| state.tree.remove_dir_all(path))
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.call(Operation::SyncDir, |state| {
            let dir = state.tree.find_dir(path)?;
            if state.faults.sync_fails() {
                return Err(faults::input_output_error());
            }
            state.tree.sync(dir);
            Ok(())
        })
    }

    fn sync_file_system(&self, path: &Path) -> io::Result<()> {
        self.call(Operation::Sync, |state| {
            state.tree.find(path)?;
            let fails = state.faults.sync_fails();
            for node in state.tree.files() {
                let mut content = node.content.lock();
                match fails {
                    true => content.fail_sync(&state.random),
                    false => content.sync(),
                }
            }
            if fails {
                return Err(faults::input_output_error());
            }
            state.tree.sync_all();
            Ok(())
        })
    }

    fn try_lock(&self, path: &Path) -> io::Result<Option<LockGuard>> {
        let name: PathBuf = names::parts(path)?.iter().collect();
        self.call(Operation::Open, |state| {
            state.open(path, OpenMode::Create)?;
            if !state.locks.insert(name.clone()) {
                return Ok(None);
            }
            let held = HeldLock { shared: Arc::clone(&self.shared), name, life: state.life };
            Ok(Some(LockGuard::new(Box::new(held))))
        })
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        self.call(Operation::Look, |state| {
            state.tree.find(path)?;
            let total = state.faults.space_max.unwrap_or(SPACE_BYTES);
            let blocks: u64 = state.tree.files().iter().map(|node| node.content.lock().allocated()).sum();
            Ok(Space { total, usable: total.saturating_sub(blocks * BLOCK_BYTES as u64) })
        })
    }

    fn canonicalize(&self, path: &Path) -> io::Result<PathBuf> {
        self.call(Operation::Look, |state| {
            state.tree.find(path)?;
            Ok(Path::new("/").join(names::parts(path)?.iter().collect::<PathBuf>()))
        })
    }
}

struct HeldLock {
    shared: Arc<Shared>,
    name: PathBuf,
    life: u64,
}

impl Drop for HeldLock {
    fn drop(&mut self) {
        let mut state = self.shared.state.lock();
        if state.life == self.life {
            state.locks.remove(&self.name);
        }
    }
}
