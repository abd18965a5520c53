//! From the classic to the consumer protocol and back, while members are at work.
//!
//! Owns: what becomes of members, epochs and assignments. Does not own: when it happens (`shard`), what classic members
//! of a consumer group may do (`classic_member`).
//!
//! Source: requirement CGP-12; KIP-848, "Online Consumer Group Upgrade/Downgrade".

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use ottla_model::{GenerationId, GroupId, MemberId, PartitionIndex, ProtocolName, ProtocolType, TopicId};
use ottla_protocol::messages::{
    ConsumerProtocolAssignment, ConsumerProtocolSubscription, consumer_protocol_assignment,
};
use ottla_protocol::{Message, Reader, Writer};

use super::super::classic::{ClassicGroup, Phase};
use super::super::member::{Member, Protocol};
use super::super::protocols;
use super::super::topics::Topics;
use super::command::CannotUpgrade;
use super::record::{
    ClassicSubscriber, ConsumerChange, CurrentAssignment, GroupEpoch, IdPartition, MemberEpoch, MemberState,
    Subscriber, TargetEpoch,
};
use super::state::ConsumerGroup;
use super::work::Work;
use crate::runtime::Now;

/// In which directions a group may change while it has members (`group.consumer.migration.policy`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MigrationPolicy {
    Bidirectional,
    Upgrade,
    Downgrade,
    Disabled,
}

impl MigrationPolicy {
    pub(in super::super) fn allows_upgrade(self) -> bool {
        match self {
            MigrationPolicy::Bidirectional | MigrationPolicy::Upgrade => true,
            MigrationPolicy::Downgrade | MigrationPolicy::Disabled => false,
        }
    }

    pub(in super::super) fn allows_downgrade(self) -> bool {
        match self {
            MigrationPolicy::Bidirectional | MigrationPolicy::Downgrade => true,
            MigrationPolicy::Upgrade | MigrationPolicy::Disabled => false,
        }
    }
}

/// Data of the embedded consumer protocol: a version, then what that version has. Later versions only add.
fn read_embedded<M: Message>(bytes: &Bytes) -> Option<M> {
    let mut reader = Reader::shared(bytes);
    let version = reader.i16().ok().filter(|version| *version >= 0)?;
    M::decode(&mut reader, version.min(*M::VERSIONS.end())).ok()
}

/// What a classic member subscribes to.
pub(super) fn subscription(metadata: &Bytes) -> Option<ConsumerProtocolSubscription> {
    read_embedded(metadata)
}

/// Partitions by name, as those of topics that exist.
pub(super) fn by_id(
    topics: &Topics,
    named: impl Iterator<Item = (String, Vec<i32>)>,
) -> BTreeSet<IdPartition> {
    let known = named.filter_map(|(name, partitions)| Some((topics.by_name(&name)?.id(), partitions)));
    let each = known.flat_map(|(topic, partitions)| {
        let indexes = partitions.into_iter().filter_map(PartitionIndex::new);
        indexes.map(move |partition| IdPartition { topic, partition })
    });
    each.collect()
}

/// The assignment of a classic member in the version its subscription has.
pub(super) fn assignment_bytes(
    partitions: impl Iterator<Item = IdPartition>,
    topics: &Topics,
    metadata: &Bytes,
) -> Bytes {
    let mut by_topic: BTreeMap<TopicId, Vec<i32>> = BTreeMap::new();
    for IdPartition { topic, partition } in partitions {
        by_topic.entry(topic).or_default().push(partition.value());
    }
    let assigned = by_topic.into_iter().filter_map(|(topic, partitions)| {
        let topic = topics.by_id(topic)?.name().to_string();
        Some(consumer_protocol_assignment::TopicPartition { topic, partitions })
    });
    let value = ConsumerProtocolAssignment { assigned_partitions: assigned.collect(), user_data: None };
    let asked = Reader::shared(metadata).i16().unwrap_or(0);
    let version = asked.clamp(0, *ConsumerProtocolAssignment::VERSIONS.end());
    let mut writer = Writer::new();
    writer.put_i16(version);
    match value.encode(&mut writer, version) {
        Ok(()) => writer.into_bytes(),
        // Only names longer than any topic's could not be written.
        Err(_) => Bytes::new(),
    }
}

/// Writes a classic group with members as a consumer group at the same epoch, in which everybody has what it had.
pub(in super::super) fn upgrade(work: &mut Work<'_>, classic: &ClassicGroup) -> Result<(), CannotUpgrade> {
    let config = work.around.config;
    if !config.consumer.migration.allows_upgrade() {
        return Err(CannotUpgrade::Disabled);
    }
    if !protocols::is_consumer(classic.protocol_type.as_ref()) {
        return Err(CannotUpgrade::OtherProtocol);
    }
    if classic.members.len() > config.consumer.members_max {
        return Err(CannotUpgrade::TooLarge);
    }
    let mut taken = BTreeSet::new();
    let mut members = Vec::new();
    for member in classic.members.iter() {
        let metadata = match &classic.protocol {
            Some(protocol) => member.metadata(protocol),
            None => member.protocols.first().map(|first| first.metadata.clone()).unwrap_or_default(),
        };
        let subscription = subscription(&metadata).ok_or(CannotUpgrade::Malformed)?;
        let mut assigned = assigned_to(member, work.around.topics())?;
        // A client's assignor may have given a partition twice; a consumer group cannot.
        assigned.retain(|partition| taken.insert(*partition));
        members.push((member, subscription, assigned));
    }
    write_upgraded(work, MemberEpoch::new(classic.generation.value()), members);
    Ok(())
}

fn assigned_to(member: &Member, topics: &Topics) -> Result<BTreeSet<IdPartition>, CannotUpgrade> {
    if member.assignment.is_empty() {
        return Ok(BTreeSet::new());
    }
    let read = read_embedded::<ConsumerProtocolAssignment>(&member.assignment);
    let assignment = read.ok_or(CannotUpgrade::Malformed)?;
    if assignment.user_data.is_some_and(|data| !data.is_empty()) {
        return Err(CannotUpgrade::CustomAssignor);
    }
    let named = assignment.assigned_partitions.into_iter().map(|topic| (topic.topic, topic.partitions));
    Ok(by_id(topics, named))
}

type Upgraded<'a> = (&'a Member, ConsumerProtocolSubscription, BTreeSet<IdPartition>);

/// In Kafka's order: members, epoch, targets, epoch of the targets, what members have.
fn write_upgraded(work: &mut Work<'_>, epoch: MemberEpoch, members: Vec<Upgraded<'_>>) {
    let mut assignments = Vec::new();
    for (member, subscription, assigned) in members {
        let subscriber = Subscriber {
            instance: member.instance.clone(),
            rack: subscription.rack_id.filter(|rack| !rack.is_empty()).map(Arc::from),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            names: subscription.topics.into_iter().collect(),
            regex: Arc::from(""),
            rebalance_timeout: Some(member.rebalance_timeout),
            assignor: None,
            classic: Some(ClassicSubscriber {
                session_timeout: member.session_timeout,
                protocols: member.protocols.clone(),
            }),
        };
        work.put_member(&member.id, subscriber);
        assignments.push((member.id.clone(), assigned));
    }
    let metadata_hash = work.group.hash(work.around.topics());
    work.write(ConsumerChange::Epoch(Some(GroupEpoch { epoch, metadata_hash })));
    for (member, assigned) in assignments.clone() {
        work.write(ConsumerChange::Target { member, value: Some(Arc::new(assigned)) });
    }
    work.write(ConsumerChange::TargetEpoch(Some(TargetEpoch { epoch, at: None })));
    for (member, assigned) in assignments {
        let current = CurrentAssignment {
            epoch,
            previous_epoch: epoch,
            state: MemberState::Stable,
            assigned: assigned.into_iter().map(|partition| (partition, epoch)).collect(),
            revoking: BTreeMap::new(),
        };
        work.put_current(&member, current);
    }
}

/// Whether the group becomes a classic one once some members are gone: all others speak the classic protocol.
pub(in super::super) fn downgrades_without(work: &Work<'_>, gone: &[MemberId]) -> bool {
    let config = work.around.config;
    let gone_classic = gone
        .iter()
        .filter(|member| work.group.member(member).is_some_and(|member| member.classic.is_some()))
        .count();
    let left = work.group.member_count() - gone.len();
    left > 0
        && work.group.classic_members() - gone_classic == left
        && config.consumer.migration.allows_downgrade()
        && left <= config.members_max
}

/// The classic group that a consumer group of classic members becomes: stable, with everybody's target.
pub(in super::super) fn downgraded(
    id: &GroupId,
    group: &ConsumerGroup,
    (topics, now): (&Topics, Now),
) -> ClassicGroup {
    let mut classic = ClassicGroup::new(id.clone(), now.wall);
    classic.protocol_type = Some(ProtocolType::new(protocols::CONSUMER));
    classic.generation = GenerationId::new(group.epoch().value()).unwrap_or_default();
    for (member, known) in group.members() {
        let Some(spoken) = &known.classic else { continue };
        let mut member = classic_member(member, known, spoken);
        member.renew_session(now.at);
        classic.members.add(member);
    }
    classic.protocol = protocols::elect(classic.members.by_seat().into_iter());
    let protocol = classic.protocol.clone().unwrap_or_else(|| ProtocolName::new(""));
    for member in classic.members.iter_mut() {
        let target = group.target(&member.id).cloned().unwrap_or_default();
        member.assignment = assignment_bytes(target.iter().copied(), topics, &member.metadata(&protocol));
    }
    classic.phase = Phase::Stable;
    classic.find_subscribed();
    classic
}

fn classic_member(id: &MemberId, known: &Subscriber, spoken: &ClassicSubscriber) -> Member {
    let protocols: Vec<Protocol> = spoken.protocols.clone();
    Member {
        id: id.clone(),
        instance: known.instance.clone(),
        client_id: known.client_id.clone(),
        client_host: known.client_host.clone(),
        rebalance_timeout: known.rebalance_timeout.unwrap_or_default(),
        session_timeout: spoken.session_timeout,
        protocols,
        assignment: Bytes::new(),
        seat: 0,
        is_new: false,
        parked_join: None,
        parked_sync: None,
        has_synced: true,
        session_until: None,
    }
}
