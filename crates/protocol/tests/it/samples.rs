//! Bytes of messages that Kafka made, and damage to them.
//!
//! Owns: reading `tests/data/codec.tsv` for one message. Does not own: the test of the whole table (`vectors`).

use proptest::prelude::*;

const VECTORS: &str = include_str!("../data/codec.tsv");

/// Version and bytes of every sample of a message.
pub fn samples(message: &str) -> Vec<(i16, Vec<u8>)> {
    let samples: Vec<(i16, Vec<u8>)> = VECTORS
        .lines()
        .filter_map(|line| {
            let mut columns = line.split('\t');
            (columns.next() == Some(message)).then_some(())?;
            let version = columns.next()?.parse().ok()?;
            Some((version, unhex(columns.next()?)))
        })
        .collect();
    assert!(!samples.is_empty(), "no samples of {message}");
    samples
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len() / 2).map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap()).collect()
}

/// Samples of a message with some bytes overwritten and the end cut off or prolonged.
pub fn damaged(message: &'static str) -> impl Strategy<Value = (i16, Vec<u8>)> {
    let all = samples(message);
    let damages = proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
    (any::<prop::sample::Index>(), damages, -5..5_isize).prop_map(move |(which, damages, tail)| {
        let (version, mut bytes) = all[which.index(all.len())].clone();
        for (at, byte) in damages {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let length = bytes.len().saturating_add_signed(tail);
        bytes.resize(length, 7);
        (version, bytes)
    })
}
