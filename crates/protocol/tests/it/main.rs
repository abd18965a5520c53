//! Tests of the crate from outside: the codec against Kafka's own bytes.
#![cfg(test)]

mod api_keys;
mod hex;
mod hostile;
mod json;
mod persisted;
mod raw;
mod record;
mod refusals;
mod replay;
mod targets;
mod validate;
mod vectors;
