//! Tests of the crate from outside: the codec against Kafka's own bytes.
#![cfg(test)]

mod allocations;
mod api_keys;
mod compression;
mod connection;
mod fetch;
mod hex;
mod hostile;
mod json;
mod legacy;
mod persisted;
mod produce;
mod raw;
mod record;
mod refusals;
mod replay;
mod samples;
mod targets;
mod validate;
mod vectors;
mod view_targets;
