//! The files of partitions, and the batches in them one behind the other.
//!
//! Owns: which files a path stands for, walking through one, the words for damage.
//! Does not own: where batches begin (`tools::dump_log`), what is shown of them.

use std::fs;
use std::path::{Path, PathBuf};

use ottla_env::disk::{Disk, OpenMode, RealDisk};
use ottla_protocol::record::Batch;

use super::super::refusal::Refusal;
use crate::tools::dump_log::batches::{BatchReader, RawBatch};

/// A file of batches.
pub struct LogFile {
    path: PathBuf,
}

/// A batch and where it stands.
pub struct Walk<'a> {
    pub position: u64,
    pub raw: &'a RawBatch,
    path: &'a Path,
}

impl Walk<'_> {
    /// The batch with its fields.
    pub fn batch(&self) -> Result<Batch<'_>, Refusal> {
        self.raw.parse().map_err(|error| self.damage(error))
    }

    /// Something is wrong with this batch.
    pub fn damage(&self, reason: impl std::fmt::Display) -> Refusal {
        damaged(self.path, self.position).detail(reason)
    }
}

/// A kind of files, by the endings of their names.
pub struct FileKind {
    /// What one is called.
    name: &'static str,
    endings: &'static [&'static str],
    /// Of those, what is taken of the directory of a partition.
    of_partition: &'static [&'static str],
    hint: &'static str,
}

pub const BATCHES: FileKind = FileKind {
    name: "file of batches",
    endings: &["log", "checkpoint"],
    of_partition: &["log"],
    hint: "Those of a log end with .log, snapshots of metadata with .checkpoint; `ottla log index` and `ottla log producers` \
           show the others",
};
pub const INDEXES: FileKind = FileKind {
    name: "index",
    endings: &["index", "timeindex", "txnindex"],
    of_partition: &["index", "timeindex", "txnindex"],
    hint: "Indexes end with .index, .timeindex or .txnindex",
};
pub const SNAPSHOTS: FileKind = FileKind {
    name: "snapshot of producers",
    endings: &["snapshot"],
    of_partition: &["snapshot"],
    hint: "Those end with .snapshot",
};

impl FileKind {
    /// The files that paths stand for: themselves, or those of a partition's directory in their order.
    pub fn files(&self, paths: &[PathBuf]) -> Result<Vec<PathBuf>, Refusal> {
        let mut files = Vec::new();
        for path in paths {
            let unreadable =
                |error| Refusal::failed(format!("{} cannot be read", path.display())).detail(error);
            if fs::metadata(path).map_err(unreadable)?.is_dir() {
                files.extend(self.of_directory(path)?);
                continue;
            }
            if !has_ending(path, self.endings) {
                return Err(Refusal::usage(format!("{} is no {}", path.display(), self.name)).hint(self.hint));
            }
            files.push(path.clone());
        }
        Ok(files)
    }

    fn of_directory(&self, directory: &Path) -> Result<Vec<PathBuf>, Refusal> {
        let failed = |error| Refusal::failed(format!("{} cannot be read", directory.display())).detail(error);
        let mut found = Vec::new();
        for entry in fs::read_dir(directory).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if has_ending(&path, self.of_partition) {
                found.push(path);
            }
        }
        if found.is_empty() {
            let ending = self.of_partition.join(" or .");
            return Err(Refusal::failed(format!("there is no .{ending} file in {}", directory.display()))
                .hint("A directory must be that of one partition, such as data/orders-0"));
        }
        found.sort();
        Ok(found)
    }
}

fn has_ending(path: &Path, endings: &[&str]) -> bool {
    path.extension().and_then(|ending| ending.to_str()).is_some_and(|ending| endings.contains(&ending))
}

/// The files of batches that paths stand for.
pub fn log_files(paths: &[PathBuf]) -> Result<Vec<LogFile>, Refusal> {
    Ok(BATCHES.files(paths)?.into_iter().map(|path| LogFile { path }).collect())
}

impl LogFile {
    /// The log beside another file of the same segment.
    pub fn beside(path: &Path) -> LogFile {
        LogFile { path: path.with_extension("log") }
    }

    /// The path as it was given.
    pub fn shown(&self) -> String {
        self.path.display().to_string()
    }

    /// Name of the file without directories.
    pub fn name(&self) -> String {
        self.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    }

    /// Name of the directory, which is that of the partition.
    pub fn directory(&self) -> String {
        let path = std::path::absolute(&self.path).unwrap_or_else(|_| self.path.clone());
        let directory = path.parent().and_then(Path::file_name);
        directory.map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    }

    pub fn bytes(&self) -> Option<u64> {
        fs::metadata(&self.path).ok().map(|meta| meta.len())
    }

    /// Endings of the other files of this segment.
    pub fn siblings(&self) -> Vec<&'static str> {
        let is_there = |ending: &&str| self.path.with_extension(ending).exists();
        ["index", "timeindex", "txnindex", "snapshot"].into_iter().filter(is_there).collect()
    }

    /// Shows each batch to `each`, until it answers `false` or fails.
    pub fn walk(&self, mut each: impl FnMut(&Walk<'_>) -> Result<bool, Refusal>) -> Result<(), Refusal> {
        let path = &self.path;
        let unreadable = |error| Refusal::failed(format!("{} cannot be read", path.display())).detail(error);
        let file = RealDisk.open(path, OpenMode::Read).map_err(unreadable)?;
        let mut position = 0;
        let failed = |position, reason: &str| damaged(path, position).detail(reason);
        let mut batches = BatchReader::new(file, path, (0, i32::MAX))
            .map_err(|failure| failed(position, failure.message()))?;
        while let Some(raw) = batches.next().map_err(|failure| failed(position, failure.message()))? {
            if !each(&Walk { position, raw: &raw, path })? {
                return Ok(());
            }
            position += u64::try_from(raw.size()).unwrap_or(0);
        }
        match batches.left() {
            0 => Ok(()),
            left => Err(damaged(path, position).detail(format_args!(
                "The last {left} bytes are no whole batch: it was cut off, or is being written right now"
            ))),
        }
    }
}

fn damaged(path: &Path, position: u64) -> Refusal {
    Refusal::failed(format!("{} is damaged at byte {position}", path.display()))
}
