//! Appending to a log, as leader and as follower.
//!
//! Owns: giving offsets and leader epoch to batches, what a follower accepts, rolling before an append.
//! Does not own: what a leader accepts from a client (`ottla_protocol::record`), when a segment is full (`segment`).
//!
//! The bytes of one call are written with one system call. Memory changes only after they are written, so that
//! a failed write leaves the log as it was; what the file has behind its end then is overwritten or cut.
//!
//! Source: requirements REC-01, PRD-09, PRD-21, IDM-02, REP-06, R3; performance design 4.2.

use std::io;

use ottla_model::{LeaderEpoch, Offset, Timestamp, Verification};
use ottla_mutant::mutant;
use ottla_protocol::record::{Batch, BatchError, BatchHeader, BatchMut, BatchView};

use super::{Log, Unsealed};
use crate::checkpoint::no_space;
use crate::config::LogConfig;
use crate::file_cache::SegmentFiles;
use crate::names::FileKind;
use crate::producers::{AppendedBatch, Origin, Place, ProducerError, Staged, Verdict};
use crate::scan::{FoundBatch, Scanner, Waiting};
use crate::seal::Gate;
use crate::segment::{Active, Incoming, Sealed};
use crate::txn_index::{self, AbortedTransaction};

/// How a leader appends.
#[derive(Clone, Copy, Debug)]
pub struct LeaderAppend {
    /// Stamped into every batch.
    pub epoch: LeaderEpoch,
    pub origin: Origin,
    /// Of a transactional batch: what is known about its transaction.
    pub verification: Verification,
    /// Of a control batch that ends a transaction: whether its producer epoch was raised for it (TXN-09).
    pub marker_epoch_was_raised: bool,
    pub now: Timestamp,
}

/// How a follower appends.
#[derive(Clone, Copy, Debug)]
pub struct FollowerAppend {
    /// The leader epoch the records were fetched with; batches of a later one are not taken (REP-06).
    pub epoch: LeaderEpoch,
    pub now: Timestamp,
}

/// What was appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    pub first_offset: Offset,
    pub last_offset: Offset,
    pub max_timestamp: Timestamp,
    pub bytes: u64,
    /// A segment was closed before: there is a seal job.
    pub rolled: bool,
    /// The log grows fast: there is a reserve job.
    pub wants_space: bool,
}

/// What became of a leader's append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaderAppended {
    New(Appended),
    /// IDM-02: a producer repeated a batch. Nothing was appended; this is the answer it got the first time.
    Duplicate {
        first_offset: Offset,
        last_offset: Offset,
        timestamp: Timestamp,
    },
}

/// Why nothing was appended.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    #[error(transparent)]
    Producer(#[from] ProducerError),
    #[error(
        "Message batch size is {bytes} bytes in append to partition {partition}, which exceeds the maximum \
         configured segment size of {max}."
    )]
    TooLarge { bytes: u64, max: u32, partition: String },
    #[error("the bytes at {at} are no batch: {reason}")]
    Malformed { at: usize, reason: BatchError },
    #[error("a batch ends at offset {last} although the log ends at {log_end}")]
    NotContiguous { last: Offset, log_end: Offset },
    #[error("the offsets of this log are used up")]
    OffsetsExhausted,
    /// The log is as it was and can be read.
    #[error("no space is left in the data directory")]
    NoSpace(#[source] io::Error),
    /// The data directory has failed.
    #[error("cannot write to the data directory")]
    Disk(#[source] io::Error),
}

/// Checked batches that wait to be written.
struct Pending {
    staged: Staged,
    first_offset: Option<Offset>,
    next_offset: Offset,
    max_timestamp: Timestamp,
}

impl Pending {
    fn new(log: &Log) -> Pending {
        Pending {
            staged: Staged::default(),
            first_offset: None,
            next_offset: log.log_end,
            max_timestamp: Timestamp::NONE,
        }
    }

    fn add(&mut self, batch: &FoundBatch) -> Result<(), AppendError> {
        self.first_offset.get_or_insert(batch.base_offset);
        self.next_offset = batch.last_offset.next();
        self.max_timestamp = self.max_timestamp.max(batch.max_timestamp);
        if batch.last_offset == Offset::MAX { Err(AppendError::OffsetsExhausted) } else { Ok(()) }
    }
}

impl Log {
    /// Appends batches that the leader has validated. They get the next offsets and the leader's epoch, in
    /// place: neither is covered by the checksum (REC-01).
    ///
    /// `batches` holds whole batches of magic 2, one behind the other; from a client it is one.
    pub fn append_as_leader(
        &mut self,
        batches: &mut [u8],
        by: &LeaderAppend,
    ) -> Result<LeaderAppended, AppendError> {
        let bytes = u64::try_from(batches.len()).unwrap_or(u64::MAX);
        if bytes > u64::from(self.config.segment_bytes) {
            let (max, partition) = (self.config.segment_bytes, self.partition.to_string());
            return Err(AppendError::TooLarge { bytes, max, partition });
        }
        let mut pending = Pending::new(self);
        let mut at = 0;
        while at < batches.len() {
            let malformed = |reason| AppendError::Malformed { at, reason };
            let mut batch = BatchMut::parse(&mut batches[at..]).map_err(malformed)?;
            batch.set_base_offset(pending.next_offset);
            batch.set_leader_epoch(by.epoch);
            let view = batch.view();
            if let Verdict::Duplicate(known) = self.stage(&mut pending.staged, &view, by)? {
                return Ok(duplicate_of(&known));
            }
            pending.add(&found_in(batch.header(), 0))?;
            at += batch.header().size;
        }
        Ok(LeaderAppended::New(self.write(batches, pending, by.now)?))
    }

    /// Appends batches that the leader sent, with the offsets they have there. Returns `None` when none of
    /// them may be taken: all are cut off, or of a later epoch.
    ///
    /// `batches` may end with a batch that is cut off; that one is left out.
    pub fn append_as_follower(
        &mut self,
        batches: &[u8],
        by: &FollowerAppend,
    ) -> Result<Option<Appended>, AppendError> {
        let mut taken: Option<Appended> = None;
        let mut rest = batches;
        while !rest.is_empty() {
            let mut pending = Pending::new(self);
            let len = self.stage_follower(&mut pending, rest, by)?;
            if len == 0 {
                break;
            }
            let group = self.write(&rest[..len], pending, by.now)?;
            let first_offset = taken.map_or(group.first_offset, |taken| taken.first_offset);
            taken = Some(Appended {
                first_offset,
                max_timestamp: taken
                    .map_or(group.max_timestamp, |t| t.max_timestamp.max(group.max_timestamp)),
                bytes: taken.map_or(0, |taken| taken.bytes) + group.bytes,
                rolled: group.rolled || taken.is_some_and(|taken| taken.rolled),
                wants_space: group.wants_space,
                last_offset: group.last_offset,
            });
            rest = &rest[len..];
        }
        Ok(taken)
    }

    /// Checks as many batches as fit into one segment; returns their length.
    fn stage_follower(
        &self,
        pending: &mut Pending,
        batches: &[u8],
        by: &FollowerAppend,
    ) -> Result<usize, AppendError> {
        let mut len = 0;
        while len < batches.len() {
            let at = len;
            let malformed = |reason| AppendError::Malformed { at, reason };
            let batch = match Batch::parse(&batches[at..]) {
                Ok(batch) => batch,
                Err(BatchError::Truncated { .. }) => break,
                Err(reason) => return Err(malformed(reason)),
            };
            batch.check_crc().map_err(malformed)?;
            let found = found_batch(&batch);
            if found.leader_epoch().is_some_and(|epoch| epoch > by.epoch) {
                break;
            }
            let end = at + batch.bytes().len();
            let group = u64::try_from(end).unwrap_or(u64::MAX);
            if at > 0 && group > u64::from(self.config.segment_bytes) {
                break;
            }
            if found.base_offset < pending.next_offset || found.last_offset < found.base_offset {
                let log_end = pending.next_offset;
                return Err(AppendError::NotContiguous { last: found.last_offset, log_end });
            }
            if let Batch::V2(view) = &batch {
                let by = LeaderAppend {
                    epoch: by.epoch,
                    origin: Origin::Replica,
                    verification: Verification::Off,
                    marker_epoch_was_raised: false,
                    now: by.now,
                };
                self.stage(&mut pending.staged, view, &by)?;
            }
            pending.add(&found)?;
            len = end;
        }
        Ok(len)
    }

    /// Checks what a batch says about its producer.
    fn stage(
        &self,
        staged: &mut Staged,
        batch: &BatchView<'_>,
        by: &LeaderAppend,
    ) -> Result<Verdict, AppendError> {
        let place = Place { partition: &self.partition, origin: by.origin, verification: by.verification };
        let verdict =
            super::producers::stage(&self.producers, staged, batch, (place, by.marker_epoch_was_raised));
        verdict.map_err(AppendError::Producer)
    }

    /// Writes checked batches at the end and makes them part of the log.
    fn write(&mut self, batches: &[u8], pending: Pending, now: Timestamp) -> Result<Appended, AppendError> {
        let Pending { mut staged, first_offset, next_offset, max_timestamp } = pending;
        let bytes = u64::try_from(batches.len()).unwrap_or(u64::MAX);
        let first_offset = first_offset.unwrap_or(self.log_end);
        let last_offset = next_offset.previous().unwrap_or(Offset::ZERO);
        let incoming = Incoming { bytes, last_offset, max_timestamp, now };
        let rolled = self.roll_before(&incoming, first_offset).map_err(disk_error)?;
        let position = self.active.size;
        match self.write_bytes(batches, position).map_err(disk_error) {
            Err(AppendError::NoSpace(_)) if mutant!(full_disk_is_success) => {}
            written => written?,
        }
        self.append_aborted(&staged).map_err(disk_error)?;
        self.producers.commit(&mut staged);
        let mut at = 0;
        while let Ok(batch) = Batch::parse(&batches[at..]) {
            let mut found = found_batch(&batch);
            found.position = self.active.size;
            if mutant!(retention_by_broker_time) {
                found.max_timestamp = now;
            }
            if let Some(epoch) = found.leader_epoch() {
                self.note_epoch_of(epoch, found.base_offset);
            }
            self.active.on_appended(&found, self.config.index_interval_bytes);
            at += batch.bytes().len();
        }
        self.log_end = next_offset;
        self.flush.on_appended(now);
        self.assert_ordered();
        let wants_space = self.reserve_from().is_some();
        Ok(Appended { first_offset, last_offset, max_timestamp, bytes, rolled, wants_space })
    }

    /// A batch's epoch matters only where it is later than all known ones.
    fn note_epoch_of(&mut self, epoch: LeaderEpoch, start: Offset) {
        if self.epochs.latest().is_none_or(|latest| latest.epoch < epoch) {
            self.note_epoch(epoch, start);
        }
    }

    fn write_bytes(&mut self, batches: &[u8], position: u64) -> io::Result<()> {
        let file = self.active.files.open(FileKind::Log)?;
        let written = file.write_all_at(batches, position);
        if written.is_err() {
            // What was written of it is no part of the log; where it cannot be cut, recovery cuts it.
            let _ = file.set_len(position);
            self.flush.on_side_file(file);
        }
        written
    }

    fn append_aborted(&mut self, staged: &Staged) -> io::Result<()> {
        let aborted: Vec<AbortedTransaction> = staged
            .completed
            .iter()
            .filter(|completed| completed.aborted)
            .map(AbortedTransaction::of)
            .collect();
        if let Some(file) = txn_index::append(&self.active.files, &aborted)? {
            self.flush.on_side_file(file);
            // The file may be new.
            self.flush.on_names_changed();
        }
        Ok(())
    }

    fn roll_before(&mut self, incoming: &Incoming, first_offset: Offset) -> io::Result<bool> {
        if self.active.size > 0 && self.active.first_timestamp.is_none() {
            self.load_first_timestamp()?;
        }
        let roll = self.active.must_roll(incoming, &self.config);
        if roll {
            self.roll(first_offset.max(self.log_end), incoming.now)?;
        }
        Ok(roll)
    }

    fn load_first_timestamp(&mut self) -> io::Result<()> {
        let file = self.active.files.open(FileKind::Log)?;
        let first = Scanner::new(file, 0..self.active.size, Waiting::Allowed).next();
        self.active.first_timestamp = first.ok().flatten().map(|batch| batch.max_timestamp);
        Ok(())
    }

    /// Closes the active segment and begins one at `base`, which is not below the log end. An active segment
    /// without batches is replaced.
    pub(super) fn roll(&mut self, base: Offset, now: Timestamp) -> io::Result<()> {
        let files = SegmentFiles::new(std::sync::Arc::clone(&self.directory), base);
        if self.active.base() == base {
            return Ok(());
        }
        files.create()?;
        reserve_whole(&files, &self.config)?;
        let mut old = std::mem::replace(&mut self.active, Active::new(files, now));
        old.push_largest();
        // A snapshot is taken where something was appended since the last one.
        let snapshot = self.snapshot_is_due(base).then(|| self.snapshot_file(base));
        if snapshot.is_some() {
            self.latest_snapshot = Some(base);
        }
        self.unsealed.push(Unsealed {
            base: old.base(),
            end: base,
            snapshot,
            gate: Gate::default(),
            handed_out: false,
        });
        self.sealed.push_back(std::sync::Arc::new(Sealed::from_active(old, base)));
        self.flush.on_new_segment();
        Ok(())
    }
}

/// `preallocate`: reserves the whole space of a segment.
fn reserve_whole(files: &std::sync::Arc<SegmentFiles>, config: &LogConfig) -> io::Result<()> {
    if config.preallocate {
        files.open(FileKind::Log)?.reserve(0, u64::from(config.segment_bytes))?;
    }
    Ok(())
}

fn duplicate_of(known: &AppendedBatch) -> LeaderAppended {
    LeaderAppended::Duplicate {
        first_offset: known.first_offset(),
        last_offset: known.last_offset,
        timestamp: known.timestamp,
    }
}

fn found_in(header: &BatchHeader, position: u64) -> FoundBatch {
    FoundBatch {
        position,
        size: u64::try_from(header.size).unwrap_or(u64::MAX),
        base_offset: header.base_offset,
        last_offset: header.last_offset(),
        max_timestamp: header.max_timestamp,
        header: Some(*header),
    }
}

fn found_batch(batch: &Batch<'_>) -> FoundBatch {
    match batch {
        Batch::V2(batch) => found_in(batch.header(), 0),
        Batch::Legacy(batch) => FoundBatch {
            position: 0,
            size: u64::try_from(batch.bytes().len()).unwrap_or(u64::MAX),
            base_offset: batch.last_offset(),
            last_offset: batch.last_offset(),
            max_timestamp: batch.max_timestamp(),
            header: None,
        },
    }
}

fn disk_error(error: io::Error) -> AppendError {
    match no_space(&error) {
        true => AppendError::NoSpace(error),
        false => AppendError::Disk(error),
    }
}
