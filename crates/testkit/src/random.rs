//! Chance that repeats.
//!
//! Owns: the seeded generator of tests and simulations.
//! Does not own: anything fit for secrets: it is for tests only.
//!
//! Source: Blackman and Vigna, "Scrambled linear pseudorandom number generators" (xoshiro256++), seeded by
//! splitmix64 as they advise.

use std::num::NonZeroU64;

use ottla_env::random::Random;
use parking_lot::Mutex;

/// A generator whose every draw follows from its seed.
#[derive(Debug)]
pub struct SeededRandom {
    state: Mutex<[u64; 4]>,
}

impl SeededRandom {
    pub fn new(seed: u64) -> SeededRandom {
        let mut sum = seed;
        let mut next = || {
            sum = sum.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut mixed = sum;
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            mixed ^ (mixed >> 31)
        };
        SeededRandom { state: Mutex::new([next(), next(), next(), next()]) }
    }

    /// A generator of its own for a part of the test, so that what one part draws does not shift the others.
    #[must_use]
    pub fn fork(&self) -> SeededRandom {
        SeededRandom::new(self.bits())
    }

    /// True in so many of a hundred cases.
    pub fn chance(&self, percent: u32) -> bool {
        self.below(NonZeroU64::MIN.saturating_add(99)) < u64::from(percent)
    }

    /// A number in `0..bound`; 0 for an empty range.
    pub fn index(&self, bound: usize) -> usize {
        let drawn = NonZeroU64::new(bound as u64).map_or(0, |bound| self.below(bound));
        usize::try_from(drawn).unwrap_or(0)
    }

    /// A number in `low..=high`.
    pub fn between(&self, low: u64, high: u64) -> u64 {
        assert!(low <= high, "the range {low}..={high} is empty");
        low + NonZeroU64::new((high - low).wrapping_add(1))
            .map_or_else(|| self.bits(), |span| self.below(span))
    }

    /// One of the items; `None` when there are none.
    pub fn pick<'a, T>(&self, items: &'a [T]) -> Option<&'a T> {
        items.get(self.index(items.len()))
    }

    /// Puts the items into a random order.
    pub fn shuffle<T>(&self, items: &mut [T]) {
        for end in (1..items.len()).rev() {
            items.swap(end, self.index(end + 1));
        }
    }
}

impl Random for SeededRandom {
    fn fill(&self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(8) {
            let bits = step(&mut self.state.lock()).to_le_bytes();
            chunk.copy_from_slice(&bits[..chunk.len()]);
        }
    }
}

fn step(state: &mut [u64; 4]) -> u64 {
    let drawn = state[0].wrapping_add(state[3]).rotate_left(23).wrapping_add(state[0]);
    let shifted = state[1] << 17;
    state[2] ^= state[0];
    state[3] ^= state[1];
    state[1] ^= state[2];
    state[0] ^= state[3];
    state[2] ^= shifted;
    state[3] = state[3].rotate_left(45);
    drawn
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first draws of the authors' C code from the state 1, 2, 3, 4.
    #[test]
    fn the_generator_is_the_published_one() {
        let mut state = [1, 2, 3, 4];
        let drawn: Vec<u64> = (0..4).map(|_| step(&mut state)).collect();
        assert_eq!(drawn, [41_943_041, 58_720_359, 3_588_806_011_781_223, 3_591_011_842_654_386]);
    }

    #[test]
    fn equal_seeds_draw_alike_and_others_do_not() {
        let draw = |seed| SeededRandom::new(seed).bits();
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
        let (a, b) = (SeededRandom::new(1), SeededRandom::new(1));
        a.fork().bits();
        let _ = b.fork();
        assert_eq!(a.bits(), b.bits());
    }

    #[test]
    fn draws_stay_in_their_range() {
        let random = SeededRandom::new(3);
        for _ in 0..1_000 {
            assert!((5..=7).contains(&random.between(5, 7)));
            assert!(random.index(3) < 3);
            assert!(random.chance(100) && !random.chance(0));
        }
        random.between(0, u64::MAX);
        assert_eq!(random.between(4, 4), 4);
        assert_eq!(random.pick::<u8>(&[]), None);
        let mut items = [1, 2, 3, 4, 5];
        random.shuffle(&mut items);
        items.sort_unstable();
        assert_eq!(items, [1, 2, 3, 4, 5]);
    }
}
