//! Configuration: the keys, their values, where a value comes from, and who may change it.
//!
//! Owns: everything between a text in `server.properties` or a ConfigRecord and a typed setting.
//! Does not own: files and environment variables (the caller reads them), records (`image`), the wire.
//!
//! In reading order:
//! - `key`, `keys`: what is declared, one entry per key;
//! - `value`, `check`, `error`: types, allowed values, Kafka's words for refusals;
//! - `layers`, `describe`: static, dynamic and topic settings, and what DescribeConfigs tells of them;
//! - `broker`, `topic`, `listeners`: typed settings for the other parts;
//! - `alter`: what may be changed while running;
//! - `properties`, `providers`, `advice`: the text of `server.properties`, and what to tell of it.

mod advice;
mod alter;
mod broker;
mod check;
mod consumer_groups;
mod describe;
mod duration;
mod endpoint;
mod error;
mod key;
mod keys;
mod layers;
mod listeners;
mod properties;
mod providers;
mod reader;
mod reference;
mod roles;
mod rules;
mod topic;
mod value;

#[cfg(test)]
mod golden;

pub use advice::{Advice, advise, nearest_key};
pub use alter::{BrokerLevel, check_broker, check_client_metrics, check_group, check_topic};
pub use broker::{
    AckDurability, BrokerConfig, CleanerConfig, GroupsConfig, LogsConfig, MetadataLogConfig, NetworkConfig,
    QuorumConfig, RegistrationConfig, TopicDefaults,
};
pub use check::{Check, Emptiness};
pub use consumer_groups::{ConsumerGroupTimes, ConsumerGroupsConfig};
pub use describe::{Asked, Entry, EntrySynonym, Source};
pub use endpoint::{HostPort, ListenerAddress, Voter};
pub use error::ConfigError;
pub use key::{Change, Default, Effect, Importance, Key, Listing, Synonym, Unit};
pub use keys::{KeyTable, broker_keys, client_metrics_keys, group_keys, topic_keys};
pub use layers::{Layers, Settings, broker_key};
pub use listeners::{Listener, Listeners};
pub use properties::{Properties, PropertiesError, Property};
pub use providers::{Outside, ProviderError, resolve_references};
pub use reference::{Page, reference_pages};
pub use roles::Roles;
pub use topic::{CleanupPolicy, RecordValidation, TimestampType, TopicCompression, TopicConfig};
pub use value::{Kind, Password, Value, java_double, java_trim, split_list};
