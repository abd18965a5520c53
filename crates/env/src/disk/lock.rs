//! Exclusive locks on lock files (`.lock` in every log directory).
//!
//! Owns: who holds which lock file. Does not own: where lock files lie and what a refusal means.
//!
//! Two parties must be kept out. Another *process*, a Java broker among them, is kept out by the POSIX
//! record lock over the whole file that `FileChannel.tryLock` also takes. Another attempt in *this*
//! process is not seen by such a lock, and worse: closing any descriptor of the file would release it.
//! So the files locked by this process are listed, by device and inode, and a listed file is not even opened.
//!
//! Invariants
//! - I1 a file is in the list exactly while its lock is held;
//! - I2 this module never closes a second descriptor of a listed file.
//!
//! Source: POSIX `fcntl`, F_SETLK; Java SE `FileChannel.tryLock`.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use parking_lot::Mutex;
use rustix::fs::FlockOperation;
use rustix::io::Errno;

use super::LockGuard;

/// A file wherever its names lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Inode {
    device: u64,
    number: u64,
}

/// The lock files this process holds. The mutex also makes check-and-lock one step.
static HELD: Mutex<BTreeSet<Inode>> = Mutex::new(BTreeSet::new());

struct Held {
    inode: Inode,
    file: Option<fs::File>,
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut held = HELD.lock();
        // Closing releases the lock; it happens before another attempt may see the file as free.
        drop(self.file.take());
        held.remove(&self.inode);
    }
}

/// Takes the lock of `path`, creating the file. `None`: this or another process holds it.
pub(super) fn try_lock(path: &Path) -> io::Result<Option<LockGuard>> {
    let mut held = HELD.lock();
    match fs::metadata(path) {
        Ok(meta) if held.contains(&inode_of(&meta)) => return Ok(None),
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    // Java's lock needs a file opened for writing, and so does a write lock here.
    let file = fs::File::options().read(true).write(true).create(true).truncate(false).open(path)?;
    match rustix::fs::fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::AGAIN | Errno::ACCESS) => return Ok(None),
        Err(error) => return Err(error.into()),
    }
    let inode = inode_of(&file.metadata()?);
    held.insert(inode);
    Ok(Some(LockGuard::new(Box::new(Held { inode, file: Some(file) }))))
}

fn inode_of(meta: &fs::Metadata) -> Inode {
    Inode { device: meta.dev(), number: meta.ino() }
}
