//! Chance.
//!
//! Owns: the trait `Random` and the operating system's generator. Does not own: seeded generators, which
//! live in `testkit`: whatever draws from chance takes a `dyn Random`, so that a seed can replay it.

use std::fmt::Debug;
use std::io;
use std::num::NonZeroU64;

use ottla_model::Uuid;

/// A source of random bits.
pub trait Random: Send + Sync + Debug {
    /// Fills the buffer with random bytes.
    fn fill(&self, buffer: &mut [u8]);

    /// 64 random bits.
    fn bits(&self) -> u64 {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    /// A number in `0..bound`, each equally likely.
    fn below(&self, bound: NonZeroU64) -> u64 {
        // Draws above the largest multiple of the bound would favour small numbers, so they are drawn again.
        let bound = bound.get();
        let fair = u64::MAX - u64::MAX % bound;
        loop {
            let drawn = self.bits();
            if drawn < fair {
                return drawn % bound;
            }
        }
    }

    /// A random identifier of version 4, as `java.util.UUID.randomUUID` makes them.
    fn uuid(&self) -> Uuid {
        let mut bytes = [0; 16];
        self.fill(&mut bytes);
        Uuid::version_4(bytes)
    }

    /// A random identifier as Kafka makes it for topics, directories and clusters: never one of its
    /// reserved ids, and its text never begins with a dash, which command lines would take for a flag.
    fn kafka_uuid(&self) -> Uuid {
        loop {
            let drawn = self.uuid();
            if !drawn.to_string().starts_with('-') {
                return drawn;
            }
        }
    }
}

/// The operating system's generator, fit for secrets.
#[derive(Clone, Debug)]
pub struct OsRandom {
    _probed: (),
}

/// Most bytes one `getentropy` gives.
const ENTROPY_BYTES_MAX: usize = 256;

impl OsRandom {
    /// Draws once, so that a system without a generator is noticed here and nowhere later.
    pub fn new() -> io::Result<OsRandom> {
        entropy(&mut [0; 1])?;
        Ok(OsRandom { _probed: () })
    }
}

impl Random for OsRandom {
    fn fill(&self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(ENTROPY_BYTES_MAX) {
            entropy(chunk).expect("the generator answered when it was opened");
        }
    }
}

fn entropy(buffer: &mut [u8]) -> io::Result<()> {
    // SAFETY: pointer and length are those of one exclusively borrowed slice, which the call only writes to.
    #[allow(unsafe_code, reason = "getentropy has no safe wrapper that Linux and macOS share")]
    let status = unsafe { libc::getentropy(buffer.as_mut_ptr().cast(), buffer.len()) };
    if status == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Says the given numbers one after the other.
    #[derive(Debug)]
    struct Script(parking_lot::Mutex<Vec<u64>>);

    impl Random for Script {
        fn fill(&self, buffer: &mut [u8]) {
            let mut numbers = self.0.lock();
            for chunk in buffer.chunks_mut(8) {
                chunk.copy_from_slice(&numbers.remove(0).to_le_bytes()[..chunk.len()]);
            }
        }
    }

    fn script(numbers: &[u64]) -> Script {
        Script(parking_lot::Mutex::new(numbers.to_vec()))
    }

    #[test]
    fn the_system_gives_other_bytes_each_time() {
        let random = OsRandom::new().unwrap();
        let mut long = [0; 1_000];
        random.fill(&mut long);
        assert!(long[900..].iter().any(|byte| *byte != 0));
        random.fill(&mut []);
        assert_ne!(random.bits(), random.bits());
        assert_ne!(random.uuid(), random.uuid());
    }

    #[test]
    fn draws_that_would_favour_small_numbers_are_drawn_again() {
        let three = NonZeroU64::new(3).unwrap();
        assert_eq!(script(&[u64::MAX, 7]).below(three), 1);
        assert_eq!(script(&[9]).below(NonZeroU64::MIN), 0);
    }

    #[test]
    fn an_id_that_begins_with_a_dash_is_drawn_again() {
        // The first six bits are the first character; 62 is the dash.
        let dash = u64::from_le_bytes([0xf8, 0, 0, 0, 0, 0, 0, 0]);
        let id = script(&[dash, 0, 1, 2]).kafka_uuid();
        assert_eq!(id.bytes()[0], 1);
        assert_eq!(id.bytes()[6] >> 4, 4);
    }
}
