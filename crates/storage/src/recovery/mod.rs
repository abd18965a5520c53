//! Opening a log: what its files say, and repairing what a crash left.
//!
//! Owns: which part of a log is read again after a crash, where it is cut, what counts as damage.
//! Does not own: the log that comes out (`log`), the checkpoints that go in (`log_dir`).
//!
//! After a clean stop only the end of the last segment is looked at. After a crash everything at or above the
//! recovery point is read and checked: sizes, checksums, offsets and leader epochs must continue the chain. The
//! first batch that does not is the torn end, and the log is cut there. Below the recovery point everything was
//! on stable storage once: what is wrong there is damage, which is reported and never cut away.
//!
//! Invariants
//! - I1 recovering twice gives what recovering once gives;
//! - I2 nothing below the recovery point is removed.
//!
//! Source: requirement LOG-04, OLD-01, IDM-09; reliability design 2.1.

mod rebuild;
mod replay;
mod sweep;
mod trusted;

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use ottla_env::disk::File;
use ottla_model::{LeaderEpoch, Offset, Timestamp, TopicId, TopicPartition};
use ottla_protocol::record::BatchError;

use crate::checkpoint::{self, CheckpointError};
use crate::config::LogConfig;
use crate::epochs::Epochs;
use crate::file_cache::{PartitionDirectory, SegmentFiles};
use crate::names::{FileKind, LEADER_EPOCH_FILE, SegmentFileName};
use crate::partition_metadata::PartitionMetadataError;
use crate::producers::{ProducerEntry, Producers, decode_snapshot};
use crate::scan::ScanError;
use crate::segment::{Active, Sealed};
use crate::small_file;

use rebuild::Rebuild;
use replay::Replay;

/// What is known of a log from elsewhere when it is opened.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    /// The data directory was left in order.
    pub clean: bool,
    /// From the recovery-point checkpoint; 0 when it says nothing.
    pub recovery_point: Offset,
    /// From the log-start checkpoint; 0 when it says nothing.
    pub log_start: Offset,
    pub now: Timestamp,
    /// `producer.id.expiration.ms`
    pub producer_expiration_ms: i64,
}

/// What opening a log found and did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Where the log was cut, and why.
    pub cut: Option<Cut>,
    /// Segments that were read again.
    pub segments_scanned: usize,
    /// Bytes that were read again.
    pub bytes_scanned: u64,
    /// Whether names in the directory changed.
    pub changed_disk: bool,
}

/// The torn end of a log that was removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Base offset of the segment.
    pub segment: Offset,
    pub position: u64,
    /// Bytes removed, those of later segments included.
    pub bytes: u64,
    pub reason: BadBatch,
}

/// Why something is not the next batch of a log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadBatch {
    #[error(transparent)]
    Form(#[from] BatchError),
    #[error("offsets {first} to {last} do not follow {expected}")]
    Offsets { first: Offset, last: Offset, expected: Offset },
    #[error("leader epoch {got} follows epoch {known}")]
    Epoch { got: LeaderEpoch, known: LeaderEpoch },
    #[error("offset {last} belongs into another segment")]
    TooFar { last: Offset },
    #[error("the segment begins at {base}, the one before ends at {expected}")]
    Gap { base: Offset, expected: Offset },
}

/// Why a log could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("cannot read or repair the log")]
    Disk(#[from] io::Error),
    #[error(
        "segment {segment} is damaged at byte {position}, below the recovery point {recovery_point}: {reason}"
    )]
    Damaged { segment: Offset, position: u64, recovery_point: Offset, reason: BadBatch },
    #[error("the log ends at {log_end}, but everything below {recovery_point} was on stable storage")]
    Short { log_end: Offset, recovery_point: Offset },
    #[error("the checkpoint says that the log begins at {log_start}, but it ends at {log_end}")]
    StartsBehindEnd { log_start: Offset, log_end: Offset },
    #[error("segment {segment} has an index and no records, below the recovery point {recovery_point}")]
    NoRecords { segment: Offset, recovery_point: Offset },
    #[error(
        "the files of a log that was not in use have changed: it began at {log_start} and ended at {log_end}, and begins at \
         {start} and ends at {end} now"
    )]
    Changed { log_start: Offset, log_end: Offset, start: Offset, end: Offset },
    #[error("the directory of a log that was not in use is of topic {own:?} now, and was of {topic}")]
    OtherTopic { own: Option<TopicId>, topic: TopicId },
    #[error(transparent)]
    Metadata(#[from] PartitionMetadataError),
    #[error(transparent)]
    Epochs(#[from] CheckpointError),
}

/// A closed segment that was read again.
#[derive(Debug)]
pub(crate) struct UnsealedSegment {
    pub(crate) base: Offset,
    pub(crate) end: Offset,
    /// Producer snapshot at its end.
    pub(crate) snapshot: Option<Vec<u8>>,
}

/// The parts of an opened log.
#[derive(Debug)]
pub(crate) struct Recovery {
    pub(crate) sealed: VecDeque<Arc<Sealed>>,
    pub(crate) active: Active,
    pub(crate) log_start: Offset,
    pub(crate) log_end: Offset,
    pub(crate) flushed: Offset,
    pub(crate) epochs: Epochs,
    pub(crate) producers: Producers,
    /// The snapshot the producer state was read from.
    pub(crate) read_snapshot: Option<Offset>,
    /// Index files that were cut: they must be durable before the recovery point moves.
    pub(crate) side_files: Vec<Arc<dyn File>>,
    /// Closed segments whose index files must be written.
    pub(crate) unsealed: Vec<UnsealedSegment>,
    pub(crate) report: Report,
}

/// What is opened.
#[derive(Clone, Copy)]
struct Place<'a> {
    directory: &'a Arc<PartitionDirectory>,
    partition: &'a TopicPartition,
    config: &'a LogConfig,
}

/// Opens what lies in a partition's directory.
pub(crate) fn recover(
    directory: &Arc<PartitionDirectory>,
    (partition, config): (&TopicPartition, &LogConfig),
    known: &Known,
) -> Result<Recovery, OpenError> {
    let found = sweep::sweep(directory, known.clean)?;
    refuse_lost_segment(&found, known)?;
    sweep::remove_orphans(directory, &found)?;
    // Epochs without records are dropped below, so of a log that was never written to the file says nothing.
    let epochs = match found.was_never_written() {
        true => Epochs::default(),
        false => {
            let path = directory.join(LEADER_EPOCH_FILE);
            Epochs::from_entries(checkpoint::read_epochs(directory.disk(), &path)?)
        }
    };
    let changed_disk = found.changed;
    let snapshots = found.snapshots.clone();
    if found.segments.is_empty() {
        let mut recovery = begin_at(directory, known.log_start, known)?;
        recovery.epochs = epochs;
        return finish(directory, recovery, known, (snapshots, changed_disk));
    }
    let first_base = found.segments.first_key_value().map_or(Offset::ZERO, |(base, _)| *base);
    let log_start = known.log_start.max(first_base);
    let place = Place { directory, partition, config };
    let recovery = Rebuild::new(place, (epochs, log_start), &found, known)?.run(&found)?;
    finish(directory, recovery, known, (snapshots, changed_disk))
}

/// An index without its segment is what a crash leaves of a segment that was removed, at either end of the log. In the
/// middle, below the recovery point, the segment was there once and is lost.
fn refuse_lost_segment(found: &sweep::Found, known: &Known) -> Result<(), OpenError> {
    let recovery_point = known.recovery_point;
    let first = found.segments.first_key_value().map(|(base, _)| *base);
    let is_lost =
        |base: &Offset| *base < recovery_point && (known.clean || first.is_some_and(|first| first < *base));
    match found.orphans.iter().map(|name| name.base).find(is_lost) {
        Some(segment) => Err(OpenError::NoRecords { segment, recovery_point }),
        None => Ok(()),
    }
}

/// A log without segments.
fn begin_at(
    directory: &Arc<PartitionDirectory>,
    start: Offset,
    known: &Known,
) -> Result<Recovery, OpenError> {
    if known.recovery_point > start {
        return Err(OpenError::Short { log_end: start, recovery_point: known.recovery_point });
    }
    let files = SegmentFiles::new(Arc::clone(directory), start);
    files.create()?;
    Ok(Recovery {
        sealed: VecDeque::new(),
        active: Active::new(files, known.now),
        log_start: start,
        log_end: start,
        flushed: start,
        epochs: Epochs::default(),
        producers: Producers::default(),
        read_snapshot: None,
        side_files: Vec::new(),
        unsealed: Vec::new(),
        report: Report { changed_disk: true, ..Report::default() },
    })
}

/// Brings what was found in accord with both ends of the log.
fn finish(
    directory: &Arc<PartitionDirectory>,
    mut recovery: Recovery,
    known: &Known,
    (snapshots, changed_disk): (Vec<Offset>, bool),
) -> Result<Recovery, OpenError> {
    if recovery.log_end < recovery.log_start && known.clean {
        // After a clean stop nothing was lost that could explain it: the checkpoint is wrong, and the records stay.
        return Err(OpenError::StartsBehindEnd { log_start: recovery.log_start, log_end: recovery.log_end });
    }
    if recovery.log_end < recovery.log_start {
        // Records were deleted up to an offset that was lost with the unflushed end: nothing is left.
        remove_all(&recovery)?;
        let report = recovery.report;
        recovery = Recovery { report, ..begin_at(directory, recovery.log_start, known)? };
        recovery.report.changed_disk = true;
    }
    recovery.epochs.truncate_from_end(recovery.log_end);
    recovery.epochs.truncate_from_start(recovery.log_start);
    recovery.report.changed_disk |= changed_disk;
    // What a crash left above the recovery point may be of a log that was cut and written anew.
    let end = if known.clean { recovery.log_end } else { known.recovery_point };
    remove_useless_snapshots(directory, &recovery, (snapshots, end))?;
    Ok(recovery)
}

fn remove_all(recovery: &Recovery) -> io::Result<()> {
    let sealed = recovery.sealed.iter().map(|segment| &segment.files);
    for files in sealed.chain(std::iter::once(&recovery.active.files)) {
        files.close();
        files.remove()?;
    }
    Ok(())
}

/// Snapshots are of use at the beginning of a segment; beside them the latest one, if it is not above `end`.
fn remove_useless_snapshots(
    directory: &Arc<PartitionDirectory>,
    recovery: &Recovery,
    (snapshots, end): (Vec<Offset>, Offset),
) -> io::Result<()> {
    let bases: Vec<Offset> = recovery.sealed.iter().map(|segment| segment.base()).collect();
    for at in snapshots {
        let at_segment = bases.contains(&at) || recovery.active.base() == at;
        let kept = at <= end && (at_segment || recovery.read_snapshot == Some(at));
        if !kept {
            small_file::remove(directory.disk(), &snapshot_path(directory, at))?;
        }
    }
    Ok(())
}

fn list_snapshots(directory: &Arc<PartitionDirectory>) -> io::Result<Vec<Offset>> {
    let entries = directory.disk().read_dir(&directory.path())?;
    let names = entries.iter().filter_map(|entry| SegmentFileName::parse(&entry.name));
    let live = |name: &SegmentFileName| *name == SegmentFileName::live(name.base, FileKind::Snapshot);
    Ok(names.filter(live).map(|name| name.base).collect())
}

fn snapshot_path(directory: &PartitionDirectory, at: Offset) -> std::path::PathBuf {
    directory.join(SegmentFileName::live(at, FileKind::Snapshot).to_string())
}

/// Producer state as of some offset.
pub(crate) struct ReplayedProducers {
    pub(crate) producers: Producers,
    pub(crate) snapshot: Option<Offset>,
}

/// Producer state at the end of `bounds`, from the latest usable snapshot and the batches behind it.
pub(crate) fn replay_producers(
    directory: &Arc<PartitionDirectory>,
    partition: &TopicPartition,
    (segments, bounds): (&[(Arc<SegmentFiles>, u64)], Range<Offset>),
    now: Timestamp,
) -> Result<ReplayedProducers, ScanError> {
    // Nobody expires here: the log runs, and expiry has its own time.
    let mut replay = Replay::load(directory, list_snapshots(directory)?, bounds.clone(), (now, i64::MAX))?;
    for (at, (files, size)) in segments.iter().enumerate() {
        let end = segments.get(at + 1).map_or(bounds.end, |(next, _)| next.base);
        if end > replay.from() {
            replay.walk(partition, files, *size)?;
        }
    }
    Ok(ReplayedProducers { snapshot: replay.snapshot(), producers: replay.into_producers() })
}

/// Reads a snapshot. One that is damaged counts as none.
fn read_snapshot(
    directory: &PartitionDirectory,
    at: Offset,
) -> io::Result<Option<Vec<(ottla_model::ProducerId, ProducerEntry)>>> {
    let content = small_file::read(directory.disk(), &snapshot_path(directory, at))?;
    let entries = content.and_then(|content| decode_snapshot(&content).ok());
    // One that knows of later batches was made at another place.
    let is_of_here = |entry: &ProducerEntry| entry.last_batch().is_none_or(|batch| batch.last_offset < at);
    Ok(entries.filter(|entries| entries.iter().all(|(_, entry)| is_of_here(entry))))
}
