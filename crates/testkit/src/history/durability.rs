//! R1: what was acknowledged is there in every final read, at its offset.
//!
//! Owns: final reads and what they must contain. Does not own: other rules on records (`records`).
//!
//! Not owed: what lies below the start of the log (deleted by retention or request), and what was acknowledged
//! before an unclean election or after the final read began.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::event::{Event, Name};
use super::index::{History, Outcome, Sent};
use super::{Findings, Rule};

/// A client that has read all of a partition.
struct FinalRead<'a> {
    event: usize,
    since: u64,
    at: u64,
    client: &'a Name,
    partition: &'a Name,
    start: i64,
    end: i64,
}

fn final_reads(history: &History) -> impl Iterator<Item = FinalRead<'_>> {
    history.events().filter_map(|(event, read)| {
        let Event::ReadAll { since, at, client, partition, start, end } = read else { return None };
        Some(FinalRead { event, since: *since, at: *at, client, partition, start: *start, end: *end })
    })
}

/// Sends whose acknowledgement promises something, by partition.
fn promised(history: &History) -> HashMap<&Name, Vec<&Sent>> {
    let mut by_partition: HashMap<&Name, Vec<&Sent>> = HashMap::new();
    for sent in history.sends() {
        if sent.durable && matches!(sent.outcome, Outcome::Ok { .. }) {
            by_partition.entry(&sent.partition).or_default().push(sent);
        }
    }
    by_partition
}

/// Whether a final read must contain a send, and if so the acknowledgement's position and offset.
fn owed(history: &History, sent: &Sent, read: &FinalRead<'_>) -> Option<(usize, Option<i64>)> {
    let Outcome::Ok { at, event, value } = sent.outcome else { return None };
    let same_era = history.era(read.partition, at) == history.era(read.partition, read.since);
    let deleted = value.is_some_and(|offset| offset < read.start);
    (at <= read.since && same_era && !deleted).then_some((event, value))
}

pub(super) fn check(history: &History, findings: &mut Findings) {
    let promised = promised(history);
    let readers: HashSet<(&Name, &Name)> =
        final_reads(history).map(|read| (read.client, read.partition)).collect();
    let mut read_by: HashMap<(&Name, &Name), Vec<Read<'_>>> = HashMap::new();
    for (_, event) in history.events() {
        let Event::Read { at, client, partition, offset, producer, seq, .. } = event else { continue };
        if readers.contains(&(client, partition)) {
            let read = Read { at: *at, offset: *offset, record: (producer, *seq) };
            read_by.entry((client, partition)).or_default().push(read);
        }
    }
    for read in final_reads(history) {
        let reads = read_by.get(&(read.client, read.partition)).map_or(&[][..], Vec::as_slice);
        let within = reads.iter().filter(|one| (read.since..=read.at).contains(&one.at));
        let (offsets, records): (HashSet<i64>, HashSet<(&Name, u64)>) =
            within.map(|one| (one.offset, one.record)).unzip();
        for sent in promised.get(read.partition).into_iter().flatten() {
            let Some((acked, offset)) = owed(history, sent, &read) else { continue };
            let there = match offset {
                // Another record at the offset is a matter of R2.
                Some(offset) => offsets.contains(&offset),
                None => records.contains(&(&sent.client, sent.seq)),
            };
            if !there {
                let place =
                    offset.map_or_else(|| "an offset not told".to_owned(), |at| format!("offset {at}"));
                let sentence = format!(
                    "{} seq {} was acknowledged at {} {place}, and {} read it from {} to {} without that record",
                    sent.client, sent.seq, read.partition, read.client, read.start, read.end
                );
                findings.add(Rule::R1, [acked, read.event], sentence);
            }
        }
    }
}

struct Read<'a> {
    at: u64,
    offset: i64,
    record: (&'a Name, u64),
}

/// Partitions with a promise that no final read could have kept or broken.
pub(super) fn unread_partitions(history: &History) -> Vec<Name> {
    let last_begun: HashMap<&Name, u64> =
        final_reads(history).fold(HashMap::new(), |mut last: HashMap<&Name, u64>, read| {
            let since = last.entry(read.partition).or_insert(read.since);
            *since = (*since).max(read.since);
            last
        });
    let unread = |sent: &&&Sent| match sent.outcome {
        Outcome::Ok { at, .. } => last_begun.get(&sent.partition).is_none_or(|since| *since < at),
        Outcome::Failed | Outcome::Unknown => false,
    };
    let promised = promised(history);
    let names: BTreeSet<Name> =
        promised.values().flatten().filter(unread).map(|sent| sent.partition.clone()).collect();
    names.into_iter().collect()
}
