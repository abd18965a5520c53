//! What a user may put into a producer: a partitioner, interceptors.
//!
//! Owns: both traits, the record as interceptors see it, the builder that takes them.
//! Does not own: when they are called (`producer`, `promise`), the partitioners of the configuration (`partitioner`).
//!
//! Source: `Partitioner` and `ProducerInterceptor` of Kafka's Java client (KIP-42). The keys `partitioner.class` and
//! `interceptor.classes` name Java classes; here values of the program take their place.

use std::fmt;
use std::io;
use std::sync::Arc;

use ottla_model::{PartitionIndex, Timestamp, TopicName, TopicPartition};
use ottla_protocol::record::Header;

use super::error::{DeliveryError, SendError};
use super::promise::RecordMetadata;
use super::{Producer, ProducerRecord};
use crate::cluster::TopicInfo;
use crate::config::ProducerConfig;

/// What a partition may be chosen by.
#[derive(Clone, Copy, Debug)]
pub struct RecordView<'a> {
    /// The key as it is sent.
    pub key: Option<&'a [u8]>,
    /// The value as it is sent, before compression.
    pub value: Option<&'a [u8]>,
    /// The headers in their order.
    pub headers: &'a [Header<'a>],
}

/// Chooses the partition of every record that names none, in place of the built-in rules.
///
/// It is called in the task that sends, so it must not block.
pub trait Partitioner: Send + Sync {
    /// The partition for `record`, one of `topic`'s. Another one is refused with [`SendError::NoSuchPartition`].
    fn partition_for(&self, record: RecordView<'_>, topic: &TopicInfo) -> PartitionIndex;
}

/// A record as interceptors see and change it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutgoingRecord {
    /// Where it is sent; may be changed.
    pub topic: TopicName,
    /// The partition the sender chose; `None` leaves it to the partitioner.
    pub partition: Option<PartitionIndex>,
    /// The time the sender gave; `None` stands for the time of sending.
    pub timestamp: Option<Timestamp>,
    /// The key, which also decides the partition.
    pub key: Option<Vec<u8>>,
    /// The value; `None` deletes the key in a compacted topic.
    pub value: Option<Vec<u8>>,
    /// Headers in their order; keys may repeat.
    pub headers: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

/// Sees every record on its way out, and what becomes of it (KIP-42).
///
/// Interceptors are called in the order they were given to the builder; each gets what the one before it made of the
/// record. They must not block.
pub trait ProducerInterceptor: Send + Sync {
    /// A record is about to be sent: before its size is checked and its partition is chosen.
    fn on_send(&self, record: OutgoingRecord) -> OutgoingRecord {
        record
    }

    /// What became of a record, once it has arrived or failed; before the callback of the sender hears of it.
    fn on_end(&self, partition: &TopicPartition, outcome: &Result<RecordMetadata, DeliveryError>) {
        let _ = (partition, outcome);
    }

    /// `send` did not take a record.
    fn on_refused(&self, topic: &TopicName, error: &SendError) {
        let _ = (topic, error);
    }
}

impl OutgoingRecord {
    pub(super) fn copy_of(record: &ProducerRecord<'_>) -> OutgoingRecord {
        let bytes = |bytes: &[u8]| bytes.to_vec();
        OutgoingRecord {
            topic: record.topic.clone(),
            partition: record.partition,
            timestamp: record.timestamp,
            key: record.key.map(bytes),
            value: record.value.map(bytes),
            headers: record
                .headers
                .iter()
                .map(|header| (header.key.to_vec(), header.value.map(bytes)))
                .collect(),
        }
    }

    pub(super) fn wire_headers(&self) -> Vec<Header<'_>> {
        self.headers.iter().map(|(key, value)| Header { key, value: value.as_deref() }).collect()
    }

    pub(super) fn with_headers<'a>(&'a self, headers: &'a [Header<'a>]) -> ProducerRecord<'a> {
        ProducerRecord {
            topic: &self.topic,
            partition: self.partition,
            timestamp: self.timestamp,
            key: self.key.as_deref(),
            value: self.value.as_deref(),
            headers,
        }
    }
}

/// What a producer was given by its user.
#[derive(Clone, Default)]
pub(super) struct Hooks {
    pub partitioner: Option<Arc<dyn Partitioner>>,
    pub interceptors: Vec<Arc<dyn ProducerInterceptor>>,
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hooks")
            .field("partitioner", &self.partitioner.is_some())
            .field("interceptors", &self.interceptors.len())
            .finish()
    }
}

impl Hooks {
    /// Lets every interceptor change a record on its way out.
    pub(super) fn on_send(&self, record: &ProducerRecord<'_>) -> OutgoingRecord {
        let copy = OutgoingRecord::copy_of(record);
        self.interceptors.iter().fold(copy, |record, one| one.on_send(record))
    }

    pub(super) fn on_end(&self, partition: &TopicPartition, outcome: &Result<RecordMetadata, DeliveryError>) {
        self.interceptors.iter().for_each(|one| one.on_end(partition, outcome));
    }

    pub(super) fn on_refused(&self, topic: &TopicName, error: &SendError) {
        self.interceptors.iter().for_each(|one| one.on_refused(topic, error));
    }
}

/// Makes a producer with a partitioner or interceptors of the user.
#[derive(Debug)]
#[must_use = "the producer is made by `build`"]
pub struct ProducerBuilder {
    pub(super) config: ProducerConfig,
    pub(super) hooks: Hooks,
}

impl ProducerBuilder {
    /// Takes `partitioner` in place of the one that the configuration names.
    pub fn partitioner(mut self, partitioner: impl Partitioner + 'static) -> ProducerBuilder {
        self.hooks.partitioner = Some(Arc::new(partitioner));
        self
    }

    /// Adds an interceptor behind those that were added before.
    pub fn interceptor(mut self, interceptor: impl ProducerInterceptor + 'static) -> ProducerBuilder {
        self.hooks.interceptors.push(Arc::new(interceptor));
        self
    }

    /// Makes the producer, as [`Producer::new`] does. Must be called on a runtime; fails only if the system has no
    /// source of randomness.
    pub fn build(self) -> io::Result<Producer> {
        Producer::with_hooks(self.config, self.hooks)
    }
}
