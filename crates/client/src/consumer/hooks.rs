//! What a user may put into a consumer: interceptors.
//!
//! Owns: the trait, the builder that takes them. Does not own: when they are called (`consumer`, `offset_calls`).
//!
//! Source: `ConsumerInterceptor` of Kafka's Java client (KIP-42). The key `interceptor.classes` names Java classes; here
//! values of the program take their place.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::Arc;

use ottla_model::TopicPartition;

use super::{Consumer, ConsumerRecord};
use crate::admin::CommittedOffset;
use crate::config::ConsumerConfig;

/// Sees records before the user does, and offsets once they are committed (KIP-42).
///
/// Interceptors are called in the order they were given to the builder; each gets what the one before it made of the
/// records. They must not block.
pub trait ConsumerInterceptor: Send + Sync {
    /// Records that `poll` is about to answer. What is left out here counts as consumed all the same.
    fn on_consume(&self, records: Vec<ConsumerRecord>) -> Vec<ConsumerRecord> {
        records
    }

    /// Offsets were committed, by the user or automatically.
    fn on_commit(&self, offsets: &BTreeMap<TopicPartition, CommittedOffset>) {
        let _ = offsets;
    }
}

/// What a consumer was given by its user.
#[derive(Clone, Default)]
pub(super) struct Hooks(Vec<Arc<dyn ConsumerInterceptor>>);

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Hooks").field(&self.0.len()).finish()
    }
}

impl Hooks {
    pub(super) fn on_consume(&self, records: Vec<ConsumerRecord>) -> Vec<ConsumerRecord> {
        self.0.iter().fold(records, |records, one| one.on_consume(records))
    }

    pub(super) fn on_commit(&self, offsets: &BTreeMap<TopicPartition, CommittedOffset>) {
        self.0.iter().for_each(|one| one.on_commit(offsets));
    }
}

/// Makes a consumer with interceptors of the user.
#[derive(Debug)]
#[must_use = "the consumer is made by `build`"]
pub struct ConsumerBuilder {
    pub(super) config: ConsumerConfig,
    pub(super) hooks: Hooks,
}

impl ConsumerBuilder {
    /// Adds an interceptor behind those that were added before.
    pub fn interceptor(mut self, interceptor: impl ConsumerInterceptor + 'static) -> ConsumerBuilder {
        self.hooks.0.push(Arc::new(interceptor));
        self
    }

    /// Makes the consumer, as [`Consumer::new`] does. Must be called on a runtime; fails only if the system has no
    /// source of randomness.
    pub fn build(self) -> io::Result<Consumer> {
        Consumer::with_hooks(self.config, self.hooks)
    }
}
