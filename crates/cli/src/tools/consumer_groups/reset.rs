//! `kafka-consumer-groups --reset-offsets`.
//!
//! Owns: which partitions are reset, to which offsets, what is told of it; the offsets at which logs begin and end.
//! Does not own: committing offsets (`ottla_client::Admin`), reading times (`moment`) and files (`csv`).

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use ottla_client::admin::{
    AlterGroupOffsetsError, CommittedOffset, ListOffsetsError, OffsetSpec, PARTITIONS_PER_ANSWER,
    TopicDescription,
};
use ottla_client::config::IsolationLevel;
use ottla_client::error::ErrorCode;
use ottla_env::time;
use ottla_model::{Offset, Timestamp};

use super::super::failure::{Failure, class_of, log};
use super::super::hash_order::{hash_order, hash_order_of_texts};
use super::super::partition::Partition;
use super::options::SCENARIOS;
use super::state::State;
use super::topic_list::{parse_topics, topics_of};
use super::{NotDescribed, Tool, csv, line, moment, print_error, width};
use crate::operation_failure;
use crate::settings::read_file;
use crate::terminal::Terminal;

/// The name under which new offsets that are out of range are logged.
const LOGGER: &str = "org.apache.kafka.tools.OffsetsUtils";

/// Partitions with an offset each.
type Offsets = Vec<(Partition, i64)>;

pub(super) async fn run(tool: &Tool<'_>, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
    let ids = tool.group_ids().await?;
    let mut plans: Vec<(String, Offsets)> = Vec::new();
    for (id, outcome) in tool.describe(&ids).await {
        let plan = match outcome {
            Ok(group) => match State::parse(&group.state) {
                State::Empty | State::Dead => reset(tool, &id, terminal).await?,
                state @ (State::Unknown
                | State::PreparingRebalance
                | State::CompletingRebalance
                | State::Stable
                | State::Assigning
                | State::Reconciling) => {
                    print_error(
                        terminal,
                        format_args!(
                            "Assignments can only be reset if the group '{id}' is inactive, but the current state is {}.",
                            state.name()
                        ),
                    );
                    Offsets::new()
                }
            },
            // A group begins with its first offset.
            Err(NotDescribed::NotFound(_)) => reset(tool, &id, terminal).await?,
            Err(NotDescribed::Failed(failure)) => return Err(failure.in_runtime()),
        };
        plans.push((id, plan));
    }
    if tool.given.has("export") {
        let is_single = tool.given.values("group").count() == 1;
        for (id, plan) in &plans {
            let group = (!is_single).then_some(id.as_str());
            plan.iter().for_each(|(partition, offset)| terminal.out(csv::write(group, partition, *offset)));
        }
        terminal.out_line("");
    } else {
        show(&plans, terminal);
    }
    Ok(())
}

fn show(plans: &[(String, Offsets)], terminal: &mut Terminal<'_>) {
    if plans.is_empty() {
        terminal.out_line("");
        return;
    }
    let group_width = width(15, plans.iter().map(|(id, _)| id.as_str()));
    let partitions = plans.iter().flat_map(|(_, plan)| plan);
    let topic_width = width(15, partitions.map(|(partition, _)| partition.topic.as_str()));
    let table_line = |group: &str, topic: &str, partition: &str, offset: &str| {
        line(&[(group, group_width), (topic, topic_width), (partition, 10), (offset, 0)])
    };
    terminal.out_line(format_args!("\n{}", table_line("GROUP", "TOPIC", "PARTITION", "NEW-OFFSET")));
    for (id, plan) in plans {
        for (partition, offset) in plan {
            let number = partition.index.to_string();
            terminal.out_line(table_line(id, &partition.topic, &number, &offset.to_string()));
        }
    }
}

/// Plans the offsets of one group and, where that is asked for, commits them.
async fn reset(tool: &Tool<'_>, group: &str, terminal: &mut Terminal<'_>) -> Result<Offsets, Failure> {
    let partitions = partitions_to_reset(tool, group).await?;
    check_partitions(tool, &partitions).await?;
    let plan = plan(tool, (group, partitions), terminal).await?;
    if tool.given.has("execute") {
        commit(tool, group, &plan).await?;
    }
    Ok(plan)
}

async fn partitions_to_reset(tool: &Tool<'_>, group: &str) -> Result<Vec<Partition>, Failure> {
    if tool.given.has("all-topics") {
        let committed = tool.committed(group).await?;
        return Ok(committed.into_iter().map(|(partition, _)| partition).collect());
    }
    if !tool.given.has("topic") {
        return match tool.given.has("from-file") {
            true => Ok(Vec::new()),
            false => Err(Failure::illegal_argument(
                "One of the reset scopes should be defined: --all-topics, --topic.",
            )),
        };
    }
    let (mut partitions, topics) = parse_topics(tool.given.values("topic"))?;
    if !topics.is_empty() {
        for topic in describe_topics(tool, &topics).await? {
            let all = topic.partitions.iter().map(|it| Partition::new(&topic.name, it.index.value()));
            partitions.extend(all);
        }
    }
    Ok(partitions)
}

/// Describes topics in the order of a hash table; all of them must be there.
async fn describe_topics(tool: &Tool<'_>, topics: &[String]) -> Result<Vec<TopicDescription>, Failure> {
    if topics.is_empty() {
        return Ok(Vec::new());
    }
    let topics = hash_order_of_texts(topics);
    let described = tool.admin.describe_topics(&topics, PARTITIONS_PER_ANSWER).await;
    let described = described.map_err(|error| Failure::from(&error))?;
    described.into_iter().map(|(_, outcome)| outcome.map_err(|error| operation_failure!(error))).collect()
}

/// All partitions must be there and have a leader.
async fn check_partitions(tool: &Tool<'_>, partitions: &[Partition]) -> Result<(), Failure> {
    let topics = describe_topics(tool, &topics_of(partitions)).await;
    let topics = topics.map_err(|failure| failure.in_execution().in_runtime())?;
    let known = |topic: &TopicDescription| {
        let name = topic.name.clone();
        let all: Vec<Partition> =
            topic.partitions.iter().map(|it| Partition::new(&name, it.index.value())).collect();
        all
    };
    let known: BTreeSet<Partition> = topics.iter().flat_map(known).collect();
    let named = |partitions: Vec<&Partition>| {
        partitions.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
    };
    let missing: Vec<&Partition> = partitions.iter().filter(|it| !known.contains(it)).collect();
    if !missing.is_empty() {
        let class = "org.apache.kafka.common.errors.UnknownTopicOrPartitionException";
        return Err(Failure::new(class, format!("The partitions \"{}\" do not exist", named(missing))));
    }
    let leaderless = leaderless(&topics, partitions);
    match leaderless.is_empty() {
        true => Ok(()),
        false => {
            let class = "org.apache.kafka.common.errors.LeaderNotAvailableException";
            let partitions = named(leaderless.iter().collect());
            Err(Failure::new(class, format!("The partitions \"{partitions}\" have no leader")))
        }
    }
}

/// Those of the partitions that have no leader.
pub(super) async fn without_leader(
    tool: &Tool<'_>,
    partitions: &[Partition],
) -> Result<Vec<Partition>, Failure> {
    let topics = describe_topics(tool, &topics_of(partitions)).await;
    let topics = topics.map_err(|failure| failure.in_execution().in_runtime())?;
    Ok(leaderless(&topics, partitions))
}

fn leaderless(topics: &[TopicDescription], partitions: &[Partition]) -> Vec<Partition> {
    let of_topic = |topic: &TopicDescription| {
        let without = topic.partitions.iter().filter(|partition| partition.leader.is_none());
        let without: Vec<Partition> =
            without.map(|it| Partition::new(&topic.name, it.index.value())).collect();
        without
    };
    topics.iter().flat_map(of_topic).filter(|partition| partitions.contains(partition)).collect()
}

/// The new offsets, in the order of a hash table.
async fn plan(
    tool: &Tool<'_>,
    (group, partitions): (&str, Vec<Partition>),
    terminal: &mut Terminal<'_>,
) -> Result<Offsets, Failure> {
    let given = tool.given;
    if let Some(offset) = tool.to_offset {
        check_once(&partitions, |_| offset.to_string())?;
        let wanted = partitions.into_iter().map(|partition| (partition, offset)).collect();
        in_range(tool, wanted, terminal).await
    } else if given.has("to-earliest") {
        log_offsets(tool, &partitions, Spec::Earliest, terminal).await
    } else if given.has("to-latest") {
        log_offsets(tool, &partitions, Spec::Latest, terminal).await
    } else if let Some(shift) = tool.shift_by {
        let wanted = shifted(tool, (group, partitions), shift).await?;
        in_range(tool, wanted, terminal).await
    } else if let Some(text) = given.values("to-datetime").next() {
        let at = moment::parse_datetime(text).map_err(Failure::in_runtime)?;
        offsets_at(tool, &partitions, at, terminal).await
    } else if let Some(text) = &tool.by_duration {
        let at = moment::before(time::wall_now(), text)?;
        offsets_at(tool, &partitions, at, terminal).await
    } else if let Some(path) = given.values("from-file").next() {
        from_file(tool, (group, path), terminal).await
    } else if given.has("to-current") {
        current(tool, (group, partitions), terminal).await
    } else {
        let scenarios: Vec<String> = SCENARIOS.iter().map(|name| format!("[{name}]")).collect();
        Err(Failure::illegal_argument(format!(
            "Option '[reset-offsets]' requires one of the following scenarios: [{}]",
            scenarios.join(", ")
        )))
    }
}

async fn shifted(
    tool: &Tool<'_>,
    (group, partitions): (&str, Vec<Partition>),
    shift: i64,
) -> Result<Offsets, Failure> {
    let committed: BTreeMap<Partition, i64> =
        tool.committed(group).await?.into_iter().map(|(partition, it)| (partition, it.offset)).collect();
    let mut wanted = Offsets::new();
    for partition in partitions {
        let Some(offset) = committed.get(&partition) else {
            return Err(Failure::illegal_argument(format!(
                "Cannot shift offset for partition {partition} since there is no current committed offset"
            )));
        };
        wanted.push((partition, offset.wrapping_add(shift)));
    }
    let partitions: Vec<Partition> = wanted.iter().map(|(partition, _)| partition.clone()).collect();
    check_once(&partitions, |at| wanted[at].1.to_string())?;
    Ok(wanted)
}

async fn current(
    tool: &Tool<'_>,
    (group, partitions): (&str, Vec<Partition>),
    terminal: &mut Terminal<'_>,
) -> Result<Offsets, Failure> {
    let committed: BTreeMap<Partition, i64> =
        tool.committed(group).await?.into_iter().map(|(partition, it)| (partition, it.offset)).collect();
    let (with, without): (Vec<Partition>, Vec<Partition>) =
        partitions.into_iter().partition(|partition| committed.contains_key(partition));
    check_once(&with, |at| {
        format!("OffsetAndMetadata{{offset={}, leaderEpoch=null, metadata=''}}", committed[&with[at]])
    })?;
    let mut plan: Offsets = with.iter().map(|partition| (partition.clone(), committed[partition])).collect();
    plan.extend(log_offsets(tool, &without, Spec::Latest, terminal).await?);
    Ok(in_hash_order(plan))
}

/// Kafka's tool reads the file twice: to see whether there is a plan, and to have it.
async fn from_file(
    tool: &Tool<'_>,
    (group, path): (&str, &str),
    terminal: &mut Terminal<'_>,
) -> Result<Offsets, Failure> {
    let is_single = tool.given.values("group").count() == 1;
    let mut lines = Vec::new();
    for _ in 0..2 {
        let bytes = read_file(Path::new(path)).map_err(|_| {
            let cause = Failure::new("java.nio.file.NoSuchFileException", path);
            cause.causing("java.io.IOException", format!("Unable to read file {path}")).in_runtime()
        })?;
        let (refused, read) = csv::read(&String::from_utf8_lossy(&bytes), is_single);
        if let Some(failure) = refused {
            terminal.err_line(failure);
        }
        lines = read.map_err(Failure::in_runtime)?;
    }
    let is_of_group = |line: &csv::Line| match &line.group {
        Some(name) => name == group,
        None => true,
    };
    let mut wanted: BTreeMap<Partition, i64> = BTreeMap::new();
    let mut order = Vec::new();
    for line in lines.into_iter().filter(is_of_group) {
        if wanted.insert(line.partition.clone(), line.offset).is_none() {
            order.push(line.partition);
        }
    }
    if order.is_empty() {
        print_error(terminal, format_args!("No reset plan for group {group} found"));
        return Ok(Offsets::new());
    }
    let wanted = order.into_iter().map(|partition| (partition.clone(), wanted[&partition])).collect();
    in_range(tool, wanted, terminal).await
}

/// Moves offsets before the first and behind the last one to these.
async fn in_range(tool: &Tool<'_>, wanted: Offsets, terminal: &mut Terminal<'_>) -> Result<Offsets, Failure> {
    let wanted = in_hash_order(wanted);
    let partitions: Vec<Partition> = wanted.iter().map(|(partition, _)| partition.clone()).collect();
    let firsts = ask(tool, &partitions, OffsetSpec::Earliest, terminal).await?;
    let ends = ask(tool, &partitions, OffsetSpec::Latest, terminal).await?;
    let moved = wanted.into_iter().map(|(partition, offset)| {
        let (first, end) = (firsts[&partition].unwrap_or(-1), ends[&partition].unwrap_or(-1));
        let (side, limit) = match (offset > end, offset < first) {
            (true, _) => ("higher than latest", end),
            (false, true) => ("lower than earliest", first),
            (false, false) => return (partition, offset),
        };
        let text = format!(
            "New offset ({offset}) is {side} offset for topic partition {partition}. Value will be set to {limit}"
        );
        log(terminal, "WARN", text, LOGGER);
        (partition, limit)
    });
    Ok(moved.collect())
}

/// An end of a log.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Spec {
    Earliest,
    Latest,
}

/// The first or the last offset of each partition, in the order of a hash table.
pub(super) async fn log_offsets(
    tool: &Tool<'_>,
    partitions: &[Partition],
    spec: Spec,
    terminal: &mut Terminal<'_>,
) -> Result<Offsets, Failure> {
    let (spec, class) = match spec {
        Spec::Earliest => (OffsetSpec::Earliest, "EarliestSpec"),
        Spec::Latest => (OffsetSpec::Latest, "LatestSpec"),
    };
    check_once(partitions, |_| format!("org.apache.kafka.clients.admin.OffsetSpec${class}"))?;
    let found = ask(tool, partitions, spec, terminal).await?;
    let offsets = partitions.iter().map(|partition| (partition.clone(), found[partition].unwrap_or(-1)));
    Ok(in_hash_order(offsets.collect()))
}

/// The offsets at a time, and the ends of the logs that have nothing so late.
async fn offsets_at(
    tool: &Tool<'_>,
    partitions: &[Partition],
    at: Timestamp,
    terminal: &mut Terminal<'_>,
) -> Result<Offsets, Failure> {
    check_once(partitions, |_| "org.apache.kafka.clients.admin.OffsetSpec$TimestampSpec".to_owned())?;
    let found = ask(tool, partitions, OffsetSpec::AtTime(at), terminal).await?;
    let (later, empty): (Vec<&Partition>, Vec<&Partition>) =
        partitions.iter().partition(|partition| found[*partition].is_some());
    let mut offsets: Offsets =
        later.into_iter().filter_map(|partition| Some((partition.clone(), found[partition]?))).collect();
    let empty = hash_order(empty, |partition| partition.java_hash());
    for Partition { topic, index } in &empty {
        terminal.out_line(format_args!(
            "\nWarn: Partition {index} from topic {topic} is empty. Falling back to latest known offset."
        ));
    }
    let empty: Vec<Partition> = empty.into_iter().cloned().collect();
    offsets.extend(log_offsets(tool, &empty, Spec::Latest, terminal).await?);
    Ok(in_hash_order(offsets))
}

/// Asks for one offset of each partition; `None` where there is none.
async fn ask(
    tool: &Tool<'_>,
    partitions: &[Partition],
    spec: OffsetSpec,
    terminal: &mut Terminal<'_>,
) -> Result<BTreeMap<Partition, Option<i64>>, Failure> {
    let mut wanted = BTreeMap::new();
    for partition in partitions {
        match partition.checked() {
            Some(checked) => drop(wanted.insert(checked, spec)),
            None if partition.index < 0 => return Err(not_found(partition, terminal)),
            None => return Err(not_a_topic(partition, terminal)),
        }
    }
    let told = tool.admin.list_offsets(&wanted, IsolationLevel::ReadUncommitted).await;
    let mut told = told.map_err(|error| Failure::from(&error).in_execution().in_runtime())?;
    let mut offsets = BTreeMap::new();
    for partition in hash_order(partitions.to_vec(), Partition::java_hash) {
        let outcome = partition.checked().and_then(|checked| told.remove(&checked));
        let offset = match outcome {
            None => None,
            Some(Ok(found)) => found.map(|found| found.offset.value()),
            Some(Err(ListOffsetsError::NotFound(_))) => return Err(not_found(&partition, terminal)),
            Some(Err(error)) => return Err(operation_failure!(error).in_execution().in_runtime()),
        };
        offsets.insert(partition, offset);
    }
    Ok(offsets)
}

const LEADERS_LOGGER: &str = "org.apache.kafka.clients.admin.internals.PartitionLeaderStrategy";

fn not_found(partition: &Partition, terminal: &mut Terminal<'_>) -> Failure {
    let topic = &partition.topic;
    let class = class_of(ErrorCode::UnknownTopicOrPartition);
    let text = format!("[AdminClient clientId=adminclient-1] Received unknown topic error for topic {topic}");
    log(terminal, "ERROR", text, LEADERS_LOGGER);
    terminal.err_line(format_args!("{class}: {}", ErrorCode::UnknownTopicOrPartition.message()));
    let message = format!(
        "Failed to fetch metadata for partition {partition} because metadata for topic `{topic}` could not be found"
    );
    Failure::new(&class, message).in_execution().in_runtime()
}

fn not_a_topic(partition: &Partition, terminal: &mut Terminal<'_>) -> Failure {
    let topic = &partition.topic;
    let class = class_of(ErrorCode::InvalidTopicException);
    let text = format!(
        "[AdminClient clientId=adminclient-1] Received invalid topic error for topic {topic} in `Metadata` response"
    );
    log(terminal, "ERROR", text, LEADERS_LOGGER);
    terminal.err_line(format_args!("{class}: {}", ErrorCode::InvalidTopicException.message()));
    let message =
        format!("Failed to fetch metadata for partition {partition} due to invalid topic `{topic}`");
    Failure::new(&class, message).in_execution().in_runtime()
}

async fn commit(tool: &Tool<'_>, group: &str, plan: &Offsets) -> Result<(), Failure> {
    let position = |(partition, offset): &(Partition, i64)| {
        let offset = Offset::new(*offset).unwrap_or_default();
        Some((partition.checked()?, CommittedOffset::at(offset)))
    };
    let offsets = plan.iter().filter_map(position).collect();
    let told = tool.admin.alter_group_offsets(group, &offsets).await;
    let told = told.map_err(|error| operation_failure!(error))?;
    let failed: Vec<(Partition, AlterGroupOffsetsError)> = told
        .into_iter()
        .filter_map(|(partition, it)| Some((Partition::from(&partition), it.err()?)))
        .collect();
    let failed = hash_order(failed, |(partition, _)| partition.java_hash());
    match failed.first() {
        None => Ok(()),
        Some((_, error)) => {
            let class = operation_failure!(error).class;
            let partitions: Vec<String> = failed.iter().map(|(partition, _)| partition.to_string()).collect();
            let partitions = partitions.join(", ");
            let message =
                format!("Failed altering group offsets for the following partitions: [{partitions}]");
            Err(Failure::new(&class, message))
        }
    }
}

fn in_hash_order(offsets: Offsets) -> Offsets {
    hash_order(offsets, |(partition, _)| partition.java_hash())
}

/// A partition that is named twice is a mistake that Kafka's tool tells in Java's words. `value` tells what would be
/// kept for the partition at this place.
fn check_once(partitions: &[Partition], value: impl Fn(usize) -> String) -> Result<(), Failure> {
    let mut seen: BTreeMap<&Partition, usize> = BTreeMap::new();
    for (at, partition) in partitions.iter().enumerate() {
        if let Some(before) = seen.insert(partition, at) {
            let message = format!(
                "Duplicate key {partition} (attempted merging values {} and {})",
                value(before),
                value(at)
            );
            return Err(Failure::new("java.lang.IllegalStateException", message));
        }
    }
    Ok(())
}
