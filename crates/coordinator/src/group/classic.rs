//! A classic group: its phase, and what it tells its members.
//!
//! Owns: the phase, generation, protocol and members of one group.
//! Does not own: who may join (`join`), when a rebalance begins and ends (`rebalance`), sessions and departures
//! (`session`), its offsets.
//!
//! Except for what a [`GroupImage`] holds, all of it is volatile, as in Kafka: a restart finds the last persisted
//! generation, its members come back or expire.
//!
//! Invariants
//! - C1 a group without members is empty, or waits for ids it gave out;
//! - C2 a sync is parked only in `Completing`;
//! - C3 `Completing` and `Stable` have members and a protocol.
//!
//! Source: requirements GRP-01…18; Kafka's documented group states.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ottla_model::{GenerationId, GroupId, MemberId, ProtocolName, ProtocolType, Timestamp};

use super::answer::{GroupAnswer, JoinRefused, Joined, JoinedMember, Synced};
use super::member::Member;
use super::members::Members;
use super::protocols;
use super::record::GroupImage;
use crate::config::GroupConfig;
use crate::runtime::{Now, RequestId, Unavailable};

/// The phase of a group as tools show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupState {
    Empty,
    PreparingRebalance,
    CompletingRebalance,
    Stable,
    /// A consumer group's epoch has no assignment yet.
    Assigning,
    /// Members of a consumer group are on their way to the assignment.
    Reconciling,
}

impl fmt::Display for GroupState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            GroupState::Empty => "Empty",
            GroupState::PreparingRebalance => "PreparingRebalance",
            GroupState::CompletingRebalance => "CompletingRebalance",
            GroupState::Stable => "Stable",
            GroupState::Assigning => "Assigning",
            GroupState::Reconciling => "Reconciling",
        })
    }
}

/// By which protocol the members of a group work together, as ListGroups names it from version 5 on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupType {
    Classic,
    Consumer,
}

impl fmt::Display for GroupType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            GroupType::Classic => "classic",
            GroupType::Consumer => "consumer",
        })
    }
}

#[derive(Clone, Debug)]
pub(super) enum Phase {
    Empty,
    /// Members join, until `by` at the latest.
    Preparing {
        by: Instant,
        initial: Option<InitialDelay>,
    },
    /// Members wait for the leader's assignment.
    Completing,
    Stable,
}

/// The wait of a group that had no members, in which more of them may come (GRP-11).
#[derive(Clone, Copy, Debug)]
pub(super) struct InitialDelay {
    /// The part that runs now.
    pub delay: Duration,
    /// What may still be added.
    pub remaining: Duration,
    /// Somebody came during the running part.
    pub grew: bool,
}

/// What one event means to a group: the circumstances, and what comes out.
pub(super) struct Turn<'a> {
    pub now: Now,
    pub config: &'a GroupConfig,
    pub replies: Vec<(RequestId, GroupAnswer)>,
    pub write: Option<(Arc<GroupImage>, Option<Remedy>)>,
}

/// What sets a group right when its record was not appended.
#[derive(Debug)]
pub(super) enum Remedy {
    /// The group did not come into being.
    Remove,
    /// The generation has no assignment: rebalance.
    Unassign(GenerationId),
    /// The static member keeps its former id.
    Restore { present: MemberId, former: Box<Member> },
    /// The group was not deleted.
    Revive(Box<ClassicGroup>),
    /// What a consumer group's topics are has to be looked at again.
    LookAgain,
}

#[derive(Clone, Debug)]
pub(super) struct ClassicGroup {
    pub id: GroupId,
    pub protocol_type: Option<ProtocolType>,
    pub generation: GenerationId,
    pub protocol: Option<ProtocolName>,
    pub members: Members,
    pub phase: Phase,
    /// Until when all members of the generation must have asked for their assignment (GRP-14).
    pub sync_by: Option<Instant>,
    /// Since when the group is in its phase.
    pub since: Option<Timestamp>,
    /// Topics the members subscribe to. `None` when that is not known: no consumers, or unreadable subscriptions.
    pub subscribed: Option<BTreeSet<String>>,
}

impl<'a> Turn<'a> {
    pub fn new(now: Now, config: &'a GroupConfig) -> Turn<'a> {
        Turn { now, config, replies: Vec::new(), write: None }
    }

    pub fn reply(&mut self, request: RequestId, answer: GroupAnswer) {
        self.replies.push((request, answer));
    }
}

impl ClassicGroup {
    /// A group that nobody has joined yet.
    pub fn new(id: GroupId, since: Timestamp) -> ClassicGroup {
        ClassicGroup {
            id,
            protocol_type: None,
            generation: GenerationId::ZERO,
            protocol: None,
            members: Members::default(),
            phase: Phase::Empty,
            sync_by: None,
            since: Some(since),
            subscribed: None,
        }
    }

    /// The group as it was persisted; sessions begin with [`ClassicGroup::on_loaded`].
    pub fn from_image(id: GroupId, image: &GroupImage) -> ClassicGroup {
        let mut group = ClassicGroup::new(id, Timestamp::NONE);
        group.protocol_type = image.protocol_type.clone();
        group.generation = image.generation;
        group.protocol = image.protocol.clone();
        group.since = image.since;
        let protocol = image.protocol.clone().unwrap_or_else(|| ProtocolName::new(""));
        for member in &image.members {
            group.members.add(Member::from_image(member, protocol.clone()));
        }
        group.members.set_leader(image.leader.as_ref());
        if !group.members.is_empty() {
            group.phase = Phase::Stable;
        }
        group.find_subscribed();
        group
    }

    /// What a record would hold of the group.
    pub fn image(&self) -> Arc<GroupImage> {
        let protocol = self.protocol.clone().unwrap_or_else(|| ProtocolName::new(""));
        Arc::new(GroupImage {
            protocol_type: self.protocol_type.clone(),
            generation: self.generation,
            protocol: self.protocol.clone(),
            leader: self.members.leader().cloned(),
            since: self.since,
            // By arrival, so that a restart knows who has been there longest.
            members: self.members.by_seat().into_iter().map(|member| member.image(&protocol)).collect(),
        })
    }

    pub fn state(&self) -> GroupState {
        match self.phase {
            Phase::Empty => GroupState::Empty,
            Phase::Preparing { .. } => GroupState::PreparingRebalance,
            Phase::Completing => GroupState::CompletingRebalance,
            Phase::Stable => GroupState::Stable,
        }
    }

    pub fn is_empty(&self) -> bool {
        matches!(self.phase, Phase::Empty)
    }

    pub fn is_subscribed_to(&self, topic: &str) -> bool {
        match &self.subscribed {
            Some(topics) => topics.contains(topic),
            None => protocols::is_consumer(self.protocol_type.as_ref()),
        }
    }

    /// When [`ClassicGroup::on_deadline`] is due.
    pub fn deadline(&self) -> Option<Instant> {
        let joined_by = match self.phase {
            Phase::Preparing { by, .. } => Some(by),
            Phase::Empty | Phase::Completing | Phase::Stable => None,
        };
        [joined_by, self.sync_by, self.members.deadline()].into_iter().flatten().min()
    }

    /// Answers everything that is parked, for a coordinator that goes away.
    pub fn close(&self, why: Unavailable) -> Vec<(RequestId, GroupAnswer)> {
        let joins = self.members.iter().filter_map(|member| {
            let refused = JoinRefused::new(&member.id, why.into());
            member.parked_join.map(|request| (request, GroupAnswer::Join(Err(refused))))
        });
        let syncs = self.members.iter().filter_map(|member| {
            member.parked_sync.map(|request| (request, GroupAnswer::Sync(Err(why.into()))))
        });
        joins.chain(syncs).collect()
    }

    pub(super) fn enter(&mut self, phase: Phase, now: Now) {
        self.phase = phase;
        self.since = Some(now.wall);
        debug_assert!(match self.phase {
            Phase::Completing | Phase::Stable => !self.members.is_empty() && self.protocol.is_some(),
            Phase::Empty => self.members.is_empty(),
            Phase::Preparing { .. } => true,
        });
    }

    /// Reads the topics again after the protocol or the members changed.
    pub(super) fn find_subscribed(&mut self) {
        self.subscribed = match (&self.protocol, protocols::is_consumer(self.protocol_type.as_ref())) {
            (_, false) => None,
            (_, true) if self.members.is_empty() => Some(BTreeSet::new()),
            (None, true) => None,
            (Some(protocol), true) => {
                protocols::subscribed_topics(self.members.iter().map(|member| member.metadata(protocol)))
            }
        };
    }

    /// The answer to a join in the current generation, for anybody but a leader that has to assign.
    pub(super) fn joined(&self, member: &MemberId) -> Joined {
        Joined {
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            leader: self.members.leader().cloned(),
            member: member.clone(),
            members: Vec::new(),
            skip_assignment: false,
        }
    }

    /// The same, with all members if this one leads.
    pub(super) fn joined_to_assign(&self, member: &MemberId) -> Joined {
        let mut joined = self.joined(member);
        if self.members.is_leader(member) {
            joined.members = self.joined_members();
        }
        joined
    }

    pub(super) fn joined_members(&self) -> Vec<JoinedMember> {
        let metadata =
            |member: &Member| self.protocol.as_ref().map(|name| member.metadata(name)).unwrap_or_default();
        let members = self.members.by_seat().into_iter().map(|member| JoinedMember {
            member: member.id.clone(),
            instance: member.instance.clone(),
            metadata: metadata(member),
        });
        members.collect()
    }

    pub(super) fn synced(&self, member: &Member) -> Synced {
        Synced {
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            assignment: member.assignment.clone(),
        }
    }
}
