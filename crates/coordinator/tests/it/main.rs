//! Scripted stories and random runs of the coordinators over a simulated log.
//!
//! Owns: the list of them. Does not own: how a story is told (`script`), how the log behaves (`world`).

#[cfg(test)]
mod consumer_runs;
#[cfg(test)]
mod consumer_stories;
#[cfg(test)]
mod coordination;
#[cfg(test)]
mod join_stories;
#[cfg(test)]
mod migration_stories;
#[cfg(test)]
mod offset_stories;
#[cfg(test)]
mod random_runs;
#[cfg(test)]
mod records;
#[cfg(test)]
mod runtime_stories;
#[cfg(test)]
mod script;
#[cfg(test)]
mod session_stories;
#[cfg(test)]
mod static_stories;
#[cfg(test)]
mod transaction_stories;
#[cfg(test)]
mod world;
