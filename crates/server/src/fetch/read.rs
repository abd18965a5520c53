//! One look at everything a fetch asks for.
//!
//! Owns: the order of partitions, the shares of the answer's size, what counts as a reason to answer at once.
//! Does not own: sessions, waiting, the form of the answer.
//!
//! Source: requirements FET-10, FET-11, FET-13, FET-15 to FET-18, FET-21.

use std::sync::Arc;

use ottla_model::{LeaderEpoch, Offset, TopicId, TopicPartition};
use ottla_mutant::mutant;
use ottla_protocol::ErrorCode;
use ottla_replication::{ReadAttempt, Reader};
use ottla_security::Operation;
use ottla_storage::ReadPlan;

use super::session::{PartitionRef, TopicRef, Wanted};
use crate::caller::Caller;
use crate::error_code;
use crate::node::Node;
use crate::partition::{LookError, Partition, ReadOutcome, ReadRequest};

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
    let mut local = node.local_partition(topic.name.as_str(), at.partition);
    if let TopicRef::Id(_) = at.topic {
        local = local.and_then(|partition| of_topic(partition, topic.id));
    }
    Ok((local, TopicPartition::new(topic.name.clone(), index)))
}

/// The partition, if its log is that of the topic asked for. The table of partitions is ahead of the image for a moment:
/// a topic that was deleted and made again has its new log already (FET-21).
fn of_topic(partition: Arc<Partition>, topic: TopicId) -> Result<Arc<Partition>, ErrorCode> {
    if partition.topic_id() == topic || mutant!(fetch_old_topic_id) {
        Ok(partition)
    } else {
        Err(ErrorCode::InconsistentTopicId)
    }
}

/// A look at all partitions: what was found, and whether it is reason enough to answer.
pub struct Look {
    pub found: Vec<Found>,
    pub bytes: u64,
    /// An error, a divergence, older data, or a limit that keeps more from being added: the answer does not wait.
    pub at_once: bool,
    /// What has to be brought into memory first; where there is something, the rest is worth nothing.
    pub cold: Vec<ReadPlan>,
}

/// Reads every partition in order, as far as what is asked for is in memory. The first batch found may exceed all
/// limits, the rest may not (FET-11).
pub fn look(terms: &Terms, targets: &[Target]) -> Look {
    look_at(terms, targets, Device::NotTouched)
}

/// The same; waits for the device where it must.
pub fn look_waiting(terms: &Terms, targets: &[Target]) -> Look {
    look_at(terms, targets, Device::Awaited)
}

/// What a look may do for records that are not in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Device {
    NotTouched,
    Awaited,
}

fn look_at(terms: &Terms, targets: &[Target], device: Device) -> Look {
    let mut left = terms.bytes_max;
    let found = Vec::with_capacity(targets.len());
    let mut look = Look { found, bytes: 0, at_once: false, cold: Vec::new() };
    let mut limited = false;
    for target in targets {
        let bytes_max = u32::try_from(target.wanted.partition_bytes_max).unwrap_or(0).min(left);
        let found = match read_one(terms, target, (bytes_max, look.bytes == 0), device) {
            Ok(found) => found,
            Err(plan) => {
                look.cold.push(*plan);
                Err(ErrorCode::KafkaStorageError)
            }
        };
        match &found {
            Ok(outcome) => {
                let bytes = outcome.read.bytes;
                look.bytes += u64::from(bytes);
                let has_more = outcome.read.end < outcome.limits.up_to;
                // Kafka fills what is left with a part of the next batch; nothing is left for others then.
                left = left.saturating_sub(if has_more && bytes > 0 { bytes.max(bytes_max) } else { bytes });
                let older = outcome.behind_active_segment && bytes > 0;
                limited |= has_more;
                look.at_once |= outcome.diverging.is_some() || older;
            }
            Err(_) => look.at_once = true,
        }
        look.found.push(found);
    }
    // Where a limit of the request leaves batches out, waiting brings no more of them (TRAP-13).
    look.at_once |= limited && look.bytes > 0;
    look
}

/// What one partition has, or what must be brought into memory before it can be told.
fn read_one(
    terms: &Terms,
    target: &Target,
    (bytes_max, nothing_yet): (u32, bool),
    device: Device,
) -> Result<Found, Box<ReadPlan>> {
    let partition = match &target.partition {
        Ok(partition) => partition,
        Err(error) => return Ok(Err(*error)),
    };
    let attempt = attempt(terms, &target.wanted);
    let request = ReadRequest {
        attempt,
        // A negative offset lies below every log, whatever its epochs.
        last_fetched_epoch: Offset::new(target.wanted.fetch_offset)
            .and_then(|_| LeaderEpoch::new(target.wanted.last_fetched_epoch)),
        bytes_max,
        at_least_one_batch: nothing_yet,
        may_wait: device == Device::Awaited,
    };
    match partition.read(&request) {
        Ok(outcome) => Ok(Ok(outcome)),
        Err(LookError::NotResident(plan)) => Err(plan),
        Err(error) => {
            let code = error_code::of_look(&error);
            let unknown_then =
                code == ErrorCode::KafkaStorageError && terms.version <= LAST_WITHOUT_STORAGE_ERROR;
            Ok(Err(if unknown_then { ErrorCode::NotLeaderOrFollower } else { code }))
        }
    }
}

/// What a reader attempts in one partition. A negative offset becomes one that no log has: it is out of range, after the
/// reader's epoch was checked.
pub fn attempt(terms: &Terms, wanted: &Wanted) -> ReadAttempt {
    ReadAttempt {
        reader: terms.reader,
        offset: Offset::new(wanted.fetch_offset).unwrap_or(Offset::MAX),
        leader_epoch: LeaderEpoch::new(wanted.current_leader_epoch),
        from_any_replica: terms.version >= FIRST_FROM_FOLLOWER
            && !matches!(terms.reader, Reader::Follower(_)),
    }
}

#[cfg(test)]
mod tests {
    use ottla_model::Uuid;

    use super::*;

    /// FET-21: the log of a topic that was made again is not that of the one asked for.
    #[test]
    fn a_log_of_another_topic_is_inconsistent() {
        let [old, new] = [1, 2].map(|byte| TopicId::new(Uuid::from_bytes([byte; 16])).unwrap());
        let partition = crate::partition::tests::partition(new);
        assert!(of_topic(Arc::clone(&partition), new).is_ok());
        assert_eq!(of_topic(partition, old).err(), Some(ErrorCode::InconsistentTopicId));
    }
}
