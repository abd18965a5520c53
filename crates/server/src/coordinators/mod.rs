//! Coordinators on this node: one task per partition of an internal topic that it leads.
//!
//! Owns: the wiring of `coordinator`'s shards to partitions and handlers.
//! Does not own: what a shard decides, where its records lie.

mod groups;
mod loading;
mod replay;
mod shard_task;
mod shards;
mod transactions;
mod view;

pub use groups::Groups;
pub use shard_task::{MarkerError, MarkerJob};
pub use transactions::Transactions;
pub use view::next_view;
