//! What a node is.
//!
//! Owns: `Roles` and the reading of `process.roles`. Does not own: what the roles do.

use std::fmt;

/// The parts of a cluster a node plays; at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Roles {
    pub broker: bool,
    pub controller: bool,
}

impl Roles {
    /// Reads `process.roles`, whose values the key's check has limited to the two.
    pub(crate) fn from_items(items: &[String]) -> Roles {
        let has = |role: &str| items.iter().any(|item| item == role);
        Roles { broker: has("broker"), controller: has("controller") }
    }
}

impl fmt::Display for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (self.broker, self.controller) {
            (true, true) => "broker,controller",
            (true, false) => "broker",
            (false, true) => "controller",
            (false, false) => "",
        })
    }
}
