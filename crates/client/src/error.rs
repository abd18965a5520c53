//! What can go wrong between a client and a cluster, whatever was asked.
//!
//! Owns: `CallError` (no answer), `ServerError` (an answer that says no).
//! Does not own: the errors of single operations, which are made of these two.

use std::fmt;
use std::time::Duration;

pub use ottla_protocol::ErrorCode;
use ottla_protocol::Retry;

use crate::config::Endpoint;

/// Why a request got no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// No node could be reached before the time was over. The text is Kafka's.
    #[error("Timed out waiting for a node assignment. Call: {call}")]
    NoNode { call: &'static str },
    /// `request.timeout.ms` was over; the node may have done what was asked.
    #[error("{call} was not answered by {node} within {} ms", after.as_millis())]
    TimedOut { call: &'static str, node: Endpoint, after: Duration },
    /// The node cannot be reached.
    #[error("connection to {node} could not be established: {reason}")]
    Connect { node: Endpoint, reason: String },
    /// The connection broke; the node may have done what was asked.
    #[error("connection to {node} was lost: {reason}")]
    Lost { node: Endpoint, reason: String },
    /// The node does not offer the API, or no version of it that this client speaks. The text is Kafka's.
    #[error("The node does not support {api}")]
    Unsupported { api: String },
    /// The API is there, but not in a version that can say what was asked for.
    #[error("{api} of this node is too old for {feature}")]
    TooOld { api: String, feature: &'static str },
    /// The bytes of an answer are not Kafka's.
    #[error("the answer of {node} to {api} cannot be read: {reason}")]
    Malformed { api: String, node: Endpoint, reason: String },
    /// What was asked has no form in the version that the node speaks.
    #[error("the request {api} cannot be written: {reason}")]
    Unwritable { api: String, reason: String },
    /// The node answers, and refuses even to say which nodes there are: it is not of the kind that was asked for.
    #[error("{0}")]
    Rejected(ServerError),
    /// The client was closed meanwhile.
    #[error("the client is closed")]
    Closed,
}

impl CallError {
    /// Whether the same call may succeed on another connection or later.
    pub fn is_retriable(&self) -> bool {
        match self {
            CallError::TimedOut { .. } | CallError::Connect { .. } | CallError::Lost { .. } => true,
            CallError::Rejected(error) => error.is_retriable(),
            CallError::NoNode { .. }
            | CallError::Unsupported { .. }
            | CallError::TooOld { .. }
            | CallError::Malformed { .. }
            | CallError::Unwritable { .. }
            | CallError::Closed => false,
        }
    }
}

/// A refusal by the cluster: a code and perhaps a sentence of the broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerError {
    /// Kafka's code.
    pub code: ErrorCode,
    /// What the broker said; `None` where it only sent the code.
    pub detail: Option<String>,
}

impl ServerError {
    /// The error of an answer, or `Ok` for code 0.
    pub(crate) fn check(code: i16, detail: Option<&str>) -> Result<(), ServerError> {
        match error_of(code) {
            None => Ok(()),
            Some(code) => Err(ServerError { code, detail: detail.map(str::to_owned) }),
        }
    }

    /// Whether the same request may succeed later.
    pub fn is_retriable(&self) -> bool {
        self.code.is_retriable()
    }

    /// The sentence a Java client would show: the broker's, or else that of the code.
    pub fn message(&self) -> &str {
        self.detail.as_deref().unwrap_or_else(|| self.code.message())
    }
}

/// The error with this number, or `None` for 0, which means success.
pub(crate) fn error_of(number: i16) -> Option<ErrorCode> {
    Some(ErrorCode::of_response(number)).filter(|code| !code.is_none())
}

/// Whether what the client knows of leaders and topics is out of date.
pub(crate) fn needs_fresh_metadata(code: ErrorCode) -> bool {
    code.retry() == Retry::WithFreshMetadata
}

impl From<ErrorCode> for ServerError {
    fn from(code: ErrorCode) -> ServerError {
        ServerError { code, detail: None }
    }
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl std::error::Error for ServerError {}

/// `UPPER_SNAKE` name of an API, as Kafka writes it in messages.
pub(crate) fn api_name(key: ottla_protocol::ApiKey) -> String {
    let mut name = String::new();
    for character in key.name().chars() {
        if character.is_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(character.to_ascii_uppercase());
    }
    name
}
