//! The task that sends batches, and what it shares with the handle.
//!
//! Owns: Produce and InitProducerId on the wire, opening connections to leaders, giving back the buffer's bytes.
//! Does not own: which batch goes when, and what an answer means (`machine`, `queue`).
//!
//! Requests are queued on a connection by this one task, so they leave in the order the machine gave them.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use ottla_env::sync::{Notify, Semaphore};
use ottla_env::{task, time};
use ottla_model::{
    BrokerId, LeaderEpoch, Offset, PartitionIndex, ProducerEpoch, ProducerId, Timestamp, TopicId, TopicName,
    TopicPartition,
};
use ottla_protocol::compression::Compression;
use ottla_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use ottla_protocol::messages::produce_response::{NodeEndpoint, PartitionProduceResponse};
use ottla_protocol::messages::{InitProducerIdRequest, ProduceRequest, ProduceResponse};
use ottla_protocol::record::BuildError;
use parking_lot::Mutex;

use super::batch::Batch;
use super::error::DeliveryError;
use super::exchange::{Incoming, Needs, Outbound, QueueId};
use super::machine::Machine;
use super::promise::{Promise, Settled, Stored};
use super::queue::{End, Settlement, Verdict};
use crate::backoff::Backoff;
use crate::cluster::{CallOptions, Lane, Node, Shared, Target, TopicInfo};
use crate::config::{Acks, Endpoint, ProducerConfig};
use crate::connection::{Connection, Pending, Request};
use crate::error::{CallError, ErrorCode, ServerError, api_name, error_of, needs_fresh_metadata};

/// Last version of Produce that names topics instead of their ids.
const NAMES_UNTIL: i16 = 12;
/// First version of Produce that may carry zstd.
const ZSTD_SINCE: i16 = 7;
/// How often the topics in use are reported as such.
const USE_REPORTED_EVERY: Duration = Duration::from_secs(5);

type Token = Arc<Promise>;
/// A batch in a request, and where it came from and goes to.
struct Sent {
    queue: QueueId,
    batch: Batch<Token>,
    partition: TopicPartition,
    /// The topic's id when the request was written. The answer is read by it: by then the name may be another topic's.
    topic_id: Option<TopicId>,
}

/// What the handle and the sender share.
#[derive(Debug)]
pub(super) struct Inner {
    config: ProducerConfig,
    machine: Mutex<Locked>,
    cluster: Arc<Shared>,
    /// Wakes the sender: there may be something to send.
    wake: Notify,
    /// Free bytes of the buffer.
    buffer: Semaphore,
    /// Leaders that are being connected to.
    connecting: Mutex<HashSet<BrokerId>>,
    given_up: AtomicBool,
}

/// The machine, and what it has settled and is not told to those who wait yet.
struct Locked {
    machine: Machine<Token>,
    /// Settlements that some task is telling now; others that end meanwhile are told by it, too, so that all are told
    /// in their order.
    telling: Option<Vec<Token>>,
}

impl std::fmt::Debug for Locked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Machine").field(&self.machine.backlog()).finish()
    }
}

/// While it lives, batches do not linger.
pub(super) struct Hurry<'a>(&'a Inner);

impl Drop for Hurry<'_> {
    fn drop(&mut self) {
        self.0.machine.lock().machine.on_calm();
    }
}

impl Inner {
    pub(super) fn new(config: ProducerConfig, machine: Machine<Token>, cluster: Arc<Shared>) -> Inner {
        let bytes = usize::try_from(config.buffer_bytes).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        Inner {
            config,
            machine: Mutex::new(Locked { machine, telling: None }),
            cluster,
            wake: Notify::new(),
            buffer: Semaphore::new(bytes),
            connecting: Mutex::new(HashSet::new()),
            given_up: AtomicBool::new(false),
        }
    }

    pub(super) fn config(&self) -> &ProducerConfig {
        &self.config
    }

    pub(super) fn buffer(&self) -> &Semaphore {
        &self.buffer
    }

    /// Gives bytes back to the buffer.
    pub(super) fn release(&self, bytes: usize) {
        self.buffer.add_permits(bytes);
    }

    /// Adds a record to a batch and wakes the sender if that made something due.
    pub(super) fn append(
        &self,
        topic: &TopicInfo,
        incoming: &Incoming<'_>,
    ) -> Result<(PartitionIndex, Token, u32), BuildError> {
        let (partition, appended) = self.machine.lock().machine.on_record(topic, incoming, time::now)?;
        if appended.is_news {
            self.wake.notify_one();
        }
        Ok((partition, appended.token, appended.index))
    }

    /// Makes batches go out without lingering for as long as the answer lives.
    pub(super) fn hurry(&self) -> Hurry<'_> {
        self.machine.lock().machine.on_hurry();
        self.wake.notify_one();
        Hurry(self)
    }

    /// The promises of all batches there are now, those included whose end is being told.
    pub(super) fn open_promises(&self) -> Vec<Token> {
        let locked = self.machine.lock();
        let mut open = locked.machine.tokens();
        open.extend(locked.telling.iter().flatten().cloned());
        open
    }

    /// Fails what is not in flight, now and when it comes back to be sent again.
    pub(super) fn give_up(&self) {
        self.given_up.store(true, Ordering::Release);
        self.machine.lock().machine.fail_all(&DeliveryError::Closed);
        self.tell();
    }

    /// Tells those who wait what the machine has settled. One task does it at a time and takes along what comes
    /// meanwhile: outcomes of a partition are heard in its order, and a callback may send or drop the producer.
    fn tell(&self) {
        loop {
            let settled: Vec<Settlement<Token>> = {
                let locked = &mut *self.machine.lock();
                if locked.telling.is_some() {
                    return;
                }
                let settled: Vec<_> = std::iter::from_fn(|| locked.machine.poll_settlement()).collect();
                if settled.is_empty() {
                    return;
                }
                locked.telling = Some(settled.iter().map(|one| Arc::clone(&one.token)).collect());
                settled
            };
            for Settlement { token, end, released } in settled {
                self.release(released);
                match end {
                    End::Stored(stored) => token.settle(Settled::Stored(stored)),
                    End::Failed(error) => token.settle(Settled::Failed(error)),
                    End::Split(parts) => token.settle(Settled::Split(parts)),
                    End::Returned => {}
                }
            }
            self.machine.lock().telling = None;
        }
    }

    fn backoff(&self, attempts: u32) -> Duration {
        let backoff = Backoff::new(self.config.common.retry_backoff);
        backoff.wait_after(attempts.saturating_sub(1), self.cluster.random())
    }

    /// Hands verdicts to the machine and whatever they settle to those who wait.
    fn conclude(&self, node: BrokerId, verdicts: Vec<(QueueId, Batch<Token>, Verdict)>) {
        {
            let machine = &mut self.machine.lock().machine;
            machine.on_verdicts(node, verdicts, time::now());
            if self.given_up.load(Ordering::Acquire) {
                machine.fail_all(&DeliveryError::Closed);
            }
        }
        self.tell();
        self.wake.notify_one();
    }
}

/// Sends whatever is due until the task is ended.
pub(super) async fn run(inner: Arc<Inner>) {
    let mut news = inner.cluster.news();
    let mut reported = time::now();
    loop {
        let needs = send_due(&inner);
        serve(&inner, &needs);
        if time::now() >= reported + USE_REPORTED_EVERY {
            reported = time::now();
            let used = inner.machine.lock().machine.take_used_topics();
            used.iter().for_each(|topic| inner.cluster.use_topic(topic));
        }
        task::select! {
            biased;
            () = inner.wake.notified() => {}
            _ = news.changed() => {}
            () = time::sleep_until_some(needs.deadline) => {}
        }
    }
}

/// Sends all requests that may be sent now; answers what keeps back the rest.
fn send_due(inner: &Arc<Inner>) -> Needs {
    let image = inner.cluster.image();
    let is_connected = |id| {
        let link = inner.cluster.link(Target::Broker(id), Lane::Data);
        link.is_some_and(|link| link.ready().is_some())
    };
    loop {
        let now = time::now();
        let outbound = inner.machine.lock().machine.poll_request(&image, is_connected, now);
        if let Some(outbound) = outbound {
            dispatch(inner, outbound);
            continue;
        }
        let needs = inner.machine.lock().machine.poll_needs(&image, is_connected, now);
        inner.tell();
        return needs;
    }
}

/// Begins what the machine needs from outside.
fn serve(inner: &Arc<Inner>, needs: &Needs) {
    if needs.metadata {
        inner.cluster.want_news();
    }
    for node in &needs.connections {
        if !inner.connecting.lock().insert(*node) {
            continue;
        }
        let (inner, node) = (Arc::clone(inner), *node);
        task::spawn(async move {
            if inner.cluster.connect(Target::Broker(node), Lane::Data).await.is_err() {
                // The leader may have moved to a node that is alive.
                inner.cluster.want_news();
            }
            inner.connecting.lock().remove(&node);
            inner.wake.notify_one();
        });
    }
    if needs.identity {
        inner.machine.lock().machine.on_identity_asked();
        let inner = Arc::clone(inner);
        task::spawn(async move { ask_identity(&inner).await });
    }
}

/// Asks for a producer id, and tells the machine.
async fn ask_identity(inner: &Inner) {
    // The timeout of transactions means nothing here; Kafka's clients send the largest.
    let request = InitProducerIdRequest {
        transactional_id: None,
        transaction_timeout_ms: i32::MAX,
        ..Default::default()
    };
    let answer = match inner.cluster.candidates(false).first() {
        Some(target) => inner.cluster.call(*target, &request, CallOptions::default()).await,
        None => Err(CallError::NoNode { call: "initProducerId" }),
    };
    let retry_at = time::now() + inner.backoff(1);
    let outcome =
        answer.map_err(|error| (error.is_retriable(), DeliveryError::Call(error))).and_then(|said| {
            ServerError::check(said.error_code, None)
                .map_err(|error| (error.is_retriable(), DeliveryError::refused(error)))?;
            let identity = ProducerId::new(said.producer_id).zip(ProducerEpoch::new(said.producer_epoch));
            identity.ok_or((true, DeliveryError::refused(ErrorCode::UnknownServerError.into())))
        });
    {
        let machine = &mut inner.machine.lock().machine;
        match outcome {
            Ok((id, epoch)) => machine.on_identity(id, epoch),
            Err((true, error)) => {
                tracing::debug!(%error, "no producer id yet");
                machine.on_identity_failed(retry_at);
            }
            Err((false, error)) => machine.on_identity_refused(&error, retry_at),
        }
    }
    inner.tell();
    inner.wake.notify_one();
}

/// Seals the batches, queues the request, and leaves the answer to a task of its own.
fn dispatch(inner: &Arc<Inner>, outbound: Outbound<Token>) {
    let node = outbound.node;
    let mut sent: Vec<Sent> = Vec::with_capacity(outbound.batches.len());
    let mut bytes = Vec::with_capacity(outbound.batches.len());
    let mut verdicts = Vec::new();
    let image = inner.cluster.image();
    for (queue, mut batch) in outbound.batches {
        let partition = inner.machine.lock().machine.partition_of(queue).clone();
        match batch.seal() {
            Ok(sealed) => {
                let topic_id = image.topic(&partition.topic).and_then(|topic| topic.id);
                sent.push(Sent { queue, batch, partition, topic_id });
                bytes.push(sealed);
            }
            Err(error) => verdicts.push((queue, batch, Verdict::Refused(error.into()))),
        }
    }
    if sent.is_empty() {
        return inner.conclude(node, verdicts);
    }
    let link = inner.cluster.link(Target::Broker(node), Lane::Data);
    let attempt = match link.and_then(|link| link.ready()) {
        Some(connection) => begin(inner, &connection, &sent, &bytes),
        None => Err(CallError::NoNode { call: "produce" }),
    };
    match attempt {
        Ok(answer) => {
            let inner = Arc::clone(inner);
            task::spawn(async move {
                let outcome = answer.wait().await;
                verdicts.extend(judge(&inner, node, sent, outcome));
                inner.conclude(node, verdicts);
            });
        }
        Err(error) => {
            let unsent = |Sent { queue, batch, .. }: Sent| {
                let verdict = unsent_verdict(inner, &batch, error.clone());
                (queue, batch, verdict)
            };
            verdicts.extend(sent.into_iter().map(unsent));
            inner.conclude(node, verdicts);
        }
    }
}

/// A request that did not leave: certainly not stored, and tried again unless it can never leave.
fn unsent_verdict(inner: &Inner, batch: &Batch<Token>, error: CallError) -> Verdict {
    let is_final = matches!(
        error,
        CallError::Unsupported { .. } | CallError::TooOld { .. } | CallError::Unwritable { .. }
    );
    if is_final {
        return Verdict::Refused(error.into());
    }
    Verdict::Again { ambiguous: false, error: error.into(), wait: inner.backoff(batch.attempts) }
}

/// The answer of a Produce request, where the broker gives one.
enum Answer {
    Awaited(Pending<ProduceResponse>),
    /// `acks=0`: hears when the bytes are in the socket.
    Written(ottla_env::sync::oneshot::Receiver<Result<(), CallError>>, Endpoint),
}

impl Answer {
    async fn wait(self) -> Result<Option<ProduceResponse>, CallError> {
        match self {
            Answer::Awaited(pending) => pending.wait().await.map(Some),
            Answer::Written(written, node) => match written.await {
                Ok(outcome) => outcome.map(|()| None),
                Err(_) => Err(CallError::Lost { node, reason: "its task ended".to_owned() }),
            },
        }
    }
}

fn begin(
    inner: &Inner,
    connection: &Arc<Connection>,
    sent: &[Sent],
    bytes: &[Bytes],
) -> Result<Answer, CallError> {
    let all_ids_known = sent.iter().all(|one| one.topic_id.is_some());
    let cap = if all_ids_known { i16::MAX } else { NAMES_UNTIL };
    let version = connection.version_of::<ProduceRequest>(cap)?;
    if version < ZSTD_SINCE && inner.config.compression.compression() == Compression::Zstd {
        return Err(CallError::TooOld { api: api_name(ProduceRequest::KEY), feature: "zstd" });
    }
    let mut topics: BTreeMap<&TopicName, TopicProduceData> = BTreeMap::new();
    for (Sent { partition, topic_id, .. }, records) in sent.iter().zip(bytes) {
        let topic = topics.entry(&partition.topic).or_insert_with(|| TopicProduceData {
            name: partition.topic.to_string(),
            topic_id: topic_id.map_or_else(Default::default, TopicId::uuid),
            ..Default::default()
        });
        topic.partition_data.push(PartitionProduceData {
            index: partition.partition.value(),
            records: Some(records.clone()),
        });
    }
    let timeout = inner.config.common.request_timeout;
    let request = ProduceRequest {
        transactional_id: None,
        acks: inner.config.acks.wire(),
        timeout_ms: i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX),
        topic_data: topics.into_values().collect(),
    };
    if inner.config.acks == Acks::None {
        let written = connection.send_unanswered(&request, version)?;
        return Ok(Answer::Written(written, connection.node().clone()));
    }
    Ok(Answer::Awaited(connection.send(&request, version, None)?))
}

/// What the answer, or its absence, means for each batch of a request.
fn judge(
    inner: &Inner,
    node: BrokerId,
    sent: Vec<Sent>,
    outcome: Result<Option<ProduceResponse>, CallError>,
) -> Vec<(QueueId, Batch<Token>, Verdict)> {
    match &outcome {
        Ok(Some(response)) => {
            if let Ok(throttle @ 1..) = u64::try_from(response.throttle_time_ms) {
                let until: Instant = time::now() + Duration::from_millis(throttle);
                inner.machine.lock().machine.on_throttled(node, until);
            }
        }
        Ok(None) => {}
        Err(_) => inner.cluster.want_news(),
    }
    let verdict_of = |sent: &Sent| match &outcome {
        Ok(Some(response)) => judge_one(inner, sent, response),
        Ok(None) => Verdict::Stored(Stored { base_offset: None, append_time: None }),
        Err(error) => {
            let wait = inner.backoff(sent.batch.attempts);
            Verdict::Again { ambiguous: true, error: error.clone().into(), wait }
        }
    };
    let verdicts = sent.into_iter().map(|sent| {
        let verdict = verdict_of(&sent);
        (sent.queue, sent.batch, verdict)
    });
    verdicts.collect()
}

fn judge_one(inner: &Inner, sent: &Sent, response: &ProduceResponse) -> Verdict {
    let pause = || inner.backoff(sent.batch.attempts);
    let again = |ambiguous, error: ServerError, wait| Verdict::Again {
        ambiguous,
        error: DeliveryError::refused(error),
        wait,
    };
    let Some(said) = answer_of(sent, response) else {
        return again(true, ErrorCode::UnknownServerError.into(), pause());
    };
    let Some(code) = error_of(said.error_code) else {
        return Verdict::Stored(Stored {
            base_offset: Offset::new(said.base_offset),
            append_time: (said.log_append_time_ms >= 0)
                .then(|| Timestamp::from_millis(said.log_append_time_ms)),
        });
    };
    let error = ServerError { code, detail: said.error_message.clone() };
    let mut knows_better = false;
    if needs_fresh_metadata(code) {
        knows_better = take_hint(inner, &sent.partition, said, &response.node_endpoints);
        inner.cluster.want_news();
    }
    if code == ErrorCode::DuplicateSequenceNumber {
        return Verdict::Stored(Stored { base_offset: None, append_time: None });
    }
    if code == ErrorCode::OutOfOrderSequenceNumber {
        return Verdict::OutOfSequence { forgotten: false, error: DeliveryError::refused(error) };
    }
    if code == ErrorCode::UnknownProducerId || code == ErrorCode::InvalidProducerEpoch {
        return Verdict::OutOfSequence { forgotten: true, error: DeliveryError::refused(error) };
    }
    if code == ErrorCode::MessageTooLarge {
        return Verdict::TooLarge(DeliveryError::refused(error));
    }
    if code.is_retriable() {
        // With these two the leader has the records, only not enough replicas in time.
        let ambiguous = code == ErrorCode::RequestTimedOut || code == ErrorCode::NotEnoughReplicasAfterAppend;
        // A leader that was not known before may be asked at once (KIP-951).
        let wait = if knows_better { Duration::ZERO } else { pause() };
        return again(ambiguous, error, wait);
    }
    let reasons = said.record_errors.iter().filter_map(|one| {
        let reason = one.batch_index_error_message.clone().or_else(|| error.detail.clone());
        Some((u32::try_from(one.batch_index).ok()?, reason.unwrap_or_else(|| code.message().to_owned())))
    });
    let records = Arc::new(reasons.collect());
    Verdict::Refused(DeliveryError::Refused { error, records })
}

/// What a response says of a batch, under the topic's name or id.
fn answer_of<'a>(sent: &Sent, response: &'a ProduceResponse) -> Option<&'a PartitionProduceResponse> {
    let topic = response.responses.iter().find(|topic| match TopicId::new(topic.topic_id) {
        Some(said) => Some(said) == sent.topic_id,
        None => topic.name == sent.partition.topic.as_str(),
    })?;
    topic.partition_responses.iter().find(|said| said.index == sent.partition.partition.value())
}

/// Takes over the leader that a refusal names (KIP-951). Answers whether it was news.
fn take_hint(
    inner: &Inner,
    partition: &TopicPartition,
    said: &PartitionProduceResponse,
    nodes: &[NodeEndpoint],
) -> bool {
    let leader = &said.current_leader;
    let Some(named) = nodes.iter().find(|node| node.node_id == leader.leader_id) else { return false };
    let node = Node::named((named.node_id, &named.host, named.port), named.rack.as_deref());
    let hint = node.zip(LeaderEpoch::new(leader.leader_epoch));
    hint.is_some_and(|(node, epoch)| inner.cluster.on_leader_hint(partition, &Arc::new(node), epoch))
}
