//! The first voters of a quorum: `id@host:port:directory-id`, separated by commas.
//!
//! Owns: their reading, with Kafka's refusals.
//! Does not own: what a voter is (`ottla_metadata::quorum`).
//!
//! Source: KIP-853; behaviour of `kafka-storage` of Kafka 4.3.1.

use std::net::Ipv6Addr;

use ottla_metadata::features::{Feature, VersionRange};
use ottla_metadata::quorum::{ReplicaKey, Voter, VoterEndpoint, Voters, VotersError};
use ottla_model::{BrokerId, DirectoryId, ListenerName};

use crate::tools::failure::Failure;

/// Reads a list of voters, all of which are reached at the controllers' listener.
pub fn parse(text: &str, listener: &ListenerName) -> Result<Voters, Failure> {
    let texts = text.trim().split(',').filter(|text| !text.is_empty());
    let voters = texts.map(|text| voter(text.trim(), listener)).collect::<Result<Vec<_>, _>>()?;
    Voters::new(voters).map_err(|error| match error {
        VotersError::Empty => refused("No voters given.".to_owned()),
        VotersError::Duplicate(id) => refused(format!("Node id {id} was specified more than once.")),
        VotersError::Negative(id) => negative(id),
    })
}

fn voter(text: &str, listener: &ListenerName) -> Result<Voter, Failure> {
    let Some((id, rest)) = text.split_once('@') else {
        return malformed("No @ found in dynamic voter string.");
    };
    if id.is_empty() {
        return malformed("Invalid @ at beginning of dynamic voter string.");
    }
    let Ok(id) = id.parse::<i32>() else {
        return malformed("Failed to parse node id in dynamic voter string.");
    };
    let id = BrokerId::new(id).ok_or_else(|| negative(id))?;
    let (host, rest) = host(rest)?;
    let Some(rest) = rest.strip_prefix(':') else {
        return malformed("Port section must start with a colon.");
    };
    let Some((port, directory)) = rest.split_once(':') else {
        return malformed("No colon following port could be found.");
    };
    let port = port_number(port)?;
    let Ok(directory) = directory.parse() else {
        return malformed("Failed to parse directory ID in dynamic voter string.");
    };
    Ok(Voter {
        key: ReplicaKey { id, directory: Some(DirectoryId(directory)) },
        endpoints: vec![VoterEndpoint { listener: listener.to_string(), host: java_host(host), port }],
        kraft_versions: VersionRange { min: 0, max: Feature::Kraft.max_level() },
    })
}

/// The host and what stands behind it, with its colon.
fn host(text: &str) -> Result<(&str, &str), Failure> {
    if text.is_empty() {
        return malformed("No hostname found after node id.");
    }
    if let Some(bracketed) = text.strip_prefix('[') {
        return match bracketed.split_once(']') {
            Some(parts) => Ok(parts),
            None => malformed("Hostname began with left bracket, but no right bracket was found."),
        };
    }
    match text.find(':') {
        Some(at) => Ok(text.split_at(at)),
        None => malformed("No colon following hostname could be found."),
    }
}

/// The host as Java keeps it: an IPv6 address in its long form.
fn java_host(host: &str) -> String {
    match host.parse::<Ipv6Addr>() {
        Ok(address) => address.segments().map(|segment| format!("{segment:x}")).join(":"),
        Err(_) => host.to_owned(),
    }
}

fn port_number(text: &str) -> Result<u16, Failure> {
    let Ok(port) = text.parse::<i32>() else {
        return malformed("Failed to parse port in dynamic voter string.");
    };
    u16::try_from(port).map_err(|_| refused(format!("Invalid port {port} in dynamic voter string.")))
}

fn negative(id: i32) -> Failure {
    refused(format!("Invalid negative node id {id} in dynamic voter string."))
}

fn refused(message: String) -> Failure {
    Failure::illegal_argument(message)
}

fn malformed<T>(message: &str) -> Result<T, Failure> {
    Err(refused(message.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "2WStqPReRA6IAuMUqvwN8g";

    fn check(text: &str) -> String {
        match parse(text, &ListenerName::new("CONTROLLER").unwrap()) {
            Err(error) => error.message.unwrap_or_default(),
            Ok(voters) => {
                let text = |voter: &Voter| {
                    let endpoint = &voter.endpoints[0];
                    let directory = voter.key.directory.unwrap();
                    format!(
                        "{} {} {} {} {directory}",
                        voter.key.id, endpoint.listener, endpoint.host, endpoint.port
                    )
                };
                voters.iter().map(text).collect::<Vec<_>>().join("; ")
            }
        }
    }

    /// STG-01
    #[test]
    fn voters_are_read_in_the_form_of_kip_853() {
        let two = format!(" 2@h2:2:{ID},,1@[::1]:65535:{ID} ");
        assert_eq!(check(&two), format!("1 CONTROLLER 0:0:0:0:0:0:0:1 65535 {ID}; 2 CONTROLLER h2 2 {ID}"));
        assert_eq!(check(&format!("1@:2:{ID}")), format!("1 CONTROLLER  2 {ID}"));
    }

    /// STG-01
    #[test]
    fn malformed_voters_are_refused_in_kafkas_words() {
        for (text, message) in [
            ("", "No voters given."),
            ("1localhost:2:x", "No @ found in dynamic voter string."),
            ("@localhost:2:x", "Invalid @ at beginning of dynamic voter string."),
            ("x@localhost:2:x", "Failed to parse node id in dynamic voter string."),
            ("-1@localhost:2:x", "Invalid negative node id -1 in dynamic voter string."),
            ("1@", "No hostname found after node id."),
            ("1@localhost", "No colon following hostname could be found."),
            ("1@[::1:2:x", "Hostname began with left bracket, but no right bracket was found."),
            ("1@[::1]2:x", "Port section must start with a colon."),
            ("1@localhost:2", "No colon following port could be found."),
            ("1@localhost:x:x", "Failed to parse port in dynamic voter string."),
            ("1@localhost:70000:x", "Invalid port 70000 in dynamic voter string."),
            ("1@localhost:2:bad", "Failed to parse directory ID in dynamic voter string."),
        ] {
            assert_eq!(check(text), message, "{text}");
        }
        assert_eq!(check(&format!("1@a:2:{ID},1@b:3:{ID}")), "Node id 1 was specified more than once.");
    }
}
