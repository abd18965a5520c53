//! When a snapshot is due, and which snapshots and log records it makes superfluous.
//!
//! Owns: the count of bytes and time since the last one, the choice of what may be deleted.
//! Does not own: files; deletion is the server's.
//!
//! Source: KIP-630, KIP-876; requirement KRF-07.

use std::time::{Duration, Instant};

use ottla_model::Timestamp;

use super::SnapshotId;

/// When a snapshot is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotPolicy {
    /// `metadata.log.max.record.bytes.between.snapshots`
    pub bytes_max: u64,
    /// `metadata.log.max.snapshot.interval.ms`; `None` leaves it to the bytes.
    pub interval: Option<Duration>,
}

/// Counts what happened since the last snapshot.
#[derive(Clone, Copy, Debug)]
pub struct SnapshotTrigger {
    policy: SnapshotPolicy,
    bytes: u64,
    since: Instant,
}

impl SnapshotTrigger {
    /// Nothing was committed since `now`.
    pub fn new(policy: SnapshotPolicy, now: Instant) -> SnapshotTrigger {
        SnapshotTrigger { policy, bytes: 0, since: now }
    }

    /// Records were committed. Says whether a snapshot is due now; then counting begins anew.
    pub fn on_committed(&mut self, bytes: u64, now: Instant) -> bool {
        self.bytes = self.bytes.saturating_add(bytes);
        let old = self.policy.interval.is_some_and(|interval| now.duration_since(self.since) >= interval);
        let due = self.bytes >= self.policy.bytes_max || old;
        if due {
            *self = SnapshotTrigger::new(self.policy, now);
        }
        due
    }
}

/// How much of the past is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// `metadata.max.retention.bytes`, of log and snapshots together; `None` for no limit.
    pub bytes_max: Option<u64>,
    /// `metadata.max.retention.ms`; `None` for no limit.
    pub age_max: Option<Duration>,
}

/// A snapshot on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotFile {
    pub id: SnapshotId,
    pub bytes: u64,
    /// When the last record it stands for was written.
    pub last_timestamp: Timestamp,
}

impl Retention {
    /// The snapshot from which on everything is kept: older snapshots and the log before it may be deleted. `None`
    /// when nothing may. `files` are ordered by id; the newest always stays.
    pub fn keep_from(&self, files: &[SnapshotFile], log_bytes: u64, now: Timestamp) -> Option<SnapshotId> {
        let mut total = files.iter().map(|file| file.bytes).fold(log_bytes, u64::saturating_add);
        let mut keep = None;
        for pair in files.windows(2) {
            let [old, next] = pair else { break };
            let too_much = self.bytes_max.is_some_and(|max| total > max);
            let age = now.millis_since(old.last_timestamp);
            let too_old = self
                .age_max
                .is_some_and(|max| i128::from(age) > i128::try_from(max.as_millis()).unwrap_or(0));
            if !too_much && !too_old {
                break;
            }
            total = total.saturating_sub(old.bytes);
            keep = Some(next.id);
        }
        keep
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ottla_model::{LeaderEpoch, Offset};

    /// KRF-07
    #[test]
    fn a_snapshot_is_due_after_so_many_bytes_or_so_long() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let policy = SnapshotPolicy { bytes_max: 100, interval: Some(Duration::from_secs(10)) };
        let mut trigger = SnapshotTrigger::new(policy, start);
        assert!(!trigger.on_committed(99, at(1)));
        assert!(trigger.on_committed(1, at(2)));
        assert!(!trigger.on_committed(99, at(11)), "both counts began anew");
        assert!(trigger.on_committed(0, at(12)));
        let mut trigger = SnapshotTrigger::new(SnapshotPolicy { interval: None, ..policy }, start);
        assert!(!trigger.on_committed(1, at(1_000_000)));
    }

    fn file(end: i64, bytes: u64, second: i64) -> SnapshotFile {
        let id = SnapshotId { end: Offset::new(end).unwrap(), epoch: LeaderEpoch::new(1).unwrap() };
        SnapshotFile { id, bytes, last_timestamp: Timestamp::from_millis(second * 1000) }
    }

    /// KRF-07
    #[test]
    fn old_snapshots_go_when_they_are_too_many_or_too_old_but_never_the_newest() {
        let files = [file(10, 50, 0), file(20, 50, 10), file(30, 50, 20)];
        let keep = |bytes_max, age_max: Option<u64>, second: i64| {
            let retention = Retention { bytes_max, age_max: age_max.map(Duration::from_secs) };
            retention.keep_from(&files, 100, Timestamp::from_millis(second * 1000)).map(|id| id.end.value())
        };
        assert_eq!(keep(Some(250), None, 20), None);
        assert_eq!(keep(Some(249), None, 20), Some(20));
        assert_eq!(keep(Some(199), None, 20), Some(30));
        assert_eq!(keep(Some(0), Some(0), 1_000), Some(30));
        assert_eq!(keep(None, Some(15), 20), Some(20));
        assert_eq!(keep(None, None, 1_000_000), None);
        let alone = Retention { bytes_max: Some(0), age_max: Some(Duration::ZERO) };
        assert_eq!(alone.keep_from(&files[..1], 100, Timestamp::from_millis(i64::MAX)), None);
    }
}
