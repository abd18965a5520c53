//! All consumer groups of a shard, and when each of them needs attention.
//!
//! Owns: the groups by name, the timers of their members, one alarm per group.
//! Does not own: what becomes of a member whose timer rings (`leave`).
//!
//! A timer is never taken back: who it concerns is looked at when it rings. So a member that left and, because nothing
//! was appended, has not left, is still watched. A heartbeat only moves a session's end further away, so it leaves the
//! alarm alone, which may ring too early.
//!
//! Invariants
//! - T1 a group with a timer has an alarm, not behind it;
//! - T2 every alarm belongs to a group.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use ottla_model::{GroupId, MemberId};

use super::command::ConsumerTimes;
use super::heartbeat::Remembered;
use super::record::{ConsumerRecord, MemberEpoch, MemberState};
use super::state::ConsumerGroup;

/// How long a look-up of regular expressions is waited for before another one may be asked for.
const LOOK_UP_TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Default)]
struct Timers {
    sessions: BTreeMap<MemberId, Instant>,
    /// Until when a member must have left the epoch in which it is to give partitions up.
    revoke_by: BTreeMap<MemberId, (MemberEpoch, Instant)>,
    /// Until when a classic member must have joined again.
    join_by: BTreeMap<MemberId, Instant>,
    /// Until when a classic member must have asked for its assignment.
    sync_by: BTreeMap<MemberId, Instant>,
}

impl Timers {
    fn next(&self) -> Option<Instant> {
        let revoke = self.revoke_by.values().map(|(_, at)| at);
        let others = self.sessions.values().chain(self.join_by.values()).chain(self.sync_by.values());
        others.chain(revoke).min().copied()
    }

    /// Members whose time is over, and whose timers are gone with that.
    fn take_due(&mut self, group: &ConsumerGroup, now: Instant) -> BTreeSet<MemberId> {
        let mut due = BTreeSet::new();
        for timers in [&mut self.sessions, &mut self.join_by, &mut self.sync_by] {
            due.extend(timers.extract_if(.., |_, at| *at <= now).map(|(member, _)| member));
        }
        for (member, (epoch, _)) in self.revoke_by.extract_if(.., |_, (_, at)| *at <= now) {
            let current = group.current(&member);
            if current.epoch == epoch && current.state == MemberState::UnrevokedPartitions {
                due.insert(member);
            }
        }
        due.retain(|member| group.member(member).is_some());
        due
    }
}

struct Slot {
    group: ConsumerGroup,
    timers: Timers,
    metadata_due: bool,
    looking_up_until: Option<Instant>,
    alarm: Option<Instant>,
}

impl Default for Slot {
    /// Nobody knows the topics' metadata before the first look.
    fn default() -> Slot {
        Slot {
            group: ConsumerGroup::default(),
            timers: Timers::default(),
            metadata_due: true,
            looking_up_until: None,
            alarm: None,
        }
    }
}

#[derive(Default)]
pub(in super::super) struct ConsumerTable {
    slots: BTreeMap<GroupId, Slot>,
    alarms: BTreeSet<(Instant, GroupId)>,
}

impl ConsumerTable {
    /// The group, if there is one.
    pub fn get(&self, id: &GroupId) -> Option<&ConsumerGroup> {
        self.slots.get(id).map(|slot| &slot.group).filter(|group| !group.is_nothing())
    }

    pub fn iter(&self) -> impl Iterator<Item = (&GroupId, &ConsumerGroup)> {
        self.slots.iter().map(|(id, slot)| (id, &slot.group)).filter(|(_, group)| !group.is_nothing())
    }

    /// Applies a record and gives the one that takes it back.
    pub fn apply(&mut self, record: &ConsumerRecord) -> ConsumerRecord {
        let slot = self.slots.entry(record.group.clone()).or_default();
        let change = slot.group.apply(&record.change);
        #[cfg(debug_assertions)]
        slot.group.assert_consistent();
        self.drop_if_nothing(&record.group);
        ConsumerRecord { group: record.group.clone(), change }
    }

    fn drop_if_nothing(&mut self, id: &GroupId) {
        if self.slots.get(id).is_some_and(|slot| slot.group.is_nothing() && slot.timers.next().is_none()) {
            self.slots.remove(id);
        }
    }

    pub fn remembered(&self, id: &GroupId, now: Instant) -> Remembered {
        let slot = self.slots.get(id);
        Remembered {
            metadata_due: slot.is_none_or(|slot| slot.metadata_due),
            looking_up: slot.and_then(|slot| slot.looking_up_until).is_some_and(|until| now < until),
        }
    }

    /// The group's topics were looked at, or have to be.
    pub fn set_metadata_due(&mut self, id: &GroupId, due: bool) {
        if let Some(slot) = self.slots.get_mut(id) {
            slot.metadata_due = due;
        }
    }

    /// A look-up was asked for.
    pub fn on_look_up(&mut self, id: &GroupId, now: Instant) {
        self.slots.entry(id.clone()).or_default().looking_up_until = Some(now + LOOK_UP_TIMEOUT);
    }

    /// It came to an end.
    pub fn on_found(&mut self, id: &GroupId) {
        if let Some(slot) = self.slots.get_mut(id) {
            slot.looking_up_until = None;
        }
    }

    /// A member was heard of.
    pub fn renew_session(&mut self, id: &GroupId, member: &MemberId, until: Instant) {
        let slot = self.slots.entry(id.clone()).or_default();
        match slot.timers.sessions.get_mut(member) {
            Some(session) => *session = until,
            None => drop(slot.timers.sessions.insert(member.clone(), until)),
        }
        if slot.alarm.is_none_or(|alarm| until < alarm) {
            self.rearm(id);
        }
    }

    /// A member of the consumer protocol is where `group` has it: watches it while it gives partitions up.
    pub fn watch_revocation(
        &mut self,
        id: &GroupId,
        member: &MemberId,
        (group, now): (&ConsumerGroup, Instant),
    ) {
        let slot = self.slots.entry(id.clone()).or_default();
        slot.timers.join_by.remove(member);
        slot.timers.sync_by.remove(member);
        let current = group.current(member);
        if current.state != MemberState::UnrevokedPartitions {
            slot.timers.revoke_by.remove(member);
            return;
        }
        let timeout = group.member(member).and_then(|known| known.rebalance_timeout).unwrap_or_default();
        let watched = slot.timers.revoke_by.get(member).is_some_and(|(epoch, _)| *epoch == current.epoch);
        // What it is told to give up now is more, or other, than before: it has its full time for that.
        let is_told_anew = slot.group.current(member) != current;
        if !watched || is_told_anew {
            slot.timers.revoke_by.insert(member.clone(), (current.epoch, now + timeout));
            self.rearm(id);
        }
    }

    /// A classic member has to join again, if it has not been told so before.
    pub fn await_join(&mut self, id: &GroupId, member: &MemberId, until: Instant) {
        let slot = self.slots.entry(id.clone()).or_default();
        slot.timers.join_by.entry(member.clone()).or_insert(until);
        self.rearm(id);
    }

    /// A classic member joined and has to ask for its assignment.
    pub fn await_sync(&mut self, id: &GroupId, member: &MemberId, until: Instant) {
        let slot = self.slots.entry(id.clone()).or_default();
        slot.timers.join_by.remove(member);
        slot.timers.sync_by.insert(member.clone(), until);
        self.rearm(id);
    }

    pub fn on_sync(&mut self, id: &GroupId, member: &MemberId) {
        if let Some(slot) = self.slots.get_mut(id) {
            slot.timers.sync_by.remove(member);
        }
    }

    /// Begins the sessions of all members, after a load or a change of protocol.
    pub fn begin_sessions(
        &mut self,
        id: &GroupId,
        group: &ConsumerGroup,
        (times, now): (ConsumerTimes, Instant),
    ) {
        for (member, known) in group.members() {
            let timeout = known.classic.as_ref().map_or(times.session_timeout, |one| one.session_timeout);
            self.renew_session(id, member, now + timeout);
            if known.classic.is_none() {
                self.watch_revocation(id, member, (group, now));
            }
        }
    }

    fn rearm(&mut self, id: &GroupId) {
        let Some(slot) = self.slots.get_mut(id) else { return };
        let next = slot.timers.next();
        if slot.alarm == next {
            return;
        }
        if let Some(alarm) = slot.alarm {
            self.alarms.remove(&(alarm, id.clone()));
        }
        if let Some(next) = next {
            self.alarms.insert((next, id.clone()));
        }
        slot.alarm = next;
    }

    /// Members whose time is over, by group. Their timers start over, in case they stay.
    pub fn take_due(
        &mut self,
        now: Instant,
        session: impl Fn(&GroupId) -> Duration,
    ) -> Vec<(GroupId, Vec<MemberId>)> {
        let ringing: Vec<GroupId> =
            self.alarms.iter().take_while(|(at, _)| *at <= now).map(|(_, id)| id.clone()).collect();
        let mut due = Vec::new();
        for id in ringing {
            let Some(slot) = self.slots.get_mut(&id) else { continue };
            let members = slot.timers.take_due(&slot.group, now);
            for member in &members {
                slot.timers.sessions.insert(member.clone(), now + session(&id));
            }
            self.rearm(&id);
            self.drop_if_nothing(&id);
            if !members.is_empty() {
                due.push((id, members.into_iter().collect()));
            }
        }
        due
    }

    pub fn deadline(&self) -> Option<Instant> {
        self.alarms.first().map(|(at, _)| *at)
    }
}
