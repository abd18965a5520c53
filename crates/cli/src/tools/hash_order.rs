//! The order in which Java walks through a `HashMap`: what Kafka's tools print in no other order.
//!
//! Owns: that order. Does not own: what is printed.
//!
//! A table has a power of two of buckets and is at most three quarters full. A key lies in the bucket of its hash, whose
//! upper half is mixed into the lower one; within a bucket keys keep the order in which they came. (Buckets of eight
//! keys and more become trees, which may change their order; that is left out.)

use ottla_model::java_string_hash;

/// Buckets of a table when it is made.
const BUCKETS_MIN: usize = 16;

/// Brings keys, in the order in which they are put in, into the order in which they come out.
pub fn hash_order<T>(keys: Vec<T>, hash: impl Fn(&T) -> i32) -> Vec<T> {
    let mut buckets = BUCKETS_MIN;
    while keys.len() > buckets / 4 * 3 {
        buckets *= 2;
    }
    let bucket = |key: &T| {
        let hash = hash(key).cast_unsigned();
        usize::try_from(hash ^ (hash >> 16)).unwrap_or(0) & (buckets - 1)
    };
    let mut keys = keys;
    keys.sort_by_key(bucket);
    keys
}

/// What Java's `TopicPartition.hashCode` gives.
pub fn hash_of_partition(topic: &str, index: i32) -> i32 {
    let hash = 31_i32.wrapping_add(index);
    hash.wrapping_mul(31).wrapping_add(java_string_hash(topic))
}

/// The same for texts, each of which comes out once.
pub fn hash_order_of_texts(texts: &[String]) -> Vec<String> {
    let mut once: Vec<String> = Vec::with_capacity(texts.len());
    for text in texts {
        if !once.contains(text) {
            once.push(text.clone());
        }
    }
    hash_order(once, |text| java_string_hash(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(given: &str, wanted: &str) {
        let texts: Vec<String> = given.split(' ').map(str::to_owned).collect();
        assert_eq!(hash_order_of_texts(&texts).join(" "), wanted);
    }

    #[test]
    fn texts_come_out_as_from_java() {
        check("brandnew st1 old1 new1 st1", "st1 new1 brandnew old1");
        check(
            "connect-ssnk st1 connect-snk2 brandnew old1 new1",
            "st1 connect-snk2 new1 connect-ssnk brandnew old1",
        );
    }

    #[test]
    fn a_table_of_more_than_twelve_keys_has_more_buckets() {
        let hashes = |count: i32| hash_order((0..count).rev().map(|it| it * 16).collect(), |it| *it);
        assert_eq!(hashes(3), [32, 16, 0]);
        assert_eq!(hashes(12).first(), Some(&176));
        assert_eq!(hashes(13).first(), Some(&192));
        assert_eq!(hashes(13)[6], 0);
        assert_eq!(hashes(13)[7], 176);
    }
}
