//! Produce (API key 0): records of producers go into partitions.
//!
//! Everything up to the append happens in [`begin`], on the task that read the request; only the wait for `acks=all`
//! is left for later, so that requests of one connection can share a flush. The first batch of a transaction in a
//! partition is the exception: its coordinator is asked before anything is appended ([`ask_and_append`]).
//!
//! Source: requirements PRD-01 to PRD-22, TXN-06, TXN-07, SEC-36, KIP-890, KIP-951; performance design 4.2.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ottla_env::time::{Instant, now};
use ottla_model::{Offset, Timestamp, TopicId, TopicPartition, Uuid, Verification};
use ottla_mutant::mutant;
use ottla_protocol::produce::{
    CurrentLeader, ProduceOutcome, ProducePartition, ProduceRequestView, ProduceResponseWriter, TopicLabel,
};
use ottla_protocol::record::{BatchHeader, RecordRefusal, Refusal, fails_request};
use ottla_protocol::reply::ReplyHead;
use ottla_protocol::{EncodeError, ErrorCode};
use ottla_replication::{AckOutcome, RequestId};
use ottla_security::Operation;
use ottla_storage::AppendError;

use crate::caller::Caller;
use crate::error_code;
use crate::leaders::Leaders;
use crate::node::Node;
use crate::partition::{AppendRequest, Partition, ProduceError, Producing};
use crate::transactions::admission::{self, Admission, Looked, Question, Refused, TransactionalBatch};
use crate::waiting::ProduceWait;

/// The only client that may write to internal topics (PRD-06).
const ADMIN_CLIENT: &str = "__admin_client";

/// What a first look at a request came to.
pub enum Begun {
    Produced(Produced),
    /// Nothing was appended: a transaction's coordinator is to be asked first, then [`ask_and_append`].
    MustAsk(Question),
}

/// How far a request got.
pub enum Produced {
    Answered(Bytes),
    /// `acks=0`: nothing is said.
    Silent,
    /// `acks=0` failed: the client learns it by the end of the connection (PRD-19).
    Failed,
    Waiting(Waiting),
}

/// What is answered for one partition, so far.
struct Row {
    index: i32,
    error: ErrorCode,
    base_offset: Option<Offset>,
    log_append_time: Option<Timestamp>,
    log_start: Option<Offset>,
    record_errors: Vec<RecordRefusal>,
    error_message: Option<String>,
    current_leader: Option<CurrentLeader>,
    /// Where the outcome of the wait comes from, and under which number.
    waits_in: Option<(Arc<Partition>, RequestId)>,
}

impl Row {
    fn refused(index: i32, error: ErrorCode) -> Row {
        Row {
            index,
            error,
            base_offset: None,
            log_append_time: None,
            log_start: None,
            record_errors: Vec::new(),
            error_message: None,
            current_leader: None,
            waits_in: None,
        }
    }
}

/// A topic of the answer.
enum Label {
    Name(Box<str>),
    Id(Uuid),
}

/// The answer as it grows.
struct Answer {
    head: ReplyHead,
    /// Topics with the number of their rows.
    topics: Vec<(Label, usize)>,
    rows: Vec<Row>,
    leaders: Leaders,
}

/// What one request brings along to each partition.
struct Job<'a> {
    node: &'a Arc<Node>,
    caller: &'a Caller,
    version: i16,
    acks: i16,
    deadline: Instant,
    wait: Option<Arc<ProduceWait>>,
    entry: Entry,
}

/// What is known of a request before anything is appended.
enum Entry {
    /// No transaction.
    Plain,
    /// What was found about the transaction in each partition.
    Transactional(Admission),
    /// Refuses every partition alike, in these words where there are any.
    Refused(Refused),
}

/// Told to a request with transactional batches of several producers, in Kafka's words.
const MIXED: &str = "Transactional records contained more than one producer ID";

/// Checks and appends. `frame` is the whole request, `view` what was decoded of it.
pub fn begin(
    node: &Arc<Node>,
    caller: &Caller,
    head: ReplyHead,
    (frame, view): (&mut [u8], &ProduceRequestView),
) -> Result<Begun, EncodeError> {
    let mut job = Job::new(node, caller, head.version, view);
    job.entry = match entry(&job, (frame, view)) {
        Ok(entry) => entry,
        Err(question) => return Ok(Begun::MustAsk(question)),
    };
    append(job, head, (frame, view)).map(Begun::Produced)
}

/// Asks the coordinator of a transaction, and appends what it knows of.
pub async fn ask_and_append(
    (node, caller): (&Arc<Node>, &Caller),
    head: ReplyHead,
    question: Question,
    (frame, view): (&mut [u8], &ProduceRequestView),
) -> Result<Produced, EncodeError> {
    let admission = question.ask(node).await;
    let mut job = Job::new(node, caller, head.version, view);
    job.entry = Entry::Transactional(admission);
    append(job, head, (frame, view))
}

fn append(
    job: Job<'_>,
    head: ReplyHead,
    (frame, view): (&mut [u8], &ProduceRequestView),
) -> Result<Produced, EncodeError> {
    let mut answer = Answer::new(job.node, job.caller, head, (frame, view));
    append_all(&job, &mut answer, (frame, view));
    if job.acks == 0 {
        let failed = answer.rows.iter().any(|row| row.error != ErrorCode::None);
        return Ok(if failed { Produced::Failed } else { Produced::Silent });
    }
    match job.wait {
        Some(wait) if answer.rows.iter().any(|row| row.waits_in.is_some()) => {
            Ok(Produced::Waiting(Waiting { answer, wait, deadline: job.deadline }))
        }
        Some(_) | None => Ok(Produced::Answered(answer.finish()?)),
    }
}

/// What refuses the request as a whole (PRD-02), or what is known of its transaction; `Err`: somebody is to be asked.
fn entry(job: &Job<'_>, (frame, view): (&[u8], &ProduceRequestView)) -> Result<Entry, Question> {
    let authorship = view.authorship(frame);
    if let Some(shapeless) = authorship.shapeless {
        // Whose records these are cannot be told, so nothing is looked at.
        return Ok(Entry::Refused((ErrorCode::CorruptMessage, Some(shapeless.to_string()))));
    }
    if !authorship.transactional {
        return Ok(Entry::Plain);
    }
    let id = view.transactional_id(frame);
    let allowed = |id: &&str| job.node.access.may_transactional_id(job.caller, Operation::Write, id);
    let Some(id) = id.filter(allowed) else {
        return Ok(Entry::Refused((ErrorCode::TransactionalIdAuthorizationFailed, None)));
    };
    let batches = transactional_batches(job, (frame, view));
    match admission::look(job.node, (id, job.version), (view.partition_count(), batches)) {
        Looked::Admitted(admission) => Ok(Entry::Transactional(admission)),
        Looked::Mixed => Ok(Entry::Refused((ErrorCode::InvalidProducerIdMapping, Some(MIXED.to_owned())))),
        Looked::MustAsk(question) => Err(question),
    }
}

/// The transactional batches that could be appended, as far as can be told without a look inside.
fn transactional_batches(
    job: &Job<'_>,
    (frame, view): (&[u8], &ProduceRequestView),
) -> Vec<TransactionalBatch> {
    let (mut batches, mut slot) = (Vec::new(), 0);
    for topic in view.topics(frame) {
        let found = find_topic(job, topic.label);
        for partition in topic.partitions() {
            let target =
                found.as_ref().ok().and_then(|topic| find_partition(job, topic, partition.index).ok());
            let records = partition.records.and_then(|range| frame.get(range)).unwrap_or_default();
            let header = BatchHeader::parse(records).ok().filter(|header| header.size == records.len());
            if let (Some(partition), Some(header)) = (target, header)
                && header.attributes.is_transactional()
                && let Some((producer, epoch)) = header.producer_id.zip(header.producer_epoch)
            {
                let first_sequence = header.base_sequence;
                batches.push(TransactionalBatch { slot, partition, producer, epoch, first_sequence });
            }
            slot += 1;
        }
    }
    batches
}

fn append_all(job: &Job<'_>, answer: &mut Answer, (frame, view): (&mut [u8], &ProduceRequestView)) {
    let mut ranges = Vec::with_capacity(view.partition_count());
    for topic in view.topics(frame) {
        let found = match &job.entry {
            Entry::Refused(refusal) => Err(refusal.clone()),
            Entry::Plain | Entry::Transactional(_) => {
                find_topic(job, topic.label).map_err(|error| (error, None))
            }
        };
        for partition in topic.partitions() {
            ranges.push((found.clone(), partition));
        }
    }
    let fails = |(topic, partition): &(Result<Asked, Refused>, ProducePartition)| {
        let records = partition.records.as_ref().and_then(|range| frame.get(range.clone()));
        records.is_some_and(|records| fails_request(records, job.version))
            && topic.as_ref().is_ok_and(|topic| is_known(job, topic, partition.index))
    };
    if ranges.iter().any(fails) {
        ranges.iter_mut().for_each(|(topic, _)| *topic = Err((ErrorCode::UnknownServerError, None)));
    }
    for (slot, (topic, partition)) in ranges.into_iter().enumerate() {
        let index = partition.index;
        let row = match topic {
            Ok(topic) => {
                let records = partition.records.map(|range| frame.get_mut(range).unwrap_or_default());
                answer_partition(job, answer, (slot, index), (&topic, records))
            }
            Err((error, error_message)) => Row { error_message, ..Row::refused(index, error) },
        };
        answer.rows.push(row);
    }
}

/// The checks in Kafka's order: whether there is such a partition, whether there are records, the number of acks, and
/// only then what this broker is to the partition.
fn answer_partition(
    job: &Job<'_>,
    answer: &mut Answer,
    (slot, index): (usize, i32),
    (topic, records): (&Asked, Option<&mut [u8]>),
) -> Row {
    let target = find_partition(job, topic, index);
    if is_unknown(&target) {
        return Row::refused(index, ErrorCode::UnknownTopicOrPartition);
    }
    let Some(records) = records.filter(|records| !records.is_empty()) else {
        return Row::refused(index, ErrorCode::InvalidRecord);
    };
    let verification = match job.entry.verification(slot) {
        Ok(verification) => verification,
        Err((error, error_message)) => {
            let refused = answer.refused(index, error, TopicPartition::named(&topic.name, index).as_ref());
            return Row { error_message, ..refused };
        }
    };
    if !matches!(job.acks, -1..=1) {
        return Row::refused(index, ErrorCode::InvalidRequiredAcks);
    }
    match target {
        Ok(target) => append_one(job, &target, (slot, index), (records, verification))
            .unwrap_or_else(|error| answer.failed(&target, index, &error)),
        Err(error) => answer.refused(index, error, TopicPartition::named(&topic.name, index).as_ref()),
    }
}

fn is_known(job: &Job<'_>, topic: &Asked, index: i32) -> bool {
    !is_unknown(&find_partition(job, topic, index))
}

fn is_unknown(target: &Result<Arc<Partition>, ErrorCode>) -> bool {
    target.as_ref().err() == Some(&ErrorCode::UnknownTopicOrPartition)
}

/// A topic as a request names it.
#[derive(Clone)]
struct Asked {
    name: Arc<str>,
    /// Where it was asked for by id.
    id: Option<TopicId>,
}

/// The topic as the partition table names it.
fn find_topic(job: &Job<'_>, label: TopicLabel<'_>) -> Result<Asked, ErrorCode> {
    let asked = match label {
        TopicLabel::Name(name) => Asked { name: Arc::from(name), id: None },
        TopicLabel::Id(id) => {
            let image = job.node.image();
            let topic = TopicId::new(id).and_then(|id| image.topics.by_id(id));
            let topic = topic.ok_or(ErrorCode::UnknownTopicId)?;
            Asked { name: Arc::from(topic.name.as_str()), id: Some(topic.id) }
        }
    };
    if !job.node.access.may_topic(job.caller, Operation::Write, &asked.name) {
        return Err(ErrorCode::TopicAuthorizationFailed);
    }
    Ok(asked)
}

/// The partition, if its log is that of the topic asked for. The table of partitions is ahead of the image for a moment:
/// a topic that was deleted and made again has its new log already (PRD-04).
fn of_topic(partition: Arc<Partition>, topic: Option<TopicId>) -> Result<Arc<Partition>, ErrorCode> {
    match topic {
        Some(topic) if topic != partition.topic_id() && !mutant!(produce_old_topic_id) => {
            Err(ErrorCode::UnknownTopicId)
        }
        Some(_) | None => Ok(partition),
    }
}

fn find_partition(job: &Job<'_>, topic: &Asked, index: i32) -> Result<Arc<Partition>, ErrorCode> {
    let partition = of_topic(job.node.local_partition(&topic.name, index)?, topic.id)?;
    if partition.id().topic.is_internal() && &*job.caller.client_id != ADMIN_CLIENT {
        return Err(ErrorCode::InvalidTopicException);
    }
    Ok(partition)
}

fn append_one(
    job: &Job<'_>,
    target: &Arc<Partition>,
    (slot, index): (usize, i32),
    (records, verification): (&mut [u8], Verification),
) -> Result<Row, ProduceError> {
    let all_in_sync = job.acks == -1;
    let request = AppendRequest { records, version: job.version, all_in_sync, verification };
    // A number for each: a partition may stand in the request twice.
    let request_id = job.node.request_ids.next();
    let producing =
        job.wait.as_ref().map(|wait| Producing { wait, slot, request: request_id, deadline: job.deadline });
    let appended = target.produce(request, producing.as_ref())?;
    Ok(Row {
        base_offset: Some(appended.base_offset),
        log_append_time: appended.log_append_time,
        log_start: Some(appended.log_start),
        waits_in: appended.must_wait.then(|| (Arc::clone(target), request_id)),
        ..Row::refused(index, ErrorCode::None)
    })
}

impl<'a> Job<'a> {
    fn new(node: &'a Arc<Node>, caller: &'a Caller, version: i16, view: &ProduceRequestView) -> Job<'a> {
        let acks = view.acks();
        let timeout = Duration::from_millis(u64::try_from(view.timeout_ms()).unwrap_or(0));
        let wait = (acks == -1).then(|| Arc::new(ProduceWait::new(view.partition_count())));
        Job { node, caller, version, acks, deadline: now() + timeout, wait, entry: Entry::Plain }
    }
}

impl Entry {
    /// What the partition at `slot` is appended with.
    fn verification(&self, slot: usize) -> Result<Verification, Refused> {
        match self {
            Entry::Plain | Entry::Refused(_) => Ok(Verification::NotAsked),
            Entry::Transactional(admission) => admission.of(slot),
        }
    }
}

/// Whether Kafka's answer says where the log begins: not where the size, the bytes or the directory are the fault.
fn tells_log_start(error: &AppendError) -> bool {
    match error {
        AppendError::Producer(_) | AppendError::NotContiguous { .. } | AppendError::OffsetsExhausted => true,
        AppendError::TooLarge { .. }
        | AppendError::Malformed { .. }
        | AppendError::NoSpace(_)
        | AppendError::Disk(_) => false,
    }
}

impl Answer {
    fn new(
        node: &Arc<Node>,
        caller: &Caller,
        head: ReplyHead,
        (frame, view): (&[u8], &ProduceRequestView),
    ) -> Answer {
        let topics = view.topics(frame).map(|topic| {
            let label = match topic.label {
                TopicLabel::Name(name) => Label::Name(Box::from(name)),
                TopicLabel::Id(id) => Label::Id(id),
            };
            (label, topic.partitions().len())
        });
        let leaders = Leaders::new(node, caller);
        // A topic without partitions is not answered.
        let topics = topics.filter(|(_, count)| *count > 0).collect();
        Answer { head, topics, rows: Vec::with_capacity(view.partition_count()), leaders }
    }

    /// Nothing was tried. Where another broker leads, it is named.
    fn refused(&mut self, index: i32, error: ErrorCode, id: Option<&TopicPartition>) -> Row {
        let mut row = Row::refused(index, error);
        if error == ErrorCode::NotLeaderOrFollower {
            row.current_leader = id.and_then(|id| self.leaders.of(id));
        }
        row
    }

    fn failed(&mut self, target: &Partition, index: i32, error: &ProduceError) -> Row {
        let code = error_code::of_produce(error);
        let mut row = Row::refused(index, code);
        if code == ErrorCode::NotLeaderOrFollower {
            row.current_leader = self.leaders.of_replica(target);
        }
        match error {
            ProduceError::Refused(_) => {}
            ProduceError::Invalid { error, log_start } => {
                row.log_start = error.tells_log_start().then_some(*log_start);
                if let Refusal::Records { errors, message, .. } = error {
                    row.record_errors.clone_from(errors);
                    row.error_message = Some(message.clone());
                }
            }
            ProduceError::Append { error, log_start } => {
                row.log_start = tells_log_start(error).then_some(*log_start);
            }
        }
        row
    }

    fn finish(self) -> Result<Bytes, EncodeError> {
        let mut writer = ProduceResponseWriter::new(self.head, self.topics.len());
        let mut rows = self.rows.iter();
        for (label, count) in &self.topics {
            let label = match label {
                Label::Name(name) => TopicLabel::Name(name),
                Label::Id(id) => TopicLabel::Id(*id),
            };
            writer.topic(label, *count);
            for row in rows.by_ref().take(*count) {
                writer.partition(&ProduceOutcome {
                    index: row.index,
                    error: row.error,
                    base_offset: row.base_offset,
                    log_append_time: row.log_append_time,
                    log_start: row.log_start,
                    record_errors: &row.record_errors,
                    error_message: row.error_message.as_deref(),
                    current_leader: row.current_leader,
                });
            }
        }
        writer.finish(0, &self.leaders.endpoints())
    }
}

/// A request whose records are in the log and wait to be committed.
pub struct Waiting {
    answer: Answer,
    wait: Arc<ProduceWait>,
    deadline: Instant,
}

impl Waiting {
    /// Waits for replication and the device, at most as long as the request allows.
    pub async fn finish(mut self) -> Result<Bytes, EncodeError> {
        if !self.wait.done(self.deadline).await {
            for row in &self.answer.rows {
                if let Some((partition, request)) = &row.waits_in {
                    partition.on_deadline(now());
                    partition.forget(*request);
                }
            }
        }
        for (slot, row) in self.answer.rows.iter_mut().enumerate() {
            if let Some((partition, _)) = &row.waits_in {
                row.error = error_code::of_ack(self.wait.outcome(slot).unwrap_or(AckOutcome::TimedOut));
                if row.error == ErrorCode::NotLeaderOrFollower {
                    row.current_leader = self.answer.leaders.of_replica(partition);
                }
            }
        }
        self.answer.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// PRD-04
    #[test]
    fn records_for_a_topic_that_was_made_anew_are_refused() {
        let [old, new] = [1, 2].map(|byte| TopicId::new(Uuid::from_bytes([byte; 16])).unwrap());
        let partition = crate::partition::tests::partition(new);
        assert!(of_topic(Arc::clone(&partition), Some(new)).is_ok());
        assert!(of_topic(Arc::clone(&partition), None).is_ok());
        assert_eq!(of_topic(partition, Some(old)).err(), Some(ErrorCode::UnknownTopicId));
    }
}
