//! Who has a vote in the metadata quorum.
//!
//! Owns: voters, their form in control records, what a majority of them is.
//! Does not own: changes of membership, the votes of one election (`machine`).
//!
//! Source: KIP-595, KIP-853; `VotersRecord`; requirement KRF-03.

use std::collections::{BTreeMap, BTreeSet};

use ottla_model::{BrokerId, DirectoryId};
use ottla_protocol::messages::{VotersRecord, voters_record};

use crate::features::VersionRange;

/// Level of `kraft.version` from which on the voters are kept in the log.
pub const KRAFT_VERSION_DYNAMIC: i16 = 1;

/// A replica of the metadata log. The directory tells a node from one that lost its disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplicaKey {
    pub id: BrokerId,
    /// `None` where only the id is known (static voters).
    pub directory: Option<DirectoryId>,
}

/// Where a voter can be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VoterEndpoint {
    pub listener: String,
    pub host: String,
    pub port: u16,
}

/// One voter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Voter {
    pub key: ReplicaKey,
    pub endpoints: Vec<VoterEndpoint>,
    /// Levels of `kraft.version` the voter supports.
    pub kraft_versions: VersionRange,
}

/// All voters; there is at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Voters {
    by_id: BTreeMap<BrokerId, Voter>,
}

/// Why voters are none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VotersError {
    #[error("a quorum has at least one voter")]
    Empty,
    #[error("voter {0} is named twice")]
    Duplicate(BrokerId),
    #[error("the voter id {0} is negative")]
    Negative(i32),
}

impl Voters {
    /// Voters with distinct ids.
    pub fn new(voters: impl IntoIterator<Item = Voter>) -> Result<Voters, VotersError> {
        let mut by_id = BTreeMap::new();
        for voter in voters {
            let id = voter.key.id;
            if by_id.insert(id, voter).is_some() {
                return Err(VotersError::Duplicate(id));
            }
        }
        if by_id.is_empty() { Err(VotersError::Empty) } else { Ok(Voters { by_id }) }
    }

    /// Reads the voters of a control record.
    pub fn from_record(record: &VotersRecord) -> Result<Voters, VotersError> {
        let voter = |voter: &voters_record::Voter| {
            let id = BrokerId::new(voter.voter_id).ok_or(VotersError::Negative(voter.voter_id))?;
            let directory = DirectoryId(voter.voter_directory_id);
            let endpoint = |endpoint: &voters_record::Endpoint| VoterEndpoint {
                listener: endpoint.name.clone(),
                host: endpoint.host.clone(),
                port: endpoint.port,
            };
            let range = &voter.k_raft_version_feature;
            Ok(Voter {
                key: ReplicaKey { id, directory: (!voter.voter_directory_id.is_zero()).then_some(directory) },
                endpoints: voter.endpoints.iter().map(endpoint).collect(),
                kraft_versions: VersionRange {
                    min: range.min_supported_version,
                    max: range.max_supported_version,
                },
            })
        };
        Voters::new(record.voters.iter().map(voter).collect::<Result<Vec<_>, _>>()?)
    }

    /// The control record that names the voters.
    pub fn to_record(&self) -> VotersRecord {
        let voter = |voter: &Voter| voters_record::Voter {
            voter_id: voter.key.id.value(),
            voter_directory_id: voter.key.directory.unwrap_or(DirectoryId::MIGRATING).0,
            endpoints: voter
                .endpoints
                .iter()
                .map(|endpoint| voters_record::Endpoint {
                    name: endpoint.listener.clone(),
                    host: endpoint.host.clone(),
                    port: endpoint.port,
                })
                .collect(),
            k_raft_version_feature: voters_record::KRaftVersionFeature {
                min_supported_version: voter.kraft_versions.min,
                max_supported_version: voter.kraft_versions.max,
            },
        };
        VotersRecord { version: 0, voters: self.by_id.values().map(voter).collect() }
    }

    /// All voters, by id.
    pub fn iter(&self) -> impl Iterator<Item = &Voter> {
        self.by_id.values()
    }

    /// The ids of all voters, ascending.
    pub fn ids(&self) -> impl Iterator<Item = BrokerId> {
        self.by_id.keys().copied()
    }

    /// How many voters there are.
    pub fn count(&self) -> usize {
        self.by_id.len()
    }

    /// The voter that a replica is. A replica with another directory than the voter's is another one.
    pub fn voter(&self, key: ReplicaKey) -> Option<&Voter> {
        let same = |voter: &&Voter| match (voter.key.directory, key.directory) {
            (Some(known), Some(directory)) => known == directory,
            (Some(_), None) | (None, _) => true,
        };
        self.by_id.get(&key.id).filter(same)
    }

    /// Whether these ids are more than half of the voters.
    pub fn is_majority(&self, ids: &BTreeSet<BrokerId>) -> bool {
        let voting = ids.iter().filter(|id| self.by_id.contains_key(id)).count();
        voting > self.by_id.len() / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ottla_model::Uuid;

    fn voter(id: i32, directory: u8) -> Voter {
        let directory = (directory > 0).then(|| DirectoryId(Uuid::from_bytes([directory; 16])));
        Voter {
            key: ReplicaKey { id: BrokerId::new(id).unwrap(), directory },
            endpoints: Vec::new(),
            kraft_versions: VersionRange { min: 0, max: 1 },
        }
    }

    /// KRF-02
    #[test]
    fn more_than_half_of_the_voters_are_a_majority() {
        let majority = |voters: &[i32], ids: &[i32]| {
            let voters = Voters::new(voters.iter().map(|id| voter(*id, 0))).unwrap();
            voters.is_majority(&ids.iter().filter_map(|id| BrokerId::new(*id)).collect())
        };
        assert!(majority(&[1], &[1]));
        assert!(!majority(&[1], &[]));
        assert!(!majority(&[1], &[2]));
        assert!(!majority(&[1, 2], &[1]));
        assert!(majority(&[1, 2, 3], &[1, 3]));
        assert!(!majority(&[1, 2, 3, 4], &[1, 3, 9]));
    }

    /// KRF-03
    #[test]
    fn a_voter_that_lost_its_disk_is_no_voter() {
        let voters = Voters::new([voter(1, 7), voter(2, 0)]).unwrap();
        assert!(voters.voter(voter(1, 7).key).is_some());
        assert!(voters.voter(voter(1, 8).key).is_none());
        assert!(voters.voter(voter(1, 0).key).is_some());
        assert!(voters.voter(voter(2, 9).key).is_some());
        assert!(voters.voter(voter(3, 7).key).is_none());
    }

    /// KRF-03
    #[test]
    fn voters_are_at_least_one_and_distinct() {
        assert_eq!(Voters::new([]), Err(VotersError::Empty));
        assert_eq!(
            Voters::new([voter(1, 1), voter(1, 2)]),
            Err(VotersError::Duplicate(BrokerId::new(1).unwrap()))
        );
        let voters = Voters::new([voter(1, 7), voter(2, 8)]).unwrap();
        assert_eq!(Voters::from_record(&voters.to_record()), Ok(voters));
    }
}
