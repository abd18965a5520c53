//! The hash by which Kafka's clients place a key on a partition.
//!
//! Owns: murmur2 with Kafka's seed. Does not own: which records are placed by it (`partitioner`).
//!
//! Source: MurmurHash2 by Austin Appleby (public domain); the seed 0x9747b28c and the vectors are those of
//! Kafka's `Utils.murmur2`, recorded from version 4.3.1.

const SEED: u32 = 0x9747_b28c;
const MULTIPLIER: u32 = 0x5bd1_e995;
const SHIFT: u32 = 24;

/// The hash of `key`, the same 32 bits as in the Java client.
pub fn murmur2(key: &[u8]) -> u32 {
    let length = u32::try_from(key.len() & 0xffff_ffff).unwrap_or(u32::MAX);
    let mut hash = SEED ^ length;
    let mut words = key.chunks_exact(4);
    for word in words.by_ref() {
        let mut mixed = u32::from_le_bytes([word[0], word[1], word[2], word[3]]).wrapping_mul(MULTIPLIER);
        mixed ^= mixed >> SHIFT;
        hash = hash.wrapping_mul(MULTIPLIER) ^ mixed.wrapping_mul(MULTIPLIER);
    }
    let rest = words.remainder();
    if !rest.is_empty() {
        for (at, byte) in rest.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * at);
        }
        hash = hash.wrapping_mul(MULTIPLIER);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(MULTIPLIER);
    hash ^ (hash >> 15)
}

/// The partition of `count` that Kafka's clients give to a record with this key.
pub fn partition_of_key(key: &[u8], count: u32) -> u32 {
    (murmur2(key) & 0x7fff_ffff) % count.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each line: key in hex, `Utils.murmur2`, partition of 7 and of 50, by Kafka 4.3.1.
    #[test]
    fn keys_go_where_java_puts_them() {
        for line in include_str!("../../tests/data/murmur2.tsv").lines().skip(1) {
            let fields: Vec<&str> = line.split('\t').collect();
            let [hex, hash, of_7, of_50] = fields[..] else { panic!("bad line {line}") };
            let key: Vec<u8> = (0..hex.len())
                .step_by(2)
                .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
                .collect();
            assert_eq!(murmur2(&key).cast_signed().to_string(), hash, "{line}");
            assert_eq!(partition_of_key(&key, 7).to_string(), of_7, "{line}");
            assert_eq!(partition_of_key(&key, 50).to_string(), of_50, "{line}");
        }
    }
}
