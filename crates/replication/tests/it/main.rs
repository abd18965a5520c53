//! Scripted stories and random runs on one replica. Broker 1 is the replica under test.
//!
//! Owns: the stories. Does not own: the script language (`script`).

#[cfg(test)]
mod random_runs;
#[cfg(test)]
mod script;
#[cfg(test)]
mod stories;
