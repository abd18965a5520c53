//! A whole node on a real directory, spoken to in frames.

#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod admission;
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod batches;
mod connections;
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod directories;
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod durability;
mod faults;
mod fetch_limits;
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod fetch_refusals;
mod gated_disk;
mod gatekeeper;
mod groups;
mod hostile;
mod leadership;
mod limits;
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod node;
mod offsets;
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod plain_requests;
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod planted;
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod producers;
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod reading;
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod records;
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod recovery;
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod retention;
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod transactions;
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod versions;
