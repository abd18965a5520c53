//! The last offset of every key in the dirty part of a log, in bounded memory.
//!
//! Owns: the table, how full it may become. Does not own: which records are put in.
//!
//! A key is known by 128 bits of a keyed hash: two SipHashes whose keys are drawn anew for every map. Among the five
//! million keys of a full map of the default size two collide with a probability of 10⁻²⁵, and nobody can choose keys
//! that do. Kafka takes MD5, for which colliding keys can be made by whoever may write to the topic.
//!
//! | slot | bytes |
//! |---|---|
//! | hash | 16 |
//! | offset + 1; 0: free | 8 |
//!
//! The table begins small and doubles, so that the map of a small log takes little memory. Slots that a search passes are
//! ordered by how far they lie from where their hash belongs, so a search for a key that is not there ends early.
//!
//! Invariants
//! - I1 the table never takes more than `bytes_max`, except while it is moved to one twice as large;
//! - I2 at least one slot is free, so every search ends.
//!
//! Source: requirement CMP-07.

use std::hash::{BuildHasher, Hasher, RandomState};

use ottla_model::Offset;

/// Bytes of a slot.
const SLOT_BYTES: u64 = 24;

const _: () = assert!(size_of::<Slot>() == 24);

/// Slots of a map that was just made.
const SLOTS_MIN: usize = 1024;

/// What `log.cleaner.dedupe.buffer.size` and `log.cleaner.io.buffer.load.factor` allow one map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyMapLimits {
    pub bytes_max: u64,
    /// Share of the slots that may be taken, in thousandths.
    pub load_per_mille_max: u16,
}

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    hash: [u64; 2],
    /// The offset behind the key's last one.
    behind: u64,
}

impl Slot {
    fn is_free(&self) -> bool {
        self.behind == 0
    }
}

/// Key → last offset.
#[derive(Debug)]
pub(crate) struct KeyMap {
    slots: Vec<Slot>,
    len: usize,
    slots_max: usize,
    len_max: usize,
    hashers: [RandomState; 2],
}

impl KeyMap {
    /// An empty map, with hashes of its own.
    pub(crate) fn new(limits: KeyMapLimits) -> KeyMap {
        let slots_max = usize::try_from(limits.bytes_max / SLOT_BYTES).unwrap_or(usize::MAX).max(2);
        let load = usize::from(limits.load_per_mille_max);
        let len_max = (slots_max / 1000 * load + slots_max % 1000 * load / 1000).clamp(1, slots_max - 1);
        let slots = vec![Slot::default(); SLOTS_MIN.min(slots_max)];
        KeyMap { slots, len: 0, slots_max, len_max, hashers: [RandomState::new(), RandomState::new()] }
    }

    /// Keys in the map.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Notes that a key stands at an offset above all before. `false`: the map is full, and nothing was noted.
    pub(crate) fn put(&mut self, key: &[u8], offset: Offset) -> bool {
        if self.len >= self.len_max {
            return false;
        }
        if self.len + 1 > self.slots.len() / 8 * 7 && self.slots.len() < self.slots_max {
            self.grow();
        }
        let behind = offset.value().unsigned_abs().saturating_add(1);
        let slot = Slot { hash: self.hash(key), behind };
        self.insert(slot);
        true
    }

    /// The last offset of a key, if it was noted.
    pub(crate) fn last_offset(&self, key: &[u8]) -> Option<Offset> {
        let hash = self.hash(key);
        let mut at = self.home(&hash);
        let mut distance = 0;
        loop {
            let slot = self.slots.get(at)?;
            if slot.is_free() || self.distance(at, slot) < distance {
                return None;
            }
            if slot.hash == hash {
                return Offset::new(i64::try_from(slot.behind - 1).ok()?);
            }
            at = self.next(at);
            distance += 1;
        }
    }

    fn hash(&self, key: &[u8]) -> [u64; 2] {
        std::array::from_fn(|at| {
            let mut hasher = self.hashers[at].build_hasher();
            hasher.write(key);
            hasher.finish()
        })
    }

    /// The slot a hash belongs to.
    fn home(&self, hash: &[u64; 2]) -> usize {
        let slots = u128::from(u64::try_from(self.slots.len()).unwrap_or(u64::MAX));
        usize::try_from((u128::from(hash[0]) * slots) >> 64).unwrap_or(0)
    }

    fn next(&self, at: usize) -> usize {
        if at + 1 == self.slots.len() { 0 } else { at + 1 }
    }

    /// How far a taken slot lies from where it belongs.
    fn distance(&self, at: usize, slot: &Slot) -> usize {
        let home = self.home(&slot.hash);
        if at >= home { at - home } else { at + self.slots.len() - home }
    }

    fn insert(&mut self, mut item: Slot) {
        let mut at = self.home(&item.hash);
        let mut distance = 0;
        // Whoever lies nearer to its place makes room.
        loop {
            let found = self.slots[at];
            if found.is_free() {
                self.slots[at] = item;
                self.len += 1;
                return;
            }
            if found.hash == item.hash {
                self.slots[at] = item;
                return;
            }
            let its_distance = self.distance(at, &found);
            if its_distance < distance {
                self.slots[at] = item;
                (item, distance) = (found, its_distance);
            }
            at = self.next(at);
            distance += 1;
        }
    }

    fn grow(&mut self) {
        let larger = self.slots.len().saturating_mul(2).min(self.slots_max);
        let slots = std::mem::replace(&mut self.slots, vec![Slot::default(); larger]);
        self.len = 0;
        for slot in slots.into_iter().filter(|slot| !slot.is_free()) {
            self.insert(slot);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    fn offset(value: i64) -> Offset {
        Offset::new(value).unwrap_or(Offset::ZERO)
    }

    /// CMP-07
    #[test]
    fn a_full_map_takes_no_more_and_forgets_nothing() {
        let limits = KeyMapLimits { bytes_max: 24 * 100, load_per_mille_max: 900 };
        let mut map = KeyMap::new(limits);
        let keys: Vec<String> = (0..91).map(|at| format!("key-{at}")).collect();
        for (at, key) in (0..).zip(&keys) {
            assert_eq!(map.put(key.as_bytes(), offset(at)), at < 90, "{key}");
        }
        assert!(!map.put(keys[0].as_bytes(), offset(200)), "also not for a key that is known, as in Kafka");
        for (at, key) in (0..).zip(&keys) {
            let known = (at < 90).then(|| offset(at));
            assert_eq!(map.last_offset(key.as_bytes()), known, "{key}");
        }
        assert_eq!((map.len(), map.slots.len()), (90, 100));
    }

    /// CMP-07
    #[test]
    fn a_small_map_takes_little_memory() {
        let mut map = KeyMap::new(KeyMapLimits { bytes_max: 128 * 1024 * 1024, load_per_mille_max: 900 });
        assert!(map.put(b"one", offset(1)));
        assert_eq!(map.slots.len(), SLOTS_MIN);
        assert_eq!(map.last_offset(b""), None, "the empty key is a key like others");
        assert!(map.put(b"", offset(2)));
        assert_eq!(map.last_offset(b""), Some(offset(2)));
    }

    proptest! {
        /// CMP-02
        #[test]
        fn the_map_knows_what_a_list_knows(
            keys in proptest::collection::vec(0_u16..600, 1..4000), slots in 2_u64..900,
        ) {
            let mut map = KeyMap::new(KeyMapLimits { bytes_max: slots * 24, load_per_mille_max: 1000 });
            let mut known = HashMap::new();
            for (at, key) in (0..).zip(keys) {
                if map.put(&key.to_be_bytes(), offset(at)) {
                    known.insert(key, offset(at));
                }
            }
            prop_assert_eq!(map.len(), known.len());
            for key in 0_u16..600 {
                prop_assert_eq!(map.last_offset(&key.to_be_bytes()), known.get(&key).copied());
            }
        }
    }
}
