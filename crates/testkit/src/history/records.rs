//! Rules about the records of a log: R2, R3, R8, R9.
//!
//! Owns: who claims which value at which offset, and the order of records and acknowledgements.
//! Does not own: durability (`durability`).
//!
//! An *era* of a partition ends with an unclean election, after which offsets may be given again.

use std::collections::{BTreeMap, HashMap};

use super::event::{Event, Name};
use super::index::{History, Outcome, Sent};
use super::{Findings, Rule};

/// One offset of one partition in one era.
type Place = (Name, usize, i64);

/// A record, as its reader or its sender knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Record {
    producer: Name,
    seq: u64,
    digest: u64,
}

pub(super) fn check(history: &History, findings: &mut Findings) {
    let reads = first_reads(history, findings);
    one_value_per_acked_offset(history, &reads, findings);
    for (place, (event, record)) in &reads {
        no_phantom(history, (place, *event, record), findings);
    }
    order_in_the_log(history, &reads, findings);
    order_of_acknowledgements(history, findings);
}

/// The first read of each place; later ones are compared with it (R2).
fn first_reads(history: &History, findings: &mut Findings) -> BTreeMap<Place, (usize, Record)> {
    let mut reads: BTreeMap<Place, (usize, Record)> = BTreeMap::new();
    for (position, event) in history.events() {
        let Event::Read { at, partition, offset, producer, seq, digest, .. } = event else { continue };
        let place = (partition.clone(), history.era(partition, *at), *offset);
        let record = Record { producer: producer.clone(), seq: *seq, digest: *digest };
        match reads.get(&place) {
            None => _ = reads.insert(place, (position, record)),
            Some((_, first)) if *first == record => {}
            Some((first, _)) => {
                let sentence = format!("two reads of {partition} offset {offset} differ");
                findings.add(Rule::R2, [*first, position], sentence);
            }
        }
    }
    reads
}

/// An acknowledgement claims its offset as a read does (R2).
fn one_value_per_acked_offset(
    history: &History,
    reads: &BTreeMap<Place, (usize, Record)>,
    findings: &mut Findings,
) {
    let mut acked: HashMap<Place, usize> = HashMap::new();
    for sent in history.sends() {
        let Outcome::Ok { at, event, value: Some(offset) } = sent.outcome else { continue };
        let place = (sent.partition.clone(), history.era(&sent.partition, at), offset);
        if let Some((read, record)) = reads.get(&place)
            && (&record.producer, record.seq) != (&sent.client, sent.seq)
        {
            let sentence = format!(
                "{} was told that its seq {} is at {} offset {offset}, where another record was read",
                sent.client, sent.seq, sent.partition
            );
            findings.add(Rule::R2, [event, *read], sentence);
        }
        if let Some(other) = acked.insert(place, event) {
            let sentence = format!("two sends were told {} offset {offset}", sent.partition);
            findings.add(Rule::R2, [other, event], sentence);
        }
    }
}

fn no_phantom(history: &History, read: (&Place, usize, &Record), findings: &mut Findings) {
    let ((partition, _, offset), event, record) = read;
    let found = format!("the record at {partition} offset {offset}");
    let Some(sent) = history.send(&record.producer, record.seq) else {
        let sentence = format!("{found} was never sent");
        return findings.add(Rule::R9, [event], sentence);
    };
    let wrong = if &sent.partition != partition {
        "was sent to another partition"
    } else if sent.digest != record.digest {
        "was sent with another content"
    } else if sent.outcome == Outcome::Failed {
        "was refused"
    } else {
        return;
    };
    findings.add(Rule::R9, [sent.event, event], format!("{found} {wrong}"));
}

/// Going through a log from its start: no record of an idempotent producer comes twice (R8) or before an
/// earlier one (R3).
fn order_in_the_log(history: &History, reads: &BTreeMap<Place, (usize, Record)>, findings: &mut Findings) {
    let idempotent =
        |record: &Record| history.send(&record.producer, record.seq).is_some_and(|sent| sent.idempotent);
    let mut seen: HashMap<(&Name, u64), usize> = HashMap::new();
    let mut last: HashMap<(&Name, usize, &Name), (u64, usize)> = HashMap::new();
    for ((partition, era, offset), (event, record)) in reads {
        if !idempotent(record) {
            continue;
        }
        if let Some(first) = seen.insert((&record.producer, record.seq), *event) {
            // The same record in a later era is what an unclean election may leave.
            if era_of(history, first) == *era {
                let sentence = format!("{} seq {} is in the log twice", record.producer, record.seq);
                findings.add(Rule::R8, [first, *event], sentence);
            }
            continue;
        }
        let (highest, highest_event) =
            *last.entry((partition, *era, &record.producer)).or_insert((record.seq, *event));
        if record.seq < highest {
            let sentence = format!(
                "{} sent seq {} before seq {highest}, but it lies behind it at {partition} offset {offset}",
                record.producer, record.seq
            );
            findings.add(Rule::R3, [highest_event, *event], sentence);
        } else {
            last.insert((partition, *era, &record.producer), (record.seq, *event));
        }
    }
}

fn era_of(history: &History, event: usize) -> usize {
    let Event::Read { at, partition, .. } = history.event(event) else { return 0 };
    history.era(partition, *at)
}

/// A step in the life of a send, for going through them in the order of time. At one time beginnings come
/// first: sends that touch overlap.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Begin,
    End,
}

/// If one send ended before another one began, its offset is lower (R3).
fn order_of_acknowledgements(history: &History, findings: &mut Findings) {
    let mut steps: Vec<(u64, Step, usize)> = Vec::new();
    for (number, sent) in history.sends().iter().enumerate() {
        if let Outcome::Ok { at, value: Some(_), .. } = sent.outcome {
            steps.push((sent.began, Step::Begin, number));
            steps.push((at, Step::End, number));
        }
    }
    steps.sort_unstable();
    // The highest acknowledged offset of each partition and era, and what it was when a send began.
    let mut highest: HashMap<(&Name, usize), Acked> = HashMap::new();
    let mut floor: HashMap<usize, Acked> = HashMap::new();
    for (at, step, number) in steps {
        let sent = &history.sends()[number];
        let key = (&sent.partition, history.era(&sent.partition, at));
        match (step, acked_of(sent)) {
            (Step::Begin, _) => {
                if let Some(below) = highest.get(&key) {
                    floor.insert(number, *below);
                }
            }
            (Step::End, Some(acked)) => {
                let below =
                    floor.remove(&number).filter(|_| history.era(&sent.partition, sent.began) == key.1);
                if let Some(below) = below.filter(|below| acked.offset <= below.offset) {
                    let sentence = format!(
                        "{} seq {} began after offset {} was acknowledged and got offset {}",
                        sent.client, sent.seq, below.offset, acked.offset
                    );
                    // Equal offsets are two values at one offset, which R2 reports.
                    if acked.offset < below.offset {
                        findings.add(Rule::R3, [below.event, sent.event, acked.event], sentence);
                    }
                }
                highest
                    .entry(key)
                    .and_modify(|known| {
                        if known.offset < acked.offset {
                            *known = acked;
                        }
                    })
                    .or_insert(acked);
            }
            (Step::End, None) => {}
        }
    }
}

#[derive(Clone, Copy)]
struct Acked {
    offset: i64,
    event: usize,
}

fn acked_of(sent: &Sent) -> Option<Acked> {
    match sent.outcome {
        Outcome::Ok { event, value: Some(offset), .. } => Some(Acked { offset, event }),
        Outcome::Ok { value: None, .. } | Outcome::Failed | Outcome::Unknown => None,
    }
}
