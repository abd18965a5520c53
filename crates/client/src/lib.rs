//! Kafka clients.
#![allow(dead_code, reason = "under construction")]
pub mod admin;
mod backoff;
mod cluster;
pub mod config;
mod connection;
pub mod error;
pub mod consumer {
    pub mod assignor;
    pub(crate) mod group_protocol;
}
pub mod producer;
pub use admin::Admin;
pub use producer::Producer;
