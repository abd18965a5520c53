//! A history, loaded: events in the order of time, sends and commits joined with their outcomes.
//!
//! Owns: what makes a history well-formed. Does not own: rules.
//!
//! Invariants
//! - I1 events are sorted by the time at which they ended;
//! - I2 every outcome has one beginning, before it, and every beginning at most one outcome.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::Counts;
use super::event::{Event, Name, ParseError, parse};

/// A history whose events do not fit together: the harness that wrote it is wrong, not the broker.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    #[error(transparent)]
    Parse(#[from] ParseError),
    #[error("nothing began that could end so: {0}")]
    OutcomeWithoutBeginning(Event),
    #[error("began a second time under the same name: {0}")]
    BegunTwice(Event),
    #[error("ended a second time: {0}")]
    EndedTwice(Event),
    #[error("ended before it began: {0}")]
    EndedBeforeBeginning(Event),
    #[error("has a negative offset or an end before its start: {0}")]
    BadRange(Event),
}

/// How a send or commit ended, and the position of the event that says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome<T> {
    Ok { at: u64, event: usize, value: T },
    Failed,
    Unknown,
}

/// One record on its way into a log.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub(super) event: usize,
    pub(super) began: u64,
    pub(super) client: Name,
    pub(super) seq: u64,
    pub(super) partition: Name,
    pub(super) digest: u64,
    pub(super) idempotent: bool,
    pub(super) durable: bool,
    pub(super) outcome: Outcome<Option<i64>>,
}

/// One commit of an offset.
#[derive(Clone, Debug)]
pub(super) struct Commit {
    pub(super) event: usize,
    pub(super) began: u64,
    pub(super) client: Name,
    pub(super) offset: i64,
    pub(super) reset: bool,
    pub(super) outcome: Outcome<()>,
}

/// A group's progress in a partition.
pub(super) type GroupPartition = (Name, Name);

/// A loaded history.
#[derive(Debug, Default)]
pub struct History {
    events: Vec<Event>,
    sends: Vec<Sent>,
    send_of: HashMap<(Name, u64), usize>,
    commits: BTreeMap<GroupPartition, Vec<Commit>>,
    commit_of: HashMap<(Name, u64), (GroupPartition, usize)>,
    unclean: HashMap<Name, Vec<u64>>,
}

impl History {
    /// Loads a history from events in any order.
    pub fn load(events: impl IntoIterator<Item = Event>) -> Result<History, HistoryError> {
        let mut known: HashSet<Name> = HashSet::new();
        let mut events: Vec<Event> = events.into_iter().collect();
        for name in events.iter_mut().flat_map(Event::names_mut) {
            match known.get(name) {
                Some(same) => *name = same.clone(),
                None => _ = known.insert(name.clone()),
            }
        }
        events.sort_by_key(Event::at);
        let mut history = History::default();
        for (position, event) in events.iter().enumerate() {
            history.take(position, event)?;
        }
        history.events = events;
        Ok(history)
    }

    /// Loads a history from NDJSON.
    pub fn parse(text: &str) -> Result<History, HistoryError> {
        History::load(parse(text).collect::<Result<Vec<Event>, ParseError>>()?)
    }

    pub(super) fn events(&self) -> impl Iterator<Item = (usize, &Event)> {
        self.events.iter().enumerate()
    }

    pub(super) fn event(&self, position: usize) -> &Event {
        &self.events[position]
    }

    pub(super) fn sends(&self) -> &[Sent] {
        &self.sends
    }

    pub(super) fn send(&self, client: &Name, seq: u64) -> Option<&Sent> {
        self.send_of.get(&(client.clone(), seq)).map(|at| &self.sends[*at])
    }

    pub(super) fn commits(&self) -> &BTreeMap<GroupPartition, Vec<Commit>> {
        &self.commits
    }

    /// How many unclean elections a partition had before a time. What was promised before one is not owed
    /// after it.
    pub(super) fn era(&self, partition: &Name, at: u64) -> usize {
        self.unclean.get(partition).map_or(0, |times| times.partition_point(|time| *time <= at))
    }

    pub(super) fn counts(&self) -> Counts {
        let mut counts = Counts { sends: self.sends.len() as u64, ..Counts::default() };
        for sent in &self.sends {
            match sent.outcome {
                Outcome::Ok { .. } => counts.acked += 1,
                Outcome::Failed => counts.refused += 1,
                Outcome::Unknown => counts.unknown += 1,
            }
        }
        for event in &self.events {
            counts.reads += u64::from(matches!(event, Event::Read { .. }));
            counts.final_reads += u64::from(matches!(event, Event::ReadAll { .. }));
            counts.assignments += u64::from(matches!(event, Event::Assigned { .. }));
        }
        counts.commits = self.commits.values().map(|commits| commits.len() as u64).sum();
        counts
    }

    fn take(&mut self, position: usize, event: &Event) -> Result<(), HistoryError> {
        check_times_and_offsets(event)?;
        match event {
            Event::Send { .. } => self.begin_send(position, event),
            Event::SendOk { at, client, seq, offset } => {
                let outcome = Outcome::Ok { at: *at, event: position, value: *offset };
                self.end_send(event, (client, *seq), outcome)
            }
            Event::SendFail { client, seq, .. } => self.end_send(event, (client, *seq), Outcome::Failed),
            Event::SendInfo { client, seq, .. } => self.require_send(event, client, *seq).map(|_| ()),
            Event::Commit { .. } => self.begin_commit(position, event),
            Event::CommitOk { at, client, id } => {
                let outcome = Outcome::Ok { at: *at, event: position, value: () };
                self.end_commit(event, (client, *id), outcome)
            }
            Event::CommitFail { client, id, .. } => self.end_commit(event, (client, *id), Outcome::Failed),
            Event::CommitInfo { client, id, .. } => self.require_commit(event, client, *id).map(|_| ()),
            Event::UncleanElection { at, partition } => {
                self.unclean.entry(partition.clone()).or_default().push(*at);
                Ok(())
            }
            Event::Read { .. }
            | Event::ReadAll { .. }
            | Event::Bounds { .. }
            | Event::Fetched { .. }
            | Event::Drained { .. }
            | Event::Assigned { .. }
            | Event::Revoked { .. }
            | Event::Settled { .. }
            | Event::Retains { .. }
            | Event::Full { .. }
            | Event::Ended { .. } => Ok(()),
        }
    }

    fn begin_send(&mut self, position: usize, event: &Event) -> Result<(), HistoryError> {
        let Event::Send { at, client, seq, partition, digest, idempotent, durable } = event else {
            return Ok(());
        };
        if self.send_of.insert((client.clone(), *seq), self.sends.len()).is_some() {
            return Err(HistoryError::BegunTwice(event.clone()));
        }
        self.sends.push(Sent {
            event: position,
            began: *at,
            client: client.clone(),
            seq: *seq,
            partition: partition.clone(),
            digest: *digest,
            idempotent: *idempotent,
            durable: *durable,
            outcome: Outcome::Unknown,
        });
        Ok(())
    }

    fn require_send(&self, event: &Event, client: &Name, seq: u64) -> Result<usize, HistoryError> {
        let found = self.send_of.get(&(client.clone(), seq)).copied();
        let at = found.ok_or_else(|| HistoryError::OutcomeWithoutBeginning(event.clone()))?;
        match self.sends[at].outcome {
            Outcome::Unknown => Ok(at),
            Outcome::Ok { .. } | Outcome::Failed => Err(HistoryError::EndedTwice(event.clone())),
        }
    }

    fn end_send(
        &mut self,
        event: &Event,
        name: (&Name, u64),
        outcome: Outcome<Option<i64>>,
    ) -> Result<(), HistoryError> {
        let at = self.require_send(event, name.0, name.1)?;
        self.sends[at].outcome = outcome;
        Ok(())
    }

    fn begin_commit(&mut self, position: usize, event: &Event) -> Result<(), HistoryError> {
        let Event::Commit { at, client, id, group, partition, offset, reset } = event else { return Ok(()) };
        let key = (group.clone(), partition.clone());
        let commits = self.commits.entry(key.clone()).or_default();
        if self.commit_of.insert((client.clone(), *id), (key, commits.len())).is_some() {
            return Err(HistoryError::BegunTwice(event.clone()));
        }
        commits.push(Commit {
            event: position,
            began: *at,
            client: client.clone(),
            offset: *offset,
            reset: *reset,
            outcome: Outcome::Unknown,
        });
        Ok(())
    }

    fn require_commit(&mut self, event: &Event, client: &Name, id: u64) -> Result<&mut Commit, HistoryError> {
        let missing = || HistoryError::OutcomeWithoutBeginning(event.clone());
        let (key, at) = self.commit_of.get(&(client.clone(), id)).ok_or_else(missing)?;
        let commit =
            self.commits.get_mut(key).and_then(|commits| commits.get_mut(*at)).ok_or_else(missing)?;
        match commit.outcome {
            Outcome::Unknown => Ok(commit),
            Outcome::Ok { .. } | Outcome::Failed => Err(HistoryError::EndedTwice(event.clone())),
        }
    }

    fn end_commit(
        &mut self,
        event: &Event,
        name: (&Name, u64),
        outcome: Outcome<()>,
    ) -> Result<(), HistoryError> {
        self.require_commit(event, name.0, name.1)?.outcome = outcome;
        Ok(())
    }
}

fn check_times_and_offsets(event: &Event) -> Result<(), HistoryError> {
    let (since, at, range) = match event {
        Event::Read { at, offset, .. } | Event::Commit { at, offset, .. } => (*at, *at, (0, *offset)),
        Event::SendOk { at, offset, .. } => (*at, *at, (0, offset.unwrap_or(0))),
        Event::ReadAll { since, at, start, end, .. } => (*since, *at, (*start, *end)),
        Event::Fetched { since, at, offset, .. } => (*since, *at, (0, offset.unwrap_or(0))),
        Event::Drained { at, start, end, .. } => (*at, *at, (*start, *end)),
        Event::Bounds { since, at, .. }
        | Event::Settled { since, at, .. }
        | Event::Full { since, at, .. } => (*since, *at, (0, 0)),
        Event::Send { at, .. }
        | Event::SendFail { at, .. }
        | Event::SendInfo { at, .. }
        | Event::CommitOk { at, .. }
        | Event::CommitFail { at, .. }
        | Event::CommitInfo { at, .. }
        | Event::UncleanElection { at, .. }
        | Event::Assigned { at, .. }
        | Event::Revoked { at, .. }
        | Event::Retains { at, .. }
        | Event::Ended { at, .. } => (*at, *at, (0, 0)),
    };
    if at < since {
        return Err(HistoryError::EndedBeforeBeginning(event.clone()));
    }
    if range.0 < 0 || range.1 < range.0 {
        return Err(HistoryError::BadRange(event.clone()));
    }
    Ok(())
}
