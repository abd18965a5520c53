//! Principals: the identity a connection acts as.
//!
//! Owns: `Principal`, its text form `Type:name`. Does not own: authentication.

use std::fmt;
use std::str::FromStr;

/// An identity such as `User:alice`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Principal {
    /// "User" for everything that logs in.
    pub kind: String,
    pub name: String,
}

/// Why a text is not a principal. The message is Kafka's, since its tools print it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a string in format principalType:principalName but got {0}")]
pub struct PrincipalParseError(pub String);

impl Principal {
    /// Whoever connects without logging in.
    pub fn anonymous() -> Principal {
        Principal { kind: "User".to_owned(), name: "ANONYMOUS".to_owned() }
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind, self.name)
    }
}

impl FromStr for Principal {
    type Err = PrincipalParseError;

    fn from_str(text: &str) -> Result<Principal, PrincipalParseError> {
        // Kafka wants the colon and nothing else: either part may be empty, and spaces count.
        let (kind, name) = text.split_once(':').ok_or_else(|| PrincipalParseError(text.to_owned()))?;
        Ok(Principal { kind: kind.to_owned(), name: name.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_principal_is_read_as_it_is_printed() {
        assert_eq!(Principal::anonymous().to_string(), "User:ANONYMOUS");
        let certificate: Principal = "User:CN=a,O=b:c".parse().unwrap();
        assert_eq!(certificate.name, "CN=a,O=b:c");
        for odd in ["User:", ":x", ":", " User:a", "Group:g"] {
            assert_eq!(odd.parse::<Principal>().unwrap().to_string(), odd);
        }
    }

    #[test]
    fn a_text_without_a_colon_is_refused_in_kafka_s_words() {
        for bad in ["", "User"] {
            assert_eq!(
                bad.parse::<Principal>().unwrap_err().to_string(),
                format!("expected a string in format principalType:principalName but got {bad}")
            );
        }
    }
}
