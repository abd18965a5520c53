//! The transaction coordinator over a log in memory, in virtual time.
//!
//! Owns: the list of its stories and runs. Does not own: how a story is told (`script`), what the log does (`world`).

mod end_stories;
mod expiry_stories;
mod identity_stories;
mod partitions;
mod random_runs;
mod records;
mod script;
mod view_stories;
mod world;
