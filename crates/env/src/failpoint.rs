//! Places in the code where a test lets something fail.
//!
//! Owns: which named places fail when. Does not own: what "fail" means there; the code at the place decides.
//!
//! Each node of a simulated cluster has an instance of its own. A process that arms nothing pays one
//! relaxed load per place.

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use crate::random::Random;

/// When a place fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Every time.
    Always,
    /// At the nth time from now, counted from 1, and at no other.
    Nth(NonZeroU64),
    /// By chance, in so many of a million cases.
    PerMillion(u32),
}

/// The armed places of one node.
#[derive(Debug)]
pub struct Failpoints {
    random: Arc<dyn Random>,
    armed: AtomicBool,
    places: Mutex<BTreeMap<&'static str, Place>>,
}

#[derive(Debug)]
struct Place {
    when: When,
    /// How often the place was passed since it was armed.
    passed: u64,
}

const MILLION: NonZeroU64 = NonZeroU64::new(1_000_000).expect("a million is not zero");

impl Failpoints {
    /// Nothing is armed. `random` decides [`When::PerMillion`]; with a seeded one, failures repeat.
    pub fn new(random: Arc<dyn Random>) -> Failpoints {
        Failpoints { random, armed: AtomicBool::new(false), places: Mutex::default() }
    }

    /// Arms a place, counting from now.
    pub fn arm(&self, name: &'static str, when: When) {
        self.places.lock().insert(name, Place { when, passed: 0 });
        self.armed.store(true, Ordering::Release);
    }

    /// Lets a place work again.
    pub fn disarm(&self, name: &'static str) {
        let mut places = self.places.lock();
        places.remove(name);
        self.armed.store(!places.is_empty(), Ordering::Release);
    }

    /// Whether the place `name` fails this time.
    pub fn hit(&self, name: &str) -> bool {
        if !self.armed.load(Ordering::Relaxed) {
            return false;
        }
        let mut places = self.places.lock();
        let Some(place) = places.get_mut(name) else { return false };
        place.passed += 1;
        match place.when {
            When::Always => true,
            When::Nth(wanted) => place.passed == wanted.get(),
            When::PerMillion(share) => self.random.below(MILLION) < u64::from(share),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::OsRandom;

    fn failpoints() -> Failpoints {
        Failpoints::new(Arc::new(OsRandom::new().unwrap()))
    }

    #[test]
    fn only_armed_places_fail() {
        let points = failpoints();
        assert!(!points.hit("sync"));
        points.arm("sync", When::Always);
        assert!(points.hit("sync") && points.hit("sync") && !points.hit("append"));
        points.disarm("sync");
        assert!(!points.hit("sync"));
    }

    #[test]
    fn the_nth_pass_fails_and_no_other() {
        let points = failpoints();
        points.arm("sync", When::Nth(NonZeroU64::new(3).unwrap()));
        let got: Vec<bool> = (0..5).map(|_| points.hit("sync")).collect();
        assert_eq!(got, [false, false, true, false, false]);
    }

    #[test]
    fn chance_keeps_to_its_share() {
        let points = failpoints();
        points.arm("a", When::PerMillion(0));
        points.arm("b", When::PerMillion(1_000_000));
        assert!((0..100).all(|_| !points.hit("a") && points.hit("b")));
    }
}
