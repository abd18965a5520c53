//! Fetch (API key 1): records for consumers, and for replicas.
//!
//! Source: requirements FET-01 to FET-34, SEC-36, KIP-227, KIP-516.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::time::Duration;

use ottla_env::time::{now, wall_now};
use ottla_model::{BrokerId, LeaderEpoch, Offset};
use ottla_protocol::fetch::{FetchPartition, FetchRequestView, IsolationLevel};
use ottla_protocol::produce::TopicLabel;
use ottla_protocol::reply::ReplyHead;
use ottla_protocol::{DecodeError, ErrorCode};
use ottla_replication::Reader;

use crate::caller::Caller;
use crate::fetch::answer::{self, AnswerError, FileReply};
use crate::fetch::read::{self, Look, Target, Terms};
use crate::fetch::session::{PartitionRef, SessionError, SessionRequest, TopicRef, Wanted};
use crate::node::Node;
use crate::partition::waiter;
use crate::waiting::PollWait;

/// First version that names topics by id.
const FIRST_BY_ID: i16 = 13;

/// What is kept of a request while it waits.
pub struct Fetch {
    session: SessionRequest,
    reader: Option<Reader>,
    bytes_max: u32,
    bytes_min: u64,
    wait: Duration,
}

/// Reads a request; nothing of the frame is needed afterwards.
pub fn decode(body: &[u8], version: i16) -> Result<Fetch, DecodeError> {
    let view = FetchRequestView::decode(body, version)?;
    let replica = BrokerId::new(view.replica.replica_id);
    let reader = match (replica, view.isolation()) {
        (Some(id), _) => Some(Reader::Follower(id)),
        (None, Some(IsolationLevel::ReadUncommitted)) => Some(Reader::Uncommitted),
        (None, Some(IsolationLevel::ReadCommitted)) => Some(Reader::Committed),
        (None, None) => None,
    };
    let mut partitions = Vec::new();
    for topic in view.topics() {
        let label = topic_ref(topic.label);
        partitions.extend(topic.partitions().map(|partition| {
            (PartitionRef { topic: label.clone(), partition: partition.index }, wanted(&partition))
        }));
    }
    let mut forgotten = Vec::new();
    for topic in view.forgotten() {
        let label = topic_ref(topic.label);
        let of_topic = topic.partitions();
        forgotten.extend(of_topic.map(|partition| PartitionRef { topic: label.clone(), partition }));
    }
    let partitions = each_once(partitions);
    Ok(Fetch {
        session: SessionRequest {
            session_id: view.session_id,
            session_epoch: view.session_epoch,
            by_topic_id: version >= FIRST_BY_ID,
            from_replica: replica.is_some(),
            partitions,
            forgotten,
        },
        reader,
        bytes_max: u32::try_from(view.max_bytes).unwrap_or(0),
        bytes_min: u64::try_from(view.min_bytes).unwrap_or(0),
        wait: Duration::from_millis(u64::try_from(view.max_wait_ms).unwrap_or(0)),
    })
}

/// A partition that is named twice is asked for once: what was said last holds, at the place of the first.
fn each_once(partitions: Vec<(PartitionRef, Wanted)>) -> Vec<(PartitionRef, Wanted)> {
    let mut places: HashMap<PartitionRef, usize> = HashMap::with_capacity(partitions.len());
    let mut once: Vec<(PartitionRef, Wanted)> = Vec::with_capacity(partitions.len());
    for (partition, wanted) in partitions {
        match places.entry(partition.clone()) {
            Entry::Occupied(place) => once[*place.get()].1 = wanted,
            Entry::Vacant(place) => {
                place.insert(once.len());
                once.push((partition, wanted));
            }
        }
    }
    once
}

fn topic_ref(label: TopicLabel<'_>) -> TopicRef {
    match label {
        TopicLabel::Name(name) => TopicRef::Name(Arc::from(name)),
        TopicLabel::Id(id) => TopicRef::Id(id),
    }
}

fn wanted(partition: &FetchPartition) -> Wanted {
    Wanted {
        current_leader_epoch: partition.current_leader_epoch.map_or(-1, LeaderEpoch::value),
        fetch_offset: partition.fetch_offset,
        last_fetched_epoch: partition.last_fetched_epoch.map_or(-1, LeaderEpoch::value),
        log_start_offset: partition.log_start.map_or(-1, Offset::value),
        partition_bytes_max: partition.max_bytes,
    }
}

/// Serves one request.
pub async fn handle(
    node: &Node,
    caller: &Caller,
    head: ReplyHead,
    fetch: Fetch,
) -> Result<FileReply, AnswerError> {
    let context = match node.sessions.lock().on_request(fetch.session, wall_now().millis()) {
        Ok(context) => context,
        Err(error) => {
            let code = match error {
                SessionError::NotFound(_) => ErrorCode::FetchSessionIdNotFound,
                SessionError::InvalidEpoch { .. } => ErrorCode::InvalidFetchSessionEpoch,
                SessionError::TopicIdMixed(_) => ErrorCode::FetchSessionTopicIdError,
            };
            return answer::refused(head, code);
        }
    };
    let bytes_max = fetch.bytes_max.min(node.settings().fetch_bytes_max);
    let reader = fetch.reader.unwrap_or(Reader::Uncommitted);
    let terms = Terms { reader, version: head.version, bytes_max };
    let bytes_min = fetch.bytes_min.min(u64::from(bytes_max));
    let targets = read::targets(node, caller, &terms, context.partitions());
    // An isolation level that there is not makes Kafka fail, once there is something to be read.
    if fetch.reader.is_none() && targets.iter().any(|target| target.partition.is_ok()) {
        return answer::failed(head, &context, ErrorCode::UnknownServerError);
    }
    let look = wait_for_enough(node, &terms, &targets, (bytes_min, fetch.wait)).await;
    answer::answer((node, caller), head, &context, (&targets, &look.found))
}

/// Looks, and looks again when something happened, until there is enough or the time is over (FET-13).
async fn wait_for_enough(
    node: &Node,
    terms: &Terms,
    targets: &[Target],
    (bytes_min, wait): (u64, Duration),
) -> Look {
    let deadline = now() + wait;
    loop {
        let look = read::look(terms, targets);
        let enough = look.at_once || look.bytes >= bytes_min || targets.is_empty();
        if enough || now() >= deadline {
            return look;
        }
        let request = node.request_ids.next();
        let poll = Arc::new(PollWait::default());
        let count = u64::try_from(targets.len()).unwrap_or(1).max(1);
        let share = (bytes_min - look.bytes).div_ceil(count);
        for (target, found) in targets.iter().zip(&look.found) {
            let (Ok(partition), Ok(found)) = (&target.partition, found) else { continue };
            partition.park(waiter(request, terms.reader, share, deadline), &poll);
            // What happened between the look and the parking woke nobody.
            let seen = partition.limits(&read::attempt(terms, &target.wanted)).ok();
            if seen
                .is_none_or(|seen| seen.up_to > found.limits.up_to || seen.log_start > found.limits.log_start)
            {
                poll.wake();
            }
        }
        let woken = poll.woken(deadline).await;
        for target in targets {
            if let Ok(partition) = &target.partition {
                partition.forget(request);
            }
        }
        if !woken {
            return read::look(terms, targets);
        }
    }
}
