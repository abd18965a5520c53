//! Tests of the crate from outside: the codec against Kafka's own bytes.

mod api_keys;
mod hostile;
mod json;
mod persisted;
mod refusals;
mod replay;
mod targets;
mod vectors;
