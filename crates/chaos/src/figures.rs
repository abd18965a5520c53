//! What one case amounts to.
//!
//! Owns: the numbers of the report, when a run counts. Does not own: their print (`report`).

use std::collections::BTreeSet;
use std::time::Duration;

use ottla_testkit::history::{Counts, Event, Name, Rule, Verdict};

use crate::faults::Faults;
use crate::stage::Stage;

/// Acknowledgements in a second of faults below which a run proves nothing.
const FLOOR_PER_SECOND: u64 = 20;

/// How a case ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Passed,
    /// What is wrong.
    Failed(Vec<String>),
    /// Too little happened for a judgement.
    Invalid(String),
    /// Why this machine cannot run it.
    Skipped(String),
}

/// The numbers of a case.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    pub seconds: u64,
    pub faults: u64,
    pub hit: u64,
    pub counts: Counts,
    pub lost: u64,
    pub duplicated: u64,
    pub reordered: u64,
    pub phantom: u64,
    /// Rules that were broken.
    pub broken: BTreeSet<Rule>,
    /// Median and longest time without an acknowledgement, in nanoseconds.
    pub gap: Option<(u64, u64)>,
    /// Median and longest time from the end of a fault to the first acknowledgement, in nanoseconds.
    pub recovery: Option<(u64, u64)>,
}

impl Figures {
    pub fn new(stage: &Stage, verdict: &Verdict, time: Duration) -> Figures {
        let Faults(faults) = &stage.faults;
        let waits = stage.faults.waits(&stage.cluster.notes.ack_times());
        let broken = |rules: &[Rule]| {
            verdict.violations.iter().filter(|violation| rules.contains(&violation.rule)).count() as u64
        };
        Figures {
            seconds: time.as_secs(),
            faults: faults.len() as u64,
            hit: faults.iter().filter(|fault| fault.hit).count() as u64,
            counts: verdict.counts,
            lost: lost(verdict),
            duplicated: broken(&[Rule::R8]),
            reordered: broken(&[Rule::R3]),
            phantom: broken(&[Rule::R2, Rule::R9]),
            broken: verdict.violations.iter().map(|violation| violation.rule).collect(),
            gap: median_and_longest(&waits.gaps),
            recovery: median_and_longest(&waits.recoveries),
        }
    }

    /// Why it proves nothing, if so.
    pub fn below_floor(&self) -> Option<String> {
        let floor = self.seconds * FLOOR_PER_SECOND;
        if self.faults == 0 {
            Some("no fault came".to_owned())
        } else if self.hit == 0 {
            Some(format!("none of {} faults came while traffic flowed", self.faults))
        } else if self.counts.acked < floor {
            Some(format!(
                "{} records were acknowledged in {} s; {floor} is the floor",
                self.counts.acked, self.seconds
            ))
        } else {
            None
        }
    }
}

/// Records that were acknowledged and not there, each once, however many readers missed it.
fn lost(verdict: &Verdict) -> u64 {
    let missed = verdict.violations.iter().filter(|violation| violation.rule == Rule::R1);
    let records: BTreeSet<(&Name, u64)> = missed
        .flat_map(|violation| &violation.witness)
        .filter_map(
            |event| if let Event::SendOk { client, seq, .. } = event { Some((client, *seq)) } else { None },
        )
        .collect();
    records.len() as u64
}

fn median_and_longest(sorted: &[u64]) -> Option<(u64, u64)> {
    Some((*sorted.get(sorted.len() / 2)?, *sorted.last()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_little_is_told() {
        let counts = Counts { acked: 1_000, ..Counts::default() };
        let enough = Figures { seconds: 10, faults: 4, hit: 1, counts, ..Figures::default() };
        assert_eq!(enough.below_floor(), None);
        let told = |figures: Figures| figures.below_floor().unwrap();
        assert_eq!(told(Figures { faults: 0, ..enough.clone() }), "no fault came");
        assert_eq!(told(Figures { hit: 0, ..enough.clone() }), "none of 4 faults came while traffic flowed");
        let slow = told(Figures { seconds: 60, ..enough });
        assert_eq!(slow, "1000 records were acknowledged in 60 s; 1200 is the floor");
    }

    #[test]
    fn of_an_even_number_the_upper_one_is_the_median() {
        assert_eq!(median_and_longest(&[]), None);
        assert_eq!(median_and_longest(&[4]), Some((4, 4)));
        assert_eq!(median_and_longest(&[1, 2, 3, 9]), Some((3, 9)));
    }
}
