//! The members of one classic group.
//!
//! Owns: who is in it, under which static name, who is about to join, who leads.
//! Does not own: the phase of the group.
//!
//! Invariants
//! - S1 an instance id names exactly the member that carries it;
//! - S2 the leader is a member; there is none exactly when there are no members;
//! - S3 nobody is both a member and about to join.
//!
//! Source: KIP-345 (static members), KIP-394 (member ids before joining).

use std::collections::BTreeMap;
use std::time::Instant;

use ottla_model::{GroupInstanceId, MemberId};

use super::member::{Member, Protocol};
use super::protocols;

/// Why a member id, alone or with an instance id, is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stranger {
    Unknown,
    /// The instance id belongs to another member by now.
    Fenced,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Members {
    by_id: BTreeMap<MemberId, Member>,
    by_instance: BTreeMap<GroupInstanceId, MemberId>,
    /// Ids that were given out and are awaited until then.
    pending: BTreeMap<MemberId, Instant>,
    leader: Option<MemberId>,
    seats: u64,
}

impl Members {
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    pub fn get(&self, id: &MemberId) -> Option<&Member> {
        self.by_id.get(id)
    }

    /// A member to change; its id, instance id and seat stay as they are.
    pub fn get_mut(&mut self, id: &MemberId) -> Option<&mut Member> {
        self.by_id.get_mut(id)
    }

    /// In the order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = &Member> + Clone {
        self.by_id.values()
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Member> {
        self.by_id.values_mut()
    }

    /// The members by arrival, the longest-standing first.
    pub fn by_seat(&self) -> Vec<&Member> {
        let mut members: Vec<&Member> = self.by_id.values().collect();
        members.sort_by_key(|member| member.seat);
        members
    }

    pub fn leader(&self) -> Option<&MemberId> {
        self.leader.as_ref()
    }

    pub fn is_leader(&self, id: &MemberId) -> bool {
        self.leader.as_ref() == Some(id)
    }

    pub fn of_instance(&self, instance: &GroupInstanceId) -> Option<&MemberId> {
        self.by_instance.get(instance)
    }

    /// Whether the named member exists and, if it names an instance, is its present bearer.
    pub fn check(&self, id: &MemberId, instance: Option<&GroupInstanceId>) -> Result<(), Stranger> {
        if let Some(instance) = instance {
            let bearer = self.by_instance.get(instance).ok_or(Stranger::Unknown)?;
            if bearer != id {
                return Err(Stranger::Fenced);
            }
        }
        if self.by_id.contains_key(id) { Ok(()) } else { Err(Stranger::Unknown) }
    }

    /// Whether one of the protocols is supported by every member; any is, while there are none.
    pub fn support_one_of(&self, protocols: &[Protocol]) -> bool {
        let common = protocols::common(self.by_id.values());
        protocols.iter().any(|protocol| self.is_empty() || common.contains(&protocol.name))
    }

    /// Takes a member in. The first one leads.
    pub fn add(&mut self, mut member: Member) {
        member.seat = self.seats;
        self.seats += 1;
        self.pending.remove(&member.id);
        if let Some(instance) = &member.instance {
            self.by_instance.insert(instance.clone(), member.id.clone());
        }
        self.leader.get_or_insert_with(|| member.id.clone());
        self.by_id.insert(member.id.clone(), member);
        self.assert_consistent();
    }

    /// Removes a member, or an awaited id. The longest-standing member takes the place of a leader.
    pub fn remove(&mut self, id: &MemberId) -> Option<Member> {
        self.pending.remove(id);
        let removed = self.by_id.remove(id)?;
        if let Some(instance) = &removed.instance {
            self.by_instance.remove(instance);
        }
        if self.is_leader(id) {
            self.leader =
                self.by_id.values().min_by_key(|member| member.seat).map(|member| member.id.clone());
        }
        self.assert_consistent();
        Some(removed)
    }

    /// Puts `member` into the place, role and seat of the member `old`.
    pub fn replace(&mut self, old: &MemberId, mut member: Member) -> Option<Member> {
        let removed = self.by_id.remove(old)?;
        member.seat = removed.seat;
        if let Some(instance) = &member.instance {
            self.by_instance.insert(instance.clone(), member.id.clone());
        }
        if self.is_leader(old) {
            self.leader = Some(member.id.clone());
        }
        self.by_id.insert(member.id.clone(), member);
        self.assert_consistent();
        Some(removed)
    }

    /// Restores the leader that was persisted. Without it, as after a change by hand, the first member leads.
    pub fn set_leader(&mut self, leader: Option<&MemberId>) {
        if let Some(leader) = leader.filter(|leader| self.by_id.contains_key(*leader)) {
            self.leader = Some(leader.clone());
        }
    }

    /// Lets a member that rejoined lead. `false` when nobody rejoined, or nobody is there.
    pub fn elect_rejoined_leader(&mut self) -> bool {
        let rejoined = |member: &&Member| member.parked_join.is_some();
        let keeps =
            self.leader.as_ref().and_then(|id| self.by_id.get(id)).is_some_and(|leader| rejoined(&leader));
        if !keeps {
            match self.by_id.values().filter(rejoined).min_by_key(|member| member.seat) {
                Some(next) => self.leader = Some(next.id.clone()),
                None => return false,
            }
        }
        true
    }

    pub fn is_pending(&self, id: &MemberId) -> bool {
        self.pending.contains_key(id)
    }

    /// Awaits a join under an id that was given out.
    pub fn add_pending(&mut self, id: MemberId, until: Instant) {
        self.pending.insert(id, until);
    }

    /// Forgets ids whose join did not come in time. Tells whether there were any.
    pub fn expire_pending(&mut self, now: Instant) -> bool {
        let before = self.pending.len();
        self.pending.retain(|_, until| now < *until);
        self.pending.len() < before
    }

    pub fn awaiting_join(&self) -> usize {
        self.by_id.values().filter(|member| member.parked_join.is_some()).count()
    }

    /// Whether every member's join is parked and nobody is about to come.
    pub fn have_all_joined(&self) -> bool {
        self.pending.is_empty() && self.by_id.values().all(|member| member.parked_join.is_some())
    }

    /// The next moment at which a session or an awaited id ends.
    pub fn deadline(&self) -> Option<Instant> {
        let sessions = self.by_id.values().filter_map(|member| member.session_until);
        sessions.chain(self.pending.values().copied()).min()
    }

    fn assert_consistent(&self) {
        assert_eq!(self.leader.is_none(), self.by_id.is_empty());
        debug_assert!(self.leader.iter().all(|leader| self.by_id.contains_key(leader)));
        debug_assert!(self.by_instance.values().all(|id| self.by_id.contains_key(id)));
        debug_assert!(self.pending.keys().all(|id| !self.by_id.contains_key(id)));
    }
}
