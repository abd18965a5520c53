//! Rules about what groups commit and are given: G2, G3, G5.
//!
//! Owns: which committed offset a fetch may show, which commit goes back, what a group must have been given.
//! Does not own: who owns a partition when (`ownership`).
//!
//! An offset that is not there any more breaks G5 where the group had a member with that partition all the while, and G2
//! otherwise.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::event::{Event, Name};
use super::index::{Commit, GroupPartition, History, Outcome};
use super::{Findings, Rule};

pub(super) fn check(history: &History, findings: &mut Findings) {
    for (key, commits) in history.commits() {
        no_commit_goes_back(key, commits, findings);
    }
    every_fetch_is_explained(history, findings);
    nothing_is_skipped(history, findings);
}

/// Commits that have ended, in the order of their ends, to ask what was in force at a time.
struct Ended<'a> {
    /// End, commit, and the latest beginning of all that ended up to here.
    commits: Vec<(u64, &'a Commit, u64)>,
}

impl<'a> Ended<'a> {
    fn new(commits: &'a [Commit]) -> Ended<'a> {
        let mut ended: Vec<(u64, &Commit)> = commits
            .iter()
            .filter_map(|commit| match commit.outcome {
                Outcome::Ok { at, .. } => Some((at, commit)),
                Outcome::Failed | Outcome::Unknown => None,
            })
            .collect();
        ended.sort_by_key(|(at, _)| *at);
        let mut latest = 0;
        let with_latest = |(at, commit): (u64, &'a Commit)| {
            latest = latest.max(commit.began);
            (at, commit, latest)
        };
        Ended { commits: ended.into_iter().map(with_latest).collect() }
    }

    /// The latest beginning of a commit that had ended before a time. Whatever ended before *that* was
    /// overwritten by then.
    fn barrier(&self, time: u64) -> Option<u64> {
        let count = self.commits.partition_point(|(at, ..)| *at < time);
        self.commits[..count].last().map(|(_, _, latest)| *latest)
    }

    /// Commits that had ended before a time and may be the last of them.
    fn in_force(&self, time: u64) -> impl Iterator<Item = &'a Commit> {
        let barrier = self.barrier(time).unwrap_or(0);
        let count = self.commits.partition_point(|(at, ..)| *at < time);
        let recent = self.commits[..count].iter().rev();
        recent.take_while(move |(at, ..)| *at >= barrier).map(|(_, commit, _)| *commit)
    }
}

/// A commit that was accepted is not below what another member had committed before (G2).
fn no_commit_goes_back(key: &GroupPartition, commits: &[Commit], findings: &mut Findings) {
    let ended = Ended::new(commits);
    for commit in commits {
        let Outcome::Ok { at, event, .. } = commit.outcome else { continue };
        if commit.reset {
            continue;
        }
        let mut before = ended.in_force(commit.began).peekable();
        let Some(witness) = before.peek().copied() else { continue };
        let above = |other: &Commit| other.offset > commit.offset && other.client != commit.client;
        // An unanswered commit may have set the offset back before this one.
        let hidden = |other: &Commit| other.outcome == Outcome::Unknown && other.began < at && !above(other);
        if before.all(above) && !commits.iter().any(hidden) {
            let sentence = format!(
                "{} committed {} for group {} in {} where {} had committed {}",
                commit.client, commit.offset, key.0, key.1, witness.client, witness.offset
            );
            findings.add(Rule::G2, [witness.event, commit.event, event], sentence);
        }
    }
}

/// A fetched offset is that of a commit which may be the last one (G2).
fn every_fetch_is_explained(history: &History, findings: &mut Findings) {
    let mut by_key: BTreeMap<GroupPartition, (Ended<'_>, HashMap<i64, Vec<&Commit>>)> = BTreeMap::new();
    for (key, commits) in history.commits() {
        let mut by_offset: HashMap<i64, Vec<&Commit>> = HashMap::new();
        for commit in commits.iter().filter(|commit| commit.outcome != Outcome::Failed) {
            by_offset.entry(commit.offset).or_default().push(commit);
        }
        by_key.insert(key.clone(), (Ended::new(commits), by_offset));
    }
    let mut owners: HashMap<GroupPartition, HashSet<&Name>> = HashMap::new();
    for (position, event) in history.events() {
        note_owner(&mut owners, event);
        let Event::Fetched { since, at, group, partition, offset, .. } = event else { continue };
        let known = by_key.get(&(group.clone(), partition.clone()));
        let barrier = known.and_then(|(ended, _)| ended.barrier(*since));
        let last = known.and_then(|(ended, _)| ended.in_force(*since).next());
        let explained = match offset {
            None => barrier.is_none(),
            Some(offset) => known
                .and_then(|(_, by_offset)| by_offset.get(offset))
                .is_some_and(|commits| commits.iter().any(|commit| may_show(commit, *at, barrier))),
        };
        if !explained {
            let shown = offset.map_or_else(|| "none".to_owned(), |offset| offset.to_string());
            let sentence = format!("group {group} was told {shown} as its committed offset in {partition}");
            let owned =
                owners.get(&(group.clone(), partition.clone())).is_some_and(|owners| !owners.is_empty());
            let rule = if offset.is_none() && owned { Rule::G5 } else { Rule::G2 };
            match last {
                Some(last) => findings.add(rule, [last.event, position], sentence),
                None => findings.add(rule, [position], sentence),
            }
        }
    }
}

/// Keeps account of who has which partition.
fn note_owner<'a>(owners: &mut HashMap<GroupPartition, HashSet<&'a Name>>, event: &'a Event) {
    if let Event::Assigned { client, group, partition, .. } = event {
        owners.entry((group.clone(), partition.clone())).or_default().insert(client);
    }
    if let Event::Revoked { client, group, partition, .. } = event
        && let Some(owners) = owners.get_mut(&(group.clone(), partition.clone()))
    {
        owners.remove(client);
    }
}

/// Whether a fetch that ended at a time may show a commit, given the [`Ended::barrier`] at its beginning.
fn may_show(commit: &Commit, fetch_ended: u64, barrier: Option<u64>) -> bool {
    let overwritten = match commit.outcome {
        Outcome::Ok { at, .. } => barrier.is_some_and(|barrier| at < barrier),
        Outcome::Unknown => false,
        Outcome::Failed => true,
    };
    commit.began <= fetch_ended && !overwritten
}

/// A group that has read a partition was given every acknowledged record of it (G3).
fn nothing_is_skipped(history: &History, findings: &mut Findings) {
    let mut given: HashMap<(&Name, &Name), HashSet<i64>> = HashMap::new();
    let mut acked: HashMap<&Name, Vec<(i64, u64, usize)>> = HashMap::new();
    for sent in history.sends() {
        if let Outcome::Ok { at, event, value: Some(offset) } = sent.outcome {
            acked.entry(&sent.partition).or_default().push((offset, at, event));
        }
    }
    // Events are in the order of time, so that what was given before a group was done is known by then.
    for (position, event) in history.events() {
        if let Event::Read { group: Some(group), partition, offset, .. } = event {
            given.entry((group, partition)).or_default().insert(*offset);
        }
        let Event::Drained { at, group, partition, start, end } = event else { continue };
        let given = given.get(&(group, partition));
        for (offset, acked_at, acked) in acked.get(partition).into_iter().flatten() {
            let due = (*start..*end).contains(offset)
                && acked_at <= at
                && history.era(partition, *acked_at) == history.era(partition, *at);
            if due && !given.is_some_and(|given| given.contains(offset)) {
                let sentence = format!("group {group} was never given {partition} offset {offset}");
                findings.add(Rule::G3, [*acked, position], sentence);
            }
        }
    }
}
