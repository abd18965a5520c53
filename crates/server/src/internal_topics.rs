//! The topics that brokers keep for themselves: how they are created.
//!
//! Owns: their names, sizes and configs. Does not own: when they are needed (`handlers`), what is in them
//! (`coordinator`).
//!
//! Source: broker requirements 6.5; Kafka 4.3.1's `kafka-topics --describe` of `__consumer_offsets`.

use ottla_metadata::config::GroupsConfig;
use ottla_metadata::controller::{Layout, NewTopic};

/// An internal topic that this release uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InternalTopic {
    ConsumerOffsets,
}

impl InternalTopic {
    pub const fn name(self) -> &'static str {
        match self {
            InternalTopic::ConsumerOffsets => "__consumer_offsets",
        }
    }

    /// The internal topic of this name.
    pub fn from_name(name: &str) -> Option<InternalTopic> {
        (name == InternalTopic::ConsumerOffsets.name()).then_some(InternalTopic::ConsumerOffsets)
    }

    /// What the controller is asked to create.
    pub fn new_topic(self, groups: &GroupsConfig) -> NewTopic {
        match self {
            InternalTopic::ConsumerOffsets => NewTopic {
                name: self.name().to_owned(),
                layout: Layout::Counts {
                    partitions: i32::try_from(groups.offsets_partitions).ok(),
                    replicas: i16::try_from(groups.offsets_replication_factor).ok(),
                },
                configs: vec![
                    config("cleanup.policy", "compact"),
                    config("compression.type", "producer"),
                    config("segment.bytes", &groups.offsets_segment_bytes.to_string()),
                ],
            },
        }
    }
}

fn config(key: &str, value: &str) -> (String, Option<String>) {
    (key.to_owned(), Some(value.to_owned()))
}
