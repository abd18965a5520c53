//! What the answers of the coordinator mean for a member.
//!
//! Owns: joining and entering a generation, refusals, loss of the membership.
//! Does not own: when something is sent (`member`).
//!
//! Source: Kafka protocol guide, error codes of the group APIs; KIP-394, KIP-429, KIP-814.

use std::collections::BTreeSet;
use std::time::Instant;

use bytes::Bytes;
use ottla_model::{BrokerId, MemberId, TopicPartition};

use super::super::assignor::{self, Topics};
use super::super::group_protocol as protocol;
use super::{Coordinator, Event, Failure, Joined, Member, State};
use crate::config::AssignorKind;
use crate::error::{ErrorCode, ServerError};

impl Member {
    /// The coordinator was found, or not.
    pub(crate) fn on_coordinator(&mut self, found: Result<BrokerId, Failure>, now: Instant, random: u64) {
        if self.coordinator != Coordinator::Asked {
            return;
        }
        self.coordinator = match found {
            Ok(id) => {
                self.heard_at = now;
                Coordinator::Known(id)
            }
            Err(failure) => {
                if let Failure::Refused(error) = failure
                    && !error.is_retriable()
                {
                    self.fail(error);
                }
                Coordinator::Unknown { not_before: Some(now + self.backoff.on_failure(random)) }
            }
        };
    }

    /// Somebody else (a commit) heard that the coordinator has moved.
    pub(crate) fn on_coordinator_lost(&mut self) {
        if self.coordinator != Coordinator::Asked {
            self.coordinator = Coordinator::Unknown { not_before: None };
        }
    }

    /// JoinGroup was answered.
    pub(crate) fn on_joined(
        &mut self,
        answer: Result<Joined, (Failure, Option<MemberId>)>,
        now: Instant,
        random: u64,
    ) {
        if !matches!(self.state, State::Joining) {
            return;
        }
        match answer {
            Ok(joined) => self.enter_generation(joined, now),
            Err((Failure::Refused(error), Some(id))) if error.code == ErrorCode::MemberIdRequired => {
                // The id comes first, so that members that never return leave no trace (KIP-394).
                self.id = Some(id);
                self.rejoin();
            }
            Err((failure, _)) => self.on_refused(failure, now, random),
        }
    }

    fn enter_generation(&mut self, joined: Joined, now: Instant) {
        self.heard(now);
        self.id = Some(joined.member);
        self.generation = joined.generation;
        let Ok(assignor) = AssignorKind::parse(&joined.protocol) else {
            return self.fail(ErrorCode::InconsistentGroupProtocol.into());
        };
        self.assignor = Some(assignor);
        self.counted = None;
        if !joined.is_leader || joined.skip_assignment {
            self.state = State::Syncing { assignments: Some(Vec::new()) };
            return;
        }
        let peers = joined.members.into_iter().filter_map(|(id, instance_id, metadata)| {
            protocol::read_subscription(id, instance_id, &metadata).ok()
        });
        self.state = State::Counting { asked: false, peers: peers.collect() };
    }

    /// The topics that were asked for; those that do not exist are left out.
    pub(crate) fn on_counts(&mut self, topics: Topics) {
        let (State::Counting { peers, .. }, Some(assignor)) = (&self.state, self.assignor) else { return };
        let assignment = assignor::assign(assignor, peers, &topics);
        let written = assignment
            .into_iter()
            .filter_map(|(member, partitions)| Some((member, protocol::write_assignment(&partitions).ok()?)));
        self.state = State::Syncing { assignments: Some(written.collect()) };
        self.counted = Some(topics);
    }

    /// SyncGroup was answered.
    pub(crate) fn on_synced(&mut self, answer: Result<Bytes, Failure>, now: Instant, random: u64) {
        if !matches!(self.state, State::Syncing { .. }) {
            return;
        }
        let assignment = match answer {
            Ok(bytes) => protocol::read_assignment(&bytes).unwrap_or_default(),
            Err(failure) => return self.on_refused(failure, now, random),
        };
        self.heard(now);
        self.backoff.on_success();
        self.state = State::Stable;
        let assigned: BTreeSet<TopicPartition> = assignment.iter().cloned().collect();
        let given_up: Vec<TopicPartition> =
            self.owned.iter().filter(|one| !assigned.contains(one)).cloned().collect();
        let added: Vec<TopicPartition> =
            assignment.into_iter().filter(|one| !self.owned.contains(one)).collect();
        if given_up.is_empty() {
            self.add(added);
        } else {
            // Others wait for these: they are given up now, and the next rebalance hands them on (KIP-429).
            self.event = Some(Event::GiveUp(given_up));
            self.added_after = Some(added);
            self.state = State::Preparing { not_before: None };
        }
    }

    pub(super) fn add(&mut self, added: Vec<TopicPartition>) {
        self.owned.extend(added.iter().cloned());
        self.event = Some(Event::Assigned(added));
    }

    /// A heartbeat was answered.
    pub(crate) fn on_heartbeat(&mut self, answer: Result<(), Failure>, now: Instant, random: u64) {
        self.heartbeat_in_flight = false;
        self.heartbeat_at = now + self.config.heartbeat_interval;
        match answer {
            Ok(()) => self.heard_at = now,
            Err(Failure::Refused(error)) if error.code == ErrorCode::RebalanceInProgress => {
                self.heard_at = now;
                if matches!(self.state, State::Stable) {
                    self.rejoin();
                }
            }
            // A rebalance that is under way finds out by itself.
            Err(_) if !matches!(self.state, State::Stable | State::Preparing { .. }) => {}
            Err(Failure::NoAnswer) => {
                self.coordinator =
                    Coordinator::Unknown { not_before: Some(now + self.backoff.on_failure(random)) };
            }
            Err(failure) => self.on_refused(failure, now, random),
        }
    }

    /// A commit was refused because this is no member of the present generation any more.
    pub(crate) fn on_commit_refused(&mut self, error: &ServerError, now: Instant, random: u64) {
        if matches!(self.state, State::Stable | State::Preparing { .. }) {
            self.on_refused(Failure::Refused(error.clone()), now, random);
        }
    }

    /// LeaveGroup was answered, however.
    pub(crate) fn on_left(&mut self) {
        if matches!(self.state, State::Leaving { .. }) {
            self.forget();
            self.state = State::Outside;
            self.rejoin();
        }
    }

    /// What a refusal by the coordinator means for the member.
    fn on_refused(&mut self, failure: Failure, now: Instant, random: u64) {
        let Failure::Refused(error) = failure else {
            self.coordinator = Coordinator::Unknown { not_before: None };
            return self.rejoin_after(now, random);
        };
        let code = error.code;
        if code == ErrorCode::NotCoordinator || code == ErrorCode::CoordinatorNotAvailable {
            self.coordinator = Coordinator::Unknown { not_before: None };
            self.rejoin_after(now, random);
        } else if code == ErrorCode::RebalanceInProgress || code == ErrorCode::CoordinatorLoadInProgress {
            self.rejoin_after(now, random);
        } else if code == ErrorCode::UnknownMemberId || code == ErrorCode::IllegalGeneration {
            self.lose();
            if code == ErrorCode::UnknownMemberId {
                self.id = None;
            }
            self.rejoin();
        } else if error.is_retriable() {
            self.rejoin_after(now, random);
        } else {
            self.lose();
            self.fail(error);
        }
    }

    /// The generation is over without this member: what it owned is with others.
    fn lose(&mut self) {
        self.previous = (self.owned.clone(), self.generation);
        self.generation = None;
        self.added_after = None;
        // A give-up that the user is about to do becomes a loss.
        if !self.owned.is_empty() {
            self.event = Some(Event::Lost(self.owned.clone()));
        }
    }

    fn forget(&mut self) {
        self.id = None;
        self.generation = None;
        self.assignor = None;
    }

    fn fail(&mut self, error: ServerError) {
        self.state = State::Failed;
        self.event = Some(Event::Failed(error));
    }

    fn heard(&mut self, now: Instant) {
        self.heard_at = now;
        self.heartbeat_at = now + self.config.heartbeat_interval;
    }

    /// Gives the coordinator up after a session without an answer, and the membership after too long without a poll.
    pub(super) fn check_times(&mut self, now: Instant) {
        if self.generation.is_none() || matches!(self.state, State::Joining | State::Leaving { .. }) {
            return;
        }
        if now >= self.heard_at + self.config.session_timeout && self.coordinator().is_some() {
            self.coordinator = Coordinator::Unknown { not_before: None };
            self.heard_at = now;
        }
        if now >= self.polled_at + self.config.poll_interval_max {
            self.lose();
            self.state = match self.config.instance_id {
                None => State::Leaving { sent: false },
                Some(_) => State::Preparing { not_before: None },
            };
        }
    }
}
