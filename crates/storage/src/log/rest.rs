//! A log that nobody uses: a few numbers in the place of what an open one has in memory.
//!
//! Owns: when a log may rest, what is kept of it, waking it.
//! Does not own: when nobody uses it (`server`), what its files say (`recovery`).
//!
//! A log rests only where opening its files again gives the log it was: nothing was written since they were found in
//! order, nothing waits for a flush but names, nobody holds a part of it. So nothing is lost with a process that ends
//! while logs rest, and the checkpoints are told the same as before. When it is woken, its files are looked at as at a
//! start after a clean stop; where they no longer say what they said, the log is not used.
//!
//! Invariants
//! - I1 what rests is on stable storage as far as it was when it was put to rest, and its files are closed.
//!
//! Source: performance design 4.10.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use ottla_model::{LeaderEpoch, Offset, Timestamp, TopicPartition, Uuid};

use super::{Closed, DeletedLog, Log, LogPlace, leave};
use crate::file_cache::{FileCache, PartitionDirectory};
use crate::names::DirectoryStage;
use crate::recovery::{Known, OpenError};
use crate::segment::{Active, relative_offset};

/// What is kept of a log at rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RestingLog {
    log_start: Offset,
    log_end: Offset,
    first_base: Offset,
    recovery_point: Offset,
    size: u64,
    /// The epoch that began at the log end.
    begun: Option<LeaderEpoch>,
    /// How far the log end lies above the base offset of the active segment.
    active_span: u32,
    /// The names and `partition.metadata` may not be on stable storage.
    names_are_fresh: bool,
}

/// A log, open or at rest.
#[derive(Debug)]
pub enum KeptLog {
    Open(Box<Log>),
    Resting(RestingLog),
}

impl Log {
    /// What would be kept of the log at rest; `None` where it must stay open.
    fn resting(&self) -> Option<RestingLog> {
        let (only_names, names_are_fresh) = self.flush.only_names();
        let is_flushed = self.flush.flushed() == self.log_end && only_names && self.unsealed.is_empty();
        let may_rest = is_flushed && self.is_as_found() && !self.is_held() && self.topic_id.is_some();
        may_rest.then(|| RestingLog {
            log_start: self.log_start,
            log_end: self.log_end,
            first_base: self.first_base(),
            recovery_point: self.recovery_point(),
            size: self.size(),
            begun: self.flush.begun(),
            active_span: relative_offset(self.active.base(), self.log_end).unwrap_or(u32::MAX),
            names_are_fresh,
        })
    }

    /// Whether the files are as a clean stop would leave them.
    fn is_as_found(&self) -> bool {
        let no_producers = self.producers.len() == 0;
        let is_empty = self.sealed.is_empty() && no_producers && self.active.is_blank();
        // A snapshot has less of a producer than is known of one that was seen writing.
        let same_producers = no_producers || self.flush.is_as_opened();
        let decides_nothing = self.first_unstable().is_none() && !self.producers.is_verifying();
        (!self.active.touched || is_empty) && same_producers && decides_nothing
    }

    /// Whether a part of it is in use elsewhere: a reader, a job, segments that wait for their removal.
    fn is_held(&self) -> bool {
        let sealed = self.sealed.iter();
        let mut held =
            sealed.map(|segment| Arc::strong_count(segment).max(Arc::strong_count(&segment.files)));
        let of_directory = 1 + self.sealed.len() + 1;
        held.any(|count| count > 1)
            || Arc::strong_count(&self.active.files) > 1
            || Arc::strong_count(&self.directory) > of_directory
    }
}

impl RestingLog {
    pub fn log_start(&self) -> Offset {
        self.log_start
    }

    pub fn log_end(&self) -> Offset {
        self.log_end
    }

    /// Base offset of the first segment.
    pub fn first_base(&self) -> Offset {
        self.first_base
    }

    /// As [`Log::active_base`].
    pub fn active_base(&self) -> Offset {
        let base = self.log_end.value() - i64::from(self.active_span);
        Offset::new(base).unwrap_or(self.first_base)
    }

    /// As [`Log::recovery_point`].
    pub fn recovery_point(&self) -> Offset {
        self.recovery_point
    }

    /// Bytes of all batches.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The epoch that began at the log end, if one did.
    pub fn begun(&self) -> Option<LeaderEpoch> {
        self.begun
    }

    /// As [`Log::begin_epoch`].
    pub fn begin_epoch(&mut self, epoch: LeaderEpoch) {
        self.begun = Some(epoch);
    }

    /// Whether the log's directory and the names in it may not be on stable storage: a clean stop brings them there.
    pub fn names_are_fresh(&self) -> bool {
        self.names_are_fresh
    }

    /// As [`Log::close`]: whatever rests is closed, but for its names.
    pub fn closed(&self) -> Closed {
        Closed { log_start: self.log_start, log_end: self.log_end, first_base: self.first_base }
    }

    /// Takes the log out of use, whose directory is at a path; see [`Log::delete`].
    pub(crate) fn leave(
        &self,
        (files, path): (Arc<FileCache>, PathBuf),
        partition: &TopicPartition,
        to: (DirectoryStage, Uuid),
    ) -> io::Result<DeletedLog> {
        let directory = PartitionDirectory::new(Arc::clone(&files), path);
        let path = leave(&directory, partition, to)?;
        Ok(DeletedLog { files, path, size: self.size })
    }

    /// Opens the log again, as `place` and the time say.
    pub(crate) fn wake(
        &self,
        place: LogPlace,
        (now, producer_expiration_ms): (Timestamp, i64),
    ) -> Result<Log, OpenError> {
        let (log_start, log_end) = (self.log_start, self.log_end);
        let known = Known { clean: true, recovery_point: log_end, log_start, now, producer_expiration_ms };
        let (mut log, _) = Log::open(place, &known)?;
        let (start, end) = (log.log_start(), log.log_end());
        if (start, end, log.first_base()) != (log_start, log_end, self.first_base) {
            return Err(OpenError::Changed { log_start, log_end, start, end });
        }
        if let Some(epoch) = self.begun {
            log.begin_epoch(epoch);
        }
        if self.names_are_fresh {
            log.flush.on_created();
        }
        Ok(log)
    }
}

impl From<Log> for KeptLog {
    fn from(log: Log) -> KeptLog {
        KeptLog::Open(Box::new(log))
    }
}

impl KeptLog {
    /// Gives up what the log has in memory, where nothing is lost with it.
    pub fn rest(&mut self) {
        if let KeptLog::Open(log) = self
            && let Some(resting) = log.resting()
        {
            *self = KeptLog::Resting(resting);
        }
    }

    /// The log, where it is open.
    pub fn as_open(&self) -> Option<&Log> {
        match self {
            KeptLog::Open(log) => Some(log),
            KeptLog::Resting(_) => None,
        }
    }

    /// As [`KeptLog::as_open`].
    pub fn as_open_mut(&mut self) -> Option<&mut Log> {
        match self {
            KeptLog::Open(log) => Some(log),
            KeptLog::Resting(_) => None,
        }
    }

    pub fn log_start(&self) -> Offset {
        match self {
            KeptLog::Open(log) => log.log_start(),
            KeptLog::Resting(resting) => resting.log_start,
        }
    }

    pub fn log_end(&self) -> Offset {
        match self {
            KeptLog::Open(log) => log.log_end(),
            KeptLog::Resting(resting) => resting.log_end,
        }
    }

    /// Everything below is on stable storage.
    pub fn flushed(&self) -> Offset {
        match self {
            KeptLog::Open(log) => log.flushed(),
            KeptLog::Resting(resting) => resting.log_end,
        }
    }

    /// As [`Log::first_unstable`]; a log with an open transaction does not rest.
    pub fn first_unstable(&self) -> Option<Offset> {
        match self {
            KeptLog::Open(log) => log.first_unstable(),
            KeptLog::Resting(_) => None,
        }
    }

    /// Closes it at a clean stop; see [`Log::close`] and [`RestingLog::names_are_fresh`].
    pub fn close(self) -> io::Result<Closed> {
        match self {
            KeptLog::Open(log) => log.close(),
            KeptLog::Resting(resting) => Ok(resting.closed()),
        }
    }
}

impl Active {
    /// Whether nothing is in the segment's files, and nothing is meant to be.
    fn is_blank(&self) -> bool {
        self.size == 0 && self.indexes.offsets.len() == 0 && self.indexes.times.len() == 0
    }
}
