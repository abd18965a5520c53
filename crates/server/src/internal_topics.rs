//! The topics that brokers keep for themselves: how they are created.
//!
//! Owns: their names, sizes and configs. Does not own: when they are needed (`handlers`), what is in them
//! (`coordinator`).
//!
//! Source: broker requirements 6.5 and 7; Kafka 4.3.1's `kafka-topics --describe` of `__consumer_offsets` and
//! `__transaction_state`.

use ottla_metadata::config::BrokerConfig;
use ottla_metadata::controller::{Layout, NewTopic};

/// An internal topic that this release uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InternalTopic {
    ConsumerOffsets,
    TransactionState,
}

impl InternalTopic {
    pub const fn name(self) -> &'static str {
        match self {
            InternalTopic::ConsumerOffsets => "__consumer_offsets",
            InternalTopic::TransactionState => "__transaction_state",
        }
    }

    /// The internal topic of this name.
    pub fn from_name(name: &str) -> Option<InternalTopic> {
        let all = [InternalTopic::ConsumerOffsets, InternalTopic::TransactionState];
        all.into_iter().find(|topic| topic.name() == name)
    }

    /// What the controller is asked to create.
    pub fn new_topic(self, broker: &BrokerConfig) -> NewTopic {
        let (groups, transactions) = (&broker.groups, &broker.transactions);
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
            InternalTopic::TransactionState => NewTopic {
                name: self.name().to_owned(),
                layout: Layout::Counts {
                    partitions: i32::try_from(transactions.state_partitions).ok(),
                    replicas: i16::try_from(transactions.state_replication_factor).ok(),
                },
                configs: vec![
                    config("cleanup.policy", "compact"),
                    config("compression.type", "uncompressed"),
                    config("min.insync.replicas", &transactions.state_in_sync_min.to_string()),
                    config("segment.bytes", &transactions.state_segment_bytes.to_string()),
                    config("unclean.leader.election.enable", "false"),
                ],
            },
        }
    }
}

fn config(key: &str, value: &str) -> (String, Option<String>) {
    (key.to_owned(), Some(value.to_owned()))
}
