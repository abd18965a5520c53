//! Identity of consumer groups and their members.
//!
//! Owns: `GroupId`, `MemberId`, `GroupInstanceId`, `GenerationId`, `ProtocolType`, `ProtocolName`.
//! Does not own: which texts a call accepts (`coordinator`): "" is a legal group for offsets only (GRP-02).

use std::fmt;

use crate::text_id::text_id;

text_id! {
    /// Name of a group; may be any text. Cheap to clone.
    GroupId
}
text_id! {
    /// Name of a member, given by the coordinator or (KIP-848) made by the client. Cheap to clone.
    MemberId
}
text_id! {
    /// Name a static member keeps over restarts (`group.instance.id`, KIP-345). Cheap to clone.
    GroupInstanceId
}

text_id! {
    /// What the members of a classic group are ("consumer", "connect", "sr" …); opaque to the coordinator. Cheap to
    /// clone.
    ProtocolType
}
text_id! {
    /// Name of an assignment strategy that members of a classic group vote for ("range" …). Cheap to clone.
    ProtocolName
}

/// Counts the completed rebalances of a classic group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GenerationId(i32);

impl GenerationId {
    /// The generation of a group that has not yet had a member.
    pub const ZERO: GenerationId = GenerationId(0);

    /// A generation, or `None` when it is negative (−1 means "not a member").
    pub const fn new(value: i32) -> Option<GenerationId> {
        if value < 0 { None } else { Some(GenerationId(value)) }
    }

    /// The number on the wire and on disk, ≥ 0.
    pub const fn value(self) -> i32 {
        self.0
    }

    /// The following generation; continues at 1 after the largest, as Kafka's does.
    #[must_use]
    pub const fn next(self) -> GenerationId {
        if self.0 == i32::MAX { GenerationId(1) } else { GenerationId(self.0 + 1) }
    }
}

impl fmt::Display for GenerationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
