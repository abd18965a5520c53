//! A whole node on a real directory, spoken to in frames.

mod groups;
mod hostile;
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod node;
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod records;
