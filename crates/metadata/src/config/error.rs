//! Why a configuration is refused. The texts are Kafka's, since clients and operators read them.
//!
//! Owns: `ConfigError`. Does not own: which wire code it becomes (`server`).

use ottla_model::{ListenerName, SecurityProtocol};

use super::Kind;

/// A configuration that is not accepted: INVALID_CONFIG or INVALID_REQUEST on the wire (CFG-07).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A key that the resource does not have: "topic", "group" or "client metrics".
    #[error("Unknown {resource} config name: {name}")]
    UnknownName { resource: &'static str, name: String },
    /// A value that is not of the key's type or not among its allowed values.
    #[error("Invalid value {value} for configuration {name}: {reason}")]
    InvalidValue { name: String, value: String, reason: String },
    /// A required key that nobody set.
    #[error("Missing required configuration \"{name}\" which has no default value.")]
    Missing { name: String },
    /// A security setting that this release does not honour. Ignoring it would be unsafe.
    #[error("{name} is not supported yet, and ignoring it would leave the cluster less safe than it seems")]
    Unsupported { name: String },
    /// A listener with TLS or SASL, which this release does not speak.
    #[error(
        "listener {listener} asks for {protocol}, which is not supported yet: only PLAINTEXT listeners are"
    )]
    UnsupportedProtocol { listener: ListenerName, protocol: SecurityProtocol },
    /// Settings of one node that do not fit together. Kafka says it with these two words in front.
    #[error("requirement failed: {0}")]
    Requirement(String),
    /// A change of a broker or of a metrics subscription that Kafka refuses as INVALID_REQUEST.
    #[error("{0}")]
    Request(String),
    /// Values that are allowed one by one but not together, or a value that Kafka words by itself.
    #[error("{0}")]
    Rule(String),
}

impl ConfigError {
    pub(crate) fn invalid(name: &str, value: &str, reason: &str) -> ConfigError {
        ConfigError::InvalidValue {
            name: name.to_owned(),
            value: value.to_owned(),
            reason: reason.to_owned(),
        }
    }

    pub(crate) fn not_a_number(name: &str, value: &str, kind: Kind) -> ConfigError {
        ConfigError::invalid(name, value, &format!("Not a number of type {kind}"))
    }
}
