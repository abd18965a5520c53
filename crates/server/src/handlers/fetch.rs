//! Fetch (API key 1): records for consumers, and for replicas.
//!
//! Source: requirements FET-01 to FET-34, SEC-36, KIP-227, KIP-516.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::time::Duration;

use ottla_env::task;
use ottla_env::time::{Instant, now, wall_now};
use ottla_model::{BrokerId, LeaderEpoch, Offset};
use ottla_protocol::fetch::{FetchPartition, FetchRequestView, IsolationLevel};
use ottla_protocol::produce::TopicLabel;
use ottla_protocol::reply::ReplyHead;
use ottla_protocol::{DecodeError, ErrorCode};
use ottla_replication::{Reader, RequestId};
use ottla_storage::ReadPlan;

use crate::caller::Caller;
use crate::fetch::answer::{self, AnswerError, FileReply};
use crate::fetch::read::{self, Look, Target, Terms};
use crate::fetch::session::{FetchContext, PartitionRef, SessionError, SessionRequest, TopicRef, Wanted};
use crate::node::Node;
use crate::partition::waiter;
use crate::waiting::PollWait;

/// First version that names topics by id.
const FIRST_BY_ID: i16 = 13;

/// How often what is not in memory is brought there before the request itself waits for the device.
const BRING_IN_ATTEMPTS: usize = 2;

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
    if partitions.len() <= 1 {
        return partitions;
    }
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

/// How far a request got.
pub enum Fetched {
    Answered(FileReply),
    Waiting(Box<Waiting>),
}

/// Looks once; what is there, or why nothing can be, is answered at once.
pub fn begin(
    node: &Arc<Node>,
    caller: &Caller,
    head: ReplyHead,
    fetch: Fetch,
) -> Result<Fetched, AnswerError> {
    let context = match node.sessions.lock().on_request(fetch.session, wall_now().millis()) {
        Ok(context) => context,
        Err(error) => {
            let code = match error {
                SessionError::NotFound(_) => ErrorCode::FetchSessionIdNotFound,
                SessionError::InvalidEpoch { .. } => ErrorCode::InvalidFetchSessionEpoch,
                SessionError::TopicIdMixed(_) => ErrorCode::FetchSessionTopicIdError,
            };
            return Ok(Fetched::Answered(answer::refused(head, code)?));
        }
    };
    let bytes_max = fetch.bytes_max.min(node.settings().fetch_bytes_max);
    let reader = fetch.reader.unwrap_or(Reader::Uncommitted);
    let terms = Terms { reader, version: head.version, bytes_max };
    let bytes_min = fetch.bytes_min.min(u64::from(bytes_max));
    let targets = read::targets(node, caller, &terms, context.partitions());
    // An isolation level that there is not makes Kafka fail, once there is something to be read.
    if fetch.reader.is_none() && targets.iter().any(|target| target.partition.is_ok()) {
        return Ok(Fetched::Answered(answer::failed(head, &context, ErrorCode::UnknownServerError)?));
    }
    let look = read::look(&terms, &targets);
    let is_over = is_enough(&look, &targets, bytes_min) || fetch.wait.is_zero();
    if is_over && look.cold.is_empty() {
        let reply = answer::answer((node, caller), head, &context, (&targets, &look.found))?;
        return Ok(Fetched::Answered(reply));
    }
    Ok(Fetched::Waiting(Box::new(Waiting {
        node: Arc::clone(node),
        caller: caller.clone(),
        head,
        context,
        terms,
        targets,
        bytes_min,
        deadline: now() + fetch.wait,
        look,
    })))
}

fn is_enough(look: &Look, targets: &[Target], bytes_min: u64) -> bool {
    look.at_once || look.bytes >= bytes_min || targets.is_empty()
}

/// A request that found less than it wants.
pub struct Waiting {
    node: Arc<Node>,
    caller: Caller,
    head: ReplyHead,
    context: FetchContext,
    terms: Terms,
    targets: Vec<Target>,
    bytes_min: u64,
    deadline: Instant,
    look: Look,
}

impl Waiting {
    /// Looks again when something happened, until there is enough or the time is over (FET-13).
    pub async fn finish(mut self: Box<Waiting>) -> Result<FileReply, AnswerError> {
        self.bring_in().await;
        while !is_enough(&self.look, &self.targets, self.bytes_min) && now() < self.deadline {
            let request = self.node.request_ids.next();
            let poll = Arc::new(PollWait::default());
            self.park(request, &poll);
            // Whether or not it was woken: the last look is one at the end of the time.
            let _ = poll.woken(self.deadline).await;
            for target in &self.targets {
                if let Ok(partition) = &target.partition {
                    partition.forget(request);
                }
            }
            self.look = read::look(&self.terms, &self.targets);
            self.bring_in().await;
        }
        let Waiting { node, caller, head, context, targets, look, .. } = *self;
        answer::answer((&node, &caller), head, &context, (&targets, &look.found))
    }

    /// Has what is not in memory brought there by a thread that may wait for the device, and looks again.
    async fn bring_in(&mut self) {
        for _ in 0..BRING_IN_ATTEMPTS {
            let cold = std::mem::take(&mut self.look.cold);
            if cold.is_empty() {
                return;
            }
            let turn = self.node.cold_reads.acquire().await;
            // What goes wrong there goes wrong again for the look, which says so.
            let _ = task::apart(move || cold.iter().try_for_each(ReadPlan::bring_in)).await;
            drop(turn);
            self.look = read::look(&self.terms, &self.targets);
        }
        if !self.look.cold.is_empty() {
            // Memory is so scarce that nothing stays.
            self.look = read::look_waiting(&self.terms, &self.targets);
        }
    }

    fn park(&self, request: RequestId, poll: &Arc<PollWait>) {
        let count = u64::try_from(self.targets.len()).unwrap_or(1).max(1);
        let share = (self.bytes_min - self.look.bytes).div_ceil(count);
        for (target, found) in self.targets.iter().zip(&self.look.found) {
            let (Ok(partition), Ok(found)) = (&target.partition, found) else { continue };
            partition.park(waiter(request, self.terms.reader, share, self.deadline), poll);
            // What happened between the look and the parking woke nobody.
            let seen = partition.limits(&read::attempt(&self.terms, &target.wanted)).ok();
            if seen
                .is_none_or(|seen| seen.up_to > found.limits.up_to || seen.log_start > found.limits.log_start)
            {
                poll.wake();
            }
        }
    }
}
