//! `ottla group seek`: new committed offsets for a group.
//!
//! Owns: its flags, which partitions are meant, that offsets stay inside of their logs.
//! Does not own: files of offsets (`offsets_file`), the texts of places (`position`).
//!
//! Offsets before the start of a log or behind its end become the start or the end, and the plan says so. Nothing is
//! committed while the group has members: they commit for themselves and would write over it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use clap::{ArgGroup, Args};
use ottla_client::admin::{AlterGroupOffsetsError, CommittedOffset};
use ottla_model::{Offset, TopicPartition};

use super::super::ends::{AllEnds, Ends, Offsets};
use super::super::partitions::{Selection, ends_of, offsets_at, place, resolve};
use super::super::plan::{Plan, Status, nothing_done};
use super::super::position::Place;
use super::super::refusal::Refusal;
use super::super::topic::DryRun;
use super::positions::{self, Committed};
use super::{Work, has_members, offsets_file, unanswered};
use crate::admin_refusal;
use crate::terminal::Terminal;

/// Raw flags.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("where").required(true).args(["to", "by", "to_group", "to_file"])))]
pub struct Seek {
    /// Name of the group
    group: String,
    /// start, end, offset N, +N behind the start, -N before the end, @TIME
    #[arg(long, value_name = "OFFSET", allow_hyphen_values = true)]
    to: Option<String>,
    /// So many records on from where the group is, or back with -N
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    by: Option<i64>,
    /// To the offsets of another group
    #[arg(long, value_name = "GROUP")]
    to_group: Option<String>,
    /// To the offsets of a file: lines of topic, partition and offset, or the CSV of `ottla group describe`
    #[arg(long, value_name = "FILE")]
    to_file: Option<PathBuf>,
    /// Only these partitions, may be repeated; without it all that have an offset
    #[arg(short, long = "topic", value_name = "TOPIC[:PARTITIONS]", value_parser = Selection::parse)]
    topics: Vec<Selection>,
    #[command(flatten)]
    dry: DryRun,
}

/// Where offsets come from.
enum Source {
    Place(Place),
    By(i64),
    Group(String),
    Given(Offsets),
}

/// What is asked for.
pub struct Resolved {
    group: String,
    source: Source,
    topics: Vec<Selection>,
    dry: DryRun,
}

impl Seek {
    /// Reads the flags and the file.
    pub fn resolve(&self) -> Result<Resolved, Refusal> {
        let source = match (&self.to, self.by, &self.to_group, &self.to_file) {
            (Some(to), _, _, _) => Source::Place(place(to)?),
            (_, Some(by), _, _) => Source::By(by),
            (_, _, Some(other), _) if *other == self.group => {
                return Err(Refusal::usage(format!("group {other} is where it is")));
            }
            (_, _, Some(other), _) => Source::Group(other.clone()),
            (_, _, _, Some(path)) => {
                let refused = || Refusal::failed(format!("{} holds no offsets", path.display()));
                let text = offsets_file::read(path).map_err(|error| refused().detail(error))?;
                let offsets = offsets_file::parse(&text).map_err(|reason| refused().detail(reason))?;
                Source::Given(offsets)
            }
            (None, None, None, None) => return Err(Refusal::usage("nothing says where to seek")),
        };
        Ok(Resolved { group: self.group.clone(), source, topics: self.topics.clone(), dry: self.dry })
    }
}

/// Runs the action.
pub(super) async fn run(work: &Work, seek: Resolved, terminal: &mut Terminal<'_>) -> Result<(), Refusal> {
    let name = &seek.group;
    if let Some(group) = positions::found(&work.admin, name).await?
        && !group.members.is_empty()
    {
        return nothing_done(vec![has_members(&group, "keeps its offsets")], terminal);
    }
    let committed = positions::committed(&work.admin, name).await?;
    let (wanted, ends) = wanted(work, &seek, &committed).await?;
    let gone = |partition: &&TopicPartition| !ends.contains_key(partition);
    let refusals: Vec<Refusal> = wanted.keys().filter(gone).map(without_end).collect();
    if !refusals.is_empty() {
        return nothing_done(refusals, terminal);
    }
    let moves: BTreeMap<TopicPartition, Move> = wanted
        .into_iter()
        .map(|(partition, offset)| {
            let before = committed.get(&partition).map(|it| it.offset);
            let after = Move::new(before, offset, ends[&partition]);
            (partition, after)
        })
        .collect();
    commit(work, (&seek, moves), terminal).await
}

async fn commit(
    work: &Work,
    (seek, moves): (&Resolved, BTreeMap<TopicPartition, Move>),
    terminal: &mut Terminal<'_>,
) -> Result<(), Refusal> {
    let name = &seek.group;
    let mut plan = Plan::new("seek", "offset");
    let changed: BTreeMap<TopicPartition, CommittedOffset> = moves
        .iter()
        .filter(|(_, to)| to.before != Some(to.after))
        .map(|(partition, to)| (partition.clone(), CommittedOffset::at(to.after)))
        .collect();
    let outcomes = match seek.dry.dry_run || changed.is_empty() {
        true => None,
        false => {
            let failed = |error: AlterGroupOffsetsError| {
                admin_refusal!(error, "the offsets of group {name} were not changed")
            };
            Some(work.admin.alter_group_offsets(name, &changed).await.map_err(failed)?)
        }
    };
    for (partition, to) in &moves {
        let outcome = match (&outcomes, changed.contains_key(partition)) {
            (_, false) => Ok(Status::Unchanged),
            (None, true) => Ok(Status::Planned),
            (Some(outcomes), true) => match outcomes.get(partition) {
                Some(Ok(())) => Ok(Status::Done),
                Some(Err(error)) => {
                    Err(admin_refusal!(*error, "the offset of group {name} in {partition} was not changed"))
                }
                None => Err(unanswered(partition)),
            },
        };
        plan.push(&partition.to_string(), &to.text(), outcome);
    }
    plan.finish(work.output.output, terminal)
}

type Wanted = (Offsets, AllEnds);

/// The offsets that are asked for, as they are asked for, and the ends of their logs.
async fn wanted(work: &Work, seek: &Resolved, committed: &Committed) -> Result<Wanted, Refusal> {
    let is_meant = |partition: &TopicPartition| {
        seek.topics.is_empty() || seek.topics.iter().any(|selection| selection.has(partition))
    };
    let given = match &seek.source {
        Source::Place(place) => {
            let partitions = match seek.topics.is_empty() {
                true => committed.keys().cloned().collect(),
                false => resolve(&work.admin, &seek.topics).await?.into_iter().collect(),
            };
            some(&partitions, || nothing_committed(&seek.group))?;
            let ends = ends_of(&work.admin, &partitions).await?;
            let mut offsets = offsets_at(&work.admin, &ends, *place).await?;
            // Those without an end are told by the caller.
            for partition in partitions {
                offsets.entry(partition).or_default();
            }
            return Ok((offsets, ends));
        }
        Source::By(by) => {
            let own = committed.iter().filter(|(partition, _)| is_meant(partition));
            let moved = |offset: Offset| offset.value().saturating_add(*by).max(0);
            own.map(|(it, at)| (it.clone(), Offset::new(moved(at.offset)).unwrap_or_default())).collect()
        }
        Source::Group(other) => {
            positions::described(&work.admin, other).await?;
            let theirs = positions::committed(&work.admin, other).await?;
            let meant = theirs.into_iter().filter(|(partition, _)| is_meant(partition));
            meant.map(|(partition, at)| (partition, at.offset)).collect::<Offsets>()
        }
        Source::Given(offsets) => {
            let meant = offsets.iter().filter(|(partition, _)| is_meant(partition));
            meant.map(|(partition, offset)| (partition.clone(), *offset)).collect()
        }
    };
    let partitions: BTreeSet<TopicPartition> = given.keys().cloned().collect();
    some(&partitions, || match &seek.source {
        Source::Group(other) => nothing_committed(other),
        Source::Place(_) | Source::By(_) => nothing_committed(&seek.group),
        Source::Given(_) => Refusal::failed("the file has no offset of a partition that is meant"),
    })?;
    let ends = ends_of(&work.admin, &partitions).await?;
    Ok((given, ends))
}

fn some(partitions: &BTreeSet<TopicPartition>, refusal: impl FnOnce() -> Refusal) -> Result<(), Refusal> {
    if partitions.is_empty() { Err(refusal()) } else { Ok(()) }
}

fn nothing_committed(group: &str) -> Refusal {
    Refusal::failed(format!("group {group} has committed nothing there"))
        .hint("--to with --topic sets offsets also where there are none; `ottla group list` shows the groups")
}

fn without_end(partition: &TopicPartition) -> Refusal {
    Refusal::failed(format!("the offset in {partition} cannot be set"))
        .detail("There is no such partition any more, or it has no leader")
        .hint(format_args!(
            "--topic leaves it out; `ottla topic describe {}` shows its state",
            partition.topic
        ))
}

/// An offset before and after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Move {
    before: Option<Offset>,
    after: Offset,
    /// What was asked for, if the log has no such offset.
    asked: Option<(Offset, &'static str)>,
}

impl Move {
    fn new(before: Option<Offset>, asked: Offset, ends: Ends) -> Move {
        if asked < ends.start {
            Move { before, after: ends.start, asked: Some((asked, "before the start")) }
        } else if asked > ends.end {
            Move { before, after: ends.end, asked: Some((asked, "behind the end")) }
        } else {
            Move { before, after: asked, asked: None }
        }
    }

    fn text(&self) -> String {
        let before = self.before.map_or("none".to_owned(), |offset| offset.to_string());
        let note = self.asked.map(|(offset, side)| format!(" ({offset} is {side})")).unwrap_or_default();
        format!("offset={before}->{}{note}", self.after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_outside_of_a_log_become_its_ends_and_that_is_said() {
        let offset = |value: i64| Offset::new(value).unwrap();
        let ends = Ends { start: offset(5), end: offset(9) };
        let text =
            |before: Option<i64>, asked: i64| Move::new(before.map(offset), offset(asked), ends).text();
        assert_eq!(text(Some(6), 7), "offset=6->7");
        assert_eq!(text(None, 9), "offset=none->9");
        assert_eq!(text(Some(6), 1), "offset=6->5 (1 is before the start)");
        assert_eq!(text(Some(6), 10), "offset=6->9 (10 is behind the end)");
    }
}
