//! How a rebalance of a classic group begins, ends and is made durable.
//!
//! Owns: the passage Empty → Preparing → Completing → Stable → …, the initial delay, the assignment.
//! Does not own: who may take part (`join`), who left (`session`).
//!
//! Source: requirements GRP-10…14, GRP-18; KIP-134 (initial delay).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ottla_model::{GenerationId, MemberId};

use super::answer::{GroupAnswer, SyncError};
use super::classic::{ClassicGroup, InitialDelay, Phase, Remedy, Turn};
use super::command::SyncGroup;
use super::member::Member;
use super::members::Stranger;
use super::protocols;
use super::record::GroupImage;
use crate::runtime::RequestId;

/// A group that waits for its static members looks again after their rebalance timeout, which a client may set to
/// nothing; time must pass between two looks.
const RETRY_DELAY_MIN: Duration = Duration::from_millis(1);

/// What one side leaves open agrees with everything.
fn differ<T: PartialEq>(told: &Option<T>, ours: &Option<T>) -> bool {
    told.is_some() && ours.is_some() && told != ours
}

impl ClassicGroup {
    /// Something changed that the assignment depends on: begins a rebalance, or ends the one that runs if that was all
    /// it waited for.
    pub fn rebalance(&mut self, turn: &mut Turn<'_>) {
        match self.phase {
            Phase::Empty | Phase::Completing | Phase::Stable => self.begin_rebalance(turn),
            Phase::Preparing { .. } => self.end_joining_if_complete(turn),
        }
    }

    /// Asks all members to join again. A group that had none waits for more of them instead.
    pub fn begin_rebalance(&mut self, turn: &mut Turn<'_>) {
        self.cancel_syncs(turn);
        let now = turn.now.at;
        if self.is_empty() {
            let delay = turn.config.initial_rebalance_delay;
            let remaining = self.rebalance_timeout().saturating_sub(delay);
            let initial = InitialDelay { delay, remaining, grew: false };
            self.enter(Phase::Preparing { by: now + delay, initial: Some(initial) }, turn.now);
            return;
        }
        let by = now + self.rebalance_timeout();
        self.enter(Phase::Preparing { by, initial: None }, turn.now);
        if self.members.have_all_joined() {
            self.end_joining(turn);
        }
    }

    /// Ends the join phase once everybody is there. The initial delay always runs its course.
    pub fn end_joining_if_complete(&mut self, turn: &mut Turn<'_>) {
        if matches!(self.phase, Phase::Preparing { initial: None, .. }) && self.members.have_all_joined() {
            self.end_joining(turn);
        }
    }

    /// A member joined; an initial delay that runs may be extended for others like it.
    pub fn note_newcomer(&mut self) {
        if let Phase::Preparing { initial: Some(initial), .. } = &mut self.phase {
            initial.grew = true;
        }
    }

    /// The join phase came to its time.
    pub fn on_joining_deadline(&mut self, turn: &mut Turn<'_>) {
        let Phase::Preparing { by, initial } = &mut self.phase else { return };
        if *by > turn.now.at {
            return;
        }
        match initial {
            Some(initial) if initial.grew && !initial.remaining.is_zero() => {
                let delay = turn.config.initial_rebalance_delay.min(initial.remaining);
                initial.remaining = initial.remaining.saturating_sub(initial.delay);
                initial.delay = delay;
                initial.grew = false;
                *by = turn.now.at + delay;
            }
            Some(_) | None => self.end_joining(turn),
        }
    }

    /// Goes on with those who joined: a new generation, or an empty group.
    pub fn end_joining(&mut self, turn: &mut Turn<'_>) {
        let absent = |member: &&Member| member.parked_join.is_none() && !member.is_static();
        let removed: Vec<MemberId> =
            self.members.iter().filter(absent).map(|member| member.id.clone()).collect();
        for member in &removed {
            self.members.remove(member);
        }
        if !self.members.is_empty() && !self.members.elect_rejoined_leader() {
            // Only static members are left, and none of them came back: their sessions decide.
            let by = turn.now.at + self.rebalance_timeout().max(RETRY_DELAY_MIN);
            if let Phase::Preparing { by: until, initial } = &mut self.phase {
                *until = by;
                *initial =
                    initial.map(|delay| InitialDelay { remaining: Duration::ZERO, grew: false, ..delay });
            }
            return;
        }
        self.generation = self.generation.next();
        self.protocol = protocols::elect(self.members.by_seat().into_iter());
        self.find_subscribed();
        if self.members.is_empty() {
            self.enter(Phase::Empty, turn.now);
            turn.write = Some((self.image(), None));
        } else {
            self.enter(Phase::Completing, turn.now);
            self.answer_joins(turn);
        }
    }

    /// Tells all members their generation, and the leader whom to assign to.
    fn answer_joins(&mut self, turn: &mut Turn<'_>) {
        let ids: Vec<MemberId> = self.members.iter().map(|member| member.id.clone()).collect();
        for id in &ids {
            let joined = self.joined_to_assign(id);
            let Some(member) = self.members.get_mut(id) else { continue };
            if let Some(request) = member.parked_join.take() {
                turn.reply(request, GroupAnswer::Join(Ok(joined)));
            }
            member.is_new = false;
            member.has_synced = false;
            member.renew_session(turn.now.at);
        }
        self.sync_by = Some(turn.now.at + self.rebalance_timeout());
    }

    /// SyncGroup of a member of this group.
    pub fn sync(&mut self, request: RequestId, command: &SyncGroup, turn: &mut Turn<'_>) {
        if let Err(error) = self.check_sync(command) {
            return turn.reply(request, GroupAnswer::Sync(Err(error)));
        }
        self.note_sync(&command.member);
        let Some(member) = self.members.get_mut(&command.member) else { return };
        match self.phase {
            Phase::Empty | Phase::Preparing { .. } => {}
            Phase::Completing => {
                if let Some(former) = member.parked_sync.replace(request) {
                    turn.reply(former, GroupAnswer::Sync(Err(SyncError::RebalanceInProgress)));
                }
                if self.members.is_leader(&command.member) {
                    self.assign(&command.assignments, turn);
                }
            }
            Phase::Stable => {
                member.renew_session(turn.now.at);
                if let Some(member) = self.members.get(&command.member) {
                    turn.reply(request, GroupAnswer::Sync(Ok(self.synced(member))));
                }
            }
        }
    }

    fn check_sync(&self, command: &SyncGroup) -> Result<(), SyncError> {
        if self.is_empty() {
            return Err(SyncError::UnknownMember);
        }
        self.members.check(&command.member, command.instance.as_ref()).map_err(
            |stranger| match stranger {
                Stranger::Unknown => SyncError::UnknownMember,
                Stranger::Fenced => SyncError::FencedInstance,
            },
        )?;
        if command.generation != Some(self.generation) {
            return Err(SyncError::IllegalGeneration { got: command.generation, current: self.generation });
        }
        if differ(&command.protocol_type, &self.protocol_type) || differ(&command.protocol, &self.protocol) {
            return Err(SyncError::InconsistentProtocol);
        }
        if matches!(self.phase, Phase::Preparing { .. }) {
            return Err(SyncError::RebalanceInProgress);
        }
        Ok(())
    }

    /// The member asked for its assignment; the last one to do so ends the wait for it.
    fn note_sync(&mut self, member: &MemberId) {
        if let Some(member) = self.members.get_mut(member) {
            member.has_synced = true;
        }
        if self.members.iter().all(|member| member.has_synced) {
            self.sync_by = None;
        }
    }

    /// The leader's assignment: persisted, then told to all who wait (TRAP-27).
    fn assign(&mut self, assignments: &[(MemberId, Bytes)], turn: &mut Turn<'_>) {
        let mut parts: BTreeMap<&MemberId, &Bytes> =
            assignments.iter().map(|(id, part)| (id, part)).collect();
        for member in self.members.iter_mut() {
            member.assignment = parts.remove(&member.id).cloned().unwrap_or_default();
        }
        turn.write = Some((self.image(), Some(Remedy::Unassign(self.generation))));
        self.enter(Phase::Stable, turn.now);
        self.answer_syncs(turn);
    }

    fn answer_syncs(&mut self, turn: &mut Turn<'_>) {
        let ids: Vec<MemberId> = self.members.iter().map(|member| member.id.clone()).collect();
        for id in &ids {
            let Some(synced) = self.members.get(id).map(|member| self.synced(member)) else { continue };
            let Some(member) = self.members.get_mut(id) else { continue };
            if let Some(request) = member.parked_sync.take() {
                member.renew_session(turn.now.at);
                turn.reply(request, GroupAnswer::Sync(Ok(synced)));
            }
        }
    }

    /// Parked syncs learn that there will be no assignment in this generation.
    fn cancel_syncs(&mut self, turn: &mut Turn<'_>) {
        let completing = matches!(self.phase, Phase::Completing);
        for member in self.members.iter_mut() {
            if completing {
                member.assignment = Bytes::new();
            }
            member.has_synced = false;
            if let Some(request) = member.parked_sync.take() {
                member.renew_session(turn.now.at);
                turn.reply(request, GroupAnswer::Sync(Err(SyncError::RebalanceInProgress)));
            }
        }
        self.sync_by = None;
    }

    /// The record with the assignment was not appended (GRP-18).
    pub fn unassign(&mut self, generation: GenerationId, turn: &mut Turn<'_>) {
        if self.generation != generation || !matches!(self.phase, Phase::Stable) {
            return;
        }
        for member in self.members.iter_mut() {
            member.assignment = Bytes::new();
        }
        self.begin_rebalance(turn);
    }

    /// Members that never asked for their assignment are gone (GRP-14).
    pub fn on_sync_deadline(&mut self, turn: &mut Turn<'_>) {
        if self.sync_by.is_none_or(|by| by > turn.now.at) {
            return;
        }
        self.sync_by = None;
        let late = self.members.iter().filter(|member| !member.has_synced);
        let late: Vec<MemberId> = late.map(|member| member.id.clone()).collect();
        for member in &late {
            self.remove_member(member, turn);
        }
        if !late.is_empty() {
            self.begin_rebalance(turn);
        }
    }

    /// The longest of the members' rebalance timeouts (GRP-10).
    pub fn rebalance_timeout(&self) -> Duration {
        self.members.iter().map(|member| member.rebalance_timeout).max().unwrap_or_default()
    }

    /// What is persisted of a group that just came into being, whatever has happened to it since.
    pub fn birth(&self) -> (Arc<GroupImage>, Option<Remedy>) {
        let newborn = ClassicGroup::new(self.id.clone(), self.since.unwrap_or_default());
        (newborn.image(), Some(Remedy::Remove))
    }
}
