//! Producers and consumers of tools, and their failures as Java's exceptions.
//!
//! Owns: making a client of properties, what Kafka's client would throw in its place.
//! Does not own: the clients (`ottla_client`), where the properties are from.

use ottla_client::config::{ClientKind, ConfigError, ConsumerConfig, ProducerConfig, Properties};
use ottla_client::consumer::{CommitError, PollError};
use ottla_client::error::ServerError;
use ottla_client::producer::{DeliveryError, SendError};
use ottla_client::{Consumer, Producer};

use super::failure::{Failure, of_config};
use super::session;
use crate::terminal::Terminal;

/// Full name of an exception of Kafka's clients.
fn errors(class: &str) -> String {
    format!("org.apache.kafka.common.errors.{class}")
}

/// A producer with these properties.
pub async fn producer(terminal: &mut Terminal<'_>, properties: &Properties) -> Result<Producer, Failure> {
    let config =
        ProducerConfig::from_properties(properties).map_err(|error| failure_of(&error, "producer"))?;
    session::warn_of_unknown(terminal, ClientKind::Producer, properties);
    let addresses = session::check_addresses(terminal, &config.common).await;
    addresses.map_err(|failure| not_constructed(failure, "producer"))?;
    Producer::new(config).map_err(|error| Failure::new("java.io.IOException", error.to_string()))
}

/// A consumer with these properties.
pub async fn consumer(terminal: &mut Terminal<'_>, properties: &Properties) -> Result<Consumer, Failure> {
    let config =
        ConsumerConfig::from_properties(properties).map_err(|error| failure_of(&error, "consumer"))?;
    session::warn_of_unknown(terminal, ClientKind::Consumer, properties);
    let addresses = session::check_addresses(terminal, &config.common).await;
    addresses.map_err(|failure| not_constructed(failure, "consumer"))?;
    Consumer::new(config).map_err(|error| Failure::new("java.io.IOException", error.to_string()))
}

/// Addresses are refused when the client is made, other keys when they are read.
pub fn failure_of(error: &ConfigError, client: &str) -> Failure {
    match error {
        ConfigError::Address { .. } | ConfigError::Port { .. } => not_constructed(of_config(error), client),
        ConfigError::Contradiction(text) if text.starts_with("Heartbeat must be") => {
            not_constructed(Failure::illegal_argument(*text), client)
        }
        ConfigError::UnknownAssignor { name } => {
            let missing = Failure::new("java.lang.ClassNotFoundException", &**name);
            let message = format!("{name} ClassNotFoundException exception occurred");
            not_constructed(missing.causing("org.apache.kafka.common.KafkaException", message), client)
        }
        ConfigError::Missing { .. }
        | ConfigError::Invalid { .. }
        | ConfigError::EmptyList { .. }
        | ConfigError::EmptyElement { .. }
        | ConfigError::Contradiction(_)
        | ConfigError::TooManyInFlight { .. }
        | ConfigError::GroupInstanceId(_)
        | ConfigError::Unsupported { .. } => of_config(error),
    }
}

/// The failure as the cause of a client that could not be made.
pub fn not_constructed(failure: Failure, client: &str) -> Failure {
    failure.causing("org.apache.kafka.common.KafkaException", format!("Failed to construct kafka {client}"))
}

/// Why a record was not taken.
pub fn send_failure(error: &SendError) -> Failure {
    match error {
        SendError::TopicUnknown { reason, .. } => {
            let failure = Failure::new(&errors("TimeoutException"), error.to_string());
            let cause = reason.map(|code| Box::new(Failure::from(&ServerError::from(code))));
            Failure { cause, ..failure }
        }
        SendError::PartitionUnknown { .. } | SendError::BufferFull { .. } => {
            Failure::new(&errors("TimeoutException"), error.to_string())
        }
        SendError::TopicRefused { error, .. } => Failure::from(error),
        SendError::TooLargeForRequest { .. } | SendError::TooLargeForBuffer { .. } => {
            Failure::new(&errors("RecordTooLargeException"), error.to_string())
        }
        // No tool has a partitioner of its own.
        SendError::NoSuchPartition { .. } => {
            Failure::new("java.lang.IllegalArgumentException", error.to_string())
        }
        SendError::Closed => Failure::new("java.lang.IllegalStateException", error.to_string()),
        SendError::Build(_) => Failure::new("org.apache.kafka.common.KafkaException", error.to_string()),
        SendError::Call(error) => Failure::from(error),
    }
}

/// Why a record did not arrive.
pub fn delivery_failure(error: &DeliveryError) -> Failure {
    match error {
        DeliveryError::Refused { error, .. } => Failure::from(error),
        DeliveryError::Call(error) => Failure::from(error),
        DeliveryError::Expired { .. } => Failure::new(&errors("TimeoutException"), error.to_string()),
        DeliveryError::Build(_) | DeliveryError::Closed => {
            Failure::new("org.apache.kafka.common.KafkaException", error.to_string())
        }
    }
}

/// Why there are no records.
pub fn poll_failure(error: &PollError) -> Failure {
    let class = |name: &str| Failure::new(name, error.to_string());
    match error {
        PollError::NothingToPoll => class("java.lang.IllegalStateException"),
        PollError::NoOffset { .. } => {
            class("org.apache.kafka.clients.consumer.NoOffsetForPartitionException")
        }
        PollError::OutOfRange { .. } => class("org.apache.kafka.clients.consumer.OffsetOutOfRangeException"),
        PollError::Truncated { .. } => class("org.apache.kafka.clients.consumer.LogTruncationException"),
        PollError::Group(error) | PollError::Fetch { error, .. } => Failure::from(error),
        PollError::InvalidTopics { .. } => class("org.apache.kafka.common.errors.InvalidTopicException"),
        PollError::NotAuthorized { .. } => {
            class("org.apache.kafka.common.errors.TopicAuthorizationException")
        }
        PollError::Read(_) => class("org.apache.kafka.common.KafkaException"),
        PollError::Call(error) => Failure::from(error),
    }
}

/// Why offsets were not committed.
pub fn commit_failure(error: &CommitError) -> Failure {
    match error {
        CommitError::Group(error) => Failure::from(error),
        CommitError::Call(error) => Failure::from(error),
        CommitError::Refused { partitions } => {
            let unknown = || Failure::new("org.apache.kafka.common.KafkaException", error.to_string());
            partitions.values().next().map_or_else(unknown, Failure::from)
        }
        CommitError::Rebalancing => Failure::new(&errors("RebalanceInProgressException"), error.to_string()),
        CommitError::NotMember => {
            let class = "org.apache.kafka.clients.consumer.CommitFailedException";
            Failure::new(class, error.to_string())
        }
        CommitError::NoGroup => Failure::new(&errors("InvalidGroupIdException"), error.to_string()),
        CommitError::Closed => Failure::new("java.lang.IllegalStateException", error.to_string()),
    }
}
