//! Transactions on this node, beside their coordinator: what it has done, and what partitions ask of it.
//!
//! Owns: the wiring of the coordinator's effects and of its questions, the way of markers into partitions.
//! Does not own: transactions (`coordinator`), their shards (`coordinators`), the partitions.

mod enrolment;
pub mod markers;
mod marking;

pub use marking::carry_out;
