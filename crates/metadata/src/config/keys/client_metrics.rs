//! Keys of subscriptions to client metrics.
//!
//! Owns: one entry per key; `key` explains the form. Does not own: what the values do.
//!
//! Source: client metrics settings of Kafka 4.3.1 (KIP-714); doc sentences are our own.

use crate::config::Check::{Any, List};
use crate::config::Emptiness::MayBeEmpty;
use crate::config::key::keys;

keys! {
    /// Keys of subscriptions to client metrics.
    CLIENT_METRICS:

    /// Time between two pushes of metrics.
    "interval.ms": Int = "300000", Any, Resource, Medium, Later;
    /// Which clients push, as `name=pattern,...`; empty means all.
    "match": List = "", List(MayBeEmpty), Resource, Medium, Later;
    /// Prefixes of the metrics that are pushed; `*` means all, empty none.
    "metrics": List = "", List(MayBeEmpty), Resource, Medium, Later;
}
