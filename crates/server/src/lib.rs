//! The node: listeners, one handler file per API, the partition table, and the wiring of the machines to the outside world.

pub mod fetch;
pub mod flusher;
pub mod waiting;
