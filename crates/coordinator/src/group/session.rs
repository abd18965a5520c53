//! Sessions and departures of members of a classic group.
//!
//! Owns: heartbeats, leaving, expiry, what a departure sets off.
//! Does not own: the rebalance itself (`rebalance`).
//!
//! Source: requirements GRP-10, GRP-14, GRP-15; KIP-345 (batch leave, removal by an operator).

use std::time::Instant;

use ottla_model::{GenerationId, GroupInstanceId, MemberId};
use ottla_mutant::mutant;

use super::answer::{
    CommitError, GroupAnswer, HeartbeatError, JoinError, JoinRefused, LeaveMemberError, LeftMember, SyncError,
};
use super::classic::{ClassicGroup, Phase, Turn};
use super::command::{CommitOffsets, Heartbeat, LeavingMember};
use super::members::Stranger;

impl ClassicGroup {
    /// A member says it is alive.
    pub fn heartbeat(&mut self, command: &Heartbeat, now: Instant) -> Result<(), HeartbeatError> {
        self.members.check(&command.member, command.instance.as_ref()).map_err(
            |stranger| match stranger {
                Stranger::Unknown => HeartbeatError::UnknownMember,
                Stranger::Fenced => HeartbeatError::FencedInstance,
            },
        )?;
        let current = self.generation;
        if command.generation != Some(current) && !mutant!(heartbeat_of_old_generation) {
            return Err(HeartbeatError::IllegalGeneration { got: command.generation, current });
        }
        self.renew_session(&command.member, now);
        match self.phase {
            Phase::Empty => Err(HeartbeatError::UnknownMember),
            Phase::Preparing { .. } => Err(HeartbeatError::RebalanceInProgress),
            Phase::Completing | Phase::Stable => Ok(()),
        }
    }

    pub fn renew_session(&mut self, member: &MemberId, now: Instant) {
        if let Some(member) = self.members.get_mut(member) {
            member.renew_session(now);
        }
    }

    /// Whether offsets may be committed in this group (OFF-02). A commit proves its member alive.
    pub fn admit_commit(&mut self, command: &CommitOffsets, now: Instant) -> Result<(), CommitError> {
        if command.generation.is_none() && self.is_empty() {
            return Ok(());
        }
        if command.generation.is_none() && command.member.is_empty() && command.instance.is_none() {
            return Err(CommitError::UnknownMember);
        }
        self.check_committer(command.generation, &command.member, command.instance.as_ref())?;
        match self.phase {
            Phase::Completing => Err(CommitError::RebalanceInProgress),
            Phase::Empty | Phase::Preparing { .. } | Phase::Stable => {
                self.renew_session(&command.member, now);
                Ok(())
            }
        }
    }

    /// Whether a transaction may commit offsets of this group (KIP-447). The state of the group does not matter, and clients
    /// that do not say who they are, are believed: older ones cannot. Nor does it prove a member alive.
    pub fn admit_transactional_commit(&self, command: &CommitOffsets) -> Result<(), CommitError> {
        let is_anonymous = command.member.is_empty() && command.instance.is_none();
        if command.generation.is_none() && (self.is_empty() || is_anonymous) {
            return Ok(());
        }
        self.check_committer(command.generation, &command.member, command.instance.as_ref())
    }

    fn check_committer(
        &self,
        generation: Option<GenerationId>,
        member: &MemberId,
        instance: Option<&GroupInstanceId>,
    ) -> Result<(), CommitError> {
        match self.members.check(member, instance) {
            Err(Stranger::Unknown) if mutant!(commit_of_unknown_member) => {}
            Err(Stranger::Unknown) => return Err(CommitError::UnknownMember),
            Err(Stranger::Fenced) => return Err(CommitError::FencedInstance),
            Ok(()) => {}
        }
        let current = self.generation;
        if generation != Some(current) && !mutant!(commit_of_old_generation) {
            return Err(CommitError::IllegalGeneration { got: generation, current });
        }
        Ok(())
    }

    /// Members leave, or an operator removes them; one rebalance follows for all of them together.
    pub fn leave(&mut self, leaving: &[LeavingMember], turn: &mut Turn<'_>) -> Vec<LeftMember> {
        let mut left = Vec::with_capacity(leaving.len());
        for leaving in leaving {
            let result = self.leave_one(leaving, turn);
            left.push(LeftMember {
                member: leaving.member.clone(),
                instance: leaving.instance.clone(),
                result,
            });
        }
        if left.iter().any(|left| left.result.is_ok()) {
            match self.phase {
                Phase::Empty => {}
                Phase::Preparing { .. } => self.end_joining_if_complete(turn),
                Phase::Completing | Phase::Stable => self.begin_rebalance(turn),
            }
        }
        left
    }

    fn leave_one(&mut self, leaving: &LeavingMember, turn: &mut Turn<'_>) -> Result<(), LeaveMemberError> {
        let id = if leaving.member.is_empty() {
            let bearer = leaving.instance.as_ref().and_then(|instance| self.members.of_instance(instance));
            bearer.cloned().ok_or(LeaveMemberError::UnknownMember)?
        } else {
            leaving.member.clone()
        };
        if !self.members.is_pending(&id) && !leaving.member.is_empty() {
            self.members.check(&id, leaving.instance.as_ref()).map_err(|stranger| match stranger {
                Stranger::Unknown => LeaveMemberError::UnknownMember,
                Stranger::Fenced => LeaveMemberError::FencedInstance,
            })?;
        }
        self.remove_member(&id, turn);
        Ok(())
    }

    /// Takes a member out. What it parked is answered: a client that is still there will join anew.
    pub fn remove_member(&mut self, id: &MemberId, turn: &mut Turn<'_>) {
        let Some(member) = self.members.remove(id) else { return };
        if let Some(request) = member.parked_join {
            let refused = JoinRefused::new(&MemberId::new(""), JoinError::UnknownMember);
            turn.reply(request, GroupAnswer::Join(Err(refused)));
        }
        if let Some(request) = member.parked_sync {
            turn.reply(request, GroupAnswer::Sync(Err(SyncError::UnknownMember)));
        }
    }

    /// Time went on: sessions and awaited ids end, phases come to their time.
    pub fn on_deadline(&mut self, turn: &mut Turn<'_>) {
        self.on_joining_deadline(turn);
        self.on_sync_deadline(turn);
        let now = turn.now.at;
        let awaited_left = self.members.expire_pending(now);
        let silent =
            self.members.iter().filter(|member| member.session_until.is_some_and(|until| until <= now));
        let silent: Vec<MemberId> = silent.map(|member| member.id.clone()).collect();
        let mut members_left = false;
        for id in &silent {
            if self.members.get_mut(id).is_some_and(|member| member.is_dead_at_expiry()) {
                self.remove_member(id, turn);
                members_left = true;
            }
        }
        if members_left || awaited_left {
            self.on_departed(members_left, turn);
        }
    }

    /// Whoever the group still waited for may have been the last one. An awaited id was no member: without it a
    /// group that does not rebalance goes on as it is.
    fn on_departed(&mut self, members_left: bool, turn: &mut Turn<'_>) {
        match self.phase {
            Phase::Preparing { .. } if self.members.have_all_joined() => self.end_joining(turn),
            Phase::Completing | Phase::Stable if members_left => self.begin_rebalance(turn),
            Phase::Empty | Phase::Preparing { .. } | Phase::Completing | Phase::Stable => {}
        }
    }

    /// The group was read from the log: sessions begin, a group that became too large makes its members rejoin.
    pub fn on_loaded(&mut self, turn: &mut Turn<'_>) {
        for member in self.members.iter_mut() {
            member.renew_session(turn.now.at);
        }
        if self.members.len() > turn.config.members_max {
            self.begin_rebalance(turn);
        }
    }
}
