//! One partition's log: batches in segments, from the log start to the log end.
//!
//! Owns: the order of offsets, the segments, leader epochs and producer state that belong to them.
//! Does not own: the high watermark and who leads (`replication`), requests, threads, the lock around it.
//!
//! # How it is used
//!
//! The owner keeps a `Log` behind a lock. Everything here is short: appends write to the page cache, lookups
//! stay in memory or read a page. What takes long is handed out as a value, done without the lock, and handed
//! back:
//!
//! | value | made by | done by | handed back to |
//! |---|---|---|---|
//! | [`ReadPlan`] | [`Log::plan_read`] | `resolve()` → [`LogSlice`]s for `pread` or `sendfile` | – |
//! | [`TimestampSearch`] | [`Log::plan_timestamp_search`] | `resolve()` | – |
//! | [`FlushJob`] | [`Log::flush_job`] | `run()` on the flusher's thread | [`Log::on_flushed`] |
//! | [`SealJob`](crate::SealJob) | [`Log::seal_job`] | `run()` on the janitor's thread | [`Log::on_sealed`] |
//! | [`ReserveJob`] | [`Log::reserve_job`] | `run()` on the janitor's thread | – |
//! | [`CompactionScope`](crate::CompactionScope) | [`Log::compaction_scope`] | a pass on the janitor's side | [`Log::replace`] |
//! | [`SwapJob`] | [`Log::replace`] | `run()` | [`Log::on_replaced`] |
//! | [`RemovedFiles`] | [`Log::apply_retention`], truncations | `remove()` after `file.delete.delay.ms` | – |
//!
//! An `io::Error` from any of them means that the data directory has failed; a full disk is told apart
//! ([`AppendError::NoSpace`]): the log stays as it was and can still be read.
//!
//! Invariants
//! - I1 log start <= flushed <= log end, and recovery point <= flushed;
//! - I2 segments follow each other: each one's end is the next one's base offset;
//! - I3 the files hold what the log says before the log says it.
//!
//! Source: requirements LOG-01…05, IDM-09, FET-12, FET-32; performance design 4.2, 4.3, 4.8, 4.10.

mod append;
mod compact;
mod flush;
mod lookup;
mod part;
pub(crate) mod producers;
mod read;
mod rest;
mod retention;
mod truncate;

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ottla_env::disk::OpenMode;
use ottla_model::{LeaderEpoch, Offset, Timestamp, TopicId, TopicPartition, Uuid};
use ottla_mutant::mutant;

pub use append::{AppendError, Appended, FollowerAppend, LeaderAppend, LeaderAppended};
pub use flush::{FlushJob, ReserveJob};
pub use lookup::{FoundTimestamp, LookupError, TimestampSearch};
pub use read::{LogRead, LogSlice, ReadError, ReadLimits, ReadPlan};
pub use rest::{KeptLog, RestingLog};
pub use retention::{RemovedFiles, Retention};
pub use truncate::CheckpointedAt;

use crate::compaction::SwapJob;
use crate::config::LogConfig;
use crate::epochs::{EpochEnd, EpochStart, Epochs};
use crate::file_cache::{FileCache, PartitionDirectory, SegmentFiles};
use crate::names::{
    DirectoryStage, FileKind, LEADER_EPOCH_FILE, PARTITION_METADATA_FILE, SegmentFileName,
    staged_directory_name,
};
use crate::partition_metadata::PartitionMetadataError;
use crate::producers::Producers;
use crate::recovery::{self, Known, OpenError, Recovery, UnsealedSegment};
use crate::seal::{Gate, SnapshotFile};
use crate::segment::{Active, Sealed};
use crate::{checkpoint, partition_metadata, small_file};

/// Where a log is, and how it behaves.
#[derive(Clone, Debug)]
pub struct LogPlace {
    pub partition: TopicPartition,
    /// The partition's own directory.
    pub directory: PathBuf,
    pub files: Arc<FileCache>,
    pub config: Arc<LogConfig>,
}

/// One partition's log on disk.
#[derive(Debug)]
pub struct Log {
    partition: TopicPartition,
    topic_id: Option<TopicId>,
    directory: Arc<PartitionDirectory>,
    config: Arc<LogConfig>,
    /// Oldest first.
    sealed: VecDeque<Arc<Sealed>>,
    active: Active,
    log_start: Offset,
    log_end: Offset,
    epochs: Epochs,
    producers: Producers,
    /// Offset of the latest producer snapshot.
    latest_snapshot: Option<Offset>,
    flush: flush::FlushState,
    /// Segments whose [`SealJob`](crate::SealJob) was not handed back yet, oldest first.
    unsealed: Vec<Unsealed>,
    /// Names of a compacted segment that are being put in place.
    swap: Option<Arc<SwapJob>>,
}

/// A closed segment whose indexes are not in their files.
#[derive(Debug)]
struct Unsealed {
    base: Offset,
    end: Offset,
    snapshot: Option<SnapshotFile>,
    gate: Gate,
    handed_out: bool,
}

impl Log {
    /// Makes the directory and the files of a new log that begins at offset 0.
    ///
    /// The names are durable once the first [`FlushJob`] was run.
    pub fn create(place: LogPlace, topic_id: TopicId, now: Timestamp) -> io::Result<Log> {
        let disk = place.files.disk();
        disk.create_dir_all(&place.directory)?;
        let metadata = disk.open(&place.directory.join(PARTITION_METADATA_FILE), OpenMode::Truncate)?;
        metadata.write_all_at(partition_metadata::text(topic_id).as_bytes(), 0)?;
        disk.open(&place.directory.join(LEADER_EPOCH_FILE), OpenMode::Create)?;
        let directory = PartitionDirectory::new(Arc::clone(&place.files), place.directory);
        let files = SegmentFiles::new(Arc::clone(&directory), Offset::ZERO);
        // Nothing is kept open: many are made at once, and most are used later or never.
        files.make()?;
        let recovery = Recovery {
            sealed: VecDeque::new(),
            active: Active::new(files, now),
            log_start: Offset::ZERO,
            log_end: Offset::ZERO,
            flushed: Offset::ZERO,
            epochs: Epochs::default(),
            producers: Producers::default(),
            read_snapshot: None,
            side_files: Vec::new(),
            unsealed: Vec::new(),
            report: recovery::Report::default(),
        };
        let mut log = Log::assemble(place.partition, place.config, directory, recovery);
        log.topic_id = Some(topic_id);
        log.flush.on_created();
        Ok(log)
    }

    /// Opens the log that lies in a directory, and repairs what a crash left behind.
    pub fn open(place: LogPlace, known: &Known) -> Result<(Log, recovery::Report), OpenError> {
        let topic_id = match partition_metadata::read(place.files.disk(), &place.directory) {
            // The crash came before the first flush: of such a log nothing was promised, not even its id.
            Err(PartitionMetadataError::Malformed { .. })
                if !known.clean && known.recovery_point == Offset::ZERO =>
            {
                None
            }
            read => read?,
        };
        let directory = PartitionDirectory::new(Arc::clone(&place.files), place.directory);
        let mut recovery = recovery::recover(&directory, (&place.partition, &place.config), known)?;
        if mutant!(forget_producers_at_restart) {
            recovery.producers = Producers::default();
        }
        let report = std::mem::take(&mut recovery.report);
        let mut log = Log::assemble(place.partition, place.config, directory, recovery);
        log.topic_id = topic_id;
        if !known.clean {
            // A process that was killed leaves what it wrote in the page cache, and nobody knows what of it was
            // flushed: names and small files are made durable again before the recovery point moves.
            log.flush.on_names_changed();
            if topic_id.is_some() {
                log.flush.on_created();
            }
        }
        if report.changed_disk {
            log.flush.on_names_changed();
        }
        Ok((log, report))
    }

    fn assemble(
        partition: TopicPartition,
        config: Arc<LogConfig>,
        directory: Arc<PartitionDirectory>,
        recovery: Recovery,
    ) -> Log {
        let mut log = Log {
            partition,
            topic_id: None,
            directory,
            config,
            sealed: recovery.sealed,
            active: recovery.active,
            log_start: recovery.log_start,
            log_end: recovery.log_end,
            epochs: recovery.epochs,
            producers: recovery.producers,
            latest_snapshot: recovery.read_snapshot,
            flush: flush::FlushState::new(recovery.flushed),
            unsealed: Vec::new(),
            swap: None,
        };
        recovery.side_files.into_iter().for_each(|file| log.flush.on_side_file(file));
        for unsealed in recovery.unsealed {
            let UnsealedSegment { base, end, snapshot } = unsealed;
            let path = log.snapshot_path(end);
            let snapshot = snapshot.map(|bytes| SnapshotFile { path, bytes });
            log.latest_snapshot = log.latest_snapshot.max(snapshot.as_ref().map(|_| end));
            log.unsealed.push(Unsealed { base, end, snapshot, gate: Gate::default(), handed_out: false });
        }
        log.assert_ordered();
        log
    }

    pub fn partition(&self) -> &TopicPartition {
        &self.partition
    }

    /// Id of the topic; `None` for a directory of before topic ids, and for one that a crash left before anything
    /// in it was flushed.
    pub fn topic_id(&self) -> Option<TopicId> {
        self.topic_id
    }

    /// Binds a log of before topic ids to its topic.
    pub fn set_topic_id(&mut self, id: TopicId) -> io::Result<()> {
        let path = self.directory.join(PARTITION_METADATA_FILE);
        small_file::replace(self.directory.disk(), &path, partition_metadata::text(id).as_bytes())?;
        self.topic_id = Some(id);
        Ok(())
    }

    pub fn config(&self) -> &Arc<LogConfig> {
        &self.config
    }

    /// Takes over changed settings; they hold from the next decision on.
    pub fn set_config(&mut self, config: Arc<LogConfig>) {
        self.config = config;
    }

    /// The directory the files lie in.
    pub fn directory(&self) -> PathBuf {
        self.directory.path()
    }

    /// First offset that can be read.
    pub fn log_start(&self) -> Offset {
        self.log_start
    }

    /// Offset the next record gets.
    pub fn log_end(&self) -> Offset {
        self.log_end
    }

    /// Everything below is on stable storage.
    pub fn flushed(&self) -> Offset {
        self.flush.flushed()
    }

    /// What may stand in the recovery-point checkpoint: everything below is on stable storage.
    ///
    /// It stays inside the first segment whose index files are not complete, the active one at the latest, so
    /// that after a crash Kafka too reads that segment again and rebuilds them.
    pub fn recovery_point(&self) -> Offset {
        let complete = match self.unsealed.first() {
            Some(unsealed) => unsealed.end.previous().unwrap_or(Offset::ZERO),
            None if self.active.size == 0 => self.active.base(),
            None => self.log_end.previous().unwrap_or(Offset::ZERO),
        };
        if mutant!(recovery_point_ahead_of_flush) { complete } else { self.flush.flushed().min(complete) }
    }

    /// Bytes of all batches, also of those below the log start that share a segment with later ones.
    pub fn size(&self) -> u64 {
        self.active.size + self.sealed.iter().map(|segment| segment.size).sum::<u64>()
    }

    /// Base offsets of all segments, in order.
    pub fn segment_bases(&self) -> impl Iterator<Item = Offset> {
        let sealed = self.sealed.iter().map(|segment| segment.base());
        sealed.chain(std::iter::once(self.active.base()))
    }

    /// Base offset of the segment that is appended to. A fetch below it is answered at once (FET-13).
    pub fn active_base(&self) -> Offset {
        self.active.base()
    }

    /// The latest leader epoch with its first offset.
    pub fn latest_epoch(&self) -> Option<EpochStart> {
        self.epochs.latest()
    }

    /// All known leader epochs, in order.
    pub fn epochs(&self) -> &[EpochStart] {
        self.epochs.entries()
    }

    /// FET-32: the end of the largest known epoch that is not above `epoch`; `None` when `epoch` is above all.
    pub fn epoch_end(&self, epoch: LeaderEpoch) -> Option<EpochEnd> {
        self.epochs.end_of(epoch, self.log_end)
    }

    /// REP-07: the leader of `epoch` begins to write at the log end.
    pub fn begin_epoch(&mut self, epoch: LeaderEpoch) {
        if self.epochs.assign(epoch, self.log_end) {
            self.flush.on_epoch_begun(epoch);
        }
    }

    fn note_epoch(&mut self, epoch: LeaderEpoch, start: Offset) {
        if self.epochs.assign(epoch, start) {
            self.flush.on_epochs_changed();
        }
    }

    /// Gives back memory that only speeds up an active log. The janitor calls it for idle ones.
    pub fn shrink(&mut self) {
        self.active.shrink();
        self.active.files.close();
    }

    /// Leaves the directory as Kafka leaves it at a clean stop: indexes complete and trimmed, a producer
    /// snapshot at the log end, everything on stable storage. Afterwards `recovery_point() == log_end()`.
    pub fn close(mut self) -> io::Result<Closed> {
        self.finish_swap()?;
        while let Some(job) = self.seal_job() {
            job.run()?;
            self.on_sealed(&job);
        }
        if self.active.touched {
            self.close_active()?;
        }
        if self.snapshot_is_due(self.log_end) {
            self.snapshot_file(self.log_end).write(self.directory.disk())?.sync_all()?;
            self.flush.on_names_changed();
        }
        if let Some(job) = self.flush_job()? {
            job.run()?;
            self.on_flushed(&job);
        }
        Ok(Closed { log_start: self.log_start, log_end: self.log_end, first_base: self.first_base() })
    }

    /// Trims the files of the active segment to what is in use, and completes its indexes.
    fn close_active(&mut self) -> io::Result<()> {
        self.active.push_largest();
        self.write_active_indexes()?;
        self.active.files.open(FileKind::Log)?.set_len(self.active.size)?;
        for kind in [FileKind::Log, FileKind::OffsetIndex, FileKind::TimeIndex] {
            self.active.files.open(kind)?.sync_all()?;
        }
        Ok(())
    }

    /// Renames the directory, from where [`DeletedLog::remove`] removes it later. `unique` keeps two deleted
    /// logs of one name apart.
    pub fn delete(self, unique: Uuid) -> io::Result<DeletedLog> {
        self.leave(DirectoryStage::Delete, unique)
    }

    /// Shuts what is under way out, and renames the directory.
    pub(crate) fn leave(self, stage: DirectoryStage, unique: Uuid) -> io::Result<DeletedLog> {
        self.unsealed.iter().for_each(|unsealed| unsealed.gate.shut());
        let path = leave(&self.directory, &self.partition, (stage, unique))?;
        Ok(DeletedLog { files: Arc::clone(&self.directory.cache), path, size: self.size() })
    }

    fn first_base(&self) -> Offset {
        self.sealed.front().map_or(self.active.base(), |segment| segment.base())
    }

    /// Brings the index files of the active segment up to what is in memory, without waiting for the device.
    ///
    /// After a crash less of the segment has to be read again, for what lies below the recovery point is
    /// taken from the files.
    pub fn write_active_indexes(&mut self) -> io::Result<()> {
        let (offsets, times) =
            (self.active.indexes.offsets.unwritten(), self.active.indexes.times.unwritten());
        offsets.write(&*self.active.files.open(FileKind::OffsetIndex)?)?;
        times.write(&*self.active.files.open(FileKind::TimeIndex)?)?;
        self.active.indexes.offsets.on_written(&offsets);
        self.active.indexes.times.on_written(&times);
        Ok(())
    }

    /// Whether something was appended since the latest snapshot. Without one, the log start counts as one, so that
    /// an empty log has none.
    fn snapshot_is_due(&self, at: Offset) -> bool {
        at > self.latest_snapshot.unwrap_or(self.log_start)
    }

    fn snapshot_path(&self, at: Offset) -> PathBuf {
        self.directory.join(SegmentFileName::live(at, FileKind::Snapshot).to_string())
    }

    fn snapshot_file(&self, at: Offset) -> SnapshotFile {
        SnapshotFile { path: self.snapshot_path(at), bytes: self.producers.snapshot() }
    }

    fn epochs_text(&self) -> String {
        checkpoint::epochs_text(self.epochs.entries())
    }

    fn assert_ordered(&self) {
        assert!(self.log_start <= self.log_end, "log start {} > log end {}", self.log_start, self.log_end);
        assert!(self.flush.flushed() <= self.log_end);
        assert!(self.active.base() <= self.log_end);
        debug_assert!(self.first_base() <= self.log_start);
        debug_assert!(self.sealed.iter().zip(self.segment_bases().skip(1)).all(|(s, next)| s.end == next));
    }
}

/// Renames the directory of a log that is out of use; returns where it is now.
fn leave(
    directory: &PartitionDirectory,
    partition: &TopicPartition,
    (stage, unique): (DirectoryStage, Uuid),
) -> io::Result<PathBuf> {
    let name = staged_directory_name(partition, stage, unique);
    let path = directory.path();
    let path = path.parent().unwrap_or(Path::new("")).join(name);
    directory.leave(path.clone())?;
    Ok(path)
}

/// What a closed log leaves for the checkpoints of its data directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed {
    pub log_start: Offset,
    pub log_end: Offset,
    /// Base offset of the first segment: the log start is only written down where it lies above.
    pub first_base: Offset,
}

/// A log that is out of use; its directory was renamed.
#[derive(Debug)]
pub struct DeletedLog {
    files: Arc<FileCache>,
    path: PathBuf,
    size: u64,
}

impl DeletedLog {
    /// A directory that an earlier run left behind.
    pub fn found(files: Arc<FileCache>, path: PathBuf) -> DeletedLog {
        DeletedLog { files, path, size: 0 }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes of batches that go with it.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Removes the directory and everything in it. Slow where files are large: 0.1 s per GiB in memory.
    pub fn remove(self) -> io::Result<()> {
        match self.files.disk().remove_dir_all(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Performance 4.10: 100 000 idle partitions fit into 100 MB.
    #[test]
    fn an_idle_log_needs_less_than_a_kibibyte() {
        // Behind the two counters of each `Arc`: directory and files; the topic's name is shared.
        let counters = 3 * 2 * size_of::<usize>();
        let path = 32 + "a-topic-with-a-name-of-usual-length-12345".len();
        let shared = size_of::<PartitionDirectory>() + size_of::<SegmentFiles>() + path + counters;
        let turn = size_of::<parking_lot::Mutex<u64>>();
        let bytes = size_of::<Log>() + shared + turn;
        assert!(bytes <= 1024, "{bytes} bytes");
    }
}
