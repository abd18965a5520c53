//! Tests of the log through its public face.

#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod compaction;
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod compaction_model;
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod crash;
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod damage;
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod golden;
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod kafka;
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod kafka_compaction;
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod log;
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod log_dirs;
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod model;
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod old_formats;
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod place;
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod rest;
