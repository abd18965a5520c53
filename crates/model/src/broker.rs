//! Identity of nodes, clusters and log directories.
//!
//! Owns: `BrokerId`, `BrokerEpoch`, `ClusterId`, `IncarnationId`, `DirectoryId`.
//! Does not own: which of them exist (`metadata`).

use std::fmt;

use crate::Uuid;

/// Number of a node (`node.id`), unique in the cluster, ≥ 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BrokerId(i32);

impl BrokerId {
    /// A node id, or `None` when it is negative (−1 means "no node").
    pub const fn new(value: i32) -> Option<BrokerId> {
        if value < 0 { None } else { Some(BrokerId(value)) }
    }

    /// The number on the wire and on disk, ≥ 0.
    pub const fn value(self) -> i32 {
        self.0
    }
}

impl fmt::Display for BrokerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Offset of the registration record of a broker's present incarnation (REG-01).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BrokerEpoch(i64);

impl BrokerEpoch {
    /// A broker epoch, or `None` when it is negative.
    pub const fn new(value: i64) -> Option<BrokerEpoch> {
        if value < 0 { None } else { Some(BrokerEpoch(value)) }
    }

    /// The number on the wire and on disk, ≥ 0.
    pub const fn value(self) -> i64 {
        self.0
    }
}

impl fmt::Display for BrokerEpoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Name of a cluster. Kafka makes it from 16 random bytes in base64url, but any text is taken.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClusterId(String);

impl ClusterId {
    /// A cluster id, or `None` for an empty text.
    pub fn new(text: &str) -> Option<ClusterId> {
        if text.is_empty() { None } else { Some(ClusterId(text.to_owned())) }
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Identity of one run of a broker process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct IncarnationId(pub Uuid);

/// Identity of one log directory (`directory.id` in `meta.properties`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DirectoryId(pub Uuid);

impl DirectoryId {
    /// Kafka's reserved id for replicas of the time before directory ids.
    pub const MIGRATING: DirectoryId = DirectoryId(Uuid::ZERO);
    /// Kafka's reserved id for "not yet assigned to a directory".
    pub const UNASSIGNED: DirectoryId =
        DirectoryId(Uuid::from_bytes([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]));
    /// Kafka's reserved id for "the directory is lost".
    pub const LOST: DirectoryId =
        DirectoryId(Uuid::from_bytes([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]));

    /// Whether the id is one of the hundred that Kafka keeps for meanings of its own: no directory has it.
    pub fn is_reserved(self) -> bool {
        u128::from_be_bytes(self.0.bytes()) < 100
    }
}

impl fmt::Display for DirectoryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_hundred_directory_ids_are_reserved() {
        assert!(DirectoryId::MIGRATING.is_reserved());
        assert!(DirectoryId::LOST.is_reserved());
        // The id that a new replica has on a broker with several directories, as Kafka prints it.
        assert_eq!(DirectoryId::UNASSIGNED.to_string(), "AAAAAAAAAAAAAAAAAAAAAQ");
        assert!(!DirectoryId(Uuid::from_bytes([1; 16])).is_reserved());
    }
}
