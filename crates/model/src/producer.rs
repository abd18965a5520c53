//! Identity of an idempotent or transactional producer.
//!
//! Owns: `ProducerId`, `ProducerEpoch`, `TransactionalId`, `TransactionVersion` and the wrapping arithmetic of `Sequence`.
//! Does not own: the state a partition keeps per producer (`storage`), that of a transaction (`coordinator`).
//!
//! Source: KIP-98, KIP-360, KIP-890.

use std::fmt;

use crate::text_id::text_id;

text_id! {
    /// Name under which a producer runs transactions over all its restarts. Cheap to clone.
    TransactionalId
}

/// How transactions are written and ended: the level of the feature `transaction.version`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TransactionVersion {
    #[default]
    Zero,
    /// Records of the coordinator may have new fields.
    One,
    /// Every transaction has an epoch of its own (KIP-890).
    Two,
}

/// Identity the cluster gives to a producer; never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProducerId(i64);

/// Counts the incarnations of one producer id; a higher epoch fences the lower ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProducerEpoch(i16);

/// Number of a record among those one producer epoch sent to one partition.
/// After 2³¹−1 it continues at 0, so there is no order between two of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Sequence(i32);

impl ProducerId {
    /// A producer id from its number, or `None` when it is negative (−1 means "no producer id").
    pub const fn new(value: i64) -> Option<ProducerId> {
        if value < 0 { None } else { Some(ProducerId(value)) }
    }

    /// The number on the wire and on disk, ≥ 0.
    pub const fn value(self) -> i64 {
        self.0
    }
}

impl TransactionVersion {
    /// The version of this level, or the highest for levels that are not known yet; `None` when it is negative.
    pub const fn from_level(level: i16) -> Option<TransactionVersion> {
        match level {
            i16::MIN..0 => None,
            0 => Some(TransactionVersion::Zero),
            1 => Some(TransactionVersion::One),
            2.. => Some(TransactionVersion::Two),
        }
    }

    /// The level of the feature.
    pub const fn level(self) -> i16 {
        match self {
            TransactionVersion::Zero => 0,
            TransactionVersion::One => 1,
            TransactionVersion::Two => 2,
        }
    }

    /// Whether the producer's epoch grows with the end of each transaction.
    pub const fn bumps_epochs(self) -> bool {
        matches!(self, TransactionVersion::Two)
    }
}

impl ProducerEpoch {
    /// The epoch of a producer id that was just given out.
    pub const ZERO: ProducerEpoch = ProducerEpoch(0);

    /// The highest epoch. No producer gets it: it is left for fencing the one before it.
    pub const MAX: ProducerEpoch = ProducerEpoch(i16::MAX);

    /// The epoch after this one; the highest has none.
    pub const fn next(self) -> Option<ProducerEpoch> {
        match self.0.checked_add(1) {
            Some(next) => Some(ProducerEpoch(next)),
            None => None,
        }
    }

    /// Whether the producer id has no epoch left for another producer.
    pub const fn is_exhausted(self) -> bool {
        self.0 >= i16::MAX - 1
    }

    /// An epoch from its number, or `None` when it is negative.
    pub const fn new(value: i16) -> Option<ProducerEpoch> {
        if value < 0 { None } else { Some(ProducerEpoch(value)) }
    }

    /// The number on the wire and on disk, ≥ 0.
    pub const fn value(self) -> i16 {
        self.0
    }
}

impl Sequence {
    /// The sequence of the first record of a producer epoch.
    pub const ZERO: Sequence = Sequence(0);

    /// A sequence from its number, or `None` when it is negative.
    pub const fn new(value: i32) -> Option<Sequence> {
        if value < 0 { None } else { Some(Sequence(value)) }
    }

    /// The number on the wire and on disk, ≥ 0.
    pub const fn value(self) -> i32 {
        self.0
    }

    /// The sequence `count` records further on, continuing at 0 after 2³¹−1 (IDM-03).
    #[must_use]
    pub const fn plus(self, count: u32) -> Sequence {
        let span = 1_i64 << 31;
        let sum = (self.0 as i64 + count as i64) % span;
        Sequence(sum as i32)
    }

    /// The sequence right behind this one.
    #[must_use]
    pub const fn next(self) -> Sequence {
        self.plus(1)
    }
}

impl fmt::Display for ProducerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for ProducerEpoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// IDM-03: the sequence after 2147483647 is 0.
    #[test]
    fn a_sequence_continues_at_zero_after_the_largest() {
        let last = Sequence::new(i32::MAX).unwrap();
        assert_eq!(last.next(), Sequence::ZERO);
        assert_eq!(last.plus(5), Sequence::new(4).unwrap());
    }
}
