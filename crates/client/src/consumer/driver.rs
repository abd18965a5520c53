//! The task that does what the machine asks for, and what it shares with the handle.
//!
//! Owns: sending questions, and giving their answers to the machine.
//! Does not own: what is asked when (`machine`), group requests (`group_calls`), offsets (`offset_calls`).

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ottla_env::sync::{Notify, watch};
use ottla_env::{task, time};
use ottla_model::{
    BrokerId, LeaderEpoch, Offset, PartitionIndex, ProducerId, TopicId, TopicName, TopicPartition,
};
use ottla_protocol::messages::fetch_request::{FetchPartition, FetchTopic, ForgottenTopic};
use ottla_protocol::messages::fetch_response::{NodeEndpoint, PartitionData};
use ottla_protocol::messages::{FetchRequest, FetchResponse};
use parking_lot::Mutex;

use super::chunk::Aborted;
use super::fetcher::{FetchAnswer, FetchOrder, PartitionAnswer};
use super::hooks::Hooks;
use super::machine::{Machine, Work};
use super::positions::Watermarks;
use super::{group_calls, offset_calls, validation};
use crate::backoff::Backoff;
use crate::cluster::{CallOptions, ClusterImage, Lane, Node, Shared, Target};
use crate::config::ConsumerConfig;
use crate::connection::Request;
use crate::error::{CallError, error_of};

/// Last version of Fetch that names topics instead of their ids.
const NAMES_UNTIL: i16 = 12;

/// What the handle, the driver and its questions share.
#[derive(Debug)]
pub(super) struct Inner {
    pub(super) config: ConsumerConfig,
    pub(super) machine: Mutex<Machine>,
    pub(super) cluster: Arc<Shared>,
    /// Wakes the driver: there may be something to ask.
    pub(super) wake: Notify,
    /// Tells whoever waits that there may be records, or something to do for the group. Each waiter has its own
    /// receiver, so that none takes the news from another.
    pub(super) arrived: watch::Sender<()>,
    pub(super) hooks: Hooks,
    connecting: Mutex<HashSet<BrokerId>>,
}

impl Inner {
    pub(super) fn new(config: ConsumerConfig, cluster: Arc<Shared>, hooks: Hooks) -> Inner {
        Inner {
            machine: Mutex::new(Machine::new(&config, time::now())),
            config,
            cluster,
            wake: Notify::new(),
            arrived: watch::channel(()).0,
            hooks,
            connecting: Mutex::new(HashSet::new()),
        }
    }

    /// Changes the machine's state and wakes whoever may care.
    pub(super) fn update<R>(&self, change: impl FnOnce(&mut Machine) -> R) -> R {
        let result = change(&mut self.machine.lock());
        self.wake.notify_one();
        self.tell();
        result
    }

    /// Wakes everybody who waits for something to arrive.
    pub(super) fn tell(&self) {
        self.arrived.send_replace(());
    }

    /// The pause before another attempt.
    pub(super) fn pause(&self) -> Duration {
        Backoff::new(self.config.common.retry_backoff).wait_after(0, self.cluster.random())
    }

    /// Whether a connected node takes topic ids in Fetch; `None` for one that is not connected.
    fn speaks_ids(&self, node: BrokerId) -> Option<bool> {
        let connection = self.cluster.link(Target::Broker(node), Lane::Data)?.ready()?;
        let version = connection.version_of::<FetchRequest>(i16::MAX);
        Some(version.is_ok_and(|version| version > NAMES_UNTIL))
    }
}

/// Does what the machine asks for until the task is ended.
pub(super) async fn run(inner: Arc<Inner>) {
    let mut news = inner.cluster.news();
    loop {
        let image = inner.cluster.image();
        let deadline = ask_due(&inner, &image);
        task::select! {
            biased;
            () = inner.wake.notified() => {}
            changed = news.changed() => {
                if changed.is_err() {
                    return;
                }
                let image = inner.cluster.image();
                inner.machine.lock().on_image(&image);
                // Waiting for topics may have an end now, also a bad one.
                inner.tell();
            }
            () = time::sleep_until_some(deadline) => {}
        }
    }
}

/// Begins everything that is due; answers when to look again.
fn ask_due(inner: &Arc<Inner>, image: &ClusterImage) -> Option<Instant> {
    let now = time::now();
    let (work, has_event) = {
        let mut machine = inner.machine.lock();
        let work = machine.poll_work(image, |node| inner.speaks_ids(node), now);
        (work, machine.event().is_some())
    };
    for work in work {
        begin(inner, work);
    }
    if has_event {
        inner.tell();
    }
    inner.machine.lock().deadline(now)
}

fn begin(inner: &Arc<Inner>, work: Work) {
    let inner = Arc::clone(inner);
    match work {
        Work::Metadata => inner.cluster.want_news(),
        Work::Connect(node) => {
            if inner.connecting.lock().insert(node) {
                task::spawn(async move { connect(&inner, node).await });
            }
        }
        Work::Fetch(order) => drop(task::spawn(async move { fetch(&inner, order).await })),
        Work::AskCommitted(partitions) => {
            task::spawn(async move { offset_calls::ask_committed(&inner, partitions).await });
        }
        Work::AskOffsets(question) => {
            task::spawn(async move { offset_calls::ask_offsets(&inner, question).await });
        }
        Work::Validate(node, validations) => {
            task::spawn(async move { validation::validate(&inner, node, validations).await });
        }
        Work::Group(action) => drop(task::spawn(async move { group_calls::perform(&inner, action).await })),
    }
}

async fn connect(inner: &Inner, node: BrokerId) {
    if inner.cluster.connect(Target::Broker(node), Lane::Data).await.is_err() {
        // The leader may have moved to a node that is alive.
        inner.cluster.want_news();
    }
    inner.connecting.lock().remove(&node);
    inner.wake.notify_one();
}

async fn fetch(inner: &Inner, order: FetchOrder) {
    let request = fetch_request(&inner.config, &order);
    let cap = if order.uses_ids { i16::MAX } else { NAMES_UNTIL };
    let options = CallOptions { lane: Lane::Data, version_cap: cap, timeout: None };
    let answer: Result<FetchResponse, CallError> =
        inner.cluster.call(Target::Broker(order.node), &request, options).await;
    let now = time::now();
    let wants_metadata = match answer {
        Ok(response) => {
            let mut partitions = read_answer(&inner.cluster.image(), &response);
            for partition in &mut partitions {
                partition.leader_is_news = take_hint(inner, partition, &response.node_endpoints);
            }
            let error = error_of(response.error_code);
            let answer = FetchAnswer { error, session_id: response.session_id, partitions };
            inner.update(|machine| {
                if let Ok(throttle @ 1..) = u64::try_from(response.throttle_time_ms) {
                    machine.fetcher.on_throttled(order.node, now + Duration::from_millis(throttle));
                }
                machine.on_fetched(&order, answer, now)
            })
        }
        Err(error) => {
            tracing::debug!(api = FetchRequest::KEY.name(), %error, "fetch failed");
            inner.update(|machine| machine.fetcher.on_failure(&order, now));
            true
        }
    };
    if wants_metadata {
        inner.cluster.want_news();
    }
}

/// Takes over the leader that a refusal names (KIP-951). Answers whether it was news.
fn take_hint(inner: &Inner, answer: &PartitionAnswer, nodes: &[NodeEndpoint]) -> bool {
    let Some((leader, epoch)) = answer.current_leader else { return false };
    let Some(named) = nodes.iter().find(|node| node.node_id == leader.value()) else { return false };
    let node = Node::named((named.node_id, &named.host, named.port), named.rack.as_deref());
    node.is_some_and(|node| inner.cluster.on_leader_hint(&answer.partition, &Arc::new(node), epoch))
}

fn fetch_request(config: &ConsumerConfig, order: &FetchOrder) -> FetchRequest {
    // Partitions go in the order of their turn; neighbours of one topic share an entry.
    let mut topics: Vec<FetchTopic> = Vec::new();
    for (partition, want) in &order.session.named {
        let wanted = FetchPartition {
            partition: partition.partition.value(),
            current_leader_epoch: want.leader_epoch.map_or(-1, LeaderEpoch::value),
            fetch_offset: want.offset.value(),
            partition_max_bytes: want.bytes_max,
            ..Default::default()
        };
        match topics.last_mut() {
            Some(last) if last.topic == partition.topic.as_str() => last.partitions.push(wanted),
            _ => topics.push(FetchTopic {
                topic: partition.topic.to_string(),
                topic_id: want.topic_id.map(TopicId::uuid).unwrap_or_default(),
                partitions: vec![wanted],
            }),
        }
    }
    let mut forgotten: BTreeMap<(TopicName, Option<TopicId>), Vec<i32>> = BTreeMap::new();
    for (partition, id) in &order.session.forgotten {
        forgotten.entry((partition.topic.clone(), *id)).or_default().push(partition.partition.value());
    }
    FetchRequest {
        max_wait_ms: i32::try_from(config.fetch_wait_max.as_millis()).unwrap_or(i32::MAX),
        min_bytes: config.fetch_bytes_min,
        max_bytes: config.fetch_bytes_max,
        isolation_level: config.isolation.wire(),
        session_id: order.session.session_id,
        session_epoch: order.session.session_epoch,
        topics,
        forgotten_topics_data: forgotten
            .into_iter()
            .map(|((topic, id), partitions)| ForgottenTopic {
                topic: topic.to_string(),
                topic_id: id.map(TopicId::uuid).unwrap_or_default(),
                partitions,
            })
            .collect(),
        rack_id: config.rack.clone(),
        ..Default::default()
    }
}

fn read_answer(image: &ClusterImage, response: &FetchResponse) -> Vec<PartitionAnswer> {
    let mut answers = Vec::new();
    for topic in &response.responses {
        let name = match TopicId::new(topic.topic_id) {
            Some(id) => image.topic_by_id(id).map(|topic| topic.name.clone()),
            None => TopicName::new(&topic.topic).ok(),
        };
        let Some(name) = name else { continue };
        answers.extend(topic.partitions.iter().filter_map(|said| read_partition(&name, said)));
    }
    answers
}

fn read_partition(topic: &TopicName, said: &PartitionData) -> Option<PartitionAnswer> {
    let aborted = said.aborted_transactions.iter().flatten().filter_map(|transaction| {
        let producer = ProducerId::new(transaction.producer_id)?;
        Some(Aborted { producer, first_offset: Offset::new(transaction.first_offset)? })
    });
    Some(PartitionAnswer {
        partition: TopicPartition::new(topic.clone(), PartitionIndex::new(said.partition_index)?),
        error: error_of(said.error_code),
        watermarks: Watermarks {
            high_watermark: Offset::new(said.high_watermark),
            last_stable: Offset::new(said.last_stable_offset),
            log_start: Offset::new(said.log_start_offset),
        },
        aborted: aborted.collect(),
        preferred_replica: BrokerId::new(said.preferred_read_replica),
        current_leader: BrokerId::new(said.current_leader.leader_id)
            .zip(LeaderEpoch::new(said.current_leader.leader_epoch)),
        leader_is_news: false,
        records: said.records.clone().unwrap_or_default(),
    })
}
