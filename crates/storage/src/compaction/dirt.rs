//! What of a log could be compacted, and whether it is worth it.
//!
//! Owns: the bounds of what may be compacted, the share of it, which of two logs is dirtier.
//! Does not own: when somebody looks, the logs (`server`).
//!
//! Source: requirement CMP-01; KIP-58, KIP-354.

use std::cmp::Ordering;

use ottla_model::{Offset, Timestamp};

use crate::config::LogConfig;

/// What the outside knows of a log.
#[derive(Clone, Copy, Debug)]
pub struct CompactionBounds {
    pub now: Timestamp,
    /// Nothing at or above is compacted.
    pub high_watermark: Offset,
    /// Everything below was compacted; `None` where nobody knows.
    pub cleaned_to: Option<Offset>,
}

/// What of a log could be compacted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dirt {
    /// Everything below was compacted.
    pub first_dirty: Offset,
    /// Base offset of the first segment that may not be compacted.
    pub end: Offset,
    pub clean_bytes: u64,
    pub dirty_bytes: u64,
    /// Something is dirty for longer than `max.compaction.lag.ms`.
    pub is_overdue: bool,
    /// What was known of the compacted part does not fit the log.
    pub is_corrected: bool,
}

impl Dirt {
    /// Whether there is so much of it that the log should be compacted.
    pub fn is_due(&self, config: &LogConfig) -> bool {
        let due_by_ratio = u128::from(self.dirty_bytes) * 1000
            > u128::from(config.min_cleanable_dirty_per_mille)
                * (u128::from(self.clean_bytes) + u128::from(self.dirty_bytes));
        due_by_ratio || (self.is_overdue && self.dirty_bytes > 0)
    }

    /// Orders logs by their share of dirt.
    pub fn cmp_share(&self, other: &Dirt) -> Ordering {
        let share = |one: &Dirt, other: &Dirt| {
            u128::from(one.dirty_bytes) * (u128::from(other.clean_bytes) + u128::from(other.dirty_bytes))
        };
        share(self, other).cmp(&share(other, self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dirt(clean_bytes: u64, dirty_bytes: u64) -> Dirt {
        let (first_dirty, end) = (Offset::ZERO, Offset::ZERO);
        Dirt { first_dirty, end, clean_bytes, dirty_bytes, is_overdue: false, is_corrected: false }
    }

    /// CMP-01
    #[test]
    fn a_log_is_due_when_more_than_the_share_is_dirty_or_something_waits_too_long() {
        let config = LogConfig { min_cleanable_dirty_per_mille: 500, ..LogConfig::default() };
        assert!(!dirt(50, 50).is_due(&config) && dirt(50, 51).is_due(&config));
        let overdue = Dirt { is_overdue: true, ..dirt(1000, 1) };
        assert!(overdue.is_due(&config));
        assert!(!Dirt { is_overdue: true, ..dirt(1000, 0) }.is_due(&config), "there is nothing to do");
        let always = LogConfig { min_cleanable_dirty_per_mille: 0, ..LogConfig::default() };
        assert!(
            dirt(1000, 1).is_due(&always) && !dirt(1000, 0).is_due(&always) && !dirt(0, 0).is_due(&always)
        );
    }

    /// CMP-01
    #[test]
    fn the_dirtiest_log_is_the_one_with_the_largest_share() {
        assert_eq!(dirt(10, 10).cmp_share(&dirt(1000, 500)), Ordering::Greater);
        assert_eq!(dirt(0, 1).cmp_share(&dirt(1, u64::MAX - 1)), Ordering::Greater);
        assert_eq!(dirt(2, 4).cmp_share(&dirt(1, 2)), Ordering::Equal);
    }
}
