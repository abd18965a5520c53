//! The loop of `ottla consume`: record after record, until something ends it.
//!
//! Owns: polling, printing in order, the ways to end, commits of a group.
//! Does not own: which partitions are read (`consume`), what a record looks like (`printing`).
//!
//! Invariants
//! - I1 what is committed for a group was handed to standard output before;
//! - I2 an end that was not asked for says how many records were printed.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::time::Duration;

use ottla_client::Consumer;
use ottla_client::config::ConsumerConfig;
use ottla_client::consumer::{ConsumerRecord, PollError};
use ottla_env::task::{self, Signal, Signals};
use ottla_env::time;
use ottla_model::{Offset, TopicName, TopicPartition};
use regex::Regex;

use super::printing::Printing;
use crate::own::progress::Progress;
use crate::own::record::records_were;
use crate::own::refusal::Refusal;
use crate::terminal::{Terminal, reader_has_left};

/// How long one poll waits before it is looked whether the ends are reached: gaps at the end of a partition, such as
/// marks of transactions, bring no record.
const POLL: Duration = Duration::from_millis(100);
/// How long leaving a group may take.
const CLOSE: Duration = Duration::from_secs(30);
/// Bytes of output that are collected before they are written.
const OUTPUT_BYTES: usize = 1 << 16;

/// What is read.
pub enum Source {
    /// Together with a group.
    Topics(BTreeSet<TopicName>),
    /// Together with a group.
    Pattern(Regex),
    Partitions(BTreeMap<TopicPartition, Goal>),
}

/// What is to be read of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Goal {
    /// An offset that is there, to begin with.
    pub begin: Offset,
    /// Records below are passed over.
    pub from: Offset,
    /// The first offset that is not read; `None` waits for what comes.
    pub until: Option<Offset>,
}

/// Why reading ended.
enum End {
    Enough,
    Signal(Signal),
    /// Standard output takes no more.
    Output(io::ErrorKind),
    Failed(Refusal),
}

/// A consumer at work.
pub struct Reading {
    consumer: Consumer,
    signals: Signals,
    is_member: bool,
    /// Partitions whose end is not reached.
    open: BTreeMap<TopicPartition, Goal>,
    count_max: Option<u64>,
    silence_max: Option<Duration>,
    /// Polled and not printed.
    unread: Vec<ConsumerRecord>,
    progress: Progress,
}

impl Reading {
    /// Begins. After so many seconds without anything new, reading fails; `None` waits for what comes.
    pub fn begin(
        config: ConsumerConfig,
        source: Source,
        (count_max, silence_max): (Option<u64>, Option<Duration>),
    ) -> Result<Reading, Refusal> {
        let failed = |error: &dyn std::fmt::Display| Refusal::failed("reading cannot begin").detail(error);
        let signals = Signals::listen().map_err(|error| failed(&error))?;
        let mut consumer = Consumer::new(config).map_err(|error| failed(&error))?;
        let mut open = BTreeMap::new();
        let is_member = match source {
            Source::Topics(topics) => {
                consumer.subscribe(topics).map_err(|error| failed(&error))?;
                true
            }
            Source::Pattern(pattern) => {
                consumer.subscribe_pattern(pattern).map_err(|error| failed(&error))?;
                true
            }
            Source::Partitions(goals) => {
                consumer.assign(goals.keys().cloned());
                for (partition, goal) in &goals {
                    consumer.handle().seek(partition, goal.begin).map_err(|error| failed(&error))?;
                }
                open = goals;
                false
            }
        };
        let total = open.values().map(|goal| goal.left(goal.begin)).sum::<Option<u64>>();
        Ok(Reading {
            consumer,
            signals,
            is_member,
            open,
            count_max,
            silence_max,
            unread: Vec::new(),
            progress: Progress::of_records(total.filter(|_| !is_member)),
        })
    }

    /// Reads and prints.
    pub async fn run(mut self, printing: Printing, terminal: &mut Terminal<'_>) -> Result<(), Refusal> {
        let mut printing = printing;
        let end = self.read(&mut printing, terminal).await;
        self.progress.finish();
        let is_member = self.is_member;
        let left = self.leave().await;
        let count = printing.count();
        let so_far = format!("{} printed", records_were(count));
        match (end, left) {
            (End::Failed(refusal), _) => Err(refusal.detail_more(&so_far)),
            (_, Err(refusal)) => Err(refusal.detail_more(&so_far)),
            // Whoever read the output had enough.
            (End::Enough | End::Output(io::ErrorKind::BrokenPipe), Ok(())) => Ok(()),
            (End::Output(kind), Ok(())) => Err(Refusal::failed("standard output cannot be written")
                .detail(kind)
                .detail_more(&format!("At most {so_far}"))),
            (End::Signal(signal), Ok(())) if is_member => {
                Err(Refusal::ended_by(signal, format!("{so_far} and committed")))
            }
            (End::Signal(signal), Ok(())) => Err(Refusal::ended_by(signal, so_far)),
        }
    }

    async fn read(&mut self, printing: &mut Printing, terminal: &mut Terminal<'_>) -> End {
        let mut news_at = time::now();
        while self.is_member || !self.open.is_empty() {
            let polled = task::select! {
                biased;
                signal = self.signals.stop() => return End::Signal(signal),
                polled = self.consumer.poll(POLL) => polled,
            };
            let before = self.progress.position();
            match polled {
                Ok(records) if records.is_empty() => {
                    if reader_has_left() {
                        return End::Output(io::ErrorKind::BrokenPipe);
                    }
                }
                Ok(records) => {
                    if let Some(end) = self.print(records, (printing, terminal)) {
                        return end;
                    }
                    // Whoever reads the output may have taken any time.
                    news_at = time::now();
                }
                Err(PollError::OutOfRange { partition, offset }) => {
                    if let Err(refusal) = self.skip_deleted(&partition, offset, terminal).await {
                        return End::Failed(refusal);
                    }
                }
                Err(error) => return End::Failed(refusal_of(&error)),
            }
            self.close_reached().await;
            if self.progress.position() > before {
                news_at = time::now();
            }
            if let Some(max) = self.silence_max.filter(|max| news_at.elapsed() > *max)
                && let Some(partition) = self.open.keys().next()
            {
                return End::Failed(
                    Refusal::failed(format!("partition {partition} could not be read to its end"))
                        .detail(format_args!("Nothing came for {} s", max.as_secs())),
                );
            }
        }
        End::Enough
    }

    /// Prints records; answers why no more are wanted.
    fn print(
        &mut self,
        records: Vec<ConsumerRecord>,
        (printing, terminal): (&mut Printing, &mut Terminal<'_>),
    ) -> Option<End> {
        let mut out = Vec::new();
        let mut records = records.into_iter();
        let mut begun: Vec<ConsumerRecord> = Vec::new();
        let mut end = None;
        for record in records.by_ref() {
            if self.is_wanted(&record) {
                printing.write(&record, &mut out);
            }
            begun.push(record);
            if out.len() >= OUTPUT_BYTES {
                end = written(&mut out, terminal);
            }
            if self.count_max.is_some_and(|max| printing.count() >= max) {
                end = end.or(Some(End::Enough));
            }
            if end.is_some() {
                break;
            }
        }
        terminal_flush(&mut out, terminal, &mut end);
        if let Some(End::Output(_)) = end {
            // Which of them arrived is not known.
            self.unread.extend(begun);
        }
        self.unread.extend(records);
        end
    }

    fn is_wanted(&self, record: &ConsumerRecord) -> bool {
        if self.is_member {
            return true;
        }
        let goal = self.open.get(&record.topic_partition());
        goal.is_some_and(|goal| {
            goal.from <= record.offset && goal.until.is_none_or(|until| record.offset < until)
        })
    }

    /// Closes the partitions whose end is reached.
    async fn close_reached(&mut self) {
        let handle = self.consumer.handle();
        let mut left = 0u64;
        let mut reached = Vec::new();
        for (partition, goal) in self.open.iter().filter(|(_, goal)| goal.until.is_some()) {
            // A position that is not known now will be after a later poll.
            let position = time::timeout(Duration::ZERO, handle.position(partition)).await;
            let Ok(Ok(position)) = position else {
                left += goal.left(goal.begin).unwrap_or(0);
                continue;
            };
            match goal.left(position) {
                Some(0) => reached.push(partition.clone()),
                Some(more) => left += more,
                None => {}
            }
        }
        for partition in reached {
            // It is assigned, or else it is read no more anyway.
            let _ = handle.pause(&partition);
            self.open.remove(&partition);
        }
        self.progress.left(left);
    }

    /// Goes on behind records that were deleted before they could be read.
    async fn skip_deleted(
        &mut self,
        partition: &TopicPartition,
        offset: Offset,
        terminal: &mut Terminal<'_>,
    ) -> Result<(), Refusal> {
        let refused = |reason: String| {
            Refusal::failed(format!("partition {partition} has no offset {offset} any more")).detail(reason)
        };
        let handle = self.consumer.handle();
        let begin = handle.beginning_offsets(std::slice::from_ref(partition)).await;
        let begin = begin.map_err(|error| refused(error.to_string()))?;
        match begin.get(partition) {
            Some(begin) if *begin > offset => {
                terminal.err_line(format_args!(
                    "note: the records of {partition} from {offset} to {begin} were deleted meanwhile"
                ));
                handle.seek(partition, *begin).map_err(|error| refused(error.to_string()))
            }
            Some(_) | None => Err(refused("The end of the partition was cut off".to_owned())),
        }
    }

    /// Goes back to the first record of each partition that was not printed (I1), commits, and leaves the group.
    /// A further signal ends the wait for a cluster that does not answer.
    async fn leave(self) -> Result<(), Refusal> {
        let Reading { consumer, mut signals, is_member, unread, .. } = self;
        let commits = is_member && !consumer.handle().assignment().is_empty();
        let mut first: BTreeMap<TopicPartition, Offset> = BTreeMap::new();
        for record in &unread {
            let first = first.entry(record.topic_partition()).or_insert(record.offset);
            *first = (*first).min(record.offset);
        }
        for (partition, offset) in first {
            // A partition that was taken away meanwhile is somebody else's.
            let _ = consumer.handle().seek(&partition, offset);
        }
        let commit = async { if commits { consumer.handle().commit().await } else { Ok(()) } };
        let not_committed = || Refusal::failed("the group's offsets were not committed");
        let committed = task::select! {
            biased;
            _ = signals.stop() => return Err(not_committed().detail("A second signal ended the wait")),
            committed = commit => committed,
        };
        task::select! {
            biased;
            _ = signals.stop() => {}
            () = consumer.close(CLOSE) => {}
        }
        committed.map_err(|error| not_committed().detail(error))
    }
}

/// Hands the output over; answers the end if standard output takes no more.
fn written(out: &mut Vec<u8>, terminal: &mut Terminal<'_>) -> Option<End> {
    terminal.out_bytes(out);
    out.clear();
    terminal.out_failure().map(End::Output)
}

fn terminal_flush(out: &mut Vec<u8>, terminal: &mut Terminal<'_>, end: &mut Option<End>) {
    let failure = written(out, terminal);
    // Whoever reads the output sees records while the next ones are waited for.
    terminal.flush();
    if let Some(failure) = failure.or(terminal.out_failure().map(End::Output)) {
        *end = Some(failure);
    }
}

fn refusal_of(error: &PollError) -> Refusal {
    match error {
        PollError::Group(error) => Refusal::by_cluster("the group refuses this member", error),
        PollError::Fetch { partition, error } => {
            Refusal::by_cluster(format!("partition {partition} cannot be read"), error)
        }
        PollError::Call(error) => Refusal::no_answer("the records cannot be read", error),
        PollError::NothingToPoll
        | PollError::NoOffset { .. }
        | PollError::OutOfRange { .. }
        | PollError::Truncated { .. }
        | PollError::InvalidTopics { .. }
        | PollError::NotAuthorized { .. }
        | PollError::Read(_) => Refusal::failed("the records cannot be read").detail(error),
    }
}
