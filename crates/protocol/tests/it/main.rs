//! Tests of the crate from outside: the codec against Kafka's own bytes.

mod json;
mod vectors;
