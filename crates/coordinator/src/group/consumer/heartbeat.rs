//! ConsumerGroupHeartbeat of a member that stays or comes.
//!
//! Owns: the order: find the member, take in what it says, move the group's epoch, assign, bring the member nearer.
//! Does not own: leaving (`leave`), the steps themselves (`work`), timers (`table`).
//!
//! Source: requirements CGP-01…07, CGP-10; KIP-848, "Group Coordinator".

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use ottla_model::MemberId;

use super::command::{Beaten, ConsumerHeartbeat, ConsumerHeartbeatError, JOIN, LookUp};
use super::record::{ConsumerChange, CurrentAssignment, IdPartition, MemberEpoch, Subscriber};
use super::state::ConsumerGroup;
use super::work::{Circumstances, SubscriptionChange, Work, may_assign};
use crate::expression;

/// Least time between two look-ups of a group's regular expressions, so that many changes make one rebalance.
const LOOK_UP_INTERVAL_MIN: Duration = Duration::from_secs(10);

/// What the coordinator remembers of a group besides its records.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Remembered {
    /// The topics' metadata have to be looked at again: they changed, or nobody knows.
    pub metadata_due: bool,
    /// Regular expressions are being looked up.
    pub looking_up: bool,
}

impl ConsumerHeartbeat {
    /// Whether the member says everything, as it does after an error, and is told everything.
    fn is_full(&self) -> bool {
        self.epoch == JOIN
            || (self.rebalance_timeout.is_some()
                && (self.names.is_some() || self.regex.is_some())
                && self.owned.is_some())
    }

    /// What is known of the member, with what it says now.
    fn update(&self, known: &Subscriber) -> Subscriber {
        Subscriber {
            instance: self.instance.clone().or_else(|| known.instance.clone()),
            rack: self.rack.as_deref().map(Arc::from).or_else(|| known.rack.clone()),
            client_id: self.client_id.clone(),
            client_host: self.client_host.clone(),
            names: self.names.clone().unwrap_or_else(|| known.names.clone()),
            regex: self.regex.as_deref().map_or_else(|| known.regex.clone(), Arc::from),
            rebalance_timeout: self.rebalance_timeout.or(known.rebalance_timeout),
            assignor: self.assignor.as_deref().map(Arc::from).or_else(|| known.assignor.clone()),
            classic: None,
        }
    }

    /// The same without a copy: whether it would change anything.
    fn says_something_new(&self, known: &Subscriber) -> bool {
        let differs = |told: &Option<String>, known: Option<&str>| told.is_some() && told.as_deref() != known;
        self.instance.as_ref().is_some_and(|told| known.instance.as_ref() != Some(told))
            || differs(&self.rack, known.rack.as_deref())
            || self.client_id != known.client_id
            || self.client_host != known.client_host
            || self.names.as_ref().is_some_and(|told| *told != known.names)
            || differs(&self.regex, Some(&known.regex))
            || self.rebalance_timeout.is_some_and(|told| known.rebalance_timeout != Some(told))
            || differs(&self.assignor, known.assignor.as_deref())
            || known.classic.is_some()
    }
}

/// Whether the epoch is the member's, or the one before whose answer got lost (CGP-04).
fn check_epoch(
    got: i32,
    current: &CurrentAssignment,
    owned: Option<&BTreeSet<IdPartition>>,
) -> Result<(), ConsumerHeartbeatError> {
    let known = current.epoch.value();
    if got == JOIN || got == known {
        return Ok(());
    }
    if got > known {
        return Err(ConsumerHeartbeatError::EpochAhead { got, known });
    }
    let fits = owned.is_some_and(|owned| owned.iter().all(|one| current.assigned.contains_key(one)));
    if got == current.previous_epoch.value() && fits {
        return Ok(());
    }
    Err(ConsumerHeartbeatError::EpochBehind { got, known })
}

/// Whether the topics of a group's expressions are to be found now: one is new, topics are, or much time went by.
fn look_up_is_due(
    group: &ConsumerGroup,
    (patterns, is_new): (&BTreeSet<Arc<str>>, bool),
    around: Circumstances<'_>,
) -> bool {
    let Some((_, last)) = group.regexes().next() else { return true };
    let age = u64::try_from(around.now.wall.millis_since(last.at)).unwrap_or(0);
    let age = Duration::from_millis(age);
    if age <= LOOK_UP_INTERVAL_MIN {
        return false;
    }
    let grown_at = around.topics().grown_at.map_or(-1, ottla_model::Offset::value);
    is_new
        || patterns.len() != group.regexes().count()
        || last.version < grown_at
        || age > around.config.consumer.regex_refresh_interval
}

/// Whether the group subscribes to expressions that are to be looked up now.
fn has_to_look_up(group: &ConsumerGroup, remembered: Remembered, around: Circumstances<'_>) -> bool {
    if remembered.looking_up {
        return false;
    }
    let patterns = group.patterns();
    !patterns.is_empty() && look_up_is_due(group, (&patterns, false), around)
}

/// The answer to a heartbeat that changes nothing, without a look at the rest of the group. `None`: it may change
/// something.
pub(in super::super) fn unchanged(
    group: &ConsumerGroup,
    command: &ConsumerHeartbeat,
    (remembered, around): (Remembered, Circumstances<'_>),
) -> Option<Beaten> {
    if remembered.metadata_due {
        return None;
    }
    let known = group.member(&command.member)?;
    let current = group.current(&command.member);
    let is_its_own = command.instance == known.instance || command.instance.is_none();
    let times = around.times(&command.group);
    let target = group.assignment_epoch();
    let assigns = target < group.epoch() && may_assign(group, times.assignment_interval, around.now);
    if command.epoch != current.epoch.value()
        || command.epoch == JOIN
        || !is_its_own
        || command.says_something_new(known)
        || !current.is_reconciled_to(target)
        || assigns
        || has_to_look_up(group, remembered, around)
    {
        return None;
    }
    Some(Beaten {
        member: command.member.clone(),
        epoch: command.epoch,
        heartbeat_interval: Some(times.heartbeat_interval),
        assignment: command.is_full().then(|| current.assigned.keys().copied().collect()),
        look_up: None,
    })
}

impl Work<'_> {
    /// A heartbeat of a member that stays or comes.
    pub fn beat(
        &mut self,
        command: &ConsumerHeartbeat,
        remembered: Remembered,
    ) -> Result<Beaten, ConsumerHeartbeatError> {
        let member = self.find_member(command)?;
        let before = self.group.current(&member);
        let known = self.group.member(&member).cloned().unwrap_or_default();
        let updated = command.update(&known);
        let names_changed = known.names != updated.names;
        let (regex, look_up) = self.update_regex(&known.regex, &updated, remembered)?;
        self.put_member(&member, updated);
        self.forget_unused_regexes();
        let bumps = names_changed || regex.bumps;
        if bumps || remembered.metadata_due {
            self.look_at_metadata(bumps);
        }
        self.assign_if_due();
        self.reconcile(&member, command.owned.as_ref(), names_changed || regex.changed)?;
        let after = self.group.current(&member);
        let changed = before.assigned != after.assigned;
        Ok(Beaten {
            epoch: after.epoch.value(),
            heartbeat_interval: Some(self.around.times(&self.id).heartbeat_interval),
            assignment: (changed || command.is_full()).then(|| after.assigned.keys().copied().collect()),
            look_up,
            member,
        })
    }

    /// The member that speaks; one that joins may be new, or take the place of a static member that left for now.
    fn find_member(&mut self, command: &ConsumerHeartbeat) -> Result<MemberId, ConsumerHeartbeatError> {
        let joins = command.epoch == JOIN;
        let max = self.around.config.consumer.members_max;
        let is_known = self.group.member(&command.member).is_some();
        if self.group.member_count() >= max && !is_known {
            return Err(ConsumerHeartbeatError::GroupFull { max });
        }
        let member = match command.member.is_empty() {
            true => MemberId::new(&command.random.to_string()),
            false => command.member.clone(),
        };
        if let Some(instance) = &command.instance {
            let bearer = self.group.bearer(instance).cloned();
            return match bearer {
                None if joins => Ok(member),
                None => Err(ConsumerHeartbeatError::UnknownInstance(instance.clone())),
                Some(bearer) if joins => self.take_place(bearer, member, command),
                Some(bearer) if bearer != member => {
                    Err(ConsumerHeartbeatError::FencedInstance { member, instance: instance.clone(), bearer })
                }
                Some(_) => self.check_member(member, command),
            };
        }
        if !is_known && joins {
            return Ok(member);
        }
        self.check_member(member, command)
    }

    fn check_member(
        &self,
        member: MemberId,
        command: &ConsumerHeartbeat,
    ) -> Result<MemberId, ConsumerHeartbeatError> {
        if self.group.member(&member).is_none() {
            return Err(ConsumerHeartbeatError::UnknownMember { member, group: self.id.clone() });
        }
        check_epoch(command.epoch, &self.group.current(&member), command.owned.as_ref())?;
        Ok(member)
    }

    /// A static member comes back. One that is still there keeps its place, unless it speaks the classic protocol.
    fn take_place(
        &mut self,
        bearer: MemberId,
        member: MemberId,
        command: &ConsumerHeartbeat,
    ) -> Result<MemberId, ConsumerHeartbeatError> {
        let is_classic = self.group.member(&bearer).is_some_and(|bearer| bearer.classic.is_some());
        if !is_classic && self.group.current(&bearer).epoch != MemberEpoch::AWAY {
            let instance = command.instance.clone();
            return Err(match instance {
                Some(instance) => ConsumerHeartbeatError::UnreleasedInstance { member, instance, bearer },
                None => ConsumerHeartbeatError::UnknownMember { member, group: self.id.clone() },
            });
        }
        let current = self.inherited(&bearer);
        self.replace_member(&bearer, &member, current);
        Ok(member)
    }

    /// What a changed regular expression means, and which are to be looked up now (CGP-10).
    pub(super) fn update_regex(
        &mut self,
        before: &str,
        updated: &Subscriber,
        remembered: Remembered,
    ) -> Result<(SubscriptionChange, Option<LookUp>), ConsumerHeartbeatError> {
        let after = &updated.regex;
        let mut change = SubscriptionChange { changed: *before != **after, bumps: false };
        let mut is_new = false;
        if change.changed && !after.is_empty() {
            is_new = self.group.subscribers_of(after) == 0;
            if is_new {
                expression::check(after).map_err(|why| ConsumerHeartbeatError::InvalidRegex {
                    pattern: after.to_string(),
                    why: why.to_string(),
                })?;
            }
            change.bumps = !is_new && self.group.regex(after).is_some();
        } else if change.changed {
            change.bumps = true;
        }
        let mut patterns = self.group.patterns();
        if change.changed && self.group.subscribers_of(before) == 1 {
            patterns.remove(before);
        }
        patterns.extend(Some(after.clone()).filter(|pattern| !pattern.is_empty()));
        let wanted = !patterns.is_empty()
            && !remembered.looking_up
            && look_up_is_due(&self.group, (&patterns, is_new), self.around);
        Ok((change, wanted.then(|| LookUp { group: self.id.clone(), patterns })))
    }

    /// Topics of regular expressions were found. The group moves on if they are not what they were.
    pub fn take_found(&mut self, found: &super::command::FoundTopics) {
        let mut bumps = false;
        for (pattern, resolved) in &found.found {
            if self.group.subscribers_of(pattern) == 0 {
                continue;
            }
            let before = self.group.regex(pattern).map(|known| known.topics.clone()).unwrap_or_default();
            bumps |= before != resolved.topics;
            let (pattern, value) = (pattern.clone(), Some(resolved.clone()));
            self.write(ConsumerChange::Regex { pattern, value });
        }
        self.look_at_metadata(bumps);
    }
}
