//! The range assignor: topic by topic, each member gets neighbouring partitions.
//!
//! Owns: the arithmetic. Does not own: the order of members (`assignor`).

use super::{Assignment, Member, PartitionCounts, nothing_for, partitions_of};

/// The first `count % members` members get one partition more than the others.
pub(super) fn assign(members: &[&Member], counts: &PartitionCounts) -> Assignment {
    let mut assignment = nothing_for(members);
    for (topic, count) in counts {
        let subscribers: Vec<&Member> =
            members.iter().copied().filter(|member| member.topics.contains(topic)).collect();
        let Ok(total) = u32::try_from(subscribers.len()) else { continue };
        if total == 0 {
            continue;
        }
        let (each, extra) = (count / total, count % total);
        let mut start = 0;
        for (member, position) in subscribers.iter().zip(0_u32..) {
            let end = start + each + u32::from(position < extra);
            assignment.entry(member.id.clone()).or_default().extend(partitions_of(topic, start..end));
            start = end;
        }
    }
    assignment
}
