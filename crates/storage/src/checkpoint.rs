//! Checkpoint files: one offset per partition of a data directory, or one per leader epoch of a partition.
//!
//! Owns: the text form, reading and replacing the files.
//! Does not own: when they are written, which offsets may stand in them.
//!
//! | line | content |
//! |---|---|
//! | 1 | version, `0` |
//! | 2 | number of the lines that follow |
//! | rest | `topic partition offset`, or `epoch offset` |
//!
//! An empty file means "no entries": Kafka makes it so before the first write.
//!
//! Source: requirement 8.1; files that Kafka 4.3.1 wrote (`tests/data/hex-node-files.txt`).

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use ottla_env::disk::Disk;
use ottla_model::{LeaderEpoch, Offset, PartitionIndex, TopicName, TopicPartition};
use ottla_mutant::mutant;

use crate::epochs::EpochStart;
use crate::small_file;

const VERSION: &str = "0";

/// Why a checkpoint file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    #[error("cannot access {}", path.display())]
    Disk { path: PathBuf, source: io::Error },
    #[error("{} is no checkpoint file: line {line}: {reason}", path.display())]
    Malformed { path: PathBuf, line: usize, reason: String },
}

impl CheckpointError {
    /// Whether only space was missing: the file of before stands, and can be replaced once there is room.
    pub fn is_no_space(&self) -> bool {
        match self {
            CheckpointError::Disk { source, .. } => no_space(source),
            CheckpointError::Malformed { .. } => false,
        }
    }
}

impl From<CheckpointError> for io::Error {
    /// One line for the log of a node: the file and what the system said of it.
    fn from(error: CheckpointError) -> io::Error {
        match &error {
            CheckpointError::Disk { source, .. } => {
                io::Error::new(source.kind(), format!("{error}: {source}"))
            }
            CheckpointError::Malformed { .. } => io::Error::new(io::ErrorKind::InvalidData, error),
        }
    }
}

/// Whether an operation failed because the disk, a quota or a file is full. A flush never does: what it could not write is
/// gone (`ottla_env::disk`).
pub fn no_space(error: &io::Error) -> bool {
    let full = [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded, io::ErrorKind::FileTooLarge];
    full.contains(&error.kind())
}

/// Offsets of partitions, by partition.
pub type PartitionOffsets = BTreeMap<TopicPartition, Offset>;

/// Reads a file of offsets by partition. A missing file has no entries.
pub fn read_offsets(disk: &dyn Disk, path: &Path) -> Result<PartitionOffsets, CheckpointError> {
    let entries = read_lines(disk, path, |line| {
        let mut words = line.split(' ');
        let topic = TopicName::new(words.next()?).ok()?;
        let partition = PartitionIndex::new(words.next()?.parse().ok()?)?;
        let offset = Offset::new(words.next()?.parse().ok()?)?;
        words.next().is_none().then(|| (TopicPartition::new(topic, partition), offset))
    })?;
    Ok(entries.into_iter().collect())
}

/// Replaces a file of offsets by partition, durably.
pub fn write_offsets<'a>(
    disk: &dyn Disk,
    path: &Path,
    entries: impl IntoIterator<Item = (&'a TopicPartition, Offset)>,
) -> Result<(), CheckpointError> {
    let mut lines = String::new();
    let mut count = 0;
    for (partition, offset) in entries {
        count += 1;
        lines.push_str(&format!("{} {} {offset}\n", partition.topic, partition.partition));
    }
    write_lines(disk, path, count, &lines)
}

/// Reads a partition's leader epochs, in the order of the file.
pub(crate) fn read_epochs(disk: &dyn Disk, path: &Path) -> Result<Vec<EpochStart>, CheckpointError> {
    read_lines(disk, path, |line| {
        let (epoch, start) = line.split_once(' ')?;
        let epoch = LeaderEpoch::new(epoch.parse().ok()?)?;
        let start = Offset::new(start.parse().ok()?)?;
        Some(EpochStart { epoch, start })
    })
}

/// The content of a file of leader epochs.
pub(crate) fn epochs_text(entries: &[EpochStart]) -> String {
    let mut text = format!("{VERSION}\n{}\n", entries.len());
    for entry in entries {
        text.push_str(&format!("{} {}\n", entry.epoch, entry.start));
    }
    text
}

fn write_lines(disk: &dyn Disk, path: &Path, count: usize, lines: &str) -> Result<(), CheckpointError> {
    let text = format!("{VERSION}\n{count}\n{lines}");
    small_file::replace(disk, path, text.as_bytes())
        .map_err(|source| CheckpointError::Disk { path: path.to_owned(), source })
}

fn read_lines<T>(
    disk: &dyn Disk,
    path: &Path,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<Vec<T>, CheckpointError> {
    let content = small_file::read(disk, path)
        .map_err(|source| CheckpointError::Disk { path: path.to_owned(), source })?;
    let malformed = |line, reason: String| CheckpointError::Malformed { path: path.to_owned(), line, reason };
    let Some(content) = content.filter(|content| !content.is_empty()) else { return Ok(Vec::new()) };
    let text = String::from_utf8(content).map_err(|_| malformed(1, "not UTF-8".to_owned()))?;
    let mut lines = text.lines();
    match lines.next() {
        Some(VERSION) => {}
        other => {
            let got = other.unwrap_or_default();
            return Err(malformed(1, format!("version is '{got}', only '{VERSION}' is known")));
        }
    }
    let stated = lines.next().unwrap_or_default();
    let stated: usize =
        stated.parse().map_err(|_| malformed(2, format!("'{stated}' is not a number of entries")))?;
    let mut entries = Vec::new();
    for (at, line) in lines.enumerate() {
        let entry = parse(line).ok_or_else(|| malformed(at + 3, format!("'{line}' is not an entry")))?;
        entries.push(entry);
    }
    if entries.len() != stated && !mutant!(skip_checkpoint_count) {
        return Err(malformed(2, format!("{stated} entries are stated, {} follow", entries.len())));
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(kind: io::ErrorKind) -> CheckpointError {
        CheckpointError::Disk { path: PathBuf::from("/d/replication-offset-checkpoint"), source: kind.into() }
    }

    /// C4
    #[test]
    fn a_file_that_found_no_space_can_be_written_later_and_no_other() {
        assert!(failed(io::ErrorKind::StorageFull).is_no_space());
        assert!(failed(io::ErrorKind::QuotaExceeded).is_no_space());
        assert!(!failed(io::ErrorKind::Other).is_no_space());
        let malformed = CheckpointError::Malformed { path: PathBuf::new(), line: 1, reason: "x".to_owned() };
        assert!(!malformed.is_no_space());
    }

    #[test]
    fn a_failure_says_which_file_and_why_in_one_line() {
        let error = io::Error::from(failed(io::ErrorKind::StorageFull));
        assert_eq!(error.to_string(), "cannot access /d/replication-offset-checkpoint: no storage space");
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }
}
