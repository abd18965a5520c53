//! Positions in a log and the epochs that order its leaders.
//!
//! Owns: `Offset`, `LeaderEpoch`, `PartitionEpoch`, `ControllerEpoch`.
//! Does not own: how a wire field encodes "none" (−1): decoders turn it into `Option`.
//!
//! Source: Kafka protocol guide, Fetch and ListOffsets; KIP-101.

use std::fmt;

/// Position of a record in one partition's log. The first record has 0; gaps are legal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Offset(i64);

impl Offset {
    /// The position of the first record ever written to a partition.
    pub const ZERO: Offset = Offset(0);
    /// The largest position a log can have.
    pub const MAX: Offset = Offset(i64::MAX);

    /// An offset from its number, or `None` when it is negative.
    pub const fn new(value: i64) -> Option<Offset> {
        if value < 0 { None } else { Some(Offset(value)) }
    }

    /// The number that is written to the wire and to disk, ≥ 0.
    pub const fn value(self) -> i64 {
        self.0
    }

    /// The number as an unsigned integer, for arithmetic on sizes.
    pub const fn as_u64(self) -> u64 {
        self.0.unsigned_abs()
    }

    /// The position `count` records further on; stops at [`Offset::MAX`].
    #[must_use]
    pub const fn plus(self, count: u32) -> Offset {
        Offset(self.0.saturating_add(count as i64))
    }

    /// The position right behind this one.
    #[must_use]
    pub const fn next(self) -> Offset {
        self.plus(1)
    }

    /// The position right before this one, or `None` at the start.
    pub const fn previous(self) -> Option<Offset> {
        Offset::new(self.0 - 1)
    }

    /// How many positions this one lies behind `earlier`; 0 when it does not.
    pub const fn distance_from(self, earlier: Offset) -> u64 {
        if self.0 > earlier.0 { (self.0 - earlier.0).unsigned_abs() } else { 0 }
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

macro_rules! epoch {
    ($(#[$doc:meta])* $name:ident, $inner:ty) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name($inner);

        impl $name {
            /// The first epoch.
            pub const ZERO: $name = $name(0);

            /// An epoch from its number, or `None` when it is negative.
            pub const fn new(value: $inner) -> Option<$name> {
                if value < 0 { None } else { Some($name(value)) }
            }

            /// The number that is written to the wire and to disk, ≥ 0.
            pub const fn value(self) -> $inner {
                self.0
            }

            /// The following epoch; stops at the largest.
            #[must_use]
            pub const fn next(self) -> $name {
                $name(self.0.saturating_add(1))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

epoch! {
    /// Counts the leaders a partition has had. Every batch carries the epoch of the leader that wrote it.
    LeaderEpoch, i32
}
epoch! {
    /// Counts the changes of a partition's state (leader, in-sync set, replicas) at the controller.
    PartitionEpoch, i32
}
epoch! {
    /// Counts the leaders of the metadata quorum.
    ControllerEpoch, i32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_negative_number_is_no_offset() {
        assert_eq!(Offset::new(-1), None);
        assert_eq!(Offset::new(0), Some(Offset::ZERO));
    }

    #[test]
    fn offsets_stop_at_the_largest_position() {
        assert_eq!(Offset::MAX.next(), Offset::MAX);
        assert_eq!(Offset::ZERO.previous(), None);
        assert_eq!(Offset::ZERO.plus(7).distance_from(Offset::ZERO.plus(2)), 5);
    }
}
