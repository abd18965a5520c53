//! Incremental fetch sessions: what one consumer or follower keeps asking for, remembered between its requests.
//!
//! Owns: the cache of sessions, their epochs, the partitions of each and what was last told about them.
//! Does not own: the answers' records, the partitions themselves, the clock.
//!
//! Invariants
//! - I1 a session has a partition at most once, and each partition has one place in the session's order;
//! - I2 the cache never holds more than `slots` sessions;
//! - I3 a session's epoch is never 0 or negative: after 2³¹−1 comes 1.
//!
//! Source: KIP-227; requirements FET-01 to FET-06.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use ottla_model::Uuid;

/// How long a session is safe from being replaced, milliseconds (FET-05).
pub const EVICTION_AGE_MS: i64 = 120_000;

/// The topic of a session's partition, as the client speaks of it: by name before version 13, by id since.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TopicRef {
    Name(Arc<str>),
    Id(Uuid),
}

/// One partition of a session.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PartitionRef {
    pub topic: TopicRef,
    pub partition: i32,
}

/// What a request asks of one partition. Numbers are as the client sent them: −1 stands for "none".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    pub current_leader_epoch: i32,
    pub fetch_offset: i64,
    pub last_fetched_epoch: i32,
    pub log_start_offset: i64,
    /// Bytes.
    pub partition_bytes_max: i32,
}

/// What an answer is about to say about one partition, as far as the session must know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    pub has_records: bool,
    pub has_error: bool,
    pub has_preferred_replica: bool,
    pub has_diverging_epoch: bool,
    pub high_watermark: i64,
    pub log_start_offset: i64,
}

/// Why a request names no usable session. The names are the wire codes'.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    #[error("fetch session {0} is not known")]
    NotFound(i32),
    #[error("fetch session {id} is at epoch {expected}, the request has {got}")]
    InvalidEpoch { id: i32, expected: i32, got: i32 },
    #[error("fetch session {0} mixes topic names and topic ids")]
    TopicIdMixed(i32),
}

/// What the session layer reads of a request.
#[derive(Debug)]
pub struct SessionRequest {
    pub session_id: i32,
    pub session_epoch: i32,
    pub by_topic_id: bool,
    /// The request comes from a replica; such sessions replace those of consumers (FET-05).
    pub from_replica: bool,
    pub partitions: Vec<(PartitionRef, Wanted)>,
    pub forgotten: Vec<PartitionRef>,
}

/// How the request is to be answered: which partitions to read, and what to do with the answer.
#[derive(Debug)]
pub enum FetchContext {
    /// No session: every partition asked for is answered; the answer's session id is 0.
    Sessionless { partitions: Vec<(PartitionRef, Wanted)> },
    /// The first request of a session, which exists once the answer is made and there is room.
    Full { from_replica: bool, by_topic_id: bool, partitions: Vec<(PartitionRef, Wanted)> },
    /// A later request: the session's partitions in their order; only changes are answered.
    Incremental { session_id: i32, partitions: Vec<(PartitionRef, Wanted)> },
}

impl FetchContext {
    /// The partitions to read, in order.
    pub fn partitions(&self) -> &[(PartitionRef, Wanted)] {
        match self {
            FetchContext::Sessionless { partitions }
            | FetchContext::Full { partitions, .. }
            | FetchContext::Incremental { partitions, .. } => partitions,
        }
    }
}

#[derive(Debug)]
struct CachedPartition {
    wanted: Wanted,
    /// Place in the session's order; larger is later.
    order: u64,
    /// What the client was last told; −1 forces the next answer to tell it.
    high_watermark: i64,
    log_start_offset: i64,
}

#[derive(Debug)]
struct Session {
    by_topic_id: bool,
    from_replica: bool,
    created_ms: i64,
    used_ms: i64,
    /// The epoch the next request must carry.
    epoch: i32,
    next_order: u64,
    order: BTreeMap<u64, PartitionRef>,
    partitions: HashMap<PartitionRef, CachedPartition>,
}

impl Session {
    fn put(&mut self, partition: &PartitionRef, wanted: Wanted) {
        if let Some(cached) = self.partitions.get_mut(partition) {
            cached.wanted = wanted;
            return;
        }
        let order = self.next_order;
        self.next_order += 1;
        self.order.insert(order, partition.clone());
        let cached = CachedPartition { wanted, order, high_watermark: -1, log_start_offset: -1 };
        self.partitions.insert(partition.clone(), cached);
    }

    fn forget(&mut self, partition: &PartitionRef) {
        if let Some(cached) = self.partitions.remove(partition) {
            self.order.remove(&cached.order);
        }
    }

    fn move_to_end(&mut self, partition: &PartitionRef) {
        let Some(cached) = self.partitions.get_mut(partition) else { return };
        self.order.remove(&cached.order);
        cached.order = self.next_order;
        self.next_order += 1;
        self.order.insert(cached.order, partition.clone());
    }

    fn wanted(&self) -> Vec<(PartitionRef, Wanted)> {
        let wanted_of = |partition: &PartitionRef| self.partitions.get(partition).map(|cached| cached.wanted);
        self.order.values().filter_map(|partition| Some((partition.clone(), wanted_of(partition)?))).collect()
    }
}

/// The sessions of one broker.
#[derive(Debug)]
pub struct SessionCache {
    /// Most sessions at once (`max.incremental.fetch.session.cache.slots`).
    slots: usize,
    sessions: HashMap<i32, Session>,
    /// Sessions that had to give way since the start, for the metric of that name.
    evictions: u64,
}

impl SessionCache {
    pub fn new(slots: usize) -> SessionCache {
        SessionCache { slots, sessions: HashMap::new(), evictions: 0 }
    }

    /// Sessions that exist now.
    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    /// Sessions replaced since the start.
    pub fn evictions(&self) -> u64 {
        self.evictions
    }

    /// Reads the session part of a request and says what to read.
    pub fn on_request(&mut self, request: SessionRequest, now_ms: i64) -> Result<FetchContext, SessionError> {
        let SessionRequest { session_id, session_epoch, by_topic_id, from_replica, .. } = &request;
        match (*session_id, *session_epoch) {
            (id, 0 | -1) => {
                if id != 0 {
                    self.sessions.remove(&id);
                }
                let (by_topic_id, from_replica) = (*by_topic_id, *from_replica);
                let close_only = *session_epoch == -1;
                let partitions = request.partitions;
                if close_only {
                    return Ok(FetchContext::Sessionless { partitions });
                }
                Ok(FetchContext::Full { from_replica, by_topic_id, partitions })
            }
            (id, _) => self.incremental(id, request, now_ms),
        }
    }

    fn incremental(
        &mut self,
        id: i32,
        request: SessionRequest,
        now_ms: i64,
    ) -> Result<FetchContext, SessionError> {
        let session = self.sessions.get_mut(&id).ok_or(SessionError::NotFound(id))?;
        if session.epoch != request.session_epoch {
            let (expected, got) = (session.epoch, request.session_epoch);
            return Err(SessionError::InvalidEpoch { id, expected, got });
        }
        if session.by_topic_id != request.by_topic_id {
            return Err(SessionError::TopicIdMixed(id));
        }
        for (partition, wanted) in &request.partitions {
            session.put(partition, *wanted);
        }
        for partition in &request.forgotten {
            session.forget(partition);
        }
        if session.partitions.is_empty() {
            self.sessions.remove(&id);
            return Ok(FetchContext::Sessionless { partitions: Vec::new() });
        }
        session.used_ms = now_ms;
        session.epoch = epoch_after(session.epoch);
        Ok(FetchContext::Incremental { session_id: id, partitions: session.wanted() })
    }

    /// Decides about the first answer of a session: the id of the session that now exists, or 0 when the cache
    /// is full. `told` has one entry for each partition of the context, in its order.
    pub fn on_full_answer(
        &mut self,
        context: &FetchContext,
        told: &[Told],
        (now_ms, fresh_id): (i64, i32),
    ) -> i32 {
        let FetchContext::Full { from_replica, by_topic_id, partitions } = context else { return 0 };
        if fresh_id <= 0 || self.sessions.contains_key(&fresh_id) {
            return 0;
        }
        if !self.make_room(*from_replica, partitions.len(), now_ms) {
            return 0;
        }
        let mut session = Session {
            by_topic_id: *by_topic_id,
            from_replica: *from_replica,
            created_ms: now_ms,
            used_ms: now_ms,
            epoch: 1,
            next_order: 0,
            order: BTreeMap::new(),
            partitions: HashMap::new(),
        };
        for ((partition, wanted), told) in partitions.iter().zip(told) {
            session.put(partition, *wanted);
            if let Some(cached) = session.partitions.get_mut(partition) {
                remember(cached, told);
            }
        }
        self.sessions.insert(fresh_id, session);
        fresh_id
    }

    /// Which partitions of a later answer must be in it: one flag for each entry of `told`, which follows the
    /// context's order. Remembers what the client is told and moves partitions with records to the end (FET-04).
    pub fn on_incremental_answer(&mut self, context: &FetchContext, told: &[Told]) -> Vec<bool> {
        let FetchContext::Incremental { session_id, partitions } = context else {
            return vec![true; told.len()];
        };
        let Some(session) = self.sessions.get_mut(session_id) else { return vec![true; told.len()] };
        let mut included = Vec::with_capacity(told.len());
        for ((partition, _), told) in partitions.iter().zip(told) {
            let Some(cached) = session.partitions.get_mut(partition) else {
                included.push(true);
                continue;
            };
            included.push(must_tell(cached, told));
            remember(cached, told);
            if told.has_records {
                session.move_to_end(partition);
            }
        }
        included
    }

    /// Frees a slot if there is none: first a session unused for [`EVICTION_AGE_MS`], then, by privilege and
    /// size, one that the new session outranks.
    fn make_room(&mut self, from_replica: bool, size: usize, now_ms: i64) -> bool {
        if self.sessions.len() < self.slots {
            return true;
        }
        let stale = self.sessions.iter().min_by_key(|(_, session)| session.used_ms);
        let stale =
            stale.filter(|(_, session)| now_ms - session.used_ms > EVICTION_AGE_MS).map(|(id, _)| *id);
        let victim = stale.or_else(|| {
            let may_go = |session: &Session| {
                let old = session.used_ms - session.created_ms > EVICTION_AGE_MS;
                old || (from_replica && !session.from_replica)
            };
            let rank = |session: &Session| (session.from_replica, session.partitions.len());
            let candidates = self.sessions.iter().filter(|(_, session)| may_go(session));
            let (id, session) = candidates.min_by_key(|(id, session)| (rank(session), **id))?;
            (rank(session) < (from_replica, size)).then_some(*id)
        });
        match victim {
            Some(id) => {
                self.sessions.remove(&id);
                self.evictions += 1;
                true
            }
            None => false,
        }
    }
}

/// After the largest epoch comes 1: 0 and −1 have meanings of their own.
fn epoch_after(epoch: i32) -> i32 {
    if epoch == i32::MAX { 1 } else { epoch + 1 }
}

fn must_tell(cached: &CachedPartition, told: &Told) -> bool {
    told.has_records
        || told.has_error
        || told.has_preferred_replica
        || told.has_diverging_epoch
        || cached.high_watermark != told.high_watermark
        || cached.log_start_offset != told.log_start_offset
}

/// After an error or a divergence the partition is told again next time, whatever it says then.
fn remember(cached: &mut CachedPartition, told: &Told) {
    let again = told.has_error || told.has_diverging_epoch;
    cached.high_watermark = if again { -1 } else { told.high_watermark };
    cached.log_start_offset = told.log_start_offset;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(name: &str, index: i32) -> PartitionRef {
        PartitionRef { topic: TopicRef::Name(Arc::from(name)), partition: index }
    }

    fn wanted(offset: i64) -> Wanted {
        Wanted {
            current_leader_epoch: -1,
            fetch_offset: offset,
            last_fetched_epoch: -1,
            log_start_offset: -1,
            partition_bytes_max: 1024,
        }
    }

    fn request(id: i32, epoch: i32, names: &[&str]) -> SessionRequest {
        SessionRequest {
            session_id: id,
            session_epoch: epoch,
            by_topic_id: false,
            from_replica: false,
            partitions: names.iter().map(|name| (partition(name, 0), wanted(0))).collect(),
            forgotten: Vec::new(),
        }
    }

    fn told(records: bool, high_watermark: i64) -> Told {
        Told {
            has_records: records,
            has_error: false,
            has_preferred_replica: false,
            has_diverging_epoch: false,
            high_watermark,
            log_start_offset: 0,
        }
    }

    fn open(cache: &mut SessionCache, names: &[&str], now_ms: i64, id: i32) -> i32 {
        let context = cache.on_request(request(0, 0, names), now_ms).unwrap();
        let answer: Vec<Told> = names.iter().map(|_| told(false, 5)).collect();
        cache.on_full_answer(&context, &answer, (now_ms, id))
    }

    fn names(context: &FetchContext) -> Vec<String> {
        let name = |topic: &TopicRef| match topic {
            TopicRef::Name(name) => name.to_string(),
            TopicRef::Id(id) => id.to_string(),
        };
        context.partitions().iter().map(|(partition, _)| name(&partition.topic)).collect()
    }

    /// FET-03, FET-04
    #[test]
    fn a_later_answer_has_only_what_changed_and_records_move_a_partition_to_the_end() {
        let mut cache = SessionCache::new(10);
        assert_eq!(open(&mut cache, &["a", "b", "c"], 0, 7), 7);
        let context = cache.on_request(request(7, 1, &[]), 1).unwrap();
        assert_eq!(names(&context), ["a", "b", "c"]);
        let included =
            cache.on_incremental_answer(&context, &[told(true, 6), told(false, 5), told(false, 9)]);
        assert_eq!(included, [true, false, true]);
        let context = cache.on_request(request(7, 2, &[]), 2).unwrap();
        assert_eq!(names(&context), ["b", "c", "a"]);
    }

    /// FET-03
    #[test]
    fn a_partition_is_told_again_after_an_error() {
        let mut cache = SessionCache::new(10);
        open(&mut cache, &["a"], 0, 7);
        let context = cache.on_request(request(7, 1, &[]), 1).unwrap();
        let error = Told { has_error: true, ..told(false, -1) };
        assert_eq!(cache.on_incremental_answer(&context, &[error]), [true]);
        let context = cache.on_request(request(7, 2, &[]), 1).unwrap();
        assert_eq!(cache.on_incremental_answer(&context, &[told(false, 5)]), [true]);
        let context = cache.on_request(request(7, 3, &[]), 1).unwrap();
        assert_eq!(cache.on_incremental_answer(&context, &[told(false, 5)]), [false]);
    }

    /// FET-01
    #[test]
    fn an_unknown_session_and_a_wrong_epoch_are_refused() {
        let mut cache = SessionCache::new(10);
        assert_eq!(cache.on_request(request(3, 1, &["a"]), 0).unwrap_err(), SessionError::NotFound(3));
        open(&mut cache, &["a"], 0, 7);
        let wrong = cache.on_request(request(7, 2, &[]), 0).unwrap_err();
        assert_eq!(wrong, SessionError::InvalidEpoch { id: 7, expected: 1, got: 2 });
        let mixed = SessionRequest { by_topic_id: true, ..request(7, 1, &[]) };
        assert_eq!(cache.on_request(mixed, 0).unwrap_err(), SessionError::TopicIdMixed(7));
    }

    /// FET-01
    #[test]
    fn after_the_largest_epoch_comes_one() {
        assert_eq!(epoch_after(i32::MAX), 1);
        assert_eq!(epoch_after(1), 2);
    }

    /// FET-02
    #[test]
    fn a_session_without_partitions_is_closed() {
        let mut cache = SessionCache::new(10);
        open(&mut cache, &["a"], 0, 7);
        let forget = SessionRequest { forgotten: vec![partition("a", 0)], ..request(7, 1, &[]) };
        let context = cache.on_request(forget, 0).unwrap();
        assert!(matches!(context, FetchContext::Sessionless { ref partitions } if partitions.is_empty()));
        assert!(cache.is_empty());
    }

    /// FET-01, FET-02: a session may begin with nothing; one that is left with nothing is closed.
    #[test]
    fn a_session_may_begin_without_partitions() {
        let mut cache = SessionCache::new(10);
        assert_eq!(open(&mut cache, &[], 0, 7), 7);
        let context = cache.on_request(request(7, 1, &["a"]), 1).unwrap();
        assert_eq!(names(&context), ["a"]);
        assert_eq!(open(&mut cache, &[], 0, 8), 8);
        let context = cache.on_request(request(8, 1, &[]), 1).unwrap();
        assert!(matches!(context, FetchContext::Sessionless { ref partitions } if partitions.is_empty()));
        assert_eq!(cache.len(), 1);
    }

    /// FET-01
    #[test]
    fn epoch_zero_and_minus_one_close_the_session_they_name() {
        let mut cache = SessionCache::new(10);
        open(&mut cache, &["a"], 0, 7);
        let context = cache.on_request(request(7, -1, &["a"]), 0).unwrap();
        assert!(matches!(context, FetchContext::Sessionless { .. }));
        assert!(cache.is_empty());
        open(&mut cache, &["a"], 0, 8);
        let context = cache.on_request(request(8, 0, &["b"]), 0).unwrap();
        assert!(matches!(context, FetchContext::Full { .. }));
        assert!(cache.is_empty());
    }

    /// FET-05
    #[test]
    fn a_full_cache_gives_way_only_to_the_larger_or_the_privileged() {
        let mut cache = SessionCache::new(1);
        open(&mut cache, &["a", "b"], 0, 7);
        assert_eq!(open(&mut cache, &["a", "b", "c"], 1, 8), 0, "a young session stays");
        let later = EVICTION_AGE_MS + 1;
        let context = cache.on_request(request(7, 1, &[]), later).unwrap();
        cache.on_incremental_answer(&context, &[told(false, 5), told(false, 5)]);
        assert_eq!(open(&mut cache, &["a"], later, 9), 0, "a larger session stays");
        assert_eq!(open(&mut cache, &["c", "d"], later, 9), 0, "one as large stays");
        assert_eq!(open(&mut cache, &["a", "b", "c"], later, 10), 10);
        let replica = SessionRequest { from_replica: true, ..request(0, 0, &["a"]) };
        let context = cache.on_request(replica, later + 1).unwrap();
        assert_eq!(cache.on_full_answer(&context, &[told(false, 5)], (later + 1, 11)), 11);
        assert_eq!(cache.len(), 1);
        assert_eq!(cache.evictions(), 2);
    }

    /// FET-05: two minutes without a request, and anybody may have the place; those of replicas stay as long as all.
    #[test]
    fn a_session_that_nobody_uses_gives_way_to_any() {
        let mut cache = SessionCache::new(2);
        open(&mut cache, &["a", "b"], 0, 7);
        open(&mut cache, &["a", "b"], 0, 8);
        let context = cache.on_request(request(8, 1, &[]), 1).unwrap();
        cache.on_incremental_answer(&context, &[told(false, 5), told(false, 5)]);
        assert_eq!(open(&mut cache, &["a"], EVICTION_AGE_MS, 9), 0);
        assert_eq!(open(&mut cache, &["a"], EVICTION_AGE_MS + 1, 9), 9, "the one used last stays");
        assert_eq!(cache.on_request(request(7, 1, &[]), 0).unwrap_err(), SessionError::NotFound(7));
        assert_eq!((cache.len(), cache.evictions()), (2, 1));
        assert!(cache.on_request(request(8, 2, &[]), EVICTION_AGE_MS).is_ok());
    }
}
