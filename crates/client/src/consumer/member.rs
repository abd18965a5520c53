//! Membership in a classic group: joining, staying, leaving.
//!
//! Owns: the member's state, its id and generation, heartbeats, what is owned and what must be given up.
//! Does not own: what answers mean (`answers`), the bytes of the protocol (`group_protocol`), the assignment's arithmetic (`assignor`), positions and
//! commits, the wire (`driver`).
//!
//! Invariants
//! - I1 at most one of JoinGroup, SyncGroup and LeaveGroup is in flight, and at most one Heartbeat;
//! - I2 what is owned is given up before a join that could give it to others, and only once the user has agreed;
//! - I3 an answer is applied only in the state that asked for it.
//!
//! ```text
//! Outside ─▶ Joining ─▶ (Counting ─▶) Syncing ─▶ Stable ─▶ Preparing ─▶ Joining …
//! ```
//!
//! Source: Kafka protocol guide, JoinGroup, SyncGroup, Heartbeat, LeaveGroup; KIP-62, KIP-345, KIP-394, KIP-429.

mod answers;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use bytes::Bytes;
use ottla_model::{BrokerId, GenerationId, GroupInstanceId, MemberId, TopicName, TopicPartition};

use super::assignor::{Member as Peer, Topics};
use super::group_protocol as protocol;
use crate::backoff::Backoff;
use crate::config::{AssignorKind, BackoffConfig, GroupConfig};
use crate::error::ServerError;

/// Something to be sent to the coordinator, or asked about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    FindCoordinator,
    Join {
        coordinator: BrokerId,
        member: Option<MemberId>,
        protocols: Vec<(&'static str, Bytes)>,
    },
    /// This member leads the group and must know how many partitions these topics have.
    CountPartitions {
        topics: BTreeSet<TopicName>,
    },
    Sync {
        coordinator: BrokerId,
        who: Identity,
        assignments: Vec<(MemberId, Bytes)>,
    },
    Heartbeat {
        coordinator: BrokerId,
        who: Identity,
    },
    Leave {
        coordinator: BrokerId,
        member: MemberId,
    },
}

/// Who this member is in the group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub member: MemberId,
    pub generation: GenerationId,
    pub protocol: &'static str,
}

/// Something the user's side must do before the member goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// Commit, then give these up. The member waits for [`Member::on_given_up`].
    GiveUp(Vec<TopicPartition>),
    /// These belong to others already; nothing can be committed for them. Waits as `GiveUp` does.
    Lost(Vec<TopicPartition>),
    /// These are new.
    Assigned(Vec<TopicPartition>),
    /// The group cannot be joined at all.
    Failed(ServerError),
}

/// What a JoinGroup answer says.
#[derive(Clone, Debug)]
pub(crate) struct Joined {
    pub member: MemberId,
    pub generation: Option<GenerationId>,
    pub protocol: String,
    pub is_leader: bool,
    /// A static leader came back and the group goes on as it was (KIP-814).
    pub skip_assignment: bool,
    pub members: Vec<(MemberId, Option<GroupInstanceId>, Bytes)>,
}

/// Why a request to the coordinator brought nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// No answer: the coordinator may have moved.
    NoAnswer,
    Refused(ServerError),
}

#[derive(Debug, PartialEq, Eq)]
enum Coordinator {
    Unknown { not_before: Option<Instant> },
    Asked,
    Known(BrokerId),
}

#[derive(Debug)]
enum State {
    /// Not a member, and nothing wants it to be one.
    Outside,
    /// A join is due as soon as the user has given up what it must.
    Preparing {
        not_before: Option<Instant>,
    },
    Joining,
    /// Leader: waits for partition counts.
    Counting {
        asked: bool,
        peers: Vec<Peer>,
    },
    /// `assignments` are to be sent; `None` once they are.
    Syncing {
        assignments: Option<Vec<(MemberId, Bytes)>>,
    },
    Stable,
    /// `sent`: LeaveGroup is in flight.
    Leaving {
        sent: bool,
    },
    Failed,
}

/// One member of one group.
#[derive(Debug)]
pub(crate) struct Member {
    config: GroupConfig,
    backoff: Backoff,
    topics: BTreeSet<TopicName>,
    is_subscribed: bool,
    coordinator: Coordinator,
    state: State,
    id: Option<MemberId>,
    generation: Option<GenerationId>,
    assignor: Option<AssignorKind>,
    owned: Vec<TopicPartition>,
    /// As owned before the last give-up, for the sticky assignor.
    previous: (Vec<TopicPartition>, Option<GenerationId>),
    /// What the leader's last assignment was made from.
    counted: Option<Topics>,
    /// What the user still has to do.
    event: Option<Event>,
    /// Assigned after what is now to be given up is.
    added_after: Option<Vec<TopicPartition>>,
    heartbeat_at: Instant,
    heartbeat_in_flight: bool,
    heard_at: Instant,
    polled_at: Instant,
}

impl Member {
    pub(crate) fn new(config: GroupConfig, retry: BackoffConfig, now: Instant) -> Member {
        Member {
            backoff: Backoff::new(retry),
            topics: BTreeSet::new(),
            is_subscribed: false,
            coordinator: Coordinator::Unknown { not_before: None },
            state: State::Outside,
            id: None,
            generation: None,
            assignor: None,
            owned: Vec::new(),
            previous: (Vec::new(), None),
            counted: None,
            event: None,
            added_after: None,
            heartbeat_at: now,
            heartbeat_in_flight: false,
            heard_at: now,
            polled_at: now,
            config,
        }
    }

    /// The coordinator, if it is known.
    pub(crate) fn coordinator(&self) -> Option<BrokerId> {
        match self.coordinator {
            Coordinator::Known(id) => Some(id),
            Coordinator::Unknown { .. } | Coordinator::Asked => None,
        }
    }

    /// Who this member is, while it is one.
    pub(crate) fn identity(&self) -> Option<Identity> {
        Some(Identity {
            member: self.id.clone()?,
            generation: self.generation?,
            protocol: self.assignor?.protocol_name(),
        })
    }

    /// What the user has to do next, if anything. It stays until it is done.
    pub(crate) fn event(&self) -> Option<&Event> {
        self.event.as_ref()
    }

    /// Whether a rebalance is going on.
    pub(crate) fn is_rebalancing(&self) -> bool {
        matches!(
            self.state,
            State::Preparing { .. } | State::Joining | State::Counting { .. } | State::Syncing { .. }
        )
    }

    /// The topics to be consumed, from now on.
    pub(crate) fn on_subscribed(&mut self, topics: BTreeSet<TopicName>) {
        if self.topics != topics || !self.is_subscribed {
            self.topics = topics;
            self.is_subscribed = true;
            self.rejoin();
        }
    }

    /// The user wants a rebalance; one that is under way serves.
    pub(crate) fn on_rebalance_wanted(&mut self) {
        if matches!(self.state, State::Stable) {
            self.rejoin();
        }
    }

    /// The user polls, so it is alive.
    pub(crate) fn on_poll(&mut self, now: Instant) {
        self.polled_at = now;
    }

    /// The user does not want to be a member any more.
    pub(crate) fn on_unsubscribed(&mut self) {
        self.topics.clear();
        self.is_subscribed = false;
        self.owned.clear();
        self.event = None;
        self.added_after = None;
        self.state = match (&self.id, &self.config.instance_id) {
            // A static member keeps its place: it comes back under its name (KIP-345).
            (Some(_), None) => State::Leaving { sent: false },
            (Some(_), Some(_)) | (None, _) => State::Outside,
        };
    }

    /// Whether nothing is left to be sent.
    pub(crate) fn has_left(&self) -> bool {
        matches!(self.state, State::Outside | State::Failed)
    }

    /// The user did what [`Member::event`] asked for.
    pub(crate) fn on_event_done(&mut self) {
        match self.event.take() {
            Some(Event::GiveUp(partitions) | Event::Lost(partitions)) => {
                self.owned.retain(|one| !partitions.contains(one));
                if let Some(added) = self.added_after.take() {
                    self.add(added);
                }
            }
            Some(Event::Assigned(_)) => {}
            // The error was told; the next subscription begins anew.
            Some(Event::Failed(_)) => self.state = State::Failed,
            None => {}
        }
    }

    /// Topics as the cluster knows them now. A leader whose assignment was made from others begins a rebalance; racks
    /// count where the leader has one.
    pub(crate) fn on_metadata(&mut self, now: &Topics) {
        let Some(counted) = &self.counted else { return };
        let has_rack = self.config.rack.is_some();
        let differs = |topic: &TopicName| {
            let moved = has_rack && now.racks.get(topic) != counted.racks.get(topic);
            now.counts.get(topic).is_some_and(|count| moved || counted.counts.get(topic) != Some(count))
        };
        let changed = counted.counts.keys().chain(&self.topics).any(differs);
        if changed && matches!(self.state, State::Stable) {
            self.counted = None;
            self.rejoin();
        }
    }

    /// The next thing to send, if any.
    pub(crate) fn poll_action(&mut self, now: Instant) -> Option<Action> {
        self.check_times(now);
        if self.wants_coordinator() {
            return match &self.coordinator {
                Coordinator::Unknown { not_before } if not_before.is_none_or(|at| at <= now) => {
                    self.coordinator = Coordinator::Asked;
                    Some(Action::FindCoordinator)
                }
                Coordinator::Unknown { .. } | Coordinator::Asked => None,
                Coordinator::Known(coordinator) => self.poll_coordinated(*coordinator, now),
            };
        }
        None
    }

    /// When to look again.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let mut deadlines: Vec<Instant> = Vec::new();
        if let (true, Coordinator::Unknown { not_before: Some(at) }) =
            (self.wants_coordinator(), &self.coordinator)
        {
            deadlines.push(*at);
        }
        if let State::Preparing { not_before: Some(at) } = &self.state {
            deadlines.push(*at);
        }
        if self.generation.is_some() && !matches!(self.state, State::Joining) {
            if !self.heartbeat_in_flight {
                deadlines.push(self.heartbeat_at);
            }
            deadlines.push(self.heard_at + self.config.session_timeout);
            deadlines.push(self.polled_at + self.config.poll_interval_max);
        }
        deadlines.into_iter().min()
    }

    fn wants_coordinator(&self) -> bool {
        !matches!(self.state, State::Outside | State::Failed)
    }

    fn poll_coordinated(&mut self, coordinator: BrokerId, now: Instant) -> Option<Action> {
        // Who does not poll would be thrown out again at once.
        let is_polled = now < self.polled_at + self.config.poll_interval_max;
        match &mut self.state {
            State::Preparing { not_before } if not_before.is_none_or(|at| at <= now) && is_polled => {
                self.prepare_join(coordinator).or_else(|| self.poll_heartbeat(coordinator, now))
            }
            State::Counting { asked: asked @ false, peers } => {
                *asked = true;
                let topics = peers.iter().flat_map(|peer| peer.topics.iter().cloned()).collect();
                Some(Action::CountPartitions { topics })
            }
            State::Syncing { assignments } if assignments.is_some() => {
                let assignments = assignments.take().unwrap_or_default();
                let who = self.identity()?;
                Some(Action::Sync { coordinator, who, assignments })
            }
            State::Leaving { sent: sent @ false } => {
                *sent = true;
                let member = self.id.clone()?;
                Some(Action::Leave { coordinator, member })
            }
            State::Preparing { .. } | State::Counting { .. } | State::Syncing { .. } | State::Stable => {
                self.poll_heartbeat(coordinator, now)
            }
            State::Outside | State::Joining | State::Leaving { .. } | State::Failed => None,
        }
    }

    fn poll_heartbeat(&mut self, coordinator: BrokerId, now: Instant) -> Option<Action> {
        if self.heartbeat_in_flight || self.heartbeat_at > now {
            return None;
        }
        let who = self.identity()?;
        self.heartbeat_in_flight = true;
        Some(Action::Heartbeat { coordinator, who })
    }

    /// Joins, or first asks the user to give up what others could get.
    fn prepare_join(&mut self, coordinator: BrokerId) -> Option<Action> {
        if self.event.is_some() {
            return None;
        }
        let outdated = |one: &TopicPartition| !self.is_cooperative() || !self.topics.contains(&one.topic);
        let given_up: Vec<TopicPartition> = self.owned.iter().filter(|one| outdated(one)).cloned().collect();
        if !given_up.is_empty() {
            self.previous = (self.owned.clone(), self.generation);
            self.event = Some(Event::GiveUp(given_up));
            return None;
        }
        self.state = State::Joining;
        let protocols = self.config.assignors.iter().filter_map(|kind| {
            let metadata = protocol::write_subscription(&self.as_peer(), self.user_data(*kind)).ok()?;
            Some((kind.protocol_name(), metadata))
        });
        Some(Action::Join { coordinator, member: self.id.clone(), protocols: protocols.collect() })
    }

    fn as_peer(&self) -> Peer {
        Peer {
            id: self.id.clone().unwrap_or_else(|| MemberId::new("")),
            instance_id: self.config.instance_id.clone(),
            topics: self.topics.clone(),
            owned: self.owned.clone(),
            generation: self.generation,
            rack: self.config.rack.clone(),
        }
    }

    fn user_data(&self, kind: AssignorKind) -> Option<Bytes> {
        match kind {
            AssignorKind::Range | AssignorKind::RoundRobin => None,
            AssignorKind::Sticky => {
                let (partitions, generation) = &self.previous;
                (!partitions.is_empty()).then(|| protocol::write_sticky(partitions, *generation))
            }
            AssignorKind::CooperativeSticky => Some(protocol::write_cooperative(self.generation)),
        }
    }

    /// Members that may all keep what they have do so only if every assignor of the configuration allows it.
    fn is_cooperative(&self) -> bool {
        self.config.assignors.iter().all(|kind| kind.is_cooperative())
    }

    fn rejoin(&mut self) {
        if self.is_subscribed {
            self.state = State::Preparing { not_before: None };
        }
    }

    fn rejoin_after(&mut self, now: Instant, random: u64) {
        let wait = self.backoff.on_failure(random);
        self.state = State::Preparing { not_before: Some(now + wait) };
    }

    /// What this member has, for assertions and display.
    pub(crate) fn owned(&self) -> &[TopicPartition] {
        &self.owned
    }

    /// How long JoinGroup may take: as long as the slowest member may need, and a little.
    pub(crate) fn join_timeout(&self) -> Duration {
        self.config.poll_interval_max + Duration::from_secs(5)
    }
}

/// Those topics that exist, and where their replicas are.
pub(crate) fn topics_in<'a>(
    names: impl IntoIterator<Item = &'a TopicName>,
    image: &crate::cluster::ClusterImage,
) -> Topics {
    let rack_of = |node| image.nodes.get(node).and_then(|node| node.rack.clone());
    let has_racks = image.nodes.values().any(|node| node.rack.is_some());
    let mut topics = Topics::default();
    for name in names {
        let Some(topic) = image.topic(name) else { continue };
        topics.counts.insert(name.clone(), topic.partition_count());
        if has_racks {
            let partitions = topic.partitions.iter();
            let racks = partitions.map(|partition| partition.replicas.iter().filter_map(rack_of).collect());
            topics.racks.insert(name.clone(), racks.collect());
        }
    }
    topics
}
