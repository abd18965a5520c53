//! A fetch session with one node: only what changed is sent.
//!
//! Owns: the client's side of the session, its id, its epoch, and what the broker knows of it.
//! Does not own: which partitions are to be fetched (`fetcher`).
//!
//! Invariants
//! - I1 `known` is what the broker believes this client fetches, whenever no request is in flight.
//!
//! Source: KIP-227, KIP-516; requirements FET-01, FET-02, section 3.1.

use std::collections::BTreeMap;

use ottla_model::{LeaderEpoch, Offset, TopicId, TopicPartition};

use crate::error::ErrorCode;

/// Epoch of a request that begins a session.
const EPOCH_INITIAL: i32 = 0;
/// Id of "no session".
const NO_SESSION: i32 = 0;

/// What is asked of one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub offset: Offset,
    pub bytes_max: i32,
    pub leader_epoch: Option<LeaderEpoch>,
    pub topic_id: Option<TopicId>,
}

/// The contents of one Fetch request as far as the session decides them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SessionRequest {
    pub session_id: i32,
    pub session_epoch: i32,
    /// Partitions to be named, in the order in which they should be served.
    pub named: Vec<(TopicPartition, Wanted)>,
    /// Partitions the broker shall forget, with the id under which it knows the topic.
    pub forgotten: Vec<(TopicPartition, Option<TopicId>)>,
}

/// One session.
#[derive(Debug)]
pub(crate) struct Session {
    id: i32,
    epoch: i32,
    known: BTreeMap<TopicPartition, Wanted>,
    uses_ids: bool,
}

impl Session {
    pub(crate) fn new() -> Session {
        Session { id: NO_SESSION, epoch: EPOCH_INITIAL, known: BTreeMap::new(), uses_ids: false }
    }

    /// The request that asks for exactly `wanted`. `uses_ids`: topics go by id, which a session cannot change.
    pub(crate) fn next_request(
        &mut self,
        wanted: Vec<(TopicPartition, Wanted)>,
        uses_ids: bool,
    ) -> SessionRequest {
        if uses_ids != self.uses_ids {
            self.uses_ids = uses_ids;
            self.epoch = EPOCH_INITIAL;
        }
        let is_full = self.epoch == EPOCH_INITIAL;
        let mut forgotten = Vec::new();
        if is_full {
            self.known.clear();
        } else {
            for (partition, known) in &self.known {
                let now = wanted.iter().find(|(one, _)| one == partition);
                // A topic created again is another one for the broker: the old one must be forgotten by its id.
                if now.is_none_or(|(_, now)| now.topic_id != known.topic_id) {
                    forgotten.push((partition.clone(), known.topic_id));
                }
            }
            for (partition, _) in &forgotten {
                self.known.remove(partition);
            }
        }
        let mut named = Vec::new();
        for (partition, want) in wanted {
            if self.known.get(&partition) != Some(&want) {
                self.known.insert(partition.clone(), want.clone());
                named.push((partition, want));
            }
        }
        SessionRequest { session_id: self.id, session_epoch: self.epoch, named, forgotten }
    }

    /// The broker answered the request. Answers whether it served it; otherwise a new session begins.
    pub(crate) fn on_answer(&mut self, error: Option<ErrorCode>, session_id: i32) -> bool {
        if error.is_some() {
            self.id = NO_SESSION;
            self.epoch = EPOCH_INITIAL;
            return false;
        }
        self.id = session_id;
        self.epoch = match (session_id, self.epoch) {
            // The broker made no session, or closed it: ask in full again.
            (NO_SESSION, _) => EPOCH_INITIAL,
            (_, i32::MAX) => 1,
            (_, epoch) => epoch + 1,
        };
        true
    }

    /// No answer came: whether the broker has served the request is unknown. The next request closes the session, in
    /// case it still exists, and begins another one.
    pub(crate) fn on_failure(&mut self) {
        self.epoch = EPOCH_INITIAL;
    }

    /// What the broker was last asked for this partition.
    pub(crate) fn known(&self, partition: &TopicPartition) -> Option<&Wanted> {
        self.known.get(partition)
    }
}

#[cfg(test)]
mod tests {
    use ottla_model::{PartitionIndex, TopicName, Uuid};

    use super::*;

    fn partition(index: i32) -> TopicPartition {
        TopicPartition::new(TopicName::new("t").unwrap(), PartitionIndex::new(index).unwrap())
    }

    fn wanted(offset: i64) -> Wanted {
        Wanted { offset: Offset::new(offset).unwrap(), bytes_max: 100, leader_epoch: None, topic_id: None }
    }

    fn list(pairs: &[(i32, i64)]) -> Vec<(TopicPartition, Wanted)> {
        pairs.iter().map(|(index, offset)| (partition(*index), wanted(*offset))).collect()
    }

    /// Session id and epoch, partitions named, partitions forgotten.
    fn shape(request: &SessionRequest) -> ((i32, i32), Vec<i32>, Vec<i32>) {
        let index = |partition: &TopicPartition| partition.partition.value();
        (
            (request.session_id, request.session_epoch),
            request.named.iter().map(|(one, _)| index(one)).collect(),
            request.forgotten.iter().map(|(one, _)| index(one)).collect(),
        )
    }

    /// FET-02
    #[test]
    fn after_the_first_request_only_changes_are_sent() {
        let mut session = Session::new();
        let first = session.next_request(list(&[(0, 0), (1, 0)]), false);
        assert_eq!(shape(&first), ((0, 0), vec![0, 1], vec![]));
        assert!(session.on_answer(None, 77));
        let second = session.next_request(list(&[(0, 5), (1, 0), (2, 0)]), false);
        assert_eq!(shape(&second), ((77, 1), vec![0, 2], vec![]));
        session.on_answer(None, 77);
        let third = session.next_request(list(&[(1, 0)]), false);
        assert_eq!(shape(&third), ((77, 2), vec![], vec![0, 2]));
    }

    /// FET-01
    #[test]
    fn a_session_the_broker_does_not_know_begins_anew_in_full() {
        let mut session = Session::new();
        session.next_request(list(&[(0, 0)]), false);
        session.on_answer(None, 77);
        session.next_request(list(&[(0, 0)]), false);
        assert!(!session.on_answer(Some(ErrorCode::FetchSessionIdNotFound), 0));
        assert_eq!(shape(&session.next_request(list(&[(0, 0)]), false)), ((0, 0), vec![0], vec![]));
    }

    #[test]
    fn after_a_failure_the_old_session_is_closed_by_the_request_that_begins_the_next() {
        let mut session = Session::new();
        session.next_request(list(&[(0, 0)]), false);
        session.on_answer(None, 77);
        session.next_request(list(&[(0, 1)]), false);
        session.on_failure();
        assert_eq!(shape(&session.next_request(list(&[(0, 1)]), false)), ((77, 0), vec![0], vec![]));
    }

    #[test]
    fn a_broker_without_room_for_sessions_is_asked_in_full_each_time() {
        let mut session = Session::new();
        for _ in 0..2 {
            let request = session.next_request(list(&[(0, 0)]), false);
            assert_eq!(shape(&request), ((0, 0), vec![0], vec![]));
            session.on_answer(None, 0);
        }
    }

    /// FET-01: names and ids do not mix in a session.
    #[test]
    fn a_change_from_names_to_ids_begins_another_session() {
        let mut session = Session::new();
        session.next_request(list(&[(0, 0)]), false);
        session.on_answer(None, 77);
        assert_eq!(shape(&session.next_request(list(&[(0, 0)]), true)), ((77, 0), vec![0], vec![]));
    }

    #[test]
    fn a_topic_created_again_is_forgotten_under_its_old_id() {
        let id = |byte| TopicId::new(Uuid::from_bytes([byte; 16]));
        let with_id = |byte| vec![(partition(0), Wanted { topic_id: id(byte), ..wanted(0) })];
        let mut session = Session::new();
        session.next_request(with_id(1), true);
        session.on_answer(None, 77);
        let request = session.next_request(with_id(2), true);
        assert_eq!(request.forgotten, [(partition(0), id(1))]);
        assert_eq!(request.named.len(), 1);
    }

    #[test]
    fn the_epoch_continues_at_one_after_the_largest() {
        let mut session = Session::new();
        session.epoch = i32::MAX;
        session.on_answer(None, 7);
        assert_eq!(session.epoch, 1);
    }
}
