//! Fetch: sessions, reading, and the answer as bytes and ranges of files.

pub mod answer;
pub mod read;
pub mod session;
