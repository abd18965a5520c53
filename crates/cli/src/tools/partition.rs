//! A partition as the command line and files name it: of any topic and with any number.
//!
//! Owns: this value, its form, its place in a Java hash table. Does not own: whether the partition exists.

use std::fmt;

use ottla_model::TopicPartition;

use super::hash_order::hash_of_partition;

/// A topic and a number, neither of them checked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Partition {
    pub topic: String,
    pub index: i32,
}

impl Partition {
    pub fn new(topic: &str, index: i32) -> Partition {
        Partition { topic: topic.to_owned(), index }
    }

    /// What Java's `TopicPartition.hashCode` gives.
    pub fn java_hash(&self) -> i32 {
        hash_of_partition(&self.topic, self.index)
    }

    /// The partition, if there can be one of this name and number.
    pub fn checked(&self) -> Option<TopicPartition> {
        TopicPartition::named(&self.topic, self.index)
    }
}

impl From<&TopicPartition> for Partition {
    fn from(partition: &TopicPartition) -> Partition {
        Partition { topic: partition.topic.to_string(), index: partition.partition.value() }
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_in_a_hash_table_is_java_s() {
        assert_eq!(Partition::new("g1", 0).java_hash(), 4203);
        assert_eq!(Partition::new("g1", 2).java_hash(), 4265);
    }
}
