//! One look at everything a fetch asks for.
//!
//! Owns: the order of partitions, the shares of the answer's size, what counts as a reason to answer at once.
//! Does not own: sessions, waiting, the form of the answer.
//!
//! Source: requirements FET-10, FET-11, FET-13, FET-15 to FET-18, FET-21.

use std::sync::Arc;

use ottla_model::{LeaderEpoch, Offset, TopicId, TopicPartition};
use ottla_protocol::ErrorCode;
use ottla_replication::{ReadAttempt, Reader};
use ottla_security::Operation;

use super::session::{PartitionRef, TopicRef, Wanted};
use crate::caller::Caller;
use crate::error_code;
use crate::node::Node;
use crate::partition::{Partition, ReadOutcome, ReadRequest};

/// What the whole request sets for every partition.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    pub reader: Reader,
    pub version: i16,
    /// Most bytes of the whole answer.
    pub bytes_max: u32,
}

/// One partition of a fetch, found or refused.
pub struct Target {
    pub partition: Result<Arc<Partition>, ErrorCode>,
    pub wanted: Wanted,
    /// Where the topic and partition exist, for naming their leader.
    pub id: Option<TopicPartition>,
}

/// What was found in one partition.
pub type Found = Result<ReadOutcome, ErrorCode>;

/// First version that may read from a follower.
const FIRST_FROM_FOLLOWER: i16 = 11;
/// Last version whose readers take a storage error for something final.
const LAST_WITHOUT_STORAGE_ERROR: i16 = 5;

/// Finds the partitions of a fetch.
pub fn targets(
    node: &Node,
    caller: &Caller,
    terms: &Terms,
    partitions: &[(PartitionRef, Wanted)],
) -> Vec<Target> {
    let replica = matches!(terms.reader, Reader::Follower(_));
    let allowed = !replica || node.access.may_cluster(caller, Operation::ClusterAction);
    let target = |(at, wanted): &(PartitionRef, Wanted)| {
        let found =
            if allowed { find(node, caller, replica, at) } else { Err(ErrorCode::TopicAuthorizationFailed) };
        let (partition, id) = match found {
            Ok((partition, id)) => (partition, Some(id)),
            Err(error) => (Err(error), None),
        };
        Target { partition, wanted: *wanted, id }
    };
    partitions.iter().map(target).collect()
}

type Located = (Result<Arc<Partition>, ErrorCode>, TopicPartition);

fn find(node: &Node, caller: &Caller, replica: bool, at: &PartitionRef) -> Result<Located, ErrorCode> {
    let image = node.image();
    let topic = match &at.topic {
        TopicRef::Name(name) => {
            if !replica && !node.access.may_topic(caller, Operation::Read, name) {
                return Err(ErrorCode::TopicAuthorizationFailed);
            }
            image.topics.by_name(name).ok_or(ErrorCode::UnknownTopicOrPartition)?
        }
        TopicRef::Id(id) => {
            let topic = TopicId::new(*id).and_then(|id| image.topics.by_id(id));
            let topic = topic.ok_or(ErrorCode::UnknownTopicId)?;
            if !replica && !node.access.may_topic(caller, Operation::Read, topic.name.as_str()) {
                return Err(ErrorCode::TopicAuthorizationFailed);
            }
            topic
        }
    };
    let index = ottla_model::PartitionIndex::new(at.partition).ok_or(ErrorCode::UnknownTopicOrPartition)?;
    let local = node.local_partition(topic.name.as_str(), at.partition);
    let local = local.and_then(|partition| {
        if partition.topic_id() == topic.id { Ok(partition) } else { Err(ErrorCode::InconsistentTopicId) }
    });
    Ok((local, TopicPartition::new(topic.name.clone(), index)))
}

/// A look at all partitions: what was found, and whether it is reason enough to answer.
pub struct Look {
    pub found: Vec<Found>,
    pub bytes: u64,
    /// An error, a divergence, older data, or more than the request takes: the answer does not wait.
    pub at_once: bool,
}

/// Reads every partition in order. The first batch found may exceed all limits, the rest may not (FET-11).
pub fn look(terms: &Terms, targets: &[Target]) -> Look {
    let mut left = terms.bytes_max;
    let mut look = Look { found: Vec::with_capacity(targets.len()), bytes: 0, at_once: false };
    for target in targets {
        let found = read_one(terms, target, (left, look.bytes == 0));
        match &found {
            Ok(outcome) => {
                look.bytes += u64::from(outcome.read.bytes);
                left = left.saturating_sub(outcome.read.bytes);
                let older = outcome.behind_active_segment && outcome.read.bytes > 0;
                // What waits behind the limits of this request comes with the next one (TRAP-13).
                let more = outcome.read.bytes > 0 && outcome.read.end < outcome.limits.up_to;
                look.at_once |= outcome.diverging.is_some() || older || more;
            }
            Err(_) => look.at_once = true,
        }
        look.found.push(found);
    }
    look
}

fn read_one(terms: &Terms, target: &Target, (left, nothing_yet): (u32, bool)) -> Found {
    let partition = target.partition.as_ref().map_err(|error| *error)?;
    let attempt = attempt(terms, &target.wanted).ok_or(ErrorCode::OffsetOutOfRange)?;
    let asked = u32::try_from(target.wanted.partition_bytes_max).unwrap_or(0);
    let request = ReadRequest {
        attempt,
        last_fetched_epoch: LeaderEpoch::new(target.wanted.last_fetched_epoch),
        bytes_max: asked.min(left),
        at_least_one_batch: nothing_yet,
    };
    partition.read(&request).map_err(|error| {
        let code = error_code::of_look(&error);
        if code == ErrorCode::KafkaStorageError && terms.version <= LAST_WITHOUT_STORAGE_ERROR {
            ErrorCode::NotLeaderOrFollower
        } else {
            code
        }
    })
}

/// What a reader attempts in one partition; `None` for an offset that no log has.
pub fn attempt(terms: &Terms, wanted: &Wanted) -> Option<ReadAttempt> {
    Some(ReadAttempt {
        reader: terms.reader,
        offset: Offset::new(wanted.fetch_offset)?,
        leader_epoch: LeaderEpoch::new(wanted.current_leader_epoch),
        from_any_replica: terms.version >= FIRST_FROM_FOLLOWER
            && !matches!(terms.reader, Reader::Follower(_)),
    })
}
