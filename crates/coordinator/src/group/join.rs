//! JoinGroup: who may join a classic group, and what it sets off.
//!
//! Owns: the order of the checks, new and returning, dynamic and static members.
//! Does not own: the rebalance that follows (`rebalance`).
//!
//! Source: requirements GRP-02…18, TRAP-26; KIP-345, KIP-394, KIP-814.

use ottla_model::{MemberId, Uuid};

use super::answer::{GroupAnswer, JoinError, JoinRefused, Joined, SyncError};
use super::classic::{ClassicGroup, Phase, Remedy, Turn};
use super::command::JoinGroup;
use super::member::Member;
use super::members::Stranger;
use super::protocols;
use crate::runtime::RequestId;

/// A join and the request that carries it.
#[derive(Clone, Copy)]
pub(super) struct Join<'a> {
    pub request: RequestId,
    pub command: &'a JoinGroup,
}

fn refuse(turn: &mut Turn<'_>, request: RequestId, member: &MemberId, error: JoinError) {
    turn.reply(request, GroupAnswer::Join(Err(JoinRefused::new(member, error))));
}

fn accept(turn: &mut Turn<'_>, request: RequestId, joined: Joined) {
    turn.reply(request, GroupAnswer::Join(Ok(joined)));
}

impl ClassicGroup {
    pub fn join(&mut self, join: Join<'_>, turn: &mut Turn<'_>) {
        let Join { request, command } = join;
        let nobody = MemberId::new("");
        if !self.has_room_for(&command.member, turn.config.members_max) {
            self.remove_member(&command.member, turn);
            self.end_joining_if_complete(turn);
            let max = turn.config.members_max;
            return refuse(turn, request, &nobody, JoinError::GroupFull { max });
        }
        if !self.agrees_on_protocols(command) {
            return refuse(turn, request, &command.member, JoinError::InconsistentProtocol);
        }
        if command.member.is_empty() {
            self.join_as_new(join, turn);
        } else if self.members.is_pending(&command.member) && command.instance.is_none() {
            self.add_member(command.member.clone(), join, turn);
        } else {
            match self.members.check(&command.member, command.instance.as_ref()) {
                Ok(()) => self.join_again(join, turn),
                Err(Stranger::Unknown) => refuse(turn, request, &command.member, JoinError::UnknownMember),
                Err(Stranger::Fenced) => refuse(turn, request, &command.member, JoinError::FencedInstance),
            }
        }
    }

    /// While members join, those whose join is parked count: the slowest of an overfull group are turned away.
    fn has_room_for(&self, member: &MemberId, max: usize) -> bool {
        let known = self.members.get(member);
        match self.phase {
            Phase::Empty => true,
            Phase::Preparing { .. } => {
                known.is_some_and(|member| member.parked_join.is_some()) || self.members.awaiting_join() < max
            }
            Phase::Completing | Phase::Stable => known.is_some() || self.members.len() < max,
        }
    }

    fn agrees_on_protocols(&self, command: &JoinGroup) -> bool {
        if self.is_empty() {
            return !command.protocol_type.is_empty() && !command.protocols.is_empty();
        }
        self.protocol_type.as_ref() == Some(&command.protocol_type)
            && self.members.support_one_of(&command.protocols)
    }

    /// Somebody without a member id: new, or a static member that restarted.
    fn join_as_new(&mut self, join: Join<'_>, turn: &mut Turn<'_>) {
        let command = join.command;
        let Some(instance) = &command.instance else {
            let id = member_id(&command.client_id, command.random);
            if command.requires_member_id {
                self.members.add_pending(id.clone(), turn.now.at + command.session_timeout);
                return refuse(turn, join.request, &id, JoinError::MemberIdRequired);
            }
            return self.add_member(id, join, turn);
        };
        match self.members.of_instance(instance).cloned() {
            Some(former) => self.replace_static(former, join, turn),
            None => self.add_member(member_id(instance.as_str(), command.random), join, turn),
        }
    }

    fn add_member(&mut self, id: MemberId, join: Join<'_>, turn: &mut Turn<'_>) {
        let Join { request, command } = join;
        self.note_newcomer();
        if self.members.is_empty() {
            self.protocol_type = Some(command.protocol_type.clone());
        }
        self.members.add(Member::joining(id, command, request, turn.now.at));
        self.rebalance(turn);
    }

    /// A member joins again. It rebalances the group unless nothing changed (TRAP-26).
    fn join_again(&mut self, join: Join<'_>, turn: &mut Turn<'_>) {
        let Join { request, command } = join;
        let id = &command.member;
        let same = self.members.get(id).is_some_and(|member| member.protocols == command.protocols);
        match self.phase {
            Phase::Empty => refuse(turn, request, id, JoinError::UnknownMember),
            // It may not have got the answer to its first join.
            Phase::Completing if same => {
                self.renew_session(id, turn.now.at);
                accept(turn, request, self.joined_to_assign(id));
            }
            // A leader rejoins because something changed that its metadata do not show.
            Phase::Stable if same && !self.members.is_leader(id) => {
                self.renew_session(id, turn.now.at);
                accept(turn, request, self.joined(id));
            }
            Phase::Preparing { .. } | Phase::Completing | Phase::Stable => {
                self.update_member(id, join, turn);
                self.rebalance(turn);
            }
        }
    }

    fn update_member(&mut self, id: &MemberId, join: Join<'_>, turn: &mut Turn<'_>) {
        let Join { request, command } = join;
        let Some(member) = self.members.get_mut(id) else { return };
        member.protocols = command.protocols.clone();
        member.rebalance_timeout = command.rebalance_timeout;
        member.session_timeout = command.session_timeout;
        if let Some(former) = member.parked_join.replace(request) {
            refuse(turn, former, id, JoinError::JoinedAgain);
        }
    }

    /// A static member restarted: it gets a new id in the place of the former one, whose requests are fenced.
    fn replace_static(&mut self, former: MemberId, join: Join<'_>, turn: &mut Turn<'_>) {
        let instance = join.command.instance.as_ref().map_or("", |instance| instance.as_str());
        let id = member_id(instance, join.command.random);
        let leader_before = self.members.leader().cloned();
        self.fence(&former, turn);
        let Some(before) = self.members.get(&former).cloned() else { return };
        let mut member = Member { id: id.clone(), is_new: false, ..before.clone() };
        member.renew_session(turn.now.at);
        self.members.replace(&former, member);
        self.update_member(&id, join, turn);
        match self.phase {
            Phase::Stable if protocols::elect(self.members.by_seat().into_iter()) == self.protocol => {
                let remedy = Remedy::Restore { present: id.clone(), former: Box::new(before) };
                turn.write = Some((self.image(), Some(remedy)));
                let instead_of_skipping = (!join.command.understands_skipping).then_some(leader_before);
                self.admit_without_rebalance(&id, instead_of_skipping, turn);
            }
            // The leader may be assigning to the former id right now, or the protocol changes.
            Phase::Stable | Phase::Completing => self.begin_rebalance(turn),
            Phase::Preparing { .. } | Phase::Empty => self.end_joining_if_complete(turn),
        }
    }

    /// A client that does not understand skipping is told the leader's former id, so that nobody assigns.
    fn admit_without_rebalance(
        &mut self,
        id: &MemberId,
        instead_of_skipping: Option<Option<MemberId>>,
        turn: &mut Turn<'_>,
    ) {
        let Some(request) = self.members.get_mut(id).and_then(|member| member.parked_join.take()) else {
            return;
        };
        let joined = match instead_of_skipping {
            None => Joined { skip_assignment: self.members.is_leader(id), ..self.joined_to_assign(id) },
            Some(leader) => Joined { leader, ..self.joined(id) },
        };
        accept(turn, request, joined);
    }

    /// Whoever still uses the former id of a static member learns that it was replaced.
    fn fence(&mut self, former: &MemberId, turn: &mut Turn<'_>) {
        let Some(member) = self.members.get_mut(former) else { return };
        if let Some(request) = member.parked_join.take() {
            refuse(turn, request, former, JoinError::FencedInstance);
        }
        if let Some(request) = member.parked_sync.take() {
            turn.reply(request, GroupAnswer::Sync(Err(SyncError::FencedInstance)));
        }
    }

    /// The record with a static member's new id was not appended: the former id stays.
    pub fn restore(&mut self, present: &MemberId, former: Member, turn: &mut Turn<'_>) {
        let id = former.id.clone();
        if self.members.replace(present, former).is_some()
            && let Some(member) = self.members.get_mut(&id)
        {
            member.renew_session(turn.now.at);
        }
    }
}

/// The id of a new member, as Kafka makes it: a name the operator recognises, and a UUID.
fn member_id(name: &str, random: Uuid) -> MemberId {
    let hex: String = random.bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    let groups = [&hex[0..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..32]];
    MemberId::new(&format!("{name}-{}", groups.join("-")))
}
