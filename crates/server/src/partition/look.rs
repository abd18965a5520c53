//! Reading from a partition: fetches, offsets by time, epochs.
//!
//! Owns: the order epoch check → range check → plan → read, and parking of fetches that found too little.
//! Does not own: the rules (`replication`), the bytes (`storage`).
//!
//! Source: requirements FET-11 to FET-18, FET-30 to FET-32, LO-01 to LO-06.

use std::sync::Arc;

use ottla_env::time::Instant;
use ottla_model::{LeaderEpoch, Offset, Timestamp};
use ottla_replication::{
    Divergence, FetchWaiter, Limit, OffsetUnavailable, ReadAttempt, ReadRefused, Readable, Reader, RequestId,
};
use ottla_storage::{
    AbortedTransaction, EpochEnd, KeptLog, LogRead, LookupError, ReadError, ReadLimits, ReadPlan,
    TimestampSearch,
};

use super::{Partition, State, opened};
use crate::waiting::PollWait;

/// One partition of a fetch.
#[derive(Clone, Copy, Debug)]
pub struct ReadRequest {
    pub attempt: ReadAttempt,
    pub last_fetched_epoch: Option<LeaderEpoch>,
    pub bytes_max: u32,
    /// The first batch is given even where it is larger than `bytes_max`.
    pub at_least_one_batch: bool,
    /// Whether the calling thread may wait for the device.
    pub may_wait: bool,
}

/// What a fetch found.
#[derive(Debug)]
pub struct ReadOutcome {
    /// The watermarks before the read (FET-16).
    pub limits: Readable,
    pub read: LogRead,
    /// Aborted transactions within what was read; `None` unless the reader wants committed records only (FET-18), and
    /// where the next batch did not fit.
    pub aborted: Option<Vec<AbortedTransaction>>,
    /// The reader's log went another way: its end offset there. Nothing was read then.
    pub diverging: Option<EpochEnd>,
    /// There is more before the active segment: the fetch is answered at once (FET-13).
    pub behind_active_segment: bool,
}

/// Why nothing was read.
#[derive(Debug, thiserror::Error)]
pub enum LookError {
    #[error(transparent)]
    Refused(#[from] ReadRefused),
    #[error(transparent)]
    NotKnownYet(#[from] OffsetUnavailable),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Lookup(#[from] LookupError),
    /// What is asked for has to be brought into memory first.
    #[error("the records are not in memory")]
    NotResident(Box<ReadPlan>),
    /// The epoch history does not say where the reader's log ends (FET-31).
    #[error("the end of epoch {0} is not known here")]
    EpochUndetermined(LeaderEpoch),
}

/// Who asks for an offset.
#[derive(Clone, Copy, Debug)]
pub struct Asker {
    pub reader: Reader,
    /// The epoch the asker believes in; `None` skips the check (FET-30).
    pub epoch: Option<LeaderEpoch>,
    /// Whether a follower may answer: to a tool it may (LO-04).
    pub from_any_replica: bool,
}

/// An offset that was asked for by time or by a special name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FoundOffset {
    pub offset: Offset,
    pub timestamp: Option<Timestamp>,
    pub epoch: Option<LeaderEpoch>,
}

impl Partition {
    /// Reads what a fetch may see now. Positions come from memory; bytes may be touched at the borders of old
    /// segments.
    pub fn read(&self, request: &ReadRequest) -> Result<ReadOutcome, LookError> {
        loop {
            match self.read_planned(request) {
                // Compaction has put another segment there since, and the next plan has it.
                Err(LookError::Read(ReadError::Replaced { .. })) => {}
                other => return other,
            }
        }
    }

    fn read_planned(&self, request: &ReadRequest) -> Result<ReadOutcome, LookError> {
        let mut state = self.state.lock();
        self.log_in(&mut state);
        if let Some(outcome) = diverged(&state, request)? {
            return Ok(outcome);
        }
        let limits = state.replica.readable(&request.attempt)?;
        let Some(log) = opened(&state.log) else {
            return Err(ReadRefused::Unavailable(state.replica.standing()).into());
        };
        let plan = plan(&state, request, &limits)?;
        let behind_active_segment = request.attempt.offset < log.active_base();
        drop(state);
        let read = match plan.resolve_resident() {
            Err(error) if error.would_block() && request.may_wait => self.resolve(&plan)?,
            Err(error) if error.would_block() => return Err(LookError::NotResident(Box::new(plan))),
            other => self.checked(other)?,
        };
        // Like Kafka, no list where there is a batch that did not fit.
        let did_not_fit =
            read.slices.is_empty() && request.bytes_max > 0 && request.attempt.offset < limits.up_to;
        let aborted = match request.attempt.reader {
            Reader::Committed if !did_not_fit => Some(self.aborted(request.attempt.offset, read.end)?),
            Reader::Committed | Reader::Uncommitted | Reader::Follower(_) | Reader::Inspector => None,
        };
        Ok(ReadOutcome { limits, read, aborted, diverging: None, behind_active_segment })
    }

    /// Parks a fetch here until enough was added, something changed, or `waiter.deadline`.
    pub fn park(&self, waiter: FetchWaiter, wait: &Arc<PollWait>) {
        let mut state = self.state.lock();
        state.waiting.get_or_insert_default().polls.insert(waiter.request, Arc::clone(wait));
        state.replica.wait_for_bytes(waiter);
        self.settle(&mut state);
    }

    /// Looks again at the watermarks a parked fetch would see, so that nothing is missed between read and park.
    pub fn limits(&self, attempt: &ReadAttempt) -> Result<Readable, ReadRefused> {
        self.state.lock().replica.readable(attempt)
    }

    /// The end of what a reader may read: ListOffsets "latest" (−1).
    pub fn latest(&self, asker: Asker) -> Result<FoundOffset, LookError> {
        let Asker { reader, epoch, from_any_replica } = asker;
        let mut state = self.state.lock();
        state.replica.may_serve(epoch, from_any_replica)?;
        if reader.limit() != Limit::LogEnd {
            state.replica.positions_are_known()?;
        }
        let epoch = match &state.log {
            // Tools ask this of every partition; the latest epoch is the one that began last.
            Some(KeptLog::Resting(resting)) if resting.begun().is_some() => resting.begun(),
            Some(_) | None => {
                self.log_in(&mut state).and_then(|log| log.latest_epoch()).map(|latest| latest.epoch)
            }
        };
        Ok(FoundOffset { offset: state.replica.latest(reader), timestamp: None, epoch })
    }

    /// The first offset that can be read: ListOffsets "earliest" (−2, −4).
    pub fn earliest(&self, asker: Asker) -> Result<FoundOffset, LookError> {
        let mut state = self.state.lock();
        state.replica.may_serve(asker.epoch, asker.from_any_replica)?;
        let start = state.replica.log_start();
        let first = self.log_in(&mut state).and_then(|log| log.epochs().first().copied());
        let epoch = first.filter(|first| first.start <= start).map(|first| first.epoch);
        Ok(FoundOffset { offset: start, timestamp: None, epoch })
    }

    /// The first record at or after a time, or the record with the largest time; `None` when there is none below
    /// what the reader may read (LO-02).
    pub fn by_time(&self, time: Option<Timestamp>, asker: Asker) -> Result<Option<FoundOffset>, LookError> {
        loop {
            match self.by_time_planned(time, asker) {
                // As in `read`.
                Err(LookError::Lookup(LookupError::Replaced { .. })) => {}
                other => return other,
            }
        }
    }

    fn by_time_planned(
        &self,
        time: Option<Timestamp>,
        asker: Asker,
    ) -> Result<Option<FoundOffset>, LookError> {
        let Asker { reader, epoch, from_any_replica } = asker;
        let mut state = self.state.lock();
        state.replica.may_serve(epoch, from_any_replica)?;
        self.log_in(&mut state);
        let Some(log) = opened(&state.log) else {
            return Err(ReadRefused::Unavailable(state.replica.standing()).into());
        };
        let latest = state.replica.latest(reader);
        let known = state.replica.positions_are_known();
        let search = match time {
            Some(time) => log.plan_timestamp_search(time),
            None => log.plan_largest_timestamp_search(),
        };
        let search: TimestampSearch = search.map_err(LookupError::from)?;
        drop(state);
        let Some(found) = search.resolve().inspect_err(|error| self.check_lookup(error))? else {
            return Ok(None);
        };
        if found.offset >= latest {
            known?;
            return Ok(None);
        }
        let epoch = found.leader_epoch;
        Ok(Some(FoundOffset { offset: found.offset, timestamp: Some(found.timestamp), epoch }))
    }

    /// The end of an epoch (FET-32): `None` when the epoch is above all that are known here.
    pub fn epoch_end(
        &self,
        epoch: LeaderEpoch,
        current: Option<LeaderEpoch>,
    ) -> Result<Option<EpochEnd>, LookError> {
        let mut state = self.state.lock();
        state.replica.may_serve(current, false)?;
        Ok(self.log_in(&mut state).and_then(|log| log.epoch_end(epoch)))
    }

    /// Where the first epoch that is known here begins.
    pub fn first_epoch(&self, current: Option<LeaderEpoch>) -> Result<Option<Offset>, LookError> {
        let mut state = self.state.lock();
        state.replica.may_serve(current, false)?;
        let first = self.log_in(&mut state).and_then(|log| log.epochs().first());
        Ok(first.map(|epoch| epoch.start))
    }

    fn aborted(&self, from: Offset, to: Offset) -> Result<Vec<AbortedTransaction>, LookError> {
        let mut state = self.state.lock();
        let Some(log) = self.log_in(&mut state) else { return Ok(Vec::new()) };
        log.aborted_transactions(from, to).map_err(|error| LookError::Read(ReadError::Disk(error)))
    }

    fn resolve(&self, plan: &ReadPlan) -> Result<LogRead, LookError> {
        self.checked(plan.resolve())
    }

    fn checked(&self, read: Result<LogRead, ReadError>) -> Result<LogRead, LookError> {
        read.inspect_err(|error| {
            if let ReadError::Disk(cause) = error {
                self.failed(cause);
            }
        })
        .map_err(LookError::from)
    }

    fn check_lookup(&self, error: &LookupError) {
        if let LookupError::Disk(cause) = error {
            self.failed(cause);
        }
    }
}

fn plan(state: &State, request: &ReadRequest, limits: &Readable) -> Result<ReadPlan, LookError> {
    let Some(log) = opened(&state.log) else {
        return Err(ReadRefused::Unavailable(state.replica.standing()).into());
    };
    let read = ReadLimits {
        bytes_max: request.bytes_max,
        upper_bound: limits.up_to,
        at_least_one_batch: request.at_least_one_batch,
    };
    Ok(log.plan_read(request.attempt.offset, read)?)
}

/// Whether the reader's log went another way (FET-31). Looked at before the range: a reader that is ahead of this log is
/// told where the logs part, not that its offset is out of range. Below the log start the range decides.
fn diverged(state: &State, request: &ReadRequest) -> Result<Option<ReadOutcome>, LookError> {
    let (Some(epoch), Some(log)) = (request.last_fetched_epoch, opened(&state.log)) else { return Ok(None) };
    let at_end = ReadAttempt { offset: state.replica.log_end(), ..request.attempt };
    let limits = state.replica.readable(&at_end)?;
    let offset = request.attempt.offset;
    let known = log.epoch_end(epoch);
    let known = known.map(|end| ottla_replication::EpochEnd { epoch: end.epoch, end: end.end });
    let diverging = match Divergence::between(epoch, offset, known) {
        Divergence::Undetermined => return Err(LookError::EpochUndetermined(epoch)),
        Divergence::At(end) if offset >= limits.log_start => EpochEnd { epoch: end.epoch, end: end.end },
        Divergence::At(_) | Divergence::None => return Ok(None),
    };
    let read = LogRead { slices: Vec::new(), bytes: 0, end: offset };
    let diverging = Some(diverging);
    Ok(Some(ReadOutcome { limits, read, aborted: None, diverging, behind_active_segment: false }))
}

/// A waiter for `wanted_bytes` more.
pub fn waiter(request: RequestId, reader: Reader, wanted_bytes: u64, deadline: Instant) -> FetchWaiter {
    FetchWaiter { request, limit: reader.limit(), wanted_bytes, deadline }
}
