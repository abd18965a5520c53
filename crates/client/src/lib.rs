//! Kafka clients.
#![allow(dead_code, reason = "under construction")]
pub mod admin;
mod backoff;
mod cluster;
pub mod config;
mod connection;
pub mod consumer;
pub mod error;
pub mod producer;
pub use admin::Admin;
pub use consumer::Consumer;
pub use producer::Producer;
