//! Appending to a partition this broker leads.
//!
//! Owns: the order check → append → tell the machine → wait or not, and which flush is asked for.
//! Does not own: the record checks (`protocol`), the producer checks (`storage`), the watermark (`replication`).
//!
//! Source: requirements PRD-07, PRD-08, PRD-18, PRD-19, LOG-06; performance design 4.2.

use std::cell::RefCell;
use std::sync::Arc;

use ottla_env::time::{Instant, now, wall_now};
use ottla_model::{LeaderEpoch, Offset, Timestamp, Verification};
use ottla_protocol::record::{Arrival, Refusal, Validator};
use ottla_replication::{Ack, AckDurability, AckOutcome, AppendRefused, RequestId};
use ottla_storage::{AppendError, LeaderAppend, LeaderAppended, Origin};

use super::{Partition, State, opened_mut};
use crate::waiting::ProduceWait;

thread_local! {
    /// The codecs' contexts are costly to make, so each thread that appends keeps its own.
    static VALIDATOR: RefCell<Validator> = RefCell::new(Validator::new());
}

/// Records of one partition of a produce request.
pub struct AppendRequest<'a> {
    /// One batch, in the buffer it was read into; offset and epoch are written into it.
    pub records: &'a mut [u8],
    /// Version of the produce request: what codecs it may use depends on it.
    pub version: i16,
    /// Whether `acks=all` was asked for.
    pub all_in_sync: bool,
    /// Of a transactional batch: what is known about its transaction.
    pub verification: Verification,
}

/// Where the outcome of an `acks=all` append is reported.
pub struct Producing<'a> {
    pub wait: &'a Arc<ProduceWait>,
    pub slot: usize,
    pub request: RequestId,
    pub deadline: Instant,
}

/// An append that was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    pub base_offset: Offset,
    /// The broker's time, where the topic stamps records with it.
    pub log_append_time: Option<Timestamp>,
    pub log_start: Offset,
    /// The request has to wait for replication or the device.
    pub must_wait: bool,
}

/// An append of a coordinator whose outcome is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Awaited {
    pub last_offset: Offset,
    /// The outcome comes later.
    pub must_wait: bool,
}

/// Why nothing was appended.
#[derive(Debug, thiserror::Error)]
pub enum ProduceError {
    #[error(transparent)]
    Refused(#[from] AppendRefused),
    /// `log_start` is told to the client where the records were looked at (PRD-18).
    #[error("{error}")]
    Invalid { error: Refusal, log_start: Offset },
    #[error("{error}")]
    Append { error: AppendError, log_start: Offset },
}

impl Partition {
    /// Checks and appends the records of a producer. With `acks=all` the outcome comes through `producing`, unless
    /// the answer says that there is nothing to wait for.
    pub fn produce(
        self: &Arc<Partition>,
        request: AppendRequest<'_>,
        producing: Option<&Producing<'_>>,
    ) -> Result<Appended, ProduceError> {
        // Asked first: records for a partition that cannot take them are not worth checking.
        self.may_append(&self.state.lock(), request.all_in_sync)?;
        let wall = wall_now();
        let arrival = Arrival { partition: &self.id, version: request.version, now: wall };
        let settings = self.settings.load();
        let checked = VALIDATOR
            .with_borrow_mut(|validator| validator.validate(request.records, &settings.rules, arrival));
        let mut checked =
            checked.map_err(|error| ProduceError::Invalid { error, log_start: self.log_start() })?;
        let log_append_time = checked.log_append_time;
        let records = checked.bytes.as_mut_slice();
        let mut state = self.state.lock();
        let epoch = self.may_append(&state, request.all_in_sync)?;
        let append = LeaderAppend {
            epoch,
            origin: Origin::Client,
            verification: request.verification,
            marker_epoch_was_raised: false,
            now: wall,
        };
        let last = self.append(&mut state, records, &append)?;
        let must_wait = producing.is_some_and(|producing| self.wait(&mut state, last.last_offset, producing));
        let log_start = state.replica.log_start();
        self.settle(&mut state);
        drop(state);
        if last.is_new {
            self.ask_for_flush(producing.is_some(), last.flush_is_due);
        }
        // What is there already has the time it has, whoever gave it.
        let log_append_time = last.timestamp.or(log_append_time.map(|_| wall));
        Ok(Appended { base_offset: last.first_offset, log_append_time, log_start, must_wait })
    }

    /// Appends a batch of a coordinator on this node, as if with `acks=all`. The log's progress is followed through
    /// [`Partition::committed`]. Returns the offset behind the batch.
    pub fn append_internal(
        self: &Arc<Partition>,
        batch: &mut [u8],
        verification: Verification,
    ) -> Result<Offset, ProduceError> {
        let mut state = self.state.lock();
        let epoch = self.may_append(&state, true)?;
        let append = LeaderAppend {
            epoch,
            origin: Origin::Coordinator,
            verification,
            marker_epoch_was_raised: false,
            now: wall_now(),
        };
        let last = self.append(&mut state, batch, &append)?;
        self.settle(&mut state);
        drop(state);
        self.ask_for_flush(true, last.flush_is_due);
        Ok(last.last_offset.next())
    }

    /// Appends a batch of a coordinator, as with `acks=all`.
    pub(super) fn append_and_wait(
        self: &Arc<Partition>,
        batch: &mut [u8],
        append: impl FnOnce(LeaderEpoch) -> LeaderAppend,
        producing: &Producing<'_>,
    ) -> Result<Awaited, ProduceError> {
        let mut state = self.state.lock();
        let epoch = self.may_append(&state, true)?;
        let last = self.append(&mut state, batch, &append(epoch))?;
        let must_wait = self.wait(&mut state, last.last_offset, producing);
        self.settle(&mut state);
        drop(state);
        self.ask_for_flush(true, last.flush_is_due);
        Ok(Awaited { last_offset: last.last_offset, must_wait })
    }

    fn may_append(&self, state: &State, all_in_sync: bool) -> Result<LeaderEpoch, AppendRefused> {
        if all_in_sync { state.replica.may_append_in_sync() } else { state.replica.may_append() }
    }

    fn append(
        &self,
        state: &mut State,
        records: &mut [u8],
        append: &LeaderAppend,
    ) -> Result<Last, ProduceError> {
        let log_start = state.replica.log_start();
        if self.log_in(state).is_none() {
            return Err(AppendRefused::Unavailable(state.replica.standing()).into());
        }
        let Some(log) = opened_mut(&mut state.log) else {
            return Err(AppendRefused::Unavailable(state.replica.standing()).into());
        };
        match log.append_as_leader(records, append) {
            Ok(LeaderAppended::New(appended)) => {
                let bytes = u32::try_from(appended.bytes).unwrap_or(u32::MAX);
                state.replica.on_appended(appended.last_offset.next(), bytes, now());
                state.replica.on_first_unstable(log.first_unstable(), now());
                if appended.rolled || appended.wants_space {
                    self.directory.care_for(self.id());
                }
                Ok(Last {
                    first_offset: appended.first_offset,
                    last_offset: appended.last_offset,
                    timestamp: None,
                    is_new: true,
                    flush_is_due: log.flush_is_due(append.now),
                })
            }
            Ok(LeaderAppended::Duplicate { first_offset, last_offset, timestamp }) => Ok(Last {
                first_offset,
                last_offset,
                timestamp: Some(timestamp),
                is_new: false,
                flush_is_due: false,
            }),
            Err(error) => {
                if let AppendError::Disk(cause) = &error {
                    self.failed(cause);
                }
                Err(ProduceError::Append { error, log_start })
            }
        }
    }

    /// Parks the request until its last record is committed. `false`: it is already, or never will be.
    fn wait(&self, state: &mut State, last_offset: Offset, producing: &Producing<'_>) -> bool {
        let ack = Ack { request: producing.request, last_offset, deadline: producing.deadline };
        producing.wait.expect_one();
        match state.replica.acknowledge(ack) {
            Some(AckOutcome::Committed) => {
                producing.wait.finish(producing.slot, AckOutcome::Committed);
                false
            }
            Some(outcome) => {
                producing.wait.finish(producing.slot, outcome);
                true
            }
            None => {
                let waiting = state.waiting.get_or_insert_default();
                waiting.acks.insert(producing.request, (Arc::clone(producing.wait), producing.slot));
                true
            }
        }
    }

    /// On a flushed topic every append is flushed: at once where somebody waits for it, soon otherwise. On others
    /// `flush.messages` and `flush.ms` ask for it (LOG-05).
    fn ask_for_flush(self: &Arc<Partition>, somebody_waits: bool, flush_is_due: bool) {
        match (self.settings.load().replication.durability, somebody_waits) {
            (AckDurability::PageCache, _) if flush_is_due => {
                self.directory.flusher().flush_later(Arc::<Partition>::clone(self));
            }
            (AckDurability::PageCache, _) => {}
            (AckDurability::Flushed, true) => {
                self.directory.flusher().flush_soon(Arc::<Partition>::clone(self))
            }
            (AckDurability::Flushed, false) => {
                self.directory.flusher().flush_later(Arc::<Partition>::clone(self));
            }
        }
    }
}

/// The place of an appended batch, or of the one it repeats.
struct Last {
    first_offset: Offset,
    last_offset: Offset,
    /// When a repeated batch was written.
    timestamp: Option<Timestamp>,
    is_new: bool,
    /// `flush.messages` or `flush.ms` asks for a flush.
    flush_is_due: bool,
}
