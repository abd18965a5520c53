//! Wall-clock time as records carry it.
//!
//! Owns: `Timestamp`. Does not own: the clock (`env`); no safety decision rests on a timestamp.

use std::fmt;

/// Milliseconds since 1970-01-01T00:00:00Z. May be negative (a record without a time carries −1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// What a record without a time carries.
    pub const NONE: Timestamp = Timestamp(-1);

    /// A timestamp from milliseconds since the epoch.
    pub const fn from_millis(value: i64) -> Timestamp {
        Timestamp(value)
    }

    /// Milliseconds since the epoch.
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// The time `millis` later; stops at the ends of the range.
    #[must_use]
    pub const fn plus_millis(self, millis: i64) -> Timestamp {
        Timestamp(self.0.saturating_add(millis))
    }

    /// Milliseconds from `earlier` to this time; negative when it lies before; stops at the ends of the range.
    pub const fn millis_since(self, earlier: Timestamp) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
