//! What the group coordinator knows of topics: ids, partitions, racks.
//!
//! Owns: the value that the server tells, and the hash by which a change of it is noticed.
//! Does not own: how the value comes about (`server`).
//!
//! The hash is Kafka's, bit for bit: it is persisted with the group, and a log that Kafka wrote must not look as if
//! the topics had changed.
//!
//! ```text
//! topic   0 u8 · id as two i64 · name · partitions i32 · { index i32 · { length i32 · rack } sorted } per partition
//! group   hash of each topic i64, in the order of their names; 0 without topics
//! text    UTF-16 units · their number i32
//! ```
//!
//! All numbers are little endian, the hash is XXH3 with 64 bits and seed 0.
//!
//! Source: `metadataHash` of `ConsumerGroupMetadataValue`, observed of Kafka 4.3.1; requirement CGP-06.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use ottla_model::{Offset, PartitionIndex, TopicId, TopicName};
use twox_hash::XxHash3_64;

/// Version of the layout that is hashed.
const TOPIC_MAGIC: u8 = 0;

/// A topic as groups see it.
#[derive(Debug)]
pub struct TopicShape {
    id: TopicId,
    name: TopicName,
    /// The racks of each partition's replicas, sorted.
    racks: Vec<Vec<String>>,
    hash: OnceLock<i64>,
}

impl TopicShape {
    /// `racks` has one entry per partition, in the order of their numbers.
    pub fn new(id: TopicId, name: TopicName, mut racks: Vec<Vec<String>>) -> TopicShape {
        racks.iter_mut().for_each(|racks| racks.sort_by(|a, b| a.encode_utf16().cmp(b.encode_utf16())));
        TopicShape { id, name, racks, hash: OnceLock::new() }
    }

    pub fn id(&self) -> TopicId {
        self.id
    }

    pub fn name(&self) -> &TopicName {
        &self.name
    }

    /// The numbers of its partitions.
    pub fn partitions(&self) -> impl Iterator<Item = PartitionIndex> + use<> {
        let count = i32::try_from(self.racks.len()).unwrap_or(i32::MAX);
        (0..count).filter_map(PartitionIndex::new)
    }

    fn hash(&self) -> i64 {
        *self.hash.get_or_init(|| {
            let mut bytes = Hashed::default();
            bytes.0.push(TOPIC_MAGIC);
            let (most, least) = self.id.uuid().bytes().split_at(8).to_longs();
            bytes.long(most);
            bytes.long(least);
            bytes.text(self.name.as_str());
            bytes.int(self.racks.len());
            for (index, racks) in self.racks.iter().enumerate() {
                bytes.int(index);
                for rack in racks {
                    bytes.int(rack.encode_utf16().count());
                    bytes.text(rack);
                }
            }
            bytes.finish()
        })
    }
}

impl PartialEq for TopicShape {
    fn eq(&self, other: &TopicShape) -> bool {
        (self.id, &self.name, &self.racks) == (other.id, &other.name, &other.racks)
    }
}

impl Eq for TopicShape {}

trait Halves {
    fn to_longs(self) -> (i64, i64);
}

impl Halves for (&[u8], &[u8]) {
    /// Two big-endian halves.
    fn to_longs(self) -> (i64, i64) {
        let long = |half: &[u8]| half.iter().fold(0, |long: i64, byte| long << 8 | i64::from(*byte));
        (long(self.0), long(self.1))
    }
}

/// Bytes in the order in which Kafka feeds them to its hash.
#[derive(Default)]
struct Hashed(Vec<u8>);

impl Hashed {
    fn long(&mut self, value: i64) {
        self.0.extend(value.to_le_bytes());
    }

    fn int(&mut self, value: usize) {
        self.0.extend(i32::try_from(value).unwrap_or(i32::MAX).to_le_bytes());
    }

    fn text(&mut self, text: &str) {
        let mut units = 0;
        for unit in text.encode_utf16() {
            self.0.extend(unit.to_le_bytes());
            units += 1;
        }
        self.int(units);
    }

    fn finish(self) -> i64 {
        XxHash3_64::oneshot(&self.0).cast_signed()
    }
}

/// All topics at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Topics {
    by_name: BTreeMap<TopicName, Arc<TopicShape>>,
    by_id: BTreeMap<TopicId, Arc<TopicShape>>,
    /// The metadata were applied up to here.
    pub as_of: Option<Offset>,
    /// Where the youngest topic came into being, or before.
    pub grown_at: Option<Offset>,
}

impl Topics {
    /// The topic, in the place of one with its name or its id.
    pub fn put(&mut self, topic: Arc<TopicShape>) {
        self.remove(topic.name.as_str());
        self.by_id.insert(topic.id, topic.clone());
        self.by_name.insert(topic.name.clone(), topic);
    }

    pub fn remove(&mut self, name: &str) {
        if let Some(removed) = self.by_name.remove(name) {
            self.by_id.remove(&removed.id);
        }
    }

    pub fn by_name(&self, name: &str) -> Option<&Arc<TopicShape>> {
        self.by_name.get(name)
    }

    pub fn by_id(&self, id: TopicId) -> Option<&Arc<TopicShape>> {
        self.by_id.get(&id)
    }

    /// The names in order.
    pub fn names(&self) -> impl Iterator<Item = &TopicName> {
        self.by_name.keys()
    }

    /// The hash of some topics; names come in order, those that do not exist are left out.
    pub(super) fn hash<'a>(&self, names: impl Iterator<Item = &'a str>) -> i64 {
        let mut bytes = Hashed::default();
        for topic in names.filter_map(|name| self.by_name(name)) {
            bytes.long(topic.hash());
        }
        if bytes.0.is_empty() { 0 } else { bytes.finish() }
    }

    /// Whether a topic is not what it was in `before`.
    pub(super) fn has_changed(&self, before: &Topics, name: &str) -> bool {
        match (self.by_name(name), before.by_name(name)) {
            (Some(now), Some(then)) => !Arc::ptr_eq(now, then) && now != then,
            (None, None) => false,
            (Some(_), None) | (None, Some(_)) => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use ottla_model::Uuid;

    use super::*;

    fn topic(name: &str, id: &str, racks: &[&[&str]]) -> Arc<TopicShape> {
        let id: Uuid = id.parse().unwrap();
        let racks = racks.iter().map(|racks| racks.iter().map(|rack| (*rack).to_owned()).collect());
        let name = TopicName::new(name).unwrap();
        Arc::new(TopicShape::new(TopicId::new(id).unwrap(), name, racks.collect()))
    }

    /// CGP-06: the numbers Kafka 4.3.1 wrote for groups of these topics.
    #[test]
    fn the_hash_is_kafkas() {
        let mut topics = Topics::default();
        topics.put(topic("t1", "I_ZojgctTuOQ1xefUc9vZQ", &[&[], &[], &[], &[]]));
        topics.put(topic("t2", "OcK9gEssT12ELBezF8IAtQ", &[&[], &[], &[], &[]]));
        let hash = |names: &[&str]| topics.hash(names.iter().copied());
        assert_eq!(hash(&["t1"]), -7_326_478_267_412_205_321);
        assert_eq!(hash(&["missing", "t2"]), -4_678_405_537_956_482_696);
        assert_eq!(hash(&["missing"]), 0);
    }

    /// CGP-06
    #[test]
    fn racks_and_partitions_are_part_of_the_hash_and_the_order_of_racks_is_not() {
        let hash = |racks: &[&[&str]]| topic("t", "I_ZojgctTuOQ1xefUc9vZQ", racks).hash();
        assert_eq!(hash(&[&["a", "b"]]), hash(&[&["b", "a"]]));
        assert_ne!(hash(&[&["a", "b"]]), hash(&[&["ab"]]));
        assert_ne!(hash(&[&["a"], &[]]), hash(&[&[], &["a"]]));
        assert_ne!(hash(&[&[]]), hash(&[&[], &[]]));
    }
}
