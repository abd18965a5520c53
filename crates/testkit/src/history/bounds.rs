//! R4: offsets that tell how far a log reaches never go back.
//!
//! Owns: the comparison of what brokers told, and gave to readers, across clients, in real time.
//! Does not own: the bounds' meaning.
//!
//! An answer is compared with all answers that ended before it was asked for. Log start, last stable offset and
//! high watermark never go back; the log end never goes back within a leader epoch. An unclean election begins
//! the high watermark, the last stable offset and the log end anew.
//!
//! A record that a client was given lies below the high watermark of that moment, and so below every later one.

use std::collections::HashMap;

use super::event::{Event, Name};
use super::index::History;
use super::{Findings, Rule};

/// One of the four offsets, with the epoch or era within which it must not go back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    LogStart,
    LastStable { era: usize },
    HighWatermark { era: usize },
    LogEnd { era: usize, epoch: i32 },
}

impl Kind {
    fn title(self) -> &'static str {
        match self {
            Kind::LogStart => "log start",
            Kind::LastStable { .. } => "last stable offset",
            Kind::HighWatermark { .. } => "high watermark",
            Kind::LogEnd { .. } => "log end",
        }
    }
}

#[derive(Clone, Copy)]
struct Seen {
    value: i64,
    event: usize,
}

/// At one time questions come before answers: what touches overlaps.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Asked,
    Answered,
    Given,
}

pub(super) fn check(history: &History, findings: &mut Findings) {
    let mut steps: Vec<(u64, Step, usize)> = Vec::new();
    for (position, event) in history.events() {
        if let Event::Bounds { since, at, .. } = event {
            steps.push((*since, Step::Asked, position));
            steps.push((*at, Step::Answered, position));
        }
        if let Event::Read { at, .. } = event {
            steps.push((*at, Step::Given, position));
        }
    }
    steps.sort_unstable();
    let mut highest: HashMap<(&Name, Kind), Seen> = HashMap::new();
    let mut floors: HashMap<usize, Vec<(Kind, Seen)>> = HashMap::new();
    for (_, step, position) in steps {
        match step {
            Step::Asked => {
                let (partition, values) = values_of(history, position);
                let floor = |(kind, _): &(Kind, i64)| Some((*kind, *highest.get(&(partition, *kind))?));
                floors.insert(position, values.iter().filter_map(floor).collect());
            }
            Step::Answered => {
                let (partition, values) = values_of(history, position);
                let floor = floors.remove(&position).unwrap_or_default();
                for (kind, value) in values {
                    let below = floor.iter().find(|(known, _)| *known == kind).map(|(_, seen)| *seen);
                    if let Some(seen) = below.filter(|seen| value < seen.value) {
                        let sentence = sentence_of(history, (partition, kind), (seen, value));
                        findings.add(Rule::R4, [seen.event, position], sentence);
                    }
                    rise(&mut highest, (partition, kind), Seen { value, event: position });
                }
            }
            Step::Given => {
                if let Event::Read { at, partition, offset, .. } = history.event(position) {
                    let kind = Kind::HighWatermark { era: history.era(partition, *at) };
                    rise(&mut highest, (partition, kind), Seen { value: offset + 1, event: position });
                }
            }
        }
    }
}

fn rise<'a>(highest: &mut HashMap<(&'a Name, Kind), Seen>, key: (&'a Name, Kind), seen: Seen) {
    let known = highest.entry(key).or_insert(seen);
    if known.value < seen.value {
        *known = seen;
    }
}

fn sentence_of(history: &History, (partition, kind): (&Name, Kind), (seen, value): (Seen, i64)) -> String {
    let title = kind.title();
    if let Event::Read { client, offset, .. } = history.event(seen.event) {
        return format!(
            "{client} was given offset {offset} of {partition}, and the {title} told later is {value}"
        );
    }
    format!("the {title} of {partition} went back from {} to {value}", seen.value)
}

/// The four offsets of an answer. The era is that of the answer: what was asked before an unclean election and
/// answered after it is compared with nothing.
fn values_of(history: &History, position: usize) -> (&Name, Vec<(Kind, i64)>) {
    let Event::Bounds { at, partition, epoch, log_start, last_stable, high_watermark, log_end, .. } =
        history.event(position)
    else {
        unreachable!("only bounds are asked for")
    };
    let era = history.era(partition, *at);
    let values = vec![
        (Kind::LogStart, *log_start),
        (Kind::LastStable { era }, *last_stable),
        (Kind::HighWatermark { era }, *high_watermark),
        (Kind::LogEnd { era, epoch: *epoch }, *log_end),
    ];
    (partition, values)
}
