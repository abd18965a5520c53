//! What the quorum machine is told, and what it tells.
//!
//! Owns: the types of that exchange. Does not own: the machine (`machine`), fetches (`fetch`).

use ottla_model::{BrokerId, ClusterId, LeaderEpoch, Offset};

use super::election_state::ElectionState;
use super::leader::ReplicaFacts;
use super::voters::{ReplicaKey, Voters, VotersError};

/// Who this node is.
#[derive(Clone, Debug)]
pub struct QuorumSetup {
    pub own: ReplicaKey,
    pub cluster: ClusterId,
}

/// Where the quorum stood when the node went down.
#[derive(Clone, Debug)]
pub struct QuorumStart {
    /// Content of `quorum-state`, if there was one.
    pub election: Option<ElectionState>,
    /// The voters: those of the newest snapshot, or else those of the configuration. Later ones in the log win.
    pub voters: Voters,
    /// Level of `kraft.version` in the newest snapshot.
    pub kraft_version: i16,
    /// Whether voters and level stand in the log and not only in the files of a formatted node.
    pub recorded: bool,
    /// End of the newest snapshot, from where the log is read.
    pub log_start: Offset,
    /// Epoch of the newest snapshot.
    pub epoch: LeaderEpoch,
}

/// Why there is no quorum.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuorumError {
    #[error("the quorum has {count} voters; this release runs quorums of one")]
    SeveralVoters { count: usize },
    #[error("node {own} with its directory is not the voter of the quorum, which is node {voter}")]
    NotAVoter { own: BrokerId, voter: BrokerId },
    #[error("the voters in the log are invalid")]
    Voters(#[from] VotersError),
    #[error("a batch of the metadata log begins at {got}, expected {expected}")]
    Gap { got: Offset, expected: Offset },
    #[error("the batch at offset {at} is of epoch {got}, older than the epoch {last} before it")]
    EpochGoesBack { at: Offset, got: LeaderEpoch, last: LeaderEpoch },
    #[error("the log has kraft.version {0}, which this program does not support")]
    KraftVersion(i16),
}

/// What the owner of the log has to do, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QuorumAction {
    /// Replace `quorum-state` on stable storage, then say `on_persisted`.
    Persist(Vec<u8>),
    /// Append a batch to the log.
    Append { batch: Vec<u8>, base_offset: Offset, epoch: LeaderEpoch },
}

/// This node does not lead; perhaps it knows who does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this node does not lead the metadata quorum in epoch {epoch}")]
pub struct NotLeader {
    pub epoch: LeaderEpoch,
    pub leader: Option<BrokerId>,
}

/// Where a batch was put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    pub base_offset: Offset,
    /// The position behind the batch.
    pub end: Offset,
    /// Bytes the batch adds to the log.
    pub bytes: u64,
}

/// What DescribeQuorum tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuorumFacts {
    pub leader: BrokerId,
    pub epoch: LeaderEpoch,
    pub high_watermark: Option<Offset>,
    pub voters: Vec<ReplicaFacts>,
    pub observers: Vec<ReplicaFacts>,
}
