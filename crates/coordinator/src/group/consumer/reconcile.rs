//! One step of a member towards its target assignment.
//!
//! Owns: the rule: give up first, then move to the epoch, then take what nobody else holds (CGP-07).
//! Does not own: the target (`assign`), who holds what (`state`).
//!
//! Source: requirements CGP-06, CGP-07; KIP-848, "Member Reconciliation".

use std::collections::{BTreeMap, BTreeSet};

use ottla_model::TopicId;

use super::record::{CurrentAssignment, IdPartition, MemberEpoch, MemberState};

/// What a step depends on.
pub(super) struct Step<'a> {
    pub current: &'a CurrentAssignment,
    pub target_epoch: MemberEpoch,
    pub target: &'a BTreeSet<IdPartition>,
    /// Topics the member subscribes to: it keeps and gets no others, also when the target is older.
    pub subscribed: &'a BTreeSet<TopicId>,
    pub subscription_changed: bool,
    /// What the member says it has; `None` if it says nothing.
    pub reported: Option<&'a BTreeSet<IdPartition>>,
}

/// A later version of the software left the member in a state that is not known here: it has to start over.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct UnknownState;

type Held = BTreeMap<IdPartition, MemberEpoch>;

impl Step<'_> {
    /// The member after the step, the same as before if there is nothing to do. `is_free` tells partitions that nobody
    /// holds.
    pub fn take(&self, is_free: impl Fn(&IdPartition) -> bool) -> Result<CurrentAssignment, UnknownState> {
        match self.current.state {
            MemberState::Stable if self.current.epoch != self.target_epoch => Ok(self.towards(is_free)),
            MemberState::Stable if self.subscription_changed => Ok(self.without_unsubscribed()),
            MemberState::Stable => Ok(self.current.clone()),
            MemberState::UnrevokedPartitions if !self.still_has(&self.current.revoking) => {
                Ok(self.towards(is_free))
            }
            MemberState::UnrevokedPartitions if self.subscription_changed => Ok(self.without_unsubscribed()),
            MemberState::UnrevokedPartitions => Ok(self.current.clone()),
            MemberState::UnreleasedPartitions => Ok(self.towards(is_free)),
            MemberState::Unknown(_) if self.reported.is_some_and(BTreeSet::is_empty) => {
                Ok(self.towards(is_free))
            }
            MemberState::Unknown(_) => Err(UnknownState),
        }
    }

    /// Whether the member may still be working on any of them. Who says nothing may.
    fn still_has(&self, partitions: &Held) -> bool {
        match self.reported {
            None => true,
            Some(reported) => reported.iter().any(|partition| partitions.contains_key(partition)),
        }
    }

    fn towards(&self, is_free: impl Fn(&IdPartition) -> bool) -> CurrentAssignment {
        let wanted = |partition: &IdPartition| {
            self.target.contains(partition) && self.subscribed.contains(&partition.topic)
        };
        let (mut assigned, revoking): (Held, Held) =
            self.current.assigned.iter().partition(|(partition, _)| wanted(partition));
        if !revoking.is_empty() && self.still_has(&revoking) {
            let state = MemberState::UnrevokedPartitions;
            return self.at(self.current.epoch, state, (assigned, revoking));
        }
        let missing = self.target.iter().filter(|partition| {
            self.subscribed.contains(&partition.topic) && !assigned.contains_key(*partition)
        });
        let (free, held): (Vec<IdPartition>, Vec<IdPartition>) =
            missing.copied().partition(|partition| is_free(partition));
        assigned.extend(free.into_iter().map(|partition| (partition, self.target_epoch)));
        let state = if held.is_empty() { MemberState::Stable } else { MemberState::UnreleasedPartitions };
        self.at(self.target_epoch, state, (assigned, Held::new()))
    }

    /// A member that unsubscribes gives partitions up at once, even if the target is not made yet.
    fn without_unsubscribed(&self) -> CurrentAssignment {
        let (assigned, unwanted): (Held, Held) = self
            .current
            .assigned
            .iter()
            .partition(|(partition, _)| self.subscribed.contains(&partition.topic));
        if unwanted.is_empty() {
            return self.current.clone();
        }
        let mut revoking = self.current.revoking.clone();
        revoking.extend(unwanted);
        if self.still_has(&revoking) {
            return self.at(self.current.epoch, MemberState::UnrevokedPartitions, (assigned, revoking));
        }
        self.at(self.current.epoch, self.current.state, (assigned, self.current.revoking.clone()))
    }

    fn at(
        &self,
        epoch: MemberEpoch,
        state: MemberState,
        (assigned, revoking): (Held, Held),
    ) -> CurrentAssignment {
        CurrentAssignment { epoch, previous_epoch: self.current.epoch, state, assigned, revoking }
    }
}

#[cfg(test)]
mod tests {
    use ottla_model::{PartitionIndex, Uuid};

    use super::*;

    fn at(topic: u8, partition: i32) -> IdPartition {
        let topic = TopicId::new(Uuid::from_bytes([topic; 16])).unwrap();
        IdPartition { topic, partition: PartitionIndex::new(partition).unwrap() }
    }

    fn held(partitions: &[i32], epoch: i32) -> Held {
        partitions.iter().map(|partition| (at(1, *partition), MemberEpoch::new(epoch))).collect()
    }

    fn member(state: MemberState, assigned: &[i32], revoking: &[i32]) -> CurrentAssignment {
        CurrentAssignment {
            epoch: MemberEpoch::new(3),
            previous_epoch: MemberEpoch::new(2),
            state,
            assigned: held(assigned, 3),
            revoking: held(revoking, 3),
        }
    }

    fn set(partitions: &[i32]) -> BTreeSet<IdPartition> {
        partitions.iter().map(|partition| at(1, *partition)).collect()
    }

    struct Case<'a> {
        current: CurrentAssignment,
        target: &'a [i32],
        reported: Option<&'a [i32]>,
        taken: &'a [i32],
    }

    /// The step of a member that subscribes to topic 1, towards epoch 5.
    fn step(case: &Case<'_>) -> (i32, MemberState, Vec<i32>, Vec<i32>) {
        let subscribed = BTreeSet::from([at(1, 0).topic]);
        let (target, reported) = (set(case.target), case.reported.map(set));
        let step = Step {
            current: &case.current,
            target_epoch: MemberEpoch::new(5),
            target: &target,
            subscribed: &subscribed,
            subscription_changed: false,
            reported: reported.as_ref(),
        };
        let taken = set(case.taken);
        let next = step.take(|partition| !taken.contains(partition)).unwrap();
        let numbers = |held: &Held| held.keys().map(|key| key.partition.value()).collect();
        (next.epoch.value(), next.state, numbers(&next.assigned), numbers(&next.revoking))
    }

    /// CGP-07
    #[test]
    fn a_member_gives_up_before_it_moves_to_the_epoch() {
        let current = member(MemberState::Stable, &[0, 1], &[]);
        let case = |reported| Case { current: current.clone(), target: &[1, 2], reported, taken: &[] };
        let unrevoked = (3, MemberState::UnrevokedPartitions, vec![1], vec![0]);
        assert_eq!(step(&case(None)), unrevoked);
        assert_eq!(step(&case(Some(&[0, 1]))), unrevoked);
        // It has given up already: it may move on at once.
        assert_eq!(step(&case(Some(&[1]))), (5, MemberState::Stable, vec![1, 2], vec![]));
    }

    /// CGP-07
    #[test]
    fn a_member_waits_until_it_reports_that_it_gave_up() {
        let current = member(MemberState::UnrevokedPartitions, &[1], &[0]);
        let case = |reported| Case { current: current.clone(), target: &[1, 2], reported, taken: &[] };
        assert_eq!(step(&case(None)), (3, MemberState::UnrevokedPartitions, vec![1], vec![0]));
        assert_eq!(step(&case(Some(&[0]))), (3, MemberState::UnrevokedPartitions, vec![1], vec![0]));
        assert_eq!(step(&case(Some(&[1]))), (5, MemberState::Stable, vec![1, 2], vec![]));
    }

    /// CGP-07
    #[test]
    fn a_member_gets_only_what_nobody_holds() {
        let stable = member(MemberState::Stable, &[0], &[]);
        let case = Case { current: stable, target: &[0, 1, 2], reported: None, taken: &[0, 2] };
        assert_eq!(step(&case), (5, MemberState::UnreleasedPartitions, vec![0, 1], vec![]));
        let waiting = CurrentAssignment {
            epoch: MemberEpoch::new(5),
            ..member(MemberState::UnreleasedPartitions, &[0, 1], &[])
        };
        let case = |taken| Case { current: waiting.clone(), target: &[0, 1, 2], reported: None, taken };
        assert_eq!(step(&case(&[2])), (5, MemberState::UnreleasedPartitions, vec![0, 1], vec![]));
        assert_eq!(step(&case(&[])), (5, MemberState::Stable, vec![0, 1, 2], vec![]));
    }

    /// CGP-14: a partition keeps the epoch at which the member got it.
    #[test]
    fn partitions_keep_the_epoch_they_were_given_at() {
        let current = member(MemberState::Stable, &[0], &[]);
        let (target, subscribed) = (set(&[0, 1]), BTreeSet::from([at(1, 0).topic]));
        let step = Step {
            current: &current,
            target_epoch: MemberEpoch::new(5),
            target: &target,
            subscribed: &subscribed,
            subscription_changed: false,
            reported: None,
        };
        let next = step.take(|_| true).unwrap();
        let epochs: Vec<i32> = next.assigned.values().map(|epoch| epoch.value()).collect();
        assert_eq!(epochs, [3, 5]);
        assert_eq!(next.previous_epoch.value(), 3);
    }

    /// CGP-07: what a member unsubscribes from it gives up, although the target still says otherwise.
    #[test]
    fn a_topic_that_is_unsubscribed_is_given_up_before_the_target_is_made() {
        let mut current = member(MemberState::Stable, &[0], &[]);
        current.assigned.insert(at(2, 0), MemberEpoch::new(3));
        let subscribed = BTreeSet::from([at(2, 0).topic]);
        let target: BTreeSet<IdPartition> = current.assigned.keys().copied().collect();
        let step = |reported| Step {
            current: &current,
            target_epoch: MemberEpoch::new(3),
            target: &target,
            subscribed: &subscribed,
            subscription_changed: true,
            reported,
        };
        let next = step(None).take(|_| true).unwrap();
        assert_eq!(next.state, MemberState::UnrevokedPartitions);
        assert_eq!(next.revoking.keys().collect::<Vec<_>>(), [&at(1, 0)]);
        let given_up = BTreeSet::from([at(2, 0)]);
        let next = step(Some(&given_up)).take(|_| true).unwrap();
        assert_eq!((next.state, next.assigned.len()), (MemberState::Stable, 1));
    }

    #[test]
    fn a_member_in_a_state_of_the_future_starts_over() {
        let current = member(MemberState::Unknown(7), &[0], &[]);
        let (target, subscribed) = (set(&[0]), BTreeSet::from([at(1, 0).topic]));
        let step = |reported| Step {
            current: &current,
            target_epoch: MemberEpoch::new(5),
            target: &target,
            subscribed: &subscribed,
            subscription_changed: false,
            reported,
        };
        assert_eq!(step(None).take(|_| true), Err(UnknownState));
        assert_eq!(step(Some(&BTreeSet::new())).take(|_| true).unwrap().state, MemberState::Stable);
    }
}
