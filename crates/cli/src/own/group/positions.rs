//! Where a group stands in its partitions: committed offsets, ends of logs, lag, and who reads what.
//!
//! Owns: putting these together, for one group. Does not own: how they are shown.

use std::collections::{BTreeMap, BTreeSet};

use ottla_client::Admin;
use ottla_client::admin::{
    CommittedOffset, DescribeGroupError, GroupDescription, ListGroupOffsetsError, MemberDescription,
};
use ottla_model::TopicPartition;

use super::super::ends::{AllEnds, Ends};
use super::super::partitions::not_there;
use super::super::refusal::Refusal;
use crate::admin_refusal;

/// Kafka's name for a group that is not there.
const DEAD: &str = "Dead";

/// What a group has committed, by partition.
pub type Committed = BTreeMap<TopicPartition, CommittedOffset>;

/// One partition of a group.
#[derive(Clone, Debug)]
pub struct Position {
    pub partition: TopicPartition,
    pub committed: Option<CommittedOffset>,
    pub ends: Option<Ends>,
    pub member: Option<MemberDescription>,
}

impl Position {
    /// Records that are not read yet; `None` where nothing is committed or the end is not known.
    pub fn lag(&self) -> Option<i64> {
        let behind = self.ends?.end.value() - self.committed.as_ref()?.offset.value();
        Some(behind.max(0))
    }
}

/// A group; one that is not there reminds of others.
pub async fn described(admin: &Admin, name: &str) -> Result<GroupDescription, Refusal> {
    match found(admin, name).await? {
        Some(group) => Ok(group),
        None => Err(no_group(admin, name).await),
    }
}

/// There is no such group; perhaps one of another name.
pub async fn no_group(admin: &Admin, name: &str) -> Refusal {
    let listed = admin.list_groups(&[], &[]).await.unwrap_or_default();
    not_there(("group", name), listed.iter().map(|group| group.id.as_str()))
}

/// A group, `None` if it is not there.
pub async fn found(admin: &Admin, name: &str) -> Result<Option<GroupDescription>, Refusal> {
    let outcomes = admin.describe_groups(&[name.to_owned()]).await;
    match outcomes.into_iter().next().map(|(_, outcome)| outcome) {
        Some(Ok(group)) if group.state != DEAD => Ok(Some(group)),
        Some(Ok(_)) | Some(Err(DescribeGroupError::NotFound(_))) | None => {
            other_kind(admin, name).await.map_or(Ok(None), Err)
        }
        Some(Err(error @ (DescribeGroupError::Call(_) | DescribeGroupError::Refused(_)))) => {
            Err(admin_refusal!(error, "group {name} cannot be described"))
        }
    }
}

/// The group is there, and none of consumers.
async fn other_kind(admin: &Admin, name: &str) -> Option<Refusal> {
    let listed = admin.list_groups(&[], &[]).await.unwrap_or_default();
    let group = listed.into_iter().find(|group| group.id == name && group.state != DEAD)?;
    let kind = group.group_type.to_ascii_lowercase();
    Some(Refusal::failed(format!("group {name} is no group of consumers")).detail(format_args!(
        "It is a group of the type '{kind}', which `ottla group list` shows and no other command of `ottla group` knows"
    )))
}

/// What a group has committed; nothing for a group that is not there.
pub async fn committed(admin: &Admin, name: &str) -> Result<Committed, Refusal> {
    let outcomes = match admin.list_group_offsets(name, None, false).await {
        Ok(outcomes) => outcomes,
        Err(ListGroupOffsetsError::NotFound(_)) => return Ok(Committed::new()),
        Err(error @ (ListGroupOffsetsError::Call(_) | ListGroupOffsetsError::Refused(_))) => {
            return Err(admin_refusal!(error, "the offsets of group {name} cannot be listed"));
        }
    };
    let offset = |(partition, outcome): (TopicPartition, Result<CommittedOffset, ListGroupOffsetsError>)| {
        let refused = |error: ListGroupOffsetsError| {
            admin_refusal!(error, "the offset of group {name} in {partition} cannot be listed")
        };
        Ok((partition.clone(), outcome.map_err(refused)?))
    };
    outcomes.into_iter().map(offset).collect()
}

/// All partitions of which a group has an offset or a member.
pub fn partitions(group: &GroupDescription, committed: &Committed) -> BTreeSet<TopicPartition> {
    let assigned = group.members.iter().flat_map(|member| member.assignment.iter().cloned());
    assigned.chain(committed.keys().cloned()).collect()
}

/// What is known of each partition of a group.
pub fn positions(group: &GroupDescription, committed: &Committed, ends: &AllEnds) -> Vec<Position> {
    let owner = |partition: &TopicPartition| {
        group.members.iter().find(|member| member.assignment.contains(partition)).cloned()
    };
    let position = |partition: TopicPartition| Position {
        committed: committed.get(&partition).cloned(),
        ends: ends.get(&partition).copied(),
        member: owner(&partition),
        partition,
    };
    partitions(group, committed).into_iter().map(position).collect()
}

/// Lag of all partitions where it is known; `None` where it is known of none.
pub fn total_lag(positions: &[Position]) -> Option<i64> {
    positions.iter().filter_map(Position::lag).reduce(i64::saturating_add)
}

#[cfg(test)]
mod tests {
    use ottla_model::{Offset, PartitionIndex, TopicName};

    use super::*;

    fn position(committed: Option<i64>, end: Option<i64>) -> Position {
        let offset = |value: i64| Offset::new(value).unwrap();
        Position {
            partition: TopicPartition::new(TopicName::new("t").unwrap(), PartitionIndex::new(0).unwrap()),
            committed: committed.map(|value| CommittedOffset::at(offset(value))),
            ends: end.map(|end| Ends { start: offset(0), end: offset(end) }),
            member: None,
        }
    }

    #[test]
    fn lag_is_what_is_left_to_read_and_nothing_where_it_is_not_known() {
        assert_eq!(position(Some(3), Some(10)).lag(), Some(7));
        assert_eq!(position(None, Some(10)).lag(), None);
        assert_eq!(position(Some(3), None).lag(), None);
        // A log that was cut may end before the committed offset.
        assert_eq!(position(Some(12), Some(10)).lag(), Some(0));
        let all = [position(Some(3), Some(10)), position(None, Some(5)), position(Some(1), Some(2))];
        assert_eq!(total_lag(&all), Some(8));
        assert_eq!(total_lag(&[position(None, Some(1))]), None);
    }
}
