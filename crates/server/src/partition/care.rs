//! Care of a partition's files: flushes, closed segments, retention, checkpoints.
//!
//! Owns: taking jobs out of the log under the lock and handing them back.
//! Does not own: when they are done (`flusher`, `janitor`), what they do (`storage`).
//!
//! Source: requirements LOG-02 to LOG-06; performance design 4.8.

use std::io;
use std::sync::Arc;

use ottla_env::time::{now, wall_now};
use ottla_model::{Offset, Timestamp};
use ottla_mutant::mutant;
use ottla_replication::AckDurability;
use ottla_storage::{
    CleanedGroup, CompactionBounds, CompactionError, CompactionScope, Dirt, KeptLog, RemovedFiles, Retention,
};

use super::{Partition, State, opened, opened_mut};
use crate::flusher::{Flush, Mark};

/// The positions the checkpoints of a log directory keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Positions {
    pub recovery_point: Offset,
    pub log_start: Offset,
    pub high_watermark: Offset,
    pub log_end: Offset,
    /// Base offset of the first segment: a log start above it has to be written down.
    pub first_base: Offset,
    /// Bytes of all batches.
    pub size: u64,
}

impl Flush for Partition {
    fn flush(&self) {
        if let Err(error) = self.try_flush() {
            self.failed(&error);
        }
    }

    fn mark(&self) -> &Mark {
        &self.flush_mark
    }
}

impl Partition {
    fn try_flush(&self) -> io::Result<()> {
        let job = {
            let state = self.state.lock();
            let Some(log) = opened(&state.log) else { return Ok(()) };
            let Some(job) = log.flush_job()? else { return Ok(()) };
            job
        };
        match job.run() {
            Err(_) if mutant!(retry_failed_flush) => job.run()?,
            run => run?,
        }
        let mut state = self.state.lock();
        let Some(log) = opened_mut(&mut state.log) else { return Ok(()) };
        log.on_flushed(&job);
        let flushed = log.flushed();
        state.replica.on_flushed(flushed, now());
        self.settle(&mut state);
        Ok(())
    }

    /// Nobody knows what of the records that a crash left was flushed, and until they are, nobody may read them: they
    /// do not wait for the next append (LOG-04).
    pub fn flush_what_was_found(self: &Arc<Partition>) {
        let is_unflushed = |log: &ottla_storage::Log| log.flushed() < log.log_end();
        if self.settings().replication.durability == AckDurability::Flushed
            && opened(&self.state.lock().log).is_some_and(is_unflushed)
        {
            self.directory.flusher().flush_soon(Arc::<Partition>::clone(self));
        }
    }

    /// Finishes segments that were closed, and reserves space ahead of a growing log. A closed segment is flushed,
    /// also where no acknowledgement waits for it, so that the recovery point can pass it (LOG-05).
    pub fn tidy_segments(&self) -> io::Result<()> {
        let mut closed = false;
        loop {
            let job = opened_mut(&mut self.state.lock().log).and_then(ottla_storage::Log::seal_job);
            let Some(job) = job else { break };
            let run = job.run();
            if let Some(log) = opened_mut(&mut self.state.lock().log) {
                match run {
                    Ok(()) => log.on_sealed(&job),
                    // Where only space is missing the next round tries again.
                    Err(_) => log.on_seal_failed(job),
                }
            }
            run?;
            closed = true;
        }
        if closed {
            self.try_flush()?;
        }
        let reserve = match opened_mut(&mut self.state.lock().log) {
            Some(log) => log.reserve_job()?,
            None => None,
        };
        if let Some(job) = reserve {
            job.run();
        }
        Ok(())
    }

    /// Removes segments that are too old or too many; they are handed out to be deleted later (LOG-02).
    pub fn apply_retention(&self, wall: Timestamp) -> io::Result<RemovedFiles> {
        let mut state = self.state.lock();
        let high_watermark = state.replica.high_watermark();
        if !matches!(&state.log, Some(KeptLog::Resting(resting)) if resting.size() == 0) {
            self.wake(&mut state);
        }
        let Some(log) = opened_mut(&mut state.log) else { return Ok(RemovedFiles::default()) };
        let removed = log.apply_retention(Retention { now: wall, high_watermark })?;
        let (start, end) = (log.log_start(), log.log_end());
        if end > state.replica.log_end() {
            state.replica.on_appended(end, 0, now());
        }
        if start > state.replica.log_start() {
            state.replica.on_log_start(start, now());
        }
        self.settle(&mut state);
        Ok(removed)
    }

    /// Deletes all records below `to`; the caller has checked that it is not above the high watermark (TOP-07).
    pub fn delete_records_below(&self, to: Offset) {
        let mut state = self.state.lock();
        let Some(log) = self.log_in(&mut state) else { return };
        if to <= log.log_start() && !mutant!(move_log_start_backward) {
            return;
        }
        log.move_log_start(to);
        state.replica.on_log_start(to, now());
        self.settle(&mut state);
    }

    /// Forgets producers that have been silent for too long (IDM-06).
    pub fn expire_producers(&self, wall: Timestamp, expiration_ms: i64) -> usize {
        let mut state = self.state.lock();
        opened_mut(&mut state.log).map_or(0, |log| log.expire_producers(wall, expiration_ms))
    }

    /// Whether what was appended has waited for a flush as long as `flush.messages` and `flush.ms` allow (LOG-05).
    pub fn is_flush_due(&self) -> bool {
        let state = self.state.lock();
        opened(&state.log).is_some_and(|log| log.flush_is_due(wall_now()))
    }

    /// What the checkpoints should say now; `None` once the log is gone.
    pub fn positions(&self) -> Option<Positions> {
        let state = self.state.lock();
        let high_watermark = state.replica.high_watermark();
        Some(match state.log.as_ref()? {
            KeptLog::Open(log) => Positions {
                recovery_point: log.recovery_point(),
                log_start: log.log_start(),
                high_watermark,
                log_end: log.log_end(),
                first_base: log.segment_bases().next().unwrap_or(Offset::ZERO),
                size: log.size(),
            },
            KeptLog::Resting(resting) => Positions {
                recovery_point: resting.recovery_point(),
                log_start: resting.log_start(),
                high_watermark,
                log_end: resting.log_end(),
                first_base: resting.first_base(),
                size: resting.size(),
            },
        })
    }

    /// CMP-01: what of the log could be compacted; `None` where there is nothing but an active segment. One that rests is
    /// woken only if it has something else.
    pub fn dirt(&self, wall: Timestamp) -> io::Result<Option<Dirt>> {
        let mut state = self.state.lock();
        if let Some(KeptLog::Resting(resting)) = &state.log {
            let active = resting.active_base();
            let cleaned = self.directory.files().cleaned_to(&self.id);
            if active == resting.first_base() || cleaned.is_some_and(|cleaned| cleaned == active) {
                return Ok(None);
            }
            self.wake(&mut state);
        }
        let bounds = self.compaction_bounds(&state, wall);
        opened(&state.log).map(|log| log.dirt(&bounds)).transpose()
    }

    /// What a pass works on; `None` where there is nothing to compact.
    pub fn compaction_scope(&self, wall: Timestamp) -> io::Result<Option<CompactionScope>> {
        let mut state = self.state.lock();
        self.wake(&mut state);
        let bounds = self.compaction_bounds(&state, wall);
        opened(&state.log).map_or(Ok(None), |log| log.compaction_scope(&bounds))
    }

    fn compaction_bounds(&self, state: &State, wall: Timestamp) -> CompactionBounds {
        CompactionBounds {
            now: wall,
            high_watermark: state.replica.high_watermark(),
            cleaned_to: self.directory.files().cleaned_to(&self.id),
        }
    }

    /// Puts a compacted segment in its place. `Err`: the log has other segments by now. A failure of the names takes the
    /// directory offline: nobody knows which of them the disk has.
    pub fn replace(
        &self,
        group: CleanedGroup,
    ) -> Result<Result<RemovedFiles, CompactionError>, CleanedGroup> {
        let job = match opened_mut(&mut self.state.lock().log) {
            Some(log) => log.replace(group)?,
            None => return Err(group),
        };
        if let Err(error) = job.run() {
            self.failed(&error);
            return Ok(Err(CompactionError::Stopped));
        }
        let mut state = self.state.lock();
        Ok(Ok(match opened_mut(&mut state.log) {
            Some(log) => log.on_replaced(&job),
            // It is closed or removed, and the files with it.
            None => RemovedFiles::default(),
        }))
    }

    /// Runs `look` on the log, where there is one.
    pub fn with_log<T>(&self, look: impl FnOnce(&ottla_storage::Log) -> T) -> Option<T> {
        self.log_in(&mut self.state.lock()).map(|log| look(log))
    }
}
