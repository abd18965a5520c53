//! Voters as an operator writes them: `id@host:port:directory,…`.
//!
//! Owns: reading that text, with Kafka's words for what is wrong.
//! Does not own: the flag it comes from (`cli`), static voters of the configuration (`config`).
//!
//! Source: KIP-853; `kafka-storage format --initial-controllers` of Kafka 4.3.1; requirement STG-01.

use ottla_model::{BrokerId, DirectoryId, Uuid};

use super::voters::{ReplicaKey, Voter, VoterEndpoint, Voters, VotersError};
use crate::features::{Feature, VersionRange};

/// Why a text names no voters. The messages are Kafka's, since `kafka-storage` prints them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VoterTextError {
    #[error("No voters given.")]
    Empty,
    #[error("Node id {0} was specified more than once.")]
    Duplicate(BrokerId),
    #[error("No @ found in dynamic voter string.")]
    NoAt,
    #[error("Invalid @ at beginning of dynamic voter string.")]
    NoId,
    #[error("Failed to parse node id in dynamic voter string.")]
    Id,
    #[error("Invalid negative node id {0} in dynamic voter string.")]
    NegativeId(i32),
    #[error("No hostname found after node id.")]
    NoHost,
    #[error("Hostname began with left bracket, but no right bracket was found.")]
    NoRightBracket,
    #[error("No colon following hostname could be found.")]
    NoColonAfterHost,
    #[error("Port section must start with a colon.")]
    NoPort,
    #[error("No colon following port could be found.")]
    NoColonAfterPort,
    #[error("Failed to parse port in dynamic voter string.")]
    Port,
    #[error("Invalid port {0} in dynamic voter string.")]
    PortRange(i32),
    #[error("Failed to parse directory ID in dynamic voter string.")]
    Directory,
}

impl Voters {
    /// Reads the voters; `listener` is the first name in `controller.listener.names`.
    pub fn parse(text: &str, listener: &str) -> Result<Voters, VoterTextError> {
        let parts = text.trim().split(',').filter(|part| !part.is_empty());
        let voters = parts.map(|part| parse_voter(part.trim(), listener)).collect::<Result<Vec<_>, _>>()?;
        Voters::new(voters).map_err(|error| match error {
            VotersError::Empty => VoterTextError::Empty,
            VotersError::Duplicate(id) => VoterTextError::Duplicate(id),
            VotersError::Negative(id) => VoterTextError::NegativeId(id),
        })
    }
}

fn parse_voter(text: &str, listener: &str) -> Result<Voter, VoterTextError> {
    let (id, rest) = text.split_once('@').ok_or(VoterTextError::NoAt)?;
    if id.is_empty() {
        return Err(VoterTextError::NoId);
    }
    let number: i32 = id.parse().map_err(|_| VoterTextError::Id)?;
    let id = BrokerId::new(number).ok_or(VoterTextError::NegativeId(number))?;
    let (host, rest) = split_host(rest)?;
    let rest = rest.strip_prefix(':').ok_or(VoterTextError::NoPort)?;
    let (port, directory) = rest.split_once(':').ok_or(VoterTextError::NoColonAfterPort)?;
    let number: i32 = port.parse().map_err(|_| VoterTextError::Port)?;
    let port = u16::try_from(number).map_err(|_| VoterTextError::PortRange(number))?;
    let directory: Uuid = directory.parse().map_err(|_| VoterTextError::Directory)?;
    Ok(Voter {
        key: ReplicaKey { id, directory: Some(DirectoryId(directory)) },
        endpoints: vec![VoterEndpoint { listener: listener.to_owned(), host: host.to_owned(), port }],
        kraft_versions: VersionRange { min: 0, max: Feature::Kraft.max_level() },
    })
}

/// The host, which may stand in brackets, and what follows it.
fn split_host(text: &str) -> Result<(&str, &str), VoterTextError> {
    if text.is_empty() {
        return Err(VoterTextError::NoHost);
    }
    if let Some(inside) = text.strip_prefix('[') {
        return inside.split_once(']').ok_or(VoterTextError::NoRightBracket);
    }
    let colon = text.find(':').ok_or(VoterTextError::NoColonAfterHost)?;
    Ok(text.split_at(colon))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// STG-01
    #[test]
    fn voters_are_read_as_kafka_reads_them() {
        let text = "1@localhost:9093:f3qgUd-qRJ-oNFXNpu53zw,2@[::1]:9094:EJs86_3EoylySrR1C_Pe-A,";
        let voters = Voters::parse(text, "CONTROLLER").unwrap();
        let shown: Vec<_> = voters
            .iter()
            .map(|voter| {
                let endpoint = &voter.endpoints[0];
                let directory = voter.key.directory.unwrap();
                format!(
                    "{} {} {} {} {directory}",
                    voter.key.id, endpoint.listener, endpoint.host, endpoint.port
                )
            })
            .collect();
        let expected = [
            "1 CONTROLLER localhost 9093 f3qgUd-qRJ-oNFXNpu53zw",
            "2 CONTROLLER ::1 9094 EJs86_3EoylySrR1C_Pe-A",
        ];
        assert_eq!(shown, expected);
    }

    /// STG-01
    #[test]
    fn what_is_wrong_with_a_voter_is_said_in_kafka_s_words() {
        let cases = [
            ("", "No voters given."),
            (",", "No voters given."),
            ("1", "No @ found in dynamic voter string."),
            ("@a:1:x", "Invalid @ at beginning of dynamic voter string."),
            ("x@a:1:x", "Failed to parse node id in dynamic voter string."),
            ("-1@a:1:x", "Invalid negative node id -1 in dynamic voter string."),
            ("1@", "No hostname found after node id."),
            ("1@[::1:1:x", "Hostname began with left bracket, but no right bracket was found."),
            ("1@a", "No colon following hostname could be found."),
            ("1@[::1]1:x", "Port section must start with a colon."),
            ("1@a:1", "No colon following port could be found."),
            ("1@a:p:x", "Failed to parse port in dynamic voter string."),
            ("1@a:65536:x", "Invalid port 65536 in dynamic voter string."),
            ("1@a:-1:x", "Invalid port -1 in dynamic voter string."),
            ("1@a:1:x", "Failed to parse directory ID in dynamic voter string."),
            (
                "1@a:1:f3qgUd-qRJ-oNFXNpu53zw,1@b:1:EJs86_3EoylySrR1C_Pe-A",
                "Node id 1 was specified more than once.",
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(Voters::parse(text, "CONTROLLER").unwrap_err().to_string(), expected, "{text}");
        }
    }
}
