//! Fetch: sessions, reading, waiting.

pub mod session;
