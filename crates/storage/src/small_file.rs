//! Small files that are read and replaced as a whole.
//!
//! Owns: replacing a file so that a crash leaves the old or the new content, never a mixture.
//! Does not own: what the content means.
//!
//! Invariants
//! - I1 the new name is visible only after its content is on stable storage;
//! - I2 [`replace`] returns only after the name itself is on stable storage.
//!
//! Source: requirement 2.1 of the storage fault model; Kafka names the temporary file `<name>.tmp`.

use std::io;
use std::path::{Path, PathBuf};

use ottla_env::disk::{Disk, OpenMode};
use ottla_mutant::mutant;

/// Largest file read as a whole. A checkpoint has about 270 bytes per partition at most, so this is
/// a million partitions; anything larger is not one of these files.
pub(crate) const SMALL_FILE_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// The whole content of a file, or `None` when there is no such file.
pub fn read(disk: &dyn Disk, path: &Path) -> io::Result<Option<Vec<u8>>> {
    let file = match disk.open(path, OpenMode::Read) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let len = file.len()?;
    if len > SMALL_FILE_BYTES_MAX {
        let text = format!("{} has {len} bytes, more than {SMALL_FILE_BYTES_MAX}", path.display());
        return Err(io::Error::new(io::ErrorKind::InvalidData, text));
    }
    let mut content = vec![0; usize::try_from(len).unwrap_or(0)];
    let got = file.read_at(&mut content, 0)?;
    content.truncate(got);
    Ok(Some(content))
}

/// Puts `content` in the place of the file, durably.
pub fn replace(disk: &dyn Disk, path: &Path, content: &[u8]) -> io::Result<()> {
    let temporary = temporary_path(path);
    let file = disk.open(&temporary, OpenMode::Truncate)?;
    file.write_all_at(content, 0)?;
    file.sync_all()?;
    disk.rename(&temporary, path)?;
    match path.parent() {
        Some(parent) if !mutant!(skip_sync_of_renames) => disk.sync_dir(parent),
        Some(_) | None => Ok(()),
    }
}

/// Removes a file; no error when it is not there.
pub(crate) fn remove(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    match disk.remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn temporary_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".tmp");
    PathBuf::from(name)
}
