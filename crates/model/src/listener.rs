//! How a listener protects its connections.
//!
//! Owns: `SecurityProtocol` with its numbers and names.
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
}
