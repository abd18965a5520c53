//! The clients against a running broker: Kafka, or one of ours.
//!
//! The tests run when `OTTLA_TEST_BOOTSTRAP` names the address of a broker (`host:port`), and say loudly that they did
//! not where it is not set. They create topics and groups with names of their own.
#![cfg(test)]

mod admin;
mod broker;
mod consumer;
mod consumer_calls;
mod disturbed;
mod examples;
mod gate;
mod hooks;
mod moved;
mod producer;
mod together;
mod truncated;
