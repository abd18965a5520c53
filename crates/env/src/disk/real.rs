//! The file system of the machine.
//!
//! Owns: `RealDisk` and its files: which system call stands behind each method of the traits.
//! Does not own: paths, formats, the cache of descriptors, what an error means to the log.
//!
//! Invariants
//! - I1 a file is read and written at absolute positions only; the descriptor's cursor is never used;
//! - I2 a partial read or write by the kernel is continued, so callers see whole ones;
//! - I3 a failed sync is reported, never retried.
//!
//! Errors are the system's, unchanged (`raw_os_error` is kept): the caller knows the path and the purpose.

use std::fs;
use std::io::{self, ErrorKind, IoSlice};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{DirEntry, Disk, File, FileMeta, LockGuard, OpenMode, Space, lock, system};

/// Most slices one `pwritev` takes: `IOV_MAX` of Linux and macOS.
const SLICES_MAX: usize = 1024;

/// The file system of the machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

impl Disk for RealDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        let mut options = fs::OpenOptions::new();
        options.read(true);
        match mode {
            OpenMode::Read => &mut options,
            OpenMode::Write => options.write(true),
            OpenMode::Create => options.write(true).create(true),
            OpenMode::CreateNew => options.write(true).create_new(true),
            OpenMode::Truncate => options.write(true).create(true).truncate(true),
        };
        Ok(Arc::new(RealFile { file: options.open(path)? }))
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            let kind = entry.file_type()?;
            let is_dir = match kind.is_dir() || kind.is_file() {
                true => kind.is_dir(),
                // Follows symbolic links, so that a linked directory counts as one. An entry that was removed
                // meanwhile is left out.
                false => match fs::metadata(entry.path()) {
                    Ok(meta) => meta.is_dir(),
                    Err(error) if error.kind() == ErrorKind::NotFound => continue,
                    Err(error) => return Err(error),
                },
            };
            entries.push(DirEntry { name, is_dir });
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    fn metadata(&self, path: &Path) -> io::Result<FileMeta> {
        let meta = fs::metadata(path)?;
        Ok(FileMeta { len: meta.len(), modified_ms: millis_of(meta.modified()?) })
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        fs::exists(path)
    }

    fn is_dir(&self, path: &Path) -> io::Result<bool> {
        match fs::metadata(path) {
            Ok(meta) => Ok(meta.is_dir()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        fs::create_dir_all(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir_all(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        fs::OpenOptions::new().read(true).custom_flags(libc::O_DIRECTORY).open(path)?.sync_all()
    }

    fn sync_file_system(&self, path: &Path) -> io::Result<()> {
        system::sync_file_system(&fs::File::open(path)?).map_err(lost)
    }

    fn try_lock(&self, path: &Path) -> io::Result<Option<LockGuard>> {
        lock::try_lock(path)
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        let found = rustix::fs::statvfs(path)?;
        Ok(Space {
            total: found.f_blocks.saturating_mul(found.f_frsize),
            usable: found.f_bavail.saturating_mul(found.f_frsize),
        })
    }

    fn canonicalize(&self, path: &Path) -> io::Result<PathBuf> {
        fs::canonicalize(path)
    }
}

/// An open file of the machine's file system.
#[derive(Debug)]
struct RealFile {
    file: fs::File,
}

impl File for RealFile {
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        let mut done = 0;
        while done < buffer.len() {
            match self.file.read_at(&mut buffer[done..], position + done as u64) {
                Ok(0) => break,
                Ok(got) => done += got,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    fn read_at_resident(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        system::read_at_resident(self, &self.file, buffer, position)
    }

    fn is_resident(&self, position: u64, len: u64) -> io::Result<bool> {
        system::is_resident(&self.file, position, len)
    }

    fn expect(&self, position: u64, len: u64) -> io::Result<()> {
        system::expect(&self.file, position, len)
    }

    fn forget_cached(&self, position: u64, len: u64) -> io::Result<()> {
        system::forget_cached(&self.file, position, len)
    }

    fn write_all_at(&self, bytes: &[u8], position: u64) -> io::Result<()> {
        self.file.write_all_at(bytes, position)
    }

    fn write_all_vectored_at(&self, slices: &[IoSlice<'_>], position: u64) -> io::Result<()> {
        let mut rest = slices;
        let mut position = position;
        while !rest.is_empty() {
            let taken = rest.len().min(SLICES_MAX);
            let wanted: usize = rest[..taken].iter().map(|slice| slice.len()).sum();
            let written = match rustix::io::pwritev(&self.file, &rest[..taken], position) {
                Ok(0) if wanted > 0 => return Err(ErrorKind::WriteZero.into()),
                Ok(written) => written,
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            };
            position += written as u64;
            rest = if written == wanted {
                &rest[taken..]
            } else {
                let (next, end) = self.finish_slice(rest, written, position)?;
                position = end;
                next
            };
        }
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn reserve(&self, position: u64, len: u64) -> io::Result<()> {
        system::reserve(&self.file, position, len)
    }

    fn start_writeback(&self, position: u64, len: u64) -> io::Result<()> {
        system::start_writeback(&self.file, position, len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data().map_err(lost)
    }

    fn sync_all(&self) -> io::Result<()> {
        self.file.sync_all().map_err(lost)
    }

    fn set_modified_ms(&self, modified_ms: i64) -> io::Result<()> {
        self.file.set_modified(time_of(modified_ms))
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.file.as_fd())
    }
}

/// The error of a flush. One that found no space has lost what it should have kept: unlike a write that found none, it
/// must not be taken for something that works later.
fn lost(error: io::Error) -> io::Error {
    if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
        return io::Error::other(format!("no space was left for what was to be flushed: {error}"));
    }
    error
}

impl RealFile {
    /// After a partial vectored write of `written` bytes that ended at `position`: completes the slice
    /// it ended in. Returns the untouched slices and the position behind the completed one.
    fn finish_slice<'a, 'b>(
        &self,
        slices: &'a [IoSlice<'b>],
        written: usize,
        position: u64,
    ) -> io::Result<(&'a [IoSlice<'b>], u64)> {
        let mut left = written;
        for (at, slice) in slices.iter().enumerate() {
            if left < slice.len() {
                let tail = &slice[left..];
                self.file.write_all_at(tail, position)?;
                return Ok((&slices[at + 1..], position + tail.len() as u64));
            }
            left -= slice.len();
        }
        Ok((&[], position))
    }
}

/// Milliseconds since 1970, rounded down as Java does for times before it too.
fn millis_of(time: SystemTime) -> i64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_millis()).unwrap_or(i64::MAX),
        Err(before) => {
            let nanos = before.duration().as_nanos();
            i64::try_from(nanos.div_ceil(1_000_000)).map_or(i64::MIN, |millis| -millis)
        }
    }
}

fn time_of(millis: i64) -> SystemTime {
    let distance = Duration::from_millis(millis.unsigned_abs());
    if millis < 0 { UNIX_EPOCH - distance } else { UNIX_EPOCH + distance }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn milliseconds_before_1970_round_down() {
        assert_eq!(millis_of(UNIX_EPOCH - Duration::from_micros(1)), -1);
        assert_eq!(millis_of(UNIX_EPOCH - Duration::from_millis(7)), -7);
        assert_eq!(millis_of(UNIX_EPOCH + Duration::from_micros(1_999)), 1);
        assert_eq!(millis_of(time_of(-5)), -5);
    }

    #[test]
    fn a_write_the_kernel_cut_short_is_completed_at_the_slice_it_ended_in() {
        let dir = std::env::temp_dir().join(format!("ottla-real-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let path = dir.join("partial");
        let file =
            fs::File::options().read(true).write(true).create(true).truncate(true).open(&path).unwrap();
        let file = RealFile { file };
        let slices = [IoSlice::new(b"ab"), IoSlice::new(b""), IoSlice::new(b"cdef"), IoSlice::new(b"gh")];
        file.write_all_at(b"abc", 10).unwrap();

        let (rest, position) = file.finish_slice(&slices, 3, 13).unwrap();

        assert_eq!((rest.len(), position), (1, 16));
        let mut got = [0; 6];
        assert_eq!(file.read_at(&mut got, 10).unwrap(), 6);
        assert_eq!(&got, b"abcdef");
        fs::remove_dir_all(&dir).unwrap();
    }
}
