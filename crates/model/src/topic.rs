//! Topics and partitions.
//!
//! Owns: the rules of a topic's name, `TopicId`, `PartitionIndex`, `TopicPartition`.
//! Does not own: which topics exist (`metadata`).
//!
//! Source: requirement MD-10; Kafka's documentation of topic names.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::Uuid;

/// A legal topic name: 1 to 249 characters of `[a-zA-Z0-9._-]`, neither `.` nor `..`. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicName(Arc<str>);

/// Why a text is not a topic name. The messages are Kafka's, since clients print them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TopicNameError {
    #[error("Topic name is invalid: the empty string is not allowed")]
    Empty,
    #[error("Topic name is invalid: '{0}' is not allowed")]
    Dots(String),
    #[error("Topic name is invalid: the length of '{0}' is longer than the max allowed length 249")]
    TooLong(String),
    #[error(
        "Topic name is invalid: '{0}' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"
    )]
    Character(String),
}

/// Longest topic name in characters: the directory `<name>-<partition>` must stay a legal file name.
pub const NAME_LENGTH_MAX: usize = 249;

/// Topics that belong to the broker itself; clients may read them but not produce to them (PRD-06).
const INTERNAL: [&str; 3] = ["__consumer_offsets", "__transaction_state", "__share_group_state"];

impl TopicName {
    /// Parses a name by Kafka's rules.
    pub fn new(text: &str) -> Result<TopicName, TopicNameError> {
        if text.is_empty() {
            return Err(TopicNameError::Empty);
        }
        if text == "." || text == ".." {
            return Err(TopicNameError::Dots(text.to_owned()));
        }
        if text.len() > NAME_LENGTH_MAX {
            return Err(TopicNameError::TooLong(text.to_owned()));
        }
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        if !text.bytes().all(legal) {
            return Err(TopicNameError::Character(text.to_owned()));
        }
        Ok(TopicName(Arc::from(text)))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the topic is one of the broker's own.
    pub fn is_internal(&self) -> bool {
        INTERNAL.contains(&self.as_str())
    }

    /// Whether the two names are equal once `.` is read as `_`: their metric names would collide (MD-10).
    pub fn collides_with(&self, other: &TopicName) -> bool {
        let same = |a: u8, b: u8| a == b || (matches!(a, b'.' | b'_') && matches!(b, b'.' | b'_'));
        self.0.len() == other.0.len() && self.0.bytes().zip(other.0.bytes()).all(|(a, b)| same(a, b))
    }

    /// Whether the name has a character that metric names cannot tell apart.
    pub fn has_collision_characters(&self) -> bool {
        self.0.contains(['.', '_'])
    }
}

impl FromStr for TopicName {
    type Err = TopicNameError;

    fn from_str(text: &str) -> Result<TopicName, TopicNameError> {
        TopicName::new(text)
    }
}

impl AsRef<str> for TopicName {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl std::borrow::Borrow<str> for TopicName {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Identity of a topic; a topic created again under the same name has another one (MD-12).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicId(Uuid);

impl TopicId {
    /// The id of the metadata log `__cluster_metadata`.
    pub const METADATA: TopicId = TopicId(Uuid::from_bytes([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]));

    /// A topic id, or `None` for the zero id, which means "none".
    pub fn new(id: Uuid) -> Option<TopicId> {
        if id.is_zero() { None } else { Some(TopicId(id)) }
    }

    /// The 128 bits.
    pub const fn uuid(self) -> Uuid {
        self.0
    }
}

impl fmt::Display for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Number of a partition within its topic, from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartitionIndex(i32);

impl PartitionIndex {
    /// A partition number, or `None` when it is negative.
    pub const fn new(value: i32) -> Option<PartitionIndex> {
        if value < 0 { None } else { Some(PartitionIndex(value)) }
    }

    /// The number on the wire and on disk, ≥ 0.
    pub const fn value(self) -> i32 {
        self.0
    }
}

impl fmt::Display for PartitionIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One partition of one topic, by name. Printed as `topic-partition`, the name of its directory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    pub topic: TopicName,
    pub partition: PartitionIndex,
}

impl TopicPartition {
    pub fn new(topic: TopicName, partition: PartitionIndex) -> TopicPartition {
        TopicPartition { topic, partition }
    }

    /// The partition of this name and number, if there can be one.
    pub fn named(topic: &str, partition: i32) -> Option<TopicPartition> {
        Some(TopicPartition {
            topic: TopicName::new(topic).ok()?,
            partition: PartitionIndex::new(partition)?,
        })
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// MD-10
    #[test]
    fn only_short_names_of_plain_characters_are_legal() {
        assert!(TopicName::new("a.B_c-9").is_ok());
        assert!(TopicName::new(&"x".repeat(249)).is_ok());
        assert_eq!(TopicName::new(""), Err(TopicNameError::Empty));
        for bad in [".", ".."] {
            assert_eq!(TopicName::new(bad), Err(TopicNameError::Dots(bad.to_owned())));
        }
        assert!(matches!(TopicName::new(&"x".repeat(250)), Err(TopicNameError::TooLong(_))));
        for bad in ["a/b", "a\0b", "ä", "a b", "../x"] {
            assert_eq!(TopicName::new(bad), Err(TopicNameError::Character(bad.to_owned())));
        }
    }

    /// MD-10
    #[test]
    fn a_dot_and_an_underscore_collide() {
        let name = |text| TopicName::new(text).unwrap();
        assert!(name("a.b").collides_with(&name("a_b")));
        assert!(!name("a.b").collides_with(&name("a-b")));
    }
}
