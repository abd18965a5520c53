//! Names of listeners and how they protect their connections.
//!
//! Owns: `SecurityProtocol` with its numbers and names, `ListenerName`.
//! Does not own: which listeners there are (`server`, `metadata`).
//!
//! Source: Kafka protocol guide, BrokerRegistration; requirement LSN-01.

use std::fmt;

/// What a listener speaks below the Kafka protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SecurityProtocol {
    Plaintext,
    Ssl,
    SaslPlaintext,
    SaslSsl,
}

impl SecurityProtocol {
    /// All protocols, by number.
    pub const ALL: [SecurityProtocol; 4] = [
        SecurityProtocol::Plaintext,
        SecurityProtocol::Ssl,
        SecurityProtocol::SaslPlaintext,
        SecurityProtocol::SaslSsl,
    ];

    /// The number in registration records and requests.
    pub const fn code(self) -> i16 {
        match self {
            SecurityProtocol::Plaintext => 0,
            SecurityProtocol::Ssl => 1,
            SecurityProtocol::SaslPlaintext => 2,
            SecurityProtocol::SaslSsl => 3,
        }
    }

    /// The protocol with this number.
    pub fn from_code(code: i16) -> Option<SecurityProtocol> {
        SecurityProtocol::ALL.into_iter().find(|protocol| protocol.code() == code)
    }

    /// The name in `listener.security.protocol.map`.
    pub const fn name(self) -> &'static str {
        match self {
            SecurityProtocol::Plaintext => "PLAINTEXT",
            SecurityProtocol::Ssl => "SSL",
            SecurityProtocol::SaslPlaintext => "SASL_PLAINTEXT",
            SecurityProtocol::SaslSsl => "SASL_SSL",
        }
    }

    /// The protocol with this name; upper and lower case are alike, as in Kafka.
    pub fn from_name(name: &str) -> Option<SecurityProtocol> {
        SecurityProtocol::ALL.into_iter().find(|protocol| protocol.name().eq_ignore_ascii_case(name))
    }
}

impl fmt::Display for SecurityProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Name of a listener, in upper case as Kafka keeps it. Never empty.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ListenerName(String);

impl ListenerName {
    /// A name from `listeners`, upper-cased, or `None` for an empty text.
    pub fn new(text: &str) -> Option<ListenerName> {
        if text.is_empty() { None } else { Some(ListenerName(text.to_uppercase())) }
    }

    /// The listener that is named after a security protocol.
    pub fn of_protocol(protocol: SecurityProtocol) -> ListenerName {
        ListenerName(protocol.name().to_owned())
    }

    /// The name in upper case.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What stands before a config key that holds for this listener only (LSN-02).
    pub fn config_prefix(&self) -> String {
        format!("listener.name.{}.", self.0.to_lowercase())
    }
}

impl fmt::Display for ListenerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// LSN-01
    #[test]
    fn every_protocol_is_found_by_its_number_and_name() {
        for protocol in SecurityProtocol::ALL {
            assert_eq!(SecurityProtocol::from_code(protocol.code()), Some(protocol));
            assert_eq!(SecurityProtocol::from_name(&protocol.name().to_lowercase()), Some(protocol));
        }
        assert_eq!(SecurityProtocol::from_code(4), None);
        assert_eq!(SecurityProtocol::from_name("TLS"), None);
    }

    /// LSN-01, LSN-02
    #[test]
    fn the_name_of_a_listener_is_kept_in_upper_case() {
        let name = ListenerName::new("internal").unwrap();
        assert_eq!(name.as_str(), "INTERNAL");
        assert_eq!(name.config_prefix(), "listener.name.internal.");
        assert_eq!(ListenerName::new(""), None);
    }
}
