//! Groups as tools see them.
//!
//! Owns: what DescribeGroups and ListGroups show. Does not own: who may see it (`server`).
//!
//! Source: requirements OFF-09, OFF-10; KIP-518, KIP-848 (filters).

use bytes::Bytes;
use ottla_model::{GroupId, ProtocolType};

use super::answer::{DescribedGroup, DescribedMember, ListedGroup};
use super::classic::{ClassicGroup, GroupState, GroupType};
use super::command::GroupFilter;
use super::consumer::ConsumerGroup;
use super::member::Member;
use super::protocols;

/// Metadata are shown only while the group is stable; assignments are those of the last stable generation.
pub(super) fn describe(group: &ClassicGroup) -> DescribedGroup {
    let stable = group.state() == GroupState::Stable;
    let member = |member: &Member| DescribedMember {
        member: member.id.clone(),
        instance: member.instance.clone(),
        client_id: member.client_id.clone(),
        client_host: member.client_host.clone(),
        metadata: match &group.protocol {
            Some(protocol) if stable => member.metadata(protocol),
            Some(_) | None => Bytes::new(),
        },
        assignment: member.assignment.clone(),
    };
    DescribedGroup {
        group: group.id.clone(),
        state: group.state(),
        protocol_type: group.protocol_type.clone(),
        protocol: if stable { group.protocol.clone() } else { None },
        members: group.members.by_seat().into_iter().map(member).collect(),
    }
}

pub(super) fn list<'a>(
    classic: impl Iterator<Item = &'a ClassicGroup>,
    consumers: impl Iterator<Item = (&'a GroupId, &'a ConsumerGroup)>,
    filter: &GroupFilter,
) -> Vec<ListedGroup> {
    let passes = |texts: &[String], name: &str| {
        texts.is_empty() || texts.iter().any(|text| text.trim().eq_ignore_ascii_case(name))
    };
    let classic = classic.map(|group| ListedGroup {
        group: group.id.clone(),
        protocol_type: group.protocol_type.clone(),
        state: group.state(),
        group_type: GroupType::Classic,
    });
    let consumers = consumers.map(|(id, group)| ListedGroup {
        group: id.clone(),
        protocol_type: Some(ProtocolType::new(protocols::CONSUMER)),
        state: group.state(),
        group_type: GroupType::Consumer,
    });
    let listed = classic.chain(consumers);
    let listed = listed.filter(|group| passes(&filter.types, &group.group_type.to_string()));
    listed.filter(|group| passes(&filter.states, &group.state.to_string())).collect()
}
