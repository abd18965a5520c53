//! A whole node on a real directory, spoken to in frames.
#![cfg(test)]

mod admin;
mod admission;
mod batches;
mod connections;
mod describe;
mod directories;
mod durability;
mod faults;
mod fetch_limits;
mod fetch_refusals;
mod gated_disk;
mod gatekeeper;
mod groups;
mod hostile;
mod leadership;
mod levels;
mod limits;
mod node;
mod offsets;
mod permissions;
mod plain_requests;
mod planted;
mod producers;
mod reading;
mod records;
mod recovery;
mod restarts;
mod retention;
mod script;
mod starting;
mod transactions;
mod versions;
