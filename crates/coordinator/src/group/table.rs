//! All classic groups of a shard, and when each of them needs attention.
//!
//! Owns: the groups by name, one alarm per group.
//! Does not own: what a group does when its alarm rings.
//!
//! A heartbeat only moves a session's end further away, so it leaves the alarm alone: an alarm may ring too early,
//! then the group's true deadline is looked up again.
//!
//! Invariants
//! - T1 a group with a deadline has an alarm, not behind it;
//! - T2 every alarm belongs to a group.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use ottla_model::{GroupId, Timestamp};

use super::classic::ClassicGroup;

#[derive(Default)]
pub(super) struct GroupTable {
    groups: BTreeMap<GroupId, Slot>,
    alarms: BTreeSet<(Instant, GroupId)>,
}

struct Slot {
    group: ClassicGroup,
    alarm: Option<Instant>,
}

impl GroupTable {
    pub fn len(&self) -> usize {
        self.groups.len()
    }

    pub fn get(&self, id: &GroupId) -> Option<&ClassicGroup> {
        self.groups.get(id).map(|slot| &slot.group)
    }

    /// A group to change; [`GroupTable::rearm`] must follow unless only sessions were renewed.
    pub fn get_mut(&mut self, id: &GroupId) -> Option<&mut ClassicGroup> {
        self.groups.get_mut(id).map(|slot| &mut slot.group)
    }

    /// The group, created empty if it does not exist. Tells whether it was.
    pub fn get_or_create(&mut self, id: &GroupId, since: Timestamp) -> (&mut ClassicGroup, bool) {
        let is_new = !self.groups.contains_key(id);
        let create = || Slot { group: ClassicGroup::new(id.clone(), since), alarm: None };
        (&mut self.groups.entry(id.clone()).or_insert_with(create).group, is_new)
    }

    pub fn insert(&mut self, group: ClassicGroup) {
        let id = group.id.clone();
        self.remove(&id);
        self.groups.insert(id.clone(), Slot { group, alarm: None });
        self.rearm(&id);
    }

    pub fn remove(&mut self, id: &GroupId) -> Option<ClassicGroup> {
        let slot = self.groups.remove(id)?;
        if let Some(alarm) = slot.alarm {
            self.alarms.remove(&(alarm, id.clone()));
        }
        Some(slot.group)
    }

    pub fn iter(&self) -> impl Iterator<Item = &ClassicGroup> {
        self.groups.values().map(|slot| &slot.group)
    }

    /// Sets the alarm of a group that changed.
    pub fn rearm(&mut self, id: &GroupId) {
        let Some(slot) = self.groups.get_mut(id) else { return };
        let deadline = slot.group.deadline();
        if slot.alarm == deadline {
            return;
        }
        if let Some(alarm) = slot.alarm {
            self.alarms.remove(&(alarm, id.clone()));
        }
        if let Some(deadline) = deadline {
            self.alarms.insert((deadline, id.clone()));
        }
        slot.alarm = deadline;
    }

    /// Sets the alarm of a group whose sessions were renewed, if it has none: the one it has rings early enough.
    pub fn ensure_alarm(&mut self, id: &GroupId) {
        if self.groups.get(id).is_some_and(|slot| slot.alarm.is_none()) {
            self.rearm(id);
        }
    }

    /// The groups whose alarm rings. Each is to be rearmed.
    pub fn due(&self, now: Instant) -> Vec<GroupId> {
        self.alarms.iter().take_while(|(at, _)| *at <= now).map(|(_, id)| id.clone()).collect()
    }

    pub fn deadline(&self) -> Option<Instant> {
        self.alarms.first().map(|(at, _)| *at)
    }
}
