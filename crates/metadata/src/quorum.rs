//! The metadata quorum: who leads it and what is committed (KRaft).
//!
//! Owns: epochs, votes, voters, the high watermark, what this node has to persist, append and flush.
//! Does not own: the log and its files (the server's `storage`), what records mean (`controller`, `image`).
//!
//! Replication is pull based: followers fetch, and a fetch from an offset says that everything below is theirs. The
//! leader counts its own log only as far as it is on stable storage.
//!
//! This release runs quorums of one voter, on the path that more voters will take: an election collects votes and asks
//! for a majority, a commit collects positions and asks for a majority. What other voters would send (Vote,
//! BeginQuorumEpoch, EndQuorumEpoch, their Fetch) has no entry here yet, so more than one voter is refused.
//!
//! Source: KIP-595, KIP-630, KIP-853, KIP-996.

mod election_state;
mod epochs;
mod exchange;
mod fetch;
mod leader;
mod machine;
mod voter_text;
mod voters;

pub use election_state::{ElectionState, ElectionStateError};
pub use epochs::EpochStarts;
pub use exchange::{Appended, NotLeader, QuorumAction, QuorumError, QuorumFacts, QuorumSetup, QuorumStart};
pub use fetch::{FetchAnswer, FetchRefused, FollowerFetch};
pub use leader::{ReplicaFacts, Standing};
pub use machine::Quorum;
pub use voter_text::VoterTextError;
pub use voters::{KRAFT_VERSION_DYNAMIC, ReplicaKey, Voter, VoterEndpoint, Voters, VotersError};
