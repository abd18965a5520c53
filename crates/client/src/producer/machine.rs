//! The producer without sockets: records in, requests out, answers in, outcomes out.
//!
//! Owns: routing records to partitions and partitions to requests, requests in flight per node, the identity of the
//! idempotent producer.
//! Does not own: order and sequences within a partition (`queue`), the choice of a partition (`partitioner`), the
//! buffer's bytes and the sending (`sender`).
//!
//! Invariants
//! - I1 a queue is in `active` exactly when it is not idle;
//! - I2 no node has more than `in_flight_max` requests in flight;
//! - I3 every batch ends as one settlement.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::Instant;

use ottla_model::{BrokerId, PartitionIndex, ProducerEpoch, ProducerId, TopicName, TopicPartition};
use ottla_protocol::record::BuildError;

use super::batch::{Batch, Identity, IdentityState};
use super::error::DeliveryError;
use super::exchange::{Incoming, Needs, Outbound, QueueId, Settings};
use super::partitioner::{Candidate, Facts, Placer};
use super::queue::{Appended, Context, PartitionQueue, Settlement, Verdict};
use crate::cluster::{ClusterImage, TopicInfo};

#[derive(Debug, Default)]
struct NodeState {
    in_flight: u32,
    throttled_until: Option<Instant>,
}

struct Topic {
    placer: Placer,
    /// Whether a record came since [`Machine::take_used_topics`].
    is_used: bool,
    /// By partition number.
    queues: Vec<Option<QueueId>>,
}

/// A producer. `T` stands for who waits for a batch.
pub(crate) struct Machine<T> {
    settings: Settings,
    topics: HashMap<TopicName, Topic>,
    queues: Vec<PartitionQueue<T>>,
    active: BTreeSet<QueueId>,
    nodes: HashMap<BrokerId, NodeState>,
    identity: IdentityState,
    settled: VecDeque<Settlement<T>>,
    /// How many callers wait for all batches, or for room in the buffer: batches do not linger meanwhile.
    hurried: u32,
    /// The queue after which the next request begins to look, so that all partitions get their turn.
    turn: Option<QueueId>,
}

impl<T: Clone + Default> Machine<T> {
    pub(crate) fn new(settings: Settings) -> Machine<T> {
        let identity = match settings.idempotence {
            true => IdentityState::Wanted { not_before: None },
            false => IdentityState::NotNeeded,
        };
        Machine {
            settings,
            topics: HashMap::new(),
            queues: Vec::new(),
            active: BTreeSet::new(),
            nodes: HashMap::new(),
            identity,
            settled: VecDeque::new(),
            hurried: 0,
            turn: None,
        }
    }

    /// Puts a record into a batch of its partition, or of one that is chosen now. The time is asked for only where
    /// something depends on it: reading the clock for every record would be felt.
    pub(crate) fn on_record(
        &mut self,
        topic: &TopicInfo,
        incoming: &Incoming<'_>,
        now: impl Fn() -> Instant,
    ) -> Result<(PartitionIndex, Appended<T>), BuildError> {
        let partition = match incoming.partition {
            Some(partition) => partition,
            None => self.choose_partition(topic, incoming, &now),
        };
        let queue = self.queue_of(topic, partition);
        let shape = self.settings.shape;
        let appended = self.queues[queue.0].append((incoming.record, incoming.reserved), &shape, now)?;
        self.active.insert(queue);
        if incoming.partition.is_none()
            && let Some(known) = self.topics.get_mut(&topic.name)
        {
            known.placer.on_appended(partition, incoming.reserved, &self.settings.placement);
        }
        Ok((partition, appended))
    }

    fn choose_partition(
        &mut self,
        topic: &TopicInfo,
        incoming: &Incoming<'_>,
        now: &impl Fn() -> Instant,
    ) -> PartitionIndex {
        let settings = self.settings;
        let known = self.topics.entry(topic.name.clone()).or_insert_with(Topic::new);
        known.is_used = true;
        let Topic { placer, queues, .. } = known;
        let all = &self.queues;
        let candidates = || {
            let now = now();
            let candidate = |(partition, info): (PartitionIndex, &crate::cluster::PartitionInfo)| {
                let at = usize::try_from(partition.value()).unwrap_or(usize::MAX);
                let queue = queues.get(at).copied().flatten().map(|id| &all[id.0]);
                let stuck = settings.availability_timeout.is_some_and(|timeout| {
                    let ready =
                        queue.and_then(|one| one.ready_at(&settings.patience, &settings.shape, false));
                    ready.is_some_and(|ready| ready + timeout <= now)
                });
                Candidate {
                    partition,
                    queued: queue.map_or(0, |one| u32::try_from(one.waiting()).unwrap_or(u32::MAX)),
                    available: info.leader.is_some() && !stuck,
                }
            };
            topic.iter().map(candidate).collect()
        };
        let facts =
            Facts { key: incoming.record.key, count: topic.partition_count(), random: incoming.random };
        placer.partition_for(facts, &settings.placement, candidates)
    }

    fn queue_of(&mut self, topic: &TopicInfo, partition: PartitionIndex) -> QueueId {
        let at = usize::try_from(partition.value()).unwrap_or(usize::MAX);
        if let Some(known) = self.topics.get_mut(&topic.name)
            && let Some(Some(queue)) = known.queues.get(at)
        {
            known.is_used = true;
            return *queue;
        }
        let known = self.topics.entry(topic.name.clone()).or_insert_with(Topic::new);
        if known.queues.len() <= at {
            known.queues.resize(at + 1, None);
        }
        let queue = QueueId(self.queues.len());
        known.queues[at] = Some(queue);
        self.queues.push(PartitionQueue::new(TopicPartition::new(topic.name.clone(), partition)));
        queue
    }

    /// The next request that may be sent now, to a node that `is_connected`.
    pub(crate) fn poll_request(
        &mut self,
        image: &ClusterImage,
        is_connected: impl Fn(BrokerId) -> bool,
        now: Instant,
    ) -> Option<Outbound<T>> {
        let identity = self.usable_identity()?;
        let order: Vec<QueueId> = self.in_turn().collect();
        let mut outbound: Option<Outbound<T>> = None;
        let mut bytes = 0;
        for queue in order {
            let Some(leader) = self.leader_to_serve(queue, image, now) else { continue };
            let chosen = outbound.as_ref().map(|outbound| outbound.node);
            let fits = match chosen {
                None => is_connected(leader) && self.has_room(leader, now),
                Some(node) => {
                    node == leader
                        && bytes + self.queues[queue.0].first_bytes() <= self.settings.request_bytes_max
                }
            };
            if !fits || !self.queues[queue.0].may_send(leader, identity) {
                continue;
            }
            let Some(batch) = self.queues[queue.0].take(leader, identity) else { continue };
            bytes += batch.bytes();
            let fresh = || Outbound { node: leader, batches: Vec::new() };
            outbound.get_or_insert_with(fresh).batches.push((queue, batch));
            self.turn = Some(queue);
        }
        if let Some(outbound) = &outbound {
            self.nodes.entry(outbound.node).or_default().in_flight += 1;
        }
        outbound
    }

    /// What keeps batches from being sent, and when to look again. Expired batches are given up.
    pub(crate) fn poll_needs(
        &mut self,
        image: &ClusterImage,
        is_connected: impl Fn(BrokerId) -> bool,
        now: Instant,
    ) -> Needs {
        self.expire(now);
        let mut needs = Needs::default();
        match &self.identity {
            IdentityState::Wanted { not_before } if !self.active.is_empty() => {
                needs.look_at(*not_before, now);
                needs.identity = not_before.is_none_or(|at| at <= now);
            }
            IdentityState::Wanted { .. } | IdentityState::Asked => {}
            IdentityState::Known(_) | IdentityState::NotNeeded => {}
        }
        for id in &self.active {
            let queue = &self.queues[id.0];
            let hurry = self.hurried > 0;
            let ready = queue.ready_at(&self.settings.patience, &self.settings.shape, hurry);
            needs.look_at(ready, now);
            needs.look_at(queue.expires_at(&self.settings.patience), now);
            if ready.is_none_or(|ready| ready > now) {
                continue;
            }
            match image.partition(queue.partition()).and_then(|info| info.leader) {
                None => needs.metadata = true,
                Some(leader) if !is_connected(leader) => drop(needs.connections.insert(leader)),
                Some(leader) => {
                    let throttled = self.nodes.get(&leader).and_then(|node| node.throttled_until);
                    needs.look_at(throttled, now);
                }
            }
        }
        needs
    }

    /// A request of [`Machine::poll_request`] came to its end.
    pub(crate) fn on_verdicts(
        &mut self,
        node: BrokerId,
        verdicts: Vec<(QueueId, Batch<T>, Verdict)>,
        now: Instant,
    ) {
        if let Some(state) = self.nodes.get_mut(&node) {
            state.in_flight -= 1;
        }
        for (id, batch, verdict) in verdicts {
            let context = Context {
                patience: &self.settings.patience,
                shape: &self.settings.shape,
                now,
                settled: &mut self.settled,
            };
            let queue = &mut self.queues[id.0];
            let outdated = queue.on_verdict(batch, verdict, context);
            if queue.is_idle() {
                self.active.remove(&id);
            }
            if let Some(outdated) = outdated {
                self.on_outdated(outdated);
            }
        }
    }

    /// The node asked for a pause (KIP-219).
    pub(crate) fn on_throttled(&mut self, node: BrokerId, until: Instant) {
        self.nodes.entry(node).or_default().throttled_until = Some(until);
    }

    /// InitProducerId is on its way.
    pub(crate) fn on_identity_asked(&mut self) {
        self.identity = IdentityState::Asked;
    }

    /// The cluster gave an id.
    pub(crate) fn on_identity(&mut self, id: ProducerId, epoch: ProducerEpoch) {
        self.identity = IdentityState::Known(Identity { id, epoch });
    }

    /// The cluster gave no id now; ask again later.
    pub(crate) fn on_identity_failed(&mut self, not_before: Instant) {
        self.identity = IdentityState::Wanted { not_before: Some(not_before) };
    }

    /// The cluster will never give an id: nothing that waits can be sent.
    pub(crate) fn on_identity_refused(&mut self, error: &DeliveryError, not_before: Instant) {
        self.fail_all(error);
        self.on_identity_failed(not_before);
    }

    /// Somebody waits until everything is sent, or for room: no lingering until [`Machine::on_calm`].
    pub(crate) fn on_hurry(&mut self) {
        self.hurried += 1;
    }

    pub(crate) fn on_calm(&mut self) {
        self.hurried -= 1;
    }

    /// Gives up everything that is not in flight.
    pub(crate) fn fail_all(&mut self, error: &DeliveryError) {
        for id in std::mem::take(&mut self.active) {
            let queue = &mut self.queues[id.0];
            queue.fail_waiting(error, &mut self.settled);
            if !queue.is_idle() {
                self.active.insert(id);
            }
        }
    }

    /// The next batch that came to its end.
    pub(crate) fn poll_settlement(&mut self) -> Option<Settlement<T>> {
        self.settled.pop_front()
    }

    /// The partition of a queue.
    pub(crate) fn partition_of(&self, queue: QueueId) -> &TopicPartition {
        self.queues[queue.0].partition()
    }

    /// Topics that got a record since this was last asked.
    pub(crate) fn take_used_topics(&mut self) -> Vec<TopicName> {
        let used = self.topics.iter_mut().filter(|(_, topic)| topic.is_used);
        used.map(|(name, topic)| {
            topic.is_used = false;
            name.clone()
        })
        .collect()
    }

    /// Everybody who waits for a batch now.
    pub(crate) fn tokens(&self) -> Vec<T> {
        let active = self.active.iter().map(|id| &self.queues[id.0]);
        active.flat_map(PartitionQueue::tokens).collect()
    }

    /// The identity to stamp with, or `None` while there is none yet.
    fn usable_identity(&self) -> Option<Option<Identity>> {
        match &self.identity {
            IdentityState::NotNeeded => Some(None),
            IdentityState::Known(identity) => Some(Some(*identity)),
            IdentityState::Wanted { .. } | IdentityState::Asked => None,
        }
    }

    /// A queue cannot go on under `outdated`. Whoever says so first moves the producer to its next epoch.
    fn on_outdated(&mut self, outdated: Identity) {
        let IdentityState::Known(identity) = &self.identity else { return };
        if *identity != outdated {
            return;
        }
        let next = outdated.epoch.value().checked_add(1).and_then(ProducerEpoch::new);
        self.identity = match next {
            Some(epoch) => IdentityState::Known(Identity { epoch, ..outdated }),
            None => IdentityState::Wanted { not_before: None },
        };
    }

    fn expire(&mut self, now: Instant) {
        let ids: Vec<QueueId> = self.active.iter().copied().collect();
        for id in ids {
            let queue = &mut self.queues[id.0];
            let outdated = queue.expire(&self.settings.patience, now, &mut self.settled);
            if queue.is_idle() {
                self.active.remove(&id);
            }
            if let Some(outdated) = outdated {
                self.on_outdated(outdated);
            }
        }
    }

    /// All active queues, those behind the last served one first.
    fn in_turn(&self) -> impl Iterator<Item = QueueId> {
        let turn = self.turn;
        let later = self.active.iter().copied().filter(move |id| turn.is_none_or(|turn| *id > turn));
        let earlier = self.active.iter().copied().filter(move |id| turn.is_some_and(|turn| *id <= turn));
        later.chain(earlier)
    }

    /// The leader of a queue whose first batch is due.
    fn leader_to_serve(&self, id: QueueId, image: &ClusterImage, now: Instant) -> Option<BrokerId> {
        let queue = &self.queues[id.0];
        let ready = queue.ready_at(&self.settings.patience, &self.settings.shape, self.hurried > 0)?;
        if ready > now {
            return None;
        }
        image.partition(queue.partition())?.leader
    }

    fn has_room(&self, node: BrokerId, now: Instant) -> bool {
        self.nodes.get(&node).is_none_or(|state| {
            state.in_flight < self.settings.in_flight_max
                && state.throttled_until.is_none_or(|until| until <= now)
        })
    }

    /// Batches waiting per partition, for tests and metrics.
    pub(crate) fn backlog(&self) -> BTreeMap<TopicPartition, usize> {
        let queue = |id: &QueueId| (self.queues[id.0].partition().clone(), self.queues[id.0].waiting());
        self.active.iter().map(queue).collect()
    }
}

impl Topic {
    fn new() -> Topic {
        Topic { placer: Placer::default(), is_used: true, queues: Vec::new() }
    }
}
