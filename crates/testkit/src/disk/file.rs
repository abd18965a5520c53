//! Handles on files of the simulated disk.
//!
//! Owns: `FileNode` (a file, wherever its names lead) and the handle's calls.
//! Does not own: the bytes (`content`), what fails when (`faults`).
//!
//! Invariants
//! - I1 a handle that was opened before a crash is dead: its process is gone.

use std::io::{self, ErrorKind, IoSlice};
use std::ops::Range;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use ottla_env::disk::File;
use parking_lot::Mutex;

use super::content::{BLOCK_BYTES, Content};
use super::faults::{Operation, input_output_error, no_space};
use super::{Shared, State};

/// A file, under whatever names.
#[derive(Debug, Default)]
pub(super) struct FileNode {
    pub(super) content: Mutex<Content>,
    /// Ranges of bytes the device cannot read.
    pub(super) unreadable: Mutex<Vec<Range<u64>>>,
    pub(super) modified_ms: Mutex<i64>,
}

/// An open file of a simulated disk.
#[derive(Debug)]
pub(super) struct SimFile {
    pub(super) shared: Arc<Shared>,
    pub(super) node: Arc<FileNode>,
    /// The process that opened it: counts the crashes before.
    pub(super) life: u64,
    pub(super) writable: bool,
}

impl SimFile {
    /// Runs a call under the disk's lock, after all that may refuse it.
    fn call<T>(
        &self,
        operation: Operation,
        body: impl FnOnce(&mut State, &mut Content) -> io::Result<T>,
    ) -> io::Result<T> {
        let mut state = self.shared.state.lock();
        if state.life != self.life {
            return Err(io::Error::other("the process that opened this file was killed"));
        }
        if operation.changes() && !self.writable {
            return Err(ErrorKind::PermissionDenied.into());
        }
        state.admit(operation)?;
        body(&mut state, &mut self.node.content.lock())
    }

    fn touch(&self, state: &State) {
        if let Some(now) = state.now_ms() {
            *self.node.modified_ms.lock() = now;
        }
    }

    fn write(&self, bytes: &[u8], position: u64) -> io::Result<()> {
        self.call(Operation::Write { bytes: bytes.len() as u64 }, |state, content| {
            let free = state.free_blocks(content.allocated(), &self.node);
            self.touch(state);
            if content.write(bytes, position, free) < bytes.len() { Err(no_space()) } else { Ok(()) }
        })
    }

    fn sync(&self) -> io::Result<()> {
        self.call(Operation::Sync, |state, content| {
            if state.faults.sync_fails() {
                content.fail_sync(&state.random);
                return Err(input_output_error());
            }
            content.sync();
            Ok(())
        })
    }
}

impl File for SimFile {
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        self.call(Operation::Read, |_, content| {
            let wanted = position..position.saturating_add(buffer.len() as u64);
            let bad = |range: &Range<u64>| range.start < wanted.end && wanted.start < range.end;
            if self.node.unreadable.lock().iter().any(bad) {
                return Err(input_output_error());
            }
            Ok(content.read(buffer, position))
        })
    }

    fn write_all_at(&self, bytes: &[u8], position: u64) -> io::Result<()> {
        self.write(bytes, position)
    }

    fn write_all_vectored_at(&self, slices: &[IoSlice<'_>], position: u64) -> io::Result<()> {
        self.write(&slices.iter().flat_map(|slice| slice.iter().copied()).collect::<Vec<u8>>(), position)
    }

    fn len(&self) -> io::Result<u64> {
        self.call(Operation::Look, |_, content| Ok(content.len()))
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.call(Operation::Resize, |state, content| {
            self.touch(state);
            content.set_len(len);
            Ok(())
        })
    }

    fn reserve(&self, _position: u64, len: u64) -> io::Result<()> {
        self.call(Operation::Resize, |state, content| {
            let free = state.free_blocks(content.allocated(), &self.node);
            if len.div_ceil(BLOCK_BYTES as u64) > free { Err(no_space()) } else { Ok(()) }
        })
    }

    fn start_writeback(&self, _position: u64, _len: u64) -> io::Result<()> {
        self.call(Operation::Look, |_, _| Ok(()))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.sync()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.sync()
    }

    fn set_modified_ms(&self, modified_ms: i64) -> io::Result<()> {
        self.call(Operation::Resize, |_, _| {
            *self.node.modified_ms.lock() = modified_ms;
            Ok(())
        })
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}
