//! Memory that a thread keeps for what it does next, where the allocator would be asked again and again.
//!
//! Owns: how much is kept. Does not own: what the memory is used for; it is empty whenever it changes hands.
//!
//! Stands in a `thread_local!`: `SPARE.with(Spare::take)`, and `SPARE.try_with(|spare| spare.give(memory))` where a thread may
//! be at its end.

use std::cell::RefCell;

/// What one thread keeps.
#[derive(Debug)]
pub struct Spare {
    limits: SpareLimits,
    kept: RefCell<Vec<Vec<u8>>>,
}

/// How much that may be.
#[derive(Clone, Copy, Debug)]
pub struct SpareLimits {
    pub pieces_max: usize,
    /// Larger pieces are given back to the system.
    pub piece_bytes_max: usize,
}

impl Spare {
    pub const fn new(limits: SpareLimits) -> Spare {
        Spare { limits, kept: RefCell::new(Vec::new()) }
    }

    /// Empty memory, with room if there was some.
    pub fn take(&self) -> Vec<u8> {
        self.kept.borrow_mut().pop().unwrap_or_default()
    }

    /// Keeps memory for the next one, if it is worth it.
    pub fn give(&self, mut memory: Vec<u8>) {
        let mut kept = self.kept.borrow_mut();
        let fits = (1..=self.limits.piece_bytes_max).contains(&memory.capacity());
        if fits && kept.len() < self.limits.pieces_max {
            memory.clear();
            kept.push(memory);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Performance 4.2
    #[test]
    fn memory_comes_back_empty_and_only_as_much_as_is_kept() {
        let spare = Spare::new(SpareLimits { pieces_max: 2, piece_bytes_max: 100 });
        assert_eq!(spare.take().capacity(), 0);
        for bytes in [0, 101, 64, 100, 50] {
            let mut memory = Vec::with_capacity(bytes);
            memory.resize(bytes, 7);
            spare.give(memory);
        }
        let taken: Vec<Vec<u8>> = (0..3).map(|_| spare.take()).collect();
        assert!(taken.iter().all(Vec::is_empty));
        assert_eq!(taken.iter().map(Vec::capacity).collect::<Vec<_>>(), [100, 64, 0]);
    }
}
