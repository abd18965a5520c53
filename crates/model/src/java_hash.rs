//! Which partition of an internal topic coordinates a key.
//!
//! Owns: Java's `String.hashCode` and the placement rule on it.
//! Does not own: the topics themselves.
//!
//! Source: requirements LSN-04 and LSN-05.

use crate::PartitionIndex;

/// Java's `String.hashCode`: 31-multiply over UTF-16 code units with 32-bit wrap.
pub fn java_string_hash(text: &str) -> i32 {
    text.encode_utf16().fold(0_i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)))
}

/// The partition that coordinates `key` in an internal topic with `partitions` (> 0) partitions:
/// the absolute hash modulo the count, where the absolute value of −2³¹ is 0.
pub fn coordinator_partition(key: &str, partitions: u32) -> Option<PartitionIndex> {
    let hash = java_string_hash(key).checked_abs().unwrap_or(0).unsigned_abs();
    let index = hash.checked_rem(partitions)?;
    PartitionIndex::new(i32::try_from(index).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// LSN-05
    #[test]
    fn the_hash_is_java_s() {
        assert_eq!(java_string_hash(""), 0);
        assert_eq!(java_string_hash("hello"), 99_162_322);
        assert_eq!(java_string_hash("polygenelubricants"), i32::MIN);
        // A character outside the basic plane counts as two code units.
        assert_eq!(java_string_hash("😀"), 0xd83d * 31 + 0xde00);
    }

    /// LSN-04
    #[test]
    fn the_smallest_hash_is_placed_on_partition_zero() {
        assert_eq!(coordinator_partition("polygenelubricants", 50), PartitionIndex::new(0));
        assert_eq!(coordinator_partition("hello", 50), PartitionIndex::new(22));
        assert_eq!(coordinator_partition("hello", 0), None);
    }
}
