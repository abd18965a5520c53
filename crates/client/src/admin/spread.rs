//! Requests about several things, spread over the nodes that answer for them.
//!
//! Owns: one request per leader or coordinator, and asking again for what has moved.
//! Does not own: what is asked (one file per operation), a request to a single node (`admin`).
//!
//! Invariants
//! - I1 every thing that was asked about has one outcome, unless no node answered at all;
//! - I2 what has a final answer is not asked about again.

use std::collections::{BTreeMap, BTreeSet};

use ottla_model::{BrokerId, TopicPartition};

use super::{Admin, ByLeader, GroupCallError, PartitionOutcomes, attempt_of, is_moving};
use crate::cluster::{Attempt, CoordinatorKind, Deadline};
use crate::error::{CallError, ErrorCode, ServerError, needs_fresh_metadata};

/// What one node says of each thing it was asked about.
pub(super) type NodeAnswer<K, T> = Vec<(K, Result<T, ServerError>)>;

/// What was asked about, and what is known of it.
struct Progress<K, V> {
    open: BTreeSet<K>,
    outcomes: BTreeMap<K, V>,
}

impl<K: Ord + Clone, V> Progress<K, V> {
    fn new(things: impl IntoIterator<Item = K>) -> Progress<K, V> {
        Progress { open: things.into_iter().collect(), outcomes: BTreeMap::new() }
    }

    /// An outcome; one that is not `last` counts only if none follows.
    fn on_outcome(&mut self, thing: K, outcome: V, last: bool) {
        if last {
            self.open.remove(&thing);
        }
        self.outcomes.insert(thing, outcome);
    }
}

impl Admin {
    /// Asks the leaders of partitions; where a leader has moved or cannot be reached, it is looked for again. Once time
    /// is over, what a leader refused last is its answer.
    pub(super) async fn ask_leaders<T, E: From<ServerError>, A>(
        &self,
        (lookup, deadline): (&'static str, Deadline),
        partitions: impl IntoIterator<Item = TopicPartition>,
        ask: impl Fn(BrokerId, Vec<TopicPartition>) -> A,
    ) -> Result<PartitionOutcomes<T, E>, CallError>
    where
        A: Future<Output = Result<NodeAnswer<TopicPartition, T>, CallError>>,
    {
        let mut progress = Progress::new(partitions);
        let mut attempts = self.shared().attempts(deadline);
        loop {
            let attempt = async {
                let lookup = Deadline { call: lookup, ..deadline };
                let ByLeader { led, refused } = match self.by_leader(lookup, progress.open.clone()).await {
                    Ok(sorted) => sorted,
                    Err(error) => return Attempt::Failed(error),
                };
                for (partition, code) in refused {
                    progress.on_outcome(partition, Err(E::from(code.into())), true);
                }
                let mut failure = CallError::NoNode { call: deadline.call };
                for (leader, partitions) in led {
                    match attempt_of(ask(leader, partitions).await, deadline) {
                        Attempt::Done(answer) => {
                            for (partition, said) in answer {
                                let moved =
                                    said.as_ref().is_err_and(|error| needs_fresh_metadata(error.code));
                                progress.on_outcome(partition, said.map_err(E::from), !moved);
                            }
                        }
                        Attempt::Again(error) => failure = error,
                        Attempt::Failed(error) => return Attempt::Failed(error),
                    }
                }
                if progress.open.is_empty() {
                    return Attempt::Done(());
                }
                self.shared().want_news();
                Attempt::Again(failure)
            };
            match attempts.make(attempt).await {
                Some(Ok(())) => return Ok(progress.outcomes),
                Some(Err(error)) => {
                    let unanswered = progress.open.iter().any(|one| !progress.outcomes.contains_key(one));
                    return if unanswered { Err(error) } else { Ok(progress.outcomes) };
                }
                None => {}
            }
        }
    }

    /// Asks the coordinators of groups, each once for all of its groups; where a coordinator is moving or cannot be
    /// reached, it is looked for again. Every group has an outcome, with the broker that answered.
    pub(super) async fn ask_coordinators<T, A>(
        &self,
        deadline: Deadline,
        groups: impl IntoIterator<Item = String>,
        ask: impl Fn(BrokerId, Vec<String>) -> A,
    ) -> BTreeMap<String, Result<(BrokerId, T), GroupCallError>>
    where
        A: Future<Output = Result<NodeAnswer<String, T>, CallError>>,
    {
        let mut progress = Progress::new(groups);
        let mut attempts = self.shared().attempts(deadline);
        loop {
            let attempt = async {
                let coordinators = match self.coordinators_of(deadline, &mut progress).await {
                    Ok(coordinators) => coordinators,
                    Err(error) => return Attempt::of_call(error),
                };
                let mut failure = CallError::NoNode { call: deadline.call };
                for (coordinator, groups) in coordinators {
                    match ask(coordinator, groups.clone()).await {
                        Ok(answer) => on_coordinator(&mut progress, (coordinator, groups), answer),
                        Err(error) if error.is_retriable() => failure = error,
                        Err(error) => {
                            for group in groups {
                                progress.on_outcome(group, Err(error.clone().into()), true);
                            }
                        }
                    }
                }
                match progress.open.is_empty() {
                    true => Attempt::Done(()),
                    false => Attempt::Again(failure),
                }
            };
            match attempts.make(attempt).await {
                Some(Ok(())) => return progress.outcomes,
                Some(Err(error)) => {
                    for group in progress.open {
                        progress.outcomes.entry(group).or_insert_with(|| Err(error.clone().into()));
                    }
                    return progress.outcomes;
                }
                None => {}
            }
        }
    }

    /// The open groups by their coordinators; those without one get their outcome.
    async fn coordinators_of<T>(
        &self,
        deadline: Deadline,
        progress: &mut Progress<String, Result<T, GroupCallError>>,
    ) -> Result<BTreeMap<BrokerId, Vec<String>>, CallError> {
        let groups: Vec<String> = progress.open.iter().cloned().collect();
        let found = match self.shared().find_coordinators(CoordinatorKind::Group, &groups).await {
            // In the end there was no node to ask, as Kafka's client has it.
            Err(CallError::Connect { .. }) => return Err(CallError::NoNode { call: deadline.call }),
            found => found?,
        };
        let mut coordinators: BTreeMap<BrokerId, Vec<String>> = BTreeMap::new();
        for (group, found) in groups.into_iter().zip(found) {
            match found {
                Ok(coordinator) => coordinators.entry(coordinator).or_default().push(group),
                Err(error) => {
                    let last = !error.is_retriable();
                    progress.on_outcome(group, Err(error.into()), last);
                }
            }
        }
        Ok(coordinators)
    }
}

/// What a coordinator says of its groups. One that it leaves out is none it will tell of later.
fn on_coordinator<T>(
    progress: &mut Progress<String, Result<(BrokerId, T), GroupCallError>>,
    (coordinator, groups): (BrokerId, Vec<String>),
    answer: NodeAnswer<String, T>,
) {
    let mut answer: BTreeMap<String, Result<T, ServerError>> = answer.into_iter().collect();
    for group in groups {
        let left_out = || Err(ServerError::from(ErrorCode::UnknownServerError));
        let said = answer.remove(&group).unwrap_or_else(left_out);
        let moves = said.as_ref().is_err_and(|error| is_moving(error.code));
        let outcome = said.map(|said| (coordinator, said)).map_err(GroupCallError::from);
        progress.on_outcome(group, outcome, !moves);
    }
}
