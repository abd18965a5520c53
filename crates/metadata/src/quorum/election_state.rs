//! What a node must not forget about elections: the file `quorum-state`.
//!
//! Owns: epoch, leader and vote; the file's two forms, byte for byte.
//! Does not own: the file, when it is written (`machine`).
//!
//! One JSON object without blanks. Version 0 goes with static voters, version 1 with voters in the log:
//!
//! ```text
//! {"clusterId":"","leaderId":1,"leaderEpoch":1,"votedId":-1,"appliedOffset":0,"currentVoters":[{"voterId":1}],"data_version":0}
//! {"leaderId":1,"leaderEpoch":1,"votedId":-1,"votedDirectoryId":"AAAAAAAAAAAAAAAAAAAAAA","data_version":1}
//! ```
//!
//! −1 and the zero id stand for "none". A file that is not there means that there was no election yet.
//!
//! Source: KIP-595, KIP-853; `QuorumStateData`; Kafka 4.3.1's files.

use ottla_model::{BrokerId, DirectoryId, LeaderEpoch, Uuid};
use serde_json::{Map, Value, json};

use super::voters::{KRAFT_VERSION_DYNAMIC, ReplicaKey, Voters};

/// The latest election a node knows of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ElectionState {
    pub epoch: LeaderEpoch,
    /// Who leads the epoch.
    pub leader: Option<BrokerId>,
    /// Whom this node voted for in the epoch.
    pub voted: Option<ReplicaKey>,
}

/// Why the file cannot be read. A node that has forgotten its vote must not vote again.
#[derive(Debug, thiserror::Error)]
pub enum ElectionStateError {
    #[error("quorum-state is not a JSON object")]
    Json(#[source] Option<serde_json::Error>),
    #[error("quorum-state has no valid '{0}'")]
    Field(&'static str),
    #[error("quorum-state has the unknown version {0}")]
    Version(i64),
}

impl ElectionState {
    /// The file's content at a level of `kraft.version`.
    pub fn to_bytes(self, voters: &Voters, kraft_version: i16) -> Vec<u8> {
        let id = |id: Option<BrokerId>| id.map_or(-1, BrokerId::value);
        let voted = self.voted.map(|voted| voted.id);
        let content = if kraft_version >= KRAFT_VERSION_DYNAMIC {
            let directory =
                self.voted.and_then(|voted| voted.directory).map_or(Uuid::ZERO, |directory| directory.0);
            json!({
                "leaderId": id(self.leader),
                "leaderEpoch": self.epoch.value(),
                "votedId": id(voted),
                "votedDirectoryId": directory.to_string(),
                "data_version": 1,
            })
        } else {
            let voters: Vec<Value> = voters.ids().map(|voter| json!({ "voterId": voter.value() })).collect();
            json!({
                "clusterId": "",
                "leaderId": id(self.leader),
                "leaderEpoch": self.epoch.value(),
                "votedId": id(voted),
                "appliedOffset": 0,
                "currentVoters": voters,
                "data_version": 0,
            })
        };
        content.to_string().into_bytes()
    }

    /// Reads the file's content, of either version.
    pub fn from_bytes(bytes: &[u8]) -> Result<ElectionState, ElectionStateError> {
        let value: Value =
            serde_json::from_slice(bytes).map_err(|error| ElectionStateError::Json(Some(error)))?;
        let fields = value.as_object().ok_or(ElectionStateError::Json(None))?;
        let version = number(fields, "data_version")?;
        if !(0..=1).contains(&version) {
            return Err(ElectionStateError::Version(version));
        }
        let epoch = i32::try_from(number(fields, "leaderEpoch")?).ok().and_then(LeaderEpoch::new);
        let voted = node(fields, "votedId")?;
        let directory = if version == 0 { None } else { voted_directory(fields)? };
        Ok(ElectionState {
            epoch: epoch.ok_or(ElectionStateError::Field("leaderEpoch"))?,
            leader: node(fields, "leaderId")?,
            voted: voted.map(|id| ReplicaKey { id, directory }),
        })
    }
}

fn number(fields: &Map<String, Value>, name: &'static str) -> Result<i64, ElectionStateError> {
    fields.get(name).and_then(Value::as_i64).ok_or(ElectionStateError::Field(name))
}

fn node(fields: &Map<String, Value>, name: &'static str) -> Result<Option<BrokerId>, ElectionStateError> {
    let number = i32::try_from(number(fields, name)?).map_err(|_| ElectionStateError::Field(name))?;
    if number < -1 {
        return Err(ElectionStateError::Field(name));
    }
    Ok(BrokerId::new(number))
}

fn voted_directory(fields: &Map<String, Value>) -> Result<Option<DirectoryId>, ElectionStateError> {
    let text = fields.get("votedDirectoryId").and_then(Value::as_str);
    let id = text.and_then(|text| text.parse::<Uuid>().ok());
    let id = id.ok_or(ElectionStateError::Field("votedDirectoryId"))?;
    Ok((!id.is_zero()).then_some(DirectoryId(id)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::VersionRange;
    use crate::quorum::Voter;

    fn voters() -> Voters {
        let key = ReplicaKey { id: BrokerId::new(1).unwrap(), directory: None };
        Voters::new([Voter { key, endpoints: Vec::new(), kraft_versions: VersionRange { min: 0, max: 1 } }])
            .unwrap()
    }

    const STATIC: &str = r#"{"clusterId":"","leaderId":1,"leaderEpoch":1,"votedId":-1,"appliedOffset":0,"currentVoters":[{"voterId":1}],"data_version":0}"#;
    const DYNAMIC: &str = r#"{"leaderId":1,"leaderEpoch":1,"votedId":-1,"votedDirectoryId":"AAAAAAAAAAAAAAAAAAAAAA","data_version":1}"#;

    /// KRF-01: the files of Kafka 4.3.1.
    #[test]
    fn the_file_of_a_leader_is_kafka_s_byte_for_byte() {
        let state =
            ElectionState { epoch: LeaderEpoch::new(1).unwrap(), leader: BrokerId::new(1), voted: None };
        assert_eq!(String::from_utf8(state.to_bytes(&voters(), 0)).unwrap(), STATIC);
        assert_eq!(String::from_utf8(state.to_bytes(&voters(), 1)).unwrap(), DYNAMIC);
        for text in [STATIC, DYNAMIC] {
            assert_eq!(ElectionState::from_bytes(text.as_bytes()).unwrap(), state);
        }
    }

    /// KRF-02
    #[test]
    fn a_vote_is_remembered_with_the_directory_it_was_for() {
        let directory = Some(DirectoryId(Uuid::from_bytes([9; 16])));
        let voted = Some(ReplicaKey { id: BrokerId::new(3).unwrap(), directory });
        let state = ElectionState { epoch: LeaderEpoch::new(4).unwrap(), leader: None, voted };
        assert_eq!(ElectionState::from_bytes(&state.to_bytes(&voters(), 1)).unwrap(), state);
        let without = ElectionState::from_bytes(&state.to_bytes(&voters(), 0)).unwrap();
        assert_eq!(without.voted, Some(ReplicaKey { id: BrokerId::new(3).unwrap(), directory: None }));
    }

    /// KRF-02
    #[test]
    fn a_damaged_file_is_refused() {
        let cases = [
            "",
            "[]",
            "{",
            "{}",
            r#"{"leaderId":1,"leaderEpoch":1,"votedId":-1,"votedDirectoryId":"AAAAAAAAAAAAAAAAAAAAAA","data_version":2}"#,
            r#"{"leaderId":1,"leaderEpoch":-1,"votedId":-1,"votedDirectoryId":"AAAAAAAAAAAAAAAAAAAAAA","data_version":1}"#,
            r#"{"leaderId":-2,"leaderEpoch":1,"votedId":-1,"votedDirectoryId":"AAAAAAAAAAAAAAAAAAAAAA","data_version":1}"#,
            r#"{"leaderId":1,"leaderEpoch":1,"votedId":2,"votedDirectoryId":"x","data_version":1}"#,
            r#"{"leaderId":1,"leaderEpoch":99999999999,"votedId":2,"data_version":0}"#,
        ];
        for text in cases {
            assert!(ElectionState::from_bytes(text.as_bytes()).is_err(), "{text}");
        }
    }
}
