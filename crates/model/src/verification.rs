//! What a partition's leader knows about the transaction that a batch is written in.
//!
//! Owns: the guard that stands for one verification, and what an append says with it.
//! Does not own: the guards that are outstanding (`storage`), the asking (`server`), the answer (`coordinator`).
//!
//! Before the first batch of a transaction lands in a partition, the coordinator is asked whether the partition is part
//! of it. Until the answer comes that transaction may have ended, and another one begun: the guard tells them apart.
//!
//! Source: KIP-890.

use std::sync::atomic::{AtomicU64, Ordering};

/// Stands for one verification of one producer in one partition. No two are the same in the life of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct VerificationGuard(u64);

/// What the one who appends a transactional batch knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verification {
    /// Nobody verifies (`transaction.partition.verification.enable` is off).
    Off,
    /// The coordinator was not asked: the transaction goes on in this partition already, or the batch is refused.
    NotAsked,
    /// The coordinator knows the partition as part of the transaction, as of this guard.
    Verified(VerificationGuard),
}

impl VerificationGuard {
    /// A guard that nobody has.
    pub fn fresh() -> VerificationGuard {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        VerificationGuard(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_guards_are_the_same() {
        assert_ne!(VerificationGuard::fresh(), VerificationGuard::fresh());
    }
}
