//! Members that leave a consumer group, and members that are put out of it.
//!
//! Owns: leaving for good and for now, what becomes of the group.
//! Does not own: when a member is put out (`table`), a group of which only classic members are left (`migration`).
//!
//! Source: requirements CGP-01, CGP-04, CGP-12; KIP-848, "Member Fencing".

use std::collections::BTreeMap;

use ottla_model::MemberId;

use super::command::{Beaten, ConsumerHeartbeat, ConsumerHeartbeatError, LEAVE_FOR_NOW};
use super::record::{CurrentAssignment, MemberEpoch};
use super::work::Work;

/// What a leaving member asks for.
pub(in super::super) enum Departure {
    ForGood(MemberId),
    ForNow(MemberId),
}

impl Work<'_> {
    /// Who leaves, and how.
    pub fn departure(&self, command: &ConsumerHeartbeat) -> Result<Departure, ConsumerHeartbeatError> {
        let member = command.member.clone();
        let Some(instance) = &command.instance else {
            return match self.group.member(&member) {
                Some(_) => Ok(Departure::ForGood(member)),
                None => Err(ConsumerHeartbeatError::UnknownMember { member, group: self.id.clone() }),
            };
        };
        match self.group.bearer(instance).cloned() {
            None => Err(ConsumerHeartbeatError::UnknownInstance(instance.clone())),
            Some(bearer) if bearer != member => {
                let instance = instance.clone();
                Err(ConsumerHeartbeatError::FencedInstance { member, instance, bearer })
            }
            Some(_) if command.epoch == LEAVE_FOR_NOW => Ok(Departure::ForNow(member)),
            Some(_) => Ok(Departure::ForGood(member)),
        }
    }

    /// A static member is away: its partitions wait for it until its session ends.
    pub fn leave_for_now(&mut self, member: &MemberId) {
        let current = self.group.current(member);
        let assigned = current.assigned.keys().map(|partition| (*partition, MemberEpoch::ZERO)).collect();
        let away = CurrentAssignment {
            epoch: MemberEpoch::AWAY,
            assigned,
            revoking: BTreeMap::new(),
            ..(*current).clone()
        };
        self.put_current(member, away);
    }

    /// Takes members out; the others share what they had from the next epoch on.
    pub fn remove(&mut self, members: &[MemberId]) {
        for member in members {
            self.remove_member(member);
        }
        self.forget_unused_regexes();
        self.look_at_metadata(true);
    }
}

/// The answer to who leaves.
pub(in super::super) fn gone(command: &ConsumerHeartbeat) -> Beaten {
    Beaten {
        member: command.member.clone(),
        epoch: command.epoch,
        heartbeat_interval: None,
        assignment: None,
        look_up: None,
    }
}
