//! C2: no record is deleted before its time.
//!
//! Owns: when a record was gone, and how old it can have been. Does not own: records that are missing above the log start
//! (`durability`).
//!
//! A record below a log start that was told is gone by then. It is at most as old as the time since its sender began, on the
//! clock of the history, whatever wall clocks said meanwhile.

use std::collections::HashMap;

use super::event::{Event, Name};
use super::index::{History, Outcome};
use super::{Findings, Rule};

/// Nanoseconds of a millisecond.
const MS: u64 = 1_000_000;

/// A record that was acknowledged.
struct Kept {
    offset: i64,
    began: u64,
    acked: usize,
}

pub(super) fn check(history: &History, findings: &mut Findings) {
    let mut promised: HashMap<&Name, u64> = HashMap::new();
    let mut kept: HashMap<&Name, Vec<Kept>> = HashMap::new();
    for sent in history.sends() {
        if let Outcome::Ok { event, value: Some(offset), .. } = sent.outcome {
            kept.entry(&sent.partition).or_default().push(Kept { offset, began: sent.began, acked: event });
        }
    }
    kept.values_mut().for_each(|kept| kept.sort_unstable_by_key(|kept| kept.offset));
    let mut starts: HashMap<&Name, i64> = HashMap::new();
    for (position, event) in history.events() {
        if let Event::Retains { partition, ms, .. } = event {
            promised.insert(partition, *ms);
        }
        let Some((at, partition, start)) = told_start(event) else { continue };
        let known = starts.entry(partition).or_insert(0);
        let from = *known;
        *known = start.max(from);
        let Some(ms) = promised.get(partition) else { continue };
        let Some(kept) = kept.get(partition) else { continue };
        let gone = &kept[kept.partition_point(|kept| kept.offset < from)..];
        let gone = gone.iter().take_while(|kept| kept.offset < start);
        // The youngest one says enough.
        let Some(youngest) = gone.filter(|kept| kept.began <= at).max_by_key(|kept| kept.began) else {
            continue;
        };
        let age = (at - youngest.began) / MS;
        if age < *ms {
            let sentence = format!(
                "{partition} keeps records for {ms} ms, and offset {} is gone after at most {age} ms",
                youngest.offset
            );
            findings.add(Rule::C2, [youngest.acked, position], sentence);
        }
    }
}

/// The log start that an event tells, where, and by when.
fn told_start(event: &Event) -> Option<(u64, &Name, i64)> {
    if let Event::Bounds { at, partition, log_start, .. } = event {
        return Some((*at, partition, *log_start));
    }
    let Event::ReadAll { at, partition, start, .. } = event else { return None };
    Some((*at, partition, *start))
}
