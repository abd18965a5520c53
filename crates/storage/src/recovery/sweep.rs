//! The files of a partition's directory when it is opened, and what a crash left among them.
//!
//! Owns: removing what was to be deleted or was never finished, finishing what was complete.
//! Does not own: the content of segments.
//!
//! | ending | what is done |
//! |---|---|
//! | `.deleted`, `.tmp` | removed; before it what of the segment has not got the ending |
//! | `.cleaned` | removed; and with it every `.swap` at or above the lowest of them, for a segment that was being split was not complete |
//! | `.swap` | replaces the segments whose offsets it covers, and is renamed |
//! | an index without its segment | removed |
//!
//! Source: requirement LOG-04; KAFKA-6264.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

use ottla_env::disk::OpenMode;
use ottla_model::Offset;

use crate::file_cache::PartitionDirectory;
use crate::names::{FileKind, FileStage, SegmentFileName};
use crate::scan::{ScanError, Scanner, Waiting};

/// A segment as its files show it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct FoundSegment {
    pub(super) size: u64,
    /// Lengths of the index files; `None` where there is none.
    pub(super) offset_index: Option<u64>,
    pub(super) time_index: Option<u64>,
    pub(super) has_txn_index: bool,
}

/// What lies in a partition's directory.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) segments: BTreeMap<Offset, FoundSegment>,
    /// Offsets of the producer snapshots, in order.
    pub(super) snapshots: Vec<Offset>,
    /// Indexes without their segment.
    pub(super) orphans: Vec<SegmentFileName>,
    /// Whether files were removed or renamed.
    pub(super) changed: bool,
}

impl Found {
    /// Whether no segment but the first was ever begun, and nothing is in that one.
    pub(super) fn was_never_written(&self) -> bool {
        let mut segments = self.segments.iter();
        let first_is_empty =
            segments.next().is_some_and(|(base, first)| *base == Offset::ZERO && first.size == 0);
        first_is_empty && segments.next().is_none()
    }
}

/// Puts a directory in order and lists it. After a `clean` stop the indexes of an empty segment count as empty without a
/// look: none of their entries could be used.
pub(super) fn sweep(directory: &Arc<PartitionDirectory>, clean: bool) -> io::Result<Found> {
    let mut sweep = Sweep { directory, changed: false, clean };
    let mut names = sweep.names()?;
    if names.iter().any(|name| name.stage != FileStage::Live) {
        sweep.remove_leftovers(names)?;
        sweep.finish_swaps()?;
        names = sweep.names()?;
    }
    sweep.sort(names)
}

/// Removes the indexes without their segment.
pub(super) fn remove_orphans(directory: &Arc<PartitionDirectory>, found: &Found) -> io::Result<()> {
    let paths = found.orphans.iter().map(|name| directory.join(name.to_string()));
    paths.into_iter().try_for_each(|path| crate::small_file::remove(directory.disk(), &path))
}

struct Sweep<'a> {
    directory: &'a Arc<PartitionDirectory>,
    changed: bool,
    clean: bool,
}

impl Sweep<'_> {
    fn names(&self) -> io::Result<Vec<SegmentFileName>> {
        let entries = self.directory.disk().read_dir(&self.directory.path())?;
        let files = entries.into_iter().filter(|entry| !entry.is_dir);
        Ok(files.filter_map(|entry| SegmentFileName::parse(&entry.name)).collect())
    }

    /// The length of a file that was listed; `None` where it is gone.
    fn len_of(&self, name: SegmentFileName) -> io::Result<Option<u64>> {
        match self.directory.disk().metadata(&self.directory.join(name.to_string())) {
            Ok(meta) => Ok(Some(meta.len)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn remove(&mut self, name: SegmentFileName) -> io::Result<()> {
        self.changed = true;
        crate::small_file::remove(self.directory.disk(), &self.directory.join(name.to_string()))
    }

    fn remove_leftovers(&mut self, names: Vec<SegmentFileName>) -> io::Result<()> {
        self.remove_rest_of_deleted(&names)?;
        let cleaned = names.iter().filter(|name| name.stage == FileStage::Cleaned);
        let first_cleaned = cleaned.map(|name| name.base).min();
        for name in names {
            let unfinished =
                name.stage == FileStage::Swap && first_cleaned.is_some_and(|first| name.base >= first);
            if unfinished || matches!(name.stage, FileStage::Deleted | FileStage::Cleaned) {
                self.remove(name)?;
            }
        }
        Ok(())
    }

    /// Of a segment that was taken out of use the log is renamed first, and a crash may leave its indexes as they were.
    /// They go before it, durably: an index without a trace of its log would look like one that was lost.
    fn remove_rest_of_deleted(&mut self, names: &[SegmentFileName]) -> io::Result<()> {
        let logs = |stage| -> BTreeSet<Offset> {
            let logs = names.iter().filter(|name| name.kind == FileKind::Log && name.stage == stage);
            logs.map(|name| name.base).collect()
        };
        let (deleted, live) = (logs(FileStage::Deleted), logs(FileStage::Live));
        let is_rest = |name: &&SegmentFileName| {
            let is_index = !matches!(name.kind, FileKind::Log | FileKind::Snapshot);
            let is_deleted = deleted.contains(&name.base) && !live.contains(&name.base);
            is_index && name.stage == FileStage::Live && is_deleted
        };
        let rest: Vec<SegmentFileName> = names.iter().filter(is_rest).copied().collect();
        if rest.is_empty() {
            return Ok(());
        }
        rest.into_iter().try_for_each(|name| self.remove(name))?;
        self.directory.disk().sync_dir(&self.directory.path())
    }

    fn finish_swaps(&mut self) -> io::Result<()> {
        let names = self.names()?;
        let swaps: Vec<SegmentFileName> =
            names.iter().copied().filter(|name| name.stage == FileStage::Swap).collect();
        let mut covered: Option<(Offset, Offset)> = None;
        for name in swaps.iter().copied().filter(|name| name.kind == FileKind::Log) {
            // One that is empty replaces at least the segment of its name.
            let end = self.end_of(name)?.max(name.base.next());
            let (first, last) = covered.unwrap_or((name.base, end));
            covered = Some((first.min(name.base), last.max(end)));
        }
        if let Some((first, end)) = covered {
            let replaced = |name: &SegmentFileName| {
                let at_segment = name.kind != FileKind::Snapshot && name.stage == FileStage::Live;
                at_segment && name.base >= first && name.base < end
            };
            for name in names.into_iter().filter(replaced) {
                self.remove(name)?;
            }
        }
        for name in swaps {
            let live = SegmentFileName { stage: FileStage::Live, ..name };
            let (from, to) = (self.directory.join(name.to_string()), self.directory.join(live.to_string()));
            self.directory.disk().rename(&from, &to)?;
            self.changed = true;
        }
        Ok(())
    }

    /// The offset behind the last batch of a file.
    fn end_of(&self, name: SegmentFileName) -> io::Result<Offset> {
        let file = self.directory.disk().open(&self.directory.join(name.to_string()), OpenMode::Read)?;
        let len = file.len()?;
        let mut walk = Scanner::new(file, 0..len, Waiting::Allowed);
        let mut end = name.base;
        loop {
            match walk.next() {
                Ok(Some(batch)) => end = batch.last_offset.next(),
                Ok(None) | Err(ScanError::Bad { .. }) => return Ok(end),
                Err(ScanError::Disk(error)) => return Err(error),
            }
        }
    }

    fn sort(self, names: Vec<SegmentFileName>) -> io::Result<Found> {
        let mut found = Found::default();
        for name in names.iter().filter(|name| name.stage == FileStage::Live) {
            match name.kind {
                FileKind::Log => {
                    if let Some(size) = self.len_of(*name)? {
                        let segment = FoundSegment { size, ..FoundSegment::default() };
                        found.segments.insert(name.base, segment);
                    }
                }
                FileKind::Snapshot => found.snapshots.push(name.base),
                FileKind::OffsetIndex | FileKind::TimeIndex | FileKind::TxnIndex => {}
            }
        }
        for name in names {
            let segment = found.segments.get_mut(&name.base);
            let is_blank = self.clean && segment.as_ref().is_some_and(|segment| segment.size == 0);
            let len = || if is_blank { Ok(Some(0)) } else { self.len_of(name) };
            match (name.kind, segment) {
                (FileKind::Log | FileKind::Snapshot, _) => {}
                (FileKind::TxnIndex, Some(segment)) => segment.has_txn_index = true,
                (FileKind::OffsetIndex, Some(segment)) => segment.offset_index = len()?,
                (FileKind::TimeIndex, Some(segment)) => segment.time_index = len()?,
                (FileKind::OffsetIndex | FileKind::TimeIndex | FileKind::TxnIndex, None) => {
                    found.orphans.push(name);
                }
            }
        }
        found.snapshots.sort_unstable();
        found.changed = self.changed || !found.orphans.is_empty();
        Ok(found)
    }
}
