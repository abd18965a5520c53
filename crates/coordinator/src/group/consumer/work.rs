//! A change of one consumer group as it is decided: records, and the group as they leave it.
//!
//! Owns: the copy that later decisions of the same request look at, the steps all changes have in common.
//! Does not own: the order of the steps (`heartbeat`, `leave`, `classic_member`).
//!
//! Nothing here touches the shard: whoever drops the work has changed nothing.
//!
//! Source: requirements CGP-06…08.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use ottla_model::{GroupId, MemberId, TopicId};

use super::super::topics::Topics;
use super::assign::{Candidate, Partitions, assign};
use super::command::{ClusterView, ConsumerHeartbeatError, ConsumerTimes};
use super::reconcile::Step;
use super::record::{
    ConsumerChange, CurrentAssignment, GroupEpoch, IdPartition, MemberEpoch, Subscriber, TargetEpoch,
};
use super::state::ConsumerGroup;
use crate::config::GroupConfig;
use crate::runtime::Now;

/// What decisions depend on besides the group.
#[derive(Clone, Copy)]
pub(in super::super) struct Circumstances<'a> {
    pub now: Now,
    pub config: &'a GroupConfig,
    pub view: &'a ClusterView,
}

impl Circumstances<'_> {
    pub fn topics(&self) -> &Topics {
        &self.view.topics
    }

    pub fn times(&self, group: &GroupId) -> ConsumerTimes {
        self.view.settings.of(group)
    }
}

/// A group that is being changed.
pub(in super::super) struct Work<'a> {
    pub id: GroupId,
    pub group: ConsumerGroup,
    pub records: Vec<ConsumerChange>,
    pub around: Circumstances<'a>,
}

/// What changed of a member's subscription.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct SubscriptionChange {
    /// The group has to move to another epoch.
    pub bumps: bool,
    /// What the member subscribes to is not what it was.
    pub changed: bool,
}

/// Whether enough time went by since the last assignment. Kafka compares milliseconds of the clock on the wall, so that
/// the time outlasts a restart.
pub(super) fn may_assign(group: &ConsumerGroup, interval: Duration, now: Now) -> bool {
    let Some(at) = group.target_epoch().and_then(|target| target.at) else { return true };
    let age = now.wall.millis_since(at);
    // A clock that was set back must not keep groups from being assigned.
    interval.is_zero() || age < 0 || u128::try_from(age).is_ok_and(|age| age >= interval.as_millis())
}

impl<'a> Work<'a> {
    pub fn new(id: &GroupId, group: ConsumerGroup, around: Circumstances<'a>) -> Work<'a> {
        Work { id: id.clone(), group, records: Vec::new(), around }
    }

    /// Decides a record.
    pub fn write(&mut self, change: ConsumerChange) {
        self.group.apply(&change);
        self.records.push(change);
    }

    /// Writes what a member says of itself, if it is not what is known.
    pub fn put_member(&mut self, member: &MemberId, subscriber: Subscriber) {
        if self.group.member(member).is_none_or(|known| **known != subscriber) {
            self.write(ConsumerChange::Member { member: member.clone(), value: Some(Arc::new(subscriber)) });
        }
    }

    pub fn put_current(&mut self, member: &MemberId, current: CurrentAssignment) {
        self.write(ConsumerChange::Current { member: member.clone(), value: Some(Arc::new(current)) });
    }

    /// Writes that a member is gone. The order is Kafka's.
    pub fn remove_member(&mut self, member: &MemberId) {
        let member = member.clone();
        self.write(ConsumerChange::Current { member: member.clone(), value: None });
        self.write(ConsumerChange::Target { member: member.clone(), value: None });
        self.write(ConsumerChange::Member { member, value: None });
    }

    /// Removes what is known of expressions that nobody subscribes to any more.
    pub fn forget_unused_regexes(&mut self) {
        let used = self.group.patterns();
        let unused: Vec<Arc<str>> = self
            .group
            .regexes()
            .map(|(pattern, _)| pattern.clone())
            .filter(|one| !used.contains(one))
            .collect();
        for pattern in unused {
            self.write(ConsumerChange::Regex { pattern, value: None });
        }
    }

    /// Looks at the topics' metadata again. The group moves to its next epoch if they changed, or if `bumps`.
    pub fn look_at_metadata(&mut self, bumps: bool) {
        let metadata_hash = self.group.hash(self.around.topics());
        if bumps || metadata_hash != self.group.metadata_hash() {
            let epoch = self.group.epoch().next();
            self.write(ConsumerChange::Epoch(Some(GroupEpoch { epoch, metadata_hash })));
        }
        if self.group.has_partition_metadata() {
            self.write(ConsumerChange::PartitionMetadata(None));
        }
    }

    /// Makes the target assignment of the group's epoch, if there is none yet and the last one is old enough.
    pub fn assign_if_due(&mut self) {
        let interval = self.around.times(&self.id).assignment_interval;
        let is_behind = self.group.assignment_epoch() < self.group.epoch();
        if !is_behind || !may_assign(&self.group, interval, self.around.now) {
            return;
        }
        let assignor = self.group.preferred_assignor(self.around.config.consumer.assignors.first);
        let group = self.group.clone();
        let topics = self.around.topics();
        let candidates: Vec<Candidate<'_>> = group
            .members()
            .map(|(id, member)| Candidate {
                id,
                instance: member.instance.as_ref(),
                topics: group.subscribed_topics(member, topics),
                before: group.target(id).map(|target| &**target),
            })
            .collect();
        let wanted: BTreeSet<TopicId> =
            candidates.iter().flat_map(|one| one.topics.iter().copied()).collect();
        let partitions: Partitions = wanted
            .into_iter()
            .filter_map(|id| Some((id, topics.by_id(id)?.partitions().collect())))
            .collect();
        for (member, target) in assign(assignor, &candidates, &partitions) {
            if group.target(&member).is_none_or(|before| **before != target) {
                self.write(ConsumerChange::Target { member, value: Some(Arc::new(target)) });
            }
        }
        let target = TargetEpoch { epoch: self.group.epoch(), at: Some(self.around.now.wall) };
        self.write(ConsumerChange::TargetEpoch(Some(target)));
    }

    /// Brings a member one step nearer to its target.
    pub fn reconcile(
        &mut self,
        member: &MemberId,
        reported: Option<&BTreeSet<IdPartition>>,
        subscription_changed: bool,
    ) -> Result<(), ConsumerHeartbeatError> {
        let current = self.group.current(member);
        let nothing = BTreeSet::new();
        let target = self.group.target(member).cloned();
        let subscriber = self.group.member(member).cloned().unwrap_or_default();
        let step = Step {
            current: &current,
            target_epoch: self.group.assignment_epoch(),
            target: target.as_deref().unwrap_or(&nothing),
            subscribed: &self.group.subscribed_topics(&subscriber, self.around.topics()),
            subscription_changed,
            reported,
        };
        let next = step.take(|partition| self.group.is_free(partition));
        let next = next.map_err(|_| ConsumerHeartbeatError::UnknownState)?;
        if next != *current {
            self.put_current(member, next);
        }
        Ok(())
    }

    /// Puts a member into the place of a static one: it gets its target and its partitions.
    pub fn replace_member(&mut self, former: &MemberId, member: &MemberId, current: CurrentAssignment) {
        let subscriber = self.group.member(former).cloned();
        let target = self.group.target(former).cloned().unwrap_or_default();
        self.remove_member(former);
        self.write(ConsumerChange::Member { member: member.clone(), value: subscriber });
        self.write(ConsumerChange::Target { member: member.clone(), value: Some(target) });
        self.put_current(member, current);
    }

    /// The member that a newcomer with the instance id of another takes the place of, as it begins.
    pub fn inherited(&self, former: &MemberId) -> CurrentAssignment {
        let current = self.group.current(former);
        CurrentAssignment {
            epoch: MemberEpoch::ZERO,
            previous_epoch: MemberEpoch::ZERO,
            ..(*current).clone()
        }
    }
}
