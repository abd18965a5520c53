//! The shard's part for consumer groups: from commands and timers to records and answers.
//!
//! Owns: which group a command finds or brings into being, what is written in which order, the timers that follow.
//! Does not own: the rules (`heartbeat`, `leave`, `classic_member`, `migration`).
//!
//! Source: requirements CGP-01…14; architecture, "Coordinators".

use std::sync::Arc;

use ottla_model::{GroupId, MemberId};

use super::super::answer::{GroupAnswer, JoinError, JoinRefused, LeaveMemberError, LeftMember, SyncError};
use super::super::classic::{ClassicGroup, Remedy, Turn};
use super::super::command::{Heartbeat, LeaveGroup, SyncGroup};
use super::super::join::Join;
use super::super::record::GroupRecord;
use super::super::shard::{GroupRemedy, GroupShard, finish};
use super::command::{
    Beaten, ClusterView, ConsumerHeartbeat, ConsumerHeartbeatError, FoundTopics, JOIN, LEAVE, LEAVE_FOR_NOW,
};
use super::heartbeat::unchanged;
use super::leave::{Departure, gone};
use super::migration;
use super::record::{ConsumerChange, ConsumerRecord};
use super::state::ConsumerGroup;
use super::work::{Circumstances, Work};
use crate::runtime::{Asked, Now, Outbox};

impl GroupShard {
    fn around(&self, now: Now) -> Circumstances<'_> {
        Circumstances { now, config: &self.config, view: &self.view }
    }

    /// A heartbeat of the consumer protocol.
    pub(in super::super) fn consumer_heartbeat(
        &mut self,
        command: &ConsumerHeartbeat,
        now: Now,
        outbox: &mut Outbox<GroupShard>,
    ) -> Result<Beaten, ConsumerHeartbeatError> {
        if command.epoch == LEAVE || command.epoch == LEAVE_FOR_NOW {
            return self.consumer_leave(command, now, outbox);
        }
        let id = &command.group;
        let known = self.consumers.get(id);
        let remembered = self.consumers.remembered(id, now.at);
        let around = self.around(now);
        let quick = known.and_then(|known| unchanged(known, command, (remembered, around)));
        if let Some(beaten) = quick {
            let until = now.at + around.times(id).session_timeout;
            self.consumers.renew_session(id, &command.member, until);
            return Ok(beaten);
        }
        let mut work = self.consumer_group(id, command.epoch == JOIN, now)?;
        let beaten = work.beat(command, remembered)?;
        let (group, records) = (work.group, work.records);
        self.displace_classic(id, outbox);
        self.pass_on(id, records, outbox);
        self.consumers.set_metadata_due(id, false);
        self.consumers.watch_revocation(id, &beaten.member, (&group, now.at));
        let until = now.at + self.around(now).times(id).session_timeout;
        self.consumers.renew_session(id, &beaten.member, until);
        self.begin_upgraded_sessions(id, &group, now);
        if beaten.look_up.is_some() {
            self.consumers.on_look_up(id, now.at);
        }
        Ok(beaten)
    }

    /// The group to work on. One that `joins` creates may be new, or one that was classic.
    fn consumer_group(
        &self,
        id: &GroupId,
        joins: bool,
        now: Now,
    ) -> Result<Work<'_>, ConsumerHeartbeatError> {
        let around = self.around(now);
        if let Some(group) = self.consumers.get(id) {
            return Ok(Work::new(id, group.clone(), around));
        }
        let mut work = Work::new(id, ConsumerGroup::default(), around);
        match self.table.get(id) {
            None if joins => Ok(work),
            None => Err(ConsumerHeartbeatError::UnknownGroup { group: id.clone() }),
            Some(_) if !joins => Err(ConsumerHeartbeatError::NoConsumerGroup { group: id.clone() }),
            Some(classic) if classic.is_empty() => Ok(work),
            Some(classic) => match migration::upgrade(&mut work, classic) {
                Ok(()) => Ok(work),
                Err(why) => Err(ConsumerHeartbeatError::CannotUpgrade { group: id.clone(), why }),
            },
        }
    }

    /// A classic group makes room for the consumer group of its name: whoever waits in it is to join again.
    fn displace_classic(&mut self, id: &GroupId, outbox: &mut Outbox<GroupShard>) {
        if self.consumers.get(id).is_some() {
            return;
        }
        let Some(mut classic) = self.table.remove(id) else { return };
        for member in classic.members.iter_mut() {
            if let Some(request) = member.parked_join.take() {
                let refused = JoinRefused::new(&member.id, JoinError::RebalanceInProgress);
                outbox.reply(request, GroupAnswer::Join(Err(refused)));
            }
            if let Some(request) = member.parked_sync.take() {
                outbox.reply(request, GroupAnswer::Sync(Err(SyncError::RebalanceInProgress)));
            }
        }
        outbox.write(GroupRecord::Group { group: id.clone(), image: None });
        let remedy = Remedy::Revive(Box::new(classic));
        outbox.guard(GroupRemedy { group: id.clone(), remedy });
    }

    /// Sessions of classic members begin when their group becomes a consumer group.
    fn begin_upgraded_sessions(&mut self, id: &GroupId, group: &ConsumerGroup, now: Now) {
        if self.consumers.get(id).is_none() && group.classic_members() > 0 {
            let times = self.around(now).times(id);
            self.consumers.begin_sessions(id, group, (times, now.at));
        }
    }

    fn pass_on(&self, id: &GroupId, changes: Vec<ConsumerChange>, outbox: &mut Outbox<GroupShard>) {
        if changes.is_empty() {
            return;
        }
        for change in changes {
            outbox.write(GroupRecord::Consumer(ConsumerRecord { group: id.clone(), change }));
        }
        outbox.guard(GroupRemedy { group: id.clone(), remedy: Remedy::LookAgain });
    }

    fn consumer_leave(
        &mut self,
        command: &ConsumerHeartbeat,
        now: Now,
        outbox: &mut Outbox<GroupShard>,
    ) -> Result<Beaten, ConsumerHeartbeatError> {
        let id = &command.group;
        let Some(group) = self.consumers.get(id) else {
            return Err(match self.table.get(id) {
                None => ConsumerHeartbeatError::NoGroup { group: id.clone() },
                Some(_) => ConsumerHeartbeatError::NoConsumerGroup { group: id.clone() },
            });
        };
        let mut work = Work::new(id, group.clone(), self.around(now));
        match work.departure(command)? {
            Departure::ForNow(member) => {
                work.leave_for_now(&member);
                let records = work.records;
                self.pass_on(id, records, outbox);
            }
            Departure::ForGood(member) => self.put_out(id, &[member], (now, outbox)),
        }
        Ok(gone(command))
    }

    /// Takes members out of a group, which may become a classic one by that.
    pub(in super::super) fn put_out(
        &mut self,
        id: &GroupId,
        members: &[MemberId],
        (now, outbox): (Now, &mut Outbox<GroupShard>),
    ) {
        let Some(group) = self.consumers.get(id) else { return };
        let mut work = Work::new(id, group.clone(), self.around(now));
        if migration::downgrades_without(&work, members) {
            let tombstones = work.group.tombstones();
            for member in members {
                work.remove_member(member);
            }
            let group = work.group;
            return self.downgrade((id, &group), tombstones, (now, outbox));
        }
        work.remove(members);
        let records = work.records;
        self.pass_on(id, records, outbox);
    }

    fn downgrade(
        &mut self,
        (id, group): (&GroupId, &ConsumerGroup),
        tombstones: Vec<ConsumerChange>,
        (now, outbox): (Now, &mut Outbox<GroupShard>),
    ) {
        self.pass_on(id, tombstones, outbox);
        let classic = migration::downgraded(id, group, (self.view.topics.as_ref(), now));
        self.install_classic(classic, true, (now, outbox));
    }

    fn install_classic(
        &mut self,
        classic: ClassicGroup,
        rebalances: bool,
        (now, outbox): (Now, &mut Outbox<GroupShard>),
    ) {
        let id = classic.id.clone();
        let image = Some(classic.image());
        outbox.write(GroupRecord::Group { group: id.clone(), image });
        outbox.guard(GroupRemedy { group: id.clone(), remedy: Remedy::Remove });
        self.table.insert(classic);
        let mut turn = Turn::new(now, &self.config);
        if let Some(group) = self.table.get_mut(&id).filter(|_| rebalances) {
            group.begin_rebalance(&mut turn);
        }
        finish(turn, &id, outbox);
        self.table.rearm(&id);
    }

    /// JoinGroup where a consumer group has the name. `false`: there is none, or it made room.
    pub(in super::super) fn classic_join(
        &mut self,
        join: Join<'_>,
        now: Now,
        outbox: &mut Outbox<GroupShard>,
    ) -> bool {
        let Join { request, command } = join;
        let id = &command.group;
        let Some(group) = self.consumers.get(id) else { return false };
        if group.is_empty() {
            let tombstones = group.tombstones();
            self.pass_on(id, tombstones, outbox);
            return false;
        }
        let remembered = self.consumers.remembered(id, now.at);
        let mut work = Work::new(id, group.clone(), self.around(now));
        let tombstones = group.tombstones();
        let joined = match work.classic_join(command, remembered) {
            Ok(joined) => joined,
            Err(refused) => {
                outbox.reply(request, GroupAnswer::Join(Err(refused)));
                return true;
            }
        };
        let member = joined.joined.member.clone();
        if joined.may_downgrade && migration::downgrades_without(&work, &[]) {
            let (group, is_settled) = (work.group.clone(), work.is_settled());
            self.pass_on(id, tombstones, outbox);
            let classic = migration::downgraded(id, &group, (self.view.topics.as_ref(), now));
            self.install_classic(classic, !is_settled, (now, outbox));
        } else {
            let records = work.records;
            self.pass_on(id, records, outbox);
            self.consumers.set_metadata_due(id, false);
            self.consumers.renew_session(id, &member, now.at + command.session_timeout);
            self.consumers.await_sync(id, &member, now.at + command.rebalance_timeout);
        }
        outbox.reply(request, GroupAnswer::Join(Ok(joined.joined)));
        true
    }

    /// SyncGroup of a classic member of a consumer group.
    pub(in super::super) fn classic_sync(
        &mut self,
        asked: &Asked<&SyncGroup>,
        now: Now,
        outbox: &mut Outbox<GroupShard>,
    ) -> bool {
        let command = asked.command;
        let id = &command.group;
        let Some(group) = self.consumers.get(id) else { return false };
        let synced = group
            .classic_sync(command, self.around(now))
            .map(|(synced, session_timeout)| (synced, now.at + session_timeout));
        let synced = synced.map(|(synced, until)| {
            self.consumers.on_sync(id, &command.member);
            self.consumers.renew_session(id, &command.member, until);
            synced
        });
        outbox.reply(asked.request, GroupAnswer::Sync(synced));
        true
    }

    /// Heartbeat of a classic member of a consumer group. `None`: there is no such group.
    pub(in super::super) fn classic_heartbeat(
        &mut self,
        command: &Heartbeat,
        now: Now,
    ) -> Option<GroupAnswer> {
        let id = &command.group;
        let heard = self.consumers.get(id)?.classic_heartbeat(command);
        let heard = heard.and_then(|(session_timeout, rejoin_within)| {
            self.consumers.renew_session(id, &command.member, now.at + session_timeout);
            match rejoin_within {
                None => Ok(()),
                Some(within) => {
                    self.consumers.await_join(id, &command.member, now.at + within);
                    Err(super::super::answer::HeartbeatError::RebalanceInProgress)
                }
            }
        });
        Some(GroupAnswer::Heartbeat(heard))
    }

    /// LeaveGroup where a consumer group has the name. `None`: there is no such group.
    pub(in super::super) fn classic_leave(
        &mut self,
        command: &LeaveGroup,
        now: Now,
        outbox: &mut Outbox<GroupShard>,
    ) -> Option<Vec<LeftMember>> {
        let group = self.consumers.get(&command.group)?;
        let mut leaving: Vec<MemberId> = Vec::new();
        let mut left = Vec::with_capacity(command.members.len());
        for member in &command.members {
            let found = group.classic_leaving(member).and_then(|id| {
                if leaving.contains(&id) { Err(LeaveMemberError::UnknownMember) } else { Ok(id) }
            });
            left.push(LeftMember {
                member: member.member.clone(),
                instance: member.instance.clone(),
                result: found.map(|id| leaving.push(id)),
            });
        }
        if !leaving.is_empty() {
            self.put_out(&command.group, &leaving, (now, outbox));
        }
        Some(left)
    }

    /// The topics of regular expressions were found.
    pub(in super::super) fn take_found(
        &mut self,
        found: &FoundTopics,
        now: Now,
        outbox: &mut Outbox<GroupShard>,
    ) {
        self.consumers.on_found(&found.group);
        let Some(group) = self.consumers.get(&found.group) else { return };
        let mut work = Work::new(&found.group, group.clone(), self.around(now));
        work.take_found(found);
        let records = work.records;
        self.pass_on(&found.group, records, outbox);
    }

    /// The cluster changed: groups whose topics did look at them again with their next heartbeat.
    pub(in super::super) fn on_view(&mut self, view: &Arc<ClusterView>) {
        let before = std::mem::replace(&mut self.view, view.clone());
        // Groups are few where topics are many, and most views change one topic.
        let has_changed = |name: &&str| view.topics.has_changed(&before.topics, name);
        let concerned: Vec<GroupId> = self
            .consumers
            .iter()
            .filter(|(_, group)| group.subscribed_names().iter().any(has_changed))
            .map(|(id, _)| id.clone())
            .collect();
        for id in concerned {
            self.consumers.set_metadata_due(&id, true);
        }
    }

    /// Time went on: members whose session ended, or who took too long, are put out.
    pub(in super::super) fn on_consumer_deadline(&mut self, now: Now, outbox: &mut Outbox<GroupShard>) {
        let settings = self.view.settings.clone();
        for (id, members) in self.consumers.take_due(now.at, |id| settings.of(id).session_timeout) {
            self.put_out(&id, &members, (now, outbox));
            outbox.cut();
        }
    }

    /// All records were read: the sessions of all members begin.
    pub(in super::super) fn on_consumers_loaded(&mut self, now: Now) {
        let groups: Vec<(GroupId, ConsumerGroup)> =
            self.consumers.iter().map(|(id, group)| (id.clone(), group.clone())).collect();
        for (id, group) in groups {
            let times = self.around(now).times(&id);
            self.consumers.begin_sessions(&id, &group, (times, now.at));
        }
    }

    /// An empty consumer group is removed by hand or because nothing is left of it.
    pub(in super::super) fn bury_consumers(&mut self, id: &GroupId, outbox: &mut Outbox<GroupShard>) {
        if let Some(group) = self.consumers.get(id) {
            let tombstones = group.tombstones();
            self.pass_on(id, tombstones, outbox);
        }
    }
}
