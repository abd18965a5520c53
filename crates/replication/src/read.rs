//! What a reader may read of one partition, and what it is told about the leader's epoch.
//!
//! Owns: the limits per reader, the range check, the epoch check, the divergence rule.
//! Does not own: the bytes and the epoch history (`storage`).
//!
//! Source: requirements FET-15…17, FET-30, FET-31, LO-03; KIP-320.

use ottla_model::{BrokerId, LeaderEpoch, Offset};
use ottla_mutant::mutant;

use crate::role::Standing;
use crate::watermark::Limits;

/// Who reads. Clients read below a commit limit, replicas read everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// A consumer with isolation `read_uncommitted`.
    Uncommitted,
    /// A consumer with isolation `read_committed`.
    Committed,
    /// A follower of this partition.
    Follower(BrokerId),
    /// Somebody who wants to see a replica as it is (ListOffsets with another replica id than a client's).
    Inspector,
}

/// The offset below which a reader may read (FET-17).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    LogEnd,
    HighWatermark,
    LastStable,
}

impl Limit {
    pub(crate) fn of(self, limits: Limits) -> Offset {
        match self {
            Limit::LogEnd => limits.log_end,
            Limit::HighWatermark => limits.high_watermark,
            Limit::LastStable => limits.last_stable,
        }
    }
}

impl Reader {
    /// Followers read to the log end, `read_committed` to the last stable offset, others to the high watermark.
    pub fn limit(self) -> Limit {
        match self {
            Reader::Uncommitted => Limit::HighWatermark,
            Reader::Committed => Limit::LastStable,
            Reader::Follower(_) | Reader::Inspector => Limit::LogEnd,
        }
    }
}

/// One partition of a fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadAttempt {
    pub reader: Reader,
    pub offset: Offset,
    /// The epoch the reader believes in; `None` skips the check (FET-30).
    pub leader_epoch: Option<LeaderEpoch>,
    /// Whether the request is of a version that lets a consumer read from a follower (Fetch v11+).
    pub from_any_replica: bool,
}

/// The range that may be read, and the watermarks to report with it: those from before the read (FET-16).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Readable {
    /// Exclusive. Not above the attempt's offset when there is nothing to read yet.
    pub up_to: Offset,
    pub log_start: Offset,
    pub high_watermark: Offset,
    pub last_stable: Offset,
    pub log_end: Offset,
}

/// Why a partition cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadRefused {
    #[error("this broker cannot serve the partition: {0:?}")]
    Unavailable(Standing),
    #[error("the reader's leader epoch {got} is older than {current}")]
    FencedEpoch { got: LeaderEpoch, current: LeaderEpoch },
    #[error("the reader's leader epoch {got} is newer than {current}")]
    UnknownEpoch { got: LeaderEpoch, current: LeaderEpoch },
    #[error("broker {0} is no follower of the partition")]
    UnknownReplica(BrokerId),
    #[error("offset {got} lies outside {log_start}..={log_end}")]
    OutOfRange { got: Offset, log_start: Offset, log_end: Offset },
}

/// LO-03: the leader was elected and does not know yet how far its predecessor had committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("high watermark {high_watermark} lies below the start {epoch_start} of this leader's epoch")]
pub struct OffsetUnavailable {
    pub high_watermark: Offset,
    pub epoch_start: Offset,
}

/// Where an epoch ends in this log: the largest epoch not above the one asked for, and the offset behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochEnd {
    pub epoch: LeaderEpoch,
    pub end: Offset,
}

/// How a reader's log relates to this one (FET-31).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Divergence {
    /// The reader's history is a prefix of this one.
    None,
    /// The reader must cut its log and come back from here.
    At(EpochEnd),
    /// This log does not reach back to the reader's epoch.
    Undetermined,
}

impl Divergence {
    /// Compares a reader that last read epoch `last_epoch` and goes on at `offset` with `known`, this log's answer
    /// for that epoch.
    pub fn between(last_epoch: LeaderEpoch, offset: Offset, known: Option<EpochEnd>) -> Divergence {
        match known {
            None => Divergence::Undetermined,
            Some(end) if end.epoch < last_epoch || end.end < offset => Divergence::At(end),
            Some(_) => Divergence::None,
        }
    }
}

/// Whether a broker in this standing may answer about the log: epoch first, then role (FET-30).
pub(crate) fn check_service(
    standing: Standing,
    epoch: Option<LeaderEpoch>,
    from_any_replica: bool,
) -> Result<(), ReadRefused> {
    match standing {
        Standing::Leader { epoch: current } => check_epoch(epoch, current),
        Standing::Follower { epoch: current, .. } => {
            check_epoch(epoch, current)?;
            if from_any_replica { Ok(()) } else { Err(ReadRefused::Unavailable(standing)) }
        }
        Standing::Offline | Standing::Removed => Err(ReadRefused::Unavailable(standing)),
    }
}

/// What `attempt` may read of a log that begins at `log_start` (FET-15).
pub(crate) fn range(
    log_start: Offset,
    limits: Limits,
    attempt: &ReadAttempt,
) -> Result<Readable, ReadRefused> {
    let log_end = limits.log_end;
    if attempt.offset < log_start || attempt.offset > log_end {
        return Err(ReadRefused::OutOfRange { got: attempt.offset, log_start, log_end });
    }
    let up_to = attempt.reader.limit().of(limits);
    Ok(Readable {
        up_to: if mutant!(serve_beyond_high_watermark) { log_end } else { up_to },
        log_start,
        high_watermark: limits.high_watermark,
        last_stable: limits.last_stable,
        log_end,
    })
}

fn check_epoch(got: Option<LeaderEpoch>, current: LeaderEpoch) -> Result<(), ReadRefused> {
    match got {
        Some(got) if got < current => Err(ReadRefused::FencedEpoch { got, current }),
        Some(got) if got > current => Err(ReadRefused::UnknownEpoch { got, current }),
        Some(_) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epoch(value: i32) -> LeaderEpoch {
        LeaderEpoch::new(value).unwrap()
    }

    fn end(value: i32, offset: i64) -> EpochEnd {
        EpochEnd { epoch: epoch(value), end: Offset::new(offset).unwrap() }
    }

    /// FET-30
    #[test]
    fn an_older_epoch_is_fenced_and_a_newer_one_is_unknown() {
        let current = epoch(5);
        assert_eq!(check_epoch(None, current), Ok(()));
        assert_eq!(check_epoch(Some(current), current), Ok(()));
        assert_eq!(
            check_epoch(Some(epoch(4)), current),
            Err(ReadRefused::FencedEpoch { got: epoch(4), current })
        );
        assert_eq!(
            check_epoch(Some(epoch(6)), current),
            Err(ReadRefused::UnknownEpoch { got: epoch(6), current })
        );
    }

    /// FET-31
    #[test]
    fn a_reader_diverges_where_its_last_epoch_ended_here() {
        let offset = Offset::new(10).unwrap();
        assert_eq!(Divergence::between(epoch(3), offset, Some(end(3, 10))), Divergence::None);
        assert_eq!(Divergence::between(epoch(3), offset, Some(end(3, 9))), Divergence::At(end(3, 9)));
        assert_eq!(Divergence::between(epoch(3), offset, Some(end(2, 50))), Divergence::At(end(2, 50)));
        assert_eq!(Divergence::between(epoch(3), offset, None), Divergence::Undetermined);
    }
}
