//! The bytes that members of a classic group exchange through its coordinator.
//!
//! Owns: subscriptions and assignments of Kafka's consumer protocol, with the version in front.
//! Does not own: what is assigned (`assignor`), when (`group`).
//!
//! Source: Kafka's consumer protocol (`ConsumerProtocolSubscription`, `ConsumerProtocolAssignment`), versions 0 to 3.

use std::collections::BTreeMap;

use bytes::Bytes;
use ottla_model::{GenerationId, GroupInstanceId, MemberId, PartitionIndex, TopicName, TopicPartition};
use ottla_protocol::messages::{
    ConsumerProtocolAssignment, ConsumerProtocolSubscription, consumer_protocol_assignment as assignment,
    consumer_protocol_subscription as subscription,
};
use ottla_protocol::{DecodeError, EncodeError, Message, Reader, Writer};

use super::assignor::Member;

/// The version that is written. Readers take a newer one for the newest they know.
const VERSION: i16 = 3;

/// Reads the assignment of one member; no bytes mean none.
pub(crate) fn read_assignment(bytes: &Bytes) -> Result<Vec<TopicPartition>, DecodeError> {
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    let mut reader = Reader::shared(bytes);
    let version = reader.i16()?.clamp(0, VERSION);
    let read = ConsumerProtocolAssignment::decode(&mut reader, version)?;
    let partitions = read.assigned_partitions.iter().flat_map(|topic| {
        let name = TopicName::new(&topic.topic).ok();
        name.into_iter().flat_map(|name| partitions_of(name, &topic.partitions))
    });
    Ok(partitions.collect())
}

/// Writes the assignment of one member.
pub(crate) fn write_assignment(partitions: &[TopicPartition]) -> Result<Bytes, EncodeError> {
    let topic = |(topic, partitions)| assignment::TopicPartition { topic, partitions };
    let message = ConsumerProtocolAssignment {
        assigned_partitions: by_topic(partitions).into_iter().map(topic).collect(),
        ..Default::default()
    };
    versioned(&message)
}

/// Writes what a member tells about itself.
pub(crate) fn write_subscription(member: &Member, user_data: Option<Bytes>) -> Result<Bytes, EncodeError> {
    let topic = |(topic, partitions)| subscription::TopicPartition { topic, partitions };
    let message = ConsumerProtocolSubscription {
        topics: member.topics.iter().map(ToString::to_string).collect(),
        user_data,
        owned_partitions: by_topic(&member.owned).into_iter().map(topic).collect(),
        generation_id: member.generation.map_or(-1, GenerationId::value),
        rack_id: member.rack.clone(),
    };
    versioned(&message)
}

/// Reads what a member told about itself.
pub(crate) fn read_subscription(
    id: MemberId,
    instance_id: Option<GroupInstanceId>,
    bytes: &Bytes,
) -> Result<Member, DecodeError> {
    let mut reader = Reader::shared(bytes);
    let version = reader.i16()?.clamp(0, VERSION);
    let read = ConsumerProtocolSubscription::decode(&mut reader, version)?;
    let mut owned: Vec<TopicPartition> = Vec::new();
    for topic in &read.owned_partitions {
        if let Ok(name) = TopicName::new(&topic.topic) {
            owned.extend(partitions_of(name, &topic.partitions));
        }
    }
    let mut generation = GenerationId::new(read.generation_id);
    // Members with the eager sticky assignor own nothing when they join, and say here what they had before.
    if let Some(previous) = read.user_data.as_ref().and_then(|data| read_sticky(data).ok())
        && owned.is_empty()
        && !previous.0.is_empty()
    {
        (owned, generation) = previous;
    }
    Ok(Member {
        id,
        instance_id,
        topics: read.topics.iter().filter_map(|name| TopicName::new(name).ok()).collect(),
        owned,
        generation,
        rack: read.rack_id.filter(|rack| !rack.is_empty()),
    })
}

/// What the eager sticky assignor puts beside the subscription: the assignment before this rebalance, as
/// `[topic, [partition]]`, and its generation.
pub(crate) fn write_sticky(previous: &[TopicPartition], generation: Option<GenerationId>) -> Bytes {
    let mut writer = Writer::new();
    let topics = by_topic(previous);
    writer.put_i32(i32::try_from(topics.len()).unwrap_or(i32::MAX));
    for (topic, partitions) in topics {
        writer.put_i16(i16::try_from(topic.len()).unwrap_or(i16::MAX));
        writer.put_slice(topic.as_bytes());
        writer.put_i32(i32::try_from(partitions.len()).unwrap_or(i32::MAX));
        for partition in partitions {
            writer.put_i32(partition);
        }
    }
    writer.put_i32(generation.map_or(-1, GenerationId::value));
    writer.into_bytes()
}

/// What the cooperative sticky assignor puts beside the subscription: the generation.
pub(crate) fn write_cooperative(generation: Option<GenerationId>) -> Bytes {
    Bytes::copy_from_slice(&generation.map_or(-1, GenerationId::value).to_be_bytes())
}

fn read_sticky(data: &Bytes) -> Result<(Vec<TopicPartition>, Option<GenerationId>), DecodeError> {
    let mut reader = Reader::new(data);
    let topics = reader.i32()?;
    let mut partitions = Vec::new();
    for _ in 0..topics {
        let length = usize::try_from(reader.i16()?).unwrap_or(0);
        let name = std::str::from_utf8(reader.take(length)?).ok().and_then(|name| TopicName::new(name).ok());
        let count = reader.i32()?;
        for _ in 0..count {
            let index = PartitionIndex::new(reader.i32()?);
            if let (Some(name), Some(index)) = (&name, index) {
                partitions.push(TopicPartition::new(name.clone(), index));
            }
        }
    }
    // Version 0 of this form has no generation.
    let generation = if reader.remaining() >= 4 { GenerationId::new(reader.i32()?) } else { None };
    Ok((partitions, generation))
}

fn versioned<M: Message>(message: &M) -> Result<Bytes, EncodeError> {
    let mut writer = Writer::new();
    writer.put_i16(VERSION);
    message.encode(&mut writer, VERSION)?;
    Ok(writer.into_bytes())
}

fn by_topic(partitions: &[TopicPartition]) -> BTreeMap<String, Vec<i32>> {
    let mut topics: BTreeMap<String, Vec<i32>> = BTreeMap::new();
    for partition in partitions {
        topics.entry(partition.topic.to_string()).or_default().push(partition.partition.value());
    }
    topics
}

fn partitions_of(name: TopicName, indexes: &[i32]) -> impl Iterator<Item = TopicPartition> {
    let indexes = indexes.iter().copied().filter_map(PartitionIndex::new);
    indexes.map(move |index| TopicPartition::new(name.clone(), index))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partitions(text: &str) -> Vec<TopicPartition> {
        let one = |text: &str| {
            let (topic, index) = text.rsplit_once('-').unwrap();
            let index = PartitionIndex::new(index.parse().unwrap()).unwrap();
            TopicPartition::new(TopicName::new(topic).unwrap(), index)
        };
        text.split(',').filter(|text| !text.is_empty()).map(one).collect()
    }

    fn member(owned: &str, generation: i32) -> Member {
        Member {
            id: MemberId::new("m"),
            instance_id: None,
            topics: [TopicName::new("t1").unwrap()].into(),
            owned: partitions(owned),
            generation: GenerationId::new(generation),
            rack: None,
        }
    }

    #[test]
    fn a_subscription_and_an_assignment_are_read_as_they_were_written() {
        let member = Member { rack: Some("r".to_owned()), ..member("t1-0,t1-2,t2-1", 7) };
        let bytes = write_subscription(&member, None).unwrap();
        assert_eq!(read_subscription(member.id.clone(), None, &bytes).unwrap(), member);
        let bytes = write_assignment(&member.owned).unwrap();
        assert_eq!(read_assignment(&bytes).unwrap(), member.owned);
        assert_eq!(read_assignment(&Bytes::new()).unwrap(), []);
    }

    #[test]
    fn a_newer_version_is_read_as_the_newest_known_one() {
        let mut bytes = write_assignment(&partitions("t-1")).unwrap().to_vec();
        bytes[..2].copy_from_slice(&9_i16.to_be_bytes());
        assert_eq!(read_assignment(&Bytes::from(bytes)).unwrap(), partitions("t-1"));
    }

    /// The bytes are those that the assignors of Kafka 4.3.1 gave for the same input.
    #[test]
    fn what_the_sticky_assignors_add_is_kafka_s() {
        let hex = |bytes: &Bytes| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let sticky = write_sticky(&partitions("t1-0,t2-0"), GenerationId::new(2));
        let expected = "0000000200027431000000010000000000027432000000010000000000000002";
        assert_eq!(hex(&sticky), expected);
        assert_eq!(hex(&write_cooperative(None)), "ffffffff");
        let bytes = write_subscription(&member("", -1), Some(sticky)).unwrap();
        let read = read_subscription(MemberId::new("m"), None, &bytes).unwrap();
        assert_eq!((read.owned, read.generation), (partitions("t1-0,t2-0"), GenerationId::new(2)));
    }

    #[test]
    fn bytes_that_end_too_early_are_refused() {
        let bytes = write_subscription(&member("t1-0", 1), None).unwrap();
        for length in 0..bytes.len() - 6 {
            let cut = bytes.slice(..length);
            assert!(read_subscription(MemberId::new("m"), None, &cut).is_err(), "{length} bytes");
        }
        let hostile = Bytes::from_static(&[0x7f, 0xff, 0xff, 0xff]);
        assert!(read_sticky(&hostile).is_err());
    }
}
