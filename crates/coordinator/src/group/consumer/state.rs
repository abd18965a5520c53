//! A consumer group: the sum of its records.
//!
//! Owns: the replicated state; only [`ConsumerGroup::apply`] changes it, fresh or at replay. What can be read off it.
//! Does not own: timers, the rules by which records are decided (`heartbeat`, `leave`, `migration`).
//!
//! Invariants
//! - G1 `owned` counts, for every partition, the members that hold it;
//! - G2 an instance id names a member that carries it.
//!
//! Source: requirements CGP-06…08; KIP-848.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use ottla_model::{GroupInstanceId, MemberId, TopicId};

use super::super::classic::GroupState;
use super::super::topics::Topics;
use super::assign::Assignor;
use super::record::{
    ConsumerChange, CurrentAssignment, GroupEpoch, IdPartition, MemberEpoch, ResolvedRegex, Subscriber,
    TargetEpoch,
};

/// The epoch of a group of which no epoch was written, as in Kafka 4.3.
const FIRST_EPOCH: MemberEpoch = MemberEpoch::new(1);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct ConsumerGroup {
    epoch: Option<GroupEpoch>,
    partition_metadata: Option<Bytes>,
    members: BTreeMap<MemberId, Arc<Subscriber>>,
    target_epoch: Option<TargetEpoch>,
    targets: BTreeMap<MemberId, Arc<BTreeSet<IdPartition>>>,
    current: BTreeMap<MemberId, Arc<CurrentAssignment>>,
    regexes: BTreeMap<Arc<str>, Arc<ResolvedRegex>>,
    instances: BTreeMap<GroupInstanceId, MemberId>,
    owned: HashMap<IdPartition, usize>,
}

fn put<K: Ord + Clone, V>(map: &mut BTreeMap<K, V>, key: &K, value: Option<V>) -> Option<V> {
    match value {
        Some(value) => map.insert(key.clone(), value),
        None => map.remove(key),
    }
}

impl ConsumerGroup {
    /// Applies a record and gives the one that takes it back.
    pub fn apply(&mut self, change: &ConsumerChange) -> ConsumerChange {
        match change {
            ConsumerChange::Epoch(value) => ConsumerChange::Epoch(std::mem::replace(&mut self.epoch, *value)),
            ConsumerChange::PartitionMetadata(value) => ConsumerChange::PartitionMetadata(std::mem::replace(
                &mut self.partition_metadata,
                value.clone(),
            )),
            ConsumerChange::Member { member, value } => ConsumerChange::Member {
                member: member.clone(),
                value: self.put_member(member, value.clone()),
            },
            ConsumerChange::TargetEpoch(value) => {
                ConsumerChange::TargetEpoch(std::mem::replace(&mut self.target_epoch, *value))
            }
            ConsumerChange::Target { member, value } => ConsumerChange::Target {
                member: member.clone(),
                value: put(&mut self.targets, member, value.clone()),
            },
            ConsumerChange::Current { member, value } => ConsumerChange::Current {
                member: member.clone(),
                value: self.put_current(member, value.clone()),
            },
            ConsumerChange::Regex { pattern, value } => ConsumerChange::Regex {
                pattern: pattern.clone(),
                value: put(&mut self.regexes, pattern, value.clone()),
            },
        }
    }

    fn put_member(&mut self, id: &MemberId, value: Option<Arc<Subscriber>>) -> Option<Arc<Subscriber>> {
        let instance = value.as_ref().and_then(|value| value.instance.clone());
        let before = put(&mut self.members, id, value);
        if let Some(left) = before.as_ref().and_then(|before| before.instance.as_ref())
            && self.instances.get(left) == Some(id)
        {
            // Another member may carry it: when a replacement is taken back, its record goes first.
            let carries =
                |(_, member): &(&MemberId, &Arc<Subscriber>)| member.instance.as_ref() == Some(left);
            match self.members.iter().find(carries) {
                Some((other, _)) => drop(self.instances.insert(left.clone(), other.clone())),
                None => drop(self.instances.remove(left)),
            }
        }
        if let Some(instance) = instance {
            self.instances.insert(instance, id.clone());
        }
        before
    }

    fn put_current(
        &mut self,
        id: &MemberId,
        value: Option<Arc<CurrentAssignment>>,
    ) -> Option<Arc<CurrentAssignment>> {
        for partition in value.iter().flat_map(|value| value.held()) {
            *self.owned.entry(*partition).or_default() += 1;
        }
        let before = put(&mut self.current, id, value);
        for partition in before.iter().flat_map(|before| before.held()) {
            if let Some(holders) = self.owned.get_mut(partition) {
                *holders -= 1;
                if *holders == 0 {
                    self.owned.remove(partition);
                }
            }
        }
        before
    }

    /// No record of it is left: it does not exist.
    pub fn is_nothing(&self) -> bool {
        self.epoch.is_none()
            && self.partition_metadata.is_none()
            && self.target_epoch.is_none()
            && self.members.is_empty()
            && self.targets.is_empty()
            && self.current.is_empty()
            && self.regexes.is_empty()
    }

    /// Everything that is persisted, as the records that would make it so.
    pub fn records(&self) -> Vec<ConsumerChange> {
        let mut all = Vec::new();
        all.extend(self.epoch.map(|epoch| ConsumerChange::Epoch(Some(epoch))));
        all.extend(
            self.partition_metadata.clone().map(|bytes| ConsumerChange::PartitionMetadata(Some(bytes))),
        );
        all.extend(self.target_epoch.map(|epoch| ConsumerChange::TargetEpoch(Some(epoch))));
        for (member, value) in &self.members {
            all.push(ConsumerChange::Member { member: member.clone(), value: Some(value.clone()) });
        }
        for (member, value) in &self.targets {
            all.push(ConsumerChange::Target { member: member.clone(), value: Some(value.clone()) });
        }
        for (member, value) in &self.current {
            all.push(ConsumerChange::Current { member: member.clone(), value: Some(value.clone()) });
        }
        for (pattern, value) in &self.regexes {
            all.push(ConsumerChange::Regex { pattern: pattern.clone(), value: Some(value.clone()) });
        }
        all
    }

    /// The records that remove the group, in Kafka's order.
    pub fn tombstones(&self) -> Vec<ConsumerChange> {
        let mut all = Vec::new();
        let ids = |ids: Vec<&MemberId>| ids.into_iter().cloned().collect::<Vec<MemberId>>();
        for member in ids(self.current.keys().collect()) {
            all.push(ConsumerChange::Current { member, value: None });
        }
        for member in ids(self.targets.keys().collect()) {
            all.push(ConsumerChange::Target { member, value: None });
        }
        all.push(ConsumerChange::TargetEpoch(None));
        for member in ids(self.members.keys().collect()) {
            all.push(ConsumerChange::Member { member, value: None });
        }
        for pattern in self.regexes.keys().cloned() {
            all.push(ConsumerChange::Regex { pattern, value: None });
        }
        all.extend(self.partition_metadata.as_ref().map(|_| ConsumerChange::PartitionMetadata(None)));
        all.push(ConsumerChange::Epoch(None));
        all
    }

    /// A group begins ahead of its assignment, so that its first member is assigned whatever it subscribes to.
    pub fn epoch(&self) -> MemberEpoch {
        self.epoch.map_or(FIRST_EPOCH, |epoch| epoch.epoch)
    }

    pub fn metadata_hash(&self) -> i64 {
        self.epoch.map_or(0, |epoch| epoch.metadata_hash)
    }

    pub fn has_partition_metadata(&self) -> bool {
        self.partition_metadata.is_some()
    }

    /// The group epoch the target assignment was made for.
    pub fn assignment_epoch(&self) -> MemberEpoch {
        self.target_epoch.map_or(MemberEpoch::ZERO, |target| target.epoch)
    }

    pub fn target_epoch(&self) -> Option<&TargetEpoch> {
        self.target_epoch.as_ref()
    }

    pub fn members(&self) -> impl Iterator<Item = (&MemberId, &Arc<Subscriber>)> {
        self.members.iter()
    }

    pub fn member_count(&self) -> usize {
        self.members.len()
    }

    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    pub fn member(&self, id: &MemberId) -> Option<&Arc<Subscriber>> {
        self.members.get(id)
    }

    pub fn bearer(&self, instance: &GroupInstanceId) -> Option<&MemberId> {
        self.instances.get(instance)
    }

    pub fn target(&self, member: &MemberId) -> Option<&Arc<BTreeSet<IdPartition>>> {
        self.targets.get(member)
    }

    /// What the member has; nothing if nothing was ever written of it.
    pub fn current(&self, member: &MemberId) -> Arc<CurrentAssignment> {
        self.current.get(member).cloned().unwrap_or_default()
    }

    /// Whether no member holds the partition.
    pub fn is_free(&self, partition: &IdPartition) -> bool {
        !self.owned.contains_key(partition)
    }

    pub fn regex(&self, pattern: &str) -> Option<&Arc<ResolvedRegex>> {
        self.regexes.get(pattern)
    }

    pub fn regexes(&self) -> impl Iterator<Item = (&Arc<str>, &Arc<ResolvedRegex>)> {
        self.regexes.iter()
    }

    /// The expressions that members subscribe to.
    pub fn patterns(&self) -> BTreeSet<Arc<str>> {
        let patterns = self.members.values().map(|member| &member.regex);
        patterns.filter(|pattern| !pattern.is_empty()).cloned().collect()
    }

    pub fn subscribers_of(&self, pattern: &str) -> usize {
        self.members.values().filter(|member| *member.regex == *pattern).count()
    }

    /// Names of the topics the group as a whole subscribes to, whether they exist or not.
    pub fn subscribed_names(&self) -> BTreeSet<&str> {
        let names = self.members.values().flat_map(|member| member.names.iter());
        let resolved = self.regexes.values().flat_map(|regex| regex.topics.iter());
        names.chain(resolved).map(String::as_str).collect()
    }

    /// The same of one member, as the topics that exist.
    pub fn subscribed_topics(&self, member: &Subscriber, topics: &Topics) -> BTreeSet<TopicId> {
        let resolved = self.regexes.get(&member.regex).filter(|_| !member.regex.is_empty());
        let resolved = resolved.into_iter().flat_map(|regex| regex.topics.iter());
        let names = member.names.iter().chain(resolved);
        names.filter_map(|name| topics.by_name(name)).map(|topic| topic.id()).collect()
    }

    /// The hash of what the group subscribes to.
    pub fn hash(&self, topics: &Topics) -> i64 {
        topics.hash(self.subscribed_names().into_iter())
    }

    /// The assignor that most members ask for (CGP-08).
    pub fn preferred_assignor(&self, default: Assignor) -> Assignor {
        let mut votes: BTreeMap<Assignor, usize> = BTreeMap::new();
        for name in self.members.values().filter_map(|member| member.assignor.as_ref()) {
            if let Some(assignor) = Assignor::named(name) {
                *votes.entry(assignor).or_default() += 1;
            }
        }
        let most = votes.values().copied().max();
        let winner = votes.into_iter().find(|(_, count)| Some(*count) == most);
        winner.map_or(default, |(assignor, _)| assignor)
    }

    pub fn state(&self) -> GroupState {
        let target = self.assignment_epoch();
        if self.members.is_empty() {
            GroupState::Empty
        } else if self.epoch() > target {
            GroupState::Assigning
        } else if self.members.keys().all(|id| self.current(id).is_reconciled_to(target)) {
            GroupState::Stable
        } else {
            GroupState::Reconciling
        }
    }

    pub fn classic_members(&self) -> usize {
        self.members.values().filter(|member| member.classic.is_some()).count()
    }

    /// Whether a partition the member is to get is still held by another.
    pub fn waits_for_others(&self, id: &MemberId) -> bool {
        let current = self.current(id);
        let awaited =
            |partition: &IdPartition| !current.assigned.contains_key(partition) && !self.is_free(partition);
        self.targets.get(id).is_some_and(|target| target.iter().any(awaited))
    }

    /// G1, G2
    #[cfg(debug_assertions)]
    pub fn assert_consistent(&self) {
        let mut owned: HashMap<IdPartition, usize> = HashMap::new();
        for partition in self.current.values().flat_map(|current| current.held()) {
            *owned.entry(*partition).or_default() += 1;
        }
        assert_eq!(owned, self.owned);
        for (instance, id) in &self.instances {
            let bearer = self.members.get(id).and_then(|member| member.instance.as_ref());
            assert_eq!(bearer, Some(instance));
        }
    }
}
