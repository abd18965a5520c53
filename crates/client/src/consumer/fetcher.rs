//! Fetching: which node is asked for which partitions, and what its answers brought.
//!
//! Owns: the sessions, the buffer of chunks, what an error of a partition leads to.
//! Does not own: positions (`positions`), the records in a chunk (`chunk`), the request on the wire (`driver`).
//!
//! Invariants
//! - I1 at most one Fetch is in flight per node;
//! - I2 `buffered` is the sum of the bytes of the chunks, and nothing is fetched while it is at its limit;
//! - I3 chunks of one partition lie in the order of their offsets.
//!
//! A partition is fetched on while less than one answer of it waits behind the one that is read, so that reading
//! overlaps with the broker's work and the network's, also where a batch is as large as an answer.
//!
//! Source: requirements FET-01 to FET-33; KIP-227, KIP-392.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::{Duration, Instant};

use bytes::Bytes;
use ottla_model::{BrokerId, LeaderEpoch, Offset, TopicPartition};

use super::chunk::{Aborted, Chunk};
use super::positions::{Assigned, Phase, Positions, Watermarks};
use super::session::{Session, SessionRequest, Wanted};
use crate::cluster::ClusterImage;
use crate::error::{ErrorCode, ServerError};

/// How much is fetched.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FetchLimits {
    /// Bytes of one partition in one answer.
    pub partition_bytes_max: i32,
    /// Bytes that may be buffered when another Fetch is sent.
    pub buffered_bytes_max: usize,
    /// Pause after a partition could not be fetched.
    pub retry: Duration,
    /// How long a preferred replica is read from before the leader is asked again.
    pub replica_lease: Duration,
}

/// A Fetch to be sent.
#[derive(Clone, Debug)]
pub(crate) struct FetchOrder {
    pub node: BrokerId,
    pub uses_ids: bool,
    pub session: SessionRequest,
    /// Which stay each partition of the request is in; answers for another one are stale.
    pub stays: BTreeMap<TopicPartition, u64>,
}

/// What an answer says of one partition.
#[derive(Clone, Debug)]
pub(crate) struct PartitionAnswer {
    pub partition: TopicPartition,
    pub error: Option<ErrorCode>,
    pub watermarks: Watermarks,
    pub aborted: Vec<Aborted>,
    pub preferred_replica: Option<BrokerId>,
    /// Who leads, as a refusal says (KIP-951).
    pub current_leader: Option<(BrokerId, LeaderEpoch)>,
    /// Whether that was not known before.
    pub leader_is_news: bool,
    pub records: Bytes,
}

/// The answer to a Fetch.
#[derive(Clone, Debug, Default)]
pub(crate) struct FetchAnswer {
    /// An error of the whole answer.
    pub error: Option<ErrorCode>,
    pub session_id: i32,
    pub partitions: Vec<PartitionAnswer>,
}

/// What decides about fetching beside the fetcher itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View<'a> {
    pub positions: &'a Positions,
    pub image: &'a ClusterImage,
    pub now: Instant,
}

/// An answer being applied.
struct Applying<'a> {
    positions: &'a mut Positions,
    now: Instant,
    effects: FetchEffects,
}

/// What an answer leads to beside new chunks.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct FetchEffects {
    pub wants_metadata: bool,
    /// Errors to tell the user.
    pub failed: Vec<(TopicPartition, ServerError)>,
}

/// All fetching of one consumer.
#[derive(Debug)]
pub(crate) struct Fetcher {
    limits: FetchLimits,
    sessions: HashMap<BrokerId, Session>,
    in_flight: BTreeSet<BrokerId>,
    /// Nothing is asked of these nodes before the moment.
    resting: HashMap<BrokerId, Instant>,
    chunks: VecDeque<Chunk>,
    /// The stay of the chunk that was taken and not given back.
    reading: Option<u64>,
    buffered: usize,
    /// Partitions in the order in which they should be served next: those that got data go to the end.
    turn: VecDeque<TopicPartition>,
}

impl Fetcher {
    pub(crate) fn new(limits: FetchLimits) -> Fetcher {
        Fetcher {
            limits,
            sessions: HashMap::new(),
            in_flight: BTreeSet::new(),
            resting: HashMap::new(),
            chunks: VecDeque::new(),
            reading: None,
            buffered: 0,
            turn: VecDeque::new(),
        }
    }

    /// The next Fetch that may be sent now. `speaks_ids` tells of a connected node whether it takes topic ids; `None`
    /// for one that is not connected.
    pub(crate) fn poll_fetch(
        &mut self,
        view: View<'_>,
        speaks_ids: impl Fn(BrokerId) -> Option<bool>,
    ) -> Option<FetchOrder> {
        let View { positions, now, .. } = view;
        if self.buffered >= self.limits.buffered_bytes_max {
            return None;
        }
        self.update_turn(positions);
        let mut by_node: BTreeMap<BrokerId, Vec<(TopicPartition, Wanted)>> = BTreeMap::new();
        let mut stays = BTreeMap::new();
        for partition in &self.turn {
            let Some(assigned) = positions.get(partition) else { continue };
            let Some((node, want)) = self.wanted(partition, assigned, view) else { continue };
            by_node.entry(node).or_default().push((partition.clone(), want));
            stays.insert(partition.clone(), assigned.stay);
        }
        let rests = |node: &BrokerId| self.resting.get(node).is_some_and(|until| *until > now);
        let next = by_node.into_iter().find_map(|(node, wanted)| {
            let free = !self.in_flight.contains(&node) && !rests(&node);
            free.then(|| speaks_ids(node)).flatten().map(|ids| (node, wanted, ids))
        });
        let (node, wanted, node_speaks_ids) = next?;
        let uses_ids = node_speaks_ids && wanted.iter().all(|(_, want)| want.topic_id.is_some());
        stays.retain(|partition, _| wanted.iter().any(|(one, _)| one == partition));
        let session = self.sessions.entry(node).or_insert_with(Session::new).next_request(wanted, uses_ids);
        self.in_flight.insert(node);
        Some(FetchOrder { node, uses_ids, session, stays })
    }

    /// Nodes that partitions wait for and that are not connected.
    pub(crate) fn missing_connections(
        &self,
        view: View<'_>,
        is_connected: impl Fn(BrokerId) -> bool,
    ) -> BTreeSet<BrokerId> {
        let wanted = view
            .positions
            .iter()
            .filter_map(|(partition, assigned)| self.wanted(partition, assigned, view).map(|(node, _)| node));
        wanted.filter(|node| !is_connected(*node)).collect()
    }

    /// Whether some partition that could be fetched has no known leader.
    pub(crate) fn lacks_leader(&self, View { positions, image, .. }: View<'_>) -> bool {
        let mut ready = positions.iter().filter(|(_, assigned)| matches!(assigned.phase, Phase::At(_)));
        ready.any(|(partition, _)| image.leader_of(partition).is_none())
    }

    /// A Fetch was answered.
    pub(crate) fn on_answer(
        &mut self,
        order: &FetchOrder,
        answer: FetchAnswer,
        (positions, now): (&mut Positions, Instant),
    ) -> FetchEffects {
        self.in_flight.remove(&order.node);
        let mut applying = Applying { positions, now, effects: FetchEffects::default() };
        let session = self.sessions.entry(order.node).or_insert_with(Session::new);
        if !session.on_answer(answer.error, answer.session_id) {
            applying.effects.wants_metadata = answer.error == Some(ErrorCode::FetchSessionTopicIdError);
            return applying.effects;
        }
        for partition in answer.partitions {
            self.on_partition(order, partition, &mut applying);
        }
        applying.effects
    }

    /// A Fetch was not answered.
    pub(crate) fn on_failure(&mut self, order: &FetchOrder, now: Instant) {
        self.in_flight.remove(&order.node);
        self.resting.insert(order.node, now + self.limits.retry);
        if let Some(session) = self.sessions.get_mut(&order.node) {
            session.on_failure();
        }
    }

    /// The node asked for a pause (KIP-219).
    pub(crate) fn on_throttled(&mut self, node: BrokerId, until: Instant) {
        self.resting.insert(node, until);
    }

    /// The next chunk of a partition that is not paused. Chunks of another stay, or of a partition that is gone, are
    /// dropped on the way.
    pub(crate) fn take_chunk(&mut self, positions: &Positions) -> Option<Chunk> {
        let mut paused = Vec::new();
        let mut found = None;
        while let Some(chunk) = self.chunks.pop_front() {
            match positions.get(&chunk.partition) {
                Some(assigned) if assigned.stay == chunk.stay && assigned.paused => paused.push(chunk),
                Some(assigned) if assigned.stay == chunk.stay => {
                    found = Some(chunk);
                    break;
                }
                Some(_) | None => self.buffered -= chunk.bytes(),
            }
        }
        for chunk in paused.into_iter().rev() {
            self.chunks.push_front(chunk);
        }
        self.reading = found.as_ref().map(|chunk| chunk.stay);
        found
    }

    /// A chunk that was taken is not read to its end.
    pub(crate) fn put_back(&mut self, chunk: Chunk) {
        self.reading = None;
        self.chunks.push_front(chunk);
    }

    /// A chunk that was taken is done with.
    pub(crate) fn on_chunk_read(&mut self, chunk: &Chunk) {
        self.reading = None;
        self.buffered -= chunk.bytes();
    }

    /// When a node may be asked again.
    pub(crate) fn deadline(&self, now: Instant) -> Option<Instant> {
        self.resting.values().copied().filter(|at| *at > now).min()
    }

    fn on_partition(&mut self, order: &FetchOrder, answer: PartitionAnswer, applying: &mut Applying<'_>) {
        let partition = answer.partition.clone();
        let now = applying.now;
        // The session may also answer for partitions that were named in an earlier request.
        let Some(assigned) = applying.positions.get_mut(&partition) else { return };
        let asked = self.sessions.get(&order.node).and_then(|session| session.known(&partition));
        let Some(start) = asked.map(|asked| asked.offset) else { return };
        if order.stays.get(&partition) != Some(&assigned.stay) || assigned.fetch_from != start {
            return;
        }
        if let Some(code) = answer.error {
            if answer.leader_is_news {
                // Whoever leads now may be asked at once (KIP-951).
                assigned.preferred_replica = None;
                applying.effects.wants_metadata = true;
                return;
            }
            return self.on_error(order.node, (&partition, start, code), applying);
        }
        assigned.watermarks = answer.watermarks;
        if let Some(replica) = answer.preferred_replica {
            assigned.preferred_replica = Some((replica, now + self.limits.replica_lease));
        }
        let stay = assigned.stay;
        if let Some(chunk) = Chunk::new((partition.clone(), stay), start, answer.records, answer.aborted) {
            assigned.fetch_from = chunk.end;
            self.buffered += chunk.bytes();
            self.chunks.push_back(chunk);
            self.turn.retain(|one| *one != partition);
            self.turn.push_back(partition);
        }
    }

    fn on_error(
        &mut self,
        node: BrokerId,
        (partition, offset, code): (&TopicPartition, Offset, ErrorCode),
        applying: &mut Applying<'_>,
    ) {
        let Applying { positions, now, effects } = applying;
        let Some(assigned) = positions.get_mut(partition) else { return };
        assigned.not_before = Some(*now + self.limits.retry);
        let from_follower = assigned.preferred_replica.is_some_and(|(replica, _)| replica == node);
        assigned.preferred_replica = None;
        if code == ErrorCode::OffsetOutOfRange {
            let stay = assigned.stay;
            // What a follower does not have the leader may have.
            if !from_follower {
                positions.on_out_of_range(partition, stay, offset);
            }
        } else if code == ErrorCode::TopicAuthorizationFailed
            || code == ErrorCode::CorruptMessage
            || code == ErrorCode::InvalidTopicException
        {
            effects.failed.push((partition.clone(), code.into()));
        } else {
            // Leaders move, topics come and go, logs are being opened: look again and try again.
            effects.wants_metadata = true;
        }
    }

    /// What to ask for a partition, and whom; `None` while it is not to be fetched.
    fn wanted(
        &self,
        partition: &TopicPartition,
        assigned: &Assigned,
        View { image, now, .. }: View<'_>,
    ) -> Option<(BrokerId, Wanted)> {
        let has_position = matches!(assigned.phase, Phase::At(_));
        let waits = assigned.not_before.is_some_and(|not_before| not_before > now);
        if !has_position || assigned.paused || waits || self.is_full(partition, assigned.stay) {
            return None;
        }
        let info = image.partition(partition)?;
        let leader = info.leader.filter(|leader| image.nodes.contains_key(leader))?;
        let nearby = assigned
            .preferred_replica
            .filter(|(replica, until)| *until > now && image.nodes.contains_key(replica));
        let want = Wanted {
            offset: assigned.fetch_from,
            bytes_max: self.limits.partition_bytes_max,
            leader_epoch: info.leader_epoch,
            topic_id: image.topic(&partition.topic).and_then(|topic| topic.id),
        };
        Some((nearby.map_or(leader, |(replica, _)| replica), want))
    }

    /// Whether as much of a partition waits as one answer brings, behind the chunk that is read now or next.
    fn is_full(&self, partition: &TopicPartition, stay: u64) -> bool {
        let own = self.chunks.iter().filter(|chunk| chunk.stay == stay && chunk.partition == *partition);
        let is_read = self.reading == Some(stay);
        let bytes: usize = own.skip(usize::from(!is_read)).map(Chunk::bytes).sum();
        bytes >= usize::try_from(self.limits.partition_bytes_max).unwrap_or(0).max(1)
    }

    fn update_turn(&mut self, positions: &Positions) {
        self.turn.retain(|partition| positions.get(partition).is_some());
        let known: BTreeSet<&TopicPartition> = self.turn.iter().collect();
        let fresh: Vec<TopicPartition> =
            positions.partitions().filter(|partition| !known.contains(partition)).cloned().collect();
        self.turn.extend(fresh);
    }
}

#[cfg(test)]
mod tests {
    use ottla_model::{PartitionIndex, Timestamp, TopicName};
    use ottla_protocol::record::{BatchBuilder, BatchOptions, NewRecord};

    use super::*;
    use crate::cluster::tests::answer as metadata;
    use crate::config::OffsetReset;
    use crate::consumer::positions::Position;

    const LIMITS: FetchLimits = FetchLimits {
        partition_bytes_max: 100,
        buffered_bytes_max: 1000,
        retry: Duration::from_millis(100),
        replica_lease: Duration::from_secs(300),
    };

    fn partition(index: i32) -> TopicPartition {
        TopicPartition::new(TopicName::new("t").unwrap(), PartitionIndex::new(index).unwrap())
    }

    fn node(id: i32) -> BrokerId {
        BrokerId::new(id).unwrap()
    }

    /// Two partitions of topic `t`, led by brokers 1 and 2, at offset 0.
    struct World {
        fetcher: Fetcher,
        positions: Positions,
        image: ClusterImage,
        now: Instant,
    }

    impl World {
        fn new(reset: OffsetReset) -> World {
            let mut positions = Positions::new(reset, false);
            positions.on_assigned(&[partition(0), partition(1)].into());
            for index in [0, 1] {
                positions.on_seek(&partition(index), Position { offset: Offset::ZERO, leader_epoch: None });
            }
            let image = ClusterImage::default().updated(&metadata(&[("t", 1, &[(1, 0), (2, 0)])]), false);
            World { fetcher: Fetcher::new(LIMITS), positions, image, now: Instant::now() }
        }

        fn fetch(&mut self) -> Option<FetchOrder> {
            let view = View { positions: &self.positions, image: &self.image, now: self.now };
            self.fetcher.poll_fetch(view, |_| Some(true))
        }

        fn answer(&mut self, order: &FetchOrder, answer: PartitionAnswer) -> FetchEffects {
            let context = (&mut self.positions, self.now);
            let answer = FetchAnswer { error: None, session_id: 9, partitions: vec![answer] };
            self.fetcher.on_answer(order, answer, context)
        }
    }

    fn answered(index: i32, error: Option<ErrorCode>, records: Vec<u8>) -> PartitionAnswer {
        PartitionAnswer {
            partition: partition(index),
            error,
            watermarks: Watermarks::default(),
            aborted: vec![],
            preferred_replica: None,
            current_leader: None,
            leader_is_news: false,
            records: Bytes::from(records),
        }
    }

    fn batch(base: i64, bytes: usize) -> Vec<u8> {
        let options = BatchOptions { base_offset: Offset::new(base).unwrap(), ..BatchOptions::default() };
        let mut builder = BatchBuilder::new(options).unwrap();
        let value = vec![0; bytes];
        let timestamp = Timestamp::from_millis(1);
        builder.append(NewRecord { timestamp, key: None, value: Some(&value), headers: &[] }).unwrap();
        builder.finish().unwrap()
    }

    fn offsets(order: &FetchOrder) -> Vec<(i32, i64)> {
        let named = order.session.named.iter();
        named.map(|(partition, want)| (partition.partition.value(), want.offset.value())).collect()
    }

    #[test]
    fn each_leader_is_asked_for_its_partitions_once_at_a_time() {
        let mut world = World::new(OffsetReset::Earliest);
        let first = world.fetch().unwrap();
        assert_eq!((first.node, offsets(&first), first.uses_ids), (node(1), vec![(0, 0)], true));
        let second = world.fetch().unwrap();
        assert_eq!((second.node, offsets(&second)), (node(2), vec![(1, 0)]));
        assert!(world.fetch().is_none());
    }

    #[test]
    fn fetching_goes_on_behind_what_is_buffered_until_that_is_enough() {
        let mut world = World::new(OffsetReset::Earliest);
        let order = world.fetch().unwrap();
        world.answer(&order, answered(0, None, batch(0, 1)));
        let order = world.fetch().unwrap();
        assert_eq!(offsets(&order), [(0, 1)]);
        world.answer(&order, answered(0, None, batch(1, 200)));
        // More than one answer of the partition is buffered now.
        let order = world.fetch().unwrap();
        assert_eq!(order.node, node(2));
        assert!(world.fetch().is_none());
        let chunk = world.fetcher.take_chunk(&world.positions).unwrap();
        world.fetcher.on_chunk_read(&chunk);
        let chunk = world.fetcher.take_chunk(&world.positions).unwrap();
        world.fetcher.on_chunk_read(&chunk);
        assert_eq!(world.fetcher.buffered, 0);
        assert_eq!(offsets(&world.fetch().unwrap()), [(0, 2)]);
    }

    #[test]
    fn while_a_batch_as_large_as_an_answer_is_read_the_next_one_is_fetched_and_no_third() {
        let mut world = World::new(OffsetReset::Earliest);
        world.positions.on_paused(&partition(1), true);
        let order = world.fetch().unwrap();
        world.answer(&order, answered(0, None, batch(0, 200)));
        let order = world.fetch().unwrap();
        assert_eq!(offsets(&order), [(0, 1)]);
        world.answer(&order, answered(0, None, batch(1, 200)));
        assert!(world.fetch().is_none());
        let first = world.fetcher.take_chunk(&world.positions).unwrap();
        assert!(world.fetch().is_none(), "one is being read, one waits");
        world.fetcher.put_back(first);
        assert!(world.fetch().is_none());
        let first = world.fetcher.take_chunk(&world.positions).unwrap();
        world.fetcher.on_chunk_read(&first);
        assert_eq!(offsets(&world.fetch().unwrap()), [(0, 2)]);
    }

    #[test]
    fn an_answer_for_an_earlier_stay_is_dropped() {
        let mut world = World::new(OffsetReset::Earliest);
        let order = world.fetch().unwrap();
        world.positions.on_seek(&partition(0), Position { offset: Offset::ZERO.plus(5), leader_epoch: None });
        world.answer(&order, answered(0, None, batch(0, 1)));
        assert!(world.fetcher.take_chunk(&world.positions).is_none());
        assert_eq!(offsets(&world.fetch().unwrap()), [(0, 5)]);
    }

    #[test]
    fn chunks_of_a_paused_partition_wait() {
        let mut world = World::new(OffsetReset::Earliest);
        let order = world.fetch().unwrap();
        world.answer(&order, answered(0, None, batch(0, 1)));
        world.positions.on_paused(&partition(0), true);
        assert!(world.fetcher.take_chunk(&world.positions).is_none());
        world.positions.on_paused(&partition(0), false);
        assert!(world.fetcher.take_chunk(&world.positions).is_some());
    }

    /// FET-15
    #[test]
    fn an_offset_out_of_range_is_reset_or_reported() {
        for (reset, lost) in [(OffsetReset::Earliest, 0), (OffsetReset::None, 1)] {
            let mut world = World::new(reset);
            let order = world.fetch().unwrap();
            let effects = world.answer(&order, answered(0, Some(ErrorCode::OffsetOutOfRange), vec![]));
            assert_eq!(effects, FetchEffects::default());
            assert_eq!(world.positions.lost().len(), lost);
            assert_eq!(world.positions.poll_resets(world.now).len(), 1 - lost);
        }
    }

    #[test]
    fn after_a_leader_moved_metadata_are_wanted_and_the_partition_rests() {
        let mut world = World::new(OffsetReset::Earliest);
        let order = world.fetch().unwrap();
        let effects = world.answer(&order, answered(0, Some(ErrorCode::NotLeaderOrFollower), vec![]));
        assert!(effects.wants_metadata);
        assert_eq!(world.fetch().unwrap().node, node(2));
        assert!(world.fetch().is_none());
        world.now += LIMITS.retry;
        let again = world.fetch().unwrap();
        assert_eq!((again.node, again.session.session_epoch), (node(1), 1));
    }

    /// KIP-951
    #[test]
    fn a_leader_that_a_refusal_names_is_asked_at_once() {
        let mut world = World::new(OffsetReset::Earliest);
        let order = world.fetch().unwrap();
        let refused = answered(0, Some(ErrorCode::NotLeaderOrFollower), vec![]);
        let two = std::sync::Arc::clone(&world.image.nodes[&node(2)]);
        let epoch = ottla_model::LeaderEpoch::new(7).unwrap();
        world.image = world.image.with_leader(&partition(0), &two, epoch).unwrap();
        world.answer(&order, PartitionAnswer { leader_is_news: true, ..refused });
        let order = world.fetch().unwrap();
        assert_eq!((order.node, offsets(&order)), (node(2), vec![(0, 0), (1, 0)]));
    }

    /// FET-33
    #[test]
    fn a_preferred_replica_is_read_until_it_fails() {
        let mut world = World::new(OffsetReset::Earliest);
        let order = world.fetch().unwrap();
        let hint = PartitionAnswer { preferred_replica: Some(node(2)), ..answered(0, None, vec![]) };
        world.answer(&order, hint);
        let order = world.fetch().unwrap();
        assert_eq!((order.node, offsets(&order)), (node(2), vec![(0, 0), (1, 0)]));
        world.answer(&order, answered(0, Some(ErrorCode::OffsetOutOfRange), vec![]));
        assert_eq!(world.positions.position(&partition(0)).unwrap().offset, Offset::ZERO);
        world.now += LIMITS.retry;
        assert_eq!(world.fetch().unwrap().node, node(1));
    }
}
