//! `kafka-consumer-groups --describe`.
//!
//! Owns: what is shown of a group, and the tables it is shown in.
//! Does not own: asking the cluster (`ottla_client::Admin`), the ends of logs (`reset`).
//!
//! Scripts read these tables: columns stand in Kafka's order and are as wide as Kafka makes them.

use std::collections::BTreeMap;

use ottla_client::admin::{GroupDescription, MemberDescription};
use ottla_model::TopicPartition;

use super::super::failure::Failure;
use super::super::partition::Partition;
use super::reset::{self, Spec};
use super::state::State;
use super::{Committed, Tool, line, print_error, width};
use crate::terminal::Terminal;

/// What is shown where nothing is known.
const NOTHING: &str = "-";

pub(super) async fn run(tool: &Tool<'_>, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
    let ids = tool.group_ids().await?;
    let mut groups = BTreeMap::new();
    for (id, outcome) in tool.describe(&ids).await {
        groups.insert(id, outcome.map_err(Failure::from)?);
    }
    let is_verbose = tool.given.has("verbose");
    if tool.given.has("members") {
        groups.values().try_for_each(|group| show_members(group, is_verbose, terminal))
    } else if tool.given.has("state") {
        groups.values().try_for_each(|group| show_state(group, is_verbose, terminal))
    } else {
        // All is known before the first line is shown.
        let mut rows = Vec::with_capacity(groups.len());
        for group in groups.values() {
            rows.push((group, offset_rows(tool, group, terminal).await?));
        }
        rows.iter().try_for_each(|(group, rows)| show_offsets((group, rows), is_verbose, terminal))
    }
}

/// Tells of a group that is not at rest. Answers whether there is something to show besides.
fn shows(group: &GroupDescription, rows: usize, terminal: &mut Terminal<'_>) -> Result<bool, Failure> {
    let id = &group.id;
    match State::parse(&group.state) {
        State::Dead => {
            print_error(terminal, format_args!("Consumer group '{id}' does not exist."));
            return Ok(false);
        }
        State::Empty => terminal.err_line(format_args!("\nConsumer group '{id}' has no active members.")),
        State::PreparingRebalance | State::CompletingRebalance | State::Assigning | State::Reconciling => {
            terminal.err_line(format_args!("\nWarning: Consumer group '{id}' is rebalancing."));
        }
        State::Stable => {}
        state @ State::Unknown => {
            let message = format!("Expected a valid consumer group state, but found '{}'.", state.name());
            return Err(Failure::new("org.apache.kafka.common.KafkaException", message));
        }
    }
    Ok(rows > 0)
}

/// One partition of a group, as it is shown.
struct OffsetRow {
    topic: String,
    partition: String,
    leader_epoch: String,
    offset: String,
    log_end: String,
    lag: String,
    owner: Owner,
}

/// Who reads a partition.
#[derive(Clone)]
struct Owner {
    id: String,
    host: String,
    client_id: String,
}

/// The partitions that members have, of the member with most of them first; then those that only have offsets.
async fn offset_rows(
    tool: &Tool<'_>,
    group: &GroupDescription,
    terminal: &mut Terminal<'_>,
) -> Result<Vec<OffsetRow>, Failure> {
    let committed: BTreeMap<Partition, Committed> = tool.committed(&group.id).await?.into_iter().collect();
    let mut members: Vec<&MemberDescription> =
        group.members.iter().filter(|member| !member.assignment.is_empty()).collect();
    members.sort_by_key(|member| std::cmp::Reverse(member.assignment.len()));
    let mut unread = committed.clone();
    let mut read: Vec<(Partition, Owner)> = Vec::new();
    for member in members {
        let owner =
            Owner { id: member.id.clone(), host: member.host.clone(), client_id: member.client_id.clone() };
        let mut partitions: Vec<Partition> = member.assignment.iter().map(Partition::from).collect();
        partitions.sort();
        unread.retain(|partition, _| !partitions.contains(partition));
        read.extend(partitions.into_iter().map(|partition| (partition, owner.clone())));
    }
    let nobody = Owner { id: NOTHING.into(), host: NOTHING.into(), client_id: NOTHING.into() };
    read.extend(unread.into_keys().map(|partition| (partition, nobody.clone())));
    let partitions = read.iter().map(|(partition, _)| partition.clone()).collect();
    let ends = log_ends(tool, partitions, terminal).await?;
    let row = |(partition, owner): (Partition, Owner)| {
        let position = committed.get(&partition);
        offset_row((&partition, position), ends.get(&partition).copied(), owner)
    };
    Ok(read.into_iter().map(row).collect())
}

/// The ends of the logs that have a leader to tell them.
async fn log_ends(
    tool: &Tool<'_>,
    partitions: Vec<Partition>,
    terminal: &mut Terminal<'_>,
) -> Result<BTreeMap<Partition, i64>, Failure> {
    let leaderless = reset::without_leader(tool, &partitions).await?;
    let partitions: Vec<Partition> =
        partitions.into_iter().filter(|partition| !leaderless.contains(partition)).collect();
    Ok(reset::log_offsets(tool, &partitions, Spec::Latest, terminal).await?.into_iter().collect())
}

fn offset_row(
    (partition, position): (&Partition, Option<&Committed>),
    log_end: Option<i64>,
    owner: Owner,
) -> OffsetRow {
    let shown = |number: Option<i64>| number.map_or_else(|| NOTHING.to_owned(), |number| number.to_string());
    let offset = position.map(|position| position.offset);
    OffsetRow {
        topic: partition.topic.clone(),
        partition: partition.index.to_string(),
        leader_epoch: shown(position.and_then(|position| position.epoch).map(i64::from)),
        offset: shown(offset),
        log_end: shown(log_end),
        lag: shown(offset.zip(log_end).map(|(offset, end)| end - offset)),
        owner,
    }
}

fn show_offsets(
    (group, rows): (&GroupDescription, &[OffsetRow]),
    is_verbose: bool,
    terminal: &mut Terminal<'_>,
) -> Result<(), Failure> {
    if !shows(group, rows.len(), terminal)? {
        return Ok(());
    }
    let group_width = width(15, std::iter::once(group.id.as_str()));
    let topic_width = width(15, rows.iter().map(|row| row.topic.as_str()));
    let id_width = width(15, rows.iter().map(|row| row.owner.id.as_str()));
    let host_width = width(15, rows.iter().map(|row| row.owner.host.as_str()));
    let table_line = |group: &str, row: &OffsetRow| {
        let mut cells = vec![(group, group_width), (&row.topic, topic_width), (&row.partition, 10)];
        cells.extend(is_verbose.then_some((row.leader_epoch.as_str(), 15)));
        cells.extend([(row.offset.as_str(), 15), (&row.log_end, 15), (&row.lag, 15)]);
        let owner = &row.owner;
        cells.extend([(owner.id.as_str(), id_width), (&owner.host, host_width), (&owner.client_id, 0)]);
        line(&cells)
    };
    let header = OffsetRow {
        topic: "TOPIC".to_owned(),
        partition: "PARTITION".to_owned(),
        leader_epoch: "LEADER-EPOCH".to_owned(),
        offset: "CURRENT-OFFSET".to_owned(),
        log_end: "LOG-END-OFFSET".to_owned(),
        lag: "LAG".to_owned(),
        owner: Owner {
            id: "CONSUMER-ID".to_owned(),
            host: "HOST".to_owned(),
            client_id: "CLIENT-ID".to_owned(),
        },
    };
    terminal.out_line(format_args!("\n{}", table_line("GROUP", &header)));
    rows.iter().for_each(|row| terminal.out_line(table_line(&group.id, row)));
    Ok(())
}

/// Widths of the columns of members.
struct MemberWidths {
    group: usize,
    id: usize,
    /// `None` where no member has an instance id.
    instance: Option<usize>,
    host: usize,
    client: usize,
    assignment: usize,
    target: usize,
}

impl MemberWidths {
    fn of(group: &GroupDescription) -> MemberWidths {
        let members = &group.members;
        let assignments: Vec<String> = members.iter().map(|it| partitions_shown(&it.assignment)).collect();
        let targets: Vec<String> = members.iter().map(target_shown).collect();
        let instances: Vec<&str> = members.iter().filter_map(|it| it.instance_id.as_deref()).collect();
        MemberWidths {
            group: width(15, members.iter().map(|_| group.id.as_str())),
            id: width(15, members.iter().map(|member| member.id.as_str())),
            instance: (!instances.is_empty()).then(|| width(17, instances.into_iter())),
            host: width(15, members.iter().map(|member| member.host.as_str())),
            client: width(15, members.iter().map(|member| member.client_id.as_str())),
            assignment: width(20, assignments.iter().map(String::as_str)),
            target: width(20, targets.iter().map(String::as_str)),
        }
    }
}

fn show_members(
    group: &GroupDescription,
    is_verbose: bool,
    terminal: &mut Terminal<'_>,
) -> Result<(), Failure> {
    // The header is shown for a group without members too.
    shows(group, group.members.len(), terminal)?;
    let widths = MemberWidths::of(group);
    let speaks = |upgraded: bool| group.members.iter().any(|member| member.is_upgraded == Some(upgraded));
    let is_migrating = speaks(true) && speaks(false);
    let table_line = |cells: [&str; 6], more: [&str; 5]| {
        let [id, host, client, count, group, instance] = cells;
        let mut cells = vec![(group, widths.group), (id, widths.id)];
        cells.extend(widths.instance.map(|width| (instance, width)));
        cells.extend([(host, widths.host), (client, widths.client), (count, 15)]);
        let [epoch, assignment, target_epoch, target, upgraded] = more;
        if is_verbose {
            cells.extend([(epoch, 15), (assignment, widths.assignment), (target_epoch, 15)]);
            cells.push((target, widths.target));
            cells.extend(is_migrating.then_some((upgraded, 0)));
        } else {
            // Kafka ends the column with a space.
            cells.push(("", 0));
        }
        line(&cells)
    };
    let header = table_line(
        ["CONSUMER-ID", "HOST", "CLIENT-ID", "#PARTITIONS", "GROUP", "GROUP-INSTANCE-ID"],
        ["CURRENT-EPOCH", "CURRENT-ASSIGNMENT", "TARGET-EPOCH", "TARGET-ASSIGNMENT", "UPGRADED"],
    );
    terminal.out_line(format_args!("\n{header}"));
    for member in &group.members {
        let count = member.assignment.len().to_string();
        let instance = member.instance_id.as_deref().unwrap_or_default();
        let epoch = member.epoch.map_or_else(|| NOTHING.to_owned(), |epoch| epoch.to_string());
        let assignment = partitions_shown(&member.assignment);
        let target_epoch = group.assignment_epoch.map_or_else(|| NOTHING.to_owned(), |it| it.to_string());
        let target = target_shown(member);
        let upgraded = member.is_upgraded.map_or_else(|| NOTHING.to_owned(), |it| it.to_string());
        terminal.out_line(table_line(
            [&member.id, &member.host, &member.client_id, &count, &group.id, instance],
            [&epoch, &assignment, &target_epoch, &target, &upgraded],
        ));
    }
    Ok(())
}

fn target_shown(member: &MemberDescription) -> String {
    partitions_shown(member.target_assignment.as_deref().unwrap_or_default())
}

/// `a:0,1;b:2`
fn partitions_shown(partitions: &[TopicPartition]) -> String {
    if partitions.is_empty() {
        return NOTHING.to_owned();
    }
    let mut topics: BTreeMap<String, Vec<i32>> = BTreeMap::new();
    for partition in partitions {
        topics.entry(partition.topic.to_string()).or_default().push(partition.partition.value());
    }
    let shown = topics.into_iter().map(|(topic, mut numbers)| {
        numbers.sort_unstable();
        let numbers: Vec<String> = numbers.iter().map(ToString::to_string).collect();
        format!("{topic}:{}", numbers.join(","))
    });
    let mut shown: Vec<String> = shown.collect();
    shown.sort_unstable();
    shown.join(";")
}

fn show_state(
    group: &GroupDescription,
    is_verbose: bool,
    terminal: &mut Terminal<'_>,
) -> Result<(), Failure> {
    if !shows(group, 1, terminal)? {
        return Ok(());
    }
    let coordinator = format!("{}  ({})", group.coordinator.endpoint, group.coordinator.id);
    let coordinator_width = width(25, std::iter::once(coordinator.as_str()));
    let group_width = width(15, std::iter::once(group.id.as_str()));
    let table_line = |cells: [&str; 4], epochs: [&str; 2], count: &str| {
        let [group, coordinator, assignor, state] = cells;
        let mut cells =
            vec![(group, group_width), (coordinator, coordinator_width), (assignor, 20), (state, 20)];
        if is_verbose {
            cells.extend([(epochs[0], 15), (epochs[1], 25)]);
        }
        cells.push((count, 0));
        line(&cells)
    };
    let header = table_line(
        ["GROUP", "COORDINATOR (ID)", "ASSIGNMENT-STRATEGY", "STATE"],
        ["GROUP-EPOCH", "TARGET-ASSIGNMENT-EPOCH"],
        "#MEMBERS",
    );
    let assignor = if group.assignor.is_empty() { NOTHING } else { &group.assignor };
    let shown = |epoch: Option<i32>| epoch.map_or_else(|| NOTHING.to_owned(), |epoch| epoch.to_string());
    let (epoch, assignment_epoch) = (shown(group.epoch), shown(group.assignment_epoch));
    let row = table_line(
        [&group.id, &coordinator, assignor, State::parse(&group.state).name()],
        [&epoch, &assignment_epoch],
        &group.members.len().to_string(),
    );
    terminal.out_line(format_args!("\n{header}\n{row}"));
    Ok(())
}

#[cfg(test)]
mod tests {
    use ottla_model::{PartitionIndex, TopicName};

    use super::*;

    #[test]
    fn partitions_are_shown_by_topic_in_order() {
        let partition = |topic: &str, index: i32| {
            TopicPartition::new(TopicName::new(topic).unwrap(), PartitionIndex::new(index).unwrap())
        };
        let partitions = [partition("b", 10), partition("a", 1), partition("b", 2)];
        assert_eq!(partitions_shown(&partitions), "a:1;b:2,10");
        assert_eq!(partitions_shown(&[]), "-");
    }
}
