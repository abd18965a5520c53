//! Members of a consumer group that still speak the classic protocol.
//!
//! Owns: what their joins, syncs, heartbeats and departures mean. Does not own: the groups' change of protocol
//! (`migration`).
//!
//! Nobody waits for anybody: a join is answered at once with the epoch the member has reached, a sync with what it has,
//! and a heartbeat tells it to join again whenever there is another step to take.
//!
//! Source: requirement CGP-12; KIP-848, "Online Consumer Group Upgrade/Downgrade".

use std::sync::Arc;
use std::time::Duration;

use ottla_model::{GenerationId, GroupInstanceId, MemberId, ProtocolType};

use super::super::answer::{
    HeartbeatError, JoinError, JoinRefused, Joined, LeaveMemberError, SyncError, Synced,
};
use super::super::command::{Heartbeat, JoinGroup, LeavingMember, SyncGroup};
use super::super::protocols;
use super::heartbeat::Remembered;
use super::migration::{MigrationPolicy, assignment_bytes, by_id, subscription};
use super::record::{ClassicSubscriber, MemberState, Subscriber};
use super::state::ConsumerGroup;
use super::work::{Circumstances, Work};

/// Why a member is not taken for the one it says it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stranger {
    Unknown,
    Fenced,
}

impl ConsumerGroup {
    /// The classic member that an id and an instance id name.
    fn classic(
        &self,
        member: &MemberId,
        instance: Option<&GroupInstanceId>,
    ) -> Result<(&Arc<Subscriber>, &ClassicSubscriber), Stranger> {
        if let Some(instance) = instance {
            let bearer = self.bearer(instance).ok_or(Stranger::Unknown)?;
            if bearer != member {
                return Err(Stranger::Fenced);
            }
        }
        let known = self.member(member).ok_or(Stranger::Unknown)?;
        known.classic.as_ref().map(|classic| (known, classic)).ok_or(Stranger::Unknown)
    }

    /// Whether the member has the epoch it speaks of.
    fn generation(&self, member: &MemberId, got: Option<GenerationId>) -> Result<(), GenerationId> {
        let epoch = self.current(member).epoch;
        let is_same = got.is_some_and(|got| got.value() == epoch.value());
        if is_same { Ok(()) } else { Err(GenerationId::new(epoch.value()).unwrap_or_default()) }
    }

    /// A classic member says it is alive. Its session lasts for the first time from now on; with `Some` of the second it
    /// is told to join again within that.
    pub fn classic_heartbeat(
        &self,
        command: &Heartbeat,
    ) -> Result<(Duration, Option<Duration>), HeartbeatError> {
        let found = self.classic(&command.member, command.instance.as_ref());
        let (known, classic) = found.map_err(|stranger| match stranger {
            Stranger::Unknown => HeartbeatError::UnknownMember,
            Stranger::Fenced => HeartbeatError::FencedInstance,
        })?;
        let got = command.generation;
        self.generation(&command.member, got)
            .map_err(|current| HeartbeatError::IllegalGeneration { got, current })?;
        let current = self.current(&command.member);
        let rejoins = current.epoch < self.assignment_epoch()
            || current.state == MemberState::UnrevokedPartitions
            || (current.state == MemberState::UnreleasedPartitions
                && !self.waits_for_others(&command.member));
        let rebalance_timeout = known.rebalance_timeout.unwrap_or_default();
        Ok((classic.session_timeout, rejoins.then_some(rebalance_timeout)))
    }

    /// A classic member asks for its assignment. Its session lasts for the time that comes with it.
    pub fn classic_sync(
        &self,
        command: &SyncGroup,
        around: Circumstances<'_>,
    ) -> Result<(Synced, Duration), SyncError> {
        let found = self.classic(&command.member, command.instance.as_ref());
        let (_, classic) = found.map_err(|stranger| match stranger {
            Stranger::Unknown => SyncError::UnknownMember,
            Stranger::Fenced => SyncError::FencedInstance,
        })?;
        let got = command.generation;
        self.generation(&command.member, got)
            .map_err(|current| SyncError::IllegalGeneration { got, current })?;
        let first = classic.protocols.first();
        let other_type =
            command.protocol_type.as_ref().is_some_and(|told| told.as_str() != protocols::CONSUMER);
        let other_name =
            command.protocol.as_ref().is_some_and(|told| Some(told) != first.map(|one| &one.name));
        if other_type || other_name {
            return Err(SyncError::InconsistentProtocol);
        }
        let current = self.current(&command.member);
        if self.assignment_epoch() > current.epoch && current.state != MemberState::UnrevokedPartitions {
            return Err(SyncError::RebalanceInProgress);
        }
        let metadata = first.map(|one| one.metadata.clone()).unwrap_or_default();
        let synced = Synced {
            protocol_type: command.protocol_type.clone(),
            protocol: command.protocol.clone(),
            assignment: assignment_bytes(current.assigned.keys().copied(), around.topics(), &metadata),
        };
        Ok((synced, classic.session_timeout))
    }

    /// The classic member that leaves, or that an operator removes.
    pub fn classic_leaving(&self, leaving: &LeavingMember) -> Result<MemberId, LeaveMemberError> {
        let Some(instance) = &leaving.instance else {
            let known = self.member(&leaving.member).map(|_| leaving.member.clone());
            return known.ok_or(LeaveMemberError::UnknownMember);
        };
        let bearer = self.bearer(instance).ok_or(LeaveMemberError::UnknownMember)?;
        if !leaving.member.is_empty() && *bearer != leaving.member {
            return Err(LeaveMemberError::FencedInstance);
        }
        Ok(bearer.clone())
    }
}

/// A join that was let in.
pub(in super::super) struct ClassicJoined {
    pub joined: Joined,
    /// The member came into the place of the group's last member of the consumer protocol.
    pub may_downgrade: bool,
}

impl Work<'_> {
    /// A member of the classic protocol joins, or joins again.
    pub fn classic_join(
        &mut self,
        command: &JoinGroup,
        remembered: Remembered,
    ) -> Result<ClassicJoined, JoinRefused> {
        let member = self.admit_classic(command)?;
        let refused = |error| JoinRefused::new(&member, error);
        let protocol = command.protocols.first().cloned();
        let protocol = protocol.ok_or_else(|| refused(JoinError::InconsistentProtocol))?;
        let said =
            subscription(&protocol.metadata).ok_or_else(|| refused(JoinError::InconsistentProtocol))?;
        let replaced = self.take_classic_place(command, &member)?;
        let known = self.group.member(&member).cloned().unwrap_or_default();
        let updated = Subscriber {
            instance: command.instance.clone().or_else(|| known.instance.clone()),
            rack: said.rack_id.filter(|rack| !rack.is_empty()).map(Arc::from).or_else(|| known.rack.clone()),
            client_id: command.client_id.clone(),
            client_host: command.client_host.clone(),
            names: said.topics.into_iter().collect(),
            regex: Arc::from(""),
            rebalance_timeout: Some(command.rebalance_timeout),
            assignor: known.assignor.clone(),
            classic: Some(ClassicSubscriber {
                session_timeout: command.session_timeout,
                protocols: command.protocols.clone(),
            }),
        };
        let names_changed = known.names != updated.names;
        let regex_changed = !known.regex.is_empty();
        self.put_member(&member, updated);
        self.forget_unused_regexes();
        if names_changed || regex_changed || remembered.metadata_due {
            self.look_at_metadata(names_changed || regex_changed);
        }
        self.assign_if_due();
        let owned = said.owned_partitions.into_iter().map(|topic| (topic.topic, topic.partitions));
        let owned = by_id(self.around.topics(), owned);
        self.reconcile(&member, Some(&owned), names_changed || regex_changed)
            .map_err(|_| refused(JoinError::UnknownMember))?;
        let epoch = self.group.current(&member).epoch;
        let joined = Joined {
            generation: GenerationId::new(epoch.value()).unwrap_or_default(),
            protocol_type: Some(ProtocolType::new(protocols::CONSUMER)),
            protocol: Some(protocol.name),
            leader: None,
            member,
            members: Vec::new(),
            skip_assignment: false,
        };
        Ok(ClassicJoined { joined, may_downgrade: replaced })
    }

    /// The id under which the member may join.
    fn admit_classic(&self, command: &JoinGroup) -> Result<MemberId, JoinRefused> {
        let config = self.around.config;
        let refused = |member: &MemberId, error| Err(JoinRefused::new(member, error));
        if config.consumer.migration == MigrationPolicy::Disabled {
            return refused(&command.member, JoinError::InconsistentProtocol);
        }
        let max = config.consumer.members_max;
        let is_known = self.group.member(&command.member).is_some();
        if self.group.member_count() >= max && !is_known {
            return refused(&MemberId::new(""), JoinError::GroupFull { max });
        }
        if !self.supports(command) {
            return refused(&command.member, JoinError::InconsistentProtocol);
        }
        if !command.member.is_empty() {
            return Ok(command.member.clone());
        }
        let made = MemberId::new(&command.random.to_string());
        if command.requires_member_id && command.instance.is_none() {
            return refused(&made, JoinError::MemberIdRequired);
        }
        Ok(made)
    }

    /// Whether all classic members know one of the protocols.
    fn supports(&self, command: &JoinGroup) -> bool {
        let known = |name: &str| {
            let spoken = self.group.members().filter_map(|(_, member)| member.classic.as_ref());
            spoken.into_iter().all(|classic| classic.protocols.iter().any(|one| one.name.as_str() == name))
        };
        command.protocol_type.as_str() == protocols::CONSUMER
            && command.protocols.iter().any(|protocol| known(protocol.name.as_str()))
    }

    /// Static members: who comes without an id takes the place, who comes with one must have it. Tells whether the
    /// member replaced was the only one of the consumer protocol.
    fn take_classic_place(&mut self, command: &JoinGroup, member: &MemberId) -> Result<bool, JoinRefused> {
        let Some(instance) = &command.instance else { return Ok(false) };
        let bearer = self.group.bearer(instance).cloned();
        let refused = |error| Err(JoinRefused::new(&command.member, error));
        match bearer {
            None if command.member.is_empty() => Ok(false),
            None => refused(JoinError::UnknownMember),
            Some(bearer) if command.member.is_empty() => {
                let is_consumer = self.group.member(&bearer).is_some_and(|known| known.classic.is_none());
                let others_are_classic = self.group.classic_members() + 1 == self.group.member_count();
                let current = self.inherited(&bearer);
                self.replace_member(&bearer, member, current);
                Ok(is_consumer && others_are_classic)
            }
            Some(bearer) if bearer != *member => refused(JoinError::FencedInstance),
            Some(_) => Ok(false),
        }
    }

    /// Whether the group may become a classic one right now, with its members where they are.
    pub fn is_settled(&self) -> bool {
        self.group.assignment_epoch() == self.group.epoch()
    }
}
