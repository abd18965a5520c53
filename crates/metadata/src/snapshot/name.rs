//! The name of a snapshot.
//!
//! Owns: `SnapshotId` and the file name it has.
//! Does not own: the content (`write`), the directory (the server).
//!
//! Source: KIP-630; Kafka 4.3.1's `__cluster_metadata-0`.

use std::fmt;

use ottla_model::{LeaderEpoch, Offset};

/// Which part of the log a snapshot stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SnapshotId {
    /// The position behind the last record it stands for.
    pub end: Offset,
    /// Epoch of that record.
    pub epoch: LeaderEpoch,
}

const SUFFIX: &str = ".checkpoint";
const END_DIGITS: usize = 20;
const EPOCH_DIGITS: usize = 10;

impl SnapshotId {
    /// The snapshot that a formatted node begins with: it stands for nothing of the log.
    pub const BOOTSTRAP: SnapshotId = SnapshotId { end: Offset::ZERO, epoch: LeaderEpoch::ZERO };

    /// The name of the file.
    pub fn file_name(self) -> String {
        format!("{self}{SUFFIX}")
    }

    /// The id in a file name; `None` for the name of another file, also of an unfinished snapshot.
    pub fn from_file_name(name: &str) -> Option<SnapshotId> {
        let (end, epoch) = name.strip_suffix(SUFFIX)?.split_once('-')?;
        let digits =
            |text: &str, count| text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(end, END_DIGITS) || !digits(epoch, EPOCH_DIGITS) {
            return None;
        }
        Some(SnapshotId {
            end: Offset::new(end.parse().ok()?)?,
            epoch: LeaderEpoch::new(epoch.parse().ok()?)?,
        })
    }
}

impl fmt::Display for SnapshotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:020}-{:010}", self.end.value(), self.epoch.value())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// KRF-07
    #[test]
    fn a_snapshot_is_named_by_its_end_and_epoch() {
        let id = SnapshotId { end: Offset::new(72).unwrap(), epoch: LeaderEpoch::new(2).unwrap() };
        assert_eq!(id.file_name(), "00000000000000000072-0000000002.checkpoint");
        assert_eq!(SnapshotId::from_file_name(&id.file_name()), Some(id));
        assert_eq!(SnapshotId::BOOTSTRAP.file_name(), "00000000000000000000-0000000000.checkpoint");
    }

    #[test]
    fn other_files_are_no_snapshots() {
        let names = [
            "00000000000000000072-0000000002.checkpoint.part",
            "00000000000000000072-0000000002.checkpoint.deleted",
            "00000000000000000072.snapshot",
            "72-2.checkpoint",
            "0000000000000000007a-0000000002.checkpoint",
            "99999999999999999999-0000000002.checkpoint",
            "00000000000000000072-9999999999.checkpoint",
            "leader-epoch-checkpoint",
            "bootstrap.checkpoint",
        ];
        for name in names {
            assert_eq!(SnapshotId::from_file_name(name), None, "{name}");
        }
    }
}
