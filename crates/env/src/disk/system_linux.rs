//! File calls that only Linux has.
//!
//! Owns: reads that must not wait for a device, reservation of space, early write-back, cache hints.
//! Does not own: their portable stand-ins (`system_portable`), which have the same functions.
//!
//! Source: Linux man pages preadv2(2), fallocate(2), sync_file_range(2), posix_fadvise(2), cachestat(2), syncfs(2).

use std::fs;
use std::io::{self, IoSliceMut};
use std::num::NonZeroU64;
use std::os::fd::AsRawFd;

use rustix::fs::{Advice, FallocateFlags};
use rustix::io::{Errno, ReadWriteFlags};

use super::File;

/// Number of `cachestat` (Linux 6.5), the same on every architecture.
const CACHESTAT: libc::c_long = 451;

pub(super) fn read_at_resident(
    whole: &dyn File,
    file: &fs::File,
    buffer: &mut [u8],
    position: u64,
) -> io::Result<usize> {
    let mut done = 0;
    while done < buffer.len() {
        let mut slices = [IoSliceMut::new(&mut buffer[done..])];
        match rustix::io::preadv2(file, &mut slices, position + done as u64, ReadWriteFlags::NOWAIT) {
            Ok(0) => break,
            Ok(got) => done += got,
            Err(Errno::INTR) => {}
            // The file system does not know the flag, so there is no way to ask: everything counts as resident.
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => return whole.read_at(buffer, position),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(done)
}

pub(super) fn is_resident(file: &fs::File, position: u64, len: u64) -> io::Result<bool> {
    if len == 0 {
        return Ok(true);
    }
    let page = page_bytes();
    let first = position / page;
    let pages = (position.saturating_add(len)).div_ceil(page) - first;
    match cached_pages(file, position, len) {
        // What is on its way counts as cached; it arrives in order.
        Ok(cached) => Ok(cached >= pages && probe(file, position + (len - 1))?),
        // Older kernels and strict sandboxes: two probes, which catch what a sequential reader meets.
        Err(_) => Ok(probe(file, position)? && probe(file, position + (len - 1))?),
    }
}

/// Bytes of one page of the page cache.
fn page_bytes() -> u64 {
    // SAFETY: takes a constant, returns a number, touches no memory of ours.
    #[allow(unsafe_code, reason = "rustix has the page size only behind a feature of its own")]
    let bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    u64::try_from(bytes).ok().filter(|bytes| *bytes > 0).unwrap_or(4096)
}

/// Pages of the range that are in the page cache.
fn cached_pages(file: &fs::File, position: u64, len: u64) -> io::Result<u64> {
    #[repr(C)]
    struct Range {
        offset: u64,
        len: u64,
    }
    #[repr(C)]
    #[derive(Default)]
    struct Stat {
        cached: u64,
        dirty: u64,
        writeback: u64,
        evicted: u64,
        recently_evicted: u64,
    }
    let range = Range { offset: position, len };
    let mut stat = Stat::default();
    let flags: libc::c_uint = 0;
    // SAFETY: the descriptor is open for the whole call because `file` is borrowed; `range` and `stat` have
    // the kernel's layout (two and five u64) and live on this stack frame; the kernel writes only `stat`.
    #[allow(unsafe_code, reason = "cachestat has no safe wrapper in rustix")]
    let status =
        unsafe { libc::syscall(CACHESTAT, file.as_raw_fd(), &raw const range, &raw mut stat, flags) };
    if status == 0 { Ok(stat.cached) } else { Err(io::Error::last_os_error()) }
}

/// Whether the byte at `position` can be read without waiting.
fn probe(file: &fs::File, position: u64) -> io::Result<bool> {
    let mut byte = [0];
    match rustix::io::preadv2(file, &mut [IoSliceMut::new(&mut byte)], position, ReadWriteFlags::NOWAIT) {
        Ok(_) | Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => Ok(true),
        Err(Errno::AGAIN) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Bytes of one hint: the system cuts larger ones off.
const EXPECTED_BYTES_MAX: u64 = 512 * 1024;

pub(super) fn expect(file: &fs::File, position: u64, len: u64) -> io::Result<()> {
    let mut done = 0;
    while let Some(piece) = NonZeroU64::new((len - done).min(EXPECTED_BYTES_MAX)) {
        rustix::fs::fadvise(file, position.saturating_add(done), Some(piece), Advice::WillNeed)?;
        done += piece.get();
    }
    Ok(())
}

pub(super) fn forget_cached(file: &fs::File, position: u64, len: u64) -> io::Result<()> {
    let Some(len) = NonZeroU64::new(len) else { return Ok(()) };
    Ok(rustix::fs::fadvise(file, position, Some(len), Advice::DontNeed)?)
}

pub(super) fn reserve(file: &fs::File, position: u64, len: u64) -> io::Result<()> {
    if len == 0 {
        return Ok(());
    }
    match rustix::fs::fallocate(file, FallocateFlags::KEEP_SIZE, position, len) {
        Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Since Linux 5.8 an error of writing back any file that nobody was told of yet is told here.
pub(super) fn sync_file_system(file: &fs::File) -> io::Result<()> {
    Ok(rustix::fs::syncfs(file)?)
}

pub(super) fn start_writeback(file: &fs::File, position: u64, len: u64) -> io::Result<()> {
    let out_of_range = |_| io::Error::from(io::ErrorKind::InvalidInput);
    let position = libc::off64_t::try_from(position).map_err(out_of_range)?;
    let len = libc::off64_t::try_from(len).map_err(out_of_range)?;
    // SAFETY: takes no pointers; the descriptor is open for the whole call because `file` is borrowed.
    #[allow(unsafe_code, reason = "sync_file_range has no safe wrapper in rustix")]
    let status =
        unsafe { libc::sync_file_range(file.as_raw_fd(), position, len, libc::SYNC_FILE_RANGE_WRITE) };
    if status == 0 {
        return Ok(());
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        // It is a hint, and some file systems do not take it.
        Some(libc::ENOSYS | libc::EOPNOTSUPP | libc::EINVAL | libc::ESPIPE) => Ok(()),
        _ => Err(error),
    }
}
