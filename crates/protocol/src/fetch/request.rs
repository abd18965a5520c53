//! Fetch requests as views of their frame.
//!
//! Owns: decoding without an allocation, whatever the number of partitions.
//! Does not own: what the values mean together (`server`).
//!
//! | version | what came                                                                            |
//! |---------|--------------------------------------------------------------------------------------|
//! | 4       | isolation level                                                                      |
//! | 5       | log start offset of followers                                                        |
//! | 7       | session id and epoch, forgotten topics                                               |
//! | 9       | current leader epoch                                                                 |
//! | 11      | rack id                                                                              |
//! | 12      | flexible; last fetched epoch; cluster id (tag 0)                                     |
//! | 13      | topic ids in place of names                                                          |
//! | 15      | replica state (tag 1) in place of the replica id                                     |
//! | 17      | replica directory id (tag 0 of a partition)                                          |
//! | 18      | high watermark of the follower (tag 1 of a partition)                                |
//!
//! Invariants
//! - I1 a view was walked once from end to end, so its iterators never meet an error.
//!
//! Source: Kafka protocol guide, Fetch; KIP-227, KIP-320, KIP-392, KIP-516, KIP-595, KIP-903, KIP-1166.

use ottla_model::{LeaderEpoch, Offset, Uuid};

use super::{FIRST_FLEXIBLE, FIRST_WITH_TOPIC_ID};
use crate::codec::{DecodeError, Reader};
use crate::produce::TopicLabel;

/// Up to where a consumer reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IsolationLevel {
    ReadUncommitted,
    ReadCommitted,
}

/// Who fetches, if it is a replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplicaState {
    /// −1 is a consumer; other negative numbers have meanings of their own.
    pub replica_id: i32,
    /// Epoch of the broker's registration, −1 where it is not told.
    pub replica_epoch: i64,
}

/// A Fetch request.
#[derive(Clone, Debug)]
pub struct FetchRequestView<'a> {
    pub cluster_id: Option<&'a str>,
    pub replica: ReplicaState,
    pub max_wait_ms: i32,
    pub min_bytes: i32,
    pub max_bytes: i32,
    /// As sent: 1 is read-committed, Kafka refuses what is neither 0 nor 1.
    pub isolation_level: i8,
    pub session_id: i32,
    pub session_epoch: i32,
    pub rack_id: &'a str,
    topics: Array<'a>,
    forgotten: Array<'a>,
}

/// The elements of an array that are read when they are asked for.
#[derive(Clone, Debug)]
struct Array<'a> {
    reader: Reader<'a>,
    count: usize,
    version: i16,
}

/// One topic of a request.
#[derive(Clone, Debug)]
pub struct FetchTopic<'a> {
    pub label: TopicLabel<'a>,
    partitions: Array<'a>,
}

/// One partition of a request. Negative numbers that mean "none" are `None`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetchPartition {
    pub index: i32,
    pub current_leader_epoch: Option<LeaderEpoch>,
    /// As sent: a negative offset is out of range, not absent.
    pub fetch_offset: i64,
    pub last_fetched_epoch: Option<LeaderEpoch>,
    /// Where a follower's log begins.
    pub log_start: Option<Offset>,
    pub max_bytes: i32,
    pub replica_directory_id: Uuid,
    /// The follower's own; the largest number where it is not told.
    pub high_watermark: i64,
}

/// One topic that leaves a session.
#[derive(Clone, Debug)]
pub struct ForgottenTopic<'a> {
    pub label: TopicLabel<'a>,
    partitions: Array<'a>,
}

impl<'a> FetchRequestView<'a> {
    /// Reads a body. Bytes behind it are ignored (WIRE-11).
    pub fn decode(body: &'a [u8], version: i16) -> Result<FetchRequestView<'a>, DecodeError> {
        let mut reader = Reader::new(body);
        let r = &mut reader;
        r.set_flexible(version >= FIRST_FLEXIBLE);
        let replica_id = if version <= 14 { r.i32()? } else { -1 };
        let (max_wait_ms, min_bytes, max_bytes, isolation_level) = (r.i32()?, r.i32()?, r.i32()?, r.i8()?);
        let (session_id, session_epoch) = if version >= 7 { (r.i32()?, r.i32()?) } else { (0, -1) };
        let topics = Array::walked(r, version, &mut |r| read_topic(r, version).map(|_| ()))?;
        let forgotten = if version >= 7 {
            Array::walked(r, version, &mut |r| read_forgotten(r, version).map(|_| ()))?
        } else {
            Array { reader: Reader::new(&[]), count: 0, version }
        };
        let rack_id = if version >= 11 { r.str()? } else { "" };
        let mut view = FetchRequestView {
            cluster_id: None,
            replica: ReplicaState { replica_id, replica_epoch: -1 },
            max_wait_ms,
            min_bytes,
            max_bytes,
            isolation_level,
            session_id,
            session_epoch,
            rack_id,
            topics,
            forgotten,
        };
        view.read_tags(r, version)?;
        Ok(view)
    }

    fn read_tags(&mut self, r: &mut Reader<'a>, version: i16) -> Result<(), DecodeError> {
        r.tags(&mut |r, tag| {
            match tag {
                0 => self.cluster_id = r.nullable_str()?,
                1 if version < 15 => return Err(r.tag_not_in_version(tag, version)),
                1 => {
                    self.replica = ReplicaState { replica_id: r.i32()?, replica_epoch: r.i64()? };
                    r.skip_tags()?;
                }
                _ => return Ok(false),
            }
            Ok(true)
        })
    }

    /// Whether the isolation level is one of Kafka's, and which.
    pub fn isolation(&self) -> Option<IsolationLevel> {
        match self.isolation_level {
            0 => Some(IsolationLevel::ReadUncommitted),
            1 => Some(IsolationLevel::ReadCommitted),
            _ => None,
        }
    }

    /// The topics in the order of the request.
    pub fn topics(&self) -> impl Iterator<Item = FetchTopic<'a>> + use<'a> {
        self.topics.iter(read_topic)
    }

    /// How many topics the request lists.
    pub fn topic_count(&self) -> usize {
        self.topics.count
    }

    /// The topics whose partitions leave the session.
    pub fn forgotten(&self) -> impl Iterator<Item = ForgottenTopic<'a>> + use<'a> {
        self.forgotten.iter(read_forgotten)
    }
}

impl<'a> FetchTopic<'a> {
    /// The partitions in the order of the request.
    pub fn partitions(&self) -> impl Iterator<Item = FetchPartition> + use<'a> {
        self.partitions.iter(read_partition)
    }

    /// How many partitions the request lists for the topic.
    pub fn partition_count(&self) -> usize {
        self.partitions.count
    }
}

impl<'a> ForgottenTopic<'a> {
    /// The partitions, as sent.
    pub fn partitions(&self) -> impl Iterator<Item = i32> + use<'a> {
        self.partitions.iter(|r, _| r.i32())
    }
}

impl<'a> Array<'a> {
    /// Steps over an array, checking every element.
    fn walked(
        r: &mut Reader<'a>,
        version: i16,
        element: &mut dyn FnMut(&mut Reader<'a>) -> Result<(), DecodeError>,
    ) -> Result<Array<'a>, DecodeError> {
        let count = r.count()?;
        let reader = r.clone();
        for _ in 0..count {
            element(r)?;
        }
        Ok(Array { reader, count, version })
    }

    fn iter<T, E>(&self, element: E) -> impl Iterator<Item = T> + use<'a, T, E>
    where
        E: Fn(&mut Reader<'a>, i16) -> Result<T, DecodeError>,
    {
        let (mut reader, version) = (self.reader.clone(), self.version);
        (0..self.count).map_while(move |_| element(&mut reader, version).ok())
    }
}

fn read_label<'a>(r: &mut Reader<'a>, version: i16) -> Result<TopicLabel<'a>, DecodeError> {
    if version >= FIRST_WITH_TOPIC_ID { r.uuid().map(TopicLabel::Id) } else { r.str().map(TopicLabel::Name) }
}

fn read_topic<'a>(r: &mut Reader<'a>, version: i16) -> Result<FetchTopic<'a>, DecodeError> {
    let label = read_label(r, version)?;
    let partitions = Array::walked(r, version, &mut |r| read_partition(r, version).map(|_| ()))?;
    r.skip_tags()?;
    Ok(FetchTopic { label, partitions })
}

fn read_forgotten<'a>(r: &mut Reader<'a>, version: i16) -> Result<ForgottenTopic<'a>, DecodeError> {
    let label = read_label(r, version)?;
    let partitions = Array::walked(r, version, &mut |r| r.i32().map(|_| ()))?;
    r.skip_tags()?;
    Ok(ForgottenTopic { label, partitions })
}

fn read_partition(r: &mut Reader<'_>, version: i16) -> Result<FetchPartition, DecodeError> {
    let index = r.i32()?;
    let current_leader_epoch = LeaderEpoch::new(if version >= 9 { r.i32()? } else { -1 });
    let fetch_offset = r.i64()?;
    let last_fetched_epoch = LeaderEpoch::new(if version >= 12 { r.i32()? } else { -1 });
    let log_start = Offset::new(if version >= 5 { r.i64()? } else { -1 });
    let max_bytes = r.i32()?;
    let (mut replica_directory_id, mut high_watermark) = (Uuid::ZERO, i64::MAX);
    r.tags(&mut |r, tag| {
        match tag {
            0 if version < 17 => return Err(r.tag_not_in_version(tag, version)),
            0 => replica_directory_id = r.uuid()?,
            1 if version < 18 => return Err(r.tag_not_in_version(tag, version)),
            1 => high_watermark = r.i64()?,
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    Ok(FetchPartition {
        index,
        current_leader_epoch,
        fetch_offset,
        last_fetched_epoch,
        log_start,
        max_bytes,
        replica_directory_id,
        high_watermark,
    })
}
