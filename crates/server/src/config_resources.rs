//! What configs hang on: topics, brokers, loggers, client metrics, groups.
//!
//! Owns: the kinds with their codes, who may see or change them, and refusals as the config APIs give them.
//! Does not own: keys and values (`metadata::config`).
//!
//! Source: requirements CFG-01, CFG-04, SEC-36.

use ottla_protocol::ErrorCode;
use ottla_security::Operation;

use crate::caller::Caller;
use crate::node::Node;

/// Why one resource of a request is refused. Both parts go to the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub error: ErrorCode,
    pub message: Option<String>,
}

impl Refusal {
    pub fn new(error: ErrorCode, message: impl Into<String>) -> Refusal {
        Refusal { error, message: Some(message.into()) }
    }

    /// A code that says everything.
    pub fn bare(error: ErrorCode) -> Refusal {
        Refusal { error, message: None }
    }

    /// A code with the sentence Kafka has for it.
    pub fn usual(error: ErrorCode) -> Refusal {
        Refusal::new(error, error.message())
    }
}

/// A kind of resource that has configs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResourceKind {
    Topic,
    Broker,
    BrokerLogger,
    ClientMetrics,
    Group,
}

impl ResourceKind {
    pub const ALL: [ResourceKind; 5] = [
        ResourceKind::Topic,
        ResourceKind::Broker,
        ResourceKind::BrokerLogger,
        ResourceKind::ClientMetrics,
        ResourceKind::Group,
    ];

    /// The number on the wire (CFG-01).
    pub const fn code(self) -> i8 {
        match self {
            ResourceKind::Topic => 2,
            ResourceKind::Broker => 4,
            ResourceKind::BrokerLogger => 8,
            ResourceKind::ClientMetrics => 16,
            ResourceKind::Group => 32,
        }
    }

    pub fn from_code(code: i8) -> Option<ResourceKind> {
        ResourceKind::ALL.into_iter().find(|kind| kind.code() == code)
    }

    /// Whether the caller may see (`DescribeConfigs`) or change (`AlterConfigs`) configs of this kind.
    pub fn authorize(
        self,
        (node, caller): (&Node, &Caller),
        operation: Operation,
        name: &str,
    ) -> Result<(), Refusal> {
        let (allowed, error) = match self {
            ResourceKind::Topic => {
                (node.access.may_topic(caller, operation, name), ErrorCode::TopicAuthorizationFailed)
            }
            ResourceKind::Group => {
                (node.access.may_group(caller, operation, name), ErrorCode::GroupAuthorizationFailed)
            }
            ResourceKind::Broker | ResourceKind::BrokerLogger | ResourceKind::ClientMetrics => {
                (node.access.may_cluster(caller, operation), ErrorCode::ClusterAuthorizationFailed)
            }
        };
        if allowed { Ok(()) } else { Err(Refusal::usual(error)) }
    }

    /// A broker's own configs are asked for at that broker (CFG-04).
    pub fn check_broker(self, node: &Node, name: &str) -> Result<(), Refusal> {
        let mine = node.identity.id.value();
        if name.is_empty() {
            return Err(Refusal::new(ErrorCode::InvalidRequest, "Broker id must not be empty"));
        }
        let Ok(asked) = name.parse::<i32>() else {
            let message = format!("Broker id must be an integer, but it is: {name}");
            return Err(Refusal::new(ErrorCode::InvalidRequest, message));
        };
        if asked == mine {
            return Ok(());
        }
        let or_empty = if self == ResourceKind::Broker { " or empty string," } else { "" };
        let message = format!("Unexpected broker id, expected {mine}{or_empty} but received {name}");
        Err(Refusal::new(ErrorCode::InvalidRequest, message))
    }
}
