//! Consumer groups as tools see them.
//!
//! Owns: what ConsumerGroupDescribe shows. Does not own: who may see it (`server`).
//!
//! Source: requirement CGP-13; KIP-848.

use std::collections::BTreeSet;

use ottla_model::GroupId;

use super::super::topics::Topics;
use super::assign::Assignor;
use super::command::{DescribedConsumer, DescribedConsumerGroup, NamedPartition};
use super::record::IdPartition;
use super::state::ConsumerGroup;

/// The group with all its members; partitions of topics that are gone are left out.
pub(in super::super) fn describe(
    id: &GroupId,
    group: &ConsumerGroup,
    (topics, default): (&Topics, Assignor),
) -> DescribedConsumerGroup {
    let named = |partitions: &mut dyn Iterator<Item = &IdPartition>| {
        let named = partitions.filter_map(|partition| {
            let topic = topics.by_id(partition.topic)?.name().clone();
            Some(NamedPartition { topic, id: *partition })
        });
        let mut named: Vec<NamedPartition> = named.collect();
        named.sort();
        named
    };
    let nothing = BTreeSet::new();
    let members = group.members().map(|(member, known)| {
        let current = group.current(member);
        let target = group.target(member).map_or(&nothing, |target| &**target);
        DescribedConsumer {
            member: member.clone(),
            instance: known.instance.clone(),
            rack: known.rack.clone(),
            epoch: current.epoch,
            client_id: known.client_id.clone(),
            client_host: known.client_host.clone(),
            names: known.names.clone(),
            regex: known.regex.clone(),
            // What it has yet to give up is still its own.
            assignment: named(&mut current.held()),
            target: named(&mut target.iter()),
            is_classic: known.classic.is_some(),
        }
    });
    DescribedConsumerGroup {
        group: id.clone(),
        state: group.state(),
        epoch: group.epoch(),
        assignment_epoch: group.assignment_epoch(),
        assignor: group.preferred_assignor(default),
        members: members.collect(),
    }
}
