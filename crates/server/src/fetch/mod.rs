//! Fetch: sessions, reading, and the answer as bytes and ranges of files.
//!
//! Owns: what happens between a decoded fetch and its answer.
//! Does not own: the request and response forms (`protocol`), waiting (`handlers::fetch`), partitions (`partition`).

pub mod answer;
pub mod read;
pub mod session;
