//! Files and directories as the log sees them.
//!
//! Owns: the traits `Disk` and `File`, which are all that a part of Ottla may do to a file system.
//! Does not own: formats, names, policies. The real implementation is `RealDisk`; the simulated one,
//! with pending and synced data, torn and lost writes, lives in `testkit`.
//!
//! Both traits are object safe: one virtual call costs a hundredth of the system call behind it.
//!
//! Rules for callers
//! - data is on stable storage only after `sync_data` or `sync_all` returned `Ok`;
//! - a created, renamed or removed name is durable only after `sync_dir` of its directory;
//! - a failed sync is never retried: the directory is failed instead.

mod lock;
mod real;
#[cfg_attr(target_os = "linux", path = "disk/system_linux.rs")]
#[cfg_attr(not(target_os = "linux"), path = "disk/system_portable.rs")]
mod system;

pub use real::RealDisk;

use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// Read only; the file must exist.
    Read,
    /// Read and write; the file must exist.
    Write,
    /// Read and write; created empty if it does not exist.
    Create,
    /// Read and write; fails with `AlreadyExists` if it exists.
    CreateNew,
    /// Read and write; created if missing, emptied if present.
    Truncate,
}

/// One entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirEntry {
    /// Last component of the path. Names that are not UTF-8 are not ours and are left out.
    pub name: String,
    pub is_dir: bool,
}

/// Space of the file system a path lies on, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    pub total: u64,
    /// What an unprivileged process may still use.
    pub usable: u64,
}

/// What is remembered of a file's age.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileMeta {
    pub len: u64,
    /// Last modification, milliseconds since 1970-01-01T00:00:00Z.
    pub modified_ms: i64,
}

/// A file system.
pub trait Disk: Send + Sync + std::fmt::Debug {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>>;
    /// Entries of a directory, sorted by name. Costs no call for each of them.
    fn read_dir(&self, path: &Path) -> io::Result<Vec<DirEntry>>;
    fn metadata(&self, path: &Path) -> io::Result<FileMeta>;
    fn exists(&self, path: &Path) -> io::Result<bool>;
    fn is_dir(&self, path: &Path) -> io::Result<bool>;
    /// Creates a directory and its parents; no error if it exists.
    fn create_dir_all(&self, path: &Path) -> io::Result<()>;
    /// Renames a file or directory, replacing a file at `to`.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    fn remove_dir_all(&self, path: &Path) -> io::Result<()>;
    /// Makes the names in a directory durable.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    /// Makes everything durable that was written or named on the file system of `path`, whoever did it. Where the system
    /// cannot promise that, `Unsupported`.
    fn sync_file_system(&self, path: &Path) -> io::Result<()>;
    /// Takes the exclusive lock of a lock file, creating the file. `None`: another process (a Java broker
    /// too) or another part of this process holds it.
    /// A locked file must not be opened by other means: closing that handle would release the lock.
    fn try_lock(&self, path: &Path) -> io::Result<Option<LockGuard>>;
    /// Space of the file system that holds `path`.
    fn space(&self, path: &Path) -> io::Result<Space>;
    /// The path without symbolic links and dots.
    fn canonicalize(&self, path: &Path) -> io::Result<PathBuf>;
}

/// Holds a lock file's lock until it is dropped.
pub struct LockGuard {
    pub(crate) _held: Box<dyn Send + Sync>,
}

impl LockGuard {
    /// Wraps whatever releases the lock when it is dropped.
    pub fn new(held: Box<dyn Send + Sync>) -> LockGuard {
        LockGuard { _held: held }
    }
}

impl std::fmt::Debug for LockGuard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LockGuard")
    }
}

/// An open file. All positions are absolute; there is no cursor, so that many tasks may share one handle.
pub trait File: Send + Sync + std::fmt::Debug {
    /// Reads up to `buffer.len()` bytes at `position`; fewer only at the end of the file.
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize>;
    /// Like [`File::read_at`], but fails with `WouldBlock` when a byte of the range needs device access.
    /// The default says that everything is resident.
    fn read_at_resident(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        self.read_at(buffer, position)
    }
    /// Whether every byte of `[position, position + len)`, which lies within the file, can be sent or read
    /// without device access. The answer may be out of date at once. The default says yes.
    fn is_resident(&self, _position: u64, _len: u64) -> io::Result<bool> {
        Ok(true)
    }
    /// Has the system begin to read the range, without waiting. A hint; the default does nothing.
    fn expect(&self, _position: u64, _len: u64) -> io::Result<()> {
        Ok(())
    }
    /// Lets the system drop the cached pages of the range, so that a reader of old data does not displace
    /// new data. A hint; the default does nothing.
    fn forget_cached(&self, _position: u64, _len: u64) -> io::Result<()> {
        Ok(())
    }
    /// Writes all of `bytes` at `position`.
    fn write_all_at(&self, bytes: &[u8], position: u64) -> io::Result<()>;
    /// Writes all slices one behind the other at `position`, in as few system calls as possible.
    fn write_all_vectored_at(&self, slices: &[IoSlice<'_>], position: u64) -> io::Result<()>;
    /// Length in bytes.
    fn len(&self) -> io::Result<u64>;
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
    /// Cuts or extends (with zeros) to `len` bytes.
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// Reserves space for `[position, position + len)` without changing the file's length.
    /// A file system that cannot do it is no error.
    fn reserve(&self, position: u64, len: u64) -> io::Result<()>;
    /// Starts writing dirty pages of the range out, without waiting and without any promise.
    fn start_writeback(&self, position: u64, len: u64) -> io::Result<()>;
    /// Waits until data and length are on stable storage.
    fn sync_data(&self) -> io::Result<()>;
    /// Waits until data and all attributes are on stable storage.
    fn sync_all(&self) -> io::Result<()>;
    /// Sets the last modification time, milliseconds since 1970-01-01T00:00:00Z.
    fn set_modified_ms(&self, modified_ms: i64) -> io::Result<()>;
    /// The descriptor for `sendfile`, or `None` where there is none (simulation).
    fn descriptor(&self) -> Option<std::os::fd::BorrowedFd<'_>>;
}
