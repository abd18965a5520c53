//! A data directory (`log.dirs`): its lock, identity, checkpoints, and the partitions in it.
//!
//! Owns: the files in the top of the directory, listing and opening the partitions, whether it has failed.
//! Does not own: the partitions themselves (`log`), which of them should exist (`metadata`), threads.
//!
//! Order of a start: [`LogDir::open`] takes the lock; the caller reads [`LogDir::meta`] and decides whether the
//! directory is its own, or formats it; [`LogDir::begin`] takes away the mark of the clean stop; then partitions
//! are opened, in parallel if wanted; after a crash the recovery points are written once before anything is
//! appended, for a recovery may have cut a log. A stop closes all logs and calls [`LogDir::end`].
//!
//! Invariants
//! - I1 the clean-shutdown file is there only while no log of the directory is open;
//! - I2 a directory that failed stays failed until the process ends.
//!
//! Source: requirements 8.1, LOG-04, LOG-07, LOG-08, LOG-09; reliability design 2.1.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use ottla_env::disk::{Disk, LockGuard, OpenMode, Space};
use ottla_model::{BrokerEpoch, Offset, Timestamp, TopicId, TopicPartition, Uuid};
use ottla_mutant::mutant;
use parking_lot::{Mutex, RwLock};

use crate::checkpoint::{self, CheckpointError, PartitionOffsets};
use crate::config::LogConfig;
use crate::file_cache::FileCache;
use crate::log::{DeletedLog, KeptLog, Log, LogPlace, RestingLog};
use crate::meta_properties::{MetaProperties, MetaPropertiesError};
use crate::names::{
    CLEAN_SHUTDOWN_FILE, CLEANER_FILE, DirectoryStage, HIGH_WATERMARK_FILE, LOCK_FILE, LOG_START_FILE,
    META_PROPERTIES_FILE, PARTITION_METADATA_FILE, RECOVERY_POINT_FILE, parse_partition_directory,
};
use crate::recovery::{Known, OpenError, Report};
use crate::{clean_shutdown, small_file};

/// Partitions whose names are made durable one by one: each takes two syncs. Of more, the whole file system is synced.
const NAMES_SYNCED_ALONE: usize = 64;

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LogDirError {
    #[error("cannot access {}", path.display())]
    Disk { path: PathBuf, source: io::Error },
    #[error(
        "Failed to acquire lock on file .lock in {}. A Kafka instance in another process or thread is using \
         this directory.",
        path.display()
    )]
    InUse { path: PathBuf },
    #[error("{} is malformed", path.display())]
    Meta { path: PathBuf, source: MetaPropertiesError },
}

/// A data directory that is locked by this process.
#[derive(Debug)]
pub struct LogDir {
    path: PathBuf,
    files: Arc<FileCache>,
    lock: Mutex<Option<LockGuard>>,
    start: RwLock<Start>,
    /// How far each log was compacted, as `cleaner-offset-checkpoint` has it. Held while that is written.
    cleaned: Mutex<PartitionOffsets>,
    logs: AtomicUsize,
    failure: OnceLock<String>,
}

/// What an earlier run left in the top of the directory.
#[derive(Debug, Default)]
struct Start {
    clean: bool,
    broker_epoch: Option<BrokerEpoch>,
    recovery_points: PartitionOffsets,
    log_starts: PartitionOffsets,
    high_watermarks: PartitionOffsets,
}

/// A partition's directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundLog {
    pub partition: TopicPartition,
    pub path: PathBuf,
}

/// What lies in a data directory.
#[derive(Debug, Default)]
pub struct LogDirListing {
    /// Partitions in use, `__cluster_metadata-0` among them.
    pub logs: Vec<FoundLog>,
    /// Directories that wait for their deletion.
    pub deleted: Vec<DeletedLog>,
    /// Replicas that were being moved here.
    pub future: Vec<FoundLog>,
    /// Replicas that an earlier run did not find in the metadata.
    pub stray: Vec<FoundLog>,
}

/// How a log is opened or created.
#[derive(Clone, Debug)]
pub struct LogOptions {
    pub config: Arc<LogConfig>,
    pub now: Timestamp,
    /// `producer.id.expiration.ms`
    pub producer_expiration_ms: i64,
}

impl LogDir {
    /// Makes the directory if need be, and takes its lock.
    pub fn open(files: Arc<FileCache>, path: PathBuf) -> Result<LogDir, LogDirError> {
        let failed = |source| LogDirError::Disk { path: path.clone(), source };
        files.disk().create_dir_all(&path).map_err(failed)?;
        let lock = files.disk().try_lock(&path.join(LOCK_FILE)).map_err(failed)?;
        let Some(lock) = lock else { return Err(LogDirError::InUse { path }) };
        Ok(LogDir {
            path,
            files,
            lock: Mutex::new(Some(lock)),
            start: RwLock::default(),
            cleaned: Mutex::default(),
            logs: AtomicUsize::new(0),
            failure: OnceLock::new(),
        })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The identity the directory has; `None` when it was never formatted.
    pub fn meta(&self) -> Result<Option<MetaProperties>, LogDirError> {
        let path = self.path.join(META_PROPERTIES_FILE);
        let content = match small_file::read(self.disk(), &path) {
            Ok(content) => content,
            Err(source) => return Err(LogDirError::Disk { path, source }),
        };
        let Some(content) = content else { return Ok(None) };
        match MetaProperties::parse(&String::from_utf8_lossy(&content)) {
            Ok(meta) => Ok(Some(meta)),
            Err(source) => Err(LogDirError::Meta { path, source }),
        }
    }

    /// Gives the directory an identity, or another one.
    pub fn write_meta(&self, meta: &MetaProperties, now: Timestamp) -> Result<(), LogDirError> {
        let path = self.path.join(META_PROPERTIES_FILE);
        small_file::replace(self.disk(), &path, meta.text(now).as_bytes())
            .map_err(|source| LogDirError::Disk { path, source })
    }

    /// Reads what the last run left, and takes away its mark of a clean stop. Called once, before any log is opened.
    ///
    /// A checkpoint that cannot be understood counts as empty, which is safe: more is read again. It is returned
    /// as a warning.
    pub fn begin(&mut self) -> Result<Vec<CheckpointError>, LogDirError> {
        let mut warnings = Vec::new();
        let mut offsets =
            |name: &str| match checkpoint::read_offsets(self.files.disk(), &self.path.join(name)) {
                Ok(offsets) => Ok(offsets),
                Err(CheckpointError::Disk { path, source }) => Err(LogDirError::Disk { path, source }),
                Err(malformed @ CheckpointError::Malformed { .. }) => {
                    warnings.push(malformed);
                    Ok(PartitionOffsets::new())
                }
            };
        let recovery_points = offsets(RECOVERY_POINT_FILE)?;
        let log_starts = offsets(LOG_START_FILE)?;
        let high_watermarks = offsets(HIGH_WATERMARK_FILE)?;
        *self.cleaned.get_mut() = offsets(CLEANER_FILE)?;
        let path = self.path.join(CLEAN_SHUTDOWN_FILE);
        let (clean, broker_epoch) = take_clean_mark(self.files.disk(), &self.path)
            .map_err(|source| LogDirError::Disk { path, source })?;
        *self.start.get_mut() = Start { clean, broker_epoch, recovery_points, log_starts, high_watermarks };
        Ok(warnings)
    }

    /// Whether the last run ended in order.
    pub fn was_clean(&self) -> bool {
        self.start.read().clean
    }

    /// Broker epoch of the last run, if it ended in order and knew it (KIP-966).
    pub fn last_broker_epoch(&self) -> Option<BrokerEpoch> {
        self.start.read().broker_epoch
    }

    /// Recovery point that the last run wrote down.
    pub fn last_recovery_point(&self, partition: &TopicPartition) -> Option<Offset> {
        self.start.read().recovery_points.get(partition).copied()
    }

    /// High watermark that the last run wrote down.
    pub fn last_high_watermark(&self, partition: &TopicPartition) -> Option<Offset> {
        self.start.read().high_watermarks.get(partition).copied()
    }

    /// All logs of the last run are open, and what it wrote down of them is not needed any more.
    pub fn forget_checkpoints(&self) {
        let mut start = self.start.write();
        *start = Start { clean: start.clean, broker_epoch: start.broker_epoch, ..Start::default() };
    }

    /// What the last run wrote down of a log.
    fn known(&self, partition: &TopicPartition, options: &LogOptions) -> Known {
        let start = self.start.read();
        let offset_in = |offsets: &PartitionOffsets| offsets.get(partition).copied().unwrap_or(Offset::ZERO);
        Known {
            clean: start.clean,
            recovery_point: offset_in(&start.recovery_points),
            log_start: offset_in(&start.log_starts),
            now: options.now,
            producer_expiration_ms: options.producer_expiration_ms,
        }
    }

    /// The partitions of the directory. Directories with other names, and files, are none of ours.
    pub fn list(&self) -> io::Result<LogDirListing> {
        let mut listing = LogDirListing::default();
        for entry in self.disk().read_dir(&self.path)?.into_iter().filter(|entry| entry.is_dir) {
            let Some(name) = parse_partition_directory(&entry.name) else { continue };
            let path = self.path.join(&entry.name);
            let found = FoundLog { partition: name.partition, path };
            match name.stage {
                DirectoryStage::Live => listing.logs.push(found),
                DirectoryStage::Delete => {
                    listing.deleted.push(DeletedLog::found(Arc::clone(&self.files), found.path));
                }
                DirectoryStage::Future => listing.future.push(found),
                DirectoryStage::Stray => listing.stray.push(found),
            }
        }
        Ok(listing)
    }

    /// A partition's directory, if there is one.
    pub fn find(&self, partition: &TopicPartition) -> io::Result<Option<FoundLog>> {
        let path = self.path_of(partition);
        let found = self.disk().is_dir(&path)?;
        Ok(found.then(|| FoundLog { partition: partition.clone(), path }))
    }

    /// Opens a partition that was listed. May be called from several threads.
    pub fn open_log(&self, found: &FoundLog, options: &LogOptions) -> Result<(Log, Report), OpenError> {
        let known = self.known(&found.partition, options);
        let place = self.place(found.partition.clone(), found.path.clone(), options);
        let opened = Log::open(place, &known)?;
        self.logs.fetch_add(1, Ordering::Relaxed);
        Ok(opened)
    }

    /// Creates a partition.
    pub fn create_log(
        &self,
        partition: TopicPartition,
        topic_id: TopicId,
        options: &LogOptions,
    ) -> io::Result<Log> {
        let path = self.path_of(&partition);
        let log = Log::create(self.place(partition, path, options), topic_id, options.now)?;
        self.logs.fetch_add(1, Ordering::Relaxed);
        Ok(log)
    }

    /// Opens a log again that rests. It is not used where it is of another topic by now.
    pub fn wake_log(
        &self,
        (partition, topic): (&TopicPartition, TopicId),
        resting: &RestingLog,
        options: &LogOptions,
    ) -> Result<Log, OpenError> {
        let place = self.place(partition.clone(), self.path_of(partition), options);
        let log = resting.wake(place, (options.now, options.producer_expiration_ms))?;
        match log.topic_id() {
            Some(own) if own == topic => Ok(log),
            own => Err(OpenError::OtherTopic { own, topic }),
        }
    }

    /// Takes a partition out of use; its directory is removed later.
    pub fn delete_log(
        &self,
        partition: &TopicPartition,
        log: KeptLog,
        unique: Uuid,
    ) -> io::Result<DeletedLog> {
        self.set_aside(partition, log, (DirectoryStage::Delete, unique))
    }

    /// Sets a partition aside that the metadata does not know.
    pub fn set_stray(
        &self,
        partition: &TopicPartition,
        log: KeptLog,
        unique: Uuid,
    ) -> io::Result<DeletedLog> {
        self.set_aside(partition, log, (DirectoryStage::Stray, unique))
    }

    fn set_aside(
        &self,
        partition: &TopicPartition,
        log: KeptLog,
        (stage, unique): (DirectoryStage, Uuid),
    ) -> io::Result<DeletedLog> {
        self.logs.fetch_sub(1, Ordering::Relaxed);
        // A later partition of that name begins uncompacted.
        self.change_cleaned(|cleaned| cleaned.remove(partition).is_some())?;
        match log {
            KeptLog::Open(log) => log.leave(stage, unique),
            KeptLog::Resting(resting) => {
                let directory = (Arc::clone(&self.files), self.path_of(partition));
                resting.leave(directory, partition, (stage, unique))
            }
        }
    }

    /// Makes the names in the directories of these partitions durable, and which topic each of them is of.
    pub fn sync_names<'a>(&self, partitions: impl IntoIterator<Item = &'a TopicPartition>) -> io::Result<()> {
        let paths: Vec<PathBuf> = partitions.into_iter().map(|partition| self.path_of(partition)).collect();
        if paths.is_empty() {
            return Ok(());
        }
        if paths.len() > NAMES_SYNCED_ALONE {
            match self.disk().sync_file_system(&self.path) {
                Err(error) if error.kind() == io::ErrorKind::Unsupported => {}
                synced => return synced,
            }
        }
        for path in paths {
            self.disk().open(&path.join(PARTITION_METADATA_FILE), OpenMode::Write)?.sync_all()?;
            self.disk().sync_dir(&path)?;
        }
        self.disk().sync_dir(&self.path)
    }

    /// Partitions that are open in the directory.
    pub fn log_count(&self) -> usize {
        self.logs.load(Ordering::Relaxed)
    }

    /// LOG-09: the space of its file system.
    pub fn space(&self) -> io::Result<Space> {
        self.disk().space(&self.path)
    }

    /// LOG-07: nothing can be kept here any more. True the first time.
    pub fn fail(&self, reason: &dyn std::error::Error) -> bool {
        self.failure.set(reason.to_string()).is_ok()
    }

    pub fn is_online(&self) -> bool {
        self.failure.get().is_none()
    }

    /// Why the directory is offline.
    pub fn failure(&self) -> Option<&str> {
        self.failure.get().map(String::as_str)
    }

    /// Writes the recovery points of all logs ([`Log::recovery_point`]).
    pub fn write_recovery_points<'a>(
        &self,
        points: impl IntoIterator<Item = (&'a TopicPartition, Offset)>,
    ) -> Result<(), CheckpointError> {
        checkpoint::write_offsets(self.disk(), &self.path.join(RECOVERY_POINT_FILE), points)
    }

    /// Writes the log starts of those logs that begin inside a segment: only they need to be written down.
    pub fn write_log_starts<'a>(
        &self,
        starts: impl IntoIterator<Item = (&'a TopicPartition, Offset)>,
    ) -> Result<(), CheckpointError> {
        checkpoint::write_offsets(self.disk(), &self.path.join(LOG_START_FILE), starts)
    }

    /// Writes the high watermarks of all logs.
    pub fn write_high_watermarks<'a>(
        &self,
        high_watermarks: impl IntoIterator<Item = (&'a TopicPartition, Offset)>,
    ) -> Result<(), CheckpointError> {
        checkpoint::write_offsets(self.disk(), &self.path.join(HIGH_WATERMARK_FILE), high_watermarks)
    }

    /// Everything of a log below this offset was compacted; `None` where nothing is known.
    pub fn cleaned_to(&self, partition: &TopicPartition) -> Option<Offset> {
        self.cleaned.lock().get(partition).copied()
    }

    /// Notes, durably, how far a log was compacted.
    pub fn set_cleaned(&self, partition: &TopicPartition, to: Offset) -> Result<(), CheckpointError> {
        self.change_cleaned(|cleaned| cleaned.insert(partition.clone(), to) != Some(to))
    }

    /// A log was cut at `to`: what is appended from there on was not compacted.
    pub fn cut_cleaned(&self, partition: &TopicPartition, to: Offset) -> Result<(), CheckpointError> {
        self.change_cleaned(|cleaned| match cleaned.get_mut(partition) {
            Some(known) if *known > to => {
                *known = to;
                true
            }
            Some(_) | None => false,
        })
    }

    fn change_cleaned(
        &self,
        change: impl FnOnce(&mut PartitionOffsets) -> bool,
    ) -> Result<(), CheckpointError> {
        let mut cleaned = self.cleaned.lock();
        if !change(&mut cleaned) {
            return Ok(());
        }
        let entries = cleaned.iter().map(|(partition, offset)| (partition, *offset));
        checkpoint::write_offsets(self.disk(), &self.path.join(CLEANER_FILE), entries)
    }

    /// Leaves the mark of a clean stop. All logs are closed and the checkpoints written.
    pub fn end(self, broker_epoch: Option<BrokerEpoch>) -> Result<(), LogDirError> {
        self.mark_clean(broker_epoch)
    }

    /// Lets other processes have the directory. Nothing of it may be open any more.
    pub fn unlock(&self) {
        self.lock.lock().take();
    }

    /// As [`LogDir::end`], by an owner that shares the directory until the process ends.
    pub fn mark_clean(&self, broker_epoch: Option<BrokerEpoch>) -> Result<(), LogDirError> {
        let path = self.path.join(CLEAN_SHUTDOWN_FILE);
        small_file::replace(self.disk(), &path, clean_shutdown::text(broker_epoch).as_bytes())
            .map_err(|source| LogDirError::Disk { path, source })
    }

    fn place(&self, partition: TopicPartition, directory: PathBuf, options: &LogOptions) -> LogPlace {
        LogPlace { partition, directory, files: Arc::clone(&self.files), config: Arc::clone(&options.config) }
    }

    fn path_of(&self, partition: &TopicPartition) -> PathBuf {
        self.path.join(partition.to_string())
    }

    fn disk(&self) -> &dyn Disk {
        self.files.disk()
    }
}

/// LOG-08: the directory a new partition goes to, the one with the fewest; `None` when all have failed.
pub fn choose_log_dir<'a>(dirs: impl IntoIterator<Item = &'a Arc<LogDir>>) -> Option<&'a Arc<LogDir>> {
    dirs.into_iter().filter(|dir| dir.is_online()).min_by_key(|dir| dir.log_count())
}

fn take_clean_mark(disk: &dyn Disk, directory: &Path) -> io::Result<(bool, Option<BrokerEpoch>)> {
    let path = directory.join(CLEAN_SHUTDOWN_FILE);
    let Some(content) = small_file::read(disk, &path)? else { return Ok((false, None)) };
    if !mutant!(keep_clean_mark) {
        disk.remove_file(&path)?;
        // Before the first write to a log: a crash from here on must not look like a clean stop.
        disk.sync_dir(directory)?;
    }
    Ok((true, clean_shutdown::parse(&String::from_utf8_lossy(&content))))
}
