//! Fetches of the metadata log by other replicas.
//!
//! Owns: which fetches are served, where two logs part.
//! Does not own: the positions that fetches tell of (`leader`), the records themselves (the server).
//!
//! Source: KIP-595, "Fetch"; KIP-630; requirement KRF-02.

use ottla_model::{ClusterId, LeaderEpoch, Offset};

use super::epochs::EpochStarts;
use super::exchange::NotLeader;
use super::leader::Standing;

/// A fetch of the metadata log by another replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FollowerFetch {
    pub cluster: Option<String>,
    pub from: Standing,
    /// The epoch the sender believes in.
    pub epoch: i32,
    /// Epoch of the last record the sender has; `None` for an empty log.
    pub last_epoch: Option<LeaderEpoch>,
}

/// What a fetching replica is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FetchAnswer {
    /// Read on from where it asked; it may take everything below the high watermark as committed.
    Records { from: Offset, high_watermark: Option<Offset> },
    /// Its log has parted from this one: it must cut it to this end of this epoch.
    Diverging { epoch: LeaderEpoch, end: Offset },
    /// What it asks for is in a snapshot only.
    Snapshot,
}

/// Why a fetch is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FetchRefused {
    #[error("the cluster id is {expected}, not {got}")]
    InconsistentCluster { expected: String, got: String },
    #[error("the epoch is older than {0}")]
    FencedEpoch(LeaderEpoch),
    #[error("the epoch is newer than {0}")]
    UnknownEpoch(LeaderEpoch),
    #[error(transparent)]
    NotLeader(#[from] NotLeader),
}

/// What there is to be fetched.
pub struct LogExtent<'a> {
    pub start: Offset,
    pub end: Offset,
    pub epochs: &'a EpochStarts,
}

impl FollowerFetch {
    /// Whether the sender means this quorum and knows its epoch.
    pub fn check(&self, cluster: &ClusterId, epoch: LeaderEpoch) -> Result<(), FetchRefused> {
        let expected = cluster.as_str();
        if let Some(got) = self.cluster.as_deref().filter(|got| *got != expected) {
            let (expected, got) = (expected.to_owned(), got.to_owned());
            return Err(FetchRefused::InconsistentCluster { expected, got });
        }
        if self.epoch < epoch.value() {
            return Err(FetchRefused::FencedEpoch(epoch));
        }
        if self.epoch > epoch.value() {
            return Err(FetchRefused::UnknownEpoch(epoch));
        }
        Ok(())
    }
}

impl LogExtent<'_> {
    /// Where the sender has to go first, unless its log is the beginning of this one.
    pub fn parting(&self, fetch: &FollowerFetch) -> Option<FetchAnswer> {
        let from = fetch.from.log_end;
        if from < self.start {
            return Some(FetchAnswer::Snapshot);
        }
        // An empty log parts from none; otherwise the last epoch must be known here and reach that far.
        let last_epoch = fetch.last_epoch?;
        match self.epochs.end_of(last_epoch, self.end) {
            Some((epoch, end)) if epoch != last_epoch || end < from => {
                Some(FetchAnswer::Diverging { epoch, end })
            }
            Some(_) => None,
            None if from > self.start => Some(FetchAnswer::Snapshot),
            None => None,
        }
    }
}
