//! The round-robin assignor: all partitions in a row are dealt out to the members in turn.
//!
//! Owns: the dealing. Does not own: the order of members (`assignor`).

use super::{Assignment, Member, PartitionCounts, nothing_for, subscribed_partitions};

/// A member that does not subscribe to a partition's topic is passed over, and its turn is lost.
pub(super) fn assign(members: &[&Member], counts: &PartitionCounts) -> Assignment {
    let mut assignment = nothing_for(members);
    let mut turn = members.iter().cycle();
    for partition in subscribed_partitions(members, counts) {
        // Some member subscribes to every partition of the list, so the search ends within one round.
        let taker = turn.by_ref().find(|member| member.topics.contains(&partition.topic));
        if let Some(member) = taker {
            assignment.entry(member.id.clone()).or_default().push(partition);
        }
    }
    assignment
}
