//! What must reach stable storage, and what has.
//!
//! Owns: the flushed offset, the recovery point, the jobs of flusher and janitor on a log.
//! Does not own: when a flush is asked for, the threads, the checkpoint file.
//!
//! One job serves everybody who appended before it was made (group commit): it names the log end of that
//! moment, and everything below counts as flushed once it was run. A job that fails is never repeated.
//!
//! Source: reliability design 2.1; performance design 4.2.7, 4.8.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use ottla_env::disk::{File, OpenMode};
use ottla_model::{LeaderEpoch, Offset, Timestamp};
use ottla_mutant::mutant;
use parking_lot::Mutex;

use super::Log;
use crate::file_cache::PartitionDirectory;
use crate::names::{FileKind, LEADER_EPOCH_FILE, PARTITION_METADATA_FILE};
use crate::seal::SealJob;
use crate::small_file;

/// Space that is reserved ahead of the end of a fast log, in bytes. Larger steps fill a disk with many logs.
const RESERVE_BYTES: u64 = 16 * 1024 * 1024;

/// Bytes a segment must have before space is reserved for it: most logs stay small.
const RESERVE_FROM_BYTES: u64 = 1024 * 1024;

/// Bytes a segment grows by before its indexes and a producer snapshot are written on the way: after a crash at
/// most this much of a segment, and what lies beyond the recovery point, is read again.
const PROGRESS_BYTES: u64 = 32 * 1024 * 1024;

/// What a log knows about its stable storage.
///
/// Every change that a flush must cover beside the segments gets a stamp; a job covers those up to its own.
#[derive(Debug)]
pub(super) struct FlushState {
    flushed: Offset,
    stamp: u64,
    /// Names in the directory were made.
    names: Option<u64>,
    /// The directory itself is new.
    created: Option<u64>,
    epochs: Option<u64>,
    /// An epoch that began and has no record yet: the file is told of it with the first one.
    begun: Option<LeaderEpoch>,
    /// Files beside the segments that were written to.
    side_files: Vec<(u64, Arc<dyn File>)>,
    /// Changes whenever the log is cut: a job of before says nothing about what is appended after.
    cuts: u64,
    /// How far space is reserved in the active segment.
    reserved: u64,
    /// Length of the active segment when its indexes were last written.
    progress: u64,
    /// When the first record was appended that is not flushed.
    unflushed_since: Option<Timestamp>,
    /// Stamp of the leader epochs in the file. Held while a job runs, so that jobs run one after the other.
    turn: Arc<Mutex<u64>>,
}

impl FlushState {
    pub(super) fn new(flushed: Offset) -> FlushState {
        FlushState {
            flushed,
            stamp: 0,
            names: None,
            created: None,
            epochs: None,
            begun: None,
            side_files: Vec::new(),
            cuts: 0,
            reserved: 0,
            progress: 0,
            unflushed_since: None,
            turn: Arc::default(),
        }
    }

    pub(super) fn flushed(&self) -> Offset {
        self.flushed
    }

    /// The directory and `partition.metadata` in it were made.
    pub(super) fn on_created(&mut self) {
        self.on_names_changed();
        self.created = Some(self.stamp);
    }

    pub(super) fn on_names_changed(&mut self) {
        self.stamp += 1;
        self.names = Some(self.stamp);
    }

    pub(super) fn on_new_segment(&mut self) {
        self.on_names_changed();
        (self.reserved, self.progress) = (0, 0);
    }

    pub(super) fn on_appended(&mut self, now: Timestamp) {
        if self.begun.take().is_some() {
            self.on_epochs_changed();
        }
        self.unflushed_since.get_or_insert(now);
    }

    /// An epoch without records is dropped when a log is opened, so it is not worth a write: a node begins one in each
    /// of its logs whenever it starts.
    pub(super) fn on_epoch_begun(&mut self, epoch: LeaderEpoch) {
        self.begun = Some(epoch);
    }

    pub(super) fn begun(&self) -> Option<LeaderEpoch> {
        self.begun
    }

    pub(super) fn on_epochs_changed(&mut self) {
        self.stamp += 1;
        self.epochs = Some(self.stamp);
    }

    pub(super) fn on_side_file(&mut self, file: Arc<dyn File>) {
        self.stamp += 1;
        self.side_files.retain(|(_, known)| !Arc::ptr_eq(known, &file));
        self.side_files.push((self.stamp, file));
    }

    /// The log ends at `end` now.
    pub(super) fn on_cut(&mut self, end: Offset) {
        self.flushed = self.flushed.min(end);
        self.cuts += 1;
        self.begun = None;
        (self.reserved, self.progress) = (0, 0);
    }

    /// The log begins at `start` now, perhaps behind what was flushed.
    pub(super) fn on_start_moved(&mut self, start: Offset) {
        self.flushed = self.flushed.max(start);
    }

    /// Whether a flush would find nothing but names and `partition.metadata`; and whether it would find these.
    pub(super) fn only_names(&self) -> (bool, bool) {
        let only = self.epochs.is_none() && self.side_files.is_empty();
        (only, self.names.is_some() || self.created.is_some())
    }

    /// Whether nothing was made, cut or removed since the log was opened.
    pub(super) fn is_as_opened(&self) -> bool {
        self.stamp == 0 && self.cuts == 0
    }

    fn nothing_beside_segments(&self) -> bool {
        self.names.is_none() && self.created.is_none() && self.epochs.is_none() && self.side_files.is_empty()
    }

    fn on_done(&mut self, job: &FlushJob) {
        let open = |stamp: &u64| *stamp > job.stamp;
        self.names = self.names.filter(open);
        self.created = self.created.filter(open);
        self.epochs = self.epochs.filter(open);
        self.side_files.retain(|(stamp, _)| open(stamp));
        if self.side_files.is_empty() {
            self.side_files = Vec::new();
        }
        if job.cuts == self.cuts {
            self.flushed = self.flushed.max(job.up_to);
        }
    }
}

/// Makes everything appended so far durable. Run it without the log's lock, then hand it back.
#[derive(Debug)]
#[must_use]
pub struct FlushJob {
    /// Log end when the job was made.
    up_to: Offset,
    cuts: u64,
    stamp: u64,
    segments: Vec<Arc<dyn File>>,
    side_files: Vec<Arc<dyn File>>,
    directory: Arc<PartitionDirectory>,
    names: bool,
    created: bool,
    epochs: Option<(u64, String)>,
    turn: Arc<Mutex<u64>>,
}

impl FlushJob {
    /// Everything below is durable once the job was run.
    pub fn up_to(&self) -> Offset {
        self.up_to
    }

    /// Waits for the device. After an error the data directory has failed; the job must not be run again, for
    /// the system forgets the pages that it could not write.
    pub fn run(&self) -> io::Result<()> {
        let mut epochs_in_file = self.turn.lock();
        for file in self.segments.iter().filter(|_| !mutant!(skip_flush)) {
            file.sync_data()?;
        }
        for file in &self.side_files {
            file.sync_all()?;
        }
        match self.sync_names(&mut epochs_in_file) {
            // Of a log that is out of use nothing needs to be durable, and its files may be renamed or gone by now.
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.directory.is_left() => Ok(()),
            synced => synced,
        }
    }

    /// What is named in the directory, and the directory itself.
    fn sync_names(&self, epochs_in_file: &mut u64) -> io::Result<()> {
        let disk = self.directory.disk();
        if self.created {
            // Opened again: a node makes more partitions at once than it may have files open. What could not be written
            // since is told to the first who asks, and that is this one.
            let path = self.directory.join(PARTITION_METADATA_FILE);
            disk.open(&path, OpenMode::Write)?.sync_all()?;
        }
        match &self.epochs {
            // A later job may have run before and have written later epochs.
            Some((stamp, text)) if *stamp > *epochs_in_file => {
                let path = self.directory.join(LEADER_EPOCH_FILE);
                small_file::replace(disk, &path, text.as_bytes())?;
                *epochs_in_file = *stamp;
            }
            _ if self.names && !mutant!(skip_sync_of_created_names) => {
                disk.sync_dir(&self.directory.path())?
            }
            _ => {}
        }
        if self.created && !mutant!(skip_sync_of_created_names) {
            let path = self.directory.path();
            let parent = path.parent().map_or_else(PathBuf::new, |parent| parent.to_owned());
            disk.sync_dir(&parent)?;
        }
        Ok(())
    }
}

/// Reserves space ahead of the end of a segment.
#[derive(Debug)]
#[must_use]
pub struct ReserveJob {
    file: Arc<dyn File>,
    position: u64,
}

impl ReserveJob {
    /// Does the work. That it fails, as on a full disk, matters to nobody but the speed of appends.
    pub fn run(&self) {
        let _ = self.file.reserve(self.position, RESERVE_BYTES);
    }
}

impl Log {
    /// What must be done so that everything appended until now is durable; `None` when it is.
    pub fn flush_job(&self) -> io::Result<Option<FlushJob>> {
        let state = &self.flush;
        let flushed = state.flushed;
        if flushed == self.log_end && state.nothing_beside_segments() {
            return Ok(None);
        }
        let mut segments = Vec::new();
        for segment in self.sealed.iter().rev().take_while(|segment| segment.end > flushed) {
            segments.push(segment.files.open(FileKind::Log)?);
        }
        if self.log_end > flushed && self.active.size > 0 {
            segments.push(self.active.files.open(FileKind::Log)?);
        }
        Ok(Some(FlushJob {
            up_to: self.log_end,
            cuts: state.cuts,
            stamp: state.stamp,
            segments,
            side_files: state.side_files.iter().map(|(_, file)| Arc::clone(file)).collect(),
            directory: Arc::clone(&self.directory),
            names: state.names.is_some(),
            created: state.created.is_some(),
            epochs: state.epochs.map(|stamp| (stamp, self.epochs_text())),
            turn: Arc::clone(&state.turn),
        }))
    }

    /// A job was run and succeeded.
    pub fn on_flushed(&mut self, job: &FlushJob) {
        self.flush.on_done(job);
        if self.flush.flushed == self.log_end {
            self.flush.unflushed_since = None;
        }
        if self.active.size.saturating_sub(self.flush.progress) >= PROGRESS_BYTES {
            // It only saves time after a crash; a device that fails is found out by the next flush.
            let _ = self.write_progress();
        }
        self.assert_ordered();
    }

    /// LOG-05: whether `flush.messages` or `flush.ms` asks for a flush.
    pub fn flush_is_due(&self, now: Timestamp) -> bool {
        let Some(since) = self.flush.unflushed_since else { return false };
        let unflushed = self.log_end.distance_from(self.flush.flushed);
        let too_many = self.config.flush_messages.is_some_and(|max| unflushed >= max);
        let too_old = self.config.flush_ms.is_some_and(|max| now.millis_since(since) >= max);
        unflushed > 0 && (too_many || too_old)
    }

    /// What is left to do for the oldest closed segment that nobody works on.
    pub fn seal_job(&mut self) -> Option<SealJob> {
        let unsealed = self.unsealed.iter_mut().find(|unsealed| !unsealed.handed_out)?;
        let segment = self.sealed.iter().find(|segment| segment.base() == unsealed.base)?;
        let (offsets, times) = match segment.indexes() {
            Ok(indexes) => (indexes.offsets.unwritten(), indexes.times.unwritten()),
            Err(_) => return None,
        };
        unsealed.handed_out = true;
        Some(SealJob {
            files: Arc::clone(&segment.files),
            len: segment.size,
            offsets,
            times,
            snapshot: unsealed.snapshot.take(),
            gate: unsealed.gate.clone(),
        })
    }

    /// A seal job was run and found no space: it is handed out again.
    pub fn on_seal_failed(&mut self, job: SealJob) {
        if let Some(unsealed) = self.unsealed.iter_mut().find(|unsealed| unsealed.gate.is_of(&job.gate)) {
            (unsealed.handed_out, unsealed.snapshot) = (false, job.snapshot);
        }
    }

    /// A seal job was run and succeeded: its segment needs no memory for indexes any more.
    pub fn on_sealed(&mut self, job: &SealJob) {
        let Some(at) = self.unsealed.iter().position(|unsealed| unsealed.gate.is_of(&job.gate)) else {
            return;
        };
        self.unsealed.remove(at);
        if self.unsealed.is_empty() {
            self.unsealed = Vec::new();
        }
        if let Some(segment) = self.sealed.iter_mut().find(|segment| segment.base() == job.base()) {
            *segment = Arc::new(segment.without_indexes());
        }
    }

    /// Space to reserve ahead of the end, for a log that grows; `None` while there is enough.
    pub fn reserve_job(&mut self) -> io::Result<Option<ReserveJob>> {
        let Some(position) = self.reserve_from() else { return Ok(None) };
        self.flush.reserved = position + RESERVE_BYTES;
        Ok(Some(ReserveJob { file: self.active.files.open(FileKind::Log)?, position }))
    }

    /// Keeps up to so many bytes reserved ahead of the end, whatever the size of the log, so that it can grow on a disk that
    /// others have filled. Where there is no room, the next call tries again.
    pub fn keep_reserved(&mut self, bytes: u64) -> io::Result<()> {
        let size = self.active.size;
        if self.flush.reserved.saturating_sub(size) > bytes / 2 {
            return Ok(());
        }
        if self.active.files.open(FileKind::Log)?.reserve(size, bytes).is_ok() {
            self.flush.reserved = size + bytes;
        }
        Ok(())
    }

    /// Where the next stretch of space begins that should be reserved now.
    pub(super) fn reserve_from(&self) -> Option<u64> {
        let size = self.active.size;
        let ahead = self.flush.reserved.saturating_sub(size);
        if self.config.preallocate || size < RESERVE_FROM_BYTES || ahead > RESERVE_BYTES / 2 {
            return None;
        }
        let position = size.max(self.flush.reserved);
        (position + RESERVE_BYTES <= u64::from(self.config.segment_bytes)).then_some(position)
    }

    /// Takes a producer snapshot at the log end and writes the indexes of the active segment, so that less has
    /// to be read after a crash. Neither is synced: what a crash leaves of them is judged before it is used.
    pub fn write_progress(&mut self) -> io::Result<()> {
        self.write_active_indexes()?;
        self.flush.progress = self.active.size;
        if self.producers.len() == 0 || !self.snapshot_is_due(self.log_end) {
            return Ok(());
        }
        self.snapshot_file(self.log_end).write(self.directory.disk())?;
        let earlier = self.latest_snapshot.replace(self.log_end);
        // Only snapshots at the beginning of a segment, and the latest one, are of use.
        match earlier.filter(|at| !self.segment_bases().any(|base| base == *at)) {
            Some(inside_a_segment) => self.remove_snapshot(inside_a_segment),
            None => Ok(()),
        }
    }

    pub(super) fn remove_snapshot(&self, at: Offset) -> io::Result<()> {
        small_file::remove(self.directory.disk(), &self.snapshot_path(at))
    }
}
